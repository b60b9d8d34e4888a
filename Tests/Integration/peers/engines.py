"""podman, dockerd and containerd with berth-runtime as their OCI runtime.

Each has directories and sockets of its own below one short path, is ended by its pid, and shows what it left behind.
"""

import contextlib
import json
import os
import pathlib
import pty
import secrets
import shlex
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

from host import CGROUPS, CGROUP_V2, DEADLINE, Result, Terminal, host_mounts, quietly, wait_for

# The hard limits of this machine may be below what podman asks for.
ULIMITS = ["nproc=1000:1000", "nofile=1000:1000"]
SEARCH = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"


def program(*names):
    """Paths of programs, or a skip that names the missing one."""
    found = [shutil.which(name, path=SEARCH) for name in names]
    for name, path in zip(names, found):
        if path is None:
            pytest.skip(f"{name} is not installed (scripts/setup peers)")
    return found


class Peer:
    """An engine with Docker's command line; `who` runs it."""

    kind = ""

    def __init__(self, suite, who):
        self.suite, self.who, self.runtime = suite, who, suite.runtime.path
        # Short: unix sockets lie below it. The prefix is one that the suite looks for when it ends.
        self.base = pathlib.Path("/tmp", "bts-" + secrets.token_hex(4))
        self.base.mkdir(mode=0o755)
        os.chown(self.base, who.uid, who.gid)
        self.mark = "bp" + secrets.token_hex(5)

    # Commands

    def words(self, *args):
        raise NotImplementedError

    @property
    def environment(self):
        return self.suite.environment(self.who) | {"BERTH_TEST_ID": self.mark, "HOME": str(self.base)}

    def popen(self, *args, **keywords):
        if os.geteuid() != self.who.uid:
            keywords |= {"user": self.who.uid, "group": self.who.gid, "extra_groups": []}
        keywords.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(self.words(*map(str, args)), cwd="/", env=self.environment, **keywords)

    def call(self, *args, stdin=None, timeout=DEADLINE * 2):
        """Runs a command to its end. Files, not pipes: whoever stays behind would keep a pipe open."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            process = self.popen(*args, stdout=out, stderr=err, stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL)
            try:
                process.communicate(stdin.encode() if stdin is not None else None, timeout=timeout)
                late = False
            except subprocess.TimeoutExpired:
                late = True
                process.kill()
                process.wait()
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read().decode(errors="replace"))
        assert not late, f"{shlex.join(process.args)}: still running after {timeout} s\n{texts[0]}{texts[1]}"
        return Result(process.returncode, *texts, process.args)

    def ok(self, *args, **keywords):
        return self.call(*args, **keywords).check().out.strip()

    def run(self, *args, **keywords):
        return self.call("run", "--rm", "--network", "none", *args, **keywords)

    def up(self, *flags, command=("sleep", "1000"), image="test"):
        return self.ok("run", "-d", "--network", "none", *flags, image, *command)

    @contextlib.contextmanager
    def terminal(self, *args):
        """Runs a command on a pseudo-terminal; gives (terminal, process)."""
        master, slave = pty.openpty()
        process = self.popen(*args, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
        os.close(slave)
        terminal = Terminal(master)
        try:
            yield terminal, process
        finally:
            terminal.close()
            if process.poll() is None:
                process.kill()
            process.wait()

    def inspect(self, name, *keys):
        value = json.loads(self.ok("inspect", name))[0]
        for key in keys:
            value = value[key]
        return value

    def pid(self, name):
        return self.inspect(name, "State", "Pid")

    def status(self, name):
        return self.inspect(name, "State", "Status")

    def cgroup(self, name, controller):
        """The directory of the first process in a controller's tree."""
        for line in pathlib.Path(f"/proc/{self.pid(name)}/cgroup").read_text().splitlines():
            _, names, path = line.split(":", 2)
            if CGROUP_V2 and names == "":
                return CGROUPS / path.lstrip("/")
            if controller in names.split(","):
                return CGROUPS / controller / path.lstrip("/")
        raise AssertionError(f"no {controller} controller")

    def load(self, archive):
        self.ok("load", "-i", archive)

    # What it leaves behind

    def containers(self):
        return self.ok("ps", "-aq", "--no-trunc").split()

    now = ()  # what makes `rm -f` not wait for the program's answer to SIGTERM

    def remove(self, *names):
        self.ok("rm", "-f", "-v", *self.now, *names, timeout=60)

    def clear(self):
        names = self.containers()
        if names:
            self.call("rm", "-f", "-v", *self.now, *names, timeout=60)

    def processes(self):
        """Everything that this engine started and that still lives: by the mark in the environment, or its directory in the command line."""
        found = {}
        mark, base = f"BERTH_TEST_ID={self.mark}".encode(), str(self.base).encode()
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or int(entry) == os.getpid():
                continue
            with contextlib.suppress(OSError, IndexError):
                if pathlib.Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                    continue
                command = pathlib.Path(f"/proc/{entry}/cmdline").read_bytes()
                if base in command or mark in pathlib.Path(f"/proc/{entry}/environ").read_bytes():
                    found[int(entry)] = command.replace(b"\0", b" ").decode(errors="replace").strip()
        return found

    def mounts(self):
        """Below its directory, and network namespaces."""
        return [mount.target for mount in host_mounts() if mount.target.startswith(str(self.base))]

    def cgroups(self, name):
        found = []
        for mount in host_mounts():
            if mount.type in ("cgroup", "cgroup2"):
                for directory, names, _ in os.walk(mount.target):
                    found += [os.path.join(directory, entry) for entry in names if name in entry]
        return found

    def runtime_states(self):
        """State directories of the runtime for containers of this engine."""
        return []

    def close(self):
        """Ends all that is left, by pid; the mounts, the directory."""
        with contextlib.suppress(Exception):
            self.clear()
        self.end()
        for _ in range(200):
            left = self.processes()
            for pid in left:
                quietly(lambda: os.kill(pid, signal.SIGKILL))
            if not left:
                break
            time.sleep(0.01)
        for target in reversed(self.mounts()):
            subprocess.run(["umount", "-l", target], capture_output=True)
        if not self.mounts():
            subprocess.run(["rm", "-rf", self.base], capture_output=True)

    def end(self):
        """Ends the engine's own processes in order."""


class Podman(Peer):
    kind = "podman"
    now = ("-t", "0")

    def __init__(self, suite, who):
        self.program, conmon = program("podman", "conmon")
        super().__init__(suite, who)
        init = shutil.which("docker-init", path=SEARCH) or "/usr/libexec/podman/catatonit"
        text = f"""
[containers]
default_ulimits = {json.dumps(ULIMITS)}
init_path = "{init}"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "berth"
runtime_supports_json = ["berth", "berth-runtime"]
[engine.runtimes]
berth = ["{self.runtime}"]
"""
        (self.base / "containers.conf").write_text(text)
        (self.base / "storage.conf").write_text(
            f'[storage]\ndriver = "{"overlay" if who.is_root else "vfs"}"\ngraphroot = "{self.base}/store"\nrunroot = "{self.base}/run"\n'
        )
        for name in ("run", "xdg"):
            (self.base / name).mkdir()
            os.chown(self.base / name, who.uid, who.gid)

    @property
    def environment(self):
        return super().environment | {
            "CONTAINERS_CONF": str(self.base / "containers.conf"), "CONTAINERS_STORAGE_CONF": str(self.base / "storage.conf"),
            "XDG_RUNTIME_DIR": str(self.base / "xdg"), "TMPDIR": str(self.base),
        }  # fmt: skip

    def words(self, *args):
        return [
            self.program, "--root", f"{self.base}/store", "--runroot", f"{self.base}/run", "--tmpdir", f"{self.base}/tmp",
            "--cgroup-manager", "cgroupfs", *args,
        ]  # fmt: skip

    def end(self):
        """A rootless podman keeps a process that holds its namespaces."""
        for path in self.base.rglob("pause.pid"):
            quietly(lambda: os.kill(int(path.read_text()), signal.SIGKILL))


class Docker(Peer):
    kind = "docker"

    def __init__(self, suite, who):
        dockerd, self.program, _, _ = program("dockerd", "docker", "containerd", "containerd-shim-runc-v2")
        if not os.access("/proc/sys/net/ipv4/ip_forward", os.W_OK):
            pytest.skip("dockerd needs a writable /proc/sys")
        super().__init__(suite, who)
        self.socket = f"unix://{self.base}/d.sock"
        with open(self.base / "dockerd.log", "wb") as log:
            self.daemon = subprocess.Popen(
                [
                    dockerd, "-H", self.socket, "--data-root", self.base / "data", "--exec-root", self.base / "exec", "--pidfile",
                    self.base / "pid", "--iptables=false", "--ip6tables=false", "--ip-masq=false", "--bridge=none", "--config-file",
                    self.configuration(), "--add-runtime", f"berth={self.runtime}", "--default-runtime", "berth",
                ],
                env=self.environment | {"PATH": SEARCH}, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        try:
            wait_for(lambda: self.daemon.poll() is not None or self.call("version").ok, "dockerd to answer", 30)
            assert self.daemon.poll() is None
        except AssertionError:
            text = (self.base / "dockerd.log").read_text()
            self.close()
            raise AssertionError(f"dockerd does not start:\n{text[-3000:]}") from None

    def configuration(self):
        path = self.base / "daemon.json"
        path.write_text("{}")
        return path

    @property
    def environment(self):
        return super().environment | {"DOCKER_CONFIG": str(self.base / "client"), "DOCKER_HOST": self.socket, "DOCKER_TMPDIR": str(self.base)}

    def words(self, *args):
        return [self.program, *args]

    def end(self):
        terminate(self.daemon)


class Containerd:
    """containerd by `ctr`, which names containers itself and has a command line of its own."""

    kind = "containerd"

    def __init__(self, suite, who):
        containerd, self.program, _ = program("containerd", "ctr", "containerd-shim-runc-v2")
        self.peer = Peer(suite, who)
        self.base, self.suite = self.peer.base, suite
        (self.base / "config.toml").write_text(f"""
version = 2
root = "{self.base}/root"
state = "{self.base}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
  address = "{self.base}/c.sock"
[ttrpc]
  address = "{self.base}/t.sock"
""")
        with open(self.base / "containerd.log", "wb") as log:
            self.daemon = subprocess.Popen(
                [containerd, "--config", self.base / "config.toml"], env=self.peer.environment | {"PATH": SEARCH}, cwd="/",
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self.peer.words = self.words
        self.peer.containers = lambda: []
        self.peer.end = lambda: terminate(self.daemon)
        try:
            wait_for(lambda: self.daemon.poll() is not None or self.call("version").ok, "containerd to answer", 30)
            assert self.daemon.poll() is None
        except AssertionError:
            text = (self.base / "containerd.log").read_text()
            self.close()
            raise AssertionError(f"containerd does not start:\n{text[-3000:]}") from None

    def words(self, *args):
        return [self.program, "--address", f"{self.base}/c.sock", "--namespace", "berth-test", *args]

    def call(self, *args, **keywords):
        return self.peer.call(*args, **keywords)

    def ok(self, *args, **keywords):
        return self.call(*args, **keywords).check().out.strip()

    image = "docker.io/library/test:latest"

    def run_words(self, *flags, name, command):
        return ["run", "--runtime", "io.containerd.runc.v2", "--runc-binary", str(self.suite.runtime.path), *flags, self.image, name, *command]

    def run(self, *flags, name, command, **keywords):
        return self.call(*self.run_words("--rm", *flags, name=name, command=command), **keywords)

    def up(self, *flags, name, command=("/init", "pause")):
        self.ok(*self.run_words("-d", *flags, name=name, command=command))
        return name

    def task(self, name):
        """(pid, status) of a task, or None."""
        for line in self.ok("task", "ls").splitlines()[1:]:
            task, pid, status = line.split()
            if task == name:
                return int(pid), status
        return None

    def clear(self):
        for line in self.call("task", "ls", "-q").out.split():
            self.call("task", "delete", "--force", line)
        for line in self.call("container", "ls", "-q").out.split():
            self.call("container", "delete", line)

    def processes(self):
        return self.peer.processes()

    def close(self):
        with contextlib.suppress(Exception):
            self.clear()
        self.peer.close()


def terminate(daemon):
    """SIGTERM, and SIGKILL when that takes too long."""
    if daemon.poll() is None:
        daemon.send_signal(signal.SIGTERM)
        try:
            daemon.wait(20)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()


__all__ = ["Containerd", "Docker", "Podman"]
