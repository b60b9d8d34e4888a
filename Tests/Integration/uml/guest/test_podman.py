"""podman with berth-runtime on cgroup v2: limits, what they report, and why a container died."""

import importlib.util
import json
import pathlib
import sys

import pytest

from host import CGROUPS, wait_for

SUITE = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def engines():
    """The module of the suite of the peers."""
    spec = importlib.util.spec_from_file_location("engines", SUITE / "peers/engines.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["engines"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def podman(suite, engines, test_archive):
    made = engines.Podman(suite, suite.root)
    test_archive.chmod(0o644)
    made.load(test_archive)
    yield made
    made.close()


def test_limits_pause_stats_and_update(podman):
    name = podman.up("-m", "64m", "--memory-swap", "64m", "--cpus", "0.5", "--pids-limit", "55")
    place = podman.cgroup(name, "memory")
    values = {file: (place / file).read_text().strip() for file in ("memory.max", "memory.swap.max", "cpu.max", "pids.max")}
    assert values == {"memory.max": str(64 << 20), "memory.swap.max": "0", "cpu.max": "50000 100000", "pids.max": "55"}
    assert str(place).startswith(str(CGROUPS)) and name in str(place)
    stats = json.loads(podman.ok("stats", "--no-stream", "--format", "json", name))[0]
    assert stats["pids"] == "1" and "67.11MB" in stats["mem_usage"]
    podman.ok("pause", name)
    assert (place / "cgroup.freeze").read_text().strip() == "1" and podman.status(name) == "paused"
    podman.ok("unpause", name)
    assert podman.ok("exec", name, "cat", "/proc/self/cgroup") == "0::/"
    podman.ok("update", "--memory", "48m", name)
    assert (place / "memory.max").read_text().strip() == str(48 << 20)
    podman.remove(name)
    wait_for(lambda: not place.exists(), "the cgroup to go")


def test_out_of_memory(podman):
    """137; that it was for memory, Debian's conmon does not tell podman, whatever the runtime."""
    assert podman.run("-m", "32m", "--memory-swap", "32m", "test", "/init", "mem", "256").code == 137
