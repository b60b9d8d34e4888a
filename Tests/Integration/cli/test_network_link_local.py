"""--link-local-ip: addresses of 169.254.0.0/16 and fe80::/64 beside the network's own."""

import json

import pytest
from user_networks import needs_pasta, wait_gone

# Says hello to everybody who asks at port 80, in both families.
SERVER = ("sh", "-c", "while true; do echo hello | nc -l -p 80; done")


class OfUser:
    """An ordinary user's berth on a host of its own."""

    def __init__(self, world, berth):
        self.world, self.berth = world, berth

    def ok(self, *args, **keywords):
        return self.world.ok(self.berth, *args, **keywords)

    def call(self, *args, **keywords):
        return self.world.call(self.berth, *args, **keywords)


@pytest.fixture(params=["root", pytest.param("user", marks=needs_pasta)])
def engine(request):
    if request.param == "root":
        made = request.getfixturevalue("alone")
    else:
        made = OfUser(request.getfixturevalue("world"), request.getfixturevalue("user_berth"))
    made.ok("network", "create", "--subnet", "10.83.0.0/24", "link")
    yield made
    for name in made.ok("ps", "-aq").lines:
        made.ok("rm", "-f", "-t", "0", name)
    made.ok("network", "rm", "link")
    if isinstance(made, OfUser):
        wait_gone(made.berth)


def reached(engine, name, address):
    return engine.call("exec", name, "nc", "-w", "3", address, "80").out == "hello\n"


def test_containers_talk_by_them(engine):
    first = ["--link-local-ip", "169.254.7.1", "--link-local-ip", "fe80::77", "--link-local-ip", "169.254.7.9"]
    engine.ok("run", "-d", "--name", "one", "--network", "link", *first, "test", *SERVER)
    engine.ok("run", "-d", "--name", "two", "--network", "name=link,link-local-ip=169.254.7.2,link-local-ip=fe80::78", "test", *SERVER)
    for address in ("10.83.0.2", "169.254.7.1", "169.254.7.9", "fe80::77%eth0"):
        assert reached(engine, "two", address), address
    assert reached(engine, "one", "169.254.7.2")
    networks = json.loads(engine.ok("inspect", "one").out)[0]["NetworkSettings"]["Networks"]
    assert networks["link"]["IPAMConfig"] == {"LinkLocalIPs": ["169.254.7.1", "fe80::77", "169.254.7.9"]}
    engine.ok("restart", "-t", "0", "one")
    assert reached(engine, "two", "169.254.7.1")


def test_connected_while_it_runs(engine):
    engine.ok("run", "-d", "--name", "one", "--network", "link", "--link-local-ip", "169.254.7.1", "test", *SERVER)
    engine.ok("network", "create", "other")
    engine.ok("run", "-d", "--name", "two", "--network", "other", "test", *SERVER)
    engine.ok("network", "connect", "--link-local-ip", "169.254.7.2", "link", "two")
    assert reached(engine, "two", "169.254.7.1") and reached(engine, "one", "169.254.7.2")
    engine.ok("network", "disconnect", "link", "two")
    assert not reached(engine, "two", "169.254.7.1")
    engine.ok("rm", "-f", "-t", "0", "two")
    engine.ok("network", "rm", "other")


@pytest.mark.parametrize("address", ["10.83.0.9", "169.253.1.1", "fe81::1", "fd00::1", "x", "169.254.7.1/16"])
def test_others_are_refused(root_berth, address):
    root_berth.call("run", "--rm", "--network", "bridge", "--link-local-ip", address, "test", "true").fails(
        125, f"invalid link local IP address: {address}"
    )


def test_it_needs_a_network(root_berth):
    root_berth.call("run", "--rm", "--network", "none", "--link-local-ip", "169.254.1.1", "test", "true").fails(125, "--link-local-ip and --network none")
    root_berth.call("run", "--rm", "--network", "name=bridge,link-local-ip=169.254.1.1", "--link-local-ip", "169.254.1.2", "test", "true").fails(
        125, "conflicting options: cannot specify both --link-local-ip and per-network link-local-ip"
    )
