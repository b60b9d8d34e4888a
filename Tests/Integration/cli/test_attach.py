"""Attached commands without a terminal: pipes and files in and out, signals, several clients, clients and supervisors that die."""

import ctypes
import hashlib
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest

from host import wait_for

PIDFD_GETFD = 438

TRAPS = "trap 'echo usr1' USR1; trap 'echo term; exit 9' TERM; echo ready; while :; do sleep 0.02; done"


def attach(berth, name, *flags, stdin=subprocess.DEVNULL, **keywords):
    keywords.setdefault("stdout", subprocess.PIPE)
    keywords.setdefault("stderr", subprocess.PIPE)
    return berth.popen("attach", *flags, name, stdin=stdin, **keywords)


def finish(process, code, data=None, timeout=15):
    out, err = process.communicate(data, timeout=timeout)
    assert process.returncode == code, f"exit {process.returncode}, not {code}: {out[-300:]!r} {err!r}"
    return out, err


def descriptors(pid, kind=""):
    """How many the supervisor has of a kind. A closed one may vanish while we look."""
    count = 0
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            count += os.readlink(f"/proc/{pid}/fd/{fd}").startswith(kind)
        except FileNotFoundError:
            pass
    return count


def is_attached(berth, name, count=1):
    """Waits for so many clients: each brings at least two pipes to those of the container itself."""
    document = berth.inspect(name)
    pid = berth.supervisor(document["Id"])
    own = 3 if document["Config"]["OpenStdin"] else 2
    wait_for(lambda: descriptors(pid, "pipe:") >= own + 2 * count, f"{count} attached clients of {name}")


# Streams


def test_streams_stay_apart(berth):
    name = berth.detached("-i", "test", "sh", "-c", "read x; echo out-$x; echo err-$x >&2; exit 5")
    out, err = finish(attach(berth, name, stdin=subprocess.PIPE), 5, b"word\n")
    assert (out, err) == (b"out-word\n", b"err-word\n")


@pytest.mark.parametrize("size", [1, 65536, 65537, 3 << 20])
def test_every_byte_in_and_out(berth, size):
    name = berth.detached("-i", "test", "sh", "-c", f"head -c {size} | tee /dev/stderr")
    data = os.urandom(size)
    out, err = finish(attach(berth, name, stdin=subprocess.PIPE), 0, data, 30)
    assert hashlib.sha256(out).digest() == hashlib.sha256(data).digest()
    assert hashlib.sha256(err).digest() == hashlib.sha256(data).digest()


def test_end_of_input_is_a_half_close(berth):
    """The container sees the end of its input; what it writes afterwards still comes."""
    name = berth.ok("create", "-i", "--network", "none", "test", "sh", "-c", "cat; sleep 0.3; echo; echo after; exit 3").text
    result = berth.call("start", "-ai", name, stdin=b"before")
    assert (result.code, result.bytes) == (3, b"before\nafter\n")


def test_input_that_is_kept_open_outlives_its_clients(berth):
    """Without StdinOnce (`run -d -i`) the end of one client's input is not the end of the container's."""
    name = berth.detached("-i", "test", "sh", "-c", "while read x; do echo got-$x; [ $x = last ] && exit 4; done; exit 1")
    first = attach(berth, name, stdin=subprocess.PIPE)
    first.stdin.write(b"one\n")
    first.stdin.flush()
    assert first.stdout.readline() == b"got-one\n"
    first.stdin.close()
    second = attach(berth, name, stdin=subprocess.PIPE)
    second.stdin.write(b"last\n")
    second.stdin.flush()
    assert second.stdout.readline() == b"got-last\n"
    for process in (first, second):
        assert process.wait(15) == 4
        process.stdout.close(), process.stderr.close(), process.stdin.close()


def test_a_container_that_closes_its_input(berth):
    """The writer is not held up, and the client stays for the output."""
    name = berth.ok("create", "-i", "--network", "none", "test", "sh", "-c", "exec <&-; sleep 0.5; echo done").text
    result = berth.call("start", "-ai", name, stdin=b"x" * (4 << 20))
    assert (result.code, result.out) == (0, "done\n")


def test_input_from_a_file_and_output_to_files(berth, place):
    """Regular files: read to the end, and written in append mode where the shell said >>."""
    data = os.urandom(300_000)
    (place / "in").write_bytes(data)
    (place / "out").write_bytes(b"kept\n")
    with open(place / "in", "rb") as source, open(place / "out", "ab") as out, open(place / "err", "wb") as err:
        process = berth.popen(
            "run", "--rm", "-i", "--network", "none", "test", "sh", "-c", "tee /dev/stderr", stdin=source, stdout=out, stderr=err)
        assert process.wait(15) == 0
    assert (place / "out").read_bytes() == b"kept\n" + data
    assert (place / "err").read_bytes() == data


def test_output_and_error_to_one_file(berth, place):
    """`>log 2>&1` with one offset for both: nothing is overwritten."""
    with open(place / "log", "wb") as log:
        process = berth.popen(
            "run", "--rm", "--network", "none", "test", "sh", "-c", "for i in $(seq 500); do echo out; echo err >&2; done",
            stdout=log, stderr=log)  # fmt: skip
        assert process.wait(20) == 0
    lines = (place / "log").read_text().splitlines()
    assert sorted(lines) == ["err"] * 500 + ["out"] * 500


def test_output_to_dev_null_and_to_nothing(berth):
    quiet = berth.popen("run", "--rm", "--network", "none", "test", "sh", "-c", "yes | head -c 1000000; exit 6", stdout=subprocess.DEVNULL)
    assert quiet.wait(15) == 6
    closed = berth.popen(
        "run", "--rm", "-i", "--network", "none", "test", "sh", "-c", "echo x; exit 7", wrap=["sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-'])
    assert closed.wait(15) == 7


def test_nobody_reads_the_clients_output(berth):
    """EPIPE ends the client as SIGPIPE would, at once; the container and its log go on."""
    process = berth.popen("run", "--name", "chatty", "--network", "none", "test", "sh", "-c", "while :; do echo line; sleep 0.01; done",
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == b"line\n"
    process.stdout.close()
    assert process.wait(10) == 128 + signal.SIGPIPE
    process.stderr.close()
    before = len(berth.logs("chatty"))
    wait_for(lambda: len(berth.logs("chatty")) > before + 20, "the log to grow")
    assert berth.status("chatty") == "running"


# Several clients


def test_two_clients_see_the_same(berth):
    name = berth.detached("-i", "test", "sh", "-c", "read x; seq 20000; echo end >&2")
    clients = [attach(berth, name, "--no-stdin"), attach(berth, name, stdin=subprocess.PIPE)]
    is_attached(berth, name, 2)
    clients[1].stdin.write(b"go\n")
    clients[1].stdin.flush()
    wanted = "".join(f"{n}\n" for n in range(1, 20001)).encode()
    for client in clients:
        assert finish(client, 0) == (wanted, b"end\n")


def test_a_client_that_dies_leaves_the_other(berth):
    name = berth.detached("-i", "test", "sh", "-c", "read x; while read y; do echo $y; done")
    lost, kept = attach(berth, name, "--no-stdin"), attach(berth, name, stdin=subprocess.PIPE)
    is_attached(berth, name, 2)
    lost.kill()
    lost.communicate()
    for word in (b"go\n", b"one\n", b"two\n"):
        kept.stdin.write(word)
        kept.stdin.flush()
    assert [kept.stdout.readline() for _ in range(2)] == [b"one\n", b"two\n"]
    berth.ok("kill", name)
    finish(kept, 137)


def test_a_stuck_client_gets_everything_in_the_end(berth):
    """A client that is stopped holds the container back, not its supervisor; when it goes on nothing is missing."""
    name = berth.detached("-i", "test", "sh", "-c", "read x; head -c 2000000 /dev/zero; echo end >&2")
    client = attach(berth, name, stdin=subprocess.PIPE)
    is_attached(berth, name)
    client.send_signal(signal.SIGSTOP)
    client.stdin.write(b"go\n")
    client.stdin.flush()
    assert berth.status(name) == "running"
    assert berth.ok("exec", name, "echo", "answers").out == "answers\n"
    client.send_signal(signal.SIGCONT)
    out, err = finish(client, 0)
    assert out == b"\0" * 2_000_000 and err == b"end\n"


# What cannot be attached to


def test_attach_to_what_does_not_run(berth):
    berth.call("attach", "nobody").fails(1, "no such container")
    name = berth.ok("create", "--network", "none", "test", "true").text
    berth.call("attach", name).fails(1, "cannot attach to a stopped container")
    running = berth.up()
    if berth.call("pause", running).code == 0:
        berth.call("attach", running).fails(1, "cannot attach to a paused container")
        berth.ok("unpause", running)


@pytest.mark.parametrize("keys", ["ctrl-1", "ctrl-", "ab", "ctrl-p,,q", "f1"])
def test_detach_keys_that_are_none(berth, keys):
    """Told before anything is made or started."""
    for words in (["run", "--network", "none", "test", "true"], ["attach", "x"], ["start", "-a", "x"], ["exec", "x", "true"]):
        verb, *rest = words
        result = berth.call(verb, "--detach-keys", keys, *rest)
        assert result.code == 125 and "detach-keys" in result.err, result
    assert berth.call("ps", "-aq").lines == []


# run -a


def test_run_attaches_what_it_is_told(berth):
    script = "read x; echo out-$x; echo err-$x >&2; exit 5"
    result = berth.run("-i", "-a", "stdin", "-a", "stderr", "test", "sh", "-c", script, stdin="word\n").exits(5)
    assert (result.out, result.err) == ("", "err-word\n")
    result = berth.run("-a", "STDOUT", "test", "sh", "-c", "echo out; echo err >&2").check()
    assert (result.out, result.err) == ("out\n", "")
    result = berth.run("-i", "--attach=stdout", "test", "sh", "-c", "cat; echo out >&2", stdin="seen").check()
    assert (result.out, result.err) == ("seen", "")
    berth.call("run", "-d", "-a", "stdout", "--network", "none", "test", "true").fails(125, "--attach and --detach")
    berth.call("run", "-a", "stdlog", "--network", "none", "test", "true").fails(125, "stdlog")
    assert berth.call("ps", "-aq").lines == []


def test_run_with_input_alone_prints_the_id(berth):
    result = berth.call("run", "-i", "-a", "stdin", "--name", "fed", "--network", "none", "test", "sh", "-c", "cat >/tmp/in; cat /tmp/in", stdin="food\n")
    result.check()
    assert result.text == berth.inspect("fed", "Id")
    assert berth.logs("fed") == "food\n"


def test_start_attached_and_interactive(berth):
    name = berth.ok("create", "-i", "--network", "none", "test", "sh", "-c", "read x; echo out-$x; echo err-$x >&2; exit 7").text
    for word in ("first", "second"):
        result = berth.call("start", "-a", "-i", name, stdin=f"{word}\n").exits(7)
        assert (result.out, result.err) == (f"out-{word}\n", f"err-{word}\n")

def test_attach_with_an_init(berth):
    """Process 1 is the init: it passes signals on, and its program's streams and code are the container's."""
    process = berth.popen("run", "--rm", "--init", "-i", "--network", "none", "test", "sh", "-c", "cat; " + TRAPS,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
    process.stdin.write(b"in\n")
    process.stdin.close()
    assert [process.stdout.readline() for _ in range(2)] == [b"in\n", b"ready\n"]
    process.send_signal(signal.SIGUSR1)
    assert process.stdout.readline() == b"usr1\n"
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == b"term\n"
    assert process.wait(10) == 9
    process.stdout.close()


# Signals


def test_attach_passes_signals_on(berth):
    name = berth.detached("test", "sh", "-c", TRAPS)
    berth.wait_log(name, "ready")
    client = attach(berth, name)
    is_attached(berth, name)
    client.send_signal(signal.SIGUSR1)
    assert client.stdout.readline() == b"usr1\n"
    client.send_signal(signal.SIGTERM)
    assert finish(client, 9)[0] == b"term\n"


def test_attach_without_sig_proxy_ends_alone(berth):
    name = berth.detached("test", "sh", "-c", TRAPS)
    berth.wait_log(name, "ready")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        client = attach(berth, name, "--sig-proxy=false")
        is_attached(berth, name)
        client.send_signal(number)
        client.communicate(timeout=10)
        assert client.returncode in (-number, 128 + number)
    assert berth.status(name) == "running"
    assert berth.logs(name) == "ready\n"


def test_start_attached_passes_signals_on(berth):
    name = berth.ok("create", "--network", "none", "test", "sh", "-c", TRAPS).text
    client = berth.popen("start", "-a", name, stdout=subprocess.PIPE)
    assert client.stdout.readline() == b"ready\n"
    client.send_signal(signal.SIGTERM)
    assert client.communicate(timeout=10)[0] == b"term\n" and client.returncode == 9


# Death of the supervisor


@pytest.mark.parametrize("how", ["run", "attach", "start", "logs", "wait", "stop"])
def test_the_supervisor_is_killed_under_a_client(berth, how):
    """The client ends at once and says what happened; it never hangs, and never makes an exit code up."""
    script = "trap '' TERM; echo ready; while :; do sleep 0.05; done"
    words = ["--name", "orphan", "--network", "none", "test", "sh", "-c", script]
    if how == "start":
        berth.ok("create", *words)
        client = berth.popen("start", "-a", "orphan", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    elif how == "run":
        client = berth.popen("run", *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    else:
        berth.ok("run", "-d", *words)
        berth.wait_log("orphan", "ready")
        more = {"logs": ["-f"], "stop": ["-t", "100"]}.get(how, [])
        pid = berth.supervisor(berth.inspect("orphan", "Id"))
        before = descriptors(pid, "socket:")
        client = berth.popen(how, *more, "orphan", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        wait_for(lambda: descriptors(pid, "socket:") > before, "the client to be connected")
    if how in ("run", "start", "logs"):
        assert client.stdout.readline() == b"ready\n"
    pid = berth.supervisor(berth.inspect("orphan", "Id"))
    os.kill(pid, signal.SIGKILL)
    if how == "wait":
        # It goes on waiting for the process itself, whose end it can see and whose code nobody knows.
        berth.ok("kill", "orphan")
        out, err = client.communicate(timeout=15)
        assert (client.returncode, out) == (0, b"-1\n"), (out, err)
        return
    out, err = client.communicate(timeout=30)
    if how == "logs":
        assert client.returncode in (0, 1), err
    elif how == "stop":
        assert client.returncode in (0, 1), err
    else:
        # Docker's exit code for an engine that fails: 125 from `run`, 1 from `attach`.
        assert client.returncode == (1 if how == "attach" else 125) and b"was killed; its exit code is unknown" in err, (client.returncode, err)


def test_wait_makes_no_exit_code_up(berth):
    """Between the moment a killed supervisor's socket is closed and the one its lock is free, nobody knows anything."""
    name = berth.detached("test", "sleep", "1000")
    identity = berth.inspect(name, "Id")
    pid, lock = berth.supervisor(identity), berth.root / "containers" / identity / "lock"
    number = next(int(fd.name) for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir() if fd.exists() and fd.samefile(lock))
    process = os.pidfd_open(pid)
    try:
        copy = ctypes.CDLL(None).syscall(PIDFD_GETFD, process, number, 0)  # the same open file: it keeps the lock
        if copy < 0:
            pytest.skip("pidfd_getfd is not allowed here")
        try:
            client = berth.popen("wait", name, stdout=subprocess.PIPE)
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(subprocess.TimeoutExpired):
                client.wait(0.3)
        finally:
            os.close(copy)
        berth.ok("kill", name)
        assert client.communicate(timeout=15)[0] == b"-1\n"
    finally:
        os.close(process)


# Leaks (S88)


def test_hundreds_of_attachments_leave_nothing(berth):
    """Clients that come and are killed, that end by themselves, that ask for sizes: descriptors and memory stay."""
    name = berth.detached("-i", "test", "sh", "-c", "while read x; do echo $x; done")
    pid = berth.supervisor(name)
    counts, sizes = [], []
    for round in range(4):
        for _ in range(40 if not os.environ.get("BERTH_TEST_FULL") else 250):
            client = attach(berth, name, stdin=subprocess.PIPE)
            is_attached(berth, name)
            client.kill()
            client.communicate()
        wait_for(lambda: descriptors(pid, "pipe:") == 3, "the last client to be forgotten")
        counts.append(descriptors(pid))
        sizes.append(resident(pid))
    assert len(set(counts)) == 1, counts
    assert sizes[-1] - sizes[0] < 256, sizes
    client = attach(berth, name, stdin=subprocess.PIPE)
    client.stdin.write(b"still here\n")
    client.stdin.flush()
    assert client.stdout.readline() == b"still here\n"
    client.kill()
    client.communicate()


def resident(pid):
    """KiB of memory of its own: what leaks add to."""
    return int(re.search(r"^Private_Dirty:\s+(\d+)", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)[1])


# Rest


def test_a_resting_supervisor_is_small_and_wakes_whole(berth):
    """Half a second after its last event it has given back nearly all its memory, and then does all it did before."""
    name = berth.detached("-i", "--stop-timeout", "5", "test", "sh", "-c", "trap 'echo bye; exit 8' TERM; while read x; do echo $x; done")
    pid = berth.supervisor(name)
    if "berth-runtime" in os.environ.get("BERTH_RUNTIME", "") and "release" in os.environ["BERTH_RUNTIME"]:
        limit = 160
    else:
        limit = 320  # a debug build has more to keep
    wait_for(lambda: resident(pid) < limit, f"less than {limit} KiB: {resident(pid)}", 10)
    for word in (b"one", b"two"):
        client = attach(berth, name, stdin=subprocess.PIPE)
        client.stdin.write(word + b"\n")
        client.stdin.flush()
        assert client.stdout.readline() == word + b"\n"
        client.kill()
        client.communicate()
        time.sleep(0.6)  # rest again: what is kept for that must be true the second time as well
    assert berth.ok("exec", name, "echo", "x").out == "x\n"
    assert berth.logs(name) == "one\ntwo\n"
    started = berth.inspect(name, "State.StartedAt")
    berth.ok("stop", name)
    assert (berth.inspect(name, "State.ExitCode"), berth.inspect(name, "State.StartedAt")) == (8, started)
    assert berth.logs(name) == "one\ntwo\nbye\n"
