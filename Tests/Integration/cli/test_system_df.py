"""`system df` tells the truth: what it adds up to is what du sees, on ext4 and wherever the tests run."""

import json
import os
import re
import subprocess
import time

import images
import pytest
from images import Layer, docker_archive

UNITS = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}


def size(text):
    number, unit = re.match(r"([\d.]+)([kMG]?B)", text).groups()
    return float(number) * UNITS[unit]


def summary(engine):
    return {row["Type"]: row for row in map(json.loads, engine.ok("system", "df", "--format", "json", timeout=60).lines)}


def du(path):
    return int(subprocess.run(["du", "-s", "--block-size=1", path], capture_output=True, text=True, check=True).stdout.split()[0])


def fill(engine, place, test_archive):
    """Many small files, large ones, links, containers that wrote and logged, volumes, a download that was given up."""
    engine.ok("load", "-i", test_archive, timeout=60)
    layer = Layer().dir("d")
    for number in range(2000):
        layer.file(f"d/small{number}", "x")
    layer.file("large", os.urandom(3_000_000)).file("sparse", b"").hardlink("again", "large")
    engine.ok("load", "-i", images.write(place / "many", docker_archive([layer], ["many:1"], compression="gzip")), timeout=120)
    script = "head -c 3000000 /dev/zero > /file; head -c 2000000 /dev/urandom > /v/data; seq 20000"
    engine.ok("run", "--network", "none", "--name", "wrote", "-v", "named:/v", "-v", "/w", "test", "sh", "-c", script)
    engine.up("--name", "runs", image="test", command=("sh", "-c", "head -c 1000000 /dev/zero > /file; echo wrote; sleep 1000"))
    engine.wait_log("runs", "wrote")
    partial = engine.root / "partial"
    partial.mkdir()
    (partial / ("0" * 64)).write_bytes(b"x" * 500_000)
    for path in (partial, *partial.iterdir()):
        os.chown(path, engine.who.uid, engine.who.gid)


def assert_true(engine):
    rows = summary(engine)
    assert list(rows) == ["Images", "Containers", "Local Volumes", "Build Cache", "Other"]
    told, real = sum(size(row["Size"]) for row in rows.values()), du(engine.root)
    assert abs(told - real) < 0.01 * real, (told, real, rows)
    return rows


def test_equal_to_du(fresh, place, test_archive):
    fill(fresh, place, test_archive)
    rows = assert_true(fresh)
    assert (rows["Images"]["TotalCount"], rows["Images"]["Active"]) == ("2", "1")
    assert (rows["Containers"]["TotalCount"], rows["Containers"]["Active"]) == ("2", "1")
    assert (rows["Local Volumes"]["TotalCount"], rows["Local Volumes"]["Active"]) == ("2", "2")
    assert 3e6 < size(rows["Containers"]["Reclaimable"]) < 4.5e6 and size(rows["Local Volumes"]["Size"]) > 2e6
    assert size(rows["Other"]["Reclaimable"]) > 500_000 and rows["Other"]["TotalCount"] == "1"
    # What can be had back is what prune gives.
    before = du(fresh.root)
    fresh.ok("image", "prune", "-af")
    freed = before - du(fresh.root)
    expected = size(rows["Images"]["Reclaimable"]) + size(rows["Other"]["Reclaimable"])
    assert abs(freed - expected) < 0.02 * expected, (freed, expected)
    assert_true(fresh)
    fresh.ok("rm", "-f", "-v", "wrote", "runs")
    assert_true(fresh)


@pytest.mark.parametrize("loop", [128], indirect=True)
def test_equal_to_du_on_ext4(loop, place, test_archive):
    fill(loop, place, test_archive)
    assert_true(loop)


def test_an_empty_store(fresh):
    """Nothing is made by looking."""
    lines = fresh.ok("system", "df").lines
    assert [re.split(r"\s{2,}", line) for line in lines] == [
        ["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"], ["Images", "0", "0", "0B", "0B"], ["Containers", "0", "0", "0B", "0B"],
        ["Local Volumes", "0", "0", "0B", "0B"], ["Build Cache", "0", "0", "0B", "0B"], ["Other", "0", "0", "0B", "0B"],
    ]  # fmt: skip
    assert not fresh.root.exists()


def test_formats(fresh, test_archive):
    fresh.ok("load", "-i", test_archive, timeout=60)
    fresh.ok("create", "--network", "none", "--name", "made", "test", "true")
    assert fresh.ok("system", "df", "--format", "{{.Type}}: {{.TotalCount}}").lines[:2] == ["Images: 1", "Containers: 1"]
    assert fresh.ok("system", "df", "--format", "table {{.Type}}\t{{.Reclaimable}}").lines[0].split() == ["TYPE", "RECLAIMABLE"]
    fresh.call("system", "df", "--format", "{{.Nope}}").fails(1, "Nope")
    fresh.call("system", "df", "--format", "{{").fails(64, "template parsing error")


def test_everything(fresh, test_archive):
    fresh.ok("load", "-i", test_archive, timeout=60)
    fresh.ok("create", "--network", "none", "--name", "made", "-v", "named:/v", "test", "true")
    text = fresh.ok("system", "df", "-v").out
    heads = [
        ("Images", "REPOSITORY TAG IMAGE ID CREATED SIZE SHARED SIZE UNIQUE SIZE CONTAINERS"),
        ("Containers", "CONTAINER ID IMAGE COMMAND LOCAL VOLUMES SIZE CREATED STATUS NAMES"), ("Local Volumes", "VOLUME NAME LINKS SIZE"),
    ]  # fmt: skip
    for name, head in heads:
        section = text.partition(f"{name} space usage:\n\n")[2].partition("\n\n")[0].splitlines()
        assert section[0].split() == head.split() and len(section) == 2, section
    assert "\nBuild cache usage: 0B\n\nCACHE ID " in text
    document = json.loads(fresh.ok("system", "df", "-v", "--format", "json").out)
    assert document["Images"][0]["Containers"] == "1" and document["Containers"][0]["Names"] == "made"
    assert document["Volumes"][0]["Name"] == "named" and document["BuildCache"] == []
    assert fresh.ok("system", "df", "-v", "--format", "{{range .Images}}{{.Repository}} {{end}}").text.split() == ["test"]


def test_shared_layers(fresh, place):
    fresh.layer_format = "directory"  # sizes are those of blobs and their unpacked layers
    base = Layer().file("base", os.urandom(2_000_000))
    for number in range(2):
        data = docker_archive([base, Layer().file("own", os.urandom(500_000))], [f"i{number}:1"])
        fresh.ok("load", "-i", images.write(place / "archive", data))
    rows = json.loads(fresh.ok("system", "df", "-v", "--format", "json").out)["Images"]
    for row in rows:
        assert 3.9e6 < size(row["SharedSize"]) < 4.2e6 and 0.9e6 < size(row["UniqueSize"]) < 1.2e6, row
    assert 6e6 < size(summary(fresh)["Images"]["Size"]) < 6.5e6


def test_many_files(root_berth, fresh, place):
    """A walk over 20,000 files does not take long."""
    layer = Layer()
    for number in range(20_000):
        layer.file(f"f{number}", "")
    fresh.ok("load", "-i", images.write(place / "many", docker_archive([layer], ["many:1"])), timeout=120)
    start = time.monotonic()
    fresh.ok("system", "df", timeout=60)
    assert time.monotonic() - start < 5


def test_killed(fresh, place, test_archive):
    """It only looks: whenever it is killed, nothing is left."""
    import oracle
    from sweep import injected, require_strace

    require_strace()
    fresh.ok("load", "-i", test_archive, timeout=60)
    for number in (1, 3, 10, 40, 160):
        injected(fresh, place, "openat,openat2,getdents64,newfstatat", "signal=SIGKILL", number, "system", "df")
        oracle.assert_sound(fresh, repair=False)
