"""diff and export: what a container has changed, and all of its files."""

import io
import json
import os
import stat
import tarfile

import pytest

CHANGE = """
echo x >> /etc/passwd; rm /etc/group; mkdir -p /new/deep; echo y > /new/deep/file; rm -rf /home/app; ln -s /etc /new/link
rm -rf /var; mkdir /var; echo z > /var/fresh; chmod 700 /opt; mkdir /tmp/gone; rmdir /tmp/gone
"""
EXPECTED = """
C /etc
D /etc/group
C /etc/passwd
C /home
D /home/app
A /new
A /new/deep
A /new/deep/file
A /new/link
C /opt
C /var
A /var/fresh
D /var/log
""".split("\n")[1:-1]


@pytest.fixture(params=["running", "stopped"])
def changed(request, berth):
    berth.up("--name", "box")
    berth.ok("exec", "box", "sh", "-c", CHANGE)
    if request.param == "stopped":
        berth.ok("stop", "-t", "0", "box")
    return berth


def archive(berth, *words):
    return tarfile.open(fileobj=io.BytesIO(berth.ok("export", *words, timeout=60).bytes))


def test_diff(changed):
    assert changed.ok("diff", "box").lines == EXPECTED
    assert changed.ok("container", "diff", "box").lines == EXPECTED
    document = json.loads(changed.ok("diff", "--format", "json", "box").out)
    assert document == {
        "changed": [line[2:] for line in EXPECTED if line[0] == "C"], "added": [line[2:] for line in EXPECTED if line[0] == "A"],
        "deleted": [line[2:] for line in EXPECTED if line[0] == "D"],
    }  # fmt: skip


def test_no_changes(berth, place):
    """Neither what the engine puts there nor the places of mounts."""
    (place / "file").touch()
    flags = ["-v", "/data/vol", "-v", f"{place}:/mnt/deep/bound", "-v", f"{place}/file:/etc/one.conf", "--tmpfs", "/scratch", "--hostname", "h"]
    berth.up("--name", "box", *flags)
    assert berth.ok("diff", "box").out == ""
    assert json.loads(berth.ok("diff", "--format", "json", "box").out) == {}
    berth.ok("exec", "box", "sh", "-c", "echo v > /data/vol/x; echo t > /scratch/x; echo h >> /etc/hosts; echo r > /mnt/own")
    assert berth.ok("diff", "box").lines == ["A /mnt", "A /mnt/own"]
    berth.ok("create", "--name", "made", "--network", "none", berth.image, "true")
    assert berth.ok("diff", "made").out == ""


def test_replaced_kinds(berth):
    berth.up("--name", "box")
    berth.ok("exec", "box", "sh", "-c", "rm -r /home/app; echo f > /home/app; rm /etc/passwd; mkdir /etc/passwd; mkfifo /tmp/fifo")
    assert berth.ok("diff", "box").lines == ["C /etc", "C /etc/passwd", "C /home", "C /home/app", "C /tmp", "A /tmp/fifo"]


def test_a_name_that_forges_lines(berth):
    berth.up("--name", "box")
    berth.ok("exec", "box", "touch", "/tmp/x\nD passwd", "/tmp/\x1b]52;c;eA==\x07")
    lines = berth.ok("diff", "box").lines
    assert "D passwd" not in lines and len(lines) == 3 and "\x1b" not in "".join(lines)


def test_diff_refusals(berth):
    berth.call("diff", "nobody").fails(1, "no such container: nobody")
    berth.call("diff").fails(1)
    berth.ok("create", "--name", "box", "--network", "none", berth.image, "true")
    berth.call("diff", "--format", "{{.}}", "box").fails(125, "json")


def test_ids_of_its_own(root_berth):
    """--userns=auto: nothing differs by its ids alone, and an archive has those that are seen inside."""
    root_berth.up("--name", "box", "--userns", "auto")
    root_berth.ok("exec", "box", "sh", "-c", "echo x > /etc/new; echo y > /tmp/mine; chown 1000:1000 /tmp/mine")
    for state in ("running", "exited"):
        assert root_berth.ok("diff", "box").lines == ["C /etc", "A /etc/new", "C /tmp", "A /tmp/mine"]
        tar = archive(root_berth, "box")
        assert (tar.getmember("etc/new").uid, tar.getmember("tmp/mine").uid, tar.getmember("bin/busybox").uid) == (0, 1000, 0)
        if state == "running":
            root_berth.ok("stop", "-t", "0", "box")


def test_export(changed, place):
    tar = archive(changed, "box")
    names = set(tar.getnames())
    assert {"new/deep/file", "var/fresh", "bin/busybox", "etc/hosts", "dev", "proc", "sys"} <= names
    assert not names & {"etc/group", "home/app", "var/log", "dev/null", "proc/1", "sys/kernel"}
    assert not any(name.startswith((".wh.", "/", "./")) or "/.wh." in name for name in names)
    assert tar.extractfile("var/fresh").read() == b"z\n" and tar.extractfile("etc/hosts").read() == b""
    assert tar.getmember("bin/sh").linkname == "busybox" and stat.S_IMODE(tar.getmember("opt").mode) == 0o700
    assert {member.uid for member in tar.getmembers()} == {0}
    changed.ok("export", "-o", place / "out.tar", "box", timeout=60)
    assert set(tarfile.open(place / "out.tar").getnames()) == names
    assert (place / "out.tar").stat().st_uid == changed.who.uid
    assert os.listdir(place) == ["out.tar"]


def test_what_was_exported_can_be_imported(changed, place):
    changed.ok("export", "-o", place / "out.tar", "box", timeout=60)
    changed.ok("import", place / "out.tar", "imported:1", timeout=60)
    try:
        out = changed.run("imported:1", "/bin/sh", "-c", "cat /new/deep/file /var/fresh; test ! -e /etc/group; echo $?").check()
        assert out.lines == ["y", "z", "0"]
    finally:
        changed.ok("rmi", "imported:1")


def test_export_has_no_volumes(berth, place):
    (place / "secret").write_text("host\n")
    berth.ok("create", "--name", "box", "--network", "none", "-v", f"{place}:/mnt/bound", "-v", "/data", berth.image, "sleep", "1000")
    for _ in range(2):
        names = archive(berth, "box").getnames()
        assert not [name for name in names if "secret" in name]
        berth.ok("start", "box")
        berth.ok("exec", "box", "touch", "/data/x")
        names = archive(berth, "box").getnames()
        assert "data" in names and "mnt/bound" in names and not [name for name in names if name.startswith(("data/", "mnt/bound/"))]
        berth.ok("stop", "-t", "0", "box")


def test_export_refusals(berth, place):
    berth.call("export", "nobody").fails(1, "no such container: nobody")
    berth.ok("create", "--name", "box", "--network", "none", berth.image, "true")
    berth.call("export", "-o", place / "no/such.tar", "box").fails(1, "no such file or directory")
    (place / "dir").mkdir()
    berth.call("export", "-o", place / "dir", "box").fails(1)
    berth.call("export", "-o", place / "x.tar", "nobody").fails(1, "no such container")
    assert os.listdir(place) == ["dir"]
    with open("/dev/full", "wb") as full:
        process = berth.popen("export", "box", stdout=full, stderr=-1)
        assert b"no space" in process.communicate(timeout=30)[1] and process.returncode == 1


def test_a_terminal_gets_no_archive(berth):
    import pty

    berth.ok("create", "--name", "box", "--network", "none", berth.image, "true")
    main, child = pty.openpty()
    process = berth.popen("export", "box", stdout=child, stderr=-1)
    os.close(child)
    assert b"cowardly refusing to save to a terminal" in process.communicate(timeout=10)[1]
    assert process.returncode == 1
    os.close(main)


def test_attributes_and_links(root_berth):
    """File capabilities and hard links are kept."""
    root_berth.up("--name", "box")
    root_berth.ok("exec", "box", "sh", "-c", "echo a > /tmp/one; ln /tmp/one /tmp/two")
    path = f"/proc/{root_berth.pid('box')}/root/tmp/one"
    os.setxattr(path, "user.note", b"kept")
    os.setxattr(path, "security.capability", bytes.fromhex("0100000200040000000000000000000000000000"))
    tar = archive(root_berth, "box")
    first, second = tar.getmember("tmp/one"), tar.getmember("tmp/two")
    assert first.isreg() and second.islnk() and second.linkname == "tmp/one"
    assert first.pax_headers["SCHILY.xattr.user.note"] == "kept"
    assert "SCHILY.xattr.security.capability" in first.pax_headers
