"""`berth image copy` between files and the local store: byte for byte, whole or not at all, and skopeo agrees."""

import hashlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import tarfile

import images
import invariants
import pytest
from images import Layer, Layout

DOCKER = {
    images.MANIFEST: "application/vnd.docker.distribution.manifest.v2+json",
    images.INDEX: "application/vnd.docker.distribution.manifest.list.v2+json",
}


def skopeo(*words, check=True):
    if not shutil.which("skopeo"):
        pytest.skip("skopeo is not installed: scripts/setup test peers")
    done = subprocess.run(["skopeo", *map(str, words)], capture_output=True, timeout=60)
    assert not check or done.returncode == 0, f"skopeo {words}: {done.stderr.decode()}"
    return done.stdout


def raw_digest(place):
    return hashlib.sha256(skopeo("inspect", "--raw", place)).hexdigest()


def tree(path):
    """Every file below a directory with its content."""
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(pathlib.Path(path).rglob("*")) if file.is_file()}


def two_layers():
    return [Layer().dir("a").file("a/one", "one" * 5000), Layer().file("two", os.urandom(70000))]


def simple_layout(compression="gzip", tag="1"):
    layout = Layout()
    layout.image(two_layers(), tag=tag, compression=compression)
    return layout


def platform_index(layout, names=("amd64", "arm64"), compression="gzip"):
    """An image for several platforms under the name `all`; returns the index's entry."""
    members = []
    for name in names:
        entry = layout.image([Layer().file("arch", name), Layer().file("same", "same")], tag=None, compression=compression, document=lambda d, n=name: {**d, "architecture": n})
        layout.manifests.remove(entry)
        members.append({**entry, "platform": {"os": "linux", "architecture": name}})
    entry = layout.descriptor({"schemaVersion": 2, "mediaType": images.INDEX, "manifests": members}, images.INDEX)
    layout.manifests.append({**entry, "annotations": {"org.opencontainers.image.ref.name": "all"}})
    return entry


@pytest.fixture
def layout(place, who):
    path = simple_layout().directory(place / "source")
    shutil.chown(path, who.uid, who.gid)
    return path


def top(path):
    return json.loads((path / "index.json").read_text())["manifests"][0]


# Byte for byte


def test_to_a_layout(fresh, place, layout):
    out = fresh.ok("image", "copy", f"oci:{layout}:1", f"oci:{place}/out:new")
    assert out.lines[-1] == "Writing manifest to image destination"
    assert sum(line.startswith("Copying blob sha256:") for line in out.lines) == 2
    mine, theirs = tree(place / "out"), tree(layout)
    assert mine.pop("index.json") != theirs.pop("index.json")
    assert mine == theirs
    assert raw_digest(f"oci:{place}/out:new") == top(layout)["digest"].partition(":")[2]
    assert not fresh.root.exists(), "the local store was touched"


def test_to_a_directory_as_skopeo_does(fresh, place, layout):
    fresh.ok("image", "copy", "-q", f"oci:{layout}:1", f"dir:{place}/mine")
    skopeo("copy", f"oci:{layout}:1", f"dir:{place}/theirs")
    assert tree(place / "mine") == tree(place / "theirs")
    # And back.
    fresh.ok("image", "copy", f"dir:{place}/theirs", f"oci:{place}/back:1")
    mine = tree(place / "back")
    assert {name: data for name, data in mine.items() if name.startswith("blobs")} == {
        name: data for name, data in tree(layout).items() if name.startswith("blobs")
    }


def test_a_whole_index(fresh, place):
    layout = Layout()
    entry = platform_index(layout)
    layout.directory(place / "source")
    fresh.ok("image", "copy", "--all", f"oci:{place}/source:all", f"dir:{place}/mine")
    skopeo("copy", "--all", f"oci:{place}/source:all", f"dir:{place}/theirs")
    assert tree(place / "mine") == tree(place / "theirs")
    fresh.ok("image", "copy", "--all", f"dir:{place}/mine", f"oci-archive:{place}/out.tar:all")
    assert raw_digest(f"oci-archive:{place}/out.tar:all") == entry["digest"].partition(":")[2]
    fresh.ok("image", "copy", "--multi-arch", "all", f"oci-archive:{place}/out.tar:all", f"oci:{place}/out:all")
    assert {n: d for n, d in tree(place / "out").items() if n.startswith("blobs")} == {
        n: d for n, d in tree(place / "source").items() if n.startswith("blobs")
    }


def test_one_platform_of_several(fresh, place):
    layout = Layout()
    platform_index(layout, ("amd64", "arm64", "s390x"))
    layout.directory(place / "source")
    source = f"oci:{place}/source:all"
    for words, wanted in ((["--platform", "linux/arm64"], "arm64"), (["--override-arch", "s390x"], "s390x")):
        fresh.ok("image", "copy", *words, source, f"dir:{place}/{wanted}")
        skopeo("--override-arch", wanted, "copy", source, f"dir:{place}/{wanted}-theirs")
        assert tree(place / wanted) == tree(place / f"{wanted}-theirs")
    fresh.call("image", "copy", "--platform", "linux/riscv64", source, f"dir:{place}/x").fails(1, "no image found .* for platform linux/riscv64.*linux/amd64, linux/arm64")
    assert not (place / "x").exists()
    # One image for another platform is no excuse.
    fresh.call("image", "copy", "--platform", "linux/s390x", f"dir:{place}/arm64", f"dir:{place}/x").fails(1, "is an image for linux/arm64, not for linux/s390x")
    fresh.call("image", "copy", "--all", source, f"docker-archive:{place}/x.tar:x:1").fails(1, "holds one platform")
    fresh.call("image", "copy", "--all", "--platform", "linux/arm64", source, f"dir:{place}/x").fails(1, "cannot be chosen where all")
    assert not (place / "x").exists() and not (place / "x.tar").exists()


def test_the_index_alone(fresh, place):
    layout = Layout()
    entry = platform_index(layout)
    layout.directory(place / "source")
    fresh.ok("image", "copy", "--multi-arch", "index-only", f"oci:{place}/source:all", f"dir:{place}/out")
    assert sorted(tree(place / "out")) == ["manifest.json", "version"]
    assert images.digest(tree(place / "out")["manifest.json"]) == entry["digest"]


# Layouts that are there


def test_into_a_layout_that_has_images(fresh, place):
    simple_layout().directory(place / "a")
    simple_layout().directory(place / "b")
    fresh.ok("image", "copy", f"oci:{place}/a:1", f"oci:{place}/out:a")
    fresh.ok("image", "copy", f"oci:{place}/b:1", f"oci:{place}/out:b")
    assert raw_digest(f"oci:{place}/out:a") == top(place / "a")["digest"].partition(":")[2]
    assert raw_digest(f"oci:{place}/out:b") == top(place / "b")["digest"].partition(":")[2]
    # The name moves.
    again = fresh.ok("image", "copy", f"oci:{place}/b:1", f"oci:{place}/out:a")
    assert sum("skipped: already exists" in line for line in again.lines) == 3
    assert raw_digest(f"oci:{place}/out:a") == top(place / "b")["digest"].partition(":")[2]
    assert sorted(entry["annotations"]["org.opencontainers.image.ref.name"] for entry in json.loads((place / "out/index.json").read_text())["manifests"]) == ["a", "b"]
    fresh.call("image", "copy", f"oci:{place}/out", f"dir:{place}/x").fails(1, "more than one image in it: choose one")
    fresh.call("image", "copy", f"oci:{place}/out:nope", f"dir:{place}/x").fails(1, 'no image named "nope"; there is b, a')
    assert sorted(os.listdir(place / "out")) == ["blobs", "index.json", "oci-layout"]
    # A blob there that is damaged comes anew.
    blob = next(path for path in (place / "out/blobs/sha256").iterdir() if path.stat().st_size > 50000)
    good = blob.read_bytes()
    blob.write_bytes(b"x" * len(good))
    for source in ("a", "b"):
        fresh.ok("image", "copy", f"oci:{place}/{source}:1", f"oci:{place}/out:{source}")
    assert blob.read_bytes() == good


def test_a_directory_takes_the_place_of_an_older_one(fresh, place, layout):
    simple_layout().directory(place / "other")
    fresh.ok("image", "copy", f"oci:{place}/other:1", f"dir:{place}/out")
    fresh.ok("image", "copy", f"oci:{layout}:1", f"dir:{place}/out")
    fresh.ok("image", "copy", f"oci:{layout}:1", f"dir:{place}/same")
    assert tree(place / "out") == tree(place / "same")
    (place / "mine").mkdir()
    (place / "mine/letter").write_text("important")
    os.chmod(place / "mine", 0o777)
    for kind in ("dir", "oci"):
        fresh.call("image", "copy", f"oci:{layout}:1", f"{kind}:{place}/mine").fails(1, "important data is not overwritten|no OCI image layout")
    assert tree(place / "mine") == {"letter": b"important"}
    assert sorted(os.listdir(place)) == ["mine", "other", "out", "same", "source"]


# Archives


def test_docker_archives(fresh, place, layout):
    fresh.ok("image", "copy", "--additional-tag", "further:2", f"oci:{layout}:1", f"docker-archive:{place}/out.tar:some/name:tag")
    with tarfile.open(place / "out.tar") as tar:
        entry = json.load(tar.extractfile("manifest.json"))[0]
        assert entry["RepoTags"] == ["some/name:tag", "further:2"]
        config = tar.extractfile(entry["Config"]).read()
        assert json.loads(config)["rootfs"]["diff_ids"] == [images.digest(tar.extractfile(name).read()) for name in entry["Layers"]]
    manifest = json.loads((layout / "blobs/sha256" / top(layout)["digest"].partition(":")[2]).read_text())
    assert images.digest(config) == manifest["config"]["digest"]
    # skopeo and docker load read it, and so does berth.
    skopeo("copy", f"docker-archive:{place}/out.tar:some/name:tag", f"dir:{place}/theirs")
    assert fresh.ok("load", "-i", place / "out.tar").lines == ["Loaded image: some/name:tag", "Loaded image: further:2"]
    fresh.call("image", "copy", f"oci:{layout}:1", f"docker-archive:{place}/out.tar:x:1").fails(1, "is not added to: remove it first")


def test_docker_archives_as_sources(fresh, place):
    layers = two_layers()
    images.write(place / "saved.tar", images.docker_archive(layers, ["saved:1"]))
    skopeo("copy", f"docker-archive:{place}/saved.tar", f"dir:{place}/theirs")
    fresh.ok("image", "copy", f"docker-archive:{place}/saved.tar:saved:1", f"dir:{place}/mine")
    mine, theirs = tree(place / "mine"), tree(place / "theirs")
    assert set(mine) == set(theirs) and {n for n in mine if mine[n] != theirs[n]} <= {"manifest.json"}
    # Where layers are compressed, they are here.
    fresh.ok("image", "copy", f"docker-archive:{place}/saved.tar", f"oci:{place}/out:1")
    manifest = json.loads(skopeo("inspect", "--raw", f"oci:{place}/out:1"))
    assert [layer["mediaType"] for layer in manifest["layers"]] == [images.LAYER + "+gzip"] * 2
    skopeo("copy", f"oci:{place}/out:1", f"docker-archive:{place}/back.tar")
    with tarfile.open(place / "back.tar") as tar:
        names = json.load(tar.extractfile("manifest.json"))[0]["Layers"]
        assert [tar.extractfile(name).read() for name in names] == [layer.bytes for layer in layers]
    for reference, pattern in (("nope:1", "no image named nope:1; there is saved:1"), ("@3", "it has 1 images, counted from @0")):
        fresh.call("image", "copy", f"docker-archive:{place}/saved.tar:{reference}", f"dir:{place}/x").fails(1, pattern)


@pytest.mark.parametrize("how", ["gzip", "zstd"])
def test_compressed_archives(fresh, place, layout, how):
    fresh.ok("image", "copy", f"oci:{layout}:1", f"oci-archive:{place}/out.tar:name")
    images.write(place / "packed", images.compressed((place / "out.tar").read_bytes(), how))
    fresh.ok("image", "copy", f"oci-archive:{place}/packed:name", f"dir:{place}/out")
    assert images.digest(tree(place / "out")["manifest.json"]) == top(layout)["digest"]


def test_archives_have_the_same_bytes_each_time(fresh, place, layout):
    for name in ("one.tar", "two.tar"):
        fresh.ok("image", "copy", f"oci:{layout}:1", f"oci-archive:{place}/{name}:x")
        fresh.ok("image", "copy", f"oci:{layout}:1", f"docker-archive:{place}/docker-{name}:x:1")
    assert (place / "one.tar").read_bytes() == (place / "two.tar").read_bytes()
    assert (place / "docker-one.tar").read_bytes() == (place / "docker-two.tar").read_bytes()
    # An archive is replaced as a whole.
    simple_layout().directory(place / "other")
    fresh.ok("image", "copy", f"oci:{place}/other:1", f"oci-archive:{place}/one.tar:x")
    assert raw_digest(f"oci-archive:{place}/one.tar:x") == top(place / "other")["digest"].partition(":")[2]


# The local store


def test_the_local_store(fresh, place, layout):
    fresh.ok("image", "copy", f"oci:{layout}:1", "berth:copied:1", timeout=30)
    assert fresh.ok("images", "--format", "{{.Repository}}:{{.Tag}}").lines == ["copied:1"]
    fresh.ok("image", "copy", "berth:copied:1", f"oci:{place}/out:1")
    assert {n: d for n, d in tree(place / "out").items() if n.startswith("blobs")} == {
        n: d for n, d in tree(layout).items() if n.startswith("blobs")
    }
    identity = fresh.ok("images", "-q").text
    fresh.ok("image", "copy", f"berth:{identity}", f"dir:{place}/by-id")
    fresh.call("image", "copy", "berth:nope", f"dir:{place}/x").fails(1, "no such image: nope")
    assert not (place / "x").exists()


@pytest.mark.parametrize("how", ["gzip", "zstd", None])
def test_layers_go_into_the_store_once(fresh, place, how):
    """Straight from where they are: nothing stands in a temporary directory on the way."""
    simple_layout(how).directory(place / "source")
    without = {"TMPDIR": f"{place}/nowhere"}
    fresh.ok("image", "copy", f"oci:{place}/source:1", f"oci-archive:{place}/archive.tar:1")
    fresh.ok("image", "copy", f"oci:{place}/source:1", f"dir:{place}/files")
    for source in (f"oci:{place}/source:1", f"oci-archive:{place}/archive.tar:1", f"dir:{place}/files"):
        fresh.ok("image", "copy", source, "berth:copied:1", env=without, timeout=30)
        blobs = {n.rpartition("/")[2]: d for n, d in tree(place / "source").items() if n.startswith("blobs")}
        assert {path.name: path.read_bytes() for path in (fresh.root / "blobs/sha256").iterdir()} == blobs
        assert not (fresh.root / "partial").exists() or not os.listdir(fresh.root / "partial")
        invariants.check_invariants(fresh)
        fresh.ok("rmi", "copied:1")


def test_a_damaged_layer_does_not_come_into_the_store(fresh, place):
    layout = simple_layout()
    blobs = layout.directory(place / "source") / "blobs/sha256"
    manifest = json.loads((blobs / top(place / "source")["digest"].partition(":")[2]).read_text())
    path = blobs / manifest["layers"][1]["digest"].partition(":")[2]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    fresh.call("image", "copy", f"oci:{place}/source:1", "berth:copied:1", timeout=30).fails(1, "digest|diff id|gzip|invalid")
    assert fresh.ok("images", "-aq").text == ""
    invariants.check_invariants(fresh)


def test_an_artifact_does_not_come_into_the_store(fresh, place):
    layout = Layout()
    config = layout.descriptor({}, "application/vnd.example.thing")
    document = {"schemaVersion": 2, "mediaType": images.MANIFEST, "config": config, "layers": []}
    layout.manifests.append({**layout.descriptor(document, images.MANIFEST), "annotations": {"org.opencontainers.image.ref.name": "1"}})
    layout.directory(place / "source")
    fresh.call("image", "copy", f"oci:{place}/source:1", "berth:thing:1").fails(
        1, "the store keeps images, and this is an artifact of type application/vnd.example.thing: copy it to a registry or to oci:DIR")


# Conversions


def test_formats(fresh, place, layout):
    fresh.ok("image", "copy", "--format", "v2s2", f"oci:{layout}:1", f"dir:{place}/docker")
    manifest = json.loads((place / "docker/manifest.json").read_text())
    assert manifest["mediaType"] == DOCKER[images.MANIFEST]
    assert manifest["config"]["mediaType"] == "application/vnd.docker.container.image.v1+json"
    assert {layer["mediaType"] for layer in manifest["layers"]} == {"application/vnd.docker.image.rootfs.diff.tar.gzip"}
    skopeo("copy", "--format", "v2s2", f"oci:{layout}:1", f"dir:{place}/theirs")
    theirs = json.loads((place / "theirs/manifest.json").read_text())
    assert [layer["digest"] for layer in manifest["layers"]] == [layer["digest"] for layer in theirs["layers"]]
    assert manifest["config"]["digest"] == theirs["config"]["digest"]
    fresh.ok("image", "copy", "--format", "oci", f"dir:{place}/docker", f"oci:{place}/back:1")
    assert json.loads(skopeo("inspect", "--raw", f"oci:{place}/back:1"))["config"]["mediaType"] == images.CONFIG
    fresh.call("image", "copy", "--format", "v2s2", "--preserve-digests", f"oci:{layout}:1", f"dir:{place}/x").fails(1, "cannot keep the digests")
    fresh.call("image", "copy", "--format", "v2s1", f"oci:{layout}:1", f"dir:{place}/x").fails(1, "v2s1 .* is not written any more: use v2s2 or oci")
    simple_layout("zstd").directory(place / "zstd")
    fresh.call("image", "copy", "--format", "v2s2", f"oci:{place}/zstd:1", f"dir:{place}/x").fails(1, "it has no layers of zstd; add --dest-compress-format gzip")
    assert not (place / "x").exists()
    fresh.ok("image", "copy", "--format", "v2s2", "--dest-compress-format", "gzip", f"oci:{place}/zstd:1", f"dir:{place}/x")
    skopeo("copy", f"dir:{place}/x", f"docker-archive:{place}/checked.tar")


def test_formats_of_an_index(fresh, place):
    layout = Layout()
    platform_index(layout)
    layout.directory(place / "source")
    fresh.ok("image", "copy", "--all", "--format", "v2s2", f"oci:{place}/source:all", f"dir:{place}/mine")
    index = json.loads((place / "mine/manifest.json").read_text())
    assert index["mediaType"] == DOCKER[images.INDEX]
    for member in index["manifests"]:
        data = (place / "mine" / (member["digest"].partition(":")[2] + ".manifest.json")).read_bytes()
        assert images.digest(data) == member["digest"] and len(data) == member["size"] and member["mediaType"] == DOCKER[images.MANIFEST]
    skopeo("copy", "--all", f"dir:{place}/mine", f"dir:{place}/theirs")
    assert tree(place / "mine") == tree(place / "theirs")


@pytest.mark.parametrize("how, media_type", [("gzip", "+gzip"), ("zstd", "+zstd"), (None, "")])
def test_compression(fresh, place, how, media_type):
    layers = two_layers()
    layout = Layout()
    layout.image(layers, tag="1", compression="gzip" if how != "gzip" else "zstd")
    layout.directory(place / "source")
    fresh.ok("image", "copy", *(["--dest-compress-format", how] if how else ["--dest-decompress"]), f"oci:{place}/source:1", f"dir:{place}/out")
    manifest = json.loads((place / "out/manifest.json").read_text())
    for layer, original in zip(manifest["layers"], layers):
        assert layer["mediaType"] == images.LAYER + media_type
        data = (place / "out" / layer["digest"].partition(":")[2]).read_bytes()
        assert len(data) == layer["size"] and images.digest(data) == layer["digest"]
        if how == "zstd":
            data = subprocess.run(["zstd", "-dc"], input=data, stdout=subprocess.PIPE, check=True).stdout
        elif how == "gzip":
            import gzip

            data = gzip.decompress(data)
        assert data == original.bytes


def test_the_digest_file(fresh, place, layout):
    fresh.ok("image", "copy", "--digestfile", place / "digest", f"oci:{layout}:1", f"dir:{place}/out")
    assert (place / "digest").read_text() == top(layout)["digest"]


# Names


@pytest.mark.parametrize(
    "name, pattern",
    [
        ("alpine", "expected transport:details, such as docker://alpine"), ("alpine:3", 'unknown transport "alpine"; write docker://alpine:3'),
        ("docker:alpine", "must be followed by //"), ("docker://a/UPPER", "must be lower-case"), ("docker://", "empty"), ("oci:", "a path must follow"),
        ("dir:", "a directory must follow"), ("berth:", "a name or an id must follow"),
        ("containers-storage:x", 'transport "containers-storage" is not supported: podman.s store is not read'),
        ("docker-daemon:x:1", 'transport "docker-daemon" is not supported: dockerd.s store is not read'),
        ("docker-archive:x.tar:a@sha256:" + "0" * 64, "by tag, not by digest"), ("ostree:x", "not supported"),
    ],
)  # fmt: skip
def test_names_that_are_none(root_berth, place, name, pattern):
    root_berth.call("image", "copy", name, f"dir:{place}/x").fails(1, "invalid source name", pattern)
    root_berth.call("image", "copy", f"dir:{place}", name).fails(1, "invalid destination name", pattern)


# Inspecting


def test_inspecting_a_layout(root_berth, place):
    layout = Layout()
    layout.image(two_layers(), tag="1", compression="gzip", config={"Labels": {"a": "b"}})
    layout.directory(place / "source")
    source = f"oci:{place}/source:1"
    mine, theirs = json.loads(root_berth.ok("image", "inspect", source).out), json.loads(skopeo("inspect", source))
    assert {key: mine[key] for key in theirs} == theirs
    assert [entry["Digest"] for entry in mine["LayersData"]] == theirs["Layers"]
    assert root_berth.call("image", "inspect", "--raw", source).bytes == skopeo("inspect", "--raw", source)
    assert root_berth.call("image", "inspect", "--config", "--raw", source).bytes == skopeo("inspect", "--config", "--raw", source)
    assert json.loads(root_berth.ok("image", "inspect", "--config", source).out)["architecture"] == "amd64"
    assert root_berth.ok("image", "inspect", "--format", "{{.Digest}} {{.Os}}", source).text == theirs["Digest"] + " linux"
    assert root_berth.ok("image", "inspect", "--format", "{{.Labels.a}}", source).text == "b"


# What is hostile


def spoiled(layout_change=None, **change):
    layout = Layout()
    layout.image(two_layers(), tag="1", compression="gzip", **change)
    if layout_change:
        layout_change(layout)
    return layout


def grow_layer(size):
    def change(manifest):
        manifest["layers"][1]["size"] += size
        return manifest

    return change


def flip_layer(layout):
    name = max((name for name in layout.files if name.startswith("blobs")), key=lambda name: len(layout.files[name]))
    data = bytearray(layout.files[name])
    data[len(data) // 2] ^= 1
    layout.files[name] = bytes(data)


def nest(depth):
    def change(layout):
        entry = layout.manifests.pop()
        for _ in range(depth):
            member = {**{k: v for k, v in entry.items() if k != "annotations"}, "platform": {"os": "linux", "architecture": "amd64"}}
            entry = layout.descriptor({"schemaVersion": 2, "mediaType": images.INDEX, "manifests": [member]}, images.INDEX)
        layout.manifests.append({**entry, "annotations": {"org.opencontainers.image.ref.name": "1"}})

    return change


def schema1(layout):
    body = {"schemaVersion": 1, "name": "x", "tag": "1", "fsLayers": [], "history": [], "signatures": []}
    layout.manifests = [{**layout.descriptor(body, "application/vnd.docker.distribution.manifest.v1+prettyjws"), "annotations": {"org.opencontainers.image.ref.name": "1"}}]


def sha512(layout):
    layout.manifests[0]["digest"] = "sha512:" + "0" * 128


HOSTILE = {
    "a layer longer than said": (dict(manifest=grow_layer(-1)), "bytes instead of"),
    "a layer shorter than said": (dict(manifest=grow_layer(1)), "bytes instead of"),
    "a negative size": (dict(manifest=grow_layer(-(1 << 40))), "negative size"),
    "a size above 2^63": (dict(manifest=grow_layer(1 << 63)), "out of range|too large|does not fit|integer"),
    "a layer with another digest": (dict(layout_change=flip_layer), "its content has the digest"),
    "an index in an index in an index": (dict(layout_change=nest(3)), "nested too deep"),
    "docker schema 1": (dict(layout_change=schema1), "schema 1 is not supported"),
    "an algorithm nobody can verify": (dict(layout_change=sha512), "only sha256"),
    "manifest and index at once": (dict(manifest=lambda m: {**m, "manifests": []}), "members of a manifest and of an index"),
    "a digest that climbs": (dict(manifest=lambda m: {**m, "config": {**m["config"], "digest": "sha256:../../../../etc/passwd"}}), "invalid digest"),
    "another type than announced": (dict(descriptor=lambda d: {**d, "mediaType": DOCKER[images.MANIFEST]}), "was announced as"),
    "no such blob": (dict(layout_change=lambda l: [l.files.pop(n) for n in list(l.files) if len(l.files[n]) > 60000]), "is missing"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_layouts(root_berth, place, name):
    change, pattern = HOSTILE[name]
    spoiled(**change).directory(place / "source")
    simple_layout().directory(place / "there")
    before = tree(place)
    for words in ([], ["--all"]):
        for destination in ("oci:{}/out:1", "dir:{}/out", "oci-archive:{}/out:1", "docker-archive:{}/out:x:1", "oci:{}/there:1"):
            if words and "docker-archive" in destination:
                continue
            root_berth.call("image", "copy", *words, f"oci:{place}/source:1", destination.format(place)).fails(1, pattern)
            assert tree(place) == before and sorted(os.listdir(place)) == ["source", "there"], destination
            assert sorted(os.listdir(place / "there")) == ["blobs", "index.json", "oci-layout"]


def test_links_in_layouts(root_berth, place):
    (place / "secret").write_bytes(b"secret")
    for number, spoil in enumerate(
        [
            lambda path, blob: (blob.unlink(), blob.symlink_to(place / "secret")),
            lambda path, blob: (blob.rename(place / "moved"), blob.symlink_to("../../../moved")),
            lambda path, blob: (shutil.copytree(path / "blobs", place / "away"), shutil.rmtree(path / "blobs"), (path / "blobs").symlink_to("../away")),
            lambda path, blob: (blob.unlink(), os.mkfifo(blob)),
            lambda path, blob: ((path / "index.json").rename(place / "index"), (path / "index.json").symlink_to("../index")),
        ]
    ):
        path = simple_layout().directory(place / f"source{number}")
        manifest = json.loads((path / "blobs/sha256" / top(path)["digest"].partition(":")[2]).read_text())
        spoil(path, path / "blobs/sha256" / manifest["layers"][1]["digest"].partition(":")[2])
        root_berth.call("image", "copy", f"oci:{path}:1", f"dir:{place}/out").fails(1, "symbolic link|not a regular file")
        assert not (place / "out").exists()


def test_hostile_archives(root_berth, place):
    layout = simple_layout()
    files = layout.finish()
    for name, add in (
        ("climbing", lambda tar: tar.add("../../escape", data=b"x")), ("absolute", lambda tar: tar.add("/tmp/berth-escape", data=b"x")),
        ("device", lambda tar: tar.add("dev", tarfile.CHRTYPE, major=1, minor=3)),
    ):  # fmt: skip
        tar = Layer(tarfile.USTAR_FORMAT)
        for file, data in files.items():
            tar.file(file, data)
        add(tar)
        images.write(place / f"{name}.tar", tar.bytes)
        root_berth.ok("image", "copy", f"oci-archive:{place}/{name}.tar:1", f"dir:{place}/{name}")
        assert not pathlib.Path("/tmp/berth-escape").exists() and not (place.parent / "escape").exists()
    loop = Layer(tarfile.USTAR_FORMAT).file("oci-layout", files["oci-layout"]).symlink("index.json", "other").symlink("other", "index.json")
    images.write(place / "loop.tar", loop.bytes)
    root_berth.call("image", "copy", f"oci-archive:{place}/loop.tar", f"dir:{place}/x").fails(1, "no OCI image layout")
    images.write(place / "cut.tar", (place / "climbing.tar").read_bytes()[:40000])
    root_berth.call("image", "copy", f"oci-archive:{place}/cut.tar:1", f"dir:{place}/x").fails(1)
    assert not (place / "x").exists()


def test_a_docker_archive_whose_layers_are_others(root_berth, place):
    images.write(place / "a.tar", images.docker_archive(two_layers(), ["x:1"], change=lambda m, d, f: d["rootfs"]["diff_ids"].__setitem__(0, "sha256:" + "1" * 64)))
    for destination in ("dir:{}/out", "oci:{}/out:1", "docker-archive:{}/out:x:1"):
        root_berth.call("image", "copy", f"docker-archive:{place}/a.tar", destination.format(place)).fails(1, "digest|diff id")
        assert sorted(os.listdir(place)) == ["a.tar"]


def test_a_full_disk_leaves_nothing(root_berth, place):
    path = simple_layout().directory(place / "source")
    (place / "small").mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=60k", "none", place / "small"], capture_output=True).returncode:
        pytest.skip("no tmpfs can be mounted")
    try:
        for kind in ("dir:{}/out", "oci:{}/out:1", "oci-archive:{}/out:1", "docker-archive:{}/out:x:1"):
            root_berth.call("image", "copy", f"oci:{path}:1", kind.format(place / "small")).fails(1, "no space left")
            assert os.listdir(place / "small") == []
    finally:
        subprocess.run(["umount", place / "small"], check=True)
