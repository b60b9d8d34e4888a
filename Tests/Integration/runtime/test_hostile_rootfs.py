"""Hostile root filesystems and volumes: attacks on how the runtime resolves paths. Each test is named by its case.

The oracle: a canary tree on the host, the runtime's own program and the kernel's core_pattern are as before, and nothing of the
host can be seen inside. A case may end in a refusal; it may not end in an escape.
"""

import hashlib
import os
import pathlib
import shutil
import stat

import pytest

from host import host_mounts, mount_on, parse_mountinfo, tree_state

# A race that was lost once shows; the long run has the published number of tries.
ROUNDS = int(os.environ.get("BERTH_HOSTILE_ROUNDS", "500" if os.environ.get("BERTH_TEST_FULL") else "12"))
CORE_PATTERN = pathlib.Path("/proc/sys/kernel/core_pattern")

# A file of the host's kernel that an escape may be shown on: it takes numbers only, and its value harms nobody.
HOST_FILE = "/proc/sys/vm/stat_interval"


@pytest.fixture(autouse=True)
def host_is_unharmed(suite, canary):
    """The canary, the runtime and core_pattern are compared around every case."""
    digest = hashlib.sha256(suite.runtime.path.read_bytes()).digest()
    pattern, tree = CORE_PATTERN.read_text(), tree_state(canary)
    yield
    if CORE_PATTERN.read_text() != pattern:
        CORE_PATTERN.write_text(pattern)
        pytest.fail("core_pattern was changed")
    assert hashlib.sha256(suite.runtime.path.read_bytes()).digest() == digest
    assert tree_state(canary) == tree


def own_dev(ct):
    """A container whose /dev is the image's own directory."""
    for target in ("/dev/pts", "/dev/shm", "/dev/mqueue", "/dev"):
        ct.drop_mount(target)


def assert_masked_or_refused(result, name="/testfile"):
    """The first verb was `stat`: a mask of a file is the real null device."""
    if result.ok:
        kind, *_, rdev, _ = result.out.split("\x1e")[0].split()
        assert (kind, rdev) == ("c", "1:3"), result.out
    else:
        result.refused()


# S01: the source of a mask


@pytest.mark.runc_vulnerable("CVE-2025-31133: the source of a mask is followed")
def test_s01_null_is_a_link(ct):
    own_dev(ct)
    (ct.rootfs / "dev/null").symlink_to(HOST_FILE)
    (ct.rootfs / "testfile").write_text("secret")
    ct.linux["maskedPaths"] = ["/proc/kcore", "/testfile"]
    result = ct.run("stat /testfile", "cat /testfile")
    assert_masked_or_refused(result)
    assert "secret" not in result.out


def test_s01_null_is_missing(ct):
    own_dev(ct)
    ct.mount("/dev", "bind", ct.directory("emptydev"), ["rbind"])
    (ct.rootfs / "testfile").write_text("secret")
    ct.linux["maskedPaths"] = ["/testfile"]
    result = ct.run("cat /testfile")
    assert "secret" not in result.out
    if not result.ok:
        result.refused()


@pytest.mark.runc_vulnerable("CVE-2025-31133: the source of a mask is followed")
def test_s01_null_is_another_device(root_ct):
    own_dev(root_ct)
    root_ct.resources["devices"] = [{"allow": True, "access": "rwm"}]
    os.mknod(root_ct.rootfs / "dev/null", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    (root_ct.rootfs / "testfile").write_text("secret")
    root_ct.linux["maskedPaths"] = ["/testfile"]
    assert_masked_or_refused(root_ct.run("stat /testfile", "true"))


@pytest.mark.runc_vulnerable("CVE-2025-31133: the source of a mask is followed")
def test_s01_null_is_swapped_meanwhile(make_root):
    attacker, victim = make_root(), make_root()
    volume = attacker.directory("volume")
    os.mknod(volume / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    (volume / "link").symlink_to(HOST_FILE)
    attacker.mount("/v", "bind", volume, ["rbind"])
    attacker.up("exchange /v/null /v/link")
    own_dev(victim)
    victim.mount("/dev", "bind", volume, ["rbind"])
    (victim.rootfs / "testfile").write_text("secret")
    victim.linux["maskedPaths"] = ["/testfile"]
    for _ in range(ROUNDS):
        result = victim.run("stat /testfile", "cat /testfile")
        assert_masked_or_refused(result)
        assert "secret" not in result.out


# S02: the console


def assert_console_is_the_terminal(text, *others):
    """A devpts is mounted nowhere but on /dev/pts and /dev/console (or what a neighbour made of their names)."""
    for mount in parse_mountinfo(text):
        if mount.type == "devpts":
            assert mount.target in ("/dev/pts", "/dev/console", *others), mount


@pytest.mark.runc_vulnerable("CVE-2025-52565: /dev/console is followed")
@pytest.mark.parametrize("target", ["/proc/sysrq-trigger", HOST_FILE, "/tmp/victim"])
def test_s02_console_is_a_link(ct, target):
    for name in ("/dev/shm", "/dev/mqueue", "/dev"):
        ct.drop_mount(name)
    (ct.rootfs / "tmp/victim").write_text("x")
    (ct.rootfs / "dev/console").symlink_to(target)
    ct.process["terminal"] = True
    console = ct.console()
    result = ct.run_detached("mountinfo", "echo end", flags=["--console-socket", console.path])
    if not result.ok:
        result.refused()
        return
    terminal, _ = console.receive()
    ct.closers.append(terminal.close)
    terminal.read_until("end")
    assert_console_is_the_terminal(terminal.text.replace("\r", "").split("\x1e")[0])


def test_s02_pts_is_a_link(ct):
    """The terminal comes from the devpts the runtime mounted, wherever the image's links point."""
    for name in ("/dev/pts", "/dev/shm", "/dev/mqueue", "/dev"):
        ct.drop_mount(name)
    (ct.rootfs / "dev/pts").symlink_to("/proc")
    ct.process["terminal"] = True
    console = ct.console()
    result = ct.run_detached("mountinfo", "echo end", flags=["--console-socket", console.path])
    if not result.ok:
        result.refused()
        return
    terminal, _ = console.receive()
    ct.closers.append(terminal.close)
    terminal.read_until("end")
    assert_console_is_the_terminal(terminal.text.replace("\r", "").split("\x1e")[0])


@pytest.mark.runc_vulnerable("CVE-2025-52565: /dev/console is followed")
@pytest.mark.parametrize("name", ["console", "pts", "ptmx"])
def test_s02_the_terminal_is_swapped_meanwhile(make_root, name):
    """A neighbour turns an entry of /dev into a link and back while the terminal is made."""
    attacker, victim = make_root(), make_root()
    volume = attacker.directory("volume")
    if name == "pts":
        (volume / name).mkdir()
    else:
        (volume / name).write_text("")
    (volume / "link").symlink_to(HOST_FILE if name == "console" else "/proc")
    attacker.mount("/v", "bind", volume, ["rbind"])
    attacker.up(f"exchange /v/{name} /v/link")
    before = pathlib.Path(HOST_FILE).read_text()
    for kind in ("/dev/pts", "/dev/shm", "/dev/mqueue", "/dev"):
        if kind != "/dev/pts" or name == "pts":
            victim.drop_mount(kind)
    victim.spec["mounts"].insert(1, {"destination": "/dev", "type": "bind", "source": str(volume), "options": ["rbind"]})
    victim.process["terminal"] = True
    for _ in range(ROUNDS):
        console = victim.console()
        result = victim.run_detached("mountinfo", "echo end", flags=["--console-socket", console.path])
        if result.ok:
            terminal, _ = console.receive()
            try:
                terminal.read_until("end")
                assert_console_is_the_terminal(terminal.text.replace("\r", "").split("\x1e")[0], "/dev/link")
            finally:
                terminal.close()
            victim.delete("--force").check()
        else:
            result.refused()
    assert pathlib.Path(HOST_FILE).read_text() == before
    assert not [mount for mount in host_mounts() if mount.target.startswith("/proc/sys/")]


# S03, S04: /proc and /sys


@pytest.mark.parametrize("kind", ["tmpfs", "bind"])
def test_s03_proc_is_no_procfs(ct, kind):
    """Writes meant for procfs would go where the volume says."""
    fake = ct.directory("fake/sys/net/ipv4", ip_forward="untouched")
    (ct.dir / "fake/self").mkdir()
    ct.drop_mount("/proc")
    ct.spec["mounts"].insert(0, {"destination": "/proc", "type": kind, "source": str(ct.dir / "fake") if kind == "bind" else "tmpfs",
                                 "options": ["rbind"] if kind == "bind" else []})  # fmt: skip
    ct.linux["sysctl"] = {"net.ipv4.ip_forward": "1"}
    ct.linux["maskedPaths"] = ct.linux["readonlyPaths"] = []
    ct.create("true").refused()
    assert (fake / "ip_forward").read_text() == "untouched"


def test_s03_sysctls_are_redirected_by_a_mount(ct, canary):
    """A link in a volume below /proc/sys must not be what a sysctl is written to."""
    fake = ct.directory("fake")
    (fake / "ip_forward").symlink_to(canary / "sub/file")
    ct.mount("/proc/sys/net/ipv4", "bind", fake, ["bind"])
    ct.linux["sysctl"] = {"net.ipv4.ip_forward": "1"}
    result = ct.create("true")
    assert not result.ok, "a mount below /proc was accepted"


@pytest.mark.parametrize("name", ["proc", "sys"])
def test_s04_proc_or_sys_is_a_link(ct, name):
    (ct.rootfs / name).rmdir()
    (ct.rootfs / "elsewhere").mkdir()
    (ct.rootfs / name).symlink_to("/elsewhere")
    ct.linux["maskedPaths"] = ct.linux["readonlyPaths"] = []
    result = ct.run("true")
    if name == "proc":
        result.refused()
    elif not result.ok:
        result.refused()


@pytest.mark.parametrize("target", ["/proc/foo", "/proc/self", "/proc/sys", "/proc/../proc/bar", "/proc/1/attr"])
def test_s04_mounts_below_proc(ct, target):
    ct.mount(target, "tmpfs", "tmpfs", [])
    ct.create("true").refused("proc")
    ct.assert_clean()


@pytest.mark.parametrize("name", ["cpuinfo", "diskstats", "meminfo", "stat", "swaps", "uptime", "loadavg"])
def test_s04_the_files_of_lxcfs_may_be_bound(root_ct, name):
    root_ct.mount(f"/proc/{name}", "bind", root_ct.file(name, "from lxcfs"), ["bind"])
    assert root_ct.text(f"cat /proc/{name}") == "from lxcfs"


@pytest.mark.runc_vulnerable("CVE-2025-52881: writes to /proc are redirected")
def test_s03_proc_is_swapped_meanwhile(make_root):
    """A neighbour exchanges the /proc of a rootfs with a directory that leads the runtime's own writes to a file of the host."""
    attacker, victim = make_root(), make_root()
    fake = victim.rootfs / "fake"
    for name in ("self/attr/exec", "sys/net/ipv4/ip_forward", "sys/kernel/hostname", "thread-self/attr/exec"):
        (fake / name).parent.mkdir(parents=True, exist_ok=True)
        (fake / name).symlink_to(HOST_FILE)
    attacker.mount("/v", "bind", victim.rootfs, ["rbind"])
    attacker.up("exchange /v/proc /v/fake")
    before = pathlib.Path(HOST_FILE).read_text()
    victim.linux["sysctl"] = {"net.ipv4.ip_forward": "7"}
    for _ in range(ROUNDS):
        result = victim.run("mountinfo", "cat /proc/sys/net/ipv4/ip_forward")
        # Exchanged once more, its own /proc is under the other name and it reads nothing.
        if result.ok and not result.out.startswith("ENOENT"):
            # The neighbour's exchange takes the mounted directory along, under its other name.
            mounts = parse_mountinfo(result.out.split("\x1e")[0])
            assert [mount.target for mount in mounts if mount.type == "proc" and mount.root == "/"] in (["/proc"], ["/fake"])
        assert pathlib.Path(HOST_FILE).read_text() == before


# S06, S07: races at the target


@pytest.mark.runc_vulnerable("CVE-2024-45310: missing targets are made by path")
@pytest.mark.parametrize("kind", ["file", "directory", "tmpfs"])
def test_s06_s07_the_target_is_swapped_meanwhile(make_root, canary, kind):
    """A neighbour turns a directory of a shared volume into a link to `/` and back. Nothing appears on the host."""
    attacker, victim = make_root(), make_root()
    volume = attacker.directory("volume")
    (volume / "a").mkdir()
    (volume / "b").symlink_to("/")
    attacker.mount("/v", "bind", volume, ["rbind"])
    attacker.up("exchange /v/a /v/b")
    victim.mount("/v", "bind", volume, ["rbind"])
    target = f"/v/a{canary}/sub/new"
    if kind == "tmpfs":
        victim.mount(target, "tmpfs", "tmpfs", [])
    else:
        victim.mount(target, "bind", victim.file("f") if kind == "file" else victim.directory("d"), ["bind"])
    before = tree_state(canary)
    for _ in range(ROUNDS):
        result = victim.run("mountinfo", "true")
        if result.ok:
            mounts = parse_mountinfo(result.out.split("\x1e")[0])
            assert not [mount for mount in mounts if mount.root.startswith(str(canary))]
        assert tree_state(canary) == before
    assert len(victim.mounts()) == 0


def test_s06_a_nested_mount_over_a_swapped_target(make_root, canary):
    """What CVE-2021-30465 did: two mounts, the second one's source reached through the first one's displaced target."""
    attacker, victim = make_root(), make_root()
    volume = attacker.directory("volume")
    (volume / "a").mkdir()
    (volume / "b").symlink_to("/")
    attacker.mount("/v", "bind", volume, ["rbind"])
    attacker.up("exchange /v/a /v/b")
    victim.mount("/v", "bind", volume, ["rbind"])
    victim.mount("/v/a/one", "bind", victim.directory("one"), ["rbind"])
    victim.mount("/v/a/one/two", "tmpfs", "tmpfs", [])
    for _ in range(ROUNDS):
        result = victim.run("mountinfo", "ls /v/a/one", f"cat {canary}/secret")
        assert "canary-secret" not in result.out
        if not result.ok and "ENOENT" not in result.out:
            result.refused()


# S08, S10, S11: targets


def test_s08_links_of_the_image_resolve_inside(ct, canary):
    (ct.rootfs / "data").symlink_to("/etc")
    (ct.rootfs / "up").symlink_to("../../../../../../../../.." + str(canary))
    ct.mount("/data/inside", "bind", ct.directory("d", file="x"), ["bind"])
    ct.mount("/up/inside", "bind", ct.directory("d", file="x"), ["bind"])
    assert ct.look("ls /etc/inside", f"ls {canary}/inside") == ["file", "file"]


@pytest.mark.parametrize("form", ["/../../{}", "/a/../../../{}", "../../{}", "/etc/../../../../{}/sub"])
def test_s10_dots_in_targets(ct, form):
    name = f"escape-{ct.id}"
    ct.mount(form.format(name), "tmpfs", "tmpfs", [])
    result = ct.run("mountinfo")
    if result.ok:
        assert [mount.target for mount in parse_mountinfo(result.out) if name in mount.target]
    else:
        result.refused()
    for parent in (ct.dir, ct.dir.parent, ct.dir.parent.parent, pathlib.Path("/tmp"), pathlib.Path("/")):
        assert not (parent / name).exists()


@pytest.mark.parametrize("cwd", ["/../../../tmp", "/tmp/../../..", "/./tmp/."])
def test_s10_dots_in_cwd(ct, cwd):
    ct.process["cwd"] = cwd
    result = ct.run("cwd")
    if result.ok:
        assert result.out.strip() in ("/tmp", "/")
    else:
        result.refused()


@pytest.mark.parametrize("path", ["../../../../../../etc/passwd", "/../../../../etc/passwd"])
def test_s10_dots_in_masked_paths(ct, path):
    """They resolve below the container's root or are refused; the host's file is not what is covered."""
    ct.linux["maskedPaths"].append(path)
    size = os.path.getsize("/etc/passwd")
    result = ct.run("true")
    assert os.path.getsize("/etc/passwd") == size
    if not result.ok:
        result.refused()


@pytest.mark.parametrize("path", ["../../escape-{}", "/../../escape-{}", "/dev/../../escape-{}"])
def test_s10_dots_in_device_paths(root_ct, path):
    name = path.format(root_ct.id)
    root_ct.linux["devices"] = [{"path": name, "type": "c", "major": 1, "minor": 5}]
    root_ct.run("true")
    for parent in (root_ct.dir, root_ct.dir.parent, pathlib.Path("/tmp"), pathlib.Path("/")):
        assert not (parent / f"escape-{root_ct.id}").exists()


def test_s10_the_cwd_is_a_link_out(ct):
    (ct.rootfs / "way-out").symlink_to("../../../../../../../../tmp")
    ct.process["cwd"] = "/way-out"
    assert ct.text("cwd") == "/tmp"


@pytest.mark.parametrize("number", range(3, 12))
def test_s10_the_cwd_is_a_leaked_descriptor(root_ct, number):
    """CVE-2024-21626: /proc/self/fd/N as working directory, where N is a directory of the host that the runtime left open."""
    root_ct.process["cwd"] = f"/proc/self/fd/{number}"
    result = root_ct.run("cwd", "ls ../../../../../../..", "stat .")
    if result.ok:
        cwd, listing, *_ = result.out.split("\x1e")
        assert cwd.startswith("/") and "ENOENT" not in cwd
        assert "init" in listing.split()
    else:
        result.refused()


@pytest.mark.parametrize("number", [6, 7, 8, 9])
def test_s10_the_cwd_of_exec_is_a_leaked_descriptor(root_ct, number):
    root_ct.up()
    result = root_ct.exec("cwd", "ls ../../../../../../..", flags=["--cwd", f"/proc/self/fd/{number}"])
    if result.ok:
        assert "init" in result.out.split("\x1e")[1].split()


def test_s11_a_mount_on_the_root(ct):
    ct.mount("/", "bind", ct.directory("d", marker="x"), ["bind"])
    result = ct.run("true")
    if not result.ok:
        result.refused()
    ct.assert_clean()


@pytest.mark.parametrize("target", ["", "."])
def test_s11_a_mount_on_an_empty_target(ct, target):
    ct.mount(target, "tmpfs", "tmpfs", [])
    result = ct.run("true")
    if not result.ok:
        result.refused()
    ct.assert_clean()


def test_s11_the_rootfs_is_a_link(ct):
    (ct.dir / "link").symlink_to("rootfs")
    ct.spec["root"]["path"] = "link"
    result = ct.run("mountinfo")
    if result.ok:
        assert mount_on(result.out, "/").root.endswith(f"{ct.id}/rootfs")
    else:
        result.refused()


def test_s11_the_rootfs_is_a_file(ct):
    ct.spec["root"]["path"] = str(ct.file("plain"))
    ct.create("true").refused()
    ct.assert_clean()


def test_s11_proc_is_mounted_before_what_covers_it(ct):
    """A mount on / of the list that comes after /proc may not take /proc away unnoticed."""
    ct.mount("/dev/../proc", "tmpfs", "tmpfs", [])
    result = ct.run("mountinfo")
    if result.ok:
        assert mount_on(result.out, "/proc").type == "proc"
    else:
        result.refused()


# S21: files of the image that the runtime reads


FIFO = pytest.param("fifo", marks=pytest.mark.runc_vulnerable("passwd is opened and read whatever it is"))


@pytest.mark.parametrize("kind", [FIFO, "directory", "loop", "dangling", "out", "sparse", "long-line", "nul", "device"])
def test_s21_passwd_and_group(ct, canary, kind):
    """No hang, no host file, no unbounded reading."""
    for name in ("passwd", "group"):
        path = ct.rootfs / "etc" / name
        if kind == "fifo":
            os.mkfifo(path)
        elif kind == "directory":
            path.mkdir()
        elif kind == "loop":
            path.symlink_to(name)
        elif kind == "dangling":
            path.symlink_to("/no/such/file")
        elif kind == "out":
            (canary / name).write_text("root:x:0:0::/canary-home:/bin/sh\n")
            path.symlink_to("../../../../../../../.." + str(canary / name))
        elif kind == "sparse":
            with open(path, "wb") as file:
                file.truncate(10 << 30)
        elif kind == "long-line":
            path.write_text("root:x:0:0:" + "x" * (12 << 20) + ":/home:/bin/sh\n")
        elif kind == "nul":
            path.write_bytes(b"\0" * 4096 + b"\xff\xfe:\n:::::::\n")
        else:
            path.symlink_to("/dev/zero")
    try:
        result = ct.run("env", timeout=3)
        if result.ok:
            assert "canary-home" not in result.out
        else:
            result.refused()
    finally:
        for name in ("passwd", "group"):
            (canary / name).unlink(missing_ok=True)


# S12: files that an engine puts over those of the image


@pytest.mark.parametrize("form", ["directory", "file", "dangling"])
@pytest.mark.parametrize("target", ["/etc/hosts", "/etc/resolv.conf", "/etc/mtab", "/run/secrets/one", "/etc/system-fips"])
def test_s12_files_of_an_engine_over_links_of_the_image(ct, canary, target, form):
    """The image has links to the host where files are to be mounted: they are made and mounted inside, or the start fails."""
    out = "../" * 12 + str(canary).lstrip("/")
    place = ct.rootfs / target.lstrip("/")
    if form == "directory":
        shutil.rmtree(place.parent, ignore_errors=True)
        place.parent.parent.mkdir(parents=True, exist_ok=True)
        place.parent.symlink_to(out)
    else:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(out + ("/secret" if form == "file" else "/new"))
    ct.mount(target, "bind", ct.file("managed", "from the engine"), ["bind"])
    result = ct.run(f"cat {target}")
    assert result.out.strip() == "from the engine" if result.ok else result.refused()
    assert sorted(entry.name for entry in canary.iterdir()) == ["secret", "sub"]
