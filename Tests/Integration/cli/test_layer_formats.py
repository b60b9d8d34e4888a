"""Layers as directories and as tars with an erofs index: the same trees, the same commands, and what only the index has."""

import hashlib
import io
import json
import os
import pathlib
import random
import shutil
import struct
import subprocess
import tarfile

import erofs_layers
import images
import oracle
import pytest
import trees
from distribution import place  # noqa: F401  (conftest.py's would run each test of root's for a user too)
from images import Layer, docker_archive

CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0).decode("latin-1")
INDEX, TAR = "layer.erofs", "layer.tar"


def rich():
    """Two layers with everything a layer can say."""
    low = Layer().dir("etc", 0o751, uid=3, gid=4, mtime=1234567890.25).file("etc/plain", "plain\n", uid=70000, gid=80000)
    low.file("empty").file("setid", "s", mode=0o6755).file("nine", "n" * 4097, mtime=-5).file("block", "b" * 512)
    low.file("large", bytes(range(256)) * 5000).hardlink("etc/other-name", "large").hardlink("third", "etc/other-name")
    low.symlink("short", "etc/plain").symlink("long", "l" * 700).symlink("usrlib", "usr/lib").dir("usr").dir("usr/lib")
    low.file("usrlib/through-a-link", "t").file("a/b/c/implied", "i").dir("sticky", 0o1777).dir("closed", 0)
    low.add("fifo", tarfile.FIFOTYPE, mode=0o600).add("null", tarfile.CHRTYPE, major=1, minor=3, mode=0o666)
    low.add("disk", tarfile.BLKTYPE, major=259, minor=1048575, mode=0o660)
    low.file("capable", "c", pax={"SCHILY.xattr.security.capability": CAPABILITY})
    low.file("noted", "n", pax={"SCHILY.xattr.user.one": "1", "SCHILY.xattr.user.many": "v" * 900, "SCHILY.xattr.trusted.t": "t"})
    low.dir("noted.d", pax={"SCHILY.xattr.user.dir": "d"}).dir("twice", 0o700).file("twice/in", "x").dir("twice", 0o705, uid=9)
    low.file("wins", "first").file("wins", "second").dir("was").file("was/gone", "x").file("was", "a file now")
    low.file("lower/hidden", "h").file("gone", "g").file("opaque/below", "b").dir("many").file("replaced/below", "r")
    for number in range(400):
        low.file(f"many/{'n' * (number * 7 % 240)}{number}", str(number))
    for name in ("!", "-", "..x", ".hidden", "\u00fc", "A", "a ", "sp ace"):
        low.file("odd/" + name, name)
    low.file("deep/" + "d/" * 300 + "end", "deep")
    top = Layer().whiteout("gone").whiteout("lower/hidden").dir("opaque").opaque("opaque").file("opaque/above", "a")
    top.whiteout("replaced").dir("replaced").file("replaced/new", "n").file("etc/plain", "changed\n").dir("etc", 0o755)
    top.whiteout("both").file("both", "here").file("early", "e").whiteout("early")
    return [low, top]


def image(*layers, name="made:1", compression="gzip"):
    return docker_archive(list(layers), [name], compression=compression)


def layers_of(engine, name="made:1"):
    data = engine.inspect(name, "GraphDriver.Data")
    return [path for path in [data.get("UpperDir", ""), *data.get("LowerDir", "").split(":")] if path]


def tree_of(layer):
    """What a layer has; times of whiteouts, and of directories that the tar only implies, are of the moment in one format."""
    with erofs_layers.directory(layer) as directory:
        found = trees.tree(directory)
    for item in found.values():
        if item["mode"].startswith("0o4") or item.get("device") == [0, 0]:
            item.pop("mtime", None)
    return found


def opaque(layer, name):
    with erofs_layers.directory(layer) as directory:
        return "trusted.overlay.opaque" in os.listxattr(f"{directory}/{name}")


def both(engine, place, data, name="made:1"):
    """Loads an image in one format after the other; gives what `look` of each says."""
    path = images.write(place / "archive", data)

    def load(look):
        seen = {}
        for engine.layer_format in ("directory", "erofs"):
            engine.ok("load", "-i", path)
            formats = {layer.rpartition("/")[2] for layer in layers_of(engine, name)}
            assert formats == {"fs" if engine.layer_format == "directory" else INDEX}
            seen[engine.layer_format] = look()
            engine.ok("rmi", name)
            assert os.listdir(engine.root / "layers") == [] and oracle.unfinished(engine) == []
        return seen

    return load


@pytest.mark.parametrize("compression", [None, "gzip", "zstd"])
def test_same_trees(indexed, place, compression):
    def look():
        top, low = layers_of(indexed)
        assert opaque(top, "opaque") and opaque(top, "replaced") and not opaque(top, "etc")
        return tree_of(top), tree_of(low)

    seen = both(indexed, place, image(*rich(), compression=compression))(look)
    for one, other in zip(seen["directory"], seen["erofs"], strict=True):
        assert sorted(one) == sorted(other)
        for name in one:
            assert one[name] == other[name], name
    assert seen["erofs"][1]["capable"]["xattrs"]["security.capability"] == CAPABILITY.encode("latin-1").hex()


def test_same_container(indexed, suite, place):
    """What a container sees of two layers, on top of one with a shell, is the same."""
    script = "find / -xdev ! -path '/dev*' ! -path '/proc*' ! -path '/sys*' ! -path '/etc/host*' ! -path '/etc/resolv.conf' | sort > /tmp/l; "
    script += "while read -r f; do stat -c '%n %f %u %g %t %T %h' \"$f\"; done < /tmp/l; "
    script += "find / -xdev -type f ! -path '/tmp/*' ! -path '/etc/host*' ! -path '/etc/resolv.conf' -exec sha256sum {} + | sort -k2"
    data = image(images.base_layer(suite.init), *rich())

    def look():
        result = indexed.run("made:1", "sh", "-c", script, timeout=60).check()
        # A directory has other numbers of links on other file systems.
        return [line.rpartition(" ")[0] if " 4" in line else line for line in result.lines]

    seen = both(indexed, place, data)(look)
    assert len(seen["erofs"]) > 800 and seen["erofs"] == seen["directory"]


def test_commands_of_a_container(indexed, test_archive):
    indexed.ok("load", "-i", test_archive)
    indexed.up("--name", "up", "-v", "data:/home/app", "--user", "app")
    assert indexed.ok("exec", "up", "id", "-u").text == "1000"
    assert indexed.ok("exec", "-u", "both", "up", "id", "-G").text.split() == ["1000", "63"]
    # The volume took the directory's owner, by way of the layers.
    assert indexed.ok("exec", "up", "stat", "-c", "%u %g", "/home/app").text == "1000 1000"
    indexed.ok("exec", "-u", "root", "up", "sh", "-c", "echo changed > /etc/group; rm /bin/ps; mv /opt /moved; ln /init /second")
    indexed.ok("restart", "-t", "0", "up")
    script = "cat /etc/group; ls -d /bin/ps /opt; stat -c %h /init; ls -d /moved"
    assert indexed.call("exec", "-u", "0", "up", "sh", "-c", script).lines == ["changed", "2", "/moved"]
    # Nothing of the layers is mounted where the host sees it.
    assert not [line for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines() if "- erofs" in line]
    indexed.ok("rm", "-f", "up")
    indexed.assert_clean()


def test_a_user_namespace(indexed, test_archive):
    """Layers are shown with the container's ids."""
    indexed.ok("load", "-i", test_archive)
    script = "cat /proc/self/uid_map; stat -c %u /bin/busybox /home/app; echo x > /etc/new && stat -c %u /etc/new"
    found = indexed.sh("--userns", "auto", script).check().lines
    assert found[0].split()[1] != "0" and found[1:] == ["0", "1000", "0"]


def test_another_runtime(indexed, test_archive):
    runtime = shutil.which("runc")
    if not runtime:
        pytest.skip("no runc")
    indexed.ok("load", "-i", test_archive)
    assert indexed.run("--runtime", runtime, "test", "echo", "hello").check().text == "hello"
    indexed.assert_clean()


def test_both_formats_in_one_image(indexed, suite, place):
    base = images.base_layer(suite.init)
    indexed.layer_format = "directory"
    indexed.ok("load", "-i", images.write(place / "base", image(base, name="base:1")))
    indexed.layer_format = "erofs"
    top = Layer().file("etc/motd", "above\n").whiteout("opt")
    indexed.ok("load", "-i", images.write(place / "top", image(base, top)))
    assert [layer.rpartition("/")[2] for layer in layers_of(indexed)] == [INDEX, "fs"]
    assert indexed.run("made:1", "sh", "-c", "cat /etc/motd; ls -d /opt /bin").out == "above\n/bin\n"
    oracle.assert_sound(indexed)


def test_removal(indexed, place):
    """Two files each; the tar of a plain layer is its blob by another name."""
    plain, packed = Layer().file("a", "a" * 9000), Layer().file("b", "b" * 9000)
    indexed.ok("load", "-i", images.write(place / "plain", image(plain, name="plain:1", compression=None)))
    indexed.ok("load", "-i", images.write(place / "packed", image(packed, name="packed:1")))
    for name, layer in (("plain:1", plain), ("packed:1", packed)):
        directory = pathlib.Path(layers_of(indexed, name)[0]).parent
        assert sorted(os.listdir(directory)) == [INDEX, TAR]
        assert (directory / TAR).read_bytes() == layer.bytes
        blob = indexed.root / "blobs/sha256" / hashlib.sha256(layer.bytes).hexdigest()
        assert blob.exists() == (name == "plain:1") and (not blob.exists() or blob.samefile(directory / TAR))
    indexed.ok("rmi", "plain:1", "packed:1")
    assert os.listdir(indexed.root / "layers") == [] == os.listdir(indexed.root / "blobs/sha256") == oracle.unfinished(indexed)


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_usage(indexed, place, compression):
    """`system df` counts what du counts, and a file of two names once."""
    indexed.ok("load", "-i", images.write(place / "archive", image(Layer().file("a", os.urandom(3 << 20)), compression=compression)))
    total = json.loads(indexed.ok("system", "df", "--format", "{{json .}}").lines[0])
    du = int(subprocess.run(["du", "-s", "-B1", indexed.root / "layers", indexed.root / "blobs"], check=True, capture_output=True, text=True).stdout.split()[0])
    du += int(subprocess.run(["du", "-s", "-B1", indexed.root / "blobs"], check=True, capture_output=True, text=True).stdout.split()[0]) if compression else 0
    size = float(total["Size"].removesuffix("MB")) * 1e6
    assert abs(size - du) < 0.02 * du, (total, du)


def test_saved_and_pushed_bytes_are_the_blobs(indexed, place):
    indexed.ok("load", "-i", images.write(place / "archive", image(*rich())))
    before = {path.name for path in (indexed.root / "blobs/sha256").iterdir()}
    indexed.ok("save", "--format", "oci-archive", "-o", place / "saved.tar", "made:1")
    with tarfile.open(place / "saved.tar") as saved:
        assert {name.rpartition("/")[2] for name in saved.getnames() if name.startswith("blobs/sha256/")} >= before


def sparse():
    """A file with holes, as GNU tar writes it."""
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        with open(f"{place}/holes", "wb") as file:
            file.seek(1 << 20)
            file.write(b"data")
            file.truncate(2 << 20)
        return subprocess.run(["tar", "-C", place, "-S", "-cf", "-", "holes"], check=True, capture_output=True).stdout


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_what_an_index_cannot_say(indexed, place, compression):
    """Such a layer becomes a directory; the others of its image do not."""
    indexed.ok("load", "-i", images.write(place / "archive", image(Layer().file("f", "x"), sparse(), compression=compression)))
    top, low = layers_of(indexed)
    assert top.endswith("/fs") and low.endswith(INDEX)
    assert os.listdir(pathlib.Path(top).parent) == ["fs"]
    assert pathlib.Path(top, "holes").stat().st_size == 2 << 20 and pathlib.Path(top, "holes").stat().st_blocks < 100
    oracle.assert_sound(indexed)


# Damage


@pytest.fixture
def stocked(indexed, place):
    layers = [Layer().dir("d", 0o750).file("d/text", "content"), Layer().file("upper", "u" * 5000).whiteout("d/text")]
    indexed.ok("load", "-i", images.write(place / "archive", image(*layers)))
    indexed.ok("create", "--network", "none", "--name", "kept", "made:1", "true")
    return indexed


def flip(path, offset):
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


DAMAGE = {
    "content changed": (lambda layer: flip(layer / TAR, 600), "its tar has the diff id sha256:"),
    "tar cut": (lambda layer: os.truncate(layer / TAR, 700), "its tar has the diff id sha256:|its tar cannot be read"),
    "tar grown": (lambda layer: os.truncate(layer / TAR, 1 << 20), "its tar has the diff id sha256:"),
    "tar gone": (lambda layer: (layer / TAR).unlink(), "its files are missing"),
    "index changed": (lambda layer: flip(layer / INDEX, 1400), "its index is not that of its tar"),
    "index emptied": (lambda layer: (layer / INDEX).write_bytes(b""), "its index is not that of its tar"),
    "index grown": (lambda layer: os.truncate(layer / INDEX, 1 << 20), "its index"),
    "index gone": (lambda layer: (layer / INDEX).unlink(), "its files are missing"),
    "both gone": (shutil.rmtree, "its files are missing"),
}


@pytest.mark.parametrize("damage,told", [pytest.param(*row, id=name.replace(" ", "_")) for name, row in DAMAGE.items()])
def test_found_and_repaired(stocked, damage, told):
    assert oracle.findings(stocked) == []
    layer = pathlib.Path(layers_of(stocked)[1]).parent
    before = {name: (layer / name).read_bytes() for name in (INDEX, TAR)}
    damage(layer)
    result = stocked.call("system", "check")
    assert result.code == 1
    found = oracle.findings(stocked)
    assert len(found) == 1 and found[0][1].startswith("layer sha256:"), found
    assert any(part in found[0][2] for part in told.split("|")), found
    repaired = oracle.findings(stocked, "--repair")
    assert any("repaired" in text for _, _, text in repaired), repaired
    assert {name: (layer / name).read_bytes() for name in (INDEX, TAR)} == before
    assert oracle.findings(stocked) == []
    oracle.assert_sound(stocked, repair=False)


def test_an_index_is_repaired_below_a_running_container(indexed, test_archive):
    """The old file stays mounted; a tar is not replaced under somebody."""
    indexed.ok("load", "-i", test_archive)
    indexed.up("--name", "up")
    layer = pathlib.Path(layers_of(indexed, "test")[0]).parent
    # A byte nobody looks at: the mounted index reads this very file.
    flip(layer / INDEX, 100)
    assert indexed.call("system", "check").code == 1
    assert any("repaired" in text for _, _, text in oracle.findings(indexed, "--repair"))
    assert indexed.ok("exec", "up", "cat", "/etc/group").out == images.GROUP
    assert oracle.findings(indexed) == []


def test_a_damaged_index_harms_only_its_containers(stocked):
    """Whatever the bytes, the kernel refuses or shows something; the engine says so and lives."""
    layer = pathlib.Path(layers_of(stocked)[1]).parent
    good = (layer / INDEX).read_bytes()
    for seed in range(25):
        spoiled = bytearray(good)
        for _ in range(8):
            spoiled[random.Random(seed).randrange(1024, len(spoiled))] = seed * 37 % 256
        (layer / INDEX).write_bytes(spoiled)
        result = stocked.run("made:1", "true")
        assert result.code in (125, 126, 127) and result.err
    (layer / INDEX).write_bytes(good)
    oracle.assert_sound(stocked)


# Any layer at all


def arbitrary(seed):
    """A layer of random entries that get in each other's way."""
    rng = random.Random(seed)
    directories, leaves, made = ["p", "q", "p/q", "p/r", "l"], ["a", "b", "c", "l", "x.y"], ["a"]

    def path():
        # Now and then a directory has the name of a file, or the other way round.
        if rng.random() < 0.06:
            return "/".join(rng.choice(["p", "q", "a", "l"]) for _ in range(rng.randint(1, 3)))
        return "/".join([*rng.choices(directories, k=rng.randint(0, 1)), rng.choice(leaves)])

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for number in range(rng.randint(3, 40)):
            name, kind = path(), rng.choice("fffddlhwop")
            info = tarfile.TarInfo(name)
            info.mode, info.uid, info.gid, info.mtime = rng.choice([0o644, 0o755, 0o4711, 0o000]), rng.randrange(3), rng.randrange(70000), number
            data = b""
            if kind == "f":
                data = bytes([number]) * rng.choice([0, 1, 511, 512, 513, 4096, 5000])
            elif kind == "d":
                info.type, info.mode = tarfile.DIRTYPE, rng.choice([0o755, 0o700])
                info.name = rng.choice([*directories[:-1], name])
            elif kind == "l":
                info.type, info.linkname = tarfile.SYMTYPE, rng.choice(["", "/", "../"]) + rng.choice([*directories, path()])
            elif kind == "h":
                info.type, info.linkname = tarfile.LNKTYPE, rng.choice(made)
            elif kind in "wo":
                directory, _, base = name.rpartition("/")
                info.name = (directory + "/" if directory else "") + (".wh." + base if kind == "w" else ".wh..wh..opq")
            else:
                info.type = tarfile.FIFOTYPE
            if rng.random() < 0.2 and kind in "fd":
                info.pax_headers = {"SCHILY.xattr.user." + rng.choice("pq"): rng.choice(["", "v", "w" * 300])}
            info.size = len(data)
            made += [info.name] if kind == "f" else []
            tar.addfile(info, io.BytesIO(data) if data else None)
    return buffer.getvalue()


def with_marks(layer):
    """A tree with overlay's marks; owners and times of directories are left out where the tar does not say them."""
    found = tree_of(layer)
    for name in found:
        if found[name]["mode"].startswith("0o4") and opaque(layer, name):
            found[name]["opaque"] = True
    return found


@pytest.mark.parametrize("batch", range(4))
def test_arbitrary_layers(indexed, place, batch):
    """Both formats take the same layers, and make the same of them."""
    taken = 0
    for seed in range(batch * 25, batch * 25 + 25):
        path = images.write(place / "archive", image(arbitrary(seed), compression=None))
        outcomes = []
        for indexed.layer_format in ("directory", "erofs"):
            result = indexed.call("load", "-i", path)
            outcomes.append(with_marks(layers_of(indexed)[0]) if result.code == 0 else result.err)
            if result.code == 0:
                indexed.ok("rmi", "made:1")
                taken += 1
        assert outcomes[0] == outcomes[1], seed
        assert os.listdir(indexed.root / "layers") == [] == oracle.unfinished(indexed)
    assert taken > 8


# The setting


def configured(engine, place, text):
    path = place / "config/berth/berth.conf"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return {"XDG_CONFIG_HOME": str(place / "config")}


def test_the_setting(indexed, place):
    archive = images.write(place / "archive", image(Layer().file("f", "x")))
    indexed.layer_format = None
    for value, expected in ((None, "fs"), ("directory", "fs"), ("erofs", INDEX), ("auto", INDEX)):
        env = configured(indexed, place, f'[store]\nlayer_format = "{value}"\n' if value else "")
        indexed.ok("load", "-i", archive, env=env)
        assert layers_of(indexed)[0].endswith("/" + expected)
        indexed.ok("rmi", "made:1")


def test_a_setting_that_is_none(fresh, place):
    archive = images.write(place / "archive", image(Layer().file("f", "x")))
    env = configured(fresh, place, '[store]\nlayer_format = "tar"\n')
    fresh.call("load", "-i", archive, env=env).fails(1, r'berth.conf:2: layer_format: unknown format "tar"; known: directory, erofs, auto')
    fresh.layer_format = "tar"
    fresh.call("load", "-i", archive).fails(1, r'BERTH_LAYER_FORMAT: unknown format "tar"')


def test_a_user_cannot_have_it(suite, berth_programs, user_berth, place):
    from berth import Berth

    engine = Berth(suite, suite.user, berth_programs)
    try:
        archive = images.write(place / "archive", image(Layer().file("f", "x")))
        engine.layer_format = "erofs"
        result = engine.call("load", "-i", archive).fails(1, r"layers cannot be kept as erofs: only root can mount layers; set layer_format")
        assert result.err.count("\n") == 1
        engine.layer_format = "auto"
        engine.ok("load", "-i", archive)
        assert layers_of(engine)[0].endswith("/fs")
    finally:
        engine.close()
