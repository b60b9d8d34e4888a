"""Hostile images end to end: each row of the attacks on unpacking and loading, by `load`, `import` and `pull`, as root and as a user.

The canary lies outside of every store and belongs to whoever unpacks, so that only the engine keeps it unchanged.
"""

import json
import os
import pathlib
import re
import shutil
import signal
import stat
import subprocess
import threading
import time

import erofs_layers
import hostile_layers
import images
import oracle
import pytest
import trees
from fault_registry import FaultRegistry
from host import tree_state, wait_for
from hostile_layers import ROWS, Agrees, Becomes, Refused
from images import INDEX, MANIFEST, Layer, Layout, docker_archive

FULL = bool(os.environ.get("BERTH_TEST_FULL"))
COMPRESSIONS = (None, "gzip", "zstd")
DOORS = ("load", "import", "pull")
# Peak memory of a command, whatever it is given.
MEMORY_KIB = 64 << 10


@pytest.fixture
def canary(place, who):
    """What no image may touch; it belongs to the user, and anybody may write to it."""
    tree = place / "canary"
    (tree / "sub").mkdir(parents=True)
    (tree / "secret").write_text("canary-secret\n")
    (tree / "sub/file").write_text("untouched\n")
    for path in (tree, tree / "sub", tree / "secret", tree / "sub/file"):
        os.chown(path, who.uid, who.gid)
        path.chmod(0o777 if path.is_dir() else 0o666)
    before = tree_state(tree)
    yield tree
    assert tree_state(tree) == before


def measured(engine, place, *args, memory=MEMORY_KIB, **keywords):
    """Runs a command and holds its peak memory, children included, below the limit."""
    report = place / "peak"
    timer = shutil.which("time")
    wrap = ("/usr/bin/time", "-q", "-f", "%M", "-o", report) if timer or os.path.exists("/usr/bin/time") else ()
    result = engine.call(*args, wrap=wrap, **{"timeout": 60} | keywords)
    if wrap:
        peak = int(report.read_text().split()[-1])
        report.unlink()
        assert peak < memory, f"{peak} KiB at its peak"
    return result


def refused(engine, result, pattern=""):
    """A clean refusal: a code of the engine's own, words that fit, and nothing left."""
    assert result.code in (1, 125), f"exit {result.code}: {result.err}"
    assert re.search(pattern, result.err, re.I) and result.err.count("\n") <= 2, result.err
    assert not any(ord(letter) < 32 and letter != "\n" for letter in result.err), repr(result.err)
    assert oracle.images(engine) == {}
    assert oracle.unfinished(engine) == []
    for directory in ("layers", "blobs/sha256"):
        assert os.listdir(engine.root / directory) == []


def bring_in(engine, place, door, data, compression):
    if door == "import":
        path = images.write(place / "rootfs", images.compressed(data, compression))
        return measured(engine, place, "import", path, "hostile:1")
    if door == "pull":
        return pull(engine, place, data, compression)
    path = images.write(place / "archive", docker_archive([data], ["hostile:1"], compression=compression))
    return measured(engine, place, "load", "-i", path)


def pull(engine, place, data, compression):
    """From a registry that gives whatever it has; what came is named as in the other doors."""
    kind = {None: "", "gzip": "+gzip", "zstd": "+zstd"}[compression]
    with FaultRegistry() as registry:
        registry.add_image(
            "hostile", "1", [images.compressed(data, compression)], layer_type="application/vnd.oci.image.layer.v1.tar" + kind,
            diff_ids=[images.digest(data)])  # fmt: skip
        name = f"{registry.host}/hostile:1"
        result = measured(engine, place, "pull", "-q", name, memory=2 * MEMORY_KIB)
        if result.code == 0:
            engine.ok("tag", name, "hostile:1")
            engine.ok("rmi", name)
    return result


KINDS = {stat.S_IFDIR: "d", stat.S_IFLNK: "l", stat.S_IFIFO: "p", stat.S_IFCHR: "c", stat.S_IFBLK: "b"}


def found_in(directory):
    """What a layer has, in the form of the rows. Trees may be deeper than a path is long: walked by descriptor, without recursion."""
    found, more = {}, {"xattrs": {}, "modes": {}, "names": set()}
    pending = [("", os.open(directory, os.O_RDONLY | os.O_DIRECTORY))]
    while pending:
        prefix, descriptor = pending.pop()
        for name in os.listdir(descriptor):
            shown = prefix + name
            st = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            kind = KINDS.get(stat.S_IFMT(st.st_mode))
            opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=descriptor) if kind in (None, "d") else None
            found[shown] = kind or os.read(opened, 1 << 20)
            more["modes"][shown] = stat.S_IMODE(st.st_mode)
            more["names"].add(shown)
            if opened is not None:
                more["xattrs"][shown] = trees.attributes(opened)
            if kind == "d":
                pending.append((shown + "/", opened))
            elif opened is not None:
                os.close(opened)
        os.close(descriptor)
    return found, more


def layer_of(engine, name="hostile:1"):
    return erofs_layers.directory(engine.inspect(name, "GraphDriver.Data.UpperDir"))


def check_row(engine, result, data, expectation):
    if isinstance(expectation, Refused):
        refused(engine, result, expectation.pattern)
        return
    if isinstance(expectation, Agrees):
        if result.code:
            refused(engine, result)
            return
        gnu = subprocess.run(["tar", "-tf", "-", "--quoting-style=literal"], input=data, capture_output=True)
        names = sorted(name.strip("/") for name in gnu.stdout.decode().splitlines())
        assert gnu.returncode == 0 and names == hostile_layers.listed_by_tarfile(data), "two readings of it, and it was accepted"
        with layer_of(engine) as directory:
            seen, _ = found_in(directory)
        assert sorted(seen) == sorted(set(names))
        return
    result.check()
    with layer_of(engine) as directory:
        seen, more = found_in(directory)
    if expectation.tree is not None:
        assert seen == expectation.tree
    assert expectation.more is None or expectation.more(more), more
    # Nothing of the canary came in, and what came in goes again.
    assert b"canary-secret\n" not in seen.values()
    engine.ok("rmi", "hostile:1")
    assert os.listdir(engine.root / "layers") == [] and oracle.unfinished(engine) == []


def cases():
    """Every row with every compression through all doors takes long; else each of the rows takes its turn."""
    for number, (row, title, maker, expectation) in enumerate(ROWS):
        for compression in COMPRESSIONS if FULL else (COMPRESSIONS[number % 3],):
            for door in DOORS if FULL else (DOORS[number // 3 % 3],):
                name = f"{row}-{title}-{compression or 'plain'}-{door}".replace(" ", "_")
                yield pytest.param(maker, expectation, compression, door, id=name)


@pytest.mark.parametrize("maker,expectation,compression,door", cases())
def test_rows(fresh, layer_format, place, canary, maker, expectation, compression, door):
    data = maker(str(canary))
    check_row(fresh, bring_in(fresh, place, door, data, compression), data, expectation)


# S43, S51: many


@pytest.mark.skipif(not FULL, reason="65,001 links: BERTH_TEST_FULL=1")
def test_s43_more_links_than_the_file_system_has(fresh, place, canary):
    layer = Layer().file("f", "x")
    for number in range(65_001):
        layer.hardlink(f"h{number}", "f")
    result = bring_in(fresh, place, "import", layer.bytes, None)
    if result.code:
        refused(fresh, result, "too many links")


@pytest.mark.skipif(not FULL, reason="4,000,001 files: BERTH_TEST_FULL=1")
def test_s51_more_files_than_a_layer_may_have(fresh, place):
    """Written to a pipe, as the archive would have 2 GB."""
    process = fresh.popen("import", "-", "hostile:1", stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        for number in range(4_000_002):
            process.stdin.write(images.raw_header(f"{number % 1000}/{number}"))
        process.stdin.write(b"\0" * 1024)
    except BrokenPipeError:
        pass
    _, error = process.communicate(timeout=3000)
    assert process.returncode == 1 and b"more than 4000000 entries" in error
    assert oracle.images(fresh) == {} and oracle.unfinished(fresh) == []


@pytest.mark.parametrize("door", ["import", "load"])
def test_s51_interrupted(fresh, place, door):
    """Ctrl-C ends a long unpacking at once, and the next command clears away what was there."""
    layer = Layer()
    for number in range(300 if not FULL else 20_000):
        layer.file(f"d{number % 50}/{number}", "x" * 100)
    data = layer.bytes if door == "import" else docker_archive([layer], ["hostile:1"])
    process = fresh.popen(door, *(["-", "hostile:1"] if door == "import" else []), stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdin.write(data[: len(data) // 2])
    process.stdin.flush()
    wait_for(lambda: oracle.unfinished(fresh), "the command to be at work")
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    # A read of a pipe that gives nothing ends with the pipe.
    code = process.wait(20) if FULL else None
    if code is None:
        process.stdin.close()
        code = process.wait(20)
    assert time.monotonic() - start < 2 and code != 0
    process.stderr.close()
    wait_for(lambda: not fresh.processes(), "all processes to be gone")
    fresh.ok("import", images.write(place / "rootfs", Layer().file("a").bytes), "other:1")
    assert oracle.unfinished(fresh) == []
    assert list(oracle.images(fresh).values()) == [["other:1"]]
    oracle.assert_sound(fresh)


# S44: somebody swaps what was just made


@pytest.mark.parametrize("run", range(100 if FULL else 3))
def test_s44_a_racer(fresh, canary, place, run):
    """While a layer is unpacked, its directories are exchanged for links to the canary, all the time."""
    layer = Layer()
    for number in range(10_000 if FULL else 1500):
        folder = f"d{number % 8}"
        layer.add(f"{folder}/s{number % 3}", type=b"5", mode=0o777, uid=1, gid=1)
        layer.add(f"{folder}/secret", data=b"overwritten", mode=0o4777, uid=1, gid=1, pax={"SCHILY.xattr.user.x": "y"})
        layer.add(f"{folder}/sub/file", data=b"overwritten", mode=0o777)
    path = images.write(place / "rootfs", layer.bytes)
    stop = threading.Event()
    swapped = [0]

    def racer():
        staging = fresh.root / "staging"
        while not stop.is_set():
            try:
                roots = list(staging.glob("*/layer*/fs"))
            except OSError:
                continue
            for root in roots:
                for number in range(8):
                    try:
                        os.rename(root / f"d{number}", root / f"gone{swapped[0]}")
                        os.symlink(canary, root / f"d{number}")
                        swapped[0] += 1
                    except OSError:
                        pass

    thread = threading.Thread(target=racer)
    thread.start()
    try:
        # On a busy machine a whole import may pass before the racer gets a processor.
        for attempt in range(20):
            result = fresh.call("import", path, f"hostile:{attempt}", timeout=120)
            assert result.code in (0, 1), result.err
            if swapped[0] > 0:
                break
    finally:
        stop.set()
        thread.join()
    # The fixture compares the canary; here only that there was a race.
    assert swapped[0] > 0


# S50: bombs


@pytest.mark.parametrize("door", ["load", "import"])
@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_s50_a_bomb(fresh, place, door, compression):
    """A thousand times its size: memory stays where it is. The file system decides how much there may be (see the faults)."""
    data = Layer().file("zeros", b"\0" * ((1 << 30) if FULL else (64 << 20))).bytes
    result = bring_in(fresh, place, door, data, compression)
    result.check()
    with layer_of(fresh) as directory:
        size = os.stat(directory + "/zeros").st_size
    assert size == ((1 << 30) if FULL else (64 << 20))
    fresh.ok("rmi", "hostile:1")


def zstd(data, *flags):
    return subprocess.run(["zstd", "-q", "-c", *flags], input=data, stdout=subprocess.PIPE, check=True).stdout


@pytest.mark.parametrize("door", ["load", "import"])
def test_s50_a_window_of_2_gib(fresh, place, door):
    """A window is memory: more than 128 MiB is refused before it is taken."""
    data = Layer().file("f", "x" * 1000).bytes
    # A frame header that asks for it: magic, descriptor without a single segment, window exponent 31 - 10.
    stored = b"\x28\xb5\x2f\xfd" + bytes([0x00, (31 - 10) << 3]) + zstd(data)[6:]
    path = images.write(place / "rootfs", stored)
    if door == "load":

        def change(manifest, config, files):
            files[manifest[0]["Layers"][0]] = stored

        path = images.write(place / "archive", docker_archive([data], ["hostile:1"], change=change))
    refused(fresh, measured(fresh, place, *(["import", path, "hostile:1"] if door == "import" else ["load", "-i", path])))


@pytest.mark.parametrize(
    "title,make,good",
    [
        ("many empty members", lambda data: images.compressed(b"", "gzip") * 50_000 + images.compressed(data, "gzip"), True),
        ("two members", lambda data: images.compressed(data[:700], "gzip") + images.compressed(data[700:], "gzip"), True),
        ("noise behind", lambda data: images.compressed(data, "gzip") + b"noise" * 100, None),
        ("cut short", lambda data: images.compressed(data, "gzip")[:-20], False),
        ("only the header", lambda data: images.compressed(data, "gzip")[:10], False),
        ("wrong checksum", lambda data: images.compressed(data, "gzip")[:-8] + b"\0" * 8, False),
        ("flipped", lambda data: bytes(byte ^ (index == 200) for index, byte in enumerate(images.compressed(os.urandom(5000) + data, "gzip"))), False),
        ("gzip in gzip", lambda data: images.compressed(images.compressed(data, "gzip"), "gzip"), False),
        ("gzip in zstd", lambda data: images.compressed(images.compressed(data, "gzip"), "zstd"), False),
        ("zstd cut short", lambda data: images.compressed(data, "zstd")[:-5], False),
        ("zstd frames", lambda data: images.compressed(data[:700], "zstd") + images.compressed(data[700:], "zstd"), True),
        ("zstd skippable frames", lambda data: (b"\x50\x2a\x4d\x18\x04\0\0\0skip") * 50_000 + images.compressed(data, "zstd"), True),
        ("zstd noise behind", lambda data: images.compressed(data, "zstd") + b"noise" * 100, None),
    ],
)  # fmt: skip
def test_s50_streams(fresh, place, title, make, good):
    data = Layer().file("f", "x" * 1000).bytes
    result = measured(fresh, place, "import", images.write(place / "rootfs", make(data)), "hostile:1")
    if good or good is None and result.ok:
        result.check()
        with layer_of(fresh) as directory:
            assert found_in(directory)[0] == {"f": b"x" * 1000}
    else:
        refused(fresh, result)


# A5: documents


def layout(**more):
    made = Layout()
    made.image([Layer().file("f", "x")], "hostile:1", **more)
    return made


def with_member(name, value):
    return lambda body: body | {name: value}


def without(name):
    return lambda body: {key: value for key, value in body.items() if key != name}


def raw_manifest(text):
    """A layout whose manifest is this text, with a right descriptor."""
    made = Layout()
    entry = made.descriptor(text.encode() if isinstance(text, str) else text, MANIFEST)
    made.manifests.append(entry)
    return made


def raw_config(text):
    """A layout whose config is this text, with right digests."""
    made = Layout()
    layer = Layer().file("f", "x").bytes
    body = {
        "schemaVersion": 2, "mediaType": MANIFEST, "config": made.descriptor(text.encode() if isinstance(text, str) else text, images.CONFIG),
        "layers": [made.descriptor(layer, images.LAYER)],
    }  # fmt: skip
    made.manifests.append(made.descriptor(body, MANIFEST))
    return made


def raw_index(text):
    made = Layout()
    made.files["index.json"] = text.encode() if isinstance(text, str) else text
    return made


def config_text(**changes):
    document = images.image_config([images.digest(Layer().file("f", "x").bytes)]) | changes
    return json.dumps(document)


def deep(depth, text='{"schemaVersion":2,"mediaType":"%s","x":' % MANIFEST):
    return text + "[" * depth + "]" * depth + "}"


def first_layer(change):
    def manifest(body):
        body["layers"][0] = change(dict(body["layers"][0]))

    return manifest


DOCUMENTS = [
    # S53: a document that is two things (CVE-2021-41190)
    ("S53", "manifest with manifests", lambda: layout(manifest=with_member("manifests", [])), "manifest and of an index"),
    ("S53", "index with layers", lambda: raw_index(json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [], "layers": []})), "manifest and of an index"),
    ("S53", "announced as an index", lambda: layout(descriptor=with_member("mediaType", INDEX)), "members of a manifest|media type"),
    ("S53", "another type inside", lambda: layout(manifest=with_member("mediaType", INDEX)), "media type"),
    ("S53", "schema 1", lambda: raw_manifest('{"schemaVersion":1,"name":"x","fsLayers":[],"history":[]}'), "schema 1"),
    ("S53", "signed schema 1", lambda: layout(descriptor=with_member("mediaType", "application/vnd.docker.distribution.manifest.v1+prettyjws")), "schema 1"),
    ("S53", "members of schema 1", lambda: layout(manifest=with_member("fsLayers", [])), "schema 1"),
    ("S53", "schema 3", lambda: layout(manifest=with_member("schemaVersion", 3)), "schema version"),
    ("S53", "no config", lambda: layout(manifest=without("config")), "config"),
    ("S53", "an artifact", lambda: layout(manifest=lambda body: body | {"config": body["config"] | {"mediaType": "application/x-artifact"}}), "not an image"),
    # S55: sizes that lie
    ("S55", "manifest of 5 MiB", lambda: layout(manifest=with_member("annotations", {"x": "y" * (5 << 20)})), "larger than|too large"),
    ("S55", "config of 5 MiB", lambda: layout(author="x" * (5 << 20)), "larger than|too large"),
    ("S55", "index of 5 MiB", lambda: raw_index(" " * (5 << 20)), "larger than|too large"),
    ("S55", "size of a manifest", lambda: layout(descriptor=lambda entry: entry | {"size": entry["size"] + 1}), "digest|bytes"),
    ("S55", "size of a layer", lambda: layout(manifest=first_layer(lambda layer: layer | {"size": layer["size"] - 1})), "bytes"),
    ("S55", "negative size", lambda: layout(manifest=first_layer(lambda layer: layer | {"size": -1})), "size|negative"),
    ("S55", "size of 2^63", lambda: layout(manifest=first_layer(lambda layer: layer | {"size": 2**63})), "range|size"),
    ("S55", "size of 2^63-1", lambda: layout(manifest=first_layer(lambda layer: layer | {"size": 2**63 - 1})), "bytes|size"),
    ("S55", "sizes that overflow", lambda: layout(manifest=lambda body: body | {"layers": [layer | {"size": 2**63 - 1} for layer in body["layers"] * 2]}), "."),
    ("S55", "size that is no number", lambda: layout(manifest=first_layer(lambda layer: layer | {"size": "1"})), "."),
    ("S55", "size with a fraction", lambda: layout(manifest=first_layer(lambda layer: layer | {"size": 1.5})), "."),
    ("S55", "digest of the wrong length", lambda: layout(manifest=first_layer(lambda layer: layer | {"digest": "sha256:00"})), "digest"),
    ("S55", "digest that is a path", lambda: layout(manifest=first_layer(lambda layer: layer | {"digest": "sha256:../../../../../../etc/passwd"})), "digest"),
    ("S55", "digest of an unknown kind", lambda: layout(manifest=first_layer(lambda layer: layer | {"digest": "md5:" + "0" * 32})), "digest|missing"),
    ("S55", "a million layers", lambda: layout(manifest=lambda body: body | {"layers": [{"digest": "sha256:" + "0" * 64, "size": 1, "mediaType": "x"}] * 30_000}), "."),
    ("S55", "data that is not the blob", lambda: layout(manifest=lambda body: body | {"config": body["config"] | {"data": "eA=="}}), "."),
    # S56: config and layers that do not fit
    ("S56", "wrong diff id", lambda: layout(document=with_member("rootfs", {"type": "layers", "diff_ids": ["sha256:" + "0" * 64]})), "diff id"),
    ("S56", "no diff ids", lambda: layout(document=with_member("rootfs", {"type": "layers", "diff_ids": []})), "."),
    ("S56", "two diff ids", lambda: layout(document=lambda body: body | {"rootfs": {"type": "layers", "diff_ids": body["rootfs"]["diff_ids"] * 2}}), "."),
    ("S56", "other rootfs", lambda: layout(document=with_member("rootfs", {"type": "files", "diff_ids": []})), "."),
    ("S56", "null rootfs", lambda: layout(document=with_member("rootfs", None)), "."),
    ("S56", "null diff ids", lambda: layout(document=with_member("rootfs", {"type": "layers", "diff_ids": None})), "."),
    ("S56", "a diff id of null", lambda: layout(document=with_member("rootfs", {"type": "layers", "diff_ids": [None]})), "."),
    ("S56", "a diff id that is a path", lambda: layout(document=with_member("rootfs", {"type": "layers", "diff_ids": ["sha256:" + "../" * 21 + "x"]})), "digest"),
    ("S56", "no rootfs", lambda: layout(document=without("rootfs")), "."),
    ("S56", "a config that is a list", lambda: raw_config("[]"), "."),
    ("S56", "a config that is nothing", lambda: raw_config(""), "."),
    ("S56", "config of other kinds", lambda: raw_config(config_text(config={"Cmd": {"a": 1}})), "."),
    ("S56", "env of numbers", lambda: raw_config(config_text(config={"Env": [1]})), "."),
    ("S56", "a layer of a wrong type", lambda: layout(manifest=first_layer(lambda layer: layer | {"mediaType": "application/x-layer"})), "layer of type"),
    # S57: JSON
    *[("S57", f"{depth} deep", lambda depth=depth: raw_manifest(deep(depth)), ".") for depth in (160, 511, 513, 100_000)],
    *[("S57", f"config {depth} deep", lambda depth=depth: raw_config(config_text()[:-1] + ',"x":' + "[" * depth + "]" * depth + "}"), ".") for depth in (160, 513, 100_000)],
    ("S57", "4 MiB of brackets", lambda: raw_index("[" * (4 << 20)), "."),
    ("S57", "4 MiB of objects", lambda: raw_index('{"a":' * (800_000)), "."),
    ("S57", "one key twice", lambda: raw_config(config_text()[:-1] + ',"rootfs":{"type":"layers","diff_ids":[]}}'), "."),
    ("S57", "a lone surrogate", lambda: raw_config(config_text(author="X").replace('"X"', '"\\ud800"')), "."),
    ("S57", "not UTF-8", lambda: raw_config(config_text(author="X").encode().replace(b'"X"', b'"\xff\xfe"')), "."),
    ("S57", "schema version of 2^64", lambda: raw_manifest('{"schemaVersion":18446744073709551616}'), "."),
    ("S57", "schema version of 1e400", lambda: raw_manifest('{"schemaVersion":1e400}'), "."),
    ("S57", "cut short", lambda: raw_config(config_text()[:-5]), "."),
    ("S57", "more behind it", lambda: raw_config(config_text() + "{}"), "."),
    ("S57", "two indexes", lambda: raw_index('{"schemaVersion":2,"manifests":[]}' * 2), "."),
]  # fmt: skip


@pytest.mark.parametrize("make,pattern", [pytest.param(make, pattern, id=f"{row}-{title}".replace(" ", "_")) for row, title, make, pattern in DOCUMENTS])
def test_documents(fresh, place, canary, make, pattern):
    path = images.write(place / "archive", make().tar())
    refused(fresh, measured(fresh, place, "load", "-i", path, timeout=20), pattern)


# What only looks odd, and is no error.
HARMLESS = [
    # Tools that squash layers leave the history as it was; nothing counts by it.
    ("S56", "history of more layers", lambda: layout(history=[{"created_by": "x"}] * 20)),
    ("S56", "history of fewer layers", lambda: layout(history=[])),
    ("S56", "history of nulls", lambda: layout(history=[None, {"created": None}])),
    ("S56", "null members", lambda: raw_config(config_text(config=None, history=None, author=None))),
    ("S56", "null lists", lambda: raw_config(config_text(config={"Cmd": None, "Entrypoint": None, "Env": None, "Labels": None, "Volumes": None}))),
    ("S56", "unknown members", lambda: layout(document=with_member("x-unknown", {"deep": [1, 2]}), manifest=with_member("x", 1), descriptor=with_member("x", 1))),
    ("S56", "unknown annotations", lambda: layout(manifest=with_member("annotations", {"x": "", "org.example": "y"}))),
    ("S57", "huge numbers in unknown members", lambda: raw_config(config_text()[:-1] + ',"x":[1e400,18446744073709551616,-0]}')),
    ("S57", "60 deep in an unknown member", lambda: raw_config(config_text()[:-1] + ',"x":' + "[" * 60 + "]" * 60 + "}")),
]  # fmt: skip


@pytest.mark.parametrize("make", [pytest.param(make, id=f"{row}-{title}".replace(" ", "_")) for row, title, make in HARMLESS])
def test_odd_documents(fresh, place, make):
    measured(fresh, place, "load", "-i", images.write(place / "archive", make().tar())).check()
    oracle.assert_sound(fresh)


def test_s56_a_platform_that_does_not_fit(fresh, place):
    path = images.write(place / "archive", layout(architecture="s390x").tar())
    refused(fresh, fresh.call("load", "--platform", "linux/amd64", "-i", path), "platform")


ARCHIVES = [
    ("S56", "fewer layers", lambda manifest, config, files: manifest[0].update(Layers=[]), "diff ids"),
    ("S56", "more layers", lambda manifest, config, files: manifest[0].update(Layers=manifest[0]["Layers"] * 2), "diff ids"),
    ("S56", "a layer that is missing", lambda manifest, config, files: manifest[0].update(Layers=["nope"]), "missing"),
    ("S56", "a layer outside", lambda manifest, config, files: manifest[0].update(Layers=["../../../../../etc/passwd"]), "missing"),
    ("S56", "a config outside", lambda manifest, config, files: manifest[0].update(Config="/etc/passwd"), "missing"),
    ("S56", "no entry", lambda manifest, config, files: manifest.clear(), "no image"),
    ("S57", "tags that are no list", lambda manifest, config, files: manifest[0].update(RepoTags="x"), "."),
    # S61: names
    *[
        ("S61", f"name {name[:20]!r}", lambda manifest, config, files, name=name: manifest[0].update(RepoTags=[name]), ".")
        for name in ["a/../b", "host:99999999/x", "UPPER", "\u0430lpine", "x" * 300, "x:" + "t" * 129, "", " ", "x y", "../x", "/x", "x//y", "x:t:u", "\x1b[2J", "x@sha256:00"]
    ],
]  # fmt: skip


@pytest.mark.parametrize("change,pattern", [pytest.param(change, pattern, id=f"{row}-{title}".replace(" ", "_")) for row, title, change, pattern in ARCHIVES])
def test_archives(fresh, place, canary, change, pattern):
    path = images.write(place / "archive", docker_archive([Layer().file("f", "x")], ["hostile:1"], change=change))
    refused(fresh, measured(fresh, place, "load", "-i", path), pattern)


@pytest.mark.parametrize("kind", [b"2", b"1"])
@pytest.mark.parametrize("target", ["/etc/passwd", "../../../../etc/passwd", "{canary}/secret", "loop"])
def test_links_of_the_archive_itself(fresh, place, canary, kind, target):
    """A link among an archive's files leads to no file of the host."""
    config = json.dumps(images.image_config([images.digest(b"canary-secret\n")])).encode()
    target = target.replace("{canary}", str(canary))
    entries = [
        images.raw_header("c.json", size=len(config)) + images.pad(config), images.raw_header("loop", type=kind, link="loop"),
        images.raw_header("layer.tar", type=kind, link=target),
    ]  # fmt: skip
    manifest = json.dumps([{"Config": "c.json", "RepoTags": ["hostile:1"], "Layers": ["layer.tar"]}]).encode()
    data = b"".join(entries) + images.raw_header("manifest.json", size=len(manifest)) + images.pad(manifest) + b"\0" * 1024
    refused(fresh, fresh.call("load", "-i", images.write(place / "archive", data)), "missing")


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../../../../../../etc/passwd", "{canary}/secret"])
@pytest.mark.parametrize("name", ["index.json", "oci-layout", "blob"])
def test_links_of_a_layout(fresh, place, canary, name, target):
    """A link in a layout's directory is not followed out of it; a fifo or device in it is not waited for."""
    made = layout()
    directory = made.directory(place / "layout")
    path = directory / ("blobs/sha256/" + made.manifests[0]["digest"].partition(":")[2] if name == "blob" else name)
    path.unlink()
    path.symlink_to(target.replace("{canary}", str(canary)))
    refused(fresh, fresh.call("load", "-i", directory))
    path.unlink()
    os.mkfifo(path)
    refused(fresh, fresh.call("load", "-i", directory, timeout=5))


def test_s61_an_archive_that_claims_a_known_name(fresh, place):
    fresh.ok("load", "-i", images.write(place / "first", docker_archive([Layer().file("f", "1")], ["alpine:latest"])))
    first = fresh.inspect("alpine", "Id")
    result = fresh.ok("load", "-i", images.write(place / "second", docker_archive([Layer().file("f", "2")], ["docker.io/library/alpine"])))
    assert f"alpine:latest already exists, renaming the old one with ID {first}" in result.out
    assert fresh.ok("images", "-q", "--no-trunc", "-f", "dangling=true").text == first


# S63: what an image's config says to the host


@pytest.fixture
def hostile_config(fresh, suite, place):
    """Loads an image with the test init and this config."""

    def load(config, *layers):
        data = docker_archive([images.base_layer(suite.init), *layers], ["hostile:1"], config)
        fresh.ok("load", "-i", images.write(place / "archive", data), timeout=60)
        return fresh

    return load


@pytest.mark.parametrize("volume", ["/../../../../../../../..{canary}", "{canary}", "/data/../../..{canary}"])
def test_s63_a_volume_that_climbs(hostile_config, canary, volume):
    engine = hostile_config({"Volumes": {volume.replace("{canary}", str(canary)): {}}})
    result = engine.run("hostile:1", "sh", "-c", f"cat {canary}/secret; echo x > {canary}/secret; ls {canary}")
    assert "canary-secret" not in result.out
    engine.clear()


def test_s63_a_volume_through_a_link(hostile_config, canary):
    """What a volume is filled with comes out of the image, wherever its links point."""
    engine = hostile_config({"Volumes": {"/data": {}}}, Layer().symlink("data", str(canary)))
    result = engine.run("hostile:1", "sh", "-c", f"ls -A /data {canary}; cat /data/secret; echo x > /data/new")
    assert "canary-secret" not in result.out and "secret" not in result.out.split()
    engine.clear()


def test_s63_labels_are_only_labels(hostile_config):
    """No label of an image becomes an annotation by which a runtime does something, or one of our own."""
    labels = {
        "io.berth.id": "x", "berth.restart": "always", "io.cri-containerd.kind": "sandbox", "cdi.k8s.io/x": "vendor.com/device=all",
        "run.oci.hooks.stdout": "/tmp/x", "org.criu.config": "/tmp/x", "com.docker.compose.project": "x", "run.oci.handler": "krun",
        "org.systemd.property.ExecStart": "x", "io.podman.annotations.privileged": "TRUE",
    }  # fmt: skip
    engine = hostile_config({"Labels": labels})
    name = engine.ok("create", "--network", "none", "hostile:1", "true").text
    spec = json.loads((engine.root / "containers" / name / "config.json").read_text())
    for key in spec.get("annotations", {}):
        assert key not in labels, spec["annotations"]
    assert "hooks" not in spec or not any(spec["hooks"].values())
    # Those that are reserved for engines are not even labels of the container.
    assert engine.inspect(name, "Config.Labels").items() <= labels.items()


@pytest.mark.parametrize(
    "config",
    [
        {"User": "0:0\nroot"}, {"User": "nobody-here"}, {"User": "-1"}, {"User": "4294967296"}, {"WorkingDir": "../../../.."},
        {"Entrypoint": [""]}, {"Entrypoint": ["a\0b"]}, {"Env": ["=x", "A", "B\0=1", "LD_PRELOAD=/x"]}, {"StopSignal": "SIGNOPE"},
        {"StopSignal": "-9"}, {"ExposedPorts": {"x/y/z": {}, "99999999/tcp": {}}}, {"Cmd": []}, {"Hostname": "../x", "Domainname": "\n"},
    ],
)  # fmt: skip
def test_s63_config_that_makes_no_sense(fresh, suite, place, config):
    """Refused in words, or run; never a crash."""
    data = docker_archive([images.base_layer(suite.init)], ["hostile:1"], config)
    result = fresh.call("load", "-i", images.write(place / "archive", data), timeout=60)
    if result.ok:
        result = fresh.run("hostile:1", "true")
        assert result.code in (0, 1, 125, 126, 127) and (result.ok or result.err.strip())
    else:
        refused(fresh, result)
    fresh.clear()
    fresh.assert_clean()
