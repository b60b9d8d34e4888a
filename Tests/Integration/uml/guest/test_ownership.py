"""config-linux.md, "Cgroup ownership": whom a container's cgroup belongs to."""

import os
import pathlib

import pytest

from host import cgroup_directory

DELEGATE = pathlib.Path("/sys/kernel/cgroup/delegate")


@pytest.fixture
def ct(root_ct):
    """A container with a user namespace, a cgroup namespace and a writable cgroup mount."""
    root_ct.user_namespace()
    root_ct.namespace("cgroup")
    root_ct.mount("/sys/fs/cgroup", "cgroup", "cgroup", ["nosuid", "noexec", "nodev", "rw"])
    return root_ct


def owners(ct):
    """{name: uid} of the cgroup's directory and files."""
    place = cgroup_directory(ct, "")
    return {".": place.stat().st_uid} | {name: (place / name).stat().st_uid for name in os.listdir(place)}


def test_it_belongs_to_the_containers_user(ct):
    ct.up()
    listed = set(DELEGATE.read_text().split())
    for name, uid in owners(ct).items():
        assert uid == (200000 if name == "." or name in listed else 0), name


def test_that_user_may_use_it(ct):
    """What it is for: sub-cgroups, and moving oneself there. Not the own limits."""
    ct.resources["pids"] = {"limit": 50}
    made, moved, limit = ct.look(
        "mkdir /sys/fs/cgroup/leaf", "write /sys/fs/cgroup/leaf/cgroup.procs 0", "write /sys/fs/cgroup/pids.max 5",
    )  # fmt: skip
    assert made == "ok" and moved == "ok"
    assert limit in ("EACCES", "EPERM")
    ct.assert_clean()


def test_another_user_of_the_container(ct):
    ct.process["user"] = {"uid": 1000, "gid": 1000}
    ct.up()
    assert owners(ct)["."] == 201000


@pytest.mark.parametrize("options", [["ro"], ["rw", "ro"], ["nosuid", "ro"]])
def test_a_read_only_mount_changes_nothing(ct, options):
    ct.mount_at("/sys/fs/cgroup")["options"] = options
    ct.up()
    assert set(owners(ct).values()) == {0}


def test_no_mount_changes_nothing(ct):
    ct.drop_mount("/sys/fs/cgroup")
    ct.up()
    assert set(owners(ct).values()) == {0}


def test_no_cgroup_namespace_changes_nothing(ct):
    ct.drop_namespace("cgroup")
    ct.mount_at("/sys/fs/cgroup")["options"] = ["rw"]
    result = ct.run_detached("pause")
    if result.ok:
        ct.wait_log("ready")
        assert set(owners(ct).values()) == {0}


def test_a_file_system_of_another_kind_changes_nothing(ct):
    ct.mount_at("/sys/fs/cgroup")["type"] = "tmpfs"
    ct.up()
    assert set(owners(ct).values()) == {0}


def test_another_place_changes_nothing(ct):
    ct.mount_at("/sys/fs/cgroup")["destination"] = "/cgroup"
    ct.up()
    assert set(owners(ct).values()) == {0}


def test_without_a_user_namespace_root_keeps_it(root_ct):
    root_ct.namespace("cgroup")
    root_ct.mount("/sys/fs/cgroup", "cgroup", "cgroup", ["rw"])
    root_ct.up()
    assert set(owners(root_ct).values()) == {0}
