"""Mounts: kinds, options, targets."""

import os
import socket
import subprocess

import pytest

from host import mount_on, mounted, parse_mountinfo

# Options that become flags of the mount. (option given, options seen, options not seen)
FLAGS = [
    ("ro", {"ro"}, {"rw"}), ("rw", {"rw"}, {"ro"}), ("nosuid", {"nosuid"}, set()), ("suid", set(), {"nosuid"}),
    ("nodev", {"nodev"}, set()), ("noexec", {"noexec"}, set()), ("exec", set(), {"noexec"}),
    ("noatime", {"noatime"}, {"relatime"}), ("relatime", {"relatime"}, {"noatime"}), ("strictatime", set(), {"relatime", "noatime"}),
    ("nodiratime", {"nodiratime"}, set()), ("diratime", set(), {"nodiratime"}),
    ("defaults", {"rw"}, {"ro", "nosuid", "nodev", "noexec"}), ("norelatime", set(), {"noatime"}), ("atime", set(), {"noatime"}),
    ("nostrictatime", set(), {"noatime"}), ("nosymfollow", {"nosymfollow"}, set()), ("symfollow", set(), {"nosymfollow"}),
]  # fmt: skip


@pytest.mark.parametrize("option, seen, unseen", FLAGS, ids=[row[0] for row in FLAGS])
def test_flags_of_tmpfs(root_ct, option, seen, unseen):
    root_ct.mount("/mnt", "tmpfs", "tmpfs", [option])
    mount = mounted(root_ct)
    assert seen <= mount.options and not unseen & mount.options


@pytest.mark.parametrize("option, seen, unseen", FLAGS, ids=[row[0] for row in FLAGS])
def test_flags_of_binds(root_ct, option, seen, unseen):
    root_ct.mount("/mnt", "bind", root_ct.directory("data"), ["bind", option])
    mount = mounted(root_ct)
    assert seen <= mount.options and not unseen & mount.options


def test_flags_rootless(user_ct):
    user_ct.mount("/mnt", "tmpfs", "tmpfs", ["ro", "nosuid", "nodev", "noexec", "noatime"])
    user_ct.mount("/data", "bind", user_ct.directory("data"), ["rbind", "ro", "nosuid", "nodev", "noexec"])
    text = user_ct.text("mountinfo")
    assert {"ro", "nosuid", "nodev", "noexec", "noatime"} <= mount_on(text, "/mnt").options
    assert {"ro", "nosuid", "nodev", "noexec"} <= mount_on(text, "/data").options


def test_the_later_of_two_options_wins(ct):
    ct.mount("/mnt", "tmpfs", "tmpfs", ["ro", "noexec", "exec", "rw"])
    options = mounted(ct).options
    assert "rw" in options and "noexec" not in options


# Options with no trace in mountinfo, that must at least be accepted.
ACCEPTED = ["async", "dev", "loud", "silent", "iversion", "noiversion", "sync", "dirsync", "mand", "nomand", "lazytime", "nolazytime"]


@pytest.mark.parametrize("option", ACCEPTED)
def test_options_of_mount_8(root_ct, option):
    root_ct.mount("/mnt", "tmpfs", "tmpfs", [option])
    mount = mounted(root_ct)
    assert mount.type == "tmpfs"
    if option in ("sync", "dirsync", "lazytime"):
        assert option in mount.super_options


@pytest.mark.parametrize("option", ["acl", "noacl"])
def test_options_that_are_only_recognised(root_ct, option):
    root_ct.mount("/mnt", "tmpfs", "tmpfs", [option])
    mounted(root_ct)


def test_data_of_tmpfs(ct):
    ct.mount("/mnt", "tmpfs", "tmpfs", ["size=1m", "mode=1750", "nr_inodes=100", "uid=7", "gid=8"])
    mount, stat, statfs = mounted(ct, "stat /mnt", "statfs /mnt")
    assert "size=1024k" in mount.super_options
    assert stat.split()[:4] == ["d", "1750", "7", "8"]
    assert "size=1048576" in statfs and "inodes=100" in statfs


def test_the_mode_of_tmpfs_is_the_directorys(ct):
    """Without mode= the mount keeps the mode of the directory it covers."""
    (ct.rootfs / "mnt").mkdir()
    (ct.rootfs / "mnt").chmod(0o1711)
    ct.mount("/mnt", "tmpfs", "tmpfs", [])
    assert ct.text("stat /mnt").split()[1] == "1711"


def test_unknown_options_go_to_the_filesystem(ct):
    ct.mount("/mnt", "tmpfs", "tmpfs", ["nosuchoption=1"])
    ct.create("true").refused("mnt|tmpfs|invalid argument")
    ct.assert_clean()


def test_tmpcopyup(ct):
    (ct.rootfs / "mnt/sub").mkdir(parents=True)
    (ct.rootfs / "mnt/file").write_text("from below")
    (ct.rootfs / "mnt/file").chmod(0o640)
    (ct.rootfs / "mnt/sub/link").symlink_to("../file")
    ct.own(ct.rootfs / "mnt")
    ct.mount("/mnt", "tmpfs", "tmpfs", ["tmpcopyup", "mode=755"])
    mount, text, stat, link, written = mounted(ct, "cat /mnt/file", "stat /mnt/file", "readlink /mnt/sub/link", "write /mnt/file x")
    assert mount.type == "tmpfs" and text == "from below" and link == "../file" and written == "ok"
    assert stat.split()[:4] == ["-", "0640", "0", "0"]
    assert (ct.rootfs / "mnt/file").read_text() == "from below"
    assert not [name for name in os.listdir("/tmp") if name.startswith("runctop")]  # where runc keeps its copy meanwhile


def test_tmpcopyup_of_an_empty_directory(ct):
    ct.mount("/mnt", "tmpfs", "tmpfs", ["tmpcopyup"])
    assert mounted(ct, "ls /mnt")[1] == ""


# Binds


def test_bind_of_a_directory(ct):
    data = ct.directory("data", hello__txt="hello")
    ct.mount("/mnt", "bind", data, ["bind"])
    assert mounted(ct, "cat /mnt/hello.txt", "write /mnt/new x")[1:] == ("hello", "ok")
    assert (data / "new").read_text() == "x"


def test_bind_without_the_type(ct):
    """`bind` among the options makes it one, whatever the type says."""
    ct.mount("/mnt", "none", ct.directory("data", file="x"), ["rbind"])
    ct.mount("/mnt2", source=ct.directory("data"), options=["bind"])
    assert ct.look("ls /mnt", "ls /mnt2") == ["file", "file"]


def test_bind_by_type_alone(ct):
    ct.mount("/mnt", "bind", ct.directory("data", file="x"))
    assert ct.text("ls /mnt") == "file"


def test_bind_of_a_file(ct):
    ct.mount("/etc/conf/app.conf", "bind", ct.file("app.conf", "setting"), ["bind", "ro"])
    assert ct.look("cat /etc/conf/app.conf", "stat /etc/conf/app.conf")[0] == "setting"
    assert (ct.rootfs / "etc/conf/app.conf").is_file()


def test_bind_over_an_existing_file(ct):
    (ct.rootfs / "etc/hosts").write_text("below")
    ct.mount("/etc/hosts", "bind", ct.file("hosts", "above"), ["bind"])
    assert ct.text("cat /etc/hosts") == "above"
    assert (ct.rootfs / "etc/hosts").read_text() == "below"


def test_bind_of_a_relative_source(ct):
    """The source is relative to the bundle."""
    ct.directory("data", file="x")
    ct.mount("/mnt", "bind", "data", ["bind"])
    assert ct.text("ls /mnt") == "file"


def test_bind_of_a_link(ct):
    """A source that is a link is followed: it is the host's."""
    ct.directory("data", file="x")
    (ct.dir / "link").symlink_to("data")
    ct.mount("/mnt", "bind", ct.dir / "link", ["bind"])
    assert ct.text("ls /mnt") == "file"


def test_bind_of_a_device(root_ct):
    root_ct.mount("/dev/zero2", "bind", "/dev/zero", ["bind"])
    assert root_ct.text("stat /dev/zero2").split()[0] == "c"


def test_bind_of_a_socket(ct):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(ct.dir / "s"))
    ct.mount("/run/app.sock", "bind", ct.dir / "s", ["bind"])
    assert ct.text("stat /run/app.sock").split()[0] == "s"
    listener.close()


def test_bind_of_nothing(ct):
    ct.mount("/mnt", "bind", ct.dir / "nothing", ["bind"])
    ct.create("true").refused("nothing|no such file")
    ct.assert_clean()


def test_bind_of_a_file_on_a_directory(ct):
    (ct.rootfs / "mnt").mkdir()
    ct.mount("/mnt", "bind", ct.file("f"), ["bind"])
    ct.create("true").refused()
    ct.assert_clean()


def test_bind_of_a_directory_on_a_file(ct):
    (ct.rootfs / "mnt").write_text("")
    ct.mount("/mnt", "bind", ct.directory("d"), ["bind"])
    ct.create("true").refused()
    ct.assert_clean()


def test_bind_leaves_submounts_out(root_ct, nested):
    root_ct.mount("/mnt", "bind", nested, ["bind"])
    assert root_ct.text("ls /mnt/inner") == ""


def test_rbind_takes_submounts_along(root_ct, nested):
    root_ct.mount("/mnt", "bind", nested, ["rbind"])
    assert root_ct.text("cat /mnt/inner/deep") == "deep"


def test_ro_stops_at_submounts(root_ct, nested):
    root_ct.mount("/mnt", "bind", nested, ["rbind", "ro"])
    assert root_ct.look("write /mnt/x x", "write /mnt/inner/x x") == ["EROFS", "ok"]


RECURSIVE = [
    ("rro", "ro"), ("rnosuid", "nosuid"), ("rnodev", "nodev"), ("rnoexec", "noexec"), ("rnoatime", "noatime"), ("rnodiratime", "nodiratime"),
    ("rnosymfollow", "nosymfollow"),
]  # fmt: skip


@pytest.mark.parametrize("option, seen", RECURSIVE, ids=[row[0] for row in RECURSIVE])
def test_recursive_attributes(root_ct, nested, option, seen):
    root_ct.mount("/mnt", "bind", nested, ["rbind", option])
    text = root_ct.text("mountinfo")
    assert seen in mount_on(text, "/mnt").options and seen in mount_on(text, "/mnt/inner").options


@pytest.mark.parametrize("first, second", [("rro", "rrw"), ("rnosuid", "rsuid"), ("rnoexec", "rexec"), ("rnodev", "rdev")])
def test_recursive_attributes_are_taken_back(root_ct, nested, first, second):
    seen = dict(RECURSIVE)[first]
    root_ct.mount("/mnt", "bind", nested, ["rbind", first, second])
    text = root_ct.text("mountinfo")
    assert seen not in mount_on(text, "/mnt").options and seen not in mount_on(text, "/mnt/inner").options


def test_recursive_attributes_rootless(user_ct):
    user_ct.mount("/mnt", "bind", user_ct.directory("d"), ["rbind", "rro"])
    assert user_ct.text("write /mnt/x x") == "EROFS"


def test_locked_flags_of_the_source_stay(user_ct):
    """In a user namespace the source's own nosuid and nodev cannot go; the bind must still work with `ro` asked for."""
    source = user_ct.directory("locked")
    if os.geteuid() != 0:
        pytest.skip("needs root to make such a mount")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "nosuid,nodev,noexec,mode=777", "tmpfs", source], check=True)
    try:
        user_ct.mount("/mnt", "bind", source, ["bind", "ro"])
        mount, written = mounted(user_ct, "write /mnt/x x")
        assert {"ro", "nosuid", "nodev", "noexec"} <= mount.options and written == "EROFS"
    finally:
        subprocess.run(["umount", "-l", source], check=True)


# Order and targets


def test_mounts_in_the_listed_order(ct):
    ct.mount("/mnt", "tmpfs", "first", [])
    ct.mount("/mnt/sub", "bind", ct.directory("d", file="x"), ["bind"])
    ct.mount("/cover/sub", "bind", ct.directory("d"), ["bind"])
    ct.mount("/cover", "tmpfs", "second", [])
    assert ct.look("ls /mnt/sub", "ls /cover") == ["file", ""]


def test_a_mount_over_a_mount(ct):
    ct.mount("/mnt", "bind", ct.directory("one", one="1"), ["bind"])
    ct.mount("/mnt", "bind", ct.directory("two", two="2"), ["bind"])
    assert ct.text("ls /mnt") == "two"


def test_missing_targets_are_made(ct):
    ct.mount("/a/b/c", "tmpfs", "tmpfs", [])
    ct.mount("/f/g/file", "bind", ct.file("f", "text"), ["bind"])
    assert ct.look("stat /a/b/c", "cat /f/g/file")[1] == "text"
    assert (ct.rootfs / "a/b").stat().st_mode & 0o777 == 0o755


def test_a_relative_target_is_below_the_root(ct):
    """Old configurations have them; the spec says relative to `/`, runc warns."""
    ct.mount("mnt/here", "tmpfs", "tmpfs", [])
    mounted(ct, target="/mnt/here")


def test_an_absolute_link_in_the_target_stays_inside(ct):
    """S08: /var/run -> /run is everyday."""
    (ct.rootfs / "run").mkdir()
    (ct.rootfs / "var").mkdir()
    (ct.rootfs / "var/run").symlink_to("/run")
    ct.mount("/var/run/app.sock", "bind", ct.file("sock", "socket"), ["bind"])
    assert ct.text("cat /run/app.sock") == "socket"


def test_a_link_as_the_last_part_of_the_target(ct):
    (ct.rootfs / "real").mkdir()
    (ct.rootfs / "alias").symlink_to("/real")
    ct.mount("/alias", "bind", ct.directory("d", file="x"), ["bind"])
    assert ct.look("ls /real", "readlink /alias") == ["file", "/real"]


def test_a_dangling_link_as_the_target(ct):
    (ct.rootfs / "alias").symlink_to("/not/yet")
    ct.mount("/alias", "bind", ct.directory("d", file="x"), ["bind"])
    assert ct.text("ls /not/yet") == "file"


# Kernel filesystems


def test_proc_belongs_to_the_pid_namespace(ct):
    processes = [name for name in ct.text("ls /proc").split() if name.isdigit()]
    assert processes == ["1"]


def test_sysfs_belongs_to_the_network_namespace(ct):
    # Some kernels put fallback tunnels into every namespace; the host's own links are in none.
    tunnels = {"tunl0", "sit0", "ip6tnl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "ip6gre0"}
    assert set(ct.text("ls /sys/class/net").split()) - tunnels == {"lo"}


def test_devpts_is_new(ct):
    ptmx, names, mode, link = ct.look("stat /dev/pts/ptmx", "ls /dev/pts", "open rw /dev/ptmx", "readlink /dev/ptmx")
    assert names == "ptmx" and mode == "ok" and ptmx.split()[1] == "0666"
    assert link in ("pts/ptmx", "/dev/pts/ptmx")


def test_mqueue(ct):
    assert mounted(ct, target="/dev/mqueue").type == "mqueue"


def test_shm(ct):
    mount, stat, statfs = mounted(ct, "stat /dev/shm", "statfs /dev/shm", target="/dev/shm")
    assert {"nosuid", "nodev", "noexec"} <= mount.options and stat.split()[1] == "1777" and "size=67108864" in statfs


def test_cgroup_mount(root_ct):
    """v1: a tmpfs with one directory per hierarchy, showing only the container's own part; read-only."""
    root_ct.mount("/sys/fs/cgroup", "cgroup", "cgroup", ["nosuid", "noexec", "nodev", "relatime", "ro"])
    text, names, own, made = root_ct.look(
        "mountinfo", "ls /sys/fs/cgroup", "cat /sys/fs/cgroup/pids/cgroup.procs", "mkdir /sys/fs/cgroup/pids/x"
    )
    assert {"pids", "memory", "cpu", "devices", "freezer"} <= set(names.split())
    assert "1" in own.split() and made == "EROFS"
    for mount in parse_mountinfo(text):
        if mount.target.startswith("/sys/fs/cgroup/"):
            assert {"ro", "nosuid", "nodev", "noexec"} <= mount.options


def test_cgroup_mount_with_a_namespace(root_ct):
    root_ct.namespace("cgroup")
    root_ct.mount("/sys/fs/cgroup", "cgroup", "cgroup", ["nosuid", "noexec", "nodev", "relatime", "ro"])
    text, own, made, lines = root_ct.look(
        "mountinfo", "cat /sys/fs/cgroup/pids/cgroup.procs", "mkdir /sys/fs/cgroup/pids/x", "cat /proc/self/cgroup"
    )
    assert "1" in own.split() and made == "EROFS"
    assert [line for line in lines.splitlines() if ":pids:" in line][0].endswith(":/")
    assert root_ct.id not in "".join(mount.root for mount in parse_mountinfo(text) if mount.type == "cgroup")


def test_cgroup_mount_writable(root_ct):
    root_ct.namespace("cgroup")
    root_ct.mount("/sys/fs/cgroup", "cgroup", "cgroup", ["nosuid", "noexec", "nodev", "relatime"])
    assert root_ct.text("mkdir /sys/fs/cgroup/pids/x") == "ok"
    root_ct.assert_clean()


@pytest.mark.parametrize("kind", ["nosuchfs", "ext4"])
def test_filesystems_that_cannot_be_mounted(ct, kind):
    ct.mount("/mnt", kind, "none", [])
    ct.create("true").refused("mnt|" + kind)
    ct.assert_clean()


def test_default_links_in_dev(ct):
    """runtime-linux: made when their targets exist."""
    got = ct.look("readlink /dev/fd /dev/stdin /dev/stdout /dev/stderr", "readlink /dev/core")
    assert got[0].split() == ["/proc/self/fd", "/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2"]


def test_a_readonly_dev(ct):
    """Nodes are made before a `ro` tmpfs on /dev becomes read-only."""
    ct.mount_at("/dev")["options"].append("ro")
    mount, written, null = mounted(ct, "write /dev/x x", "open w /dev/null", target="/dev")
    assert "ro" in mount.options and written == "EROFS" and null == "ok"


def test_no_dev_at_all(ct):
    """A bundle without /dev, /sys and so on still starts."""
    ct.spec["mounts"] = [mount for mount in ct.spec["mounts"] if mount["destination"] == "/proc"]
    ct.linux["maskedPaths"] = ct.linux["readonlyPaths"] = []
    assert ct.text("echo fine") == "fine"


def test_dev_bound_from_the_host(root_ct):
    """With the host's /dev nothing is made in it."""
    before = sorted(os.listdir("/dev"))
    for target in ("/dev/pts", "/dev/shm", "/dev/mqueue", "/dev"):
        root_ct.drop_mount(target)
    root_ct.mount("/dev", "bind", "/dev", ["rbind", "rslave"])
    assert set(before) <= set(root_ct.text("ls /dev").split())
    assert sorted(os.listdir("/dev")) == before
