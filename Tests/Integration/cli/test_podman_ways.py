"""What podman has beside docker: containers chosen by flags instead of names, exists, cleanup, unshare, columns of top."""

import os
import pathlib
import re
import signal

import pytest

from host import wait_for


def states(berth):
    return {line.split()[0]: line.split()[1] for line in berth.ok("ps", "-a", "--format", "{{.Names}} {{.State}}").lines}


@pytest.fixture
def three(berth):
    """Two that run and one that was only made; the newest is `made`."""
    for name in ("one", "two"):
        berth.up("--name", name, "--label", f"number={name}")
    berth.ok("create", "--name", "made", "--network", "none", "--label", "number=three", "test", "sleep", "1000")
    berth.id = {name: berth.inspect(name, "Id") for name in ("one", "two", "made")}
    return berth


# Instead of names


def test_all(three):
    assert sorted(three.ok("stop", "-t", "0", "--all").lines) == sorted((three.id["one"], three.id["two"]))
    assert states(three) == {"one": "exited", "two": "exited", "made": "created"}
    assert len(three.ok("start", "--all").lines) == 3
    assert len(three.ok("kill", "-a", "-s", "KILL").lines) == 3
    wait_for(lambda: set(states(three).values()) == {"exited"}, "their ends")
    assert three.ok("kill", "-a").lines == three.ok("stop", "-a").lines == []
    assert three.ok("start", "one").text == "one"
    assert three.ok("restart", "-t", "0", "--running").lines == [three.id["one"]]
    assert len(three.ok("restart", "-t", "0", "--all").lines) == 3
    three.call("rm", "--all").fails(1, "container is running")
    assert len(three.ok("rm", "-f", "-a").lines) == 3 and states(three) == {}


def test_latest(three):
    for command in (["start", "-l"], ["restart", "-t", "0", "-l"], ["update", "--restart", "always", "--latest"], ["stop", "-t", "0", "-l"]):
        assert three.ok(*command).text == three.id["made"], command
    assert three.ok("wait", "-l").text == "137"
    assert three.inspect("made", "HostConfig.RestartPolicy")["Name"] == "always"
    assert three.ok("inspect", "-l", "--format", "{{.Name}}").text == "/made"
    three.ok("start", "made")
    assert three.ok("exec", "-l", "echo", "here").text == "here"
    assert three.ok("top", "-l", "args").lines[1:] == ["sleep 1000"]
    assert three.ok("logs", "-l").out == "" and three.ok("port", "-l").out == ""
    assert three.ok("rm", "-f", "--latest").text == three.id["made"]
    assert states(three) == {"one": "running", "two": "running"}


def test_filter(three):
    assert three.ok("stop", "-t", "0", "--filter", "label=number=one").lines == [three.id["one"]]
    assert three.ok("restart", "-t", "0", "-f", "name=two").lines == [three.id["two"]]
    assert three.ok("start", "-f", "status=created").lines == [three.id["made"]]
    assert three.ok("rm", "--filter", "status=exited").lines == [three.id["one"]]
    assert three.ok("stop", "--filter", "name=nosuch").out == ""
    three.call("stop", "--filter", "nosuch=1").fails(1, "invalid filter")
    three.call("rm", "--filter", "nonsense").fails(125, "filter")


def test_lists(three):
    three.ok("rename", "two", "aaa")
    assert [line.split()[-1] for line in three.ok("ps", "-a", "--noheading").lines] == ["made", "aaa", "one"]
    assert three.ok("ps", "-a", "--sort", "names", "--format", "{{.Names}}").lines == ["aaa", "made", "one"]
    assert three.ok("ps", "-a", "--sort", "created", "--format", "table {{.Names}}", "--noheading").lines == ["one", "aaa", "made"]
    assert three.ok("ps", "-aq", "--no-trunc", "--sort", "id").lines == sorted(three.id.values())
    assert three.ok("ps", "-a", "--sort", "status", "--external", "--sync", "--format", "{{.Names}}").lines[0] == "made"
    assert three.ok("ps", "--sort", "size", "--format", "{{.Names}}").lines == ["aaa", "one"]
    three.call("ps", "--sort", "nonsense").fails(125, "must be one of command, created")
    three.ok("start", "made")
    three.ok("exec", "made", "touch", "/new")
    assert three.ok("diff", "--latest").lines == ["A /new"]


def test_pause_all(root_berth):
    root_berth.up("--name", "one")
    root_berth.up("--name", "two")
    assert len(root_berth.ok("pause", "-a").lines) == 2 and set(states(root_berth).values()) == {"paused"}
    assert root_berth.ok("pause", "-a").lines == []
    assert root_berth.ok("unpause", "-f", "name=two").lines == [root_berth.inspect("two", "Id")]
    assert root_berth.ok("unpause", "--all").lines == [root_berth.inspect("one", "Id")]


def test_cidfile(berth, place):
    berth.ok("run", "-d", "--network", "none", "--cidfile", place / "id", "test", "sleep", "1000")
    identity = (place / "id").read_text().strip()
    assert berth.ok("exec", "--cidfile", place / "id", "echo", "here").text == "here"
    assert berth.ok("stop", "-t", "0", "--cidfile", place / "id").text == identity
    assert berth.ok("rm", "--cidfile", place / "id").text == identity
    berth.call("rm", "--cidfile", place / "nosuch").fails(1, "reading CIDFile")
    assert berth.ok("rm", "--ignore", "--cidfile", place / "nosuch").out == ""


def test_ignore(berth):
    assert berth.ok("rm", "-i", "nosuch").out == "" and berth.ok("stop", "--ignore", "nosuch").out == ""
    assert berth.ok("wait", "--ignore", "nosuch").text == "-1"
    berth.call("stop", "nosuch").fails(1, "no such container")


def test_time_of_a_removal(berth):
    """The stop signal first, and a while."""
    script = "trap 'echo asked; exit 3' TERM; echo ready; while :; do sleep 0.05; done"
    berth.up("--name", "one", "-v", "kept:/kept", command=("sh", "-c", script.replace("echo asked", "echo asked > /kept/file")))
    berth.wait_log("one", "ready")
    assert berth.ok("rm", "-f", "-t", "10", "one", timeout=20).text == "one"
    assert berth.run("-v", "kept:/kept", "test", "cat", "/kept/file").check().text == "asked"
    berth.call("rm", "-t", "1", "nosuch").fails(1, "--force option must be specified to use the --time option")
    berth.up("--rm", "--name", "brief")
    assert berth.ok("rm", "-f", "-t", "0", "brief").text == "brief"
    berth.assert_clean("brief")


@pytest.mark.parametrize(
    "words, code, pattern",
    [
        (["stop"], 1, "requires at least 1 argument"), (["stop", "--all", "x"], 1, "accepts no arguments"), (["rm", "-a", "--latest"], 1, "cannot be used together"),
        (["logs", "-l", "x"], 1, "accepts no arguments"), (["exec", "-l"], 1, "requires at least 1 argument"), (["exec", "x"], 1, "requires at least 2 arguments"),
        (["port", "--all", "x"], 1, "accepts no arguments"),
    ],
)  # fmt: skip
def test_contradictions(berth, words, code, pattern):
    berth.call(*words).fails(code, pattern)


def test_latest_of_none(fresh):
    for words in (["stop", "-l"], ["logs", "-l"], ["stats", "--no-stream", "-l"]):
        fresh.call(*words).fails(1, "there is no container")
    assert fresh.ok("stop", "--all").out == ""


# Commands


def test_exists(berth):
    berth.ok("create", "--name", "one", "test", "true")
    for name in ("one", berth.inspect("one", "Id")[:12]):
        assert berth.ok("container", "exists", name).out == ""
    result = berth.call("container", "exists", "nosuch").exits(1)
    assert result.out == result.err == ""


def test_cleanup(berth):
    """What a killed supervisor left is gone, and the container is as it was."""
    identity = berth.up("--name", "one")
    berth.call("container", "cleanup", "one").fails(1, "it is running")
    pid = berth.pid("one")
    os.kill(berth.supervisor(identity), signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    berth.wait_status("one", "exited")
    assert (berth.run_root / "runtime" / identity).exists()
    assert berth.ok("container", "cleanup", "one").text == identity
    assert not (berth.run_root / "runtime" / identity).exists() and not berth.cgroups(identity)
    berth.ok("start", "one")
    berth.ok("stop", "-t", "0", "one")
    assert berth.ok("container", "cleanup", "--rm", "--all").lines == [identity] and states(berth) == {}


def test_unshare(user_berth, place):
    berth = user_berth
    map = berth.ok("unshare", "cat", "/proc/self/uid_map").lines
    assert map[0].split() == ["0", str(berth.who.uid), "1"] and len(map) == 2
    assert berth.call("unshare", "sh", "-c", "id -u; exit 7").exits(7).text == "0"
    # Files of containers are one's own there, and mounts are nobody else's.
    berth.run("-v", "kept:/kept", "test", "sh", "-c", "echo x > /kept/file; chown 5:5 /kept/file").check()
    path = berth.inspect("kept", "Mountpoint")
    assert berth.ok("unshare", "stat", "-c", "%u:%g", f"{path}/file").text == "5:5"
    berth.ok("unshare", "sh", "-c", f"mount -t tmpfs none {path} && touch {path}/inside && rm {path}/inside")
    assert not berth.mounts()
    assert berth.ok("unshare", "--", "sh", "-c", "echo $0 $BERTH_ROOT", "x").text == f"x {berth.root}"
    berth.call("unshare", "nosuchprogram").fails(127, "no such program in PATH")
    assert berth.ok("unshare", env={"SHELL": "/bin/true"}).out == ""


def test_unshare_of_root(root_berth):
    root_berth.call("unshare", "id").fails(125, "user other than root")


# top


def test_top(berth):
    berth.up("--name", "one", command=("sh", "-c", "sleep 1001 & sleep 1002; true"))
    wait_for(lambda: len(berth.ok("top", "one").lines) == 4, "its processes")

    def head(*words):
        return berth.ok("top", "one", *words).lines[0].split()

    assert head() == head("-ef") == head("-e", "-f") == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert head("aux") == head("auxww") == head("faux") == ["USER", "PID", "%CPU", "%MEM", "VSZ", "RSS", "TTY", "STAT", "START", "TIME", "COMMAND"]
    assert head("axo", "pid,comm") == head("-o", "pid", "-o", "comm") == head("-opid,comm") == head("pid", "comm") == ["PID", "COMMAND"]
    assert head("-A") == ["PID", "TTY", "TIME", "CMD"] and head("-eo", "pid=NUMBER") == ["NUMBER"]
    rows = [line.split() for line in berth.ok("top", "one", "--no-headers", "-o", "pid,nspid,ppid,pgid,sid,etimes,nlwp,stat").lines]
    assert rows[0][:2] == [str(berth.pid("one")), "1"] and len(rows) == 3
    assert {row[2] for row in rows[1:]} == {rows[0][0]}
    assert {int(row[1]) for row in rows} != {1} and all(re.fullmatch(r"\d+", row[5]) for row in rows)
    assert "sleep 1001" in berth.ok("top", "one", "-eo", "args").lines
    assert pathlib.Path(f"/proc/{rows[1][0]}").exists()
    for words in (["-o"], ["-Z"], ["--sort", "pid"], ["-o", "nosuch"], ["nosuch"]):
        berth.call("top", "one", *words).fails(1, "ps (option|column)")
