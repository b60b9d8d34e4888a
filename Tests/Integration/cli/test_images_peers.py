"""What other programs write, berth loads; what berth saves, they read: skopeo, umoci, dockerd, podman."""

import json
import os
import pathlib
import shutil
import stat
import struct
import subprocess
import sys
import tarfile

import images
import oracle
import pytest
import trees
from images import Layer, docker_archive

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from peer_docker import PrivateDocker  # noqa: E402

FORMATS = ("docker-archive", "oci-archive", "oci-dir")
# skopeo's name of each, with the reference it wants behind the path.
TRANSPORTS = {"docker-archive": "docker-archive", "oci-archive": "oci-archive", "oci-dir": "oci"}


def run(*command, **keywords):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120, **keywords)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def needs(*programs):
    for name in programs:
        if not shutil.which(name):
            pytest.skip(f"{name} is not installed: scripts/setup test peers")


def capability(bit):
    """The value of `security.capability`, version 2: one permitted and effective bit."""
    return struct.pack("<5I", 0x02000001, 1 << bit, 0, 0, 0)


def rich_tree(root):
    """One of everything that a layer can carry."""
    root.mkdir()
    text = lambda path, data, mode=0o644: (path.write_bytes(data), path.chmod(mode))  # noqa: E731
    for name, mode in (("bin", 0o755), ("tmp", 0o1777), ("shared", 0o2770), ("closed", 0o500), ("deep/a/b/c", 0o755)):
        (root / name).mkdir(parents=True)
        (root / name).chmod(mode)
    text(root / "bin/set-uid", b"program", 0o4755)
    text(root / "bin/ping", b"program", 0o755)
    os.setxattr(root / "bin/ping", "security.capability", capability(13))
    text(root / "closed/inside", b"secret", 0o400)
    text(root / "empty", b"", 0o600)
    text(root / "attributes", b"x")
    os.setxattr(root / "attributes", "user.one", b"1")
    os.setxattr(root / "attributes", "user.binary", bytes(range(256)))
    os.setxattr(root / "tmp", "user.directory", b"yes")
    for name in ("deep/one", "deep/a/two", "three"):
        if name == "deep/one":
            text(root / name, b"one file")
        else:
            os.link(root / "deep/one", root / name)
    (root / "link").symlink_to("bin/ping")
    (root / "absolute").symlink_to("/etc/passwd")
    (root / "dangling").symlink_to("nowhere/at/all")
    (root / "long-link").symlink_to("x/" * 200 + "end")
    text(root / ("n" * 255), b"long name")
    (root / "/".join(["d" * 100] * 4)).mkdir(parents=True)
    text(root / "/".join(["d" * 100] * 4) / "file", b"long path")
    text(root / "spaces and \u00e9\u4e2d", b"unicode")
    text(pathlib.Path(os.fsdecode(os.fsencode(root) + b"/bytes-\xff\xfe")), b"no utf-8")
    with open(root / "sparse", "wb") as file:
        file.seek(8 << 20)
        file.write(b"middle")
        file.truncate(32 << 20)
    os.mkfifo(root / "fifo", 0o620)
    os.mknod(root / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(root / "loop", stat.S_IFBLK | 0o660, os.makedev(7, 0))
    text(root / "owned", b"x")
    os.chown(root / "owned", 1000, 1001)
    os.lchown(root / "link", 5, 6)
    os.chown(root / "shared", 1000, 1000)
    for number, path in enumerate(sorted(root.rglob("*"))):
        os.utime(path, ns=(10**18, 10**18 + number * 1_000_000_007), follow_symlinks=False)
    return root


@pytest.fixture(scope="module")
def rich(suite):
    """The tree, and its tar by GNU tar with everything in it."""
    if os.geteuid() != 0:
        pytest.skip("needs root to make device nodes and owners")
    # Below the suite's own directory: pytest closes its own to other users.
    base = suite.base / "rich"
    base.mkdir(mode=0o755)
    root = rich_tree(base / "tree")
    run("tar", "-C", root, "--numeric-owner", "--format=pax", "--xattrs", "--xattrs-include=*", "--sparse", "-cf", base / "rich.tar", ".")
    # dockerd cannot write again what came in as sparse files.
    run("tar", "-C", root, "--numeric-owner", "--format=pax", "--xattrs", "--xattrs-include=*", "-cf", base / "dense.tar", ".")
    for name in ("rich.tar", "dense.tar"):
        (base / name).chmod(0o644)
    return base


def layer_directories(engine, name):
    """Topmost first."""
    data = engine.inspect(name, "GraphDriver.Data")
    return [data["UpperDir"], *filter(None, data.get("LowerDir", "").split(":"))]


def expected_for(who, tree):
    """The tree as it is on disk for a user: ids shifted, no devices, capabilities of the user namespace."""
    if who.is_root:
        return tree
    seen = {}
    for name, item in tree.items():
        if "device" in item:
            continue
        item = dict(item)
        for key, own, start in (("uid", who.uid, who.subuid[0]), ("gid", who.gid, who.subgid[0])):
            item[key] = own if item[key] == 0 else start + item[key] - 1
        if "xattrs" in item:
            item["xattrs"] = {key: value for key, value in item["xattrs"].items() if key != "security.capability"}
            if not item["xattrs"]:
                del item["xattrs"]
        seen[name] = item
    return seen


def without_capability(tree):
    """As `expected_for`: the kernel gives the attribute another form, which root reads with the namespace's root id in it."""
    for item in tree.values():
        item.get("xattrs", {}).pop("security.capability", None)
        if item.get("xattrs") == {}:
            del item["xattrs"]
    return tree


def compare(seen, expected, ignore_root=False):
    if ignore_root:
        seen, expected = ({**tree, ".": None} for tree in (seen, expected))
    assert sorted(seen) == sorted(expected)
    different = {name: (seen[name], expected[name]) for name in seen if seen[name] != expected[name]}
    assert different == {}


# GNU tar


@pytest.mark.parametrize("compression", [None, "gzip", "zstd"])
def test_a_tree_from_gnu_tar(fresh, who, rich, place, compression):
    data = images.compressed((rich / "rich.tar").read_bytes(), compression)
    fresh.ok("import", images.write(place / "rootfs", data), "rich:1", timeout=60)
    directory = pathlib.Path(layer_directories(fresh, "rich:1")[0])
    seen = trees.tree(directory)
    if not who.is_root:
        value = os.getxattr(directory / "bin/ping", "security.capability")
        # Version 3 with the id of the namespace's root, or the version 2 form where the kernel shows it so.
        assert struct.unpack("<I", value[4:8])[0] == 1 << 13 and (len(value) != 24 or struct.unpack("<I", value[20:])[0] == who.uid)
        seen = without_capability(seen)
    compare(seen, expected_for(who, trees.tree(rich / "tree")))
    # Holes stay holes.
    assert trees.allocated(directory / "sparse") < 1 << 20
    oracle.assert_sound(fresh)


@pytest.mark.parametrize("form", FORMATS)
def test_a_tree_through_save_and_umoci(fresh, who, rich, place, form):
    """What is saved is unpacked by umoci to the same tree."""
    needs("umoci", "skopeo")
    fresh.ok("import", rich / "rich.tar", "rich:1", timeout=60)
    fresh.ok("save", "--format", form, "-o", place / "saved", "rich:1", timeout=60)
    layout = as_layout(place, form)
    run("umoci", "unpack", "--image", f"{layout}:1", place / "bundle")
    compare(trees.tree(place / "bundle/rootfs"), trees.tree(rich / "tree"), ignore_root=True)


def as_layout(place, form, name="rich:1"):
    """What berth saved, as a layout with the tag 1, by skopeo."""
    source = f"{TRANSPORTS[form]}:{place}/saved:" + (name if form == "docker-archive" else "1")
    run("skopeo", "copy", "--insecure-policy", source, f"oci:{place}/copy:1")
    return place / "copy"


# skopeo


@pytest.fixture
def layered(fresh, place):
    """An image of three layers with whiteouts, an opaque directory and replaced kinds, loaded."""
    layers = [
        Layer().dir("a").file("a/one", "1").file("a/two", "2").dir("b").file("b/below", "x").file("c", "file").dir("d").file("d/x", "y"),
        Layer().whiteout("a/one").opaque("b").file("b/above", "z").dir("c").file("c/inside", "now a directory").symlink("d", "a"),
        Layer().hardlink_pair().file("a/two", "changed").whiteout("first-gone"),
    ]
    config = {"Cmd": ["a", "b"], "Env": ["PATH=/bin", "K=V"], "Labels": {"l": "v"}, "User": "1:2", "WorkingDir": "/a"}
    fresh.ok("load", "-i", images.write(place / "archive", docker_archive(layers, ["layered:1"], config, "gzip")))
    return fresh


LAYERED = ["a", "a/two", "b", "b/above", "c", "c/inside", "d", "first", "second"]


@pytest.mark.parametrize("form", FORMATS)
def test_skopeo_reads_what_berth_saves(layered, place, form):
    needs("skopeo")
    layered.ok("save", "--format", form, "-o", place / "saved", "layered:1")
    source = f"{TRANSPORTS[form]}:{place}/saved:" + ("layered:1" if form == "docker-archive" else "1")
    document = json.loads(run("skopeo", "inspect", "--config", source))
    expected = layered.inspect("layered:1")
    assert document["rootfs"]["diff_ids"] == expected["RootFS"]["Layers"]
    assert document["config"]["Cmd"] == ["a", "b"] and document["config"]["Labels"] == {"l": "v"}
    raw = run("skopeo", "inspect", "--raw", "--config", source)
    assert images.digest(raw.encode()) == expected["Id"]
    assert len(json.loads(run("skopeo", "inspect", source))["Layers"]) == 3
    run("skopeo", "copy", "--insecure-policy", source, f"oci:{place}/copy:1")
    oracle.assert_sound(layered)


@pytest.mark.parametrize("form", FORMATS)
def test_umoci_unpacks_what_berth_saves(layered, who, place, form):
    """The layers put together by umoci and by overlay are one tree."""
    needs("skopeo", "umoci")
    layered.ok("save", "--format", form, "-o", place / "saved", "layered:1")
    if not who.is_root:
        # umoci as the user; what it makes belongs to the user.
        keywords = {"user": who.uid, "group": who.gid, "extra_groups": [], "env": {"HOME": str(place), "PATH": os.environ["PATH"]}}
        source = f"{TRANSPORTS[form]}:{place}/saved:" + ("layered:1" if form == "docker-archive" else "1")
        run("skopeo", "--tmpdir", place, "copy", "--insecure-policy", source, f"oci:{place}/copy:1", **keywords)
        run("umoci", "unpack", "--rootless", "--image", f"{place}/copy:1", place / "bundle", **keywords)
        names = [name for name in sorted(trees.tree(place / "bundle/rootfs")) if name != "."]
        assert names == LAYERED
        return
    run("umoci", "unpack", "--image", f"{as_layout(place, form, 'layered:1')}:1", place / "bundle")
    unpacked = trees.tree(place / "bundle/rootfs")
    merged = trees.merged(*layer_directories(layered, "layered:1"))
    assert sorted(name for name in unpacked if name != ".") == LAYERED
    # umoci makes directories that a layer does not name anew; times of those differ.
    for tree in (unpacked, merged):
        for item in tree.values():
            item.pop("mtime")
    compare(merged, unpacked, ignore_root=True)


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive", "oci-dir"])
@pytest.mark.parametrize("compression", ["plain", "gzip", "zstd"])
def test_what_skopeo_writes(layered, place, form, compression):
    needs("skopeo")
    layered.ok("save", "--format", "oci-dir", "-o", place / "saved", "layered:1")
    before = layered.inspect("layered:1")
    layered.ok("rmi", "layered:1")
    flags = {"plain": ["--dest-decompress"], "gzip": ["--dest-compress-format", "gzip"], "zstd": ["--dest-compress-format", "zstd"]}[compression]
    if compression != "plain":
        flags += ["--dest-compress"]
    if compression != "gzip":
        # A change of compression is only made on the way through plain layers.
        run("skopeo", "copy", "--insecure-policy", "--dest-decompress", f"oci:{place}/saved:1", f"dir:{place}/plain")
        source = f"dir:{place}/plain"
    else:
        source = f"oci:{place}/saved:1"
    target = {"docker-archive": f"docker-archive:{place}/out:layered:1", "oci-archive": f"oci-archive:{place}/out:layered:1", "oci-dir": f"oci:{place}/out:layered:1"}[form]  # fmt: skip
    run("skopeo", "copy", "--insecure-policy", *flags, source, target)
    run("chmod", "-R", "a+rX", place / "out")
    assert layered.ok("load", "-i", place / "out").out == "Loaded image: layered:1\n"
    after = layered.inspect("layered:1")
    assert after["RootFS"] == before["RootFS"] and after["Id"] == before["Id"]
    oracle.assert_sound(layered)


# umoci


def test_what_umoci_writes(fresh, who, rich, place):
    """A layout that umoci made of the tree, changed twice: layers with whiteouts of umoci's making."""
    needs("umoci")
    if not who.is_root:
        pytest.skip("umoci makes devices and owners as root only; what root made is loaded by the user elsewhere")
    layout, bundle = place / "layout", place / "bundle"
    run("umoci", "init", "--layout", layout)
    run("umoci", "new", "--image", f"{layout}:base")
    run("umoci", "unpack", "--image", f"{layout}:base", bundle)
    (bundle / "rootfs").rmdir()
    run("cp", "-a", rich / "tree", bundle / "rootfs")
    run("umoci", "repack", "--refresh-bundle", "--image", f"{layout}:first", bundle)
    root = bundle / "rootfs"
    shutil.rmtree(root / "deep/a")
    (root / "bin/set-uid").unlink()
    (root / "link").unlink()
    (root / "link").mkdir()
    (root / "link/file").write_text("x")
    run("umoci", "repack", "--image", f"{layout}:second", bundle)
    run("umoci", "config", "--image", f"{layout}:second", "--config.cmd", "sh", "--config.env", "A=1")
    fresh.ok("load", "-i", layout, timeout=60)
    assert len(fresh.inspect("second", "RootFS.Layers")) == 2 and fresh.inspect("second", "Config.Cmd") == ["sh"]
    run("umoci", "unpack", "--image", f"{layout}:second", place / "again")
    merged, unpacked = trees.merged(*layer_directories(fresh, "second")), trees.tree(place / "again/rootfs")
    compare(merged, unpacked, ignore_root=True)
    oracle.assert_sound(fresh)


# dockerd


@pytest.fixture(scope="module")
def docker():
    if PrivateDocker.why_not():
        pytest.skip(PrivateDocker.why_not())
    # Short: the path of a socket has 107 characters.
    base = pathlib.Path(f"/tmp/berth-docker-{os.getpid()}")
    server = PrivateDocker(base / "d")
    yield server
    server.close()
    shutil.rmtree(base)


def export_of(docker, name, place):
    """The tree of an image as dockerd has it: a tar of a container that is never started."""
    container = docker.ok("create", "--network", "none", name, "/none")
    docker.ok("export", "-o", place / "export.tar", container)
    docker.ok("rm", container)
    made_by_docker = {"dev", "etc", "proc", "sys", ".dockerenv"}
    with tarfile.open(place / "export.tar") as tar:
        return {item.name.rstrip("/"): item for item in tar if item.name.split("/")[0] not in made_by_docker}


@pytest.mark.parametrize("compression", [None, "gzip", "zstd"])
def test_dockerd_loads_what_berth_saves(layered, docker, place, compression, who):
    """Also an image whose layers came in as zstd, which this dockerd cannot read."""
    before = layered.inspect("layered:1")
    if compression != "gzip":
        data = docker_archive([Layer().dir("a").file("a/two", "2"), Layer().whiteout("a/two").file("three", "3")], ["other:1"], {"Cmd": ["x"]}, compression)
        layered.ok("load", "-i", images.write(place / "second", data))
        before = layered.inspect("other:1")
    name = before["RepoTags"][0]
    layered.ok("save", "-o", place / "saved", name)
    assert f"Loaded image: {name}" in docker.ok("load", "-i", place / "saved")
    try:
        after = json.loads(docker.ok("image", "inspect", name))[0]
        assert after["Id"] == before["Id"] and after["RootFS"] == before["RootFS"] and after["Config"]["Cmd"] == before["Config"]["Cmd"]
        names = export_of(docker, name, place)
        assert sorted(names) == (LAYERED if compression == "gzip" else ["a", "three"])
        # And back again.
        docker.ok("save", "-o", place / "back", name)
        os.chmod(place / "back", 0o644)
        layered.ok("rmi", name)
        assert layered.ok("load", "-i", place / "back").out == f"Loaded image: {name}\n"
        assert layered.inspect(name, "Id") == before["Id"]
        oracle.assert_sound(layered)
    finally:
        docker.ok("rmi", "-f", name)


def test_several_images_to_dockerd_and_back(layered, docker, place, who):
    layered.ok("load", "-i", images.write(place / "second", docker_archive([Layer().file("b", "2")], ["two:1", "two:2"])))
    layered.ok("save", "-o", place / "saved", "layered:1", "two:1", "two:2")
    docker.ok("load", "-i", place / "saved")
    try:
        docker.ok("save", "-o", place / "back", "layered:1", "two:1", "two:2")
        os.chmod(place / "back", 0o644)
        before = oracle.images(layered)
        layered.ok("rmi", "layered:1", "two:1", "two:2")
        assert sorted(layered.ok("load", "-i", place / "back").lines) == [f"Loaded image: {name}" for name in ("layered:1", "two:1", "two:2")]
        assert oracle.images(layered) == before
    finally:
        docker.ok("rmi", "-f", "layered:1", "two:1", "two:2")


def test_what_dockerd_saves(fresh, who, rich, docker, place):
    """An image that dockerd made of the whole tree."""
    docker.ok("import", "--change", 'CMD ["x"]', "--change", "ENV A=1", rich / "dense.tar", "rich:1")
    try:
        docker.ok("save", "-o", place / "saved", "rich:1")
        identity = docker.ok("image", "inspect", "-f", "{{.Id}}", "rich:1")
    finally:
        docker.ok("rmi", "-f", "rich:1")
    os.chmod(place / "saved", 0o644)
    assert fresh.ok("load", "-i", place / "saved", timeout=60).out == "Loaded image: rich:1\n"
    assert fresh.inspect("rich:1", "Id") == identity and fresh.inspect("rich:1", "Config.Cmd") == ["x"]
    seen, expected = trees.tree(layer_directories(fresh, "rich:1")[0]), expected_for(who, trees.tree(rich / "tree"))
    # What dockerd's own unpacking loses is not ours: it keeps capabilities but no other attributes, and makes holes data.
    for tree in (seen, expected):
        for item in tree.values():
            item.pop("xattrs", None)
    compare(seen, expected, ignore_root=True)
    oracle.assert_sound(fresh)


# podman


@pytest.fixture(scope="module")
def podman():
    needs("podman")
    if os.geteuid() != 0:
        pytest.skip("needs root")
    # Short: podman takes no longer run root.
    base = pathlib.Path(f"/tmp/berth-podman-{os.getpid()}")
    base.mkdir()
    flags = ["--root", base / "root", "--runroot", base / "run", "--tmpdir", base / "tmp", "--storage-driver", "vfs", "--events-backend", "none"]

    def call(*args):
        return run("podman", *flags, *args).strip()

    yield call
    run("podman", *flags, "rmi", "-a", "-f")
    shutil.rmtree(base)


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive", "oci-dir"])
def test_podman_and_berth(layered, podman, place, form):
    """berth saves, podman loads and saves, berth loads: one image all the way."""
    before = layered.inspect("layered:1")
    layered.ok("save", "--format", form, "-o", place / "saved", "layered:1")
    podman("load", "-i", place / "saved")
    loaded = before["Id"].partition(":")[2]
    try:
        assert podman("image", "inspect", "--format", "{{.Id}}", loaded) == loaded
        podman("tag", loaded, "docker.io/library/layered:back")
        podman("save", "--format", form, "-o", place / "back", "docker.io/library/layered:back")
        run("chmod", "-R", "a+rX", place / "back")
        layered.ok("rmi", "layered:1")
        assert layered.ok("load", "-i", place / "back").lines == ["Loaded image: layered:back"]
        assert layered.inspect("layered:back", "RootFS") == before["RootFS"]
        if form == "docker-archive":
            assert layered.inspect("layered:back", "Id") == before["Id"]
        oracle.assert_sound(layered)
    finally:
        podman("rmi", "-f", loaded)
