"""`image prune`, `container prune`, `volume prune`, `system prune`, and the collection by `[store] max_size`."""

import os
import re
import subprocess

import images
import oracle
import pytest
from host import locked
from images import Layer, docker_archive
from sweep import MUTATING, injected, numbers, require_strace
from terminal import Terminal


def load(engine, place, text, tags=(), size=3000, code=0, env=None, **more):
    data = docker_archive([Layer().dir("etc").file("etc/text", text * size)], tags, **more)
    result = engine.call("load", "-i", images.write(place / f"archive{text}", data), timeout=60, env=env)
    return result.exits(code)


def names(engine):
    return engine.ok("images", "--format", "{{.Repository}}:{{.Tag}}").lines


@pytest.fixture
def stocked(fresh, place):
    """A dangling image, one with a container, one without; all of different ages."""
    for number, (text, tags) in enumerate([("1", []), ("2", ["used:1"]), ("3", ["free:1", "free:2"])]):
        load(fresh, place, text, tags, created=f"202{number}-01-02T03:04:05Z", config={"Labels": {"n": text}})
    fresh.ok("create", "--network", "none", "--name", "kept", "used:1", "true")
    return fresh


# Images


def test_dangling(stocked):
    dangling = stocked.ok("images", "-q", "--no-trunc", "-f", "dangling=true").text
    result = stocked.ok("image", "prune", "-f")
    assert result.lines[:2] == ["Deleted Images:", f"deleted: {dangling}"]
    # As Docker has it: an empty line before the sum.
    assert re.fullmatch(r"deleted: sha256:[0-9a-f]{64}\n\nTotal reclaimed space: [\d.]+kB", "\n".join(result.lines[2:]))
    assert names(stocked) == ["free:1", "free:2", "used:1"]
    assert stocked.ok("image", "prune", "--force").out == "Total reclaimed space: 0B\n"
    oracle.assert_sound(stocked)


def test_all(stocked):
    lines = stocked.ok("image", "prune", "-af").lines
    assert "untagged: free:1" in lines and "untagged: free:2" in lines and names(stocked) == ["used:1"]
    assert sum(line.startswith("deleted: ") for line in lines) == 4
    stocked.ok("container", "prune", "-f")
    assert "untagged: used:1" in stocked.ok("image", "prune", "-af").lines
    assert os.listdir(stocked.root / "layers") == os.listdir(stocked.root / "blobs/sha256") == []
    oracle.assert_sound(stocked)


@pytest.mark.parametrize(
    "filters,left",
    [
        (["until=2021-06-01"], 2), (["until=2019-01-01T00:00:00Z"], 3), (["label=n=3"], 2), (["label=n"], 1), (["label!=n=3"], 2),
        (["label!=n"], 3), (["label=n=3", "label=other"], 3), (["until=10m"], 1), (["dangling=false"], 1),
    ],
)  # fmt: skip
def test_filters(stocked, filters, left):
    every = [] if filters == ["dangling=false"] else ["-a"]
    stocked.ok("image", "prune", *every, "-f", *[word for text in filters for word in ("--filter", text)])
    assert len(set(stocked.ok("images", "-q").lines)) == left


@pytest.mark.parametrize("command", ["image", "container", "volume", "system"])
def test_filters_that_are_none(fresh, command):
    fresh.call(command, "prune", "-f", "--filter", "nope=1").fails(1, "invalid filter 'nope'")
    if command != "volume":
        fresh.call(command, "prune", "-f", "--filter", "until=soon").fails(1, "neither a time")
    fresh.call(command, "prune", "-f", "--filter", "label").fails(125, "name=value")
    assert fresh.ok(command, "prune", "-f").out == "Total reclaimed space: 0B\n"


def test_what_the_store_had_is_free_again(fresh, place):
    """The sum that is told is what du sees."""
    load(fresh, place, "1", ["keep:1"])
    # The database's log grows by some pages meanwhile.
    load(fresh, place, "2", ["big:1"], size=8_000_000)
    before = usage(fresh)
    told = fresh.ok("image", "prune", "-af", "--filter", "label!=nope").lines[-1]
    freed = before - usage(fresh)
    number, unit = re.fullmatch(r"Total reclaimed space: ([\d.]+)(k?MB|kB)", told).groups()
    assert abs(float(number) * {"kB": 1e3, "MB": 1e6}[unit] - freed) < 0.02 * freed


def usage(engine):
    return int(subprocess.run(["du", "-s", "--block-size=1", engine.root], capture_output=True, text=True).stdout.split()[0])


# Questions


@pytest.mark.parametrize(
    "command,words",
    [
        (["image", "prune"], "WARNING! This will remove all dangling images.\nAre you sure you want to continue? [y/N] "),
        (["image", "prune", "-a"], "WARNING! This will remove all images without at least one container associated to them.\n"),
        (["container", "prune"], "WARNING! This will remove all stopped containers.\n"),
        (["volume", "prune"], "WARNING! This will remove anonymous local volumes not used by at least one container.\n"),
        (["volume", "prune", "-a"], "WARNING! This will remove all local volumes not used by at least one container.\n"),
        (["system", "prune"], "WARNING! This will remove:\n  - all stopped containers\n  - all networks not used by at least one container\n  - all dangling images\n  - unused build cache\n\nAre you sure you want to continue? [y/N] "),
        (["system", "prune", "-a", "--volumes", "--filter", "label=x"], "  - all anonymous volumes not used by at least one container\n"),
    ],
)  # fmt: skip
def test_questions(stocked, command, words):
    before = oracle.images(stocked), stocked.names("-a")
    for answer in ("", "n\n", "yes\n", "\n"):
        result = stocked.call(*command, stdin=answer)
        assert result.code == 0 and words in result.out and "reclaimed" not in result.out, result
    assert (oracle.images(stocked), stocked.names("-a")) == before
    assert "Total reclaimed space: " in stocked.ok(*command, stdin="  Y \n").out


def test_questions_at_a_terminal(stocked):
    with Terminal(stocked, "image", "prune") as terminal:
        terminal.expect(r"continue\? \[y/N\] ")
        terminal.type("n\r")
        assert terminal.process.wait(10) == 0
    assert len(names(stocked)) == 4
    with Terminal(stocked, "image", "prune") as terminal:
        terminal.expect(r"\[y/N\] ")
        terminal.type("y\r")
        terminal.expect("Total reclaimed space: ")
        assert terminal.process.wait(10) == 0
    with Terminal(stocked, "system", "prune", "-a") as terminal:
        terminal.expect(r"\[y/N\] ")
        terminal.type("\x03")
        assert terminal.process.wait(10) not in (0, None)
    assert names(stocked) == ["free:1", "free:2", "used:1"]


# Containers, volumes, everything


def test_containers(berth):
    berth.up("--name", "runs")
    berth.ok("create", "--network", "none", "--name", "made", "-l", "a=b", "test", "true")
    berth.ok("run", "--network", "none", "--name", "ended", "test", "sh", "-c", "head -c 1000000 /dev/zero > /big")
    assert berth.ok("container", "prune", "-f", "--filter", "label=c").out == "Total reclaimed space: 0B\n"
    assert berth.ok("container", "prune", "-f", "--filter", "until=1h").out == "Total reclaimed space: 0B\n"
    made = berth.inspect("made", "Id")
    assert berth.ok("container", "prune", "-f", "--filter", "label=a=b").lines[:2] == ["Deleted Containers:", made]
    ended = berth.inspect("ended", "Id")
    result = berth.ok("container", "prune", "-f")
    assert result.lines[:3] == ["Deleted Containers:", ended, ""] and re.fullmatch(r"Total reclaimed space: 1(\.\d+)?MB", result.lines[3])
    assert berth.names("-a") == ["runs"]
    if berth.who.is_root:
        berth.ok("pause", "runs")
    assert berth.ok("container", "prune", "-f").out == "Total reclaimed space: 0B\n"


def test_volumes(fresh, test_archive):
    fresh.ok("load", "-i", test_archive, timeout=60)
    fresh.run("-v", "named:/v", "-v", "/w", "test", "sh", "-c", "echo x > /v/f").check()
    fresh.ok("create", "--network", "none", "--name", "made", "-v", "used:/v", "-v", "/w", "test")
    volumes = os.listdir(fresh.root / "volumes")
    assert fresh.ok("volume", "prune", "-f").out == "Total reclaimed space: 0B\n"
    fresh.ok("rm", "made")  # without -v: the anonymous one stays
    anonymous = next(name for name in volumes if len(name) == 64)
    assert fresh.ok("volume", "prune", "-f").lines[:2] == ["Deleted Volumes:", anonymous]
    assert sorted(os.listdir(fresh.root / "volumes")) == ["named", "used"]
    assert fresh.ok("volume", "prune", "-af").lines[:3] == ["Deleted Volumes:", "named", "used"]
    fresh.call("volume", "prune", "-a", "--filter", "all=1").fails(1, "conflicting options")


def test_system(stocked, place):
    stocked.ok("create", "--network", "none", "-v", "/w", "--name", "second", "used:1", "true")
    stocked.ok("rm", "second")
    ids = [stocked.inspect("kept", "Id")]
    stocked.call("system", "prune", "-f", "--volumes", "--filter", "until=1h").fails(1, '"until" filter is not supported with "--volumes"')
    lines = stocked.ok("system", "prune", "-f").lines
    assert lines[:3] == ["Deleted Containers:", *ids, ""] and lines[3] == "Deleted Images:"
    assert names(stocked) == ["free:1", "free:2", "used:1"] and len(os.listdir(stocked.root / "volumes")) == 1
    lines = stocked.ok("system", "prune", "-af", "--volumes").lines
    assert "Deleted Volumes:" in lines and lines[-1].startswith("Total reclaimed space: ")
    assert names(stocked) == [] and os.listdir(stocked.root / "volumes") == []
    oracle.assert_sound(stocked)


def test_partial_downloads(stocked, who):
    """What nobody fetches goes; what is being fetched stays."""
    folder = stocked.root / "partial"
    folder.mkdir(exist_ok=True)
    for number in range(2):
        (folder / f"{number:064x}").write_bytes(b"x" * 100_000)
    for path in (folder, *folder.iterdir()):
        os.chown(path, who.uid, who.gid)
    with locked(folder / f"{0:064x}"):
        stocked.ok("rmi", "free:2")
        assert len(list(folder.iterdir())) == 2, "young ones are kept for another try"
        stocked.ok("image", "prune", "-f")
        assert [path.name for path in folder.iterdir()] == [f"{0:064x}"]


# Faults


@pytest.mark.parametrize("command", [["image", "prune", "-af"], ["system", "prune", "-af", "--volumes"]], ids=" ".join)
def test_f01_killed_at_any_call(fresh, place, command):
    """Each object is there or gone, whole; the command completes when it is run again."""
    require_strace()
    for number in numbers():
        for text in "123":
            load(fresh, place, text, [f"i{text}:1"] if text != "1" else [])
        fresh.ok("create", "--network", "none", "--name", "made", "-v", "/v", "i2:1", "true") if command[0] == "system" else None
        result, fired = injected(fresh, place, MUTATING, "signal=SIGKILL", number, *command)
        seen = set(names(fresh))
        assert seen <= {"<none>:<none>", "i2:1", "i3:1"}
        oracle.assert_sound(fresh)
        fresh.ok(*command)
        assert names(fresh) == [] and fresh.names("-a") == [] and oracle.unfinished(fresh) == []
        oracle.assert_sound(fresh)
        if not fired:
            result.check()
            break


@pytest.mark.parametrize("leave", [0, 8192])
@pytest.mark.parametrize("command", [["image", "prune", "-af"], ["system", "prune", "-af", "--volumes"], ["container", "prune", "-f"], ["volume", "prune", "-af"]], ids=" ".join)
def test_f07_a_full_disk(loop, place, command, leave):
    """Prune works and gives room again; so do ps, stop, rm and rmi."""
    loop.layer_format = "directory"  # what is freed is counted for blobs and their unpacked layers
    load(loop, place, "1", ["made:1"], size=2_000_000)
    load(loop, place, "2", ["other:1"], size=1_000_000)
    loop.ok("create", "--network", "none", "--name", "made", "-v", "v:/v", "-v", "/w", "made:1", "true")
    loop.fill(leave)
    assert loop.ok("ps", "-a").lines and loop.ok("system", "df").lines
    if command[0] == "volume":
        loop.ok("rm", "made")
    loop.ok(*command)
    if command[0] in ("image", "system"):
        assert loop.free() > 1 << 20
    if command[0] in ("container", "system"):
        assert loop.names("-a") == []
    loop.call("rm", "made")
    loop.ok("image", "prune", "-af")
    assert names(loop) == []
    loop.unfill()
    oracle.assert_sound(loop)


# The collection


@pytest.fixture
def limited(fresh, place):
    """What sets a limit, as an environment."""
    folder = place / "config/berth"
    folder.mkdir(parents=True)

    def limit(text):
        (folder / "berth.conf").write_text(text)
        return {"XDG_CONFIG_HOME": str(place / "config")}

    return limit


def test_the_least_recently_used_go(fresh, place, limited):
    for text in "123":
        load(fresh, place, text, [f"i{text}:1"], size=2_000_000)
    # i1 is used now; i2 is the oldest.
    fresh.ok("create", "--network", "none", "--name", "made", "i1:1", "true")
    fresh.ok("rm", "made")
    limit = usage(fresh) + 2_000_000
    result = load(fresh, place, "4", ["i4:1"], size=2_000_000, env=limited(f"[store]\nmax_size = {limit} # bytes\n"))
    assert sorted(names(fresh)) == ["i1:1", "i3:1", "i4:1"] and "removed i2:1" in result.err
    assert usage(fresh) <= limit
    oracle.assert_sound(fresh)
    # What is used, and what came just now, stays; then it is told.
    fresh.ok("create", "--network", "none", "--name", "made", "i1:1", "true")
    result = load(fresh, place, "5", ["i5:1"], size=2_000_000, env=limited('[store]\nmax_size = "1MB"\n'))
    assert sorted(names(fresh)) == ["i1:1", "i5:1"] and "over its max_size" in result.err
    fresh.ok("rm", "made")


@pytest.mark.parametrize(
    "text,pattern",
    [
        ("[store]\nmax_sice = 1\n", r'berth.conf:2: unknown setting "max_sice" in \[store\]'), ("max_size = 1", r":1: unknown setting"),
        ("\n[shop]\n", r":2: unknown section \[shop\]"), ("[store\n", ":1: a section is"), ("[store]\nmax_size\n", ":2: expected name = value"),
        ("[store]\nmax_size = lots", "neither a number"), ('[store]\nmax_size = "lots"', "invalid size: 'lots'"), ('[store]\nmax_size = "1GB', "neither"),
    ],
)  # fmt: skip
def test_a_configuration_that_is_wrong(fresh, place, limited, text, pattern):
    """Nothing is brought in before it is read."""
    load(fresh, place, "1", ["made:1"], code=1, env=limited(text)).fails(1, pattern)
    assert names(fresh) == []


@pytest.mark.parametrize("text", ["", "# nothing\n\n", "[store]\n", '[ store ] # x\r\n max_size="20GB"# much\n', "[store]\nmax_size = 20_000_000_000"])
def test_a_configuration_that_is_right(fresh, place, limited, text):
    load(fresh, place, "1", ["made:1"], env=limited(text))
    assert names(fresh) == ["made:1"]
