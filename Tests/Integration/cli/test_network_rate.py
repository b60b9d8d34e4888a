"""`--network-rate`: how fast a container's networks are, as root and as an ordinary user. docs/networks.md, "Bandwidth"."""

import json
import os
import re
import signal
import subprocess

import pytest
from host import wait_for
from net_host import in_namespace_of
from test_network_connect import net as root_net  # noqa: F401
from test_network_connect import who  # noqa: F401
from user_networks import needs_pasta

# Takes one connection after another; prints how long each took.
SINK = """
import socket, sys, time
server = socket.create_server((sys.argv[1], 5001), family=socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
print("ready", flush=True)
connection, _ = server.accept()
start = time.monotonic()
while connection.recv(1 << 20): pass
print(time.monotonic() - start, flush=True)
"""
SOURCE = """
import socket, sys
with socket.create_connection((sys.argv[1], 5001), 5) as connection: connection.sendall(bytes(int(sys.argv[2])))
"""
MEGABYTES = 4 << 20  # 32 Mbit and the packets' headers


class Pair:
    """An engine with a network of its own."""

    def __init__(self, engine, network, image, call):
        self.engine, self.network, self.image, self.call = engine, network, image, call

    def ok(self, *args):
        return self.call(*args).check()

    def up(self, name, *flags):
        self.ok("run", "-d", "--name", name, "--network", self.network, *flags, self.image, "sleep", "1000")

    def place(self, name):
        return in_namespace_of(int(self.ok("inspect", "-f", "{{.State.Pid}}", name).text))

    def address(self, name, network=None):
        networks = json.loads(self.ok("inspect", name).out)[0]["NetworkSettings"]["Networks"]
        return networks[network or self.network]["IPAddress"]

    def rate(self, name):
        return json.loads(self.ok("inspect", name).out)[0]["HostConfig"].get("NetworkRate")

    def seconds(self, source, sink, network=None, count=MEGABYTES):
        """How long so many bytes take from a container to another."""
        address = self.address(sink, network)
        with subprocess.Popen(self.place(sink).command("python3", "-c", SINK, address), stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout.readline() == "ready\n"
                self.place(source).run("python3", "-c", SOURCE, address, count)
                return float(server.stdout.readline())
            finally:
                server.kill()


@pytest.fixture(params=["root", pytest.param("user", marks=needs_pasta)])
def pair(request):
    if request.param == "root":
        net = request.getfixturevalue("root_net")
        return Pair(net, "bridge", net.image, net.call)
    net, world = request.getfixturevalue("user_net"), request.getfixturevalue("world")
    return Pair(net, net.net, "test", lambda *args: world.call(net, *args))


@pytest.mark.quiet
def test_each_direction_has_its_rate(pair):
    pair.up("one", "--network-rate", "in=20mbit,out=40mbit")
    pair.up("two")
    assert pair.rate("one") == {"In": 20_000_000, "Out": 40_000_000} and pair.rate("two") is None
    assert 1.4 < pair.seconds("two", "one") < 3.2
    assert 0.7 < pair.seconds("one", "two") < 1.9


@pytest.mark.quiet
def test_rates_change_while_a_container_runs(pair):
    pair.up("one")
    pair.up("two")
    assert pair.seconds("one", "two") < 0.5
    assert pair.ok("update", "--network-rate", "out=20mbit", "one").text == "one"
    assert pair.rate("one") == {"In": 0, "Out": 20_000_000}
    assert 1.4 < pair.seconds("one", "two") < 3.2
    assert pair.seconds("two", "one") < 0.5
    # What is not said stays.
    pair.ok("update", "--network-rate", "in=5mbps", "one")
    assert pair.rate("one") == {"In": 40_000_000, "Out": 20_000_000}
    assert 0.7 < pair.seconds("two", "one") < 1.9
    # So does all of it when the container is started again.
    pair.ok("restart", "-t", "0", "one")
    assert 1.4 < pair.seconds("one", "two") < 3.2
    pair.ok("update", "--network-rate", "in=0,out=0", "one")
    assert pair.rate("one") is None
    assert pair.seconds("one", "two") < 0.5 and pair.seconds("two", "one") < 0.5
    pair.call("update", "one").fails(1, "nothing to change: you must provide one or more flags")


@pytest.mark.quiet
def test_each_network_has_the_rate(pair):
    pair.ok("network", "create", "--subnet", "10.88.3.0/24", "back")
    try:
        pair.up("one", "--network", "back", "--network-rate", "out=20mbit")
        pair.up("two")
        pair.ok("network", "connect", "back", "two")
        assert 1.4 < pair.seconds("one", "two") < 3.2
        assert 1.4 < pair.seconds("one", "two", "back") < 3.2
        # A connection that comes later too.
        pair.ok("network", "disconnect", "back", "one")
        pair.ok("network", "connect", "back", "one")
        assert 1.4 < pair.seconds("one", "two", "back") < 3.2
    finally:
        for name in ("one", "two"):
            pair.call("rm", "-f", name)
        pair.ok("network", "rm", "back")


@pytest.mark.parametrize("mode", ["none", "host", "container:two"])
def test_refused_without_networks(pair, mode):
    pair.up("two")
    sentence = f"conflicting options: --network-rate and --network {mode}: it is for networks that containers are connected to"
    refused = pair.call("create", "--network", mode, "--network-rate", "in=1mbit", pair.image, "true")
    refused.fails(125, re.escape(sentence))
    if mode == "none":
        pair.ok("create", "--name", "one", "--network", "none", pair.image, "true")
        pair.call("update", "--network-rate", "in=1mbit", "one").fails(1, re.escape(sentence))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("10mbit", 'invalid network rate "10mbit": write it as in=RATE,out=RATE'),
        ("in=10mbit,in=10mbit", "write it as in=RATE,out=RATE"),
        ("in=fast", 'invalid rate "fast": write it as 512kbit'),
        ("in=-1", 'invalid rate "-1"'),
        ("out=1bit", 'rate "1bit" is too low: 8kbit is the least, 0 is no limit'),
        ("out=99999tbps", 'rate "99999tbps" is too high: 1tbit is the most'),
    ],
)  # fmt: skip
def test_what_is_no_rate(pair, text, sentence):
    pair.up("one")
    failed = pair.call("create", "--network", pair.network, "--network-rate", text, pair.image, "true")
    failed.fails(125, re.escape(sentence))
    pair.call("update", "--network-rate", text, "one").fails(1, re.escape(sentence))
    assert pair.rate("one") is None


def test_nothing_is_left_when_all_was_killed(root_net):  # noqa: F811
    root_net.ok("run", "-d", "--name", "one", "--network", "bridge", "--network-rate", "in=1mbit,out=1mbit", root_net.image, "sleep", "1000")
    assert [link for link in root_net.host.links() if link.startswith("ifb-")]
    os.kill(root_net.supervisor(root_net.inspect("one")["Id"]), signal.SIGKILL)
    root_net.ok("rm", "-f", "one")
    wait_for(lambda: root_net.host.links() <= root_net.before | {link for link in root_net.host.links() if link.startswith("br-")}, "links to go")
