"""An ordinary user and cgroup v2: with a delegated subtree all limits hold; without one the error says what to type, and that works."""

import json
import os
import pathlib
import re
import subprocess

from host import CGROUPS, cgroup_directory
from subtree import inside, remove


def limited(ct):
    ct.linux["cgroupsPath"] = ct.id
    ct.resources.update({"memory": {"limit": 32 << 20, "swap": 32 << 20}, "pids": {"limit": 20}, "cpu": {"quota": 50000}})
    return ct


def test_limits_hold(delegated, user_ct):
    limited(user_ct).up()
    place = cgroup_directory(user_ct, "")
    assert str(place).startswith(str(delegated)) and place.stat().st_uid == user_ct.who.uid
    assert (place / "memory.max").read_text().strip() == str(32 << 20) and (place / "pids.max").read_text().strip() == "20"
    assert (place / "cpu.max").read_text().split()[0] == "50000"
    assert user_ct.exec("mem 200").code == 137
    assert "EAGAIN" in user_ct.exec("fork 60").out
    user_ct.stop()
    user_ct.assert_clean()
    assert sorted(entry.name for entry in delegated.iterdir() if entry.is_dir()) == ["shell"]


def test_pause_update_stats(delegated, user_ct):
    limited(user_ct).up()
    user_ct.call("pause", user_ct.id).check()
    assert user_ct.status == "paused"
    user_ct.call("resume", user_ct.id).check()
    user_ct.call("update", "--pids-limit", "33", user_ct.id).check()
    assert (cgroup_directory(user_ct, "") / "pids.max").read_text().strip() == "33"
    assert json.loads(user_ct.call("events", "--stats", user_ct.id).check().out)["data"]["pids"]["limit"] == 33


def test_exec_joins(delegated, user_ct):
    limited(user_ct).up()
    assert user_ct.id in user_ct.exec("cat /proc/self/cgroup").check().out


def test_device_rules_are_best_effort(delegated, user_ct):
    """The kernel lets no unprivileged process load a device program; the user cannot make nodes either."""
    user_ct.linux["cgroupsPath"] = user_ct.id
    user_ct.resources["devices"] = [{"allow": False, "access": "rwm"}]
    assert user_ct.run("mknod /tmp/x c 1 11").out.strip() == "EPERM"


def test_it_does_not_leave_its_subtree(delegated, user_ct):
    user_ct.linux["cgroupsPath"] = f"/{user_ct.id}"
    user_ct.resources["pids"] = {"limit": 20}
    result = user_ct.create("true")
    result.refused("cgroup")
    assert not (CGROUPS / user_ct.id).exists()
    user_ct.assert_clean()


def test_without_delegation_the_error_tells_what_to_type(user_ct):
    """And what it tells works, typed as it is."""
    shell = CGROUPS / "undelegated"
    shell.mkdir()
    made = CGROUPS / f"user-{user_ct.who.uid}"
    try:
        with inside(shell):
            result = limited(user_ct).create("pause")
            result.refused("delegated")
            user_ct.assert_clean()
        command = re.search(r"sudo (sh -c '.*')", result.err)[1]
        # `$$` is the shell that the person types in: here a shell of our own, which then runs the runtime as that user.
        script = command.replace("'$$'", "$$") if "'$$'" in command else command
        subprocess.run(["sh", "-c", script.replace("echo $$ >", f"echo {os.getpid()} >")], check=True)
        assert made.exists() and str(made) in str(CGROUPS) + pathlib.Path("/proc/self/cgroup").read_text().strip().removeprefix("0::")
        limited(user_ct).up()
        assert (cgroup_directory(user_ct, "") / "pids.max").read_text().strip() == "20"
        user_ct.stop()
    finally:
        (CGROUPS / "init/cgroup.procs").write_text(str(os.getpid()))
        if made.exists():
            remove(made)
        remove(shell)


def test_nothing_asked_nothing_needed(user_ct):
    user_ct.run("true").check()
    user_ct.assert_clean()
