"""The log driver passthrough: the container has the streams of who starts it."""

import os
import pathlib
import pty
import subprocess
import time

import pytest

from host import wait_for

PASS = ("--log-driver", "passthrough")


def test_in_the_foreground(berth, place):
    """Not through a pipe of ours: the container writes to the very file."""
    script = "read line; echo out $line; echo err >&2; readlink /proc/self/fd/1; exit 7"
    with open(place / "out", "w+") as out, open(place / "err", "w+") as err:
        process = berth.popen("run", "--rm", "--network", "none", *PASS, "test", "sh", "-c", script, stdin=subprocess.PIPE, stdout=out, stderr=err)
        process.communicate(b"in\n", timeout=20)
        assert process.returncode == 7
    lines = (place / "out").read_text().splitlines()
    assert lines[0] == "out in" and len(lines) == 2 and "pipe" not in lines[1]
    assert (place / "err").read_text() == "err\n"
    assert (place / "out").stat().st_uid == os.geteuid()


def test_in_the_background(berth, place):
    with open(place / "out", "w") as out:
        berth.popen("run", "-d", "--name", "it", "--network", "none", *PASS, "test", "sh", "-c", "echo begun; exec sleep 1000", stdout=out).wait(20)
    wait_for(lambda: (place / "out").read_text() == "begun\n", "its line, and nothing else")
    assert berth.inspect("it", "HostConfig.LogConfig") == {"Type": "passthrough", "Config": {}}
    berth.call("logs", "it").fails(1, "this container is using the 'passthrough' log driver, cannot read logs")
    berth.call("attach", "it").fails(1, "this container is using the 'passthrough' log driver, cannot attach")
    assert berth.ok("exec", "it", "echo", "as ever").text == "as ever"
    assert not list((berth.root / "containers").glob("*/container.log"))


def test_each_start_has_its_own(berth, place):
    berth.ok("create", "--name", "it", "--network", "none", *PASS, "test", "sh", "-c", "cat; echo $((2+2))")
    for word in ("one", "two"):
        out = berth.call("start", "-a", "it", stdin=word + "\n").exits(0)
        assert out.out == f"{word}\n4\n"
    assert berth.ok("start", "-a", "it").out == "4\n"


def test_a_restart_by_policy_keeps_them(berth, place):
    with open(place / "out", "w") as out:
        command = ["run", "-d", "--name", "it", "--network", "none", "--restart", "on-failure:2", *PASS, "test", "sh", "-c", "echo run; exit 1"]
        berth.popen(*command, stdout=out).wait(20)
    wait_for(lambda: (place / "out").read_text() == "run\n" * 3, "three runs")
    berth.wait_status("it", "exited")


def test_nobody_holds_the_pipe_after_the_end(berth):
    """Who reads what a pipe has to its end gets there when the container has ended."""
    assert berth.ok("run", "-d", "--rm", "--network", "none", *PASS, "test", "sh", "-c", "sleep 0.3; echo last").out == "last\n"


def test_another_user_writes_to_its_output_again(berth):
    # A pipe of the user's own.
    wrap = ["sh", "-c", '"$@" | cat', "sh"]
    out = berth.run(*PASS, "-u", "1000", "test", "sh", "-c", "echo again > /dev/stdout", wrap=wrap).check()
    assert out.out == "again\n"


def on_a_terminal(berth, *args):
    """A command with all streams on a terminal: what was shown, how it ended, and the terminal's owner before and after."""
    master, slave = pty.openpty()
    os.fchown(slave, berth.who.uid, berth.who.gid)
    owner = os.fstat(slave).st_uid
    process = berth.popen(*args, stdin=slave, stdout=slave, stderr=slave)
    after = []
    try:
        shown = b""
        os.set_blocking(master, False)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                shown += os.read(master, 4096)
            except BlockingIOError:
                if process.poll() is not None:
                    break
                time.sleep(0.01)
        after.append(os.fstat(slave).st_uid)
    finally:
        os.close(slave)
        os.close(master)
    return shown.decode().replace("\r\n", "\n"), process.wait(5), owner, after[0]


def test_a_terminal_is_not_passed_through(berth):
    shown, code, _, _ = on_a_terminal(berth, "run", "--rm", "--network", "none", *PASS, "test", "echo", "x")
    assert code == 125
    assert "the '--log-driver passthrough' option cannot be used on a TTY.  If you really want it, use '--log-driver passthrough-tty'" in shown
    assert berth.names("-a") == []


def test_a_terminal_by_its_own_name(berth):
    """It stays the caller's, whoever the container's user is."""
    command = ["run", "--rm", "--network", "none", "--log-driver", "passthrough-tty", "-u", "12", "test", "sh", "-c", "test -t 1 && echo a terminal"]
    shown, code, before, after = on_a_terminal(berth, *command)
    assert (shown, code) == ("a terminal\n", 0)
    assert before == after


def test_restart_of_a_running_one_on_a_terminal_is_refused_before_it_stops(berth, place):
    with open(place / "out", "w") as out:
        berth.popen("run", "-d", "--name", "it", "--network", "none", *PASS, "test", "sleep", "1000", stdout=out, stderr=out).wait(20)
    pid = berth.pid("it")
    shown, code, _, _ = on_a_terminal(berth, "restart", "-t", "0", "it")
    assert code == 1 and "cannot be used on a TTY" in shown
    assert berth.pid("it") == pid


@pytest.mark.parametrize(
    "flags, pattern",
    [(["-a", "stdout"], "cannot specify --attach with --log-driver=passthrough"), (["-t"], "cannot specify --tty with --log-driver=passthrough"),
     (["--log-opt", "max-size=1m"], "invalid logging opts for driver passthrough")],
)  # fmt: skip
def test_refused(berth, flags, pattern):
    berth.run(*PASS, *flags, "test", "true").fails(125, pattern)


def test_another_runtime(root_berth, place):
    runc = pathlib.Path("/usr/bin/runc") if pathlib.Path("/usr/bin/runc").exists() else pathlib.Path("/usr/sbin/runc")
    if not runc.exists():
        pytest.skip("no runc")
    assert root_berth.ok("run", "--rm", "--network", "none", "--runtime", runc, *PASS, "test", "echo", "by runc").out == "by runc\n"
