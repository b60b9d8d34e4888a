"""Pushing: sessions that break, registries that want chunks, and that no byte is lost (F28)."""

import concurrent.futures
import json
import os
import time

import pytest

from distribution import distribution
from fault_registry import INDEX, MANIFEST, FaultRegistry, digest_of
from registry_home import client as home  # noqa: F401

BLOB = os.urandom(3 << 20)
NAME = digest_of(BLOB)


@pytest.fixture
def registry():
    with FaultRegistry() as it:
        yield it


@pytest.fixture
def client(home):
    """As at home, with a blob in a file."""
    home.file = home.write("blob", "")
    home.file.write_bytes(BLOB)
    return home


def upload(registry, client, *words, **keywords):
    return client("upload", f"{registry.host}/team/app", str(client.file), *words, **keywords)


def stored(registry):
    return registry.blobs.get(NAME) == BLOB


def test_in_one_piece(registry, client):
    result = upload(registry, client).exits(0)
    assert stored(registry) and result.text == NAME
    assert [r.method for r in registry.requests] == ["POST", "PUT"]
    assert registry.requests[1].size == len(BLOB)
    assert f"sent {len(BLOB)}\n" in result.err


def test_empty_blob(registry, client):
    client.file.write_bytes(b"")
    upload(registry, client).exits(0)
    assert registry.blobs[digest_of(b"")] == b""


def test_chunks(registry, client):
    client.file.write_bytes(BLOB * 12)
    registry.chunk_minimum = 1 << 20
    upload(registry, client).exits(0)
    assert registry.blobs[digest_of(BLOB * 12)] == BLOB * 12
    sizes = [r.size for r in registry.seen("PATCH")]
    assert len(sizes) == 3 and all(size >= 1 << 20 for size in sizes)


def test_large_chunks(registry, client):
    registry.chunk_minimum = 64 << 20
    upload(registry, client).exits(0)
    assert stored(registry) and registry.count("PATCH") == 1


@pytest.mark.parametrize("minimum", ["-1", "99999999999999999999", "x", str(2**63 - 1)])
def test_impossible_chunks(registry, client, minimum):
    registry.chunk_minimum = minimum
    upload(registry, client).exits(0)
    assert stored(registry)


@pytest.mark.parametrize("at", [0, 1, 1_000_000, len(BLOB) - 1])
def test_F28_session_breaks(registry, client, at):
    """What arrived is not sent again."""
    registry.fault("PUT", "/blobs/uploads/", times=1, take=max(at, 1)) if at else registry.fault("PUT", "/blobs/uploads/", times=1, reset=True)
    upload(registry, client).exits(0)
    assert stored(registry)
    if at > 1:
        assert registry.seen("PATCH")[0].size == len(BLOB) - at


def test_F28_session_is_lost(registry, client):
    registry.fault("PUT", "/blobs/uploads/", times=1, take=1000)
    registry.fault("GET", "/blobs/uploads/", times=1, lose=True)
    upload(registry, client).exits(0)
    assert stored(registry) and registry.count("POST") == 2


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_F28_server_fails(registry, client, status):
    registry.fault("PUT|PATCH", "/blobs/uploads/", times=2, status=status)
    upload(registry, client).exits(0)
    assert stored(registry)


def test_F28_server_fails_for_ever(registry, client):
    registry.fault("PUT|PATCH", "/blobs/uploads/", status=500)
    upload(registry, client, "attempts=3").fails(1, "status 500", r"\[unavailable\]")
    assert registry.count("PUT|PATCH") == 3


def test_F28_wrong_place(registry, client):
    """416: the registry has another number of bytes than the client believes."""
    registry.chunk_minimum = 1 << 20
    registry.fault("PATCH", "/blobs/uploads/", times=1, status=416)
    upload(registry, client).exits(0)
    assert stored(registry)


def test_F28_answer_is_lost(registry, client):
    """The blob arrived, the connection broke before the registry could say so: nothing is sent again."""

    def arrived(request):
        registry.add_blob(BLOB, "team/app")
        registry.sessions.clear()
        return {"reset": True}

    registry.fault("PUT", "/blobs/uploads/", times=1, call=arrived)
    upload(registry, client).exits(0)
    assert registry.count("PUT") == 1 and registry.count("HEAD", NAME) == 1


def test_F28_location_changes(registry, client):
    registry.chunk_minimum = 1 << 20
    upload(registry, client).exits(0)
    targets = [r.target for r in registry.seen("PATCH|PUT")]
    assert len(set(targets)) == len(targets) and all("_state=" in t and "%3D%3D" in t for t in targets)


@pytest.mark.parametrize("location", [None, "ftp://x/y", "http://a:b@c/"])
def test_F28_location_is_none(registry, client, location):
    registry.fault("POST", "/blobs/uploads/", amend={"Location": location})
    upload(registry, client).fails(1, "does not say where to upload")


def test_F28_refused_early(registry, client):
    """An answer in the middle of the body is the answer."""
    registry.fault("PUT", "/blobs/uploads/", raw=b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    upload(registry, client, "attempts=2").fails(1, r"\[too large\]|\[network\]")


def test_F28_wrong_digest(registry, client):
    registry.fault("PUT", "/blobs/uploads/", status=400, body=b'{"errors":[{"code":"DIGEST_INVALID","message":"no"}]}')
    upload(registry, client).fails(1, r"\[digest mismatch\]")
    assert registry.count("PUT") == 1


def test_F28_silence(registry, client):
    registry.fault("PUT", "/blobs/uploads/", times=1, delay=20)
    upload(registry, client, "head=0.5", "progress=0.5", "connect=1").exits(0)
    assert stored(registry)


def test_F28_cancel(registry, client):
    registry.fault("PUT", "/blobs/uploads/", delay=20)
    begin = time.monotonic()
    upload(registry, client, "cancel=0.5").fails(1, r"\[cancelled\]")
    assert time.monotonic() - begin < 2


def test_mount(registry, client):
    registry.add_blob(BLOB, "base/image")
    assert client.ok("mount", f"{registry.host}/team/app", NAME, "base/image").text == "true"
    registry.mounts = False
    assert client.ok("mount", f"{registry.host}/team/other", NAME, "base/image").text == "false"


def test_mount_asks_for_both_scopes(registry, client):
    registry.add_blob(BLOB, "base/image")
    registry.bearer({"me": "secret"})
    client.ok("mount", f"{registry.host}/team/app", NAME, "base/image", "creds=me:secret")
    scopes = registry.seen("GET", "/token")[-1].query["scope"]
    assert scopes == ["repository:team/app:pull,push", "repository:base/image:pull"]


def test_push_with_a_token_that_ends(registry, client):
    registry.bearer({"me": "secret"}, expires=300)
    registry.fault("PUT", "/blobs/uploads/", times=1, call=lambda r: registry.expire() or {"delay": 0})
    upload(registry, client, "creds=me:secret").exits(0)
    assert stored(registry)


def test_push_without_being_allowed(registry, client):
    registry.bearer({})
    upload(registry, client).fails(1, "berth login", r"\[unauthorized\]")


def test_put_and_delete(registry, client):
    digest = registry.add_image("team/app", "v1", [b"layer"])
    data = registry.manifests["team/app"]["v1"][0]
    file = client.write("manifest", data.decode())
    assert client.ok("put", f"{registry.host}/team/app:v2", str(file), MANIFEST).text == digest
    assert registry.manifests["team/app"]["v2"] == (data, MANIFEST)
    client("put", f"{registry.host}/team/app@{NAME}", str(file), MANIFEST).fails(1, r"\[digest mismatch\]")
    registry.fault("PUT", "/manifests/", amend={"Docker-Content-Digest": NAME})
    client("put", f"{registry.host}/team/app:v2", str(file), MANIFEST).fails(1, "stored", r"\[digest mismatch\]")
    client.ok("delete", f"{registry.host}/team/app@{digest}")
    assert not registry.manifests["team/app"]
    client("delete", f"{registry.host}/team/app@{digest}").fails(1, r"\[not found\]")
    registry.delete = False
    registry.add_image("team/app", "v1", [b"layer"])
    client("delete", f"{registry.host}/team/app:v1").fails(1, "does not allow to delete", r"\[unavailable\]")


def test_has(registry, client):
    registry.add_blob(BLOB, "team/app")
    assert client.ok("has", f"{registry.host}/team/app", NAME).text == "true"
    assert client.ok("has", f"{registry.host}/team/app", digest_of(b"")).text == "false"


@pytest.fixture
def debian_registry(place):
    """Debian's docker-registry on a free port."""
    with distribution(place / "registry") as server:
        yield server.host


def test_debians_registry(debian_registry, client):
    where = f"{debian_registry}/team/app"
    assert client.ok("upload", where, str(client.file)).text == NAME
    config = client.write("config", '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}')
    config_digest = client.ok("upload", where, str(config)).text
    text = (
        f'{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json",'
        f'"digest":"{config_digest}","size":{config.stat().st_size}}},"layers":[{{"mediaType":'
        f'"application/vnd.oci.image.layer.v1.tar","digest":"{NAME}","size":{len(BLOB)}}}]}}'
    )
    digest = client.ok("put", where + ":v1", str(client.write("manifest", text)), MANIFEST).text
    assert client.ok("head", where + ":v1").text.split()[1] == digest
    assert client.ok("tags", where).lines == ["v1"]
    assert client.ok("blob", where, NAME, str(len(BLOB)), "1000000").bytes == BLOB[1000000:]
    assert client.ok("mount", f"{debian_registry}/other/app", NAME, "team/app").text == "true"
    assert client.ok("has", f"{debian_registry}/other/app", NAME).text == "true"
    client.ok("delete", f"{where}@{digest}")
    assert client.ok("head", where + ":v1").text == "none"


# Manifests with a subject, at a registry that keeps no lists of referrers


def signature(registry, client, number, subject, **more):
    """A manifest that refers to another one, in a file; and its digest."""
    config = b"{}"
    registry.add_blob(config, "team/app")
    text = json.dumps(
        {"schemaVersion": 2, "mediaType": MANIFEST, "config": registry.descriptor(config, "application/vnd.example.config"), "layers": []}
        | {"subject": subject, "annotations": {"number": str(number)}} | more
    )  # fmt: skip
    return str(client.write(f"signature{number}", text)), digest_of(text.encode())


def kept(registry, subject):
    """The descriptors that the subject's tag lists."""
    data, kind = registry.manifests["team/app"][subject["digest"].replace(":", "-")]
    assert kind == INDEX and json.loads(data)["mediaType"] == INDEX
    return json.loads(data)["manifests"]


@pytest.fixture
def subject(registry):
    registry.add_image("team/app", "latest", [b"layer"])
    return registry.descriptor(*registry.manifests["team/app"]["latest"])


def test_referrers_are_listed_where_the_registry_does_not(registry, client, subject):
    registry.referrers_api = False
    where = f"{registry.host}/team/app"
    one, one_digest = signature(registry, client, 1, subject)
    two, two_digest = signature(registry, client, 2, subject, artifactType="application/vnd.example.sbom")
    assert client.ok("put", f"{where}@{one_digest}", one, MANIFEST).text == one_digest
    # By a tag too, and one of them twice: each is listed once.
    client.ok("put", f"{where}:two", two, MANIFEST)
    client.ok("put", f"{where}:one", one, MANIFEST)
    first, second = kept(registry, subject)
    assert first["digest"] == one_digest and first["mediaType"] == MANIFEST and first["size"] == os.stat(one).st_size
    assert first["artifactType"] == "application/vnd.example.config" and first["annotations"] == {"number": "1"}
    assert second["digest"] == two_digest and second["artifactType"] == "application/vnd.example.sbom" and second["annotations"] == {"number": "2"}
    listed = client.ok("referrers", where, subject["digest"]).out
    assert one_digest in listed and two_digest in listed


def test_referrers_are_the_registrys_business_where_it_says_so(registry, client, subject):
    one, digest = signature(registry, client, 1, subject)
    client.ok("put", f"{registry.host}/team/app@{digest}", one, MANIFEST)
    assert [r.method for r in registry.requests] == ["PUT"]


def test_an_index_refers_too(registry, client, subject):
    registry.referrers_api = False
    text = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [], "subject": subject, "annotations": {"a": "b"}})
    client.ok("put", f"{registry.host}/team/app:index", str(client.write("index", text)), INDEX)
    (found,) = kept(registry, subject)
    assert found["digest"] == digest_of(text.encode()) and found["annotations"] == {"a": "b"} and "artifactType" not in found


def test_a_referrers_tag_of_something_else_is_left_alone(registry, client, subject):
    registry.referrers_api = False
    tag = subject["digest"].replace(":", "-")
    registry.manifests["team/app"][tag] = registry.manifests["team/app"]["latest"]
    one, digest = signature(registry, client, 1, subject)
    client("put", f"{registry.host}/team/app@{digest}", one, MANIFEST).fails(1, r"referrers: parse index", r"\[protocol\]")
    assert registry.manifests["team/app"][tag] == registry.manifests["team/app"]["latest"]
    assert digest in registry.manifests["team/app"]


def test_uploads_side_by_side(registry, client):
    """An answer may come before the client knows that all was sent, and the process ends right behind it: that trapped once in 240 times."""
    file = client.write("many", "text")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: client.ok("upload", f"{registry.host}/team/app", str(file)), range(250)))
