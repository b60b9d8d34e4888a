"""F18, F19, F35: many commands at once: exactly one winner, no deadlock, and a sound store afterwards."""

import concurrent.futures
import os
import random
import re
import threading
import time

import pytest

import images
import invariants

FULL = bool(os.environ.get("BERTH_TEST_FULL"))
CREATE = ["--network", "none", "test", "sleep", "1000"]


def at_once(count, action):
    """Runs action(0), action(1) … at the same moment; the results in order. Each command has its own deadline."""
    barrier = threading.Barrier(count)

    def run(number):
        barrier.wait()
        return action(number)

    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def codes(results):
    return sorted(result.code for result in results)


@pytest.fixture
def engine(fresh, test_archive):
    fresh.ok("load", "-i", test_archive, timeout=60)
    yield fresh
    invariants.check_invariants(fresh)


# One winner


def test_one_takes_the_name(engine):
    results = at_once(16, lambda number: engine.call("create", "--name", "wanted", *CREATE, timeout=60))
    assert codes(results) == [0] + [125] * 15
    winner = next(result.text for result in results if result.code == 0)
    for result in results:
        assert result.code == 0 or f'already in use by container "{winner}"' in result.err
    assert engine.ok("ps", "-aq", "--no-trunc").lines == [winner]


def test_one_is_renamed(engine):
    for number in range(8):
        engine.ok("create", "--name", f"before{number}", *CREATE)
    results = at_once(8, lambda number: engine.call("rename", f"before{number}", "wanted", timeout=60))
    assert codes(results) == [0] + [1] * 7
    assert engine.names("-a").count("wanted") == 1 and len(engine.names("-a")) == 8


def test_one_start_counts(engine):
    engine.ok("create", "--name", "it", *CREATE)
    results = at_once(12, lambda number: engine.call("start", "it", timeout=60))
    assert codes(results) == [0] * 12, results
    assert engine.status("it") == "running"
    supervisors = [pid for pid in engine.processes() if b"supervise" in open(f"/proc/{pid}/cmdline", "rb").read()]
    assert len(supervisors) == 1


def test_all_may_stop_and_remove(engine):
    engine.up("--name", "it")
    assert codes(at_once(12, lambda number: engine.call("stop", "-t", "0", "it", timeout=60))) == [0] * 12
    results = at_once(12, lambda number: engine.call("rm", "it", timeout=60))
    assert all(result.code == 0 or "no such container" in result.err for result in results), results
    assert engine.names("-a") == []


def test_generated_names_do_not_meet(engine):
    results = at_once(16, lambda number: [engine.ok("create", *CREATE, timeout=60).text for _ in range(4)])
    assert len({identity for made in results for identity in made}) == 64 == len(set(engine.names("-a")))


# Pairs


def loop(count, prepare, one, other):
    for number in range(count * (20 if FULL else 1)):
        prepare(number)
        yield at_once(2, lambda side: (one, other)[side](number))


def told(result, *allowed):
    """Success, or a failure for one of the known reasons."""
    assert result.code == 0 or any(re.search(pattern, result.err, re.I) for pattern in allowed), result


def test_rm_and_start(engine):
    for removed, started in loop(
        12, lambda number: engine.ok("create", "--name", "it", *CREATE),
        lambda number: engine.call("rm", "it", timeout=30), lambda number: engine.call("start", "it", timeout=30),
    ):  # fmt: skip
        told(removed, "container is running|is running", "by another command")
        told(started, "no such container", "marked for removal")
        # one of both has won
        assert removed.code == 0 or engine.status("it") == "running", (removed, started)
        if removed.code == 0:
            assert engine.names("-a") == [], (removed, started)
        engine.call("rm", "-f", "it")
        invariants.no_traps(started)


def test_stop_and_exec(engine):
    def prepare(number):
        engine.call("rm", "-f", "it")
        engine.up("--name", "it")

    for stopped, executed in loop(
        10, prepare, lambda number: engine.call("stop", "-t", "0", "it", timeout=30),
        lambda number: engine.call("exec", "it", "sh", "-c", "echo x; exec sleep 5", timeout=30),
    ):  # fmt: skip
        assert stopped.code == 0
        assert executed.code in (1, 126, 137, 255) and (executed.code == 137 or executed.err), executed
        assert engine.status("it") == "exited"


def test_run_rm_and_rm(engine):
    for ran, removed in loop(
        12, lambda number: None, lambda number: engine.call("run", "--rm", "--name", "it", "--network", "none", "test", "true", timeout=30),
        lambda number: (time.sleep(number % 12 * 0.004), engine.call("rm", "-f", "it", timeout=30))[1],
    ):  # fmt: skip
        assert ran.code in (0, 125, 137), ran
        told(removed, "no such container")
        assert engine.names("-a") == []


def test_stop_and_start(engine):
    engine.ok("create", "--name", "it", *CREATE)
    for stopped, started in loop(
        10, lambda number: None, lambda number: engine.call("stop", "-t", "0", "it", timeout=30),
        lambda number: engine.call("start", "it", timeout=30),
    ):  # fmt: skip
        assert stopped.code == 0, stopped
        told(started, "")
        assert engine.status("it") in ("running", "exited", "created")


def test_wait_and_rm(engine):
    for waited, removed in loop(
        8, lambda number: engine.up("--name", "it"), lambda number: engine.call("wait", "it", timeout=30),
        lambda number: (time.sleep(0.03), engine.call("rm", "-f", "it", timeout=30))[1],
    ):  # fmt: skip
        assert removed.code == 0
        assert waited.code == 0 and waited.text == "137" or "no such container" in waited.err, waited


def test_rename_and_look(engine):
    engine.ok("create", "--name", "even", *CREATE)
    for renamed, seen in loop(
        10, lambda number: None, lambda number: engine.call("rename", *[("even", "odd"), ("odd", "even")][number % 2]),
        lambda number: engine.call("ps", "-a", "--format", "{{.Names}}"),
    ):  # fmt: skip
        assert renamed.code == 0 and seen.text in ("even", "odd"), (renamed, seen)


def test_rmi_and_run(engine, place):
    layer = images.Layer()
    layer.file("only-here", b"x")
    archive = images.write(place / "victim.tar", images.docker_archive([images.base_layer(engine.suite.init), layer], ["victim:1"]))
    for removed, ran in loop(
        6, lambda number: engine.ok("load", "-i", archive, timeout=60), lambda number: engine.call("rmi", "victim:1", timeout=30),
        lambda number: engine.call("run", "--rm", "--network", "none", "victim:1", "cat", "/only-here", timeout=30),
    ):  # fmt: skip
        told(removed, "is using|in use|being used|conflict")
        assert ran.code == 0 and ran.text == "x" or "unable to find image" in ran.err.lower() or "no such image" in ran.err.lower(), ran
        engine.call("rmi", "victim:1")


# All at once


EXPECTED = (
    "no such container|already in use|is not running|container is (running|paused|restarting)|is running|same name as its current|marked for removal|"
    "has gone|was killed|by another command|first process ended early|removed when it ended|read log in|is removing|removed while"
)


def test_a_storm_of_commands(engine):
    """Random operations of many processes on eight names."""
    names = [f"name{number}" for number in range(8)]
    workers, seconds = (32, 600) if FULL else (16, 6)
    end = time.monotonic() + seconds
    created, unexpected = [], []

    def worker(number):
        source = random.Random(number)
        done = 0
        while time.monotonic() < end:
            name, other = source.sample(names, 2)
            command = source.choice([
                ["create", "--name", name, *CREATE], ["run", "-d", "--name", name, *CREATE], ["run", "--rm", "--name", name, "--network", "none", "test", "true"],
                ["start", name], ["stop", "-t", "0", name], ["kill", name], ["rm", name], ["rm", "-f", name], ["rename", name, other], ["restart", "-t", "0", name],
                ["ps", "-a"], ["inspect", name], ["exec", name, "true"], ["logs", name], ["top", name],
            ])  # fmt: skip
            result = engine.call(*command, timeout=60)  # the watchdog: a command that waits for ever fails here
            done += 1
            if result.code == 0 and command[0] == "create":
                created.append(result.text)
            if result.code not in (0, 1, 125, 126, 127, 137, 255):
                unexpected.append(result)
            elif command[0] == "exec" or (command[0] == "run" and result.code == 137):
                continue  # the container may end under it at any moment, by another worker's kill
            elif result.code and not re.search(EXPECTED + "|no such object", result.err, re.I):
                unexpected.append(result)
        return done

    done = at_once(workers, worker)
    assert sum(done) > workers
    assert unexpected == [], "\n".join(f"{result.code} {result.command[1:]} {result.err.strip()}" for result in unexpected[:10])
    left = engine.ok("ps", "-a", "--format", "{{.Names}}").lines
    assert len(left) == len(set(left)) and set(left) <= set(names)
    assert len(created) == len(set(created))


def test_many_containers(engine):
    """F35: started by parallel commands, listed, executed in, stopped and removed together."""
    count = 300 if FULL else 24
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        made = list(pool.map(lambda number: engine.up("--name", f"many{number}"), range(count)))
    assert len(set(made)) == count == len(engine.names())
    begin = time.monotonic()
    engine.ok("ps", "-a")
    assert time.monotonic() - begin < 5
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        results = list(pool.map(lambda number: engine.ok("exec", f"many{number}", "hostname", timeout=60).text, range(count)))
    assert results == [identity[:12] for identity in made]
    engine.ok("stop", "-t", "0", *made, timeout=120)
    assert engine.names() == [] and len(engine.names("-a")) == count
    engine.ok("rm", *made, timeout=120)
