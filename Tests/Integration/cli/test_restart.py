"""Restart policies, ends that are asked for, PID 1's duties, memory that kills, supervisors that are killed."""

import datetime
import hashlib
import os
import pathlib
import signal
import socket
import struct
import subprocess
import time

import pytest

from host import wait_for


def nanoseconds(text):
    """Of an RFC 3339 time with nine digits."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    seconds = datetime.datetime.fromisoformat(whole + "+00:00").timestamp()
    return int(seconds) * 1_000_000_000 + int(fraction.ljust(9, "0")[:9])


def times(berth, name):
    return [nanoseconds(line.split(" ")[0]) for line in berth.ok("logs", "-t", name).lines]


def ended(berth, name, deadline=20):
    return wait_for(lambda: (s := berth.inspect(name, "State"))["Status"] == "exited" and s, f"the end of {name}", deadline)


# Policies


def test_on_failure_counts(berth):
    name = berth.detached("--restart", "on-failure:3", "test", "sh", "-c", "echo run; exit 5")
    state = ended(berth, name)
    assert (state["ExitCode"], berth.inspect(name, "RestartCount"), len(times(berth, name))) == (5, 3, 4)


@pytest.mark.parametrize("policy, script, runs", [("no", "exit 1", 1), ("on-failure", "exit 0", 1), ("on-failure:0", "exit 0", 1), ("on-failure:1", "exit 255", 2)])
def test_policies_that_end(berth, policy, script, runs):
    name = berth.detached("--restart", policy, "test", "sh", "-c", f"echo run; {script}")
    ended(berth, name)
    assert len(times(berth, name)) == runs


@pytest.mark.parametrize("policy", ["always", "unless-stopped"])
def test_policies_that_do_not(berth, policy):
    name = berth.detached("--restart", policy, "test", "sh", "-c", "echo run; exit 0")
    wait_for(lambda: berth.inspect(name, "RestartCount") >= 3, "three restarts")
    berth.ok("stop", "-t", "0", name)
    assert berth.status(name) == "exited"
    count = len(times(berth, name))
    time.sleep(0.5)
    assert len(times(berth, name)) == count and berth.status(name) == "exited"


def test_the_wait_doubles(berth):
    """F42: 100 ms, 200, 400, 800 …; the way to a minute is in the unit tests. Asserted by the times of the runs."""
    name = berth.detached("--restart", "always", "test", "sh", "-c", "echo run; exit 1")
    wait_for(lambda: len(times(berth, name)) >= 5, "five runs")
    found = times(berth, name)[:5]
    gaps = [(later - earlier) / 1e6 for earlier, later in zip(found, found[1:])]
    for gap, wanted in zip(gaps, (100, 200, 400, 800)):
        assert wanted <= gap < wanted + 700, gaps  # a run itself and a busy machine take their time too


def test_a_container_between_two_runs(berth):
    """It is `restarting`; stop and rm -f end it at once, exec and attach are refused."""
    name = berth.detached("--restart", "always", "test", "sh", "-c", "exit 3")
    wait_for(lambda: berth.inspect(name, "RestartCount") >= 4 and berth.status(name) == "restarting", "a longer wait")
    assert "Restarting (3)" in berth.ok("ps", "--format", "{{.Status}}").out
    assert berth.call("exec", name, "true").code == 1
    start = time.monotonic()
    berth.ok("stop", name)
    assert time.monotonic() - start < 5
    state = ended(berth, name)
    assert state["ExitCode"] == 3
    again = berth.detached("--restart", "always", "test", "sh", "-c", "exit 3")
    wait_for(lambda: berth.status(again) == "restarting", "a wait")
    berth.ok("rm", "-f", again)
    berth.assert_clean(again)


def test_an_end_that_was_asked_for_is_final(berth):
    for words in (["stop", "-t", "0"], ["kill"], ["kill", "-s", "TERM"]):
        name = berth.detached("--restart", "always", "test", "sh", "-c", "trap 'exit 4' TERM; echo run; while :; do sleep 0.02; done")
        berth.wait_log(name, "run")
        berth.ok(*words, name)
        state = ended(berth, name)
        assert state["ExitCode"] in (4, 137), words
        assert len(times(berth, name)) == 1
    # Another signal is the program's own business.
    name = berth.detached("--restart", "always", "test", "sh", "-c", "trap 'exit 4' USR1; echo run; while :; do sleep 0.02; done")
    berth.wait_log(name, "run")
    berth.ok("kill", "-s", "USR1", name)
    wait_for(lambda: len(times(berth, name)) >= 2, "the second run")


def test_restart_and_rm_exclude_each_other(berth):
    berth.call("run", "--rm", "--restart", "always", "--network", "none", "test", "true").fails(125, "restart")
    for policy in ("sometimes", "on-failure:x", "always:3", "on-failure:-1"):
        berth.call("create", "--restart", policy, "--network", "none", "test", "true").fails(125, "restart|invalid")


def test_the_restart_command(berth):
    name = berth.detached("test", "sh", "-c", "trap 'echo bye; exit 0' TERM; echo hello; while :; do sleep 0.02; done")
    berth.wait_log(name, "hello")
    first = berth.pid(name)
    assert berth.ok("restart", name).text == name
    wait_for(lambda: berth.logs(name) == "hello\nbye\nhello\n", berth.logs(name))
    assert berth.pid(name) not in (0, first)
    berth.ok("stop", name)
    berth.ok("restart", "-t", "0", name)
    assert berth.status(name) == "running"
    berth.call("restart", "nobody").fails(1, "no such container")


def test_restarts_while_a_client_is_attached(berth):
    """The foreground command ends with the first run; the container goes on by its policy."""
    result = berth.call("run", "--name", "twice", "--restart", "on-failure:1", "--network", "none", "test", "sh", "-c", "echo run; exit 6")
    assert (result.code, result.out) == (6, "run\n")
    ended(berth, "twice")
    assert len(times(berth, "twice")) == 2


# PID 1 (F33)


def test_a_first_process_that_ignores_the_stop(berth):
    name = berth.detached("test", "sh", "-c", "trap '' TERM INT HUP; echo ready; while :; do sleep 0.02; done")
    berth.wait_log(name, "ready")
    start = time.monotonic()
    berth.ok("stop", "-t", "1", name)
    assert 0.9 < time.monotonic() - start < 6
    assert berth.inspect(name, "State.ExitCode") == 137


def test_a_first_process_that_leaves_children(berth):
    """They end with it, and hold neither the end nor the command."""
    start = time.monotonic()
    result = berth.sh("(trap '' TERM HUP; sleep 1000) & (setsid sleep 1000 &) ; echo parent; exit 3")
    assert (result.code, result.out) == (3, "parent\n") and time.monotonic() - start < 8
    berth.assert_clean()


def test_orphans_are_reaped_by_an_init(berth):
    name = berth.detached("--init", "test", "sh", "-c", "for i in $(seq 30); do (sleep 0.01 & ) ; done; echo forked; exec sleep 1000")
    berth.wait_log(name, "forked")
    wait_for(lambda: "Z" not in berth.ok("exec", name, "sh", "-c", "cat /proc/[0-9]*/stat 2>/dev/null | cut -d' ' -f3").out, "no zombie")


def test_programs_that_end_at_once(berth):
    """runc 5208: an end in less than a millisecond, again and again: always the code, never stuck."""
    for number in range(1000 if os.environ.get("BERTH_TEST_FULL") else 40):
        assert berth.run("test", "/init", "exit", str(number % 126)).code == number % 126


# Memory (F13)


def memory_controller():
    return os.path.isdir("/sys/fs/cgroup/memory") or "memory" in pathlib.Path("/sys/fs/cgroup/cgroup.controllers").read_text()


EAT = "tail /dev/zero"


def test_memory_that_kills(root_berth):
    """137 and OOMKilled; the supervisor is outside and lives to tell."""
    if not memory_controller():
        pytest.skip("no memory controller")
    name = root_berth.detached("--memory", "16m", "--memory-swap", "16m", "test", "sh", "-c", f"exec {EAT}")
    state = ended(root_berth, name)
    assert (state["ExitCode"], state["OOMKilled"]) == (137, True)


def test_an_exec_that_memory_kills(root_berth):
    """A process that was added eats the limit: it dies with 137, and the container's end says that memory killed in it."""
    if not memory_controller():
        pytest.skip("no memory controller")
    name = root_berth.up("--memory", "16m", "--memory-swap", "16m")
    pid = root_berth.supervisor(root_berth.inspect(name, "Id"))
    group = pathlib.Path(f"/proc/{pid}/cgroup").read_text()
    assert name not in group, "the supervisor is in the container's cgroup"
    assert root_berth.call("exec", name, "sh", "-c", EAT + "; exit $?").code == 137
    assert root_berth.status(name) == "running" and os.path.exists(f"/proc/{pid}")
    root_berth.ok("exec", "-d", name, "sh", "-c", EAT)
    root_berth.ok("stop", "-t", "0", name)
    state = root_berth.inspect(name, "State")
    assert (state["ExitCode"], state["OOMKilled"]) == (137, True)


def test_memory_counts_for_each_run(root_berth):
    """The kill of one run is not told of the next."""
    if not memory_controller():
        pytest.skip("no memory controller")
    name = root_berth.ok("create", "-i", "--memory", "16m", "--memory-swap", "16m", "--network", "none", "test", "sh", "-c", f"read x; [ $x = eat ] && exec {EAT}; exit 3").text
    assert root_berth.call("start", "-ai", name, stdin="eat\n").code == 137
    assert root_berth.inspect(name, "State.OOMKilled") is True
    assert root_berth.call("start", "-ai", name, stdin="no\n").code == 3
    assert root_berth.inspect(name, "State.OOMKilled") is False


# A supervisor that is killed (F11)


@pytest.fixture
def orphan(berth):
    """A running container whose supervisor was killed."""
    name = berth.detached("--name", "orphan", "test", "sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.02; done")
    berth.wait_log(name, "ready")
    pid = berth.supervisor(name)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"), "the supervisor's end")
    return name


def test_an_orphan_is_seen_as_it_is(berth, orphan):
    assert berth.status("orphan") == "running"
    assert "Up " in berth.ok("ps", "--format", "{{.Status}}").text and "supervisor lost" in berth.ok("ps").out
    assert berth.logs("orphan") == "ready\n"
    assert berth.ok("logs", "-f", "orphan", timeout=5).out == "ready\n"
    assert berth.ok("exec", "orphan", "echo", "in").out == "in\n"
    berth.ok("exec", "-d", "orphan", "touch", "/tmp/x")
    assert berth.ok("top", "orphan").lines[1:]
    berth.call("attach", "orphan", timeout=5).fails(1, "supervisor|stopped")
    assert berth.ok("start", "orphan").text == "orphan"


@pytest.mark.parametrize("how", [["stop", "-t", "2"], ["kill"], ["kill", "-s", "TERM"]], ids=" ".join)
def test_an_orphans_end_is_unknown(berth, orphan, how):
    """Not 0, not made up: its parent alone could have known."""
    berth.ok(*how, "orphan")
    state = ended(berth, "orphan")
    assert state["ExitCode"] == -1 and "supervisor was killed" in state["Error"]
    assert "Exited (unknown)" in berth.ok("ps", "-a").out
    assert berth.ok("wait", "orphan").text == "-1"
    berth.ok("start", "orphan")
    assert berth.status("orphan") == "running" and berth.supervisor(orphan)
    berth.ok("rm", "-f", "orphan")
    berth.assert_clean(orphan)


def test_an_orphan_is_removed(berth, orphan):
    assert berth.call("rm", "orphan").code == 1
    berth.ok("rm", "-f", "orphan")
    berth.assert_clean(orphan)


def test_an_orphan_that_is_removed_automatically(berth):
    """--rm was its supervisor's promise; the next command that looks keeps it or `rm` can."""
    name = berth.detached("--rm", "test", "sleep", "1000")
    os.kill(berth.supervisor(name), signal.SIGKILL)
    wait_for(lambda: "supervisor lost" in berth.ok("ps").out, "the loss to be seen")
    berth.ok("rm", "-f", name)
    berth.assert_clean(name)


def test_supervisors_killed_while_they_restart(berth):
    """Between two runs there is nothing left to lose but the policy: it is told as exited, with the code of its last run."""
    name = berth.detached("--restart", "always", "test", "sh", "-c", "exit 3")
    wait_for(lambda: berth.inspect(name, "RestartCount") >= 3 and berth.status(name) == "restarting", "a wait")
    os.kill(berth.supervisor(name), signal.SIGKILL)
    state = ended(berth, name)
    assert state["ExitCode"] == 3
    berth.ok("start", name)
    wait_for(lambda: berth.inspect(name, "RestartCount") >= 1, "the policy to work again")


# The protocol (F46)


def connect(berth, name):
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.settimeout(10)
    # The path may be longer than a socket's address: by way of its directory.
    directory = os.open(berth.run_root / "containers" / name, os.O_PATH)
    connection.connect(f"/proc/self/fd/{directory}/control.sock")
    os.close(directory)
    return connection


def frame(kind, sequence, payload=b"", version=1):
    return struct.pack("<HHI", version, kind, sequence) + payload


def parts(message):
    return struct.unpack("<HHI", message[:8])


QUERY, DONE, REFUSED, PHASE = 9, 64, 65, 70


def test_the_protocol_is_versioned(berth):
    """A supervisor outlives upgrades: it answers its own version, and refuses another in words, with its own number."""
    name = berth.up()
    with connect(berth, name) as connection:
        connection.send(frame(QUERY, 1))
        assert [parts(connection.recv(65536))[1] for _ in range(2)] == [PHASE, DONE]
        connection.send(frame(99, 2))
        message = connection.recv(65536)
        assert parts(message) == (1, REFUSED, 2) and b"unknown request 99" in message
        connection.send(frame(QUERY, 3))
        assert [parts(connection.recv(65536))[1] for _ in range(2)] == [PHASE, DONE]
        connection.send(frame(QUERY, 4, version=2))
        message = connection.recv(65536)
        assert parts(message)[1] == REFUSED and b"version 2, this build speaks 1" in message
        assert connection.recv(65536) == b""
    assert berth.status(name) == "running"


MESSAGES = [
    b"", b"x", b"\0" * 7, frame(QUERY, 7), frame(2, 1, b"\x07"), frame(4, 1), frame(5, 1, b"\xff\xff\xff\x7f"), frame(13, 1),
    hashlib.sha512(b"noise").digest() * 60, b"\1\0" * 40000,
]  # fmt: skip


@pytest.mark.parametrize("message", MESSAGES, ids=range(len(MESSAGES)))
def test_messages_that_are_none(berth, message):
    name = berth.up()
    with connect(berth, name) as connection:
        try:
            connection.send(message)
            connection.recv(65536)
        except OSError:
            pass
    with connect(berth, name) as connection:
        connection.send(frame(QUERY, 1))
        assert parts(connection.recv(65536))[1] == PHASE
    berth.ok("exec", name, "true")


def test_another_user_cannot_ask(root_berth, suite):
    if suite.user is None:
        pytest.skip("no ordinary user")
    name = root_berth.up()
    path = root_berth.run_root / "containers" / name / "control.sock"
    assert path.stat().st_mode & 0o777 == 0o600
    code = (
        f"import os, socket; os.chdir({str(path.parent)!r}); "
        "s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.connect('control.sock')")
    done = subprocess.run(["/usr/bin/python3", "-c", code], user=suite.user.uid, group=suite.user.gid, extra_groups=[], capture_output=True, text=True, check=False)
    assert done.returncode and "PermissionError" in done.stderr
