"""Networks under faults: commands and supervisors killed at any call, full disks, commands at once. Afterwards everything can be removed,
and the host's links, firewall elements, ports and the networks' files are what they were.

A few well-spread calls in a short run; all with BERTH_TEST_FULL=1.
"""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import pytest

import inject
import invariants
from berth import Berth
from host import wait_for
from inject import MUTATING, spread
from loop_store import LoopBerth
from net_host import Host, NetBerth
from sweep import require_strace
from test_faults_races import at_once
from user_networks import World, wait_gone

pytestmark = pytest.mark.skipif(not inject.available(), reason="needs root and x86-64")
FULL = bool(os.environ.get("BERTH_TEST_FULL"))
POINTS = 2
PORTS = set(range(8080, 8090))


class RootPlace:
    """berth of root on a host of its own, with a container that stays."""

    def __init__(self, suite, programs):
        self.engine = NetBerth(suite, suite.root, programs)
        self.prefix = ["nsenter", "-n", "-t", self.engine.host.pid]

    def call(self, *args, **keywords):
        return self.engine.call(*args, **{"timeout": 30} | keywords)

    def ok(self, *args, **keywords):
        return self.call(*args, **keywords).check()

    def inside(self, *words):
        """Runs a program where the bridges are."""
        return self.engine.host.run(*words)

    def listening(self):
        """Ports that lead to containers."""
        return {int(key.split()[1]) for name, key in elements(self) if name in ("any4", "own4")}

    def close(self):
        self.engine.close()


class UserPlace:
    """The same of an ordinary user: bridges are in namespaces of their own."""

    def __init__(self, suite, programs):
        if suite.user is None or not shutil.which("pasta"):
            pytest.skip("needs an ordinary user with 65536 subordinate ids, and pasta (apt install passt)")
        self.engine = Berth(suite, suite.user, programs)
        self.world = World()
        self.prefix = self.world.host.wrap("net", "mount")

    def call(self, *args, **keywords):
        return self.world.call(self.engine, *args, **{"timeout": 30} | keywords)

    def ok(self, *args, **keywords):
        return self.call(*args, **keywords).check()

    def inside(self, *words):
        keeper = self.engine.supervisor(self.ok("inspect", "-f", "{{.Id}}", "keeper").text)
        done = subprocess.run(["nsenter", f"--net=/proc/{keeper}/ns/net", *words], capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def listening(self):
        lines = self.world.host.sh("ss -Htln").splitlines()
        return {int(line.split()[3].rpartition(":")[2]) for line in lines} & PORTS

    def close(self):
        self.engine.close()
        wait_gone(self.engine)
        self.world.close()


def elements(place):
    """What the firewall's sets and maps hold: pairs of a name and a key."""
    found = set()
    for entry in json.loads(place.inside("nft", "-j", "list", "table", "inet", "berth"))["nftables"]:
        for kind in ("set", "map"):
            for element in entry.get(kind, {}).get("elem", []):
                key = element[0] if kind == "map" and isinstance(element, list) else element
                key = key.get("elem", {}).get("val", key) if isinstance(key, dict) and "elem" in key else key
                found.add((entry[kind]["name"], flat(key)))
    return found


def flat(key):
    if isinstance(key, dict):
        return flat(next(iter(key.values())))
    return " ".join(map(flat, key)) if isinstance(key, list) else str(key)


def state(place):
    """All that containers leave behind outside of themselves."""
    links = {link["ifname"] for link in json.loads(place.inside("ip", "-j", "link"))}
    present = elements(place)
    if isinstance(place, UserPlace):
        # Bridges of networks that were removed go with the namespace, or when they are in another's way.
        devices = {link for link in links if link.startswith("br-")} - place.bridges
        links -= devices
        present = {(name, key) for name, key in present if not any(device in key for device in devices) and "10.79." not in key}
    files = [path for path in (place.engine.run_root / "networks").rglob("*") if len(path.name) == 64 and path.is_file()]
    return {
        "links": sorted(links), "elements": present, "names": sorted(map(str, files)), "ports": place.listening(),
        "addresses": sorted(json.dumps(entry["Containers"], sort_keys=True) for entry in json.loads(place.ok("network", "inspect", "web", "back").out)),
    }  # fmt: skip


@pytest.fixture(params=["root", "user"])
def place(request, suite, berth_programs, test_archive):
    made = (RootPlace if request.param == "root" else UserPlace)(suite, berth_programs)
    try:
        made.ok("load", "-i", test_archive, timeout=60)
        made.ok("network", "create", "--subnet", "10.77.0.0/24", "web")
        made.ok("network", "create", "--subnet", "10.78.0.0/24", "back")
        # Bridges stand for as long as their network; these two from now on.
        made.ok("run", "-d", "--name", "keeper", "--network", "web", "--network", "back", "test", "sleep", "1000")
        made.bridges = {link["ifname"] for link in json.loads(made.inside("ip", "-j", "link")) if link["ifname"].startswith("br-")}
        made.before = state(made)
        yield made
        made.ok("rm", "-f", "keeper")
        made.ok("network", "rm", "web", "back")
    finally:
        made.close()


RUN = ["run", "-d", "--name", "it", "--network", "web", "-p", "8080:80", "test", "sleep", "1000"]
# The command under fault, and what is done before.
SCENARIOS = {
    "run": (RUN, []),
    "connect": (["network", "connect", "back", "it"], [RUN]),
    "disconnect": (["network", "disconnect", "back", "it"], [RUN, ["network", "connect", "back", "it"]]),
    "publish-add": (["update", "--publish-add", "8081:81", "it"], [RUN]),
    "publish-rm": (["update", "--publish-rm", "80", "it"], [RUN]),
    "stop": (["stop", "-t", "0", "it"], [RUN]),
}  # fmt: skip


def planned(place):
    identity = place.ok("inspect", "-f", "{{.Id}}", "it").text
    plan = json.loads((place.engine.root / "containers" / identity / "supervise.json").read_text())["network"]
    return plan, {port["hostPort"] for port in plan.get("ports", [])}


def agree(place):
    """What is open is what the file says, for as long as somebody carries it out."""
    if "it" not in place.ok("ps", "--format", "{{.Names}}").lines:
        return True
    if not place.engine.supervisor(place.ok("inspect", "-f", "{{.Id}}", "it").text):
        return True
    plan, ports = planned(place)
    pid = place.ok("inspect", "-f", "{{.State.Pid}}", "it").text
    links = subprocess.run(["nsenter", f"--net=/proc/{pid}/ns/net", "ip", "-j", "link"], capture_output=True, text=True).stdout
    devices = {link["ifname"] for link in json.loads(links)} - {"lo"}
    return place.listening() == ports and devices == {endpoint["interface"] for endpoint in plan.get("endpoints", [])}


def check(place, command):
    """File and container agree; the command completes when it is run again; and all of it can be removed."""
    wait_for(lambda: agree(place), "the container to be what its file says", 5)
    running = "it" in place.ok("ps", "--format", "{{.Names}}").lines
    if running and place.engine.supervisor(place.ok("inspect", "-f", "{{.Id}}", "it").text) and command[0] != "run":
        again = place.call(*command)
        assert again.code == 0 or re.search("already exists in network|is not connected to|no public port|already allocated", again.err), again
        wait_for(lambda: agree(place), "the container to be what its file says, again", 5)
        if command[0] == "network":
            plan, _ = planned(place)
            names = {endpoint["bridge"]["networkName"] for endpoint in plan["endpoints"]}
            assert names == ({"web", "back"} if command[1] == "connect" else {"web"}), "the command was not completed"
    place.call("rm", "-f", "it")
    settled(place)


def settled(place):
    now = []

    def same():
        now[:] = [state(place)]
        return now[0] == place.before

    try:
        wait_for(same, "", 5)
    except AssertionError:
        assert now[0] == place.before
    invariants.check_store(place.engine)


def prepare(place, name):
    for words in SCENARIOS[name][1]:
        place.ok(*words)


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_command_is_killed_at_any_call(place, name):
    """With `run`, its supervisor and what that starts as well."""
    injector = inject.Injector(place.engine, place.prefix)
    command, _ = SCENARIOS[name]
    prepare(place, name)
    counting = injector.shoot("cli", 0, "kill", MUTATING, *command)
    counting.result.exits(0)
    check(place, command)
    for role in inject.ROLES if name == "run" else ("cli",):
        assert counting.counts[role] > 0, counting.counts
        for nth in spread(counting.counts[role], POINTS, f"{name} {role}"):
            prepare(place, name)
            shot = injector.shoot(role, nth, "kill", MUTATING, *command)
            try:
                if role != "cli" and shot.fired:
                    invariants.no_traps(shot.result)
                check(place, command)
            except AssertionError as error:
                raise AssertionError(f"{name}: SIGKILL at call {nth} of {counting.counts[role]}, {shot.fired or 'not reached'}\n{shot}\n{error}") from error


# What a supervisor does while it connects and disconnects.
CALLS = "sendto,sendmsg,setns,write,socket,bind,listen,clone3,clone,fork,vfork,openat,renameat2,renameat,unlinkat,close,recvmsg,recvfrom,dup3,epoll_ctl"


@contextlib.contextmanager
def traced(place, pid, number, log):
    """Kills a process that runs at the Nth such call from now on; 0 only counts."""
    inject_words = ["-e", f"inject={CALLS}:signal=SIGKILL:when={number}"] if number else []
    tracer = subprocess.Popen(
        ["strace", "-qq", "-p", str(pid), "-o", str(log), "-e", f"trace={CALLS}", *inject_words], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: "TracerPid:\t0\n" not in pathlib.Path(f"/proc/{pid}/status").read_text(), "the tracer")
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait()


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name != "run"])
def test_a_supervisor_is_killed_at_any_call(place, name, tmp_path):
    require_strace()
    command, _ = SCENARIOS[name]

    def shoot(number):
        prepare(place, name)
        supervisor = place.engine.supervisor(place.ok("inspect", "-f", "{{.Id}}", "it").text)
        with traced(place, supervisor, number, tmp_path / "log"):
            result = place.call(*command)
            if name == "stop" and not number:
                wait_for(lambda: not os.path.exists(f"/proc/{supervisor}"), "its end")
        invariants.no_traps(result)
        return result

    shoot(0).exits(0)
    total = len([line for line in (tmp_path / "log").read_text().splitlines() if "(" in line and "resumed" not in line])
    check(place, command)
    assert total > 5
    for nth in spread(total, POINTS, f"supervisor {name}"):
        result = shoot(nth)
        try:
            assert result.code == 0 or result.err.strip(), "a failure without a word"
            check(place, command)
        except AssertionError as error:
            last = (tmp_path / "log").read_text().splitlines()[-3:]
            raise AssertionError(f"{name}: the supervisor killed at call {nth} of {total}: {last}\n{result}\n{error}") from error


# At once


def rounds(count):
    return range(count * (20 if FULL else 1))


def told(result, *allowed):
    """Success, or a failure for one of the known reasons."""
    assert result.code == 0 or any(re.search(pattern, result.err, re.I) for pattern in allowed), result
    invariants.no_traps(result)


def test_network_rm_and_start(place):
    """Either the network is there and the container runs in it, or it is gone and the start says so."""
    for number in rounds(6):
        place.ok("network", "create", "--subnet", "10.79.0.0/24", "brief")
        place.ok("create", "--name", "it", "--network", "brief", "test", "sleep", "1000")
        removed, started = at_once(
            2, lambda side: time.sleep(number % 3 * 0.02 * side) or place.call(*[("network", "rm", "brief"), ("start", "it")][side]))
        told(removed, "has active endpoints")
        told(started, "network brief not found")
        assert (removed.code == 0) != (started.code == 0), (removed, started)
        place.ok("rm", "-f", "it")
        place.call("network", "rm", "brief")
        assert "brief" not in place.ok("network", "ls", "--format", "{{.Name}}").lines


def test_network_rm_and_run(place):
    for number in rounds(6):
        place.ok("network", "create", "--subnet", "10.79.0.0/24", "brief")
        words = [("network", "rm", "brief"), ("run", "-d", "--name", "it", "--network", "brief", "-p", "8080:80", "test", "sleep", "1000")]
        removed, ran = at_once(2, lambda side: time.sleep(number % 4 * 0.03 * (1 - side)) or place.call(*words[side]))
        told(removed, "has active endpoints")
        told(ran, "network brief not found")
        assert (removed.code == 0) != (ran.code == 0), (removed, ran)
        place.call("rm", "-f", "it")
        place.call("network", "rm", "brief")
        settled(place)


def test_connect_and_rm(place):
    for number in rounds(6):
        place.ok(*RUN)
        words = [("network", "connect", "back", "it"), ("rm", "-f", "it")]
        connected, removed = at_once(2, lambda side: time.sleep(number % 4 * 0.02 * side) or place.call(*words[side]))
        told(connected, "no such container", "has gone", "is not running", "was killed", "removed")
        assert removed.code == 0, removed
        settled(place)


def test_connects_and_disconnects_of_one_container(place):
    """Any order of them is some order: in the end the container is what its rows say."""
    place.ok(*RUN)
    for _ in rounds(3):
        words = [("network", "connect", "back", "it"), ("network", "disconnect", "back", "it"), ("update", "--publish-add", "8081:81", "it")]
        words += [("update", "--publish-rm", "81", "it"), ("network", "connect", "back", "it")]
        for result in at_once(len(words), lambda side: place.call(*words[side])):
            told(result, "already exists in network", "is not connected to", "no public port", "already allocated")
        place.call("update", "--publish-add", "8082:82", "it").check()
        rows = set(json.loads(place.ok("inspect", "it").out)[0]["NetworkSettings"]["Networks"])
        wait_for(lambda: agree(place), "the container to be what its file says", 5)
        assert {endpoint["bridge"]["networkName"] for endpoint in planned(place)[0]["endpoints"]} == rows
        place.ok("update", "--publish-rm", "82", "it")
    place.ok("rm", "-f", "it")
    settled(place)


# Many


ASKER = """
import socket, struct, sys, threading, time
names, seconds, rate = sys.argv[3:], float(sys.argv[1]), float(sys.argv[2])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
s.connect(("127.0.0.11", 53))
begin, asked, wrong = time.monotonic(), 0, []
print("ready", flush=True)
while time.monotonic() - begin < seconds:
    name = names[asked % len(names)].encode()
    s.send(struct.pack(">HHHHHH", asked & 0xffff, 0x100, 1, 0, 0, 0) + bytes([len(name)]) + name + b"\\0\\0\\1\\0\\1")
    try: answer = s.recv(2000)
    except OSError as error: answer = b"\\0" * 12; wrong.append(str(error))
    if struct.unpack(">H", answer[:2])[0] != asked & 0xffff or answer[3] & 15 or answer[7] != 1: wrong.append((name, answer[:12].hex()))
    asked += 1
    time.sleep(max(0, begin + asked / rate - time.monotonic()))
print(asked, len(wrong), wrong[:3])
"""


def test_many_join_and_leave_while_another_asks(place):
    """A thousand questions a second for names that stay, none of them without its answer."""
    count, seconds = (200, 60) if FULL else (40, 12)
    place.ok("run", "-d", "--name", "it", "--network", "web", "--network-alias", "steady", "test", "sleep", "1000")
    identity = place.ok("inspect", "-f", "{{.State.Pid}}", "it").text
    asker = subprocess.Popen(
        ["nsenter", f"--net=/proc/{identity}/ns/net", "python3", "-c", ASKER, str(seconds), "1000", "it", "steady", "keeper"],
        stdout=subprocess.PIPE, text=True)  # fmt: skip
    try:
        assert asker.stdout.readline() == "ready\n"

        def one(number):
            place.ok("run", "-d", "--name", f"many{number}", "--network", "web", "--network-alias", "crowd", "test", "sleep", "1000", timeout=120)
            place.ok("rm", "-f", f"many{number}", timeout=120)

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(one, range(count)))
        asked, wrong = asker.communicate(timeout=seconds + 60)[0].split(" ", 2)[:2]
    finally:
        asker.kill()
        asker.wait()
    print(f"{int(asked) / seconds:.0f} questions a second")
    assert wrong == "0" and int(asked) > 100 * seconds, "debug builds on a busy machine are slower than asked"
    place.ok("rm", "-f", "it")
    settled(place)


# A full disk


class FullBerth(LoopBerth):
    """A store on a file system of its own, on a host of its own."""

    def __init__(self, suite, who, programs):
        self.host = Host()
        super().__init__(suite, who, programs, 48)

    def popen(self, *args, wrap=(), **keywords):
        return super().popen(*args, wrap=["nsenter", "-n", "-t", self.host.pid, *wrap], **keywords)

    def close(self):
        super().close()
        self.host.close()


@pytest.fixture
def full(suite, berth_programs, test_archive):
    engine = FullBerth(suite, suite.root, berth_programs)
    try:
        engine.ok("load", "-i", test_archive, timeout=60)
        yield engine
    finally:
        engine.close()


@pytest.mark.parametrize("leave", [0, 4096, 65536])
def test_a_full_disk(full, leave):
    """One sentence, and nothing is changed; what gives room back works."""
    full.ok("network", "create", "web")
    full.ok("network", "create", "back")
    full.ok("run", "-d", "--name", "it", "--network", "web", "-p", "8080:80", "test", "sleep", "1000")
    before = {name: full.ok(*words).out for name, words in LOOKS.items()}
    links = full.host.links()
    full.fill(leave)
    for words in (
        ("network", "create", "another"), ("network", "connect", "back", "it"), ("update", "--publish-add", "8081:81", "it"),
        ("run", "-d", "--name", "second", "--network", "web", "test", "sleep", "1000"),
    ):  # fmt: skip
        result = full.call(*words, timeout=30)
        if result.code == 0:
            assert leave, "there was no room at all"
            continue
        assert re.search("no space|disk is full|full|would be left", result.err, re.I) and len(result.err.splitlines()) == 1, result
        after = {name: full.ok(*words).out for name, words in LOOKS.items()}
        if leave == 0:
            assert after == before, words
            wait_for(lambda: full.host.links() == links, "no device to be left", 5)
    full.unfill()
    full.call("network", "connect", "back", "it")
    full.ok("update", "--publish-add", "8082:82", "it")
    assert {"eth0", "eth1"} <= {link["ifname"] for link in json.loads(full.inside("nsenter", f"--net=/proc/{full.pid('it')}/ns/net", "ip", "-j", "link"))}
    assert "82/tcp -> 0.0.0.0:8082" in full.ok("port", "it").lines
    invariants.check_store(full)


LOOKS = {
    "networks": ("network", "ls", "--format", "{{.Name}}"), "ports": ("port", "it"), "containers": ("ps", "-a", "--format", "{{.Names}}"),
    "connections": ("inspect", "-f", "{{json .NetworkSettings.Networks}}", "it"),
}  # fmt: skip
