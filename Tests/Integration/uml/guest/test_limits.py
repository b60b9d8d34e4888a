"""cgroup v2 as the only hierarchy: each limit's file, and what the kernel then does."""

import json
import os
import pathlib
import subprocess

import pytest

from host import CGROUPS, cgroup_directory, wait_for

DISK = pathlib.Path("/sys/block/ubda")


@pytest.fixture
def ct(root_ct):
    return root_ct


def value(ct, name):
    return (cgroup_directory(ct, "") / name).read_text().strip()


def test_the_host_is_unified():
    assert (CGROUPS / "cgroup.controllers").read_text().split() == ["cpu", "io", "memory", "pids"]


def test_born_in_the_cgroup(ct):
    """CLONE_INTO_CGROUP: the first process never was in the cgroup of its creator."""
    place = CGROUPS / f"parent-{ct.id}"
    place.mkdir()
    try:
        ct.linux["cgroupsPath"] = f"/parent-{ct.id}/{ct.id}"
        ct.create("pause").check()
        assert (place / ct.id / "cgroup.procs").read_text().split() == [str(ct.pid)]
        assert (place / "cgroup.procs").read_text() == ""
        ct.delete("--force").check()
    finally:
        place.rmdir()


@pytest.mark.parametrize(
    "resources, name, wanted",
    [
        ({"memory": {"limit": 64 << 20}}, "memory.max", str(64 << 20)),
        ({"memory": {"limit": 64 << 20, "swap": 64 << 20}}, "memory.swap.max", "0"),
        ({"memory": {"limit": 64 << 20, "swap": 96 << 20}}, "memory.swap.max", str(32 << 20)),
        ({"memory": {"limit": 64 << 20, "swap": -1}}, "memory.swap.max", "max"),
        ({"memory": {"reservation": 16 << 20}}, "memory.low", str(16 << 20)),
        ({"pids": {"limit": 44}}, "pids.max", "44"),
        ({"cpu": {"quota": 30000, "period": 60000}}, "cpu.max", "30000 60000"),
        ({"cpu": {"quota": -1}}, "cpu.max", "max 100000"),
        ({"cpu": {"idle": 1}}, "cpu.idle", "1"),
        ({"unified": {"memory.high": "50331648"}}, "memory.high", "50331648"),
        ({"unified": {"memory.oom.group": "1"}}, "memory.oom.group", "1"),
        ({"memory": {"limit": 64 << 20}, "unified": {"memory.max": "33554432"}}, "memory.max", "33554432"),
    ],
    ids=lambda part: json.dumps(part) if isinstance(part, dict) else None,
)
def test_files(ct, resources, name, wanted):
    ct.resources.update(resources)
    ct.up()
    assert value(ct, name) == wanted
    ct.stop()
    ct.assert_clean()


@pytest.mark.parametrize("shares, low, high", [(2, 1, 1), (1024, 30, 100), (262144, 10000, 10000)])
def test_cpu_shares_become_a_weight(ct, shares, low, high):
    """Both ends of the scale meet, and Docker's default of 1024 is a usual weight."""
    ct.resources["cpu"] = {"shares": shares}
    ct.up()
    assert low <= int(value(ct, "cpu.weight")) <= high


def test_io_limits(ct):
    major, minor = map(int, (DISK / "dev").read_text().split(":"))
    row = {"major": major, "minor": minor}
    ct.resources["blockIO"] = {
        "throttleReadBpsDevice": [row | {"rate": 1 << 20}], "throttleWriteBpsDevice": [row | {"rate": 2 << 20}],
        "throttleReadIOPSDevice": [row | {"rate": 100}], "throttleWriteIOPSDevice": [row | {"rate": 200}],
    }  # fmt: skip
    ct.up()
    assert value(ct, "io.max") == f"{major}:{minor} rbps=1048576 wbps=2097152 riops=100 wiops=200"


@pytest.mark.parametrize(
    "resources, why",
    [
        ({"cpu": {"cpus": "0"}}, "cpuset"), ({"unified": {"cpuset.cpus": "0"}}, "cpuset"), ({"unified": {"hugetlb.2MB.max": "0"}}, "hugetlb"),
        ({"network": {"classID": 1048577}}, "net_cls"), ({"network": {"priorities": [{"name": "lo", "priority": 5}]}}, "net_prio"),
        ({"rdma": {"mlx5_1": {"hcaHandles": 3}}}, "rdma"), ({"unified": {"memory.nosuch": "1"}}, "memory.nosuch"),
        ({"unified": {"memory.max": "words"}}, "memory.max"), ({"unified": {"../init/pids.max": "1"}}, "unified|file"),
        ({"memory": {"limit": 64 << 20, "swappiness": 10}}, "swappiness"), ({"memory": {"limit": 64 << 20, "disableOOMKiller": True}}, "oom"),
        ({"cpu": {"realtimeRuntime": 950000, "realtimePeriod": 1000000}}, "real-?time|rt_"),
    ],
    ids=lambda part: json.dumps(part) if isinstance(part, dict) else None,
)
def test_what_this_host_cannot_do(ct, resources, why):
    """A limit without its controller, or without a counterpart in v2, is an error that names it; nothing is left."""
    ct.resources.update(resources)
    ct.create("true").refused(why)
    ct.assert_clean()


def test_a_child_that_memory_kills(ct):
    """The kernel kills the one process; the counters say so and the container lives on."""
    ct.resources["memory"] = {"limit": 32 << 20, "swap": 32 << 20}
    ct.up()
    assert ct.exec("mem 200").code == 137
    assert ct.status == "running"
    assert "oom_kill 1" in value(ct, "memory.events")


def test_all_processes_die_with_a_group_kill(ct):
    ct.resources.update({"memory": {"limit": 32 << 20, "swap": 32 << 20}, "unified": {"memory.oom.group": "1"}})
    ct.up()
    ct.exec("mem 200")
    ct.wait_status("stopped")


def test_pids_are_counted_by_the_kernel(ct):
    ct.resources["pids"] = {"limit": 10}
    ct.up()
    ct.exec("fork 30")
    assert int(fields_of(value(ct, "pids.events"))["max"]) >= 1


def fields_of(text):
    return dict(line.split() for line in text.splitlines())


def test_cpu_is_throttled(ct):
    ct.resources["cpu"] = {"quota": 5000, "period": 100000}
    ct.up()
    ct.exec_detached("hunt")
    wait_for(lambda: int(fields_of(value(ct, "cpu.stat"))["nr_throttled"]) > 2, "throttled periods")


def test_freezing(ct):
    ct.up("family 2")
    ct.call("pause", ct.id).check()
    assert value(ct, "cgroup.freeze") == "1" and "frozen 1" in value(ct, "cgroup.events")
    assert ct.status == "paused"
    ct.call("resume", ct.id).check()
    assert value(ct, "cgroup.freeze") == "0"


def test_kill_all_of_a_container_that_shares_pids(ct):
    """Nobody's pid namespace takes the others along: cgroup.kill does."""
    ct.drop_namespace("pid")
    ct.up("family 3")
    assert len(ct.processes()) == 4
    ct.kill("KILL", "--all").check()
    ct.wait_status("stopped")
    ct.delete().check()
    ct.assert_clean()


def test_devices_by_program(ct):
    """Denied by default, allowed by entry; exec'd processes are under the same program."""
    ct.linux["devices"] = [
        {"path": f"/dev/{name}", "type": "c", "major": major, "minor": minor, "fileMode": 0o666, "uid": 0, "gid": 0}
        for name, major, minor in (("watchdog", 10, 130), ("kmsg", 1, 11))
    ]
    ct.resources["devices"].append({"allow": True, "type": "c", "major": 1, "minor": 11, "access": "r"})
    ct.up()
    assert ct.exec("open r /dev/kmsg").out.strip() == "ok"
    assert ct.exec("open rw /dev/kmsg").out.strip() == "EPERM"
    assert ct.exec("open r /dev/watchdog").out.strip() == "EPERM"
    assert ct.exec("open rw /dev/null").out.strip() == "ok"


def test_update(ct):
    ct.resources.update({"memory": {"limit": 64 << 20, "swap": 64 << 20}, "pids": {"limit": 50}})
    ct.up()
    ct.call("update", "--memory", str(96 << 20), "--memory-swap", str(128 << 20), "--pids-limit", "60", "--cpu-quota", "20000", ct.id).check()
    assert value(ct, "memory.max") == str(96 << 20) and value(ct, "memory.swap.max") == str(32 << 20)
    assert value(ct, "pids.max") == "60" and value(ct, "cpu.max") == "20000 100000"
    ct.call("update", "--memory", "-1", "--cpu-quota", "-1", "--pids-limit", "-1", ct.id).check()
    assert value(ct, "memory.max") == "max" and value(ct, "pids.max") == "max" and value(ct, "cpu.max").startswith("max")


def test_update_checks_before_it_kills(ct):
    """checkBeforeUpdate: v2 would call the OOM killer where v1 refuses."""
    ct.resources["memory"] = {"limit": 128 << 20, "swap": 128 << 20}
    ct.up("hold 48")
    document = {"memory": {"limit": 16 << 20, "swap": 16 << 20, "checkBeforeUpdate": True}}
    ct.call("update", "-r", "-", ct.id, stdin=json.dumps(document)).refused("use|usage")
    assert value(ct, "memory.max") == str(128 << 20)
    assert ct.status == "running"


def test_exec_in_a_cgroup_below(ct):
    """`--cgroup`: a sub-cgroup that the container's own manager made."""
    ct.up()
    below = cgroup_directory(ct, "") / "below"
    below.mkdir()
    ct.exec_detached("pause", flags=["--cgroup", "below"]).check()
    wait_for(lambda: (below / "cgroup.procs").read_text().split(), "the process below")
    ct.exec("true", flags=["--cgroup", "nosuch"]).refused("cgroup")
    ct.stop()
    ct.assert_clean()


def test_exec_when_the_container_moved_itself(ct):
    """systemd in a container leaves its cgroup and enables controllers for its children: exec must follow, the kernel refuses the old place."""
    ct.up()
    place = cgroup_directory(ct, "")
    leaf = place / "init.scope"
    leaf.mkdir()
    (leaf / "cgroup.procs").write_text(str(ct.pid))
    (place / "cgroup.subtree_control").write_text("+pids")
    assert ct.exec("cat /proc/self/cgroup").check().out.strip().endswith("/init.scope")


def test_stats(ct):
    ct.resources["memory"] = {"limit": 64 << 20}
    ct.up("family 2")
    data = json.loads(ct.call("events", "--stats", ct.id).check().out)["data"]
    assert data["memory"]["usage"]["limit"] == 64 << 20 and data["memory"]["usage"]["usage"] > 0
    assert data["memory"]["raw"]["anon"] > 0
    assert data["pids"]["current"] == 3 and data["cpu"]["usage"]["total"] > 0


def test_the_cgroup_mount_shows_the_own_cgroup_only(ct):
    ct.namespace("cgroup")
    ct.mount("/sys/fs/cgroup", "cgroup", "cgroup", ["nosuid", "noexec", "nodev", "ro"])
    ct.resources["pids"] = {"limit": 33}
    own, limit, write = ct.look("cat /proc/self/cgroup", "cat /sys/fs/cgroup/pids.max", "write /sys/fs/cgroup/pids.max 5")
    assert own == "0::/" and limit == "33" and write == "EROFS"


def test_nothing_is_left_when_a_limit_fails(ct):
    before = sorted(os.listdir(CGROUPS))
    ct.resources["unified"] = {"memory.max": "words"}
    ct.create("true").refused()
    assert sorted(os.listdir(CGROUPS)) == before


def test_a_full_parent(ct):
    """cgroup.max.descendants: the kernel's EAGAIN is explained."""
    parent = CGROUPS / f"parent-{ct.id}"
    parent.mkdir()
    try:
        (parent / "cgroup.max.descendants").write_text("0")
        ct.linux["cgroupsPath"] = f"/parent-{ct.id}/{ct.id}"
        ct.create("true").refused("descendants|depth")
        assert [entry.name for entry in parent.iterdir() if entry.is_dir()] == []
    finally:
        subprocess.run(["rmdir", parent], check=True)
