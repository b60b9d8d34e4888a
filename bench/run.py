#!/usr/bin/python3
"""Measures Berth against its peers, every row in one run, and writes bench/RESULTS.md.

usage: bench/run.py [--rows run,runtime,exec,memory,many,stats,health,bridge,traffic,usertraffic,names,ports,netmemory,cp,commit,load,log,logs,
                    events,pull,push,rmi,images] [--quick] [--scale N] [--store loop|disk|memory] [--output FILE]

Needs root (the peers do) and a release build. `make bench` brings both. Everything lives below one temporary directory;
servers are started and ended here, by pid.
"""

import argparse
import ctypes
import datetime
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import engines
import harness
import images
from engines import IMAGE, ROOT, Berth, Docker, Podman
from file_rows import FileRows
from harness import NotMeasured, Sample, interleaved, number, output, say
from health_rows import HealthRows
from image_rows import ImageRows
from network_rows import NetworkRows
from reading_rows import ReadingRows

RESULTS = ROOT / "bench/RESULTS.md"


class Table:
    """One row of the issue's table: who was measured, and how Berth compares."""

    def __init__(self, key, work, unit, aim, larger_is_better=False):
        self.key, self.work, self.unit, self.aim, self.larger = key, work, unit, aim, larger_is_better
        self.lines = []
        self.note = ""

    def add(self, who, value, text=None, at_least=None):
        """value: a number, a Sample, or NotMeasured. at_least: the factor by which Berth has to be better than this one."""
        self.lines.append((who, value, text, at_least))

    def base(self):
        """The first line of Berth that has a figure: (name, figure)."""
        return next(((who, plain(value)) for who, value, _, _ in self.lines if who.startswith("berth") and plain(value) is not None), ("", None))

    def markdown(self):
        text = f"### {self.work}\n\n{self.aim}.\n\n| | {self.unit} | times berth's | asked | |\n|---|---:|---:|---:|---|\n"
        name, base = self.base()
        for who, value, shown, at_least in self.lines:
            if isinstance(value, NotMeasured):
                text += f"| {who} | not measured: {value} | | | |\n"
                continue
            figure = plain(value)
            ratio = None
            if base and figure and who != name:
                ratio = base / figure if self.larger else figure / base
            verdict = "" if ratio is None or at_least is None else ("met" if ratio >= at_least else "**short**")
            text += f"| {who} | {shown or value if isinstance(value, Sample) else shown or number(value)} "
            text += f"| {f'{ratio:.2f}' if ratio else ''} | {f'≥ {at_least:g}' if at_least else ''} | {verdict} |\n"
        return text + (f"\n{self.note}\n" if self.note else "")


def plain(value):
    if isinstance(value, NotMeasured):
        return None
    return value.median if isinstance(value, Sample) else value


class Bench(FileRows, HealthRows, ImageRows, NetworkRows, ReadingRows):
    def __init__(self, quick, scale=1, store="loop"):
        self.quick, self.scale = quick, scale
        self.outside = pathlib.Path(tempfile.mkdtemp(prefix="berth-bench-", dir="/tmp"))
        # Its name marks the processes of this run.
        self.base = self.outside / self.outside.name
        self.outside.chmod(0o755)
        self.base.mkdir()
        harness.private_mounts()
        self.store = harness.file_system(store, self.base, self.outside / "image")
        self.server = self.proxy = None
        self.rootfs = images.busybox_rootfs(self.base / "rootfs")
        self.tar = images.pack(self.rootfs, self.base / "rootfs.tar")
        self.engines, self.missing, self.versions = {}, {}, {}

    def rounds(self, full):
        return max(min(3, full), full // 5) if self.quick else full

    def start(self):
        for kind in (Berth, Podman, Docker):
            say(f"starting {kind.name}")
            try:
                engine = kind(self.base)
                self.engines[kind.name] = engine
                engine.import_image(self.tar)
                self.versions[kind.name] = engine.version()
            except (NotMeasured, OSError, subprocess.TimeoutExpired) as why:
                self.missing[kind.name] = NotMeasured(str(why))
                broken = self.engines.pop(kind.name, None)
                if broken:
                    broken.close()

    def close(self):
        self.close_networks()
        for engine in self.engines.values():
            engine.close()
        for server in (self.proxy, self.server):
            if server:
                server.close()
        left = harness.unmount_below(self.base)
        if left:
            print(f"left, in use: {' '.join(left)}", file=sys.stderr)
        shutil.rmtree(self.outside, ignore_errors=True)

    def each(self, build):
        """{engine: command} for those that run, NotMeasured for those that do not."""
        commands = {name: build(engine) for name, engine in self.engines.items()}
        return commands

    table = Table

    # The rows; those about images are in image_rows.py.

    def run(self):
        table = Table(
            "run", "`run --rm --network none IMAGE true`", "ms, median (min–max)",
            "At least 15 times as fast as podman and docker; aim: at most 1.5 times bubblewrap's time")
        commands = self.each(lambda engine: engine.run("--rm", IMAGE, "true"))
        try:
            commands["bubblewrap"] = [
                engines.find("bwrap"), "--unshare-all", "--ro-bind", str(self.rootfs), "/", "--proc", "/proc", "--dev", "/dev", "/bin/true"]
        except NotMeasured as why:
            self.missing["bubblewrap"] = why
        found = interleaved(commands, self.rounds(30))
        table.add("berth", found.get("berth", self.missing.get("berth")))
        table.add("podman (runc)", found.get("podman", self.missing.get("podman")), at_least=15)
        table.add("docker", found.get("docker", self.missing.get("docker")), at_least=15)
        table.add("bubblewrap (the floor)", found.get("bubblewrap", self.missing.get("bubblewrap")), at_least=1 / 1.5)
        return [table]

    def runtime(self):
        table = Table(
            "runtime", "`run` of a bundle by the OCI runtime alone", "ms, median (min–max)",
            "All namespaces, usual mounts and masks, limits, the default seccomp profile. At least 4 times as fast as runc, not slower than crun")
        bundle = images.bundle(self.base / "bundle", self.rootfs)
        hybrid = os.path.ismount("/sys/fs/cgroup/unified")
        found = in_private_mounts(lambda: self.measure_runtimes(bundle)) if hybrid else self.measure_runtimes(bundle)
        table.add("berth-runtime", found["berth-runtime"])
        table.add("runc", found["runc"], at_least=4)
        table.add("crun", found["crun"], at_least=1)
        table.add("`true` alone", found["true"])
        if hybrid:
            table.note = (
                "crun refuses hosts that mount cgroup v1 and v2 together, so this row is measured for all three in a mount "
                "namespace without `/sys/fs/cgroup/unified`.")
        return [table]

    def measure_runtimes(self, bundle):
        programs = {"berth-runtime": os.environ.get("BERTH_RUNTIME", str(ROOT / ".build/release/berth-runtime")), "runc": "runc", "crun": "crun"}
        commands, found = {"true": ["/bin/true"]}, {}
        for name, program in programs.items():
            try:
                path = engines.find(program)
            except NotMeasured as why:
                found[name] = why
                continue
            state = self.base / f"state-{name}"
            commands[name] = [path, "--root", str(state), "run", "--bundle", str(bundle), f"bench-{name}"]
            self.versions[name] = output([path, "--version"]).splitlines()[0]
        found.update(interleaved(commands, self.rounds(50), warm=3))
        return found

    def exec(self):
        table = Table("exec", "`exec CONTAINER true`", "ms, median (min–max)", "At least 10 times as fast as podman and docker")
        ready, found = {}, {}
        for name, engine in self.engines.items():
            try:
                output(engine.run("-d", "--name", "bench-exec", IMAGE, "sleep", "3600"))
                ready[name] = engine.call("exec", "bench-exec", "true")
            except NotMeasured as why:
                found[name] = why
        found.update(interleaved(ready, self.rounds(30)))
        for name in ("berth", "podman", "docker"):
            table.add(name, found.get(name, self.missing.get(name)), at_least=None if name == "berth" else 10)
        self.remove_all()
        return [table]

    def memory(self):
        tables = []
        for count in (1, 10, 100):
            table = Table(
                f"memory-{count}", f"What stays resident beside a container, {count} running", "KiB of PSS for each",
                "Less than conmon" + ("; aim: 150 KiB" if count == 10 else ""))
            for name, label in (("berth", "berth-runtime supervise"), ("podman", "conmon"), ("docker", "containerd-shim-runc-v2")):
                table.add(f"berth ({label})" if name == "berth" else f"{name} ({label})", self.resident(name, count),
                          at_least=1 if name == "podman" else None)
            table.note = "Docker also keeps dockerd and containerd running; they are not counted." if count == 1 else ""
            tables.append(table)
        return tables

    def resident(self, name, count):
        engine = self.engines.get(name)
        if not engine:
            return self.missing[name]
        try:
            _, failures, text = harness.parallel([engine.run("-d", IMAGE, "sleep", "3600") for _ in range(count)], 4)
            if failures:
                return NotMeasured(f"{failures} of {count} did not start: {text}")
            time.sleep(2)  # what was needed only to start is given back by then, for everybody
            pids = harness.wait_until(lambda: len(engine.residents()) >= count and engine.residents(), 10)
            if not pids:
                return NotMeasured(f"{len(engine.residents())} processes named {engine.resident[0]} for {count} containers")
            return sum(map(harness.proportional_kib, pids)) / count
        finally:
            engine.remove_all()

    def many(self):
        count, workers = (40 if self.quick else 200), 16
        start = Table("many-start", f"{count} containers started by {workers} parallel commands", "s", "No failure; at least 5 times as fast")
        listing = Table("many-ps", f"then `ps -a` of {count}", "ms, median (min–max)", "Berth under 50 ms")
        for name in ("berth", "podman", "docker"):
            engine = self.engines.get(name)
            if not engine:
                start.add(name, self.missing[name])
                listing.add(name, self.missing[name])
                continue
            say(f"  {name}")
            seconds, failures, text = harness.parallel([engine.run("-d", IMAGE, "sleep", "3600") for _ in range(count)], workers)
            shown = number(seconds) + (f", **{failures} failed**: {text}" if failures else "")
            start.add(name, seconds, shown, at_least=None if name == "berth" else 5)
            if failures == count:
                listing.add(name, NotMeasured("nothing started"))
            else:
                listing.add(name, interleaved({name: engine.call("ps", "-a")}, self.rounds(20))[name])
            engine.remove_all()
        return [start, listing]

    def stats(self):
        count = 40 if self.quick else 200
        table = Table("stats", f"`stats --no-stream` of {count} containers", "ms, median (min–max)", "Faster than both")
        for name in ("berth", "podman", "docker"):
            engine = self.engines.get(name)
            if not engine:
                table.add(name, self.missing[name])
                continue
            say(f"  {name}")
            _, failures, text = harness.parallel([engine.run("-d", IMAGE, "sleep", "3600") for _ in range(count)], 4)
            command = engine.call("stats", "--no-stream")
            if failures:
                table.add(name, NotMeasured(f"{failures} of {count} did not start: {text}"))
            elif (shown := len(output(command).splitlines()) - 1) != count:
                table.add(name, NotMeasured(f"shows {shown} of {count}"))
            else:
                table.add(name, interleaved({name: command}, self.rounds(10), warm=1)[name], at_least=None if name == "berth" else 1)
            engine.remove_all()
        table.note = "Berth and docker read twice, 50 ms and one second apart, for the processor time of that while; podman once, for that since the start."
        return [table]

    def log(self):
        table = Table(
            "log", "`dd` of text to stdout, through the log", "MB/s", "At least 3 times as much. 32 MB of lines of 100 bytes, eight times, "
            "in a detached container; timed inside it", larger_is_better=True)
        # busybox's dd does not time itself.
        script = (
            "read a x </proc/uptime; i=0; while [ $i -lt 8 ]; do dd if=/text bs=64k 2>/dev/null; i=$((i+1)); done; "
            "read b x </proc/uptime; echo took $a $b >&2")
        for name in ("berth", "podman", "docker"):
            engine = self.engines.get(name)
            if not engine:
                table.add(name, self.missing[name])
                continue
            rates = []
            try:
                for _ in range(self.rounds(5)):
                    output(engine.run("-d", "--name", "bench-log", IMAGE, "sh", "-c", script))
                    output(engine.call("wait", "bench-log"))
                    log = subprocess.run(engine.call("logs", "bench-log"), stdin=harness.DEVNULL, stdout=subprocess.DEVNULL,
                                         stderr=subprocess.PIPE, text=True, errors="replace", check=False).stderr
                    took = re.search(r"took ([0-9.]+) ([0-9.]+)", log)
                    if not took:
                        raise NotMeasured(f"the container's report is not in its log: {harness.last_line(log)}")
                    rates.append(8 * (self.rootfs / "text").stat().st_size / 1e6 / max(float(took[2]) - float(took[1]), 0.01))
                    output(engine.call("rm", "-f", "bench-log"))
                rates.sort()
                table.add(name, rates[len(rates) // 2], at_least=None if name == "berth" else 3)
            except NotMeasured as why:
                table.add(name, why)
            engine.remove_all()
        return [table]

    def remove_all(self):
        for engine in self.engines.values():
            engine.remove_all()


def in_private_mounts(measure):
    """Runs a measurement in a child whose mount namespace has no unified cgroup tree; its result comes back as JSON."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(0x00020000):
            os._exit(1)
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        subprocess.run(["umount", "/sys/fs/cgroup/unified"], check=True)
        found = {}
        for name, value in measure().items():
            found[name] = str(value) if isinstance(value, NotMeasured) else value.times
        os.write(writer, json.dumps(found).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        text = file.read()
    os.waitpid(pid, 0)
    found = json.loads(text) if text else {}
    return {name: NotMeasured(value) if isinstance(value, str) else Sample(value) for name, value in found.items()}


def machine(versions):
    cpu = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    memory = int(re.search(r"MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text())[1]) / 1048576
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    system = re.search(r'PRETTY_NAME="(.*)"', pathlib.Path("/etc/os-release").read_text())
    kind = "v2" if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else "v1 and v2 (hybrid)" if os.path.ismount("/sys/fs/cgroup/unified") else "v1"
    return (
        f"- {cpu[1] if cpu else platform.machine()}, {os.cpu_count()} processors, {memory:.0f} GiB; {system[1] if system else ''}, "
        f"Linux {platform.release()}, cgroup {kind}\n"
        f"- load average at the start: {os.getloadavg()[0]:.1f}\n"
        f"- Berth at {commit or 'an unknown commit'}, release build\n" + "".join(f"- {text}\n" for text in versions.values()))


def main():
    parser = argparse.ArgumentParser()
    on_hosts = ["bridge", "traffic", "usertraffic", "names", "ports", "netmemory"]
    names = ["run", "runtime", "exec", "memory", "many", "stats", "health", *on_hosts, "cp", "commit", "load", "log", "logs", "events", "pull", "push", "rmi", "images"]
    parser.add_argument("--rows", default=",".join(names))
    parser.add_argument("--quick", action="store_true", help="a fifth of the rounds, 40 containers started in parallel")
    parser.add_argument("--scale", type=int, default=1, help="files of cp and commit, images of load, pull, push, rmi and images are so many times smaller")
    parser.add_argument("--store", choices=["loop", "disk", "memory"], default="loop", help="where all engines keep their images")
    parser.add_argument("--output", type=pathlib.Path, default=RESULTS)
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench: needs root, for podman and dockerd: sudo bench/run.py")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    load = machine({})
    bench = Bench(options.quick, options.scale, options.store)
    tables = []
    try:
        wanted = options.rows.split(",")
        # These have engines of their own, or none.
        if not set(wanted) <= {"runtime", *on_hosts}:
            bench.start()
        for name in wanted:
            say(f"row {name}")
            begin = time.monotonic()
            for table in getattr(bench, name)():
                tables.append(table)
                say(table.markdown())
            say(f"row {name} took {time.monotonic() - begin:.0f} s")
    finally:
        bench.close()
    if options.scale != 1:
        bench.versions["scale"] = f"**images {options.scale} times smaller than asked: a trial of the harness, not a measurement**"
    bench.versions["store"] = bench.store
    facts = load + "".join(f"- {text}\n" for text in bench.versions.values())
    options.output.write_text(
        "# Measurements\n\n"
        f"Written by `make bench` on {datetime.date.today()}{' (a quick run)' if options.quick else ''}. All commands of a row were run in turn, "
        "in this one run; times are wall time from the start of the command to its end. `bench/README.md` says how each row is measured.\n\n"
        f"{facts}\n" + "\n".join(table.markdown() for table in tables))
    say(f"written to {options.output}")


if __name__ == "__main__":
    main()
