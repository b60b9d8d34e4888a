"""Fixtures of the tests that run in the machine only."""

import contextlib
import importlib.util
import os
import pathlib

import pytest

from host import CGROUPS
from subtree import CONTROLLERS, inside, remove

# The fixtures of the suite of the command: test_archive, _stores, berth, root_berth, user_berth …
_path = pathlib.Path(__file__).parents[2] / "cli/conftest.py"
_spec = importlib.util.spec_from_file_location("cli_conftest", _path)
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
globals().update({name: value for name, value in vars(_module).items() if not name.startswith("__") and not name.startswith("pytest_")})

@pytest.fixture
def delegated(suite):
    """A subtree that belongs to the ordinary user, as systemd's Delegate=yes makes it; the test runs in a leaf of it."""
    uid, gid = suite.user.uid, suite.user.gid
    subtree = CGROUPS / "delegated"
    shell = subtree / "shell"
    subtree.mkdir()
    (subtree / "cgroup.subtree_control").write_text(CONTROLLERS)
    shell.mkdir()
    for directory in (subtree, shell):
        os.chown(directory, uid, gid)
        for name in pathlib.Path("/sys/kernel/cgroup/delegate").read_text().split():
            with contextlib.suppress(FileNotFoundError):
                os.chown(directory / name, uid, gid)
    try:
        with inside(shell):
            yield subtree
    finally:
        remove(subtree)
