"""A host of its own for the networks of an ordinary user: a network namespace with a way out, and a /dev/net/tun that all may open."""

import contextlib
import json
import os
import pathlib
import secrets
import shutil
import subprocess
import tempfile

import pytest
from berth import Outcome
from host import wait_for

needs_pasta = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("pasta"), reason="needs root to build a host of its own, and pasta (apt install passt)")  # fmt: skip
ADDRESS, OUTSIDE = "198.51.100.10", "198.51.100.1"
ADDRESS6, OUTSIDE6 = "2001:db8:1::10", "2001:db8:1::1"


class Namespace:
    """A process that keeps namespaces; commands enter them by nsenter."""

    def __init__(self, *flags):
        self.process = subprocess.Popen(
            ["unshare", *flags, "sh", "-c", "echo; exec sleep 1000"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)  # fmt: skip
        self.process.stdout.readline()
        self.pid = self.process.pid

    def wrap(self, *kinds):
        return ["nsenter", *[f"--{kind}=/proc/{self.pid}/ns/{'mnt' if kind == 'mount' else kind}" for kind in kinds]]

    def sh(self, script, *kinds):
        return subprocess.run([*self.wrap(*(kinds or ("net",))), "sh", "-ec", script], check=True, capture_output=True, text=True).stdout

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class World:
    """The host, and a machine beside it, which knows no way to containers."""

    def __init__(self, tun_mode=0o666, is_connected=True):
        self.children = []
        self.outside = Namespace("--net")
        self.host = Namespace("--net", "--mount", "--propagation", "private")
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="berth-world-"))
        os.chmod(self.directory, 0o755)
        node = self.directory / "tun"
        if tun_mode is not None:
            os.mknod(node, 0o020000 | tun_mode, os.makedev(10, 200))
            os.chmod(node, tun_mode)
        self.host.sh("ip link set lo up")
        if tun_mode is not None:
            self.host.sh(f"mount --bind {node} /dev/net/tun", "mount")
        if is_connected:
            self.connect()

    def connect(self):
        self.host.sh(f"ip link add up0 type veth peer name up1 netns {self.outside.pid}")
        self.outside.sh(
            f"ip link set lo up; ip link set up1 up; ip addr add {OUTSIDE}/24 dev up1; ip -6 addr add {OUTSIDE6}/64 dev up1 nodad")
        self.host.sh(
            f"ip link set up0 up; ip addr add {ADDRESS}/24 dev up0; ip -6 addr add {ADDRESS6}/64 dev up0 nodad;"
            f"ip route add default via {OUTSIDE}; ip -6 route add default via {OUTSIDE6}")

    def command(self, who, *words):
        return [
            *self.host.wrap("net", "mount"), "setpriv", f"--reuid={who.uid}", f"--regid={who.gid}", "--clear-groups", "--", *map(str, words),
        ]  # fmt: skip

    def call(self, engine, *args, timeout=20, env=None):
        """A berth command of the engine's user on this host."""
        command = self.command(engine.who, engine.program, *args)
        done = subprocess.run(
            command, env=engine.environment() | (env or {}), capture_output=True, timeout=timeout, cwd="/", stdin=subprocess.DEVNULL)  # fmt: skip
        return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode(), command, done.stdout, done.stderr)

    def ok(self, engine, *args, **keywords):
        return self.call(engine, *args, **keywords).check()

    def python(self, place, script, *args):
        """Starts a Python program in a network namespace: `host`, `outside` or a pid; the first line it prints says that it is ready."""
        wrap = getattr(self, place).wrap("net") if isinstance(place, str) else ["nsenter", f"--net=/proc/{place}/ns/net"]
        process = subprocess.Popen([*wrap, "python3", "-c", script, *map(str, args)], stdout=subprocess.PIPE, text=True)
        self.children.append(process)
        return process

    def serve(self, place, kind, address, port):
        """A server that answers each client with the address it sees, and what it got."""
        process = self.python(place, SERVER, kind, address, port)
        assert process.stdout.readline() == "ready\n"
        return process

    def ask(self, place, kind, address, port, text="hello", source=None):
        """What such a server answers: [address, port, text], or the error's text."""
        process = self.python(place, CLIENT, kind, address, port, text, source or "")
        out, _ = process.communicate(timeout=15)
        return json.loads(out)

    def close(self):
        for process in self.children:
            process.kill()
            process.wait()
            process.stdout.close()
        self.host.close()
        self.outside.close()
        shutil.rmtree(self.directory, ignore_errors=True)


SERVER = """
import json, socket, sys
kind, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
s = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind((address, port))
if kind == "tcp":
    s.listen(64)
print("ready", flush=True)
while True:
    if kind == "tcp":
        c, peer = s.accept()
        data = b""
        while True:
            part = c.recv(65536)
            data += part
            if not part or data.endswith(b"\\n"):
                break
        c.sendall(json.dumps([peer[0], peer[1], data.decode().strip()]).encode())
        c.close()
    else:
        data, peer = s.recvfrom(65536)
        s.sendto(json.dumps([peer[0], peer[1], data.decode()]).encode(), peer)
"""

CLIENT = """
import json, socket, sys
kind, address, port, text, source = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5]
if text.startswith("@"):
    text = "x" * int(text[1:])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
s = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
s.settimeout(5)
try:
    if source:
        s.bind((source, 0))
    s.connect((address, port))
    answer = b""
    # Not by closing one half: the pasta of Debian 12 repeats the answer then, and never ends.
    s.sendall(text.encode() + (b"\\n" if kind == "tcp" else b""))
    if kind == "tcp":
        while True:
            part = s.recv(65536)
            answer += part
            if not part:
                break
    else:
        answer = s.recv(65536)
    print(answer.decode() + "" if answer else json.dumps("closed"))
except OSError as error:
    print(json.dumps(str(error)))
"""


def holders(engine):
    """Pids of what holds the networks of an engine's user, and of its pastas (which hide their environment)."""
    found = {"berth-network": [], "pasta": []}
    for entry in os.listdir("/proc"):
        try:
            name = pathlib.Path(f"/proc/{entry}/comm").read_text().strip() if entry.isdigit() else ""
            words = pathlib.Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0") if name else []
        except OSError:
            continue
        if any(word.startswith(str(engine.run_root).encode()) for word in words):
            kind = "pasta" if name.startswith(("pasta", "passt")) else name
            if kind in found:
                found[kind].append(int(entry))
    return found


def wait_gone(engine):
    wait_for(lambda: not any(holders(engine).values()), "nothing to hold networks any more")


@contextlib.contextmanager
def dual_stack(world, engine):
    """The engine with a network of both families, `engine.net`; it is gone afterwards, and nothing is left."""
    # What an earlier test's host has left would be found.
    wait_gone(engine)
    engine.net = "n" + secrets.token_hex(3)
    world.ok(engine, "network", "create", "--subnet", "10.89.1.0/24", "--subnet", "fd89:1::/64", "--ipv6", engine.net)
    name = engine.net
    yield engine
    engine.clear()
    wait_gone(engine)
    world.ok(engine, "network", "rm", name)
