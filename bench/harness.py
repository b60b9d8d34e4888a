"""Timing, memory and processes: what the rows of run.py measure with."""

import concurrent.futures
import dataclasses
import os
import pathlib
import re
import signal
import statistics
import subprocess
import time

DEVNULL = os.open(os.devnull, os.O_RDWR)


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


def once(argv, environment=None):
    """Runs a command to its end: (ms, exit code, peak memory in KiB of it and of what it waited for).

    posix_spawn does not copy the page tables of this process: its cost stays at some 0.3 ms.
    """
    actions = [(os.POSIX_SPAWN_DUP2, DEVNULL, n) for n in (0, 1, 2)]
    start = time.perf_counter()
    pid = os.posix_spawnp(argv[0], argv, environment or os.environ, file_actions=actions)
    _, status, usage = os.wait4(pid, 0)
    return (time.perf_counter() - start) * 1000, os.waitstatus_to_exitcode(status), usage.ru_maxrss


def output(argv, check=True, **more):
    """The standard output of a command; its error text when it fails."""
    done = subprocess.run(argv, stdin=DEVNULL, capture_output=True, text=True, timeout=600, **more)
    if check and done.returncode:
        raise NotMeasured(f"`{' '.join(argv[-6:])}` exits with {done.returncode}: {last_line(done.stderr)}")
    return done.stdout


def last_line(text):
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1][:160] if lines else "no message"


def interleaved(commands, rounds, warm=2, after=None):
    """Times commands in turn, so that what else the machine does hits all alike.

    commands: {name: argv}. after: called with a name when its command has ended, outside the time.
    """
    times = {name: [] for name in commands}
    peak = dict.fromkeys(commands, 0)
    failed = {}
    for turn in range(-warm, rounds):
        for name, argv in commands.items():
            if name in failed:
                continue
            took, code, memory = once(argv() if callable(argv) else argv)
            if code:
                text = subprocess.run(argv() if callable(argv) else argv, stdin=DEVNULL, capture_output=True, text=True, check=False)
                failed[name] = NotMeasured(f"exits with {code}: {last_line(text.stderr)}")
                continue
            if turn >= 0:
                times[name].append(took)
                peak[name] = max(peak[name], memory)
            if after:
                after(name)
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


def mounts_below(base):
    lines = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    return [target for target in (line.split()[4] for line in lines) if target.startswith(f"{base}/")]
