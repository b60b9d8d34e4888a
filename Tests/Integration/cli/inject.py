"""Fault injection by ptrace: see inject.c."""

import dataclasses
import errno
import fcntl
import os
import pathlib
import platform
import random
import subprocess
import tempfile

from host import REPOSITORY

# x86-64's numbers. `w`: only opens that may write or make.
CALLS = {
    "write": "1", "pwrite64": "18", "writev": "20", "open": "2:w", "openat": "257:w", "openat2": "437:w", "mkdir": "83", "mkdirat": "258",
    "rmdir": "84", "unlink": "87", "unlinkat": "263", "rename": "82", "renameat": "264", "renameat2": "316", "link": "86", "linkat": "265",
    "symlink": "88", "symlinkat": "266", "ftruncate": "77", "truncate": "76", "fallocate": "285", "fsync": "74", "fdatasync": "75",
    "syncfs": "306", "chmod": "90", "fchmod": "91", "fchmodat": "268", "fchmodat2": "452", "fchown": "93", "fchownat": "260", "mknodat": "259",
    "mount": "165", "umount2": "166", "move_mount": "429", "open_tree": "428", "fsopen": "430", "fsconfig": "431", "fsmount": "432",
    "mount_setattr": "442", "pivot_root": "155", "sethostname": "170", "setdomainname": "171", "setxattr": "188", "fsetxattr": "190",
    "sendmsg": "46", "sendto": "44", "socket": "41", "socketpair": "53", "bind": "49", "connect": "42", "listen": "50", "clone": "56",
    "fork": "57", "vfork": "58", "clone3": "435", "execve": "59", "execveat": "322", "kill": "62", "pidfd_send_signal": "424",
    "unshare": "272", "setns": "308", "bpf": "321", "seccomp": "317", "setresuid": "117", "setresgid": "119", "setgroups": "116",
    "capset": "126", "prctl": "157", "flock": "73", "fcntl": "72", "pipe2": "293", "dup3": "292", "epoll_create1": "291", "memfd_create": "319",
    "read": "0", "pread64": "17", "recvmsg": "47", "accept4": "288", "newfstatat": "262", "fstat": "5", "getdents64": "217", "poll": "7",
    "ppoll": "271", "epoll_wait": "232", "epoll_ctl": "233", "waitid": "247", "wait4": "61", "pidfd_open": "434", "timerfd_create": "283",
    "signalfd4": "289", "eventfd2": "290", "readlinkat": "267", "statx": "332", "ioctl": "16", "open-any": "257", "openat2-any": "437",
}  # fmt: skip

# Before each of these a SIGKILL can leave something half done.
MUTATING = (
    "write pwrite64 writev open openat openat2 mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 link linkat symlink symlinkat "
    "ftruncate fsync fdatasync syncfs fchmod fchmodat fchown fchownat mknodat mount umount2 move_mount fsconfig fsmount mount_setattr "
    "pivot_root sethostname sendmsg sendto bind connect clone clone3 fork vfork execve execveat kill pidfd_send_signal unshare setns flock"
).split()
# Which calls fail with what on a real machine.
FAILING = {
    "EIO": "write pwrite64 read pread64 fsync fdatasync syncfs openat openat2 mkdirat unlinkat renameat2 rename getdents64 ftruncate",
    "ENOSPC": "write pwrite64 openat openat2 mkdir mkdirat rename renameat renameat2 link linkat symlinkat fsync fdatasync ftruncate mount fsmount",
    "EMFILE": "open-any openat2-any socket socketpair pipe2 memfd_create epoll_create1 accept4 pidfd_open timerfd_create signalfd4 eventfd2 open_tree",
    "EINTR": "read write openat openat2 connect accept4 recvmsg sendmsg poll ppoll epoll_wait wait4 waitid fcntl flock",
    "EAGAIN": "clone clone3 fork vfork recvmsg sendmsg sendto setresuid flock",
    "ENOMEM": "mount fsmount fsconfig open_tree move_mount mount_setattr clone clone3 vfork socket socketpair pipe2 execve execveat openat mkdirat bpf "
    "seccomp unshare setns memfd_create sendmsg",
}
ROLES = ("cli", "supervisor", "init")


def tool():
    """Compiles the injector when it is older than its source; workers take turns."""
    source = pathlib.Path(__file__).parent / "inject.c"
    target = REPOSITORY / ".build/test-init/inject"

    def is_current():
        return target.exists() and target.stat().st_mtime >= source.stat().st_mtime

    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target.parent / "inject.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_current():
            part = target.with_suffix(".part")
            subprocess.run(["gcc", "-O1", "-Wall", "-Wextra", "-Werror", "-o", str(part), str(source)], check=True)
            part.rename(target)
    return target


def available():
    return os.geteuid() == 0 and platform.machine() == "x86_64"


@dataclasses.dataclass
class Shot:
    """What one injection did."""

    result: object
    fired: str
    counts: dict
    deaths: list


class Injector:
    def __init__(self, engine, prefix=()):
        """`prefix` is what brings root to where the command runs."""
        self.engine, self.tool, self.prefix = engine, tool(), list(map(str, prefix))
        self.reports = 0

    def popen(self, role, nth, action, calls, report, args, **keywords):
        engine = self.engine
        numbers = ",".join(CALLS[name] for name in calls)
        what = action if action in ("kill", "stop") else str(getattr(errno, action))
        command = [
            *self.prefix, str(self.tool), role, str(nth), what, numbers, str(report), str(engine.who.uid), str(engine.who.gid), "--", str(engine.program),
            *map(str, args),
        ]  # fmt: skip
        keywords.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(command, env=engine.environment(), cwd="/", **keywords)

    def report(self):
        self.reports += 1
        return self.engine.dir.parent / f"{self.engine.mark}-{self.reports}.report"

    def read(self, path, result):
        shot = Shot(result, "", {}, [])
        for line in path.read_text().splitlines() if path.exists() else []:
            kind, role, value = line.split()
            if kind == "fired":
                shot.fired = f"{role} {name_of(value)}"
            elif kind == "count":
                shot.counts[role] = int(value)
            else:
                shot.deaths.append((role, int(value)))
        path.unlink(missing_ok=True)
        return shot

    def shoot(self, role, nth, action, calls, *args, timeout=30, **keywords):
        """Runs a command with the fault; nth 0 only counts."""
        from berth import Outcome

        path = self.report()
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as error:
            process = self.popen(role, nth, action, calls, path, args, stdout=out, stderr=error, **keywords)
            try:
                process.wait(timeout)
                late = None
            except subprocess.TimeoutExpired:
                state = [self.describe(pid) for pid in self.engine.processes()]
                late = f"still running after {timeout} s: {role} {nth} {action} in {args}: {path.read_text()}; alive: {state}"
                process.kill()
                process.wait()
            out.seek(0)
            error.seek(0)
            texts = [stream.read() for stream in (out, error)]
        assert not late, late
        decoded = [text.decode(errors="replace") for text in texts]
        return self.read(path, Outcome(process.returncode, *decoded, process.args, *texts))

    @staticmethod
    def describe(pid):
        def text(name):
            try:
                return pathlib.Path(f"/proc/{pid}/{name}").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            except OSError:
                return "?"

        return f"{pid} {text('cmdline')[-120:]} in {text('syscall').split(' ')[0]} {text('wchan')}"


def name_of(number):
    return next((name for name, value in CALLS.items() if value.partition(":")[0] == number), number)


def spread(total, points, seed):
    """Numbers from 1 to the total, well apart; all with BERTH_TEST_FULL."""
    if os.environ.get("BERTH_TEST_FULL") or total <= points:
        return list(range(1, total + 1))
    source = random.Random(seed)
    step = total / points
    return sorted({min(total, 1 + int(index * step + source.random() * step)) for index in range(points)})
