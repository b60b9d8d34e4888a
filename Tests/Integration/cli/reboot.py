"""The machine's end and its next start, as a store sees them: its processes are gone and the boot has another id."""

import os
import signal
import subprocess
import time

import pytest


def crash(engine):
    """All processes of the store end at once, supervisors first, as the machine's end would have it."""
    for _ in range(50):
        pids = engine.processes()
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if not pids:
            return
        time.sleep(0.01)
    pytest.fail("processes do not end")


class NextBoot:
    """Commands of an engine in another boot. Needs root: a mount over boot_id, in a mount namespace of each command.

    With a mount over a part of it no procfs can be mounted in a user namespace: there an ordinary user starts nothing.
    """

    script = 'mount --bind "$1" /proc/sys/kernel/random/boot_id; shift; exec setpriv --reuid "$0" --regid "$1" --clear-groups -- "${@:2}"'

    def __init__(self, engine, place, keeps_run_root=False):
        if os.geteuid() != 0:
            pytest.skip("needs root (a mount over boot_id)")
        self.engine, self.boot = engine, place / "boot_id"
        self.boot.write_text("11111111-2222-3333-4444-555555555555\n")
        self.boot.chmod(0o644)
        if not keeps_run_root:
            subprocess.run(["rm", "-rf", str(engine.run_root)], check=True)

    def __call__(self, *words, program=None):
        who = self.engine.who
        command = ["unshare", "-m", "bash", "-c", self.script, str(who.uid), str(self.boot), str(who.gid), str(program or self.engine.program), *words]
        return subprocess.run(command, env=self.engine.environment(), capture_output=True, text=True, timeout=30, cwd="/")
