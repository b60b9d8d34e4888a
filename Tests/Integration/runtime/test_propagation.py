"""Propagation of mounts, and what is left of the host's."""

import os
import pathlib
import subprocess

import pytest

from host import mount_on, mounted, parse_mountinfo


@pytest.mark.parametrize(
    "option, wanted",
    [("shared", "shared"), ("rshared", "shared"), ("slave", "master"), ("rslave", "master"), ("private", ""), ("rprivate", ""),
     ("unbindable", "unbindable"), ("runbindable", "unbindable")],
)  # fmt: skip
def test_propagation_of_a_mount(root_ct, option, wanted):
    data = root_ct.directory("data")
    subprocess.run(["mount", "--bind", data, data], check=True)
    subprocess.run(["mount", "--make-shared", data], check=True)
    try:
        root_ct.mount("/mnt", "bind", data, ["rbind", option])
        root_ct.linux["rootfsPropagation"] = "shared" if option.endswith("shared") else "slave"
        kinds = {field.partition(":")[0] for field in mounted(root_ct).propagation}
        assert kinds == ({wanted} if wanted else set()) or (wanted == "shared" and "shared" in kinds)
    finally:
        subprocess.run(["umount", "-l", data], check=True)


def test_mounts_of_the_container_stay_there(root_ct):
    """By default nothing travels back, also when the source is shared."""
    data = root_ct.directory("data")
    (data / "inside").mkdir()
    subprocess.run(["mount", "--bind", data, data], check=True)
    subprocess.run(["mount", "--make-shared", data], check=True)
    try:
        root_ct.capabilities("SYS_ADMIN")
        root_ct.mount("/mnt", "bind", data, ["rbind"])
        assert root_ct.text("mount tmpfs tmpfs /mnt/inside") == "ok"
        assert not os.path.ismount(data / "inside")
    finally:
        subprocess.run(["umount", "-l", data], check=True)


def test_mounts_travel_with_shared(root_ct):
    data = root_ct.directory("data")
    (data / "inside").mkdir()
    subprocess.run(["mount", "--bind", data, data], check=True)
    subprocess.run(["mount", "--make-shared", data], check=True)
    try:
        root_ct.capabilities("SYS_ADMIN")
        root_ct.linux["rootfsPropagation"] = "shared"
        root_ct.mount("/mnt", "bind", data, ["rbind", "rshared"])
        root_ct.up("mount tmpfs tmpfs /mnt/inside", "pause")
        assert os.path.ismount(data / "inside")
    finally:
        subprocess.run(["umount", "-l", data / "inside"], capture_output=True)
        subprocess.run(["umount", "-l", data], check=True)


def test_mounts_of_the_host_arrive_with_slave(root_ct):
    data = root_ct.directory("data")
    (data / "later").mkdir()
    subprocess.run(["mount", "--bind", data, data], check=True)
    subprocess.run(["mount", "--make-shared", data], check=True)
    try:
        root_ct.linux["rootfsPropagation"] = "slave"
        root_ct.mount("/mnt", "bind", data, ["rbind", "rslave"])
        root_ct.up()
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", data / "later"], check=True)
        assert mount_on(root_ct.exec("mountinfo").check().out, "/mnt/later") is not None
        root_ct.stop()
    finally:
        subprocess.run(["umount", "-l", data / "later"], capture_output=True)
        subprocess.run(["umount", "-l", data], check=True)


@pytest.mark.parametrize("mode, wanted", [("private", set()), ("slave", set()), ("shared", {"shared"}), ("unbindable", {"unbindable"})])
def test_rootfs_propagation(root_ct, mode, wanted):
    """The container's root shows the asked propagation (a slave of nothing shows nothing)."""
    subprocess.run(["mount", "--bind", root_ct.rootfs, root_ct.rootfs], check=True)
    subprocess.run(["mount", "--make-shared", root_ct.rootfs], check=True)
    try:
        root_ct.linux["rootfsPropagation"] = mode
        kinds = {field.partition(":")[0] for field in mounted(root_ct, target="/").propagation}
        assert wanted <= kinds and ("shared" in kinds) == (mode == "shared")
    finally:
        subprocess.run(["umount", "-l", root_ct.rootfs], check=True)


def test_an_unknown_rootfs_propagation(root_ct):
    root_ct.linux["rootfsPropagation"] = "sideways"
    root_ct.create("true").refused("propagation")
    root_ct.assert_clean()


def test_the_hosts_mounts_are_gone(ct):
    """Nothing of the host's tree is left behind the pivoted root."""
    text = ct.text("mountinfo")
    targets = [mount.target for mount in parse_mountinfo(text)]
    assert not [target for target in targets if target.startswith("/tmp/bts-")]
    roots = [mount for mount in parse_mountinfo(text) if mount.target == "/"]
    assert len(roots) == 1 and roots[0].root.endswith(f"{ct.id}/rootfs")


def test_the_hosts_table_is_unchanged(ct):
    before = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    ct.up()
    assert [line for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines() if ct.id in line] == []
    ct.stop()
    assert ct.mounts() == [] and before


def test_no_pivot(root_ct):
    """For a root on a ramdisk: MS_MOVE and chroot."""
    assert root_ct.text("echo fine", flags=["--no-pivot"]) == "fine"
