"""A store on a file system of its own: ext4 on a loop image, mounted in a mount namespace that ends with the test.

For faults that a whole file system has: full, read-only, power loss. Needs root; the commands run as whoever the test is about.
"""

import os
import pathlib
import shutil
import signal
import subprocess
import time

from berth import Berth
from host import wait_for


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


class LoopBerth(Berth):
    """`root` is the store as this process sees it, through the namespace's holder."""

    def __init__(self, suite, who, programs, megabytes=64, options="commit=1000"):
        super().__init__(suite, who, programs)
        self.mounted, self.options = self.dir / "store", options
        self.mounted.mkdir()
        self.image = self.dir / "image"
        self.loops = (str(self.image),)
        with open(self.image, "wb") as file:
            file.truncate(megabytes << 20)
        # No blocks only for root: full is full for everybody.
        run("mkfs.ext4", "-q", "-m", "0", "-O", "^metadata_csum_seed", "-E", f"root_owner={who.uid}:{who.gid},lazy_itable_init=0", self.image)
        self.holder = None
        self.attach(self.image)

    def attach(self, image):
        """Mounts an image where the store is expected, in a new namespace."""
        script = 'mount -o "loop,$3" "$1" "$2" && chmod 0700 "$2" && chown "$4" "$2" && echo ready && read wait'
        self.holder = subprocess.Popen(
            ["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh", image, self.mounted, self.options, f"{self.who.uid}:{self.who.gid}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        if self.holder.stdout.readline() != "ready\n":
            raise RuntimeError(self.holder.stderr.read())
        self.root = pathlib.Path(f"/proc/{self.holder.pid}/root{self.mounted}")

    def detach(self):
        """Ends the namespace: the last process in it takes the mount and the loop device along."""
        if self.holder:
            for pipe in (self.holder.stdin, self.holder.stdout, self.holder.stderr):
                pipe.close()
            self.holder.wait(20)
            self.holder = None

    def inside(self, *command):
        """Runs a command as root beside the store."""
        return run("nsenter", "-m", "-t", self.holder.pid, *command)

    def environment(self):
        return super().environment() | {"BERTH_ROOT": str(self.mounted)}

    def popen(self, *args, wrap=(), env=None, unset=(), **keywords):
        # Entering needs root; the user comes after it.
        command = ["nsenter", "-m", "-t", self.holder.pid]
        if not self.who.is_root:
            command += ["setpriv", "--reuid", self.who.uid, "--regid", self.who.gid, "--clear-groups"]
        environment = {name: value for name, value in (self.environment() | (env or {})).items() if name not in unset}
        keywords.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen([str(word) for word in [*command, *wrap, self.program, *args]], env=environment, cwd="/", **keywords)

    def seen(self, path):
        return str(self.root) + path.removeprefix(str(self.mounted))

    # Faults

    def free(self):
        stat = os.statvfs(self.root)
        return stat.f_bavail * stat.f_frsize

    def fill(self, leave=0):
        """Takes all room but `leave` bytes, by files in the file system's root."""
        for number, size in enumerate([1 << 20] * 4096 + [4096] * 4096):
            if self.free() <= leave:
                break
            path = self.root / f"filler{number}"
            try:
                with open(path, "wb") as file:
                    os.posix_fallocate(file.fileno(), 0, min(size, max(4096, self.free() - leave)))
            except OSError:
                path.unlink(missing_ok=True)
                if size == 4096:
                    break

    def unfill(self):
        for path in self.root.glob("filler*"):
            path.unlink()

    def quiet(self):
        """Waits until the loop device has nothing under way."""
        device = os.path.basename(self.inside("findmnt", "-n", "-o", "SOURCE", self.mounted).strip())
        inflight = pathlib.Path(f"/sys/block/{device}/inflight")
        wait_for(lambda: inflight.read_text().split() == ["0", "0"], "the loop device to be idle")

    def lose_power(self, stopped=None):
        """What would be there if the power had failed now: the image without what was only in memory."""
        if stopped:
            for pid in stopped():
                try:
                    os.kill(pid, signal.SIGSTOP)
                except ProcessLookupError:
                    pass
        self.quiet()
        copy = self.dir / "copy"
        run("cp", "--sparse=always", self.image, copy)
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        wait_for(lambda: not self.processes(), "the processes to end")
        self.detach()
        checked = subprocess.run(["e2fsck", "-fy", str(copy)], capture_output=True, text=True)
        assert checked.returncode in (0, 1), checked.stdout
        shutil.move(copy, self.image)
        self.attach(self.image)

    def processes(self, identity=None):
        mine = {self.holder.pid} if self.holder else set()
        return [pid for pid in super().processes(identity) if pid not in mine]

    def mounts(self, identity=""):
        return []

    def close(self):
        try:
            self.clear()
        except AssertionError:
            pass
        end = time.monotonic() + 10
        while self.processes() and time.monotonic() < end:
            for pid in self.processes():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        self.detach()
        shutil.rmtree(self.dir, ignore_errors=True)
