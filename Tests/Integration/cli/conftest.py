"""Fixtures of the suite of the berth command.

Each worker makes one store for each user and keeps it for the session, with the image `test` loaded; `fresh` is an empty store for
tests that count what is there. Containers are removed after each test.
"""

import os
import pathlib
import secrets
import shutil
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import erofs_layers  # noqa: E402
import images  # noqa: E402
from berth import Berth, programs  # noqa: E402
from loop_store import LoopBerth  # noqa: E402
from net_host import NetBerth, require_root  # noqa: E402
from user_networks import World, dual_stack  # noqa: E402


@pytest.fixture(scope="session")
def berth_programs(suite):
    return programs(suite.base)


@pytest.fixture(scope="session")
def test_archive(suite):
    """The archive of the image `test`: busybox, the test init, users."""
    path = suite.base / "test.tar"
    return images.write(path, images.docker_archive([images.base_layer(suite.init)], ["test:latest"]))


@pytest.fixture(scope="session")
def _stores(suite, berth_programs, test_archive):
    made = {}

    def store(who):
        if who.name not in made:
            made[who.name] = Berth(suite, who, berth_programs)
            made[who.name].ok("load", "-i", test_archive, timeout=60)
        return made[who.name]

    yield store
    for engine in made.values():
        engine.close()


@pytest.fixture
def berth(_stores, who):
    """berth as root and as an ordinary user, with the image `test`."""
    engine = _stores(who)
    yield engine
    engine.clear()


@pytest.fixture
def root_berth(_stores, suite):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    engine = _stores(suite.root)
    yield engine
    engine.clear()


@pytest.fixture
def user_berth(_stores, suite):
    if suite.user is None:
        pytest.skip("no ordinary user with 65536 subordinate ids")
    engine = _stores(suite.user)
    yield engine
    engine.clear()


@pytest.fixture
def alone(suite, berth_programs, test_archive):
    """berth of root with the image `test` in a network namespace of its own: what connects containers touches nothing of the machine's."""
    require_root()
    engine = NetBerth(suite, suite.root, berth_programs)
    engine.ok("load", "-i", test_archive, timeout=60)
    yield engine
    engine.close()


@pytest.fixture
def fresh(suite, who, berth_programs):
    """berth with an empty store."""
    engine = Berth(suite, who, berth_programs)
    yield engine
    engine.close()


@pytest.fixture
def loop(request, suite, who, berth_programs):
    """berth with an empty store on an ext4 of its own, of 64 MiB or what a test asks for indirectly."""
    if os.geteuid() != 0:
        pytest.skip("needs root for a loop device")
    engine = LoopBerth(suite, who, berth_programs, megabytes=getattr(request, "param", 64))
    yield engine
    engine.close()


@pytest.fixture(params=["directory", "erofs"])
def layer_format(request, who, fresh):
    """Both formats of layers, where both can be had. Sets that of `fresh`."""
    if request.param == "erofs":
        if not who.is_root:
            pytest.skip("only root can mount layers")
        erofs_layers.require()
    fresh.layer_format = request.param
    return request.param


@pytest.fixture
def indexed(suite, berth_programs):
    """berth of root with an empty store that keeps layers as tar and index."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    erofs_layers.require()
    engine = Berth(suite, suite.root, berth_programs)
    engine.layer_format = "erofs"
    yield engine
    engine.close()


@pytest.fixture
def place(suite, who):
    """A directory that the user of the test owns and that others can reach (pytest's own is closed to them)."""
    path = suite.base / f"place-{secrets.token_hex(4)}"
    path.mkdir(mode=0o755)
    os.chown(path, who.uid, who.gid)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def world():
    """A host of its own, connected to another, for networks of an ordinary user."""
    made = World()
    yield made
    made.close()


@pytest.fixture
def user_net(world, user_berth):
    with dual_stack(world, user_berth) as engine:
        yield engine
