"""create, start, run, kill, delete: the OCI lifecycle and runc's command line for it."""

import json
import os
import signal
import subprocess
import time

import pytest

from host import subreaper, wait_for

NOT_RUNNING = "not running|already finished|no such process|not in .*state|stopped"


def test_run_leaves_nothing(ct):
    ct.run("true").check()
    ct.assert_clean()


@pytest.mark.parametrize("code", [1, 7, 125, 126, 127, 255])
def test_run_returns_the_exit_code(root_ct, code):
    result = root_ct.run(f"exit {code}")
    assert result.code == code
    root_ct.assert_clean()


def test_run_returns_the_exit_code_rootless(user_ct):
    assert user_ct.run("exit 42").code == 42
    user_ct.assert_clean()


def test_run_of_a_killed_process_is_128_plus_the_signal(ct):
    ct.args("pause")
    ct.save()
    process = ct.popen("run", "--bundle", ct.dir, ct.id, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    ct.kill("KILL").check()
    assert process.wait(10) == 137
    process.stdout.close()
    ct.assert_clean()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_run_forwards_signals(ct, number):
    ct.args("pause")
    ct.save()
    process = ct.popen("run", "--bundle", ct.dir, ct.id, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(number)
    line = process.stdout.readline()
    while line == b"signal URG\n":  # a Go runtime sends these to itself and passes them on
        line = process.stdout.readline()
    assert line == f"signal {number.name[3:]}\n".encode()
    if number != signal.SIGTERM:
        ct.kill("TERM").check()
    assert process.wait(10) == 0
    process.stdout.close()


def test_run_passes_the_three_streams(ct):
    result = ct.run("fd-cat 0", "stderr to-stderr", stdin="from stdin\n").check()
    assert "from stdin\n" in result.out and "to-stderr" not in result.out
    assert "to-stderr" in result.err


def test_run_gives_end_of_file_on_stdin(ct):
    assert ct.run("fd-cat 0", stdin="").check().out == ""


def test_large_output_arrives_whole(ct):
    (ct.rootfs / "large").write_bytes(b"0123456789abcdef" * 65536)
    assert ct.run("cat /large").check().out == "0123456789abcdef" * 65536


def test_create_does_not_run_the_program(ct):
    ct.create("write /tmp/ran yes", "pause").check()
    state = ct.state()
    assert state["status"] == "created" and state["pid"] > 0
    assert not (ct.rootfs / "tmp/ran").exists()
    ct.start().check()
    ct.wait_log("^ready$")
    assert (ct.rootfs / "tmp/ran").read_text() == "yes"
    assert ct.status == "running" and ct.state()["pid"] == state["pid"]
    ct.stop()
    ct.assert_clean()


def test_config_changes_after_create_do_not_matter(ct):
    ct.create("echo before").check()
    ct.args("echo after")
    ct.spec["hostname"] = "after"
    ct.save()
    ct.start().check()
    ct.wait_log("before")
    ct.wait_status("stopped")
    assert "after" not in ct.log


def test_state_fields(ct):
    ct.spec["annotations"] = {"org.example.key": "value", "org.example.empty": ""}
    ct.up()
    state = ct.state()
    assert state["ociVersion"].count(".") == 2
    assert state["id"] == ct.id
    assert state["status"] == "running"
    assert os.path.exists(f"/proc/{state['pid']}")
    assert state["bundle"] == str(ct.dir)
    assert state["annotations"] == {"org.example.key": "value", "org.example.empty": ""}
    assert state["rootfs"] == str(ct.rootfs)
    assert state["created"].startswith("20") and "T" in state["created"]
    ct.kill("KILL").check()
    ct.wait_status("stopped")
    state = ct.state()
    assert state["id"] == ct.id and state["bundle"] == str(ct.dir) and state.get("pid", 0) == 0


def test_the_pid_is_the_containers_init(ct):
    ct.up()
    pid = ct.pid
    assert os.readlink(f"/proc/{pid}/ns/pid") != os.readlink("/proc/self/ns/pid")
    fields = dict(line.split(":", 1) for line in open(f"/proc/{pid}/status") if ":" in line)
    assert fields["NSpid"].split()[-1] == "1"


def test_state_of_nothing(ct):
    ct.call("state", "no-such-container").refused("does not exist|not found|no such")
    ct.call("state").refused()


@pytest.mark.parametrize("command", ["create", "start", "kill", "delete", "run", "exec"])
def test_commands_need_an_id(ct, command):
    ct.save()
    ct.call(command, cwd=str(ct.dir)).refused()


@pytest.mark.parametrize("command", ["start", "kill", "delete", "pause", "resume", "ps"])
def test_commands_on_a_missing_container(ct, command):
    ct.call(command, "no-such-container").refused("does not exist|not found|no such")


def test_force_delete_of_a_missing_container(ct):
    """Callers clean up with `delete --force` without knowing how far creation came."""
    ct.call("delete", "--force", "no-such-container").check()


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../up", "a/b", "/abs", "with space", "new\nline", "x" * 1025],
    ids=["empty", "dot", "dotdot", "up", "nested", "absolute", "space", "newline", "long"],
)  # fmt: skip
def test_ids_that_are_no_names_are_refused(ct, name):
    """The state root is the test's own, so that a runtime that accepts the name is seen and cleaned up after."""
    ct.state_root = ct.directory("state")
    ct.args("true")
    ct.save()
    ct.call_detached("create", "--bundle", ct.dir, name).refused()
    assert not any(files for _, _, files in os.walk(ct.state_root))


def test_ids_may_hold_the_usual_punctuation(ct):
    ct.id = ct.id + "_a-b.c+D"
    ct.linux.pop("cgroupsPath", None)
    ct.process["env"] = [f"BERTH_TEST_ID={ct.id}"]
    ct.run("true").check()
    ct.assert_clean()


def test_a_second_container_of_one_id_is_refused(ct):
    ct.create("pause").check()
    pid = ct.pid
    ct.call_detached("create", "--bundle", ct.dir, ct.id).refused("exist|in use")
    ct.call("run", "--bundle", ct.dir, ct.id).refused("exist|in use")
    assert ct.status == "created" and ct.pid == pid
    ct.start().check()
    ct.wait_log("^ready$")


def test_start_twice_is_refused(ct):
    ct.create("pause").check()
    ct.start().check()
    ct.wait_log("^ready$")
    ct.start().refused()
    assert ct.status == "running"


def test_start_of_a_stopped_container_is_refused(ct):
    ct.up()
    ct.kill("KILL").check()
    ct.wait_status("stopped")
    ct.start().refused()
    assert ct.status == "stopped"


def test_delete_of_a_running_container_is_refused(ct):
    ct.up()
    pid = ct.pid
    ct.delete().refused("stopped|running")
    assert ct.status == "running" and ct.pid == pid
    ct.stop()
    ct.assert_clean()


def test_force_delete_of_a_running_container(ct):
    ct.up("family 3")
    ct.delete("--force").check()
    assert ct.status is None
    ct.assert_clean()


def test_delete_of_a_created_container(ct):
    """runc and crun delete it, and containerd's shim relies on that, although the spec asks for an error."""
    ct.create("pause").check()
    ct.delete().check()
    ct.assert_clean()


def test_force_delete_of_a_created_container(ct):
    ct.create("pause").check()
    ct.delete("--force").check()
    ct.assert_clean()


def test_kill_of_a_created_container(ct):
    ct.create("pause").check()
    ct.kill("KILL").check()
    ct.wait_status("stopped")
    ct.delete().check()
    ct.assert_clean()


def test_kill_of_a_stopped_container_is_refused(ct):
    ct.run_detached("true").check()
    ct.wait_status("stopped")
    ct.kill("TERM").refused(NOT_RUNNING)


def test_kill_uses_term_by_default(ct):
    ct.up()
    ct.call("kill", ct.id).check()
    ct.wait_log("^signal TERM$")
    ct.wait_status("stopped")


@pytest.mark.parametrize("form", ["SIG{}", "{}", "lower"])
def test_kill_by_name(ct, form):
    ct.up("pause ignore")
    for name in ("HUP", "INT", "QUIT", "USR1", "USR2", "PIPE", "ALRM", "TERM", "CONT", "WINCH"):
        ct.kill(name.lower() if form == "lower" else form.format(name)).check()
        ct.wait_log(f"^signal {name}$")


def test_kill_by_number(root_ct):
    root_ct.up("pause ignore")
    for number in [*range(1, 9), *range(10, 19), *range(20, 32), 34, 64]:
        root_ct.kill(str(number)).check()
    for number in (34, 64):
        root_ct.wait_log(f"^signal {number}$")
    for name in ("HUP", "TRAP", "SEGV", "STKFLT", "SYS", "URG"):
        root_ct.wait_log(f"^signal {name}$")


@pytest.mark.parametrize("name", ["NOSUCH", "SIGNOSUCH", "-5", "999", "9x"])
def test_kill_with_no_signal_is_refused(root_ct, name):
    root_ct.up()
    root_ct.call("kill", root_ct.id, name).refused()
    assert root_ct.status == "running"


def test_kill_all_reaches_every_process(ct):
    ct.up("family 3")
    ct.kill("KILL", "--all").check()
    ct.wait_status("stopped")
    wait_for(lambda: not ct.processes(), "the children to be gone")


def test_kill_all_with_the_hosts_pid_namespace(root_ct):
    """Without a pid namespace the kernel does not take the children along: the cgroup has to."""
    root_ct.drop_namespace("pid")
    root_ct.up("family 3")
    assert len(root_ct.processes()) == 4
    root_ct.kill("KILL", "--all").check()
    wait_for(lambda: not root_ct.processes(), "the children to be gone")
    root_ct.delete().check()
    root_ct.assert_clean()


def test_force_delete_with_the_hosts_pid_namespace(root_ct):
    root_ct.drop_namespace("pid")
    root_ct.up("family 3")
    root_ct.delete("--force").check()
    root_ct.assert_clean()


def test_delete_after_the_init_died_alone(root_ct):
    """Only the init is dead; delete ends the rest of the cgroup, which would otherwise be nobody's."""
    root_ct.drop_namespace("pid")
    root_ct.up("family 2")
    root_ct.kill("KILL").check()
    root_ct.wait_status("stopped")
    root_ct.delete().check()
    root_ct.assert_clean()


def test_run_detached_returns_at_once(ct):
    begin = time.monotonic()
    ct.run_detached("pause").check()
    assert time.monotonic() - begin < 10
    ct.wait_log("^ready$")
    assert ct.status == "running"
    ct.stop()
    ct.assert_clean()


def test_a_detached_container_outlives_the_runtime(ct):
    ct.up()
    assert [int(pid) for pid in ct.processes()] == [ct.pid]


def test_run_detached_of_a_short_program(ct):
    ct.run_detached("exit 3").check()
    ct.wait_status("stopped")
    ct.delete().check()
    ct.assert_clean()


def test_run_keep(ct):
    ct.run("true", flags=["--keep"]).check()
    assert ct.status == "stopped"
    ct.delete().check()
    ct.assert_clean()


@pytest.mark.parametrize("command", ["create", "run"])
def test_pid_file(ct, command):
    path = ct.dir / "pid"
    if command == "create":
        ct.create("pause", flags=["--pid-file", path]).check()
    else:
        ct.run_detached("pause", flags=["--pid-file", path]).check()
    assert path.read_text() == str(ct.pid)


def test_a_pid_file_that_cannot_be_written(ct):
    ct.create("pause", flags=["--pid-file", "/proc/nowhere/pid"]).refused("pid")
    ct.assert_clean()


def test_the_bundle_is_the_current_directory_by_default(ct):
    ct.args("echo here")
    ct.save()
    assert ct.call("run", ct.id, cwd=str(ct.dir)).check().out == "here\n"


def test_the_bundle_may_be_relative(ct):
    ct.create("pause", flags=[], cwd=str(ct.dir.parent)).check()
    ct.delete("--force").check()
    ct.save()
    ct.call_detached("create", "--bundle", ct.dir.name, ct.id, cwd=str(ct.dir.parent)).check()
    assert ct.state()["bundle"] == str(ct.dir)


def test_the_bundle_may_be_a_link(ct):
    link = ct.dir.parent / (ct.id + "-link")
    link.symlink_to(ct.dir)
    ct.args("echo here")
    ct.save()
    try:
        assert ct.call("run", "--bundle", link, ct.id).check().out == "here\n"
    finally:
        link.unlink()


def test_root_path_may_be_absolute(ct):
    ct.spec["root"]["path"] = str(ct.rootfs)
    assert ct.run("echo here").check().out == "here\n"


def test_errors_go_to_the_log_as_json(ct):
    """containerd reads the last error from this file."""
    path = ct.dir / "log.json"
    ct.process["args"] = ["/no-such-program"]
    ct.create(options=["--log", path, "--log-format", "json"])
    ct.start() if ct.status else None
    ct.call("start", "no-such-container", options=["--log", path, "--log-format", "json"]).refused() if not path.exists() else None
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    error = [line for line in lines if line["level"] == "error"][-1]
    assert "no such file" in error["msg"].lower() or "not found" in error["msg"]
    assert error["time"].startswith("20")


def test_errors_go_to_the_log_as_text(ct):
    path = ct.dir / "log.txt"
    ct.call("start", "no-such-container", options=["--log", path]).refused()
    assert "no such" in path.read_text() or "not exist" in path.read_text()


def test_the_default_root_of_an_ordinary_user(user_ct):
    """Without --root the state is in XDG_RUNTIME_DIR."""
    user_ct.args("pause")
    user_ct.save()
    error = user_ct.dir / "err"
    with open(user_ct.dir / "out", "wb") as out, open(error, "wb") as err:
        code = user_ct.popen("run", "-d", "-b", user_ct.dir, user_ct.id, root=False, stdout=out, stderr=err).wait(10)
    assert code == 0, error.read_text()
    directory = user_ct.suite.runtime_directory(user_ct.who)
    found = [os.path.join(path, name) for path, names, _ in os.walk(directory) for name in names]
    assert any(user_ct.id in path for path in found)
    assert user_ct.popen("delete", "-f", user_ct.id, root=False).wait(10) == 0
    user_ct.assert_clean()


def test_a_subreaper_inherits_the_init_and_nothing_else(ct):
    """What conmon and containerd's shim rely on: the container's exit status comes to them, and no helper of the runtime does."""
    with subreaper() as inherited:
        ct.run_detached("pause", "exit 9").check()
        ct.wait_log("^ready$")
        pid = ct.pid
        assert inherited() == {pid}
        ct.kill("TERM").check()
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
        assert inherited() == set()
    ct.wait_status("stopped")


def test_orphans_are_reaped_by_run(root_ct):
    """With the host's pid namespace, what the container leaves is reaped by `run`, which is its subreaper."""
    root_ct.drop_namespace("pid")
    root_ct.args("orphan", "pause")
    root_ct.save()
    process = root_ct.popen("run", "--bundle", root_ct.dir, root_ct.id, stdout=subprocess.PIPE)
    pid = int(process.stdout.readline().split()[1])
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"), "the orphan to be reaped")
    root_ct.kill("TERM").check()
    assert process.wait(10) == 0
    process.stdout.close()


def test_twenty_containers_at_once(make):
    containers = [make() for _ in range(20)]
    for container in containers:
        container.args(f"echo {container.id}")
        container.save()
    running = [c.popen("run", "--bundle", c.dir, c.id, stdout=subprocess.PIPE) for c in containers]
    for container, process in zip(containers, running):
        assert process.communicate(timeout=30)[0].decode() == container.id + "\n"
        assert process.returncode == 0
