"""Device nodes and the list of devices that may be used."""

import os
import stat

import pytest

DEFAULT = {"null": "1:3", "zero": "1:5", "full": "1:7", "random": "1:8", "urandom": "1:9", "tty": "5:0"}


def test_default_devices(ct):
    got = ct.text("stat " + " ".join(f"/dev/{name}" for name in DEFAULT)).splitlines()
    for line, numbers in zip(got, DEFAULT.values(), strict=True):
        kind, mode, uid, gid, _, rdev, _ = line.split()
        assert (kind, mode, rdev) == ("c", "0666", numbers)
        if ct.who.is_root:
            assert (uid, gid) == ("0", "0")


def test_default_devices_can_be_used(ct):
    got = ct.text("open rw /dev/null /dev/zero /dev/full /dev/random /dev/urandom").split()
    assert got == ["ok"] * 5


def test_nothing_else_is_in_dev(ct):
    assert set(ct.text("ls /dev").split()) <= {
        *DEFAULT, "fd", "stdin", "stdout", "stderr", "core", "ptmx", "pts", "shm", "mqueue", "console"
    }  # fmt: skip


def test_devices_that_are_asked_for(root_ct):
    root_ct.linux["devices"] = [
        {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o660, "uid": 5, "gid": 6},
        {"path": "/dev/deep/er/disk", "type": "b", "major": 7, "minor": 200, "fileMode": 0o600},
        {"path": "/dev/pipe", "type": "p", "fileMode": 0o622},
        {"path": "/opt/zero", "type": "c", "major": 1, "minor": 5},
        {"path": "/dev/raw", "type": "u", "major": 10, "minor": 200},
    ]
    got = [line.split() for line in root_ct.text("stat /dev/fuse /dev/deep/er/disk /dev/pipe /opt/zero /dev/raw").splitlines()]
    assert got[0][:4] + [got[0][5]] == ["c", "0660", "5", "6", "10:229"]
    assert got[1][:4] + [got[1][5]] == ["b", "0600", "0", "0", "7:200"]
    assert got[2][:4] == ["p", "0622", "0", "0"]
    assert (got[3][0], got[3][5]) == ("c", "1:5")
    assert (got[4][0], got[4][5]) == ("c", "10:200")


def test_devices_of_an_ordinary_user(user_ct):
    """mknod is impossible; the host's node is bound, after it was seen to be that device."""
    user_ct.linux["devices"] = [{"path": "/dev/zero", "type": "c", "major": 1, "minor": 5, "fileMode": 0o666}]
    kind, _, _, _, _, rdev, _ = user_ct.text("stat /dev/zero").split()
    assert (kind, rdev) == ("c", "1:5")


def test_a_device_in_the_way(root_ct):
    """The same node is fine; another file at that path is an error."""
    os.mknod(root_ct.rootfs / "node", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    root_ct.linux["devices"] = [{"path": "/node", "type": "c", "major": 1, "minor": 5}]
    assert root_ct.text("stat /node").split()[5] == "1:5"


def test_a_file_in_the_way_of_a_device(root_ct):
    (root_ct.rootfs / "node").write_text("a file")
    root_ct.linux["devices"] = [{"path": "/node", "type": "c", "major": 1, "minor": 5}]
    root_ct.create("true").refused("node")
    assert (root_ct.rootfs / "node").read_text() == "a file"
    root_ct.assert_clean()


def test_another_device_in_the_way_of_a_device(root_ct):
    os.mknod(root_ct.rootfs / "node", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    root_ct.linux["devices"] = [{"path": "/node", "type": "c", "major": 1, "minor": 5}]
    root_ct.create("true").refused("node")
    root_ct.assert_clean()


@pytest.mark.parametrize(
    "device",
    [{"path": "/dev/x", "type": "z", "major": 1, "minor": 5}, {"type": "c", "major": 1, "minor": 5}, {"path": "/dev/x", "major": 1, "minor": 5}],
    ids=["unknown-type", "no-path", "no-type"],
)  # fmt: skip
def test_devices_that_are_none(root_ct, device):
    root_ct.linux["devices"] = [device]
    root_ct.create("true").refused()
    root_ct.assert_clean()


# The list of allowed devices (v1: the devices controller; v2: a BPF program)


def test_devices_not_listed_cannot_be_opened(root_ct):
    root_ct.linux["devices"] = [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o666}]
    assert root_ct.text("open rw /dev/fuse") == "EPERM"


def test_devices_that_are_listed_can_be_opened(root_ct):
    root_ct.linux["devices"] = [{"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666}]
    root_ct.resources["devices"].append({"allow": True, "type": "c", "major": 1, "minor": 11, "access": "r"})
    root_ct.capabilities("SYSLOG")
    assert root_ct.look("open r /dev/kmsg", "open w /dev/kmsg", "open rw /dev/kmsg") == ["ok", "EPERM", "EPERM"]


def test_mknod_needs_its_own_letter(root_ct):
    """`m` alone lets a node be made and not be used. (runc and crun let every node be made, of themselves.)"""
    root_ct.resources["devices"].append({"allow": True, "type": "c", "major": 1, "minor": 11, "access": "m"})
    root_ct.capabilities("SYSLOG")
    assert root_ct.look("mknod /tmp/a c 1 11", "open r /tmp/a", "mknod /tmp/d p") == ["ok", "EPERM", "ok"]


def test_entries_apply_in_order(root_ct):
    root_ct.linux["devices"] = [{"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666}]
    root_ct.capabilities("SYSLOG")
    root_ct.resources["devices"] += [
        {"allow": True, "type": "c", "major": 1, "minor": 11, "access": "rwm"},
        {"allow": False, "type": "c", "major": 1, "minor": 11, "access": "w"},
    ]
    assert root_ct.look("open r /dev/kmsg", "open w /dev/kmsg") == ["ok", "EPERM"]


def test_all_devices(root_ct):
    root_ct.resources["devices"] = [{"allow": True, "access": "rwm"}]
    assert root_ct.text("mknod /tmp/x c 1 11") == "ok"


def test_wildcards(root_ct):
    root_ct.resources["devices"].append({"allow": True, "type": "c", "major": 1, "access": "rm"})
    root_ct.capabilities("SYSLOG")
    assert root_ct.look("mknod /tmp/a c 1 11", "open r /tmp/a", "open w /tmp/a") == ["ok", "ok", "EPERM"]


@pytest.mark.parametrize("access", ["x", "rwx", "R"])
def test_unknown_access_letters(root_ct, access):
    root_ct.resources["devices"].append({"allow": True, "type": "c", "major": 7, "minor": 1, "access": access})
    root_ct.create("true").refused()
    root_ct.assert_clean()


def test_nodes_made_inside_cannot_be_used_rootless(user_ct):
    """S33: the kernel lets no user namespace make or open one."""
    user_ct.mount("/mnt", "tmpfs", "tmpfs", [])
    assert user_ct.text("mknod /mnt/x c 1 11") == "EPERM"
