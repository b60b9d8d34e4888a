"""--systemd-cgroup with a real systemd: it makes the cgroup as a scope, and the limits are its own."""

import os
import pathlib
import shutil
import subprocess

import pytest

from host import CGROUPS, wait_for
from subtree import inside, remove

PROGRAM = pathlib.Path("/lib/systemd/systemd")
PLACE = CGROUPS / "sd"


class Systemd:
    """systemd as the first process of a pid namespace, in a cgroup of its own, with nothing to start."""

    def __init__(self):
        units = pathlib.Path("/run/berth-units")
        units.mkdir(exist_ok=True)
        (units / "default.target").write_text("[Unit]\nDescription=nothing\n")
        PLACE.mkdir()
        script = f"echo 0 > {PLACE}/cgroup.procs; mount -t proc proc /proc; exec {PROGRAM} --system --unit=default.target"
        # What it may start is only ours; transient units and their changes are kept in the other two.
        path = f"{units}:/run/systemd/system.control:/run/systemd/transient"
        environment = {"PATH": os.environ["PATH"], "container": "test", "SYSTEMD_UNIT_PATH": path, "SYSTEMD_LOG_TARGET": "console"}
        self.log = open("/tmp/systemd.log", "w+b")
        words = ["unshare", "--pid", "--fork", "--mount", "--kill-child", "--propagation", "private", "sh", "-c", script]
        self.process = subprocess.Popen(words, env=environment, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        wait_for(lambda: children.read_text().split(), "systemd to be started")
        self.pid = children.read_text().split()[0]
        self.enter = ["nsenter", "-t", self.pid, "--pid", "--mount", "--"]
        try:
            wait_for(lambda: self.ctl("is-system-running").stdout.strip() in ("running", "degraded"), "systemd to be up", 30)
        except AssertionError:
            self.log.seek(0)
            raise AssertionError(self.log.read().decode(errors="replace")[-3000:]) from None

    def ctl(self, *words):
        return subprocess.run([*self.enter, "systemctl", *words], capture_output=True, text=True, timeout=20)

    def show(self, unit, *names):
        text = self.ctl("show", unit, *(f"-p{name}" for name in names)).stdout
        return dict(line.split("=", 1) for line in text.splitlines())

    def close(self):
        self.process.kill()
        self.process.wait()
        self.log.close()
        remove(PLACE)


@pytest.fixture(scope="module")
def systemd():
    if not PROGRAM.exists():
        pytest.skip("systemd is not installed")
    if not shutil.which("nsenter"):
        pytest.skip("nsenter is not installed")
    made = Systemd()
    yield made
    made.close()


@pytest.fixture
def ct(root_ct, systemd):
    """A container whose runtime runs beside that systemd; `scope` and `place` are where it goes."""
    root_ct.linux["cgroupsPath"] = f"system.slice:berth:{root_ct.id}"
    root_ct.scope = f"berth-{root_ct.id}.scope"
    root_ct.place = PLACE / "system.slice" / root_ct.scope
    popen = root_ct.popen
    root_ct.popen = lambda *args, options=(), wrap=(), **more: popen(*args, options=["--systemd-cgroup", *options], wrap=[*systemd.enter, *wrap], **more)
    return root_ct


def gone(ct, systemd):
    assert not ct.place.exists()
    wait_for(lambda: systemd.show(ct.scope, "LoadState") == {"LoadState": "not-found"}, f"{ct.scope} to be forgotten")


def test_a_scope_around_the_container(ct, systemd):
    ct.resources.update({"memory": {"limit": 64 << 20, "swap": 64 << 20}, "pids": {"limit": 50}, "cpu": {"quota": 50000, "shares": 512}})
    ct.up()
    assert len((ct.place / "cgroup.procs").read_text().split()) == 1
    values = {name: (ct.place / name).read_text().strip() for name in ("memory.max", "memory.swap.max", "pids.max", "cpu.max")}
    assert values == {"memory.max": str(64 << 20), "memory.swap.max": "0", "pids.max": "50", "cpu.max": "50000 100000"}
    shown = systemd.show(ct.scope, "ActiveState", "Delegate", "MemoryMax", "MemorySwapMax", "TasksMax", "CPUQuotaPerSecUSec", "Slice")
    assert shown == {
        "ActiveState": "active", "Delegate": "yes", "MemoryMax": str(64 << 20), "MemorySwapMax": "0", "TasksMax": "50",
        "CPUQuotaPerSecUSec": "500ms", "Slice": "system.slice",
    }  # fmt: skip
    assert ct.exec("mem 200").code == 137
    ct.stop()
    gone(ct, systemd)


def test_limits_survive_a_reload(ct, systemd):
    """systemd writes what it knows at each reload: an update must tell it too."""
    ct.resources["memory"] = {"limit": 64 << 20}
    ct.up()
    ct.call("update", "--memory", str(48 << 20), "--pids-limit", "33", ct.id).check()
    assert systemd.ctl("daemon-reload").returncode == 0
    assert systemd.show(ct.scope, "MemoryMax", "TasksMax") == {"MemoryMax": str(48 << 20), "TasksMax": "33"}
    assert (ct.place / "memory.max").read_text().strip() == str(48 << 20) and (ct.place / "pids.max").read_text().strip() == "33"
    assert "ok" in ct.exec("open rw /dev/null").out


def test_exec_pause_and_kill(ct, systemd):
    ct.up("family 2")
    assert ct.scope in ct.exec("cat /proc/self/cgroup").check().out
    ct.call("pause", ct.id).check()
    assert ct.status == "paused"
    ct.call("resume", ct.id).check()
    ct.kill("KILL", "--all").check()
    ct.wait_status("stopped")
    ct.delete().check()
    gone(ct, systemd)


def test_the_default_is_the_system_slice(ct, systemd):
    del ct.linux["cgroupsPath"]
    ct.up()
    assert ct.place.exists()


def test_a_slice_of_ones_own(ct, systemd):
    ct.linux["cgroupsPath"] = f"outer-inner.slice:p:{ct.id}"
    ct.up()
    assert (PLACE / f"outer.slice/outer-inner.slice/p-{ct.id}.scope/cgroup.procs").read_text().split()


@pytest.mark.parametrize("path", ["/a/b", "a", "noslice:p:{}", "system.slice:p:a b"])
def test_paths_that_name_no_scope(ct, systemd, path):
    ct.linux["cgroupsPath"] = path.format(ct.id)
    ct.create("true").refused("slice:prefix:name|slice|unit")
    ct.assert_clean()


def test_a_failed_start_leaves_no_unit(ct, systemd):
    ct.resources["unified"] = {"memory.max": "words"}
    ct.create("true").refused("memory.max")
    gone(ct, systemd)
    del ct.resources["unified"]
    ct.process["args"] = ["/no/such/program"]
    ct.run().refused("no/such")
    gone(ct, systemd)


def test_the_same_name_again_at_once(ct, systemd):
    for _ in range(3):
        ct.up()
        ct.kill("KILL").check()
        ct.wait_status("stopped")
        ct.delete().check()
        (ct.dir / "out").unlink()
    gone(ct, systemd)


def test_a_name_that_is_in_use(ct, systemd):
    other = subprocess.Popen([*systemd.enter, "systemd-run", "--scope", "--unit", ct.scope, "sleep", "100"], stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: systemd.show(ct.scope, "ActiveState") == {"ActiveState": "active"}, "the other scope")
        ct.create("true")
        assert systemd.show(ct.scope, "ActiveState") == {"ActiveState": "active"}, "somebody else's processes were stopped"
    finally:
        systemd.ctl("kill", "-s", "KILL", ct.scope)
        other.wait(10)


# The manager of an ordinary user


@pytest.fixture
def user(suite, systemd):
    """`systemd --user` of the ordinary user in a subtree that belongs to him; gives (enter, place)."""
    who = suite.user
    place = CGROUPS / "sdu"
    runtime = suite.runtime_directory(who)
    units = pathlib.Path("/run/berth-user-units")
    units.mkdir(exist_ok=True)
    (units / "default.target").write_text("[Unit]\nDescription=nothing\n")
    place.mkdir()
    own(place, who)
    environment = suite.environment(who) | {
        "SYSTEMD_UNIT_PATH": f"{units}:{runtime}/systemd/user.control:{runtime}/systemd/transient", "XDG_RUNTIME_DIR": str(runtime),
    }  # fmt: skip
    script = f"echo 0 > {place}/cgroup.procs; exec setpriv --reuid {who.uid} --regid {who.gid} --clear-groups {PROGRAM} --user --unit=default.target"
    with open("/tmp/systemd-user.log", "w+b") as log:
        process = subprocess.Popen(["sh", "-c", script], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait_for(lambda: (runtime / "systemd/private").exists() or process.poll() is not None, "the manager of the user", 30)
            log.seek(0)
            assert process.poll() is None, log.read()
            yield place
        finally:
            process.kill()
            process.wait()
            remove(place)
            shutil.rmtree(runtime / "systemd", ignore_errors=True)


def own(place, who):
    """As `Delegate=yes` of user@.service does it."""
    for name in ["", *pathlib.Path("/sys/kernel/cgroup/delegate").read_text().split()]:
        if (place / name).exists():
            os.chown(place / name, who.uid, who.gid)


def test_an_ordinary_users_own_manager(user, user_ct):
    """The scope lies below the user's slice, with limits; the manager is asked over the user's own socket."""
    user_ct.linux["cgroupsPath"] = f"user.slice:berth:{user_ct.id}"
    user_ct.resources.update({"memory": {"limit": 32 << 20, "swap": 32 << 20}, "pids": {"limit": 30}})
    popen = user_ct.popen
    user_ct.popen = lambda *args, options=(), **more: popen(*args, options=["--systemd-cgroup", *options], **more)
    # As from a session of the user: the kernel lets him move processes only within his own subtree.
    session = user / "session"
    session.mkdir()
    own(session, user_ct.who)
    with inside(session):
        user_ct.up()
        # Cgroups of other tests go while these are listed: rglob() would raise.
        found = [pathlib.Path(path) for path, _, _ in os.walk(user) if os.path.basename(path) == f"berth-{user_ct.id}.scope"]
        assert len(found) == 1 and found[0].parent.name == "user.slice"
        assert (found[0] / "memory.max").read_text().strip() == str(32 << 20) and (found[0] / "pids.max").read_text().strip() == "30"
        assert user_ct.exec("mem 200").code == 137
        user_ct.stop()
    assert not found[0].exists()
