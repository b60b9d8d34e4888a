"""Debian's docker-registry on a port of loopback: plain, with TLS of a CA of its own, with names and passwords."""

import contextlib
import json
import pathlib
import secrets
import shutil
import socket
import ssl
import subprocess
import time
import urllib.request

import pytest

PROGRAM = shutil.which("docker-registry")
# docker-registry reads bcrypt only, which Python has no module for.
HASHES = {"secret": "$2b$04$Z0rKhjmPdcIwJ.4cleyD2.SVLqCibqzyJgrhDL/ard8Hp112/tsVy"}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def make_authority(directory):
    """A CA, and a certificate of it for localhost and 127.0.0.1."""
    run = lambda *words: subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)  # noqa: E731
    ca_key, ca = directory / "ca.key", directory / "ca.crt"
    run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", ca_key, "-out", ca, "-days", 2, "-subj", "/CN=test authority")
    key, request, certificate, extensions = (directory / name for name in ("tls.key", "tls.csr", "tls.crt", "tls.ext"))
    run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", request, "-subj", "/CN=localhost")
    extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    run("x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-out", certificate, "-days", 2, "-extfile", extensions)
    return ca, certificate, key


class Distribution:
    """One running docker-registry."""

    def __init__(self, directory, tls=False, users=None):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        self.users = users
        self.ca = None
        http = {"addr": self.host}
        if tls:
            self.ca, certificate, key = make_authority(self.directory)
            http["tls"] = {"certificate": str(certificate), "key": str(key)}
        config = {
            "version": 0.1, "log": {"accesslog": {"disabled": False}, "level": "info"}, "http": http,
            "storage": {"filesystem": {"rootdirectory": str(self.directory / "data")}, "delete": {"enabled": True}},
        }  # fmt: skip
        if users:
            passwords = self.directory / "htpasswd"
            passwords.write_text("".join(f"{name}:{HASHES[word]}\n" for name, word in users.items()))
            config["auth"] = {"htpasswd": {"realm": "test", "path": str(passwords)}}
        path = self.directory / "config.yml"
        path.write_text(json.dumps(config))  # JSON is YAML
        self.log = open(self.directory / "log", "w+b")
        self.process = subprocess.Popen([PROGRAM, "serve", path], stdout=self.log, stderr=self.log)
        for _ in range(500):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            assert self.process.poll() is None, (self.directory / "log").read_text()
            time.sleep(0.01)
        raise AssertionError("docker-registry does not listen")

    def requests(self):
        """(method, path) of every request so far, from the access log."""
        lines = (self.directory / "log").read_text(errors="replace").splitlines()
        return [tuple(line.split('"')[1].split(" ")[:2]) for line in lines if line.count('"') >= 2 and "HTTP/" in line and " - " in line]

    def get(self, path, accept="*/*"):
        """(bytes, content type) of something at the registry."""
        context = ssl.create_default_context(cafile=str(self.ca)) if self.ca else None
        url = f"{'https' if self.ca else 'http'}://{self.host}/v2/{path}"
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": accept}), context=context) as answer:
            return answer.read(), answer.headers["Content-Type"]

    def put_manifest(self, repository, tag, data, media_type):
        url = f"http://{self.host}/v2/{repository}/manifests/{tag}"
        request = urllib.request.Request(url, data=data, method="PUT", headers={"Content-Type": media_type})
        with urllib.request.urlopen(request) as answer:
            return answer.headers["Docker-Content-Digest"]

    def put_blob(self, repository, data, digest):
        start = urllib.request.Request(f"http://{self.host}/v2/{repository}/blobs/uploads/", data=b"", method="POST")
        with urllib.request.urlopen(start) as answer:
            location = answer.headers["Location"]
        location += ("&" if "?" in location else "?") + "digest=" + digest
        request = urllib.request.Request(location, data=data, method="PUT", headers={"Content-Type": "application/octet-stream"})
        urllib.request.urlopen(request).close()

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()


@contextlib.contextmanager
def distribution(directory, **keywords):
    if not PROGRAM:
        pytest.skip("docker-registry is not installed: scripts/setup test peers")
    server = Distribution(directory, **keywords)
    try:
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def plain(suite):
    """One without TLS and names, for all tests of a module."""
    with distribution(suite.base / f"registry-{secrets.token_hex(4)}") as server:
        yield server


@pytest.fixture
def place(suite):
    """A directory of the test's own; whose it is does not matter here, so that nothing runs twice."""
    path = suite.base / f"place-{secrets.token_hex(4)}"
    path.mkdir(mode=0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)
