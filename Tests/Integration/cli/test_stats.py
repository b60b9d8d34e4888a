"""`stats`: numbers of the kernel in Docker's words, all containers at once; as a user without a cgroup what /proc tells."""

import json
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest

from host import wait_for
from terminal import Terminal

HEADING = ["CONTAINER ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "BLOCK I/O", "PIDS"]
FIELDS = ["BlockIO", "CPUPerc", "Container", "ID", "MemPerc", "MemUsage", "Name", "NetIO", "PIDs"]
UNITS = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def size(text):
    number, unit = re.fullmatch(r"([0-9.]+)([A-Za-z]+)", text).groups()
    return float(number) * UNITS[unit]


def sizes(text):
    return [size(part) for part in text.split(" / ")]


def stats(berth, *words, **keywords):
    """Rows by name."""
    lines = berth.ok("stats", "--no-stream", "--format", "json", *words, **keywords).lines
    rows = [json.loads(line) for line in lines]
    assert all(list(row) == FIELDS for row in rows)
    return {row["Name"]: row for row in rows}


def host_memory():
    return int(re.search(r"MemTotal: +(\d+)", pathlib.Path("/proc/meminfo").read_text())[1]) * 1024


def has_cgroup(berth, name):
    return berth.inspect(name, "Id") in pathlib.Path(f"/proc/{berth.pid(name)}/cgroup").read_text()


# The numbers


def test_table(berth):
    berth.up("--name", "one")
    berth.ok("create", "--name", "made", "--network", "none", "test", "true")
    lines = berth.ok("stats", "--no-stream").lines
    assert re.split(r" {2,}", lines[0]) == HEADING
    assert len(lines) == 2
    cells = re.split(r" {2,}", lines[1])
    assert cells[0] == berth.inspect("one", "Id")[:12] and cells[1] == "one"
    assert re.fullmatch(r"\d+\.\d\d%", cells[2]) and re.fullmatch(r"\d+\.\d\d%", cells[4])
    assert re.fullmatch(r"[0-9.]+[KMG]?i?B / [0-9.]+[KMGT]iB", cells[3])
    assert re.fullmatch(r"[0-9.]+k?B / [0-9.]+k?B", cells[5]) and cells[7] == "1"
    # Those that do not run only where they are asked for.
    lines = berth.ok("stats", "--no-stream", "-a", "--no-trunc").lines
    rows = {re.split(r" {2,}", line)[1]: re.split(r" {2,}", line) for line in lines[1:]}
    assert rows["made"][2:] == ["--", "-- / --", "--", "--", "--", "--"]
    assert rows["one"][0] == berth.inspect("one", "Id")


def test_nothing_runs(berth):
    assert [re.split(r" {2,}", line) for line in berth.ok("stats", "--no-stream").lines] == [HEADING]
    assert berth.ok("stats", "--no-stream", "--format", "json").out == ""


def test_names(berth):
    identity = berth.up("--name", "one")
    berth.up("--name", "two")
    berth.ok("create", "--name", "made", "--network", "none", "test", "true")
    form = ["--no-stream", "--format", "{{.Container}} {{.Name}} {{.ID}} {{.PIDs}}"]
    short = identity[:12]
    assert berth.ok("stats", *form, "one").text == f"one one {short} 1"
    assert berth.ok("stats", *form, short, "made", "one").lines[0] == f"{short} one {short} 1"
    assert berth.ok("stats", *form, "made", "one").lines[0].endswith(" --")
    assert len(berth.ok("stats", *form, short, "one").lines) == 1
    assert berth.ok("stats", *form, "--latest").text.split()[1] == "made"
    berth.call("stats", "--no-stream", "nosuch").fails(1, "no such container: nosuch")
    berth.call("stats", "--no-stream", "-l", "one").fails(1, "cannot be used together")
    berth.call("stats", "-i", "0", "one").fails(1, "invalid interval")
    berth.call("stats", "--no-stream", "--format", "{{.Nothing}}", "one").fails(1, "Nothing")
    berth.call("stats", "--no-stream", "--format", "{{", "one").fails(64, "template")


def test_processor(berth):
    """One that spins has a whole processor, whatever the machine does beside it has it too; one that sleeps has nothing."""
    berth.up("--name", "busy", command=("sh", "-c", "while :; do :; done"))
    berth.up("--name", "idle")
    seen = []

    def spins():
        rows = stats(berth)
        seen.append(float(rows["busy"]["CPUPerc"].rstrip("%")))
        assert float(rows["idle"]["CPUPerc"].rstrip("%")) < 5
        return seen[-1] > 30

    wait_for(spins, f"one that spins to be seen so: {seen}", 10)
    assert max(seen) < 130


def test_quota(root_berth):
    root_berth.up("--name", "half", "--cpus", "0.2", command=("sh", "-c", "while :; do :; done"))
    seen = sorted(float(stats(root_berth)["half"]["CPUPerc"].rstrip("%")) for _ in range(5))
    assert 2 < seen[2] < 35, seen


def test_memory(root_berth):
    root_berth.up("--name", "big", "--memory", "256m", command=("sh", "-c", "dd if=/dev/zero of=/dev/shm/file bs=1M count=40; sleep 1000"))
    root_berth.up("--name", "small")
    wait_for(lambda: sizes(stats(root_berth)["big"]["MemUsage"])[0] > 38 * 2**20, "40 MiB in use")
    rows = stats(root_berth)
    used, limit = sizes(rows["big"]["MemUsage"])
    assert 38 * 2**20 < used < 60 * 2**20 and limit == 256 * 2**20
    assert abs(float(rows["big"]["MemPerc"].rstrip("%")) - used / limit * 100) < 0.2
    used, limit = sizes(rows["small"]["MemUsage"])
    assert used < 8 * 2**20 and abs(limit / host_memory() - 1) < 0.01


def test_page_cache_is_not_counted(root_berth, place):
    """Docker's rule: what was read from files and is not used any more."""
    if subprocess.run(["stat", "-f", "-c", "%T", place], capture_output=True, text=True, check=True).stdout.strip() == "tmpfs":
        pytest.skip("files on tmpfs are memory")
    (place / "file").write_bytes(os.urandom(1 << 20) * 48)
    root_berth.up("--name", "reader", "-v", f"{place}:/data", command=("sh", "-c", "dd if=/data/file of=/data/copy bs=1M; sleep 1000"))
    wait_for(lambda: (place / "copy").exists() and (place / "copy").stat().st_size == 48 << 20, "the copy")
    assert sizes(stats(root_berth)["reader"]["MemUsage"])[0] < 24 * 2**20


def test_tasks(berth):
    berth.up("--name", "family", command=("sh", "-c", "sleep 1000 & sleep 1000 & wait"))
    wait_for(lambda: stats(berth)["family"]["PIDs"] == "3", "three processes")


def test_paused(root_berth):
    root_berth.up("--name", "one", command=("sh", "-c", "while :; do :; done"))
    root_berth.ok("pause", "one")
    row = stats(root_berth)["one"]
    assert row["CPUPerc"] == "0.00%" and row["PIDs"] == "1" and sizes(row["MemUsage"])[0] > 0
    root_berth.ok("unpause", "one")


def test_block_io(root_berth, place):
    root_berth.up("--name", "writer", "-v", f"{place}:/data", command=("sh", "-c", "dd if=/dev/zero of=/data/file bs=1M count=16; sync; sleep 1000"))
    wait_for(lambda: (place / "file").exists() and (place / "file").stat().st_size == 16 << 20, "the file")
    text = stats(root_berth)["writer"]["BlockIO"]
    # On tmpfs, and where cgroup v1 counts no write-back, there is nothing to count.
    assert text == "--" or len(sizes(text)) == 2


# Networks


def test_no_network(berth):
    berth.up("--name", "none")
    assert stats(berth)["none"]["NetIO"] == "0B / 0B"


def test_network_of_the_host(root_berth):
    """It is nobody's alone: Docker counts nothing."""
    root_berth.ok("run", "-d", "--name", "host", "--network", "host", "test", "sleep", "1000")
    assert stats(root_berth)["host"]["NetIO"] == "0B / 0B"


def test_network_of_its_own(alone):
    alone.ok("run", "-d", "--name", "web", "--network", "bridge", "test", "sleep", "1000")
    alone.ok("run", "-d", "--name", "beside", "--network", "container:web", "test", "sleep", "1000")
    address = alone.inspect("web", "NetworkSettings.Networks.bridge.IPAddress")
    before = sizes(stats(alone)["web"]["NetIO"])
    alone.host.run("bash", "-c", f"for i in {{1..20}}; do head -c 1000 /dev/zero > /dev/udp/{address}/9; done")
    # What the first packets waited for, the container's link address, is there by then.
    wait_for(lambda: sizes(stats(alone)["web"]["NetIO"])[0] - before[0] > 5000, "the packets")
    after = stats(alone)
    assert after["beside"]["NetIO"] == after["web"]["NetIO"]


# Live


def rounds(process, count, deadline=20):
    """Output until so many rounds have come: every round writes each container once."""
    os.set_blocking(process.stdout.fileno(), False)
    text, end = b"", time.monotonic() + deadline
    while text.count(b"round") < count:
        assert time.monotonic() < end, text
        text += process.stdout.read() or b""
        time.sleep(0.02)
    return text.decode()


def test_rounds_until_interrupted(berth):
    berth.up("--name", "one")
    process = berth.popen("stats", "--format", "round {{.Name}}", stdout=subprocess.PIPE)
    try:
        assert rounds(process, 2) == "round one\nround one\n", "no escape sequences for who is no terminal"
        # Those that come and go are seen.
        berth.up("--name", "two")
        wait_for(lambda: "round two" in rounds(process, 1), "the second to appear")
        berth.ok("rm", "-f", "one")
        wait_for(lambda: "round one" not in rounds(process, 2), "the first to disappear")
        process.send_signal(signal.SIGINT)
        assert process.wait(5) in (-signal.SIGINT, 130)
    finally:
        process.kill()
        process.wait()


def test_named_ones_that_end(berth):
    berth.up("--name", "one")
    process = berth.popen("stats", "--format", "round {{.Name}} {{.PIDs}}", "one", stdout=subprocess.PIPE)
    try:
        rounds(process, 1)
        berth.ok("stop", "-t", "0", "one")
        wait_for(lambda: "round one --" in rounds(process, 1), "its end to be seen")
        berth.ok("rm", "one")
        assert process.wait(5) == 0
    finally:
        process.kill()
        process.wait()


def test_screen(berth):
    berth.up("--name", "one")
    with Terminal(berth, "stats") as terminal:
        end = time.monotonic() + 15
        while terminal.seen.count(b"\x1b[H") < 3 and time.monotonic() < end:
            terminal.read(0.2)
        assert terminal.seen.startswith(b"\x1b[2J\x1b[HCONTAINER ID")
        assert terminal.seen.count(b"\x1b[2J") == 1
        assert b"PIDS\x1b[K\r\n" in terminal.seen and b"\x1b[J\x1b[H" in terminal.seen
        terminal.type("\x03")
        assert terminal.process.wait(5) in (-signal.SIGINT, 130)
    with Terminal(berth, "stats", "--no-reset") as terminal:
        end = time.monotonic() + 15
        while terminal.seen.count(b"PIDS") < 2 and time.monotonic() < end:
            terminal.read(0.2)
        assert b"\x1b" not in terminal.seen and terminal.seen.count(b"PIDS") >= 2
    with Terminal(berth, "stats", "--no-stream") as terminal:
        assert terminal.process.wait(10) == 0
        while terminal.read(0.1):
            pass
        assert b"\x1b" not in terminal.seen


def test_restarted_meanwhile(berth):
    """Another run under the same name: no number of the one before is left."""
    berth.up("--name", "one", command=("sh", "-c", "sleep 1000 & sleep 1000"))
    process = berth.popen("stats", "--format", "round {{.CPUPerc}} {{.PIDs}}", "one", stdout=subprocess.PIPE)
    try:
        wait_for(lambda: re.search(r"round [0-9.]+% 2", rounds(process, 1)), "two processes")
        berth.ok("restart", "-t", "0", "one")
        seen = rounds(process, 3)
        assert not re.search(r"round [1-9]\d{3,}", seen), seen
    finally:
        process.kill()
        process.wait()


def test_nobody_reads(berth):
    berth.up("--name", "one")
    process = berth.popen("stats", "--format", "round", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    rounds(process, 1)
    process.stdout.close()
    assert process.wait(10) != 0


# Who has no cgroup


def test_a_user_without_a_cgroup(user_berth):
    user_berth.up("--name", "busy", command=("sh", "-c", "sleep 1000 & while :; do :; done"))
    if has_cgroup(user_berth, "busy"):
        pytest.skip("this user has a delegated cgroup")
    seen = []

    def spins():
        seen.append(stats(user_berth)["busy"])
        return float(seen[-1]["CPUPerc"].rstrip("%")) > 20

    wait_for(spins, f"one that spins: {seen}", 10)
    row = seen[-1]
    assert row["PIDs"] == "2"
    used, limit = sizes(row["MemUsage"])
    assert 0 < used < 64 * 2**20 and abs(limit / host_memory() - 1) < 0.01


# Many


def test_a_container_with_cgroups_of_its_own(root_berth):
    """A container whose first process moved itself below its cgroup is counted whole."""
    root_berth.up("--name", "one")
    pid = root_berth.pid("one")
    made = []
    for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        number, name, path = line.split(":", 2)
        base = pathlib.Path("/sys/fs/cgroup") / ("unified" if not name else name.removeprefix("name="))
        if name in ("memory", "pids", "") and path.endswith(root_berth.inspect("one", "Id")) and (base / path[1:]).is_dir():
            inner = base / path[1:] / "inner"
            inner.mkdir()
            made.append(inner)
            (inner / "cgroup.procs").write_text(str(pid))
    try:
        row = stats(root_berth)["one"]
        assert row["PIDs"] == "1" and sizes(row["MemUsage"])[0] > 0
    finally:
        root_berth.ok("rm", "-f", "one")


def test_many(root_berth):
    names = [f"n{number}" for number in range(30)]
    for name in names:
        root_berth.up("--name", name)
    rows = stats(root_berth, timeout=30)
    assert sorted(rows) == sorted(names)
    assert all(row["PIDs"] == "1" and row["CPUPerc"].endswith("%") for row in rows.values())
    # With few descriptors too.
    few = root_berth.ok("stats", "--no-stream", "--format", "{{.PIDs}}", wrap=("prlimit", "--nofile=40:40"), timeout=30)
    assert few.lines == ["1"] * 30
