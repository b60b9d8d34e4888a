"""`network`, `port`, and what `create`, `ps` and `inspect` say about networks: names, subnets, addresses and ports as rows.

Nothing here needs a device of the kernel. Containers that run do so in a network namespace of the test's own.
"""

import ipaddress
import json
import os
import re
import subprocess

import invariants
import oracle
import pytest
from host import wait_for
from sweep import MUTATING, injected, numbers, require_strace

# What docker 28 writes for a bridge network, and for each network of a container.
NETWORK_KEYS = {
    "Name", "Id", "Created", "Scope", "Driver", "EnableIPv4", "EnableIPv6", "IPAM", "Internal", "Attachable", "Ingress", "ConfigFrom",
    "ConfigOnly", "Containers", "Options", "Labels",
}  # fmt: skip
ENDPOINT_KEYS = {
    "IPAMConfig", "Links", "Aliases", "MacAddress", "DriverOpts", "GwPriority", "NetworkID", "EndpointID", "Gateway", "IPAddress",
    "IPPrefixLen", "IPv6Gateway", "GlobalIPv6Address", "GlobalIPv6PrefixLen", "DNSNames",
}  # fmt: skip


@pytest.fixture
def net(fresh, test_archive):
    """An empty store with the image `test`."""
    fresh.ok("load", "-i", test_archive, timeout=60)
    return fresh


class Isolated:
    """berth of root in a network namespace that ends with the test."""

    def __init__(self, engine):
        self.engine, self.root = engine, engine.root
        self.holder = subprocess.Popen(["unshare", "-n", "sleep", "1000"], stdin=subprocess.DEVNULL)
        own = os.readlink("/proc/self/ns/net")
        wait_for(lambda: os.readlink(f"/proc/{self.holder.pid}/ns/net") != own, "the namespace")
        self.sh("ip link set lo up")

    def sh(self, script):
        return subprocess.run(["nsenter", f"--net=/proc/{self.holder.pid}/ns/net", "sh", "-c", script], check=True, capture_output=True, text=True)

    def call(self, *args, **keywords):
        return self.engine.call(*args, wrap=("nsenter", f"--net=/proc/{self.holder.pid}/ns/net"), **keywords)

    def ok(self, *args, **keywords):
        return self.call(*args, **keywords).check()

    def up(self, name, *flags):
        return self.ok("run", "-d", "--name", name, *flags, "test", "sleep", "1000").text


@pytest.fixture
def isolated(net):
    if os.geteuid() != 0 or not net.who.is_root:
        pytest.skip("needs root for a network namespace")
    engine = Isolated(net)
    yield engine
    net.clear()
    engine.holder.kill()
    engine.holder.wait()


def inspect(engine, name):
    return json.loads(engine.ok("network", "inspect", name).out)[0]


def subnets(engine, name):
    return [ipaddress.ip_network(entry["Subnet"]) for entry in inspect(engine, name)["IPAM"]["Config"]]


def settings(engine, name):
    return json.loads(engine.ok("inspect", name).out)[0]["NetworkSettings"]


def file_of(engine, name, file):
    identity = engine.ok("inspect", "--format", "{{.Id}}", name).text
    return (engine.root / "containers" / identity / file).read_text()


def plan(engine, name):
    return json.loads(file_of(engine, name, "supervise.json"))["network"]


# Networks


def test_three_are_always_there(fresh):
    lines = [line.split() for line in fresh.ok("network", "ls").lines]
    assert lines[0] == ["NETWORK", "ID", "NAME", "DRIVER", "SCOPE"]
    assert [line[1:] for line in lines[1:]] == [["bridge", "bridge", "local"], ["host", "host", "local"], ["none", "null", "local"]]
    assert not (fresh.root / "berth.db").exists(), "looking makes no store"
    bridge = inspect(fresh, "bridge")
    assert bridge["Id"].startswith(lines[1][0]) and bridge["Options"]["com.docker.network.bridge.default_bridge"] == "true"
    assert inspect(fresh, "default") == bridge == inspect(fresh, bridge["Id"][:12])
    assert len(fresh.ok("network", "ls", "-q").lines) == 3


def test_inspect_has_dockers_shape(fresh):
    identity = fresh.ok("network", "create", "--label", "a=b", "--label", "c", "--opt", "com.docker.network.driver.mtu=1400", "web").text
    assert re.fullmatch("[0-9a-f]{64}", identity)
    found = inspect(fresh, "web")
    assert set(found) == NETWORK_KEYS
    assert found | {"Created": "", "IPAM": ""} == {
        "Name": "web", "Id": identity, "Created": "", "Scope": "local", "Driver": "bridge", "EnableIPv4": True, "EnableIPv6": False,
        "IPAM": "", "Internal": False, "Attachable": False, "Ingress": False, "ConfigFrom": {"Network": ""}, "ConfigOnly": False,
        "Containers": {}, "Options": {"com.docker.network.driver.mtu": "1400"}, "Labels": {"a": "b", "c": ""},
    }  # fmt: skip
    assert found["IPAM"]["Driver"] == "default" and [set(entry) for entry in found["IPAM"]["Config"]] == [{"Subnet", "Gateway"}]
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", found["Created"])
    assert fresh.ok("network", "inspect", "-f", "{{range .IPAM.Config}}{{.Gateway}}{{end}} {{index .Labels \"a\"}}", "web").text.endswith(".1 b")
    assert json.loads(fresh.ok("inspect", "--type", "network", "web").out) == [found] == json.loads(fresh.ok("inspect", "web").out)
    assert json.loads(fresh.ok("network", "inspect", "-v", "web").out) == [found]
    fresh.call("network", "inspect", "nope", "web").fails(1, "^Error: network nope not found$")


def test_a_devices_name_by_podmans_flag(fresh):
    fresh.ok("network", "create", "--interface-name", "lan7", "web")
    assert inspect(fresh, "web")["Options"] == {"com.docker.network.bridge.name": "lan7"}


def test_inspect_has_podmans_shape(fresh):
    """Its documents by name; its fields in templates wherever Docker's documents have no such field."""
    words = ("--subnet", "10.77.0.0/24", "--ip-range", "10.77.0.128/25", "--label", "a=b", "--opt", "mtu=1400", "--dns", "9.9.9.9")
    identity = fresh.ok("network", "create", *words, "--route", "10.9.0.0/16,10.77.0.5", "web").text
    [found] = json.loads(fresh.ok("network", "inspect", "--format", "podman", "web").out)
    assert found == {
        "name": "web", "id": identity, "driver": "bridge", "network_interface": "br-" + identity[:12], "created": inspect(fresh, "web")["Created"],
        "subnets": [{"subnet": "10.77.0.0/24", "gateway": "10.77.0.1", "lease_range": {"start_ip": "10.77.0.128", "end_ip": "10.77.0.254"}}],
        "routes": [{"destination": "10.9.0.0/16", "gateway": "10.77.0.5", "metric": 0}], "ipv6_enabled": False, "internal": False,
        "dns_enabled": True, "network_dns_servers": ["9.9.9.9"], "labels": {"a": "b"}, "options": {"mtu": "1400"},
        "ipam_options": {"driver": "host-local"}, "containers": {},
    }  # fmt: skip
    template = "{{.ID}} {{(index .Subnets 0).Gateway}} {{.DNSEnabled}} {{.IPv6Enabled}} {{.NetworkInterface}} {{range .Subnets}}{{.LeaseRange.EndIP}}{{end}}"
    assert fresh.ok("network", "inspect", "-f", template, "web").text == f"{identity} 10.77.0.1 true false br-{identity[:12]} 10.77.0.254"
    fresh.call("network", "inspect", "-f", "{{.Nothing}}", "web").fails(1, "Nothing")
    fresh.call("network", "inspect", "--format", "podman", "nope").fails(1, "^Error: network nope not found$")
    [host] = json.loads(fresh.ok("network", "inspect", "--format", "podman", "host").out)
    assert host["network_interface"] == "" and host["subnets"] == [] and not host["dns_enabled"]


def test_subnets_as_asked(fresh):
    fresh.ok(
        "network", "create", "--ipv6", "--subnet", "10.77.0.0/16", "--gateway", "10.77.0.254", "--ip-range", "10.77.5.0/24",
        "--aux-address", "router=10.77.5.1", "--subnet", "fd77::/64", "--internal", "--attachable", "web",
    )  # fmt: skip
    found = inspect(fresh, "web")
    assert found["Internal"] and found["Attachable"] and found["EnableIPv6"]
    assert found["IPAM"]["Config"] == [
        {"Subnet": "10.77.0.0/16", "IPRange": "10.77.5.0/24", "Gateway": "10.77.0.254", "AuxiliaryAddresses": {"router": "10.77.5.1"}},
        {"Subnet": "fd77::/64", "Gateway": "fd77::1"},
    ]


def test_ula_prefix_is_the_stores(fresh):
    for name in ("one", "two"):
        fresh.ok("network", "create", "--ipv6", "--ipv4=false", name)
    (one,), (two,) = subnets(fresh, "one"), subnets(fresh, "two")
    assert one.prefixlen == two.prefixlen == 64 and not one.overlaps(two)
    assert str(one.network_address)[:2] == "fd" and one.supernet(new_prefix=48) == two.supernet(new_prefix=48)


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["web"], "network with name web already exists"),
        (["bridge"], "operation is not permitted on predefined bridge network"),
        (["a/b"], "invalid network name"),
        (["--driver", "nope", "x"], 'unknown network driver "nope": use one of bridge, '),
        (["--driver", "overlay", "x"], 'unknown network driver "overlay": use one of bridge, '),
        (["--driver", "host", "x"], 'only one instance of "host" network is allowed'),
        (["--opt", "nope=1", "x"], 'unknown option "nope" of driver bridge; known: '),
        (["--subnet", "10.77.1.0/24", "x"], "Pool overlaps with other one on this address space: network web"),
        (["--subnet", "10.0.0.0/8", "x"], "Pool overlaps with other one on this address space: network web"),
        (["--subnet", "10.78.1.1/24", "x"], "invalid subnet 10.78.1.1/24: it should be 10.78.1.0/24"),
        (["--gateway", "10.78.1.1", "x"], "every ip-range or gateway must have a corresponding subnet"),
        (["-o", "com.docker.network.bridge.name=ber7", "x"], "network web has the bridge ber7"),
    ],
)
def test_what_is_refused(fresh, arguments, sentence):
    fresh.ok("network", "create", "--subnet", "10.77.0.0/16", "-o", "com.docker.network.bridge.name=ber7", "web")
    fresh.call("network", "create", *arguments).fails(1, "^Error: .*" + re.escape(sentence))
    assert fresh.ok("network", "ls", "--filter", "type=custom", "--format", "{{.Name}}").lines == ["web"]


def test_ignore_takes_what_is_there(fresh):
    identity = fresh.ok("network", "create", "web").text
    assert fresh.ok("network", "create", "--ignore", "web").text == identity
    fresh.call("network", "create", "--ignore", "--subnet", "x", "web").fails(1, "invalid subnet x")


def test_lists(fresh):
    fresh.ok("network", "create", "--label", "a=b", "web")
    fresh.ok("network", "create", "--internal", "back")

    def names(*flags):
        return fresh.ok("network", "ls", "--format", "{{.Name}}", *flags).lines

    assert names() == ["back", "bridge", "host", "none", "web"]
    assert names("-f", "type=builtin") == ["bridge", "host", "none"] and names("-f", "name=e", "-f", "type=custom") == ["web"]
    assert names("-f", "driver=bridge", "-f", "label=a") == ["web"] == names("-f", "label=a=b") and names("-f", "label=a=c") == []
    assert names("-f", "dangling=1") == ["back", "web"] and names("-f", "scope=global") == []
    identity = inspect(fresh, "web")["Id"]
    assert names("-f", "id=" + identity[:8]) == ["web"]
    fresh.call("network", "ls", "-f", "nope=1").fails(1, "invalid filter 'nope'")
    row = json.loads(fresh.ok("network", "ls", "-f", "name=back", "--format", "json").out)
    assert set(row) == {"CreatedAt", "Driver", "ID", "IPv4", "IPv6", "Internal", "Labels", "Name", "Scope"} and row["Internal"] == "true"
    assert fresh.ok("network", "ls", "--format", "table {{.ID}}\t{{.Labels}}", "--no-trunc", "-f", "name=web").lines == [
        "NETWORK ID" + " " * 57 + "LABELS",
        identity + "   a=b",
    ]
    assert fresh.ok("__complete", "network", "rm", "w").lines[0].split("\t")[0] == "web"


def test_removal(fresh):
    identity = fresh.ok("network", "create", "web").text
    fresh.ok("network", "exists", "web")
    assert fresh.call("network", "exists", "nope").exits(1).err == ""
    result = fresh.call("network", "rm", "nope", "host", identity[:10]).exits(1)
    assert result.lines == [identity[:10]]
    assert result.err.splitlines() == ["Error: network nope not found", "Error: host is a pre-defined network and cannot be removed"]
    fresh.ok("network", "rm", "-f", "web")
    assert fresh.ok("network", "ls", "-q", "-f", "type=custom").text == ""


def test_prune(net):
    for name in ("used", "free", "kept"):
        net.ok("network", "create", "--label", f"n={name}", name)
    net.ok("create", "--network", "used", "test", "true")
    assert net.ok("network", "prune", "-f", "--filter", "label!=n=kept").out == "Deleted Networks:\nfree\n\n"
    assert net.ok("network", "prune", "-f", "--filter", "until=1h").out == ""
    question = net.call("network", "prune", stdin="n\n").exits(0).out
    assert question.startswith("WARNING! This will remove all custom networks not used by at least one container.\nAre you sure")
    # A container that does not run keeps its network.
    assert "Deleted Networks:\nkept\nused\n" in net.ok("system", "prune", "-f").out


# Races and faults


def outcomes(processes):
    return [(*process.communicate(timeout=60), process.returncode) for process in processes]


def test_one_of_a_hundred_gets_the_name(fresh):
    processes = [fresh.popen("network", "create", "same", stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(100)]
    results = outcomes(processes)
    made = [out for out, _, code in results if code == 0]
    assert len(made) == 1 and inspect(fresh, "same")["Id"] == made[0].decode().strip()
    assert {(err, code) for _, err, code in results if code} == {(b"Error: network with name same already exists\n", 1)}


def test_networks_made_at_once_do_not_overlap(fresh):
    processes = [fresh.popen("network", "create", "--ipv6", f"n{n}", stdout=subprocess.PIPE, stderr=subprocess.PIPE) for n in range(40)]
    assert {code for _, _, code in outcomes(processes)} == {0}
    names = fresh.ok("network", "ls", "--format", "{{.Name}}", "-f", "driver=bridge").lines
    found = [subnet for entry in json.loads(fresh.ok("network", "inspect", *names).out) for subnet in (
        ipaddress.ip_network(config["Subnet"]) for config in entry["IPAM"]["Config"])]  # fmt: skip
    assert len(found) == 81
    for family in (4, 6):
        ordered = sorted(subnet for subnet in found if subnet.version == family)
        assert not any(one.overlaps(two) for one, two in zip(ordered, ordered[1:]))


def test_addresses_taken_at_once_are_different(net):
    net.ok("network", "create", "--subnet", "10.77.0.0/24", "web")
    processes = [net.popen("create", "--network", "web", "test", "true", stdout=subprocess.PIPE) for _ in range(30)]
    assert {code for _, _, code in outcomes(processes)} == {0}
    addresses = [endpoint["addresses"] for name in net.names("-a") for endpoint in plan(net, name)["endpoints"]]
    assert len(addresses) == 30 and len({tuple(entry) for entry in addresses}) == 30


@pytest.mark.parametrize("command", ["create", "rm", "prune"])
def test_f02_killed_at_any_call(fresh, place, command):
    """The network is there with its subnet, or not at all; the same command completes when it is run again."""
    require_strace()
    words = {"create": ("create", "--subnet", "10.77.0.0/24", "it"), "rm": ("rm", "it"), "prune": ("prune", "-f")}[command]
    for number in numbers():
        if command != "create":
            fresh.ok("network", "create", "--subnet", "10.77.0.0/24", "it")
        result, fired = injected(fresh, place, MUTATING, "signal=SIGKILL", number, "network", *words)
        there = fresh.ok("network", "ls", "--format", "{{.Name}}", "-f", "type=custom").lines
        assert there in ([], ["it"])
        if there:
            assert [str(subnet) for subnet in subnets(fresh, "it")] == ["10.77.0.0/24"]
        assert [row for row in invariants.findings(fresh) if not row["OK"]] == []
        if bool(there) != (command == "create"):
            fresh.ok("network", *words)
        fresh.call("network", "rm", "-f", "it").exits(0)
        if not fired:
            result.check()
            break


# Containers


def test_a_containers_connections(net):
    net.ok("network", "create", "--subnet", "10.77.0.0/24", "web")
    net.ok("network", "create", "--ipv6", "--subnet", "10.78.0.0/24", "--subnet", "fd78::/64", "back")
    flags = ("--network", "name=web,ip=10.77.0.9,alias=a1,gw-priority=1", "--network", "back", "--network-alias", "x")
    net.call("create", *flags, "test", "true").fails(125, "cannot specify both --network-alias and per-network network-alias")
    net.ok("create", "--name", "one", "--hostname", "host1", *flags[:4], "--mac-address", "02:00:00:00:00:09", "test", "true")
    found = settings(net, "one")
    assert list(found["Networks"]) == ["back", "web"] and {frozenset(entry) for entry in found["Networks"].values()} == {frozenset(ENDPOINT_KEYS)}
    web = found["Networks"]["web"]
    assert web["IPAMConfig"] == {"IPv4Address": "10.77.0.9"} and web["Aliases"] == ["a1"] and web["GwPriority"] == 1
    assert web["DNSNames"][:2] == ["one", "a1"] and web["DNSNames"][-1] == "host1" and web["MacAddress"] == "02:00:00:00:00:09"
    # As in docker, a container that does not run has no address.
    assert web["IPAddress"] == "" and found["Networks"]["back"]["Gateway"] == "" and found["Ports"] == {}
    assert net.inspect("one", "HostConfig.NetworkMode") == "web"
    first, second = plan(net, "one")["endpoints"]
    assert first["interface"] == "eth0" and first["addresses"] == ["10.77.0.9/24"] and first["gateways"] == ["10.77.0.1"]
    assert second["interface"] == "eth1" and second["addresses"] == ["10.78.0.2/24", "fd78::2/64"] and second["gateways"] == ["fd78::1"]
    assert first["mac"] == "02:00:00:00:00:09" and second["mac"] == "02:42:0a:4e:00:02"
    assert file_of(net, "one", "hosts").endswith("10.77.0.9\thost1\n10.78.0.2\thost1\nfd78::2\thost1\n")
    assert file_of(net, "one", "resolv.conf").startswith("nameserver 127.0.0.11\n") and "ndots:0" in file_of(net, "one", "resolv.conf")
    assert net.ok("ps", "-a", "--format", "{{.Networks}}").text == "web,back"
    assert net.names("-a", "--filter", "network=back") == ["one"] and net.names("-a", "--filter", "network=bridge") == []
    oracle.assert_sound(net)


def test_addresses_are_leased_and_given_back(net):
    net.ok("network", "create", "--subnet", "10.77.0.0/29", "small")
    for number, last in enumerate((2, 3, 4, 5, 6)):
        net.ok("create", "--name", f"c{number}", "--network", "small", "test", "true")
        assert plan(net, f"c{number}")["endpoints"][0]["addresses"] == [f"10.77.0.{last}/29"]
    net.call("create", "--network", "small", "test", "true").fails(125, "no available IPv4 or IPv6 addresses in network small")
    net.ok("rm", "c2")
    net.call("create", "--network", "small", "--ip", "10.77.0.3", "test", "true").fails(125, r'Address already in use: 10.77.0.3 belongs to container "c1"')
    net.call("create", "--network", "small", "--ip", "10.77.0.1", "test", "true").fails(125, "Address already in use: network small keeps 10.77.0.1")
    net.call("create", "--network", "small", "--ip", "10.9.0.1", "test", "true").fails(125, "no configured subnet contains IP address 10.9.0.1")
    net.call("create", "--network", "small", "--ip6", "fd00::1", "test", "true").fails(125, "no configured subnet contains IP address fd00::1")
    net.ok("create", "--name", "again", "--network", "small", "test", "true")
    assert plan(net, "again")["endpoints"][0]["addresses"] == ["10.77.0.4/29"]
    assert len(net.names("-a")) == 5


@pytest.mark.parametrize(
    "flags, sentence",
    [
        (["--network", "nope"], "network nope not found"),
        (["--network", "web", "--network", "web"], 'network "web" is specified multiple times'),
        (["--network", "web", "--network", "host"], "cannot attach both user-defined and non-user-defined network-modes"),
        (["--network", "host", "--network", "none"], "only one of --network none, host and container: can be given"),
        (["--network", "none", "--ip", "10.0.0.1"], "conflicting options: --ip and --network none"),
        (["--network", "name=web,nope=1"], "invalid field key nope"),
        (["--network", "web", "-p", "80:80:80:80"], "invalid IP address: 80:80"),
        (["--network", "web", "-p", "x"], "invalid containerPort: x"),
        (["--network", "container:one", "-p", "80:80"], "conflicting options: port publishing and the container type network mode"),
        (["--network", "container:one", "--add-host", "a:1.1.1.1"], "custom host-to-IP mapping and the network mode"),
        (["--network", "web", "--add-host", "a"], 'bad format for add-host: "a"'),
        (["--network", "web", "--dns", "x"], "x is not an ip address"),
        (["--network", "web", "--mac-address", "x"], "x is not a valid mac address"),
        (["--network", "web", "--link", "nope"], "no such container: nope"),
        (["--network", "web", "--link", "one"], "cannot link to container one: it is not connected to network web"),
    ],
)
def test_what_a_container_cannot_ask_for(net, flags, sentence):
    net.ok("network", "create", "web")
    net.ok("create", "--name", "one", "--network", "none", "test", "true")
    net.call("create", *flags, "test", "true").fails(125, re.escape(sentence))
    assert net.names("-a") == ["one"] and inspect(net, "web")["Containers"] == {}


def test_names_for_hosts_and_links(net):
    net.ok("network", "create", "--subnet", "10.77.0.0/24", "web")
    net.ok("create", "--name", "db", "--network", "web", "test", "true")
    net.ok(
        "create", "--name", "one", "--network", "web", "--link", "db:store", "--add-host", "a:1.2.3.4", "--add-host", "h=host-gateway",
        "--dns", "9.9.9.9", "--dns-search", "example.org", "--dns-option", "timeout:1", "test", "true",
    )  # fmt: skip
    hosts = file_of(net, "one", "hosts").splitlines()
    assert hosts[6:10] == ["1.2.3.4\ta", "10.77.0.1\th", "10.77.0.2\tstore", "10.77.0.2\tdb"] and len(hosts) == 11
    assert file_of(net, "one", "resolv.conf") == "nameserver 127.0.0.11\nsearch example.org\noptions timeout:1 ndots:0\n"
    resolver = plan(net, "one")["resolver"]
    assert resolver["upstreams"] == ["9.9.9.9"] and {entry["name"] for entry in resolver["fixed"]} >= {"store", "host.docker.internal"}
    host = net.inspect("one", "HostConfig")
    assert host["Dns"] == ["9.9.9.9"] and host["DnsSearch"] == ["example.org"] and host["ExtraHosts"] == ["a:1.2.3.4", "h:host-gateway"]


def test_connect_and_disconnect(net):
    for name in ("web", "back", "last"):
        net.ok("network", "create", name)
    net.ok("create", "--name", "one", "--network", "web", "test", "true")
    net.ok("create", "--name", "alone", "--network", "none", "test", "true")
    net.ok("network", "connect", "--alias", "x", "--ip", str(subnets(net, "back")[0][7]), "back", "one")
    found = settings(net, "one")["Networks"]
    assert list(found) == ["back", "web"] and found["back"]["Aliases"] == ["x"]
    net.call("network", "connect", "back", "one").fails(1, "^Error: endpoint with name one already exists in network back$")
    net.call("network", "connect", "back", "nope").fails(1, "no such container: nope")
    net.call("network", "connect", "nope", "one").fails(1, "network nope not found")
    net.call("network", "connect", "web", "alone").fails(1, r"with one of the networks in private \(none\) mode")
    net.call("network", "connect", "host", "one").fails(1, "disconnected from host network or connected to host network")
    net.ok("network", "disconnect", "web", "one")
    assert list(settings(net, "one")["Networks"]) == ["back"]
    net.call("network", "disconnect", "web", "one").fails(1, "is not connected to network web")
    net.call("network", "disconnect", "nope", "one").fails(1, "network nope not found")
    net.ok("network", "connect", "last", "one")
    net.ok("network", "disconnect", "back", "one")
    # As in docker: whoever does not run is not in the way.
    net.ok("network", "rm", "last")
    net.call("start", "one").fails(1, "network last not found")
    net.ok("network", "disconnect", "last", "one")
    assert settings(net, "one")["Networks"] == {}


def test_nothing_is_left_of_removed_containers(net):
    net.ok("network", "create", "web")
    net.ok("create", "--name", "one", "--network", "web", "-p", "80", "test", "true")
    net.ok("rm", "one")
    net.ok("network", "rm", "web")
    assert [row for row in invariants.findings(net) if not row["OK"]] == []


# Containers that run


def test_ports_of_running_containers(isolated):
    isolated.ok("network", "create", "--subnet", "10.77.0.0/24", "web")
    isolated.up("one", "--network", "web", "-p", "8080:80", "-p", "127.0.0.1:5353:53/udp", "-p", "9000-9002:9000-9002", "--expose", "7000")
    assert isolated.ok("ps", "--format", "{{.Ports}}").text == (
        "127.0.0.1:5353->53/udp, 0.0.0.0:8080->80/tcp, 7000/tcp, 0.0.0.0:9000-9002->9000-9002/tcp"
    )
    assert "0.0.0.0:8080->80/tcp" in isolated.ok("ps").text
    assert isolated.ok("port", "one").lines[:2] == ["53/udp -> 127.0.0.1:5353", "80/tcp -> 0.0.0.0:8080"]
    assert isolated.ok("port", "one", "80").text == "0.0.0.0:8080" == isolated.ok("port", "one", "80/tcp").text
    isolated.call("port", "one", "80/udp").fails(1, "^Error: no public port '80/udp' published for one$")
    document = json.loads(isolated.ok("inspect", "one").out)[0]
    assert document["NetworkSettings"]["Ports"]["80/tcp"] == [{"HostIp": "0.0.0.0", "HostPort": "8080"}]
    assert document["NetworkSettings"]["Ports"]["7000/tcp"] is None and len(document["NetworkSettings"]["Ports"]) == 6
    assert document["HostConfig"]["PortBindings"]["53/udp"] == [{"HostIp": "127.0.0.1", "HostPort": "5353"}]
    assert document["Config"]["ExposedPorts"]["7000/tcp"] == {}
    web = document["NetworkSettings"]["Networks"]["web"]
    assert (web["IPAddress"], web["IPPrefixLen"], web["Gateway"], web["MacAddress"]) == ("10.77.0.2", 24, "10.77.0.1", "02:42:0a:4d:00:02")
    member = inspect(isolated, "web")["Containers"][document["Id"]]
    assert member == {
        "Name": "one", "EndpointID": web["EndpointID"], "MacAddress": web["MacAddress"], "IPv4Address": "10.77.0.2/24", "IPv6Address": "",
    }  # fmt: skip
    for flag, there in (("publish=80", True), ("publish=81", False), ("expose=7000", True), ("expose=1-7000/tcp", True), ("expose=7000/udp", False)):
        assert (isolated.ok("ps", "-q", "--filter", flag).text != "") == there, flag
    # A port that somebody has is an error at the start, and names who.
    isolated.ok("create", "--name", "two", "--network", "web", "-p", "9001:1", "test", "sleep", "1000")
    sentence = r'^Error: Bind for 0.0.0.0:9001 failed: port is already allocated: container "one" \([0-9a-f]{12}\) has it$'
    isolated.call("start", "two").fails(1, sentence)
    isolated.call("run", "--rm", "--network", "web", "-p", "127.0.0.1:8080:1", "test", "true").fails(125, "Bind for 127.0.0.1:8080 failed")
    isolated.ok("stop", "-t", "0", "one")
    isolated.ok("start", "two")
    isolated.call("start", "one").fails(1, 'Bind for 0.0.0.0:9000 failed: .*"two"|Bind for 0.0.0.0:9001 failed: .*"two"')
    assert isolated.ok("port", "one").text == "" and isolated.ok("ps", "-a", "--filter", "name=one", "--format", "{{.Ports}}").text == ""


def test_free_ports_are_found(isolated):
    isolated.ok("network", "create", "--ipv6", "web")
    isolated.sh("echo '40000 40003' > /proc/sys/net/ipv4/ip_local_port_range")
    seen = []
    for number in range(4):
        isolated.up(f"n{number}", "--network", "web", "-p", "80")
        seen += isolated.ok("port", f"n{number}", "80").lines
    assert sorted(seen) == [f"{host}:{port}" for host in ("0.0.0.0", "[::]") for port in range(40000, 40004)]
    isolated.call("run", "-d", "--network", "web", "-p", "80", "test", "sleep", "9").fails(125, "cannot publish 80/tcp: all ports are allocated")
    isolated.up("range", "--network", "web", "-p", "8000-8005:80")
    isolated.up("all", "--network", "web", "-P", "--expose", "81", "--expose", "82/udp", "-p", "8001-8002:81")
    assert isolated.ok("port", "range", "80").lines[0] == "0.0.0.0:8000"
    assert isolated.ok("port", "all", "81").lines[0] == "0.0.0.0:8001"
    assert re.fullmatch(r"0\.0\.0\.0:4000\d", isolated.ok("port", "all", "82/udp").lines[0])


def test_networks_of_running_containers_stay(isolated):
    isolated.ok("network", "create", "web")
    isolated.ok("network", "create", "back")
    identity = isolated.up("one", "--network", "web")
    isolated.call("network", "rm", "web").fails(1, r'^Error: error while removing network: network web has active endpoints \(name:"one" id:"[0-9a-f]{12}"\)$')
    isolated.ok("network", "connect", "--alias", "x", "back", "one")
    assert [endpoint["bridge"]["networkName"] for endpoint in plan(isolated, "one")["endpoints"]] == ["web", "back"]
    assert list(inspect(isolated, "back")["Containers"]) == [identity]
    isolated.ok("network", "disconnect", "web", "one")
    assert [endpoint["interface"] for endpoint in plan(isolated, "one")["endpoints"]] == ["eth1"]
    isolated.ok("rename", "one", "other")
    assert plan(isolated, "other")["endpoints"][0]["names"][:2] == ["other", "x"]
    isolated.ok("network", "rm", "web")
    isolated.ok("stop", "-t", "0", "other")
    isolated.ok("network", "rm", "back")
    isolated.call("start", "other").fails(1, "network back not found")
    # One of the same name takes its place, aliases and all.
    isolated.ok("network", "create", "--subnet", "10.99.0.0/24", "back")
    isolated.ok("start", "other")
    (endpoint,) = plan(isolated, "other")["endpoints"]
    assert endpoint["addresses"] == ["10.99.0.2/24"] and endpoint["interface"] == "eth1" and "x" in endpoint["names"]


def test_routes_of_the_host_are_left_alone(isolated):
    isolated.sh("ip route add 172.17.4.0/24 dev lo && ip route add 172.18.0.0/15 dev lo")
    isolated.ok("network", "create", "web")
    assert [str(subnet) for name in ("bridge", "web") for subnet in subnets(isolated, name)] == ["172.20.0.0/16", "172.21.0.0/16"]


def test_files_that_are_mounted_over_are_the_users(isolated, place):
    isolated.ok("network", "create", "web")
    (place / "mine").write_text("1.1.1.1 mine\n")
    result = isolated.ok("run", "--rm", "--network", "web", "-v", f"{place}/mine:/etc/hosts", "test", "cat", "/etc/hosts", "/etc/resolv.conf")
    assert result.lines[0] == "1.1.1.1 mine" and "nameserver 127.0.0.11" in result.lines
    assert (place / "mine").read_text() == "1.1.1.1 mine\n"


def test_leases_end_with_rm_containers(isolated):
    isolated.ok("network", "create", "--subnet", "10.77.0.0/29", "small")
    for _ in range(7):
        isolated.ok("run", "--rm", "--network", "small", "test", "true")
    # One that ended when nobody was there to clear its row away is nobody, also where its address is wanted.
    for _ in range(7):
        identity = isolated.ok("run", "--rm", "-d", "--network", "small", "--ip", "10.77.0.5", "test", "true").text
        wait_for(lambda: not (isolated.root / "containers" / identity).exists(), "its end")


def test_ports_change_while_a_container_runs(isolated):
    isolated.ok("network", "create", "web")
    isolated.up("one", "--network", "web", "-p", "8080:80")
    isolated.up("two", "--network", "web", "-p", "9090:80")
    assert isolated.ok("update", "--publish-add", "8443:443", "--publish-add", "5353:53/udp", "one").text == "one"
    assert isolated.ok("port", "one").lines == ["53/udp -> 0.0.0.0:5353", "80/tcp -> 0.0.0.0:8080", "443/tcp -> 0.0.0.0:8443"]
    assert [port["hostPort"] for port in plan(isolated, "one")["ports"]] == [8080, 8443, 5353]
    isolated.call("update", "--publish-add", "9090:1", "one").fails(1, r'Bind for 0.0.0.0:9090 failed: port is already allocated: container "two"')
    isolated.call("update", "--publish-rm", "81", "one").fails(1, "no public port '81/tcp' published for one")
    assert len(plan(isolated, "one")["ports"]) == 3
    isolated.ok("update", "--publish-rm", "80", "--publish-rm", "8443:443", "one")
    assert isolated.ok("port", "one").lines == ["53/udp -> 0.0.0.0:5353"]
    isolated.ok("update", "--publish-add", "8080:1", "two")
    isolated.ok("stop", "-t", "0", "one")
    isolated.ok("update", "--publish-add", "7000:7", "one")
    isolated.ok("start", "one")
    assert isolated.ok("port", "one").lines == ["7/tcp -> 0.0.0.0:7000", "53/udp -> 0.0.0.0:5353"]
    isolated.call("update", "one").fails(1, "nothing to change")


def test_servers_of_a_network_change(isolated):
    isolated.ok("network", "create", "--dns", "9.9.9.9", "web")
    isolated.up("one", "--network", "web")
    assert plan(isolated, "one")["resolver"]["upstreams"] == ["9.9.9.9"]
    isolated.call("network", "update", "--dns-add", "8.8.8.8", "--dns-drop", "7.7.7.7", "web").fails(1, "network web has no DNS server 7.7.7.7")
    assert isolated.ok("network", "update", "--dns-add", "8.8.8.8,2606::1", "--dns-drop", "9.9.9.9", "web").text == "web"
    assert plan(isolated, "one")["resolver"]["upstreams"] == ["8.8.8.8", "2606::1"] == inspect(isolated, "web")["DNS"]
    isolated.call("network", "update", "--dns-add", "x", "web").fails(1, "invalid IP address: x")
    isolated.call("network", "update", "web").fails(1, "nothing to change")
