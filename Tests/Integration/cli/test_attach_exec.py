"""Streams and ends of `exec`, in the foreground and in the background."""

import hashlib
import os
import pathlib
import signal
import subprocess
import time

from host import wait_for


def parent(pid):
    return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_streams_and_code(berth):
    name = berth.up()
    data = os.urandom(1 << 20)
    result = berth.call("exec", "-i", name, "sh", "-c", "cat >/tmp/x; cat /tmp/x; cat /tmp/x >&2; exit 5", stdin=data).exits(5)
    wanted = hashlib.sha256(data).digest()
    assert hashlib.sha256(result.bytes).digest() == wanted and hashlib.sha256(result.error_bytes).digest() == wanted
    assert berth.call("exec", name, "cat", stdin="unseen").check().out == ""
    assert berth.logs(name) == "", "what exec writes is not the container's"


def test_signals_and_death(berth):
    name = berth.up()
    process = berth.popen("exec", name, "sh", "-c", "trap 'echo term; exit 9' TERM; echo ready; while :; do sleep 0.02; done", stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=10)[0] == b"term\n" and process.returncode == 9
    assert berth.call("exec", name, "sh", "-c", "kill -9 $$").code == 137


def test_background_returns_at_once(berth):
    """Nothing of the command is held: neither its output, which a shell may wait for, nor its place."""
    name = berth.up()
    start = time.monotonic()
    result = berth.call("exec", "-d", name, "sh", "-c", "echo unseen; echo unseen >&2; echo $$ >/tmp/pid; exec sleep 1000",
                        wrap=["sh", "-c", '"$0" "$@" 2>&1 | cat'])  # fmt: skip
    assert time.monotonic() - start < 5 and (result.code, result.out) == (0, "")
    wait_for(lambda: berth.call("exec", name, "cat", "/tmp/pid").text, "the process in the background")
    assert berth.logs(name) == ""


def test_background_processes_are_their_supervisors(berth):
    """Not the host's process 1's: when they end nobody's zombie stays."""
    name = berth.up()
    supervisor = berth.supervisor(berth.inspect(name, "Id"))
    for _ in range(5):
        berth.ok("exec", "-d", name, "sleep", "1000")
    children = wait_for(lambda: (found := children_of(supervisor)) and len(found) == 6 and found, "six children of the supervisor")
    for pid in children:
        if pid != berth.pid(name):
            os.kill(pid, signal.SIGKILL)
    wait_for(lambda: children_of(supervisor) == [berth.pid(name)], "the ended ones to be reaped")
    assert berth.status(name) == "running"


def children_of(pid):
    return [int(word) for word in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_background_honours_its_flags(berth):
    name = berth.up("-e", "KEPT=1")
    berth.ok("exec", "-d", "-e", "ADDED=2", "-w", "/tmp", "-u", "1000:1000", name, "sh", "-c", "echo $KEPT $ADDED $PWD $HOME >/tmp/a; id >>/tmp/a; tty >>/tmp/a")
    text = wait_for(lambda: (t := berth.call("exec", name, "cat", "/tmp/a").out).count("\n") == 3 and t, "the three lines")
    assert text.splitlines()[0] == "1 2 /tmp /home/app"
    assert "uid=1000(app) gid=1000(app)" in text and "not a tty" in text
    berth.ok("exec", "-dt", name, "touch", "/tmp/b")
    wait_for(lambda: berth.call("exec", name, "test", "-e", "/tmp/b").code == 0, "the one with a terminal asked for")


def test_background_that_cannot_start(berth):
    name = berth.up()
    berth.call("exec", "-d", name, "/nowhere").fails(127, "no such file")
    berth.call("exec", "-d", name, "/etc/passwd").fails(126, "permission denied")
    berth.call("exec", "-d", "-w", "/nowhere", name, "true").fails(125, "nowhere")
    berth.ok("kill", name)
    berth.call("exec", "-d", name, "true").fails(1, "not running")


def test_background_keeps_no_special_oom_score(root_berth):
    """The supervisor is out of the OOM killer's first choice (where it may: CAP_SYS_RESOURCE); what it starts is not."""
    name = root_berth.up()
    root_berth.ok("exec", "-d", name, "sleep", "999")
    own = pathlib.Path(f"/proc/{root_berth.pid(name)}/oom_score_adj").read_text()
    supervisor = root_berth.supervisor(root_berth.inspect(name, "Id"))
    pid = wait_for(lambda: next((p for p in children_of(supervisor) if p != root_berth.pid(name)), None), "the process")
    assert pathlib.Path(f"/proc/{pid}/oom_score_adj").read_text() == own


def test_a_thousand_short_execs(berth):
    """F33: each with its code; no zombie, no descriptor stays."""
    name = berth.up()
    supervisor = berth.supervisor(berth.inspect(name, "Id"))
    berth.ok("exec", name, "true")
    before = len(os.listdir(f"/proc/{supervisor}/fd"))
    for number in range(1000 if os.environ.get("BERTH_TEST_FULL") else 60):
        if number % 3:
            assert berth.call("exec", name, "sh", "-c", f"exit {number % 100}").code == number % 100
        else:
            berth.ok("exec", "-d", name, "true")
    wait_for(lambda: children_of(supervisor) == [berth.pid(name)], "all to be reaped")
    assert len(os.listdir(f"/proc/{supervisor}/fd")) == before
    assert len(berth.ok("top", name).lines) == 2
