"""What our runtime does beyond the runtime-spec, for its engine: binds of a part of a volume and of another container's mounts."""

import os
import subprocess

import pytest

from host import fields, mount_on

ROUNDS = int(os.environ.get("BERTH_HOSTILE_ROUNDS", "12"))


@pytest.fixture
def volume(ct, canary):
    """A volume whose content is hostile: links that lead out, and a canary beside it."""
    path = ct.directory("volume")
    (path / "inside/deep").mkdir(parents=True)
    (path / "inside/file").write_text("of the volume\n")
    (path / "near").symlink_to("inside")
    (path / "up").symlink_to("../../../../../../../../.." + str(canary))
    (path / "absolute").symlink_to(canary)
    (path / "process").symlink_to("/proc/self/root")
    (path / "inside/back").symlink_to("../..")
    ct.own(path)
    return path


@pytest.mark.parametrize("subpath,names", [("inside", "back deep file"), ("inside/deep", ""), ("near", "back deep file"), ("./inside//", "back deep file")])
def test_s73_a_part_of_a_volume(ct, volume, subpath, names):
    ct.mount("/mnt", "bind", volume, ["bind", "nosuid", f"subpath={subpath}"])
    text, listed = ct.look("mountinfo", "ls /mnt")
    assert " ".join(sorted(listed.split())) == names
    mount = mount_on(text, "/mnt")
    assert mount.root.endswith("/volume/" + os.path.normpath(subpath.replace("near", "inside"))) and "nosuid" in mount.options


def test_s73_a_file_of_a_volume(ct, volume):
    ct.mount("/etc/one", "bind", volume, ["bind", "ro", "subpath=inside/file"])
    assert ct.look("cat /etc/one", "open w /etc/one") == ["of the volume", "EROFS"]


@pytest.mark.parametrize("subpath", ["..", "inside/../..", "/etc", "up", "up/sub", "absolute", "process", "inside/back", "missing", "inside/file/x", "inside/../../volume"])
def test_s73_a_part_that_is_not_in_the_volume(ct, volume, subpath):
    ct.mount("/mnt", "bind", volume, ["bind", f"subpath={subpath}"])
    result = ct.create("true")
    assert not result.ok and result.err.strip(), "what lies outside of the volume was mounted"
    ct.assert_clean()


def test_s73_a_part_that_is_exchanged_meanwhile(ct, volume, canary):
    """CVE-2017-1002101: a directory and a link out of the volume take turns under the name."""
    ct.mount("/mnt", "bind", volume, ["bind", "subpath=inside"])
    racer = subprocess.Popen([ct.rootfs / "init", "exchange", volume / "inside", volume / "up"], stdout=subprocess.PIPE)
    assert racer.stdout.readline() == b"ready\n"
    try:
        for _ in range(ROUNDS * 4):
            result = ct.run("ls /mnt")
            if result.ok:
                assert "secret" not in result.out, "the canary was mounted"
    finally:
        racer.kill()
        racer.wait()
        racer.stdout.close()


def test_only_binds_have_parts(ct):
    ct.mount("/mnt", "tmpfs", "tmpfs", ["subpath=x"])
    ct.create("true").refused("subpath")


def test_a_part_with_other_ids(root_ct):
    """idmap and subpath together."""
    root_ct.user_namespace()
    volume = root_ct.directory("volume")
    (volume / "part").mkdir()
    (volume / "part/file").write_text("x")
    root_ct.mount("/mnt", "bind", volume, ["bind", "idmap", "subpath=part"])
    assert root_ct.text("stat /mnt/file").split()[2:4] == ["0", "0"]


# Destinations below a directory of the container


@pytest.mark.parametrize("destination", ["/base/dir", "/base/absolute", "/base/up/dir", "/base/made/new", "/base/both/dir"])
def test_s73_links_do_not_lead_out_of_the_base(ct, volume, destination):
    """Links below it mean what they would with it as the root."""
    base = ct.rootfs / "base"
    (base / "dir").mkdir(parents=True)
    (base / "absolute").symlink_to("/dir")
    (base / "up").symlink_to("../../..")
    (base / "both").symlink_to("/up")
    ct.own(base)
    before = sorted(os.listdir(ct.rootfs))
    ct.mount(destination, "bind", volume, ["bind", "base=/base"])
    listed, outside = ct.look("ls /base/" + ("made/new" if "new" in destination else "dir"), "ls /")
    assert "inside" in listed.split() and set(outside.split()) >= set(before) and "dir" not in outside.split()


@pytest.mark.parametrize("options", [["bind", "base=/other"], ["bind", "base=/"], ["bind", "base=/base/dir"]])
def test_what_is_not_below_its_base(ct, volume, options):
    (ct.rootfs / "base/dir").mkdir(parents=True)
    ct.mount("/base/dir", "bind", volume, options)
    ct.create("true").refused("base")


# File systems and overlays


def test_an_overlay_layer_by_layer(ct):
    """`lowerdir+=`: paths of any length, with colons in them; a part of it; nothing that leads out."""
    lowers = []
    for number, name in enumerate(["top:1", "below" + "x" * 200]):
        lowers.append(ct.directory(name))
        (lowers[number] / "dir").mkdir()
        (lowers[number] / "both").write_text(f"{number}\n")
        (lowers[number] / f"dir/only{number}").write_text("x")
    (lowers[0] / "out").symlink_to("../../../../../../../../etc")
    for path in lowers:
        ct.own(path)
    options = ["ro", "nosuid", "nodev", *[f"lowerdir+={path}" for path in lowers], *([] if ct.who.is_root else ["userxattr"])]
    ct.mount("/all", "overlay", "overlay", options)
    ct.mount("/part", "overlay", "overlay", [*options, "subpath=dir"])
    both, listed, refused, text = ct.look("cat /all/both", "ls /part", "open w /all/both", "mountinfo")
    assert both == "0" and sorted(listed.split()) == ["only0", "only1"] and refused == "EROFS"
    assert {"nosuid", "nodev", "ro"} <= mount_on(text, "/part").options and mount_on(text, "/part").root == "/dir"
    assert len([line for line in text.splitlines() if " /part " in line]) == 1, "the whole is not below it"


@pytest.mark.parametrize("subpath", ["..", "out", "missing", "file", "/etc"])
def test_s73_a_part_that_is_not_in_the_overlay(ct, subpath):
    lower, empty = ct.directory("lower"), ct.directory("empty")
    (lower / "out").symlink_to("../../../../../../../../etc")
    (lower / "file").write_text("x")
    options = [f"lowerdir+={lower}", f"lowerdir+={empty}", f"subpath={subpath}", *([] if ct.who.is_root else ["userxattr"])]
    ct.mount("/mnt", "overlay", "overlay", options)
    result = ct.create("true")
    assert not result.ok and result.err.strip()
    ct.assert_clean()


@pytest.mark.parametrize("content", [False, True])
def test_an_empty_volume_is_filled(ct, content):
    """`tmpcopyup` of a bind: only where nothing is yet."""
    volume = ct.directory("volume")
    if content:
        (volume / "mine").write_text("x")
    ct.own(volume)
    (ct.rootfs / "data").mkdir()
    (ct.rootfs / "data/of-the-image").write_text("x")
    ct.own(ct.rootfs / "data")
    ct.mount("/data", "bind", volume, ["bind", "tmpcopyup"])
    assert ct.text("ls /data") == ("mine" if content else "of-the-image")


# Mounts of another process


def test_a_mount_of_another_container(make):
    """`/proc/PID/root/PATH` is the mount that the process has there, not what the host has."""
    first = make().up("write /dev/shm/shared there", "pause")
    second = make()
    if not first.who.is_root:
        # Only from its user namespace its mounts can be taken over.
        second.namespace("user", f"/proc/{first.pid}/ns/user")
        second.linux.pop("uidMappings", None), second.linux.pop("gidMappings", None)
    second.drop_mount("/dev/shm")
    second.mount("/dev/shm", "bind", f"/proc/{first.pid}/root/dev/shm", ["bind", "nosuid", "nodev", "noexec"])
    text, content = second.look("mountinfo", "cat /dev/shm/shared")
    mount = mount_on(text, "/dev/shm")
    assert content == "there" and mount.type == "tmpfs" and {"nosuid", "nodev", "noexec"} <= mount.options


def test_a_mount_of_a_process_that_is_not_there(ct):
    ct.mount("/mnt", "bind", "/proc/999999999/root/dev/shm", ["bind"])
    ct.create("true").refused("999999999|no such|invalid")


# Groups


@pytest.mark.parametrize("mode", ["run", "exec"])
def test_keep_original_groups(root_ct, mode):
    """crun's annotation: the caller's supplementary groups stay."""
    root_ct.spec["annotations"] = {"run.oci.keep_original_groups": "1"}
    root_ct.process["user"]["additionalGids"] = [5]
    if mode == "run":
        out = root_ct.run("id", extra_groups=[77, 4321]).check().out
    else:
        out = root_ct.up().exec("id", extra_groups=[77, 4321]).check().out
    assert {"77", "4321"} <= set(fields(out.strip())["groups"].split(","))


def test_groups_are_not_kept_otherwise(root_ct):
    root_ct.process["user"]["additionalGids"] = [5]
    out = root_ct.run("id", extra_groups=[77, 4321]).check().out
    assert set(fields(out.strip())["groups"].split(",")) == {"5"}
