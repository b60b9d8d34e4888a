"""One network of several hosts (driver vxlan), as containers of both see it."""

import json
import os
import signal

import pytest
from host import wait_for
from net_host import NetBerth, ask, in_namespace_of, lookup, require_root, serve
from test_network_drivers import inspect, settings, snapshot, up

HOSTS = ("10.98.0.1", "10.98.0.2")


@pytest.fixture
def pair(suite, berth_programs, test_archive):
    """Two hosts with a cable between them, and berth of root on each."""
    require_root()
    engines = [NetBerth(suite, suite.root, berth_programs) for _ in HOSTS]
    try:
        engines[0].host.cable(engines[1].host, "cable", *(f"{address}/24" for address in HOSTS))
        before = [snapshot(engine.host) for engine in engines]
        for engine in engines:
            engine.ok("load", "-i", test_archive, timeout=60)
        yield engines
        for engine, state in zip(engines, before):
            engine.clear()
            for name in engine.ok("network", "ls", "--format", "{{.Name}}", "--filter", "type=custom").lines:
                engine.ok("network", "rm", name)
            wait_for(lambda: snapshot(engine.host) == state, f"all to go: {snapshot(engine.host)}")
    finally:
        for engine in engines:
            engine.close()


def create(engine, number, *flags, peers=",".join(HOSTS), name="wide"):
    return engine.ok(
        "network", "create", "--driver", "vxlan", "--subnet", "10.50.0.0/16", "--ip-range", f"10.50.{number}.0/24", "--opt", "vni=50",
        "--opt", f"peers={peers}", *flags, name)  # fmt: skip


def peers(engine):
    entries = json.loads(engine.host.run("bridge", "-j", "fdb", "show"))
    return sorted(entry["dst"] for entry in entries if entry["mac"] == "00:00:00:00:00:00" and "dst" in entry)


def expect_talk(one, two, here, there):
    for kind in ("tcp", "udp"):
        with serve(two, kind, there, 8000):
            assert ask(one, kind, there, 8000).split()[0] == here
        with serve(one, kind, here, 8001):
            assert ask(two, kind, here, 8001).split()[0] == there


def test_containers_of_two_hosts_talk(pair):
    for number, engine in enumerate(pair):
        create(engine, number + 1)
    one, two = up(pair[0], "one", "wide"), up(pair[1], "two", "wide")
    here, there = (settings(engine, name, "wide") for engine, name in zip(pair, ("one", "two")))
    # Each host has a gateway of its own, in its own part of the subnet.
    assert (here["Gateway"], here["IPAddress"], there["Gateway"], there["IPAddress"]) == ("10.50.1.0", "10.50.1.1", "10.50.2.0", "10.50.2.1")
    expect_talk(one, two, here["IPAddress"], there["IPAddress"])
    # The list is the same on both hosts; none sends to itself.
    assert [peers(engine) for engine in pair] == [[HOSTS[1]], [HOSTS[0]]]
    # Names are of one host.
    third = up(pair[0], "third", "wide", "--add-host", f"two:{there['IPAddress']}")
    assert lookup(third, "one") == [here["IPAddress"]] and lookup(one, "two") != [there["IPAddress"]]
    assert f"{there['IPAddress']}\ttwo\n" in pair[0].ok("exec", "third", "cat", "/etc/hosts").out
    with serve(two, "tcp", there["IPAddress"], 80):
        assert not ask(third, "tcp", there["IPAddress"], 80).startswith("no ")


def test_ports_are_published_by_either_host(pair):
    for number, engine in enumerate(pair):
        create(engine, number + 1)
    one = up(pair[0], "one", "wide", "-p", "8080:80")
    with serve(one, "tcp", "0.0.0.0", 80):
        assert ask(pair[1].host, "tcp", HOSTS[0], 8080).split()[0] == HOSTS[1]
        assert not ask(pair[0].host, "tcp", "127.0.0.1", 8080).startswith("no ")
    # Out by the container's own host.
    with serve(pair[1].host, "tcp", HOSTS[1], 81):
        assert ask(one, "tcp", HOSTS[1], 81).split()[0] == HOSTS[0]


def test_inspect_and_refusals(pair):
    engine = pair[0]
    create(engine, 1, "--opt", "dstport=8472", "--opt", "mtu=1300", "--label", "a=b")
    found = inspect(engine, "wide")
    assert (found["Driver"], found["Scope"]) == ("vxlan", "local")
    assert found["Options"] == {"vni": "50", "peers": ",".join(HOSTS), "dstport": "8472", "mtu": "1300"}
    assert found["IPAM"]["Config"] == [{"Subnet": "10.50.0.0/16", "IPRange": "10.50.1.0/24", "Gateway": "10.50.1.0"}]
    one = up(engine, "one", "wide")
    assert json.loads(one.run("ip", "-j", "link", "show", "eth0"))[0]["mtu"] == 1300
    for flags, sentence in [
        (["--opt", "peers=10.98.0.2"], "driver vxlan needs --opt vni=NUMBER"),
        (["--opt", "vni=51"], "driver vxlan needs --opt peers="),
        (["--opt", "vni=51", "--opt", "peers=other"], 'invalid peer "other": an IP address, or dns: and a name'),
        (["--opt", "vni=51", "--opt", "peers=10.98.0.2", "--opt", "dev=eth9"], 'the host has no network device "eth9"'),
        (["--opt", "vni=50", "--opt", "peers=10.98.0.2", "--opt", "dstport=8472"], "network wide has number 50 at UDP port 8472; choose another vni"),
    ]:
        engine.call("network", "create", "-d", "vxlan", "--subnet", "10.51.0.0/16", *flags, "x").fails(1, sentence)
    engine.call("network", "create", "-d", "vxlan", "--opt", "vni=51", "--opt", "peers=10.98.0.2", "x").fails(1, "driver vxlan needs --subnet")
    done = engine.ok("network", "create", "-d", "vxlan", "--subnet", "10.51.0.0/16", "--opt", "vni=51", "--opt", "peers=10.98.0.2", "x")
    assert "WARNING: network x gives out addresses of the whole subnet" in done.err


def test_hosts_are_found_by_name_and_again_by_reload(pair, tmp_path):
    """A name's addresses are asked for at every start and by `network reload`."""
    names = tmp_path / "hosts"
    names.write_text("127.0.0.1 localhost\n10.98.0.7 cluster\n")
    wrap = ("unshare", "-m", "sh", "-c", f'mount --bind {names} /etc/hosts && exec "$@"', "sh")
    create(pair[0], 1, peers="dns:cluster")
    create(pair[1], 2, peers=HOSTS[0])
    pair[0].ok("run", "-d", "--name", "one", "--network", "wide", pair[0].image, "sleep", "1000", wrap=wrap)
    assert peers(pair[0]) == ["10.98.0.7"]
    names.write_text("127.0.0.1 localhost\n" + "".join(f"{address} cluster\n" for address in HOSTS))
    identity = pair[0].ok("inspect", "-f", "{{.Id}}", "one").text
    assert pair[0].ok("network", "reload", "one").text == identity
    assert peers(pair[0]) == [HOSTS[1]]
    one, two = in_namespace_of(pair[0].pid("one")), up(pair[1], "two", "wide")
    expect_talk(one, two, settings(pair[0], "one", "wide")["IPAddress"], settings(pair[1], "two", "wide")["IPAddress"])
    assert pair[1].ok("network", "reload", "--all").lines == [pair[1].ok("inspect", "-f", "{{.Id}}", "two").text]
    pair[0].call("network", "reload").fails(1, "name containers, or give --all")
    pair[0].ok("stop", "-t", "0", "one")
    pair[0].call("network", "reload", "one").fails(1, f"container {identity} is not running")


def test_reload_makes_anew_what_somebody_took_away(pair):
    for number, engine in enumerate(pair):
        create(engine, number + 1)
    one, two = up(pair[0], "one", "wide"), up(pair[1], "two", "wide")
    here, there = (settings(engine, name, "wide")["IPAddress"] for engine, name in zip(pair, ("one", "two")))
    device = next(name for name in pair[0].host.links() if name.startswith("vx-"))
    pair[0].host.run("ip", "link", "del", device)
    pair[0].ok("network", "reload", "one")
    assert device in pair[0].host.links()
    expect_talk(one, two, here, there)


def test_a_killed_supervisor_and_its_network_leave_nothing(pair):
    engine = pair[0]
    create(engine, 1)
    up(engine, "one", "wide", "-p", "8080:80")
    with open(f"/proc/{engine.pid('one')}/stat") as file:
        supervisor = int(file.read().rsplit(")", 1)[1].split()[1])
    os.kill(supervisor, signal.SIGKILL)
    wait_for(lambda: not os.path.exists(f"/proc/{supervisor}"), "the supervisor's end")
    engine.ok("rm", "-f", "one")
    # The rest is the fixture's comparison.
    engine.ok("network", "rm", "wide")
    assert not [name for name in engine.host.links() if name.startswith(("vx-", "br-", "veth"))]


def test_users_are_told_why_not(fresh):
    if fresh.who.is_root:
        pytest.skip("of ordinary users")
    fresh.call("network", "create", "-d", "vxlan", "--subnet", "10.51.0.0/16", "--opt", "vni=5", "--opt", "peers=10.0.0.2", "x").fails(
        1, "driver vxlan needs root: what other hosts send does not reach the network namespace of a user's containers; use a bridge network")


# Bridges


def test_open_networks_reach_each_other(pair):
    engine = pair[0]
    for name, value in (("one", "false"), ("two", "false"), ("three", "true")):
        engine.ok("network", "create", "--opt", f"isolate={value}", name)
    here, there, apart = (up(engine, f"c{name}", name) for name in ("one", "two", "three"))
    addresses = [settings(engine, f"c{name}", name)["IPAddress"] for name in ("one", "two", "three")]
    with serve(there, "tcp", addresses[1], 80):
        assert ask(here, "tcp", addresses[1], 80).split()[0] == addresses[0]
        assert ask(apart, "tcp", addresses[1], 80, 1).startswith("no ")
    engine.call("network", "create", "--opt", "isolate=perhaps", "x").fails(1, "option isolate=perhaps: neither true nor false")
