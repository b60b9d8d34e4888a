"""`update`: limits of containers that run, at once and for the next start; restart policy and environment; all or nothing."""

import os
import pathlib
import re
import shutil
import signal
import subprocess

import pytest

from host import wait_for
from test_run_limits import controller, value

KEPT = "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"


def limits(berth, name):
    return {key: found for key, found in berth.inspect(name, "HostConfig").items() if key in FIELDS}


FIELDS = [
    "Memory", "MemoryReservation", "MemorySwap", "NanoCpus", "CpuShares", "CpuPeriod", "CpuQuota", "CpusetCpus", "CpusetMems", "PidsLimit", "BlkioWeight",
]  # fmt: skip

ROWS = [
    (["--memory", "64m", "--memory-swap", "96m"], "memory", "memory.limit_in_bytes", "memory.max", "67108864", "67108864", {"Memory": 64 << 20, "MemorySwap": 96 << 20}),
    (["-m", "64m"], "memory", "memory.memsw.limit_in_bytes", "memory.swap.max", "134217728", "67108864", {"Memory": 64 << 20}),
    (["--memory-reservation", "32m"], "memory", "memory.soft_limit_in_bytes", "memory.low", "33554432", "33554432", {"MemoryReservation": 32 << 20}),
    (["--cpus", "0.5"], "cpu", "cpu.cfs_quota_us", "cpu.max", "50000", "50000 100000", {"NanoCpus": 500_000_000}),
    (["--cpu-period", "50000", "--cpu-quota", "20000"], "cpu", "cpu.cfs_quota_us", "cpu.max", "20000", "20000 50000", {"CpuQuota": 20000}),
    (["-c", "512"], "cpu", "cpu.shares", "cpu.weight", "512", None, {"CpuShares": 512}),
    (["--cpuset-cpus", "0"], "cpuset", "cpuset.cpus", "cpuset.cpus", "0", "0", {"CpusetCpus": "0"}),
    (["--cpuset-mems", "0"], "cpuset", "cpuset.mems", "cpuset.mems", "0", "0", {"CpusetMems": "0"}),
    (["--pids-limit", "77"], "pids", "pids.max", "pids.max", "77", "77", {"PidsLimit": 77}),
    (["--pids-limit", "-1"], "pids", "pids.max", "pids.max", "max", "max", {"PidsLimit": -1}),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: " ".join(row[0]))
def test_at_once_and_for_the_next_start(root_berth, row):
    flags, kind, legacy, unified, old, new, told = row
    wanted = old if controller(kind) else new
    if wanted is None:
        pytest.skip("cgroup v1 only")
    if not controller(kind) and kind not in pathlib.Path("/sys/fs/cgroup/cgroup.controllers").read_text().split():
        pytest.skip(f"no controller {kind} here")
    identity = root_berth.up("--name", "one")
    pid = root_berth.pid("one")
    assert root_berth.ok("update", *flags, "one").text == "one"
    assert value(root_berth, identity, kind, legacy, unified) == wanted
    assert root_berth.pid("one") == pid, "it goes on"
    assert told.items() <= limits(root_berth, "one").items()
    root_berth.ok("restart", "-t", "0", "one")
    assert value(root_berth, identity, kind, legacy, unified) == wanted
    assert told.items() <= limits(root_berth, "one").items()


def test_what_is_not_named_stays(root_berth):
    identity = root_berth.up("--memory", "128m", "--pids-limit", "50", "--cpu-quota", "30000", "--cpu-period", "60000")
    root_berth.ok("update", "--cpu-shares", "300", "--memory", "0", identity)
    assert value(root_berth, identity, "memory", "memory.limit_in_bytes", "memory.max") == str(128 << 20)
    assert value(root_berth, identity, "pids", "pids.max", "pids.max") == "50"
    root_berth.ok("update", "--cpu-quota", "20000", identity)
    assert value(root_berth, identity, "cpu", "cpu.cfs_period_us", "cpu.max").split()[-1] == "60000"
    found = limits(root_berth, identity)
    assert (found["Memory"], found["PidsLimit"], found["CpuShares"], found["CpuQuota"], found["CpuPeriod"]) == (128 << 20, 50, 300, 20000, 60000)


def test_one_that_does_not_run(berth):
    berth.ok("create", "--name", "one", "--network", "none", "test", "sh", "-c", "echo $A")
    berth.ok("update", "--memory", "64m", "--cpus", "0.5", "--restart", "on-failure:2", "-e", "A=new", "one")
    found = berth.inspect("one")
    assert (found["HostConfig"]["Memory"], found["HostConfig"]["NanoCpus"]) == (64 << 20, 500_000_000)
    assert found["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 2}
    berth.ok("start", "one")
    berth.ok("wait", "one")
    assert berth.logs("one") == "new\n"


def test_the_limit_is_felt(root_berth):
    """Not only written: what asks for more than is allowed from now on is ended by it."""
    root_berth.up("--name", "one", "--memory", "256m")
    root_berth.ok("exec", "one", "/init", "mem", "100")
    root_berth.ok("update", "--memory", "32m", "--memory-swap", "32m", "one")
    root_berth.call("exec", "one", "/init", "mem", "100").exits(137)
    root_berth.ok("update", "--memory", "256m", "--memory-swap", "256m", "one")
    root_berth.ok("exec", "one", "/init", "mem", "100")


def test_while_paused(root_berth):
    identity = root_berth.up("--name", "one")
    root_berth.ok("pause", "one")
    root_berth.ok("update", "--pids-limit", "9", "one")
    assert value(root_berth, identity, "pids", "pids.max", "pids.max") == "9" and root_berth.status("one") == "paused"
    root_berth.ok("unpause", "one")


def block_device():
    """Some block device that is there; it is never opened."""
    for path in sorted(pathlib.Path("/dev").iterdir()):
        if path.is_block_device():
            return str(path)
    pytest.skip("no block device")


@pytest.mark.parametrize(
    "flag, legacy, key, given, shown, name",
    [
        ("--device-read-bps", "read_bps", "rbps", "1mb", 1 << 20, "BlkioDeviceReadBps"), ("--device-write-bps", "write_bps", "wbps", "10kb", 10240, "BlkioDeviceWriteBps"),
        ("--device-read-iops", "read_iops", "riops", "100", 100, "BlkioDeviceReadIOps"), ("--device-write-iops", "write_iops", "wiops", "7", 7, "BlkioDeviceWriteIOps"),
    ],
)  # fmt: skip
def test_block_devices(root_berth, flag, legacy, key, given, shown, name):
    """Given at the start, changed while it runs, taken away."""
    device = block_device()
    identity = root_berth.up("--name", "one", flag, f"{device}:{given}")
    file = f"blkio.throttle.{legacy}_device"

    def now():
        return value(root_berth, identity, "blkio", file, "io.max")

    assert now().endswith(f" {shown}") or f"{key}={shown}" in now()
    assert root_berth.inspect("one", f"HostConfig.{name}") == [{"Path": device, "Rate": shown}]
    root_berth.ok("update", flag, f"{device}:2000", "one")
    assert now().endswith(" 2000") or f"{key}=2000" in now()
    root_berth.ok("restart", "-t", "0", "one")
    assert now().endswith(" 2000") or f"{key}=2000" in now()
    root_berth.ok("update", flag, f"{device}:0", "one")
    assert now() == "" and root_berth.inspect("one", f"HostConfig.{name}") == []


def test_device_cgroup_rule(root_berth):
    """A node for it can be made and used; without the rule it cannot."""
    if not pathlib.Path("/dev/loop0").is_block_device():
        pytest.skip("no loop device")
    script = "mknod /device b 7 0 && echo made && : < /device && echo opened"
    assert root_berth.run("--cap-add", "MKNOD", "test", "sh", "-c", script).lines == ["made"]
    assert root_berth.run("--cap-add", "MKNOD", "--device-cgroup-rule", "b 7:* r", "test", "sh", "-c", script).check().lines == ["made", "opened"]
    root_berth.up("--name", "one", "--device-cgroup-rule", "b 7:1 r")
    assert root_berth.inspect("one", "HostConfig.DeviceCgroupRules") == ["b 7:1 r"]
    for text in ("x 1:1 r", "c 1 r", "c 1:1 x", "c 1:1", "c 1:1 rr", "c 99999999999:1 r", ""):
        root_berth.call("create", "--device-cgroup-rule", text, "test").fails(125, "invalid device cgroup format")


# Docker's refusals: nothing is changed


@pytest.mark.parametrize(
    "made, flags, pattern",
    [
        (["--memory", "64m"], ["--memory", "256m"], rf"Cannot update container [0-9a-f]{{64}}: {KEPT}"),
        (["--memory", "64m"], ["--memory-swap", "32m"], "Minimum memoryswap limit should be larger than memory limit, see usage"),
        ([], ["--memory", "1m"], "Minimum memory limit allowed is 6MB"), ([], ["--memory-swap", "64m"], "You should always set the Memory limit"),
        (["--memory", "64m"], ["--memory-reservation", "128m"], "can not be less than memory reservation limit"),
        (["--cpus", "0.5"], ["--cpu-quota", "5000"], "CPU Quota cannot be updated as NanoCPUs has already been set"),
        (["--cpus", "0.5"], ["--cpu-period", "5000"], "CPU Period cannot be updated as NanoCPUs has already been set"),
        (["--cpu-quota", "5000"], ["--cpus", "1"], "Nano CPUs cannot be updated as CPU Quota has already been set"),
        (["--cpu-period", "5000"], ["--cpus", "1"], "Nano CPUs cannot be updated as CPU Period has already been set"),
        ([], ["--cpus", "1000"], "Range of CPUs is from 0.01 to"), ([], ["--cpu-period", "5"], "CPU cfs period can not be less than 1ms"),
        ([], ["--cpuset-cpus", "x"], "Invalid value x for cpuset cpus"), ([], ["--cpuset-cpus", "99"], "Requested CPUs are not available - requested 99, available: 0"),
        ([], ["--cpuset-mems", "7"], "Requested memory nodes are not available - requested 7, available: 0"),
        ([], ["--device-read-bps", "/dev/null:1mb"], "no block device"), ([], ["--device-read-bps", "/dev/nosuch:1mb"], "no such file"),
        ([], ["--device-write-iops", "/tmp:1"], "bad format for device path"), ([], ["--device-read-bps", "/dev/sda"], "bad format: /dev/sda"),
        ([], ["--device-read-iops", "/dev/sda:1mb"], "invalid rate for device"), ([], ["--blkio-weight-device", "/dev/sda:5"], "invalid weight for device"),
        (["--rm"], ["--restart", "always"], "Restart policy cannot be updated because AutoRemove is enabled for the container"),
    ],
)  # fmt: skip
def test_refusals(root_berth, made, flags, pattern):
    identity = root_berth.up(*made)
    before = limits(root_berth, identity)
    # What goes with it is not carried out either.
    root_berth.call("update", "--pids-limit", "9", *flags, identity).fails(1, pattern)
    assert limits(root_berth, identity) == before
    assert value(root_berth, identity, "pids", "pids.max", "pids.max") == "2048"


@pytest.mark.parametrize(
    "flags, code, pattern",
    [
        (["--memory", "x"], 125, 'invalid argument "x" for "-m, --memory" flag'), (["--cpus", "x"], 125, "invalid argument"),
        (["--blkio-weight", "5"], 125, "10.*1000"), (["--restart", "sometimes"], 125, "restart"), (["--restart", "always:3"], 125, "retry"),
        (["--env", "=x"], 125, "invalid environment variable"), ([], 1, "you must provide one or more flags when using this command"),
        (["--ulimit", "nofile=5"], 125, "not supported yet: --ulimit"),
    ],
)  # fmt: skip
def test_refusals_of_values(root_berth, flags, code, pattern):
    root_berth.ok("create", "--name", "one", "test", "true")
    root_berth.call("update", *flags, "one").fails(code, pattern)


def test_several(root_berth):
    first, second = root_berth.up("--name", "one"), root_berth.up("--name", "two")
    result = root_berth.call("update", "--pids-limit", "8", "one", "nosuch", "two").fails(1, "no such container: nosuch")
    assert result.lines == ["one", "two"]
    assert all(value(root_berth, name, "pids", "pids.max", "pids.max") == "8" for name in (first, second))


def test_half_of_it_is_nothing(root_berth):
    """The kernel refuses a part after it has taken another: that is taken back."""
    if controller("cpuset") is None:
        pytest.skip("cgroup v1 only: which file comes last")
    identity = root_berth.up("--memory", "64m", "--cpuset-cpus", "0", "--pids-limit", "50")
    words = ["--memory", "128m", "--memory-swap", "128m", "--pids-limit", "9", "--device-read-bps", f"{block_device()}:1mb"]
    # Real-time bandwidth comes after these, and no parent has any to give.
    root_berth.call("update", *words, "--cpu-rt-runtime", "10000", identity).fails(1, "rt_runtime")
    assert value(root_berth, identity, "blkio", "blkio.throttle.read_bps_device", "io.max") == ""
    assert value(root_berth, identity, "memory", "memory.limit_in_bytes", "memory.max") == str(64 << 20)
    assert value(root_berth, identity, "memory", "memory.memsw.limit_in_bytes", "memory.swap.max") == str(128 << 20)
    assert value(root_berth, identity, "pids", "pids.max", "pids.max") == "50"
    assert limits(root_berth, identity)["Memory"] == 64 << 20


# Restart policy


def test_the_supervisor_learns_the_policy(berth):
    berth.up("--name", "one", command=("sh", "-c", "echo run; sleep 1000"))
    berth.ok("update", "--restart", "always", "one")
    assert berth.inspect("one", "HostConfig.RestartPolicy")["Name"] == "always"
    os.kill(berth.pid("one"), signal.SIGKILL)
    wait_for(lambda: berth.inspect("one", "RestartCount") == 1 and berth.status("one") == "running", "its second run")
    berth.ok("update", "--restart", "no", "one")
    os.kill(berth.pid("one"), signal.SIGKILL)
    berth.wait_status("one", "exited")
    assert len(berth.logs("one").splitlines()) == 2


def test_a_restart_by_policy_has_the_new_limits(root_berth):
    """Its supervisor starts it again without anybody asking the database."""
    identity = root_berth.up("--name", "one", "--restart", "always", command=("sh", "-c", "echo A=$A B=$B; sleep 1000"))
    root_berth.ok("update", "--memory", "64m", "--pids-limit", "33", "-e", "A=new", "one")
    assert root_berth.logs("one") == "A= B=\n", "the environment of a run does not change"
    os.kill(root_berth.pid("one"), signal.SIGKILL)
    wait_for(lambda: root_berth.inspect("one", "RestartCount") == 1 and root_berth.status("one") == "running", "its second run")
    assert value(root_berth, identity, "memory", "memory.limit_in_bytes", "memory.max") == str(64 << 20)
    assert value(root_berth, identity, "pids", "pids.max", "pids.max") == "33"
    wait_for(lambda: root_berth.logs("one") == "A= B=\nA=new B=\n", "the new environment")


# Environment


def test_environment_of_the_next_start(berth):
    berth.ok("run", "--name", "one", "--network", "none", "-e", "A=1", "-e", "B=2", "test", "sh", "-c", "echo A=$A B=$B C=$C D=$D HOME=$HOME")
    berth.ok("update", "-e", "B=x", "--env", "C=y z", "-e", "D", "--unsetenv", "A", "--unsetenv", "NOSUCH", "one", env={"D": "mine"})
    assert {"B=x", "C=y z", "D=mine"} <= set(berth.inspect("one", "Config.Env"))
    assert not any(entry.startswith("A=") for entry in berth.inspect("one", "Config.Env"))
    berth.ok("start", "-a", "one")
    assert berth.logs("one").splitlines() == ["A=1 B=2 C= D= HOME=/root", "A= B=x C=y z D=mine HOME=/root"]


# Users


def test_a_user_without_a_cgroup(user_berth):
    """One sentence, and nothing is changed; what needs no cgroup is."""
    identity = user_berth.up("--name", "one")
    if identity in pathlib.Path(f"/proc/{user_berth.pid('one')}/cgroup").read_text():
        pytest.skip("this user has a delegated cgroup")
    before = limits(user_berth, "one")
    user_berth.call("update", "--memory", "64m", "one").fails(1, "Cannot update container .*: it has no cgroup: .*not delegated.*; type: .*, and start the container again from that shell")
    assert limits(user_berth, "one") == before
    user_berth.ok("update", "--restart", "on-failure", "one")
    assert user_berth.inspect("one", "HostConfig.RestartPolicy")["Name"] == "on-failure"
    user_berth.ok("stop", "-t", "0", "one")
    user_berth.ok("update", "--memory", "64m", "one")


# With another runtime


def test_with_runc(root_berth):
    if not shutil.which("runc"):
        pytest.skip("runc is not installed")
    root_berth.up("--name", "one", "--runtime", "runc")
    root_berth.ok("update", "--pids-limit", "44", "one", timeout=30)
    identity = root_berth.inspect("one", "Id")
    assert value(root_berth, identity, "pids", "pids.max", "pids.max") == "44"
    if controller("cpu"):
        # Where there is cgroup v2 runc passes over it.
        root_berth.call("update", "--cpu-rt-runtime", "10000", "one", timeout=30).fails(1, "Cannot update container")
    assert limits(root_berth, "one")["PidsLimit"] == 44


def test_killed_at_any_time(root_berth):
    """F03: the next command finds a whole definition, and the same words again complete the change."""
    identity = root_berth.up("--name", "one", "--pids-limit", "50")
    for delay in range(0, 40, 4):
        process = root_berth.popen("update", "--pids-limit", "60", "--restart", "always", "one", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(delay / 1000)
        except subprocess.TimeoutExpired:
            process.kill()
        process.wait()
        assert root_berth.inspect("one", "HostConfig.PidsLimit") in (50, 60)
        assert re.fullmatch("50|60", value(root_berth, identity, "pids", "pids.max", "pids.max"))
        root_berth.ok("update", "--pids-limit", "60", "--restart", "always", "one")
        assert value(root_berth, identity, "pids", "pids.max", "pids.max") == "60"
        assert root_berth.inspect("one", "HostConfig.RestartPolicy.Name") == "always"
        root_berth.ok("update", "--pids-limit", "50", "--restart", "no", "one")
        assert value(root_berth, identity, "pids", "pids.max", "pids.max") == "50"
    assert root_berth.status("one") == "running"
