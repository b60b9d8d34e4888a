"""Limits: cgroups as root; as an ordinary user without delegated cgroups one line says that they are left out."""

import os
import pathlib
import re

import pytest

from host import host_mounts


def controller(name):
    """The v1 directory of a controller, or None where it is in the v2 tree."""
    for mount in host_mounts():
        if mount.type == "cgroup" and name in mount.super_options:
            return pathlib.Path(mount.target)
    return None


def value(berth, identity, kind, legacy, unified):
    """A limit of a container as the host sees it."""
    base = controller(kind)
    # Cgroups of other tests go while these are listed: rglob() would raise.
    found = [path for path, _, _ in os.walk(base or "/sys/fs/cgroup") if identity in os.path.basename(path)]
    assert len(found) == 1 or not base, found
    return pathlib.Path(found[0], legacy if base else unified).read_text().strip()


ROWS = [
    (["--memory", "64m"], "memory", "memory.limit_in_bytes", "memory.max", "67108864", "67108864"),
    (["--memory", "64m", "--memory-reservation", "32m"], "memory", "memory.soft_limit_in_bytes", "memory.low", "33554432", "33554432"),
    (["--cpus", "0.5"], "cpu", "cpu.cfs_quota_us", "cpu.max", "50000", "50000 100000"),
    (["--cpu-period", "50000", "--cpu-quota", "20000"], "cpu", "cpu.cfs_quota_us", "cpu.max", "20000", "20000 50000"),
    (["--cpu-shares", "512"], "cpu", "cpu.shares", "cpu.weight", "512", None),
    (["--cpuset-cpus", "0"], "cpuset", "cpuset.cpus", "cpuset.cpus", "0", "0"),
    (["--cpuset-mems", "0"], "cpuset", "cpuset.mems", "cpuset.mems", "0", "0"),
    (["--pids-limit", "77"], "pids", "pids.max", "pids.max", "77", "77"),
    ([], "pids", "pids.max", "pids.max", "2048", "2048"),
    (["--pids-limit", "-1"], "pids", "pids.max", "pids.max", "max", "max"),
    (["--memory-swappiness", "10", "--memory", "32m"], "memory", "memory.swappiness", None, "10", None),
    (["--oom-kill-disable", "--memory", "32m"], "memory", "memory.oom_control", None, "oom_kill_disable 1", None),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: " ".join(row[0]) or "defaults")
def test_limits(root_berth, row):
    flags, kind, legacy, unified, old, new = row
    if controller(kind) is None and (unified is None or new is None):
        pytest.skip("cgroup v1 only")
    identity = root_berth.up(*flags)
    found = value(root_berth, identity, kind, legacy, unified)
    assert (old if controller(kind) else new) in found.splitlines()


def test_block_io_weight(root_berth):
    """bfq shows the weight when the kernel has it; without it a warning, or an error that says so."""
    result = root_berth.run("--blkio-weight", "300", "test", "true")
    assert result.code == 0 or "weight" in result.err
    root_berth.run("--blkio-weight", "5", "test", "true").fails(125, "10.*1000")


LIES = [
    ("--memory", "-5"), ("--memory", "x"), ("--memory", "1k"), ("--cpus", "-1"), ("--cpus", "x"), ("--cpus", "1000"), ("--cpuset-cpus", "99"), ("--cpuset-cpus", "a"),
    ("--pids-limit", "x"), ("--memory-swappiness", "101"), ("--memory-reservation", "x"), ("--cpu-period", "5"), ("--cpu-quota", "5"),
    ("--oom-score-adj", "1001"), ("--oom-score-adj", "x"), ("--shm-size", "x"), ("--ulimit", "nosuch=1"), ("--ulimit", "nofile"),
    ("--ulimit", "nofile=5:1"), ("--ulimit", "nofile=x"), ("--stop-timeout", "x"), ("--stop-signal", "NOSUCH"), ("--stop-signal", "0"), ("--restart", "sometimes"),
    ("--restart", "on-failure:x"), ("--restart", "always:3"), ("--log-opt", "nosuch=1"), ("--log-opt", "max-size=x"), ("--detach-keys", "ctrl-"),
    ("--cpuset-mems", "77"), ("--memory-swap", "x"),
]  # fmt: skip


@pytest.mark.parametrize("words", LIES, ids=" ".join)
def test_values_that_are_none(root_berth, words):
    root_berth.run(*words, "test", "true").fails(125)
    root_berth.assert_clean()


def test_swap_below_memory(root_berth):
    root_berth.run("--memory", "64m", "--memory-swap", "32m", "test", "true").fails(125, "swap")
    root_berth.run("--memory-swap", "64m", "test", "true").fails(125, "memory")


def test_memory_kills(root_berth):
    """F13: 137, OOMKilled true, and the supervisor lives outside the limit."""
    name = root_berth.detached("--memory", "24m", "test", "/init", "mem", "200")
    assert root_berth.ok("wait", name).text == "137"
    state = root_berth.inspect(name, "State")
    assert state["OOMKilled"] is True and state["ExitCode"] == 137 and state["Status"] == "exited"
    root_berth.run("--memory", "24m", "test", "/init", "mem", "200").exits(137)


def test_a_child_that_memory_kills(root_berth):
    """Only the child dies; the container lives on."""
    name = root_berth.up("--memory", "24m")
    root_berth.call("exec", name, "/init", "mem", "200").exits(137)
    assert root_berth.status(name) == "running"


def test_oom_is_not_claimed_for_a_kill(berth):
    name = berth.up()
    berth.ok("kill", name)
    berth.ok("wait", name)
    assert berth.inspect(name, "State.OOMKilled") is False and berth.inspect(name, "State.ExitCode") == 137


def test_the_supervisor_is_outside(root_berth):
    name = root_berth.up("--memory", "64m")
    supervisor = root_berth.supervisor(name)
    assert name not in pathlib.Path(f"/proc/{supervisor}/cgroup").read_text()


def test_pids_limit_holds(root_berth):
    """F30"""
    name = root_berth.detached("--pids-limit", "20", "test", "/init", "family", "100")
    root_berth.wait_log(name, r"children \d+\nready")
    assert re.search(r"children (\d+)", root_berth.logs(name))[1] == "19", "the limit counts the first process too"
    assert value(root_berth, name, "pids", "pids.current", "pids.current") == "20"
    # The container is full, and can be ended all the same.
    root_berth.ok("stop", "-t", "0", name)
    root_berth.ok("rm", name)
    root_berth.assert_clean(name)


def test_a_cgroup_parent(root_berth):
    parent = f"/berth-parent-{root_berth.mark}"
    name = root_berth.up("--cgroup-parent", parent)
    text = pathlib.Path(f"/proc/{root_berth.pid(name)}/cgroup").read_text()
    assert f"{parent}/" in text and name in text
    root_berth.ok("rm", "-f", name)
    root_berth.assert_clean(name)
    for mount in host_mounts():
        if mount.type in ("cgroup", "cgroup2"):
            path = pathlib.Path(mount.target + parent)
            if path.exists():
                path.rmdir()


@pytest.mark.parametrize("parent", ["../../../escape", "/../escape", "a/../../b"])
def test_s10_a_cgroup_parent_stays_in_the_hierarchy(root_berth, parent):
    result = root_berth.run("--cgroup-parent", parent, "test", "true")
    assert not os.path.exists("/sys/fs/escape") and not os.path.exists("/sys/escape")
    for mount in host_mounts():
        if mount.type in ("cgroup", "cgroup2"):
            for name in ("escape", "b", "a"):
                path = pathlib.Path(mount.target) / name
                if path.exists():
                    path.rmdir()
    assert result.code in (0, 125)


def test_an_ordinary_user_without_delegation_is_told(user_berth):
    result = user_berth.run("--memory", "64m", "test", "echo", "ran").check()
    if "cgroup" in pathlib.Path("/sys/fs/cgroup").name and os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        pytest.skip("a v2 host may have delegated cgroups")
    assert result.text == "ran"
    assert len(result.err.splitlines()) == 1 and "WARNING" in result.err and "delegat" in result.err.lower()
    assert user_berth.run("test", "true").check().err == "", "no warning when no limit was asked for"


def test_pause_without_a_delegated_cgroup_says_what_to_type(user_berth):
    name = user_berth.up("--name", "thaws")
    if name in pathlib.Path(f"/proc/{user_berth.pid(name)}/cgroup").read_text():
        pytest.skip("this user has delegated cgroups")
    result = user_berth.call("pause", "thaws").fails(1, "cannot pause container thaws", "delegated", "type: .*(sudo|systemd-run)")
    assert len(result.err.splitlines()) == 1
    assert user_berth.status(name) == "running"


def test_ulimits(berth):
    out = berth.sh("--ulimit", "nofile=100:200", "--ulimit", "core=0", "--ulimit", "fsize=4096", "ulimit -n; ulimit -Hn; ulimit -c; cat /proc/self/limits").check()
    assert out.lines[:3] == ["100", "200", "0"]
    assert re.search(r"Max file size +4096 +4096", out.out)


def test_ulimits_are_clamped_to_what_may_be_set(berth):
    """Hard limits above our own cannot be set without CAP_SYS_RESOURCE."""
    result = berth.run("--ulimit", "nofile=2000000000", "test", "sh", "-c", "ulimit -n")
    assert result.code in (0, 125)


def test_exec_has_the_same_ulimits(berth):
    name = berth.up("--ulimit", "nofile=99:99")
    assert berth.ok("exec", name, "sh", "-c", "ulimit -n").text == "99"


@pytest.mark.parametrize("score", [0, 500, 1000])
def test_oom_score(berth, score):
    assert berth.run("--oom-score-adj", score, "test", "cat", "/proc/self/oom_score_adj").check().text == str(score)


def test_a_negative_oom_score_is_best_effort(berth):
    result = berth.run("--oom-score-adj", "-500", "test", "cat", "/proc/self/oom_score_adj").check()
    assert int(result.text) <= 0
