"""Timing, memory and processes: what the rows of run.py measure with."""

import concurrent.futures
import ctypes
import dataclasses
import os
import pathlib
import re
import select
import signal
import statistics
import subprocess
import time

DEVNULL = os.open(os.devnull, os.O_RDWR)
PEAK = "/usr/bin/time"


class NotMeasured(Exception):
    """A row or an engine that cannot be measured here; the text says why and goes into the report."""


@dataclasses.dataclass
class Sample:
    """Times of one command in ms."""

    times: list
    peak_kib: int = 0

    @property
    def median(self):
        return statistics.median(self.times)

    @property
    def best(self):
        return min(self.times)

    def __str__(self):
        return f"{number(self.median)} ({number(self.best)}–{number(max(self.times))})"


def number(value):
    """Three significant digits, as a person writes them."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def once(argv, deadline=900):
    """Runs a command to its end: (ms, exit code). None as exit code: it was ended at the deadline (s).

    posix_spawn does not copy the page tables of this process: its cost stays at some 0.3 ms.
    """
    actions = [(os.POSIX_SPAWN_DUP2, DEVNULL, n) for n in (0, 1, 2)]
    start = time.perf_counter()
    pid = os.posix_spawnp(argv[0], argv, os.environ, file_actions=actions)
    watch = os.pidfd_open(pid)
    try:
        ended = select.select([watch], [], [], deadline)[0]
        if not ended:
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        took = (time.perf_counter() - start) * 1000
    finally:
        os.close(watch)
    return took, os.waitstatus_to_exitcode(status) if ended else None


def peaked(argv, report):
    """The command below time(1), which writes its peak memory. Not by wait4 here: an exec hands the peak of the process
    that spawned on to the one that was spawned, and this one may have made a large image."""
    return [PEAK, "-q", "-f", "%M", "-o", str(report), *argv]


def output(argv, check=True, **more):
    """The standard output of a command; its error text when it fails."""
    done = subprocess.run(argv, stdin=DEVNULL, capture_output=True, text=True, timeout=600, **more)
    if check and done.returncode:
        raise NotMeasured(f"`{' '.join(argv[-6:])}` exits with {done.returncode}: {last_line(done.stderr)}")
    return done.stdout


def say(text):
    print(text, flush=True)


def last_line(text):
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1][:160] if lines else "no message"


def interleaved(commands, rounds, warm=2, before=None, after=None, memory=None):
    """Times commands in turn, so that what else the machine does hits all alike.

    commands: {name: argv}. before, after: called with a name around its command, outside the time; what they raise as
    NotMeasured ends the measurement of that name. memory: a file to measure the peak of each command with.
    """
    times = {name: [] for name in commands}
    peak = dict.fromkeys(commands, 0)
    failed = {}
    for turn in range(-warm, rounds):
        for name, command in commands.items():
            if name in failed:
                continue
            argv = command() if callable(command) else command
            try:
                if before:
                    before(name)
                took, code = once(peaked(argv, memory) if memory else argv)
                if code is None:
                    raise NotMeasured(f"did not end within {took / 1000:.0f} s")
                if code:
                    text = subprocess.run(argv, stdin=DEVNULL, capture_output=True, text=True, check=False, timeout=900)
                    raise NotMeasured(f"exits with {code}: {last_line(text.stderr)}")
                if turn >= 0:
                    times[name].append(took)
                    if memory:
                        peak[name] = max(peak[name], int(memory.read_text().split()[-1]))
                if after:
                    after(name)
            except (NotMeasured, subprocess.TimeoutExpired) as why:
                failed[name] = why if isinstance(why, NotMeasured) else NotMeasured(str(why))
    return {name: failed.get(name) or Sample(times[name], peak[name]) for name in commands}


def parallel(commands, workers):
    """Runs all commands, so many at a time: (seconds, number of failures, the first error text)."""

    def run(argv):
        return subprocess.run(argv, stdin=DEVNULL, capture_output=True, text=True, check=False)

    start = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        results = list(pool.map(run, commands))
    failures = [done for done in results if done.returncode]
    return time.perf_counter() - start, len(failures), last_line(failures[0].stderr) if failures else ""


def processes(program, marker):
    """Pids of a program that have `marker` in their command line or environment."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            name = os.path.basename(os.readlink(process / "exe").removesuffix(" (deleted)"))
            if name == program and marker.encode() in (process / "cmdline").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return found


def proportional_kib(pid):
    """PSS: private memory, and of shared pages the part that falls on this process."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"^Pss:\s+(\d+)", text, re.M)[1])


def peak_kib(pid):
    return int(re.search(r"^VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M)[1])


def reset_peak(pid):
    pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")


def end(process, deadline=20):
    """Ends a server that we started: politely, then not."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(deadline)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until(condition, deadline=30):
    stop = time.monotonic() + deadline
    while time.monotonic() < stop:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    return None


def private_mounts():
    """A mount namespace of this run: no mount is seen outside, and none outlives the last process."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x00020000):
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


def file_system(kind, directory, image):
    """Mounts what all engines store their images on; says in words what it is.

    loop: ext4 in a sparse file. A file system of its own, because the machine's may be mounted with `discard`, where
    removing between rounds takes longer than all that is measured.
    """
    if kind == "loop":
        with open(image, "wb") as file:
            file.truncate(24 << 30)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", str(image)], check=True)
        subprocess.run(["mount", "-o", "loop", str(image), str(directory)], check=True)
        return "all engines store on one ext4 in a file on disk, mounted without discard"
    if kind == "memory":
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=90%,mode=755", "tmpfs", str(directory)], check=True)
        return "all engines store on one tmpfs"
    return "all engines store on the machine's file system below /tmp"


def unmount_below(directory):
    """Unmounts what was mounted at and below a directory: what cannot be."""
    lines = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    targets = [target for target in (line.split()[4] for line in lines) if f"{target}/".startswith(f"{directory}/")]
    return [target for target in reversed(targets) if subprocess.run(["umount", target], capture_output=True, check=False).returncode]
