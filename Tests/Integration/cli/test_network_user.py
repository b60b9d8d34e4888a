"""Networks of an ordinary user: one pair of namespaces for all containers, pasta as the way out, ports with the client's address.

docs/networks-rootless.md says what holds here.
"""

import concurrent.futures
import json
import os
import pathlib
import shutil
import signal
import subprocess
import threading

import pytest
from distance import FAR, far_host
from host import wait_for
from user_networks import ADDRESS, ADDRESS6, OUTSIDE, OUTSIDE6, World, holders, needs_pasta, wait_gone

pytestmark = needs_pasta


@pytest.fixture
def net(user_net):
    return user_net


def up(world, engine, *flags, command=("sleep", "1000")):
    return world.ok(engine, "run", "-d", "--network", engine.net, *flags, "test", *command).text


def pid(world, engine, name):
    return int(world.ok(engine, "inspect", "-f", "{{.State.Pid}}", name).text)


def address(world, engine, name, family="IPAddress"):
    networks = json.loads(world.ok(engine, "inspect", name).out)[0]["NetworkSettings"]["Networks"]
    return networks[engine.net][family]


def test_containers_reach_each_other(world, net):
    up(world, net, "--name", "one")
    up(world, net, "--name", "two")
    world.serve(pid(world, net, "one"), "tcp", "0.0.0.0", 80)
    target, own = address(world, net, "one"), address(world, net, "two")
    assert world.ask(pid(world, net, "two"), "tcp", target, 80)[0] == own
    # One pair of namespaces and one pasta serve both.
    assert [len(pids) for pids in holders(net).values()] == [1, 1]


@pytest.mark.parametrize("kind", ["tcp", "udp"])
@pytest.mark.parametrize(("target", "seen"), [(OUTSIDE, ADDRESS), (OUTSIDE6, ADDRESS6)])
def test_a_way_out(world, net, kind, target, seen):
    up(world, net, "--name", "one")
    world.serve("outside", kind, target, 7000)
    assert world.ask(pid(world, net, "one"), kind, target, 7000)[::2] == [seen, "hello"]


def test_tcp_knows_that_the_way_out_ends_nearby(world, net):
    """pasta drops what it has no room for; waiting 200 ms each time leaves a tenth of the speed."""
    up(world, net, "--name", "one")
    route = ["nsenter", f"--net=/proc/{pid(world, net, 'one')}/ns/net", "ip", "route", "show", "default"]
    assert "rto_min lock 20ms" in subprocess.run(route, capture_output=True, text=True, check=True).stdout


# Sends what it is asked for (`G`), or counts what it gets (`P`) and says how much that was.
BULK_SERVER = """
import socket
listener = socket.create_server(("0.0.0.0", 7000))
print("ready", flush=True)
while True:
    client, _ = listener.accept()
    if client.recv(1) == b"G": client.sendall(bytes(4 << 20))
    else:
        count = 0
        while count < 4 << 20: count += len(client.recv(1 << 16))
        client.sendall(str(count).encode())
    client.close()
"""
BULK_CLIENT = """
import socket, sys
client = socket.create_connection((sys.argv[2], 7000), 10)
client.sendall(sys.argv[1].encode())
if sys.argv[1] == "P":
    client.sendall(bytes(4 << 20))
received = b""
while part := client.recv(1 << 16): received += part
print(len(received) if sys.argv[1] == "G" else int(received))
"""


@pytest.mark.parametrize("direction", ["G", "P"])
@pytest.mark.parametrize("is_flushed", [False, True])
def test_a_host_twenty_milliseconds_away(world, net, direction, is_flushed):
    """Uploads were reset by the namespace between container and pasta as soon as a window was told behind its data."""
    with far_host(world, 0.02) as far:
        with subprocess.Popen([*far.wrap("net"), "python3", "-c", BULK_SERVER], stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout.readline() == "ready\n"
                identity = up(world, net, "--name", "one")
                if is_flushed:
                    supervisor = ["nsenter", f"--net=/proc/{net.supervisor(identity)}/ns/net", "nft"]
                    subprocess.run([*supervisor, "flush", "ruleset"], check=True)
                    wait_for(lambda: "berth_way_out" in subprocess.run([*supervisor, "list", "tables"], capture_output=True, text=True).stdout, "repair", 4)
                client = world.python(pid(world, net, "one"), BULK_CLIENT, direction, FAR)
                assert int(client.communicate(timeout=20)[0]) == 4 << 20
            finally:
                server.kill()


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_a_published_port_shows_who_asks(world, net, kind):
    up(world, net, "--name", "one", "-p", f"8080:80/{kind}")
    inside = pid(world, net, "one")
    for place in ("0.0.0.0", address(world, net, "one", "GlobalIPv6Address")):
        world.serve(inside, kind, place, 80)
    for target, source in ((ADDRESS, OUTSIDE), (ADDRESS6, OUTSIDE6)):
        assert world.ask("outside", kind, target, 8080)[::2] == [source, "hello"]
        # The host itself, by the address that others know.
        assert world.ask("host", kind, target, 8080)[::2] == [target, "hello"]
    # Loopback addresses mean nothing to a container: it sees its gateway.
    assert world.ask("host", kind, "127.0.0.1", 8080)[::2] == ["10.89.1.1", "hello"]
    assert world.ask("host", kind, "::1", 8080)[::2] == ["fd89:1::1", "hello"]


@pytest.mark.parametrize("loopback", ["127.0.0.1", "::1"])
def test_s81_what_listens_at_the_hosts_loopback_is_not_for_containers(world, net, loopback):
    """Not by the gateway, not by pasta's addresses or those that slirp4netns and podman have for it, not by the host's own."""
    up(world, net, "--name", "one")
    world.serve("host", "tcp", loopback, 7001)
    assert world.ask("host", "tcp", loopback, 7001)[2] == "hello"
    inside = pid(world, net, "one")
    four = [ADDRESS, "10.89.1.1", "10.0.2.2", "169.254.1.1", "169.254.1.2", "192.0.0.1", "192.0.0.2", "192.0.0.3", "127.0.0.1"]
    six = [ADDRESS6, "fd89:1::1", "fd62:6572:7468::1", "fd62:6572:7468::2", "fd62:6572:7468::3", "::1"]
    addresses = six if ":" in loopback else four
    # At once: who is not there is waited for.
    with concurrent.futures.ThreadPoolExecutor(len(addresses)) as pool:
        answers = dict(zip(addresses, pool.map(lambda address: world.ask(inside, "tcp", address, 7001), addresses), strict=True))
    assert all(isinstance(answer, str) for answer in answers.values()), answers


def test_many_clients_at_once_and_large_bodies(world, net):
    up(world, net, "-p", "8080:80", "--name", "one")
    world.serve(pid(world, net, "one"), "tcp", "0.0.0.0", 80)
    text = "x" * 300_000
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(world.ask("outside", "tcp", ADDRESS, 8080, "@300000"))) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 12
    assert all(answer[0] == OUTSIDE and answer[2] == text for answer in answers), [str(answer)[:80] for answer in answers]
    assert len({answer[1] for answer in answers}) == 12


def test_a_port_in_use_is_told(world, net):
    taken = world.python("host", "import socket,time; s=socket.socket(); s.bind(('0.0.0.0', 8080)); s.listen(); print('ready', flush=True); time.sleep(100)")
    taken.stdout.readline()
    world.call(net, "run", "-d", "--network", net.net, "-p", "0.0.0.0:8080:80", "test", "true").fails(
        125, r"0\.0\.0\.0:8080.*(already in use|already allocated)")


def test_a_low_port_is_explained(world, net):
    world.call(net, "run", "-d", "--network", net.net, "-p", "0.0.0.0:80:80", "test", "true").fails(
        125, r"failed to bind host port 0\.0\.0\.0:80/tcp: permission denied: ports below 1024 .*ip_unprivileged_port_start=80")


def test_ports_come_back_after_a_restart_and_after_the_forwarder_was_killed(world, net):
    up(world, net, "--name", "one", "-p", "8080:80", "--restart", "always", command=("sleep", "1000"))
    first = pid(world, net, "one")
    os.kill(first, signal.SIGKILL)
    second = wait_for(lambda: next((p for p in [pid(world, net, "one")] if p not in (0, first)), None), "the second run")
    world.serve(second, "tcp", "0.0.0.0", 80)
    assert world.ask("outside", "tcp", ADDRESS, 8080)[0] == OUTSIDE
    supervisor = net.supervisor(world.ok(net, "inspect", "-f", "{{.Id}}", "one").text)
    children = pathlib.Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    [forwarder] = [int(p) for p in children if pathlib.Path(f"/proc/{p}/comm").read_text() == "berth-ports\n"]
    os.kill(forwarder, signal.SIGKILL)
    wait_for(lambda: world.ask("outside", "tcp", ADDRESS, 8080)[0] == OUTSIDE, "the port to lead in again")


def test_nothing_is_left(world, net):
    for _ in range(2):
        assert world.ok(net, "run", "--rm", "--network", net.net, "test", "echo", "hello").text == "hello"
    wait_gone(net)
    assert not [name for name in os.listdir(net.run_root / "networks") if name in ("holder.sock", "pasta", "pasta.ready")]


def test_ten_at_once_make_one_pair(world, net):
    results = []
    threads = [threading.Thread(target=lambda: results.append(up(world, net))) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 10
    assert [len(pids) for pids in holders(net).values()] == [1, 1]


def test_a_killed_pasta_is_replaced(world, net):
    up(world, net, "--name", "one")
    world.serve("outside", "tcp", OUTSIDE, 7000)
    [pasta] = holders(net)["pasta"]
    os.kill(pasta, signal.SIGKILL)
    wait_for(lambda: holders(net)["pasta"] not in ([], [pasta]), "another pasta")
    inside = pid(world, net, "one")
    wait_for(lambda: world.ask(inside, "tcp", OUTSIDE, 7000)[0] == ADDRESS, "the way out")


def test_a_killed_holder_takes_nothing_along_and_leaves_nothing(world, net):
    up(world, net, "--name", "one")
    world.serve("outside", "tcp", OUTSIDE, 7000)
    [holder], [pasta] = holders(net).values()
    os.kill(holder, signal.SIGKILL)
    assert world.ask(pid(world, net, "one"), "tcp", OUTSIDE, 7000)[0] == ADDRESS
    # The next one makes namespaces of its own.
    up(world, net, "--name", "two")
    assert world.ask(pid(world, net, "two"), "tcp", OUTSIDE, 7000)[0] == ADDRESS
    assert len(holders(net)["pasta"]) == 2
    world.ok(net, "rm", "-f", "one")
    wait_for(lambda: pasta not in holders(net)["pasta"], "the first pasta's end")


def test_commands_of_the_user_work_from_outside(world, net):
    up(world, net, "--name", "one", command=("sh", "-c", "echo begun; exec sleep 1000"))
    assert world.ok(net, "exec", "one", "id", "-u").text == "0"
    world.ok(net, "exec", "-d", "one", "touch", "/made")
    wait_for(lambda: world.call(net, "exec", "one", "test", "-e", "/made").code == 0, "the file")
    assert world.ok(net, "logs", "one").text == "begun"
    assert world.ok(net, "ps", "--format", "{{.Names}}").lines == ["one"]
    world.ok(net, "exec", "one", "sh", "-c", "touch /f && chown 5:6 /f")
    world.ok(net, "stop", "-t", "0", "one")
    world.ok(net, "rm", "one")
    assert net.directories() == []


@pytest.mark.parametrize("flags", [["--subnet", "10.90.0.0/23"], ["--internal", "--subnet", "10.90.0.0/16"]], ids=["", "internal"])
def test_the_subnet_of_a_removed_network_can_be_used_again(world, net, flags):
    """Also while another container keeps the namespace in which the removed one's bridge is."""
    up(world, net, "--name", "keeper")
    world.ok(net, "network", "create", "--subnet", "10.90.0.0/24", net.net + "a")
    world.ok(net, "run", "--rm", "--network", net.net + "a", "test", "true")
    world.ok(net, "network", "rm", net.net + "a")
    other = net.net + "b"
    world.ok(net, "network", "create", *flags, other)
    try:
        for name, port in (("one", "8090:80"), ("two", "8091:80")):
            world.ok(net, "run", "-d", "--name", name, "--network", other, "-p", port, "test", "sleep", "1000")
        world.serve(pid(world, net, "one"), "tcp", "0.0.0.0", 80)
        networks = json.loads(world.ok(net, "inspect", "one").out)[0]["NetworkSettings"]["Networks"]
        assert world.ask(pid(world, net, "two"), "tcp", networks[other]["IPAddress"], 80)[2] == "hello"
        # By the route of N0, which must not lead into the bridge of the removed one.
        assert "--internal" in flags or world.ask("outside", "tcp", ADDRESS, 8090)[2] == "hello"
        bridges = subprocess.run(
            ["nsenter", f"--net=/proc/{net.supervisor(world.ok(net, 'inspect', '-f', '{{.Id}}', 'one').text)}/ns/net", "ip", "-br", "link", "show", "type", "bridge"],
            capture_output=True, text=True).stdout  # fmt: skip
        assert len(bridges.splitlines()) == 2, bridges
    finally:
        world.ok(net, "rm", "-f", "one", "two")
        world.ok(net, "network", "rm", other)


@pytest.mark.parametrize("mode", ["keep-id", "auto"])
def test_user_namespace_modes(world, net, mode):
    result = world.call(net, "run", "--rm", "--network", net.net, "--userns", mode, "test", "cat", "/proc/self/uid_map")
    without = world.call(net, "run", "--rm", "--network", "none", "--userns", mode, "test", "cat", "/proc/self/uid_map")
    assert result.code == without.code
    if result.code == 0:
        count = lambda text: sum(int(line.split()[2]) for line in text.splitlines())  # noqa: E731
        assert count(result.out) == count(without.out)
    wait_gone(net)
    assert net.directories() == []


def test_no_pasta_is_told_with_what_to_type(world, net):
    world.host.sh(f"mount --bind /dev/null {os.path.realpath(shutil.which('pasta'))}", "mount")
    world.call(net, "run", "--network", net.net, "test", "true").fails(125, r"need pasta.*apt install passt")


def test_a_closed_tun_is_told_with_what_to_type(user_berth):
    world = World(tun_mode=0o600)
    try:
        world.ok(user_berth, "network", "create", "closed")
        world.call(user_berth, "run", "--network", "closed", "test", "true").fails(125, r"/dev/net/tun.*permission denied.*chmod 0666")
        user_berth.clear()
        world.ok(user_berth, "network", "rm", "closed")
    finally:
        world.close()


def test_a_host_without_a_way_out_still_connects_containers(user_berth):
    world = World(is_connected=False)
    try:
        user_berth.net = "alone"
        world.ok(user_berth, "network", "create", "alone")
        up(world, user_berth, "--name", "one")
        up(world, user_berth, "--name", "two")
        world.serve(pid(world, user_berth, "one"), "tcp", "0.0.0.0", 80)
        assert world.ask(pid(world, user_berth, "two"), "tcp", address(world, user_berth, "one"), 80)[2] == "hello"
        # The way out comes with the host's.
        world.connect()
        world.serve("outside", "tcp", OUTSIDE, 7000)
        wait_for(lambda: world.ask(pid(world, user_berth, "two"), "tcp", OUTSIDE, 7000)[0] == ADDRESS, "the way out")
        user_berth.clear()
        # Or the next test's containers find what holds networks on this host, which is gone then.
        wait_gone(user_berth)
        world.ok(user_berth, "network", "rm", "alone")
    finally:
        world.close()


def test_another_network_namespace_is_told(world, net):
    """Its containers would have the way out and the name servers of the first, and their ports here."""
    up(world, net, "--name", "one")
    other = World()
    try:
        other.call(net, "run", "--rm", "--network", net.net, "test", "true").fails(125, r"run in another network namespace of the host: stop them first")
    finally:
        other.close()


@pytest.mark.parametrize("server", [ADDRESS, "127.0.0.1", "::1", OUTSIDE])
def test_names_are_asked_of_the_hosts_server(world, net, server):
    """By sockets of the host: at a loopback address too, and whatever pasta makes of datagrams to the host's own."""
    resolv = world.directory / "resolv.conf"
    resolv.write_text(f"nameserver {server}\n")
    world.host.sh(f"mount --bind {resolv} /etc/resolv.conf", "mount")
    running = world.python("outside" if server == OUTSIDE else "host", DNS_SERVER, server)
    assert running.stdout.readline() == "ready\n"
    up(world, net, "--name", "one")
    inside = pid(world, net, "one")
    for name in ("example", "another"):
        # A busy machine may be late once; resolvers are asked again.
        wait_for(lambda: world.python(inside, DNS_CLIENT, name).communicate(timeout=15)[0] == "198.51.100.77\n", "the name's address")
    # One that is too long for a datagram is fetched by TCP.
    assert world.python(inside, DNS_CLIENT, "long", "tcp").communicate(timeout=15)[0] == "198.51.100.77\n"


def test_names_are_asked_for_when_the_holder_was_killed(world, net):
    """Then by way of pasta."""
    resolv = world.directory / "resolv.conf"
    resolv.write_text(f"nameserver {OUTSIDE}\n")
    world.host.sh(f"mount --bind {resolv} /etc/resolv.conf", "mount")
    server = world.python("outside", DNS_SERVER, OUTSIDE)
    assert server.stdout.readline() == "ready\n"
    up(world, net, "--name", "one")
    inside = pid(world, net, "one")
    [holder] = holders(net)["berth-network"]
    os.kill(holder, signal.SIGKILL)
    wait_for(lambda: world.python(inside, DNS_CLIENT, "example").communicate(timeout=15)[0] == "198.51.100.77\n", "the name's address")


def test_internal_networks_ask_nobody(world, net):
    resolv = world.directory / "resolv.conf"
    resolv.write_text("nameserver 127.0.0.1\n")
    world.host.sh(f"mount --bind {resolv} /etc/resolv.conf", "mount")
    server = world.python("host", DNS_SERVER, "127.0.0.1")
    assert server.stdout.readline() == "ready\n"
    name = net.net + "i"
    world.ok(net, "network", "create", "--internal", name)
    try:
        world.ok(net, "run", "-d", "--name", "one", "--network", name, "test", "sleep", "1000")
        assert world.python(pid(world, net, "one"), DNS_CLIENT, "example").communicate(timeout=15)[0] == "no 2\n"
    finally:
        world.ok(net, "rm", "-f", "one")
        world.ok(net, "network", "rm", name)


DNS_CLIENT = """
import socket, sys
name = sys.argv[1].encode()
question = b"\\x12\\x34\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0" + bytes([len(name)]) + name + b"\\4test\\0\\0\\1\\0\\1"
isStream = sys.argv[2:] == ["tcp"]
s = socket.socket(socket.AF_INET, socket.SOCK_STREAM if isStream else socket.SOCK_DGRAM)
s.settimeout(5)
s.connect(("127.0.0.11", 53))
s.sendall((len(question).to_bytes(2, "big") if isStream else b"") + question)
answer = s.recv(2000)[2 if isStream else 0:]
print("no " + str(answer[3] & 15) if answer[3] & 15 else ".".join(map(str, answer[-4:])))
"""

DNS_SERVER = """
import socket, sys, threading
address = sys.argv[1]
family = socket.AF_INET6 if ":" in address else socket.AF_INET
s = socket.socket(family, socket.SOCK_DGRAM)
s.bind((address, 53))
t = socket.socket(family)
t.bind((address, 53))
t.listen()
def reply(data, isStream):
    end = data.index(0, 12) + 5
    if data[13:17] == b"long" and not isStream:
        return data[:2] + b"\\x83\\x80" + data[4:6] + b"\\0\\0\\0\\0\\0\\0" + data[12:end]
    return data[:2] + b"\\x81\\x80" + data[4:6] + b"\\0\\1\\0\\0\\0\\0" + data[12:end] + b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\x3c\\0\\4" + bytes([198, 51, 100, 77])
def streams():
    while True:
        c, _ = t.accept()
        data = reply(c.recv(2000)[2:], True)
        c.sendall(len(data).to_bytes(2, "big") + data)
        c.close()
threading.Thread(target=streams, daemon=True).start()
print("ready", flush=True)
while True:
    data, peer = s.recvfrom(2000)
    s.sendto(reply(data, False), peer)
"""
