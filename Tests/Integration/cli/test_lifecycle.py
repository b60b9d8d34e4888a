"""create, start, stop, kill, restart, rm, wait, pause, rename, top: what Docker documents for each, and its exit codes."""

import re
import signal
import subprocess
import time

import pytest

from host import wait_for

TRAP = "trap 'echo got term; exit 3' TERM; trap 'echo got int; exit 4' INT; echo ready; while :; do sleep 0.02; done"
DEAF = "trap '' TERM INT HUP; echo ready; while :; do sleep 0.02; done"


def listening(berth, name, script=TRAP, *flags):
    berth.up("--name", name, *flags, command=("sh", "-c", script))
    berth.wait_log(name, "ready")


# create


def test_create_prints_the_id_and_starts_nothing(berth):
    result = berth.ok("create", "--name", "made", "--network", "none", "test", "sh", "-c", "echo out; exit 5")
    assert re.fullmatch(r"[0-9a-f]{64}\n", result.out) and result.err == ""
    state = berth.inspect("made", "State")
    assert (state["Status"], state["Running"], state["Pid"], state["ExitCode"]) == ("created", False, 0, 0)
    assert state["StartedAt"] == state["FinishedAt"] == "0001-01-01T00:00:00Z"
    assert berth.ok("logs", "made").out == ""
    result = berth.call("start", "-a", "made").exits(5)
    assert result.out == "out\n"


def test_create_with_stdin_then_start(berth):
    berth.ok("container", "create", "-i", "--name", "reader", "--network", "none", "test", "cat")
    assert berth.ok("start", "-ai", "reader", stdin="through\n").out == "through\n"


# start


def test_start_prints_what_was_typed(berth):
    identity = berth.ok("create", "--name", "one", "--network", "none", "test", "sleep", "1000").text
    berth.ok("create", "--name", "two", "--network", "none", "test", "sleep", "1000")
    result = berth.ok("container", "start", identity[:10], "two")
    assert result.lines == [identity[:10], "two"]
    assert berth.status("one") == berth.status("two") == "running"


def test_start_of_what_runs_is_nothing(berth):
    berth.up("--name", "runs")
    pid = berth.pid("runs")
    assert berth.ok("start", "runs").text == "runs"
    assert berth.pid("runs") == pid


def test_start_goes_on_after_one_that_is_missing(berth):
    berth.ok("create", "--name", "there", "--network", "none", "test", "sleep", "1000")
    result = berth.call("start", "missing", "there").fails(1, "no such container: missing")
    assert result.text == "there"
    assert berth.status("there") == "running"


def test_start_of_a_missing_program(berth):
    berth.ok("create", "--name", "never", "--network", "none", "test", "/nosuch")
    berth.call("start", "never").fails(1, "/nosuch")
    assert berth.inspect("never", "State.ExitCode") == 127
    berth.call("start", "-a", "never").fails(127, "/nosuch")


def test_start_attached_to_several(berth):
    for name in ("one", "two"):
        berth.ok("create", "--name", name, "--network", "none", "test", "true")
    berth.call("start", "-a", "one", "two").fails(1, "you cannot start and attach multiple containers at once")
    assert berth.status("one") == "created"


def test_start_again_counts_from_new(berth):
    berth.call("run", "--name", "again", "--network", "none", "test", "sh", "-c", "exit 6").exits(6)
    first = berth.inspect("again", "State")
    assert berth.call("start", "-a", "again").code == 6
    second = berth.inspect("again", "State")
    assert second["StartedAt"] > first["FinishedAt"]


# stop


def test_stop_asks_with_sigterm(berth):
    listening(berth, "asked")
    assert berth.ok("stop", "asked").text == "asked"
    state = berth.inspect("asked", "State")
    assert (state["Status"], state["ExitCode"], state["OOMKilled"]) == ("exited", 3, False)
    assert "got term" in berth.logs("asked")


def test_stop_of_what_does_not_run(berth):
    berth.ok("create", "--name", "idle", "--network", "none", "test", "true")
    assert berth.ok("stop", "idle").text == "idle"
    assert berth.status("idle") == "created"
    berth.call("start", "-a", "idle").exits(0)
    assert berth.ok("stop", "idle", "idle").lines == ["idle", "idle"]


def test_stop_kills_after_the_time(berth):
    listening(berth, "deaf", DEAF)
    begin = time.monotonic()
    berth.ok("stop", "-t", "1", "deaf")
    took = time.monotonic() - begin
    assert 0.9 < took < 5
    assert berth.inspect("deaf", "State.ExitCode") == 137


@pytest.mark.parametrize("words", [("-t", "0"), ("--timeout", "0"), ("--time=0",), ("-t0",)])
def test_stop_at_once(berth, words):
    listening(berth, "deaf", DEAF)
    begin = time.monotonic()
    berth.ok("stop", *words, "deaf")
    assert time.monotonic() - begin < 3
    assert berth.inspect("deaf", "State.ExitCode") == 137


def test_stop_waits_for_ever(berth):
    script = "trap 'sleep 0.5; exit 9' TERM; echo ready; while :; do sleep 0.02; done"
    listening(berth, "slow", script, "--stop-timeout", "0")
    berth.ok("stop", "-t", "-1", "slow")
    assert berth.inspect("slow", "State.ExitCode") == 9


@pytest.mark.parametrize("spelling", ["INT", "SIGINT", "int", "2"])
def test_stop_with_another_signal(berth, spelling):
    listening(berth, "asked")
    berth.ok("stop", "--signal", spelling, "asked")
    assert berth.inspect("asked", "State.ExitCode") == 4


def test_stop_uses_the_containers_signal_and_time(berth):
    listening(berth, "asked", TRAP, "--stop-signal", "SIGINT")
    assert berth.inspect("asked", "Config.StopSignal") in ("SIGINT", "INT", "2")
    berth.ok("stop", "asked")
    assert berth.inspect("asked", "State.ExitCode") == 4
    listening(berth, "deaf", DEAF, "--stop-timeout", "1")
    begin = time.monotonic()
    berth.ok("stop", "deaf")
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize("words", [("-s", "NOSUCH"), ("-s", "0"), ("-s", "99"), ("-s", ""), ("-t", "soon")])
def test_stop_refuses(berth, words):
    berth.up("--name", "runs")
    result = berth.call("stop", *words, "runs")
    if words == ("-s", ""):
        return
    assert result.code in (1, 125) and result.err
    assert berth.status("runs") == "running"


def test_stop_of_several_takes_no_longer_than_one(berth):
    for number in range(4):
        listening(berth, f"deaf{number}", DEAF)
    begin = time.monotonic()
    result = berth.call("stop", "-t", "1", *[f"deaf{number}" for number in range(4)], "missing").fails(1, "no such container: missing")
    assert time.monotonic() - begin < 3.5
    assert result.lines == [f"deaf{number}" for number in range(4)]


def test_stop_of_a_paused_container(berth):
    if not berth.who.is_root:
        pytest.skip("an ordinary user has no freezer here")
    listening(berth, "frozen")
    berth.ok("pause", "frozen")
    berth.ok("stop", "-t", "2", "frozen")
    assert berth.status("frozen") == "exited"


# kill


@pytest.mark.parametrize("spelling", ["USR1", "SIGUSR1", "usr1", "sigusr1", "10"])
def test_kill_spellings(berth, spelling):
    listening(berth, "target", "trap 'exit 11' USR1; echo ready; while :; do sleep 0.02; done")
    assert berth.ok("kill", "-s", spelling, "target").text == "target"
    assert berth.ok("wait", "target").text == "11"


def test_kill_is_sigkill(berth):
    berth.up("--name", "target")
    berth.ok("container", "kill", "target")
    # what SIGKILL ends has ended when the command returns
    assert berth.status("target") == "exited"
    assert berth.inspect("target", "State.ExitCode") == 137


@pytest.mark.parametrize("spelling", ["RTMIN", "SIGRTMIN+3", "RTMAX-1", "34"])
def test_kill_with_a_real_time_signal(root_berth, spelling):
    root_berth.up("--name", "target", "--init")
    root_berth.ok("kill", "-s", spelling, "target")


@pytest.mark.parametrize("spelling", ["NOSUCH", "0", "-1", "65", "", "SIG", "KILL "])
def test_kill_refuses_a_bad_signal(berth, spelling):
    berth.up("--name", "target")
    berth.call("kill", "-s", spelling, "target").fails(1, "invalid signal|signal")
    assert berth.status("target") == "running"


def test_kill_of_what_does_not_run(berth):
    identity = berth.ok("create", "--name", "idle", "--network", "none", "test", "true").text
    berth.call("kill", "idle").fails(1, f"cannot kill container: idle.*{identity} is not running")
    berth.up("--name", "target")
    result = berth.call("kill", "idle", "target", "missing").fails(1, "is not running", "no such container: missing")
    assert result.text == "target"
    assert berth.status("target") == "exited"


# restart


def test_restart(berth):
    listening(berth, "again")
    before = berth.inspect("again", "State")
    assert berth.ok("container", "restart", "again").text == "again"
    after = berth.inspect("again", "State")
    assert after["Running"] and after["Pid"] != before["Pid"] and after["StartedAt"] > before["StartedAt"]
    assert berth.inspect("again", "RestartCount") == 0  # counts the restart policy's only


def test_restart_starts_what_is_stopped(berth):
    berth.ok("create", "--name", "idle", "--network", "none", "test", "sleep", "1000")
    berth.ok("restart", "idle")
    assert berth.status("idle") == "running"
    berth.call("restart", "missing", "idle", "-t", "0").fails(1, "no such container: missing")
    assert berth.status("idle") == "running"


def test_restart_keeps_files(berth):
    berth.up("--name", "files", command=("sh", "-c", "echo x >> /count; exec sleep 1000"))
    wait_for(lambda: berth.call("exec", "files", "cat", "/count").out == "x\n", "the first line")
    berth.ok("restart", "-t", "0", "files")
    wait_for(lambda: berth.call("exec", "files", "cat", "/count").out == "x\nx\n", "the second line")


# rm


def test_rm_prints_what_was_typed(berth):
    identity = berth.ok("create", "--network", "none", "test", "true").text
    assert berth.ok("rm", identity[:12]).text == identity[:12]
    berth.call("inspect", identity).fails(1, "no such object")


def test_rm_of_a_running_container(berth):
    identity = berth.up("--name", "runs")
    berth.call("rm", "runs").fails(1, "cannot remove container.*runs.*running|container is running", "-f|force|stop")
    assert berth.status("runs") == "running"
    assert berth.ok("container", "rm", "-f", "runs").text == "runs"
    berth.assert_clean(identity)


def test_rm_of_several_goes_on(berth):
    for name in ("one", "three"):
        berth.ok("create", "--name", name, "--network", "none", "test", "true")
    result = berth.call("rm", "one", "missing", "three").fails(1, "no such container: missing")
    assert result.lines == ["one", "three"]
    assert berth.names("-a") == []


def test_rm_f_of_what_is_missing(berth):
    result = berth.call("rm", "-f", "missing")
    assert result.code in (0, 1) and "no such container" in result.err.lower() and result.out == ""


def test_rm_removes_unnamed_volumes_only_when_asked(berth):
    def volumes():
        directory = berth.root / "volumes"
        return {entry.name for entry in directory.iterdir() if re.fullmatch("[0-9a-f]{64}", entry.name)} if directory.exists() else set()

    before = volumes()
    berth.ok("create", "--name", "keeps", "--network", "none", "-v", "/data", "test", "true")
    berth.ok("rm", "keeps")
    kept = volumes() - before
    assert len(kept) == 1
    berth.ok("create", "--name", "drops", "--network", "none", "-v", "/data", "-v", "named-volume:/named", "test", "true")
    berth.ok("rm", "-v", "drops")
    assert volumes() - before == kept
    assert (berth.root / "volumes/named-volume").exists()


def test_remove_and_other_aliases(berth):
    berth.ok("create", "--name", "it", "--network", "none", "test", "true")
    berth.ok("container", "remove", "it")
    assert berth.names("-a") == []


# wait


def test_wait_for_several(berth):
    for name, code in (("two", 2), ("three", 3)):
        berth.up("--name", name, command=("sh", "-c", f"sleep 0.2; exit {code}"))
    assert berth.ok("wait", "two", "three").lines == ["2", "3"]
    assert berth.ok("container", "wait", "two").text == "2"  # after the end
    result = berth.call("wait", "missing", "three").fails(1, "no such container: missing")
    assert result.text == "3"


def test_wait_for_one_that_is_removed_meanwhile(berth):
    berth.up("--name", "gone", "--rm", command=("sh", "-c", "sleep 0.3; exit 7"))
    assert berth.ok("wait", "gone").text == "7"
    wait_for(lambda: "gone" not in berth.names("-a"), "the container to be gone")


def test_wait_of_a_created_container_waits_for_its_end(berth):
    berth.ok("create", "--name", "later", "--network", "none", "test", "sh", "-c", "exit 8")
    process = berth.popen("wait", "later", stdout=subprocess.PIPE)
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        berth.ok("start", "later")
        assert process.wait(10) == 0
        assert process.stdout.read() == b"8\n"
    finally:
        process.kill()
        process.stdout.close()


# pause, unpause


def test_pause_and_unpause(root_berth):
    berth = root_berth
    listening(berth, "frozen", "echo ready; while :; do echo x; sleep 0.02; done")
    assert berth.ok("container", "pause", "frozen").text == "frozen"
    state = berth.inspect("frozen", "State")
    assert (state["Status"], state["Paused"], state["Running"]) == ("paused", True, True)
    assert "(Paused)" in berth.ok("ps").out
    berth.call("pause", "frozen").fails(1, "already paused")
    berth.call("exec", "frozen", "true").fails(1, "is paused, unpause the container before exec")
    # Nothing moves while frozen: the size of the log is the same at two looks.
    size = len(berth.logs("frozen"))
    time.sleep(0.1)
    assert len(berth.logs("frozen")) == size
    assert berth.ok("unpause", "frozen").text == "frozen"
    wait_for(lambda: len(berth.logs("frozen")) > size, "the container to go on")
    berth.call("unpause", "frozen").fails(1, "not paused")
    berth.call("pause", "missing").fails(1, "no such container: missing")
    berth.ok("stop", "-t", "0", "frozen")
    berth.call("pause", "frozen").fails(1, "not running")


def test_kill_of_a_paused_container(root_berth):
    root_berth.up("--name", "frozen")
    root_berth.ok("pause", "frozen")
    root_berth.ok("kill", "frozen")
    root_berth.wait_status("frozen", "exited")


def test_rm_f_of_a_paused_container(root_berth):
    identity = root_berth.up("--name", "frozen")
    root_berth.ok("pause", "frozen")
    root_berth.ok("rm", "-f", "frozen")
    root_berth.assert_clean(identity)


# rename


def test_rename(berth):
    identity = berth.up("--name", "before")
    result = berth.ok("container", "rename", "before", "after")
    assert result.out == ""
    assert berth.inspect("after", "Id") == identity and berth.inspect("after", "Name") == "/after"
    berth.call("inspect", "before").fails(1, "no such object")
    assert berth.names() == ["after"]
    berth.up("--name", "before")


def test_rename_refuses(berth):
    berth.ok("create", "--name", "one", "--network", "none", "test", "true")
    taken = berth.ok("create", "--name", "two", "--network", "none", "test", "true").text
    berth.call("rename", "one", "two").fails(1, f'the container name "/two" is already in use by container "{taken}"')
    berth.call("rename", "one", "one").fails(1, "same name as its current name")
    for bad in ("", "a", "-x", "x/y", "x y", "ü"):
        berth.call("rename", "--", "one", bad).fails(1, "name")
    berth.call("rename", "missing", "three").fails(1, "no such container: missing")
    berth.call("rename", "one").fails(1, "requires 2 arguments")
    assert sorted(berth.names("-a")) == ["one", "two"]


# top


def test_top(berth):
    berth.up("--name", "busy", command=("sh", "-c", "sleep 1001 & sleep 1002"))
    wait_for(lambda: "sleep 1001" in berth.ok("top", "busy").out and "sleep 1002" in berth.ok("top", "busy").out, "both processes")
    lines = berth.ok("container", "top", "busy").lines
    assert lines[0].split() == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert any("sleep 1001" in line for line in lines) and any("sleep 1002" in line for line in lines)
    assert berth.ok("top", "busy", "-o", "pid,comm").lines[0].split() == ["PID", "COMMAND"]
    assert berth.ok("top", "busy", "-eo", "pid,args").lines[0].split()[0] == "PID"
    assert berth.ok("top", "busy", "aux").lines[0].split()[:3] == ["USER", "PID", "%CPU"]
    assert str(berth.pid("busy")) in berth.ok("top", "busy", "-o", "pid").out.split()
    berth.call("top", "busy", "--nosuchoption").fails(1, "nosuchoption")
    berth.ok("kill", "busy")
    berth.call("top", "busy").fails(1, "is not running")


# Any command


@pytest.mark.parametrize("words", ["start", "stop", "kill", "restart", "rm", "pause", "unpause", "wait", "top", "logs", "attach", "inspect"])
def test_a_container_that_is_missing(berth, words):
    berth.call(words, "missing").fails(1, "no such (container|object): missing")


def test_an_ambiguous_beginning_of_an_id(berth):
    made = {}
    for _ in range(40):
        identity = berth.ok("create", "--network", "none", "test", "true").text
        if identity[0] in made:
            berth.call("start", identity[0]).fails(1, "multiple IDs found|multiple|ambiguous")
            return
        made[identity[0]] = identity
    pytest.fail("40 ids with 40 first digits")


def test_a_name_wins_over_the_beginning_of_an_id(berth):
    identity = berth.ok("create", "--network", "none", "test", "true").text
    other = berth.ok("create", "--name", identity[:12], "--network", "none", "test", "true").text
    assert berth.inspect(identity[:12], "Id") == other
    assert berth.inspect(identity, "Id") == identity


def test_death_of_the_command_leaves_the_container(berth):
    process = berth.popen("run", "--name", "stays", "--network", "none", "test", "sh", "-c", "echo ready; sleep 1000", stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert berth.status("stays") == "running"
    berth.ok("stop", "-t", "0", "stays")
