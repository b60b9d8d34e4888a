"""`--log-driver` and `--log-opt`: docker's file, the system log, the journal; several containers at once."""

import contextlib
import json
import os
import pathlib
import re
import secrets
import socket
import struct
import threading
import time

import pytest

from host import wait_for


class Receiver:
    """Whoever a syslog driver sends to; keeps what came."""

    def __init__(self, kind, address, family=socket.AF_UNIX):
        self.kind, self.messages, self.clients = kind, [], []
        self.socket = socket.socket(family, kind)
        if family == socket.AF_INET:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(address)
        if family == socket.AF_UNIX:
            os.chmod(address, 0o777)
        self.address = self.socket.getsockname()
        if kind == socket.SOCK_STREAM:
            self.socket.listen()
        self.thread = threading.Thread(target=self.receive, daemon=True)
        self.thread.start()

    def receive(self):
        with contextlib.suppress(OSError):
            while True:
                if self.kind == socket.SOCK_DGRAM:
                    self.messages.append(self.socket.recv(1 << 17))
                else:
                    client, _ = self.socket.accept()
                    self.clients.append(client)
                    threading.Thread(target=self.stream, args=(client,), daemon=True).start()

    def stream(self, client):
        with contextlib.suppress(OSError), client.makefile("rb") as lines:
            self.messages += lines

    def close(self):
        for one in [self.socket, *self.clients]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def wait(self, count):
        wait_for(lambda: len(self.messages) >= count, f"{count} messages; there are {self.messages[:5]}")
        return self.messages


@pytest.fixture
def receiver(place):
    made = []

    def make(kind, address=None, family=socket.AF_UNIX):
        made.append(Receiver(kind, address or str(place / secrets.token_hex(3)), family))
        return made[-1]

    yield make
    for one in made:
        one.close()


def container(berth, *flags, script="echo out; echo err >&2", name=None):
    name = name or "c" + secrets.token_hex(4)
    berth.ok("run", "--name", name, "--network", "none", *flags, "test", "sh", "-c", script)
    return name


def log(berth, name):
    directory = pathlib.Path(berth.seen(berth.root)) / "containers" / berth.inspect(name, "Id")
    return directory / "container.log"


# json-file


def test_json_file(berth):
    """Docker's document, and all of `logs` over it."""
    name = container(
        berth, "--log-driver", "json-file", "--log-opt", "labels=l,none", "--log-opt", "env=E", "--log-opt", "tag={{.Name}}/{{.ImageName}}",
        "--label", "l=v w", "-e", "E=1", script="echo 'a <b> \"q\" é'; sleep 0.1; echo err >&2; sleep 0.1; printf 'no end'",
    )  # fmt: skip
    rows = [json.loads(line) for line in log(berth, name).read_text().splitlines()]
    assert [(row["log"], row["stream"]) for row in rows] == [('a <b> "q" é\n', "stdout"), ("err\n", "stderr"), ("no end", "stdout")]
    assert all(row["attrs"] == {"E": "1", "l": "v w", "tag": f"{name}/test"} for row in rows)
    assert berth.inspect(name, "LogPath").endswith("/container.log")
    assert berth.inspect(name, "HostConfig.LogConfig.Type") == "json-file"
    result = berth.ok("logs", name)
    assert result.out == 'a <b> "q" é\nno end' and result.err == "err\n"
    assert berth.ok("logs", "-n", "1", name).out == "no end"
    assert berth.ok("logs", "--details", "-n", "1", name).out == f"E=1,l=v+w,tag={name}%2Ftest no end"
    assert berth.ok("logs", "-t", "-n", "1", name).out == rows[2]["time"] + " no end"
    assert berth.ok("logs", "--since", rows[1]["time"], name).out == "no end"
    assert berth.ok("logs", "--until", rows[0]["time"], name).out == 'a <b> "q" é\n'


def test_json_file_rotates(berth):
    name = berth.detached("--log-driver", "json-file", "--log-opt", "max-size=64k", "--log-opt", "max-file=3", "test", "seq", "30000")
    berth.wait_status(name, "exited")
    directory = log(berth, name).parent
    sizes = {path.name: path.stat().st_size for path in directory.glob("container.log*")}
    assert set(sizes) == {"container.log", "container.log.1", "container.log.2"} and max(sizes.values()) <= 64 << 10
    numbers = [int(line) for line in berth.ok("logs", name).lines]
    assert numbers[-1] == 30000 and numbers == list(range(numbers[0], 30001))
    assert berth.ok("logs", "-n", "2", name).lines == ["29999", "30000"]


def test_follow_json_file(berth):
    """Across rotations and restarts, in order."""
    script = "for n in $(seq 2000); do echo $n; done; sleep 0.2"
    name = berth.detached(
        "--log-driver", "json-file", "--log-opt", "max-size=20k", "--log-opt", "max-file=50", "--restart", "on-failure:1", "test", "sh", "-c",
        script + "; exit 1",
    )  # fmt: skip
    out = berth.ok("logs", "-f", name, timeout=30).lines
    assert out == [str(number) for number in range(1, 2001)] * 2


# Details and several containers


def test_details_of_the_default_driver(berth):
    name = container(berth, "--log-opt", "labels=l", "--label", "l=x", script="echo a")
    assert berth.ok("logs", "--details", name).out == "l=x a\n"


def test_several_containers(berth):
    first, second = container(berth, script="echo a; echo b"), container(berth, script="echo c")
    ids = [berth.inspect(name, "Id")[:12] for name in (first, second)]
    assert berth.ok("logs", first, second).lines == [f"{ids[0]} a", f"{ids[0]} b", f"{ids[1]} c"]
    assert berth.ok("logs", "--names", second).lines == [f"{second} c"]
    assert berth.ok("logs", "-l").out == "c\n"
    assert berth.ok("logs", "-f", "--names", "-n", "1", first, second).lines == [f"{first} b", f"{second} c"]
    berth.call("logs", first, "nosuch").fails(1, "no such container")
    berth.call("logs", "-l", first).fails(1, "accepts no arguments")


def test_follow_several(berth):
    names = [berth.detached("test", "sh", "-c", f"sleep 0.{number + 2}; echo {number}; sleep 0.3; echo last {number}") for number in range(3)]
    out = berth.ok("logs", "-f", *names, timeout=20).lines
    assert sorted(out) == sorted(f"{name[:12]} {text}{number}" for number, name in enumerate(names) for text in ("", "last "))
    for number, name in enumerate(names):
        assert [line for line in out if line.startswith(name[:12])] == [f"{name[:12]} {number}", f"{name[:12]} last {number}"]


# syslog


def test_syslog_by_a_socket(berth, receiver):
    """The formats, as docker's driver writes them."""
    there = receiver(socket.SOCK_DGRAM)
    common = ("--log-driver", "syslog", "--log-opt", f"syslog-address=unixgram://{there.address}")
    name = container(berth, *common, "--log-opt", "syslog-facility=local3", "--log-opt", "tag=t/{{.Name}}")
    one, two = there.wait(2)[:2]
    stamp = rb"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d"
    assert re.fullmatch(rb"<158>" + stamp + rb" t/%s\[\d+\]: out\n" % name.encode(), one)
    assert re.fullmatch(rb"<155>" + stamp + rb" t/%s\[\d+\]: err\n" % name.encode(), two)
    # The copy that `logs` reads.
    assert berth.ok("logs", name).out == "out\n" and berth.ok("logs", name).err == "err\n"
    there.messages.clear()
    name = container(berth, *common, "--log-opt", "syslog-format=rfc5424", script="echo x")
    identity = berth.inspect(name, "Id")[:12].encode()
    assert re.fullmatch(rb"<30>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \S+ %s \d+ %s - x\n" % (identity, identity), there.wait(1)[0])
    there.messages.clear()
    container(berth, *common, "--log-opt", "syslog-format=rfc5424micro", script="echo x")
    assert re.match(rb"<30>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z ", there.wait(1)[0])
    there.messages.clear()
    container(berth, *common, "--log-opt", "syslog-format=rfc3164", script="echo x")
    assert re.fullmatch(rb"<30>" + stamp + rb" \S+ \w+\[\d+\]: x\n", there.wait(1)[0])


@pytest.mark.parametrize("scheme", ["udp", "tcp"])
def test_syslog_by_network(berth, receiver, scheme):
    """From the host's network, whatever the container's is."""
    there = receiver(socket.SOCK_STREAM if scheme == "tcp" else socket.SOCK_DGRAM, ("127.0.0.1", 0), socket.AF_INET)
    container(berth, "--log-driver", "syslog", "--log-opt", f"syslog-address={scheme}://127.0.0.1:{there.address[1]}", script="seq 100")
    texts = [message.split(b": ")[1] for message in there.wait(100)]
    assert texts == [b"%d\n" % number for number in range(1, 101)]


def test_syslog_in_pieces(berth, receiver):
    """A line that comes in pieces is one message; a long one several; none is empty."""
    there = receiver(socket.SOCK_DGRAM)
    script = "printf a; sleep 0.2; printf b; sleep 0.2; echo c; echo; head -c 40000 /dev/zero | tr '\\0' x; echo; printf tail"
    name = container(berth, "--log-driver", "syslog", "--log-opt", f"syslog-address=unixgram://{there.address}", script=script)
    texts = [message.split(b"]: ", 1)[1][:-1] for message in there.wait(5)]
    assert [text if len(text) < 10 else len(text) for text in texts] == [b"abc", 16384, 16384, 7232, b"tail"]
    assert berth.ok("logs", name).out.endswith("x\ntail")


def test_syslog_is_not_there(berth, place):
    """It keeps the container from starting, and nothing else."""
    for address, text in [(f"unixgram://{place}/none", "no such file"), ("tcp://127.0.0.1:9", "connection refused")]:
        berth.run("--log-driver", "syslog", "--log-opt", f"syslog-address={address}", "test", "true").fails(
            125, f"failed to initialize logging driver: .*{text}"
        )
    assert berth.ok("ps", "-aq").out == ""


def test_syslog_goes_away(berth, receiver):
    """The container runs on at full speed; what could not be delivered is told when the receiver is back."""
    there = receiver(socket.SOCK_DGRAM)
    address = there.address
    name = berth.detached(
        "--log-driver", "syslog", "--log-opt", f"syslog-address=unixgram://{address}", "--log-opt", "mode=non-blocking", "--log-opt",
        "max-buffer-size=4k", "test", "sh", "-c", "echo first; while ! [ -e /go ]; do sleep 0.02; done; seq 3000; touch /done; while :; do sleep 0.3; echo tick; done",
    )  # fmt: skip
    there.wait(1)
    there.close()
    os.unlink(address)
    berth.ok("exec", name, "touch", "/go")
    wait_for(lambda: berth.call("exec", name, "test", "-e", "/done").code == 0, "the container to go on")
    again = receiver(socket.SOCK_DGRAM, address)
    wait_for(lambda: any(b"log messages were dropped" in message for message in again.messages), "the count")
    wait_for(lambda: any(b": tick\n" in message for message in again.messages), "new messages")
    assert [line for line in berth.ok("logs", name).lines if line.isdigit()] == [str(number) for number in range(1, 3001)]


def test_no_copy(berth, receiver):
    there = receiver(socket.SOCK_DGRAM)
    name = container(
        berth, "--log-driver", "syslog", "--log-opt", f"syslog-address=unixgram://{there.address}", "--log-opt", "cache-disabled=true"
    )
    there.wait(2)
    assert not log(berth, name).exists() and berth.inspect(name, "LogPath") == ""
    berth.call("logs", name).fails(1, "configured logging driver does not support reading")


# journald


@pytest.fixture
def journal(root_berth, receiver):
    """A journal of the test's own, where the host has none."""
    path = pathlib.Path("/run/systemd/journal/socket")
    if path.exists():
        pytest.skip("this host has a journal")
    before = [parent for parent in (path.parent, path.parent.parent) if not parent.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    yield receiver(socket.SOCK_DGRAM, str(path))
    path.unlink()
    for parent in before:
        parent.rmdir()


def fields(entry):
    """The fields of an entry of systemd's native protocol."""
    found = []
    while entry:
        line, _, rest = entry.partition(b"\n")
        if b"=" in line:
            name, _, value = line.partition(b"=")
        else:
            name, (length,) = line, struct.unpack("<Q", rest[:8])
            value, rest = rest[8 : 8 + length], rest[8 + length + 1 :]
        found.append((name.decode(), value))
        entry = rest
    return found


@pytest.mark.xdist_group("journal")
def test_journald(root_berth, journal):
    berth = root_berth
    name = container(
        berth, "--log-driver", "journald", "--log-opt", "labels=a.b,_c", "--label", "a.b=1\nMESSAGE=forged", "--label", "_c=2", "--log-opt",
        "tag=my {{.Name}}", script="echo 'one\rPRIORITY=0'; echo two >&2; head -c 20000 /dev/zero | tr '\\0' x",
    )  # fmt: skip
    entries = [fields(entry) for entry in journal.wait(4)]
    identity = berth.inspect(name, "Id").encode()
    for entry in entries:
        # Each once: nothing that a label or the output says becomes a field.
        names = [key for key, _ in entry]
        assert len(names) == len(set(names))
        row = dict(entry)
        assert row["CONTAINER_ID_FULL"] == identity and row["CONTAINER_ID"] == identity[:12] and row["CONTAINER_NAME"] == name.encode()
        assert row["CONTAINER_TAG"] == row["SYSLOG_IDENTIFIER"] == b"my " + name.encode() and row["IMAGE_NAME"] == b"test"
        assert row["A_B"] == b"1\nMESSAGE=forged" and row["C"] == b"2"
    # Output and errors come by pipes of their own: each keeps its order.
    rows = sorted((dict(entry) for entry in entries), key=lambda row: (row["MESSAGE"] != b"one\rPRIORITY=0", row["PRIORITY"] == b"6"))
    assert [(row["MESSAGE"][:20], row["PRIORITY"]) for row in rows[:2]] == [(b"one\rPRIORITY=0", b"6"), (b"two", b"3")]
    assert [(len(row["MESSAGE"]), row.get("CONTAINER_PARTIAL_MESSAGE")) for row in rows[2:]] == [(16384, b"true"), (3616, b"true")]
    assert berth.ok("logs", name).out.startswith("one\r")


@pytest.mark.xdist_group("journal")
def test_without_a_journal(berth):
    if pathlib.Path("/run/systemd/journal/socket").exists():
        pytest.skip("this host has a journal")
    berth.run("--log-driver", "journald", "test", "true").fails(125, "failed to initialize logging driver: journald is not enabled on this host")


# Options


@pytest.mark.parametrize(
    ("driver", "option", "pattern"),
    [
        ("json-file", "foo=x", "unknown log opt 'foo' for json-file log driver"), ("json-file", "mode=x", "logging mode not supported: x"),
        ("json-file", "max-buffer-size=1m", "only supported with 'mode=non-blocking'"), ("json-file", "tag={{.Foo}}", "invalid log tag"),
        ("syslog", "syslog-address=foo", "should be in form proto://address, got foo"), ("syslog", "syslog-format=x", "Invalid syslog format"),
        ("syslog", "syslog-facility=x", "invalid syslog facility"), ("syslog", "syslog-address=udp://host.example:514", "IP address"),
        ("syslog", "syslog-address=tcp+tls://127.0.0.1:1", "not supported yet"), ("syslog", "max-size=1m", "unknown log opt 'max-size'"),
        ("none", "max-size=1m", "invalid logging opts for driver none"), ("gelf", "tag=x", "not supported yet: --log-driver gelf"),
        ("bogus", "tag=x", "no log driver named 'bogus' is registered"), ("json-file", "labels-regex=x", "not supported yet"),
    ],
)  # fmt: skip
def test_refused_options(root_berth, driver, option, pattern):
    root_berth.call("create", "--log-driver", driver, "--log-opt", option, "test", "true").fails(125, re.escape(pattern).replace(r"\ ", " "))
    assert root_berth.ok("ps", "-aq").out == ""


def test_usage_counts_logs(berth):
    """`system df` counts them with the container's files."""
    before = berth.ok("system", "df", "--format", "{{.Type}} {{.Size}}").out
    name = berth.detached("--log-driver", "json-file", "test", "sh", "-c", "head -c 4000000 /dev/zero | tr '\\0' x")
    berth.wait_status(name, "exited")
    line = next(line for line in berth.ok("system", "df", "--format", "{{.Type}} {{.Size}}").lines if line.startswith("Containers"))
    assert re.search(r" [4-9]\.\d+MB", line), (before, line)


def test_a_million_lines(berth):
    """Every one is returned, in order, whatever the driver."""
    count = 1_000_000 if os.environ.get("BERTH_TEST_FULL") else 100_000
    for driver in ("cri", "json-file"):
        name = berth.detached("--log-driver", driver, "--log-opt", "max-size=100m", "test", "seq", str(count), timeout=120)
        berth.wait_status(name, "exited", 120)
        begin = time.monotonic()
        out = berth.ok("logs", name, timeout=120).bytes
        assert out == b"".join(b"%d\n" % number for number in range(1, count + 1))
        print(f"{driver}: {count / (time.monotonic() - begin):.0f} lines a second")
        berth.ok("rm", name)
