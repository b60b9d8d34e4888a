"""`[network] respect_input_firewall`: what a host denies to its own services it denies to published ports. docs/networks.md."""

import os
import signal

import pytest
from host import wait_for
from net_host import ask, in_namespace_of, serve
from test_network_connect import HERE, HERE6, OUTSIDE, OUTSIDE6, PORTS, elements, net, who  # noqa: F401

DENY = """
table inet hostfw {
    chain input {
        type filter hook input priority 0; policy drop;
        iif lo accept
        ct state established accept
        meta l4proto ipv6-icmp accept
    }
}
"""


@pytest.fixture
def settings(tmp_path):
    """What makes `berth` read a configuration with the option."""
    (tmp_path / "berth").mkdir()
    (tmp_path / "berth/berth.conf").write_text("[network]\nrespect_input_firewall = true\n")
    return {"XDG_CONFIG_HOME": str(tmp_path)}


def up(net, kind, env=None):  # noqa: F811
    net.ok("network", "create", "--ipv6", "--subnet", "172.29.0.0/24", "--subnet", "fd29::/64", "web")
    flags = ["--ip", "172.29.0.7", "--ip6", "fd29::7", "-p", f"8080:80/{kind}"]
    net.ok("run", "-d", "--name", "one", "--network", "web", *flags, net.image, "sleep", "1000", env=env)
    return in_namespace_of(net.pid("one"))


def outside(net, kind, wait=3):  # noqa: F811
    return [ask(net.outside, kind, here, 8080, wait) for here in (HERE, HERE6)]


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_published_ports_are_services_of_the_host(net, settings, kind):  # noqa: F811
    inside = up(net, kind, settings)
    assert not PORTS & set(elements(net))
    with serve(inside, kind, "172.29.0.7", 80), serve(inside, kind, "fd29::7", 80):
        assert [answer.split()[0] for answer in outside(net, kind)] == [OUTSIDE, OUTSIDE6]
        net.host.run("nft", "-f", "-", stdin=DENY)
        assert [answer.split()[0] for answer in outside(net, kind, 0.5)] == ["no", "no"]
        # The host itself is not denied.
        assert ask(net.host, kind, "127.0.0.1", 8080).startswith("172.29.0.1 ")
        assert ask(net.host, kind, "::1", 8080).startswith("fd29::1 ")
        net.host.run("nft", "add", "rule", "inet", "hostfw", "input", "meta", "l4proto", kind, "th", "dport", "8080", "accept")
        assert [answer.split()[0] for answer in outside(net, kind)] == [OUTSIDE, OUTSIDE6]
        # The container by the host's address, and another one.
        net.ok("run", "-d", "--name", "two", "--network", "web", net.image, "sleep", "1000")
        for place in (inside, in_namespace_of(net.pid("two"))):
            assert ask(place, kind, HERE, 8080).startswith("172.29.0.1 ")
        net.ok("network", "create", "--subnet", "172.29.1.0/24", "other")
        net.ok("run", "-d", "--name", "three", "--network", "other", "--ip", "172.29.1.9", net.image, "sleep", "1000")
        assert ask(in_namespace_of(net.pid("three")), kind, HERE, 8080).startswith("172.29.1.9 ")
        # What gives the answers back stands again after a flush.
        net.host.run("nft", "flush", "ruleset")
        wait_for(lambda: [answer.split()[0] for answer in outside(net, kind, 1)] == [OUTSIDE, OUTSIDE6], "repair")


def test_without_it_ports_bypass_the_input_chain(net):  # noqa: F811
    with serve(up(net, "tcp"), "tcp", "0.0.0.0", 80):
        net.host.run("nft", "-f", "-", stdin=DENY)
        assert ask(net.outside, "tcp", HERE, 8080).startswith(OUTSIDE + " ")


def test_ports_in_use_and_changes(net, settings):  # noqa: F811
    up(net, "tcp", settings)
    with serve(net.host, "tcp", "0.0.0.0", 9090):
        failed = net.call("run", "--rm", "--network", "web", "-p", "9090:80", net.image, "true", env=settings)
        failed.fails(125, r"failed to bind host port 0.0.0.0:9090/tcp: address already in use \(python3, process \d+\)")
    # One that has ports, and one that had none and was started before the option was set.
    net.ok("run", "-d", "--name", "two", "--network", "web", net.image, "sleep", "1000")
    net.host.run("nft", "-f", "-", stdin=DENY)
    for name, port in (("one", 8444), ("two", 8445)):
        net.ok("update", "--publish-add", f"{port}:443", name, env=settings)
        with serve(in_namespace_of(net.pid(name)), "tcp", "0.0.0.0", 443):
            assert ask(net.outside, "tcp", HERE, port, 1).startswith("no ")
            net.host.run("nft", "add", "rule", "inet", "hostfw", "input", "tcp", "dport", str(port), "accept")
            assert ask(net.outside, "tcp", HERE, port).startswith(OUTSIDE + " ")
    net.host.run("nft", "delete", "table", "inet", "hostfw")
    # One whose ports the firewall leads since before.
    net.ok("run", "-d", "--name", "three", "--network", "web", "-p", "9191:80", net.image, "sleep", "1000")
    net.call("update", "--publish-add", "8443:443", "three", env=settings).fails(1, "respect_input_firewall has changed since")
    net.call("run", "--rm", "--network", "web", "-p", "9090:80/sctp", net.image, "true", env=settings).fails(125, "ports of sctp cannot be published")
    net.ok("stop", "-t", "0", "one")
    net.ok("update", "--publish-add", "8443:443", "one", env=settings)
    net.ok("start", "one", env=settings)
    with serve(in_namespace_of(net.pid("one")), "tcp", "0.0.0.0", 443):
        assert ask(net.outside, "tcp", HERE, 8443).startswith(OUTSIDE + " ")


def test_the_process_is_started_again(net, settings):  # noqa: F811
    inside = up(net, "tcp", settings)

    def forwarders():
        return [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and is_forwarder(net, pid)]

    with serve(inside, "tcp", "0.0.0.0", 80):
        os.kill(forwarders()[0], signal.SIGKILL)
        assert ask(net.outside, "tcp", HERE, 8080).startswith(OUTSIDE + " ")
        assert len(forwarders()) == 1
    net.ok("rm", "-f", "one")
    wait_for(lambda: not forwarders(), "the forwarder to end")


def is_forwarder(net, pid):  # noqa: F811
    """On this test's host."""
    try:
        with open(f"/proc/{pid}/comm") as name:
            return name.read() == "berth-ports\n" and os.readlink(f"/proc/{pid}/ns/net") == os.readlink(f"/proc/{net.host.pid}/ns/net")
    except OSError:
        return False
