"""`events`: what every command and every supervisor does, once and in order, with nobody who listens all the time."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest

from berth import Berth
from host import wait_asleep, wait_for

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(Z|[+-]\d\d:\d\d)")


def past(berth, *flags):
    """All events so far, as documents."""
    out = berth.ok("events", "--since", "1h", "--until", "0s", "--format", "json", *flags).out
    return [json.loads(line) for line in out.splitlines()]


def actions(berth, name, *flags):
    return [event["Action"] for event in past(berth, "--filter", f"container={name}", "--filter", "type=container", *flags)]


def settled(berth, name, wanted):
    """Waits for what comes after the command has returned."""
    wait_for(lambda: actions(berth, name) == wanted, f"{wanted}; there is {actions(berth, name)}")


class Follower:
    """`berth events` that runs beside what a test does."""

    def __init__(self, berth, *flags):
        self.seen = []
        self.process = berth.popen("events", "--format", "json", *flags, stdout=subprocess.PIPE)
        # It listens once it waits.
        wait_asleep(self.process)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.text = b""

    def events(self):
        """All so far."""
        *whole, self.text = (self.text + (self.process.stdout.read() or b"")).split(b"\n")
        self.seen += map(json.loads, whole)
        return self.seen

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def following(berth):
    made = []

    def follow(*flags):
        made.append(Follower(berth, *flags))
        return made[-1]

    yield follow
    for follower in made:
        follower.close()


def test_shape(berth):
    """moby's document and text."""
    berth.call("run", "--name", "shape", "--network", "none", "--label", "l=v w", "test", "sh", "-c", "exit 3").exits(3)
    identity = berth.inspect("shape", "Id")
    found = past(berth, "--filter", "container=shape")
    assert [event["Action"] for event in found] == ["create", "attach", "start", "die"]
    die = found[-1]
    assert list(die) == ["status", "id", "from", "Type", "Action", "Actor", "scope", "time", "timeNano"]
    assert die["status"] == "die" and die["id"] == die["Actor"]["ID"] == identity and die["from"] == "test"
    assert die["Type"] == "container" and die["scope"] == "local" and die["time"] == die["timeNano"] // 10**9
    assert die["Actor"]["Attributes"] == {"exitCode": "3", "execDuration": "0", "image": "test", "name": "shape", "l": "v w"}
    times = [event["timeNano"] for event in found]
    assert times == sorted(times)
    line = berth.ok("events", "--since", "1h", "--until", "0s", "--filter", "container=shape", "--filter", "event=create").text
    assert re.fullmatch(STAMP.pattern + rf" container create {identity} \(image=test, l=v w, name=shape\)", line)
    short = berth.ok("events", "--since", "1h", "--until", "0s", "-f", "container=shape", "-f", "event=create", "--no-trunc=false").text
    assert f" create {identity[:12]} (" in short
    berth.ok("rm", "shape")


def test_templates(berth):
    berth.run("--name", "templated", "test", "true").check()
    wait_for(lambda: "destroy" in actions(berth, "templated"), "its end")
    arguments = ("events", "--since", "1h", "--until", "0s", "-f", "container=templated", "-f", "event=die", "--format")
    for template, wanted in [
        ("{{.Type}} {{.Action}} {{.Actor.Attributes.name}} {{.From}} {{.Status}} {{.Scope}}", "container die templated test die local"),
        ("{{.Actor.Attributes.exitCode}}|{{.Actor.Attributes.none}}", "0|<no value>"), ("{{.Name}} {{.Image}} {{.ContainerExitCode}}", "templated test 0"),
    ]:  # fmt: skip
        assert berth.ok(*arguments, template).text == wanted
    document = json.loads(berth.ok(*arguments, "{{json .}}").out)
    assert document["Action"] == "die" and document["Actor"]["Attributes"]["name"] == "templated"
    assert berth.ok(*arguments, "{{.Time}}").text == str(document["time"])
    berth.call(*arguments, "{{.Foo}}").fails(1, "Foo")
    berth.call(*arguments, "{{").fails(64, "template parsing error")


def test_refused(berth):
    berth.call("events", "--filter", "colour=red", "--until", "0s").fails(1, "invalid filter 'colour'")
    berth.call("events", "--since", "yesterday").fails(1, "failed to parse value as time or duration")
    berth.call("events", "--filter", "nonsense").fails(125, "bad format of filter")
    berth.ok("system", "events", "--since", "1s", "--until", "0s")


def test_life(berth):
    """What docker says of the same commands."""
    identity = berth.up("--name", "life", "--stop-timeout", "1", command=("sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait"))
    # A user without a delegated cgroup cannot freeze anything.
    freezes = berth.call("pause", "life").code == 0
    assert freezes or not berth.who.is_root
    if freezes:
        berth.ok("unpause", "life")
    for words in [
        ("rename", "life", "lives"), ("top", "lives"), ("restart", "lives"), ("kill", "lives"), ("start", "lives"), ("stop", "lives"),
        ("rm", "lives"),
    ]:  # fmt: skip
        berth.ok(*words)
    found = [event for event in past(berth) if event["Actor"]["ID"] == identity]
    assert [event["Action"] for event in found if event["Action"] not in ("pause", "unpause")] == [
        "create", "start", "rename", "top", "kill", "die", "stop", "start", "restart", "kill", "die", "start", "kill",
        "die", "stop", "destroy",
    ]  # fmt: skip
    assert [event["Action"] for event in found[2:4]] == ["pause", "unpause"] or not freezes
    kills = [event["Actor"]["Attributes"]["signal"] for event in found if event["Action"] == "kill"]
    assert kills == ["15", "9", "15"]
    codes = [event["Actor"]["Attributes"]["exitCode"] for event in found if event["Action"] == "die"]
    assert codes == ["0", "137", "0"]
    renamed = next(event for event in found if event["Action"] == "rename")
    assert renamed["Actor"]["Attributes"] == {"image": "test", "name": "lives", "oldName": "/life"}
    assert all(event["Actor"]["Attributes"]["name"] == "lives" for event in found[found.index(renamed) :])


def test_a_signal_that_is_ignored(berth):
    identity = berth.up("--name", "deaf", command=("sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 1; done"))
    berth.wait_log("deaf", "deaf")
    berth.ok("stop", "-t", "1", "deaf")
    found = past(berth, "--filter", f"container={identity}", "--filter", "event=kill")
    assert [event["Actor"]["Attributes"]["signal"] for event in found] == ["15", "9"]
    berth.ok("rm", "-f", "deaf")
    assert actions(berth, identity)[-3:] == ["die", "stop", "destroy"]


def test_rm_of_what_runs(berth):
    identity = berth.up("--name", "removed")
    berth.ok("rm", "-f", "removed")
    assert actions(berth, identity) == ["create", "start", "kill", "die", "destroy"]
    temporary = berth.up("--rm", "--name", "temporary")
    berth.ok("rm", "-f", "temporary")
    settled(berth, temporary, ["create", "start", "kill", "die", "destroy"])


def test_run_that_is_removed(berth):
    berth.run("--name", "once", "test", "true").check()
    settled(berth, "once", ["create", "attach", "start", "die", "destroy"])
    berth.detached("--rm", "--name", "twice", "test", "true")
    settled(berth, "twice", ["create", "start", "die", "destroy"])
    berth.ok("ps", "-a")  # Clears the row away: that is no second end.
    assert actions(berth, "twice").count("destroy") == 1


def test_what_cannot_start_does_not_die(berth):
    berth.run("--name", "missing", "test", "/nothing").fails(127)
    wait_for(lambda: "destroy" in actions(berth, "missing"), "its removal")
    found = actions(berth, "missing")
    assert "start" not in found and "die" not in found and found.count("destroy") == 1


def test_restarts(berth):
    """One end for each run, whoever starts the next."""
    berth.detached("--name", "again", "--restart", "on-failure:2", "test", "sh", "-c", "exit 7")
    wait_for(lambda: actions(berth, "again").count("die") == 3, "three ends")
    berth.wait_status("again", "exited")
    assert actions(berth, "again") == ["create"] + ["start", "die"] * 3


def test_images(berth, place):
    archive = place / "a.tar"
    berth.ok("tag", "test", "events.example/x:1")
    berth.ok("save", "-o", archive, "events.example/x:1")
    berth.ok("rmi", "events.example/x:1")
    berth.ok("load", "-i", archive)
    berth.ok("rmi", "events.example/x:1")
    identity = berth.inspect("test", "Id")
    found = [event for event in past(berth, "--filter", "type=image") if event["Actor"]["ID"] == identity][-5:]
    assert [event["Action"] for event in found] == ["tag", "save", "untag", "load", "untag"]
    assert found[0]["Actor"]["Attributes"]["name"] == "events.example/x:1"
    assert found[1]["Actor"]["Attributes"]["name"] == identity
    assert list(found[0]) == ["status", "id", "Type", "Action", "Actor", "scope", "time", "timeNano"]


def test_volumes(berth):
    berth.run("--name", "mounted", "-v", "eventful:/v:ro", "-v", "/anonymous", "test", "true").check()
    wait_for(lambda: "destroy" in actions(berth, "mounted"), "its end")
    found = past(berth, "--filter", "volume=eventful")
    assert [event["Action"] for event in found] == ["create", "mount", "unmount"]
    assert found[1]["Actor"]["Attributes"] | {"container": ""} == {
        "container": "", "destination": "/v", "driver": "local", "propagation": "", "read/write": "false"
    }  # fmt: skip
    mounts = past(berth, "--filter", "type=volume", "--filter", "event=mount")
    (name,) = {event["Actor"]["ID"] for event in mounts if event["Actor"]["Attributes"]["destination"] == "/anonymous"}
    found = [event["Action"] for event in past(berth, "--filter", f"volume={name}")]
    assert sorted(found) == ["create", "destroy", "mount", "unmount"]
    berth.ok("volume", "prune", "-af")
    assert [event["Action"] for event in past(berth, "--filter", "volume=eventful")][-1] == "destroy"
    berth.ok("volume", "create", "event-made")
    berth.ok("volume", "create", "event-made")
    berth.ok("volume", "clone", "event-made", "event-twin")
    berth.ok("volume", "rm", "event-made", "event-twin")
    found = [(event["Action"], event["Actor"]["ID"]) for event in past(berth, "--filter", "volume=event-made", "--filter", "volume=event-twin")]
    assert found == [(action, f"event-{name}") for action in ("create", "destroy") for name in ("made", "twin")]


def test_networks(alone):
    berth = alone
    network = berth.ok("network", "create", "eventnet").text
    identity = berth.ok("run", "-d", "--name", "connected", "--network", "eventnet", "test", "sleep", "100").text
    berth.ok("network", "disconnect", "eventnet", "connected")
    berth.ok("network", "connect", "eventnet", "connected")
    berth.ok("rm", "-f", "connected")
    berth.ok("network", "rm", "eventnet")
    found = past(berth, "--filter", "network=eventnet")
    assert [event["Action"] for event in found] == ["create", "connect", "disconnect", "connect", "disconnect", "destroy"]
    assert found[1]["Actor"] == {"ID": network, "Attributes": {"container": identity, "name": "eventnet", "type": "bridge"}}
    assert found[0]["Actor"]["Attributes"] == {"name": "eventnet", "type": "bridge"}
    assert list(found[0]) == ["Type", "Action", "Actor", "scope", "time", "timeNano"]


def test_exec(berth):
    berth.up("--name", "executed")
    berth.call("exec", "executed", "sh", "-c", "exit 5").exits(5)
    berth.ok("exec", "-d", "executed", "sh", "-c", "exit 6")
    berth.call("exec", "executed", "/nothing").fails(127)
    wait_for(lambda: actions(berth, "executed").count("exec_die") == 2, "both ends")
    found = past(berth, "--filter", "container=executed")
    starts = [event for event in found if event["Action"] == "exec_start: sh -c exit 5"]
    ends = {event["Actor"]["Attributes"]["execID"]: event["Actor"]["Attributes"]["exitCode"] for event in found if event["Action"] == "exec_die"}
    assert ends[starts[0]["Actor"]["Attributes"]["execID"]] == "5" and sorted(ends.values()) == ["5", "6"]
    assert len(past(berth, "--filter", "container=executed", "--filter", "event=exec_create")) == 3


def test_following(berth, following):
    """What other processes do, as it happens, through filters."""
    everything = following()
    ends = following("--filter", "event=die", "--filter", "label=watched")
    berth.run("--name", "quiet", "test", "true").check()
    berth.call("run", "--rm", "--network", "none", "--name", "loud", "--label", "watched", "test", "sh", "-c", "exit 9").exits(9)
    wait_for(lambda: ends.events(), "the end")
    assert [(event["Actor"]["Attributes"]["name"], event["Actor"]["Attributes"]["exitCode"]) for event in ends.events()] == [("loud", "9")]
    wait_for(lambda: [event["Action"] for event in everything.events()].count("destroy") == 2, "both removals")
    assert [event["Action"] for event in everything.events() if event["Actor"]["Attributes"]["name"] == "loud"] == [
        "create", "attach", "start", "die", "destroy"
    ]  # fmt: skip


def test_until(berth, following):
    begin = time.time()
    berth.run("--name", "before", "test", "true").check()
    out = berth.ok("events", "--since", f"{begin:.6f}", "--until", f"{time.time() + 1.5:.6f}", "--format", "{{.Action}}", timeout=10).lines
    assert 1 < time.time() - begin < 8
    assert out[:4] == ["create", "attach", "start", "die"]
    assert berth.ok("events", "--stream=false", "--since", f"{begin:.6f}", "--format", "{{.Action}}").lines[:4] == out[:4]
    # In the past it ends at once, and what is later is left out.
    assert berth.ok("events", "--since", "1h", "--until", f"{begin:.6f}", "-f", "container=before").out == ""


def test_an_end_that_its_reader_does_not_take(berth):
    """A closed pipe ends the command."""
    process = berth.popen("events", "--since", "1h", stdout=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()
    for _ in range(3):
        berth.run("test", "true").check()
    process.wait(10)


def test_a_supervisor_that_was_killed(berth):
    """One `die` a run: whoever ends or removes what it left writes it, once."""
    for finish in [("rm", "-f"), ("stop", "-t", "0"), ("kill",)]:
        name = "orphan-" + finish[0]
        identity = berth.up("--name", name)
        os.kill(berth.supervisor(identity), signal.SIGKILL)
        wait_for(lambda: berth.supervisor(identity) is None, "its end")
        assert actions(berth, name).count("die") == 0
        berth.ok(*finish, name)
        if finish[0] == "kill":
            berth.wait_status(name, "exited")
            berth.ok("start", name)
        berth.call("rm", "-f", name)
        found = actions(berth, identity)
        assert found.count("die") == found.count("start"), found
        ends = past(berth, "--filter", f"container={identity}", "--filter", "event=die")
        assert ends[0]["Actor"]["Attributes"]["exitCode"] == "-1"
        assert found.index("die") > found.index("start") and found[-1] == "destroy"


def test_everybody_is_killed(berth):
    """Commands and supervisors are killed at any time: at most one end for each start, and never two removals."""
    for number in range(12):
        process = berth.popen("run", "--name", f"victim-{number:02}", "--network", "none", "test", "sh", "-c", "sleep 0.05", stdout=subprocess.DEVNULL)
        time.sleep(0.01 * number)
        process.kill()
        process.wait()
        if number % 2:
            identity = berth.call("inspect", "-f", "{{.Id}}", f"victim-{number:02}").text
            supervisor = berth.supervisor(identity) if identity else None
            if supervisor:
                os.kill(supervisor, signal.SIGKILL)
    wait_for(lambda: not [name for name in berth.names() if name.startswith("victim-")], "their ends")
    for number in range(12):
        berth.call("rm", "-f", f"victim-{number:02}")
    for number in range(12):
        found = actions(berth, f"victim-{number:02}")
        assert found.count("start") <= 1 and found.count("die") == found.count("start"), (number, found)
        assert found.count("destroy") <= 1, (number, found)


WRITER = """
import fcntl, json, os, struct, sys, time
path, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
for number in range(count):
    now = time.time_ns()
    event = {"status": "test", "id": name, "Type": "container", "Action": f"n{number}", "Actor": {"ID": name, "Attributes": {"name": name}},
             "scope": "local", "time": now // 10**9, "timeNano": now}
    record = b"\\n" + json.dumps(event).encode() + b"\\n"
    while True:
        file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            fcntl.fcntl(file, 37, struct.pack("hhqqi", fcntl.F_RDLCK, 0, 0, 0, 0))
        except OSError:
            os.close(file)
            continue
        try:
            same = os.stat(path).st_ino == os.fstat(file).st_ino
        except FileNotFoundError:
            same = False
        if same:
            os.write(file, record)
        os.close(file)
        if same:
            break
"""


def test_ten_thousand_a_second(berth, following):
    """Writers of other processes, rotations by commands among them, and a follower that loses none."""
    berth.run("test", "true").check()
    follower = following("--filter", "event=n", "--filter", "event=exec_start")
    path = berth.seen(berth.root / "events/log")
    count, writers = 6000, 4
    begin = time.monotonic()
    keywords = {} if os.geteuid() == berth.who.uid else {"user": berth.who.uid, "group": berth.who.gid, "extra_groups": []}
    processes = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), f"writer{index}", str(count)], **keywords) for index in range(writers)]
    total = 0
    while any(process.poll() is None for process in processes):
        # Rotates what the others have filled.
        berth.run("test", "true").check()
        total = len(follower.events())
    rate = count * writers / (time.monotonic() - begin)
    assert all(process.returncode == 0 for process in processes)
    wanted = count * writers
    wait_for(lambda: sum(event["Action"].startswith("n") for event in follower.events()) == wanted, f"{wanted} events", 60)
    for index in range(writers):
        seen = [int(event["Action"][1:]) for event in follower.events() if event["Actor"]["ID"] == f"writer{index}"]
        assert seen == list(range(count))
    print(f"{rate:.0f} events a second, {total} read meanwhile")


def test_killed_writers(berth, following):
    """Torn lines are nobody's events, and harm no other."""
    berth.run("test", "true").check()
    path = berth.seen(berth.root / "events/log")
    with open(path, "ab") as file:
        file.write(b'{"status":"torn","Type":"container","Action":"sta')
    follower = following()
    for _ in range(5):
        process = berth.popen("run", "--rm", "--network", "none", "test", "true", stdout=subprocess.DEVNULL)
        time.sleep(0.02)
        process.kill()
        process.wait()
    berth.run("--name", "after", "test", "true").check()
    wait_for(lambda: any(e["Actor"]["Attributes"].get("name") == "after" and e["Action"] == "die" for e in follower.events()), "the last one")
    assert actions(berth, "after")[:4] == ["create", "attach", "start", "die"]
    assert not [event for event in past(berth) if event["Action"] == "sta"]


def test_bounded(suite, who, berth_programs, test_archive):
    """Whatever happens, the log has four files of four megabytes."""
    berth = Berth(suite, who, berth_programs)
    try:
        berth.ok("load", "-i", test_archive, timeout=60)
        folder = berth.seen(berth.root / "events")
        filler = json.dumps({"Type": "container", "Action": "fill", "Actor": {"ID": "x" * 60000, "Attributes": {}}, "timeNano": 5}).encode()
        for _ in range(6):
            with open(folder / "log", "ab") as file:
                for _ in range(75):
                    file.write(b"\n" + filler + b"\n")
            berth.run("test", "true").check()
        sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
        assert set(sizes) == {"log", "log.1", "log.2", "log.3"} and max(sizes.values()) < 5 << 20, sizes
        assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())
    finally:
        berth.close()


def test_a_full_disk(loop):
    """No command fails for its event."""
    folder = pathlib.Path(loop.seen(str(loop.root)))
    loop.call("events", "--since", "1s", "--until", "0s")
    os.makedirs(folder / "events", exist_ok=True)
    filler = folder / "filler"
    with open(filler, "wb") as file:
        try:
            while True:
                file.write(b"x" * (1 << 16))
                file.flush()
        except OSError:
            pass
    loop.call("network", "create", "full")
    loop.ok("events", "--since", "1h", "--until", "0s")
    filler.unlink()


def test_nothing_to_read(fresh):
    assert fresh.ok("events", "--since", "1h", "--until", "0s").out == ""
    assert fresh.ok("events", "--stream=false").out == ""


def test_s78_labels_forge_no_event(berth):
    """S78, S79: a label with line ends and terminal sequences stays a label."""
    label = 'x\n{"Type":"container","Action":"die","Actor":{"ID":"forged"},"timeNano":5}\n\x1b]0;title\x07'
    berth.run("--name", "forger", "--label", f"l={label}", "test", "true").check()
    found = past(berth, "--filter", "container=forger", "--filter", "event=create")
    assert [event["Actor"]["Attributes"]["l"] for event in found] == [label]
    assert not past(berth, "--filter", "container=forged")
    text = berth.ok("events", "--since", "1h", "--until", "0s", "-f", "container=forger", "-f", "event=create")
    assert "\x1b" not in text.out and "\x07" not in text.out
