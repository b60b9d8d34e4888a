"""`mount` and `unmount`, of containers and images: where root sees their files, and what is left of it."""

import json
import os
import pathlib
import signal
import subprocess

import pytest

import images
from host import DEADLINE, wait_for


@pytest.fixture
def web(root_berth):
    root_berth.ok("create", "--name", "web", "--network", "none", "test", "sh", "-c", "echo here > /file; sleep 1000")
    root_berth.id = root_berth.inspect("web", "Id")
    yield root_berth
    root_berth.call("unmount", "--all", "--force")
    root_berth.call("image", "unmount", "--all", "--force")
    assert root_berth.mounts("/mounts/") == []


def count(berth):
    return len(berth.mounts("/mounts/"))


def test_a_container_that_does_not_run(web):
    path = pathlib.Path(web.ok("mount", "web").text)
    assert path == web.run_root / "mounts/containers" / web.id
    assert sorted(os.listdir(path))[:2] == ["bin", "dev"] and os.stat(path / "home/app").st_uid == 1000
    (path / "written").write_text("by root\n")
    assert web.ok("diff", "web").lines == ["A /written"]
    assert web.ok("unmount", "web").text == web.id and count(web) == 0 and not path.exists()
    assert web.ok("start", "web") and web.ok("exec", "web", "cat", "/written").text == "by root"


def test_it_is_counted(web):
    path = web.ok("mount", "web").text
    assert web.ok("container", "mount", web.id[:12]).text == path and count(web) == 2
    assert web.ok("mount").lines == [f"{web.id[:12]}   {path}"]
    web.ok("unmount", "web")
    assert os.path.exists(path + "/bin") and count(web) == 1
    web.ok("umount", "web")
    assert count(web) == 0 and web.ok("mount").out == ""
    web.call("unmount", "web").fails(1, "container web is not mounted")
    for _ in range(3):
        web.ok("mount", "web")
    assert web.ok("container", "unmount", "--force", "web").text == web.id and count(web) == 0


def test_how_it_is_told(web):
    path = web.ok("mount", "web").text
    web.ok("create", "--name", "other", "--network", "none", "test", "true")
    assert json.loads(web.ok("mount", "--format", "json").out) == [{"id": web.id, "Names": ["web"], "mountpoint": path}]
    lines = web.ok("mount", "web", "other").lines
    assert [line.split()[0] for line in lines] == [web.id[:12], web.inspect("other", "Id")[:12]]
    assert web.ok("mount", "--no-trunc").out.count(web.id) == 2
    web.ok("umount", "-f", "--all")
    assert len(web.ok("mount", "--all").lines) == 2 and web.ok("unmount", "--latest").text == web.inspect("other", "Id")
    assert web.ok("umount", "-a").lines == [web.id] and count(web) == 0
    web.call("mount", "--format", "table").fails(125, "use json")
    web.call("mount", "nosuch").fails(1, "no such container")
    web.call("unmount").fails(1, "requires at least 1")
    assert web.call("mount", "nosuch", "web").exits(1).out.strip().endswith(web.id) and web.ok("unmount", "web")


def test_a_container_that_runs_and_its_mount_are_one(web):
    """Mounted before the start, while it runs, and after its end: what is written on one side is there on the other."""
    before = pathlib.Path(web.ok("mount", "web").text)
    (before / "first").write_text("1\n")
    web.ok("start", "web")
    wait_for(lambda: (before / "file").exists(), "the container's file")
    assert web.ok("exec", "web", "sh", "-c", "cat /first; echo 2 > /second").text == "1" and (before / "second").read_text() == "2\n"
    during = pathlib.Path(web.ok("mount", "web").text)
    (during / "third").write_text("3\n")
    assert web.ok("exec", "web", "cat", "/third").text == "3"
    web.ok("unmount", "web")
    web.ok("stop", "-t", "0", "web")
    assert (before / "third").read_text() == "3\n"
    (before / "fourth").write_text("4\n")
    web.ok("start", "web")
    assert web.ok("exec", "web", "cat", "/fourth").text == "4"
    web.ok("unmount", "web")
    assert count(web) == 0 and web.ok("exec", "web", "cat", "/third").text == "3"


def test_of_a_container_that_runs_only_its_root(web, place):
    (place / "mark").write_text("x")
    web.up("--name", "other", "-v", f"{place}:/bound", "--tmpfs", "/memory", command=("sh", "-c", "echo x > /memory/x; sleep 1000"))
    path = web.ok("mount", "other").text
    assert os.listdir(path + "/bound") == [] and os.listdir(path + "/memory") == [] and os.listdir(path + "/proc") == []
    # What is mounted in it is not the container's to see.
    subprocess.run(["mount", "-t", "tmpfs", "none", path + "/opt"], check=True)
    assert "/opt " not in web.ok("exec", "other", "cat", "/proc/mounts").out
    subprocess.run(["umount", path + "/opt"], check=True)


def test_cp_and_a_mount_are_one(web, place):
    path = pathlib.Path(web.ok("mount", "web").text)
    (place / "a").write_text("copied\n")
    web.ok("cp", place / "a", "web:/a")
    assert (path / "a").read_text() == "copied\n"
    (path / "a").write_text("changed\n")
    web.ok("cp", "web:/a", place / "b")
    assert (place / "b").read_text() == "changed\n"


def test_ids_of_its_own(root_berth):
    """Where the container has ids of its own its files have theirs on the host, and are the same for a start."""
    root_berth.up("--name", "web", "--userns", "auto", command=("sh", "-c", "touch /mine; exec sleep 1000"))
    wait_for(lambda: "mine" in root_berth.ok("diff", "web").out, "the file")
    first = int(pathlib.Path(f"/proc/{root_berth.pid('web')}/uid_map").read_text().split()[1])
    path = root_berth.ok("mount", "web").text
    try:
        assert os.stat(path + "/mine").st_uid == os.stat(path + "/bin/busybox").st_uid == first
        root_berth.ok("stop", "-t", "0", "web")
        root_berth.ok("start", "web")
        assert root_berth.ok("exec", "web", "stat", "-c", "%u", "/mine", "/bin/busybox").lines == ["0", "0"]
    finally:
        root_berth.ok("umount", "-f", "web")


def test_files_in_use(web):
    path = web.ok("mount", "web").text
    process = subprocess.Popen(["sleep", "1000"], cwd=path + "/tmp")
    try:
        web.call("unmount", "web").fails(1, "a program uses files in", "--force")
        assert count(web) == 1
        assert web.ok("unmount", "-f", "web").text == web.id and count(web) == 0
    finally:
        process.kill()
        process.wait()


def test_removal(web):
    """A mounted container is removed by force only, and leaves no mount, whoever removes it."""
    web.ok("mount", "web")
    web.call("rm", "web").fails(1, "container is mounted: type berth unmount web")
    assert web.ok("container", "prune", "-f").out.count(web.id) == 0 and count(web) == 1
    web.ok("rm", "-f", "web")
    assert count(web) == 0 and not (web.run_root / "mounts/containers" / web.id).exists()
    web.ok("run", "-d", "--rm", "--name", "gone", "--network", "none", "test", "sleep", "1000")
    identity = web.inspect("gone", "Id")
    web.ok("mount", "gone")
    web.ok("stop", "-t", "0", "gone")
    wait_for(lambda: web.names("-a") == [], "its removal")
    assert count(web) == 0, identity


def test_what_a_killed_command_leaves_is_taken_down(web):
    """A --rm container that ends while nobody looks, with its mount still there."""
    web.ok("run", "-d", "--rm", "--name", "gone", "--network", "none", "test", "sleep", "1000")
    identity, pid = web.inspect("gone", "Id"), web.pid("gone")
    path = web.ok("mount", "gone").text
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not (web.root / "containers" / identity).exists(), "the supervisor's removal")
    # The row and the mount are left to whoever comes next.
    assert web.ok("mount").out == "" and count(web) == 0 and not os.path.exists(path)


def test_killed_at_some_moment(web):
    """At any instant what is mounted is listed, and can be unmounted."""
    for delay in range(0, 50, 2):
        process = web.popen("mount", "web", stdout=subprocess.DEVNULL)
        try:
            process.wait(delay / 1000)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    mounted = count(web)
    assert mounted > 0 and len(web.ok("mount").lines) == 1
    for left in range(mounted, 0, -1):
        process = web.popen("unmount", "web", stdout=subprocess.DEVNULL)
        process.wait(DEADLINE)
        assert count(web) == left - 1
    assert web.ok("start", "web") and web.ok("exec", "web", "true").code == 0


def test_many_at_once(web):
    processes = [web.popen("mount", "web", stdout=subprocess.DEVNULL) for _ in range(8)]
    start = web.popen("start", "web", stdout=subprocess.DEVNULL)
    assert [process.wait(DEADLINE) for process in [*processes, start]] == [0] * 9
    assert count(web) == 8
    path = web.ok("mount", "web").text
    web.ok("exec", "web", "touch", "/seen")
    assert os.path.exists(path + "/seen")
    processes = [web.popen("unmount", "web", stdout=subprocess.DEVNULL) for _ in range(9)]
    assert [process.wait(DEADLINE) for process in processes] == [0] * 9 and count(web) == 0


# Ordinary users


def test_a_user_is_told_where(user_berth):
    user_berth.ok("create", "--name", "web", "--network", "none", "test", "true")
    for command in (["mount"], ["mount", "web"], ["unmount", "web"], ["image", "mount", "test"], ["image", "unmount", "test"]):
        user_berth.call(*command).fails(125, "berth unshare")


def test_a_user_in_unshare(user_berth):
    """Seen in there, by root of there, and gone with it."""
    user_berth.ok("create", "--name", "web", "--network", "none", "test", "sh", "-c", "cat /written; sleep 1000")
    script = f"""set -e; b={user_berth.program}
        p=$($b mount web); stat -c %u $p/home/app; echo by-the-user > $p/written; $b mount > /dev/null
        $b mount web; $b umount web; $b umount web; $b mount; $b mount web; $b image mount test"""
    lines = user_berth.ok("unshare", "sh", "-c", script).lines
    place = str(user_berth.run_root / "mounts/containers" / user_berth.inspect("web", "Id"))
    assert lines[0] == "1000" and lines[1] == place and len(lines) == 6
    assert user_berth.mounts() == []
    user_berth.ok("start", "web")
    user_berth.wait_log("web", "by-the-user")
    user_berth.call("unshare", user_berth.program, "mount", "web").fails(1, "container web runs", "berth debug")
    user_berth.ok("rm", "-f", "web")


# Images


def test_an_image(web):
    identity = web.ok("image", "inspect", "--format", "{{.Id}}", "test").text
    path = web.ok("image", "mount", "test").text
    assert sorted(os.listdir(path))[0] == "bin"
    with pytest.raises(OSError):
        pathlib.Path(path, "x").write_text("x")
    assert web.ok("image", "mount", "test").text == path
    assert web.ok("image", "mount").lines == [f"{identity[7:19]}   {path}"]
    (document,) = json.loads(web.ok("image", "mount", "--format", "json").out)
    assert document["id"] == identity and document["mountpoint"] == path and "docker.io/library/test:latest" in document["Names"]
    assert web.ok("image", "unmount", "test").text == identity and os.path.exists(path + "/bin")
    web.ok("image", "umount", "--all")
    assert count(web) == 0
    web.call("image", "unmount", "test").fails(1, "image test is not mounted")
    web.call("image", "mount", "nosuch").fails(1, "no such image")


def test_an_image_that_is_mounted_stays(fresh, place):
    if not fresh.who.is_root:
        pytest.skip("needs root")
    data = images.docker_archive([images.Layer().file("a", "1"), images.Layer().file("b", "2")], ["two:latest"])
    fresh.ok("load", "-i", images.write(place / "two.tar", data))
    path = fresh.ok("image", "mount", "two").text
    fresh.call("rmi", "two").fails(1, "is mounted: type berth image unmount")
    assert "two" not in fresh.ok("image", "prune", "-a", "-f").out and sorted(os.listdir(path)) == ["a", "b"]
    fresh.ok("rmi", "-f", "two")
    assert count(fresh) == 0 and not os.path.exists(path)
