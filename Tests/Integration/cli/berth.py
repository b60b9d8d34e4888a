"""The berth command of one user with a store of its own, and what it leaves behind."""

import dataclasses
import json
import os
import pathlib
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import tempfile
import time

from host import DEADLINE, REPOSITORY, Result, host_mounts, parse_mountinfo, quietly, wait_for


@dataclasses.dataclass
class Outcome(Result):
    """What a berth command did; `bytes` is standard output as it came."""

    bytes: bytes = b""
    error_bytes: bytes = b""

    @property
    def text(self):
        return self.out.rstrip("\n")

    @property
    def lines(self):
        return self.out.splitlines()

    def exits(self, code):
        assert self.code == code, f"{shlex.join(self.command)}: exit {self.code}, not {code}\n{self.out}{self.err}"
        return self

    def fails(self, code, *patterns):
        """A failure with this code that told why on standard error."""
        self.exits(code)
        for pattern in patterns:
            assert re.search(pattern, self.err, re.I), f"no /{pattern}/ in: {self.err!r} (out {self.out!r})"
        assert self.err.strip(), f"{shlex.join(self.command)}: exit {self.code} without a word"
        return self


def stat_field(pid, index):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[index]


class Berth:
    """`berth` as one user, with its own roots."""

    def __init__(self, suite, who, programs):
        self.suite, self.who, self.programs = suite, who, programs
        self.mark = "bc" + secrets.token_hex(5)
        self.dir = suite.base / f"{self.mark}-{who.name}"
        self.root, self.run_root = self.dir / "store", self.dir / "run"
        self.dir.mkdir(mode=0o755)
        os.chown(self.dir, who.uid, who.gid)
        self.owned = []

    @property
    def program(self):
        return self.programs / "berth"

    # Commands

    def environment(self):
        return self.suite.environment(self.who) | {
            "BERTH_ROOT": str(self.root), "BERTH_RUN_ROOT": str(self.run_root), "BERTH_TEST_ID": self.mark,
        } | ({"BERTH_LAYER_FORMAT": self.layer_format} if self.layer_format else {})  # fmt: skip

    def popen(self, *args, wrap=(), env=None, unset=(), **keywords):
        command = [*map(str, wrap), str(self.program), *map(str, args)]
        environment = self.environment() | (env or {})
        for name in unset:
            environment.pop(name, None)
        if os.geteuid() != self.who.uid:
            keywords |= {"user": self.who.uid, "group": self.who.gid}
            keywords.setdefault("extra_groups", [])
        keywords.setdefault("cwd", "/")
        keywords.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(command, env=environment, **keywords)

    def call(self, *args, stdin=None, timeout=10, **keywords):
        """Runs a command to its end. Errors go to a file, so that whoever inherits the descriptor delays only the test about that."""
        if stdin is not None:
            keywords["stdin"] = subprocess.PIPE
        with tempfile.TemporaryFile() as error:
            process = self.popen(*args, stdout=subprocess.PIPE, stderr=error, **keywords)
            try:
                out, _ = process.communicate(stdin.encode() if isinstance(stdin, str) else stdin, timeout=timeout)
                late = None
            except subprocess.TimeoutExpired:
                late = f"{shlex.join(process.args)}: still running after {timeout} s"
                process.kill()
                for pid in self.processes():
                    quietly(lambda: os.kill(pid, signal.SIGKILL))
                out, _ = process.communicate()
            error.seek(0)
            err = error.read()
        assert not late, f"{late}\n{out!r} {err!r}"
        return Outcome(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"), process.args, out, err)

    def ok(self, *args, **keywords):
        return self.call(*args, **keywords).check()

    def run(self, *args, **keywords):
        """`run --rm` with the network that needs nothing."""
        return self.call("run", "--rm", "--network", "none", *args, **keywords)

    def sh(self, *args, **keywords):
        """`run --rm` of a shell script: the last argument is the script, the ones before are flags."""
        *flags, script = args
        return self.run(*flags, self.image, "sh", "-c", script, **keywords)

    image = "test"
    # How layers are kept; None: as the configuration says. BERTH_TEST_LAYER_FORMAT=auto runs everything with the other format.
    layer_format = os.environ.get("BERTH_TEST_LAYER_FORMAT")

    def detached(self, *args, **keywords):
        """`run -d`; returns the id."""
        return self.ok("run", "-d", "--network", "none", *args, **keywords).text

    def up(self, *flags, command=("sleep", "1000"), image=None, **keywords):
        """A container that runs until it is told to end."""
        return self.detached(*flags, image or self.image, *command, **keywords)

    # What it knows

    def inspect(self, name, path=None):
        document = json.loads(self.ok("inspect", name).out)[0]
        if path:
            for key in path.split("."):
                document = document[key]
        return document

    def status(self, name):
        return self.inspect(name, "State.Status")

    def wait_status(self, name, wanted, deadline=DEADLINE):
        return wait_for(lambda: self.status(name) == wanted, f"{name} to be {wanted}; it is {self.status(name)}", deadline)

    def logs(self, name, *flags):
        return self.ok("logs", *flags, name).out

    def wait_log(self, name, pattern):
        return wait_for(lambda: re.search(pattern, self.logs(name), re.M), f"/{pattern}/ in the log of {name}")

    def names(self, *flags):
        return self.ok("ps", "--format", "{{.Names}}", *flags).lines

    def pid(self, name):
        return self.inspect(name, "State.Pid")

    def supervisor(self, identity):
        """Pid of the supervisor of a container."""
        for pid in self.processes():
            try:
                words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"supervise" in words and identity.encode() in words:
                return pid
        return None

    def seen(self, path):
        """A path of the store as this process reaches it."""
        return path

    # Images of loop devices that are the test's own.
    loops = ()

    # What it leaves behind

    def processes(self, identity=None):
        """Pids of all live processes of this store: by the mark in the environment, the command line, or mounts of this store."""
        mark, store = f"BERTH_TEST_ID={self.mark}".encode(), str(self.root).encode()
        found = []
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or int(entry) == os.getpid():
                continue
            try:
                if stat_field(entry, 0) == "Z":
                    continue
                mine = mark in pathlib.Path(f"/proc/{entry}/environ").read_bytes()
                mine = mine or store in pathlib.Path(f"/proc/{entry}/cmdline").read_bytes()
                # A mount that leaked to the host is in everybody's list: those who share ours are not meant.
                if not mine and os.readlink(f"/proc/{entry}/ns/mnt") != os.readlink("/proc/self/ns/mnt"):
                    mine = store in pathlib.Path(f"/proc/{entry}/mountinfo").read_bytes()
                if mine and identity:
                    mine = any(
                        identity.encode() in pathlib.Path(f"/proc/{entry}/{name}").read_bytes() for name in ("cmdline", "mountinfo", "cgroup")
                    )
            except (OSError, IndexError):
                continue
            if mine:
                found.append(int(entry))
        return found

    def cgroups(self, identity):
        found = []
        for mount in host_mounts():
            if mount.type in ("cgroup", "cgroup2"):
                for directory, names, _ in os.walk(mount.target):
                    found += [os.path.join(directory, name) for name in names if identity in name]
        return found

    def mounts(self, identity=""):
        """Mounts that the host, or this user's other processes, would see."""
        return [mount.target for mount in host_mounts() if mount.target.startswith(str(self.dir)) and identity in mount.target]

    def directories(self, identity=""):
        """What exists for containers in the store and the run root."""
        found = []
        for parent in (self.root / "containers", self.run_root / "containers", self.run_root / "runtime"):
            if parent.is_dir():
                found += [str(entry) for entry in parent.iterdir() if identity in entry.name]
        return found

    def leftovers(self, identity=""):
        found = {
            "processes": [describe(pid) for pid in self.processes(identity or None)], "mounts": self.mounts(identity),
            "directories": self.directories(identity), "cgroups": self.cgroups(identity) if identity else [],
        }  # fmt: skip
        return {kind: items for kind, items in found.items() if items}

    def assert_clean(self, identity=""):
        """Nothing of a container (or of all) is left. The kernel gets a moment to end the last process."""
        try:
            wait_for(lambda: not self.leftovers(identity), "", 3)
        except AssertionError:
            left = self.leftovers(identity)
            assert left == {}, left

    def clear(self):
        """Removes every container."""
        if not (self.root / "berth.db").exists():
            return
        names = self.call("ps", "-aq", "--no-trunc").lines
        if names:
            self.call("rm", "-f", "-v", *names, timeout=60)
        if self.directories(""):
            # What commands that the test has killed had made and nobody knows: any command that writes images takes it away.
            self.call("image", "prune", "-f", "--filter", "label=that-none-has")

    def close(self):
        try:
            self.clear()
        except AssertionError:
            pass
        for _ in range(100):
            pids = self.processes()
            for pid in pids:
                quietly(lambda: os.kill(pid, signal.SIGKILL))
            if not pids:
                break
            time.sleep(0.01)
        for target in reversed(self.mounts()):
            subprocess.run(["umount", "-l", target], capture_output=True)
        if not self.mounts():
            shutil.rmtree(self.dir, ignore_errors=True)


def describe(pid):
    try:
        words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        words = "?"
    return f"{pid} {words}"


def programs(base):
    """berth and berth-runtime side by side where an ordinary user reaches them."""
    directory = base / "bin"
    directory.mkdir(mode=0o755)
    for name, variable in (("berth", "BERTH"), ("berth-runtime", "BERTH_RUNTIME")):
        source = pathlib.Path(os.environ.get(variable, REPOSITORY / ".build/debug" / name)).resolve()
        if not os.access(source, os.X_OK):
            raise FileNotFoundError(f"{source}: nothing to test (set {variable})")
        shutil.copy(source, directory / name)
    return directory


__all__ = ["Berth", "Outcome", "describe", "parse_mountinfo", "programs", "stat_field"]
