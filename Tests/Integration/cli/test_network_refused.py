"""Changes of a running container's networks that cannot be carried out change nothing, as root and as an ordinary user."""

import json
import subprocess

import inject
import pytest
from host import wait_for
from net_host import in_namespace_of
from test_network_faults import RUN, elements, place, planned  # noqa: F401

pytestmark = pytest.mark.skipif(not inject.available(), reason="needs root and x86-64")


def identity(place):
    return place.ok("inspect", "-f", "{{.Id}}", "it").text


def devices(place):
    return in_namespace_of(int(place.ok("inspect", "-f", "{{.State.Pid}}", "it").text)).links()


def networks(place):
    return set(json.loads(place.ok("inspect", "it").out)[0]["NetworkSettings"]["Networks"])


def members(place, network):
    found = json.loads(place.ok("network", "inspect", network).out)[0]["Containers"]
    return {container["Name"]: container["IPv4Address"] for container in found.values()}


def test_connect_without_a_place_for_its_name(place):  # noqa: F811
    """The device is there already when the name cannot be written."""
    place.ok(*RUN)
    place.ok("network", "create", "--subnet", "10.80.0.0/24", "third")
    names = place.engine.run_root / "networks" / place.ok("network", "inspect", "-f", "{{.Id}}", "third").text
    names.write_text("")
    plan = planned(place)
    result = place.call("network", "connect", "third", "it").fails(1, "")
    assert len(result.err.strip().splitlines()) == 1, result.err
    assert devices(place) == {"lo", "eth0"} and networks(place) == {"web"} and "it" not in members(place, "third")
    assert planned(place) == plan
    names.unlink()
    place.ok("network", "connect", "third", "it")
    assert devices(place) == {"lo", "eth0", "eth1"} and "it" in members(place, "third")
    place.ok("rm", "-f", "it")
    place.ok("network", "rm", "third")


def test_disconnect_that_cannot_be_carried_out(place):  # noqa: F811
    """The address stays the container's for as long as the container has it; with --force it is given up."""
    place.ok(*RUN)
    place.ok("network", "connect", "back", "it")
    before = members(place, "back")
    hosts = place.engine.root / "containers" / identity(place) / "hosts"
    hosts.rename(hosts.with_suffix(".kept"))
    hosts.mkdir()
    place.call("network", "disconnect", "back", "it").fails(1, "hosts")
    assert devices(place) == {"lo", "eth0", "eth1"} and networks(place) == {"web", "back"} and members(place, "back") == before
    place.ok("network", "disconnect", "--force", "back", "it")
    assert networks(place) == {"web"} and "it" not in members(place, "back")
    hosts.rmdir()
    hosts.with_suffix(".kept").rename(hosts)
    # Whoever asks again has it carried out.
    place.call("network", "disconnect", "back", "it").fails(1, "is not connected to network back")
    assert devices(place) == {"lo", "eth0"}
    place.ok("rm", "-f", "it")


def test_a_device_name_that_the_container_has(place):  # noqa: F811
    place.ok(*RUN)
    option = "com.docker.network.endpoint.ifname"
    place.call("network", "connect", "--driver-opt", f"{option}=eth0", "back", "it").fails(1, "eth0")
    assert devices(place) == {"lo", "eth0"} and networks(place) == {"web"}
    place.ok("network", "connect", "--driver-opt", f"{option}=lan0", "back", "it")
    assert devices(place) == {"lo", "eth0", "lan0"}
    place.ok("rm", "-f", "it")


def test_a_refused_plan_is_taken_back(place):  # noqa: F811
    """A command that was killed after it wrote what cannot be: the next that speaks to the supervisor leaves the file as it is carried out."""
    place.ok(*RUN)
    file = place.engine.root / "containers" / identity(place) / "supervise.json"
    config = json.loads(file.read_text())
    config["network"]["ports"][0]["hostPort"] = 8085
    taker = subprocess.Popen([*map(str, place.prefix), "python3", "-c", TAKER, "8085"], stdout=subprocess.PIPE, text=True)
    try:
        assert taker.stdout.readline() == "taken\n"
        fresh = file.with_suffix(".new")
        fresh.write_text(json.dumps(config))
        fresh.chmod(0o600)
        subprocess.run(["chown", f"--reference={file}", fresh], check=True)
        fresh.rename(file)
        place.ok("kill", "-s", "CONT", "it")
        wait_for(lambda: planned(place)[1] == {8080}, "the file to say what is", 5)
    finally:
        taker.kill()
        taker.wait()
        taker.stdout.close()
    assert place.listening() == {8080}
    place.ok("rm", "-f", "it")


TAKER = """
import socket, sys, time
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("0.0.0.0", int(sys.argv[1])))
s.listen()
print("taken", flush=True)
time.sleep(100)
"""


def test_a_flush_is_noticed_by_one_that_came_without_networks(place):  # noqa: F811
    """Its supervisor had no reason to watch the ruleset when it started."""
    place.ok("create", "--name", "it", "--network", "web", "-p", "8080:80", "test", "sleep", "1000")
    place.ok("network", "disconnect", "web", "it")
    place.ok("start", "it")
    assert devices(place) == {"lo"}
    place.ok("network", "connect", "web", "it")
    before = elements(place)
    place.inside("nft", "flush", "ruleset")

    def repaired():
        tables = place.inside("nft", "list", "tables")
        return "inet berth" in tables and elements(place) == before

    wait_for(repaired, "the ruleset to be repaired", 4)
    place.ok("rm", "-f", "it")


def test_the_names_are_there_before_the_process(place):  # noqa: F811
    """The first thing it does is to ask for another's address, of a server that answers already."""
    address = members(place, "web")["keeper"].partition("/")[0]
    for _ in range(3):
        result = place.ok("run", "--rm", "--network", "web", "test", "/init", "resolve", "keeper")
        assert result.text == address
