"""What options of networks do to packets, on root's host with a cable to another. docs/networks.md."""

import json
import os

import pytest
from net_host import NAME_SERVER, ask, serve
from test_network_connect import HERE, OUTSIDE, address, net, up, who  # noqa: F401

FULL = bool(os.environ.get("BERTH_TEST_FULL"))


def test_without_masquerading(net):  # noqa: F811
    """The other side sees the container's own address, and must know a way back."""
    net.ok("network", "create", "--subnet", "10.81.0.0/24", "-o", "com.docker.network.bridge.enable_ip_masquerade=false", "plain")
    net.outside.run("ip", "route", "add", "10.81.0.0/24", "via", HERE)
    one = up(net, "one", network="plain")
    with serve(net.outside, "tcp", OUTSIDE, 8000):
        assert ask(one, "tcp", OUTSIDE, 8000).startswith(address(net, "one", "plain") + " ")


def test_a_networks_host_binding(net):  # noqa: F811
    net.ok("network", "create", "-o", "com.docker.network.bridge.host_binding_ipv4=127.0.0.1", "local")
    one = up(net, "one", "-p", "8080:80", "-p", f"{HERE}:8081:80", network="local")
    with serve(one, "tcp", "0.0.0.0", 80):
        assert ask(net.host, "tcp", "127.0.0.1", 8080).endswith("hello")
        assert ask(net.outside, "tcp", HERE, 8080, 1).startswith("no ")
        assert ask(net.outside, "tcp", HERE, 8081).endswith("hello"), "an address of its own goes before the network's"
    assert net.ok("port", "one", "80/tcp").lines == ["127.0.0.1:8080", f"{HERE}:8081"]


def test_search_domains(net):  # noqa: F811
    up(net, "one", "--dns", OUTSIDE, "--dns-search", "lab.test", "--dns-search", "corp.test")
    with net.outside.program("python3", "-c", NAME_SERVER, OUTSIDE, "web.corp.test", "198.51.100.5"):
        assert net.ok("exec", "one", "/init", "resolve", "web").text == "198.51.100.5"
        assert net.call("exec", "one", "/init", "resolve", "mail").text == "no answer"


def test_a_running_container_asks_the_networks_new_server(net):  # noqa: F811
    net.ok("network", "create", "--dns", "10.99.0.250", "blue")
    up(net, "one", network="blue")
    with net.outside.program("python3", "-c", NAME_SERVER, OUTSIDE, "web.test", "198.51.100.6"):
        net.ok("network", "update", "--dns-add", OUTSIDE, "--dns-drop", "10.99.0.250", "blue")
        assert net.ok("exec", "one", "/init", "resolve", "web.test").text == "198.51.100.6"


# Packets by hand: few kernels have sctp, and all that NAT needs is in the first one.
SCTP = """
import socket, struct, sys
def checksum(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8): crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF
def packet(source, target, tag, chunk):
    head = struct.pack("!HHI", source, target, tag)
    return head + struct.pack("<I", checksum(head + bytes(4) + chunk)) + chunk
def body(kind): return struct.pack("!BBHIIHHI", kind, 0, 20, 77, 65536, 1, 1, 1)
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 132)
s.settimeout(5)
def receive():
    data, peer = s.recvfrom(2000)
    data = data[(data[0] & 15) * 4:]
    return peer[0], *struct.unpack("!HH", data[:4]), data[12]
if sys.argv[1] == "serve":
    print("ready", flush=True)
    address, source, target, kind = receive()
    print(address, target, kind, flush=True)
    s.sendto(packet(target, source, 77, body(2)), (address, 0))
else:
    s.sendto(packet(5000, int(sys.argv[3]), 0, body(1)), (sys.argv[2], 0))
    print(*receive())
"""


def test_a_published_port_of_sctp(net):  # noqa: F811
    one = up(net, "one", "-p", "8080:80/sctp")
    with one.program("python3", "-c", SCTP, "serve") as server:
        answer = net.outside.run("python3", "-c", SCTP, "ask", HERE, "8080").split()
        assert server.stdout.readline().split() == [OUTSIDE, "80", "1"], "INIT comes with the client's address, at the container's port"
        assert answer == [HERE, "8080", "5000", "2"], "INIT ACK comes from the published port"


def test_many_networks(net):  # noqa: F811
    """Each with a subnet of its own that overlaps no other's; the last one works as the first."""
    count = 1000 if FULL else 60
    for number in range(count):
        net.ok("network", "create", f"n{number}")
    subnets = [entry["IPAM"]["Config"][0]["Subnet"] for entry in json.loads(net.ok("network", "inspect", *[f"n{n}" for n in range(count)]).out)]
    assert len(set(subnets)) == count
    assert len(net.ok("network", "ls", "-q", "--filter", "type=custom").lines) == count
    last = f"n{count - 1}"
    one, _ = up(net, "one", "-p", "8080:80", network=last), up(net, "two", network=last)
    assert net.ok("exec", "two", "/init", "resolve", "one").text == address(net, "one", last)
    with serve(one, "tcp", "0.0.0.0", 80), serve(net.outside, "tcp", OUTSIDE, 8000):
        assert ask(net.outside, "tcp", HERE, 8080).endswith("hello")
        assert ask(one, "tcp", OUTSIDE, 8000).startswith(HERE + " ")
    net.ok("rm", "-f", "one", "two")
    assert net.ok("network", "prune", "-f").out.count("\n") >= count
