"""berth-runtime under containerd's runc shim (io.containerd.runc.v2), by ctr."""

import os
import pathlib
import re
import shutil
import secrets

import pytest

from host import wait_for


@pytest.fixture
def name():
    return "bt" + secrets.token_hex(5)


def test_output_and_exit_codes(containerd, name):
    result = containerd.run(name=name, command=["sh", "-c", "echo out; echo err >&2; exit 7"])
    assert (result.code, result.out) == (7, "out\n") and "err" in result.err
    assert containerd.run(name=name + "b", command=["/no/such/program"]).refused("no/such/program")


def test_terminal(containerd, name):
    with containerd.peer.terminal(*containerd.run_words("--rm", "-t", name=name, command=["sh", "-c", "tty; read x; echo got $x; exit 3"])) as (terminal, process):
        terminal.read_until("/dev/pts/0")
        terminal.write("that\n")
        terminal.read_until("got that")
        assert process.wait(20) == 3


def test_settings(containerd, name):
    out = containerd.run(
        "--read-only", "--seccomp", "--cap-drop", "CAP_CHOWN", "--cwd", "/tmp", "--env", "A=b", "--no-pivot", "--mount",
        f"type=bind,src={containerd.base},dst=/mnt,options=rbind:ro", name=name,
        command=["sh", "-c", "grep -c 'Seccomp:.2' /proc/self/status; pwd; echo $A; touch /x || echo refused; ls /mnt; grep CapBnd /proc/self/status"],
    ).check().out  # fmt: skip
    assert out.startswith("1\n/tmp\nb\nrefused\n") and "config.toml" in out
    assert int(re.search(r"CapBnd:\t(\w+)", out)[1], 16) & 1 == 0


def test_user_namespace(containerd, name):
    """ctr maps ids, and remaps the snapshot's owners itself."""
    out = containerd.run("--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536", name=name, command=["cat", "/proc/self/uid_map"]).check().out
    assert out.split() == ["0", "100000", "65536"]


def test_limits_and_update(containerd, name):
    containerd.up("--memory-limit", str(64 << 20), "--cpus", "0.5", name=name)
    pid, status = containerd.task(name)
    assert status == "RUNNING"
    places = dict(line.split(":", 2)[1:] for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines())
    memory = pathlib.Path("/sys/fs/cgroup/memory" + places["memory"])
    assert name in str(memory) and (memory / "memory.limit_in_bytes").read_text().strip() == str(64 << 20)
    assert "memory.usage_in_bytes" in containerd.ok("task", "metrics", name)


def test_exec(containerd, name):
    containerd.up(name=name)
    assert containerd.ok("task", "exec", "--exec-id", "a", name, "sh", "-c", "echo inside; id -u") == "inside\n0"
    assert containerd.call("task", "exec", "--exec-id", "b", name, "sh", "-c", "exit 9").code == 9
    assert containerd.ok("task", "exec", "--exec-id", "c", "--user", "1000:1000", "--cwd", "/tmp", name, "sh", "-c", "id -u; pwd") == "1000\n/tmp"
    with containerd.peer.terminal("task", "exec", "-t", "--exec-id", "d", name, "tty") as (terminal, process):
        terminal.read_until("/dev/pts/")
        assert process.wait(20) == 0
    containerd.call("task", "exec", "--exec-id", "e", name, "/no/such").refused("no such file|not found")


def test_pause_kill_and_delete(containerd, name):
    containerd.up(name=name)
    pid, _ = containerd.task(name)
    containerd.ok("task", "pause", name)
    assert containerd.task(name)[1] == "PAUSED"
    containerd.ok("task", "resume", name)
    assert containerd.task(name)[1] == "RUNNING"
    assert str(pid) in containerd.ok("task", "ps", name)
    containerd.ok("task", "kill", "-s", "SIGKILL", name)
    wait_for(lambda: containerd.task(name)[1] == "STOPPED", "the task to stop")
    assert containerd.call("task", "delete", name).code in (0, 137)
    containerd.ok("container", "delete", name)
    assert not os.path.exists(f"/proc/{pid}")
    wait_for(lambda: not [command for command in containerd.processes().values() if name in command], "the shim to end")
    wait_for(lambda: containerd.peer.cgroups(name) == [], "the cgroups to go")
    assert [target for target in containerd.peer.mounts() if name in target] == []


def test_kill_all(containerd, name):
    containerd.up(name=name, command=("/init", "family", "3"))
    containerd.ok("task", "kill", "--all", "-s", "SIGKILL", name)
    wait_for(lambda: containerd.task(name)[1] == "STOPPED", "the task to stop")


def test_checkpoint_without_criu(containerd, name):
    if shutil.which("criu"):
        pytest.skip("this host has criu")
    containerd.up(name=name)
    containerd.call("task", "checkpoint", name, "--image-path", str(containerd.base / "checkpoint")).refused("checkpoint")
    assert containerd.task(name)[1] == "RUNNING"


def test_out_of_memory(containerd, name):
    result = containerd.run("--memory-limit", str(32 << 20), name=name, command=["/init", "run", "/init", "mem", "256"])
    assert "signal 9" in result.out or result.code == 137


def test_the_shims_log(containerd, name):
    """Errors of the runtime reach the caller through the shim's JSON log, in our words."""
    result = containerd.run("--cwd", "/etc/passwd", name=name, command=["true"])
    assert result.code != 0 and re.search(r"passwd|directory", result.err), result.err
