"""Images from disk: load, save, import, tag, rmi, images, image inspect, as root and as an ordinary user."""

import io
import json
import os
import re
import subprocess
import tarfile

import images
import oracle
import pytest
from images import Layer, Layout, docker_archive

FORMATS = ("docker-archive", "oci-archive", "oci-dir")
CREATED = "2024-01-02T03:04:05.678901234Z"


def small(text="1", config=None, **more):
    """Layers and settings of an image that is only looked at."""
    return dict(layers=[Layer().dir("etc").file("etc/text", text)], config=config, **more)


def load(engine, place, data, name="archive", code=0, **keywords):
    result = engine.call("load", "-i", images.write(place / name, data), timeout=60, **keywords)
    return result.exits(code)


def identity(engine, name):
    return engine.inspect(name, "Id")


# load


@pytest.mark.parametrize("outer", [None, "gzip", "zstd"])
@pytest.mark.parametrize("inner", [None, "gzip", "zstd"])
@pytest.mark.parametrize("form", ["docker", "oci"])
def test_load_every_form(fresh, place, form, inner, outer):
    layers = [Layer().dir("a").file("a/one", "1").file("a/two", "2"), Layer().whiteout("a/one").file("a/three", "3")]
    data = docker_archive(layers, ["made:1"], compression=inner) if form == "docker" else layout_of(layers, "made:1", inner).tar()
    result = load(fresh, place, images.compressed(data, outer))
    assert result.out == "Loaded image: made:1\n" and result.err == ""
    assert oracle.images(fresh) == {identity(fresh, "made:1"): ["made:1"]}
    # The same once more, from standard input: nothing changes.
    assert fresh.ok("load", stdin=images.compressed(data, outer), timeout=60).out == "Loaded image: made:1\n"
    oracle.assert_sound(fresh)


def layout_of(layers, tag, compression=None, **more):
    layout = Layout()
    layout.image(layers, tag, compression=compression, **more)
    return layout


@pytest.mark.parametrize("inner", [None, "gzip", "zstd"])
def test_load_a_directory(fresh, place, inner):
    directory = layout_of([Layer().file("text", "x")], "made:1", inner).directory(place / "layout")
    assert fresh.ok("load", "-i", directory).out == "Loaded image: made:1\n"
    oracle.assert_sound(fresh)


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_media_types_of_docker(fresh, place, compression):
    """A layout whose documents are Docker's schema 2, as registries have them."""
    prefix = "application/vnd.docker."
    suffix = ".gzip" if compression else ""

    def manifest(body):
        body["mediaType"] = prefix + "distribution.manifest.v2+json"
        body["config"]["mediaType"] = prefix + "container.image.v1+json"
        for layer in body["layers"]:
            layer["mediaType"] = prefix + "image.rootfs.diff.tar" + suffix

    def descriptor(entry):
        entry["mediaType"] = prefix + "distribution.manifest.v2+json"

    layout = layout_of([Layer().file("text", "x")], "made:1", compression, manifest=manifest, descriptor=descriptor)
    load(fresh, place, layout.tar())
    for form in FORMATS:
        fresh.ok("save", "--format", form, "-o", place / form, "made:1")
        fresh.ok("rmi", "made:1")
        assert fresh.ok("load", "-i", place / form).out == "Loaded image: made:1\n"
    oracle.assert_sound(fresh)


def test_load_of_images_that_share_layers(fresh, place):
    base, upper = Layer().file("base", "b"), Layer().file("upper", "u")
    load(fresh, place, docker_archive([base], ["one:1"]))
    load(fresh, place, docker_archive([base, upper], ["two:1"], compression="gzip"))
    load(fresh, place, layout_of([base, upper], "three:1", "zstd", config={"Cmd": ["x"]}).tar())
    assert len(os.listdir(fresh.root / "layers")) == 2
    oracle.assert_sound(fresh)


def test_load_moves_a_name(fresh, place):
    load(fresh, place, docker_archive(**small("1"), tags=["made:1"]))
    first = identity(fresh, "made:1")
    result = load(fresh, place, docker_archive(**small("2"), tags=["made:1"]))
    assert result.out.splitlines() == [
        f"The image made:1 already exists, renaming the old one with ID {first} to empty string", "Loaded image: made:1",
    ]  # fmt: skip
    assert oracle.images(fresh) == {identity(fresh, "made:1"): ["made:1"], first: ["<none>:<none>"]}


def test_load_without_a_name(fresh, place):
    result = load(fresh, place, docker_archive(**small(), tags=()))
    assert re.fullmatch(r"Loaded image ID: sha256:[0-9a-f]{64}\n", result.out)
    # The spec lets a layout's name be any text; one that is no image name names nothing.
    result = load(fresh, place, layout_of([Layer().file("x", "y")], "Version_1").tar())
    assert result.out.startswith("Loaded image ID: ")


def test_load_several_images(fresh, place):
    layout = Layout()
    for number in range(3):
        layout.image([Layer().file("n", str(number))], f"several:{number}")
    layout.image([Layer().file("n", "artifact")], "artifact:1", descriptor=lambda entry: {**entry, "mediaType": "application/x-unknown"})
    assert load(fresh, place, layout.tar()).out.splitlines() == [f"Loaded image: several:{number}" for number in range(3)]
    oracle.assert_sound(fresh)


@pytest.mark.parametrize("wanted,arch", [(None, "amd64"), ("linux/s390x", "s390x"), ("linux/riscv64", None)])
def test_load_of_a_platform(fresh, place, wanted, arch):
    if os.uname().machine != "x86_64":
        pytest.skip("the image is made for amd64")
    layout = Layout()
    for name in ("s390x", "amd64"):
        layout.image(
            [Layer().file("arch", name)], "made:1", architecture=name,
            descriptor=lambda entry, name=name: {**entry, "platform": {"os": "linux", "architecture": name}},
        )  # fmt: skip
    path = images.write(place / "archive", layout.tar())
    result = fresh.call("load", *(["--platform", wanted] if wanted else []), "-i", path)
    if arch is None:
        result.fails(1, "no image for platform linux/riscv64")
        assert fresh.ok("images", "-q").out == ""
        return
    result.check()
    assert fresh.inspect("made:1", "Architecture") == arch


@pytest.mark.parametrize(
    "args,pattern",
    [
        (("-i", "/nowhere/archive"), r"open.*/nowhere/archive.*no such file"),
        (("-i", "/dev/null"), "neither an OCI layout nor a docker archive"),
        (("-i", "/etc"), "neither an OCI layout nor a docker archive"),
        (("-i", "/bin/sh"), "archive"),
        ((), "neither an OCI layout nor a docker archive"),
    ],
)
def test_load_of_what_is_none(fresh, args, pattern):
    fresh.call("load", *args).fails(1, pattern)
    assert fresh.ok("images", "-q").out == ""
    assert oracle.unfinished(fresh) == []


def test_load_of_a_root_file_system_says_import(fresh, place):
    load(fresh, place, Layer().dir("bin").file("bin/sh", "x").bytes, code=1).fails(1, "use import")


# save


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("compression", [None, "gzip", "zstd"])
def test_save_and_load(fresh, place, form, compression):
    layers = [Layer().dir("a", mode=0o711).file("a/one", "1" * 100_000), Layer().whiteout("a/one").hardlink_pair()]
    load(fresh, place, docker_archive(layers, ["made:1", "made:2"], compression=compression))
    before = json.loads(fresh.ok("image", "inspect", "made:1").out)[0]
    target = place / "saved"
    fresh.ok("save", "--format", form, "-o", target, "made:1", "made:2")
    fresh.ok("rmi", "made:1", "made:2")
    assert os.listdir(fresh.root / "layers") == os.listdir(fresh.root / "blobs/sha256") == []
    assert fresh.ok("load", "-i", target).lines == ["Loaded image: made:1", "Loaded image: made:2"]
    after = json.loads(fresh.ok("image", "inspect", "made:1").out)[0]
    for key in ("Id", "RepoTags", "RootFS", "Config", "Size", "Created", "Architecture", "Os"):
        assert after[key] == before[key]
    oracle.assert_sound(fresh)


def test_docker_archive_has_plain_layers(fresh, place):
    """dockerd before version 23 reads no zstd, and `docker save` writes no compressed layers."""
    load(fresh, place, docker_archive([Layer().file("a", "1" * 50_000)], ["made:1"], compression="zstd"))
    archive = tarfile.open(fileobj=io.BytesIO(fresh.ok("save", "made:1").bytes))
    entry = json.load(archive.extractfile("manifest.json"))[0]
    assert entry["RepoTags"] == ["made:1"]
    layer = archive.extractfile(entry["Layers"][0]).read()
    diff_ids = json.load(archive.extractfile(entry["Config"]))["rootfs"]["diff_ids"]
    assert [images.digest(layer)] == diff_ids and tarfile.open(fileobj=io.BytesIO(layer)).getnames() == ["a"]
    index = json.load(archive.extractfile("index.json"))
    manifest = json.load(archive.extractfile("blobs/sha256/" + index["manifests"][0]["digest"].partition(":")[2]))
    assert [item["digest"] for item in manifest["layers"]] == diff_ids
    assert manifest["layers"][0]["mediaType"] == images.LAYER


def test_save_is_reproducible(fresh, place):
    load(fresh, place, docker_archive(**small(), tags=["made:1"]))
    first = fresh.ok("save", "made:1").bytes
    fresh.ok("rmi", "made:1")
    load(fresh, place, docker_archive(**small(), tags=["made:1"]))
    assert fresh.ok("save", "made:1").bytes == first
    fresh.ok("save", "-o", place / "file", "made:1")
    assert (place / "file").read_bytes() == first and (place / "file").stat().st_mode & 0o077 == 0


def test_save_by_id_has_no_name(fresh, place):
    load(fresh, place, docker_archive(**small("1"), tags=["made:1"]))
    load(fresh, place, docker_archive(**small("2"), tags=["made:2"]))
    ids = [identity(fresh, name) for name in ("made:1", "made:2")]
    fresh.ok("save", "-o", place / "saved", *ids)
    fresh.ok("rmi", "made:1", "made:2")
    assert sorted(fresh.ok("load", "-i", place / "saved").lines) == sorted(f"Loaded image ID: {one}" for one in ids)


def test_where_save_writes(fresh, place, who):
    load(fresh, place, docker_archive(**small(), tags=["made:1"]))
    fresh.call("save", "nope").fails(1, "no such image: nope:latest|No such image: nope")
    fresh.call("save", "-o", place / "none/saved", "made:1").fails(1, "no such file or directory")
    fresh.call("save", "--format", "oci-dir", "made:1").fails(1, "-o")
    fresh.call("save", "--format", "nope", "made:1").fails(125, "oci-archive")
    fresh.call("save", "--platform", "linux/s390x", "made:1").fails(1, "does not match")
    assert os.listdir(place) == ["archive"]
    # What is no regular file is written to, never replaced.
    before = os.lstat("/dev/null")
    fresh.ok("save", "-o", "/dev/null", "made:1")
    after = os.lstat("/dev/null")
    assert (before.st_ino, before.st_rdev, before.st_mode) == (after.st_ino, after.st_rdev, after.st_mode)
    if who.is_root:
        data = fresh.ok("save", "-o", "/dev/stdout", "made:1").bytes
        assert data == fresh.ok("save", "made:1").bytes and os.path.islink("/dev/stdout")
    # A full disk leaves nothing behind.
    fresh.call("save", "-o", "/dev/full", "made:1").fails(1, "no space left on device")


def test_save_of_a_damaged_image(fresh, place):
    load(fresh, place, docker_archive([Layer().file("a", os.urandom(50_000))], ["made:1"], compression="gzip"))
    largest = max((fresh.root / "blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 1
    largest.write_bytes(data)
    for form in FORMATS:
        fresh.call("save", "--format", form, "-o", place / "saved", "made:1").fails(1, "damaged", "berth system check")
        assert not (place / "saved").exists()


# import


@pytest.mark.parametrize("compression", [None, "gzip", "zstd"])
@pytest.mark.parametrize("source", ["file", "-"])
def test_import(fresh, place, suite, compression, source):
    data = images.compressed(images.base_layer(suite.init).bytes, compression)
    path = images.write(place / "rootfs.tar", data)
    if source == "-":
        result = fresh.ok("import", "-", "made:1", stdin=data, timeout=60)
    else:
        result = fresh.ok("import", path, "made:1", timeout=60)
    assert result.out == identity(fresh, "made:1") + "\n"
    assert fresh.run("made:1", "echo", "hello").check().out == "hello\n"
    assert fresh.inspect("made:1", "Comment") == f"Imported from {path if source == 'file' else '-'}"
    oracle.assert_sound(fresh)


def test_import_changes(fresh, place):
    path = images.write(place / "rootfs.tar", Layer().file("a", "1").bytes)
    changes = ["CMD [\"a\", \"b\"]", "ENV A=1 B=\"two words\"", "WORKDIR /work", "LABEL l=v", "USER 7:8", "EXPOSE 80/tcp", "VOLUME /data",
               "STOPSIGNAL SIGQUIT", "ENTRYPOINT [\"e\"]"]  # fmt: skip
    fresh.ok("import", *[word for change in changes for word in ("--change", change)], "-m", "note", path, "made:1")
    document = json.loads(fresh.ok("image", "inspect", "made:1").out)[0]
    config = document["Config"]
    assert config["Cmd"] == ["a", "b"] and config["Entrypoint"] == ["e"] and config["WorkingDir"] == "/work" and config["User"] == "7:8"
    assert config["Env"] == ["A=1", "B=two words"] and config["Labels"] == {"l": "v"} and config["StopSignal"] == "SIGQUIT"
    assert list(config["ExposedPorts"]) == ["80/tcp"] and list(config["Volumes"]) == ["/data"] and document["Comment"] == "note"


@pytest.mark.parametrize(
    "args,pattern",
    [
        (("/nowhere", "made:1"), "no such file"), (("{}", "UPPER"), "lower-case"), (("--change", "RUN x", "{}", "made:1"), "RUN"),
        (("--platform", "linux/nope/x/y", "{}", "made:1"), "platform"), (("{}", "a:b:c"), "invalid"),
        (("{}", "x@sha256:" + "0" * 64), "digest"),
    ],
)  # fmt: skip
def test_import_refusals(fresh, place, args, pattern):
    path = images.write(place / "rootfs.tar", Layer().file("a", "1").bytes)
    result = fresh.call("import", *[word.replace("{}", str(path)) for word in args])
    assert result.code in (1, 125) and re.search(pattern, result.err, re.I), result
    assert fresh.ok("images", "-q").out == ""


# images


@pytest.fixture
def listed(fresh, place):
    """Three images of different ages: one of two names, one dangling."""
    for number, (tags, year) in enumerate([(["old:1"], 2020), (["apps/mid:1", "apps/mid:2"], 2022), ([], 2024)]):
        load(fresh, place, docker_archive(**small(str(number), {"Labels": {"n": str(number)}}), tags=tags, created=f"{year}-01-02T03:04:05Z"))
    return fresh


def table(engine, *args):
    return engine.ok("images", *args).lines


def test_images_table(listed):
    lines = table(listed)
    assert re.split(r"\s{2,}", lines[0]) == ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"]
    rows = [re.split(r"\s{2,}", line) for line in lines[1:]]
    assert [row[:2] for row in rows] == [["<none>", "<none>"], ["apps/mid", "1"], ["apps/mid", "2"], ["old", "1"]]
    assert all(re.fullmatch(r"[0-9a-f]{12}", row[2]) and row[3].endswith(" ago") and re.fullmatch(r"[\d.]+kB", row[4]) for row in rows)
    full = [re.split(r"\s{2,}", line) for line in table(listed, "--no-trunc", "--digests")[1:]]
    assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", row[2]) and re.fullmatch(r"sha256:[0-9a-f]{64}", row[3]) for row in full)
    assert table(listed, "-a") == lines == listed.ok("image", "ls").lines == listed.ok("image", "list").lines


def test_images_quiet(listed):
    short, full = table(listed, "-q"), table(listed, "-q", "--no-trunc")
    assert len(short) == len(full) == 3
    assert [one.partition(":")[2][:12] for one in full] == short


@pytest.mark.parametrize(
    "args,names",
    [
        (("-f", "dangling=true"), ["<none>:<none>"]), (("-f", "dangling=false"), ["apps/mid:1", "apps/mid:2", "old:1"]),
        (("-f", "reference=old"), ["old:1"]), (("-f", "reference=apps/*"), ["apps/mid:1", "apps/mid:2"]),
        (("-f", "reference=*:1"), ["old:1"]), (("-f", "reference=*/*:2"), ["apps/mid:2"]),
        (("-f", "before=apps/mid:1"), ["old:1"]), (("-f", "since=apps/mid:1"), ["<none>:<none>"]),
        (("-f", "reference=old", "-f", "dangling=false"), ["old:1"]),
        (("-f", "reference=old", "-f", "reference=apps/mid:2"), ["apps/mid:2", "old:1"]),
        (("-f", "label=n=0"), ["old:1"]), (("-f", "label=n"), ["<none>:<none>", "apps/mid:1", "apps/mid:2", "old:1"]),
        (("-f", "label=other"), []),
        (("-f", "until=2023-01-01T00:00:00Z"), ["apps/mid:1", "apps/mid:2", "old:1"]), (("-f", "until=10m"), ["<none>:<none>", "apps/mid:1", "apps/mid:2", "old:1"]),
        (("old",), ["old:1"]), (("old:2",), []), (("apps/mid:2",), ["apps/mid:2"]), (("docker.io/library/old",), ["old:1"]),
        (("apps/*",), ["apps/mid:1", "apps/mid:2"]),
    ],
)  # fmt: skip
def test_images_filters(listed, args, names):
    assert table(listed, "--format", "{{.Repository}}:{{.Tag}}", *args) == names


def test_images_filters_that_are_none(listed):
    listed.call("images", "-f", "nope=1").fails(1, "invalid filter")
    listed.call("images", "-f", "dangling=maybe").fails(1, "invalid filter")
    listed.call("images", "-f", "before=nope").fails(1, "no such image")


def test_images_format(listed):
    rows = [json.loads(line) for line in table(listed, "--format", "json")]
    assert [row["Repository"] for row in rows] == ["<none>", "apps/mid", "apps/mid", "old"]
    assert set(rows[0]) == {"Containers", "CreatedAt", "CreatedSince", "Digest", "ID", "Repository", "SharedSize", "Size", "Tag", "UniqueSize", "VirtualSize"}  # fmt: skip
    assert table(listed, "--format", "{{json .Tag}}", "old") == ['"1"']
    lines = table(listed, "--format", "table {{.Repository}}\t{{.ID}}", "old")
    assert lines[0].split() == ["REPOSITORY", "IMAGE", "ID"] and lines[1].startswith("old ")
    listed.call("images", "--format", "{{.Nope}}").fails(1, "Nope")


def test_inspect_of_images(listed):
    document = json.loads(listed.ok("image", "inspect", "apps/mid:1", "old:1").out)
    assert [item["RepoTags"] for item in document] == [["apps/mid:1", "apps/mid:2"], ["old:1"]]
    assert document[0]["RepoDigests"][0].startswith("apps/mid@sha256:")
    assert listed.ok("image", "inspect", "-f", "{{.Created}} {{.Config.Labels.n}}", "old:1").text == "2020-01-02T03:04:05Z 0"
    result = listed.call("image", "inspect", "old:1", "nope")
    result.fails(1, "no such image: nope")
    assert json.loads(result.out)[0]["RepoTags"] == ["old:1"]


# tag


@pytest.mark.parametrize("target", ["x", "x:2", "host:5000/a/b:1", "localhost/x", "a.b/c_d/e--f:V1.0_x"])
def test_tag(fresh, place, target):
    load(fresh, place, docker_archive(**small(), tags=["made:1"]))
    one = identity(fresh, "made:1")
    fresh.ok("tag", "made:1", target)
    assert identity(fresh, target) == one
    fresh.ok("image", "tag", one[7:19], target)
    assert len(fresh.inspect(one, "RepoTags")) == 2
    assert fresh.ok("rmi", target).lines == ["Untagged: " + (target if ":" in target.rpartition("/")[2] else target + ":latest")]


@pytest.mark.parametrize("target", ["UPPER", "a/../b", "x:", "", "x@sha256:" + "0" * 64, "a" * 300, "é", "sha256:1", "x:" + "t" * 129, "-x", "host:99999999/x"])
def test_tags_that_are_none(fresh, place, target):
    load(fresh, place, docker_archive(**small(), tags=["made:1"]))
    result = fresh.call("tag", "made:1", "--", target) if target.startswith("-") else fresh.call("tag", "made:1", target)
    assert result.code in (1, 125) and result.err.strip()
    assert list(oracle.images(fresh).values()) == [["made:1"]]
    fresh.call("tag", "nope", "x").fails(1, "no such image: nope")


# rmi


def test_rmi(fresh, place):
    load(fresh, place, docker_archive([Layer().file("base", "b"), Layer().file("x", "1")], ["one:1", "one:2"]))
    load(fresh, place, docker_archive([Layer().file("base", "b")], ["base:1"]))
    one = identity(fresh, "one:1")
    assert fresh.ok("rmi", "one:2").lines == ["Untagged: one:2"]
    assert fresh.ok("rmi", "base:1").lines == ["Untagged: base:1", "Deleted: " + lines_id(fresh)]
    lines = fresh.ok("image", "rm", "one:1").lines
    assert lines[:2] == ["Untagged: one:1", "Deleted: " + one] and len(lines) == 4
    assert oracle.images(fresh) == {}
    for directory in ("layers", "blobs/sha256"):
        assert os.listdir(fresh.root / directory) == []
    oracle.assert_sound(fresh)


def lines_id(engine):
    """The image that was loaded second is known by its documents only: two share one layer."""
    config = images.image_config([images.digest(Layer().file("base", "b").bytes)])
    return images.digest(json.dumps(config).encode())


def test_rmi_by_id(fresh, place):
    load(fresh, place, docker_archive(**small(), tags=["made:1", "made:2"]))
    one = identity(fresh, "made:1")
    fresh.call("rmi", one).fails(1, "must be forced")
    fresh.call("rmi", "nope", one[7:19]).fails(1, "no such image: nope", "must be forced")
    assert fresh.ok("rmi", "-f", one[7:15]).lines[:2] == ["Untagged: made:1", "Untagged: made:2"]
    assert oracle.images(fresh) == {}


def test_rmi_of_an_image_in_use(fresh, test_archive):
    fresh.ok("load", "-i", test_archive, timeout=60)
    one = identity(fresh, "test")
    running = fresh.up()
    fresh.call("rmi", "test").fails(1, "container is using|is using its referenced image")
    fresh.call("rmi", "-f", one).fails(1, "cannot be forced")
    fresh.ok("stop", "-t", "0", running)
    fresh.call("rmi", one).fails(1, "must be forced")
    fresh.ok("rmi", "-f", "test")
    # The container outlives its image's name, and its layers are kept.
    fresh.ok("start", running)
    assert fresh.ok("exec", running, "echo", "alive").out == "alive\n"
    fresh.ok("rm", "-f", running)
    assert fresh.ok("images", "-q").out == ""
    fresh.ok("load", "-i", test_archive, timeout=60)
    oracle.assert_sound(fresh)


def test_image_commands_have_dockers_spellings(fresh, place):
    path = images.write(place / "archive", docker_archive(**small(), tags=["made:1"]))
    fresh.ok("image", "load", "--input", path, "--quiet")
    fresh.ok("image", "save", "--output", place / "saved", "made:1")
    fresh.ok("image", "import", images.write(place / "rootfs", Layer().file("a").bytes), "made:2")
    fresh.ok("image", "remove", "made:1", "made:2")
    assert fresh.ok("image", "ls", "-q").out == ""


def test_new_trees_are_spread(fresh, place):
    """ext4 searches long for free inodes beside a tree that was just removed: layers are made apart from it."""
    load(fresh, place, docker_archive(**small(), tags=["made:1"]))
    shown = subprocess.run(["lsattr", "-d", fresh.root / "staging"], capture_output=True, text=True)
    kind = subprocess.run(["stat", "-f", "-c", "%T", fresh.root], capture_output=True, text=True).stdout.strip()
    if kind != "ext2/ext3" or shown.returncode:
        pytest.skip("no ext4 here")
    assert "T" in shown.stdout.split()[0]
