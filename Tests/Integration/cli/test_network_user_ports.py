"""Ports of an ordinary user's container that are published, and taken back, while it runs."""

import fcntl
import json
import os
import pathlib
import signal
import subprocess

import pytest
from berth import stat_field
from host import wait_for
from user_networks import ADDRESS, ADDRESS6, OUTSIDE, OUTSIDE6, holders, needs_pasta

pytestmark = needs_pasta


@pytest.fixture
def net(user_net):
    return user_net


def up(world, engine, name, *flags):
    world.ok(engine, "run", "-d", "--name", name, "--network", engine.net, *flags, "test", "sleep", "1000")
    return int(world.ok(engine, "inspect", "-f", "{{.State.Pid}}", name).text)


def forwarder(engine, world, name):
    supervisor = engine.supervisor(world.ok(engine, "inspect", "-f", "{{.Id}}", name).text)
    children = pathlib.Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    return [int(p) for p in children if pathlib.Path(f"/proc/{p}/comm").read_text() == "berth-ports\n"]


def listening(world):
    """TCP ports that somebody on the host listens at."""
    lines = world.host.sh("ss -Htln").splitlines()
    return {int(line.split()[3].rpartition(":")[2]) for line in lines}


def planned(engine, world, name):
    identity = world.ok(engine, "inspect", "-f", "{{.Id}}", name).text
    plan = json.loads((engine.root / "containers" / identity / "supervise.json").read_text())["network"]
    return {port["hostPort"] + offset for port in plan.get("ports", []) for offset in range(port["count"])}


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_published_and_taken_back(world, net, kind):
    inside = up(world, net, "one")
    world.serve(inside, kind, "0.0.0.0", 80)
    assert forwarder(net, world, "one") == [], "nothing runs for ports that there are none of"
    world.ok(net, "update", "--publish-add", f"8080:80/{kind}", "one")
    assert world.ask("outside", kind, ADDRESS, 8080)[::2] == [OUTSIDE, "hello"]
    assert world.ask("host", kind, "127.0.0.1", 8080)[::2] == ["10.89.1.1", "hello"]
    assert f"80/{kind} -> 0.0.0.0:8080" in world.ok(net, "port", "one").lines
    world.ok(net, "update", "--publish-rm", f"80/{kind}", "one")
    # At once somebody else's. (Connections that are in TIME_WAIT are in the way of none that listens.)
    assert world.python("host", TAKER, kind).communicate()[0] == "taken\n"
    assert world.ok(net, "port", "one").text == ""


TAKER = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_STREAM if sys.argv[1] == "tcp" else socket.SOCK_DGRAM)
if sys.argv[1] == "tcp": s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("0.0.0.0", 8080))
if sys.argv[1] == "tcp": s.listen()
print("taken")
"""


ECHO = """
import socket
listener = socket.create_server(("0.0.0.0", 80))
print("ready", flush=True)
while True:
    client, _ = listener.accept()
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while data := client.recv(4096): client.sendall(data)
"""
TALKER = """
import socket, sys, time
s = socket.create_connection((sys.argv[1], 8080))
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
begin = time.monotonic()
for number in range(100):
    s.sendall(b"x")
    assert s.recv(10) == b"x"
print(time.monotonic() - begin)
"""


@pytest.mark.quiet
def test_small_messages_are_passed_on_at_once(world, net):
    """A byte that is held back until more comes would be for 200 ms: nothing more comes before it is answered."""
    inside = up(world, net, "one", "-p", "8080:80")
    server = world.python(inside, ECHO)
    assert server.stdout.readline() == "ready\n"
    took = float(world.python("outside", TALKER, ADDRESS).communicate()[0])
    assert took < 2, f"{took:.2f} s for 100 questions and answers"


SPRING = """
import socket, threading
def pour(client):
    try:
        while True: client.sendall(bytes(1 << 16))
    except OSError: pass
listener = socket.create_server(("0.0.0.0", 80), backlog=64)
print("ready", flush=True)
while True: threading.Thread(target=pour, args=[listener.accept()[0]], daemon=True).start()
"""
IDLERS = """
import socket, sys, time
idle = [socket.create_connection((sys.argv[1], 8080)) for _ in range(40)]
print("ready", flush=True)
sys.stdin.readline()
"""
READER = """
import socket, sys
s = socket.create_connection((sys.argv[1], 8080))
count = 0
while count < 64 << 20: count += len(s.recv(1 << 20))
print("done")
"""


def pipes(pid):
    """Sizes in bytes of the pipes that a process has."""
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        path = f"/proc/{pid}/fd/{name}"
        target = os.readlink(path)
        if target.startswith("pipe:") and target not in found:
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            found[target] = fcntl.fcntl(fd, 1032)  # F_GETPIPE_SZ
            os.close(fd)
    return list(found.values())


def test_clients_that_do_not_read_hold_back_little(world, net):
    """What they do not take lies in pipes, and those count against what all of the user's programs may have."""
    inside = up(world, net, "one", "-p", "8080:80")
    assert world.python(inside, SPRING).stdout.readline() == "ready\n"
    pid = forwarder(net, world, "one")[0]
    for _ in range(2):
        command = [*world.outside.wrap("net"), "python3", "-c", IDLERS, ADDRESS]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as idlers:
            assert idlers.stdout.readline() == "ready\n"
            wait_for(lambda: len(pipes(pid)) >= 40, "the pipes to be there")
            sizes = sorted(pipes(pid), reverse=True)
            assert sizes[7] == 1 << 20 and sum(sizes) <= (8 << 20) + 64 * (64 << 10), sizes
            assert world.python("outside", READER, ADDRESS).communicate(timeout=20)[0] == "done\n", "others are served"
            idlers.stdin.close()
        # Also what was left in them when they went.
        wait_for(lambda: len(pipes(pid)) <= 4, "the pipes to go")


def test_ipv6_and_a_second_address(world, net):
    inside = up(world, net, "one", "-p", "127.0.0.1:8080:80")
    address = json.loads(world.ok(net, "inspect", "one").out)[0]["NetworkSettings"]["Networks"][net.net]["GlobalIPv6Address"]
    world.serve(inside, "tcp", address, 80)
    world.serve(inside, "tcp", "0.0.0.0", 80)
    world.ok(net, "update", "--publish-add", "[::]:8080:80", "--publish-add", f"{ADDRESS}:8080:80", "one")
    assert world.ask("outside", "tcp", ADDRESS6, 8080)[0] == OUTSIDE6
    assert world.ask("outside", "tcp", ADDRESS, 8080)[0] == OUTSIDE


def test_other_ports_connections_stay(world, net):
    inside = up(world, net, "one", "-p", "8080:80", "-p", "8082:80")
    for port in (80, 81):
        server = world.python(inside, PATIENT, port)
        assert server.stdout.readline() == "ready\n"
    command = [*world.outside.wrap("net"), "python3", "-c", HOLDER, ADDRESS, "8080", ADDRESS, "8082"]
    held = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    world.children.append(held)
    assert held.stdout.readline() == "connected\n"
    process = forwarder(net, world, "one")
    world.ok(net, "update", "--publish-add", "8081:81", "one")
    world.ok(net, "update", "--publish-rm", "8082:80", "one")
    assert forwarder(net, world, "one") == process, "the same process forwards"
    assert world.ask("outside", "tcp", ADDRESS, 8081)[0] == OUTSIDE
    assert listening(world) & {8080, 8081, 8082} == {8080, 8081} == planned(net, world, "one")
    # Also that of the port which is not published any more: who is connected is served to the end.
    assert json.loads(held.communicate("go on\n", timeout=10)[0]) == ["hello", "hello"]


PATIENT = """
import json, socket, sys, threading
s = socket.socket()
s.bind(("0.0.0.0", int(sys.argv[1])))
s.listen()
print("ready", flush=True)
def serve(c, peer):
    data = b""
    while not data.endswith(b"\\n"): data += c.recv(65536)
    c.sendall(json.dumps([peer[0], peer[1], data.decode().strip()]).encode())
    c.close()
while True: threading.Thread(target=serve, args=s.accept()).start()
"""

HOLDER = """
import json, socket, sys
words = sys.argv[1:]
made = [socket.create_connection((words[i], int(words[i + 1])), 5) for i in (0, 2)]
for s in made: s.sendall(b"hel")
print("connected", flush=True)
sys.stdin.readline()
answers = []
for s in made:
    s.sendall(b"lo\\n")
    answer = b""
    while part := s.recv(65536): answer += part
    answers.append(json.loads(answer)[2])
print(json.dumps(answers))
"""


def test_a_port_in_use_changes_nothing(world, net):
    inside = up(world, net, "one", "-p", "8080:80")
    world.serve(inside, "tcp", "0.0.0.0", 80)
    before = planned(net, world, "one")
    server = subprocess.Popen(
        [*world.host.wrap("net"), "setpriv", f"--reuid={net.who.uid}", f"--regid={net.who.gid}", "--clear-groups", "/usr/bin/python3", "-c", LISTENER, "8443"],
        stdout=subprocess.PIPE, text=True)  # fmt: skip
    world.children.append(server)
    assert server.stdout.readline() == "ready\n"
    world.call(net, "update", "--publish-add", "8444:1", "--publish-add", "8443:443", "one").fails(
        1, r"failed to bind host port 0\.0\.0\.0:8443/tcp: address already in use \(python3, process \d+\)$")
    world.call(net, "update", "--publish-add", "443:443", "one").fails(1, r"failed to bind host port 0\.0\.0\.0:443/tcp: permission denied.*unprivileged_port_start")
    assert planned(net, world, "one") == before == {8080}
    assert world.ok(net, "port", "one").lines == ["80/tcp -> 0.0.0.0:8080", "80/tcp -> [::]:8080"]
    assert 8444 not in listening(world)
    assert world.ask("outside", "tcp", ADDRESS, 8080)[0] == OUTSIDE


LISTENER = "import socket,sys,time; s=socket.socket(); s.bind(('0.0.0.0', int(sys.argv[1]))); s.listen(); print('ready', flush=True); time.sleep(100)"


def test_a_killed_forwarder_gets_the_ports_of_now(world, net):
    inside = up(world, net, "one", "-p", "8080:80", "-p", "8081:80")
    world.serve(inside, "tcp", "0.0.0.0", 80)
    world.ok(net, "update", "--publish-add", "8082:80", "--publish-rm", "8080:80", "one")
    [process] = forwarder(net, world, "one")
    os.kill(process, signal.SIGKILL)
    wait_for(lambda: forwarder(net, world, "one") not in ([], [process]), "another forwarder")
    for port in (8081, 8082):
        wait_for(lambda: world.ask("outside", "tcp", ADDRESS, port)[0] == OUTSIDE, f"port {port} to lead in again")
    assert listening(world) & {8080, 8081, 8082} == {8081, 8082}


def test_a_stopped_forwarder_does_not_stop_the_supervisor(world, net):
    inside = up(world, net, "one", "-p", "8080:80", "-p", "8081:80")
    world.serve(inside, "tcp", "0.0.0.0", 80)
    [process] = forwarder(net, world, "one")
    os.kill(process, signal.SIGSTOP)
    world.ok(net, "update", "--publish-rm", "8080:80", "one")
    wait_for(lambda: world.ask("outside", "tcp", ADDRESS, 8081)[0] == OUTSIDE, "another forwarder")
    wait_for(lambda: 8080 not in listening(world), "the port to be free")


def test_thousands_of_ports(world, net):
    up(world, net, "one")
    world.ok(net, "update", "--publish-add", "20000-22999:20000-22999", "one")
    assert len(listening(world) & set(range(20000, 23000))) == 3000
    world.ok(net, "update", "--publish-rm", "20000-22999:20000-22999", "one")
    assert not listening(world) & set(range(20000, 23000))


def test_ports_follow_to_another_network(world, net):
    """The network by which they led in is disconnected; they lead in by the next."""
    inside = up(world, net, "one", "-p", "8080:80")
    other = net.net + "x"
    world.ok(net, "network", "create", "--subnet", "10.89.2.0/24", other)
    try:
        world.ok(net, "network", "connect", other, "one")
        world.serve(inside, "tcp", "0.0.0.0", 80)
        assert world.ask("outside", "tcp", ADDRESS, 8080)[0] == OUTSIDE
        world.ok(net, "network", "disconnect", net.net, "one")
        assert world.ask("outside", "tcp", ADDRESS, 8080)[0] == OUTSIDE
        assert listening(world) & {8080} == {8080} == planned(net, world, "one")
    finally:
        world.ok(net, "rm", "-f", "one")
        world.ok(net, "network", "rm", other)


def test_a_killed_holder_is_told(world, net):
    up(world, net, "one", "-p", "8080:80")
    [holder] = holders(net)["berth-network"]
    os.kill(holder, signal.SIGKILL)
    # Its memory goes before its sockets.
    wait_for(lambda: not os.path.exists(f"/proc/{holder}") or stat_field(holder, 0) == "Z", "its end")
    world.call(net, "update", "--publish-add", "8081:80", "one").fails(1, r"0\.0\.0\.0:8081/tcp: .*berth-network.*was killed: stop and start the container$")
    world.ok(net, "update", "--publish-rm", "8080:80", "one")
    assert not listening(world) & {8080, 8081}
