"""The berth command on a host with cgroup v2 only."""

import json
import pathlib

import pytest

from host import CGROUPS, wait_for


def place(berth, name):
    """The container's cgroup."""
    path = pathlib.Path(f"/proc/{berth.pid(name)}/cgroup").read_text().strip().removeprefix("0::")
    return pathlib.Path(str(CGROUPS) + path)


def test_limits(root_berth):
    name = root_berth.up("-m", "64m", "--memory-swap", "96m", "--cpus", "0.5", "--pids-limit", "77", "--memory-reservation", "32m", "--cpu-shares", "512")
    cgroup = place(root_berth, name)
    values = {file: (cgroup / file).read_text().strip() for file in ("memory.max", "memory.swap.max", "cpu.max", "pids.max", "memory.low")}
    assert values == {
        "memory.max": str(64 << 20), "memory.swap.max": str(32 << 20), "cpu.max": "50000 100000", "pids.max": "77",
        "memory.low": str(32 << 20),
    }  # fmt: skip
    root_berth.ok("rm", "-f", name)
    wait_for(lambda: not cgroup.exists(), "the cgroup to go")


def test_oom_killed(root_berth):
    """137, OOMKilled true; the supervisor lives outside of the limit."""
    name = root_berth.detached("-m", "24m", "test", "/init", "mem", "200")
    assert root_berth.ok("wait", name).text == "137"
    state = root_berth.inspect(name, "State")
    assert state["OOMKilled"] is True and state["ExitCode"] == 137
    root_berth.run("-m", "24m", "test", "/init", "mem", "200").exits(137)
    root_berth.ok("rm", name)
    root_berth.assert_clean(name)


def test_a_kill_is_no_oom(root_berth):
    name = root_berth.up("-m", "64m")
    root_berth.ok("kill", name)
    root_berth.ok("wait", name)
    assert root_berth.inspect(name, "State.OOMKilled") is False


def test_pause_and_unpause(root_berth):
    name = root_berth.up()
    root_berth.ok("pause", name)
    assert root_berth.status(name) == "paused" and "frozen 1" in (place(root_berth, name) / "cgroup.events").read_text()
    root_berth.ok("unpause", name)
    assert root_berth.status(name) == "running"
    root_berth.ok("pause", name)
    root_berth.ok("rm", "-f", name)
    root_berth.assert_clean(name)


def test_exec_is_under_the_limits(root_berth):
    name = root_berth.up("-m", "32m", "--pids-limit", "20")
    root_berth.call("exec", name, "/init", "mem", "200").exits(137)
    assert "EAGAIN" in root_berth.call("exec", name, "/init", "fork", "50").out
    assert root_berth.status(name) == "running"


def test_the_container_sees_its_own_cgroup(root_berth):
    """A private cgroup namespace and a read-only view, as Docker on v2."""
    out = root_berth.sh("-m", "64m", "cat /proc/self/cgroup; cat /sys/fs/cgroup/memory.max; echo 1 2>/dev/null > /sys/fs/cgroup/pids.max || echo no").check().lines
    assert out == ["0::/", str(64 << 20), "no"]


def test_cgroup_parent(root_berth):
    name = root_berth.up("--cgroup-parent", "/berth-parent")
    assert place(root_berth, name).parent == CGROUPS / "berth-parent"
    root_berth.ok("rm", "-f", name)


def test_privileged_devices(root_berth):
    """--privileged has no device program, a plain container has."""
    assert root_berth.run("--privileged", "test", "/init", "open", "r", "/dev/kmsg").check().text == "ok"
    assert "ok" not in root_berth.sh("--cap-add", "MKNOD", "mknod /tmp/k c 1 11 && head -c 1 /tmp/k && echo ok").out
    assert root_berth.run("--device", "/dev/kmsg:/dev/kmsg:r", "test", "/init", "open", "r", "/dev/kmsg").check().text == "ok"


def test_limits_without_delegation(user_berth):
    """As an ordinary user without delegation: an error or a warning, never silence."""
    result = user_berth.run("-m", "64m", "test", "true")
    assert "cgroup" in result.err or "delegat" in result.err


def test_limits_with_delegation(delegated, user_berth):
    name = user_berth.up("-m", "32m", "--pids-limit", "30", "--cpus", "0.5")
    cgroup = place(user_berth, name)
    assert str(cgroup).startswith(str(delegated))
    assert (cgroup / "memory.max").read_text().strip() == str(32 << 20)
    user_berth.call("exec", name, "/init", "mem", "200").exits(137)
    user_berth.ok("pause", name)
    assert user_berth.status(name) == "paused"
    user_berth.ok("unpause", name)
    user_berth.ok("rm", "-f", name)
    wait_for(lambda: not cgroup.exists(), "the cgroup to go")


def test_oom_killed_with_delegation(delegated, user_berth):
    name = user_berth.detached("-m", "24m", "test", "/init", "mem", "200")
    assert user_berth.ok("wait", name).text == "137"
    assert user_berth.inspect(name, "State.OOMKilled") is True


@pytest.mark.parametrize("flag", [["--cpuset-cpus", "0"], ["--blkio-weight", "300"], ["--memory-swappiness", "10", "-m", "32m"]], ids=lambda flag: flag[0])
def test_what_this_host_cannot_do(root_berth, flag):
    """A controller or a file that v2 or this kernel lacks: said, never silent."""
    result = root_berth.run(*flag, "test", "true")
    assert result.err.strip(), f"{flag}: exit {result.code} without a word"


def test_info_tells_the_version(root_berth):
    text = root_berth.ok("info", "--format", "{{json .}}").out
    assert json.loads(text)["CgroupVersion"] == "2"


def test_update(root_berth):
    """Limits of a running container; what a controller is missing for changes nothing of the rest."""
    name = root_berth.up("-m", "128m")
    cgroup = place(root_berth, name)

    def values():
        return {file: (cgroup / file).read_text().strip() for file in ("memory.max", "memory.swap.max", "cpu.max", "pids.max")}

    root_berth.ok("update", "-m", "64m", "--memory-swap", "96m", "--cpus", "0.5", "--pids-limit", "77", name)
    wanted = {"memory.max": str(64 << 20), "memory.swap.max": str(32 << 20), "cpu.max": "50000 100000", "pids.max": "77"}
    assert values() == wanted
    root_berth.call("update", "-m", "80m", "--cpuset-cpus", "0", name).fails(1, "Cannot update container .*cpuset")
    root_berth.call("update", "-m", "80m", "--cpu-rt-runtime", "1000", name).fails(1, "Cannot update container .*real-time")
    assert values() == wanted and root_berth.inspect(name, "HostConfig.Memory") == 64 << 20
    root_berth.ok("update", "--pids-limit", "-1", name)
    assert values() == wanted | {"pids.max": "max"}
    root_berth.ok("rm", "-f", name)


def test_stats(root_berth):
    """Processor, memory without inactive page cache, tasks."""
    script = "dd if=/dev/zero of=/dev/shm/file bs=1M count=20 2>/dev/null; echo ready; "
    root_berth.up("--name", "busy", "-m", "200m", command=("sh", "-c", script + "while :; do :; done"))
    root_berth.up("--name", "idle")
    root_berth.wait_log("busy", "ready")
    rows = {row["Name"]: row for row in map(json.loads, root_berth.ok("stats", "--no-stream", "--format", "json", timeout=30).lines)}
    assert 50 < float(rows["busy"]["CPUPerc"].rstrip("%")) < 130 and float(rows["idle"]["CPUPerc"].rstrip("%")) < 10
    used, limit = rows["busy"]["MemUsage"].split(" / ")
    assert limit == "200MiB" and 20 < float(used.removesuffix("MiB")) < 35
    assert rows["busy"]["PIDs"] == rows["idle"]["PIDs"] == "1" and rows["idle"]["NetIO"] == "0B / 0B"
    root_berth.ok("rm", "-f", "busy", "idle")
