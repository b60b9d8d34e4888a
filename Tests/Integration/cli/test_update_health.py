"""`update` of health checks: of containers that run, that do not, and for their next starts."""

import json
import os

import pytest

from host import wait_for
from test_health import FAST, health, probed, wait_health


def check(berth, name):
    return berth.inspect(name, "Config").get("Healthcheck")


def test_another_command_and_interval_at_once(berth):
    name = probed(berth, "false", "--health-interval", "1h", "--health-retries", "1")
    assert health(berth, name)["Status"] == "starting"
    berth.ok("update", "--health-interval", "50ms", name)
    wait_health(berth, name, "unhealthy")
    berth.ok("update", "--health-cmd", "echo new; true", name)
    seen = wait_health(berth, name, "healthy")
    assert seen["Log"][-1]["Output"] == "new\n"
    assert check(berth, name) == {
        "Test": ["CMD-SHELL", "echo new; true"], "Interval": 50_000_000, "Timeout": 5_000_000_000, "Retries": 1,
    }  # fmt: skip


def test_a_check_where_there_was_none(berth):
    name = berth.up("--name", "it")
    assert health(berth, name) is None
    berth.ok("update", "--health-cmd", "true", "--health-interval", "50ms", name)
    wait_health(berth, name, "healthy")
    berth.ok("wait", "--condition", "healthy", name)


@pytest.mark.parametrize("flags", [["--no-healthcheck"], ["--health-cmd", "none"]])
def test_no_check_any_more(berth, flags):
    name = probed(berth, "echo x >> /n", "--name", "it")
    wait_health(berth, name, "healthy")
    berth.ok("update", *flags, name)
    assert health(berth, name) is None
    assert check(berth, name)["Test"] == ["NONE"]
    berth.call("healthcheck", "run", name).fails(125, "no defined healthcheck")
    count = berth.ok("exec", name, "wc", "-l", "/n").text
    berth.ok("restart", "-t", "0", name)
    assert health(berth, name) is None
    assert berth.ok("exec", name, "wc", "-l", "/n").text == count
    berth.ok("update", "--health-cmd", "true", "--health-interval", "50ms", name)
    wait_health(berth, name, "healthy")


def test_one_that_does_not_run(berth):
    berth.ok("create", "--name", "it", "--network", "none", "--health-cmd", "false", "--health-interval", "1h", "test", "sleep", "1000")
    berth.ok("update", "--health-cmd", '["CMD", "true"]', "--health-interval", "50ms", "--health-timeout", "3s", "--health-retries", "7",
             "--health-start-period", "2s", "--health-on-failure", "kill", "--health-max-log-count", "2", "it")  # fmt: skip
    assert check(berth, "it") == {
        "Test": ["CMD", "true"], "Interval": 50_000_000, "Timeout": 3_000_000_000, "Retries": 7, "StartPeriod": 2_000_000_000,
    }  # fmt: skip
    berth.ok("start", "it")
    wait_health(berth, "it", "healthy")
    wait_for(lambda: len(health(berth, "it")["Log"]) == 2, "two results")


def test_the_next_run_of_the_restart_policy_has_it(berth):
    name = probed(berth, "true", "--restart", "always")
    berth.ok("update", "--health-cmd", "false", "--health-retries", "1", name)
    wait_health(berth, name, "unhealthy")
    pid = berth.pid(name)
    os.kill(pid, 9)
    wait_for(lambda: berth.inspect(name, "State")["Running"] and berth.pid(name) not in (0, pid), "the next run")
    wait_health(berth, name, "unhealthy")


def test_what_follows_changes_too(berth):
    name = probed(berth, "test ! -e /broken", "--health-retries", "1")
    wait_health(berth, name, "healthy")
    berth.ok("update", "--health-on-failure", "stop", name)
    berth.ok("exec", name, "touch", "/broken")
    berth.wait_status(name, "exited", 30)


def test_startup_checks(berth):
    name = berth.up(
        "--health-cmd", "true", *FAST, "--health-startup-cmd", "test -e /ready", "--health-startup-interval", "1h",
    )  # fmt: skip
    assert health(berth, name)["Status"] == "starting"
    berth.ok("update", "--health-startup-interval", "50ms", "--health-startup-success", "2", name)
    berth.ok("exec", name, "touch", "/ready")
    wait_health(berth, name, "healthy")
    shown = berth.inspect(name, "Config")["StartupHealthCheck"]
    assert (shown["Test"], shown["Interval"], shown["Successes"]) == (["CMD-SHELL", "test -e /ready"], 50_000_000, 2)
    berth.ok("update", "--health-startup-cmd", "none", name)
    assert "StartupHealthCheck" not in berth.inspect(name, "Config")


@pytest.mark.parametrize(
    "flags, code, words",
    [
        (["--health-interval", "5s"], 1, "has none: give --health-cmd"), (["--health-startup-retries", "3", "--health-cmd", "true"], 1, "needs --health-startup-cmd"),
        (["--no-healthcheck", "--health-cmd", "x"], 1, "conflicts with"), (["--health-cmd", "x", "--health-timeout", "1us"], 1, "Timeout in Healthcheck cannot be less than 1ms"),
        (["--health-cmd", ""], 1, "give --no-healthcheck"), (["--health-cmd", "x", "--health-on-failure", "panic"], 1, "supported actions are"),
        (["--health-interval", "soon"], 125, "invalid argument"), (["--health-cmd", "x", "--health-interval", "0s"], 1, "cannot be less than 1ms"),
        (["--health-on-failure", "kill"], 1, "has none"), (["--health-log-destination", "/tmp"], 125, "not supported yet"),
    ],
)  # fmt: skip
def test_refused_and_nothing_changed(berth, flags, code, words):
    name = berth.up("--name", "it")
    before = json.loads(berth.ok("inspect", name).out)
    berth.call("update", *flags, name).fails(code, words)
    assert json.loads(berth.ok("inspect", name).out) == before
