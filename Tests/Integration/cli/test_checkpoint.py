"""Checkpoints with the real CRIU: containers that are written down go on where they were."""

import json
import os
import pathlib
import re
import secrets
import shutil
import signal
import subprocess
import tarfile

import pytest

import checkpoints
from berth import Berth, stat_field
from host import quietly, wait_for
from terminal import Terminal

COUNT = "i=0; while :; do echo tick $i; i=$((i+1)); sleep 0.05; done"


@pytest.fixture(scope="module")
def criu():
    return checkpoints.require()


@pytest.fixture
def berth(root_berth, criu):
    with checkpoints.Using(root_berth, criu):
        yield root_berth


@pytest.fixture
def net(alone, criu):
    with checkpoints.Using(alone, criu):
        yield alone


@pytest.fixture
def place(suite):
    path = suite.base / f"place-{secrets.token_hex(4)}"
    path.mkdir(mode=0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def other(suite, berth_programs, criu):
    """Another host's store, empty."""
    engine = Berth(suite, suite.root, berth_programs)
    with checkpoints.Using(engine, criu):
        yield engine
        engine.close()


def ticks(berth, name):
    return [int(number) for number in re.findall(r"^tick (\d+)$", berth.logs(name), re.M)]


def counting(berth, *flags):
    name = berth.up(*flags, command=("sh", "-c", COUNT))
    berth.wait_log(name, "^tick 3$")
    return name


def goes_on(berth, name, before):
    """It counts on from where it was: nothing is lost, nothing comes twice."""
    wait_for(lambda: len(ticks(berth, name)) > len(before) + 2, "it to go on")
    seen = ticks(berth, name)
    assert seen == list(range(len(seen)))


def facts(pid):
    """What is the same before and after."""
    mounts = []
    for line in pathlib.Path(f"/proc/{pid}/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        mounts.append((before.split()[3:6], after.split()[0]))
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    wanted = ("Cap", "Uid", "Gid", "Groups", "NoNewPrivs", "Seccomp", "SigIgn", "SigCgt")
    return {
        "mounts": sorted(map(str, mounts)), "status": [line for line in status.splitlines() if line.startswith(wanted)],
        "cgroup": sorted(pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines()),
        "limits": pathlib.Path(f"/proc/{pid}/limits").read_text(), "oom": pathlib.Path(f"/proc/{pid}/oom_score_adj").read_text(),
        "shared": [kind for kind in ("cgroup", "ipc", "mnt", "net", "pid", "uts") if os.readlink(f"/proc/{pid}/ns/{kind}") == os.readlink(f"/proc/self/ns/{kind}")],
    }  # fmt: skip


# Docker's commands


def test_create_and_start(berth):
    name = counting(berth)
    assert berth.ok("checkpoint", "create", name, "one").text == "one"
    state = berth.inspect(name, "State")
    assert (state["Status"], state["ExitCode"], state["Checkpointed"]) == ("exited", 137, True) and state["CheckpointedAt"] == state["FinishedAt"]
    assert berth.ok("checkpoint", "ls", name).lines == ["CHECKPOINT NAME", "one"]
    before = ticks(berth, name)
    assert berth.ok("start", "--checkpoint", "one", name).text == name
    goes_on(berth, name, before)
    state = berth.inspect(name, "State")
    assert (state["Status"], state["Checkpointed"], state["Restored"]) == ("running", False, True) and state["RestoredAt"] == state["StartedAt"]
    # It can be gone on from as often as one likes.
    berth.ok("kill", name)
    berth.ok("start", "--checkpoint", "one", name)
    wait_for(lambda: ticks(berth, name).count(len(before)) == 2, "it to go on a second time")


def test_what_is_restored_is_as_it_was(berth, place):
    (place / "file").write_text("x")
    berth.ok("volume", "create", "kept")
    flags = ["-v", f"{place}:/data:ro", "-v", "kept:/vol", "--tmpfs", "/scratch:size=1m,mode=1777", "--read-only", "--memory", "64m", "--pids-limit", "50",
             "--cap-drop", "ALL", "--cap-add", "NET_RAW", "--ulimit", "nofile=512:512", "--security-opt", "no-new-privileges",
             "--init", "--oom-score-adj", "100", "-e", "KEY=value"]  # fmt: skip
    # CRIU asks for the limits of every process, and of another user's only who has CAP_SYS_RESOURCE may.
    user = "1000" if int(re.search(r"CapEff:\s*(\w+)", pathlib.Path("/proc/self/status").read_text())[1], 16) >> 24 & 1 else "0"
    flags += ["-u", f"{user}:{user}"]
    name = berth.up(*flags, command=("sh", "-c", "echo kept >/scratch/a; while :; do sleep 0.05; done"))
    wait_for(lambda: "kept" in berth.call("exec", name, "cat", "/scratch/a").out, "the file")
    before = facts(berth.pid(name))
    berth.ok("checkpoint", "create", name, "one")
    berth.ok("start", "--checkpoint", "one", name)
    assert facts(berth.pid(name)) == before
    assert berth.ok("exec", name, "sh", "-c", "cat /scratch/a /data/file; echo $KEY; id -u; cat /proc/sys/net/ipv4/ip_unprivileged_port_start").lines == [
        "kept", "xvalue", user, "0"]  # fmt: skip
    assert berth.call("exec", name, "touch", "/data/new").code != 0 and berth.call("exec", name, "touch", "/new").code != 0


@pytest.mark.parametrize("flags", [
    ["-v", "/:/host:ro"], ["--mount", "type=image,src=test,dst=/image"], ["-v", "named:/a", "-v", "/b", "--device", "/dev/fuse"], ["--privileged"],
    ["--pid", "host", "--ipc", "host", "--uts", "host", "--cgroupns", "host"], ["-v", "/dev/null:/mine", "--security-opt", "unmask=ALL"],
], ids=["host", "image", "volumes", "privileged", "namespaces", "files"])  # fmt: skip
def test_mounts_and_namespaces_of_all_kinds(berth, flags):
    name = counting(berth, *flags)
    before = facts(berth.pid(name))
    berth.ok("checkpoint", "create", name, "one")
    seen = ticks(berth, name)
    berth.ok("start", "--checkpoint", "one", name)
    assert facts(berth.pid(name)) == before
    goes_on(berth, name, seen)


def test_leave_running(berth):
    name = counting(berth)
    pid = berth.pid(name)
    berth.ok("checkpoint", "create", "--leave-running", name, "one")
    assert berth.pid(name) == pid and berth.inspect(name, "State.Checkpointed") is False
    goes_on(berth, name, ticks(berth, name))


def test_directory_of_checkpoints(berth, place):
    name = counting(berth)
    directory = ["--checkpoint-dir", place / "kept"]
    berth.ok("checkpoint", "create", *directory, "--leave-running", name, "one")
    assert (place / "kept/one/inventory.img").exists()
    assert berth.ok("checkpoint", "ls", *directory, name).lines[1:] == ["one"] and berth.ok("checkpoint", "ls", name).lines[1:] == []
    berth.ok("kill", name)
    before = ticks(berth, name)
    berth.ok("start", *directory, "--checkpoint", "one", name)
    wait_for(lambda: len(ticks(berth, name)) > len(before) + 2, "it to go on")
    berth.ok("checkpoint", "rm", *directory, name, "one")
    assert os.listdir(place / "kept") == []


def test_names(berth):
    name = counting(berth)
    berth.ok("checkpoint", "create", "--leave-running", name, "one")
    berth.call("checkpoint", "create", name, "one").fails(1, "checkpoint with name one already exists for container")
    berth.call("checkpoint", "create", name, "../one").fails(1, "Invalid checkpoint ID")
    berth.call("checkpoint", "rm", name, "two").fails(1, "checkpoint two does not exist for container")
    berth.ok("checkpoint", "rm", name, "one")
    berth.call("start", "--checkpoint", "one", name).fails(1, "checkpoint one does not exist for container")
    assert berth.status(name) == "running"


def test_after_a_restore_it_is_supervised(berth):
    """Stop, exec, a probe, the restart policy: all as after a start."""
    name = counting(berth, "--restart", "on-failure:3", "--health-cmd", "exit 0", "--health-interval", "100ms")
    berth.ok("checkpoint", "create", name, "one")
    assert berth.status(name) == "exited"
    berth.ok("start", "--checkpoint", "one", name)
    assert berth.ok("wait", "--condition", "healthy", name).text == "-1"
    assert berth.ok("exec", name, "echo", "x").text == "x"
    assert berth.ok("stats", "--no-stream", "--format", "{{.PIDs}}", name).text in ("1", "2", "3")
    # What the policy starts begins anew.
    os.kill(berth.pid(name), signal.SIGKILL)
    wait_for(lambda: berth.inspect(name, "RestartCount") == 1 and berth.status(name) == "running", "the restart")
    assert berth.inspect(name, "State.Restored") is False
    wait_for(lambda: ticks(berth, name).count(0) == 2, "it to begin anew")
    berth.ok("stop", "-t", "0", name)
    assert berth.status(name) == "exited"
    identity = berth.inspect(name, "Id")
    berth.ok("rm", name)
    berth.assert_clean(identity)


def test_a_terminal(berth):
    name = berth.up("-it", command=("sh", "-c", "while read line; do echo got $line; done"))
    with Terminal(berth, "attach", name) as terminal:
        terminal.type("one\n")
        terminal.expect("got one")
    berth.ok("checkpoint", "create", name, "one")
    berth.ok("start", "--checkpoint", "one", name)
    with Terminal(berth, "attach", name) as terminal:
        terminal.type("two\n")
        terminal.expect("got two")


def test_standard_input(berth):
    """Its pipe is a new one, and what is typed reaches it."""
    name = berth.up("-i", command=("sh", "-c", "while read line; do echo got $line; done"))
    berth.ok("checkpoint", "create", name, "one")
    with berth.popen("start", "-ai", "--checkpoint", "one", name, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdin.write(b"x\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"got x\n"
        berth.ok("kill", name)


def test_events(berth):
    name = counting(berth)
    berth.ok("container", "checkpoint", name)
    berth.ok("container", "restore", name)
    told = berth.ok("events", "--since", "1h", "--until", "0s", "--filter", f"container={name}", "--format", "{{.Action}}").lines
    assert [action for action in told if action in ("start", "checkpoint", "die", "restore")] == ["start", "checkpoint", "die", "start", "restore"]


def test_limits_hold_for_what_is_restored(berth):
    name = counting(berth, "--pids-limit", "20")
    berth.ok("container", "checkpoint", name)
    berth.ok("container", "restore", name)
    paths = [path for path in berth.cgroups(berth.inspect(name, "Id")) if os.path.exists(path + "/pids.max")]
    assert [pathlib.Path(path, "pids.max").read_text().strip() for path in paths] == ["20"] * len(paths) and paths


# Podman's commands


def test_container_checkpoint_and_restore(berth):
    name = counting(berth, "--name", "cc")
    assert berth.ok("container", "checkpoint", "cc").text == "cc"
    before = ticks(berth, name)
    assert berth.ok("container", "restore", "cc").text == "cc"
    goes_on(berth, name, before)
    # It is used up.
    berth.ok("kill", "cc")
    berth.call("container", "restore", "cc").fails(1, "cc has no checkpoint: make one with berth container checkpoint cc")


def test_all_and_latest(berth):
    names = [counting(berth) for _ in range(2)]
    stopped = berth.up()
    berth.ok("kill", stopped)
    assert sorted(berth.ok("container", "checkpoint", "--all").lines) == sorted(names)
    assert {berth.status(name) for name in names} == {"exited"}
    assert sorted(berth.ok("container", "restore", "--all", "--keep").lines) == sorted(names)
    newest = counting(berth)
    berth.ok("container", "checkpoint", "--latest", "--leave-running")
    assert (berth.root / "containers" / berth.inspect(newest, "Id") / "checkpoint/inventory.img").exists()


def test_statistics_and_kept_logs(berth):
    name = counting(berth)
    seen = json.loads(berth.ok("container", "checkpoint", "--print-stats", "--keep", name).out)
    (entry,) = seen["container_statistics"]
    assert seen["podman_checkpoint_duration"] >= entry["runtime_checkpoint_duration"] > 0 and entry["Id"].startswith(name[:12])
    assert entry["criu_statistics"]["pages_written"] > 0
    directory = berth.root / "containers" / entry["Id"]
    assert (directory / "criu/dump.log").exists()
    seen = json.loads(berth.ok("container", "restore", "--print-stats", "--keep", name).out)
    assert seen["container_statistics"][0]["criu_statistics"]["pages_restored"] > 0
    assert (directory / "criu/restore.log").exists() and (directory / "checkpoint").exists()


def test_memory_that_was_written_before(berth, criu):
    if subprocess.run([criu, "check", "--feature", "mem_dirty_track"], capture_output=True).returncode:
        pytest.skip("this kernel does not tell which memory was written since (CONFIG_MEM_SOFT_DIRTY)")
    name = berth.up(command=("sh", "-c", "x=$(head -c 4000000 /dev/zero | tr '\\0' x); echo full; " + COUNT))
    berth.wait_log(name, "^tick 2$")
    pid = berth.pid(name)
    berth.ok("container", "checkpoint", "--pre-checkpoint", name)
    assert berth.pid(name) == pid
    berth.ok("container", "checkpoint", "--with-previous", name)
    directory = berth.root / "containers" / berth.inspect(name, "Id")
    size = lambda part: sum(path.stat().st_size for path in (directory / part).glob("pages-*.img"))  # noqa: E731
    assert size("pre-checkpoint") > 4_000_000 > 1_000_000 > size("checkpoint")
    before = ticks(berth, name)
    berth.ok("container", "restore", name)
    goes_on(berth, name, before)


@pytest.mark.parametrize("kind, magic", [("zstd", b"\x28\xb5\x2f\xfd"), ("gzip", b"\x1f\x8b"), ("none", b"berth-checkpoint.json")])
def test_to_another_store(berth, other, test_archive, place, kind, magic):
    """All of it is in the archive: memory, what was written to its files, its volumes, its name."""
    berth.ok("volume", "create", "carried")
    script = "echo mine >/file; rm /etc/group; echo data >/vol/file; " + COUNT
    name = berth.up("--name", "carried", "-v", "carried:/vol", "-v", "/unnamed", "-e", "KEY=x", "-l", "a=b", command=("sh", "-c", script))
    berth.wait_log(name, "^tick 3$")
    archive = place / "archive"
    berth.ok("container", "checkpoint", "--export", archive, "--compress", kind, name)
    assert archive.read_bytes().startswith(magic) and os.listdir(place) == ["archive"]
    last = ticks(berth, name)[-1]
    other.ok("load", "-i", test_archive, timeout=60)
    made = other.ok("container", "restore", "--import", archive).text
    wait_for(lambda: ticks(other, made)[2:], "it to go on there")
    assert ticks(other, made)[0] == last + 1
    seen = other.inspect("carried")
    assert seen["Id"] == made and seen["Config"]["Labels"]["a"] == "b" and seen["Config"]["Image"] == "test"
    assert other.ok("exec", "carried", "sh", "-c", "cat /file /vol/file; ls /etc/group; echo $KEY").lines[:2] == ["mine", "data"]
    assert other.ok("exec", "carried", "sh", "-c", "test ! -e /etc/group && echo gone").text == "gone"
    other.call("container", "restore", "--import", archive).fails(1, "volume with name carried already exists")
    two = other.ok("container", "restore", "--import", archive, "--name", "two", "--ignore-volumes").text
    assert other.inspect(two, "Name") == "/two"
    other.ok("rm", "-f", "-v", "carried", "two")
    # It is kept here too, until it is used.
    berth.ok("container", "restore", name)


def test_without_files(berth, place):
    name = berth.up(command=("sh", "-c", "echo mine >/file; " + COUNT))
    berth.wait_log(name, "^tick 3$")
    berth.ok("container", "checkpoint", "-e", place / "a", "--ignore-rootfs", name)
    berth.ok("container", "restore", "-i", place / "a", "-n", "bare")
    assert berth.call("exec", "bare", "cat", "/file").code == 1


def test_export_of_what_runs_on(berth, place):
    """Memory and files are of one moment: the file says what the loop had counted to."""
    script = "i=0; while :; do echo tick $i >>/count; i=$((i+1)); done"
    name = berth.up(command=("sh", "-c", script))
    wait_for(lambda: berth.ok("exec", name, "wc", "-l", "/count").out.split()[0] > "5", "it to count")
    berth.ok("container", "checkpoint", "--leave-running", "-e", place / "a", name)
    assert berth.status(name) == "running"
    berth.ok("container", "restore", "-i", place / "a", "-n", "copy", "--keep")
    for one in (name, "copy"):
        berth.ok("kill", one)
        berth.ok("cp", f"{one}:/count", place / one)
        seen = (place / one).read_text().splitlines()
        assert seen == [f"tick {number}" for number in range(len(seen))] and len(seen) > 5
    with subprocess.Popen(["zstd", "-dc", place / "a"], stdout=subprocess.PIPE) as tool, tarfile.open(fileobj=tool.stdout, mode="r|") as tar:
        assert "rootfs-diff.tar" in [entry.name for entry in tar]


def test_a_container_that_goes_with_its_end(berth, place):
    name = counting(berth, "--rm")
    berth.call("container", "checkpoint", name).fails(1, r"removed when it ends \(--rm\)")
    assert berth.status(name) == "running"
    berth.ok("container", "checkpoint", "-e", place / "a", name)
    berth.call("inspect", name).fails(1, "no such")
    berth.assert_clean(name)
    made = berth.ok("container", "restore", "-i", place / "a").text
    wait_for(lambda: ticks(berth, made)[2:], "it to go on")


# Networks


SERVER = "while :; do echo pong; sleep 0.05; done | nc -l -p 5000"


def test_with_a_network(net):
    """It has its address and its port again, and its name is found."""
    net.ok("network", "create", "team", "--subnet", "10.89.7.0/24")
    name = net.ok("run", "-d", "--name", "web", "--network", "team", "--ip", "10.89.7.20", "-p", "8080:80", "test", "sh", "-c",
                  "while :; do echo hello | nc -l -p 80; done").text  # fmt: skip
    net.ok("container", "checkpoint", name)
    net.ok("container", "restore", name)
    assert net.inspect(name, "NetworkSettings.Networks.team")["IPAddress"] == "10.89.7.20"
    # From the host by its published port, from another container by its name.
    ask = "import socket; s = socket.create_connection(('10.89.7.1', 8080), 5); print(s.recv(100).decode())"
    assert net.host.run("python3", "-c", ask).strip() == "hello"
    assert net.ok("run", "--rm", "--network", "team", "test", "sh", "-c", "sleep 0.2; nc web 80 </dev/null").text == "hello"


def test_open_connections(net):
    """With --tcp-established both ends of a connection go on; without, it is refused by CRIU and the container runs on."""
    net.ok("network", "create", "team", "--subnet", "10.89.7.0/24")
    server = net.ok("run", "-d", "--network", "team", "--ip", "10.89.7.20", "test", "sh", "-c", SERVER).text
    script = "until nc 10.89.7.20 5000 </dev/zero; do sleep 0.1; done | { i=0; while read l; do echo tick $i; i=$((i+1)); done; echo over; }"
    client = net.ok("run", "-d", "--network", "team", "test", "sh", "-c", script).text
    net.wait_log(client, "^tick 5$")
    net.call("container", "checkpoint", server).fails(1, "tcp-established|TCP")
    assert net.status(server) == "running"
    net.ok("container", "checkpoint", "--tcp-established", server)
    before = ticks(net, client)
    net.ok("container", "restore", "--tcp-established", server)
    wait_for(lambda: len(ticks(net, client)) > len(before) + 5, "the connection to go on")
    assert "over" not in net.logs(client)


def test_connections_that_are_closed(net):
    """With --tcp-close the container runs, and its end of the connection is closed."""
    net.ok("network", "create", "team", "--subnet", "10.89.7.0/24")
    server = net.ok("run", "-d", "--network", "team", "--ip", "10.89.7.20", "test", "sh", "-c", SERVER + "; sleep 1000").text
    script = "until nc 10.89.7.20 5000 </dev/zero; do sleep 0.1; done | { i=0; while read l; do echo tick $i; i=$((i+1)); done; }"
    client = net.ok("run", "-d", "--network", "team", "test", "sh", "-c", script).text
    net.wait_log(client, "^tick 5$")
    # State 01 is ESTABLISHED; port 5000 is 1388.
    established = lambda: re.findall(r":1388 \S+ 01 ", net.ok("exec", server, "cat", "/proc/net/tcp", "/proc/net/tcp6").out)  # noqa: E731
    assert established()
    net.ok("container", "checkpoint", "--tcp-established", server)
    net.ok("container", "restore", "--tcp-close", server)
    assert net.status(server) == "running" and not established()


def test_import_with_other_ports(net, place):
    net.ok("network", "create", "team", "--subnet", "10.89.7.0/24")
    name = net.ok("run", "-d", "--name", "web", "--network", "team", "--ip", "10.89.7.20", "--mac-address", "02:42:00:00:00:07", "-p", "8080:80", "test",
                  "sh", "-c", "while :; do echo hello | nc -l -p 80; done").text  # fmt: skip
    net.ok("container", "checkpoint", "-R", "-e", place / "a", name)
    taken = net.call("container", "restore", "-i", place / "a", "-n", "second", "-p", "9090:80")
    taken.fails(1, "already in use|in use")
    assert net.names("-a") == ["web"]
    net.ok("container", "restore", "-i", place / "a", "-n", "second", "-p", "9090:80", "--ignore-static-ip", "--ignore-static-mac")
    seen = net.inspect("second", "NetworkSettings")
    assert seen["Networks"]["team"]["IPAddress"] not in ("", "10.89.7.20") and list(seen["Ports"]["80/tcp"][0].values())[1] == "9090"
    ask = "import socket; s = socket.create_connection(('10.89.7.1', 9090), 5); print(s.recv(100).decode())"
    assert net.host.run("python3", "-c", ask).strip() == "hello"


def test_the_hosts_network(berth):
    name = berth.ok("run", "-d", "--network", "host", "test", "sh", "-c", COUNT).text
    berth.wait_log(name, "^tick 3$")
    berth.ok("container", "checkpoint", name)
    before = ticks(berth, name)
    berth.ok("container", "restore", name)
    goes_on(berth, name, before)


# Refusals


def test_a_process_from_outside(berth):
    name = counting(berth)
    with berth.popen("exec", name, "sleep", "100", stdout=subprocess.PIPE) as process:
        wait_for(lambda: berth.inspect(name, "ExecIDs"), "the exec session")
        berth.call("checkpoint", "create", name, "one").fails(1, "has 1 exec session running: end it first")
        process.kill()


def test_a_paused_container(berth):
    name = counting(berth)
    berth.ok("pause", name)
    berth.call("checkpoint", "create", name, "one").fails(1, "is paused: unpause it first")
    berth.ok("unpause", name)
    berth.ok("checkpoint", "create", name, "one")


def test_an_archive_that_is_none(berth, place):
    (place / "a").write_bytes(b"x" * 4096)
    berth.call("container", "restore", "-i", place / "a").fails(1)
    with tarfile.open(place / "b", "w") as tar:
        tar.addfile(tarfile.TarInfo("config.dump"))
    berth.call("container", "restore", "-i", place / "b").fails(1, "is no archive of berth container checkpoint")
    assert berth.names("-a") == []


def test_the_image_is_not_here(berth, other, place):
    name = counting(berth)
    berth.ok("container", "checkpoint", "-e", place / "a", name)
    other.call("container", "restore", "-i", place / "a").fails(1, "the image of the checkpoint is not here: test .*berth pull test")
    assert other.names("-a") == []


# Whoever is killed, whenever


def words(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def crius(berth):
    """CRIU's environment and command line do not say whose it is; its parent's do."""
    mine = set(berth.processes())
    found = []
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and b"swrk" in words(entry) and int(stat_field(entry, 1)) in mine:
                found.append(int(entry))
        except (OSError, IndexError):
            continue
    return found


def settled(berth):
    """Nothing of a checkpoint is under way any more."""
    wait_for(lambda: not crius(berth) and not any(b"--keep-state" in words(pid) for pid in berth.processes()), "the checkpoint to end", 30)


@pytest.mark.parametrize("victim", ["command", "criu", "supervisor"])
def test_killed_at_any_moment(berth, victim):
    """It runs on as if nothing had been, or it has ended and there is a checkpoint that it goes on from."""
    outcomes = set()
    for step in range(8):
        name = counting(berth)
        identity = berth.inspect(name, "Id")
        supervisor = berth.supervisor(identity)
        process = berth.popen("checkpoint", "create", name, "one", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # The moments are spread over what it takes: about a third of a second on an idle machine.
        try:
            process.wait(step * 0.05 + 0.01)
        except subprocess.TimeoutExpired:
            pass
        if victim == "command":
            process.kill()
        elif victim == "supervisor":
            os.kill(supervisor, signal.SIGKILL)
        else:
            for pid in crius(berth):
                quietly(lambda: os.kill(pid, signal.SIGKILL))
        process.wait(30)
        settled(berth)
        listed = berth.ok("checkpoint", "ls", name).lines[1:] == ["one"]
        left = pathlib.Path(berth.root, "containers", identity, "checkpoints")
        status = berth.status(name)
        outcomes.add((status, listed))
        if status == "running" and victim != "supervisor":
            goes_on(berth, name, ticks(berth, name))
            assert not [entry for entry in (os.listdir(left) if left.exists() else []) if entry.startswith(".")]
        elif status != "running":
            assert status == "exited" and (listed or victim == "supervisor"), (status, listed)
            if listed:
                before = ticks(berth, name)
                berth.ok("start", "--checkpoint", "one", name)
                wait_for(lambda: len(ticks(berth, name)) > len(before) + 2, "it to go on")
        berth.ok("rm", "-f", name, timeout=30)
        wait_for(lambda: not berth.processes(identity), "all of it to end", 30)
        assert not berth.cgroups(identity)
    assert outcomes

