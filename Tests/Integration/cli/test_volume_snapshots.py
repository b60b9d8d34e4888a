"""`berth volume snapshot, snapshots, clone, restore`: docs/volumes.md."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import pytest

from berth import Berth
from host import wait_for
from inject import MUTATING, Injector, available, spread
import invariants
import oracle
from test_volume import engine, names  # noqa: F401
from test_volume_archives import FILL, SHOW, show


@pytest.fixture
def filled(engine):  # noqa: F811
    engine.sh("-v", "data:/d", FILL).check()
    return engine


def snapshots(engine, *words):  # noqa: F811
    return engine.ok("volume", "snapshots", "-q", *words).lines


def test_snapshot_and_restore(filled):
    before = show(filled, "data")
    assert filled.ok("volume", "snapshot", "data", "before").text == "data@before"
    filled.sh("-v", "data:/d", "rm -rf /d/dir; echo other > /d/other; chmod 755 /d; chown 0:0 /d").check()
    after = filled.sh("-v", "data:/d", "ls -A /d; stat -c %a /d").check().out
    assert filled.ok("volume", "snapshot", "data@after").text == "data@after"
    assert snapshots(filled, "data") == ["data@after", "data@before"]
    filled.ok("volume", "restore", "data", "before")
    assert show(filled, "data") == before
    filled.ok("volume", "restore", "data@after")
    assert filled.sh("-v", "data:/d", "ls -A /d; stat -c %a /d").check().out == after
    # A snapshot can be taken back more than once.
    filled.ok("volume", "restore", "data", "data@before")
    assert show(filled, "data") == before
    assert filled.ok("volume", "rm", "data@before", "data@after").lines == ["data@before", "data@after"]
    assert snapshots(filled) == [] and oracle.unfinished(filled) == []
    invariants.check_invariants(filled)


def test_clone(filled, place):
    filled.ok("volume", "create", "--label", "a=1", "labelled")
    assert filled.ok("volume", "clone", "data", "copy").text == "copy"
    assert show(filled, "copy") == show(filled, "data")
    filled.sh("-v", "copy:/d", "touch /d/only-here").check()
    assert "only-here" not in show(filled, "data")
    filled.ok("volume", "snapshot", "data", "then")
    filled.sh("-v", "data:/d", "rm -r /d/dir").check()
    filled.ok("volume", "clone", "data@then", "old")
    assert "mine" in show(filled, "old")
    filled.ok("volume", "clone", "labelled", "labelled2")
    assert json.loads(filled.ok("volume", "inspect", "labelled2").out)[0]["Labels"] == {"a": "1"}
    filled.ok("volume", "export", "-o", place / "then.tar", "data@then")
    assert (place / "then.tar").stat().st_size > 2048
    # The clone stands on its own.
    filled.ok("volume", "rm", "data")
    assert "mine" in show(filled, "old")


def test_holes_and_attributes(filled):
    volumes = pathlib.Path(filled.seen(filled.root)) / "volumes"
    filled.sh("-v", "data:/d", "dd if=/dev/zero of=/d/holes bs=1 count=1 seek=64M 2>/dev/null; echo x > /d/attributed").check()
    file = volumes / "data/_data/attributed"
    if filled.who.is_root:
        os.setxattr(file, "user.one", b"1")
        os.setxattr(file, "trusted.two", b"2")
        (volumes / "data/_data" / os.fsdecode(b"bytes-\xff")).write_text("no utf-8")
    filled.ok("volume", "clone", "data", "copy")
    holes = (volumes / "copy/_data/holes").stat()
    assert holes.st_size == (64 << 20) + 1 and holes.st_blocks * 512 < 1 << 20
    if filled.who.is_root:
        assert os.getxattr(volumes / "copy/_data/attributed", "user.one") == b"1" and os.getxattr(volumes / "copy/_data/attributed", "trusted.two") == b"2"
        assert (volumes / "copy/_data" / os.fsdecode(b"bytes-\xff")).read_text() == "no utf-8"


@pytest.mark.parametrize(
    "words,text",
    [
        (["snapshot", "nosuch"], "get nosuch: no such volume"), (["snapshot", "data", "a/b"], "name has letters"), (["snapshot", "data", ".."], "name has letters"),
        (["snapshot", "data", "taken"], "a snapshot named taken exists; remove it first: berth volume rm data@taken"), (["restore", "data", "nosuch"], "get data@nosuch: no such snapshot"),
        (["restore", "data"], "name a snapshot"), (["restore", "data", "../taken"], "no such snapshot"), (["clone", "data", "other"], "a volume named other exists"),
        (["clone", "data@nosuch", "new"], "no such snapshot"), (["clone", "nosuch", "new"], "no such volume"), (["clone", "data", "a/b"], "invalid characters"),
        (["rm", "data@nosuch"], "no such snapshot"), (["rm", "data@"], "no such snapshot"), (["rm", "nosuch@x"], "no such volume"), (["export", "data@nosuch"], "no such snapshot"),
        (["snapshots", "nosuch"], "no such volume"), (["snapshot", "memory"], "not in the store"), (["clone", "memory", "new"], "not in the store"),
    ],
)  # fmt: skip
def test_what_cannot_be(engine, words, text):  # noqa: F811
    engine.ok("volume", "create", "data")
    engine.ok("volume", "create", "other")
    engine.ok("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "memory")
    engine.ok("volume", "snapshot", "data", "taken")
    result = engine.call("volume", *words)
    assert result.code in (1, 125) and re.search(re.escape(text), result.err), result
    assert names(engine) == ["data", "memory", "other"] and snapshots(engine) == ["data@taken"]
    engine.ok("volume", "rm", "-f", "data@nosuch")


def test_list(engine):  # noqa: F811
    engine.ok("volume", "create", "data")
    name = engine.ok("volume", "snapshot", "data").text
    assert re.fullmatch(r"data@\d{8}T\d{6}Z", name)
    lines = engine.ok("volume", "snapshots").out.splitlines()
    assert lines[0].split() == ["VOLUME", "SNAPSHOT", "CREATED"] and lines[1].split()[:2] == name.split("@")
    row = json.loads(engine.ok("volume", "snapshots", "--format", "json", "data").out)
    assert row["Reference"] == name and re.match(r"\d{4}-\d\d-\d\dT", row["CreatedAt"])
    engine.ok("volume", "rm", "data")
    assert os.listdir(engine.seen(engine.root / "volumes")) == [], "snapshots go with their volume"


@pytest.fixture
def sharing(suite, berth_programs, test_archive, place):
    """A store on btrfs, where files can share blocks."""
    tool = shutil.which("mkfs.btrfs")
    if os.geteuid() != 0 or not tool:
        pytest.skip("needs root and mkfs.btrfs")
    with open(place / "image", "wb") as file:
        file.truncate(300 << 20)
    (place / "fs").mkdir()
    subprocess.run([tool, "-q", place / "image"], check=True)
    subprocess.run(["mount", "-o", "loop", place / "image", place / "fs"], check=True)
    made = Berth(suite, suite.root, berth_programs)
    made.root = place / "fs/store"
    try:
        made.ok("load", "-i", test_archive, timeout=60)
        yield made
    finally:
        made.close()
        subprocess.run(["umount", place / "fs"], check=True)


def test_blocks_are_shared(sharing):
    """Ten copies of 40 MB on 300 MB."""
    sharing.sh("-v", "data:/d", "dd if=/dev/urandom of=/d/big bs=1M count=40 2>/dev/null; md5sum /d/big > /d/sum", timeout=60).check()
    for number in range(5):
        sharing.ok("volume", "snapshot", "data", f"s{number}", timeout=60)
        sharing.ok("volume", "clone", "data", f"c{number}", timeout=60)
    sharing.sh("-v", "data:/d", "rm /d/big").check()
    sharing.ok("volume", "restore", "data", "s0", timeout=60)
    for name in ("data", "c4"):
        sharing.sh("-v", f"{name}:/d", "md5sum -c /d/sum").check()


# While containers write

# What is deeper is read later: without a stop b would be ahead of a.
WRITER = """
mkdir -p /d/fill /d/z/z; for f in $(seq 1500); do echo $f > /d/fill/$f; done; touch /d/ready
n=0; while :; do n=$((n+1)); echo $n > /d/a; echo $n > /d/z/z/b; done
"""


def can_freeze(engine, name):  # noqa: F811
    return engine.who.is_root or name in pathlib.Path(f"/proc/{engine.pid(name)}/cgroup").read_text()


def test_a_snapshot_is_of_one_moment(engine, place):  # noqa: F811
    """Two files that are written one after the other: without a stop the second would run ahead."""
    writer = engine.up("-v", "data:/d", command=("sh", "-c", WRITER))
    other = engine.up("-v", "data:/d")
    if not can_freeze(engine, writer):
        engine.call("volume", "snapshot", "data").fails(1, "cannot pause .* --pause=false")
        engine.ok("volume", "snapshot", "--pause=false", "data", "live")
        return
    wait_for(lambda: engine.call("exec", writer, "test", "-s", "/d/z/z/b").code == 0, "the writer", 60)
    for number in range(4):
        engine.ok("volume", "snapshot", "data", f"s{number}", timeout=60)
        engine.ok("volume", "clone", f"data@s{number}", f"c{number}", timeout=60)
        found = engine.sh("-v", f"c{number}:/d", "cat /d/a /d/z/z/b").check().out.split()
        # Stopped between the opening of a file and its writing, that one is empty.
        assert len(found) == 1 or 0 <= int(found[0]) - int(found[1]) <= 1, found
    assert engine.status(writer) == engine.status(other) == "running", "they go on"
    count = engine.ok("exec", writer, "cat", "/d/a").text
    wait_for(lambda: engine.ok("exec", writer, "cat", "/d/a").text != count, "the writer to go on")


def test_snapshots_that_overlap(engine):  # noqa: F811
    """The end of one lets no container go on that another reads."""
    writer = engine.up("-v", "data:/d", command=("sh", "-c", WRITER))
    if not can_freeze(engine, writer):
        pytest.skip("no cgroup is delegated to the user")
    wait_for(lambda: engine.call("exec", writer, "test", "-s", "/d/z/z/b").code == 0, "the writer", 60)
    running = []
    for number in range(6):
        running.append(engine.popen("volume", "snapshot", "data", f"s{number}", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE))
        time.sleep(0.03)
    for process in running:
        assert process.communicate(timeout=60)[1] == b"" and process.returncode == 0
    for number in range(6):
        engine.ok("volume", "clone", f"data@s{number}", f"c{number}", timeout=60)
        found = engine.sh("-v", f"c{number}:/d", "cat /d/a /d/z/z/b").check().out.split()
        assert len(found) == 1 or 0 <= int(found[0]) - int(found[1]) <= 1, found
    count = engine.ok("exec", writer, "cat", "/d/a").text
    wait_for(lambda: engine.ok("exec", writer, "cat", "/d/a").text != count, "the writer to go on")


def test_a_paused_container_stays_paused(engine):  # noqa: F811
    user = engine.up("-v", "data:/d")
    if not can_freeze(engine, user):
        pytest.skip("no cgroup is delegated to the user")
    engine.ok("pause", user)
    engine.ok("volume", "snapshot", "data", "s")
    assert engine.status(user) == "paused"
    engine.ok("unpause", user)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_containers_go_on_when_the_copy_is_killed(engine, number):  # noqa: F811
    """Their supervisors watch who asked them to stop."""
    user = engine.up("-v", "data:/d")
    if not can_freeze(engine, user):
        pytest.skip("no cgroup is delegated to the user")
    engine.ok("exec", user, "sh", "-c", "for d in $(seq 60); do mkdir /d/$d; for f in $(seq 60); do echo $f > /d/$d/$f; done; done", timeout=60)
    seen = False
    for delay in (0.02, 0.05, 0.1, 0.2, 0.4):
        process = engine.popen("volume", "snapshot", "data", "s", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(delay)
        seen = seen or engine.status(user) == "paused"
        for pid in [process.pid, *[pid for pid in engine.processes() if b"snapshot" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()]]:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass
        process.wait()
        engine.wait_status(user, "running")
        assert snapshots(engine) in ([], ["data@s"])
        engine.ok("volume", "rm", "-f", "data@s")
    engine.ok("volume", "snapshot", "data", "s", timeout=60)
    assert engine.ok("exec", user, "ls", "/d").lines
    engine.ok("rm", "-f", user)
    invariants.check_invariants(engine)


def test_a_container_that_is_stopped_meanwhile(engine):  # noqa: F811
    """A stop lets it run again, so what is read then is of another moment: no snapshot."""
    user = engine.up("-v", "data:/d")
    if not can_freeze(engine, user):
        pytest.skip("no cgroup is delegated to the user")
    engine.ok("exec", user, "sh", "-c", "for d in $(seq 60); do mkdir /d/$d; for f in $(seq 60); do echo $f > /d/$d/$f; done; done", timeout=60)
    outcomes = set()
    for number, delay in enumerate((0.1, 0.15, 0.2, 0.3)):
        process = engine.popen("volume", "snapshot", "data", f"s{number}", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        time.sleep(delay)
        engine.ok("stop", "-t", "0", user)
        error = process.communicate(timeout=30)[1].decode()
        assert process.returncode == 0 or "was stopped meanwhile" in error, error
        assert (f"data@s{number}" in snapshots(engine)) == (process.returncode == 0)
        outcomes.add(process.returncode)
        engine.ok("start", user)
    assert outcomes <= {0, 1}


def test_restore_waits_for_no_running_container(engine):  # noqa: F811
    user = engine.up("--name", "user", "-v", "data:/d")
    engine.ok("exec", user, "touch", "/d/first")
    engine.ok("volume", "snapshot", "--pause=false", "data", "s")
    engine.call("volume", "restore", "data", "s").fails(1, "restore data: volume is in use by the running container user; stop it first: berth stop user")
    engine.ok("exec", user, "touch", "/d/second")
    engine.ok("stop", "-t", "0", user)
    engine.ok("volume", "restore", "data", "s")
    engine.ok("start", user)
    assert engine.ok("exec", user, "ls", "/d").lines == ["first"]


# F02: killed at any call

COMMANDS = {
    "snapshot": ["volume", "snapshot", "data", "new"], "clone": ["volume", "clone", "data", "copy"],
    "restore": ["volume", "restore", "data", "old"], "rm": ["volume", "rm", "data@old"],
}  # fmt: skip


@pytest.mark.skipif(not available(), reason="needs root and x86-64")
@pytest.mark.parametrize("command", COMMANDS)
def test_f02_snapshots_killed_at_any_call(fresh, test_archive, command):
    """A snapshot or clone is there whole or not at all; the content is the old or the new."""
    if not fresh.who.is_root:
        pytest.skip("the injector works as root")
    fresh.ok("load", "-i", test_archive, timeout=60)
    words, injector = COMMANDS[command], Injector(fresh)

    def prepare():
        for name in ("data", "copy"):
            fresh.ok("volume", "rm", "-f", name)
        fresh.sh("-v", "data:/d", FILL).check()
        fresh.ok("volume", "snapshot", "data", "old")
        fresh.sh("-v", "data:/d", "rm -r /d/dir; echo now > /d/now").check()
        fresh.assert_clean()  # as in test_volume_archives.py

    def state():
        def content(name):
            return fresh.sh("-v", f"{name}:/d", "cd /d; find . | sort; cat now dir/one 2>/dev/null").out if name in names(fresh) else None

        kept = sorted(snapshots(fresh))
        return kept, content("data"), content("copy")

    prepare()
    before = state()
    shot = injector.shoot("cli", 0, "kill", MUTATING, *words)
    shot.result.exits(0)
    after, total = state(), shot.counts["cli"]
    assert total > 0 and before != after
    for nth in spread(total, 400 if os.environ.get("BERTH_TEST_FULL") else 8, command):
        prepare()
        shot = injector.shoot("cli", nth, "kill", MUTATING, *words)
        told = f"{command}: SIGKILL at call {nth} of {total}, {shot.fired or 'not reached'}"
        now = state()
        assert now in (before, after), told
        invariants.check_invariants(fresh)
        again = fresh.call(*words)
        assert again.code == 0 or now == after, f"{told}: again: {again}"
        assert state() == after, told
