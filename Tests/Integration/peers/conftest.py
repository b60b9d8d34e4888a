"""Fixtures: one of each engine for a session of a worker, with the image `test` loaded; containers are removed after each test."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "cli"))

import images  # noqa: E402
from engines import Containerd, Docker, Podman  # noqa: E402

ENGINES = {"podman": (Podman, "root"), "podman-user": (Podman, "user"), "docker": (Docker, "root"), "containerd": (Containerd, "root")}


def pytest_collection_modifyitems(items):
    """All tests of one engine in one worker (xdist's loadgroup): a daemon is started once."""
    here = pathlib.Path(__file__).parent
    for item in items:
        if item.path.parent == here:
            item.add_marker(pytest.mark.xdist_group(next((name for name in ("podman-user", "podman", "docker") if f"[{name}" in item.name), "containerd")))


@pytest.fixture(scope="session")
def _archive(suite):
    path = suite.base / "peers.tar"
    if not path.exists():
        images.write(path, images.docker_archive([images.base_layer(suite.init)], ["test:latest"]))
        path.chmod(0o644)
    return path


@pytest.fixture(scope="session")
def _engines(suite, _archive):
    import os

    made, failures = {}, {}

    def engine(name):
        kind, who = ENGINES[name]
        if suite.runtime.kind != "berth":
            pytest.skip("the engines run berth-runtime only")
        if os.geteuid() != 0:
            pytest.skip("needs root: the engines' daemons, and their cgroups")
        user = suite.root if who == "root" else suite.user
        if name in failures:
            pytest.fail(f"{name}: {failures[name]}")
        if name not in made:
            try:
                made[name] = kind(suite, user)
                if kind is Containerd:
                    made[name].ok("image", "import", _archive)
                else:
                    made[name].load(_archive)
            except AssertionError as error:
                failures[name] = str(error)
                raise
        return made[name]

    yield engine
    for each in made.values():
        each.close()


@pytest.fixture(params=["podman", "podman-user", "docker"])
def engine(request, _engines):
    """Every engine with Docker's command line."""
    made = _engines(request.param)
    yield made
    made.clear()


@pytest.fixture(params=["podman", "docker"])
def root_engine(request, _engines):
    """Those that run as root: with cgroups."""
    made = _engines(request.param)
    yield made
    made.clear()


@pytest.fixture(params=["podman", "podman-user"])
def podman(request, _engines):
    made = _engines(request.param)
    yield made
    made.clear()


@pytest.fixture(params=["docker"])
def docker(request, _engines):
    made = _engines(request.param)
    yield made
    made.clear()


@pytest.fixture
def containerd(_engines):
    made = _engines("containerd")
    yield made
    made.clear()
