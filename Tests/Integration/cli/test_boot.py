"""Containers over the machine's end: restart policies after a boot, `system boot`, `system shutdown`, and the service that calls them."""

import os
import shutil
import stat
import subprocess

import invariants
import pytest
from host import wait_for
from reboot import NextBoot, crash


@pytest.fixture
def engine(fresh, test_archive):
    fresh.ok("load", "-i", test_archive, timeout=60)
    yield fresh
    invariants.check_invariants(fresh)


def many(engine):
    """One container of each kind; those that a boot has to start, in the order of their age."""
    engine.up("--name", "plain")
    engine.up("--name", "always", "--restart", "always")
    engine.up("--name", "unless", "--restart", "unless-stopped")
    engine.up("--name", "failing", "--restart", "on-failure:3")
    engine.up("--name", "stopped", "--restart", "unless-stopped")
    engine.up("--name", "always-stopped", "--restart", "always")
    engine.ok("stop", "-t", "0", "stopped", "always-stopped")
    engine.ok("create", "--name", "never-ran", "--restart", "always", "--network", "none", "test", "sleep", "1000")
    return ["always", "unless", "failing"]


def states(engine):
    return dict(line.split() for line in engine.ok("ps", "-a", "--format", "{{.Names}} {{.State}}").lines)


def test_after_a_crash(engine, place):
    wanted = many(engine)
    if engine.who.is_root:
        engine.ok("run", "-d", "--name", "guest", "--restart", "always", "--network", "container:unless", "test", "sleep", "1000")
        wanted.append("guest")
    crash(engine)
    after = NextBoot(engine, place)
    if not engine.who.is_root:
        # Nothing starts there: see NextBoot. Which would be is told by their errors.
        booted = after("system", "boot")
        assert booted.returncode == 1 and len(booted.stderr.splitlines()) == len(wanted) + 1
        return
    booted = after("system", "boot")
    # One that somebody had stopped, and `always` is always.
    assert booted.returncode == 0 and booted.stdout.split() == [*wanted[:3], "always-stopped", "guest"], booted
    found = dict(line.split() for line in after("ps", "-a", "--format", "{{.Names}} {{.State}}").stdout.splitlines())
    assert found == {
        "plain": "exited", "always": "running", "unless": "running", "failing": "running", "stopped": "exited",
        "always-stopped": "running", "never-ran": "created", "guest": "running",
    }  # fmt: skip
    again = after("system", "boot")
    assert again.returncode == 0 and again.stdout == ""
    assert after("rm", "-f", *found).returncode == 0


def test_after_a_shutdown(engine):
    wanted = many(engine)
    # It ends with 0 when it is asked to: on-failure has nothing to do.
    engine.up("--name", "polite", "--restart", "on-failure", command=["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"])
    down = engine.ok("system", "shutdown", "-t", "1", timeout=30)
    assert sorted(down.out.split()) == sorted([*wanted, "plain", "polite"])
    assert set(states(engine).values()) == {"exited", "created"}
    assert engine.ok("system", "shutdown").out == ""
    assert engine.ok("system", "boot", timeout=30).out.split() == wanted
    running = [name for name, state in states(engine).items() if state == "running"]
    assert sorted(running) == sorted(wanted)
    # What somebody stops now is stopped, also where the service is stopped and started again.
    engine.ok("stop", "-t", "0", "unless")
    engine.ok("system", "shutdown", "-t", "0", timeout=30)
    assert engine.ok("system", "boot", timeout=30).out.split() == ["always", "failing"]
    # And one that has been started and stopped since the shutdown is no longer the boot's business.
    engine.ok("system", "shutdown", "-t", "0", timeout=30)
    engine.ok("start", "failing")
    engine.ok("stop", "-t", "0", "failing")
    assert engine.ok("system", "boot", timeout=30).out.split() == ["always"]


@pytest.mark.parametrize("word", ["stop", "shutdown"])
def test_between_two_runs(engine, word):
    """The policy waits before the next run: its record says who ended it."""
    engine.detached("--name", "loop", "--restart", "unless-stopped", "test", "sh", "-c", "exit 7")
    wait_for(lambda: engine.inspect("loop", "RestartCount") >= 4 and engine.status("loop") == "restarting", "a wait of 800 ms or more")
    engine.ok(*(["stop", "loop"] if word == "stop" else ["system", "shutdown"]))
    assert engine.inspect("loop", "State.ExitCode") == 7 and engine.status("loop") == "exited"
    assert engine.ok("system", "boot").out.split() == ([] if word == "stop" else ["loop"])


def test_one_that_cannot_start_keeps_no_other(engine, place):
    source = place / "source"
    source.mkdir()
    engine.up("--name", "first", "--restart", "always", "--mount", f"type=bind,source={source},target=/data")
    engine.up("--name", "second", "--restart", "always")
    engine.ok("system", "shutdown", "-t", "0", timeout=30)
    source.rmdir()
    engine.call("system", "boot", timeout=30).fails(1, "source")
    assert states(engine) == {"first": "exited", "second": "running"}
    # It is tried again, because it is still down.
    source.mkdir()
    assert engine.ok("system", "boot").out.split() == ["first"]


def test_nothing_at_all(fresh):
    assert fresh.ok("system", "boot").out == "" and fresh.ok("system", "shutdown").out == ""
    assert not fresh.root.exists()


# The service


@pytest.fixture
def machine(place):
    """The file system of a machine without systemd."""
    for name in ("init.d", *(f"rc{level}.d" for level in range(7))):
        (place / "machine/etc" / name).mkdir(parents=True)
    (place / "machine/etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nci:x:1234:1234::/srv/c i:/bin/sh\n")
    return place / "machine"


def tree(machine):
    return sorted(str(path.relative_to(machine)) for path in machine.rglob("*") if path.is_symlink() or path.is_file())


def test_a_script(root_berth, machine):
    """It is written, enabled and really does what it says."""
    before = tree(machine)
    words = ["system", "install-service", "--init", "rc", "--destdir", str(machine)]
    told = root_berth.ok(*words).out.split()
    assert told == ["/etc/init.d/berth", *(f"/etc/rc{level}.d/S99berth" for level in "2345"), *(f"/etc/rc{level}.d/K01berth" for level in "016")]
    assert tree(machine) == sorted(before + [path.lstrip("/") for path in told])
    script = machine / "etc/init.d/berth"
    assert script.stat().st_mode & 0o7777 == 0o755 and os.readlink(machine / "etc/rc3.d/S99berth") == "../init.d/berth"
    # Not the store where everybody has it: the script names it.
    root_berth.up("--name", "served", "--restart", "always", "--stop-timeout", "0")

    def call(word):
        return subprocess.run([script, word], env={"PATH": "/nowhere"}, capture_output=True, text=True, timeout=30)

    assert "served" in call("status").stdout
    assert call("stop").stdout.split() == ["served"] and root_berth.status("served") == "exited"
    assert call("start").stdout.split() == ["served"] and root_berth.status("served") == "running"
    assert call("restart").stdout.split() == ["served", "served"] and root_berth.status("served") == "running"
    assert call("help").returncode == 2
    # The same again changes nothing; and it goes without a trace.
    first = script.read_bytes()
    assert root_berth.ok(*words).out.split() == told and script.read_bytes() == first
    assert sorted(root_berth.ok(*words, "--remove").out.split()) == sorted(told) and tree(machine) == before
    assert root_berth.ok(*words, "--remove").out == ""


def test_a_script_for_a_user(root_berth, machine):
    root_berth.ok("system", "install-service", "--init", "rc", "--destdir", str(machine), "--user", "ci")
    text = (machine / "etc/init.d/berth-ci").read_text()
    subprocess.run(["sh", "-n", machine / "etc/init.d/berth-ci"], check=True)
    assert "runuser -u ci -- env 'HOME=/srv/c i' XDG_RUNTIME_DIR=/run/user/1234 /" in text and "--root" not in text


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze")
@pytest.mark.parametrize("words", [[], ["--user", "ci"]])
def test_a_unit(root_berth, machine, words):
    told = root_berth.ok("system", "install-service", "--init", "systemd", "--destdir", str(machine), *words).out.split()
    name = "berth-ci" if words else "berth"
    assert told == [f"/etc/systemd/system/{name}.service", f"/etc/systemd/system/multi-user.target.wants/{name}.service"]
    unit = machine / told[0].lstrip("/")
    assert stat.S_IMODE(unit.stat().st_mode) == 0o644 and os.readlink(machine / told[1].lstrip("/")) == told[0]
    text = unit.read_text()
    assert ("User=ci\n" in text and "XDG_RUNTIME_DIR=/run/user/1234\n" in text) == bool(words)
    verdict = subprocess.run(["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=60)
    assert name not in verdict.stderr, verdict.stderr


def test_a_unit_of_ones_own(user_berth, place):
    """An ordinary user's is among that user's units; only printed it changes nothing."""
    place.chmod(0o777)
    printed = user_berth.ok("system", "install-service", "--init", "systemd", "--print", env={"XDG_CONFIG_HOME": str(place)}).out
    assert "WantedBy=default.target" in printed and f"--root {user_berth.root} --runroot {user_berth.run_root} system boot\n" in printed
    assert os.listdir(place) == []
    told = user_berth.ok("system", "install-service", "--init", "systemd", env={"XDG_CONFIG_HOME": str(place)})
    assert (place / "systemd/user/berth.service").read_text() == printed and "enable-linger" in told.err
    user_berth.ok("system", "install-service", "--init", "systemd", "--remove", env={"XDG_CONFIG_HOME": str(place)})
    assert not [path for path in place.rglob("*") if not path.is_dir()]


def test_refusals(root_berth, user_berth, machine):
    install = ["system", "install-service"]
    user_berth.call(*install, "--init", "rc").fails(1, "sudo berth system install-service --user berth-test")
    user_berth.call(*install, "--init", "systemd", "--user", "root").fails(1, "--user is for root")
    root_berth.call(*install, "--init", "rc", "--destdir", str(machine), "--user", "nobody-here").fails(1, "unknown user nobody-here")
    for name in ("../up", "a;b", "$(x)", "-rf"):
        (machine / "etc/passwd").write_text(f"{name}:x:1234:1234::/:/bin/sh\n")
        root_berth.call(*install, "--init", "rc", "--destdir", str(machine), f"--user={name}").fails(1, "letters, digits")
    root_berth.call(*install, "--destdir", "relative").fails(1, "not absolute")
    root_berth.call(*install, "--init", "upstart").fails(125, "auto, systemd, rc")
    assert tree(machine) == ["etc/passwd"]
