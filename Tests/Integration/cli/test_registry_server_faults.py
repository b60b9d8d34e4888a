"""The embedded registry under kills, a full disk and hostile clients."""

import contextlib
import hashlib
import json
import os
import random
import secrets
import select
import socket
import sqlite3
import subprocess
import threading
import time

import pytest
from host import wait_for
from registry_api import EMPTY, MANIFEST, OCTETS, Client, api, manifest, server, sha  # noqa: F401
from registry_server import RegistryServer, many


# Kills


def assert_whole(server):
    """Every file has its digest and its row, every row its file, every manifest all that it names."""
    files = {}
    for algorithm in ("sha256", "sha512"):
        for path in (server.data / "blobs" / algorithm).iterdir():
            data = path.read_bytes()
            assert hashlib.new(algorithm, data).hexdigest() == path.name, path
            files[f"{algorithm}:{path.name}"] = data
    database = sqlite3.connect(server.data / "registry.db")
    try:
        rows = dict(database.execute("SELECT digest, size FROM blobs"))
        assert rows == {digest: len(data) for digest, data in files.items()}
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        links = set(database.execute("SELECT repository, digest FROM links"))
        for repository, digest in database.execute("SELECT repository, digest FROM manifests").fetchall():
            document = json.loads(files[digest])
            for part in [document["config"], *document["layers"]]:
                assert (repository, part["digest"]) in links and part["digest"] in files
    finally:
        database.close()


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_moment_the_next_start_finds_whole_images(seed):
    """What was answered with 201 is there; what is there is whole."""
    rounds = int(os.environ.get("BERTH_HOSTILE_ROUNDS", "12")) // 2
    chance = random.Random(f"{seed}-{os.getpid()}")
    with RegistryServer() as server:
        acknowledged, answers = {}, []
        for _ in range(max(rounds, 3)):
            stop = threading.Event()

            def push(number, stop=stop):
                api = Client(server)
                while not stop.is_set():
                    layers = [secrets.token_bytes(chance.choice([100, 30_000, 700_000])) for _ in range(2)]
                    repository = f"kill/{number}"
                    with contextlib.suppress(OSError, ConnectionError, EOFError, Exception):
                        for blob in [*layers, EMPTY]:
                            api.push(blob, repository)
                            acknowledged[repository, sha(blob)] = blob
                            answers.append(blob)
                        data = manifest(layers)
                        api.put(data, "latest", repository)
                        acknowledged[repository, sha(data)] = data
                        if chance.random() < 0.3:
                            del acknowledged[repository, sha(data)]
                            api("DELETE", api.path("manifests", sha(data), repository=repository))

            threads = [threading.Thread(target=push, args=(number,)) for number in range(3)]
            for thread in threads:
                thread.start()
            # At any request of the next few, in whatever state the others are then.
            wanted = len(answers) + chance.randint(1, 60)
            wait_for(lambda wanted=wanted: len(answers) >= wanted, "some blobs to be acknowledged")
            server.process.kill()
            stop.set()
            for thread in threads:
                thread.join()
            server.stop(9)
            server.start()
            assert_whole(server)
        api = Client(server)
        for (repository, digest), data in acknowledged.items():
            kind = "manifests" if data.startswith(b'{"schemaVersion"') else "blobs"
            assert api("GET", api.path(kind, digest, repository=repository), status=200).data == data
        assert acknowledged


def test_a_broken_connection_leaves_what_came(api):
    data = secrets.token_bytes(2_000_000)
    location = api.session()
    link = api.server.connection()
    link.putrequest("PATCH", location)
    link.putheader("Content-Length", str(len(data)))
    link.endheaders(data[:1_500_000])
    wait_for(lambda: api("GET", location).headers["Range"] == "0-1499999", "the first part to be written")
    link.close()
    api("PATCH", location, data[1_500_000:], OCTETS | {"Content-Range": f"1500000-{len(data) - 1}"}, status=202)
    api("PUT", f"{location}?digest={sha(data)}", status=201)


def test_a_stalled_client_loses_the_upload_to_the_next(api):
    location = api.session()
    with contextlib.closing(api.server.connection()) as stalled:
        stalled.putrequest("PATCH", location)
        stalled.putheader("Content-Length", "1000")
        stalled.endheaders(b"x" * 10)
        wait_for(lambda: api("GET", location).headers["Range"] == "0-9", "its part")
        api("PATCH", location, b"y" * 10, OCTETS | {"Content-Range": "10-19"}, status=202)
        stalled.send(b"z" * 990)
        assert stalled.getresponse().status == 409
    api("PUT", f"{location}?digest={sha(b'x' * 10 + b'y' * 10)}", status=201)


def test_a_full_disk_is_told_and_harms_nothing(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small file system")
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", place], check=True)
    try:
        with RegistryServer(place / "data") as server:
            api = Client(server)
            data, layers = api.image()
            big = secrets.token_bytes(12 << 20)
            answer = api("POST", api.path("blobs/uploads/") + f"?digest={sha(big)}", big, OCTETS)
            assert answer.status == 507 and b"no space left" in answer.data
            assert list((server.data / "uploads").iterdir()) == []
            assert api("GET", api.path("manifests/latest"), status=200).data == data
            # What is full can be emptied.
            chunk, held = 300_000, []
            while True:
                blob = secrets.token_bytes(chunk)
                if api("POST", api.path("blobs/uploads/") + f"?digest={sha(blob)}", blob, OCTETS).status != 201:
                    break
                held.append(blob)
            for blob in held:
                api("DELETE", api.path("blobs", sha(blob)), status=202)
            api.push(secrets.token_bytes(chunk))
            assert_whole(server)
            assert api("GET", api.path("blobs", sha(layers[0])), status=200).data == layers[0]
    finally:
        subprocess.run(["umount", "-l", place], check=False)


class LoopDisk:
    """An ext4 of its own that writes nothing by itself: what is not synced is lost with `lose_power`."""

    def __init__(self, base):
        self.base, self.mounted, self.count = base, base / "mounted", 0
        self.mounted.mkdir()
        self.image = base / "image0"
        with open(self.image, "wb") as file:
            file.truncate(96 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-E", "lazy_itable_init=0", self.image], check=True)
        self.mount()

    def mount(self):
        subprocess.run(["mount", "-o", "loop,commit=1000", self.image, self.mounted], check=True)

    def lose_power(self):
        """Goes on with a copy of what has reached the device. The writers must have been killed."""
        self.count += 1
        copy = self.base / f"image{self.count}"
        subprocess.run(["cp", "--sparse=always", self.image, copy], check=True)
        self.close()
        self.image.unlink()
        self.image = copy
        self.mount()

    def close(self):
        subprocess.run(["umount", self.mounted], check=False)


def test_f05_what_was_answered_with_201_survives_power_loss(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a file system")
    disk = LoopDisk(tmp_path)
    try:
        with RegistryServer(disk.mounted / "data") as server:
            api = Client(server)
            kept = {}
            for number in range(4):
                layers = [secrets.token_bytes(size) for size in (100, 300_000)]
                data = manifest(layers)
                for blob in [*layers, EMPTY]:
                    kept[api.path("blobs", api.push(blob))] = blob
                api.put(data, f"t{number}")
                kept[api.path("manifests", f"t{number}")] = data
                # Also in the middle of another push.
                location = api.session()
                api("PATCH", location, secrets.token_bytes(200_000), OCTETS, status=202)
                server.stop(9)
                disk.lose_power()
                server.start()
                assert_whole(server)
                for path, content in kept.items():
                    assert api("GET", path, status=200).data == content
                assert api("GET", location).status in (204, 404)
            # Deleted is deleted.
            api("DELETE", api.path("manifests/t0"), status=202)
            server.stop(9)
            disk.lose_power()
            server.start()
            api("GET", api.path("manifests/t0"), status=404)
            server.stop()
    finally:
        disk.close()


# Hostile HTTP (attack row S76)


def exchange(server, data, seconds=10):
    """Sends bytes, and what comes back until the server closes or is silent for as long."""
    with socket.create_connection((server.host, server.port), timeout=seconds) as link:
        with contextlib.suppress(OSError):
            link.sendall(data)
        answer = b""
        with contextlib.suppress(OSError):
            while piece := link.recv(65536):
                answer += piece
        return answer


HOST = b"Host: x\r\n"


@pytest.mark.parametrize(
    ("name", "data", "statuses"),
    [
        ("many headers", b"GET /v2/ HTTP/1.1\r\n" + HOST + b"a: b\r\n" * 100_000 + b"\r\n", (400, 431)),
        ("a long header", b"GET /v2/ HTTP/1.1\r\n" + HOST + b"a: " + b"x" * (8 << 20) + b"\r\n\r\n", (400, 431)),
        ("a long path", b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", (400, 431)),
        ("large headers", b"GET /v2/ HTTP/1.1\r\n" + HOST + b"".join(b"a%d: %s\r\n" % (i, b"x" * 8000) for i in range(50)) + b"\r\n", (400, 431)),
        ("length and chunks", b"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", (400,)),
        ("another coding", b"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", (400, 501)),
        ("two codings", b"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", (400, 501)),
        ("two lengths", b"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", (400,)),
        ("a negative length", b"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n", (400,)),
        ("a huge length", b"PUT /v2/a/manifests/x HTTP/1.1\r\n" + HOST + b"Content-Length: 99999999999999999999\r\n\r\n", (400,)),
        ("a length with a sign", b"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n" + HOST + b"Content-Length: +5\r\n\r\n12345", (400,)),
        ("a huge chunk", b"PATCH /v2/a/blobs/uploads/x HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", (400, 404)),
        ("no host", b"GET /v2/ HTTP/1.1\r\n\r\n", (400,)),
        ("two hosts", b"GET /v2/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", (400,)),
        ("a line folded", b"GET /v2/ HTTP/1.1\r\n" + HOST + b"a: b\r\n c\r\n\r\n", (200, 400)),
        ("a blank before the colon", b"GET /v2/ HTTP/1.1\r\n" + HOST + b"Content-Length : 5\r\n\r\n", (400,)),
        ("a bare line feed", b"GET /v2/ HTTP/1.1\nHost: x\n\n", (200, 400)),
        ("no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(600), (400,)),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 505)),
        ("a method of its own", b"FROB /v2/ HTTP/1.1\r\n" + HOST + b"\r\n", (400, 405)),
        ("CONNECT", b"CONNECT x:1 HTTP/1.1\r\n" + HOST + b"\r\n", (400, 405)),
        ("upgrade", b"GET /v2/ HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", (200, 400)),
        ("an unknown expectation", b"GET /v2/ HTTP/1.1\r\n" + HOST + b"Expect: miracles\r\n\r\n", (417,)),
        ("a header of NULs", b"GET /v2/ HTTP/1.1\r\n" + HOST + b"a: \x00\r\n\r\n", (400,)),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)  # fmt: skip
def test_s76_broken_requests_are_refused(server, name, data, statuses):
    # The end of a request that would keep its connection.
    answer = exchange(server, data.replace(HOST, HOST + b"Connection: close\r\n", 1) if b"Upgrade" not in data else data, 3)
    # A connection that is reset under a client that still sends may swallow the answer.
    assert not answer or int(answer.split(b" ")[1]) in statuses, answer[:300]
    if len(data) < 2000:
        assert answer
    assert server.call("GET", "/v2/").status == 200


def test_s76_spoiled_requests_harm_nothing():
    """Pipelined requests with bytes changed, put in and left out, in pieces, and half closed."""
    nothing = "sha256:" + "0" * 64
    seeds = [
        "GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        f"POST /v2/a/blobs/uploads/?digest={nothing} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        f"PUT /v2/a/manifests/x HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 19\r\nContent-Type: {MANIFEST}\r\n\r\n"
        '{"schemaVersion":2}',
        f"HEAD /v2/a/blobs/{nothing} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        f"DELETE /v2/a/manifests/{nothing} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "PATCH /v2/a/blobs/uploads/x HTTP/1.1\r\nHost: x\r\nContent-Range: 0-4\r\nContent-Length: 5\r\n\r\nhello",
    ]
    words = ["\r\n", "\0", "Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n", "Expect: 100-continue\r\n", "HTTP/1.0", "%", "?",
             "ffffffff", " ", ":", "Upgrade: h2c\r\n", "Connection: upgrade\r\n", "0\r\n\r\n"]  # fmt: skip
    chance = random.Random(os.getpid())
    with RegistryServer(None, None, "--quiet") as server:
        for _ in range(int(os.environ.get("BERTH_HOSTILE_ROUNDS", "12")) * 25):
            data = bytearray("".join(chance.choice(seeds) for _ in range(chance.randint(1, 6))).encode())
            for _ in range(chance.randint(0, 6)):
                at = chance.randrange(len(data))
                match chance.randrange(4):
                    case 0:
                        data[at] = chance.randrange(256)
                    case 1:
                        data[at:at] = chance.choice(words).encode()
                    case 2:
                        del data[at + 1 : at + chance.randint(1, 20)]
                    case 3:
                        del data[at + 1 :]
            with contextlib.suppress(OSError), socket.create_connection((server.host, server.port), timeout=0.03) as link:
                while data:
                    count = chance.choice([1, 7, 50, len(data)])
                    link.sendall(data[:count])
                    del data[:count]
                if chance.random() < 0.5:
                    link.shutdown(socket.SHUT_WR)
                while link.recv(65536):
                    pass
            assert server.process.poll() is None, f"{bytes(data)} {server.text()[-2000:]}"
        assert answers(server) and server.memory()[1] < 100 << 20


def test_s76_a_web_page_cannot_push(api):
    api("POST", api.path("blobs/uploads/"), headers={"Origin": "http://evil.example"}, status=403, code="DENIED")
    answer = api("OPTIONS", api.path("blobs/uploads/"), headers={"Origin": "http://evil.example"}, status=403)
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_s76_pipelined_requests_are_answered_in_order(server):
    data = b"".join(b"GET /v2/%d/tags/list HTTP/1.1\r\n" % number + HOST + b"\r\n" for number in range(50))
    data += b"GET /v2/ HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
    answer = exchange(server, data)
    found = [int(part.partition(b'"')[0]) for part in answer.split(b'"detail":"')[1:]]
    assert found == list(range(50)) and answer.endswith(b"{}")


def test_s76_slow_requests_are_ended():
    """One byte now and then holds no connection: neither in the header nor in the body."""
    with RegistryServer() as server:
        api = Client(server)
        location = api.session()
        starts = {
            "nothing": b"",
            "header": b"GET /v2/ HTTP/1.1\r\nHost: x\r\nX: ",
            "body": f"PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n".encode(),
            "chunk extensions": f"PATCH {location} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;".encode(),
        }
        lived = {}

        def trickle(name):
            with socket.create_connection((server.host, server.port), timeout=1) as link:
                begin = time.monotonic()
                with contextlib.suppress(OSError):
                    link.sendall(starts[name])
                    while time.monotonic() < begin + 70:
                        try:
                            if not link.recv(1000):
                                break
                        except TimeoutError:
                            link.sendall(b"x" if name != "nothing" else b"")
                lived[name] = time.monotonic() - begin

        with many(len(starts), lambda number: trickle(list(starts)[number])):
            pass
        assert all(seconds < 45 for seconds in lived.values()), lived


def test_s76_floods_of_chunk_extensions_are_ended(api):
    location = api.session()
    head = f"PATCH {location} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    exchange(api.server, head + (b"1;" + b"e" * 5000 + b"\r\nx\r\n") * 2000, 5)
    assert api("GET", location).headers["Range"] in {f"0-{size}" for size in range(400)}
    assert api.server.memory()[1] < 200 << 20


def test_s76_ten_thousand_connections():
    """Above the limit they are closed at once; below it, requests are still answered."""
    with RegistryServer() as server:
        links = []
        try:
            for _ in range(3000):
                with contextlib.suppress(OSError):
                    links.append(socket.create_connection((server.host, server.port), timeout=5))
            assert server.process.poll() is None
            assert server.memory()[1] < 200 << 20
        finally:
            for link in links:
                link.close()
        wait_for(lambda: answers(server), "the server to answer again")


def test_s76_thousands_of_sessions_do_not_use_up_the_descriptors():
    with RegistryServer() as server:
        api = Client(server)
        link = server.connection()
        statuses = [api("POST", api.path("blobs/uploads/"), connection=link).status for _ in range(2005)]
        assert statuses == [202] * 2000 + [429] * 5
        assert api("GET", "/v2/").status == 200
        server.stop()
        # After a restart they are files only; they can be gone on with, and swept.
        server.start()
        api.image()


def answers(server):
    try:
        return server.call("GET", "/v2/").status == 200
    except OSError:
        return False


# Memory


def test_memory_stays_flat_with_many_large_uploads():
    size = int(os.environ.get("BERTH_REGISTRY_UPLOAD", str(40 << 20)))
    block = secrets.token_bytes(1 << 20)
    with RegistryServer() as server:
        api = Client(server)

        def push(number):
            start = number.to_bytes(8, "big")
            digest = hashlib.sha256(start)
            for _ in range(size >> 20):
                digest.update(block)
            name = f"sha256:{digest.hexdigest()}"

            def body():
                yield start
                for _ in range(size >> 20):
                    yield block

            headers = OCTETS | {"Content-Length": str(size + 8)}
            api("POST", api.path("blobs/uploads/") + f"?digest={name}", body(), headers, status=201)
            assert len(api("GET", api.path("blobs", name), status=200).data) == size + 8

        with many(16, push):
            pass
        assert server.memory()[1] < 64 << 20, f"{server.memory()[1] >> 20} MiB"


def test_memory_stays_flat_with_a_client_that_does_not_read(api):
    data = secrets.token_bytes(30 << 20)
    digest = api.push(data)
    links = []
    try:
        for _ in range(20):
            link = socket.create_connection((api.server.host, api.server.port))
            link.sendall(f"GET {api.path('blobs', digest)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            links.append(link)
        wait_for(lambda: len(select.select(links, [], [], 0)[0]) == len(links), "every answer to begin")
        # Another client's whole answer takes long enough for the others' to fill whatever would hold them.
        assert api("GET", api.path("blobs", digest), status=200).data == data
        assert api.server.memory()[1] < 100 << 20, "at its peak"
    finally:
        for link in links:
            link.close()
