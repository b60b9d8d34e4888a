"""Networks on devices that the kernel of CI does not have: ipvlan, VLANs, dummy devices."""

import json

import pytest
from host import wait_for
from net_host import Host, NetBerth, ask, lookup, serve
from test_network_drivers import HERE, OUTSIDE, settings, up

SUBNET = ["--subnet", "10.99.0.0/24", "--gateway", OUTSIDE, "--ip-range", "10.99.0.64/26"]
VLAN, VLAN_OUTSIDE = ["--subnet", "10.98.0.0/24", "--ip-range", "10.98.0.64/26"], "10.98.0.2"


def links_and_routes(host):
    links = [line.split(": ")[1].split("@")[0] for line in host.run("ip", "-o", "link").splitlines()]
    return sorted(links), sorted(host.run("ip", "route").splitlines())


@pytest.fixture
def net(suite, berth_programs, test_archive):
    """berth of root on a host of its own, with a cable to another that is in VLAN 50 too."""
    engine = NetBerth(suite, suite.root, berth_programs)
    engine.outside = Host()
    try:
        engine.host.cable(engine.outside, "cable", f"{HERE}/24", f"{OUTSIDE}/24")
        outside = engine.outside
        outside.run("ip", "link", "add", "link", "cable", "name", "cable.50", "type", "vlan", "id", "50")
        outside.run("ip", "address", "add", f"{VLAN_OUTSIDE}/24", "dev", "cable.50")
        outside.run("ip", "link", "set", "cable.50", "up")
        before = links_and_routes(engine.host)
        engine.ok("load", "-i", test_archive, timeout=60)
        yield engine
        engine.clear()
        for name in engine.ok("network", "ls", "--format", "{{.Name}}", "--filter", "type=custom").lines:
            engine.ok("network", "rm", name)
        wait_for(lambda: links_and_routes(engine.host) == before, f"all to go: {links_and_routes(engine.host)}")
    finally:
        engine.close()
        engine.outside.close()


def reach(net, one, two, name, network, outside):
    """Each other, and the other host, both ways; names too."""
    here, there = settings(net, "one", network)["IPAddress"], settings(net, name, network)["IPAddress"]
    for kind in ("tcp", "udp"):
        with serve(two, kind, there, 8000):
            assert ask(one, kind, there, 8000).split()[0] == here
            if outside:
                assert ask(net.outside, kind, there, 8000).split()[0] == outside
        if outside:
            with serve(net.outside, kind, outside, 8001):
                assert ask(one, kind, outside, 8001).split()[0] == here
    assert lookup(one, name) == [there]


@pytest.mark.parametrize("mode", ["l2", "l3s"])
def test_ipvlan(net, mode):
    """All have the parent's MAC address; in layer 3 the other host needs a route, and there are no neighbours."""
    net.ok("network", "create", "-d", "ipvlan", *SUBNET, "-o", "parent=cable", "-o", f"ipvlan_mode={mode}", "lan")
    one, two = up(net, "one", "lan"), up(net, "two", "lan")
    macs = {json.loads(host.run("ip", "-j", "link", "show", device))[0]["address"] for host, device in ((one, "eth0"), (two, "eth0"), (net.host, "cable"))}
    assert len(macs) == 1
    if mode != "l2":
        net.outside.run("ip", "route", "add", "10.99.0.64/26", "via", HERE)
        net.host.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    reach(net, one, two, "two", "lan", OUTSIDE)
    route = json.loads(one.run("ip", "-j", "route", "show", "default"))[0]
    assert route.get("gateway") == (OUTSIDE if mode == "l2" else None), route
    assert settings(net, "one", "lan")["Gateway"] == (OUTSIDE if mode == "l2" else "")


@pytest.mark.parametrize("driver", ["macvlan", "ipvlan"])
def test_a_parent_is_called_as_the_containers_device(net, driver):
    """Linux looks for the new device's name among the host's before 6.15."""
    for host in (net.host, net.outside):
        host.run("ip", "link", "set", "cable", "name", "eth0")
    net.ok("network", "create", "-d", driver, *SUBNET, "-o", "parent=eth0", "lan")
    one, two = up(net, "one", "lan"), up(net, "two", "lan")
    reach(net, one, two, "two", "lan", OUTSIDE)
    assert one.links() == {"lo", "eth0"}
    net.ok("rm", "-f", "one", "two")
    net.ok("network", "rm", "lan")
    for host in (net.host, net.outside):
        host.run("ip", "link", "set", "eth0", "name", "cable")


def test_ipvlan_comes_and_goes_while_a_container_runs(net):
    net.ok("network", "create", "-d", "ipvlan", *SUBNET, "-o", "parent=cable", "lan")
    net.ok("network", "create", "-d", "ipvlan", *VLAN, "-o", "parent=cable.50", "other")
    one = up(net, "one", "lan")
    for _ in range(2):
        net.ok("network", "connect", "other", "one")
        with serve(net.outside, "tcp", VLAN_OUTSIDE, 80):
            assert ask(one, "tcp", VLAN_OUTSIDE, 80).split()[0] == settings(net, "one", "other")["IPAddress"]
        net.ok("network", "disconnect", "other", "one")
        assert "eth1" not in one.links()


@pytest.mark.parametrize("driver", ["macvlan", "ipvlan"])
def test_a_vlan_of_the_parent_is_made_and_goes(net, driver):
    net.ok("network", "create", "-d", driver, *VLAN, "-o", "parent=cable.50", "lan")
    one, two = up(net, "one", "lan"), up(net, "two", "lan")
    assert "cable.50" in net.host.links()
    reach(net, one, two, "two", "lan", VLAN_OUTSIDE)
    net.ok("rm", "-f", "one", "two")
    net.ok("network", "rm", "lan")
    assert "cable.50" not in net.host.links()


def test_without_a_parent_containers_have_each_other(net):
    net.ok("network", "create", "-d", "macvlan", "--subnet", "10.97.0.0/24", "alone")
    one, two = up(net, "one", "alone"), up(net, "two", "alone")
    reach(net, one, two, "two", "alone", None)
    net.ok("rm", "-f", "one", "two")


def test_a_vlan_that_was_there_stays(net):
    net.host.run("ip", "link", "add", "link", "cable", "name", "cable.50", "type", "vlan", "id", "50")
    net.host.run("ip", "link", "set", "cable.50", "up")
    net.ok("network", "create", "-d", "ipvlan", *VLAN, "-o", "parent=cable.50", "lan")
    up(net, "one", "lan")
    net.ok("rm", "-f", "one")
    net.ok("network", "rm", "lan")
    assert "cable.50" in net.host.links()
    net.host.run("ip", "link", "del", "cable.50")
