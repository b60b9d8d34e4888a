"""A client of the embedded registry that asserts what it is answered, and the fixtures `server` (of a module) and `api`, to be imported."""

import hashlib
import json
import secrets

import pytest
from registry_server import RegistryServer

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
OCTETS = {"Content-Type": "application/octet-stream"}
EMPTY = b"{}"


def sha(data, algorithm="sha256"):
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def descriptor(data, media_type="application/vnd.oci.image.layer.v1.tar", **more):
    return {"mediaType": media_type, "digest": sha(data), "size": len(data)} | more


def manifest(layers=(), config=EMPTY, **more):
    return json.dumps(
        {"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(config, "application/vnd.oci.image.config.v1+json"),
         "layers": [descriptor(layer) for layer in layers]} | more
    ).encode()  # fmt: skip


def index(manifests, **more):
    return json.dumps(
        {"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor(data, MANIFEST) for data in manifests]} | more
    ).encode()


class Client:
    def __init__(self, server):
        self.server = server
        self.repository = "test/" + secrets.token_hex(6)

    def __call__(self, method, path, *args, status=None, code=None, **keywords):
        answer = self.server.call(method, path, *args, **keywords)
        if status is not None:
            assert answer.status == status, f"{method} {path}: {answer.status} {answer.data[:500]!r} {dict(answer.headers)}"
        if code is not None:
            document = json.loads(answer.data)
            assert [entry["code"] for entry in document["errors"]][0] == code, document
            assert answer.headers["Content-Type"] == "application/json"
            assert all(entry["message"] for entry in document["errors"])
        return answer

    def path(self, *parts, repository=None):
        return "/v2/" + "/".join([repository or self.repository, *parts])

    def session(self, repository=None, query=""):
        answer = self("POST", self.path("blobs/uploads/", repository=repository) + query, status=202)
        return answer.headers["Location"]

    def push(self, data, repository=None, algorithm="sha256"):
        digest = sha(data, algorithm)
        location = self.session(repository)
        self("PUT", f"{location}?digest={digest}", data, OCTETS, status=201)
        return digest

    def put(self, data, name=None, repository=None, media_type=MANIFEST, status=201, **keywords):
        return self(
            "PUT", self.path("manifests", name or sha(data), repository=repository), data, {"Content-Type": media_type},
            status=status, **keywords,
        )  # fmt: skip

    def image(self, tag="latest", layers=None, repository=None, **more):
        layers = [secrets.token_bytes(1000)] if layers is None else layers
        for blob in [*layers, EMPTY]:
            self.push(blob, repository)
        data = manifest(layers, **more)
        self.put(data, tag, repository)
        return data, layers


@pytest.fixture(scope="module")
def server():
    with RegistryServer() as server:
        yield server


@pytest.fixture
def api(server):
    return Client(server)
