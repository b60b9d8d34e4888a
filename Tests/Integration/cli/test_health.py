"""Health checks: probes, what is shown of them, what follows from them."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import pytest

import images
from host import wait_asleep, wait_for
from peer_docker import PrivateDocker

FAST = ("--health-interval", "50ms", "--health-timeout", "5s")


def health(berth, name):
    return berth.inspect(name, "State").get("Health")


def probed(berth, command, *flags, program=("sleep", "1000")):
    """A container with a quick probe."""
    return berth.up("--health-cmd", command, *FAST, *flags, command=program)


def wait_health(berth, name, status, deadline=20):
    return wait_for(lambda: (seen := health(berth, name)) and seen["Status"] == status and seen, f"{name} to be {status}", deadline)


def shown(berth, name):
    return berth.ok("ps", "-a", "--filter", f"id={name}", "--format", "{{.Status}}").text


# What is shown


def test_healthy(berth):
    name = probed(berth, "echo out; echo err >&2; exit 0")
    assert berth.ok("wait", "--condition", "healthy", name).text == "-1"
    seen = health(berth, name)
    assert (seen["Status"], seen["FailingStreak"]) == ("healthy", 0) and list(seen) == ["Status", "FailingStreak", "Log"]
    entry = seen["Log"][0]
    assert list(entry) == ["Start", "End", "ExitCode", "Output"]
    assert (entry["ExitCode"], entry["Output"]) == (0, "out\nerr\n")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", entry["Start"]) and entry["Start"] < entry["End"]
    assert re.fullmatch(r"Up .* \(healthy\)", shown(berth, name))
    assert berth.inspect(name, "Config.Healthcheck") == {
        "Test": ["CMD-SHELL", "echo out; echo err >&2; exit 0"], "Interval": 50_000_000, "Timeout": 5_000_000_000,
    }  # fmt: skip
    assert berth.ok("inspect", "-f", "{{.State.Health.Status}} {{len .State.Health.Log}}", name).text.startswith("healthy ")


def test_starting_and_unhealthy(berth):
    name = probed(berth, "exit 3", "--health-retries", "2", "--health-interval", "1s")
    assert re.fullmatch(r"Up .* \(health: starting\)", shown(berth, name))
    assert health(berth, name) == {"Status": "starting", "FailingStreak": 0, "Log": []}
    seen = wait_health(berth, name, "unhealthy")
    assert seen["FailingStreak"] == 2 and [entry["ExitCode"] for entry in seen["Log"]] == [3, 3]
    assert re.fullmatch(r"Up .* \(unhealthy\)", shown(berth, name))


def test_the_last_five_results(berth):
    name = probed(berth, "echo x >> /n; wc -l < /n")
    wait_for(lambda: health(berth, name)["Log"][-1:] and int(health(berth, name)["Log"][-1]["Output"]) >= 8, "eight probes")
    numbers = [int(entry["Output"]) for entry in health(berth, name)["Log"]]
    assert numbers == list(range(numbers[0], numbers[0] + 5))


def test_filters_of_ps(berth):
    names = {"plain": berth.up("--name", "plain"), "off": berth.up("--name", "off", "--health-cmd", "none")}
    names["good"] = probed(berth, "true", "--name", "good")
    names["bad"] = probed(berth, "false", "--name", "bad", "--health-retries", "1")
    names["new"] = berth.up("--name", "new", "--health-cmd", "true", "--health-interval", "1h")
    names["made"] = berth.ok("create", "--name", "made", "--network", "none", "--health-cmd", "true", "test").text
    berth.ok("wait", "--condition", "healthy", "good")
    berth.ok("wait", "--condition", "unhealthy", "bad")
    wanted = {"none": {"plain", "off", "made"}, "healthy": {"good"}, "unhealthy": {"bad"}, "starting": {"new"}}
    for status, those in wanted.items():
        assert set(berth.names("-a", "--filter", f"health={status}")) == those, status
    berth.ok("stop", "-t", "0", "good")
    assert set(berth.names("-a", "--filter", "health=unhealthy")) == {"good", "bad"}
    berth.call("ps", "--filter", "health=sick").fails(1, "invalid filter 'health=sick'")


def test_after_the_end(berth):
    name = probed(berth, "echo still here")
    berth.ok("wait", "--condition", "healthy", name)
    berth.ok("stop", "-t", "0", name)
    seen = health(berth, name)
    assert seen["Status"] == "unhealthy", "nobody looks any more; docker says so too"
    assert seen["Log"][-1]["Output"] == "still here\n"
    assert "health" not in shown(berth, name)
    berth.ok("start", name)
    again = health(berth, name)
    assert again["Status"] in ("starting", "healthy") and again["Log"][0]["Output"] == "still here\n"


def test_nothing_without_a_check(berth):
    name = berth.up()
    assert health(berth, name) is None and "Healthcheck" not in berth.inspect(name, "Config")
    assert "(" not in shown(berth, name)
    made = berth.ok("create", "--network", "none", "--health-cmd", "true", "test").text
    assert health(berth, made) is None


# Where the check comes from


def checked_image(berth, suite, place, tag, check, **config):
    path = images.write(place / "image.tar", images.docker_archive([images.base_layer(suite.init)], [tag], config={"Healthcheck": check, **config}))
    berth.ok("load", "-i", path, timeout=60)


def test_the_images_check(fresh, suite, place):
    check = {"Test": ["CMD", "echo", "from the image"], "Interval": 50_000_000, "Timeout": 5_000_000_000, "StartPeriod": 1_000_000_000, "Retries": 7}
    checked_image(fresh, suite, place, "checked:1", check)
    assert json.loads(fresh.ok("image", "inspect", "checked:1").out)[0]["Config"]["Healthcheck"] == check
    name = fresh.up(image="checked:1")
    assert fresh.inspect(name, "Config.Healthcheck") == check
    # A start interval of 5 s is Docker's: nothing of the first five seconds is a success.
    assert health(fresh, name)["Status"] == "starting"
    quick = fresh.up("--health-start-interval", "50ms", image="checked:1")
    assert fresh.inspect(quick, "Config.Healthcheck") == check | {"StartInterval": 50_000_000}
    assert wait_health(fresh, quick, "healthy")["Log"][0]["Output"] == "from the image\n"
    other = fresh.up("--health-cmd", "echo mine", "--health-start-interval", "50ms", image="checked:1")
    assert fresh.inspect(other, "Config.Healthcheck.Test") == ["CMD-SHELL", "echo mine"]
    assert wait_health(fresh, other, "healthy")["Log"][0]["Output"] == "mine\n"
    off = fresh.up("--no-healthcheck", image="checked:1")
    assert fresh.inspect(off, "Config.Healthcheck") == check | {"Test": ["NONE"]} and health(fresh, off) is None
    fresh.ok("save", "-o", place / "saved.tar", "checked:1")
    fresh.ok("rm", "-f", name, quick, other, off, timeout=30)
    fresh.ok("rmi", "checked:1")
    fresh.ok("load", "-i", place / "saved.tar")
    assert json.loads(fresh.ok("image", "inspect", "checked:1").out)[0]["Config"]["Healthcheck"] == check


def test_the_images_shell(fresh, suite, place):
    check = {"Test": ["CMD-SHELL", "x y"], "Interval": 50_000_000}
    checked_image(fresh, suite, place, "checked:2", check, Shell=["/bin/echo", "run:"])
    assert wait_health(fresh, fresh.up(image="checked:2"), "healthy")["Log"][0]["Output"] == "run: x y\n"


@pytest.mark.parametrize(
    "check, words",
    [
        ({"Test": ["CMD", "x"], "Interval": 1}, "Interval in Healthcheck cannot be less than 1ms"),
        ({"Test": ["CMD", "x"], "Timeout": -5}, "Timeout in Healthcheck cannot be less than 1ms"),
        ({"Test": ["CMD", "x"], "Retries": -1}, "Retries in Healthcheck cannot be negative"),
    ],
)
def test_a_bad_check_of_an_image(fresh, suite, place, check, words):
    checked_image(fresh, suite, place, "bad:1", check)
    fresh.call("create", "--network", "none", "bad:1").fails(125, words)
    fresh.ok("create", "--network", "none", "--no-healthcheck", "bad:1")


@pytest.mark.parametrize(
    "flags, words",
    [
        (("--no-healthcheck", "--health-cmd", "x"), "--no-healthcheck conflicts with --health-\\* options"),
        (("--no-healthcheck", "--health-retries", "1"), "--no-healthcheck conflicts with --health-\\* options"),
        (("--health-interval", "-1s"), "--health-interval cannot be negative"),
        (("--health-timeout", "-1s"), "--health-timeout cannot be negative"),
        (("--health-retries", "-1"), "--health-retries cannot be negative"),
        (("--health-start-period", "-1s"), "--health-start-period cannot be negative"),
        (("--health-start-interval", "-1s"), "--health-start-interval cannot be negative"),
        (("--health-cmd", "x", "--health-interval", "999us"), "Interval in Healthcheck cannot be less than 1ms"),
        (("--health-cmd", "x", "--health-start-period", "1ns"), "StartPeriod in Healthcheck cannot be less than 1ms"),
        (("--health-interval", "5"), 'invalid argument "5" for "--health-interval" flag: time: missing unit in duration "5"'),
        (("--health-timeout", "x"), 'time: invalid duration "x"'),
        (("--health-on-failure", "kill"), "cannot set on-failure action to kill without a health check"),
        (("--health-cmd", "x", "--health-on-failure", "explode"), "supported actions are kill,none,restart,stop"),
        (("--health-startup-cmd", "x"), "cannot set a startup healthcheck when there is no regular healthcheck"),
        (("--health-cmd", "x", "--health-startup-retries", "1"), "--health-startup-retries needs --health-startup-cmd"),
        (("--health-cmd", "[]"), "it names no command"),
    ],
)
def test_refused(berth, flags, words):
    before = berth.names("-a")
    berth.call("create", "--network", "none", *flags, "test").fails(125, words)
    assert berth.names("-a") == before


# The probe's process


def test_the_probe_is_as_the_container(berth):
    script = "id -u; id -g; pwd; echo $A; grep -h -E '^(CapEff|Seccomp|NoNewPrivs):' /proc/self/status; tr '\\0' ' ' < /proc/self/cgroup; tty; readlink /proc/self/fd/0"
    flags = ("--user", "1000:1000", "--workdir", "/tmp", "-e", "A=b c", "--cap-drop", "CHOWN")
    name = probed(berth, script, *flags)
    wait_for(lambda: health(berth, name)["Log"], "a probe")
    probe = health(berth, name)["Log"][0]["Output"].splitlines()
    run = berth.ok("exec", name, "sh", "-c", script).out.splitlines()
    seen = dict(line.split(":\t") for line in probe if ":\t" in line)
    assert probe[:4] == run[:4] == ["1000", "1000", "/tmp", "b c"]
    assert seen["NoNewPrivs"] == "1", "a user's probe gets nothing from set-user-ID files"
    assert [line for line in probe if "NoNewPrivs" not in line] == [line for line in run if "NoNewPrivs" not in line]


def test_a_probe_that_takes_too_long(berth):
    name = probed(berth, "echo begun; sleep 98766 & setsid sleep 98766 & sleep 98766", "--health-timeout", "300ms", "--health-retries", "1")
    seen = wait_health(berth, name, "unhealthy")
    assert (seen["Log"][0]["ExitCode"], seen["Log"][0]["Output"]) == (-1, "Health check exceeded timeout (300ms): begun\n")
    wait_for(lambda: sleepers(berth, name, "98766") <= 8, "no more than one probe's processes")


def sleepers(berth, name, word):
    return berth.ok("top", name).out.count(word)


def test_hung_probes_do_not_pile_up(berth):
    name = probed(berth, "sleep 98767 & setsid sleep 98767 & wait", "--health-timeout", "100ms")
    supervisor = berth.supervisor(name)
    wait_for(lambda: health(berth, name)["FailingStreak"] >= 2, "two timeouts")
    before = len(os.listdir(f"/proc/{supervisor}/fd"))
    wait_for(lambda: health(berth, name)["FailingStreak"] >= 10, "eight more")
    # Each is in a list of processes four times: eight is two of them, where one ends and the next begins.
    assert sleepers(berth, name, "98767") <= 8
    assert len(os.listdir(f"/proc/{supervisor}/fd")) <= before + 4
    children = [pid for pid in berth.processes() if stat_parent(pid) == supervisor]
    assert len(children) <= 4, children


def stat_parent(pid):
    try:
        return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def test_a_probe_that_leaves_a_process_behind(berth):
    name = probed(berth, "sleep 98768 & echo done")
    began = time.monotonic()
    assert wait_health(berth, name, "healthy")["Log"][0]["Output"] == "done\n"
    assert time.monotonic() - began < 10
    supervisor = berth.supervisor(name)
    first = len(os.listdir(f"/proc/{supervisor}/fd"))
    log = health(berth, name)["Log"][-1]["Start"]
    wait_for(lambda: health(berth, name)["Log"][0]["Start"] > log, "five more probes")
    assert len(os.listdir(f"/proc/{supervisor}/fd")) <= first + 8
    # Orphans are the container's first process's, as in Docker: the supervisor has none of them.
    assert not [pid for pid in berth.processes() if stat_parent(pid) == supervisor and "98768" in pathlib.Path(f"/proc/{pid}/cmdline").read_text()]


def test_a_flood_costs_no_memory(berth):
    name = probed(berth, "yes", "--health-timeout", "1s", "--health-retries", "1")
    supervisor = berth.supervisor(name)
    seen = wait_health(berth, name, "unhealthy")
    assert seen["Log"][0]["Output"] == "Health check exceeded timeout (1s): " + "y\n" * 2048 + "..."
    peak = int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{supervisor}/status").read_text())[1])
    assert peak < 100 << 10, f"{peak} KiB"


def test_a_probe_that_does_not_exist(berth):
    name = berth.up("--health-cmd", '["/nosuch", "x"]', *FAST, "--health-retries", "1")
    entry = wait_health(berth, name, "unhealthy")["Log"][0]
    assert entry["ExitCode"] == -1 and "no such file" in entry["Output"]


def test_podmans_array_of_words(berth):
    name = berth.up("--health-cmd", '["echo", "a  b"]', *FAST)
    assert wait_health(berth, name, "healthy")["Log"][0]["Output"] == "a  b\n"


def test_how_much_is_kept(berth):
    name = probed(berth, "echo 0123456789", "--health-max-log-count", "2", "--health-max-log-size", "4")
    wait_for(lambda: len(health(berth, name)["Log"]) == 2, "two results")
    before = health(berth, name)["Log"][-1]["Start"]
    wait_for(lambda: health(berth, name)["Log"][0]["Start"] > before, "two further ones")
    assert [entry["Output"] for entry in health(berth, name)["Log"]] == ["0123..."] * 2


def test_exec_and_probes_side_by_side(berth):
    name = probed(berth, "echo probe", "--health-interval", "1ms")
    for index in range(30):
        assert berth.ok("exec", name, "echo", str(index)).text == str(index)
        berth.call("exec", name, "sh", "-c", f"exit {index}").exits(index)
        berth.ok("exec", "-d", name, "true")
    log = health(berth, name)["Log"]
    assert {(entry["ExitCode"], entry["Output"]) for entry in log} == {(0, "probe\n")}


# Time


def test_the_start_period(berth):
    name = probed(
        berth, "test -e /good", "--health-start-period", "3s", "--health-start-interval", "50ms", "--health-interval", "1h", "--health-retries", "1"
    )
    wait_for(lambda: len(health(berth, name)["Log"]) >= 3, "three failures")
    assert (health(berth, name)["Status"], health(berth, name)["FailingStreak"]) == ("starting", 0)
    berth.ok("exec", name, "touch", "/good")
    berth.ok("wait", "--condition", "healthy", name)


def test_the_start_period_ends(berth):
    name = probed(berth, "false", "--health-start-period", "500ms", "--health-start-interval", "50ms", "--health-retries", "2")
    seen = wait_health(berth, name, "unhealthy")
    assert seen["FailingStreak"] >= 2 and len(seen["Log"]) > 2


def test_no_probe_while_paused(root_berth):
    berth = root_berth
    name = probed(berth, "echo x >> /n; sleep 0.2")
    wait_for(lambda: health(berth, name)["Log"], "a probe")
    berth.ok("pause", name)
    before = health(berth, name)["Log"][-1]
    assert "Paused" in shown(berth, name) and "health" not in shown(berth, name)
    time.sleep(0.7)
    assert health(berth, name)["Log"][-1] == before
    berth.call("healthcheck", "run", name).fails(125, "paused")
    berth.ok("unpause", name)
    wait_for(lambda: health(berth, name)["Log"][-1] != before, "a probe after the pause")
    assert all(entry["ExitCode"] == 0 for entry in health(berth, name)["Log"]), "the one that was frozen says nothing"


def test_a_restart_begins_anew(berth):
    name = probed(berth, "test ! -e /bad", "--health-retries", "1")
    berth.ok("exec", name, "touch", "/bad")
    wait_health(berth, name, "unhealthy")
    berth.ok("exec", name, "rm", "/bad")
    berth.ok("restart", "-t", "0", name)
    assert health(berth, name)["FailingStreak"] == 0
    berth.ok("wait", "--condition", "healthy", name)


def test_events(berth):
    name = probed(berth, "test -e /good", "--health-retries", "1")
    berth.ok("wait", "--condition", "unhealthy", name)
    berth.ok("exec", name, "touch", "/good")
    berth.ok("wait", "--condition", "healthy", name)
    seen = berth.ok("events", "--since", "1h", "--until", "0s", "--filter", f"container={name}", "--format", "{{.Action}}").lines
    assert [action for action in seen if "health" in action] == ["health_status: unhealthy", "health_status: healthy"]
    assert not [action for action in seen if "probe" in action], "a probe is no event"


# healthcheck run


def test_healthcheck_run(berth):
    name = berth.up("--health-cmd", "test ! -e /bad", "--health-interval", "disable", "--health-retries", "2")
    assert berth.ok("healthcheck", "run", name).out == ""
    assert health(berth, name)["Status"] == "healthy"
    berth.ok("exec", name, "touch", "/bad")
    for streak in (1, 2):
        done = berth.call("healthcheck", "run", name).exits(1)
        assert done.out == "unhealthy\n" and health(berth, name)["FailingStreak"] == streak
    assert health(berth, name)["Status"] == "unhealthy" and len(health(berth, name)["Log"]) == 3
    berth.call("healthcheck", "run", "--ignore-result", name).exits(0)
    time.sleep(0.3)
    assert len(health(berth, name)["Log"]) == 4, "nobody else probes"
    berth.ok("stop", "-t", "0", name)
    berth.call("healthcheck", "run", name).fails(125, "not running")
    berth.call("healthcheck", "run", berth.up()).fails(125, "has no defined healthcheck")
    berth.call("healthcheck", "run", "nosuch").fails(125, "no such container")


def test_healthcheck_run_beside_the_interval(berth):
    name = probed(berth, "echo x >> /n; sleep 0.3", "--health-interval", "100ms")
    wait_for(lambda: health(berth, name)["Log"], "a probe")
    runs = [berth.popen("healthcheck", "run", name) for _ in range(5)]
    assert [run.wait(timeout=20) for run in runs] == [0] * 5


def test_healthcheck_run_and_the_end(berth):
    name = berth.up("--health-cmd", "sleep 1000", "--health-interval", "disable")
    run = berth.popen("healthcheck", "run", name, stderr=subprocess.PIPE)
    wait_for(lambda: "sleep 1000" in berth.ok("top", name).out.partition("\n")[2].partition("\n")[2] or berth.ok("top", name).out.count("sleep") > 1, "the probe")
    berth.ok("kill", name)
    _, err = run.communicate(timeout=20)
    assert run.returncode == 125 and b"ended" in err


# wait


def test_wait_returns_as_soon_as_it_is_healthy(berth):
    name = probed(berth, "test -e /good", "--health-interval", "20ms")
    waiting = berth.popen("wait", "--condition", "healthy", "--interval", "1h", name, stdout=subprocess.PIPE)
    wait_asleep(waiting)
    berth.ok("exec", name, "touch", "/good")
    out, _ = waiting.communicate(timeout=5)
    assert (waiting.returncode, out) == (0, b"-1\n")


def test_wait_for_a_container_that_ends(berth):
    name = probed(berth, "false", "--health-interval", "1h", program=("sh", "-c", "sleep 0.5; exit 4"))
    berth.call("wait", "--condition", "healthy", name).fails(1, "ended with exit code 4")
    assert berth.ok("wait", "--condition", "healthy", "--condition", "exited", name).text == "4"
    berth.call("wait", "--condition", "healthy", berth.up()).fails(1, "has no healthcheck")


def test_wait_over_restarts(berth):
    script = "test -e /second && exec sleep 1000; touch /second; sleep 0.2; exit 1"
    name = probed(berth, "test -e /second && sleep 0.1", "--restart", "always", "--health-interval", "500ms", program=("sh", "-c", script))
    berth.ok("wait", "--condition", "healthy", name)
    assert berth.inspect(name, "RestartCount") == 1


def test_conditions_of_wait(berth):
    name = berth.ok("create", "--network", "none", "--name", "waited", "test", "sh", "-c", "trap 'exit 6' TERM; while :; do sleep 0.05; done").text
    assert berth.ok("wait", "--condition", "created", name).text == "-1"
    running = berth.popen("wait", "--condition=running", name, stdout=subprocess.PIPE)
    berth.ok("start", name)
    assert running.communicate(timeout=10)[0] == b"-1\n"
    if berth.who.is_root:
        paused = berth.popen("wait", "--condition", "paused", "-i", "20ms", name, stdout=subprocess.PIPE)
        berth.ok("pause", name)
        assert paused.communicate(timeout=10)[0] == b"-1\n"
        berth.ok("unpause", name)
    for condition in ("stopped", "exited", "not-running", "next-exit", "running,exited"):
        if condition != "running,exited":
            berth.call("start", name)
        waiting = berth.popen("wait", "--condition", condition, name, stdout=subprocess.PIPE)
        if condition == "running,exited":
            assert waiting.communicate(timeout=10)[0] == b"6\n"
            continue
        wait_asleep(waiting)
        berth.ok("stop", name)
        assert waiting.communicate(timeout=10)[0] == b"6\n", condition
    removed = berth.popen("wait", "--condition", "removed", name, stdout=subprocess.PIPE)
    wait_asleep(removed)
    berth.ok("rm", name)
    assert removed.communicate(timeout=10)[0] == b"6\n"
    berth.call("wait", "--condition", "foo", "x").fails(1, "unknown container state: foo: invalid argument")
    berth.call("wait", "nosuch").fails(1, "no such container")
    assert berth.ok("wait", "--ignore", "nosuch").text == "-1"
    berth.call("wait", "--interval", "x", "nosuch").fails(1, "interval")


# What follows


@pytest.mark.parametrize(
    "action, policy, status, code, restarts",
    [
        ("none", "no", "running", 0, False), ("kill", "no", "exited", 137, False), ("kill", "on-failure:1", "exited", 137, True),
        ("stop", "always", "exited", 5, False), ("stop", "no", "exited", 5, False), ("kill", "always", None, None, True),
        ("restart", "no", None, None, True), ("restart", "on-failure:1", None, None, True),
    ],
)  # fmt: skip
def test_on_failure(berth, action, policy, status, code, restarts):
    script = "trap 'exit 5' TERM; while :; do sleep 0.05; done"
    flags = ("--health-on-failure", action, "--restart", policy, "--health-retries", "2")
    name = probed(berth, "false", *flags, program=("sh", "-c", script))
    if restarts:
        wait_for(lambda: berth.inspect(name, "RestartCount") >= (2 if status is None else 1), "restarts")
    if status == "running":
        wait_health(berth, name, "unhealthy")
        time.sleep(0.3)
        assert berth.status(name) == "running" and berth.inspect(name, "RestartCount") == 0
    elif status:
        berth.wait_status(name, status)
        assert berth.inspect(name, "State.ExitCode") == code
        assert berth.inspect(name, "RestartCount") == (1 if restarts else 0)
        assert health(berth, name)["Log"][-1]["ExitCode"] == 1
    else:
        berth.ok("stop", "-t", "1", name)
        time.sleep(0.5)
        assert berth.status(name) == "exited", "a stop of somebody's is for good"


def test_on_failure_with_rm(berth):
    name = berth.up("--rm", "--health-cmd", "false", *FAST, "--health-retries", "1", "--health-on-failure", "kill")
    wait_for(lambda: not berth.names("-a", "--filter", f"id={name}"), "it to be removed")


def test_the_startup_check(berth):
    flags = ("--health-startup-cmd", "test -e /up", "--health-startup-interval", "50ms", "--health-startup-success", "2", "--health-retries", "1")
    name = probed(berth, "echo regular", *flags)
    wait_for(lambda: len(health(berth, name)["Log"]) >= 3, "three startup checks")
    assert health(berth, name)["Status"] == "starting" and health(berth, name)["FailingStreak"] == 0
    berth.ok("exec", name, "touch", "/up")
    assert wait_health(berth, name, "healthy")["Log"][-1]["Output"] == "regular\n"
    assert berth.inspect(name, "Config.StartupHealthCheck")["Test"] == ["CMD-SHELL", "test -e /up"]


def test_a_startup_check_that_fails_too_often(berth):
    name = probed(
        berth, "true", "--health-startup-cmd", "false", "--health-startup-interval", "50ms", "--health-startup-retries", "2", "--stop-signal", "KILL"
    )
    wait_for(lambda: berth.inspect(name, "RestartCount") >= 1, "a restart")


# Faults


def test_the_supervisor_is_killed_while_a_probe_runs(berth):
    name = probed(berth, "sleep 3; true", "--health-interval", "1ms")
    wait_for(lambda: "sleep 3" in berth.ok("top", name).out, "a probe")
    os.kill(berth.supervisor(name), signal.SIGKILL)
    wait_for(lambda: "supervisor lost" in shown(berth, name), "the loss to be seen")
    assert health(berth, name)["Status"] == "unhealthy", "nobody looks any more"
    berth.call("healthcheck", "run", name).fails(125, "supervisor was killed")
    berth.ok("exec", name, "true")
    berth.ok("rm", "-f", name)


def test_the_container_ends_while_a_probe_runs(berth):
    name = probed(berth, "sleep 1000", "--health-interval", "1ms")
    wait_for(lambda: "sleep 1000" in berth.ok("top", name).out, "a probe")
    berth.ok("stop", "-t", "0", name)
    assert berth.status(name) == "exited" and not berth.processes(name)
    assert health(berth, name)["Log"] == [], "a probe that the end has taken says nothing"


def test_a_check_of_a_container_in_the_hosts_pid_namespace(root_berth):
    name = probed(root_berth, "sleep 98769 & sleep 98769", "--pid", "host", "--health-timeout", "200ms", "--health-retries", "1")
    wait_health(root_berth, name, "unhealthy")
    root_berth.ok("rm", "-f", name)
    assert "98769" not in subprocess.run(["ps", "ax", "-o", "args"], capture_output=True, text=True, check=True).stdout


def test_many_hung_probes(root_berth):
    """A health storm: the deadline holds for each."""
    names = [probed(root_berth, "sleep 98770 & sleep 98770", "--health-interval", "100ms", "--health-timeout", "100ms") for _ in range(15)]
    for name in names:
        wait_health(root_berth, name, "unhealthy", 60)
    for name in names:
        assert sleepers(root_berth, name, "98770") <= 8


@pytest.mark.parametrize("runtime", ["runc", "crun"])
def test_another_runtime(root_berth, runtime):
    if not shutil.which(runtime):
        pytest.skip(f"{runtime} is not installed")
    if root_berth.call("run", "--rm", "--network", "none", "--runtime", runtime, "test", "true").code:
        pytest.skip(f"{runtime} does not work on this host")
    name = probed(root_berth, "echo mine; test ! -e /bad || sleep 98771", "--runtime", runtime, "--health-timeout", "1s", "--health-retries", "1")
    assert wait_health(root_berth, name, "healthy")["Log"][0]["Output"] == "mine\n"
    root_berth.ok("exec", name, "touch", "/bad")
    seen = wait_health(root_berth, name, "unhealthy")
    assert seen["Log"][-1]["Output"].startswith("Health check exceeded timeout (1s)")
    root_berth.ok("exec", name, "rm", "/bad")
    wait_health(root_berth, name, "healthy")
    wait_for(lambda: sleepers(root_berth, name, "98771") == 0, "the hung probe to be gone")


# Beside Docker


@pytest.fixture(scope="module")
def docker(suite):
    why = PrivateDocker.why_not()
    if why:
        pytest.skip(why)
    server = PrivateDocker(suite.base / "health-docker")
    yield server
    server.close()


def test_as_docker(root_berth, docker, test_archive):
    """The same words and shapes as a dockerd's."""
    docker.ok("load", "-i", test_archive)
    flags = ("--network", "none", "--health-interval", "100ms", "--health-timeout", "300ms", "--health-retries", "2")
    checks = {"good": "echo fine", "bad": "echo no >&2; exit 9", "late": "sleep 100"}
    for call in (root_berth.ok, docker.ok):
        for name, command in checks.items():
            call("run", "-d", "--name", name, *flags, "--health-cmd", command, "test", "sleep", "1000")

    def states(call):
        text = {name: call("inspect", "-f", "{{json .State.Health}}", name) for name in checks}
        return {name: json.loads(getattr(out, "text", out)) for name, out in text.items()}

    for call in (root_berth.ok, docker.ok):
        wait_for(lambda: [s["Status"] for s in states(call).values()] == ["healthy", "unhealthy", "unhealthy"], "both to be settled", 60)
    mine, theirs = states(root_berth.ok), states(docker.ok)
    for name in checks:
        assert list(mine[name]) == list(theirs[name]) and list(mine[name]["Log"][0]) == list(theirs[name]["Log"][0])
        for key in ("ExitCode", "Output"):
            assert mine[name]["Log"][0][key] == theirs[name]["Log"][0][key], (name, key)
    for name in checks:
        listed = ("ps", "--filter", f"name={name}", "--format", "{{.Status}}")
        pattern = r"\([a-z: ]+\)$"
        assert re.search(pattern, root_berth.ok(*listed).text)[0] == re.search(pattern, docker.ok(*listed))[0]
        template = "{{json .Config.Healthcheck}}"
        assert json.loads(root_berth.ok("inspect", "-f", template, name).text) == json.loads(docker.ok("inspect", "-f", template, name))
    for wrong in (("--no-healthcheck", "--health-cmd", "x"), ("--health-interval", "-1s"), ("--health-cmd", "x", "--health-timeout", "1us")):
        words = docker.call("create", *wrong, "test").stderr.strip().rpartition(": ")[2].split("\n")[0].rstrip(".")
        assert words.removeprefix("Error response from daemon: ") in root_berth.call("create", "--network", "none", *wrong, "test").fails(125).err
    for call in (root_berth.ok, docker.ok):
        call("stop", "-t", "0", "good")
        assert states(call)["good"]["Status"] == "unhealthy"
    docker.ok("rm", "-f", *checks)
