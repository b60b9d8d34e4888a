"""`logs`: what was written, by whom and when; following; rotation; output that tries to lie."""

import datetime
import os
import re
import signal
import subprocess
import time

import pytest

from host import wait_for

LINE = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z (stdout|stderr) [FP] ")
LONGEST = 16 << 10


def files(berth, name):
    """The log's files, newest first."""
    directory = getattr(berth, "visible_root", berth.root) / "containers" / berth.inspect(name, "Id")
    found = [directory / "container.log", *sorted(directory.glob("container.log.*"), key=lambda path: int(path.suffix[1:]))]
    return [path for path in found if path.exists()]


def records(berth, name):
    """(stream, tag, text) of every physical line, oldest first; fails on one that is not whole."""
    found = []
    for path in reversed(files(berth, name)):
        data = path.read_bytes()
        assert data == b"" or data.endswith(b"\n"), f"{path.name} ends in a torn line: {data[-100:]!r}"
        for line in data.split(b"\n")[:-1]:
            assert LINE.match(line), f"a line that is not ours: {line[:200]!r}"
            _, stream, tag, text = line.split(b" ", 3)
            assert len(text) <= LONGEST
            found.append((stream.decode(), tag.decode(), text))
    return found


def text_of(found, stream="stdout"):
    return b"".join(text + (b"\n" if tag == "F" else b"") for name, tag, text in found if name == stream)


def ended(berth, *words):
    name = berth.detached(*words)
    berth.ok("wait", name, timeout=60)
    return name


def test_streams_and_order(berth):
    name = ended(berth, "test", "sh", "-c", "echo one; echo two >&2; printf three; sleep 0.05; echo four; printf end")
    result = berth.ok("logs", name)
    assert (result.out, result.err) == ("one\nthreefour\nend", "two\n")
    found = records(berth, name)
    # Each stream keeps its order. Two pipes have none between them.
    assert [tag for stream, tag, _ in found if stream == "stdout"] == ["F", "P", "F", "P"]
    assert [tag for stream, tag, _ in found if stream == "stderr"] == ["F"]


def test_the_log_of_a_container_that_never_ran(berth):
    name = berth.ok("create", "--network", "none", "test", "true").text
    assert berth.ok("logs", name).out == ""
    assert berth.ok("logs", "-f", name).out == ""
    berth.call("logs", "nobody").fails(1, "no such container")


def test_no_log(berth):
    name = ended(berth, "--log-driver", "none", "test", "echo", "x")
    berth.call("logs", name).fails(1, "does not support reading")
    assert files(berth, name) == []


@pytest.mark.parametrize("count, wanted", [("0", []), ("1", [10]), ("3", [8, 9, 10]), ("10", range(1, 11)), ("99", range(1, 11)), ("all", range(1, 11)), ("-1", range(1, 11))])
def test_tail(berth, count, wanted):
    name = ended(berth, "test", "seq", "10")
    assert berth.ok("logs", "--tail", count, name).lines == [str(n) for n in wanted]


def test_since_until_and_timestamps(berth):
    name = ended(berth, "test", "sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.3; done")
    lines = berth.ok("logs", "-t", name).lines
    assert [line.split(" ")[1] for line in lines] == ["1", "2", "3"]
    times = [line.split(" ")[0] for line in lines]
    assert times == sorted(times) and all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", each) for each in times)
    assert berth.ok("logs", "--since", times[1], name).lines == ["2", "3"]
    assert berth.ok("logs", "--until", times[1], name).lines == ["1", "2"]
    assert berth.ok("logs", "--since", times[1], "--until", times[1], name).lines == ["2"]
    assert berth.ok("logs", "--since", "1h", name).lines == ["1", "2", "3"]
    seconds = datetime.datetime.fromisoformat(times[2][:26] + "+00:00").timestamp()
    assert berth.ok("logs", "--since", f"{seconds:.6f}", name).lines == ["3"]
    berth.call("logs", "--since", "yesterday", name).fails(1, "yesterday")
    berth.call("logs", "--tail", "many", name).fails(125, "tail")


# Following


def test_follow_ends_with_the_container(berth):
    name = berth.detached("-i", "test", "sh", "-c", "echo begin; read x; echo $x; exit 4")
    process = berth.popen("logs", "-f", name, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"begin\n"
    client = berth.popen("attach", name, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    client.communicate(b"end\n", timeout=10)
    assert process.communicate(timeout=10)[0] == b"end\n" and process.returncode == 0


def test_follow_goes_on_over_restarts(berth):
    name = berth.detached("--restart", "on-failure:2", "test", "sh", "-c", "echo run; exit 1")
    result = berth.ok("logs", "-f", name, timeout=30)
    assert result.lines == ["run"] * 3


def test_follow_until(berth):
    name = berth.detached("test", "sh", "-c", "while :; do echo x; sleep 0.05; done")
    start = time.monotonic()
    berth.ok("logs", "-f", "--until", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2)), name)
    assert time.monotonic() - start < 8


def test_follow_tail(berth):
    name = berth.detached("-i", "test", "sh", "-c", "seq 100; read x; echo last")
    berth.wait_log(name, "^100$")
    process = berth.popen("logs", "-f", "--tail", "2", name, stdout=subprocess.PIPE)
    assert [process.stdout.readline() for _ in range(2)] == [b"99\n", b"100\n"]
    berth.popen("attach", name, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL).communicate(b"x\n", timeout=10)
    assert process.communicate(timeout=10)[0] == b"last\n"


def test_follow_whose_reader_goes_away(berth):
    name = berth.detached("test", "sh", "-c", "while :; do echo line; sleep 0.01; done")
    process = berth.popen("logs", "-f", name, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == b"line\n"
    process.stdout.close()
    process.wait(10)
    process.stderr.close()
    assert berth.status(name) == "running"


@pytest.mark.parametrize("how", ["stop", "kill", "rm -f"])
def test_follow_of_a_container_that_is_ended(berth, how):
    name = berth.detached("test", "sh", "-c", "echo line; exec sleep 1000")
    process = berth.popen("logs", "-f", name, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == b"line\n"
    berth.ok(*how.split(), *(["-t", "0"] if how == "stop" else []), name)
    process.communicate(timeout=10)
    assert process.returncode == 0


# Rotation


def test_rotation_is_on_by_default(berth):
    assert berth.inspect(berth.up(), "HostConfig.LogConfig.Config") in ({}, {"max-file": "5", "max-size": "20m"}, None)
    name = ended(berth, "test", "sh", "-c", "head -c 45000000 /dev/zero | tr '\\0' 'x' | dd bs=64k 2>/dev/null")
    sizes = [path.stat().st_size for path in files(berth, name)]
    assert len(sizes) == 3 and max(sizes) <= 20 << 20


def test_rotation_keeps_the_bound_and_the_newest(berth):
    name = ended(berth, "--log-opt", "max-size=64k", "--log-opt", "max-file=3", "test", "seq", "60000")
    found = files(berth, name)
    assert [path.name for path in found] == ["container.log", "container.log.1", "container.log.2"]
    assert all(path.stat().st_size <= 64 << 10 for path in found)
    # The oldest may be the rest of a number.
    numbers = [int(word) for word in text_of(records(berth, name)).split()]
    assert numbers[1:] == list(range(numbers[1], 60001))
    assert [int(word) for word in berth.logs(name).split()] == numbers
    assert berth.ok("logs", "--tail", "2000", name).lines == [str(n) for n in range(58001, 60001)]


def test_follow_across_rotations(berth):
    """Every line once, however often files move under the reader (as long as the oldest is not removed before it is read)."""
    script = "read x; i=0; while [ $i -lt 400 ]; do seq $((i*20+1)) $((i*20+20)); i=$((i+1)); sleep 0.002; done"
    name = berth.detached("-i", "--log-opt", "max-size=16k", "--log-opt", "max-file=60", "test", "sh", "-c", script)
    process = berth.popen("logs", "-f", name, stdout=subprocess.PIPE)
    berth.popen("attach", name, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL).communicate(b"x\n", timeout=60)
    out = process.communicate(timeout=20)[0]
    assert [int(line) for line in out.split()] == list(range(1, 8001))
    assert len(files(berth, name)) > 15


def test_a_line_longer_than_a_file(berth):
    name = ended(berth, "--log-opt", "max-size=1k", "test", "sh", "-c", "head -c 100000 /dev/zero | tr '\\0' x; echo; echo end")
    found = records(berth, name)
    assert found[-1] == ("stdout", "F", b"end")
    assert all(set(text) <= set(b"x") for _, _, text in found[:-1])


# Output that tries to lie (S78)

LIES = [
    b"\n2026-01-01T00:00:00.000000000Z stdout F fake\n",
    b"\n2026-01-01T00:00:00Z stderr F fake\n",
    b"before\r2026-01-01T00:00:00.000000000Z stdout F fake\n",
    b"\x1b]52;c;ZXZpbA==\x07\x1b[2J\x1b[31mred\x1b[0m\n",
    b"a\0b\0\0c\n",
    b"\xff\xfe\xc3\x28\xed\xa0\x80\n",
    b"\n\n\n",
    "\u2028\u2029\u0085\n".encode(),
    b"x" * (LONGEST - 1) + b"\n" + b"y" * LONGEST + b"\n" + b"z" * (LONGEST + 1) + b"\n",
    b"no newline at the end",
    b"2026-01-01T00:00:00.000000000Z stdout P ",
]


@pytest.mark.parametrize("lie", LIES, ids=range(len(LIES)))
def test_output_cannot_forge_the_log(berth, lie):
    """Each physical line is framed by us, in pieces of at most 16 KiB; the bytes come back as they were."""
    result = berth.call("run", "-i", "--name", "liar", "--network", "none", "test", "cat", stdin=lie)
    assert result.bytes == lie
    found = records(berth, "liar")
    assert text_of(found) == lie
    assert {stream for stream, _, _ in found} == {"stdout"}
    assert berth.ok("logs", "liar").bytes == lie
    this_year = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d").encode()
    stamped = berth.ok("logs", "-t", "liar").bytes
    assert stamped.startswith(this_year)


def test_an_endless_line(berth):
    """64 MiB without a newline (a GiB in the full run): cut into pieces, and the supervisor does not grow."""
    size = (1 << 30) if os.environ.get("BERTH_TEST_FULL") else (64 << 20)
    name = berth.detached("test", "sh", "-c", f"head -c {size} /dev/zero; exec sleep 1000")
    pid = berth.supervisor(berth.inspect(name, "Id"))
    wait_for(lambda: children_of_shell_gone(berth, name), "the line to be written", 120)
    peak = int(re.search(r"VmHWM:\s+(\d+)", open(f"/proc/{pid}/status").read())[1])
    assert peak < 32 << 10, f"{peak} KiB"
    assert all(tag == "P" and len(text) <= LONGEST for _, tag, text in records(berth, name))


def children_of_shell_gone(berth, name):
    return berth.ok("top", name, "-o", "args").lines[1:] == ["sleep 1000"] or "sleep 1000" in berth.ok("top", name).out


def test_names_with_control_bytes_do_not_reach_the_terminal(berth):
    """S79: tables escape, `logs` passes through."""
    name = berth.detached("--label", "evil=\x1b[2J", "test", "sh", "-c", "printf '\\033[31mred\\n'; exec sleep 1000", "\x1b]0;title\x07")
    assert "\x1b" not in berth.ok("ps", "--no-trunc").out
    berth.wait_log(name, "red")
    assert "\x1b[31mred\n" == berth.logs(name)


def test_ps_quotes_as_docker_does(berth):
    name = berth.detached("test", "sh", "-c", "sleep 1000; echo 'x'", 'a"b')
    row = berth.ok("ps", "--no-trunc", "--format", "{{.Command}}", "--filter", f"id={name}").text
    assert row == "\"sh -c 'sleep 1000; echo 'x'' a\\\"b\""
    assert berth.ok("ps", "--format", "{{.Command}}", "--filter", f"id={name}").text == '"sh -c \'sleep 1000; …"'
