"""Networks as programs see them: who reaches whom, by name and by published port, and what is left afterwards."""

import concurrent.futures
import json
import os
import re
import signal
import time

import net_host
import pytest
from host import wait_for
from net_host import Host, NetBerth, ask, in_namespace_of, require_root, serve

OUTSIDE, HERE = "10.99.0.2", "10.99.0.1"
OUTSIDE6, HERE6 = "fd99::2", "fd99::1"
# SERVFAIL: what the networks do not know is asked for outside, and there nobody answers.
NONE = ["no 2"]


@pytest.fixture
def who(suite):
    """Users have theirs in test_network_rootless.py."""
    return suite.root


@pytest.fixture
def net(suite, who, berth_programs, test_archive):
    """berth on a host of its own, with a cable to another."""
    require_root()
    engine = NetBerth(suite, who, berth_programs)
    outside = Host()
    engine.outside = outside
    try:
        engine.host.cable(outside, "cable", f"{HERE}/24", f"{OUTSIDE}/24", f"{HERE6}/64", f"{OUTSIDE6}/64")
        engine.before = engine.host.links()
        engine.ok("load", "-i", test_archive, timeout=60)
        yield engine
        engine.clear()
        for name in engine.ok("network", "ls", "--format", "{{.Name}}", "--filter", "type=custom").lines:
            engine.ok("network", "rm", name)
        assert_nothing_left(engine)
    finally:
        engine.close()
        outside.close()


def assert_nothing_left(engine):
    """Of containers; the default network's bridge and the empty table stay."""
    wait_for(lambda: engine.host.links() <= engine.before | {bridge(engine)}, f"links to go: {engine.host.links()}")
    assert not PORTS & set(elements(engine)), elements(engine)
    assert not [path for path in (engine.run_root / "networks").rglob("*") if len(path.name) == 64 and path.is_file()]


# The maps of published ports.
PORTS = {"any4", "any6", "own4", "own6"}


def bridge(engine):
    """The default network's device; it has a short name only in the store that everybody uses."""
    return "br-" + engine.ok("network", "inspect", "bridge", "--format", "{{.Id}}").text[:12]


def ruleset(engine):
    return json.loads(engine.host.run("nft", "-j", "list", "ruleset"))["nftables"]


def elements(engine):
    """Names of the sets and maps that hold something."""
    found = {}
    for entry in ruleset(engine):
        for kind in ("set", "map"):
            if kind in entry and entry[kind].get("elem"):
                found[entry[kind]["name"]] = entry[kind]["elem"]
    return found


def up(engine, name, *flags, network="bridge", command=("sleep", "1000")):
    engine.ok("run", "-d", "--name", name, "--network", network, *flags, engine.image, *command)
    return in_namespace_of(engine.pid(name))


def address(engine, name, network="bridge", key="IPAddress"):
    return engine.inspect(name)["NetworkSettings"]["Networks"][network][key]


def lookup(engine, name, question, kind="A"):
    """What a container's resolver says."""
    return net_host.lookup(in_namespace_of(engine.pid(name)), question, kind)


# Reaching


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_containers_of_a_network_reach_each_other(net, kind):
    one, two = up(net, "one"), up(net, "two")
    here, there = address(net, "one"), address(net, "two")
    with serve(two, kind, there, 8000):
        assert ask(one, kind, there, 8000).startswith(here + " ")


def test_ipv6(net):
    net.ok("network", "create", "--ipv6", "six")
    one, two = up(net, "one", network="six"), up(net, "two", network="six")
    here, there = (address(net, name, "six", "GlobalIPv6Address") for name in ("one", "two"))
    with serve(two, "tcp", there, 8000):
        assert ask(one, "tcp", there, 8000).startswith(here + " ")
        assert ask(net.host, "tcp", there, 8000).split()[0].startswith("fd")


def test_the_host_reaches_containers_and_they_reach_it(net):
    one = up(net, "one")
    gateway = address(net, "one", key="Gateway")
    with serve(one, "tcp", address(net, "one"), 8000):
        assert ask(net.host, "tcp", address(net, "one"), 8000).startswith(gateway + " ")
    with serve(net.host, "tcp", "0.0.0.0", 8001):
        assert ask(one, "tcp", gateway, 8001).startswith(address(net, "one") + " ")


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_what_leaves_has_the_hosts_address(net, kind):
    one = up(net, "one")
    with serve(net.outside, kind, OUTSIDE, 8000):
        assert ask(one, kind, OUTSIDE, 8000).startswith(HERE + " ")


def test_networks_are_apart(net):
    net.ok("network", "create", "blue")
    one, two = up(net, "one"), up(net, "two", network="blue")
    there = address(net, "two", "blue")
    with serve(two, "tcp", there, 8000):
        assert ask(one, "tcp", there, 8000, 1).startswith("no ")
        # By the published port it may be reached by all.
        assert ask(net.host, "tcp", there, 8000).endswith("hello")


def test_unpublished_ports_are_not_reached_by_routing(net):
    one = up(net, "one")
    there = address(net, "one")
    net.outside.run("ip", "route", "add", f"{there}/32", "via", HERE)
    with serve(one, "tcp", there, 8000):
        assert ask(net.outside, "tcp", there, 8000, 1).startswith("no ")


def test_internal(net):
    net.ok("network", "create", "--internal", "inside")
    one, two = up(net, "one", network="inside"), up(net, "two", network="inside")
    there = address(net, "two", "inside")
    with serve(two, "tcp", there, 8000), serve(net.outside, "tcp", OUTSIDE, 8000):
        assert ask(one, "tcp", there, 8000).endswith("hello")
        assert ask(one, "tcp", OUTSIDE, 8000, 1).startswith("no ")


def test_without_icc(net):
    net.ok("network", "create", "-o", "com.docker.network.bridge.enable_icc=false", "apart")
    one, two = up(net, "one", network="apart"), up(net, "two", network="apart")
    there = address(net, "two", "apart")
    with serve(two, "tcp", there, 8000), serve(net.outside, "tcp", OUTSIDE, 8000):
        assert ask(one, "tcp", there, 8000, 1).startswith("no ")
        assert ask(one, "tcp", OUTSIDE, 8000).endswith("hello")


# Published ports


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_published_ports(net, kind):
    one = up(net, "one", "-p", f"8080:80/{kind}")
    two = up(net, "two")
    inside = address(net, "one")
    with serve(one, kind, "0.0.0.0", 80):
        assert ask(net.outside, kind, HERE, 8080).startswith(OUTSIDE + " "), "the client's address is kept"
        assert ask(net.host, kind, "127.0.0.1", 8080).endswith("hello")
        assert ask(net.host, kind, HERE, 8080).endswith("hello")
        assert ask(two, kind, HERE, 8080).endswith("hello"), "a neighbour by the host's address"
        assert ask(one, kind, HERE, 8080).endswith("hello"), "itself by the host's address"
        assert ask(two, kind, inside, 80).startswith(address(net, "two") + " ")
    net.ok("rm", "-f", "one")
    assert ask(net.outside, kind, HERE, 8080, 1).startswith("no ")


def test_published_on_one_address(net):
    one = up(net, "one", "-p", "127.0.0.1:8080:80")
    with serve(one, "tcp", "0.0.0.0", 80):
        assert ask(net.host, "tcp", "127.0.0.1", 8080).endswith("hello")
        assert ask(net.outside, "tcp", HERE, 8080, 1).startswith("no ")


def test_published_by_ipv6(net):
    net.ok("network", "create", "--ipv6", "six")
    one = up(net, "one", "-p", "8080:80", network="six")
    with serve(one, "tcp", "::", 80):
        assert ask(net.outside, "tcp", HERE6, 8080).startswith(OUTSIDE6 + " ")
        assert ask(net.outside, "tcp", HERE, 8080).endswith("hello")


def test_a_port_in_use(net):
    with serve(net.host, "tcp", "0.0.0.0", 8080):
        before = net.host.links()
        result = net.call("run", "-d", "--name", "one", "--network", "bridge", "-p", "8080:80", net.image, "sleep", "1000")
        result.fails(125, r"0\.0\.0\.0:8080.*address already in use", "python3")
        assert net.host.links() <= before | {bridge(net)}
    net.ok("start", "one")
    assert net.status("one") == "running"


def test_a_port_of_another_container(net):
    up(net, "one", "-p", "8080:80")
    result = net.call("run", "-d", "--name", "two", "--network", "bridge", "-p", "8080:80", net.image, "sleep", "1000")
    result.fails(125, "8080", "one")
    net.ok("stop", "-t", "0", "one")
    up(net, "two", "-p", "8080:80")
    net.call("start", "one").fails(1, "8080", "two")


@pytest.mark.quiet
def test_five_thousand_ports(net):
    begin = time.monotonic()
    one = up(net, "one", "-p", "10000-14999:10000-14999")
    took = time.monotonic() - begin
    print(f"{took:.2f} s for 5,000 ports")
    assert took < 3, "asked: one second; this is a build for debugging"
    with serve(one, "tcp", "0.0.0.0", 12345):
        assert ask(net.outside, "tcp", HERE, 12345).startswith(OUTSIDE + " ")
    assert len(net.processes()) <= 2, "no process for each port"


# Names


def test_names(net):
    net.ok("network", "create", "blue")
    up(net, "one", network="blue")
    up(net, "two", "--network-alias", "web", "--hostname", "zwei", network="blue")
    up(net, "three", "--network-alias", "web", network="blue")
    two, three = address(net, "two", "blue"), address(net, "three", "blue")
    assert lookup(net, "one", "two") == [two]
    assert lookup(net, "one", "TWO") == [two]
    assert lookup(net, "one", "two.blue") == [two]
    assert lookup(net, "one", net.inspect("two")["Id"][:12]) == [two]
    assert sorted(lookup(net, "one", "web")) == sorted([two, three])
    assert lookup(net, "one", "two", "AAAA") == [], "there is such a name, without such an address"
    assert lookup(net, "one", "nobody")[0].startswith("no "), "the test has no name servers behind"
    assert lookup(net, "one", two, "PTR") == ["two.blue"]
    net.ok("stop", "-t", "0", "two")
    assert lookup(net, "one", "two") == NONE
    assert lookup(net, "one", "web") == [three]


def test_names_of_a_killed_supervisor_are_not_answered(net):
    up(net, "one")
    up(net, "two")
    assert lookup(net, "one", "two") == [address(net, "two")]
    os.kill(net.supervisor(net.inspect("two")["Id"]), signal.SIGKILL)
    assert lookup(net, "one", "two") == NONE


def test_the_host_by_name(net):
    up(net, "one")
    gateway = address(net, "one", key="Gateway")
    for name in ("host.docker.internal", "host.containers.internal", "gateway.docker.internal"):
        assert lookup(net, "one", name) == [gateway]


def test_files(net):
    up(net, "one", "--hostname", "eins", "--add-host", "db:10.1.2.3", "--add-host", "gate:host-gateway")
    hosts = net.ok("exec", "one", "cat", "/etc/hosts").out
    assert re.search(rf"^{address(net, 'one')}\s+eins\b", hosts, re.M) and re.search(r"^10\.1\.2\.3\s+db$", hosts, re.M)
    assert re.search(rf"^{address(net, 'one', key='Gateway')}\s+gate$", hosts, re.M)
    assert "nameserver 127.0.0.11" in net.ok("exec", "one", "cat", "/etc/resolv.conf").out


# Changes


def test_connect_and_disconnect(net):
    net.ok("network", "create", "blue")
    one, two = up(net, "one"), up(net, "two", network="blue")
    net.ok("network", "connect", "--alias", "eins", "blue", "one")
    assert {"eth0", "eth1", "lo"} == one.links()
    there = address(net, "one", "blue")
    with serve(one, "tcp", there, 8000):
        assert ask(two, "tcp", there, 8000).endswith("hello")
        assert lookup(net, "two", "eins") == [there]
        net.ok("network", "disconnect", "blue", "one")
        assert ask(two, "tcp", there, 8000, 1).startswith("no ")
    assert one.links() == {"eth0", "lo"}
    assert lookup(net, "two", "eins") == NONE


def test_podmans_document_shows_who_is_connected(net):
    net.ok("network", "create", "--subnet", "10.77.0.0/24", "web")
    up(net, "one", network="name=web,ip=10.77.0.9,mac-address=02:00:00:00:00:09")
    [found] = json.loads(net.ok("network", "inspect", "--format", "podman", "web").out)
    interface = {"subnets": [{"ipnet": "10.77.0.9/24", "gateway": "10.77.0.1"}], "mac_address": "02:00:00:00:00:09"}
    assert found["containers"] == {net.inspect("one")["Id"]: {"name": "one", "interfaces": {"eth0": interface}}}


def test_an_address_is_kept(net):
    up(net, "one", "-p", "8080:80", "--restart", "always")
    here, first = address(net, "one"), net.pid("one")
    net.ok("restart", "-t", "0", "one")
    assert address(net, "one") == here
    second = net.pid("one")
    # And by the supervisor alone.
    os.kill(second, signal.SIGKILL)
    third = wait_for(lambda: net.status("one") == "running" and net.pid("one") not in (0, first, second) and net.pid("one"), "the next run")
    with serve(in_namespace_of(third), "tcp", "0.0.0.0", 80):
        assert ask(net.outside, "tcp", HERE, 8080).startswith(OUTSIDE + " ")


def test_chosen_addresses(net):
    net.ok("network", "create", "--subnet", "172.30.0.0/24", "--gateway", "172.30.0.254", "blue")
    one = up(net, "one", "--ip", "172.30.0.77", "--mac-address", "02:aa:bb:cc:dd:ee", network="blue")
    links = json.loads(one.run("ip", "-j", "address", "show", "eth0"))[0]
    assert links["address"] == "02:aa:bb:cc:dd:ee" and links["addr_info"][0]["local"] == "172.30.0.77"
    assert "default via 172.30.0.254" in one.run("ip", "route")
    net.call("run", "--rm", "--network", "blue", "--ip", "172.30.0.77", net.image, "true").fails(125, r"172\.30\.0\.77")


@pytest.mark.parametrize("what", ["ruleset", "table", "elements"])
def test_a_flush_is_repaired(net, what):
    """Within two seconds, by nobody but the container's own supervisor."""
    one = up(net, "one", "-p", "8080:80")
    command = {"ruleset": "flush ruleset", "table": "delete table inet berth", "elements": "flush table inet berth"}[what]
    with serve(one, "tcp", "0.0.0.0", 80), serve(net.outside, "tcp", OUTSIDE, 8000):
        assert ask(net.outside, "tcp", HERE, 8080).startswith(OUTSIDE + " ")
        net.host.run("nft", *command.split())
        end = time.monotonic() + 2
        while not ask(net.outside, "tcp", HERE, 8080, 0.3).startswith(OUTSIDE + " "):
            assert time.monotonic() < end, "not repaired within two seconds"
        assert ask(one, "tcp", OUTSIDE, 8000).startswith(HERE + " ")


# Many, and faults


def test_many_at_once(net):
    def one(number):
        net.ok("run", "-d", "--name", f"c{number}", "--network", "bridge", "-p", f"{9000 + number}:80", net.image, "sleep", "1000", timeout=60)
        return address(net, f"c{number}")

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        addresses = list(pool.map(one, range(16)))
    assert len(set(addresses)) == 16
    with serve(in_namespace_of(net.pid("c7")), "tcp", "0.0.0.0", 80):
        assert ask(net.outside, "tcp", HERE, 9007).startswith(OUTSIDE + " ")


@pytest.mark.parametrize("whom", ["supervisor", "all"])
def test_killed(net, whom):
    """The next start finds the ports and the address free."""
    up(net, "one", "-p", "8080:80")
    identity, here = net.inspect("one")["Id"], address(net, "one")
    pids = [net.supervisor(identity)] if whom == "supervisor" else net.processes()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    net.ok("stop", "-t", "0", "one")
    net.ok("start", "one")
    assert address(net, "one") == here
    with serve(in_namespace_of(net.pid("one")), "tcp", "0.0.0.0", 80):
        assert ask(net.outside, "tcp", HERE, 8080).startswith(OUTSIDE + " ")


@pytest.mark.parametrize("flags", [[], ["--rm"]], ids=["", "--rm"])
def test_removed_after_its_supervisor_was_killed(net, flags):
    """Its ports must not lead to whoever gets its address next."""
    up(net, "one", "-p", "8080:80", "-p", "127.0.0.1:8081:81", *flags)
    assert PORTS & set(elements(net)) == {"any4", "own4"}
    os.kill(net.supervisor(net.inspect("one")["Id"]), signal.SIGKILL)
    net.ok("rm", "-f", "one")
    assert_nothing_left(net)


def test_run_rm_leaves_nothing(net):
    for _ in range(3):
        result = net.ok("run", "--rm", "--network", "bridge", "-p", "8080:80", net.image, "cat", "/etc/hosts")
        assert re.search(r"^172\.\d+\.0\.2\s", result.out, re.M), "the same address, as nobody has it any more"
    assert_nothing_left(net)


def test_no_network_program_is_run(net, place):
    """Netlink is spoken in process."""
    trace = place / "trace"
    command = ["strace", "-f", "-qq", "-e", "trace=execve", "-o", trace]
    net.ok("run", "--rm", "--network", "bridge", "-p", "8080:80", net.image, "true", wrap=command, timeout=60)
    programs = set(re.findall(r'execve\("([^"]+)"', trace.read_text()))
    assert not [name for name in programs if re.search(r"/(ip|nft|iptables|tc|bridge|brctl)$", name)], programs


def test_changes_at_once_are_all_carried_out(net):
    """Eight networks and eight ports, each by a command of its own: each plan the supervisor gets is of all."""
    up(net, "box")
    names = [f"n{number}" for number in range(8)]
    for name in names:
        net.ok("network", "create", name)
    changes = [("network", "connect", name, "box") for name in names]
    changes += [("update", "--publish-add", f"{8000 + number}:80", "box") for number in range(8)]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        for outcome in pool.map(lambda words: net.call(*words, timeout=60), changes):
            outcome.check()
    inside = in_namespace_of(net.pid("box"))
    assert inside.links() == {"lo"} | {f"eth{number}" for number in range(9)}
    assert len(elements(net)["any4"]) == 8
    assert set(net.inspect("box")["HostConfig"]["PortBindings"]["80/tcp"][number]["HostPort"] for number in range(8)) == {
        str(8000 + number) for number in range(8)}  # fmt: skip
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        for outcome in pool.map(lambda name: net.call("network", "disconnect", name, "box", timeout=60), names):
            outcome.check()
    assert inside.links() == {"lo", "eth0"}
