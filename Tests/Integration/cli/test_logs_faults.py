"""The log under pressure: floods, readers that are stuck, a full disk, a supervisor that is killed while it writes."""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest

from berth import Berth
from host import wait_for
from test_logs import LINE, files, records

FULL = bool(os.environ.get("BERTH_TEST_FULL"))


def peak(pid):
    return int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1])


def supervisor(berth, name):
    return berth.supervisor(berth.inspect(name, "Id"))


def bytes_of(berth, name):
    """What the log has on disk. A file may be rotated away while we look."""
    total = 0
    for path in files(berth, name):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def whole_lines(berth, name):
    """Reads the files while they grow: every line but the newest file's last must be whole."""
    for path in files(berth, name):
        with contextlib.suppress(FileNotFoundError):
            data = path.read_bytes()
            for line in data.split(b"\n")[:-1]:
                assert LINE.match(line), line[:200]


def test_floods(berth):
    """F29: containers that write as fast as they can: bounded files, bounded memory, no torn line, `ps` answers."""
    limit = 256 << 10
    count, seconds = (10, 60) if FULL else (4, 3)
    names = [
        berth.detached("--log-opt", "max-size=256k", "--log-opt", "max-file=3", "test", "yes", f"flood {number}")
        for number in range(count)
    ]
    pids = [supervisor(berth, name) for name in names]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert all(bytes_of(berth, name) <= 3 * limit for name in names[:3])
        whole_lines(berth, names[0])
        assert len(berth.names()) == count
    assert all(peak(pid) < 32 << 10 for pid in pids)
    berth.ok("kill", *names, timeout=60)
    for number, name in enumerate(names):
        wait_for(lambda: berth.status(name) == "exited", name)
        found = records(berth, name)
        assert found and all(text == f"flood {number}".encode() for _, tag, text in found if tag == "F"), name
        assert bytes_of(berth, name) <= 3 * limit


def test_a_stuck_log_reader_holds_nobody(berth):
    """`logs -f` that is stopped: the container writes on, the log stays bounded."""
    name = berth.detached("--log-opt", "max-size=64k", "--log-opt", "max-file=2", "test", "yes", "x" * 100)
    reader = berth.popen("logs", "-f", name, stdout=subprocess.PIPE)
    reader.stdout.read(1000)
    reader.send_signal(signal.SIGSTOP)
    pid = supervisor(berth, name)

    def written():
        return int(re.search(r"wchar: (\d+)", pathlib.Path(f"/proc/{pid}/io").read_text())[1])

    before = written()
    wait_for(lambda: written() > before + (10 << 20), "ten megabytes more")
    assert bytes_of(berth, name) <= 2 * (64 << 10) and peak(pid) < 32 << 10
    reader.send_signal(signal.SIGCONT)
    berth.ok("kill", name)
    rest = reader.communicate(timeout=20)[0]
    assert set(rest.split(b"\n")[1:-1]) <= {b"x" * 100}, "a reader that fell behind misses lines, it does not see parts of them"


def test_a_stuck_attached_reader_holds_the_container_only(berth):
    """An attached client that does not read holds its container back (docker's way); it costs no memory, and ends with a kill."""
    name = berth.detached("-i", "test", "sh", "-c", "read x; exec yes")
    client = berth.popen("attach", name, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    client.stdin.write(b"go\n")
    client.stdin.flush()
    seen = os.read(client.stdout.fileno(), 100)
    client.send_signal(signal.SIGSTOP)
    pid = supervisor(berth, name)

    def written():
        return int(re.search(r"wchar: (\d+)", pathlib.Path(f"/proc/{pid}/io").read_text())[1])

    def quiet():
        before = written()
        time.sleep(0.2)
        return written() == before

    wait_for(quiet, "the container to be held back")
    assert peak(pid) < 32 << 10
    # Whoever ends the container is not held up by its reader, and the log is whole before the reader goes on.
    follower = berth.popen("logs", "-f", "--tail", "1", name, stdout=subprocess.PIPE)
    assert follower.stdout.readline() == b"y\n"
    start = time.monotonic()
    berth.ok("kill", name)
    assert berth.status(name) == "exited" and time.monotonic() - start < 5
    follower.communicate(timeout=60)  # a debug build takes its time with all these lines
    logged = berth.ok("logs", name, timeout=60).bytes
    client.send_signal(signal.SIGCONT)
    rest = client.communicate(timeout=20)[0]
    assert client.returncode == 137 and len(seen + rest) == len(logged) and set(rest.split(b"\n")) <= {b"y", b""}


def test_a_stuck_attached_reader_does_not_keep_a_container(berth):
    """`rm` of a container that has ended sends its supervisor away, which is there for the reader only."""
    name = berth.detached("-i", "test", "sh", "-c", "read x; exec yes")
    client = berth.popen("attach", name, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    client.stdin.write(b"go\n")
    client.stdin.flush()
    os.read(client.stdout.fileno(), 100)
    client.send_signal(signal.SIGSTOP)
    berth.ok("kill", name)
    berth.ok("rm", name)
    client.kill()
    client.communicate()
    berth.assert_clean(name)


class OnSmallDisk(Berth):
    """berth in a mount namespace of its own, where the store is a file system of 24 MiB. No other process sees it."""

    def __init__(self, suite, programs):
        super().__init__(suite, suite.root, programs)
        self.root.mkdir()
        self.holder = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", f"mount -t tmpfs -o size=24m,mode=0711 berth-test {self.root} && echo && exec sleep 1000"],
            stdout=subprocess.PIPE)  # fmt: skip
        assert self.holder.stdout.readline() == b"\n"
        self.visible_root = pathlib.Path(f"/proc/{self.holder.pid}/root{self.root}")

    def popen(self, *args, wrap=(), **keywords):
        return super().popen(*args, wrap=["nsenter", "--mount", "--target", str(self.holder.pid), *wrap], **keywords)

    def clear(self):
        (self.visible_root / "filler").unlink(missing_ok=True)
        names = self.call("ps", "-aq", "--no-trunc").lines
        if names:
            self.call("rm", "-f", *names, timeout=60)

    def close(self):
        self.clear()
        super().close()
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()


@pytest.fixture
def small_disk(suite, berth_programs, test_archive):
    if os.geteuid() != 0:
        pytest.skip("needs root: mounts a tmpfs in a mount namespace")
    engine = OnSmallDisk(suite, berth_programs)
    try:
        engine.ok("load", "-i", test_archive, timeout=60)
        yield engine
    finally:
        engine.close()


def fill(directory):
    """Takes all the space that is left."""
    path = directory / "filler"
    for size in (1 << 16, 512):
        with open(path, "ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"x" * size)
    assert os.statvfs(directory).f_bavail == 0
    return path


def test_a_full_disk(small_disk):
    """F07, F29: the container writes on, what is lost is counted in the log, `ps`, `stop` and `rm` work."""
    berth = small_disk
    name = berth.detached("-i", "test", "sh", "-c", "echo first; while read x; do head -c 200000 /dev/zero | tr '\\0' '\\n'; echo did-$x; done")
    berth.wait_log(name, "first")
    filler = fill(berth.visible_root)
    client = berth.popen("attach", name, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    for word in (b"one", b"two"):
        client.stdin.write(word + b"\n")
        client.stdin.flush()
        while (line := client.stdout.readline()) != b"did-" + word + b"\n":
            assert line == b"\n"
    records(berth, name)
    assert berth.status(name) == "running" and len(berth.names()) == 1
    filler.unlink()
    client.stdin.write(b"three\n")
    client.stdin.flush()
    while client.stdout.readline() != b"did-three\n":
        pass
    client.kill()
    client.communicate()
    client.stdin.close()
    found = records(berth, name)
    assert ("stdout", "F", b"did-three") in found
    assert any(stream == "stderr" and re.search(rb"berth: \d+ log records \(\d+ bytes\) were dropped: no space", text) for stream, _, text in found), found[-3:]
    berth.ok("stop", "-t", "0", name)
    berth.ok("rm", name)


def test_stop_and_rm_on_a_full_disk(small_disk):
    berth = small_disk
    name = berth.up()
    fill(berth.visible_root)
    assert berth.names() != []
    berth.ok("stop", "-t", "0", name)
    assert berth.status(name) == "exited"
    berth.ok("rm", name)
    assert berth.call("ps", "-aq").lines == []


def test_the_supervisor_is_killed_while_it_writes(berth):
    """The next start cuts a torn end off; the log goes on in whole lines."""
    name = berth.detached("--log-opt", "max-size=100m", "test", "yes", "y" * 3000)
    for _ in range(3):
        size = bytes_of(berth, name)
        wait_for(lambda: bytes_of(berth, name) > size + (1 << 20), "the log to grow")
        pid = supervisor(berth, name)
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not os.path.exists(f"/proc/{pid}"), "the supervisor's end")
        berth.ok("kill", name)
        wait_for(lambda: berth.status(name) == "exited", "the end")
        with open(files(berth, name)[0], "ab") as file:
            file.write(b"2026-01-01T00:00:00.000000000Z stdout F to")  # what a kill in the middle of a write leaves
        berth.ok("start", name)
    berth.ok("kill", name)
    wait_for(lambda: berth.status(name) == "exited", "the end")
    assert all(text in (b"y" * 3000,) or tag == "P" or len(text) < 3000 for _, tag, text in records(berth, name))
    assert b"to" not in {text for _, _, text in records(berth, name)}


def test_a_log_file_that_is_taken_away(berth):
    """Somebody removes the file, or puts a directory or a FIFO in its place: the container runs on."""
    name = berth.detached("-i", "test", "sh", "-c", "while read x; do echo got-$x; done")
    path = files(berth, name)[0]
    client = berth.popen("attach", name, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    for change in (lambda: path.unlink(), lambda: path.mkdir(), lambda: (path.rmdir(), os.mkfifo(path))):
        change()
        client.stdin.write(b"x\n")
        client.stdin.flush()
        assert client.stdout.readline() == b"got-x\n"
        assert berth.call("logs", name, timeout=5).code in (0, 1)
    berth.ok("kill", name)
    client.communicate(timeout=10)
    assert client.returncode == 137
