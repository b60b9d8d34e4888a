"""Read-only root, masked and read-only paths."""

import os

import pytest

from host import mount_on, parse_mountinfo


def test_a_readonly_root(ct):
    ct.spec["root"]["readonly"] = True
    ct.mount("/tmp", "tmpfs", "tmpfs", [])
    text, root, tmp, shm = ct.look("mountinfo", "write /x x", "write /tmp/x x", "write /dev/shm/x x")
    assert "ro" in mount_on(text, "/").options
    assert (root, tmp, shm) == ("EROFS", "ok", "ok")


def test_a_writable_root(ct):
    assert ct.text("write /x text") == "ok"
    assert (ct.rootfs / "x").read_text() == "text"


def test_a_readonly_root_gets_its_mount_points(ct):
    ct.spec["root"]["readonly"] = True
    ct.mount("/not/there/yet", "tmpfs", "tmpfs", [])
    assert ct.text("write /not/there/yet/x x") == "ok"


def test_masked_files_are_empty(ct):
    (ct.rootfs / "secret").write_text("secret")
    ct.linux["maskedPaths"].append("/secret")
    text, stat, written = ct.look("cat /secret", "stat /secret", "cat /proc/keys")
    assert text == "" and written == ""
    assert stat.split()[0] == "c" and stat.split()[5] == "1:3"


def test_masked_directories_are_empty_and_readonly(ct):
    (ct.rootfs / "private/sub").mkdir(parents=True)
    ct.linux["maskedPaths"].append("/private")
    listing, made, firmware = ct.look("ls /private", "mkdir /private/x", "ls /sys/firmware")
    assert listing == "" and firmware == ""
    assert made in ("EROFS", "ENOSPC", "EACCES")


def test_masked_paths_that_do_not_exist(ct):
    ct.linux["maskedPaths"] += ["/no/such/path", "/proc/no-such-file"]
    assert ct.text("echo fine") == "fine"


def test_a_relative_masked_path_is_no_reason_to_mask_the_host(ct):
    """The spec wants absolute ones: refuse, or take it below the container's root."""
    (ct.rootfs / "secret").write_text("secret")
    ct.linux["maskedPaths"].append("secret")
    result = ct.run("cat /secret")
    assert not result.ok or result.out == ""
    assert (ct.rootfs / "secret").read_text() == "secret"


def test_a_mask_lies_over_a_mount(ct):
    ct.mount("/data", "bind", ct.directory("data", secret="x"), ["bind"])
    ct.linux["maskedPaths"].append("/data")
    assert ct.text("ls /data") == ""


def test_masks_cannot_be_taken_away(ct):
    """Without CAP_SYS_ADMIN over the mount namespace."""
    assert ct.text("umount /sys/firmware") == "EPERM"


def test_readonly_paths(ct):
    (ct.rootfs / "fixed").mkdir()
    (ct.rootfs / "fixed/file").write_text("x")
    (ct.rootfs / "single").write_text("x")
    ct.linux["readonlyPaths"] += ["/fixed", "/single", "/no/such/path"]
    got = ct.look("write /fixed/file y", "write /fixed/new y", "write /single y", "poke /proc/sys/net/ipv4/ip_forward 1")
    assert got[:3] == ["EROFS"] * 3 and got[3] in ("EROFS", "EACCES")


def test_readonly_paths_keep_the_flags_below(ct):
    """/proc is nosuid,nodev,noexec; its read-only parts stay so."""
    text = ct.text("mountinfo")
    for path in ("/proc/bus", "/proc/sys"):
        assert {"ro", "nosuid", "nodev", "noexec"} <= mount_on(text, path).options


@pytest.mark.parametrize("path", ["/proc/sysrq-trigger", "/proc/irq/default_smp_affinity"])
def test_dangerous_files_of_proc(root_ct, path):
    if not os.path.exists(path):
        pytest.skip(f"this kernel has no {path}")
    assert root_ct.text(f"open w {path}") == "EROFS"


def test_no_masks_at_all(ct):
    ct.linux["maskedPaths"] = ct.linux["readonlyPaths"] = []
    mounts = [mount.target for mount in parse_mountinfo(ct.text("mountinfo"))]
    assert not [target for target in mounts if target.startswith("/proc/")]


def test_masks_need_a_mount_namespace(root_ct):
    """Without one it would be the host's own paths that vanish."""
    root_ct.drop_namespace("mount")
    root_ct.create("true").refused("mount|mnt|mask|readonly")
    root_ct.assert_clean()
    assert os.path.getsize("/etc/passwd") > 0
