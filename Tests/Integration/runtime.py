"""A container of the runtime under test: its bundle, its command line, and what it leaves behind.

Nothing here knows which runtime is tested. Every wait has a deadline; nothing sleeps to synchronise.
"""

import json
import os
import pathlib
import pwd
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import time

from host import (
    DEADLINE,
    REPOSITORY,
    ConsoleSocket,
    Result,
    SeccompAgent,
    User,
    build_init,
    host_mounts,
    ordinary_user,
    quietly,
    wait_for,
)
from spec import default_spec


class Runtime:
    """The program under test."""

    def __init__(self, path, base):
        self.path = pathlib.Path(path).resolve()
        if not os.access(self.path, os.X_OK):
            raise FileNotFoundError(f"{self.path}: no runtime to test (set BERTH_RUNTIME)")
        text = subprocess.run([self.path, "--version"], capture_output=True, text=True, timeout=DEADLINE).stdout
        words = text.split()
        name = words[0] if words else ""
        self.kind = {"runc": "runc", "crun": "crun"}.get(name, "berth")
        match = re.search(r"(\d+)\.(\d+)", text)
        self.version = (int(match[1]), int(match[2])) if match else (0, 0)
        # The build tree may lie where an ordinary user cannot reach it.
        if self.kind == "berth":
            copied = base / "berth-runtime"
            shutil.copy(self.path, copied)
            self.path = copied
        self._features = None

    @property
    def features(self):
        """`features`, or {} for a runtime without that command."""
        if self._features is None:
            done = subprocess.run([self.path, "features"], capture_output=True, text=True, timeout=DEADLINE)
            self._features = json.loads(done.stdout) if done.returncode == 0 else {}
        return self._features


class Container:
    """One bundle and the container made from it."""

    def __init__(self, suite, who):
        self.suite, self.who = suite, who
        self.runtime = suite.runtime
        self.id = "bt" + secrets.token_hex(5)
        self.dir = suite.base / who.name / self.id
        self.rootfs = self.dir / "rootfs"
        self.state_root = suite.state_root(who)
        self.spec = default_spec(who, self.id)
        self.closers = []
        self.rootfs.mkdir(parents=True, mode=0o755)
        for name in ("dev", "proc", "sys", "tmp", "etc"):
            (self.rootfs / name).mkdir()
        shutil.copy(suite.init, self.rootfs / "init")
        os.chmod(self.rootfs / "init", 0o755)
        self.own(self.dir)

    # The bundle

    def own(self, *paths):
        """Gives trees to the user who calls the runtime: container root in the rootless half."""
        for path in paths:
            for directory, names, files in os.walk(path):
                for name in [".", *names, *files]:
                    os.lchown(os.path.join(directory, name), self.who.uid, self.who.gid)

    def directory(self, name, **files):
        """A directory beside the rootfs, with files in it."""
        path = self.dir / name
        path.mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            (path / file.replace("__", ".")).write_text(text)
        self.own(path)
        return path

    def file(self, name, text="", mode=0o644):
        """A file beside the rootfs."""
        path = self.dir / name
        path.write_text(text)
        path.chmod(mode)
        os.lchown(path, self.who.uid, self.who.gid)
        return path

    @property
    def process(self):
        return self.spec["process"]

    @property
    def linux(self):
        return self.spec["linux"]

    @property
    def resources(self):
        return self.linux.setdefault("resources", {})

    def args(self, *args):
        """Sets what runs: the test init with these verbs (each may hold spaces), or a program when it starts with a slash."""
        words = []
        for arg in args:
            if words:
                words.append(";")
            words += shlex.split(arg) if isinstance(arg, str) else [str(word) for word in arg]
        self.process["args"] = words if words and words[0].startswith("/") else ["/init", *words]
        return self

    def mount(self, destination, type=None, source=None, options=(), **more):
        entry = {"destination": destination, **more}
        if type is not None:
            entry["type"] = type
        if source is not None:
            entry["source"] = str(source)
        entry["options"] = list(options)
        self.spec["mounts"].append(entry)
        return entry

    def mount_at(self, destination):
        return next(entry for entry in self.spec["mounts"] if entry["destination"] == destination)

    def drop_mount(self, destination):
        self.spec["mounts"] = [entry for entry in self.spec["mounts"] if entry["destination"] != destination]

    def namespace(self, kind, path=None):
        """Asks for a namespace: new, or joined by path."""
        self.drop_namespace(kind)
        self.linux["namespaces"].append({"type": kind, **({"path": str(path)} if path else {})})

    def drop_namespace(self, kind):
        self.linux["namespaces"] = [entry for entry in self.linux["namespaces"] if entry["type"] != kind]

    def user_namespace(self, base=200000, size=65536):
        """A user namespace for a container that root runs; the rootfs gets owners that are mapped."""
        self.namespace("user")
        for kind in ("uidMappings", "gidMappings"):
            self.linux[kind] = [{"containerID": 0, "hostID": base, "size": size}]
        for directory, names, files in os.walk(self.rootfs):
            for name in [".", *names, *files]:
                os.lchown(os.path.join(directory, name), base, base)

    def capabilities(self, *names, kinds=("bounding", "effective", "permitted")):
        """Adds capabilities to the default ones."""
        for kind in kinds:
            have = self.process["capabilities"].setdefault(kind, [])
            have += ["CAP_" + name for name in names if "CAP_" + name not in have]

    def save(self, text=None):
        path = self.dir / "config.json"
        path.write_text(json.dumps(self.spec) if text is None else text)
        if not self.who.is_root:  # what the test put there since
            self.own(self.rootfs)
        os.lchown(path, self.who.uid, self.who.gid)

    # The command line

    def popen(self, *args, root=True, options=(), wrap=(), **keywords):
        """Starts the runtime as this container's user, through the program `wrap` if one is given."""
        command = [*wrap, str(self.runtime.path), *(["--root", str(self.state_root)] if root else []), *options, *map(str, args)]
        environment = self.suite.environment(self.who) | {"BERTH_TEST_ID": self.id} | keywords.pop("env", {})
        if os.geteuid() != self.who.uid:
            keywords |= {"user": self.who.uid, "group": self.who.gid, "extra_groups": []}
        keywords.setdefault("cwd", "/")
        keywords.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(command, env=environment, **keywords)

    def call(self, *args, stdin=None, timeout=DEADLINE, **keywords):
        """Runs a command of the runtime to its end, through pipes."""
        if stdin is not None:
            keywords["stdin"] = subprocess.PIPE
        process = self.popen(*args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **keywords)
        try:
            out, err = process.communicate(stdin.encode() if isinstance(stdin, str) else stdin, timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            self.destroy()
            process.communicate()
            raise AssertionError(f"{shlex.join(process.args)}: still running after {timeout} s") from None
        return Result(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"), process.args)

    def call_detached(self, *args, timeout=DEADLINE, **keywords):
        """The same for commands that leave a process behind: output goes to files, which a pipe's end would outlive."""
        error = self.dir / f"runtime-{secrets.token_hex(3)}.err"
        with open(self.dir / "out", "ab") as out, open(error, "w+b") as err:
            process = self.popen(*args, stdout=out, stderr=err, **keywords)
            try:
                code = process.wait(timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise AssertionError(f"{shlex.join(process.args)}: still running after {timeout} s") from None
        return Result(code, "", error.read_text(errors="replace"), process.args)

    @property
    def log(self):
        """What a detached container has printed so far."""
        path = self.dir / "out"
        return path.read_text(errors="replace") if path.exists() else ""

    def wait_log(self, pattern):
        return wait_for(lambda: re.search(pattern, self.log, re.M), f"/{pattern}/ in the output of {self.id}")

    def run(self, *verbs, flags=(), options=(), **keywords):
        """`run` in the foreground."""
        if verbs:
            self.args(*verbs)
        self.save()
        return self.call("run", "--bundle", self.dir, *flags, self.id, options=options, **keywords)

    def look(self, *verbs, **keywords):
        """Runs several verbs in one container and returns what each printed."""
        result = self.run(*verbs, ["true"], **keywords).check()
        parts = re.split(r"\x1e\d+\n", result.out)
        assert len(parts) == len(verbs) + 2, f"a verb is missing from {result.out!r} {result.err}"
        return [part.rstrip("\n") for part in parts[: len(verbs)]]

    def text(self, verb, **keywords):
        """What one verb printed."""
        return self.look(verb, **keywords)[0]

    def create(self, *verbs, flags=(), options=(), **keywords):
        if verbs:
            self.args(*verbs)
        self.save()
        return self.call_detached("create", "--bundle", self.dir, *flags, self.id, options=options, **keywords)

    def start(self):
        return self.call_detached("start", self.id)

    def run_detached(self, *verbs, flags=(), options=(), **keywords):
        if verbs:
            self.args(*verbs)
        self.save()
        return self.call_detached("run", "--detach", "--bundle", self.dir, *flags, self.id, options=options, **keywords)

    def up(self, *verbs, **keywords):
        """A running container that says `ready` and then waits for signals."""
        self.run_detached(*(verbs or ("pause",)), **keywords).check()
        self.wait_log(r"^ready$")
        return self

    def state(self):
        return json.loads(self.call("state", self.id).check().out)

    @property
    def status(self):
        result = self.call("state", self.id)
        return json.loads(result.out)["status"] if result.ok else None

    @property
    def pid(self):
        return self.state()["pid"]

    def wait_status(self, wanted):
        return wait_for(lambda: self.status == wanted, f"{self.id} to be {wanted}; it is {self.status}")

    def kill(self, signal_name="KILL", *flags):
        return self.call("kill", *flags, self.id, signal_name)

    def delete(self, *flags):
        return self.call("delete", *flags, self.id)

    def stop(self):
        """Kills, waits and deletes."""
        self.kill("KILL")
        self.wait_status("stopped")
        self.delete().check()

    def exec(self, *args, flags=(), **keywords):
        """`exec` of the test init's verbs, or of a program when the first word starts with a slash."""
        return self.call("exec", *flags, self.id, *self._exec_words(args), **keywords)

    def exec_detached(self, *args, flags=(), **keywords):
        return self.call_detached("exec", "--detach", *flags, self.id, *self._exec_words(args), **keywords)

    @staticmethod
    def _exec_words(args):
        saved = []
        for arg in args:
            if saved:
                saved.append(";")
            saved += shlex.split(arg) if isinstance(arg, str) else [str(word) for word in arg]
        return saved if saved and saved[0].startswith("/") else ["/init", *saved]

    def console(self):
        """A console socket that closes with the test."""
        console = ConsoleSocket(self.dir / f"console-{len(self.closers)}.sock", self.who)
        self.closers.append(console.close)
        return console

    def agent(self):
        """A listener for seccomp notifications that closes with the test; listenerPath is set."""
        agent = SeccompAgent(self.dir / "agent.sock", self.who)
        self.closers.append(agent.close)
        self.linux["seccomp"]["listenerPath"] = agent.path
        return agent

    # What it leaves behind

    def processes(self):
        """Pids of all processes that carry this container's mark: its own and the runtime's."""
        mark = f"BERTH_TEST_ID={self.id}".encode()
        found = []
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or int(entry) == os.getpid():
                continue
            try:
                with open(f"/proc/{entry}/environ", "rb") as file:
                    if mark not in file.read():
                        continue
                with open(f"/proc/{entry}/stat") as file:
                    if file.read().rpartition(")")[2].split()[0] == "Z":
                        continue
            except OSError:
                continue
            found.append(int(entry))
        return found

    def cgroups(self):
        """Directories of any hierarchy whose name holds the id."""
        found = []
        for mount in host_mounts():
            if mount.type in ("cgroup", "cgroup2"):
                for directory, names, _ in os.walk(mount.target):
                    found += [os.path.join(directory, name) for name in names if self.id in name]
        return found

    def mounts(self):
        """Mounts on the host below the bundle."""
        return [mount.target for mount in host_mounts() if self.id in mount.target]

    def leftovers(self):
        """Everything of this container that the host still shows, by kind; {} is the wanted answer after delete."""
        state = self.state_root / self.id
        found = {
            "processes": self.processes(), "cgroups": self.cgroups(), "mounts": self.mounts(),
            "state": [str(state)] if state.exists() else [],
        }  # fmt: skip
        return {kind: items for kind, items in found.items() if items}

    def assert_clean(self):
        """Nothing is left. Processes get until the deadline: the kernel may still be tearing them down."""
        wait_for(lambda: not self.processes(), f"the processes of {self.id} to be gone", 5)
        assert self.leftovers() == {}

    def destroy(self):
        """Last resort: removes what is there, whatever state it is in."""
        for closer in reversed(self.closers):
            closer()
        self.closers = []
        left = self.leftovers()
        if left:
            try:
                process = self.popen("delete", "--force", self.id, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for path in self.cgroups():
                if path.startswith("/sys/fs/cgroup/freezer"):
                    quietly(lambda: pathlib.Path(path, "freezer.state").write_text("THAWED"))
            for _ in range(50):
                pids = self.processes()
                for pid in pids:
                    quietly(lambda: os.kill(pid, signal.SIGKILL))
                if not pids:
                    break
                time.sleep(0.01)
            for target in reversed(self.mounts()):
                subprocess.run(["umount", "-l", target], capture_output=True)
            for path in reversed(self.cgroups()):
                quietly(lambda: os.rmdir(path))
            shutil.rmtree(self.state_root / self.id, ignore_errors=True)

    def close(self):
        """Ends the container and removes its bundle, unless a mount below it could not be taken away."""
        self.destroy()
        if not self.mounts():
            shutil.rmtree(self.dir, ignore_errors=True)


class Suite:
    """What lasts for a whole session of one worker: the runtime, the users, a directory."""

    def __init__(self):
        self.base = pathlib.Path("/tmp", "bts-" + secrets.token_hex(4))
        self.base.mkdir(mode=0o755)
        try:
            default = REPOSITORY / ".build/debug/berth-runtime"
            self.runtime = Runtime(os.environ.get("BERTH_RUNTIME", default), self.base)
        except BaseException:
            shutil.rmtree(self.base)
            raise
        self.init = build_init()
        self.root = User("root", 0, 0)
        if os.geteuid() == 0:
            self.user = ordinary_user(os.environ.get("BERTH_TEST_USER", "berth-test"))
        else:
            self.user = ordinary_user(pwd.getpwuid(os.geteuid()).pw_name)
        for who in (self.root, self.user):
            if who is None or (os.geteuid() != 0 and who.is_root):
                continue
            for path in (self.base / who.name, self.state_root(who), self.runtime_directory(who), self.home(who)):
                path.mkdir(mode=0o755)
                os.chown(path, who.uid, who.gid)
            # Most tests are not about networks, and nothing may change in the network namespace that they run in.
            settings = self.home(who) / ".config/berth/berth.conf"
            settings.parent.mkdir(parents=True)
            settings.write_text('[network]\ndefault = "none"\n')

    def state_root(self, who):
        return self.base / f"state-{who.name}"

    def runtime_directory(self, who):
        return self.base / f"run-{who.name}"

    def home(self, who):
        return self.base / f"home-{who.name}"

    def environment(self, who):
        return {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.home(who)), "USER": who.name, "XDG_RUNTIME_DIR": str(self.runtime_directory(who)),
        }  # fmt: skip

    def close(self):
        shutil.rmtree(self.base, ignore_errors=True)
