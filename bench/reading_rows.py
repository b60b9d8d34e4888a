"""How fast what was written is read again: logs of a container, and events."""

import subprocess
import time

import harness
from engines import IMAGE
from harness import NotMeasured, interleaved, output

EVENTS = {"podman": ("--events-backend", "file")}


def lines(argv):
    """How many lines a command writes; NotMeasured when it fails."""
    done = subprocess.run(argv, stdin=harness.DEVNULL, capture_output=True, timeout=600, check=False)
    if done.returncode:
        raise NotMeasured(f"`{' '.join(argv[-4:])}` exits with {done.returncode}: {harness.last_line(done.stderr.decode(errors='replace'))}")
    return done.stdout.count(b"\n")


class ReadingRows:
    """A part of Bench: the rows `logs` and `events`."""

    def logs(self):
        times = 1 if self.quick else 3
        size = times * (self.rootfs / "text").stat().st_size
        table = self.table(
            "logs", f"`logs CONTAINER` of {number_of_lines(size):,} lines", "MB/s",
            "Lines of 100 bytes, all of them counted once; nothing rotated away", larger_is_better=True)
        commands = {}
        for name, engine in self.engines.items():
            more = ("--log-opt", "max-size=2g") if name == "berth" else ()
            try:
                script = f"i=0; while [ $i -lt {times} ]; do cat /text; i=$((i+1)); done"
                output(engine.run("-d", *more, "--name", "bench-logs", IMAGE, "sh", "-c", script))
                output(engine.call("wait", "bench-logs"))
                found = lines(engine.call("logs", "bench-logs"))
                if found != number_of_lines(size):
                    raise NotMeasured(f"{found} lines of {number_of_lines(size)} came back")
                commands[name] = engine.call("logs", "bench-logs")
            except NotMeasured as why:
                self.missing[f"{name} logs"] = why
        self.compare(table, "logs", commands, dict.fromkeys(commands, size / 1e6))
        return [table]

    def events(self):
        count = 100 if self.quick else 300
        table = self.table(
            "events", f"`events --since --until` of {2 * count} events", "events a second",
            f"What {count} `volume create` and {count} `volume rm` left", larger_is_better=True)
        commands, found = {}, {}
        for name, engine in self.engines.items():
            words = EVENTS.get(name, ())
            begin = int(time.time())
            try:
                for verb in ("create", "rm"):
                    _, failures, text = harness.parallel([engine.call(*words, "volume", verb, f"bench-{n}") for n in range(count)], 4)
                    if failures:
                        raise NotMeasured(f"{failures} of {count} volumes failed: {text}")
                # With an end podman 4 stops after the first one.
                end = ("--stream=false",) if name == "podman" else ("--until", str(int(time.time()) + 1))
                commands[name] = engine.call(*words, "events", "--since", str(begin), *end)
                time.sleep(2)  # an end in the future is waited for
                found[name] = lines(commands[name])
            except NotMeasured as why:
                commands.pop(name, None)
                self.missing[f"{name} events"] = why
        self.compare(table, "events", commands, found)
        missed = [f"{name} had {seen} of them" for name, seen in found.items() if seen < 2 * count]
        if missed:
            table.note = "What was there to be read: " + ", ".join(missed) + " (dockerd keeps the last 256)."
        return [table]

    def compare(self, table, row, commands, amounts):
        """amounts: what each command gives, to be told for a second."""
        samples = interleaved(commands, self.rounds(10))
        for name in ("berth", "podman", "docker"):
            sample = samples.get(name) or self.missing.get(f"{name} {row}") or self.missing.get(name)
            if isinstance(sample, harness.Sample):
                sample = amounts[name] * 1000 / sample.median
            table.add(name, sample, at_least=None if name == "berth" else 1)
        self.remove_all()


def number_of_lines(size):
    """The text is of lines of 100 bytes."""
    return size // 100
