"""Resource limits: what is written, what the kernel then enforces, and what is left. Cgroup v1, hybrid or v2: each test looks where it is."""

import os
import pathlib
import re
import shutil

import pytest

from host import CGROUPS, CGROUP_V2, cgroup_directory, cgroup_value, wait_for


@pytest.fixture
def ct(root_ct):
    """Limits need root here: no controller is delegated to an ordinary user on a v1 host."""
    return root_ct


def needs_cpusets():
    if CGROUP_V2 and "cpuset" not in (CGROUPS / "cgroup.controllers").read_text().split():
        pytest.skip("this kernel has no cpuset controller")


def test_the_place_is_the_given_one(ct):
    ct.linux["cgroupsPath"] = f"/parent-{ct.id}/{ct.id}"
    ct.up()
    place = cgroup_directory(ct, "pids")
    assert str(place).endswith(f"/parent-{ct.id}/{ct.id}")
    ct.stop()
    assert not place.exists()


def test_every_hierarchy_has_it(ct):
    ct.up()
    for line in pathlib.Path(f"/proc/{ct.pid}/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if names in ("", "name=systemd") and not CGROUP_V2:
            continue  # the trees without controllers are the runtime's choice
        assert ct.id in path, line
    ct.stop()
    ct.assert_clean()


def test_a_relative_path_is_stable(ct):
    """Below the runtime's own place, and the same one each time."""
    places = []
    ct.linux["cgroupsPath"] = f"relative-{ct.id}"
    for _ in range(2):
        ct.up()
        places.append(cgroup_directory(ct, "pids"))
        ct.stop()
        (ct.dir / "out").unlink()
    assert places[0] == places[1]
    ct.assert_clean()


def test_without_a_path(ct):
    del ct.linux["cgroupsPath"]
    ct.up()
    assert ct.id in str(cgroup_directory(ct, "pids"))
    ct.stop()
    ct.assert_clean()


def test_the_owner_of_a_cgroup(ct):
    """v1: it stays root's, also when the container has a user namespace (config-linux.md, cgroup ownership)."""
    ct.user_namespace()
    ct.namespace("cgroup")
    ct.up()
    status = cgroup_directory(ct, "pids").stat()
    assert (status.st_uid, status.st_gid) == (0, 0) or CGROUP_V2


def test_two_containers_in_one_cgroup(make_root):
    """The first to be deleted leaves the other one running."""
    first, second = make_root(), make_root()
    first.linux["cgroupsPath"] = second.linux["cgroupsPath"] = f"/{first.id}-shared"
    first.up()
    result = second.run_detached("pause")
    if not result.ok:  # newer runtimes refuse a cgroup that is in use
        result.refused("cgroup")
        return
    second.wait_log("ready")
    first.stop()
    assert second.status == "running"


@pytest.mark.parametrize("path", ["/../../{}", "/../{}", "../../../../{}"])
def test_a_path_stays_in_the_hierarchy(ct, path):
    """S10: dots do not lead out of the cgroup mounts."""
    ct.linux["cgroupsPath"] = path.format(ct.id)
    result = ct.run_detached("pause")
    if result.ok:
        ct.wait_log("ready")
        assert str(cgroup_directory(ct, "pids").resolve()).startswith(str(CGROUPS))
        ct.stop()
    outside = [path for path in (f"/sys/fs/{ct.id}", f"/sys/{ct.id}", f"/{ct.id}") if os.path.exists(path)]
    for path in outside:
        shutil.rmtree(path, ignore_errors=True)
    assert outside == []


def test_memory_limit(ct):
    ct.resources["memory"] = {"limit": 64 << 20}
    ct.up()
    assert cgroup_value(ct, "memory", "memory.limit_in_bytes", "memory.max") == str(64 << 20)


def test_a_memory_limit_kills(ct):
    ct.resources["memory"] = {"limit": 32 << 20, "swap": 32 << 20}
    result = ct.run("mem 256")
    assert result.code == 137 and "touched" not in result.out
    ct.assert_clean()


def test_a_memory_limit_kills_only_inside(make_root):
    first, second = make_root(), make_root()
    second.up()
    first.resources["memory"] = {"limit": 32 << 20}
    assert first.run("run /init mem 200", "mem 4").out.startswith("signal 9")
    assert second.status == "running"


def test_memory_reservation(ct):
    ct.resources["memory"] = {"limit": 64 << 20, "reservation": 32 << 20}
    ct.up()
    assert cgroup_value(ct, "memory", "memory.soft_limit_in_bytes", "memory.low") == str(32 << 20)


def test_memory_and_swap(ct):
    ct.resources["memory"] = {"limit": 64 << 20, "swap": 128 << 20}
    ct.up()
    assert cgroup_value(ct, "memory", "memory.memsw.limit_in_bytes", "memory.swap.max") == str((64 if CGROUP_V2 else 128) << 20)


def test_unlimited_memory(ct):
    ct.resources["memory"] = {"limit": -1}
    ct.up()
    value = cgroup_value(ct, "memory", "memory.limit_in_bytes", "memory.max")
    assert value == "max" or int(value) > 1 << 60


def test_swappiness(ct):
    ct.resources["memory"] = {"swappiness": 20}
    if CGROUP_V2:
        ct.create("true").refused("swappiness")
        return
    ct.up()
    assert cgroup_value(ct, "memory", "memory.swappiness", "none") == "20"


def test_disable_oom_killer(ct):
    ct.resources["memory"] = {"limit": 64 << 20, "disableOOMKiller": True}
    if CGROUP_V2:
        ct.create("true").refused("oom killer")
        return
    ct.up()
    assert "oom_kill_disable 1" in cgroup_value(ct, "memory", "memory.oom_control", "none")


def test_a_limit_too_small_to_start(ct):
    """An error, not a hang, and nothing left."""
    ct.resources["memory"] = {"limit": 1024}
    ct.run("true").refused()
    ct.assert_clean()


def test_swap_below_memory_is_refused(ct):
    ct.resources["memory"] = {"limit": 64 << 20, "swap": 32 << 20}
    ct.create("true").refused()
    ct.assert_clean()


def test_pids_limit(ct):
    ct.resources["pids"] = {"limit": 10}
    ct.up()
    assert cgroup_value(ct, "pids", "pids.max", "pids.max") == "10"
    made, why = ct.exec("fork 30").out.split()
    assert int(made) <= 8 and why == "EAGAIN"


def test_a_pids_limit_holds_for_the_container(ct):
    ct.resources["pids"] = {"limit": 20}
    made, why = ct.text("fork 50").split()
    assert int(made) == 19 and why == "EAGAIN"


def test_unlimited_pids(ct):
    ct.resources["pids"] = {"limit": -1}
    ct.up()
    assert cgroup_value(ct, "pids", "pids.max", "pids.max") == "max"


def test_cpu_shares(ct):
    ct.resources["cpu"] = {"shares": 512}
    ct.up()
    value = cgroup_value(ct, "cpu", "cpu.shares", "cpu.weight")
    assert value == "512" or (CGROUP_V2 and 10 <= int(value) <= 60)


def test_cpu_quota_and_period(ct):
    ct.resources["cpu"] = {"quota": 25000, "period": 50000}
    ct.up()
    if CGROUP_V2:
        assert cgroup_value(ct, "cpu", "", "cpu.max") == "25000 50000"
    else:
        assert cgroup_value(ct, "cpu", "cpu.cfs_quota_us") == "25000" and cgroup_value(ct, "cpu", "cpu.cfs_period_us") == "50000"


def test_cpu_quota_alone(ct):
    ct.resources["cpu"] = {"quota": 50000}
    ct.up()
    assert cgroup_value(ct, "cpu", "cpu.cfs_quota_us", "cpu.max").split()[0] == "50000"


def test_cpu_burst(ct):
    ct.resources["cpu"] = {"quota": 50000, "period": 100000, "burst": 10000}
    ct.up()
    assert cgroup_value(ct, "cpu", "cpu.cfs_burst_us", "cpu.max.burst") == "10000"


def test_cpu_idle(ct):
    ct.resources["cpu"] = {"idle": 1}
    ct.up()
    assert cgroup_value(ct, "cpu", "cpu.idle", "cpu.idle") == "1"


def test_cpuset(ct):
    needs_cpusets()
    ct.resources["cpu"] = {"cpus": "0", "mems": "0"}
    ct.up("scheduler", "pause")
    assert cgroup_value(ct, "cpuset", "cpuset.cpus", "cpuset.cpus") == "0"
    assert cgroup_value(ct, "cpuset", "cpuset.mems", "cpuset.mems") == "0"
    assert re.search(r"cpus=0\n", ct.log)


def test_a_cpuset_inherits_what_is_not_given(ct):
    """v1: an empty cpuset takes no process; the parent's values are copied down, through every level that had to be made."""
    ct.linux["cgroupsPath"] = f"/parent-{ct.id}/deep-{ct.id}/{ct.id}"
    ct.up()
    if not CGROUP_V2:
        assert cgroup_value(ct, "cpuset", "cpuset.cpus") and cgroup_value(ct, "cpuset", "cpuset.mems")
    ct.stop()


def test_a_cpuset_of_no_cpu(ct):
    needs_cpusets()
    ct.resources["cpu"] = {"cpus": "4000"}
    ct.create("true").refused()
    ct.assert_clean()


def test_block_io_weight(ct):
    """Where the kernel has no weight (no BFQ or CFQ), the request may be an error or without effect, but is not half done."""
    ct.resources["blockIO"] = {"weight": 300}
    result = ct.run_detached("pause")
    if not result.ok:
        result.refused("weight|blkio|io\\.")
        ct.assert_clean()
        return
    ct.wait_log("ready")
    place = cgroup_directory(ct, "blkio")
    files = [place / name for name in ("blkio.weight", "blkio.bfq.weight", "io.weight", "io.bfq.weight")]
    for file in files:
        if file.exists():
            assert "300" in file.read_text() or CGROUP_V2


def test_block_io_throttle(ct):
    device = os.stat("/").st_dev
    row = {"major": os.major(device), "minor": os.minor(device), "rate": 1048576}
    if not os.path.exists(f"/sys/dev/block/{row['major']}:{row['minor']}"):
        pytest.skip("the root filesystem is on no block device")
    ct.resources["blockIO"] = {
        "throttleReadBpsDevice": [row], "throttleWriteBpsDevice": [dict(row, rate=2097152)],
        "throttleReadIOPSDevice": [dict(row, rate=100)], "throttleWriteIOPSDevice": [dict(row, rate=200)],
    }  # fmt: skip
    ct.up()
    if CGROUP_V2:
        assert "rbps=1048576 wbps=2097152 riops=100 wiops=200" in cgroup_value(ct, "io", "", "io.max")
    else:
        for name, rate in (("read_bps", 1048576), ("write_bps", 2097152), ("read_iops", 100), ("write_iops", 200)):
            assert cgroup_value(ct, "blkio", f"blkio.throttle.{name}_device").split()[-1] == str(rate)


def test_the_device_list(ct):
    if CGROUP_V2:
        pytest.skip("v2 has a program and no list")
    ct.resources["devices"].append({"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"})
    ct.up()
    lines = cgroup_value(ct, "devices", "devices.list").splitlines()
    assert "a *:* rwm" not in lines
    assert "c 1:3 rwm" in lines and "c 10:229 rw" in lines


def test_hugepages_without_the_controller(ct):
    """Asked for and not there: an error that names it, or it works."""
    ct.resources["hugepageLimits"] = [{"pageSize": "2MB", "limit": 4194304}]
    result = ct.run("true")
    if not result.ok:
        result.refused("huge")
    ct.assert_clean()


def test_unified_is_written_as_it_is(ct):
    """v2 only; on v1 the runtime says so."""
    ct.resources["unified"] = {"pids.max": "77"}
    result = ct.run_detached("pause")
    if CGROUP_V2:
        result.check()
        ct.wait_log("ready")
        assert cgroup_value(ct, "pids", "", "pids.max") == "77"
    else:
        result.refused("unified|v2|cgroup")
        ct.assert_clean()


def test_the_cgroup_is_gone_after_a_failure(ct):
    ct.resources["pids"] = {"limit": 5}
    ct.process["args"] = ["/no-such-program"]
    ct.run().refused()
    ct.assert_clean()


def test_children_cgroups_go_too(ct):
    """What the container made below its own cgroup is removed with it."""
    ct.up()
    nested = cgroup_directory(ct, "pids") / "child"
    nested.mkdir()
    (nested / "grandchild").mkdir()
    ct.stop()
    ct.assert_clean()


def test_other_cgroups_stay(ct):
    """A parent that was there before is left alone."""
    controller = CGROUPS if CGROUP_V2 else CGROUPS / "pids"
    parent = controller / f"parent-{ct.id}"
    parent.mkdir()
    try:
        ct.linux["cgroupsPath"] = f"/parent-{ct.id}/inner-{ct.id}"
        ct.run("true").check()
        assert parent.is_dir() and not (parent / f"inner-{ct.id}").exists()
    finally:
        parent.rmdir()


def test_exec_joins_the_cgroup(ct):
    ct.up()
    ct.exec_detached("pause").check()
    wait_for(lambda: len(ct.processes()) == 2, "the second process")
    places = {cgroup_directory(ct, "pids", pid) for pid in ct.processes()}
    assert len(places) == 1 and ct.id in str(places.pop())


def test_the_runtime_is_not_charged(ct):
    """Only the container's processes are in the cgroup of a running container."""
    ct.up("family 2")
    pids = (cgroup_directory(ct, "pids") / "cgroup.procs").read_text().split()
    assert len(pids) == 3


def test_run_out_of_resources_of_a_joined_cgroup_namespace(ct):
    """A new cgroup namespace has the container's cgroup as its root."""
    ct.namespace("cgroup")
    for line in ct.text("cat /proc/self/cgroup").splitlines():
        _, names, path = line.split(":", 2)
        if names not in ("", "name=systemd") or CGROUP_V2:
            assert path == "/", line


def test_no_cgroup_namespace_shows_the_hosts_paths(ct):
    lines = ct.text("cat /proc/self/cgroup").splitlines()
    assert any(ct.id in line for line in lines)


def test_ordinary_users_need_no_cgroup(user_ct):
    """Without delegation there is no limit to set, and none was asked for."""
    user_ct.run("true").check()
    user_ct.assert_clean()


def test_limits_an_ordinary_user_cannot_set(user_ct):
    """Asked for without delegation: an error that says so, or limits that hold. Never silence."""
    user_ct.resources["pids"] = {"limit": 5}
    result = user_ct.run("fork 20")
    if result.ok:
        assert "EAGAIN" in result.out or "cgroup" in result.err
    else:
        result.refused("cgroup|delegat|permission|pids")
    user_ct.assert_clean()
