"""Descriptors: what goes in and what does not (S14), and the session keyring."""

import os

import pytest

from host import wait_for


def descriptors(text):
    return {int(line.split()[0]): line.split()[1] for line in text.splitlines()}


def test_only_three_descriptors(ct):
    first = os.open("/etc/shadow" if os.geteuid() == 0 else "/etc/passwd", os.O_RDONLY)
    second = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    try:
        got = descriptors(ct.text("ls-fds", pass_fds=[first, second]))
    finally:
        os.close(first)
        os.close(second)
    assert sorted(got) == [0, 1, 2]


def test_only_three_descriptors_detached(ct):
    extra = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    try:
        ct.up("ls-fds", "pause", pass_fds=[extra])
    finally:
        os.close(extra)
    pid = ct.pid
    assert sorted(os.listdir(f"/proc/{pid}/fd"), key=int) == ["0", "1", "2"]


def test_descriptors_of_a_created_container(ct):
    """What waits for `start` may hold the runtime's own files, but none of the caller's and no directory of the host."""
    extra = os.open("/etc", os.O_RDONLY | os.O_DIRECTORY)
    try:
        ct.create("pause", pass_fds=[extra]).check()
    finally:
        os.close(extra)
    pid = ct.pid
    for name in os.listdir(f"/proc/{pid}/fd"):
        target = os.readlink(f"/proc/{pid}/fd/{name}")
        assert target != "/etc"
        if os.path.isdir(f"/proc/{pid}/fd/{name}"):
            inside = os.stat(f"/proc/{pid}/root").st_dev, os.stat(f"/proc/{pid}/root").st_ino
            seen = os.stat(f"/proc/{pid}/fd/{name}")
            assert (seen.st_dev, seen.st_ino) == inside or target.startswith("/proc"), target


def preserved(count):
    """Pipes placed at 3, 4, … in the child; returns the mapping for a pre-exec function and what to close."""
    pipes = [os.pipe() for _ in range(count)]
    for index, (_, writer) in enumerate(pipes):
        os.write(writer, f"pipe {index}".encode())
        os.close(writer)
    return [reader for reader, _ in pipes]


def shift(readers):
    """Moves the readers to 3, 4, … after fork. They lie above that already, so none is overwritten before it is moved."""

    def action():
        high = [os.dup2(reader, 200 + index) for index, reader in enumerate(readers)]
        for index, reader in enumerate(high):
            os.dup2(reader, 3 + index, inheritable=True)

    return action


@pytest.mark.parametrize("mode", ["run", "detached", "exec"])
def test_preserve_fds(ct, mode):
    readers = preserved(2)
    keywords = {"preexec_fn": shift(readers), "close_fds": False}
    try:
        if mode == "exec":
            ct.up()
            out = ct.exec("ls-fds", "fd-cat 3", "fd-cat 4", flags=["--preserve-fds", "2"], **keywords).check().out
        elif mode == "run":
            out = ct.run("ls-fds", "fd-cat 3", "fd-cat 4", flags=["--preserve-fds", "2"], **keywords).check().out
        else:
            ct.run_detached("ls-fds", "fd-cat 3", "fd-cat 4", "echo done", flags=["--preserve-fds", "2"], **keywords).check()
            ct.wait_log("done")
            out = ct.log
    finally:
        for reader in readers:
            os.close(reader)
    listing = descriptors(out.split("\x1e")[0])
    assert sorted(listing) == [0, 1, 2, 3, 4]
    assert "pipe 0" in out and "pipe 1" in out


def test_preserve_fds_that_are_not_open(ct):
    ct.run("true", flags=["--preserve-fds", "40"]).refused()
    ct.assert_clean()


def test_listen_fds(ct):
    """Socket activation: LISTEN_FDS and what follows go in; LISTEN_PID is the process inside."""
    readers = preserved(1)
    try:
        out = ct.run(
            "fd-cat 3", "env", preexec_fn=shift(readers), close_fds=False, env={"LISTEN_FDS": "1"},
            wrap=["/bin/sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh"],
        ).check().out
    finally:
        os.close(readers[0])
    assert "pipe 0" in out
    assert "LISTEN_FDS=1" in out and "LISTEN_PID=1" in out


def test_a_closed_stdin(ct):
    """The runtime's own descriptors must not end up as the container's streams."""
    ct.args("ls-fds")
    ct.save()
    result = ct.call("run", "--bundle", ct.dir, ct.id, preexec_fn=lambda: os.close(0))
    if result.ok:
        got = descriptors(result.out)
        assert set(got) <= {0, 1, 2}
        assert got.get(0, "pipe:").startswith(("/dev/null", "pipe:", "socket:"))


def test_the_session_keyring_is_new(ct):
    plain = ct.run("keyring")
    assert plain.ok


def test_stdio_files_are_owned_by_the_process(root_ct):
    """A process that is not root may open /dev/stdout again."""
    root_ct.process["user"] = {"uid": 1000, "gid": 1000}
    root_ct.process["capabilities"] = {}
    root_ct.run("open w /proc/self/fd/1 /proc/self/fd/2").check()
    wait_for(lambda: not root_ct.processes(), "the end")
