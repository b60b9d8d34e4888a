"""At a terminal: raw mode and its end, detach keys, sizes, clients and supervisors that die."""

import os
import signal
import time

import pytest

from host import wait_for
from terminal import Terminal

DETACH = b"\x10\x11"  # ctrl-p ctrl-q
ECHO = "while read x; do echo got-$x; done"


def wait_raw(terminal):
    wait_for(lambda: terminal.is_raw, "the terminal to be raw")


def test_a_shell(berth):
    with Terminal(berth, "run", "--rm", "-it", "--network", "none", "test", "sh") as terminal:
        terminal.expect(r"# ")
        terminal.type("tty; echo $((6*7))\r")
        terminal.expect(r"/dev/pts/0\r\n42\r\n")
        terminal.type("exit 9\r")
        assert terminal.wait() == 9
        terminal.assert_restored()


@pytest.mark.parametrize(
    "keys, typed", [(None, DETACH), ("ctrl-x,x", b"\x18x"), ("a", b"a"), ("ctrl-[,ctrl-]", b"\x1b\x1d"), ("q,q,ctrl-@", b"qq\0")]
)
def test_detach_keys(berth, keys, typed):
    """The command ends, the container does not, the terminal is as it was; it can be attached to again."""
    flags = ["--detach-keys", keys] if keys else []
    with Terminal(berth, "run", "-it", "--name", "left", *flags, "--network", "none", "test", "sh", "-c", "echo ready; " + ECHO) as terminal:
        terminal.expect("ready\r\n")
        wait_raw(terminal)
        terminal.type(typed)
        assert terminal.wait() == 0
        terminal.assert_restored()
    assert berth.status("left") == "running"
    with Terminal(berth, "attach", *flags, "left") as terminal:
        wait_raw(terminal)
        terminal.type("more\r")
        terminal.expect("got-more\r\n")
        terminal.type(typed)
        assert terminal.wait() == 0
        terminal.assert_restored()
    assert berth.status("left") == "running"


def test_keys_that_only_begin_the_sequence_are_passed_on(berth):
    with Terminal(berth, "run", "--rm", "-it", "--detach-keys", "x,y", "--network", "none", "test", "sh", "-c", "stty -echo; echo ready; " + ECHO) as terminal:
        terminal.expect("ready\r\n")
        wait_raw(terminal)
        terminal.type("ax")
        terminal.type("xb\r")
        terminal.expect("got-axxb\r\n")
        terminal.type(b"\x04")
        assert terminal.wait() == 0


def test_the_sequence_may_come_in_pieces(berth):
    with Terminal(berth, "run", "-it", "--name", "left", "--network", "none", "test", "sh", "-c", "echo ready; " + ECHO) as terminal:
        terminal.expect("ready\r\n")
        wait_raw(terminal)
        terminal.type(b"\x10")
        time.sleep(0.05)
        assert terminal.process.poll() is None
        terminal.type(b"\x11")
        assert terminal.wait() == 0
    assert berth.status("left") == "running"


def test_input_that_is_no_terminal(berth):
    berth.call("run", "-it", "--network", "none", "test", "true", stdin="x").fails(1, "not a TTY")
    name = berth.detached("-it", "test", "sh")
    berth.call("attach", name, stdin="x").fails(1, "not a TTY")
    berth.call("exec", "-it", name, "true", stdin="x").fails(1, "not a TTY")


# Sizes


def test_the_size_follows_the_window(berth):
    """At the start, and at each SIGWINCH; the program inside gets a SIGWINCH of its own."""
    script = "stty size; trap 'stty size' WINCH; echo ready; while :; do sleep 0.02; done"
    with Terminal(berth, "run", "--rm", "-it", "--network", "none", "test", "sh", "-c", script, size=(33, 101)) as terminal:
        terminal.expect("33 101\r\n")
        terminal.expect("ready\r\n")
        for rows, columns in ((50, 132), (3, 7), (999, 400)):
            terminal.resize(rows, columns)
            terminal.expect(f"{rows} {columns}\r\n")
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.wait() == 128 + signal.SIGTERM
        terminal.assert_restored()


def test_attach_brings_its_own_size(berth):
    name = berth.detached("-it", "test", "sh", "-c", "trap 'stty size' WINCH; while :; do sleep 0.02; done")
    for size in ((20, 70), (30, 90)):
        with Terminal(berth, "attach", name, size=size) as terminal:
            terminal.expect("{} {}\r\n".format(*size))
            wait_raw(terminal)
            terminal.type(DETACH)
            assert terminal.wait() == 0


def test_thousands_of_sizes(berth):
    """S88: a window that is dragged about, with nobody reading: memory and descriptors of the supervisor stay."""
    with Terminal(berth, "run", "-it", "--name", "sized", "--network", "none", "test", "sh", "-c", "echo ready; " + ECHO) as terminal:
        terminal.expect("ready\r\n")
        pid = berth.supervisor(berth.inspect("sized", "Id"))
        before = len(os.listdir(f"/proc/{pid}/fd"))
        for number in range(5000):
            terminal.resize(10 + number % 50, 20 + number % 100)
        terminal.resize(41, 141)
        wait_for(lambda: berth.ok("exec", "sized", "sh", "-c", "stty size </proc/1/fd/0").text == "41 141", "the last size")
        assert len(os.listdir(f"/proc/{pid}/fd")) == before
        terminal.type("x\r")
        terminal.expect("got-x\r\n")


# Ends


def test_terminate_restores_the_terminal(berth):
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        name = f"left{number}"
        with Terminal(berth, "run", "-it", "--name", name, "--network", "none", "test", "sh", "-c", "echo ready; " + ECHO) as terminal:
            terminal.expect("ready\r\n")
            wait_raw(terminal)
            terminal.process.send_signal(number)
            assert terminal.wait() == 128 + number
            terminal.assert_restored()
        assert berth.status(name) == "running"


def test_a_client_that_is_killed(berth):
    """Nobody can restore the terminal then; the container runs on and takes the next client."""
    with Terminal(berth, "run", "-it", "--name", "left", "--network", "none", "test", "sh", "-c", "echo ready; " + ECHO) as terminal:
        terminal.expect("ready\r\n")
        wait_raw(terminal)
        terminal.process.kill()
        terminal.process.wait()
    with Terminal(berth, "attach", "left") as terminal:
        wait_raw(terminal)
        terminal.type("more\r")
        terminal.expect("got-more\r\n")
        terminal.type(DETACH)
        assert terminal.wait() == 0
    assert berth.status("left") == "running"


def test_the_window_is_closed(berth):
    """The terminal hangs up: the client ends, the container does not."""
    terminal = Terminal(berth, "run", "-it", "--name", "left", "--network", "none", "test", "sh", "-c", "echo ready; " + ECHO)
    terminal.expect("ready\r\n")
    wait_raw(terminal)
    os.close(terminal.slave)
    os.close(terminal.master)
    assert terminal.process.wait(10) != 0
    assert berth.status("left") == "running"


def test_the_supervisor_is_killed(berth):
    """The terminal is restored and the error says what happened; the hang-up ends the program inside."""
    with Terminal(berth, "run", "-it", "--name", "orphan", "--network", "none", "test", "sh", "-c", "echo ready; " + ECHO) as terminal:
        terminal.expect("ready\r\n")
        wait_raw(terminal)
        os.kill(berth.supervisor(berth.inspect("orphan", "Id")), signal.SIGKILL)
        assert terminal.wait() == 125
        assert b"was killed; its exit code is unknown" in terminal.seen
        terminal.assert_restored()


def test_the_program_ends_the_terminal_first(berth):
    """A program that closes its terminal and goes on: the end is the program's, not the terminal's."""
    with Terminal(berth, "run", "--rm", "-it", "--network", "none", "test", "sh", "-c", "echo closing; exec 0<&- 1>&- 2>&-; sleep 0.7; exit 6") as terminal:
        terminal.expect("closing")
        assert terminal.wait() == 6
        terminal.assert_restored()


def test_two_terminals(berth):
    name = berth.detached("-it", "test", "sh", "-c", "stty -echo; echo ready; " + ECHO)
    berth.wait_log(name, "ready")
    with Terminal(berth, "attach", name) as one, Terminal(berth, "attach", name) as two:
        wait_raw(one), wait_raw(two)
        # The second may be attached only a moment after its terminal is raw.
        wait_for(lambda: answered(two, "two"), "the second terminal's own line")
        one.type("one\r")
        for terminal in (one, two):
            terminal.expect("got-one\r\n")
        two.type(DETACH)
        assert two.wait() == 0
        one.type("still\r")
        one.expect("got-still\r\n")
        berth.ok("kill", name)
        assert one.wait() == 137
        one.assert_restored()


def answered(terminal, word):
    terminal.type(word + "\r")
    try:
        return terminal.expect(f"got-{word}\r\n", 1)
    except AssertionError:
        return None


def test_stopped_and_continued(berth):
    """ctrl-Z belongs to the container; a SIGTSTP from outside gives the shell its terminal back, SIGCONT takes it up again."""
    with Terminal(berth, "run", "--rm", "-it", "--network", "none", "test", "sh", "-c", "echo ready; " + ECHO) as terminal:
        terminal.expect("ready\r\n")
        wait_raw(terminal)
        terminal.process.send_signal(signal.SIGTSTP)
        wait_for(lambda: not terminal.is_raw, "the terminal to be given back")
        terminal.process.send_signal(signal.SIGCONT)
        wait_raw(terminal)
        terminal.type("on\r")
        terminal.expect("got-on\r\n")
        terminal.type(b"\x04")
        assert terminal.wait() == 0
        terminal.assert_restored()


def test_start_attached_at_a_terminal(berth):
    name = berth.ok("create", "-it", "--network", "none", "test", "sh", "-c", "echo ready; read x; echo got-$x; exit 3").text
    for word in ("one", "two"):
        with Terminal(berth, "start", "-ai", name, size=(31, 91)) as terminal:
            terminal.expect("ready\r\n")
            terminal.type(word + "\r")
            terminal.expect(f"got-{word}\r\n")
            assert terminal.wait() == 3
            terminal.assert_restored()


# exec


def test_exec_at_a_terminal(berth):
    name = berth.up()
    script = "tty; stty size; trap 'stty size' WINCH; echo ready; until read x; do :; done; echo got-$x; exit 11"
    with Terminal(berth, "exec", "-it", name, "sh", "-c", script, size=(34, 102)) as terminal:
        terminal.expect(r"/dev/pts/\d+\r\n34 102\r\nready\r\n")
        terminal.resize(51, 133)
        terminal.expect("51 133\r\n")
        terminal.type("in\r")
        terminal.expect("got-in\r\n")
        assert terminal.wait() == 11
        terminal.assert_restored()


def test_exec_at_a_terminal_ends_with_the_container(berth):
    name = berth.up()
    with Terminal(berth, "exec", "-it", name, "sh", "-c", "echo ready; sleep 1000") as terminal:
        terminal.expect("ready\r\n")
        berth.ok("kill", name)
        assert terminal.wait() == 137
        terminal.assert_restored()


def test_exec_is_interrupted_by_its_keys(berth):
    """ctrl-C reaches the program in the container, as its terminal's interrupt."""
    name = berth.up()
    with Terminal(berth, "exec", "-it", name, "sh", "-c", "trap 'echo caught; exit 12' INT; echo ready; while :; do sleep 0.02; done") as terminal:
        terminal.expect("ready\r\n")
        wait_raw(terminal)
        terminal.type(b"\x03")
        terminal.expect("caught\r\n")
        assert terminal.wait() == 12
