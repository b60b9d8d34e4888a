"""-v, --mount, --tmpfs, --read-only, --shm-size, anonymous volumes and copy-up."""

import os
import pathlib
import stat

import pytest

from host import mount_on, tree_state

import images


def options(berth, target, *flags):
    """Per-mount options of a target, as the container sees them."""
    text = berth.run(*flags, "test", "cat", "/proc/self/mountinfo").check().out
    mount = mount_on(text, target)
    assert mount, f"nothing mounted on {target}:\n{text}"
    return mount


def test_a_bind_mount_both_ways(berth, place):
    (place / "in").write_text("from host\n")
    out = berth.sh("-v", f"{place}:/mnt", "cat /mnt/in; echo from container > /mnt/out").check()
    assert out.text == "from host"
    assert (place / "out").read_text() == "from container\n"
    assert (place / "out").stat().st_uid == berth.who.uid


@pytest.mark.parametrize("form", ["-v {}:/mnt:ro", "--mount type=bind,source={},target=/mnt,readonly", "--mount type=bind,src={},dst=/mnt,ro=true"])
def test_read_only_binds(berth, place, form):
    result = berth.sh(*form.format(place).split(), "touch /mnt/x; mkdir /mnt/d; test ! -e /mnt/x").check()
    assert result.err.count("Read-only file system") == 2
    assert not (place / "x").exists()


def test_read_only_binds_are_recursive(root_berth, place):
    """As docker since 25: what is mounted below is read-only too."""
    (place / "below").mkdir()
    os.system(f"mount -t tmpfs none {place}/below")
    try:
        result = root_berth.sh("-v", f"{place}:/mnt:ro", "touch /mnt/below/x").exits(1)
        assert "Read-only" in result.err
        result = root_berth.sh("-v", f"{place}:/mnt", "touch /mnt/below/x").check()
        root_berth.sh("--mount", f"type=bind,source={place},target=/mnt,readonly,bind-recursive=writable", "touch /mnt/below/y").check()
        root_berth.sh("--mount", f"type=bind,source={place},target=/mnt,readonly,bind-recursive=readonly", "touch /mnt/below/y").exits(1)
        root_berth.sh("--mount", f"type=bind,source={place},target=/mnt,bind-recursive=disabled", "test ! -e /mnt/below/x").check()
    finally:
        os.system(f"umount {place}/below")


def test_rro(berth, place):
    result = berth.sh("-v", f"{place}:/mnt:rro", "touch /mnt/x")
    assert result.code in (1, 125)
    assert not (place / "x").exists()


def test_a_missing_source(berth, place):
    berth.run("--mount", f"type=bind,source={place}/missing,target=/mnt", "test", "true").fails(125, "does not exist")
    assert not (place / "missing").exists()
    berth.sh("-v", f"{place}/made:/mnt", "touch /mnt/x").check()  # docker makes it for -v
    assert (place / "made" / "x").exists()


def test_a_relative_source(berth, place):
    (place / "sub").mkdir()
    os.chown(place / "sub", berth.who.uid, berth.who.gid)
    berth.sh("-v", "./sub:/mnt", "touch /mnt/x", cwd=place).check()
    assert (place / "sub" / "x").exists()


@pytest.mark.parametrize(
    "spec", ["", ":", "/a:", ":/b", "/a:/b:bad", "/a:relative", "/a:/b:ro:extra", "/a:/b:ro,rw", "/tmp:/", "bad name:/x", "a/b:/x", "/tmp:/x:nocopy"]
)
def test_volumes_that_are_none(root_berth, spec):
    root_berth.run("-v", spec, "test", "true").fails(125)


@pytest.mark.parametrize(
    "spec",
    [
        "type=bind", "type=bind,source=/tmp", "type=nosuch,source=/tmp,target=/x", "type=bind,source=relative,target=/x",
        "type=bind,source=/tmp,target=/x,nosuch=1", "type=tmpfs,source=/tmp,target=/x", "type=bind,source=/tmp,target=/x,readonly=perhaps",
        "type=bind,source=/tmp,target=/x,bind-propagation=sideways", "target=/x,volume-nocopy=x", "type=tmpfs,target=/x,tmpfs-size=much", "", "x",
        "type=bind,source=/tmp,target=relative",
    ],
)  # fmt: skip
def test_mounts_that_are_none(root_berth, spec):
    root_berth.run("--mount", spec, "test", "true").fails(125)


def test_duplicate_targets(root_berth):
    root_berth.run("-v", "/tmp:/x", "-v", "/etc:/x", "test", "true").fails(125, "duplicate mount point: /x")


def test_a_file_is_mounted(berth, place):
    (place / "file").write_text("content\n")
    out = berth.sh("-v", f"{place}/file:/etc/made/by/mount:ro", "cat /etc/made/by/mount; stat -c %F /etc/made/by/mount").check()
    assert out.lines == ["content", "regular file"]


def test_mount_targets_do_not_stay_in_the_image(berth, place):
    berth.run("-v", f"{place}:/nowhere/before", "test", "true").check()
    berth.run("test", "ls", "/nowhere").exits(1)


def test_nested_targets_in_any_order(berth, place):
    """S11: /a/b before /a."""
    for name in ("a", "b"):
        (place / name).mkdir()
        (place / name / f"from-{name}").touch()
        os.chown(place / name, berth.who.uid, berth.who.gid)
    (place / "a" / "b").mkdir()
    out = berth.run("-v", f"{place}/b:/a/b", "-v", f"{place}/a:/a", "test", "ls", "/a", "/a/b").check().out
    assert "from-a" in out and "from-b" in out


def test_s08_links_of_the_image_are_resolved_inside(berth, suite, place):
    layer = images.base_layer(suite.init)
    extra = images.Layer().symlink("var/run", "/run").symlink("data", "/etc/linked").dir("etc/linked").symlink("up", "../../../../../../etc")
    berth.ok("load", "-i", images.write(place / "i.tar", images.docker_archive([layer, extra], ["links:1"])))
    (place / "sock").write_text("s")
    (place / "dir").mkdir()
    (place / "dir" / "file").touch()
    before = tree_state("/etc") if berth.who.is_root else None
    out = berth.run("-v", f"{place}/sock:/var/run/x.sock", "-v", f"{place}/dir:/data", "-v", f"{place}/dir:/up/inside", "links:1", "ls", "/run", "/etc/linked", "/etc/inside").check().out
    assert "x.sock" in out and out.count("file") == 2
    if before is not None:
        assert set(tree_state("/etc")) == set(before)


@pytest.mark.parametrize("target", ["/proc", "/proc/1", "/proc/sys", "/proc/self/attr"])
def test_s04_targets_in_proc(berth, place, target):
    berth.run("-v", f"{place}:{target}", "test", "true").fails(125)


def test_s10_dots_in_targets(berth, place, canary):
    before = tree_state(canary)
    (place / "f").touch()
    for target in ("/../../etc/x", "/a/../../../b", "/./c//d"):
        berth.run("-v", f"{place}/f:{target}", "test", "true")
    out = berth.sh("-v", f"{place}/f:/../../escape/x", "ls /escape").check()
    assert out.text == "x"
    assert not os.path.exists("/escape")
    assert tree_state(canary) == before


def test_options_of_a_bind(berth, place):
    mount = options(berth, "/mnt", "-v", f"{place}:/mnt")
    assert not {word for word in mount.propagation if word.startswith("shared")}, "binds are rprivate by default"


def test_propagation(root_berth, place):
    os.system(f"mount --bind {place} {place} && mount --make-shared {place}")
    try:
        mount = options(root_berth, "/mnt", "-v", f"{place}:/mnt:rslave")
        assert any(word.startswith("master") for word in mount.propagation)
        mount = options(root_berth, "/mnt", "--mount", f"type=bind,source={place},target=/mnt,bind-propagation=rshared")
        assert any(word.startswith("shared") for word in mount.propagation)
    finally:
        os.system(f"umount {place}")


# Named and anonymous volumes


def test_a_named_volume_keeps_what_is_written(berth):
    berth.sh("-v", "data1:/data", "echo kept > /data/f").check()
    assert berth.sh("-v", "data1:/elsewhere", "cat /elsewhere/f").check().text == "kept"
    mount = options(berth, "/data", "-v", "data1:/data")
    assert {"nosuid", "nodev"} <= mount.options
    assert "ro" in options(berth, "/data", "-v", "data1:/data:ro").options
    assert (berth.root / "volumes").stat().st_mode & 0o077 == 0 or berth.root.stat().st_mode & 0o077 == 0


def test_copy_up(berth):
    """A new volume gets what the image has there, with owners and modes."""

    out = berth.sh("-v", "up1:/home/app", "-v", "up2:/bin2", "-v", "up3:/tmp2", "stat -c '%u:%g %a' /home/app").check()
    assert out.text == "1000:1000 755"
    out = berth.sh("-v", "up4:/bin", "readlink /bin/sh; stat -c %a /bin/busybox").check()
    assert out.lines == ["busybox", "755"]
    out = berth.run("--mount", "type=volume,source=up5,target=/etc", "test", "cat", "/etc/passwd").check()
    assert "app:x:1000" in out.out



def test_copy_up_happens_once(berth):
    berth.sh("-v", "once:/home/app", "touch /home/app/new; chown 5:5 /home/app").check()
    assert berth.sh("-v", "once:/home/app", "ls /home/app; stat -c %u /home/app").check().lines == ["new", "5"]


def test_nocopy(berth):
    assert berth.sh("-v", "nocopy1:/etc:nocopy", "ls /etc | grep -c passwd").text == "0"
    berth.sh("--mount", "type=volume,source=nocopy2,target=/home,volume-nocopy", "test ! -e /home/app").check()


def test_a_used_volume_is_not_filled(berth):
    berth.sh("-v", "used:/opt", "echo mine > /opt/mine").check()
    assert berth.sh("-v", "used:/home", "ls /home").check().text == "mine"


def test_anonymous_volumes(berth):
    name = berth.up("-v", "/anonymous")
    mounts = berth.inspect(name, "Mounts")
    assert [mount["Destination"] for mount in mounts] == ["/anonymous"] and mounts[0]["Type"] == "volume"
    assert len(mounts[0]["Name"]) == 64
    source = pathlib.Path(mounts[0]["Source"])
    berth.ok("exec", name, "touch", "/anonymous/x")
    assert (source / "x").exists()
    berth.ok("rm", "-f", "-v", name)
    assert not source.exists()


def test_anonymous_volumes_stay_without_v(berth):
    name = berth.up("-v", "/anonymous")
    source = pathlib.Path(berth.inspect(name, "Mounts")[0]["Source"])
    berth.ok("rm", "-f", name)
    assert source.exists()


@pytest.fixture
def volume_image(berth, suite, place):
    """VOLUMEs that belong to a user who is not root, with content."""
    layer = images.base_layer(suite.init)
    extra = images.Layer().dir("srv", uid=1000, gid=1000, mode=0o750).file("srv/seed", "seed\n", uid=1000, gid=63, mode=0o640).dir("empty", mode=0o1777)
    data = images.docker_archive([layer, extra], ["vol:1"], {"Volumes": {"/srv": {}, "/empty": {}, "/new/deep": {}}, "User": "app"})
    berth.ok("load", "-i", images.write(place / "v.tar", data))
    return "vol:1"


def test_volumes_of_the_image(berth, volume_image):
    out = berth.run(volume_image, "sh", "-c", "stat -c '%u:%g %a' /srv /srv/seed /empty; cat /srv/seed; touch /srv/mine && echo writable").check()
    assert out.lines == ["1000:1000 750", "1000:63 640", "0:0 1777", "seed", "writable"]
    mounts = berth.run(volume_image, "cat", "/proc/self/mountinfo").check().out
    for target in ("/srv", "/empty", "/new/deep"):
        assert mount_on(mounts, target), target


def test_volumes_of_the_image_are_the_containers_own(berth, volume_image):
    berth.run(volume_image, "touch", "/srv/mine").check()
    assert berth.run(volume_image, "ls", "/srv").check().text == "seed"
    berth.assert_clean()


def test_volumes_of_the_image_otherwise(berth, volume_image):
    """podman's --image-volume."""
    text = berth.run("--image-volume", "ignore", volume_image, "cat", "/proc/self/mountinfo").check().out
    assert mount_on(text, "/srv") is None
    text = berth.run("--image-volume", "tmpfs", volume_image, "sh", "-c", "cat /srv/seed; touch /srv/mine; cat /proc/self/mountinfo").check().out
    assert text.startswith("seed\n") and mount_on(text.partition("\n")[2], "/srv").type == "tmpfs"
    for words in ("anonymous", "bind"):
        assert mount_on(berth.run("--image-volume", words, volume_image, "cat", "/proc/self/mountinfo").check().out, "/srv")
    berth.run("--image-volume", "sideways", volume_image, "true").fails(125, "use anonymous, tmpfs or ignore")


def test_a_volume_of_the_image_given_by_name(berth, volume_image):
    berth.run("-v", "given:/srv", volume_image, "touch", "/srv/mine").check()
    assert berth.run("-v", "given:/srv", volume_image, "ls", "/srv").check().lines == ["mine", "seed"]


# Parts of volumes


@pytest.fixture
def parted(berth):
    """A volume in which a container has put links that lead out."""
    name = "parted"
    script = "mkdir -p /v/a/b; echo in a > /v/a/file; ln -sfn a /v/near; ln -sfn ../../../../../../etc /v/up; ln -sfn /etc /v/absolute"
    berth.sh("-v", f"{name}:/v", script).check()
    return name


def part(volume, subpath, *more):
    return ["--mount", ",".join([f"type=volume,source={volume},target=/mnt,volume-subpath={subpath}", *more])]


def test_a_part_of_a_volume(berth, parted):
    out = berth.sh(*part(parted, "a"), "ls /mnt; touch /mnt/new; grep ' /mnt ' /proc/self/mountinfo").check()
    assert out.lines[:2] == ["b", "file"] and "/_data/a /mnt " in out.out and "nosuid" in out.out
    assert berth.sh(*part(parted, "near"), "cat /mnt/file").check().text == "in a"
    assert berth.sh(*part(parted, "a/file"), "cat /mnt").check().text == "in a"
    berth.sh(*part(parted, "a", "readonly"), "touch /mnt/x").exits(1)
    assert sorted(berth.sh("-v", f"{parted}:/v", "ls /v/a").check().lines) == ["b", "file", "new"]


@pytest.mark.parametrize("subpath", ["..", "a/../..", "/etc", "up", "absolute", "missing", "a/file/x"])
def test_s73_a_part_that_leads_out(berth, parted, subpath):
    berth.run(*part(parted, subpath), "test", "cat", "/mnt/passwd").fails(125, "subpath")
    berth.assert_clean()


def test_s73_a_part_that_becomes_a_link_before_the_start(berth, parted):
    """What was checked at create is looked up again when it is mounted."""
    berth.ok("create", "--name", "later", "--network", "none", *part(parted, "a"), "test", "ls", "/mnt")
    berth.sh("-v", f"{parted}:/v", "mv /v/a /v/moved; ln -s ../../../../../../../etc /v/a").check()
    result = berth.call("start", "-a", "later")
    assert result.code != 0 and "passwd" not in result.out
    berth.sh("-v", f"{parted}:/v", "rm /v/a; mv /v/moved /v/a").check()
    assert "file" in berth.ok("start", "-a", "later").lines


def test_a_part_that_only_the_containers_users_may_look_into(berth):
    script = "mkdir -p /v/own/deep && echo kept > /v/own/deep/file && chown -R 1000:1000 /v/own && chmod 700 /v/own"
    berth.sh("-v", "owned:/v", script).check()
    assert berth.sh(*part("owned", "own/deep"), "cat /mnt/file; stat -c %u /mnt").check().lines == ["kept", "1000"]
    berth.run(*part("owned", "own/deep/../../.."), "test", "true").fails(125)
    berth.run(*part("owned", "own/missing"), "test", "true").fails(125, "missing|subpath")


# Owners


@pytest.mark.parametrize("userns", [[], ["--userns", "auto"]], ids=["own", "auto"])
def test_u_gives_the_source_to_the_containers_user(berth, place, userns):
    """podman's U: what was anybody's is the user's inside, whatever number that is on the host."""
    if userns and not berth.who.is_root:
        pytest.skip("auto is for root")
    (place / "sub").mkdir()
    (place / "sub/file").touch()
    for path in (place / "sub", place / "sub/file"):
        os.chown(path, berth.who.uid, berth.who.gid)
    script = "stat -c %u:%g /mnt/sub /mnt/sub/file && touch /mnt/new"
    assert berth.sh(*userns, "-u", "app", "-v", f"{place}:/mnt:U", script).check().lines == ["1000:1000"] * 2
    volume = "given" + place.name
    assert berth.sh(*userns, "-u", "app", "-v", f"{volume}:/mnt:U", "stat -c %u:%g /mnt && touch /mnt/new").check().text == "1000:1000"


# tmpfs, shm, read-only


def test_tmpfs(berth):
    mount = options(berth, "/t", "--tmpfs", "/t")
    assert mount.type == "tmpfs" and {"nosuid", "nodev", "noexec"} <= mount.options
    mount = options(berth, "/t", "--tmpfs", "/t:size=64k,mode=1750,exec")
    assert "noexec" not in mount.options and {"size=64k", "mode=1750"} <= mount.super_options
    out = berth.sh("--mount", "type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=700", "stat -c %a /t; df -k /t | tail -1 | tr -s ' ' | cut -d' ' -f2").check()
    assert out.lines == ["700", "1024"]


@pytest.mark.parametrize("spec", ["relative", "/t:size=much", "/t:nosuch", "/", "/proc", "/t:mode=999"])
def test_tmpfs_that_is_none(root_berth, spec):
    root_berth.run("--tmpfs", spec, "test", "true").fails(125)


def test_the_size_of_shm(berth):
    assert "size=1024k" in options(berth, "/dev/shm", "--shm-size", "1m").super_options
    assert "size=65536k" in options(berth, "/dev/shm").super_options
    berth.run("--shm-size", "-1", "test", "true").fails(125)


def test_a_read_only_root(berth, place):
    script = "touch /x; touch /etc/x; touch /dev/shm/ok && touch /mnt/ok && touch /t/ok && echo fine"
    result = berth.sh("--read-only", "-v", f"{place}:/mnt", "--tmpfs", "/t", script).check()
    assert result.err.count("Read-only file system") == 2 and result.text == "fine"
    assert "ro" in options(berth, "/", "--read-only").options


def test_a_read_only_root_and_missing_targets(berth, place):
    berth.sh("--read-only", "-v", f"{place}:/made/for/it", "-w", "/made/for/it", "touch x").check()


def test_the_writable_layer_is_bounded_to_the_container(berth):
    berth.sh("rm -rf /etc /home; touch /new; mkdir /dir; chmod 0 /bin/busybox").check()
    assert berth.sh("test -e /etc/passwd && test ! -e /new && echo whole").check().text == "whole"


def test_modes_in_the_store(berth):
    """What a volume holds may be set-uid for others: they must not reach it (S39)."""
    berth.sh("-v", "suid:/v", "cp /bin/busybox /v/su && chmod 4755 /v/su").check()
    path = berth.root / "volumes" / "suid" / "_data" / "su"
    assert path.stat().st_mode & stat.S_ISUID
    top = berth.root.stat()
    assert top.st_mode & 0o077 == 0 and top.st_uid == berth.who.uid
