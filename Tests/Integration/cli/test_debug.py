"""`debug`: tools beside a container that has none, or does not run, and nothing of them in it."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess

import pytest

import images
from host import DEADLINE, wait_for
from terminal import Terminal
from user_networks import needs_pasta

TOOLS = "test"


@pytest.fixture
def distroless(berth, place):
    """An image with one program and no shell."""
    layer = images.Layer().dir("app").file("app/sleep", pathlib.Path(shutil.which("busybox")).read_bytes(), mode=0o755)
    layer.file("app/data", "of the image\n").file("app/private", "not everybody's\n", mode=0o600, uid=1000, gid=1000)
    data = images.docker_archive([layer], ["distroless:latest"], {"Cmd": ["/app/sleep", "1000"], "Volumes": {"/data": {}}})
    berth.ok("load", "-i", images.write(place / "distroless.tar", data))
    yield "distroless"
    berth.clear()
    berth.ok("rmi", "-f", "distroless")


def debug(berth, *words, **keywords):
    return berth.call("debug", "--image", TOOLS, *words, **keywords)


def stopped(berth, *words, **keywords):
    """Of what does not run, without the network that it would have as for run."""
    return debug(berth, "--network", "none", *words, **keywords)


def sessions(berth):
    return [name for name in berth.names("-a") if "-debug-" in name]


def tree(path):
    """All below a directory, with what tells a change."""
    found = {}
    for directory, names, files in os.walk(path):
        for name in names + files:
            info = os.lstat(os.path.join(directory, name))
            found[os.path.relpath(os.path.join(directory, name), path)] = (info.st_ino, info.st_mode, info.st_uid, info.st_size, info.st_mtime_ns)
    return found


# A container that runs


def test_a_container_without_a_shell(berth, distroless):
    berth.up("--name", "web", "--hostname", "web.test", "--env", "SECRET=1", image=distroless, command=())
    result = debug(berth, "web", "sh", "-c", "id -u; pwd; cat app/data; hostname; ps -o pid,args; tr '\\0' ' ' </proc/1/environ; readlink /proc/1/exe")
    assert result.check().lines[:4] == ["0", "/target", "of the image", "web.test"]
    assert re.search(r"^ +1 /app/sleep 1000$", result.out, re.M) and "SECRET=1" in result.out and "/app/sleep" in result.lines[-1]
    assert sessions(berth) == []


def test_its_namespaces(berth, distroless):
    berth.up("--name", "web", image=distroless, command=())
    pid = berth.pid("web")
    names = ("net", "pid", "ipc", "uts", "user", "mnt", "cgroup")
    theirs = {name: os.readlink(f"/proc/{pid}/ns/{name}") for name in names}
    ours = dict(zip(names, debug(berth, "web", "sh", "-c", "for n in " + " ".join(names) + "; do readlink /proc/self/ns/$n; done").check().lines))
    assert {name for name in names if ours[name] == theirs[name]} == {"net", "pid", "ipc", "uts", "user"}


@pytest.mark.parametrize("flags", [["--pid", "host"], ["--network", "host", "--uts", "host"], ["--ipc", "none"], ["--ipc", "host"], ["--read-only"]])
def test_however_it_is_isolated(berth, distroless, flags):
    """Also where there is no namespace to join, and where the container may not share it with others."""
    network = [] if "--network" in flags else ["--network", "none"]
    berth.ok("run", "-d", "--name", "web", *network, *flags, distroless)
    pid = berth.pid("web")
    script = "cat /target/app/data; readlink /proc/self/ns/net; readlink /proc/self/ns/pid; ls /dev/shm"
    assert debug(berth, "web", "sh", "-c", script).check().lines[:3] == [
        "of the image", os.readlink(f"/proc/{pid}/ns/net"), os.readlink(f"/proc/{pid}/ns/pid")]  # fmt: skip


def test_mounts_of_the_container_are_seen(berth, distroless, place):
    (place / "file").write_text("bound\n")
    berth.up("--name", "web", "-v", f"{place}:/bound", "--tmpfs", "/memory", "-v", "named:/volume", image=distroless, command=())
    script = "cat /target/bound/file; echo x > /target/memory/x; echo y > /target/volume/y; ls /target/proc/1/root/app"
    assert debug(berth, "web", "sh", "-c", script).check().lines == ["bound", "data", "private", "sleep"]
    assert debug(berth, "web", "cat", "/target/memory/x", "/target/volume/y").check().lines == ["x", "y"]


def test_writes_go_to_a_container_that_runs_unless_forbidden(berth, distroless):
    berth.up("--name", "web", image=distroless, command=())
    debug(berth, "--read-only", "web", "sh", "-c", "echo new > /target/app/new").fails(1, "Read-only")
    debug(berth, "--read-only", "web", "sh", "-c", "echo new > /target/data/new").fails(1, "Read-only")
    assert "app/new" not in berth.ok("diff", "web").out
    debug(berth, "web", "sh", "-c", "echo new > /target/app/new").check()
    assert berth.ok("diff", "web").lines == ["C /app", "A /app/new"]


def test_nothing_of_the_tools_is_in_the_container(berth):
    """Its mounts, its files, what is known of it, and its processes but those that are seen to come and go."""
    berth.up("--name", "web")
    pid = berth.pid("web")

    def state():
        record = berth.inspect("web")
        return pathlib.Path(f"/proc/{pid}/mountinfo").read_text(), berth.ok("diff", "web").out, record, tree(berth.root / "containers" / record["Id"])

    before = state()
    with debugging(berth, "web", "sh", "-c", "echo ready; sleep 1000"):
        during = state()
        inside = berth.ok("exec", "web", "sh", "-c", "ls -a / /target 2>&1; cat /proc/mounts").out
    assert before == during == state()
    assert "target" not in re.sub(r"/target: No such", "", inside)


class debugging:
    """A debug session that has said ready."""

    def __init__(self, berth, *words, flags=()):
        self.berth = berth
        self.process = berth.popen("debug", "--image", TOOLS, *flags, *words, stdout=-1, stdin=-1)

    def __enter__(self):
        assert self.process.stdout.readline() == b"ready\n"
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stdin.close()
        wait_for(lambda: sessions(self.berth) == [], "the end of the session")


@pytest.fixture(params=["root", "user"])
def ok(request):
    """Commands where networks are connected: root's in a namespace of their own, a user's beside pasta. `team` is a network."""
    if request.param == "root":
        alone = request.getfixturevalue("alone")
        alone.ok("network", "create", "team")
        return lambda *words: alone.ok(*words)
    if needs_pasta.args[0]:
        pytest.skip(needs_pasta.kwargs["reason"])
    world, engine = request.getfixturevalue("world"), request.getfixturevalue("user_net")
    return lambda *words: world.ok(engine, *[engine.net if word == "team" else word for word in words])


def test_its_network_and_names(ok):
    ok("run", "-d", "--name", "db", "--network", "team", TOOLS, "sleep", "1000")
    ok("run", "-d", "--name", "web", "--network", "team", "--add-host", "there:192.0.2.7", TOOLS, "sh", "-c", "nc -l -p 80 < /etc/hostname; sleep 1000")
    (document,) = json.loads(ok("inspect", "web").out)
    (network,) = document["NetworkSettings"]["Networks"].values()
    result = ok("debug", "--image", TOOLS, "--cap-add", "NET_RAW", "web", "sh", "-c",
                "cat /etc/hosts; ping -c 1 -W 5 db > /dev/null && echo reached; nc 127.0.0.1 80")  # fmt: skip
    assert re.search(r"192\.0\.2\.7\s+there", result.out) and network["IPAddress"] in result.out
    assert result.lines[-2:] == ["reached", document["Config"]["Hostname"]]


def test_an_image_has_the_network_of_run(ok):
    show = ["ls", "/sys/class/net"]
    assert ok("debug", "--image", TOOLS, TOOLS, *show).out == ok("run", "--rm", TOOLS, *show).out
    assert ok("debug", "--image", TOOLS, "--network", "team", TOOLS, *show).lines == ["eth0", "lo"]


def test_a_paused_container(berth, distroless):
    if not berth.who.is_root:
        pytest.skip("needs a cgroup")
    berth.up("--name", "web", image=distroless, command=())
    berth.ok("pause", "web")
    assert debug(berth, "web", "cat", "/target/app/data").check().text == "of the image"
    assert berth.status("web") == "paused"


def test_an_initialized_container(berth, distroless):
    berth.ok("create", "--name", "web", "--network", "none", distroless)
    berth.ok("init", "web")
    assert debug(berth, "web", "sh", "-c", "cat /target/app/data; ls /proc | grep -c '^1$'").check().lines == ["of the image", "1"]
    assert berth.inspect("web", "State.Status") == "initialized"


def test_ids_of_the_container(root_berth):
    """With ids of its own a container has files of those, and who debugs it is root there and nowhere else."""
    root_berth.up("--name", "web", "--userns", "auto", command=("sh", "-c", "touch /mine; exec sleep 1000"))
    wait_for(lambda: "mine" in root_berth.ok("diff", "web").out, "the file")
    script = "stat -c %u /target/mine /target/bin/busybox /bin/busybox; touch /target/theirs; cat /proc/self/uid_map"
    lines = debug(root_berth, "web", "sh", "-c", script).check().lines
    assert lines[:3] == ["0", "0", "0"]
    assert lines[3].split() == pathlib.Path(f"/proc/{root_berth.pid('web')}/uid_map").read_text().split()
    assert root_berth.ok("exec", "web", "stat", "-c", "%u", "/theirs").text == "0"
    root_berth.ok("stop", "-t", "0", "web")
    before = root_berth.ok("diff", "web").out
    script = "stat -c %u /target/mine /target/theirs /target/bin/busybox /target/home/app; echo x > /target/mine; rm /target/etc/group; ls -l /target/mine"
    lines = stopped(root_berth, "web", "sh", "-c", script).check().lines
    assert lines[:4] == ["0", "0", "0", "1000"] and "root" in lines[4]
    assert root_berth.ok("diff", "web").out == before


def test_an_image_is_mounted_where_ids_are_others(root_berth):
    """An image in a container with ids of its own, to be read and to be written to."""
    script = "stat -c %u /i/home/app /i/bin/busybox; touch /i/x && stat -c %u /i/x"
    flags = ["--userns", "auto", "--mount", "type=image,source=test,target=/i,rw=true"]
    assert root_berth.run(*flags, "test", "sh", "-c", script).check().lines == ["1000", "0", "0"]
    root_berth.run("--userns", "auto", "--mount", "type=image,source=test,target=/i", "test", "touch", "/i/x").fails(1, "Read-only")


def test_a_user_who_keeps_his_id(user_berth):
    user_berth.up("--name", "web", "--userns", "keep-id", "--tmpfs", "/t:mode=1777", command=("sh", "-c", "touch /t/mine; exec sleep 1000"))
    wait_for(lambda: user_berth.ok("exec", "web", "ls", "/t").text == "mine", "the file")
    assert debug(user_berth, "web", "stat", "-c", "%u", "/target/t/mine").check().text == str(user_berth.who.uid)


# Streams and codes


def test_what_is_piped_is_the_shells(berth, distroless):
    berth.up("--name", "web", image=distroless, command=())
    assert debug(berth, "web", stdin="echo first; cat /target/app/data; exit 7\n").exits(7).lines == ["first", "of the image"]
    assert debug(berth, "-i", "web", "cat", stdin=b"\0\xff" * 100000).check().bytes == b"\0\xff" * 100000


def test_commands(berth, distroless):
    berth.up("--name", "web", image=distroless, command=())
    assert debug(berth, "-c", 'echo "$1-$2"; exit 3', "web", "a", "b c").exits(3).text == "a-b c"
    assert debug(berth, "-s", "ash", "-c", "echo $0", "web").check().text == "ash"
    result = debug(berth, "web", "sh", "-c", "echo out; echo err >&2; exit 9").exits(9)
    assert (result.text, result.err.strip()) == ("out", "err")
    assert debug(berth, "-e", "A=1", "-u", "app", "web", "sh", "-c", "echo $A; id -u").check().lines == ["1", "1000"]
    debug(berth, "web", "nosuch").fails(127, "nosuch")
    debug(berth, "web", "/etc/passwd").fails(126, "permission denied")
    debug(berth, "--shell", "sh", "web", "ls").fails(125, "-c")
    debug(berth, "-t", "web").fails(1, "not a TTY")


def test_a_loop_keeps_its_input(berth, distroless):
    """A command reads nothing that it was not asked to read."""
    berth.up("--name", "web", image=distroless, command=())
    script = f"while read name; do {berth.program} debug --image {TOOLS} $name cat; echo $name; done"
    result = berth.call("--version", wrap=["sh", "-c", script, "sh"], stdin="web\nweb\n", timeout=30)
    assert result.lines == ["web", "web"]


def test_a_terminal(berth, distroless):
    berth.up("--name", "web", image=distroless, command=())
    with Terminal(berth, "debug", "--image", TOOLS, "web", size=(31, 97)) as terminal:
        terminal.expect("# ")
        terminal.type("stty size; tty; cat app/data\r")
        terminal.expect(r"31 97\r\n/dev/pts/0\r\nof the image\r\n")
        # The keys that detach elsewhere are the shell's.
        terminal.type("echo \x10\x11x | wc -c\r")
        terminal.expect(r"\d\r\n")
        terminal.type("exit 5\r")
        assert terminal.wait() == 5
        terminal.assert_restored()


def test_signals_go_to_the_command(berth, distroless):
    berth.up("--name", "web", image=distroless, command=())
    process = berth.popen("debug", "--image", TOOLS, "web", "sh", "-c", "trap 'exit 4' TERM; echo ready; while :; do usleep 10000; done", stdout=-1)
    assert process.stdout.readline() == b"ready\n"
    process.terminate()
    assert process.wait(DEADLINE) == 4
    process.stdout.close()


# One that does not run


@pytest.fixture
def ended(berth, distroless, place):
    """A container that has written, with a volume and a bind, and has ended."""
    (place / "file").write_text("bound\n")
    os.chmod(place, 0o777)
    berth.ok("create", "--name", "web", "--network", "none", "-v", f"{place}:/bound", "-v", "named:/volume", "--tmpfs", "/memory", TOOLS, "sh", "-c",
             "echo mine > /own; rm /etc/group; echo in > /volume/in")  # fmt: skip
    berth.ok("start", "-a", "web")
    return berth


def test_a_container_that_has_ended(ended):
    directory = ended.root / "containers" / ended.inspect("web", "Id")
    before = tree(directory), ended.inspect("web"), ended.ok("diff", "web").out
    script = """cat /target/own /target/bound/file /target/volume/in; ls /target/etc; ls -A /target/memory
        echo other > /target/own; rm /target/etc/passwd; mkdir /target/more; cat /target/own; ls /target"""
    lines = stopped(ended, "web", "sh", "-c", script).check().lines
    assert lines[:3] == ["mine", "bound", "in"] and "group" not in lines and "other" in lines and "more" in lines
    for path in ("/target/bound/x", "/target/volume/x"):
        stopped(ended, "web", "touch", path).fails(1, "Read-only")
    assert (tree(directory), ended.inspect("web"), ended.ok("diff", "web").out) == before
    assert ended.ok("start", "-a", "web").code == 0
    assert sessions(ended) == []


def test_a_container_that_was_only_made(berth, distroless):
    berth.ok("create", "--name", "web", "--network", "none", distroless)
    assert stopped(berth, "web", "ls", "/target/app").check().lines == ["data", "private", "sleep"]
    assert berth.status("web") == "created" and berth.ok("diff", "web").out == ""


def test_a_container_that_fails_again_and_again(berth):
    berth.ok("run", "-d", "--name", "web", "--network", "none", "--restart", "always", TOOLS, "sh", "-c", "echo trace >> /log; exit 1")
    wait_for(lambda: berth.inspect("web", "RestartCount") > 2, "some runs")
    assert "trace" in stopped(berth, "web", "cat", "/target/log").check().out
    assert berth.inspect("web", "RestartCount") > 2


def test_it_can_be_started_and_removed_meanwhile(ended):
    with debugging(ended, "web", "sh", "-c", "echo ready; read line; cat /target/own", flags=["-i", "--network", "none"]) as session:
        ended.ok("start", "-a", "web")
        ended.ok("rm", "web")
        session.process.stdin.write(b"\n")
        session.process.stdin.flush()
        session.process.wait(DEADLINE)
        assert session.process.returncode in (0, 1)


# Images


def test_an_image(berth, distroless):
    before = berth.ok("image", "inspect", distroless).out
    assert stopped(berth, distroless, "sh", "-c", "ls /target; echo x > /target/app/data; cat /target/app/data").check().lines == ["app", "x"]
    assert stopped(berth, distroless, "cat", "/target/app/data").check().text == "of the image"
    assert stopped(berth, "--read-only", distroless, "touch", "/target/x").fails(1, "Read-only")
    assert berth.ok("image", "inspect", distroless).out == before
    stopped(berth, "nosuch", "ls").fails(125, "no such container or image: nosuch.*berth pull nosuch")


def test_the_image_of_the_tools(berth, distroless, place):
    """From the configuration, else the flag; fetched as by run where it is not here."""
    berth.up("--name", "web", image=distroless, command=())
    (place / "berth").mkdir()
    (place / "berth/berth.conf").write_text('[debug]\nimage = "test"\n')
    assert berth.call("debug", "web", "cat", "app/data", env={"XDG_CONFIG_HOME": str(place)}).check().text == "of the image"
    berth.call("debug", "--image", "nosuch", "--pull", "never", "web").fails(125, "nosuch")
    result = berth.call("debug", "--image", "localhost:1/nosuch", "web", "ls").fails(125, "localhost:1/nosuch")
    assert "no such image" in result.err.lower() or "unable to find" in result.err.lower()
    (place / "berth/berth.conf").write_text("[debug]\nimage = \"\"\n")
    berth.call("debug", "web", env={"XDG_CONFIG_HOME": str(place)}).fails(125, "berth.conf:2")


def test_what_goes_with_what(berth, distroless):
    berth.up("--name", "web", image=distroless, command=())
    debug(berth, "--network", "none", "web").fails(125, "web runs")
    debug(berth, "--cap-add", "NOSUCH", "web").fails(125, "unknown capability")
    berth.call("debug").fails(1, "requires at least 1")


# Ends


def test_the_session_ends_with_its_command(berth, distroless):
    """Killed, it leaves nothing of itself, and the container as it was."""
    identity = berth.up("--name", "web", image=distroless, command=())
    with debugging(berth, "web", "sh", "-c", "echo ready; trap '' HUP TERM; sleep 1000"):
        (name,) = sessions(berth)
        session = berth.inspect(name, "Id")
    wait_for(lambda: berth.leftovers(session) == {}, f"nothing of the session: {berth.leftovers(session)}")
    assert berth.status("web") == "running" and berth.inspect("web", "Id") == identity


def test_the_session_ends_with_its_container(berth, distroless):
    berth.up("--name", "web", image=distroless, command=())
    process = berth.popen("debug", "--image", TOOLS, "web", "sh", "-c", "echo ready; sleep 1000", stdout=-1)
    assert process.stdout.readline() == b"ready\n"
    berth.ok("rm", "-f", "web")
    assert process.wait(DEADLINE) == 137
    process.stdout.close()
    wait_for(lambda: berth.names("-a") == [], "nothing to be left")


@pytest.mark.parametrize("victim", ["supervisor", "command"])
def test_killed_at_some_moment(berth, distroless, victim):
    """Killed anywhere on its way: the next command finds the container as it was, and nothing else."""
    berth.up("--name", "web", image=distroless, command=())
    for delay in range(0, 60, 4):
        process = berth.popen("debug", "--image", TOOLS, "web", "sleep", "1000")
        try:
            process.wait(delay / 1000)
        except subprocess.TimeoutExpired:
            pass
        if victim == "supervisor":
            for identity in berth.call("ps", "-aq", "--no-trunc", "--filter", "label=berth.debug").lines:
                pid = berth.supervisor(identity)
                if pid:
                    os.kill(pid, signal.SIGKILL)
        process.kill()
        process.wait()
    if victim == "supervisor":
        # Its process lives on, as that of any container whose supervisor was killed.
        for name in sessions(berth):
            berth.call("rm", "-f", name)
    wait_for(lambda: sessions(berth) == [], "the end of all sessions")
    assert berth.status("web") == "running" and berth.ok("diff", "web").out == ""
    berth.ok("rm", "-f", "web")
    # Clears away directories that no container has got, once nobody holds them any more.
    wait_for(lambda: berth.ok("image", "prune", "-f") and berth.leftovers() == {}, f"nothing to be left: {berth.leftovers()}")


# Hostile containers


def test_s16_the_session_is_closed_to_the_container(berth):
    """What runs in a container sees the processes beside it, and can neither enter nor read nor trace those that debug it."""
    script = """echo ready
        while :; do
            for p in /proc/[0-9]*; do
                [ $p = /proc/1 ] || [ $p = /proc/$$ ] && continue
                if readlink $p/exe > /tmp/exe 2> /dev/null || ls $p/fd > /tmp/fd 2> /dev/null || cat $p/environ > /tmp/environ 2> /dev/null; then
                    grep -q LOOT= $p/environ 2> /dev/null && echo "read $p"
                fi
                grep -q debug-session $p/cmdline 2> /dev/null && echo "seen $p" && { (echo > $p/mem) && echo "opened $p/mem"; ls $p/root/ && echo "entered $p"; }
            done
        done 2> /dev/null"""
    # PID 1 is the one who looks, and reads the others from a child of its own.
    berth.up("--name", "web", command=("sh", "-c", script))
    berth.wait_log("web", "ready")
    for _ in range(4):
        debug(berth, "-e", "LOOT=secret", "web", "sh", "-c", "usleep 300000; : debug-session").check()
    log = berth.logs("web")
    assert "seen" in log, "the container never saw a session: nothing was tried"
    for word in ("read /proc", "opened", "entered"):
        assert word not in log


def test_s73_links_of_a_stopped_container_lead_nowhere_else(berth, suite, place):
    """Its volumes are mounted in its files, not over the tools', wherever its image has links."""
    base = images.base_layer(suite.init)
    evil = images.Layer().symlink("a", "/bin").symlink("b", "../../../../../../bin").symlink("c", "/proc/self/root/bin").dir("d").symlink("d/e", "/")
    data = images.docker_archive([base, evil], ["evil:latest"], {"Cmd": ["true"]})
    berth.ok("load", "-i", images.write(place / "evil.tar", data))
    (place / "loot").mkdir()
    (place / "loot/sh").write_text("#!/nonexistent\n")
    os.chmod(place / "loot/sh", 0o755)
    try:
        for target in ("/a", "/b", "/d/e/bin"):
            berth.ok("create", "--name", "web", "--network", "none", "-v", f"{place}/loot:{target}", "evil")
            result = stopped(berth, "web", "sh", "-c", "echo whole; ls /target/bin /bin | grep -c busybox; cat /target/bin/sh").check()
            assert result.lines == ["whole", "1", "#!/nonexistent"], target
            berth.ok("rm", "web")
        berth.ok("create", "--name", "web", "--network", "none", "-v", f"{place}/loot:/c", "evil")
        assert stopped(berth, "web", "sh", "-c", "echo whole; cat /bin/sh | wc -c").check().lines[0] == "whole"
    finally:
        berth.clear()
        berth.ok("rmi", "-f", "evil")


def test_s10_a_tools_image_with_a_link_in_the_place(berth, suite, place, canary):
    """Tools come from anywhere too: what is at /target in their image is resolved in it."""
    base = images.base_layer(suite.init)
    for number, link in enumerate(("/etc", f"../../../../../..{canary}")):
        data = images.docker_archive([base, images.Layer().symlink("target", link)], [f"odd{number}:latest"])
        berth.ok("load", "-i", images.write(place / "odd.tar", data))
        berth.up("--name", "web")
        result = berth.call("debug", "--image", f"odd{number}", "web", "ls", "/target/")
        assert "canary" not in result.out
        if result.code == 0:
            assert "bin" in result.lines
        berth.ok("rm", "-f", "web")
        berth.ok("rmi", f"odd{number}")
