"""Cgroups that tests make and move to."""

import contextlib
import os
import pathlib
import subprocess

from host import CGROUPS

CONTROLLERS = "+cpu +io +memory +pids"


@contextlib.contextmanager
def inside(cgroup):
    """This process, and all that it starts, in another cgroup for a while."""
    before = pathlib.Path("/proc/self/cgroup").read_text().strip().removeprefix("0::")
    (cgroup / "cgroup.procs").write_text(str(os.getpid()))
    try:
        yield cgroup
    finally:
        pathlib.Path(str(CGROUPS) + before, "cgroup.procs").write_text(str(os.getpid()))


def remove(cgroup):
    """Kills and removes a whole subtree."""
    (cgroup / "cgroup.kill").write_text("1")
    for _ in range(200):
        for directory, _, _ in os.walk(cgroup, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(directory)
        if not cgroup.exists():
            return
        subprocess.run(["sleep", "0.01"])
    raise AssertionError(f"{cgroup} does not go away")
