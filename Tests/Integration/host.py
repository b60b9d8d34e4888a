"""What the tests need of the host: waiting, users, mounts, sockets that receive descriptors."""

import array
import contextlib
import ctypes
import dataclasses
import fcntl
import json
import os
import pathlib
import pwd
import re
import select
import shlex
import socket
import stat
import struct
import subprocess
import termios
import time

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
DEADLINE = 20.0


def wait_for(condition, what="condition", deadline=DEADLINE):
    """Polls until the condition returns something true, and returns that."""
    end = time.monotonic() + deadline
    pause = 0.002
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"deadline passed: {what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)


def wait_asleep(process):
    """Waits until a command waits itself: for a message, a descriptor or a time."""

    def sleeps():
        assert process.poll() is None, f"{process.args} has ended"
        with open(f"/proc/{process.pid}/wchan") as file:
            place = file.read()
        return any(word in place for word in ("poll", "nanosleep", "wait_for_more_packets"))

    wait_for(sleeps, f"{process.args} to wait")


@dataclasses.dataclass
class Result:
    """What a command of the runtime did."""

    code: int
    out: str
    err: str
    command: list

    @property
    def ok(self):
        return self.code == 0

    def check(self):
        assert self.code == 0, f"{shlex.join(self.command)}: exit {self.code}\n{self.out}{self.err}"
        return self

    def refused(self, *patterns):
        """Asserts a failure that told why: a non-zero code, a message, and each pattern in it."""
        assert self.code != 0, f"{shlex.join(self.command)}: accepted\n{self.out}{self.err}"
        assert self.code > 0, f"{shlex.join(self.command)}: died of signal {-self.code}\n{self.err}"
        assert (self.out + self.err).strip(), f"{shlex.join(self.command)}: exit {self.code} without a word"
        for pattern in patterns:
            assert re.search(pattern, self.out + self.err, re.I), f"no /{pattern}/ in: {self.out}{self.err}"
        return self


@dataclasses.dataclass
class User:
    """Who calls the runtime: root, or an ordinary user with subordinate ids."""

    name: str
    uid: int
    gid: int
    subuid: tuple = None
    subgid: tuple = None

    @property
    def is_root(self):
        return self.uid == 0

    def mappings(self, kind):
        """The full mapping: own id to 0, and subordinate ids from 1."""
        if self.is_root:
            return [{"containerID": 0, "hostID": 200000, "size": 65536}]
        own, (start, size) = (self.uid, self.subuid) if kind == "uid" else (self.gid, self.subgid)
        return [
            {"containerID": 0, "hostID": own, "size": 1},
            {"containerID": 1, "hostID": start, "size": min(size, 65535)},
        ]


@contextlib.contextmanager
def subreaper():
    """Makes this process a subreaper for a while; the value is a function that gives the pids it inherited and has not reaped."""
    libc = ctypes.CDLL(None, use_errno=True)

    def children():
        return {int(pid) for pid in pathlib.Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()}

    before = children()
    libc.prctl(36, 1, 0, 0, 0)
    try:
        yield lambda: children() - before
    finally:
        libc.prctl(36, 0, 0, 0, 0)


def subordinate_range(path, name, uid):
    for line in pathlib.Path(path).read_text().splitlines():
        fields = line.split(":")
        if len(fields) == 3 and fields[0] in (name, str(uid)) and int(fields[2]) >= 65535:
            return int(fields[1]), int(fields[2])
    return None


def ordinary_user(name):
    """The user of the rootless half, made when it is missing (as root)."""
    with open(f"/tmp/.berth-suite-{os.geteuid()}.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            if os.geteuid() != 0:
                return None
            subprocess.run(["useradd", "--create-home", "--shell", "/bin/sh", name], check=True, capture_output=True)
            entry = pwd.getpwnam(name)
        for path, option in (("/etc/subuid", "--add-subuids"), ("/etc/subgid", "--add-subgids")):
            if not os.path.exists(path) or subordinate_range(path, name, entry.pw_uid) is None:
                if os.geteuid() != 0:
                    return None
                taken = [line.split(":") for line in pathlib.Path(path).read_text().splitlines()] if os.path.exists(path) else []
                start = max([100000] + [int(row[1]) + int(row[2]) for row in taken if len(row) == 3])
                subprocess.run(["usermod", option, f"{start}-{start + 65535}", name], check=True)
        return User(
            name, entry.pw_uid, entry.pw_gid,
            subordinate_range("/etc/subuid", name, entry.pw_uid), subordinate_range("/etc/subgid", name, entry.pw_uid),
        )  # fmt: skip


def build_init():
    """Compiles the test init when it is older than its sources; workers take turns."""
    sources = sorted((REPOSITORY / "Tests/Init").glob("*.[ch]"))
    target = REPOSITORY / ".build/test-init/init"

    def is_current():
        return target.exists() and target.stat().st_mtime >= max(source.stat().st_mtime for source in sources)

    if is_current():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target.parent / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_current():
            units = [str(source) for source in sources if source.suffix == ".c"]
            part = target.with_suffix(".part")
            flags = ["-static", "-s", "-Os", "-Wall", "-Wextra", "-Werror"]
            subprocess.run(["gcc", *flags, "-o", str(part), *units, "-lresolv"], check=True)
            part.rename(target)
    return target


class ConsoleSocket:
    """The listening end of --console-socket."""

    def __init__(self, path, who):
        self.path = str(path)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        os.chown(self.path, who.uid, who.gid)
        self.listener.listen(4)
        self.listener.settimeout(DEADLINE)

    def receive(self):
        """The fd that came (the terminal's master), and the text that came with it."""
        connection, _ = self.listener.accept()
        with connection:
            connection.settimeout(DEADLINE)
            data, fds, _, _ = socket.recv_fds(connection, 4096, 4)
        assert len(fds) == 1, f"{len(fds)} descriptors came through the console socket"
        return Terminal(fds[0]), data.decode(errors="replace")

    def close(self):
        self.listener.close()


class Terminal:
    """The master of a pseudo-terminal."""

    def __init__(self, fd):
        self.fd = fd
        self.text = ""
        os.set_blocking(fd, False)

    def read_until(self, pattern):
        """Reads until the pattern was seen; returns the match."""

        def look():
            try:
                self.text += os.read(self.fd, 65536).decode(errors="replace")
            except BlockingIOError:
                pass
            except OSError:  # EIO: all slaves closed
                return re.search(pattern, self.text) or "closed"
            return re.search(pattern, self.text)

        found = wait_for(look, f"/{pattern}/ on the terminal; so far {self.text!r}")
        assert found != "closed", f"terminal closed without /{pattern}/: {self.text!r}"
        return found

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def write(self, text):
        os.write(self.fd, text.encode())

    def close(self):
        os.close(self.fd)


def quietly(action):
    try:
        action()
    except OSError:
        pass


@dataclasses.dataclass
class Mount:
    """A line of mountinfo."""

    id: int
    parent: int
    device: str
    root: str
    target: str
    options: set
    propagation: set
    type: str
    source: str
    super_options: set


def parse_mountinfo(text):
    mounts = []
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        fields, rest = left.split(), right.split(" ")
        decode = lambda word: re.sub(r"\\(\d{3})", lambda match: chr(int(match[1], 8)), word)  # noqa: E731
        mounts.append(
            Mount(
                int(fields[0]), int(fields[1]), fields[2], decode(fields[3]), decode(fields[4]), set(fields[5].split(",")),
                set(fields[6:]), rest[0], decode(rest[1]), set(rest[2].split(",")) if len(rest) > 2 else set(),
            )  # fmt: skip
        )
    return mounts


def host_mounts():
    return parse_mountinfo(pathlib.Path("/proc/self/mountinfo").read_text())


def mount_on(text, target):
    """The topmost mount at a target, from mountinfo's text, or None."""
    found = [mount for mount in parse_mountinfo(text) if mount.target == target]
    return found[-1] if found else None


def fields(text):
    """`a=1 b=2` as a dictionary."""
    return dict(word.partition("=")[::2] for word in text.split())


def status_fields(text):
    """Lines of /proc/PID/status as a dictionary."""
    return {line.partition(":")[0]: line.partition(":")[2].strip() for line in text.splitlines() if ":" in line}


class SeccompAgent:
    """The listening end of linux.seccomp.listenerPath."""

    NOTIFICATION = struct.Struct("=QIIiIQ6Q")  # id pid flags nr arch ip args
    RECEIVE, SEND = 0xC0502100, 0xC0182101

    def __init__(self, path, who):
        self.path = str(path)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        os.chown(self.path, who.uid, who.gid)
        self.listener.listen(4)
        self.listener.settimeout(DEADLINE)
        self.fds = []

    def receive(self):
        """The container process state that came as JSON, and its descriptors by name."""
        connection, _ = self.listener.accept()
        data, received = b"", []
        with connection:
            connection.settimeout(DEADLINE)
            while True:
                ancillary_size = socket.CMSG_SPACE(16 * array.array("i").itemsize)
                part, ancillary, _, _ = connection.recvmsg(65536, ancillary_size)
                for level, kind, payload in ancillary:
                    if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                        fds = array.array("i")
                        fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
                        received += list(fds)
                data += part
                # Not at the end of the connection: closing it may be a call that waits for us.
                with contextlib.suppress(ValueError):
                    state = json.loads(data)
                    break
                assert part, f"the connection ended in the middle of {data!r}"
        self.fds += received
        return state, dict(zip(state["fds"], received))

    def answer(self, fd, error=0, value=0):
        """Answers one notification with an errno or a value; returns the call's number and the caller's pid."""
        buffer = bytearray(self.NOTIFICATION.size)
        fcntl.ioctl(fd, self.RECEIVE, buffer)
        identity, pid, _, number, *_ = self.NOTIFICATION.unpack(buffer)
        fcntl.ioctl(fd, self.SEND, bytearray(struct.pack("=QqiI", identity, value, -error, 0)))
        return number, pid

    def pass_on(self, fd, until):
        """Lets every call through (SECCOMP_USER_NOTIF_FLAG_CONTINUE) until a condition holds; returns their numbers."""
        seen, end = set(), time.monotonic() + DEADLINE
        while not until():
            assert time.monotonic() < end, f"deadline passed; calls so far {sorted(seen)}"
            if not select.select([fd], [], [], 0.05)[0]:
                continue
            buffer = bytearray(self.NOTIFICATION.size)
            with contextlib.suppress(OSError):  # the caller was killed meanwhile
                fcntl.ioctl(fd, self.RECEIVE, buffer)
                identity, _, _, number, *_ = self.NOTIFICATION.unpack(buffer)
                fcntl.ioctl(fd, self.SEND, bytearray(struct.pack("=QqiI", identity, 0, 0, 1)))
                seen.add(number)
        return seen

    def close(self):
        self.listener.close()
        for fd in self.fds:
            os.close(fd)


def tree_state(path):
    """A canary: names, kinds, modes, owners and contents of a tree, to be compared later."""
    seen = {}
    for directory, names, files in os.walk(path):
        for name in [".", *names, *files]:
            full = os.path.join(directory, name)
            st = os.lstat(full)
            content = pathlib.Path(full).read_bytes() if stat.S_ISREG(st.st_mode) else b""
            seen[os.path.relpath(full, path)] = (st.st_mode, st.st_uid, st.st_gid, st.st_nlink, content)
    return seen


# Cgroups

CGROUPS = pathlib.Path("/sys/fs/cgroup")
CGROUP_V2 = (CGROUPS / "cgroup.controllers").exists()


def cgroup_directory(ct, controller, pid=None):
    """Where the container's first process is, as the host sees it."""
    for line in pathlib.Path(f"/proc/{pid or ct.pid}/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if CGROUP_V2 and names == "":
            return CGROUPS / path.lstrip("/")
        if controller in names.split(","):
            return CGROUPS / controller / path.lstrip("/")
    pytest.skip(f"this host has no {controller} controller")


def cgroup_value(ct, controller, v1, v2=None):
    """The value of a control file, v1's or v2's."""
    path = cgroup_directory(ct, controller) / (v2 if CGROUP_V2 else v1)
    if not path.exists():
        pytest.skip(f"this kernel has no {path.name}")
    return path.read_text().strip()


def mounted(ct, *more, target="/mnt"):
    """Runs the container and returns the mount at the target, and what the other verbs printed."""
    text, *rest = ct.look("mountinfo", *more)
    mount = mount_on(text, target)
    assert mount is not None, text
    return (mount, *rest) if more else mount


@contextlib.contextmanager
def locked(path, kind=fcntl.F_WRLCK):
    """Holds an OFD lock on a whole file meanwhile, as a command that uses it."""
    with open(path, "r+b") as file:
        # F_OFD_SETLK, which Python has no name for before 3.13; `struct flock` of x86_64.
        fcntl.fcntl(file, 37, struct.pack("hhqqi", kind, 0, 0, 0, 0))
        yield
