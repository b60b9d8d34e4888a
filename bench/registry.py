"""A docker-registry on loopback with images made here, for the rows of images; it counts what is asked and what is sent."""

import collections
import gzip
import hashlib
import http.client
import json
import random
import re
import socket
import subprocess
import tarfile
import threading

from engines import find
from harness import DEVNULL, NotMeasured, end, wait_until
from images import add_files

OCI = "application/vnd.oci.image."


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Digests:
    """A file for writing that hashes what passes."""

    def __init__(self, file):
        self.file, self.hash, self.size = file, hashlib.sha256(), 0

    def write(self, data):
        self.hash.update(data)
        self.size += len(data)
        return self.file.write(data)

    def flush(self):
        self.file.flush()

    @property
    def digest(self):
        return "sha256:" + self.hash.hexdigest()


def layer(target, files, size, seed):
    """Writes a gzip layer of so many files with so many bytes in all, which compress to about two thirds: its diff id.

    To a file and in pieces: what makes images is also what starts the commands that are measured, and stays small.
    """
    source = random.Random(seed)
    text = b"some text that repeats, as text does; " * 256
    each = size // files
    with open(target, "wb") as file, gzip.GzipFile("", "wb", 1, file, mtime=0) as zipped:
        plain = Digests(zipped)
        with tarfile.open(fileobj=plain, mode="w|") as tar:
            add_files(
                tar, f"data{seed}", files, 200,
                lambda _: (source.randbytes(each * 2 // 3) + text * (each // len(text) + 1))[:each])
    return plain.digest


class Registry:
    def __init__(self, base):
        self.base = base / "registry"
        self.base.mkdir()
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        self.names = {}
        (self.base / "config.yml").write_text(
            "version: 0.1\nlog: {level: error, accesslog: {disabled: false}}\n"
            f"storage: {{filesystem: {{rootdirectory: {self.base}/data}}}}\nhttp: {{addr: {self.host}}}\n")
        self.log = open(self.base / "log", "w")
        self.server = subprocess.Popen(
            [find("docker-registry"), "serve", str(self.base / "config.yml")], stdin=DEVNULL, stdout=self.log, stderr=self.log,
            start_new_session=True)  # fmt: skip
        if not wait_until(self.answers, 20):
            self.close()
            raise NotMeasured("docker-registry does not start")

    def mark(self):
        """A place in the log, for `requests`."""
        return (self.base / "log").stat().st_size

    def requests(self, mark):
        """What was asked since: {"HEAD manifests": 1, "PATCH uploads": 20 …}. Without the question whether it is a registry."""
        with open(self.base / "log", "rb") as file:
            file.seek(mark)
            text = file.read().decode(errors="replace")
        asked = re.findall(r'"([A-Z]+) /v2/\S*?(manifests|blobs/uploads|blobs|tags)\b\S* HTTP', text)
        return collections.Counter(f"{method} {what.rpartition('/')[2]}" for method, what in asked)

    def answers(self):
        try:
            return self.ask("GET", "/v2/") == 200
        except OSError:
            return False

    def ask(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection(self.host, timeout=120)
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        answer.read()
        self.location = answer.getheader("Location")
        connection.close()
        return answer.status

    def blob(self, name, path):
        """Uploads a file."""
        digest, size = hashlib.sha256(), path.stat().st_size
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        digest = "sha256:" + digest.hexdigest()
        self.ask("POST", f"/v2/{name}/blobs/uploads/")
        place = self.location.split(self.host, 1)[-1]
        with open(path, "rb") as file:
            status = self.ask("PUT", f"{place}{'&' if '?' in place else '?'}digest={digest}", file,
                              {"Content-Type": "application/octet-stream", "Content-Length": str(size)})
        if status != 201:
            raise NotMeasured(f"docker-registry answers {status} to a blob")
        return {"digest": digest, "size": size}

    def image(self, name, layers):
        """Makes an image and pushes it, once; gives the name to pull. layers: (files, bytes, seed) of each."""
        if name in self.names:
            return self.names[name]
        manifest = {"schemaVersion": 2, "mediaType": OCI + "manifest.v1+json", "layers": []}
        diffs, path = [], self.base / "made"
        for files, size, seed in layers:
            diffs.append(layer(path, files, size, seed))
            manifest["layers"].append({"mediaType": OCI + "layer.v1.tar+gzip"} | self.blob(name, path))
        path.write_text(json.dumps({
            "architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/true"]},
            "rootfs": {"type": "layers", "diff_ids": diffs}, "history": [{"created_by": "bench"}] * len(diffs),
        }))  # fmt: skip
        manifest["config"] = {"mediaType": OCI + "config.v1+json"} | self.blob(name, path)
        path.unlink()
        status = self.ask("PUT", f"/v2/{name}/manifests/1", json.dumps(manifest).encode(), {"Content-Type": OCI + "manifest.v1+json"})
        if status != 201:
            raise NotMeasured(f"docker-registry answers {status} to a manifest")
        self.names[name] = f"{self.host}/{name}:1"
        return self.names[name]

    def close(self):
        end(self.server)
        self.log.close()


class CountingProxy:
    """Passes connections on to a server and counts the bytes that clients send."""

    def __init__(self, port):
        self.target, self.sent = port, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.target))
            threading.Thread(target=self.pass_on, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self.pass_on, args=(server, client, False), daemon=True).start()

    def pass_on(self, source, target, counts):
        try:
            while data := source.recv(1 << 20):
                if counts:
                    self.sent += len(data)
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        self.listener.close()
