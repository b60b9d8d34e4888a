"""exec: codes, streams, flags, and states in which it is refused."""

import os
import pty
import subprocess

import pytest

from host import Terminal, wait_for


@pytest.mark.parametrize("code", [0, 1, 42, 125, 255])
def test_the_commands_exit_code(berth, code):
    berth.up("--name", "box")
    berth.call("exec", "box", "sh", "-c", f"exit {code}").exits(code)


def test_codes_of_what_cannot_run(berth):
    berth.up("--name", "box")
    berth.call("exec", "box", "/nosuch").fails(127, "/nosuch")
    berth.call("exec", "box", "nosuch").fails(127, "nosuch")
    berth.call("exec", "box", "/etc/passwd").fails(126, "permission denied")
    berth.call("exec", "box", "/etc").fails(126, "permission denied|directory")
    berth.call("exec", "box", "sh", "-c", "kill -9 $$").exits(137)
    berth.call("exec", "box", "sh", "-c", "kill -TERM $$; sleep 1").exits(143)


def test_what_it_needs(berth):
    berth.call("exec").fails(1, "requires at least 2 arguments")
    berth.call("exec", "box").fails(1, "requires at least 2 arguments")
    berth.call("exec", "missing", "true").fails(1, "no such container: missing")
    identity = berth.ok("create", "--name", "idle", "--network", "none", "test", "true").text
    berth.call("exec", "idle", "true").fails(1, f"container {identity} is not running")
    berth.call("start", "-a", "idle")
    berth.call("exec", "idle", "true").fails(1, "is not running")


def test_streams(berth):
    berth.up("--name", "box")
    result = berth.ok("container", "exec", "box", "sh", "-c", "echo out; echo err >&2")
    assert (result.out, result.err) == ("out\n", "err\n")
    assert berth.ok("exec", "-i", "box", "cat", stdin="in\n").out == "in\n"
    # without -i there is nothing to read
    assert berth.ok("exec", "box", "cat", stdin="in\n").out == ""


def test_binary_streams(berth):
    berth.up("--name", "box")
    data = bytes(range(256)) * 4096
    assert berth.ok("exec", "-i", "box", "cat", stdin=data).bytes == data


def test_environment(berth, place):
    berth.up("--name", "box", "-e", "FROM_RUN=1", "-e", "BOTH=run")
    (place / "env").write_text("FILE=f\n# no\nPASSED\n")
    out = berth.ok("exec", "-e", "A=1", "-eB=2", "--env", "BOTH=exec", "--env-file", place / "env", "-e", "HOSTS", "box", "env",
                   env={"PASSED": "p", "HOSTS": "h", "SECRET": "s"}).lines  # fmt: skip
    assert set(out) >= {"A=1", "B=2", "BOTH=exec", "FROM_RUN=1", "FILE=f", "PASSED=p", "HOSTS=h", "HOME=/root"}
    assert not [line for line in out if line.startswith(("SECRET", "BERTH", "XDG"))]
    berth.call("exec", "-e", "=x", "box", "env").fails(125, "invalid environment")


def test_directory(berth):
    berth.up("--name", "box", "-w", "/tmp")
    assert berth.ok("exec", "box", "pwd").text == "/tmp"
    assert berth.ok("exec", "-w", "/etc", "box", "pwd").text == "/etc"
    berth.call("exec", "-w", "/nosuch", "box", "pwd").fails(126, "/nosuch")


def test_user(berth):
    berth.up("--name", "box")
    assert berth.ok("exec", "-u", "app", "box", "id", "-u").text == "1000"
    assert berth.ok("exec", "-u", "1005:63", "box", "sh", "-c", "id -u; id -g").lines == ["1005", "63"]
    assert berth.ok("exec", "--user=app", "box", "sh", "-c", "echo $HOME; id -G").lines == ["/home/app", "1000 10 63"]
    assert berth.call("exec", "-u", "nobodyknows", "box", "id").fails(126, "nobodyknows")


def test_privileged(root_berth):
    root_berth.up("--name", "box")
    plain = root_berth.ok("exec", "box", "grep", "CapEff", "/proc/self/status").text.split()[1]
    full = root_berth.ok("exec", "--privileged", "box", "grep", "CapEff", "/proc/self/status").text.split()[1]
    assert int(full, 16) & int(plain, 16) == int(plain, 16) and int(full, 16) > int(plain, 16)


def test_detached(berth):
    berth.up("--name", "box")
    result = berth.ok("exec", "-d", "box", "sh", "-c", "sleep 0.1; echo done > /marker; sleep 1000")
    assert result.out == "" and result.err == ""
    wait_for(lambda: berth.call("exec", "box", "cat", "/marker").out == "done\n", "the detached command's file")
    berth.call("exec", "-d", "box", "/nosuch").fails(127, "/nosuch")


def test_terminal(berth):
    berth.up("--name", "box")
    master, slave = pty.openpty()
    terminal = Terminal(master)
    terminal.resize(33, 101)
    process = berth.popen("exec", "-it", "box", "sh", "-c", "tty; stty size; read line; echo got $line", stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    try:
        terminal.read_until(r"/dev/pts/\d+")
        terminal.read_until("33 101")
        terminal.write("words\n")
        terminal.read_until("got words")
        assert process.wait(10) == 0
    finally:
        process.kill()
        terminal.close()


def test_a_terminal_that_is_none(berth):
    berth.up("--name", "box")
    berth.call("exec", "-it", "box", "true").fails(1, "the input device is not a TTY")
    # -t alone makes a terminal inside
    assert berth.ok("exec", "-t", "box", "sh", "-c", "test -t 1 && echo terminal").out == "terminal\r\n"


def test_the_end_of_the_container_ends_it(berth):
    berth.up("--name", "box")
    process = berth.popen("exec", "box", "sh", "-c", "echo ready; sleep 1000", stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    berth.ok("kill", "box")
    assert process.wait(10) == 137
    process.stdout.close()


def test_it_joins_all_namespaces(berth):
    berth.up("--name", "box", "--hostname", "inside")
    names = "for n in mnt pid ipc uts net; do readlink /proc/self/ns/$n; done"
    first = berth.ok("exec", "box", "sh", "-c", "for n in mnt pid ipc uts net; do readlink /proc/1/ns/$n; done").lines
    assert berth.ok("exec", "box", "sh", "-c", names).lines == first
    assert berth.ok("exec", "box", "hostname").text == "inside"


def test_flags_after_the_container_are_the_commands(berth):
    berth.up("--name", "box")
    assert berth.ok("exec", "box", "echo", "-e", "--rm", "-it").text == "--rm -it"
    assert berth.ok("exec", "--", "box", "echo", "x").text == "x"


def test_many_short_ones(berth):
    """F33: a command that ends at once is never lost, nor is its output."""
    count = 1000 if os.environ.get("BERTH_TEST_FULL") else 100
    berth.up("--name", "box")
    for number in range(count):
        result = berth.call("exec", "box", "sh", "-c", f"echo {number}; exit {number % 7}")
        assert (result.code, result.text) == (number % 7, str(number))
    processes = berth.ok("top", "box", "-o", "stat,comm").lines[1:]
    assert len(processes) == 1, processes
