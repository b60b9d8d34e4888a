"""Faults under load, import, save, tag and rmi: after each the store is sound and the command works when it is run again.

BERTH_TEST_FULL=1 sweeps all calls and all instants; the normal run takes a slice of them.
"""

import json
import os
import pathlib
import random
import subprocess
import time

import images
import oracle
import pytest
from host import wait_for
from images import Layer, Layout, docker_archive
from sweep import FULL, MEMORY, MUTATING, READING, injected, numbers, require_strace


def archive(place, name="made", compression="gzip", files=6, text="x"):
    layers = [
        Layer().dir("a").hardlink_pair().symlink("link", "a"),
        Layer().whiteout("link").opaque("a"),
    ]
    for number in range(files):
        layers[1].file(f"a/{number}", text * 3000, pax={"SCHILY.xattr.user.x": "y"})
    return images.write(place / name, docker_archive(layers, [f"{name}:1"], compression=compression))


@pytest.fixture
def operations(fresh, layer_format, place):
    """Each operation: what brings the store to the state before it, and the command."""
    path, other = archive(place), archive(place, "other", None, text="y")
    rootfs = images.write(place / "rootfs", images.compressed(Layer().dir("d").file("d/f", "x").bytes, "gzip"))
    fresh.ok("load", "-i", other)

    def absent():
        for identity, names in oracle.images(fresh).items():
            if "other:1" not in names:
                fresh.ok("rmi", "-f", identity)

    def present():
        absent()
        fresh.ok("load", "-i", path)

    def tagged():
        present()
        fresh.ok("tag", "other:1", "tagged:1")

    return {
        "load": (absent, ["load", "-i", path]), "import": (absent, ["import", rootfs, "imported:1"]),
        "rmi": (present, ["rmi", "made:1"]), "tag": (present, ["tag", "made:1", "tagged:1"]),
        "move": (tagged, ["tag", "made:1", "tagged:1"]), "untag": (tagged, ["rmi", "tagged:1"]),
        "save": (present, ["save", "-o", place / "saved", "made:1"]),
    }  # fmt: skip


def state(engine):
    """What a user sees; the ids of imports have their time in them."""
    return sorted(names for names in oracle.images(engine).values())


def states(engine, operation):
    """What is there before the command and after it."""
    prepare, command = operation
    prepare()
    before = state(engine)
    engine.ok(*command)
    return before, state(engine)


OPERATIONS = ["load", "import", "rmi", "tag", "move", "untag", "save"]


@pytest.mark.parametrize("name", OPERATIONS)
def test_f01_killed_at_any_call(fresh, place, operations, name):
    """Before or after, never a third state; the command completes when it is run again, and takes what was left away."""
    require_strace()
    prepare, command = operations[name]
    before, after = states(fresh, operations[name])
    prepare()
    for number in numbers():
        result, fired = injected(fresh, place, MUTATING, "signal=SIGKILL", number, *command)
        if not fired:
            result.check()
            break
        wait_for(lambda: not fresh.processes(), "the killed command to be gone")
        for leftover in place.glob("saved.*.new"):
            leftover.unlink()
        assert not (place / "saved").exists() or name == "save"
        seen = state(fresh)
        assert seen in (before, after), f"call {number}"
        oracle.assert_sound(fresh)
        if seen == before:
            fresh.ok(*command)
            assert state(fresh) == after, f"call {number}"
        assert oracle.unfinished(fresh) == []
        prepare()


ERRORS = [
    (MUTATING, "EIO"), (MUTATING, "ENOSPC"), (MUTATING, "EINTR"), (MUTATING, "EDQUOT"), ("openat,openat2", "EMFILE"), (READING, "EIO"),
    (READING, "EINTR"), (READING, "ENOMEM"), (MEMORY, "ENOMEM"), ("clone,clone3", "EAGAIN"),
]  # fmt: skip


@pytest.mark.parametrize("calls,error", ERRORS, ids=[f"{error}-{calls.split(',')[0]}" for calls, error in ERRORS])
@pytest.mark.parametrize("name", OPERATIONS if FULL else ["load", "rmi", "import"])
def test_f03_an_error_at_any_call(fresh, place, operations, name, calls, error):
    """A clean error, or none because the call did not matter; the store is sound and the command works again."""
    require_strace()
    prepare, command = operations[name]
    before, after = states(fresh, operations[name])
    prepare()
    for number in numbers((3, 14, 41)):
        result, fired = injected(fresh, place, calls, f"error={error}", number, *command)
        if not fired:
            break
        # No signal of the program's own: it does not trap.
        assert 0 <= result.code < 128, f"call {number}: exit {result.code}: {result.err}"
        seen = state(fresh)
        if result.ok:
            assert seen == after, f"call {number}"
        else:
            assert result.err.strip() and seen in (before, after), f"call {number}: {result.err}"
        wait_for(lambda: not fresh.processes(), "all processes to be gone", 3)
        oracle.assert_sound(fresh)
        if seen == before:
            fresh.ok(*command)
            assert state(fresh) == after, f"call {number}"
        prepare()


@pytest.mark.parametrize("kilobytes", [20_000, 40_000, 60_000] if not FULL else range(10_000, 100_000, 2_000))
def test_f03_little_memory(fresh, place, kilobytes):
    """An address space that is too small ends in words or works; never in damage."""
    path = archive(place)
    result = fresh.call("load", "-i", path, wrap=("sh", "-c", f'ulimit -v {kilobytes} && exec "$@"', "sh"))
    if result.ok:
        assert state(fresh) == [["made:1"]]
    else:
        assert result.err.strip() or result.code < 0 or result.code > 128
    fresh.ok("load", "-i", path)
    oracle.assert_sound(fresh)


def test_f27_cancelled_at_any_time(fresh, place):
    """SIGINT and SIGTERM while images that share layers are loaded: the others finish."""
    path, bystander = archive(place, files=200), archive(place, "bystander", files=200)
    for turn in range(4 if not FULL else 200):
        other = fresh.popen("load", "-i", bystander, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        process = fresh.popen("load", "-i", path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        time.sleep(random.uniform(0, 0.15))
        process.send_signal((2, 15)[turn % 2])
        process.communicate(timeout=20)
        _, error = other.communicate(timeout=60)
        assert other.returncode == 0, error
        wait_for(lambda: not fresh.processes(), "all processes to be gone")
        # One image of two names, as both archives hold the same.
        assert state(fresh) in ([["bystander:1"]], [["bystander:1", "made:1"]])
        oracle.assert_sound(fresh)
        for identity in oracle.images(fresh):
            fresh.ok("rmi", "-f", identity)


# F07, F09: the file system


def large(place, name, megabytes):
    layer = Layer()
    for number in range(megabytes):
        layer.file(f"f{number}", os.urandom(1 << 20))
    return images.write(place / name, docker_archive([layer], [f"{name}:1"]))


def test_f07_filled_by_loading(loop, place):
    """Loading stops before everything is full; what is there stays usable and can be removed."""
    loaded = []
    for number in range(10):
        result = loop.call("load", "-i", large(place, f"i{number}", 4), timeout=60)
        if not result.ok:
            result.fails(1, "no space|MiB would be left")
            break
        loaded.append([f"i{number}:1"])
    assert 2 <= len(loaded) < 10
    assert state(loop) == loaded and oracle.unfinished(loop) == []
    oracle.assert_sound(loop)
    assert loop.ok("ps", "-a").lines
    loop.ok("tag", "i0:1", "i0:2")
    loop.ok("rmi", "i1:1")
    loop.ok("load", "-i", place / "i1", timeout=60)
    oracle.assert_sound(loop)


@pytest.mark.parametrize("leave", [0, 8192, 100_000])
def test_f07_full(loop, place, leave):
    """Not a block is free, as others filled the disk: reading works, removing works and gives room again."""
    loop.ok("load", "-i", large(place, "i0", 2))
    loop.ok("load", "-i", archive(place))
    loop.fill(leave)
    assert loop.ok("images", "-q", "-f", "reference=i0:*").lines
    assert loop.inspect("i0:1", "RepoTags") == ["i0:1"]
    assert loop.ok("ps", "-a").lines
    loop.call("load", "-i", large(place, "i1", 4), timeout=60).fails(1, "no space|MiB would be left|disk is full")
    loop.ok("rmi", "i0:1")
    assert loop.free() > 1 << 20
    assert state(loop) == [["made:1"]]
    loop.unfill()
    oracle.assert_sound(loop)
    loop.ok("load", "-i", place / "i0")


def test_f07_no_inodes(loop, place):
    """Inodes run out before blocks do."""
    loop.ok("load", "-i", archive(place))
    folder = loop.root / "many"
    folder.mkdir()
    try:
        for number in range(1_000_000):
            (folder / str(number)).touch()
    except OSError:
        pass
    loop.call("load", "-i", large(place, "i0", 1)).fails(1, "no space")
    assert oracle.images(loop)
    loop.ok("rmi", "made:1")
    assert state(loop) == []


def test_f50_a_bomb_in_a_small_store(loop, place):
    """What decompresses to more than there is room for stops at the reserve and goes away again."""
    layer = images.raw_header("zeros", size=512 << 20)
    command = f"(head -c 512; head -c {512 << 20} /dev/zero; head -c 1024 /dev/zero)"
    (place / "header").write_bytes(layer)
    subprocess.run(["sh", "-c", f"{command} < {place}/header | gzip -1 > {place}/bomb"], check=True)
    assert (place / "bomb").stat().st_size < 4 << 20
    loop.call("import", place / "bomb", "bomb:1", timeout=60).fails(1, "no space|MiB would be left")
    assert oracle.unfinished(loop) == [] and state(loop) == []
    assert loop.free() > 40 << 20


def test_f09_read_only(loop, place):
    """What only reads works; the rest says at once why not."""
    loop.ok("load", "-i", archive(place))
    loop.inside("mount", "-o", "remount,ro", loop.mounted)
    try:
        assert loop.ok("images", "-q").lines
        assert loop.inspect("made:1", "RepoTags") == ["made:1"]
        assert loop.ok("ps", "-a").lines
        loop.ok("save", "-o", place / "saved", "made:1")
        for command in (["load", "-i", place / "made"], ["rmi", "made:1"], ["tag", "made:1", "x"], ["create", "made:1", "x"]):
            start = time.monotonic()
            loop.call(*command).fails(125 if command[0] == "create" else 1, "read-only")
            assert time.monotonic() - start < 3
    finally:
        loop.inside("mount", "-o", "remount,rw", loop.mounted)
    oracle.assert_sound(loop)
    assert state(loop) == [["made:1"]]


# F04, F05: power loss


def test_f05_power_loss_after_exit_0(loop, place):
    """Whatever ended with 0 is there afterwards, whole."""
    path, other = archive(place), archive(place, "other")
    loop.ok("load", "-i", path)
    loop.lose_power()
    assert state(loop) == [["made:1"]]
    # What the command removed at its end may be there again, to be swept.
    oracle.assert_sound(loop)
    files = pathlib.Path(layer_of(loop, "made:1"))
    assert (files / "a/0").read_bytes() == b"x" * 3000

    loop.ok("tag", "made:1", "tagged:1")
    loop.lose_power()
    assert state(loop) == [["made:1", "tagged:1"]]

    loop.ok("import", images.write(place / "rootfs", Layer().file("f", "y" * 100_000).bytes), "imported:1")
    loop.lose_power()
    assert (pathlib.Path(layer_of(loop, "imported:1")) / "f").read_bytes() == b"y" * 100_000

    name = loop.ok("create", "--network", "none", "--name", "kept", "made:1", "true").text
    loop.lose_power()
    assert loop.inspect("kept", "Id") == name and loop.status("kept") == "created"
    for file in (loop.root / "containers" / name).glob("*.json"):
        json.loads(file.read_text())
    loop.ok("rm", "kept")
    loop.lose_power()
    assert loop.names("-a") == []

    loop.ok("rmi", "made:1", "tagged:1")
    loop.lose_power()
    assert state(loop) == [["imported:1"]]
    loop.ok("load", "-i", other)
    oracle.assert_sound(loop)


def layer_of(engine, name):
    """A layer's directory as this process reaches it."""
    return engine.seen(engine.inspect(name, "GraphDriver.Data.UpperDir"))


@pytest.mark.parametrize("turn", range(200 if FULL else 2))
def test_f04_power_loss_at_any_time(loop, place, turn):
    """In the middle of a load: the image is absent, or whole."""
    path = archive(place, files=300)
    loop.ok("load", "-i", archive(place, "other"))
    process = loop.popen("load", "-i", path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(random.Random(turn).uniform(0.01, 0.4))
    loop.lose_power(stopped=loop.processes)
    process.wait(20)
    assert state(loop) in ([["other:1"]], [["made:1"], ["other:1"]])
    oracle.assert_sound(loop)
    loop.ok("load", "-i", path)
    for number in range(300):
        assert (pathlib.Path(layer_of(loop, "made:1")) / f"a/{number}").stat().st_size == 3000


# F10: corruption


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def documents(engine):
    """Configs and manifests by what they are."""
    found = {}
    for path in sorted((engine.root / "blobs/sha256").iterdir()):
        if path.read_bytes()[:1] == b"{":
            found["manifest" if "layers" in json.loads(path.read_bytes()) else "config"] = path
    return found


def document(engine, what):
    return documents(engine)[what]


def layer_blob(engine):
    """The stored layer that nothing else can give."""
    layers = json.loads(document(engine, "manifest").read_bytes())["layers"]
    return engine.root / "blobs/sha256" / layers[-1]["digest"].partition(":")[2]


def remove_tree(path):
    subprocess.run(["rm", "-rf", path], check=True)


# What is damaged; the words that name it; whether --repair alone mends it, or the archive is needed again.
DAMAGES = [
    ("flipped layer blob", lambda engine: flip(layer_blob(engine)), "blob sha256:", "archive"),
    ("missing layer blob", lambda engine: layer_blob(engine).unlink(), "blob sha256:", "archive"),
    ("empty layer blob", lambda engine: layer_blob(engine).write_bytes(b""), "blob sha256:", "archive"),
    ("flipped config", lambda engine: flip(document(engine, "config")), "blob sha256:", "repair"),
    ("missing config", lambda engine: document(engine, "config").unlink(), "blob sha256:", "repair"),
    ("empty manifest", lambda engine: document(engine, "manifest").write_bytes(b""), "blob sha256:", "repair"),
    ("missing manifest", lambda engine: document(engine, "manifest").unlink(), "blob sha256:", "repair"),
    ("missing layer directory", lambda engine: remove_tree(next((engine.root / "layers").iterdir())), "layer sha256:", "repair"),
    ("layer directory that is a file", lambda engine: [(path := next((engine.root / "layers").iterdir())), remove_tree(path), path.write_text("x")], "layer sha256:", "repair"),
    ("all layers missing", lambda engine: [remove_tree(path) for path in (engine.root / "layers").iterdir()], "layer sha256:", "repair"),
    ("missing index", lambda engine: (engine.root / "index.json").unlink(), "index index.json", "repair"),
    ("empty index", lambda engine: (engine.root / "index.json").write_bytes(b""), "index index.json", "repair"),
    ("index of noise", lambda engine: (engine.root / "index.json").write_bytes(os.urandom(100)), "index index.json", "repair"),
    ("missing oci-layout", lambda engine: (engine.root / "oci-layout").unlink(), "index index.json", "repair"),
    ("a blob of nobody", lambda engine: (engine.root / "blobs/sha256" / ("0" * 64)).write_bytes(b"x"), "garbage blobs", "repair"),
    ("a layer of nobody", lambda engine: (engine.root / "layers" / ("0" * 64)).mkdir(), "garbage layers", "repair"),
    ("a tree in the trash", lambda engine: (engine.root / "trash/old/deep").mkdir(parents=True), "garbage trash", "repair"),
    ("a lost database", lambda engine: [path.unlink() for path in engine.root.glob("berth.db*")], "database berth.db", "repair"),
]  # fmt: skip


@pytest.mark.parametrize("damage,named,cure", [pytest.param(*row[1:], id=row[0].replace(" ", "_")) for row in DAMAGES])
def test_f10_damage(fresh, who, place, damage, named, cure):
    """Named by `system check`, mended by `--repair` or by loading again; nothing else is touched."""
    path = archive(place)
    fresh.ok("load", "-i", path)
    fresh.ok("load", "-i", archive(place, "other", text="y"))
    whole = state(fresh)
    damage(fresh)
    for made in (fresh.root, *fresh.root.rglob("*")):
        if made.stat(follow_symlinks=False).st_uid == os.geteuid():
            os.chown(made, who.uid, who.gid, follow_symlinks=False)
    assert any(name.startswith(named) for _, name, _ in oracle.findings(fresh)), oracle.findings(fresh)
    fresh.ok("load", "-i", path) if cure == "archive" else None
    oracle.findings(fresh, "--repair")
    if cure == "archive":
        for name in ("made", "other"):
            fresh.ok("load", "-i", place / name)
    assert oracle.findings(fresh) == []
    assert state(fresh) == whole
    oracle.assert_sound(fresh, repair=False)


@pytest.mark.parametrize(
    "title,damage",
    [
        ("garbage", lambda path: path.write_bytes(os.urandom(20_000))),
        ("garbage in the middle", lambda path: path.write_bytes(path.read_bytes()[:5000] + os.urandom(5000) + path.read_bytes()[10_000:])),
        ("a text", lambda path: path.write_text("hello\n" * 1000)),
        ("cut in half", lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])),
        ("a directory", lambda path: [path.unlink(), path.mkdir()]),
    ],
)  # fmt: skip
def test_f10_a_damaged_database(fresh, who, place, title, damage):
    """Every command says what is damaged and what to type; done, the images are there again."""
    fresh.ok("load", "-i", archive(place))
    whole = state(fresh)
    settle(fresh)
    path = fresh.root / "berth.db"
    damage(path)
    if not path.is_dir():
        os.chown(path, who.uid, who.gid)
    result = fresh.call("images")
    check = fresh.call("system", "check")
    assert not result.ok or not check.ok or "berth.db" in check.out, (result, check)
    assert "berth.db" in result.err + check.err + check.out
    path.rename(path.with_suffix(".damaged"))
    for name in ("berth.db-wal", "berth.db-shm"):
        (fresh.root / name).unlink(missing_ok=True)
    oracle.findings(fresh, "--repair")
    assert state(fresh) == whole
    oracle.assert_sound(fresh, repair=False)


def settle(engine):
    """Brings the log of the database into its file."""
    import sqlite3

    connection = sqlite3.connect(engine.root / "berth.db")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def test_f10_a_newer_schema(fresh, who, place):
    import sqlite3

    fresh.ok("load", "-i", archive(place))
    connection = sqlite3.connect(fresh.root / "berth.db")
    connection.execute("PRAGMA user_version=999")
    connection.close()
    for command in (["images"], ["load", "-i", place / "made"], ["rmi", "made:1"], ["system", "check"]):
        result = fresh.call(*command)
        assert result.code != 0 and "version 999" in result.err + result.out, command
    assert json.loads((fresh.root / "index.json").read_text())["manifests"]


def test_f10_volumes_are_never_removed(fresh, who):
    """A directory among the volumes that no row knows is told, and stays."""
    fresh.ok("images")
    folder = fresh.root / "volumes/precious/_data"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "file").write_text("precious")
    oracle.findings(fresh, "--repair")
    assert (folder / "file").read_text() == "precious"


def test_layout_of_the_store_is_one(fresh, place):
    """Other tools read the store itself as a layout: what index.json names is there."""
    fresh.ok("load", "-i", archive(place))
    index = json.loads((fresh.root / "index.json").read_text())
    names = {entry["annotations"]["org.opencontainers.image.ref.name"] for entry in index["manifests"]}
    assert names == {"docker.io/library/made:1"}
    layout = Layout()
    assert json.loads((fresh.root / "oci-layout").read_text()) == json.loads(layout.files["oci-layout"])
