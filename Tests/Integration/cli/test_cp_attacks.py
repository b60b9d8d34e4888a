"""Containers that attack cp, diff, export and commit. Each test is named by its row in the project's list.

The oracle: a canary tree of the host is as before, and nothing of it comes out of a container.
"""

import io
import os
import re
import shutil
import subprocess
import tarfile

import pytest

import images
from host import tree_state, wait_for

FULL = bool(os.environ.get("BERTH_TEST_FULL"))


@pytest.fixture(autouse=True)
def host_is_unharmed(canary):
    before = tree_state(canary)
    yield
    assert tree_state(canary) == before


# A directory and a link to the host's path take turns at one name.
RACER = "mkdir -p {0} && echo inside > {0}/secret; mkdir /d; echo inside > /d/secret; ln -s {0} /l; touch /ready; while :; do mv /d /t; mv /l /d; mv /d /l; mv /t /d; done"


@pytest.mark.parametrize("mounts", ["plain", "mounts"])
def test_s70_a_directory_that_becomes_a_link_meanwhile(berth, place, canary, mounts):
    canary_path = str(canary)
    for directory in [canary, *canary.parents]:
        if os.stat(directory).st_uid == os.geteuid() and str(directory).startswith("/tmp"):
            os.chmod(directory, os.stat(directory).st_mode | 0o755)
    (place / "bound").mkdir()
    flags = ["-v", "vol:/d/below", "-v", f"{place}/bound:/d/bound"] if mounts == "mounts" else []
    (place / "evil").write_text("evil\n")
    os.chown(place / "evil", berth.who.uid, berth.who.gid)
    berth.up("--name", "box", *flags, command=["sh", "-c", RACER.format(canary_path)])
    wait_for(lambda: berth.call("exec", "box", "test", "-e", "/ready").code == 0, "the racer")
    for number in range(100 if FULL else 25):
        out = place / f"out{number}"
        if berth.call("cp", "box:/d/secret", out).code == 0 and not out.is_symlink():
            assert out.read_text() in ("inside\n", "evil\n")
        whole = place / f"whole{number}"
        if berth.call("cp", "box:/d", whole).code == 0 and not whole.is_symlink():
            assert (whole / "secret").read_text() in ("inside\n", "evil\n")
        berth.call("cp", place / "evil", "box:/d/secret")
        berth.call("cp", place / "evil", "box:/d/new")
    assert berth.status("box") == "running"
    berth.ok("export", "-o", place / "out.tar", "box", timeout=60)
    assert "canary-secret" not in (place / "out.tar").read_bytes().decode(errors="replace")


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_s70_links_that_lead_out(berth, place, canary, state):
    """Absolute, climbing, by magic links of procfs: they lead nowhere but into the container."""
    links = {"/abs": str(canary), "/climb": "../../../../../../.." + str(canary), "/magic": "/proc/1/root" + str(canary), "/cwd": "/proc/1/cwd/../.."}
    script = "; ".join(f"ln -s {target} {name}" for name, target in links.items())
    berth.ok("run", "-d", "--name", "box", "--network", "none", berth.image, "sh", "-c", script + "; touch /done; sleep 1000")
    berth.wait_status("box", "running")
    for _ in range(100):
        if berth.call("exec", "box", "test", "-e", "/done").code == 0:
            break
    if state == "stopped":
        berth.ok("stop", "-t", "0", "box")
    (place / "evil").write_text("evil\n")
    for name in links:
        for source in (f"box:{name}/secret", f"box:{name}/."):
            out = place / "out"
            shutil.rmtree(out, ignore_errors=True)
            berth.call("cp", "-L", source, out)
            if out.is_dir():
                assert "secret" not in os.listdir(out) and "sub" not in os.listdir(out)
            else:
                assert not out.exists()
        berth.call("cp", place / "evil", f"box:{name}/secret").fails(1, "Could not find|too many|cross-device|permission|not permitted|invalid")


def test_s70_a_tree_that_would_write_through_a_link(berth, place, canary):
    """What comes out never follows a link that is here, or came with it."""
    berth.up("--name", "box")
    berth.ok("exec", "box", "sh", "-c", f"mkdir /tree; ln -s {canary} /tree/link; mkdir -p /other/link; echo evil > /other/link/secret")
    berth.ok("cp", "box:/tree", place / "tree")
    assert os.readlink(place / "tree/link") == str(canary)
    berth.call("cp", "box:/other/.", place / "tree").fails(1, "cannot overwrite non-directory")
    berth.ok("cp", "--overwrite", "box:/other/.", place / "tree")
    assert (place / "tree/link/secret").read_text() == "evil\n" and not (place / "tree/link").is_symlink()


def test_s70_an_archive_through_links_of_the_container(berth, canary):
    """Entries below a link go to where it leads in the container."""
    berth.up("--name", "box")
    berth.ok("exec", "box", "sh", "-c", f"mkdir -p /in/side /tmp/x; ln -s /in/side /tmp/x/good; ln -s {canary} /tmp/x/bad")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo("good/file")
        info.size = 1
        tar.addfile(info, io.BytesIO(b"x"))
    berth.ok("cp", "-", "box:/tmp/x", stdin=buffer.getvalue())
    assert berth.ok("exec", "box", "cat", "/in/side/file").text == "x"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo("bad/secret")
        info.size = 1
        tar.addfile(info, io.BytesIO(b"x"))
    berth.call("cp", "-", "box:/tmp/x", stdin=buffer.getvalue())


def test_s70_nothing_that_hangs_is_opened(berth, place):
    """Fifos without a writer, and devices: neither is ever opened."""
    berth.up("--name", "box")
    berth.ok("exec", "box", "sh", "-c", "mkdir /trap; mkfifo /trap/a /trap/b; echo x > /trap/file")
    berth.ok("cp", "box:/trap", place / "trap", timeout=10)
    berth.ok("cp", "box:/trap/a", "-", timeout=10)
    berth.ok("export", "-o", place / "out.tar", "box", timeout=60)
    (place / "x").write_text("x")
    berth.ok("cp", place / "x", "box:/trap/a", timeout=10)
    assert berth.ok("exec", "box", "cat", "/trap/a").text == "x"


def test_s17_nothing_of_the_container_is_loaded(berth, suite, place):
    if shutil.which("strace") is None:
        pytest.skip("needs strace")
    layer = images.Layer().dir("lib64").dir("lib/x86_64-linux-gnu").dir("usr/sbin")
    for path in ("lib64/ld-linux-x86-64.so.2", "lib/x86_64-linux-gnu/libnss_files.so.2", "lib/x86_64-linux-gnu/libc.so.6", "etc/ld.so.preload"):
        layer.file(path, "/lib/x86_64-linux-gnu/libc.so.6\n", mode=0o755)
    for path in ("usr/bin/tar", "usr/bin/gzip", "usr/bin/nsenter", "usr/bin/newuidmap", "usr/bin/getent"):
        layer.file(path, "#!/bin/sh\ntouch /pwned\n", mode=0o755)
    data = images.docker_archive([images.base_layer(suite.init), layer], ["evilcode:2"])
    berth.ok("load", "-i", images.write(place / "image.tar", data))
    berth.up("--name", "box", "--user", "app", image="evilcode:2")
    (place / "file").write_text("x")
    commands = [["cp", "-a", place / "file", "box:/tmp/file"], ["cp", "box:/etc/passwd", place / "out"], ["diff", "box"]]
    commands += [["export", "-o", place / "out.tar", "box"], ["commit", "box", "evil:made"]]
    if not berth.who.is_root:  # under strace newuidmap has no privileges
        commands = []
    for words in commands:
        trace = place / "trace"
        berth.ok(*words, wrap=["strace", "-f", "-qq", "-e", "trace=open,openat,openat2,execve,execveat,mmap", "-o", trace], timeout=60)
        calls = trace.read_text()
        assert "openat" in calls
        programs = set(re.findall(r'execve(?:at)?\([^"]*"([^"]+)"', calls))
        assert {os.path.basename(path) for path in programs} <= {"berth"}, programs
        # What is only copied is read by its descriptor; nothing is opened by a library's or helper's path of the host.
        assert not re.findall(r'open(?:at2?)?\((?:AT_FDCWD, )?"/(?:etc/nsswitch|lib|usr/lib)', calls), words
        assert "PROT_EXEC" not in "".join(re.findall(r"mmap\([^\n]*, \d+, ", calls)), words
    for words in commands or [["cp", place / "file", "box:/tmp/file"], ["commit", "box", "evil:made"], ["diff", "box"]]:
        berth.ok(*words, timeout=60)
    berth.call("exec", "box", "test", "-e", "/pwned").exits(1)
    berth.call("rmi", "evil:made")


def test_broken_archives(berth):
    """What an archive for cp says is read as strictly as a layer."""
    berth.up("--name", "box")
    block = bytearray(tarfile.TarInfo("x").tobuf())
    block[148:156] = b"0000000\0"
    for data in (bytes(block) + bytes(1024), b"\x1f\x8b" + bytes(100), tarfile.TarInfo("x").tobuf()[:100]):
        berth.call("cp", "-", "box:/tmp", stdin=data).fails(1)
    assert berth.ok("diff", "box").out == ""


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_trees_that_are_very_deep(berth, place, state):
    """Deeper than descriptors reach: an answer, and no trap."""
    berth.up("--name", "box")
    berth.ok("exec", "box", "sh", "-c", "cd /tmp; i=0; while [ $i -lt 1500 ]; do mkdir d && cd d || break; i=$((i+1)); done; echo x > file", timeout=60)
    if state == "stopped":
        berth.ok("stop", "-t", "0", "box")
    for words in (["cp", "box:/tmp/d", place / "deep"], ["export", "-o", place / "x.tar", "box"], ["diff", "box"], ["cp", "box:/tmp/d", "-"]):
        result = berth.call(*words, timeout=60)
        assert result.code in (0, 1) and (result.code == 0 or result.err.strip()), result
    subprocess.run(["rm", "-rf", place / "deep"], check=False)


def test_files_that_come_and_go(berth, place):
    """What vanishes while it is read is passed over."""
    script = "mkdir /busy; while :; do mkdir -p /busy/a/b; echo x > /busy/a/b/c; echo y > /busy/f; rm -rf /busy/a /busy/f; done"
    berth.up("--name", "box", command=["sh", "-c", script])
    wait_for(lambda: berth.call("exec", "box", "test", "-e", "/busy").code == 0, "the directory")
    for number in range(20):
        berth.ok("cp", "box:/busy", "-", timeout=30)
        berth.ok("diff", "box", timeout=30)
        berth.ok("cp", "box:/busy", place / f"out{number}", timeout=30)
