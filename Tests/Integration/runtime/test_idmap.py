"""Identity-mapped mounts."""

import os

import pytest


def mapped_options(recursive=False):
    return ["rbind", "ridmap"] if recursive else ["bind", "idmap"]


def test_an_idmapped_mount(root_ct):
    root_ct.user_namespace(base=300000)
    data = root_ct.directory("data", file="x")
    os.chown(data / "file", 1000, 1000)
    root_ct.mount(
        "/mnt", "bind", data, mapped_options(),
        uidMappings=[{"containerID": 0, "hostID": 300000, "size": 65536}],
        gidMappings=[{"containerID": 0, "hostID": 300000, "size": 65536}],
    )  # fmt: skip
    got = root_ct.look("stat /mnt/file", "write /mnt/new x")
    assert got[0].split()[2:4] == ["1000", "1000"] and got[1] == "ok"
    assert (data / "new").stat().st_uid == 0


def test_an_idmapped_mount_without_a_user_namespace(root_ct):
    data = root_ct.directory("data", file="x")
    mapping = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    root_ct.mount("/mnt", "bind", data, mapped_options(), uidMappings=mapping, gidMappings=mapping)
    assert root_ct.text("stat /mnt/file").split()[2:4] == ["100000", "100000"]


def test_idmap_takes_the_containers_mapping(root_ct):
    root_ct.user_namespace(base=300000)
    root_ct.mount("/mnt", "bind", root_ct.directory("data", file="x"), mapped_options())
    assert root_ct.text("stat /mnt/file").split()[2:4] == ["0", "0"]


def test_ridmap(root_ct, nested):
    root_ct.user_namespace(base=300000)
    root_ct.mount("/mnt", "bind", nested, mapped_options(recursive=True))
    assert root_ct.text("stat /mnt/inner/deep").split()[2:4] == ["0", "0"]


def test_idmap_without_any_mapping_is_refused(root_ct):
    root_ct.mount("/mnt", "bind", root_ct.directory("data"), mapped_options())
    root_ct.create("true").refused("map")
    root_ct.assert_clean()


@pytest.mark.parametrize("missing", ["uidMappings", "gidMappings"])
def test_half_a_mapping_is_refused(root_ct, missing):
    mapping = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    entry = root_ct.mount("/mnt", "bind", root_ct.directory("data"), mapped_options(), uidMappings=mapping, gidMappings=mapping)
    del entry[missing]
    root_ct.create("true").refused("mapping")
    root_ct.assert_clean()


def test_idmapped_mounts_of_an_ordinary_user_are_refused_clearly(user_ct):
    mapping = [{"containerID": 0, "hostID": user_ct.who.subuid[0], "size": 100}]
    user_ct.mount("/mnt", "bind", user_ct.directory("data"), mapped_options(), uidMappings=mapping, gidMappings=mapping)
    user_ct.create("true").refused()
    user_ct.assert_clean()
