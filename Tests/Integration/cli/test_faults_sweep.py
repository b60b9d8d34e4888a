"""F02, F03: the Nth system call of a command, its supervisor and its init is killed or fails; the next command finds all well.

A few well-spread N for each in a short run; all with BERTH_TEST_FULL=1.
"""

import os

import pytest

import inject
import invariants
from inject import FAILING, MUTATING, spread

pytestmark = pytest.mark.skipif(not inject.available(), reason="needs root (ptrace of an ordinary user's setuid helpers) and x86-64")
POINTS = 2

# The command under fault; what is made before; the states that are allowed after (None: no container).
SCENARIOS = {
    "create": (["create", "--name", "it", *"{parent} --network none test sleep 1000".split()], [], {None, "created"}),
    "create-v": (["create", "--name", "it", *"{parent} --network none -u app -v data:/d -v /own -v /etc test sleep 1000".split()], [], {None, "created"}),
    "run-d": (["run", "-d", "--name", "it", *"{parent} --network none test sleep 1000".split()], [], {None, "created", "running", "exited"}),
    "run-rm-v": (["run", "--rm", "--name", "it", *"{parent} --network none -v data:/d -v /own -v /etc test true".split()], [], {None, "created", "running", "exited", "removing"}),
    "run-rm": (["run", "--rm", "--name", "it", *"{parent} --network none test true".split()], [], {None, "created", "running", "exited", "removing"}),
    "start": (["start", "it"], ["create"], {"created", "running", "exited"}),
    "stop": (["stop", "-t", "1", "it"], ["run-d"], {"running", "exited"}),
    "kill": (["kill", "it"], ["run-d"], {"running", "exited"}),
    "rm": (["rm", "it"], ["create"], {None, "created"}),
    "rm-f": (["rm", "-f", "it"], ["run-d"], {None, "running", "exited", "created"}),
    "rename": (["rename", "it", "other"], ["create"], {"created"}),
    "restart": (["restart", "-t", "0", "it"], ["run-d"], {"running", "exited"}),
    "update": (["update", "{limits}", "--restart", "on-failure:3", "-e", "A=new", "it"], ["run-d"], {"running"}),
}  # fmt: skip
STARTING = ("run-d", "run-rm", "run-rm-v", "start", "restart")


class Case:
    def __init__(self, engine, name):
        self.engine, self.name = engine, name
        self.injector = inject.Injector(engine)
        words, self.before, self.states = SCENARIOS[name]
        self.command = self.words(words)

    def words(self, template):
        result = []
        for word in template:
            if word == "{parent}":
                result += invariants.cgroup_parent(self.engine)
            elif word == "{limits}":
                # An ordinary user has no cgroup here to set them in.
                result += ["--memory", "64m", "--pids-limit", "99"] if self.engine.who.is_root else []
            else:
                result.append(word)
        return result

    def check_definition(self, told):
        """All of an update or nothing."""
        found = self.engine.inspect("it")
        limits, policy = found["HostConfig"], found["HostConfig"]["RestartPolicy"]["Name"]
        seen = [policy == "on-failure", "A=new" in found["Config"]["Env"]]
        if self.engine.who.is_root:
            seen += [limits["Memory"] == 64 << 20, limits["PidsLimit"] == 99]
        assert len(set(seen)) == 1, f"{told}: half of it: {seen}"

    def prepare(self):
        for name in self.before:
            self.engine.ok(*self.words(SCENARIOS[name][0]))

    def status(self):
        names = self.engine.names("-a")
        assert len(names) <= 1, names
        try:
            return self.engine.status(names[0]) if names else None
        except AssertionError:
            # A --rm container may end in between.
            if self.engine.names("-a"):
                raise
            return None

    def count(self, calls):
        self.prepare()
        shot = self.injector.shoot("cli", 0, "kill", calls, *self.command)
        shot.result.exits(0)
        self.engine.clear()
        return shot.counts

    def check(self, shot, told):
        """The state is one of before and after; whatever is there can be used and removed; the same command succeeds."""
        status = self.status()
        assert status in self.states, f"{told}: {status}"
        if self.name == "update":
            self.check_definition(told)
        if status in ("created", "exited") and not self.name.startswith("run-rm"):
            # Whatever happened to it, it can be started.
            self.engine.ok("start", *self.engine.names("-a"))
            assert self.status() == "running", told
        invariants.check_invariants(self.engine)
        self.prepare()
        again = self.engine.call(*self.command, timeout=30)
        assert again.code == 0, f"{told}: the same command again: {again}"
        self.engine.clear()


@pytest.fixture
def sweep(fresh, test_archive):
    fresh.ok("load", "-i", test_archive, timeout=60)
    yield lambda name: Case(fresh, name)
    fresh.clear()
    invariants.remove_cgroup_parent(fresh)


def roles(name):
    return inject.ROLES if name in STARTING else ("cli",)


@pytest.mark.parametrize("name", SCENARIOS)
def test_killed_at_any_call(sweep, name):
    case = sweep(name)
    counts = case.count(MUTATING)
    for role in roles(name):
        assert counts[role] > 0, (role, counts)
        for nth in spread(counts[role], POINTS, f"{name} {role}"):
            case.prepare()
            shot = case.injector.shoot(role, nth, "kill", MUTATING, *case.command)
            told = f"{name}: SIGKILL at call {nth} of {counts[role]}, {shot.fired or 'not reached'}"
            try:
                if role != "cli" and shot.fired:
                    invariants.no_traps(shot.result)
                case.check(shot, told)
            except AssertionError as error:
                raise AssertionError(f"{told}\n{shot}\n{error}") from error


@pytest.mark.parametrize("failure", FAILING)
@pytest.mark.parametrize("name", SCENARIOS)
def test_any_call_fails(sweep, name, failure):
    case = sweep(name)
    calls = FAILING[failure].split()
    counts = case.count(calls)
    for role in roles(name):
        for nth in spread(counts[role], 1, f"{name} {role} {failure}"):
            case.prepare()
            shot = case.injector.shoot(role, nth, failure, calls, *case.command)
            told = f"{name}: {failure} at call {nth} of {counts[role]}, {shot.fired or 'not reached'}"
            try:
                invariants.no_traps(shot.result)
                for died, number in shot.deaths:
                    assert number not in invariants.DEATHS, f"{died} died of {invariants.DEATHS[number]}"
                if shot.result.code:
                    assert shot.result.err.strip(), f"exit {shot.result.code} without a word"
                case.check(shot, told)
            except AssertionError as error:
                raise AssertionError(f"{told}\n{shot}\n{error}") from error
