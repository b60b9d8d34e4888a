"""Hosts that are network namespaces, and the engines on them. No link, rule or sysctl of the machine's own namespace is touched.

A namespace is kept by an open descriptor, so none outlives this run. Commands are started by a thread that has entered the namespace: no
program for entering is in the measured time.
"""

import contextlib
import ctypes
import json
import os
import pathlib
import re
import signal
import subprocess

import engines
import harness
from harness import NotMeasured, output

NEW_NETWORK = 0x40000000
NETWORK = "bench"
libc = ctypes.CDLL(None, use_errno=True)
entered = []


class Namespace:
    """A network namespace; `with` starts what is started in it, and makes sockets that stay in it."""

    def __init__(self, path=None):
        if path:
            self.fd = os.open(path, os.O_RDONLY)
            return
        with preserved():
            if libc.unshare(NEW_NETWORK):
                raise NotMeasured(f"no network namespace: {os.strerror(ctypes.get_errno())}")
            self.fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
            output(["ip", "link", "set", "lo", "up"])

    def enter(self):
        if libc.setns(self.fd, NEW_NETWORK):
            raise NotMeasured(f"cannot enter a network namespace: {os.strerror(ctypes.get_errno())}")

    def __enter__(self):
        entered.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY))
        self.enter()
        return self

    def __exit__(self, *_):
        back = entered.pop()
        libc.setns(back, NEW_NETWORK)
        os.close(back)

    @property
    def path(self):
        return f"/proc/{os.getpid()}/fd/{self.fd}"

    def processes(self):
        """Pids of those in it: of an engine's host all its servers, proxies and supervisors, not the containers."""
        inode, found = os.fstat(self.fd).st_ino, []
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if os.stat(process / "ns/net").st_ino == inode and (process / "cmdline").read_bytes():
                    found.append(int(process.name))
        return [pid for pid in found if pid != os.getpid()]

    def proportional_kib(self):
        total = 0
        for pid in self.processes():
            with contextlib.suppress(OSError, TypeError):
                total += harness.proportional_kib(pid)
        return total

    def address(self):
        """Its own address that is not loopback's."""
        with self:
            links = json.loads(output(["ip", "-j", "-4", "address"]))
        found = [entry["local"] for link in links if link["ifname"] != "lo" for entry in link["addr_info"]]
        if not found:
            raise NotMeasured("it has no address")
        return found[0]

    def close(self):
        os.close(self.fd)


@contextlib.contextmanager
def preserved():
    """This thread's namespace is the same afterwards."""
    with Namespace("/proc/thread-self/ns/net") as home:
        try:
            yield
        finally:
            home.enter()
    home.close()


class World:
    """A machine outside, and hosts each connected to it by a cable of its own, with their default route there."""

    def __init__(self):
        self.outside, self.hosts, self.behind = Namespace(), [], []

    def host(self):
        """198.18.0.0/15 is for measurements (RFC 2544); of each cable the outside has the first address, the host the second."""
        host, number = Namespace(), len(self.hosts) + 1
        self.hosts.append(host)
        host.outside_address, host.own_address = f"198.18.{number}.1", f"198.18.{number}.2"
        with host:
            output(["ip", "link", "add", "uplink", "type", "veth", "peer", "name", f"cable{number}", "netns", self.outside.path])
            output(["ip", "address", "add", f"{host.own_address}/24", "dev", "uplink"])
            output(["ip", "link", "set", "uplink", "up"])
        with self.outside:
            output(["ip", "address", "add", f"{host.outside_address}/24", "dev", f"cable{number}"])
            output(["ip", "link", "set", f"cable{number}", "up"])
        with host:
            output(["ip", "route", "add", "default", "via", host.outside_address])
        return host

    def far(self, routers=10):
        """A machine that many routers behind the one outside: a cable inside this machine is a hundred times as short as a real one."""
        if self.behind:
            return self.behind[-1]
        nearer = self.outside
        for number in range(1, routers + 2):
            farther = Namespace()
            self.behind.append(farther)
            ends = f"198.19.{number}.1", f"198.19.{number}.2"
            with nearer:
                output(["ip", "link", "add", "onward", "type", "veth", "peer", "name", "back", "netns", farther.path])
                output(["ip", "address", "add", f"{ends[0]}/24", "dev", "onward"])
                output(["ip", "link", "set", "onward", "up"])
                output(["sysctl", "-qw", "net.ipv4.ip_forward=1"])
            with farther:
                output(["ip", "address", "add", f"{ends[1]}/24", "dev", "back"])
                output(["ip", "link", "set", "back", "up"])
                output(["ip", "route", "add", "default", "via", ends[0]])
            with nearer:
                output(["ip", "route", "add", "198.19.0.0/16", "via", ends[1]])
            nearer = farther
        self.behind[-1].address_there = f"198.19.{len(self.behind)}.2"
        return self.behind[-1]

    def close(self):
        """Ends who is left on the hosts: they were made for this run, so all are ours."""
        for host in self.hosts:
            kill(host.processes)
            host.close()
        for namespace in [self.outside, *self.behind]:
            namespace.close()


class Covered:
    """A directory with a fixed name that podman writes to, for this run an empty one: in our mount namespace only."""

    def __init__(self, directory):
        self.directory, self.is_ours = directory, not os.path.exists(directory)
        pathlib.Path(directory).mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", directory], check=True)

    def close(self):
        harness.unmount_below(self.directory)
        if self.is_ours:
            with contextlib.suppress(OSError):
                os.rmdir(self.directory)


def kill(find):
    """Ends processes by pid until none is found: what one of them starts meanwhile also."""

    def attempt():
        left = find()
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        return not left

    return harness.wait_until(attempt, 10)


class Account:
    """An ordinary user of this run, known in its mount namespace only: the machine's files of users stay as they are."""

    name, first, count = "berth-bench", 1_900_000_000, 65536

    def __init__(self, directory):
        self.uid = next(uid for uid in range(59000, 59999) if not is_known(uid))
        lines = {
            "passwd": f"{self.name}:x:{self.uid}:{self.uid}::{directory}:/bin/sh\n", "group": f"{self.name}:x:{self.uid}:\n",
            "subuid": f"{self.name}:{self.first}:{self.count}\n", "subgid": f"{self.name}:{self.first}:{self.count}\n",
        }  # fmt: skip
        for name, line in lines.items():
            file, place = directory / f"etc-{name}", pathlib.Path("/etc", name)
            if not place.exists():
                raise NotMeasured(f"{place} is missing (apt install uidmap)")
            file.write_text(place.read_text().rstrip("\n") + "\n" + line)
            subprocess.run(["mount", "--bind", str(file), str(place)], check=True)
        # As distributions have it; a machine without udev may keep it for root.
        node = directory / "tun"
        os.mknod(node, 0o020666, os.makedev(10, 200))
        os.chmod(node, 0o666)
        if os.path.exists("/dev/net/tun"):
            subprocess.run(["mount", "--bind", str(node), "/dev/net/tun"], check=True)

    def command(self, home):
        """What runs a program as this user."""
        environment = {"HOME": home, "XDG_RUNTIME_DIR": f"{home}/run", "TMPDIR": f"{home}/tmp", "PATH": os.environ.get("PATH", "")}
        words = [f"{name}={value}" for name, value in environment.items()]
        return ["setpriv", "--reuid", str(self.uid), "--regid", str(self.uid), "--clear-groups", "env", "-i", "-C", str(home), *words]

    def home(self, directory):
        for place in (directory, directory / "run", directory / "tmp"):
            place.mkdir(exist_ok=True)
            os.chown(place, self.uid, self.uid)
        (directory / "run").chmod(0o700)
        return self.command(directory)

    def processes(self):
        found = []
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                # Not the owner of the directory: that is root where a process may not be looked into.
                uid = int(re.search(r"^Uid:\s+(\d+)", (process / "status").read_text(), re.M)[1])
                if (uid == self.uid or self.first <= uid < self.first + self.count) and (process / "cmdline").read_bytes():
                    found.append(int(process.name))
        return found

    def forget(self):
        """What podman makes for each user, outside all directories that it is given."""
        pathlib.Path(f"/dev/shm/libpod_rootless_lock_{self.uid}").unlink(missing_ok=True)


def is_known(uid):
    return any(line.split(":")[2:3] == [str(uid)] for line in pathlib.Path("/etc/passwd").read_text().splitlines())


# The engines that are on a host. Podman has Debian's newer network programs: aardvark-dns answers names there.


class Berth(engines.Berth):
    name = "berth-net"


class Podman(engines.Podman):
    name = "podman-net"

    def __init__(self, base):
        if not os.path.exists("/usr/lib/podman/netavark"):
            raise NotMeasured("netavark is not installed")
        self.more_options = ["--network-backend", "netavark", "--network-config-dir", f"{base}/{self.name}/networks"]
        super().__init__(base)


class Docker(engines.Docker):
    name = "docker-net"
    more_server = []


class DockerWithoutProxy(engines.Docker):
    name = "docker-rules"
    more_server = ["--userland-proxy=false"]


class OfUser:
    """An engine of the ordinary user."""

    def place(self, base):
        super().place(base)
        self.prefix = self.account.home(self.base)
        os.chown(self.runtime, self.account.uid, self.account.uid)


class UserBerth(OfUser, Berth):
    name = "berth-user"


class UserPodman(OfUser, Podman):
    name = "podman-user"
    # Not every kernel lets a user mount overlay; where the layers lie does not matter to a network.
    storage = "vfs"


class Pair:
    """Two containers of an engine in one network, one of them with a published port."""

    port = 5201

    def __init__(self, engine, image, network=NETWORK):
        self.engine, self.namespaces = engine, []
        with engine.host:
            if network == NETWORK:
                output(engine.call("network", "create", network))
            self.server = self.start(image, "bench-server", network, "-p", f"{self.port}:{self.port}")
            self.client = self.start(image, "bench-client", network)

    def start(self, image, name, network, *flags):
        more = ["--network", network] if network else []
        output(self.engine.call("run", *self.engine.more_run, "-d", "--name", name, *more, *flags, image, "sleep", "3600"))
        pid = int(output(self.engine.call("inspect", "--format", "{{.State.Pid}}", name)))
        namespace = Namespace(f"/proc/{pid}/ns/net")
        namespace.pid = pid
        self.namespaces.append(namespace)
        return namespace

    def close(self):
        for namespace in self.namespaces:
            namespace.close()
        with self.engine.host:
            self.engine.remove_all()
            output(self.engine.call("network", "rm", NETWORK), check=False)
