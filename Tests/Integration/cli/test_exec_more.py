"""`exec`: terminals in the background, keys that leave a process running, ids, descriptors, and containers that are not named."""

import concurrent.futures
import os
import re
import signal
import subprocess

import pytest

from berth import stat_field
from host import wait_for
from terminal import Terminal
from test_events import past

FULL = bool(os.environ.get("BERTH_TEST_FULL"))


def ends(berth, name):
    return {event["Actor"]["Attributes"]["execID"]: event["Actor"]["Attributes"]["exitCode"] for event in past(
        berth, "--filter", f"container={name}", "--filter", "event=exec_die")}  # fmt: skip


def test_ids(berth):
    """`inspect` names the processes that live, and events the same ids."""
    name = berth.up()
    assert berth.inspect(name, "ExecIDs") is None
    berth.ok("exec", "-d", name, "sleep", "100")
    process = berth.popen("exec", name, "sh", "-c", "echo up; exec sleep 100", stdout=subprocess.PIPE)
    process.stdout.readline()
    live = berth.inspect(name, "ExecIDs")
    assert len(live) == 2 and all(re.fullmatch("[0-9a-f]{64}", identity) for identity in live)
    told = {event["Actor"]["Attributes"]["execID"] for event in past(berth, "--filter", f"container={name}", "--filter", "event=exec_create")}
    assert told == set(live)
    process.terminate()
    process.wait()
    wait_for(lambda: len(berth.inspect(name, "ExecIDs")) == 1, "one to go")
    berth.ok("kill", name)
    berth.wait_status(name, "exited")
    assert berth.inspect(name, "ExecIDs") is None


def test_a_killed_exec_leaves_no_id(berth):
    name = berth.up()
    process = berth.popen("exec", name, "sh", "-c", "echo up; exec sleep 100", stdout=subprocess.PIPE)
    process.stdout.readline()
    assert len(berth.inspect(name, "ExecIDs")) == 1
    process.kill()
    process.wait()
    assert berth.inspect(name, "ExecIDs") is None


def test_codes_in_the_background(berth):
    """Each ends once, also those that end before anybody knows them."""
    name = berth.up()
    for code in range(20):
        berth.ok("exec", "-d", name, "sh", "-c", f"exit {code}")
    wait_for(lambda: len(ends(berth, name)) == 20, "all ends")
    assert sorted(map(int, ends(berth, name).values())) == list(range(20))
    berth.call("exec", "-d", name, "/nothing").fails(127)
    berth.call("exec", "-d", name, "/etc").fails(126)
    assert berth.inspect(name, "ExecIDs") is None


def test_a_terminal_in_the_background(berth):
    """`-dt`: the process has one, and what it writes stops nobody."""
    name = berth.up()
    script = "tty >/tmp/tty; echo $TERM >>/tmp/tty; head -c 1000000 /dev/zero; echo done >>/tmp/tty; sleep 0.2; exit 4"
    berth.ok("exec", "-dt", name, "sh", "-c", script)
    wait_for(lambda: ends(berth, name), "its end")
    assert list(ends(berth, name).values()) == ["4"]
    assert berth.ok("exec", name, "cat", "/tmp/tty").lines == ["/dev/pts/0", "xterm", "done"]
    berth.call("exec", "-dt", name, "/nothing").fails(127)
    # Nothing is kept of them.
    supervisor = berth.supervisor(berth.inspect(name, "Id"))
    before = len(os.listdir(f"/proc/{supervisor}/fd"))
    for _ in range(20):
        berth.ok("exec", "-dt", name, "true")
    wait_for(lambda: len(os.listdir(f"/proc/{supervisor}/fd")) <= before, "its descriptors to be closed")
    directory = berth.seen(berth.run_root / "containers" / berth.inspect(name, "Id"))
    wait_for(lambda: set(os.listdir(directory)) <= {"control.sock", "execs"} and not os.listdir(f"{directory}/execs"), "its files to go")


def written(pid):
    """Bytes that a process has written so far."""
    with open(f"/proc/{pid}/io") as file:
        return int(re.search(r"wchar: (\d+)", file.read())[1])


def test_left_alone(berth):
    """The keys end the command; the process runs on, and its end is seen."""
    name = berth.up()
    script = "echo ready; read x; echo $x >/tmp/read; while [ ! -e /tmp/flood ]; do echo on; sleep 0.05; done; while :; do echo on; done"
    with Terminal(berth, "exec", "-it", name, "sh", "-c", script) as terminal:
        terminal.expect("ready")
        terminal.type("\x10a\r")
        terminal.expect("on")
        terminal.type("\x10\x11")
        assert terminal.process.wait(10) == 0
    assert berth.ok("exec", name, "cat", "/tmp/read").out == "\x10a\n"
    live = berth.inspect(name, "ExecIDs")
    assert len(live) == 1
    assert [event["Action"] for event in past(berth, "--filter", f"container={name}", "--filter", "event=exec_detach")] == ["exec_detach"]
    pids = [int(line.split()[1]) for line in berth.ok("top", name).lines[1:] if "echo on" in line]
    assert len(pids) == 1
    # It still writes, and nobody is in its way: more than a terminal holds that nobody reads.
    before = written(pids[0])
    berth.ok("exec", name, "touch", "/tmp/flood")
    wait_for(lambda: written(pids[0]) > before + (64 << 10), "more of its output")
    assert berth.inspect(name, "ExecIDs") == live
    berth.ok("exec", name, "sh", "-c", "for p in /proc/[0-9]*; do grep -q 'echo on' $p/cmdline && [ ${p#/proc/} != $$ ] && kill -9 ${p#/proc/}; done; true")
    wait_for(lambda: ends(berth, name).get(live[0]), "its end")
    assert ends(berth, name)[live[0]] == "137"
    assert berth.inspect(name, "ExecIDs") is None


def test_keys_of_ones_own(berth):
    name = berth.up()
    with Terminal(berth, "exec", "-it", "--detach-keys", "a,b", name, "sh", "-c", "echo ready; exec cat") as terminal:
        terminal.expect("ready")
        terminal.type("\x10\x11x")
        terminal.expect("x")
        terminal.type("ab")
        assert terminal.process.wait(10) == 0
    with Terminal(berth, "exec", "-it", "--detach-keys", "a,b", name, "sh", "-c", "echo ready; read x; exit 9") as terminal:
        terminal.expect("ready")
        terminal.type("ac\r")
        assert terminal.process.wait(10) == 9
    berth.call("exec", "-it", "--detach-keys", "ctrl-", name, "true").fails(125)


def test_a_terminal_that_goes_away(berth):
    """Signals reach the process through both; a killed command leaves its terminal at once."""
    name = berth.up()
    with Terminal(berth, "exec", "-it", name, "sh", "-c", "trap 'echo got; exit 7' TERM; echo ready; while :; do sleep 0.02; done") as terminal:
        terminal.expect("ready")
        terminal.process.send_signal(signal.SIGTERM)
        terminal.expect("got")
        assert terminal.process.wait(10) == 7
    with Terminal(berth, "exec", "-it", name, "sh", "-c", "echo ready; exec sleep 1000") as terminal:
        terminal.expect("ready")
        assert len(berth.inspect(name, "ExecIDs")) == 1
        terminal.process.kill()
        terminal.process.wait()
    berth.ok("kill", name)
    berth.wait_status(name, "exited")
    wait_for(lambda: not [pid for pid in berth.processes() if "exec" in cmdline(pid)], "the one that stayed with it")


def cmdline(pid):
    try:
        with open(f"/proc/{pid}/cmdline") as file:
            return file.read().split("\0")
    except OSError:
        return []


def test_descriptors(berth, place):
    name = berth.up()
    path = place / "passed"
    path.write_text("passed\n")
    os.chown(path, berth.who.uid, berth.who.gid)
    script = 'exec 3<"$1" 4>&1; shift; exec "$@"'
    for extra in ((), ("-u", "1000")):
        command = [str(berth.program), "exec", "--preserve-fds", "2", *extra, name, "sh", "-c", "cat <&3 >&4; ls /proc/self/fd | wc -l"]
        process = berth.popen(
            *command[1:], wrap=("sh", "-c", script, "sh", str(path)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )  # fmt: skip
        out, err = process.communicate(timeout=10)
        # 0 to 4, and that of the directory itself.
        assert out.split() == ["passed", "6"], (out, err)
    berth.call("exec", "--preserve-fds", "5", name, "true").fails(1, "descriptor \\d+ is not open")
    berth.call("exec", "-d", "--preserve-fds", "1", name, "true").fails(1, "cannot be used together")


def test_whoever_is_meant(berth, place):
    berth.up("--name", "older")
    berth.up("--name", "newest")
    assert berth.ok("exec", "-l", "hostname").text == berth.inspect("newest", "Config.Hostname")
    path = place / "cid"
    path.write_text(berth.inspect("older", "Id"))
    path.chmod(0o644)
    assert berth.ok("exec", "--cidfile", path, "hostname").text == berth.inspect("older", "Config.Hostname")
    berth.call("exec", "--cidfile", place / "none", "true").fails(1, "container ID file")
    berth.call("exec", "-l").fails(1, "requires at least 1 argument")
    berth.call("exec", "older").fails(1, "requires at least 2 arguments")


def test_codes(berth):
    """Docker's."""
    name = berth.up()
    for words, code, pattern in [
        (("/nothing",), 127, "no such file or directory"), (("nothing",), 127, "executable file not found in \\$PATH"),
        (("/etc",), 126, "is a directory|permission denied"), (("-w", "/none", "true"), 127, "no such file or directory|chdir"),
        (("-u", "nobody-here", "true"), 126, "unable to find user"),
    ]:  # fmt: skip
        flags = [word for word in words if words[0].startswith("-")][:2]
        result = berth.call("exec", *flags, name, *words[len(flags) :])
        assert result.code in (code, 126), (words, result.code, result.err)
        assert re.search(pattern, result.err, re.I), (words, result.err)
    berth.ok("kill", name)
    berth.wait_status(name, "exited")
    berth.call("exec", name, "true").fails(1, "is not running")
    berth.call("exec", "nosuch", "true").fails(1, "no such container")


@pytest.mark.parametrize("flags", [("-i",), ("-it",), ()])
def test_cost_of_a_fork(berth, flags):
    """No process is left beside the one that was asked for."""
    name = berth.up()
    if "-it" in flags:
        with Terminal(berth, "exec", *flags, name, "true") as terminal:
            assert terminal.process.wait(10) == 0
    else:
        berth.ok("exec", *flags, name, "true")
    assert not [pid for pid in berth.processes() if "exec" in cmdline(pid)]


def test_a_megabyte_each_way_again_and_again(berth):
    """Byte-exact, whichever side is ahead, and nothing of it stays: 10,000 times in the full sweep."""
    name = berth.up()
    supervisor, directory = berth.supervisor(name), berth.run_root / "containers" / name / "execs"
    data = os.urandom(1 << 20)

    def once(_):
        done = berth.call("exec", "-i", name, "cat", stdin=data, timeout=60)
        return done.code == 0 and done.bytes == data and not done.error_bytes

    def used():
        return len(os.listdir(f"/proc/{supervisor}/fd")), stat_field(supervisor, 17), int(stat_field(supervisor, 21))

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert all(pool.map(once, range(20)))
        before = used()
        assert all(pool.map(once, range(10_000 if FULL else 100)))
    wait_for(lambda: not os.path.isdir(directory) or not os.listdir(directory), "the files of execs to go")
    after = used()
    assert after[:2] == before[:2] and after[2] <= before[2] + 64, f"descriptors, threads, pages of memory: {before}, then {after}"
    assert len(berth.ok("top", name).lines) == 2, "the container's own process alone"
