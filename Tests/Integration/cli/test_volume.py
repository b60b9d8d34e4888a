"""`berth volume create, ls, inspect, rm, prune, exists`: docs/volumes.md."""

import json
import os
import pathlib
import re

import pytest

import invariants
import oracle
from test_faults_races import at_once


@pytest.fixture
def engine(fresh, test_archive):
    fresh.ok("load", "-i", test_archive, timeout=60)
    return fresh


def look(engine, name):
    return json.loads(engine.ok("volume", "inspect", name).out)[0]


def names(engine, *flags):
    return engine.ok("volume", "ls", "-q", *flags).lines


# create


def test_create_and_inspect(engine):
    assert engine.ok("volume", "create", "--label", "a=1", "--label", "b", "data").text == "data"
    document = look(engine, "data")
    assert list(document) == ["CreatedAt", "Driver", "Labels", "Mountpoint", "Name", "Options", "Scope"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", document.pop("CreatedAt"))
    place = engine.root / "volumes/data/_data"
    assert document == {
        "Driver": "local", "Labels": {"a": "1", "b": ""}, "Mountpoint": str(place), "Name": "data", "Options": {}, "Scope": "local",
    }  # fmt: skip
    assert pathlib.Path(engine.seen(place)).is_dir()
    assert engine.ok("volume", "inspect", "-f", "{{.Name}} {{.Labels.a}}", "data").text == "data 1"
    assert json.loads(engine.ok("inspect", "--type", "volume", "data").out) == json.loads(engine.ok("volume", "inspect", "data").out)


def test_create_without_a_name(engine):
    name = engine.ok("volume", "create").text
    assert re.fullmatch("[0-9a-f]{64}", name)
    assert look(engine, name)["Labels"] == {"com.docker.volume.anonymous": ""}
    assert names(engine, "-f", "label=com.docker.volume.anonymous") == [name]


def test_create_again(engine):
    engine.ok("volume", "create", "--label", "a=1", "data")
    created = look(engine, "data")
    assert engine.ok("volume", "create", "--label", "a=2", "data").text == "data"
    assert look(engine, "data") == created
    engine.call("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "data").fails(1, "create data: conflict: volume name must be unique")
    assert engine.ok("volume", "create", "--ignore", "-o", "type=tmpfs", "-o", "device=tmpfs", "data").text == "data"
    assert look(engine, "data") == created
    engine.ok("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "memory")
    assert engine.ok("volume", "create", "-o", "device=tmpfs", "-o", "type=tmpfs", "memory").text == "memory"


@pytest.mark.parametrize(
    "words,text",
    [
        (["a/b"], 'create a/b: "a/b" includes invalid characters for a local volume name, only'),
        ([".x"], "includes invalid characters"), (["x" * 256], "includes invalid characters"), (["..".rjust(4, ".")], "includes invalid characters"),
        (["-d", "other", "data"], 'create data: error looking up volume plugin other: plugin "other" not found'),
        (["-o", "colour=red", "data"], 'create data: invalid option: "colour"'), (["-o", "type=nfs", "data"], 'create data: missing required option: "device"'),
        (["-o", "device=/x", "data"], 'create data: missing required option: "type"'), (["-o", "o=bind", "data"], 'missing required option: "device"'),
        (["-o", "size=1g", "data"], "quota size requested but no quota support"), (["-o", "size=much", "data"], "size"),
        (["-o", "type=none", "-o", "o=bind", "-o", "device=x", "data"], "absolute"), (["-o", "type=proc", "-o", "device=proc", "data"], "no volume"),
        (["-o", "type=nfs", "-o", "device=:/x", "-o", "o=subpath=..", "data"], "invalid option"), (["one", "two"], "at most 1"),
        (["--label", "=x", "data"], "label"), (["--size", "1", "data"], "unknown flag"), (["--uid", "1", "data"], "not supported yet"),
    ],
)  # fmt: skip
def test_what_is_no_volume(engine, words, text):
    result = engine.call("volume", "create", *words)
    assert result.code in (1, 125) and re.search(re.escape(text), result.err), result
    assert names(engine) == []


# ls


@pytest.fixture
def several(engine):
    engine.ok("volume", "create", "--label", "kind=db", "postgres")
    engine.ok("volume", "create", "--label", "kind=web", "-o", "type=tmpfs", "-o", "device=tmpfs", "web-cache")
    engine.ok("volume", "create", "web-files")
    engine.ok("create", "--name", "user", "--network", "none", "-v", "web-files:/w", "-v", "/anonymous", "test", "true")
    return engine


def test_list(several):
    lines = several.ok("volume", "ls").out.splitlines()
    assert lines[0] == "DRIVER    VOLUME NAME" and "local     postgres" in lines and len(lines) == 5
    assert "VOLUME NAME" not in several.ok("volume", "list", "-n").out
    assert several.ok("volume", "ls", "--format", "{{.Name}}:{{.Driver}}:{{.Scope}}:{{.Label \"kind\"}}", "-f", "name=post").text == "postgres:local:local:db"
    rows = [json.loads(line) for line in several.ok("volume", "ls", "--format", "json").lines]
    assert [row["Name"] for row in rows if len(row["Name"]) < 64] == ["postgres", "web-cache", "web-files"]
    assert set(rows[0]) == {"Availability", "Driver", "Group", "Labels", "Links", "Mountpoint", "Name", "Scope", "Size", "Status"}
    assert [row["Labels"] for row in rows if row["Name"] == "postgres"] == ["kind=db"]
    table = several.ok("volume", "ls", "--format", "table {{.Name}}\t{{.Labels}}", "-f", "name=web").out.splitlines()
    assert table[0].split() == ["VOLUME", "NAME", "LABELS"] and table[1].split() == ["web-cache", "kind=web"]


@pytest.mark.parametrize(
    "filters,found",
    [
        (["name=web"], ["web-cache", "web-files"]), (["name=^web-f"], ["web-files"]), (["name=post", "name=cache"], ["postgres", "web-cache"]),
        (["label=kind"], ["postgres", "web-cache"]), (["label=kind=db"], ["postgres"]), (["label!=kind=db", "name=web|post"], ["web-cache", "web-files"]),
        (["driver=local", "name=post"], ["postgres"]), (["driver=other"], []), (["dangling=true"], ["postgres", "web-cache"]),
        (["dangling=false", "name=web"], ["web-files"]), (["dangling=1", "label=kind=web"], ["web-cache"]), (["opt=type=tmpfs"], ["web-cache"]),
        (["scope=local", "name=cache"], ["web-cache"]), (["scope=global"], []),
    ],
)  # fmt: skip
def test_filters(several, filters, found):
    assert names(several, *[word for text in filters for word in ("-f", text)]) == found


@pytest.mark.parametrize("text", ["colour=red", "dangling=perhaps"])
def test_filters_that_are_none(several, text):
    several.call("volume", "ls", "-f", text).fails(1, "invalid filter")


def test_ps_by_volume(several):
    several.ok("create", "--name", "other", "--network", "none", "test", "true")
    assert several.names("-a", "--filter", "volume=web-files") == ["user"]
    assert several.names("-a", "--filter", "volume=/w") == ["user"]
    assert several.names("-a", "--filter", "volume=postgres") == []


# rm, exists


def test_remove(engine):
    engine.ok("volume", "create", "one")
    engine.ok("volume", "create", "two")
    assert engine.ok("volume", "rm", "one", "two").lines == ["one", "two"]
    assert names(engine) == [] and os.listdir(engine.seen(engine.root / "volumes")) == []
    result = engine.call("volume", "rm", "one").fails(1, "get one: no such volume")
    assert engine.ok("volume", "rm", "-f", "one").text == "one"
    engine.ok("volume", "create", "one")
    result = engine.call("volume", "rm", "missing", "one")
    assert result.code == 1 and result.text == "one" and "get missing: no such volume" in result.err


def test_exists(engine):
    engine.call("volume", "exists", "data").exits(1)
    engine.ok("volume", "create", "data")
    result = engine.ok("volume", "exists", "data")
    assert result.out == result.err == ""
    engine.call("volume", "inspect", "missing").fails(1, "no such volume")
    assert engine.call("volume", "inspect", "missing").text == "[]"


@pytest.mark.parametrize("force", [[], ["-f"]])
def test_a_volume_in_use_stays(engine, force):
    made = engine.ok("create", "--network", "none", "-v", "data:/d", "test", "true").text
    running = engine.up("-v", "data:/d")
    engine.ok("exec", running, "touch", "/d/kept")
    result = engine.call("volume", "rm", *force, "data").fails(1, r"remove data: volume is in use - \[")
    assert set(re.findall("[0-9a-f]{64}", result.err)) == {made, running}
    assert (pathlib.Path(engine.seen(engine.root)) / "volumes/data/_data/kept").exists()
    engine.ok("volume", "prune", "-af")
    assert names(engine) == ["data"]
    engine.ok("rm", "-f", made, running)
    engine.ok("volume", "rm", "data")


def test_the_content_of_container_users_goes_too(engine):
    """As an ordinary user those are subordinate ids, which only the user namespace may remove."""
    engine.sh("-v", "data:/d", "mkdir -p /d/a/b && echo x > /d/a/b/c && chown -R 1000:1000 /d && chmod 700 /d/a").check()
    engine.ok("volume", "rm", "data")
    assert os.listdir(engine.seen(engine.root / "volumes")) == [] and oracle.unfinished(engine) == []


def test_a_named_volume_outlives_its_container(engine):
    """Only what was made for the container without a name goes with it."""
    engine.ok("volume", "create", "data")
    nameless = engine.ok("volume", "create").text
    engine.run("-v", "data:/d", "-v", f"{nameless}:/n", "-v", "/own", "test", "touch", "/d/x", "/n/x").check()
    assert names(engine) == sorted(["data", nameless])
    made = engine.ok("create", "--network", "none", "-v", f"{nameless}:/n", "-v", "/own", "test", "true").text
    assert len(names(engine)) == 3
    engine.ok("rm", "-v", made)
    assert names(engine) == sorted(["data", nameless])


def test_f37_a_mount_in_a_volume_is_not_emptied(engine, place):
    """Removal does not go into what is mounted below."""
    if not engine.who.is_root:
        pytest.skip("only root mounts on the host")
    engine.ok("volume", "create", "data")
    below = engine.root / "volumes/data/_data/below"
    below.mkdir()
    (place / "canary").write_text("alive")
    assert os.system(f"mount --bind {place} {below}") == 0
    try:
        engine.call("volume", "rm", "data")
        engine.call("volume", "prune", "-af")
        assert (place / "canary").read_text() == "alive"
    finally:
        for mount in engine.mounts():
            os.system(f"umount {mount}")
    engine.call("system", "check", "--repair")
    assert (place / "canary").read_text() == "alive"


# prune


def test_prune(several):
    anonymous = [name for name in names(several) if len(name) == 64]
    assert several.ok("volume", "prune", "-f").lines[-1] == "Total reclaimed space: 0B"
    several.ok("rm", "user")
    result = several.ok("volume", "prune", "-f")
    assert result.lines[:2] == ["Deleted Volumes:", anonymous[0]]
    assert names(several) == ["postgres", "web-cache", "web-files"]
    several.ok("volume", "prune", "-f", "--filter", "all=1", "--filter", "label=kind=db")
    assert names(several) == ["web-cache", "web-files"]
    several.ok("volume", "prune", "-af", "--filter", "label!=kind=web")
    assert names(several) == ["web-cache"]
    several.call("volume", "prune", "-f", "--filter", "until=1h").fails(1, "invalid filter 'until'")
    result = several.call("volume", "prune", stdin="n\n")
    assert "WARNING! This will remove anonymous local volumes not used by at least one container." in result.out + result.err
    assert names(several) == ["web-cache"]


def test_all(several):
    anonymous = [name for name in names(several) if len(name) == 64]
    assert several.ok("volume", "prune", "--dry-run", "-a").lines == ["postgres", "web-cache"]
    assert several.ok("volume", "prune", "--dry-run").out == "" and len(names(several)) == 4
    assert [row["Name"] for row in json.loads(several.ok("volume", "inspect", "-a").out)] == names(several)
    several.call("volume", "inspect").exits(1)
    assert several.ok("volume", "rm", "-a").lines == ["postgres", "web-cache"], "what is used stays"
    several.ok("rm", "user")
    assert several.ok("volume", "prune", "--dry-run").lines == anonymous
    assert sorted(several.ok("volume", "rm", "--all").lines) == sorted([*anonymous, "web-files"]) and names(several) == []
    several.ok("volume", "rm", "-a")


# Races


@pytest.mark.parametrize("command", [["volume", "rm", "data"], ["volume", "prune", "-af"]], ids=["rm", "prune"])
def test_f18_removal_against_use(engine, command):
    """A volume that a container has is never gone; one that was removed is gone whole."""
    for attempt in range(100 if os.environ.get("BERTH_TEST_FULL") else 25):
        engine.ok("volume", "create", "data")
        make = ["create", "--network", "none", "--name", f"c{attempt}", "-v", "data:/d", "test", "true"]
        made, removed = at_once(2, lambda number: engine.call(*(make, command)[number], timeout=60))
        made.check()
        assert removed.code == 0 or "volume is in use" in removed.err, removed
        assert names(engine) == ["data"]
        assert (pathlib.Path(engine.seen(engine.root)) / "volumes/data/_data").is_dir()
        engine.ok("rm", f"c{attempt}")
    invariants.check_invariants(engine)


def test_f18_one_makes_it(engine):
    results = at_once(12, lambda number: engine.call("volume", "create", "--label", f"n={number}", "data", timeout=60))
    assert [result.text for result in results] == ["data"] * 12 and names(engine) == ["data"]
    results = at_once(12, lambda number: engine.call("volume", "rm", "data", timeout=60))
    assert sorted(result.code for result in results) == [0] + [1] * 11
    assert all(result.code == 0 or "no such volume" in result.err for result in results), results
    assert os.listdir(engine.seen(engine.root / "volumes")) == []
