"""F15, F20, F33, F34, F37, F39, F40, F43: single faults, each with its own shape."""

import json
import os
import pathlib
import signal
import sqlite3
import subprocess
import time

import pytest

import inject
import invariants
from host import tree_state, wait_for
from reboot import NextBoot, crash

FULL = bool(os.environ.get("BERTH_TEST_FULL"))
CREATE = ["--network", "none", "test", "sleep", "1000"]
needs_injector = pytest.mark.skipif(not inject.available(), reason="needs root (ptrace) and x86-64")


@pytest.fixture
def engine(fresh, test_archive):
    fresh.ok("load", "-i", test_archive, timeout=60)
    yield fresh
    invariants.check_invariants(fresh)


# F15: reboot


@pytest.mark.parametrize("run_root", ["wiped", "left"])
def test_a_reboot(engine, place, run_root):
    """Another boot id, and a run directory that the boot emptied or did not."""
    if os.geteuid() != 0:
        pytest.skip("needs root (a mount over boot_id)")
    engine.up("--name", "ran")
    engine.up("--name", "always", "--restart", "always")
    engine.ok("create", "--name", "made", *CREATE)
    engine.call("run", "--name", "ended", "--network", "none", "test", "sh", "-c", "exit 4").exits(4)
    crash(engine)
    after = NextBoot(engine, place, keeps_run_root=run_root == "left")
    states = dict(line.split() for line in after("ps", "-a", "--format", "{{.Names}} {{.State}}").stdout.splitlines())
    assert states == {"ran": "exited", "always": "exited", "made": "created", "ended": "exited"}
    state = json.loads(after("inspect", "ran").stdout)[0]["State"]
    assert not state["Running"] and state["Pid"] == 0 and state["ExitCode"] != 0 and "went down" in state["Error"]
    assert json.loads(after("inspect", "ended").stdout)[0]["State"]["ExitCode"] == 4
    if not engine.who.is_root:
        return  # with a mount over a part of it no procfs can be mounted in a user namespace: nothing starts there
    for name in ("ran", "made"):
        started = after("start", name)
        assert started.returncode == 0, started
    assert "running" in after("inspect", "-f", "{{.State.Status}}", "ran").stdout
    assert after("rm", "-f", "always").returncode == 0


# F20: who holds a lock is killed or stopped


@needs_injector
def test_a_stopped_writer_blocks_no_reader(engine):
    """A command that was stopped in the middle of its transaction: reads go on, writers tell in time, and its end frees them."""
    engine.up("--name", "other")
    injector = inject.Injector(engine)
    calls = ["fdatasync", "fsync"]
    total = injector.shoot("cli", 0, "kill", calls, "create", "--name", "counted", *CREATE).counts["cli"]
    assert total > 0
    for nth in range(1, total + 1):
        report = injector.report()
        process = injector.popen("cli", nth, "stop", calls, report, ["create", "--name", f"stopped{nth}", *CREATE], stdout=subprocess.DEVNULL)
        try:
            wait_for(lambda: "fired" in report.read_text() if report.exists() else False, "the stop")
            begin = time.monotonic()
            assert "other" in engine.names("-a")
            engine.ok("inspect", "other")
            engine.ok("exec", "other", "true")
            engine.ok("logs", "other")
            assert time.monotonic() - begin < 5
        finally:
            holders = [pid for pid in engine.processes() if f"stopped{nth}".encode() in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()]
            for pid in holders:
                os.kill(pid, signal.SIGKILL)
            process.wait(20)
            report.unlink(missing_ok=True)
        # The kernel released what it held.
        engine.ok("run", "--rm", *CREATE[:2], "test", "true", timeout=20)
        engine.ok("restart", "-t", "0", "other", timeout=20)


def test_a_stopped_supervisor(engine):
    """stop says which process is in the way; rm -f removes it."""
    if not engine.who.is_root and not FULL:
        pytest.skip("it takes 20 seconds; BERTH_TEST_FULL=1 runs it as an ordinary user too")
    engine.up("--name", "held")
    supervisor = engine.inspect("held", "State.SupervisorPid")
    os.kill(supervisor, signal.SIGSTOP)
    try:
        assert engine.names() == ["held"]
        assert engine.ok("exec", "held", "echo", "x").text == "x"
        engine.call("stop", "-t", "0", "held", timeout=30).fails(1, f"process {supervisor} is stopped by a signal", f"kill -CONT {supervisor}")
        engine.ok("rm", "-f", "held", timeout=30)
        assert engine.names("-a") == []
    finally:
        try:
            os.kill(supervisor, signal.SIGCONT)
        except ProcessLookupError:
            pass


def test_a_killed_holder_frees_the_lock(engine):
    engine.up("--name", "held", "--restart", "always")
    os.kill(engine.inspect("held", "State.SupervisorPid"), signal.SIGKILL)
    engine.ok("rm", "-f", "held", timeout=30)


# F33: process 1


def test_exits_at_once(engine):
    for number in range(40 if FULL else 12):
        identity = engine.detached("test", "sh", "-c", f"exit {number}")
        assert engine.ok("wait", identity).text == str(number)
        assert engine.ok("run", "--rm", "--network", "none", "test", "echo", str(number)).text == str(number)
        engine.ok("rm", identity)


def test_process_1_leaves_children(engine):
    """They end with it: nobody outlives the container."""
    engine.run("test", "sh", "-c", "for i in 1 2 3; do (setsid nohup sleep 1000 >/dev/null 2>&1 &); done; exit 3").exits(3)
    wait_for(lambda: not engine.processes(), f"the children to end: {engine.processes()}", 5)


def test_process_1_that_ignores_everything(engine):
    script = "for s in HUP INT TERM QUIT USR1 USR2 ALRM; do trap '' $s; done; echo ready; while :; do sleep 0.05; done"
    engine.up("--name", "deaf", command=("sh", "-c", script))
    engine.wait_log("deaf", "ready")
    engine.ok("stop", "-t", "1", "deaf")
    assert engine.inspect("deaf", "State.ExitCode") == 137


# F34: descriptors


@pytest.mark.parametrize("limit", [16, 24, 40, 64])
def test_few_descriptors(engine, limit):
    """It works, or says so and leaves nothing."""
    wrap = ["bash", "-c", f'ulimit -n {limit}; exec "$@"', "bash"]
    for words in (["run", "--rm", "--network", "none", "test", "echo", "x"], ["run", "-d", "--name", f"few{limit}", *CREATE]):
        result = engine.call(*words, wrap=wrap, timeout=30)
        invariants.no_traps(result)
        assert result.code == 0 or result.code in (125, 126) and "too many open files" in result.err.lower(), result
    if limit == 64:
        assert engine.names() == ["few64"]


def test_many_mounts_with_few_descriptors(engine, place):
    flags = [word for number in range(200 if FULL else 60) for word in ("-v", f"{place}:/mnt/{number}")]
    wrap = ["bash", "-c", 'ulimit -n 64; exec "$@"', "bash"]
    result = engine.call("run", "--rm", "--network", "none", *flags, "test", "sh", "-c", "grep -c /mnt/ /proc/self/mountinfo", wrap=wrap, timeout=60)
    assert result.code == 0 and int(result.text) == len(flags) // 2 or "too many open files" in result.err.lower(), result


# F37: cleaning up over what is mounted


def canary(place):
    tree = place / "canary"
    (tree / "below").mkdir(parents=True)
    (tree / "file").write_text("precious")
    (tree / "below/file").write_text("precious too")
    for path in [tree, *tree.rglob("*")]:
        path.chmod(0o777 if path.is_dir() else 0o666)
    return tree


def test_binds_survive_removal(engine, place):
    tree = canary(place)
    before = tree_state(tree)
    identity = engine.up("-v", f"{tree}:/canary", "-v", f"{tree}/below:/other/place", "--mount", f"type=bind,source={tree},target=/third")
    engine.ok("rm", "-f", "-v", identity)
    assert tree_state(tree) == before
    engine.run("-v", f"{tree}:/canary", "test", "true").check()
    identity = engine.up("-v", f"{tree}:/canary", "-w", "/canary")
    os.kill(engine.inspect(identity, "State.SupervisorPid"), signal.SIGKILL)
    engine.ok("rm", "-f", "-v", identity, timeout=30)
    assert tree_state(tree) == before


@pytest.mark.parametrize("where", ["upper/mnt", "rootfs", "work", "extra"])
def test_a_mount_inside_of_the_containers_directory(engine, place, where):
    """Whatever is mounted there, what is below is not the container's."""
    if not engine.who.is_root:
        pytest.skip("needs root (a mount)")
    tree = canary(place)
    before = tree_state(tree)
    identity = engine.ok("create", *CREATE).text
    target = engine.root / "containers" / identity / where
    target.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "--bind", str(tree), str(target)], check=True)
    try:
        result = engine.call("rm", "-f", "-v", identity)
        invariants.no_traps(result)
        assert tree_state(tree) == before, result
        engine.call("system", "check", "--repair")
        assert tree_state(tree) == before
    finally:
        for mount in reversed(engine.mounts()):
            subprocess.run(["umount", "-l", mount], check=True)
        # Where it was moved to, the mount went along.
        assert tree_state(tree) == before


# F39: what cannot start leaves nothing


FAILURES = {
    "missing program": (["test", "/nosuch"], 127), "not in PATH": (["test", "nosuch"], 127), "not executable": (["test", "/etc/passwd"], 126),
    "directory": (["test", "/etc"], 126), "user": (["-u", "nobodyknows", "test", "true"], 125), "group": (["-u", "root:nosuch", "test", "true"], 125),
    "profile": (["--security-opt", "seccomp=/nosuch.json", "test", "true"], 125), "bad profile": (["--security-opt", "seccomp={bad}", "test", "true"], 125),
    "source": (["--mount", "type=bind,source=/nosuch,target=/mnt", "test", "true"], 125), "device": (["--device", "/dev/nosuch", "test", "true"], 125),
    "target": (["-v", "/tmp:/proc/x/y", "test", "true"], 125), "directory is a file": (["-w", "/etc/passwd", "test", "true"], None),
    "cgroup parent": (["--cgroup-parent", "/../x", "test", "true"], None), "sysctl": (["--sysctl", "net.nosuch.x=1", "test", "true"], 125),
    "image": (["--pull", "never", "nosuch", "true"], 125), "label": (["--security-opt", "apparmor=nosuch-profile", "test", "true"], None),
    "namespace": (["--pid", "container:nosuch", "test", "true"], 125), "env file": (["--env-file", "/nosuch", "test", "true"], 125),
}  # fmt: skip


@pytest.mark.parametrize("case", FAILURES)
@pytest.mark.parametrize("how", ["run --rm", "run", "run -d", "create"])
def test_what_cannot_start(engine, place, how, case):
    words, code = FAILURES[case]
    (place / "bad.json").write_text("{ this is no profile")
    words = [word.replace("{bad}", str(place / "bad.json")) for word in words]
    if how == "create":
        result = engine.call("create", "--name", "it", "--network", "none", *words)
        if result.code == 0:
            result = engine.call("start", "-a", "it")
    else:
        result = engine.call(*how.split(), "--name", "it", "--network", "none", *words)
    invariants.no_traps(result)
    if code:
        result.fails(code)
    elif result.code == 0:
        return
    assert result.code in (125, 126, 127) and result.err.strip(), result
    if how == "run --rm":
        assert engine.names("-a") == []
        engine.assert_clean()
    for name in engine.names("-a"):
        engine.ok("rm", name)
    engine.assert_clean()


# F40: a slow disk


@needs_injector
def test_a_slow_sync_blocks_nobody_who_reads(engine, test_archive):
    engine.up("--name", "runs")
    injector = inject.Injector(engine)
    report = injector.report()
    process = injector.popen("cli", 1, "stop", ["fsync", "fdatasync", "syncfs"], report, ["load", "-i", test_archive], stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: "fired" in report.read_text() if report.exists() else False, "the sync")
        begin = time.monotonic()
        assert engine.names() == ["runs"]
        engine.ok("images")
        engine.ok("stop", "-t", "0", "runs")
        engine.ok("start", "runs")
        engine.ok("run", "--rm", "--network", "none", "test", "true")
        engine.ok("rm", "-f", "runs")
        assert time.monotonic() - begin < 8
    finally:
        for pid in engine.processes():
            if b"load" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
        process.wait(20)
        report.unlink(missing_ok=True)


# F43: the run directory goes while containers run


def wipe(engine):
    subprocess.run(["rm", "-rf", str(engine.run_root)], check=True)


def test_the_run_directory_is_removed(engine):
    """Logout, or a cleaner of temporary files: what runs is still known, can be stopped, started and removed."""
    engine.up("--name", "lost")
    engine.up("--name", "other", "--restart", "always")
    wipe(engine)
    assert sorted(engine.names()) == ["lost", "other"]
    assert engine.status("lost") == "running"
    assert engine.ok("logs", "lost").out == ""
    engine.call("pause", "lost").fails(1, "was removed while it ran", "berth restart lost")
    engine.ok("stop", "-t", "0", "lost", "other", timeout=30)
    assert engine.inspect("lost", "State.ExitCode") == 137
    assert engine.names() == []
    engine.ok("start", "lost", "other")
    assert engine.ok("exec", "lost", "echo", "again").text == "again"
    wipe(engine)
    engine.ok("kill", "lost")
    engine.wait_status("lost", "exited")
    engine.ok("start", "lost")
    wipe(engine)
    engine.ok("restart", "-t", "0", "lost", timeout=30)
    assert engine.ok("exec", "lost", "echo", "restarted").text == "restarted"
    wipe(engine)
    engine.ok("rm", "-f", "lost", "other", timeout=30)
    assert engine.names("-a") == []


def test_a_rm_container_whose_run_directory_is_removed(engine):
    engine.up("--name", "brief", "--rm")
    wipe(engine)
    engine.ok("stop", "-t", "0", "brief", timeout=30)
    wait_for(lambda: engine.names("-a") == [], "the container to be gone")
    engine.up("--name", "brief")


# What supervisors hold of the database


def holders(path):
    """How many locks of open files there are on the byte of a log's index that says that it is in use."""
    found = path.stat()
    place = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    return sum(1 for line in open("/proc/locks") if "OFDLCK" in line and f"{place} 128 128" in line)


@pytest.mark.parametrize("how", ["left", "removed", "overwritten", "closed by another program", "all processes but the container's end"])
def test_the_index_that_a_supervisor_holds(engine, how):
    """It spares commands the making of a new one, and is not relied on where it is not whole."""
    engine.up("--name", "holder")
    index = engine.root / "berth.db-shm"
    assert holders(index) == 1
    inode = index.stat().st_ino
    engine.ok("create", "--name", "second", *CREATE)
    if how == "removed":
        index.unlink()
    elif how == "overwritten":
        size = index.stat().st_size
        with open(index, "r+b") as file:
            file.write(os.urandom(min(size, 4096)))
    elif how == "closed by another program":
        database = sqlite3.connect(engine.root / "berth.db")
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert database.execute("SELECT count(*) FROM containers").fetchone() == (2,)
        database.close()
        for path in (index, engine.root / "berth.db-wal"):
            if path.exists():
                os.chown(path, engine.who.uid, engine.who.gid)
    elif how.startswith("all"):
        os.kill(engine.supervisor("holder") or engine.supervisor(engine.ok("ps", "-q", "--no-trunc").text), signal.SIGKILL)
        wait_for(lambda: holders(index) == 0, "the lock to end")
    engine.ok("create", "--name", "third", *CREATE)
    assert sorted(engine.names("-a")) == ["holder", "second", "third"]
    engine.up("--name", "fourth")
    # A supervisor that is only just being made has none yet, and one that goes has its own a while.
    wanted = 2 if how in ("left", "overwritten") else 1
    wait_for(lambda: holders(index) == wanted, f"{wanted} locks: {holders(index)}")
    if how == "left":
        assert index.stat().st_ino == inode
    engine.ok("rm", "-f", "holder", "second", "third", "fourth")
    assert engine.names("-a") == []
