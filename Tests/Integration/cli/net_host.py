"""Hosts that are network namespaces: berth in one of them, peers in others, with cables between. Nothing of the machine's own is touched."""

import contextlib
import json
import os
import subprocess

import pytest
from berth import Berth


class Host:
    """A network namespace, held by a process that ends with it."""

    def __init__(self):
        script = "ip link set lo up && echo ready && read wait"
        self.holder = subprocess.Popen(
            ["unshare", "-n", "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self.holder.stdout.readline() != "ready\n":
            raise RuntimeError(self.holder.stderr.read())

    @property
    def pid(self):
        return self.holder.pid

    def command(self, *words):
        return ["nsenter", "-n", "-t", str(self.pid), *map(str, words)]

    def run(self, *words, stdin=None, timeout=20):
        done = subprocess.run(self.command(*words), input=stdin, capture_output=True, text=True, timeout=timeout)
        assert done.returncode == 0, f"{' '.join(map(str, words))}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def links(self):
        return {link["ifname"] for link in json.loads(self.run("ip", "-j", "link"))}

    def cable(self, other, name, *addresses):
        """Connects to another host: `name` here and there, with these addresses (here, there) in pairs."""
        self.run("ip", "link", "add", name, "type", "veth", "peer", "name", name, "netns", other.pid)
        for host, index in ((self, 0), (other, 1)):
            for address in addresses[index::2]:
                host.run("ip", "address", "add", address, "dev", name, *(["nodad"] if ":" in address else []))
            host.run("ip", "link", "set", name, "up")

    @contextlib.contextmanager
    def program(self, *words, **keywords):
        """Runs a program here meanwhile; its first line says that it is ready."""
        process = subprocess.Popen(self.command(*words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, **keywords)
        try:
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()
            process.communicate()

    def close(self):
        self.holder.communicate()


class NetBerth(Berth):
    """`berth` on a host of its own."""

    def __init__(self, suite, who, programs):
        super().__init__(suite, who, programs)
        self.host = Host()

    def entering(self):
        """The command that enters the host."""
        return ["nsenter", "-n", "-t", self.host.pid]

    def popen(self, *args, wrap=(), **keywords):
        before = self.entering()
        if not self.who.is_root:
            before += ["setpriv", "--reuid", self.who.uid, "--regid", self.who.gid, "--clear-groups"]
        who, self.who = self.who, self.suite.root
        try:
            # Entering needs root; the user comes after it.
            environment = self.suite.environment(who) | {"BERTH_ROOT": str(self.root), "BERTH_RUN_ROOT": str(self.run_root)}
            return super().popen(*args, wrap=[*before, *wrap], **keywords | {"env": environment | (keywords.get("env") or {})})
        finally:
            self.who = who

    def close(self):
        super().close()
        self.host.close()


# Answers on a port with who asked: `ADDRESS PORT` of the client.
ECHO = """
import socket, sys, threading
family, kind, address, port = sys.argv[1:5]
family = socket.AF_INET6 if family == "6" else socket.AF_INET
server = socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind((address, int(port)))
if kind == "tcp": server.listen(100)
print("ready", flush=True)
while True:
    if kind == "udp":
        data, client = server.recvfrom(2000)
        server.sendto(f"{client[0]} {client[1]} ".encode() + data, client)
    else:
        connection, client = server.accept()
        data = connection.recv(2000)
        connection.sendall(f"{client[0]} {client[1]} ".encode() + data)
        connection.close()
"""

# Says one word to a port; prints the answer, or `no TYPE` of what went wrong.
ASK = """
import socket, sys
kind, address, port = sys.argv[1:4]
family = socket.AF_INET6 if ":" in address else socket.AF_INET
client = socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
client.settimeout(float(sys.argv[4]) if len(sys.argv) > 4 else 3)
try:
    client.connect((address, int(port)))
    client.send(b"hello")
    print(client.recv(2000).decode())
except OSError as error:
    print("no", type(error).__name__)
"""


# Asks the name server at 127.0.0.11; prints the answers' addresses or names, or `no TYPE`.
LOOKUP = """
import socket, struct, sys
name, kind = sys.argv[1], {"A": 1, "AAAA": 28, "PTR": 12}[sys.argv[2]]
if kind == 12: name = ".".join(reversed(name.split("."))) + ".in-addr.arpa"
labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\\0"
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(5)
client.connect(("127.0.0.11", 53))
client.send(struct.pack(">HHHHHH", 77, 0x100, 1, 0, 0, 0) + labels + struct.pack(">HH", kind, 1))
data = client.recv(4000)
identity, flags, _, count, _, _ = struct.unpack(">HHHHHH", data[:12])
assert identity == 77 and flags & 0x8000
if flags & 15: print("no", flags & 15)
def read(at):
    parts = []
    while data[at]:
        if data[at] >= 192: return parts + read(struct.unpack(">H", data[at:at + 2])[0] & 0x3fff)[0], at + 2
        parts.append(data[at + 1:at + 1 + data[at]].decode()); at += 1 + data[at]
    return parts, at + 1
at = 12 + len(labels) + 4
for _ in range(count):
    _, at = read(at)
    found, _, _, length = struct.unpack(">HHIH", data[at:at + 10])
    at += 10
    if found == 1: print(socket.inet_ntop(socket.AF_INET, data[at:at + 4]))
    elif found == 28: print(socket.inet_ntop(socket.AF_INET6, data[at:at + 16]))
    elif found == 12: print(".".join(read(at)[0]))
    at += length
"""


def lookup(host, name, kind="A"):
    """What the resolver of a container says; `no 3` where there is no such name."""
    return host.run("python3", "-c", LOOKUP, name, kind).split("\n")[:-1]


def ask(host, kind, address, port, wait=3):
    """What a server answers to a client on this host; `no …` when it does not."""
    return host.run("python3", "-c", ASK, kind, address, port, wait).strip()


def serve(host, kind, address, port):
    return host.program("python3", "-c", ECHO, "6" if ":" in address else "4", kind, address, port)


def in_namespace_of(pid):
    """A host for a namespace that somebody else holds: a container's."""
    host = Host.__new__(Host)
    host.holder = type("Holder", (), {"pid": pid})()
    return host


def require_root():
    if os.geteuid() != 0:
        pytest.skip("needs root for network namespaces")


# A name server: `ADDRESS NAME ANSWER`. It knows that name only.
NAME_SERVER = """
import socket, sys
address, known, answer = sys.argv[1:4]
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((address, 53))
print("ready", flush=True)
while True:
    data, peer = s.recvfrom(2000)
    end, at, labels = data.index(0, 12) + 5, 12, []
    while data[at]:
        labels.append(data[at + 1 : at + 1 + data[at]].decode())
        at += 1 + data[at]
    if ".".join(labels).lower() != known:
        s.sendto(data[:2] + b"\\x81\\x83" + data[4:6] + bytes(6) + data[12:end], peer)
        continue
    record = b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\x3c\\0\\4" + socket.inet_aton(answer)
    s.sendto(data[:2] + b"\\x81\\x80" + data[4:6] + b"\\0\\1\\0\\0\\0\\0" + data[12:end] + record, peer)
"""
