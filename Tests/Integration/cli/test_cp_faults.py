"""F02, F03: cp and commit are killed in the Nth system call, or it fails; the container and the store are as they should be."""

import os

import pytest

import inject
import invariants
from host import wait_for
from inject import MUTATING, spread

pytestmark = pytest.mark.skipif(not inject.available(), reason="needs root (ptrace of an ordinary user's setuid helpers) and x86-64")
POINTS = 6
FAILING = {"EIO": "write read openat openat2 mkdirat unlinkat getdents64 fsync syncfs", "ENOMEM": "fsmount open_tree move_mount unshare clone3"}

# The command, and whether the container runs.
COMMANDS = {
    "cp into": (["cp", "{tree}", "it:/tmp/tree"], True), "cp into stopped": (["cp", "{tree}", "it:/tmp/tree"], False),
    "cp out": (["cp", "it:/etc", "{out}"], True), "cp out of stopped": (["cp", "it:/etc", "{out}"], False),
    "export": (["export", "-o", "{out}.tar", "it"], False), "commit": (["commit", "it", "made:1"], True),
}  # fmt: skip


@pytest.fixture
def world(fresh, test_archive, place):
    fresh.ok("load", "-i", test_archive, timeout=60)
    (place / "tree/sub").mkdir(parents=True)
    for number in range(5):
        (place / f"tree/sub/{number}").write_text("x" * number)
    yield fresh, place
    fresh.clear()


def prepare(engine, place, is_running):
    for name in os.listdir(place):
        if name.startswith(("out", ".out")):
            (os.remove if os.path.isfile(place / name) else __import__("shutil").rmtree)(place / name)
    engine.call("rmi", "-f", "made:1")
    engine.ok("run", "-d", "--name", "it", "--network", "none", "test", "sleep", "1000")
    engine.ok("exec", "it", "sh", "-c", "echo x > /f; rm /etc/group")
    if not is_running:
        engine.ok("stop", "-t", "0", "it")


def check(engine, place, words, is_running, told):
    """The container is in the state it was in and goes on; the same command succeeds; nothing is left."""
    wanted = "running" if is_running else "exited"
    wait_for(lambda: engine.status("it") == wanted, f"{told}: {engine.status('it')}", 10)
    assert engine.mounts() == [], told
    for name in ("made:1",):
        if engine.call("inspect", name).code == 0:
            assert engine.run(name, "cat", "/f").check().text == "x", told
    assert not [name for name in os.listdir(place) if name.endswith(".tar")] or words[0] != "export" or whole(place / "out.tar"), told
    again = engine.call(*words, timeout=60)
    assert again.code == 0, f"{told}: the same command again: {again}"
    assert [name for name in os.listdir(engine.root / "staging") if name != ".lock"] == [], told
    if not is_running:
        engine.ok("start", "it")
    invariants.check_invariants(engine)


def whole(path):
    import tarfile

    return not path.exists() or "f" in tarfile.open(path).getnames()


def words(name, place):
    template, is_running = COMMANDS[name]
    return [word.format(tree=place / "tree", out=place / "out") for word in template], is_running


@pytest.mark.parametrize("name", COMMANDS)
def test_f02_killed_at_any_call_of_a_copy(world, name):
    engine, place = world
    injector = inject.Injector(engine)
    command, is_running = words(name, place)
    prepare(engine, place, is_running)
    shot = injector.shoot("cli", 0, "kill", MUTATING, *command)
    shot.result.exits(0)
    engine.clear()
    count = shot.counts["cli"]
    for nth in spread(count, POINTS, name):
        prepare(engine, place, is_running)
        shot = injector.shoot("cli", nth, "kill", MUTATING, *command)
        check(engine, place, command, is_running, f"{name}: SIGKILL at call {nth} of {count}, {shot.fired or 'not reached'}")


@pytest.mark.parametrize("failure", FAILING)
@pytest.mark.parametrize("name", COMMANDS)
def test_f03_any_call_of_a_copy_fails(world, name, failure):
    engine, place = world
    injector = inject.Injector(engine)
    command, is_running = words(name, place)
    calls = FAILING[failure].split()
    prepare(engine, place, is_running)
    shot = injector.shoot("cli", 0, "kill", calls, *command)
    engine.clear()
    count = shot.counts["cli"]
    for nth in spread(count, 3, f"{name} {failure}"):
        prepare(engine, place, is_running)
        shot = injector.shoot("cli", nth, failure, calls, *command)
        told = f"{name}: {failure} at call {nth} of {count}, {shot.fired or 'not reached'}"
        invariants.no_traps(shot.result)
        if shot.result.code:
            assert shot.result.err.strip(), f"{told}: exit {shot.result.code} without a word"
        check(engine, place, command, is_running, told)
