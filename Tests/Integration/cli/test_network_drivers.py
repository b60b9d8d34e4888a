"""Networks that are more than a bridge: macvlan and ipvlan on a device of the host's, routes, networks without names."""

import json
import os
import signal
import subprocess

import pytest
from host import wait_for
from net_host import Host, NetBerth, ask, in_namespace_of, lookup, require_root, serve

OUTSIDE, HERE = "10.99.0.2", "10.99.0.1"
LAN = ["--driver", "macvlan", "--subnet", "10.99.0.0/24", "--gateway", OUTSIDE, "--ip-range", "10.99.0.64/26", "-o", "parent=cable"]


@pytest.fixture
def net(suite, berth_programs, test_archive):
    """berth of root on a host of its own, with a cable to another."""
    require_root()
    engine = NetBerth(suite, suite.root, berth_programs)
    engine.outside = Host()
    try:
        engine.host.cable(engine.outside, "cable", f"{HERE}/24", f"{OUTSIDE}/24")
        engine.before = snapshot(engine.host)
        engine.ok("load", "-i", test_archive, timeout=60)
        yield engine
        engine.clear()
        for name in engine.ok("network", "ls", "--format", "{{.Name}}", "--filter", "type=custom").lines:
            engine.ok("network", "rm", name)
        wait_for(lambda: snapshot(engine.host) == engine.before, f"all to go: {snapshot(engine.host)}")
    finally:
        engine.close()
        engine.outside.close()


def snapshot(host):
    """Links, addresses and routes, and elements of the firewall."""
    links = [line.split(": ")[1].split("@")[0] for line in host.run("ip", "-o", "link").splitlines()]
    rules = json.loads(host.run("nft", "-j", "list", "ruleset"))["nftables"]
    elements = [entry[kind]["elem"] for entry in rules for kind in ("set", "map") if kind in entry and entry[kind].get("elem")]
    return sorted(links), sorted(host.run("ip", "route").splitlines()), elements


def inspect(engine, name):
    return json.loads(engine.ok("network", "inspect", name).out)[0]


def settings(engine, name, network):
    return engine.inspect(name)["NetworkSettings"]["Networks"][network]


def up(engine, name, network, *flags):
    engine.ok("run", "-d", "--name", name, "--network", network, *flags, engine.image, "sleep", "1000")
    return in_namespace_of(engine.pid(name))


# macvlan


def test_macvlan_is_a_neighbour_on_the_cable(net):
    net.ok("network", "create", *LAN, "lan")
    one, two = up(net, "one", "lan"), up(net, "two", "lan", "--network-alias", "second")
    here, there = settings(net, "one", "lan"), settings(net, "two", "lan")
    assert (here["IPAddress"], there["IPAddress"], here["Gateway"]) == ("10.99.0.64", "10.99.0.65", OUTSIDE)
    for kind in ("tcp", "udp"):
        with serve(net.outside, kind, OUTSIDE, 8000):
            assert ask(one, kind, OUTSIDE, 8000).split()[0] == here["IPAddress"]
        with serve(one, kind, here["IPAddress"], 8001):
            assert ask(net.outside, kind, here["IPAddress"], 8001).split()[0] == OUTSIDE
            assert ask(two, kind, here["IPAddress"], 8001).split()[0] == there["IPAddress"]
    neighbours = {entry["dst"]: entry.get("lladdr") for entry in json.loads(net.outside.run("ip", "-j", "neigh"))}
    assert neighbours[here["IPAddress"]] == here["MacAddress"] == "02:42:0a:63:00:40"
    assert lookup(one, "second") == lookup(one, "two") == [there["IPAddress"]]
    assert lookup(one, "host.docker.internal") != [OUTSIDE], "the gateway is not this host"
    assert json.loads(one.run("ip", "-j", "route", "show", "default"))[0]["gateway"] == OUTSIDE
    # Nothing of them is on the host.
    assert snapshot(net.host)[0] == net.before[0]


def test_macvlan_publishes_nothing_and_says_so(net):
    net.ok("network", "create", *LAN, "lan")
    done = net.ok("run", "-d", "--name", "one", "--network", "lan", "-p", "8080:80", net.image, "sleep", "1000")
    assert done.err.count("WARNING") == 1
    assert "WARNING: Published ports are discarded: network lan of driver macvlan leads past the host" in done.err
    assert net.ok("port", "one").text == ""
    # By a bridge beside it, where that gives the default route.
    net.ok("network", "create", "web")
    done = net.ok("run", "-d", "--name", "two", "--network", "lan", "--network", "name=web,gw-priority=1", "-p", "8080:80", net.image, "sleep", "1000")
    assert "WARNING" not in done.err and net.ok("port", "two").text == "80/tcp -> 0.0.0.0:8080"
    two = in_namespace_of(net.pid("two"))
    with serve(two, "tcp", "0.0.0.0", 80):
        assert not ask(net.host, "tcp", "127.0.0.1", 8080).startswith("no ")
        assert not ask(net.outside, "tcp", settings(net, "two", "lan")["IPAddress"], 80).startswith("no ")


def test_macvlan_inspect_is_dockers(net):
    net.ok("network", "create", *LAN, "-o", "macvlan_mode=private", "lan")
    found = inspect(net, "lan")
    assert (found["Driver"], found["Options"]) == ("macvlan", {"parent": "cable", "macvlan_mode": "private"})
    assert found["IPAM"]["Config"] == [{"Subnet": "10.99.0.0/24", "IPRange": "10.99.0.64/26", "Gateway": OUTSIDE}]
    up(net, "one", "lan", "--ip", "10.99.0.100", "--mac-address", "02:00:00:00:00:07")
    (member,) = inspect(net, "lan")["Containers"].values()
    assert (member["MacAddress"], member["IPv4Address"]) == ("02:00:00:00:00:07", "10.99.0.100/24")


def test_macvlan_comes_and_goes_while_a_container_runs(net):
    net.ok("network", "create", *LAN, "lan")
    net.ok("network", "create", "web")
    one = up(net, "one", "web")
    for _ in range(2):
        net.ok("network", "connect", "lan", "one")
        address = settings(net, "one", "lan")["IPAddress"]
        with serve(one, "tcp", address, 80):
            assert not ask(net.outside, "tcp", address, 80).startswith("no ")
        net.ok("network", "disconnect", "lan", "one")
        assert "eth1" not in one.links()
    net.ok("network", "connect", "lan", "one")
    for _ in range(3):
        net.ok("restart", "-t", "0", "one")
        one, address = in_namespace_of(net.pid("one")), settings(net, "one", "lan")["IPAddress"]
        with serve(one, "tcp", address, 80):
            assert not ask(net.outside, "tcp", address, 80).startswith("no ")


def test_a_killed_supervisor_leaves_nothing(net):
    net.ok("network", "create", *LAN, "lan")
    up(net, "one", "lan")
    supervisor = int(open(f"/proc/{net.pid('one')}/stat").read().rsplit(")", 1)[1].split()[1])
    os.kill(supervisor, signal.SIGKILL)
    wait_for(lambda: not os.path.exists(f"/proc/{supervisor}"), "the supervisor's end")
    net.ok("rm", "-f", "one")
    # And the fixture's comparison.
    assert snapshot(net.host)[0] == net.before[0]


def test_parents_that_cannot_serve(net):
    net.call("network", "create", "-d", "macvlan", "-o", "parent=eth9", "x").fails(
        1, '^Error: the host has no network device "eth9": give one that it has, or DEVICE.VLAN, as -o parent=$')
    net.call("network", "create", "-d", "macvlan", "-o", "parent=lo", "x").fails(1, "loopback interface is not a valid macvlan parent link")
    net.call("network", "create", "-d", "macvlan", "-o", "macvlan_mode=odd", "x").fails(1, "option macvlan_mode=odd: not one of bridge, private, vepa, passthru")
    net.call("network", "create", "-d", "macvlan", "-o", "icc=1", "x").fails(1, 'unknown option "icc" of driver macvlan; known: parent, macvlan_mode')
    net.ok("network", "create", *LAN, "lan")
    net.call("network", "create", "-d", "macvlan", "-o", "parent=cable", "-o", "mode=passthru", "x").fails(
        1, "network lan is already using parent interface cable, and mode passthru wants it alone")
    net.host.run("ip", "link", "set", "cable", "down")
    net.call("run", "--rm", "--network", "lan", net.image, "true").fails(125, "its parent cable is down: ip link set cable up")
    net.host.run("ip", "link", "set", "cable", "up")
    net.ok("run", "--rm", "--network", "lan", net.image, "true")
    net.host.run("ip", "link", "set", "cable", "name", "other")
    net.call("run", "--rm", "--network", "lan", net.image, "true").fails(125, "the host has no device cable, its parent")
    net.host.run("ip", "link", "set", "other", "name", "cable")


@pytest.mark.parametrize(
    "kind,probe,flags",
    [
        ("ipvlan", ["link", "cable", "type", "ipvlan"], ["-d", "ipvlan", "-o", "parent=cable", "-o", "ipvlan_mode=l2", "-o", "ipvlan_flag=bridge"]),
        ("VLAN", ["link", "cable", "type", "vlan", "id", "77"], ["-d", "macvlan", "-o", "parent=cable.50"]),
        ("dummy", ["type", "dummy"], ["-d", "macvlan"]),
    ],
)
def test_what_the_kernel_may_lack(net, kind, probe, flags):
    """Works where the kernel has it; else one sentence says what is missing."""
    has = subprocess.run(net.host.command("ip", "link", "add", "probe", *probe), capture_output=True).returncode == 0
    if has:
        net.host.run("ip", "link", "del", "probe")
    net.ok("network", "create", *flags, "--subnet", "10.98.0.0/24", "x")
    if has:
        one, two = up(net, "one", "x"), up(net, "two", "x")
        with serve(two, "tcp", settings(net, "two", "x")["IPAddress"], 80):
            assert ask(one, "tcp", settings(net, "two", "x")["IPAddress"], 80).startswith(settings(net, "one", "x")["IPAddress"])
    else:
        net.call("run", "--rm", "--network", "x", net.image, "true").fails(125, f'connect to network "x": the kernel has no {kind} devices')


def test_users_are_told_why_not(fresh):
    if fresh.who.is_root:
        pytest.skip("of ordinary users")
    for driver in ("macvlan", "ipvlan"):
        fresh.call("network", "create", "-d", driver, "-o", "parent=lo0", "x").fails(
            1, f"driver {driver} needs root: a user's containers are in a network namespace that has none of the host's devices; use a bridge")


# Routes


def test_routes_are_in_every_containers_table(net):
    flags = ["--route", "10.77.0.0/16,10.5.0.9", "--route", "10.78.0.0/16,10.5.0.9,50"]
    net.ok("network", "create", "--subnet", "10.5.0.0/24", *flags, "web")
    net.ok("network", "create", "--subnet", "10.6.0.0/24", "back")
    one = up(net, "one", "web")

    def routes():
        found = json.loads(one.run("ip", "-j", "route"))
        return [(r["dst"], r["gateway"], r["dev"], r.get("metric", 0)) for r in found if r["dst"].startswith("10.7")]

    wanted = [("10.77.0.0/16", "10.5.0.9", "eth0", 0), ("10.78.0.0/16", "10.5.0.9", "eth0", 50)]
    assert routes() == wanted
    net.ok("network", "connect", "back", "one")
    assert routes() == wanted
    net.ok("network", "disconnect", "back", "one")
    assert routes() == wanted
    net.ok("network", "disconnect", "web", "one")
    assert routes() == []
    net.ok("network", "connect", "web", "one")
    assert [route[:2] for route in routes()] == [route[:2] for route in wanted]
    assert inspect(net, "web")["Routes"] == [
        {"Destination": "10.77.0.0/16", "Gateway": "10.5.0.9"}, {"Destination": "10.78.0.0/16", "Gateway": "10.5.0.9", "Metric": 50}]
    for text, why in [
        ("10.1.0.0/24", "write it as DESTINATION/LENGTH,GATEWAY"), ("10.1.0.0/24,x", "write it as"), ("10.1.0.1/24,10.5.0.9", "its destination should be 10.1.0.0/24"),
        ("0.0.0.0/0,10.5.0.9", "the default route is"), ("10.1.0.0/24,10.9.0.9", "its gateway is in none of the subnets"), ("10.1.0.0/24,10.5.0.9,x", "its metric"),
    ]:  # fmt: skip
        net.call("network", "create", "--subnet", "10.5.1.0/24", "--subnet", "10.5.0.0/25", "--route", text, "x").fails(1, why)


def test_a_route_leads_somewhere(net):
    """Behind a container that forwards."""
    net.ok("network", "create", "--subnet", "10.5.0.0/24", "--route", "10.200.0.0/24,10.5.0.9", "web")
    router, one = up(net, "router", "web", "--ip", "10.5.0.9"), up(net, "one", "web")
    router.run("ip", "address", "add", "10.200.0.1/32", "dev", "lo")
    with serve(router, "tcp", "10.200.0.1", 80):
        assert ask(one, "tcp", "10.200.0.1", 80).startswith(settings(net, "one", "web")["IPAddress"])


# Names


def test_a_network_without_names(net):
    net.ok("network", "create", "--disable-dns", "quiet")
    net.ok("network", "create", "web")
    one = up(net, "one", "quiet")
    up(net, "two", "quiet")
    assert lookup(one, "two") in (["no 2"], ["no 3"])
    assert inspect(net, "quiet")["DNSEnabled"] is False and "DNSEnabled" not in inspect(net, "web")
    net.ok("network", "connect", "web", "one")
    net.ok("network", "connect", "web", "two")
    assert lookup(one, "two") == [settings(net, "two", "web")["IPAddress"]]
