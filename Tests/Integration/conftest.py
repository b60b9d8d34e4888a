"""Fixtures of the integration suite.

BERTH_RUNTIME    the OCI runtime under test (default .build/debug/berth-runtime)
BERTH            the berth command (default .build/debug/berth)
BERTH_TEST_USER  the ordinary user of the rootless half (default berth-test; made when it is missing)
BERTH_CRIU       the program criu, for checkpoints (default: in PATH; without one that works those tests are skipped)
"""

import ctypes
import fnmatch
import os
import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from runtime import Container, Suite  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "runc_vulnerable(why): a hostile case that this old runc does not withstand")
    config.addinivalue_line("markers", "quiet: measures times of a few seconds or less; scripts/test.py runs it when no other test runs")
    config.addinivalue_line("markers", "xdist_group(name): tests that one worker runs, one after the other")


def peer_kind():
    """Which peer is tested, by the name of its program: collection should not run it."""
    name = os.path.basename(os.environ.get("BERTH_RUNTIME", "berth-runtime"))
    return name if name in ("runc", "crun") else "berth"


def known_deviations(kind):
    """What the peer is known not to pass: rows of peers.tsv as {test id pattern: (how, why)}."""
    rows = {}
    for line in (pathlib.Path(__file__).parent / "peers.tsv").read_text().splitlines():
        if line and not line.startswith("#"):
            peer, how, pattern, why = line.split("\t")
            if peer == kind:
                rows[pattern] = (how, why)
    return rows


def pytest_collection_modifyitems(items):
    """Marks what the peer under test cannot pass. A pass there is an error too (unless it is a matter of luck): the list stays true."""
    kind = peer_kind()
    rows = known_deviations(kind)
    for item in items:
        name = f"{item.path.name}::{item.name}"
        for pattern, (how, why) in rows.items():
            if fnmatch.fnmatchcase(name, pattern.replace("[", "[[]")):
                if how == "skip":
                    item.add_marker(pytest.mark.skip(reason=f"{kind}: {why}"))
                else:
                    item.add_marker(pytest.mark.xfail(reason=f"{kind}: {why}", strict=how == "fails"))
        for marker in item.iter_markers("runc_vulnerable"):
            if kind == "runc":
                item.add_marker(pytest.mark.xfail(reason=f"runc: {marker.args[0]}", strict=False))


def pytest_runtest_logreport(report):
    """Names a failure when it happens: a suite that is ended at its deadline has no summary."""
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        print(f"\nFAILED {report.nodeid} ({report.when})", flush=True)


def leave_hybrid_cgroups():
    """crun refuses a host that mounts cgroup v1 and v2: in a private mount namespace the v2 tree can go away."""
    unified = "/sys/fs/cgroup/unified"
    if os.geteuid() != 0 or not os.path.ismount(unified):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x00020000) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["umount", unified], check=True)


@pytest.fixture(scope="session")
def suite():
    """The session of this worker."""
    if peer_kind() == "crun":
        leave_hybrid_cgroups()
    session = Suite()
    yield session
    session.close()


@pytest.fixture(params=["root", "user"])
def who(request, suite):
    """Who calls the runtime. A test that takes this runs twice."""
    if request.param == "root":
        if os.geteuid() != 0:
            pytest.skip("needs root")
        return suite.root
    if suite.user is None:
        pytest.skip("no ordinary user with 65536 subordinate ids: sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER")
    return suite.user


@pytest.fixture
def make(suite, who):
    """Makes containers; the last one made is removed first, whatever the test did."""
    made = []

    def container(other=None):
        made.append(Container(suite, other or who))
        return made[-1]

    yield container
    for container in reversed(made):
        container.close()


@pytest.fixture
def ct(make):
    """One container of whoever calls."""
    return make()


@pytest.fixture
def make_root(suite):
    """Makes containers that root runs."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    made = []

    def container():
        made.append(Container(suite, suite.root))
        return made[-1]

    yield container
    for container in reversed(made):
        container.close()


@pytest.fixture
def root_ct(make_root):
    """One container that root runs."""
    return make_root()


@pytest.fixture
def make_user(suite):
    """Makes containers that the ordinary user runs."""
    if suite.user is None:
        pytest.skip("no ordinary user with 65536 subordinate ids")
    made = []

    def container():
        made.append(Container(suite, suite.user))
        return made[-1]

    yield container
    for container in reversed(made):
        container.close()


@pytest.fixture
def user_ct(make_user):
    """One container that the ordinary user runs."""
    return make_user()


@pytest.fixture
def canary(tmp_path):
    """A tree of the host that no container may touch. Compare `tree_state` of it before and after."""
    tree = tmp_path / "canary"
    (tree / "sub").mkdir(parents=True)
    (tree / "secret").write_text("canary-secret\n")
    (tree / "sub" / "file").write_text("untouched\n")
    return tree


@pytest.fixture
def nested(root_ct):
    """A directory with a tmpfs mounted below it, on the host."""
    outer = root_ct.directory("outer")
    (outer / "inner").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", outer / "inner"], check=True)
    (outer / "inner/deep").write_text("deep")
    yield outer
    subprocess.run(["umount", "-l", outer / "inner"], check=True)
