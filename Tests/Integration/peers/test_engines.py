"""berth-runtime as the OCI runtime of podman (root and rootless) and dockerd: what a person does with a container."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import pytest

from host import wait_for

# run


def test_the_runtime_is_ours(engine):
    """No other runtime is called behind our back."""
    name = engine.up()
    told = engine.inspect(name, "OCIRuntime") if engine.kind == "podman" else engine.inspect(name, "HostConfig", "Runtime")
    assert told == "berth"
    states = [path for path in pathlib.Path("/proc").glob("[0-9]*/cmdline") if str(engine.runtime).encode() in read(path)]
    assert engine.kind == "docker" or states, "conmon names the runtime in its command line"


def read(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_run_by_path(podman):
    """`--runtime PATH`, as the documentation says."""
    words = podman.words("run", "--name", "by-path", "--network", "none", "test", "echo", "by path")
    at = words.index("run")
    result = subprocess.run(
        [*words[:at], "--runtime", str(podman.runtime), *words[at:]], env=podman.environment, cwd="/", capture_output=True, text=True,
        user=podman.who.uid, group=podman.who.gid, extra_groups=[], timeout=60,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    # From the log: podman's own attach has been seen to miss the output of a program that ends at once.
    assert podman.ok("logs", "by-path") == "by path"


def test_output_and_exit_codes(engine):
    result = engine.run("test", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (result.code, result.out) == (7, "out\n") and "err\n" in result.err
    assert engine.run("-i", "test", "cat", stdin="through\n").out == "through\n"
    assert engine.run("test", "sh", "-c", "sh -c 'kill -9 $$'; exit $?").code == 137


def test_programs_that_are_not_there(engine):
    missing = engine.run("test", "/no/such/program")
    assert missing.code == 127 and "/no/such/program" in missing.err
    directory = engine.run("test", "/etc")
    assert directory.code == 126, directory.err
    assert engine.run("-w", "/etc/passwd", "test", "true").code in (125, 126, 127)


def test_terminal(engine):
    """-it: a real terminal of the right size, in both directions."""
    with engine.terminal("run", "--rm", "-it", "--network", "none", "test", "sh") as (terminal, process):
        terminal.resize(33, 111)
        terminal.read_until("[#$] ")
        terminal.write("echo mar''ker; tty\n")
        terminal.read_until(r"marker\r\n/dev/pts/0")
        wait_for(lambda: terminal.write("stty size; echo do''ne\n") or "33 111" in terminal.read_until(r"(\d+ \d+)\r\ndone")[0] or clear(terminal), "the size")
        terminal.write("exit 5\n")
        assert process.wait(20) == 5


def clear(terminal):
    terminal.text = ""


def test_process_settings(engine):
    """user, groups, working directory, environment, hostname, capabilities, limits."""
    out = engine.run(
        "-u", "1000:1000", "-w", "/tmp", "-e", "A=b c", "--hostname", "named", "--cap-drop", "ALL", "--cap-add", "NET_RAW", "--group-add", "63",
        "--ulimit", "nofile=77:88", "--security-opt", "no-new-privileges", "test",
        "sh", "-c", 'id; pwd; echo "$A"; hostname; ulimit -n; grep -E "CapBnd|NoNewPrivs" /proc/self/status',
    ).check().out  # fmt: skip
    assert re.search(r"uid=1000.* gid=1000.*63", out) and "\n/tmp\nb c\nnamed\n77\n" in out
    assert f"CapBnd:\t{1 << 13:016x}" in out and "NoNewPrivs:\t1" in out


def test_read_only_root(engine):
    out = engine.run("--read-only", "--tmpfs", "/scratch", "test", "sh", "-c", "echo x > /etc/x || echo refused; echo x > /scratch/x && cat /scratch/x").check().out
    assert out.splitlines()[-2:] == ["refused", "x"]


def test_mounts(engine):
    shared = engine.base / "shared"
    shared.mkdir(exist_ok=True)
    os.chown(shared, engine.who.uid, engine.who.gid)
    (shared / "in").write_text("from the host\n")
    out = engine.run(
        "-v", f"{shared}:/rw", "-v", f"{shared}:/ro:ro", "--mount", "type=tmpfs,destination=/t,tmpfs-size=1048576", "-v", "vol:/vol", "test",
        "sh", "-c", "cat /rw/in; echo y > /rw/out; echo z > /ro/x || echo read-only; df -k /t | tail -1; touch /vol/kept; ls /vol",
    ).check().out  # fmt: skip
    assert out.startswith("from the host\n") and "read-only" in out and re.search(r"\b1024\b", out) and out.endswith("kept\n")
    assert (shared / "out").read_text() == "y\n"
    assert engine.run("-v", "vol:/vol", "test", "ls", "/vol").out == "kept\n"
    engine.ok("volume", "rm", "vol")


def test_devices(root_engine):
    """Only the device that was given, with the access that was given."""
    script = "test -c /dev/thing && head -c 4 /dev/thing | wc -c; (echo x > /dev/thing) 2>/dev/null || echo refused; ls /dev/kmsg 2>/dev/null || echo none"
    out = root_engine.run("--device", "/dev/zero:/dev/thing:r", "test", "sh", "-c", script).check().out.splitlines()
    # /dev/zero itself is one of the standard devices, so the narrower rule of the alias cannot hold; the node is what counts.
    assert out[0] == "4" and out[-1] == "none"
    assert "Operation not permitted" in root_engine.run("--cap-add", "MKNOD", "test", "sh", "-c", "mknod /tmp/k c 1 11; cat /tmp/k").err


def test_privileged(root_engine):
    out = root_engine.run("--privileged", "test", "sh", "-c", "mount -t tmpfs none /tmp && echo mounted; ls /dev | wc -l").check().out.split()
    assert out[0] == "mounted" and int(out[1]) > 20


def test_init(engine):
    """A small init is PID 1, passes signals on and reaps."""
    if not any(os.path.exists(path) for path in ("/usr/bin/docker-init", "/usr/libexec/podman/catatonit")):
        pytest.skip("neither docker-init nor catatonit is installed")
    out = engine.run("--init", "test", "sh", "-c", "cat /proc/1/comm; echo $$").check().out.split()
    assert out[0] in ("docker-init", "catatonit", "tini", "podman-init") and out[1] != "1"


def test_namespaces_of_others(engine):
    first = engine.up("--hostname", "first", "--ipc", "shareable")
    out = engine.run("--pid", f"container:{first}", "--ipc", f"container:{first}", "--uts", "host", "test", "sh", "-c", "ps; hostname").check().out
    assert "sleep 1000" in out and os.uname().nodename in out
    assert engine.call("run", "--rm", "--network", f"container:{first}", "test", "ls", "/sys/class/net").check().out.split() == ["lo"]
    assert "eth" in engine.call("run", "--rm", "--network", "host", "test", "cat", "/proc/net/dev").check().out or len(os.listdir("/sys/class/net")) < 2


def test_seccomp_default_and_unconfined(engine):
    """The engines' own default profiles compile, deny what they deny, and `unconfined` takes them away."""
    assert "Seccomp:\t2" in engine.run("test", "cat", "/proc/self/status").check().out
    assert engine.run("test", "/init", "try-syscall", "246", "0").out.strip() == "EPERM"
    assert "Seccomp:\t0" in engine.run("--security-opt", "seccomp=unconfined", "test", "cat", "/proc/self/status").check().out


# exec


def test_exec(engine):
    name = engine.up("-e", "FROM=run", "-u", "0")
    assert engine.ok("exec", name, "sh", "-c", "echo $FROM; cat /proc/1/comm") == "run\nsleep"
    assert engine.call("exec", name, "sh", "-c", "echo e >&2; exit 9").code == 9
    assert engine.call("exec", "-i", name, "cat", stdin="in\n").out == "in\n"
    assert engine.ok("exec", "-u", "app", "-w", "/tmp", "-e", "X=1", name, "sh", "-c", "id -un; pwd; echo $X") == "app\n/tmp\n1"
    missing = engine.call("exec", name, "/no/such/program")
    assert missing.code in (126, 127) and missing.err + missing.out
    engine.ok("exec", "-d", name, "touch", "/tmp/detached")
    wait_for(lambda: engine.call("exec", name, "ls", "/tmp/detached").ok, "the detached exec")


def test_exec_with_a_terminal(engine):
    name = engine.up()
    with engine.terminal("exec", "-it", name, "sh", "-c", "tty; read line; echo got $line; exit 4") as (terminal, process):
        terminal.read_until("/dev/pts/")
        terminal.write("something\n")
        terminal.read_until("got something")
        assert process.wait(20) == 4


def test_exec_privileged(root_engine):
    name = root_engine.up()
    assert int(caps(root_engine.ok("exec", "--privileged", name, "cat", "/proc/self/status")), 16) > int(caps(root_engine.ok("exec", name, "cat", "/proc/self/status")), 16)


def caps(status):
    return re.search(r"CapEff:\t(\w+)", status)[1]


# Control


def test_pause_and_unpause(root_engine):
    name = root_engine.up()
    root_engine.ok("pause", name)
    assert root_engine.status(name) == "paused"
    assert not root_engine.call("exec", name, "true").ok
    root_engine.ok("unpause", name)
    assert root_engine.status(name) == "running"
    assert root_engine.call("exec", name, "true").ok


def test_pause_without_a_cgroup_tells_why(_engines):
    podman = _engines("podman-user")
    name = podman.up()
    podman.call("pause", name).refused("cgroup")
    podman.clear()


LIMITS = [
    (["-m", "64m"], "memory", "memory.limit_in_bytes", str(64 << 20)),
    (["--cpus", "0.5"], "cpu", "cpu.cfs_quota_us", "50000"),
    (["--cpu-shares", "512"], "cpu", "cpu.shares", "512"),
    (["--cpuset-cpus", "0"], "cpuset", "cpuset.cpus", "0"),
    (["--pids-limit", "55"], "pids", "pids.max", "55"),
]  # fmt: skip


def test_limits(root_engine):
    """Every limit in the container's own cgroup, with one container."""
    name = root_engine.up(*(word for flags, *_ in LIMITS for word in flags))
    for flags, controller, file, wanted in LIMITS:
        path = root_engine.cgroup(name, controller) / file
        if path.exists():  # cgroup v1; the machine with v2 has its own tests
            assert path.read_text().strip() == wanted, flags
            assert name[:12] in str(path)


def test_update(root_engine):
    name = root_engine.up("-m", "64m", "--memory-swap", "64m")
    flags = ["--memory", "48m", "--memory-swap", "48m", "--cpu-quota", "30000", "--pids-limit", "44"]
    if root_engine.kind == "podman":
        flags = ["--memory", "48m", "--cpu-quota", "30000"]
        if not root_engine.call("update", "--help").ok:
            pytest.skip("this podman has no update")
    root_engine.ok("update", *flags, name)
    assert (root_engine.cgroup(name, "memory") / "memory.limit_in_bytes").read_text().strip() == str(48 << 20)
    assert (root_engine.cgroup(name, "cpu") / "cpu.cfs_quota_us").read_text().strip() == "30000"


def test_stats_and_top(root_engine):
    name = root_engine.up("-m", "64m")
    out = root_engine.ok("stats", "--no-stream", "--format", "{{.MemUsage}} {{.PIDs}}", name)
    assert "MiB" in out or "MB" in out or "kB" in out, out
    assert out.split()[-1] == "1"
    assert "sleep 1000" in root_engine.ok("top", name)


def test_top_of_an_ordinary_user(_engines):
    podman = _engines("podman-user")
    name = podman.up()
    assert "sleep 1000" in podman.ok("top", name)
    podman.clear()


def test_out_of_memory(root_engine):
    """The container's own process is killed: 137, and the engine knows why."""
    name = root_engine.up("-m", "32m", "--memory-swap", "32m", command=("/init", "mem", "256"))
    assert root_engine.ok("wait", name) == "137"
    if root_engine.kind == "podman":
        return  # Debian's conmon does not tell podman the reason, with runc neither, on cgroup v1 and v2
    assert wait_for(lambda: root_engine.inspect(name, "State", "OOMKilled"), "OOMKilled") is True


def test_stop_kill_and_wait(engine):
    name = engine.up(command=("sh", "-c", "trap 'echo asked; exit 3' TERM; while :; do sleep 0.05; done"))
    engine.ok("stop", "-t", "15", name)
    assert engine.inspect(name, "State", "ExitCode") == 3 and "asked" in engine.ok("logs", name)
    other = engine.up("--stop-signal", "USR1", command=("/init", "pause"))
    engine.ok("kill", "-s", "KILL", other)
    assert engine.ok("wait", other) == "137"
    assert not engine.call("kill", other).ok
    stubborn = engine.up(command=("/init", "pause", "ignore"))
    engine.ok("stop", "-t", "1", stubborn)
    assert engine.inspect(stubborn, "State", "ExitCode") == 137


def test_signals_arrive(engine):
    name = engine.up(command=("/init", "pause", "ignore"))
    wait_for(lambda: "ready" in engine.ok("logs", name), "the container to be ready")
    engine.ok("kill", "-s", "HUP", name)
    wait_for(lambda: "signal HUP" in engine.ok("logs", name), "the signal")


def test_restart_and_start(engine):
    name = engine.up(command=("sh", "-c", "echo life >> /lives; cat /lives; exec sleep 1000"))
    first = engine.pid(name)
    engine.ok("restart", "-t", "0", name)
    second = engine.pid(name)
    assert first != second and not os.path.exists(f"/proc/{first}")
    engine.ok("stop", "-t", "0", name)
    engine.ok("start", name)
    wait_for(lambda: engine.ok("exec", name, "wc", "-l", "/lives").split()[0] == "3", "three lives")
    assert engine.ok("logs", name).count("life") == 6


def test_restart_policy(engine):
    if engine.kind == "podman":
        name = engine.up("--restart", "on-failure:2", command=("false",))
        engine.call("wait", name)
        wait_for(lambda: engine.inspect(name, "RestartCount") == 2, "two restarts")
    else:
        name = engine.up("--restart", "on-failure:2", command=("false",))
        wait_for(lambda: engine.inspect(name, "RestartCount") == 2 and engine.status(name) == "exited", "two restarts")


def test_create_start_attached(engine):
    name = engine.ok("create", "--network", "none", "test", "sh", "-c", "echo hello; exit 6")
    assert engine.status(name) in ("created", "configured")
    result = engine.call("start", "-a", name)
    assert result.out == "hello\n" and result.code == 6
    assert engine.inspect(name, "State", "ExitCode") == 6


def test_logs(engine):
    name = engine.up(command=("sh", "-c", "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done; echo last >&2"))
    engine.ok("wait", name)
    result = engine.call("logs", name).check()
    assert result.out.splitlines() == [f"line {i}" for i in range(2000)] and result.err == "last\n"
    assert engine.ok("logs", "--tail", "2", name) in ("line 1998\nline 1999", "line 1999")


def test_events(engine):
    name = engine.up(command=("true",))
    engine.ok("wait", name)
    engine.ok("rm", name)
    since = str(int(time.time()) - 60)

    def seen():
        # Podman's `--until` shows nothing when it is past, and follows the log when it is not: then it may miss what stands there.
        end = ["--stream=false"] if engine.kind == "podman" else ["--until", str(int(time.time()) + 1)]
        text = engine.ok("events", "--since", since, *end, "--filter", f"container={name}", "--format", "{{json .}}")
        return {line.get("Action") or line.get("Status") for line in map(json.loads, text.splitlines())}

    wait_for(lambda: seen() >= {"create", "start"} and seen() & {"die", "died"}, "the events of a whole life")


def test_the_pid_is_the_hosts(engine):
    name = engine.up(command=("sleep", "4321"))
    pid = engine.pid(name)
    assert pathlib.Path(f"/proc/{pid}/cmdline").read_bytes() == b"sleep\x004321\0"
    os.kill(pid, signal.SIGKILL)
    engine.ok("wait", name)
    assert engine.inspect(name, "State", "ExitCode") == 137


def test_checkpoint_without_criu(root_engine):
    """Said so: by the engine, or by the runtime in its words; and the container runs on."""
    if shutil.which("criu"):
        pytest.skip("this host has criu")
    name = root_engine.up()
    if root_engine.kind == "podman":
        result = root_engine.call("container", "checkpoint", name)
    else:
        result = root_engine.call("checkpoint", "create", name, "one")
    result.refused("checkpoint|criu|experimental")
    assert root_engine.status(name) == "running"


def test_nothing_is_left(engine):
    """After rm: no process, mount, cgroup, network namespace or state of the container."""
    namespaces = set(os.listdir("/run/netns")) if os.path.isdir("/run/netns") else set()
    before = engine.processes()
    name = engine.up("-v", "left:/left")
    engine.ok("exec", name, "true")
    pid = engine.pid(name)
    engine.remove(name)
    engine.call("volume", "rm", "left")
    assert not os.path.exists(f"/proc/{pid}")
    wait_for(lambda: [command for pid, command in engine.processes().items() if name in command] == [], "shims and monitors to end")
    wait_for(lambda: engine.cgroups(name) == [], f"the cgroups to go: {engine.cgroups(name)}")
    assert [target for target in engine.mounts() if name in target] == []
    assert (set(os.listdir("/run/netns")) if os.path.isdir("/run/netns") else set()) <= namespaces
    # Others' directories may go while these are listed: rglob() would raise.
    states = [path for root in ("/run/berth-runtime", engine.base) for path, _, files in os.walk(root) if "state.json" in files and name in path]
    assert states == []
    assert {pid: command for pid, command in engine.processes().items() if pid not in before and "pause" not in command} == {}


def test_many_at_once(engine):
    """Eight at a time; none fails."""
    processes = [engine.popen("run", "--rm", "--network", "none", "test", "echo", str(n), stdout=subprocess.PIPE, stderr=subprocess.PIPE) for n in range(8)]
    for number, process in enumerate(processes):
        out, err = process.communicate(timeout=90)
        assert (process.returncode, out) == (0, f"{number}\n".encode()), err


# dockerd and podman in particular


def test_docker_runtime_by_name(docker):
    assert docker.run("--runtime", "berth", "test", "echo", "ours").out == "ours\n"
    assert "berth" in docker.ok("info", "--format", "{{json .Runtimes}}")


def test_docker_survives_its_shim(docker):
    """The shim is killed: dockerd takes the container for dead, the runtime cleans up, and the name is free again."""
    name = docker.up("--name", "orphan")
    shims = [pid for pid, command in docker.processes().items() if "containerd-shim" in command and name in command]
    assert len(shims) == 1
    os.kill(shims[0], signal.SIGKILL)
    wait_for(lambda: docker.status("orphan") == "exited", "dockerd to notice")
    docker.remove("orphan")
    wait_for(lambda: docker.cgroups(name) == [], "the cgroups to go")
    assert docker.run("--name", "orphan", "test", "true").ok


def test_podman_pods(podman):
    """Containers that share namespaces by path."""
    pod = podman.call("pod", "create", "--network", "none", "--infra-image", "test", "--infra-command", "/init pause", "--share", "ipc,net,uts", "--hostname", "pod")
    if not pod.ok:
        pytest.skip(f"no pods here: {pod.err.strip()[-200:]}")
    name = pod.out.strip()
    try:
        assert podman.call("run", "--rm", "--pod", name, "test", "hostname").check().out == "pod\n"
    finally:
        podman.call("pod", "rm", "-f", "-t", "0", name)


def test_podman_user_namespaces(podman):
    if podman.who.is_root:
        out = podman.run("--uidmap", "0:100000:5000", "--gidmap", "0:100000:5000", "test", "cat", "/proc/self/uid_map").check().out.split()
        assert out == ["0", "100000", "5000"]
    else:
        assert podman.run("--userns", "keep-id", "test", "id", "-u").check().out.strip() == str(podman.who.uid)
