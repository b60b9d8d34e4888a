"""Who a container's process is: -u, --group-add, the image's passwd and group (S19, S21, S22)."""

import os
import subprocess
import tarfile

import pytest

import images


def identity(berth, *flags, image="test"):
    return berth.run(*flags, image, "/init", "id")


def parsed(result):
    return dict(word.partition("=")[::2] for word in result.check().text.split())


def test_the_verbs_form(berth):
    assert {"uid", "gid"} <= set(parsed(identity(berth)))


MATRIX = {
    "0": (0, 0, {0}), "root": (0, 0, {0}), "1": (1, 1, {1}), "1:0": (1, 0, {0}), "1000": (1000, 1000, {10, 63, 1000}),
    "app": (1000, 1000, {10, 63, 1000}), "1000:5": (1000, 5, {5}), "app:audio": (1000, 63, {63}), "app:5": (1000, 5, {5}),
    "4242": (4242, 0, {0}), "4242:4343": (4242, 4343, {4343}), "both": (1005, 1000, {63, 1000}), "0:0": (0, 0, {0}),
}  # fmt: skip


@pytest.mark.parametrize("user", MATRIX)
def test_s19_users(berth, user):
    uid, gid, groups = MATRIX[user]
    out = berth.sh("-u", user, "id -u; id -g; grep Groups /proc/self/status").check().lines
    assert (int(out[0]), int(out[1])) == (uid, gid)
    assert {int(word) for word in out[2].split()[1:]} | {gid} == groups | {gid}


@pytest.mark.parametrize("user", ["-1", " 1", "1 ", "0x1", "1e0", "1:", "app:", "1:-1", "nosuch", "app:nosuch", "4294967296", "1:4294967296", "1:2:3", "root\n", "+1"])
def test_s19_what_is_no_user_is_refused(berth, user):
    result = identity(berth, "-u", user)
    if result.code == 0:
        # exact, or an error; what must never happen is root
        words = parsed(result)
        assert words["uid"] not in ("0", 0), f"-u {user!r} gave {words}"
        pytest.fail(f"-u {user!r} was taken as {words}")
    result.fails(125)


@pytest.mark.parametrize("user,uid", [("01", 1), ("0000", 0)])
def test_s19_leading_zeros_are_decimal_or_an_error(berth, user, uid):
    result = berth.run("-u", user, "test", "id", "-u")
    assert result.code == 125 or result.text == str(uid)


@pytest.mark.parametrize("user", ["", ":5", ":audio"])
def test_s19_a_missing_user_is_root_as_in_docker(berth, user):
    out = berth.run("-u", user, "test", "sh", "-c", "id -u; id -g")
    if out.code == 0:
        assert out.lines == ["0", {"": "0", ":5": "5", ":audio": "63"}[user]]
    else:
        out.fails(125)


def test_group_add(berth):
    out = berth.sh("-u", "app", "--group-add", "audio", "--group-add", "777", "--group-add", "777", "grep Groups /proc/self/status").check()
    assert {int(word) for word in out.text.split()[1:]} == {10, 63, 777, 1000}
    berth.run("--group-add", "nosuch", "test", "true").fails(125, "nosuch")
    berth.run("--group-add", "-1", "test", "true").fails(125)


def test_s22_groups_of_the_host_stay_outside(berth):
    groups = berth.sh("grep Groups /proc/self/status").check().text.split()[1:]
    assert set(groups) <= {"0"}


def test_keep_groups(berth, suite):
    """The groups of the caller stay, and only when they were asked for."""
    def groups(*flags):
        process = berth.popen("run", "--rm", "--network", "none", *flags, "test", "grep", "Groups", "/proc/self/status", stdout=subprocess.PIPE, extra_groups=[63, 4321])
        out, _ = process.communicate(timeout=10)
        assert process.returncode == 0
        return {int(word) for word in out.split()[1:]}

    expected = {63, 4321} if berth.who.is_root else {65534}  # of an ordinary user they are unmapped, and work all the same
    assert expected <= groups("--group-add", "keep-groups")
    assert not {63, 4321, 65534} & groups()
    berth.run("--group-add", "keep-groups", "--group-add", "5", "test", "true").fails(125, "keep-groups")


def test_keep_groups_opens_what_the_group_may_read(user_berth, suite):
    """What it is for: a directory that the caller may use by a group."""
    if os.geteuid() != 0:
        pytest.skip("needs root to make such a directory")
    directory = user_berth.dir / "of-a-group"
    directory.mkdir(mode=0o750)
    (directory / "file").write_text("readable\n")
    os.chown(directory, 0, 4321)
    directory.chmod(0o750)

    def read(*flags):
        process = user_berth.popen(
            "run", "--rm", "--network", "none", *flags, "-v", f"{directory}:/mnt", "test", "cat", "/mnt/file",
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, extra_groups=[4321],
        )  # fmt: skip
        out, _ = process.communicate(timeout=10)
        return out

    assert read("--group-add", "keep-groups") == b"readable\n"
    assert read() == b""


def test_exec_is_the_same_user(berth):
    name = berth.up("-u", "app")
    assert berth.ok("exec", name, "id", "-u").text == "1000"
    assert berth.ok("exec", "-u", "0", name, "id", "-u").text == "0"
    assert berth.ok("exec", "-u", "both:audio", name, "sh", "-c", "id -u; id -g").lines == ["1005", "63"]
    berth.call("exec", "-u", "nosuch", name, "id").fails(126, "unable to find user nosuch: no matching entries in passwd file")
    berth.call("exec", "-u", "app:nosuch", name, "id").fails(126, "unable to find group nosuch: no matching entries in group file")
    berth.call("exec", "-u", "-1", name, "id").fails(126)


def test_the_images_user(berth, suite, place):
    layer = images.base_layer(suite.init)
    berth.ok("load", "-i", images.write(place / "u.tar", images.docker_archive([layer], ["asapp:1"], {"User": "app:audio", "WorkingDir": "/home/app"})))
    assert berth.run("asapp:1", "sh", "-c", "id -u; id -g; pwd").check().lines == ["1000", "63", "/home/app"]
    assert berth.run("-u", "0", "asapp:1", "id", "-u").check().text == "0"


@pytest.mark.parametrize(
    "kind", ["fifo", "link-to-host", "link-loop", "directory", "long-line", "large", "absolute-link", "missing", "nul"]
)
def test_s21_passwd_of_the_image(berth, suite, place, kind):
    """Read inside the rootfs only, regular files only, up to 10 MiB; never a hang."""

    def entries(layer):
        layer.whiteout("etc/passwd")

    def second(layer):
        if kind == "fifo":
            layer.add("etc/passwd", tarfile.FIFOTYPE)
        elif kind == "link-to-host":
            layer.symlink("etc/passwd", "../../../../../../../../etc/passwd")
        elif kind == "link-loop":
            layer.symlink("etc/passwd", "group2").symlink("etc/group2", "passwd")
        elif kind == "directory":
            layer.dir("etc/passwd")
        elif kind == "long-line":
            layer.file("etc/passwd", b"x" * (1 << 20) + b"\nlate:x:77:77::/:/bin/sh\n")
        elif kind == "large":
            layer.file("etc/passwd", b"filler:x:1:1::/:/bin/sh\n" * (11 * (1 << 20) // 24))
        elif kind == "absolute-link":
            layer.symlink("etc/passwd", "/etc/other").file("etc/other", "late:x:77:77::/:/bin/sh\n")
        elif kind == "nul":
            layer.file("etc/passwd", b"late\0:x:77:77::/:/bin/sh\nlate:x:7\0:7::/\n")

    layers = [images.base_layer(suite.init), images.Layer(), images.Layer()]
    entries(layers[1])
    second(layers[2])
    berth.ok("load", "-i", images.write(place / "evil.tar", images.docker_archive(layers, ["evil:1"])))
    numeric = berth.run("-u", "4242:4343", "evil:1", "/init", "id", timeout=5)
    assert parsed(numeric)["uid"] == "4242"
    named = berth.run("-u", "late", "evil:1", "/init", "id", timeout=5)
    if kind in ("absolute-link", "long-line"):
        assert named.code == 125 or parsed(named)["uid"] == "77"
        assert kind != "absolute-link" or named.code == 0, "an absolute link inside the image is resolved inside it"
    else:
        named.fails(125)
    host = berth.run("-u", "berth-test", "evil:1", "/init", "id", timeout=5)
    host.fails(125)
