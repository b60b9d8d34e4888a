"""pause, resume, update, events, ps: a running container under control."""

import json
import os
import select
import subprocess

import pytest

from host import CGROUPS, CGROUP_V2, cgroup_value, wait_for


@pytest.fixture
def ct(root_ct):
    """Limits need root here: no controller is delegated to an ordinary user on a v1 host."""
    return root_ct


def test_pause_and_resume(ct):
    ct.up("pause ignore")
    ct.call("pause", ct.id).check()
    assert ct.status == "paused"
    ct.kill("HUP").check()
    ct.call("resume", ct.id).check()
    assert ct.status == "running"
    ct.wait_log("^signal HUP$")


def test_pause_twice_and_resume_of_a_running_container(ct):
    ct.up()
    ct.call("resume", ct.id).refused("paused")
    ct.call("pause", ct.id).check()
    ct.call("pause", ct.id).refused("pause|running")
    ct.call("resume", ct.id).check()


def test_a_paused_container_can_be_killed(ct):
    """KILL reaches it: the runtime thaws it for that."""
    ct.up()
    ct.call("pause", ct.id).check()
    ct.kill("KILL").check()
    if ct.status == "paused":
        ct.call("resume", ct.id).check()
    ct.wait_status("stopped")


def test_a_paused_container_can_be_deleted_by_force(ct):
    ct.up()
    ct.call("pause", ct.id).check()
    ct.delete("--force").check()
    ct.assert_clean()


def test_exec_in_a_paused_container_is_refused(ct):
    """It would hang until somebody resumes."""
    ct.up()
    ct.call("pause", ct.id).check()
    ct.exec("true").refused("paused")
    ct.call("resume", ct.id).check()
    assert ct.exec("echo fine").out == "fine\n"


def test_pause_of_an_ordinary_users_container(user_ct):
    """Without a cgroup of its own there is nothing to freeze: say so."""
    user_ct.up()
    result = user_ct.call("pause", user_ct.id)
    if result.ok:
        assert user_ct.status == "paused"
        user_ct.call("resume", user_ct.id).check()
    else:
        result.refused("cgroup|freez|paus")
    assert user_ct.status == "running"


def test_update_by_flags(ct):
    ct.resources["memory"] = {"limit": 64 << 20}
    ct.up()
    cpusets = not CGROUP_V2 or "cpuset" in (CGROUPS / "cgroup.controllers").read_text().split()
    ct.call(
        "update", "--memory", str(48 << 20), "--pids-limit", "33", "--cpu-share", "256", "--cpu-quota", "40000", "--cpu-period", "80000",
        *(["--cpuset-cpus", "0"] if cpusets else []), "--memory-reservation", str(16 << 20), ct.id,
    ).check()  # fmt: skip
    assert cgroup_value(ct, "memory", "memory.limit_in_bytes", "memory.max") == str(48 << 20)
    assert cgroup_value(ct, "memory", "memory.soft_limit_in_bytes", "memory.low") == str(16 << 20)
    assert cgroup_value(ct, "pids", "pids.max", "pids.max") == "33"
    if cpusets:
        assert cgroup_value(ct, "cpuset", "cpuset.cpus", "cpuset.cpus") == "0"
    if CGROUP_V2:
        assert cgroup_value(ct, "cpu", "", "cpu.max") == "40000 80000"
    else:
        assert cgroup_value(ct, "cpu", "cpu.shares") == "256"
        assert cgroup_value(ct, "cpu", "cpu.cfs_quota_us") == "40000" and cgroup_value(ct, "cpu", "cpu.cfs_period_us") == "80000"


@pytest.mark.parametrize("how", ["stdin", "file"])
def test_update_by_document(ct, how):
    ct.up()
    document = '{"memory": {"limit": 50331648}, "pids": {"limit": 21}, "cpu": {"shares": 300}}'
    if how == "stdin":
        ct.call("update", "--resources", "-", ct.id, stdin=document).check()
    else:
        ct.call("update", "-r", ct.file("resources.json", document), ct.id).check()
    assert cgroup_value(ct, "memory", "memory.limit_in_bytes", "memory.max") == "50331648"
    assert cgroup_value(ct, "pids", "pids.max", "pids.max") == "21"


def test_update_leaves_the_rest_alone(ct):
    ct.resources["memory"] = {"limit": 64 << 20}
    ct.resources["pids"] = {"limit": 50}
    ct.linux["devices"] = [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o666}]
    ct.up()
    ct.call("update", "--pids-limit", "60", ct.id).check()
    assert cgroup_value(ct, "memory", "memory.limit_in_bytes", "memory.max") == str(64 << 20)
    assert cgroup_value(ct, "pids", "pids.max", "pids.max") == "60"
    assert ct.exec("open rw /dev/fuse").out.strip() == "EPERM"


def test_update_beyond_use_is_refused(ct):
    ct.up()
    before = cgroup_value(ct, "memory", "memory.limit_in_bytes", "memory.max")
    ct.call("update", "--cpuset-cpus", "4000", ct.id).refused()
    assert cgroup_value(ct, "memory", "memory.limit_in_bytes", "memory.max") == before
    assert ct.status == "running"


def test_update_of_nonsense(ct):
    ct.up()
    ct.call("update", "--memory", "words", ct.id).refused()
    ct.call("update", "--resources", "-", ct.id, stdin="{").refused()


def test_events_stats(ct):
    ct.resources["memory"] = {"limit": 64 << 20}
    ct.up("family 2")
    event = json.loads(ct.call("events", "--stats", ct.id).check().out)
    assert event["type"] == "stats" and event["id"] == ct.id
    data = event["data"]
    assert data["memory"]["usage"]["limit"] == 64 << 20
    assert data["memory"]["usage"]["usage"] > 0
    assert data["pids"]["current"] == 3
    assert data["cpu"]["usage"]["total"] > 0


def test_events_stream(ct):
    ct.up()
    process = ct.popen("events", "--interval", "100ms", ct.id, stdout=subprocess.PIPE)
    try:
        lines = [json.loads(process.stdout.readline()) for _ in range(2)]
        assert [line["type"] for line in lines] == ["stats", "stats"]
        ct.delete("--force").check()
        process.wait(10)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_events_oom(ct):
    ct.resources["memory"] = {"limit": 32 << 20}
    ct.up()
    process = ct.popen("events", "--interval", "10s", ct.id, stdout=subprocess.PIPE)
    try:
        wait_for(lambda: os.path.exists(f"/proc/{process.pid}/fd") and len(os.listdir(f"/proc/{process.pid}/fd")) > 5, "events to listen")
        seen = []
        for _ in range(20):
            ct.exec("mem 200")
            if select.select([process.stdout], [], [], 0.5)[0]:
                seen.append(json.loads(process.stdout.readline())["type"])
                if "oom" in seen:
                    break
        assert "oom" in seen
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_ps(ct):
    if subprocess.run(["ps", "-ef"], capture_output=True).returncode != 0:
        pytest.skip("ps(1) does not work here: it needs the boot time, and User-Mode Linux does not tell it")
    ct.up("family 2")
    pids = json.loads(ct.call("ps", "--format", "json", ct.id).check().out)
    assert sorted(pids) == sorted(ct.processes()) and len(pids) == 3
    table = ct.call("ps", ct.id).check().out.splitlines()
    assert "PID" in table[0] and len(table) == 4
    assert str(ct.pid) in ct.call("ps", ct.id, "-o", "pid,comm").check().out
