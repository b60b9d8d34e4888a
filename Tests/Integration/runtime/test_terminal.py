"""Terminals: the console socket, sizes, the controlling terminal, /dev/console, and `run` with a terminal of its own."""

import json
import os
import pty
import socket
import termios

import pytest

from host import Terminal, fields, mount_on

SIZE = {"height": 11, "width": 33}


@pytest.fixture
def tty(ct):
    ct.process["terminal"] = True
    return ct


def attach(ct, *verbs):
    """Runs detached with a console socket and returns the terminal."""
    console = ct.console()
    ct.run_detached(*verbs, flags=["--console-socket", console.path]).check()
    terminal, _ = console.receive()
    ct.closers.append(terminal.close)
    return terminal


def test_the_streams_are_a_terminal(tty):
    terminal = attach(tty, "isatty", "ctty", "pause")
    terminal.read_until("ready")
    assert "0=tty" in terminal.text and "1=tty" in terminal.text and "2=tty" in terminal.text
    line = next(line for line in terminal.text.splitlines() if line.startswith("devtty"))
    got = fields(line)
    assert (got["devtty"], got["sid"], got["foreground"]) == ("ok", "ok", "ok")
    assert got["name"] in ("/dev/pts/0", "/dev/console")


def test_the_size(tty):
    tty.process["consoleSize"] = SIZE
    terminal = attach(tty, "ttysize", "pause")
    assert terminal.read_until(r"(\d+) (\d+)\r\n").groups() == ("11", "33")


def test_the_size_changes(tty):
    terminal = attach(tty, "pause")
    terminal.read_until("ready")
    terminal.resize(44, 55)
    terminal.read_until("signal WINCH")
    assert tty.call("exec", tty.id, "/init", "ttysize").out  # another process has its own streams


def test_the_size_is_ignored_without_a_terminal(ct):
    ct.process["consoleSize"] = SIZE
    assert ct.text("isatty") == "0=no\n1=no\n2=no"


def test_input_and_hangup(tty):
    terminal = attach(tty, "pause ignore")
    terminal.read_until("ready")
    terminal.write("\x03")
    terminal.read_until("signal INT")
    terminal.write("\x1c")
    terminal.read_until("signal QUIT")


def test_output_is_not_lost_when_the_process_ends(tty):
    (tty.rootfs / "text").write_text("0123456789" * 300 + "\n")
    terminal = attach(tty, "cat /text", "echo end")
    terminal.read_until("end")
    assert terminal.text.count("0123456789") == 300


def test_dev_console(tty):
    """S02: /dev/console is the terminal itself, bound: a devpts, nothing else."""
    terminal = attach(tty, "mountinfo", "stat /dev/console", "open rw /dev/console", "echo end")
    terminal.read_until("end")
    console = mount_on(terminal.text.replace("\r", "").split("\x1e")[0], "/dev/console")
    assert console is not None and console.type == "devpts"
    kind, mode, uid, _, _, rdev, _ = [line for line in terminal.text.replace("\r", "").splitlines() if line.startswith("c ")][0].split()
    assert rdev.startswith("136:") and (mode in ("0620", "0600"))


def test_no_console_without_a_terminal(ct):
    assert ct.text("stat /dev/console") == "ENOENT"


def test_the_terminal_belongs_to_the_process(tty):
    tty.process["user"] = {"uid": 1000, "gid": 1000}
    tty.process["capabilities"] = {}
    terminal = attach(tty, "stat /dev/pts/0", "open rw /dev/pts/0", "open rw /dev/tty", "echo end")
    terminal.read_until("end")
    kind, mode, uid, *_ = terminal.text.split()
    assert (kind, uid) == ("c", "1000")
    assert terminal.text.replace("\r", "").count("ok\n") == 2


def test_the_message_is_the_terminals_name(tty):
    """containerd and conmon read it, mostly for their logs."""
    console = tty.console()
    tty.run_detached("pause", flags=["--console-socket", console.path]).check()
    terminal, text = console.receive()
    terminal.close()
    assert text.rstrip("\0").startswith("/dev/p")


def test_create_and_start_with_a_terminal(tty):
    console = tty.console()
    tty.create("ttysize", "pause", flags=["--console-socket", console.path]).check()
    terminal, _ = console.receive()
    tty.closers.append(terminal.close)
    terminal.resize(7, 9)
    tty.start().check()
    terminal.read_until("7 9")


def test_a_terminal_in_its_own_devpts(tty):
    """The terminal is one of the container: no number of the host's is used up."""
    terminal = attach(tty, "ls /dev/pts", "pause")
    terminal.read_until("ready")
    assert os.fstat(terminal.fd).st_dev != os.stat("/dev/pts").st_dev
    assert {"0", "ptmx"} <= set(terminal.text.split())


@pytest.mark.parametrize("command", ["create", "detached"])
def test_a_terminal_needs_a_console_socket(tty, command):
    (tty.create if command == "create" else tty.run_detached)("true").refused("console|terminal|tty")
    tty.assert_clean()


def test_a_console_socket_needs_a_terminal(ct):
    """A caller that passes one waits for a descriptor that would never come."""
    console = ct.console()
    ct.create("true", flags=["--console-socket", console.path]).refused("console|terminal|tty")
    ct.assert_clean()


def test_a_console_socket_that_is_missing(tty):
    tty.create("true", flags=["--console-socket", tty.dir / "nobody.sock"]).refused("nobody.sock|no such file")
    tty.assert_clean()


def test_a_console_socket_that_is_a_file(tty):
    tty.create("true", flags=["--console-socket", tty.file("plain")]).refused()
    tty.assert_clean()


def test_a_console_socket_without_a_listener(tty):
    path = tty.dir / "closed.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    os.chown(path, tty.who.uid, tty.who.gid)
    tty.create("true", flags=["--console-socket", path]).refused("refused|closed.sock")
    tty.assert_clean()
    listener.close()


def own_terminal(ct, *args):
    """Runs a command of the runtime on a pseudo-terminal of ours."""
    master, slave = pty.openpty()
    process = ct.popen(*args, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    os.close(slave)
    terminal = Terminal(master)
    ct.closers.append(terminal.close)
    return process, terminal


def test_run_in_the_foreground(tty):
    """The container gets a terminal of its own, and `run` copies between that and ours."""
    tty.args("isatty", "pause ignore")
    tty.save()
    process, terminal = own_terminal(tty, "run", "--bundle", tty.dir, tty.id)
    terminal.read_until("ready")
    assert "0=tty" in terminal.text
    terminal.write("\x03")
    terminal.read_until("signal INT")
    tty.kill("KILL").check()
    assert process.wait(10) == 137


def test_run_in_the_foreground_takes_our_size(tty):
    master, slave = pty.openpty()
    probe = Terminal(master)
    probe.resize(21, 43)
    tty.args("ttysize", "echo end")
    tty.save()
    process = tty.popen("run", "--bundle", tty.dir, tty.id, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    os.close(slave)
    probe.read_until("end")
    assert "21 43" in probe.text
    assert process.wait(10) == 0
    probe.close()


def test_run_in_the_foreground_leaves_our_terminal_sane(tty):
    tty.args("echo end")
    tty.save()
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    process = tty.popen("run", "--bundle", tty.dir, tty.id, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    assert process.wait(10) == 0
    assert termios.tcgetattr(slave) == before
    os.close(slave)
    os.close(master)


def test_run_without_a_terminal_of_ours(tty):
    """The config wants one and stdin is a pipe: an error, or a terminal that ends at once. No hang."""
    tty.run("true", stdin="")
    tty.destroy()
    tty.assert_clean()


# exec


def test_exec_with_a_terminal(ct):
    ct.up()
    console = ct.console()
    ct.exec_detached("isatty", "ctty", "pause", flags=["--tty", "--console-socket", console.path]).check()
    terminal, _ = console.receive()
    ct.closers.append(terminal.close)
    terminal.read_until("ready")
    assert "0=tty" in terminal.text and "devtty=ok sid=ok foreground=ok" in terminal.text


def test_exec_with_a_terminal_in_the_foreground(ct):
    ct.up()
    process, terminal = own_terminal(ct, "exec", "--tty", ct.id, "/init", "isatty", ";", "exit", "5")
    terminal.read_until("2=tty")
    assert process.wait(10) == 5


def test_exec_detached_with_a_terminal_needs_a_console_socket(ct):
    ct.up()
    ct.exec_detached("true", flags=["--tty"]).refused("console|terminal|tty")


def test_exec_without_a_terminal_in_a_container_with_one(tty):
    attach(tty, "pause").read_until("ready")
    result = tty.exec("isatty")
    assert result.out == "0=no\n1=no\n2=no\n"


def test_exec_size_by_process_file(ct):
    ct.up()
    console = ct.console()
    process = dict(ct.process, terminal=True, consoleSize=SIZE, args=["/init", "ttysize", ";", "pause"])
    path = ct.file("process.json", json.dumps(process))
    ct.call_detached("exec", "--detach", "--process", path, "--console-socket", console.path, ct.id).check()
    terminal, _ = console.receive()
    ct.closers.append(terminal.close)
    assert terminal.read_until(r"(\d+) (\d+)\r\n").groups() == ("11", "33")


def test_nobody_is_left_when_our_side_goes_away(tty):
    """Closing the terminal hangs the container's session up; the runtime itself has no process left."""
    terminal = attach(tty, "pause ignore")
    terminal.read_until("ready")
    assert tty.processes() == [tty.pid]
