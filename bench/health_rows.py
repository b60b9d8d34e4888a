"""What health checks cost: processor time of 100 containers that are probed every five seconds."""

import os
import pathlib
import time

import harness
from engines import IMAGE
from harness import NotMeasured

TICK = os.sysconf("SC_CLK_TCK")


def seconds_used(pid):
    """Processor time of a process and of all its children that have ended: a probe is a child of who reaps it."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICK


class HealthRows:
    """A part of Bench: the row `health`."""

    def health(self):
        count, window = (10, 20) if self.quick else (100, 60)
        table = self.table(
            "health", f"{count} containers that are probed every 5 s", "% of one processor",
            "`run -d --health-cmd true --health-interval 5s`. Berth under 2 % with 100, and less than docker")
        for name in ("berth", "docker"):
            engine = self.engines.get(name)
            table.add(name, self.probing(engine, count, window) if engine else self.missing[name], at_least=None if name == "berth" else 1)
        table.add("podman", self.missing.get("podman") or NotMeasured("its probes are timers of systemd, which need not run here"))
        table.note = (
            "Supervisors, or shims, containerd and dockerd, with all that they start and reap: the shells of the probes are in it. "
            f"Over {window} s, less what the same containers take without probes.")
        return [table]

    def probing(self, engine, count, window):
        try:
            idle = self.used(engine, count, window, ())
            probed = self.used(engine, count, window, ("--health-cmd", "true", "--health-interval", "5s"))
            return max(probed - idle, 0.001) * 100
        except NotMeasured as why:
            return why
        finally:
            engine.remove_all()

    def used(self, engine, count, window, flags):
        """Processors taken by who looks after `count` containers."""
        engine.remove_all()
        _, failures, text = harness.parallel([engine.run("-d", *flags, IMAGE, "sleep", "3600") for _ in range(count)], 4)
        if failures:
            raise NotMeasured(f"{failures} of {count} did not start: {text}")
        # Every container has been probed once, and what was needed only to start is given back.
        time.sleep(10)
        pids = engine.residents() + engine.servers()
        if len(pids) < count:
            raise NotMeasured(f"{len(pids)} processes for {count} containers")
        begin, before = time.monotonic(), {pid: seconds_used(pid) for pid in pids}
        time.sleep(window)
        after = sum(seconds_used(pid) - before[pid] for pid in pids)
        took = time.monotonic() - begin
        if flags:
            states = harness.output(engine.call("ps", "--filter", "health=healthy", "-q")).split()
            if len(states) != count:
                raise NotMeasured(f"{len(states)} of {count} are healthy")
        return after / took
