"""`berth volume export`, `import`: docs/volumes.md."""

import io
import json
import os
import tarfile

import pytest

from inject import Injector, available, spread, MUTATING
import invariants
from test_volume import engine, names  # noqa: F401

FILL = """
mkdir -p /d/dir/sub; echo one > /d/dir/one; ln /d/dir/one /d/dir/other; ln -s ../../../etc/passwd /d/link; mkfifo /d/fifo
echo mine > /d/dir/sub/mine; chown 1000:63 /d/dir/sub/mine; chmod 4750 /d/dir/sub/mine; touch -d 2001-02-03 /d/dir/one; touch /d/.wh.kept
chmod 700 /d/dir; chown 1000:1000 /d; chmod 1770 /d
"""
SHOW = "cd /d; find . | sort | while read -r f; do stat -c '%n %F %a %u %g %h' \"$f\"; done; cat dir/one dir/sub/mine; readlink link; stat -c %Y dir/one"


@pytest.fixture
def filled(engine):  # noqa: F811
    engine.sh("-v", "data:/d", FILL).check()
    return engine


def show(engine, name):  # noqa: F811
    return engine.sh("-v", f"{name}:/d", SHOW).check().out


def test_there_and_back(filled, place):
    assert filled.ok("volume", "export", "-o", place / "data.tar", "data").out == ""
    with tarfile.open(place / "data.tar") as archive:
        members = {member.name: member for member in archive}
        assert archive.extractfile("dir/one").read() == b"one\n"
    assert members["."].uid == 1000 and members["."].mode == 0o1770
    assert members["dir/other"].islnk() and members["link"].linkname == "../../../etc/passwd" and members["fifo"].isfifo()
    assert (members["dir/sub/mine"].uid, members["dir/sub/mine"].gid, members["dir/sub/mine"].mode) == (1000, 63, 0o4750)
    piped = filled.ok("volume", "export", "data").bytes
    assert piped == (place / "data.tar").read_bytes()
    filled.ok("volume", "create", "copy")
    filled.ok("volume", "import", "copy", place / "data.tar")
    assert show(filled, "copy") == show(filled, "data")
    filled.ok("volume", "create", "piped")
    filled.ok("volume", "import", "piped", "-", stdin=piped)
    assert show(filled, "piped") == show(filled, "data")


def archive_of(**files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as made:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            made.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


def test_import_adds(filled, place):
    """As podman's: what the archive does not name stays."""
    (place / "more.tar").write_bytes(archive_of(**{"dir/one": "new\n", "fresh": "fresh\n"}))
    filled.ok("volume", "import", "data", place / "more.tar")
    out = filled.sh("-v", "data:/d", "cat /d/dir/one /d/fresh /d/dir/sub/mine; stat -c '%a %u' /d").check().lines
    assert out == ["new", "fresh", "mine", "1770 1000"]


def test_import_all_or_nothing(filled, place):
    before = show(filled, "data")
    whole = archive_of(**{"dir/one": "new\n", "fresh": "x" * 5000})
    for bad in (whole[:1500], b"no archive at all" * 100, b"", whole[:1024] + b"\xff" * 512 + whole[1536:]):
        (place / "bad.tar").write_bytes(bad)
        assert filled.call("volume", "import", "data", place / "bad.tar").code == 1, bad[:20]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as made:
        made.addfile(tarfile.TarInfo("../escaped"))
    (place / "bad.tar").write_bytes(buffer.getvalue())
    filled.call("volume", "import", "data", place / "bad.tar").fails(1)
    assert show(filled, "data") == before
    filled.call("volume", "import", "data", place / "missing").fails(1, "missing")
    filled.call("volume", "import", "nosuch", place / "bad.tar").fails(1, "no such volume")
    filled.call("volume", "export", "nosuch").fails(1, "no such volume")
    invariants.check_invariants(filled)


def test_import_follows_no_link(filled, place, canary):
    """Neither links of the archive nor those that containers left lead out."""
    filled.sh("-v", "data:/d", f"ln -s {canary} /d/out; ln -s / /d/root").check()
    before = sorted(os.listdir(canary))
    (place / "bad.tar").write_bytes(archive_of(**{"out/planted": "x", "root/tmp/planted-by-import": "x"}))
    filled.call("volume", "import", "data", place / "bad.tar")
    assert sorted(os.listdir(canary)) == before and not os.path.exists("/tmp/planted-by-import")


def test_import_waits_for_no_running_container(filled, place):
    """Who has the old content mounted would not see the new."""
    (place / "more.tar").write_bytes(archive_of(fresh="x"))
    user = filled.up("--name", "user", "-v", "data:/d")
    filled.call("volume", "import", "data", place / "more.tar").fails(1, "import data: volume is in use by the running container user; stop it first")
    filled.ok("volume", "export", "-o", place / "live.tar", "data")
    filled.ok("stop", "-t", "0", user)
    filled.ok("volume", "import", "data", place / "more.tar")
    filled.ok("start", user)
    assert filled.ok("exec", user, "cat", "/d/fresh").out == "x"


def test_volumes_whose_content_is_elsewhere(engine, place):  # noqa: F811
    (place / "content").mkdir()
    (place / "content/file").write_text("of the host")
    engine.ok("volume", "create", "-o", "type=none", "-o", "o=bind", "-o", f"device={place}/content", "bound")
    engine.ok("volume", "export", "-o", place / "bound.tar", "bound")
    with tarfile.open(place / "bound.tar") as archive:
        assert archive.extractfile("file").read() == b"of the host"
    engine.call("volume", "import", "bound", place / "bound.tar").fails(1, "its content is not in the store")
    engine.ok("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "memory")
    engine.call("volume", "export", "memory").fails(1, "its content is not in the store")


# F01, F02: killed at any call

COMMANDS = {
    "create": ["volume", "create", "--label", "a=1", "new"],
    "rm": ["volume", "rm", "data"],
    "import": ["volume", "import", "data", "{place}/more.tar"],
    "prune": ["volume", "prune", "-af"],
}


@pytest.mark.skipif(not available(), reason="needs root and x86-64")
@pytest.mark.parametrize("command", COMMANDS)
def test_f02_killed_at_any_call(fresh, test_archive, place, command):
    """The volume is as before or as after, and the command completes when it is run again."""
    if not fresh.who.is_root:
        pytest.skip("the injector works as root")
    fresh.ok("load", "-i", test_archive, timeout=60)
    (place / "more.tar").write_bytes(archive_of(**{"dir/one": "new\n", "fresh": "fresh\n"}))
    words = [word.format(place=place) for word in COMMANDS[command]]
    injector = Injector(fresh)

    def prepare():
        fresh.ok("volume", "rm", "-f", "data", "new")
        fresh.sh("-v", "data:/d", FILL).check()
        # A supervisor on its way out has the index of the database's log open. As long as it does nobody sees a commit that was
        # killed on its way there; afterwards everybody does. Both is right, but what is listed may change in between.
        fresh.assert_clean()

    def content():
        return fresh.sh("-v", "data:/d", "ls /d; cat /d/dir/one").check().out if "data" in names(fresh) else None

    prepare()
    before = content()
    shot = injector.shoot("cli", 0, "kill", MUTATING, *words)
    shot.result.exits(0)
    after, total = content(), shot.counts["cli"]
    assert total > 0
    for nth in spread(total, 400 if os.environ.get("BERTH_TEST_FULL") else 8, command):
        prepare()
        shot = injector.shoot("cli", nth, "kill", MUTATING, *words)
        told = f"{command}: SIGKILL at call {nth} of {total}, {shot.fired or 'not reached'}"
        assert content() in (before, after), told
        if "new" in names(fresh):
            assert json.loads(fresh.ok("volume", "inspect", "new").out)[0]["Labels"] == {"a": "1"}
        invariants.check_invariants(fresh)
        again = fresh.call(*words)
        assert again.code == 0 or command == "rm" and "no such volume" in again.err, f"{told}: again: {again}"
        assert content() == after, told
