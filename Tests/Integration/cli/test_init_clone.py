"""podman's `init`, `container clone` and `wait --exit-first-match`."""

import os
import pathlib
import signal
import subprocess

import pytest

from host import DEADLINE, wait_for
from terminal import Terminal


@pytest.fixture
def made(berth):
    """A container that was made and never started."""
    berth.ok("create", "--name", "web", "--network", "none", "test", "sh", "-c", "echo started; sleep 1000")
    berth.id = berth.inspect("web", "Id")
    return berth


# init


def test_init_makes_all_but_the_program(made):
    assert made.ok("init", "web").text == "web"
    state = made.inspect("web", "State")
    assert state["Status"] == "initialized" and not state["Running"] and state["Pid"] > 0
    assert os.readlink(f"/proc/{state['Pid']}/ns/pid") != os.readlink("/proc/self/ns/pid")
    assert made.logs("web") == "" and "web" not in made.names() and "web" in made.names("-a")
    assert made.ok("ps", "-a", "--format", "{{.Status}}", "--filter", "status=initialized").text == "Initialized"
    assert made.ok("init", "web", made.id[:12]).lines == ["web", made.id[:12]] and made.pid("web") == state["Pid"]
    made.ok("start", "web")
    made.wait_log("web", "started")
    assert made.pid("web") == state["Pid"] and made.status("web") == "running"
    assert made.ok("container", "init", "web").text == "web" and made.pid("web") == state["Pid"]


def test_init_outlives_everything_but_its_supervisor(made):
    made.ok("init", "web")
    pid = made.pid("web")
    # A starter that goes before it has started it.
    process = made.popen("start", "-a", "web", stdout=subprocess.DEVNULL, wrap=["timeout", "-s", "KILL", "0.01"])
    process.wait()
    wait_for(lambda: made.status("web") in ("initialized", "running"), "it to be there")
    assert made.pid("web") == pid
    made.ok("rm", "-f", "web")
    made.assert_clean()


def test_init_of_a_supervisor_that_is_killed(made):
    made.ok("init", "web")
    pid = made.pid("web")
    os.kill(made.supervisor(made.id), signal.SIGKILL)
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"), "the end of its process")
    assert made.status("web") == "created"
    made.ok("start", "web")
    made.wait_log("web", "started")


def test_init_and_what_else_is_done(made, place):
    made.ok("init", "web")
    (place / "a").write_text("copied\n")
    made.ok("cp", place / "a", "web:/a")
    made.call("exec", "web", "true").fails(1, "is not running")
    made.call("kill", "web").fails(1, "is not running")
    made.call("pause", "web").fails(1, "not running")
    made.ok("rename", "web", "renamed")
    assert made.ok("container", "prune", "-f").out.count(made.id) == 0
    made.ok("start", "renamed")
    assert made.ok("exec", "renamed", "cat", "/a").text == "copied"
    made.ok("stop", "-t", "0", "renamed")
    made.ok("init", "renamed")
    made.ok("stop", "renamed")
    assert made.status("renamed") == "exited" or made.status("renamed") == "created"
    made.ok("init", "renamed")
    made.ok("restart", "-t", "0", "renamed")
    assert made.status("renamed") == "running"
    made.ok("rm", "-f", "renamed")
    made.ok("create", "--name", "other", "--network", "none", "test", "true")
    made.ok("init", "--all")
    assert made.status("other") == "initialized"
    made.ok("rm", "other")
    made.assert_clean()


def test_init_is_waited_for_and_told(made):
    waiting = made.popen("wait", "--condition", "initialized", "web", stdout=subprocess.PIPE)
    made.ok("init", "--latest")
    assert waiting.wait(DEADLINE) == 0 and waiting.stdout.read() == b"-1\n"
    waiting.stdout.close()
    made.ok("start", "web")
    actions = made.ok("events", "--since", "1h", "--until", "0s", "--filter", f"container={made.id}", "--format", "{{.Action}}").lines
    assert actions.index("create") < actions.index("init") < actions.index("start")


def test_init_with_a_terminal(berth):
    berth.ok("create", "-it", "--name", "web", "--network", "none", "test", "sh")
    berth.ok("init", "web")
    with Terminal(berth, "start", "-ai", "web") as terminal:
        terminal.expect("# ")
        terminal.type("echo $((6*7)); exit 4\r")
        terminal.expect("42")
        assert terminal.wait() == 4


def test_init_that_cannot_be(berth):
    berth.ok("create", "--name", "web", "--network", "none", "test", "/nosuch")
    berth.call("init", "web").fails(1, "/nosuch")
    assert berth.status("web") == "created"
    berth.call("init", "nosuch").fails(1, "no such container")
    berth.call("init").fails(1, "requires at least 1")


def test_init_killed_at_some_moment(made):
    for delay in range(0, 60, 4):
        process = made.popen("init", "web", stdout=subprocess.DEVNULL)
        try:
            process.wait(delay / 1000)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        wait_for(lambda: made.status("web") in ("created", "initialized"), "one or the other")
        made.ok("stop", "web")
    wait_for(lambda: made.status("web") == "created", "the last one's end")
    made.ok("init", "web")
    made.ok("start", "web")
    made.wait_log("web", "started")


# clone


def test_clone(berth, place):
    berth.ok("create", "--name", "web", "--network", "none", "-e", "A=1", "-v", f"{place}:/bound:ro", "-v", "named:/named", "-v", "/own", "--label", "l=1",
             "-m", "64m", "--restart", "on-failure:2", "--cap-drop", "CHOWN", "-u", "app", "--stop-signal", "INT", "test", "sleep", "1000")  # fmt: skip
    identity = berth.ok("container", "clone", "web").text
    first, second = berth.inspect("web"), berth.inspect("web-clone")
    assert second["Id"] == identity != first["Id"] and second["State"]["Status"] == "created"
    for document in (first, second):
        for key in ("Id", "Name", "Created", "ResolvConfPath", "HostnamePath", "HostsPath", "LogPath", "State"):
            document.pop(key, None)
        document["Config"].pop("Hostname")
        document.pop("GraphDriver", None)
    own = [[mount for mount in document["Mounts"] if mount["Destination"] == "/own"][0]["Name"] for document in (first, second)]
    assert own[0] != own[1]
    for document, name in zip((first, second), own):
        document["Mounts"] = [mount for mount in document["Mounts"] if mount["Destination"] != "/own"]
    assert first == second
    berth.ok("start", "web-clone")
    assert berth.ok("exec", "web-clone", "sh", "-c", "id -u; echo $A; hostname").lines == ["1000", "1", identity[:12]]
    assert berth.inspect(berth.ok("container", "clone", "web").text, "Name") == "/web-clone1"


def test_clone_with_changes(berth):
    berth.ok("create", "--name", "web", "--network", "none", "--cpus", "1.5", "-m", "64m", "test", "sleep", "1000")
    berth.ok("container", "clone", "--cpu-quota", "20000", "--cpu-period", "50000", "-m", "32m", "--memory-swappiness", "-1", "web", "small")
    limits = berth.inspect("small", "HostConfig")
    assert (limits["NanoCpus"], limits["CpuQuota"], limits["CpuPeriod"], limits["Memory"], limits["MemorySwap"]) == (0, 20000, 50000, 32 << 20, 64 << 20)
    berth.ok("container", "clone", "--name", "fast", "--cpus", "0.5", "--cpuset-cpus", "0", "small")
    limits = berth.inspect("fast", "HostConfig")
    assert (limits["NanoCpus"], limits["CpuQuota"], limits["CpusetCpus"]) == (500_000_000, 0, "0")
    berth.call("container", "clone", "--name", "a", "web", "b").fails(125, "two names")
    berth.call("container", "clone", "web", "small").fails(125, "already in use")
    berth.call("container", "clone", "--force", "web").fails(125, "--force without --destroy")
    berth.call("container", "clone", "nosuch").fails(125, "no such container")
    assert sorted(berth.names("-a")) == ["fast", "small", "web"]


def test_clone_of_another_image(berth, place):
    import images

    berth.ok("create", "--name", "web", "--network", "none", "test", "cat", "/what")
    data = images.docker_archive([images.base_layer(berth.suite.init), images.Layer().file("what", "the other\n")], ["other:latest"])
    berth.ok("load", "-i", images.write(place / "other.tar", data))
    berth.ok("container", "clone", "web", "second", "other")
    assert berth.inspect("second", "Config.Image") == "other" and berth.ok("start", "-a", "second").text == "the other"
    # The image it was made from, whatever has its name now.
    before = berth.inspect("second", "Image")
    berth.ok("tag", "test", "other")
    berth.ok("container", "clone", "second", "third")
    assert berth.inspect("third", "Image") == before and berth.ok("start", "-a", "third").text == "the other"
    berth.call("container", "clone", "web", "fourth", "localhost:1/nosuch").fails(125, "localhost:1/nosuch")
    berth.clear()
    # `other` is a name of the image that all tests use.
    berth.ok("untag", "test", "other")
    berth.ok("rmi", before)


def test_clone_in_place_of_the_other(berth):
    berth.up("--name", "web")
    berth.call("container", "clone", "--destroy", "web", "new").fails(125, "it is running")
    assert berth.names("-a") == ["web"]
    identity = berth.ok("container", "clone", "--destroy", "--force", "--run", "web", "new").text
    assert berth.names("-a") == ["new"] and berth.status("new") == "running" and berth.inspect("new", "Id") == identity


def test_clone_in_a_network(alone):
    """The same networks and names there, another address."""
    alone.ok("network", "create", "--subnet", "10.89.77.0/24", "team")
    alone.ok("run", "-d", "--name", "web", "--network", "team", "--ip", "10.89.77.5", "--network-alias", "service", "test", "sleep", "1000")
    alone.ok("container", "clone", "--run", "web", "second")
    first, second = (alone.inspect(name, "NetworkSettings.Networks")["team"] for name in ("web", "second"))
    assert first["IPAddress"] == "10.89.77.5" != second["IPAddress"] and second["IPAddress"].startswith("10.89.77.")
    assert "service" in second["Aliases"] and first["MacAddress"] != second["MacAddress"]


# wait


def test_wait_for_the_first(berth):
    berth.up("--name", "long")
    berth.ok("run", "-d", "--rm", "--name", "short", "-i", "--network", "none", "test", "sh", "-c", "sleep 0.3; exit 7")
    assert berth.ok("wait", "--exit-first-match", "long", "short").text == "7"
    berth.up("--name", "second", command=("sh", "-c", "sleep 0.3; exit 5"))
    assert berth.ok("wait", "--exit-first-match", "long", "second").text == "5"
    assert berth.ok("wait", "--exit-first-match", "--condition", "running", "second", "long").text == "-1"
    assert berth.ok("wait", "--exit-first-match", "--ignore", "nosuch").text == "-1"
    berth.call("wait", "--exit-first-match", "nosuch", "long").fails(1, "no such container")
