"""Hooks: six points, where and when they run, what they get, and what their failure means."""

import json
import os
import time

import pytest

POINTS = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]
OF_CREATE = ["prestart", "createRuntime", "createContainer"]


def hook(ct, point, script, args=(), **more):
    """Adds a shell script as hook; for startContainer it is the container's own shell that runs it."""
    inside = point == "startContainer"
    if inside and not (ct.rootfs / "sh").exists():
        (ct.rootfs / "sh").write_bytes(open("/usr/bin/busybox", "rb").read())
        (ct.rootfs / "sh").chmod(0o755)
        ct.own(ct.rootfs)
    entry = {"path": "/sh" if inside else "/bin/sh", "args": ["sh", "-c", script, *args], **more}
    ct.spec.setdefault("hooks", {}).setdefault(point, []).append(entry)
    return entry


@pytest.fixture
def journal(ct):
    """A directory hooks write to, from either side."""
    path = ct.directory("journal")
    ct.mount("/journal", "bind", path, ["bind"])
    return path


def note(ct, journal, point, text=None):
    """A hook that appends a line. createContainer runs in the container's mount namespace before the root changes: host paths."""
    where = "/journal" if point == "startContainer" else journal
    return hook(ct, point, f"echo {text or point} >> {where}/order")


def order(journal):
    path = journal / "order"
    return path.read_text().split() if path.exists() else []


def needs_busybox():
    if not os.path.exists("/usr/bin/busybox"):
        pytest.skip("needs busybox-static for a shell inside the container")


def test_the_six_points(ct, journal):
    needs_busybox()
    for point in reversed(POINTS):
        note(ct, journal, point, point + "-1")
        note(ct, journal, point, point + "-2")
    ct.create("write /journal/program ran", "pause").check()
    assert order(journal) == [f"{point}-{n}" for point in OF_CREATE for n in (1, 2)]
    assert not (journal / "program").exists()
    ct.start().check()
    ct.wait_log("^ready$")
    assert order(journal) == [f"{point}-{n}" for point in POINTS[:5] for n in (1, 2)]
    ct.kill("KILL").check()
    ct.wait_status("stopped")
    assert order(journal)[-1] == "poststart-2"
    ct.delete().check()
    assert order(journal) == [f"{point}-{n}" for point in POINTS for n in (1, 2)]
    ct.assert_clean()


def test_run_calls_them_all(ct, journal):
    needs_busybox()
    for point in POINTS:
        note(ct, journal, point)
    ct.run("true").check()
    assert order(journal) == POINTS


def test_start_container_comes_before_the_program(ct, journal):
    needs_busybox()
    hook(ct, "startContainer", "test ! -e /journal/program && echo before > /journal/order")
    ct.run("write /journal/program ran").check()
    assert order(journal) == ["before"]


def test_poststart_comes_after_the_program_began(ct, journal):
    """runc and crun: the exec has been told to go on; the program may take a moment."""
    hook(ct, "poststart", f"for i in 1 2 3 4 5 6 7 8 9; do test -e {journal}/program && break; sleep 0.1; done; cp {journal}/program {journal}/order")
    ct.create("write /journal/program ran", "pause").check()
    ct.start().check()
    assert order(journal) == ["ran"]


@pytest.mark.parametrize("point, status", [("prestart", "creat"), ("createRuntime", "creat"), ("createContainer", "creat"),
                                           ("startContainer", "created"), ("poststart", "running"), ("poststop", "stopped")])  # fmt: skip
def test_the_state_comes_on_stdin(ct, journal, point, status):
    needs_busybox()
    ct.spec["annotations"] = {"org.example": "yes"}
    where = "/journal" if point == "startContainer" else journal
    # Shell built-ins only: inside there is no other program. The last line may have no newline.
    hook(ct, point, f'while read -r line; do echo "$line"; done > {where}/state; echo "$line" >> {where}/state')
    ct.run("true").check()
    state = json.loads((journal / "state").read_text())
    assert state["id"] == ct.id and state["bundle"] == str(ct.dir) and state["ociVersion"]
    assert state["annotations"]["org.example"] == "yes"
    assert state["status"].startswith(status), state
    if point in ("prestart", "createRuntime", "poststart"):  # the others may see it from inside
        assert state["pid"] > 1


def test_namespaces_of_the_points(ct, journal):
    needs_busybox()
    for point in POINTS:
        where = "/journal" if point == "startContainer" else journal
        tool = "/sh" if point == "startContainer" else "/usr/bin/busybox"
        entry = hook(ct, point, "")
        entry |= {"path": tool, "args": ["busybox", "sh", "-c", f"readlink /proc/self/ns/mnt > {where}/{point}"]}
    host = os.readlink("/proc/self/ns/mnt")
    ct.run("true").check()
    seen = {point: (journal / point).read_text() for point in POINTS}
    for point in ("prestart", "createRuntime", "poststart", "poststop"):
        assert host in seen[point], point
    for point in ("createContainer", "startContainer"):
        assert host not in seen[point] and "mnt:[" in seen[point], point


def test_create_container_sees_the_host_before_the_root_changes(ct, journal):
    hook(ct, "createContainer", f"test -d {ct.rootfs}/proc && echo seen > {journal}/order")
    ct.run("true").check()
    assert order(journal) == ["seen"]


def test_a_hook_of_create_may_mount_into_the_container(root_ct):
    """createContainer: what it mounts below the rootfs is seen in the container and not on the host."""
    (root_ct.rootfs / "mnt").mkdir()
    hook(root_ct, "createContainer", f"mount -t tmpfs -o size=64k fromhook {root_ct.rootfs}/mnt")
    assert "fromhook" in root_ct.text("mountinfo")
    assert root_ct.mounts() == []


def test_prestart_finds_the_network_namespace(root_ct):
    """What container networking hooks do: enter by pid, set up, and the program finds it."""
    path = root_ct.directory("n")
    hook(root_ct, "prestart", f'pid=$(sed -E "s/.*\\"pid\\": ?([0-9]+).*/\\1/"); readlink /proc/$pid/ns/net > {path}/net')
    root_ct.up()
    assert (path / "net").read_text().strip() == os.readlink(f"/proc/{root_ct.pid}/ns/net")


def test_arguments_and_environment(ct, journal):
    """args[0] is what the program is called; env is exactly what is given."""
    ct.spec["hooks"] = {
        "createRuntime": [
            {"path": "/bin/sh", "args": ["given-name", "-c", f'echo "$0 $1 $A" > {journal}/order; env > {journal}/env', "zero", "one"],
             "env": ["A=from-config", "PATH=/usr/bin:/bin"]}
        ]
    }  # fmt: skip
    ct.run("true", env={"SECRET_OF_CALLER": "x"}).check()
    assert order(journal) == ["zero", "one", "from-config"]
    assert "SECRET_OF_CALLER" not in (journal / "env").read_text()


def test_without_args_the_path_is_the_name(ct, journal):
    script = ct.file("hook.sh", f'#!/bin/sh\necho "$0" > {journal}/order\n', 0o755)
    ct.spec["hooks"] = {"createRuntime": [{"path": str(script)}]}
    ct.run("true").check()
    assert order(journal) == [str(script)]


@pytest.mark.parametrize("point", OF_CREATE)
def test_failing_hooks_of_create(ct, journal, point):
    """create fails, says the hook's words, leaves nothing; later hooks do not run, poststop ones do."""
    hook(ct, point, "echo hook-complains >&2; exit 7")
    note(ct, journal, "poststart")
    ct.create("write /journal/program ran").refused("hook-complains|exit status 7|exit code 7|7")
    assert not (journal / "program").exists() and "poststart" not in order(journal)
    assert ct.status is None
    ct.assert_clean()


def test_poststop_runs_after_a_failed_create(ct, journal):
    hook(ct, "createRuntime", "exit 1")
    note(ct, journal, "poststop")
    ct.create("true").refused()
    assert order(journal) == ["poststop"]
    ct.assert_clean()


def test_a_failing_hook_stops_the_following(ct, journal):
    hook(ct, "createRuntime", "exit 1")
    note(ct, journal, "createRuntime")
    ct.create("true").refused()
    assert order(journal) == []


def test_a_failing_start_container_hook(ct, journal):
    needs_busybox()
    hook(ct, "startContainer", "exit 3")
    ct.create("write /journal/program ran").check()
    ct.start()
    ct.wait_status("stopped")
    assert not (journal / "program").exists()
    ct.delete().check()
    ct.assert_clean()


def test_a_failing_start_container_hook_of_run(ct, journal):
    needs_busybox()
    hook(ct, "startContainer", "exit 3")
    assert ct.run("write /journal/program ran").code != 0
    assert not (journal / "program").exists()
    ct.assert_clean()


def test_a_failing_poststart_hook_stops_the_container(ct, journal):
    """runtime.md, step 10: an error, and the container is stopped."""
    hook(ct, "poststart", "exit 3")
    ct.create("pause").check()
    ct.start().refused()
    assert ct.status in (None, "stopped")


def test_a_failing_poststop_hook_is_a_warning(ct, journal):
    hook(ct, "poststop", "exit 3")
    note(ct, journal, "poststop")
    ct.create("pause").check()
    ct.kill("KILL").check()
    ct.wait_status("stopped")
    ct.delete().check()
    assert order(journal) == ["poststop"]
    ct.assert_clean()


def test_a_hook_that_takes_too_long(ct, journal):
    hook(ct, "createRuntime", "exec sleep 60", timeout=1)
    begin = time.monotonic()
    ct.create("true").refused()
    assert time.monotonic() - begin < 10
    ct.assert_clean()


def test_a_hook_in_time(ct, journal):
    entry = note(ct, journal, "createRuntime")
    entry["timeout"] = 5
    ct.run("true").check()
    assert order(journal) == ["createRuntime"]


@pytest.mark.parametrize("value", [0, -1])
def test_timeouts_that_are_none(ct, value):
    hook(ct, "createRuntime", "true", timeout=value)
    ct.create("true").refused()
    ct.assert_clean()


def test_a_missing_hook(ct):
    ct.spec["hooks"] = {"createRuntime": [{"path": "/no/such/hook"}]}
    ct.create("true").refused("/no/such/hook")
    ct.assert_clean()


@pytest.mark.parametrize("path", ["relative/hook", ""])
def test_a_hook_whose_path_is_not_absolute(ct, path):
    ct.spec["hooks"] = {"createRuntime": [{"path": path}]}
    ct.create("true").refused()
    ct.assert_clean()


def test_hooks_get_no_descriptors_of_the_runtime(ct, journal):
    hook(ct, "createRuntime", f"/usr/bin/busybox ls -l /proc/self/fd > {journal}/fds")
    needs_busybox()
    ct.run("true").check()
    lines = [line for line in (journal / "fds").read_text().splitlines() if "->" in line]
    targets = {line.split()[-3]: line.split()[-1] for line in lines}
    assert {name for name, target in targets.items() if not target.startswith("/proc/")} <= {"0", "1", "2"}
