"""Checkpoints that cannot be made: CRIU is not there, is too old, fails, hangs, dies, or says things that mean nothing.

These run everywhere: the CRIU here is one of the tests' own (checkpoints.py).
"""

import io
import json
import os
import pathlib
import secrets
import shutil
import signal
import subprocess
import tarfile

import pytest

import checkpoints
from host import wait_for
from test_checkpoint import COUNT, counting, goes_on, ticks


@pytest.fixture
def place(suite):
    path = suite.base / f"place-{secrets.token_hex(4)}"
    path.mkdir(mode=0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def fake(place):
    return checkpoints.Fake(place)


@pytest.fixture
def berth(root_berth, fake):
    with checkpoints.Using(root_berth, fake.path):
        yield root_berth


def directory(berth, name):
    return berth.root / "containers" / berth.inspect(name, "Id")


def as_before(berth, name, pid):
    """The container runs on, not frozen, and no checkpoint is listed or half there."""
    assert berth.pid(name) == pid and berth.status(name) == "running"
    goes_on(berth, name, ticks(berth, name))
    assert berth.ok("checkpoint", "ls", name).lines == ["CHECKPOINT NAME"]
    left = directory(berth, name) / "checkpoints"
    assert not left.exists() or os.listdir(left) == []
    assert berth.inspect(name, "State.Checkpointed") is False


# CRIU


def test_no_criu(root_berth, place):
    name = counting(root_berth)
    with checkpoints.Using(root_berth, place / "nothing") as berth:
        berth.call("checkpoint", "create", name, "one").fails(1, "nothing. is no program; install it: apt-get install criu")
        as_before(berth, name, berth.pid(name))
    with checkpoints.Using(root_berth, "", PATH="/nonexistent") as berth:
        if not shutil.which("criu", path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"):
            berth.call("checkpoint", "create", name, "one").fails(1, "checkpoints need the program criu; install it: apt-get install criu")


def test_a_criu_that_is_too_old(berth, fake):
    fake.does("old")
    name = counting(berth)
    berth.call("checkpoint", "create", name, "one").fails(
        1, r"criu 0\.99 does not work with this kernel \(criu check: vdso: Unexpected rt vDSO area bounds\); install a newer one")
    as_before(berth, name, berth.pid(name))


@pytest.mark.parametrize("way, why", [
    ("fails", "criu: the moon is full; its log is .*/criu/dump.log"), ("silent", "criu: it ended with status 3"),
    ("killed", "criu: it was killed by signal 9"), ("garbage", "criu: it answered with something that is not its protocol"),
    ("truncated", "criu: it answered with something that is not its protocol"),
])  # fmt: skip
def test_criu_fails(berth, fake, way, why):
    name = counting(berth)
    pid = berth.pid(name)
    fake.does(way)
    berth.call("checkpoint", "create", name, "one", timeout=30).fails(1, why)
    assert fake.began
    as_before(berth, name, pid)
    # And once more, by podman's command.
    berth.call("container", "checkpoint", name, timeout=30).fails(1, why)
    as_before(berth, name, pid)


def test_the_container_has_not_ended_whatever_criu_says(berth, fake):
    """A checkpoint is kept when CRIU says that all is written, and only then."""
    name = counting(berth)
    fake.does("dumps")
    berth.ok("checkpoint", "create", "--leave-running", name, "one")
    assert fake.answer == "True" and berth.ok("checkpoint", "ls", name).lines[1:] == ["one"]
    seen = json.loads((directory(berth, name) / "checkpoints/one/berth.json").read_text())
    assert "/etc/hosts" in seen["mounts"] and seen["network"] is True


def test_a_checkpoint_that_cannot_be_kept(berth, fake, place):
    """Its name is taken meanwhile: CRIU is told before it ends anything."""
    name = counting(berth)
    pid = berth.pid(name)
    fake.does("dumps")
    (place / "kept/one").mkdir(parents=True)
    (place / "kept/one/file").touch()
    os.rename(place / "kept/one", place / "kept/two")
    os.symlink("nowhere", place / "kept/one")
    berth.call("checkpoint", "create", "--checkpoint-dir", place / "kept", name, "one").fails(1)
    as_before(berth, name, pid)
    assert sorted(os.listdir(place / "kept")) == ["one", "two"]


def test_the_command_is_killed(berth, fake):
    """Nobody wants it any more: CRIU is ended, and the container goes on."""
    name = counting(berth)
    pid = berth.pid(name)
    fake.does("hangs")
    process = berth.popen("checkpoint", "create", name, "one")
    wait_for(lambda: fake.began, "CRIU to begin")
    berth.call("checkpoint", "create", name, "two").fails(1, "a checkpoint of the container is being made")
    assert berth.ok("exec", name, "echo", "x").text == "x"
    process.send_signal(signal.SIGKILL)
    process.wait()
    criu = int((fake.directory / "pid").read_text())
    wait_for(lambda: not os.path.exists(f"/proc/{criu}"), "CRIU to end", 30)
    wait_for(lambda: not (directory(berth, name) / "checkpoints").exists() or os.listdir(directory(berth, name) / "checkpoints") == [], "the rest to go")
    as_before(berth, name, pid)
    fake.does("dumps")
    berth.ok("checkpoint", "create", "--leave-running", name, "three")


def test_it_is_removed_while_criu_hangs(berth, fake):
    """Whoever ends the container does not wait for CRIU for ever."""
    name = counting(berth)
    identity = berth.inspect(name, "Id")
    fake.does("hangs")
    process = berth.popen("checkpoint", "create", name, "one", stderr=subprocess.PIPE)
    wait_for(lambda: fake.began, "CRIU to begin")
    berth.ok("rm", "-f", name, timeout=30)
    assert process.wait(20) == 1 and process.stderr.read()
    berth.assert_clean(identity)


def test_the_supervisor_is_killed(berth, fake):
    """What was written so far is nothing, and the next one clears it away."""
    name = counting(berth)
    fake.does("hangs")
    process = berth.popen("checkpoint", "create", name, "one", stderr=subprocess.DEVNULL)
    wait_for(lambda: fake.began, "CRIU to begin")
    helper = int((fake.directory / "pid").read_text())
    os.kill(berth.supervisor(berth.inspect(name, "Id")), signal.SIGKILL)
    assert process.wait(30) == 1
    os.kill(helper, signal.SIGKILL)
    assert berth.ok("checkpoint", "ls", name).lines == ["CHECKPOINT NAME"]
    berth.ok("rm", "-f", name)
    wait_for(lambda: not berth.processes(), "all to end", 30)


@pytest.mark.parametrize("way", ["fails", "silent", "killed", "garbage", "old"])
def test_a_restore_fails(berth, fake, way):
    """It is as before: ended, with its checkpoint, and it starts without it."""
    name = counting(berth)
    identity = berth.inspect(name, "Id")
    fake.does("dumps")
    berth.ok("checkpoint", "create", "--leave-running", name, "one")
    berth.ok("kill", name)
    fake.does(way)
    berth.call("start", "--checkpoint", "one", name, timeout=30).fails(1, "criu")
    assert berth.status(name) == "exited" and berth.ok("checkpoint", "ls", name).lines[1:] == ["one"]
    assert not berth.cgroups(identity) and not [pid for pid in berth.processes(identity)]
    berth.ok("start", name)
    wait_for(lambda: ticks(berth, name).count(0) == 2, "it to begin anew")


def test_nobody_waits_for_a_restore(berth, fake):
    name = counting(berth)
    identity = berth.inspect(name, "Id")
    fake.does("dumps")
    berth.ok("checkpoint", "create", "--leave-running", name, "one")
    berth.ok("kill", name)
    fake.does("hangs")
    process = berth.popen("start", "--checkpoint", "one", name)
    wait_for(lambda: fake.began, "CRIU to begin")
    process.kill()
    process.wait()
    wait_for(lambda: not berth.processes(identity), "all to end", 30)
    assert berth.status(name) == "exited" and not berth.cgroups(identity)
    berth.ok("start", name)


# Refusals


def test_an_ordinary_user(user_berth):
    name = user_berth.up(command=("sh", "-c", COUNT))
    for words in (["checkpoint", "create", name, "one"], ["container", "checkpoint", name], ["container", "restore", "-i", "/nonexistent"]):
        user_berth.call(*words).fails(1, "checkpoints need root, as CRIU does")
    assert user_berth.ok("checkpoint", "ls", name).lines == ["CHECKPOINT NAME"]
    assert user_berth.status(name) == "running"


@pytest.mark.parametrize("words, pattern", [
    (["checkpoint", "create", "it", "-x"], "unknown shorthand flag"), (["checkpoint", "create", "it", ".x"], "Invalid checkpoint ID"),
    (["checkpoint", "create", "nosuch", "one"], "no such container: nosuch"), (["container", "restore", "it"], "is running: only one that has ended"),
    (["container", "checkpoint", "-c", "xz", "it"], 'invalid compression "xz": use zstd, gzip or none'),
    (["container", "checkpoint", "--ignore-rootfs", "it"], "--ignore-rootfs can only be used with --export"),
    (["container", "checkpoint", "-P", "--with-previous", "it"], "can not be used with --pre-checkpoint"),
    (["container", "checkpoint", "--with-previous", "it"], "has no earlier memory"),
    (["container", "checkpoint", "--create-image", "x", "it"], "not supported yet: --create-image"),
    (["container", "restore", "--name", "x", "it"], "--name can only be used with --import"),
    (["container", "restore", "--pod", "x", "it"], "not supported yet: --pod"),
    (["container", "restore", "--tcp-close", "--tcp-established", "it"], "contradict each other"),
    (["start", "--checkpoint", "one", "it"], "checkpoint one does not exist"), (["start", "--checkpoint", "a", "it", "it2"], "cannot restore multiple"),
    (["start", "--checkpoint-dir", "/x", "it"], "needs --checkpoint"),
])  # fmt: skip
def test_refusals(berth, fake, words, pattern):
    fake.does("fails")
    berth.up("--name", "it")
    result = berth.call(*words)
    assert result.code in (1, 125)
    result.fails(result.code, pattern)
    assert berth.status("it") == "running" and not fake.began


def test_a_container_that_has_ended(berth, fake):
    fake.does("fails")
    name = berth.up()
    berth.ok("kill", name)
    berth.call("container", "checkpoint", name).fails(1, "is not running")
    berth.call("container", "restore", name).fails(1, "has no checkpoint: make one with berth container checkpoint")
    assert berth.status(name) == "exited"


@pytest.mark.parametrize("flags", [["--userns", "auto"], ["--ipc", "container:first"]], ids=["user namespace", "shared namespace"])
def test_what_cannot_be_restored_is_not_written(berth, fake, flags):
    fake.does("dumps")
    berth.up("--name", "first", "--ipc", "shareable")
    name = berth.up(*flags)
    berth.call("checkpoint", "create", name, "one").fails(1, "which cannot be restored")
    assert berth.status(name) == "running" and not fake.began


# Archives of an attacker (attack row S90)


def archive(path, *members, container=None):
    """A tar with the description of a container, and whatever else."""
    with tarfile.open(path, "w") as tar:
        text = json.dumps({"version": 1, "container": container or {}, "networks": []}).encode()
        first = tarfile.TarInfo("berth-checkpoint.json")
        first.size = len(text)
        tar.addfile(first, io.BytesIO(text))
        for member, content in members:
            if content is not None:
                member.size = len(content)
            tar.addfile(member, io.BytesIO(content or b""))
    return path


def member(name, kind=tarfile.REGTYPE, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize("name, kind, target", [
    ("../outside", tarfile.REGTYPE, ""), ("/tmp/outside", tarfile.REGTYPE, ""), ("checkpoint/../../outside", tarfile.REGTYPE, ""),
    ("checkpoint/a/b", tarfile.REGTYPE, ""), ("checkpoint/.x", tarfile.REGTYPE, ""), ("container.log", tarfile.REGTYPE, ""),
    ("container.log", tarfile.SYMTYPE, "/etc/passwd"), ("config.json", tarfile.REGTYPE, ""), ("checkpoint/x", tarfile.SYMTYPE, "/etc"),
    ("checkpoint/parent", tarfile.SYMTYPE, "/etc"), ("checkpoint/x", tarfile.LNKTYPE, "/etc/passwd"), ("checkpoint/x", tarfile.CHRTYPE, ""),
    ("upper/x", tarfile.REGTYPE, ""), ("volumes/0.tar", tarfile.REGTYPE, ""), ("volumes/x.tar", tarfile.REGTYPE, ""),
    ("rootfs-diff.tar", tarfile.SYMTYPE, "/etc/passwd"),
])  # fmt: skip
def test_entries_that_no_checkpoint_has(berth, fake, place, name, kind, target):
    """Nothing is written where it says, and no container stays."""
    fake.does("fails")
    known = json.loads(berth.ok("create", "--name", "known", "test", "true") and berth.ok("inspect", "known").out)[0]
    container = {"name": "evil", "image": "test", "imageID": known["Image"], "command": ["sh"], "network": "none"}
    before = sorted(os.listdir(place))
    path = archive(place / "a", (member(name, kind, target), b"x" if kind == tarfile.REGTYPE else None), container=container)
    berth.call("container", "restore", "-i", path).fails(1)
    assert berth.names("-a") == ["known"] and not fake.began
    assert sorted(os.listdir(place)) == sorted([*before, "a"])
    assert not pathlib.Path("/tmp/outside").exists() and not (berth.root / "containers/outside").exists()


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"version": 2}', b'{"version": 1, "container": 3}', b"\xff" * 99, b'{"version": 1, "networks": [{"definition": []}]}'])
def test_descriptions_that_mean_nothing(berth, place, text):
    with tarfile.open(place / "a", "w") as tar:
        first = tarfile.TarInfo("berth-checkpoint.json")
        first.size = len(text)
        tar.addfile(first, io.BytesIO(text))
    berth.call("container", "restore", "-i", place / "a").fails(1)
    assert berth.names("-a") == []
