"""`system check`: the eleven damages of podman's own test, and every file a container has, cut, emptied, spoiled or gone (fault row F10).

What is in blobs, index.json and the database is damaged in test_images_faults.py.
"""

import json
import os
import pathlib
import shutil
import sqlite3
import subprocess
import time

import images
import oracle
import pytest
from images import Layer, docker_archive


@pytest.fixture
def stocked(fresh, place):
    layers = [Layer().dir("d", 0o750).file("d/text", "content").symlink("link", "d/text"), Layer().file("upper", "u" * 5000).whiteout("link")]
    fresh.ok("load", "-i", images.write(place / "archive", docker_archive(layers, ["made:1"], compression="gzip")))
    fresh.ok("create", "--network", "none", "--name", "kept", "made:1", "true")
    return fresh


def give(engine):
    """What the test writes as root belongs to the user of the store."""
    if os.geteuid() == 0 and not engine.who.is_root:
        for made in (engine.root, *engine.root.rglob("*")):
            if made.stat(follow_symlinks=False).st_uid == 0:
                os.chown(made, engine.who.uid, engine.who.gid, follow_symlinks=False)


def layer(engine, file):
    """The layer that has the file."""
    return next(path for path in (engine.root / "layers").glob("*/fs") if (path / file).exists())


def execute(engine, sql):
    connection = sqlite3.connect(engine.root / "berth.db")
    with connection:
        connection.execute("PRAGMA foreign_keys=OFF")
        connection.execute(sql)
    connection.close()


def flip(path):
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)


def blob(engine, kind):
    for path in (engine.root / "blobs/sha256").iterdir():
        data = path.read_bytes()
        is_document = data[:1] == b"{"
        if kind == ("layer" if not is_document else "manifest" if b'"layers":[' in data.replace(b" ", b"") and b"diff_ids" not in data else "config"):
            return path


CASES = {
    "unmanaged layers": (lambda engine: (engine.root / "layers" / ("0" * 64) / "fs").mkdir(parents=True), "garbage layers/000"),
    "unused layers": (
        lambda engine: [
            (engine.root / "layers" / ("1" * 64) / "fs").mkdir(parents=True),
            execute(engine, f"INSERT INTO layers VALUES('sha256:{'1' * 64}',NULL,'sha256:{'1' * 64}',1,NULL)"),
        ],
        "garbage layers/111",
    ),
    "layer content changed": (lambda engine: flip(layer(engine, "d/text") / "d/text"), "layer sha256:"),
    "layer content emptied": (lambda engine: (layer(engine, "upper") / "upper").write_bytes(b""), "layer sha256:"),
    "layer content added": (lambda engine: (layer(engine, "d/text") / "d/new").write_text("x"), "layer sha256:"),
    "layer permissions changed": (lambda engine: (layer(engine, "d/text") / "d").chmod(0o777), "layer sha256:"),
    "layer link changed": (lambda engine: [(path := layer(engine, "d/text") / "link").unlink(), path.symlink_to("elsewhere")], "layer sha256:"),
    "whiteout gone": (lambda engine: [shutil.rmtree(path := layer(engine, "upper")), path.mkdir(mode=0o755), (path / "upper").write_text("u" * 5000)], "layer sha256:"),
    "image layer missing": (lambda engine: shutil.rmtree(layer(engine, "d/text").parent), "layer sha256:"),
    "image data missing": (lambda engine: blob(engine, "config").unlink(), "blob sha256:"),
    "image data modified": (lambda engine: flip(blob(engine, "manifest")), "blob sha256:"),
    "image data modified in the database": (lambda engine: execute(engine, "UPDATE images SET config=x'00'"), "image sha256:"),
    "layer data not named": (lambda engine: execute(engine, "DELETE FROM image_blobs WHERE size>1000"), None),
}  # fmt: skip


@pytest.mark.parametrize("damage,named", [pytest.param(*row, id=name.replace(" ", "_")) for name, row in CASES.items()])
def test_found_and_repaired(stocked, damage, named):
    damage(stocked)
    give(stocked)
    found = oracle.findings(stocked)
    if named:
        assert [name for _, name, _ in found if name.startswith(named)], found
        assert all(not ok for ok, _, _ in found)
    told = oracle.findings(stocked, "--repair")
    assert not named or any("repaired" in text for _, _, text in told), told
    assert oracle.findings(stocked) == []
    base = layer(stocked, "d/text")
    assert (base / "d/text").read_text() == "content" and os.readlink(base / "link") == "d/text" and not (base / "d/new").exists()
    assert (layer(stocked, "upper") / "upper").read_text() == "u" * 5000 and (base / "d").stat().st_mode & 0o7777 == 0o750
    oracle.assert_sound(stocked, repair=False)


def test_what_is_quick(stocked):
    """Only whether everything is there: content is not read."""
    flip(layer(stocked, "d/text") / "d/text")
    blob(stocked, "layer").write_bytes(b"x")
    give(stocked)
    found = [row for row in json.loads(stocked.ok("system", "check", "-q", "--format", "{{json .}}").out) if row["Name"] not in oracle.HOST]
    assert found == []
    blob(stocked, "config").unlink()
    result = stocked.call("system", "check", "--quick")
    assert result.code == 1 and "it is missing" in result.out


def test_force_removes_what_can_run_no_more(stocked):
    """Without the layer and its blob: the container stays unless it is asked for, as its layers may be loaded again."""
    shutil.rmtree(layer(stocked, "upper").parent)
    for path in (stocked.root / "blobs/sha256").iterdir():
        if path.read_bytes()[:2] == b"\x1f\x8b":
            path.unlink()
    stocked.call("system", "check", "--force").fails(1, "--force says what --repair may remove: give both")
    stocked.call("system", "check", "--repair")
    assert stocked.names("-a") == ["kept"]
    assert "its layer sha256:" in stocked.call("system", "check", "--repair", "--force").out
    assert stocked.names("-a") == [] and stocked.ok("images", "-aq").text == ""
    stocked.ok("system", "check")


def test_downloads_that_broke_off(stocked):
    """They are kept for a week, or as long as is said."""
    partial = stocked.root / "partial"
    partial.mkdir(exist_ok=True)
    (partial / ("a" * 64)).write_bytes(b"some")
    os.utime(partial / ("a" * 64), (time.time() - 7200,) * 2)
    give(stocked)
    assert "partial/" not in stocked.ok("system", "check").out
    assert "partial/" not in stocked.ok("system", "check", "--max", "3h").out
    assert f"partial/{'a' * 64}: left by a command that was killed" in stocked.ok("system", "check", "-m", "1h").out
    stocked.ok("system", "check", "--repair", "--max", "1h")
    assert os.listdir(partial) == []
    stocked.call("system", "check", "--max", "-1h").fails(1, "--max cannot be negative")


def test_exit_status(stocked):
    stocked.ok("system", "check")
    flip(layer(stocked, "d/text") / "d/text")
    give(stocked)
    result = stocked.call("system", "check")
    assert result.code == 1 and "FAIL layer sha256:" in result.out and '"d/text" has other content' in result.out
    assert "type: berth system check --repair" in result.out
    assert stocked.call("system", "check", "-r").code == 0
    assert stocked.call("system", "check").code == 0


def test_files_below_a_running_container_stay(fresh, test_archive):
    fresh.ok("load", "-i", test_archive, timeout=60)
    name = fresh.up("--name", "runs")
    target = layer(fresh, "etc/passwd") / "etc/passwd"
    content = target.read_bytes()
    target.write_bytes(content + b"x:x:0:0::/:\n")
    result = fresh.call("system", "check", "--repair", timeout=60)
    assert result.code == 1 and f"berth stop {name[:12]}, then berth system check --repair" in result.out
    assert fresh.ok("exec", "runs", "true").code == 0
    fresh.ok("rm", "-f", "runs")
    fresh.ok("system", "check", "--repair", timeout=60)
    assert (layer(fresh, "etc/passwd") / "etc/passwd").read_bytes() == content
    assert fresh.run("test", "echo", "x").check().out == "x\n"


def test_a_container_whose_image_is_gone(stocked):
    stocked.ok("rmi", "-f", "made:1")
    assert oracle.findings(stocked) == []
    # The layers are its own now; nothing is left to compare them with.
    assert stocked.inspect("kept", "Image").startswith("sha256:")
    stocked.ok("rm", "kept")
    oracle.assert_sound(stocked)


HOW = {
    "missing": lambda path: path.unlink(), "empty": lambda path: path.write_bytes(b""), "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)), "noise": lambda path: path.write_bytes(os.urandom(1000)),
    "a directory": lambda path: [path.unlink(), path.mkdir()],
}  # fmt: skip


@pytest.mark.parametrize("how", HOW)
def test_files_of_a_container(fresh, test_archive, how):
    """Whatever one of them is: it is listed, told of or put right, and can be removed."""
    fresh.ok("load", "-i", test_archive, timeout=60)
    fresh.ok("run", "--network", "none", "--name", "model", "test", "true")
    folder = fresh.root / "containers" / fresh.inspect("model", "Id")
    files = [path.name for path in folder.iterdir() if path.is_file()]
    assert {"config.json", "supervise.json", "exit.json"} <= set(files)
    fresh.ok("rm", "model")
    # A directory in the place of the lock is nobody's accident: rm says what it is.
    for name in sorted(set(files) - ({"lock"} if how == "a directory" else set())):
        fresh.ok("run", "--network", "none", "--name", "it", "test", "true")
        path = fresh.root / "containers" / fresh.inspect("it", "Id") / name
        HOW[how](path)
        give(fresh)
        assert fresh.names("-a") == ["it"], name
        result = fresh.call("system", "check", "--repair", timeout=60)
        assert result.code in (0, 1) and "Fatal error" not in result.err, (name, result)
        started = fresh.call("start", "-a", "it")
        assert started.code in (0, 1, 125) and "Fatal error" not in started.err, (name, started)
        fresh.ok("rm", "-f", "it")
    oracle.assert_sound(fresh)


def test_a_store_that_is_full(loop, place):
    """What cannot be compared for want of room is told, and is no damage."""
    data = docker_archive([Layer().file("big", os.urandom(3_000_000))], ["made:1"])
    loop.ok("load", "-i", images.write(place / "archive", data))
    loop.fill()
    result = loop.call("system", "check")
    assert result.code == 0 and "warn unchecked layers: they cannot be compared" in result.out, result
    loop.unfill()
    assert oracle.findings(loop) == []


def test_read_only_store(stocked):
    """Checking needs room to unpack; where there is none to be had, the rest is checked."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount")
    script = f"mount --bind {stocked.root} {stocked.root} && mount -o remount,bind,ro {stocked.root} && exec \"$@\""
    done = subprocess.run(
        ["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh", *(
            ["setpriv", "--reuid", str(stocked.who.uid), "--regid", str(stocked.who.gid), "--clear-groups"] if not stocked.who.is_root else []
        ), str(stocked.program), "system", "check"],
        env=stocked.environment(), capture_output=True, text=True, cwd="/", timeout=60,
    )  # fmt: skip
    assert "FAIL" not in done.stdout and "unchecked layers" in done.stdout, done
    assert pathlib.Path(stocked.root).is_dir()
