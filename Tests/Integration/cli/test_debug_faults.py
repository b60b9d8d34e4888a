"""F02, F03: debug, mount, unmount, init and clone are killed in the Nth system call, or it fails."""

import pytest

import inject
import invariants
from host import wait_for
from inject import MUTATING, spread

pytestmark = pytest.mark.skipif(not inject.available(), reason="needs root (ptrace of an ordinary user's setuid helpers) and x86-64")
POINTS = 5
FAILING = {"EIO": "write read openat openat2 mkdirat unlinkat", "ENOMEM": "fsmount open_tree move_mount mount_setattr umount2 clone3 setns"}

# The command, and the state of the container before it.
COMMANDS = {
    "debug": (["debug", "--image", "test", "it", "true"], "running"),
    "debug stopped": (["debug", "--image", "test", "--network", "none", "it", "true"], "created"),
    "mount": (["mount", "it"], "created"), "mount running": (["mount", "it"], "running"), "unmount": (["unmount", "it"], "mounted"),
    "init": (["init", "it"], "created"), "clone": (["container", "clone", "it", "copy"], "created"),
}  # fmt: skip


@pytest.fixture
def engine(fresh, test_archive):
    fresh.ok("load", "-i", test_archive, timeout=60)
    yield fresh
    if fresh.who.is_root:
        fresh.call("unmount", "--all", "--force")
    fresh.clear()


def prepare(engine, state):
    engine.clear()
    engine.ok("create", "--name", "it", "--network", "none", "test", "sleep", "1000")
    if state == "running":
        engine.ok("start", "it")
    if state == "mounted":
        engine.ok("mount", "it")


def check(engine, words, state, told):
    """The container is as it was, or as the command leaves it; the command succeeds again; then nothing is left."""
    wanted = {"running": ["running"], "mounted": ["created"], "created": ["created", "initialized"] if words[0] == "init" else ["created"]}[state]
    wait_for(lambda: engine.status("it") in wanted, f"{told}: {engine.status('it')}", 10)
    if engine.who.is_root:
        # Whatever is mounted is known.
        assert len(engine.ok("mount").lines) == len({path for path in engine.mounts("/mounts/")}), told
    if words[0] == "unmount":
        engine.call("mount", "it")
    if "clone" in words:
        engine.call("rm", "copy")
    again = engine.call(*words, timeout=60)
    assert again.code == 0, f"{told}: the same command again: {again}"
    wait_for(lambda: not [name for name in engine.names("-a") if "-debug-" in name], f"{told}: sessions", 10)
    if engine.who.is_root:
        engine.call("unmount", "--all", "--force")
        assert engine.mounts("/mounts/") == [], told
    if state != "running":
        engine.ok("start", "it")
    assert engine.ok("exec", "it", "echo", "works").text == "works", told
    engine.clear()
    invariants.check_invariants(engine)


def usable(engine, name):
    if not engine.who.is_root and COMMANDS[name][0][0] in ("mount", "unmount"):
        pytest.skip("in unshare, whose end takes all mounts along")
    return COMMANDS[name]


@pytest.mark.parametrize("name", COMMANDS)
def test_f02_killed_at_any_call(engine, name):
    command, state = usable(engine, name)
    injector = inject.Injector(engine)
    prepare(engine, state)
    shot = injector.shoot("cli", 0, "kill", MUTATING, *command)
    shot.result.exits(0)
    count = shot.counts["cli"]
    for nth in spread(count, POINTS, name):
        prepare(engine, state)
        shot = injector.shoot("cli", nth, "kill", MUTATING, *command)
        check(engine, command, state, f"{name}: SIGKILL at call {nth} of {count}, {shot.fired or 'not reached'}")


@pytest.mark.parametrize("failure", FAILING)
@pytest.mark.parametrize("name", COMMANDS)
def test_f03_any_call_fails(engine, name, failure):
    command, state = usable(engine, name)
    injector = inject.Injector(engine)
    calls = FAILING[failure].split()
    prepare(engine, state)
    count = injector.shoot("cli", 0, "kill", calls, *command).counts["cli"]
    for nth in spread(count, 3, f"{name} {failure}"):
        prepare(engine, state)
        shot = injector.shoot("cli", nth, failure, calls, *command)
        told = f"{name}: {failure} at call {nth} of {count}, {shot.fired or 'not reached'}"
        invariants.no_traps(shot.result)
        if shot.result.code:
            assert shot.result.err.strip(), f"{told}: exit {shot.result.code} without a word"
        check(engine, command, state, told)


@pytest.mark.parametrize("name", ["debug", "init"])
def test_f02_the_supervisor_is_killed_at_any_call(engine, name):
    command, state = COMMANDS[name]
    injector = inject.Injector(engine)
    prepare(engine, state)
    count = injector.shoot("supervisor", 0, "kill", MUTATING, *command).counts.get("supervisor", 0)
    for nth in spread(count, POINTS, f"supervisor {name}"):
        prepare(engine, state)
        shot = injector.shoot("supervisor", nth, "kill", MUTATING, *command)
        told = f"{name}: SIGKILL of the supervisor at call {nth} of {count}, {shot.fired or 'not reached'}"
        for session in [session for session in engine.names("-a") if "-debug-" in session]:
            engine.call("rm", "-f", session)
        check(engine, command, state, told)
