"""A docker-registry on loopback with images made here, for the row `pull`."""

import gzip
import hashlib
import http.client
import io
import json
import random
import socket
import subprocess
import tarfile

from engines import find
from harness import DEVNULL, NotMeasured, end, wait_until

OCI = "application/vnd.oci.image."


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def layer(files, size, seed):
    """A gzip layer of so many files with so many bytes in all, which compress to about two thirds: (blob, diff id)."""
    source = random.Random(seed)
    text = b"some text that repeats, as text does; " * 256
    each = size // files
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for number in range(files):
            if number % 200 == 0:
                folder = tarfile.TarInfo(f"data{seed}/{number // 200:04}")
                folder.type, folder.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(folder)
            info = tarfile.TarInfo(f"data{seed}/{number // 200:04}/file-{number:05}")
            info.size, info.mode, info.mtime = each, 0o644, 1_700_000_000 + number
            noise = source.randbytes(each * 2 // 3)
            tar.addfile(info, io.BytesIO((noise + text * (each // len(text) + 1))[:each]))
    data = plain.getvalue()
    return gzip.compress(data, 1, mtime=0), "sha256:" + hashlib.sha256(data).hexdigest()


class Registry:
    def __init__(self, base):
        self.base = base / "registry"
        self.base.mkdir()
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        (self.base / "config.yml").write_text(
            f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {self.base}/data}}}}\nhttp: {{addr: {self.host}}}\n")
        self.log = open(self.base / "log", "w")
        self.server = subprocess.Popen(
            [find("docker-registry"), "serve", str(self.base / "config.yml")], stdin=DEVNULL, stdout=self.log, stderr=self.log,
            start_new_session=True)  # fmt: skip
        if not wait_until(self.answers, 20):
            raise NotMeasured("docker-registry does not start")

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

    def blob(self, name, data):
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        self.ask("POST", f"/v2/{name}/blobs/uploads/")
        place = self.location.split(self.host, 1)[-1]
        status = self.ask("PUT", f"{place}{'&' if '?' in place else '?'}digest={digest}", data, {"Content-Type": "application/octet-stream"})
        if status != 201:
            raise NotMeasured(f"docker-registry answers {status} to a blob")
        return {"digest": digest, "size": len(data)}

    def image(self, name, layers):
        """Pushes an image; gives the name to pull."""
        config = json.dumps({
            "architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/true"]},
            "rootfs": {"type": "layers", "diff_ids": [diff for _, diff in layers]}, "history": [{"created_by": "bench"}] * len(layers),
        }).encode()  # fmt: skip
        manifest = {
            "schemaVersion": 2, "mediaType": OCI + "manifest.v1+json", "config": {"mediaType": OCI + "config.v1+json"} | self.blob(name, config),
            "layers": [{"mediaType": OCI + "layer.v1.tar+gzip"} | self.blob(name, data) for data, _ in layers],
        }  # fmt: skip
        status = self.ask("PUT", f"/v2/{name}/manifests/1", json.dumps(manifest).encode(), {"Content-Type": OCI + "manifest.v1+json"})
        if status != 201:
            raise NotMeasured(f"docker-registry answers {status} to a manifest")
        return f"{self.host}/{name}:1"

    def close(self):
        end(self.server)
        self.log.close()


