"""What a container can ask of its mounts: `--volumes-from`, `O`, image mounts, options of drivers, owners. docs/volumes.md."""

import json
import os
import pathlib
import subprocess

import pytest

from host import mount_on, tree_state

import images
from test_volume import engine  # noqa: F401


def mounts(berth, name):
    return {mount["Destination"]: mount for mount in berth.inspect(name, "Mounts")}


def volumes(berth):
    return berth.ok("volume", "ls", "-q").lines


# --volumes-from


def test_volumes_from(berth, place):
    (place / "file").write_text("of the host")
    one = berth.up("--name", "one", "-v", "shared1:/data", "-v", f"{place}:/bind:ro", "-v", "/own", "--tmpfs", "/memory")
    berth.ok("exec", one, "sh", "-c", "echo in data > /data/f; echo in own > /own/f")
    two = berth.up("--name", "two", "--volumes-from", "one")
    assert berth.ok("exec", two, "cat", "/data/f", "/own/f", "/bind/file").out == "in data\nin own\nof the host"
    berth.call("exec", two, "touch", "/bind/x").exits(1)
    berth.ok("exec", two, "touch", "/data/from-two")
    berth.ok("exec", one, "ls", "/data/from-two")
    assert mount_on(berth.ok("exec", two, "cat", "/proc/self/mountinfo").out, "/memory") is None
    document = berth.inspect("two")
    assert document["HostConfig"]["VolumesFrom"] == ["one"] and document["HostConfig"]["Binds"] is None
    assert {mount["Destination"]: mount["RW"] for mount in document["Mounts"]} == {"/data": True, "/bind": False, "/own": True}
    # A chain: what the other has from others counts too.
    assert berth.run("--volumes-from", "two:ro", "test", "sh", "-c", "cat /own/f; touch /data/x 2>&1").lines[0] == "in own"
    berth.run("--volumes-from", "two:ro", "test", "touch", "/data/x").exits(1)


def test_volumes_from_a_stopped_one(berth):
    berth.ok("create", "--name", "data-only", "--network", "none", "-v", "/kept", "test", "true")
    berth.sh("--volumes-from", "data-only", "echo x > /kept/f").check()
    assert berth.sh("--volumes-from", "data-only", "cat /kept/f").check().text == "x"


def test_volumes_from_precedence(berth, place):
    """As docker's: what is named for the place, then the last container named, then the image's VOLUME."""
    for name in ("aa", "bb"):
        berth.sh("-v", f"from-{name}:/v", f"echo {name} > /v/f").check()
        berth.ok("create", "--name", name, "--network", "none", "-v", f"from-{name}:/v", "-v", f"from-{name}:/only-{name}", "test", "true")
    look = "cat /v/f; ls -d /only-*"
    assert berth.sh("--volumes-from", "aa", "--volumes-from", "bb", look).check().lines == ["bb", "/only-aa", "/only-bb"]
    assert berth.sh("--volumes-from", "bb", "--volumes-from", "aa", look).check().lines == ["aa", "/only-aa", "/only-bb"]
    (place / "f").write_text("named\n")
    assert berth.sh("--volumes-from", "aa", "-v", f"{place}:/v", look).check().lines == ["named", "/only-aa"]


@pytest.mark.parametrize("spec,text", [("nosuch", "no such container: nosuch"), ("it:sideways", "invalid mode: sideways"), ("it:ro,rw", "invalid mode"), (":ro", "malformed volumes-from"), ("it:rprivate", "invalid mode")])
def test_volumes_from_what_is_not(berth, spec, text):
    berth.ok("create", "--name", "it", "--network", "none", "test", "true")
    berth.run("--volumes-from", spec, "test", "true").fails(125, text)


def test_volumes_of_another_are_not_removed(engine):  # noqa: F811
    """They go with the last container that has them."""
    engine.ok("create", "--name", "owner", "--network", "none", "-v", "/own", "test", "true")
    name = volumes(engine)[0]
    engine.run("--volumes-from", "owner", "test", "touch", "/own/f").check()
    assert volumes(engine) == [name]
    engine.ok("create", "--name", "borrower", "--network", "none", "--volumes-from", "owner", "test", "ls", "/own")
    engine.ok("rm", "-v", "owner")
    assert volumes(engine) == [name], "in use by the other"
    assert engine.ok("start", "-a", "borrower").text == "f"
    engine.ok("rm", "-v", "borrower")
    assert volumes(engine) == []
    # Who was given it by its generated name takes nothing along, whoever made it.
    engine.ok("create", "--name", "owner", "--network", "none", "-v", "/own", "test", "true")
    name = volumes(engine)[0]
    engine.ok("rm", "owner")
    engine.run("-v", f"{name}:/own", "test", "touch", "/own/f").check()
    assert volumes(engine) == [name]
    engine.ok("volume", "prune", "-f")
    assert volumes(engine) == []


# Overlays (podman's O)


@pytest.mark.parametrize("kind", ["bind", "volume"])
def test_overlay(berth, place, kind):
    (place / "kept").write_text("kept\n")
    os.chown(place / "kept", berth.who.uid, berth.who.gid)
    source = str(place)
    if kind == "volume":
        source = "over" + place.name
        berth.sh("-v", f"{source}:/o", "echo kept > /o/kept").check()
    script = "cat /o/kept; ls /o; echo changed > /o/kept; touch /o/new; rm /o/kept; ls /o"
    berth.ok("create", "--name", "it", "--network", "none", "-v", f"{source}:/o:O", "test", "sh", "-c", script)
    assert berth.ok("start", "-a", "it").lines == ["kept", "kept", "new"]
    # Another run begins anew, and the source is as it was.
    assert berth.ok("start", "-a", "it").lines == ["kept", "kept", "new"]
    assert berth.sh("-v", f"{source}:/o", "ls /o; cat /o/kept").check().lines == ["kept", "kept"]
    assert berth.inspect("it", "HostConfig.Binds") == [f"{source}:/o:O"]
    berth.ok("rm", "it")
    berth.assert_clean()
    assert berth.sh("-v", f"{source}:/o:O,ro", "touch /o/x").exits(1)


def test_overlay_refused(berth, place):
    berth.run("-v", f"{place}/missing:/o:O", "test", "true").fails(125, "does not exist")
    assert not (place / "missing").exists()
    berth.run("-v", f"{place}:/o:O,rshared", "test", "true").fails(125, "invalid mode")
    if berth.who.is_root:
        berth.run("--userns", "auto", "-v", f"{place}:/o:O", "test", "true").fails(125, "not supported yet: overlay volumes")


# Images


@pytest.fixture
def data_image(berth, place):
    layer = images.Layer().dir("etc", mode=0o755).file("etc/setting", "one\n").dir("srv", mode=0o755).file("srv/f", "f\n", uid=1000, gid=1000)
    other = images.Layer().file("etc/setting", "two\n").file("etc/.wh.gone", "").symlink("srv/out", "../../../../../../etc").symlink("up", "/etc")
    berth.ok("load", "-i", images.write(place / "data.tar", images.docker_archive([layer, other], ["data:1"])))
    yield "data:1"
    berth.call("rmi", "-f", "data:1")


def image_mount(*more):
    return ["--mount", ",".join(["type=image,source=data:1,target=/data", *more])]


def test_image_mount(berth, data_image):
    out = berth.sh(*image_mount(), "cat /data/etc/setting; stat -c %u /data/srv/f; touch /data/x; grep ' /data ' /proc/self/mountinfo").check()
    assert out.lines[:2] == ["two", "1000"] and "Read-only file system" in out.err
    assert "nosuid" in out.lines[2] and "nodev" in out.lines[2]
    assert berth.sh(*image_mount("rw=true"), "touch /data/etc/x; ls /data/etc").check().lines == ["setting", "x"]
    assert berth.sh(*image_mount(), "ls /data/etc").check().lines == ["setting"]
    berth.up("--name", "it", *image_mount())
    mount = mounts(berth, "it")["/data"]
    assert mount["Type"] == "image" and mount["Source"] == "data:1" and mount["RW"] is False


def test_image_mount_of_one_layer(berth, place):
    layer = images.Layer().file("alone", "alone\n")
    berth.ok("load", "-i", images.write(place / "one.tar", images.docker_archive([layer], ["single:1"])))
    assert berth.sh("--mount", "type=image,source=single:1,target=/data", "cat /data/alone; ls -A /data").check().lines == ["alone", "alone"]
    berth.ok("rmi", "single:1")


@pytest.mark.parametrize("key", ["image-subpath", "subpath"])
def test_part_of_an_image(berth, data_image, key):
    assert berth.sh(*image_mount(f"{key}=srv"), "ls /data; cat /data/f; grep -c ' /data ' /proc/self/mountinfo").check().lines == ["f", "out", "f", "1"]


@pytest.mark.parametrize("subpath", ["..", "/etc", "srv/out", "up", "missing", "srv/../.."])
def test_s73_a_part_of_an_image_that_leads_out(berth, data_image, subpath):
    before = tree_state("/etc") if berth.who.is_root else None
    result = berth.sh(*image_mount(f"image-subpath={subpath}"), "ls /data")
    assert result.code in (125, 126, 127) and "passwd" not in result.out, result
    assert before is None or tree_state("/etc") == before
    berth.assert_clean()


def test_a_mounted_image_stays(berth, data_image):
    berth.ok("create", "--name", "it", "--network", "none", *image_mount(), "test", "cat", "/data/etc/setting")
    berth.call("rmi", "data:1").fails(1, "container")
    berth.ok("rmi", "-f", "data:1")
    assert berth.ok("start", "-a", "it").text == "two", "its layers stay until the container goes"
    berth.ok("rm", "it")
    found = json.loads(berth.call("system", "check", "--format", "json", timeout=60).out)
    assert not [row for row in found if not row["OK"] and row["Name"].startswith("layer")], found


@pytest.mark.parametrize("spec,text", [
    ("type=image,target=/x", "Source must not be empty"), ("type=image,source=nosuch:1,target=/x", "no such image"),
    ("type=image,source=data:1,target=/x,volume-nocopy", "cannot mix"), ("type=image,source=data:1,target=/x,z=true", "only readonly"),
])  # fmt: skip
def test_image_mounts_that_are_none(berth, spec, text):
    berth.run("--mount", spec, "test", "true").fails(125, text)


# Options of drivers


def test_volume_of_a_directory(berth, place):
    (place / "sub").mkdir()
    (place / "file").write_text("of the host\n")
    for path in (place / "sub", place / "file"):
        os.chown(path, berth.who.uid, berth.who.gid)
    name = "bound" + place.name
    berth.ok("volume", "create", "-o", "type=none", "-o", "o=bind", "-o", f"device={place}", name)
    assert json.loads(berth.ok("volume", "inspect", name).out)[0]["Options"] == {"type": "none", "o": "bind", "device": str(place)}
    out = berth.sh("-v", f"{name}:/v", "cat /v/file; touch /v/made; grep ' /v ' /proc/self/mountinfo").check()
    assert out.lines[0] == "of the host" and (place / "made").exists() and "nosuid" in out.lines[1]
    assert berth.sh("-v", f"{name}:/v:ro", "touch /v/x").exits(1)
    assert berth.sh("--mount", f"type=volume,source={name},target=/v,volume-subpath=sub", "ls -A /v").check().out == ""
    berth.ok("volume", "create", "-o", "type=none", "-o", "o=bind,ro", "-o", f"device={place}", name + "ro")
    berth.sh("-v", f"{name}ro:/v", "touch /v/x").exits(1)
    berth.ok("volume", "rm", name, name + "ro")
    assert (place / "file").read_text() == "of the host\n", "only the volume goes"


def test_volume_of_a_missing_directory(berth, place):
    name = "gone" + place.name
    berth.ok("volume", "create", "-o", "type=none", "-o", "o=bind", "-o", f"device={place}/missing", name)
    berth.run("-v", f"{name}:/v", "test", "true").fails(125, "error while mounting volume '.*': failed to mount local volume: mount .*missing:.*: no such file or directory")
    (place / "missing").mkdir()
    os.chown(place / "missing", berth.who.uid, berth.who.gid)
    out = berth.sh("-v", f"{name}:/etc", "cat /etc/passwd").check()
    assert "app:x:1000" in out.out and (place / "missing/passwd").exists(), "an empty one gets what the image has"
    berth.ok("volume", "rm", name)


def test_volume_in_memory(berth, place):
    name = "memory" + place.name
    berth.ok("volume", "create", "--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", "o=size=1m,uid=1000,mode=750", name)
    text = berth.sh("-v", f"{name}:/m", "stat -c '%u %a' /m; grep ' /m ' /proc/self/mountinfo; touch /m/x").check()
    mount = mount_on(text.out.split("\n", 1)[1], "/m")
    assert text.lines[0] == "1000 750" and mount.type == "tmpfs" and "size=1024k" in mount.super_options
    assert berth.sh("-v", f"{name}:/m", "ls -A /m").check().out == "", "it ends with its container"
    berth.ok("volume", "create", "--opt", "type=tmpfs", "--opt", "device=tmpfs", name + "up")
    assert "app:x:1000" in berth.sh("-v", f"{name}up:/etc", "cat /etc/passwd").check().out
    berth.ok("volume", "rm", name, name + "up")


def test_volume_of_a_file_system(berth, place):
    """What the kernel mounts is mounted for the container, with the host's privileges."""
    name = "disk" + place.name
    image = place / "disk"
    with open(image, "wb") as file:
        file.truncate(8 << 20)
    subprocess.run(["/sbin/mkfs.ext4", "-q", image], check=True)
    berth.ok("volume", "create", "-o", "type=ext4", "-o", "device=/dev/nosuch", name)
    if not berth.who.is_root:
        berth.run("-v", f"{name}:/d", "test", "true").fails(125, "only root can mount ext4")
        berth.ok("volume", "rm", name)
        return
    assert berth.run("-v", f"{name}:/d", "test", "true").code in (125, 126, 127)
    device = subprocess.run(["losetup", "-f", "--show", image], check=True, capture_output=True, text=True).stdout.strip()
    try:
        berth.ok("volume", "create", "-o", "type=ext4", "-o", f"device={device}", name + "2")
        berth.sh("-v", f"{name}2:/d", "echo kept > /d/f").check()
        assert berth.sh("-v", f"{name}2:/d", "cat /d/f; grep ' /d ' /proc/self/mountinfo").check().lines[0] == "kept"
        assert not berth.mounts()
    finally:
        berth.call("volume", "rm", name, name + "2")
        subprocess.run(["losetup", "-d", device], check=True)


def test_options_in_a_mount(berth, place):
    name = "made" + place.name
    berth.sh("--mount", f'type=volume,source={name},target=/m,volume-label=a=1,volume-driver=local,volume-opt=type=tmpfs,volume-opt=device=tmpfs,"volume-opt=o=size=1m,nodev"', "grep ' /m ' /proc/self/mountinfo").check()
    document = json.loads(berth.ok("volume", "inspect", name).out)[0]
    assert document["Options"] == {"type": "tmpfs", "device": "tmpfs", "o": "size=1m,nodev"} and document["Labels"] == {"a": "1"}
    berth.ok("volume", "rm", name)
    berth.run("--mount", f"type=volume,source={name},target=/m,volume-opt=colour=red", "test", "true").fails(125, 'invalid option: "colour"')
    berth.run("--mount", f"type=volume,source={name},target=/m,volume-driver=other", "test", "true").fails(125, "plugin \"other\" not found")
    berth.run("--volume-driver", "other", "-v", f"{name}:/m", "test", "true").fails(125, "plugin \"other\" not found")
    assert name not in volumes(berth)
    berth.ok("create", "--name", "it", "--volume-driver", "local", "--network", "none", "-v", f"{name}:/m", "test", "true")
    assert berth.inspect("it", "HostConfig.VolumeDriver") == "local"


@pytest.mark.parametrize("words", ["bind-create-src", "bind-create-src=true", "bind-create-src,readonly", "bind-create-src,z", "bind-create-src,rw"])
def test_a_source_that_is_made(berth, place, words):
    made = place / words.replace("=", "-").replace(",", "-")
    berth.run("--mount", f"type=bind,source={made},target=/m", "test", "true").fails(125, "bind source path does not exist")
    result = berth.sh("--mount", f"type=bind,source={made},target=/m,{words}", "touch /m/x")
    assert result.code == (1 if "readonly" in words else 0) and made.is_dir() and (made / "x").exists() != ("readonly" in words)


# Owners


def test_a_bind_with_the_ids_inside(root_berth, place):
    """podman's idmap, and what happens without it."""
    os.chown(place, 0, 0)
    script = "touch /b/made && stat -c %u:%g /b /b/made"
    assert root_berth.sh("--userns", "auto", "-v", f"{place}:/b:idmap", script).check().lines == ["0:0", "0:0"]
    assert (place / "made").stat().st_uid == 0
    root_berth.sh("--userns", "auto", "-v", f"{place}:/b", "touch /b/other").exits(1)
    assert root_berth.sh("--userns", "auto", "--mount", f"type=bind,source={place},target=/b,idmap", script).check().lines == ["0:0", "0:0"]
    assert root_berth.sh("-v", f"{place}:/b:idmap", script).check().lines == ["0:0", "0:0"], "without a namespace it is as ever"


def test_a_user_who_is_not_root_writes_to_a_bind(user_berth, place):
    """The kernel lets no ordinary user map the ids of a mount: there is a hint, which works as it is typed."""
    os.chown(place, user_berth.who.uid, user_berth.who.gid)
    result = user_berth.sh("-u", "app", "-v", f"{place}:/b", "touch /b/f").exits(1)
    flags = result.err.partition("type: ")[2].splitlines()[0].split()
    assert result.err.startswith(f"WARNING: {place} is yours, and the container's user 1000 cannot write to it") and flags
    result = user_berth.sh(*flags, "-u", "app", "-v", f"{place}:/b", "touch /b/f; stat -c %u /b/f").check()
    assert result.text == "1000" and result.err == ""
    assert ((place / "f").stat().st_uid, (place / "f").stat().st_gid) == (user_berth.who.uid, user_berth.who.gid)
    for quiet in (["-u", "app", "-v", f"{place}:/b:ro"], ["-v", f"{place}:/b"]):
        assert user_berth.sh(*quiet, "true").check().err == ""
    place.chmod(0o777)
    assert user_berth.sh("-u", "app", "-v", f"{place}:/b", "touch /b/g").check().err == ""
    place.chmod(0o755)
    user_berth.run("-v", f"{place}:/b:idmap", "test", "true").fails(125, "only root .* --userns keep-id")


MODES = [[], ["--userns", "auto"], ["--userns", "keep-id"], ["--userns", "keep-id:uid=1000,gid=1000"]]


@pytest.mark.parametrize("userns", MODES, ids=["own", "auto", "keep-id", "keep-id-as"])
def test_a_volume_is_writable_in_every_user_namespace(berth, place, userns):
    """What the image has there keeps its owner; what is fresh is the user's, with :U too."""
    if userns and (userns[1] == "auto") != berth.who.is_root:
        pytest.skip("auto is for root, keep-id for others")
    user = [] if userns and "keep-id" in userns[1] else ["-u", "app"]
    name = place.name + "mode"
    image = berth.run(*userns, *user, "test", "stat", "-c", "%u:%g", "/home/app").check().text
    out = berth.sh(
        *userns, *user, "-v", f"{name}:/fresh", "-v", f"{name}home:/home/app", "-v", f"{name}given:/given:U",
        "touch /fresh/mine /given/mine && test $(stat -c %u /fresh) = $(id -u) && test $(stat -c %u:%g /given) = $(id -u):$(id -g) && stat -c %u:%g /home/app",
    ).check()  # fmt: skip
    assert out.text == image


@pytest.mark.parametrize("userns", [[], ["--userns", "auto"]], ids=["own", "auto"])
@pytest.mark.parametrize("form", ["fresh{}:/fresh", "/fresh", "fresh{}:/fresh:nocopy"])
def test_a_user_who_is_not_root_can_write_to_a_fresh_volume(berth, place, userns, form):
    """podman's: where the image has nothing at the place; docker leaves it to root."""
    if userns and not berth.who.is_root:
        pytest.skip("auto is for root")
    out = berth.sh(*userns, "-u", "app", "-v", form.format(place.name + str(len(form))), "stat -c %u:%g /fresh; touch /fresh/mine && echo writable").check()
    assert out.lines == ["1000:1000", "writable"]


def test_the_owner_of_a_volume_that_is_given_stays(berth, place):
    name = "given" + place.name
    berth.sh("-v", f"{name}:/v", "chown 5:5 /v").check()
    assert berth.sh("-u", "app", "-v", f"{name}:/v", "stat -c %u:%g /v").check().text == "5:5"
    berth.sh("-v", f"{name}:/v", "chown 0:0 /v; touch /v/f").check()
    assert berth.sh("-u", "app", "-v", f"{name}:/v", "stat -c %u:%g /v").check().text == "0:0", "it has content"


def test_u_looks_at_the_top_first(berth, place):
    """A million files that are right already cost nothing: only the directory itself is looked at."""
    name = "many" + place.name
    berth.sh("-v", f"{name}:/v", "mkdir /v/d; touch /v/d/f; chown -R 1000:1000 /v; chown 7:7 /v/d/f").check()
    assert berth.sh("-u", "app", "-v", f"{name}:/v:U", "stat -c %u /v/d/f").check().text == "7"
    berth.sh("-v", f"{name}:/v", "chown 0:0 /v").check()
    assert berth.sh("-u", "app", "-v", f"{name}:/v:U", "stat -c %u /v /v/d /v/d/f").check().lines == ["1000"] * 3


def test_copy_up_keeps_attributes(berth, place, suite):
    layer = images.base_layer(suite.init)
    extra = images.Layer().dir("srv", mode=0o2775, uid=1000, gid=63).add("srv/f", data="x", mode=0o4755, pax={"SCHILY.xattr.user.one": "1"})
    berth.ok("load", "-i", images.write(place / "x.tar", images.docker_archive([layer, extra], ["attributes:1"])))
    name = "attributes" + place.name
    assert berth.run("-v", f"{name}:/srv", "attributes:1", "stat", "-c", "%u:%g %a", "/srv", "/srv/f").check().lines == ["1000:63 2775", "0:0 4755"]
    found = pathlib.Path(berth.seen(berth.root)) / "volumes" / name / "_data/f"
    assert os.getxattr(found, "user.one") == b"1"
    berth.call("rmi", "-f", "attributes:1")
