"""The embedded registry, endpoint by endpoint: the requirements of distribution-spec 1.1, as its conformance suite groups them."""

import hashlib
import json
import os
import secrets
import urllib.parse

import pytest
from host import wait_for
from registry_api import DOCKER, EMPTY, INDEX, MANIFEST, OCTETS, Client, api, descriptor, index, manifest, server, sha  # noqa: F401
from registry_server import PASSWORD, USER, RegistryServer, many

# Base


@pytest.mark.parametrize("path", ["/v2/", "/v2", "/v2/?x=1"])
def test_ping(api, path):
    answer = api("GET", path, status=200)
    assert answer.headers["Docker-Distribution-API-Version"] == "registry/2.0"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "UNSUPPORTED"),
        ("GET", "/v1/", 404, "UNSUPPORTED"),
        ("GET", "/v2/x/y", 404, "UNSUPPORTED"),
        ("PUT", "/v2/", 405, "UNSUPPORTED"),
        ("OPTIONS", "/v2/", 405, "UNSUPPORTED"),
        ("POST", "/v2/x/tags/list", 405, "UNSUPPORTED"),
        ("PATCH", "/v2/x/manifests/latest", 405, "UNSUPPORTED"),
        ("GET", "/v2/x/tags/list", 404, "NAME_UNKNOWN"),
        ("GET", "/v2/x/manifests/latest", 404, "NAME_UNKNOWN"),
        ("DELETE", "/v2/x/manifests/latest", 404, "NAME_UNKNOWN"),
        ("GET", "/v2/x/manifests/sha256:" + "0" * 64, 404, "NAME_UNKNOWN"),
        ("GET", "/v2/x/manifests/sha256:baddigeststring", 400, "DIGEST_INVALID"),
        ("GET", "/v2/x/blobs/sha256:" + "0" * 64, 404, "BLOB_UNKNOWN"),
        ("GET", "/v2/x/blobs/sha256:" + "A" * 64, 400, "DIGEST_INVALID"),
        ("GET", "/v2/x/blobs/md5:" + "0" * 32, 400, "DIGEST_INVALID"),
        ("GET", "/v2/x/referrers/sha256:1", 400, "DIGEST_INVALID"),
        ("GET", "/v2/_catalog?n=x", 400, "UNSUPPORTED"),
        ("GET", "/v2/x/blobs/uploads/00000000-0000-4000-8000-000000000000", 404, "BLOB_UPLOAD_UNKNOWN"),
        ("GET", "/v2/x/blobs/uploads/..%2F..%2Flock", 404, "UNSUPPORTED"),
        ("DELETE", "/v2/x/blobs/uploads/x", 404, "BLOB_UPLOAD_UNKNOWN"),
        ("GET", "/v2/x/manifests/%zz", 400, "NAME_INVALID"),
    ],
)
def test_errors(api, method, path, status, code):
    api(method, path, status=status, code=code)


@pytest.mark.parametrize(
    "name",
    ["a/../b", "A", "a//b", "/a", "a/", "a..b", "-a", "a-", "a___b", "a._b", "ä", "a%20b", "a%00b", "x" * 256, "a/" * 200 + "b", "%2e%2e/a"],
)
def test_s61_names_outside_of_the_grammar_are_refused(api, name):
    answer = api("GET", f"/v2/{urllib.parse.quote(name, safe='/%')}/tags/list")
    assert answer.status in (400, 404) and json.loads(answer.data)["errors"]
    assert answer.status == 400 or json.loads(answer.data)["errors"][0]["code"] == "UNSUPPORTED"
    assert api("POST", f"/v2/{urllib.parse.quote(name, safe='/%')}/blobs/uploads/").status in (400, 404)


@pytest.mark.parametrize("name", ["a", "a-b", "a--b", "a__b", "a_b", "a.b", "0/1/2", "blobs", "a/blobs/uploads", "manifests/tags", "x" * 255])
def test_names_of_the_grammar_work(api, name):
    name = name if len(name) == 255 else f"n{secrets.token_hex(3)}/{name}"
    data, layers = api.image(repository=name)
    assert json.loads(api("GET", f"/v2/{name}/tags/list", status=200).data) == {"name": name, "tags": ["latest"]}
    assert api("GET", f"/v2/{name}/manifests/latest", status=200).data == data
    assert api("GET", f"/v2/{name}/blobs/{sha(layers[0])}", status=200).data == layers[0]


@pytest.mark.parametrize("tag", ["-a", ".a", "a" * 129, "a+b", "ä", "a%20b"])
def test_s61_tags_outside_of_the_grammar_are_refused(api, tag):
    api.push(EMPTY)
    path = api.path("manifests", urllib.parse.quote(tag, safe="%"))
    api("PUT", path, manifest(), {"Content-Type": MANIFEST}, status=400, code="MANIFEST_INVALID")
    api("GET", path, status=400)


# Pull


def test_a_blob_is_pulled(api):
    data = secrets.token_bytes(300_000)
    digest = api.push(data)
    for method in ("GET", "HEAD"):
        answer = api(method, api.path("blobs", digest), status=200)
        assert answer.headers["Content-Length"] == str(len(data))
        assert answer.headers["Docker-Content-Digest"] == digest
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert answer.data == (data if method == "GET" else b"")
    assert api("GET", api.path("blobs", digest.replace(":", "%3A")), status=200).data == data
    assert api("GET", api.path("blobs", digest), headers={"If-None-Match": f'"{digest}"'}, status=304).data == b""


@pytest.mark.parametrize(
    ("header", "first", "last"),
    [("bytes=0-0", 0, 0), ("bytes=10-19", 10, 19), ("bytes=990-", 990, 999), ("bytes=-5", 995, 999), ("bytes=-5000", 0, 999),
     ("bytes=500-99999999999", 500, 999), ("bytes=0-999", 0, 999)],
)  # fmt: skip
def test_a_part_of_a_blob_is_pulled(api, header, first, last):
    data = secrets.token_bytes(1000)
    answer = api("GET", api.path("blobs", api.push(data)), headers={"Range": header}, status=206)
    assert answer.data == data[first : last + 1]
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/1000"
    assert answer.headers["Content-Length"] == str(last + 1 - first)


@pytest.mark.parametrize("header", ["bytes=1000-", "bytes=1000-2000", "bytes=-0", "bytes=500-0"])
def test_a_part_behind_the_end_is_refused(api, header):
    answer = api("GET", api.path("blobs", api.push(bytes(1000))), headers={"Range": header}, status=416)
    assert answer.headers["Content-Range"] == "bytes */1000"


@pytest.mark.parametrize("header", ["bytes=x", "bytes=0-1,3-4", "lines=1-2", "bytes=--1", "bytes=" + "9" * 30 + "-"])
def test_other_ranges_are_ignored(api, header):
    data = secrets.token_bytes(1000)
    assert api("GET", api.path("blobs", api.push(data)), headers={"Range": header}, status=200).data == data


def test_a_manifest_is_pulled_as_it_was_pushed(api):
    """Blanks, order, unknown members: the bytes are what the digest is of."""
    api.push(EMPTY)
    data = manifest().replace(b'"layers"', b' "later" : [1e3, null],\n\t"layers"') + b"\n\n"
    answer = api.put(data, "v1")
    assert answer.headers["Docker-Content-Digest"] == sha(data)
    assert answer.headers["Location"].endswith("/manifests/" + sha(data))
    for name in ("v1", sha(data)):
        for method in ("GET", "HEAD"):
            answer = api(method, api.path("manifests", name), status=200)
            assert answer.headers["Content-Type"] == MANIFEST
            assert answer.headers["Docker-Content-Digest"] == sha(data)
            assert answer.headers["Content-Length"] == str(len(data))
            assert answer.data == (data if method == "GET" else b"")
    api("GET", api.path("manifests", "v1"), headers={"If-None-Match": f'"{sha(data)}"'}, status=304)
    api("GET", api.path("manifests", "v2"), status=404, code="MANIFEST_UNKNOWN")
    api("HEAD", api.path("manifests", sha(b"x")), status=404)


def test_blobs_belong_to_their_repository(api):
    digest = api.push(b"private")
    other = api.path("blobs", digest, repository="other/" + secrets.token_hex(4))
    api("GET", other, status=404, code="BLOB_UNKNOWN")


# Push of blobs


def uploaded(api, answer, data, algorithm="sha256"):
    digest = sha(data, algorithm)
    assert answer.headers["Docker-Content-Digest"] == digest
    assert answer.headers["Location"].endswith(f"/blobs/{digest}")
    assert api("GET", answer.headers["Location"], status=200).data == data


@pytest.mark.parametrize("size", [0, 1, 70_000, 3_000_000])
def test_post_and_put(api, size):
    data = secrets.token_bytes(size)
    answer = api("POST", api.path("blobs/uploads/"), status=202)
    assert answer.headers["Docker-Upload-UUID"] in answer.headers["Location"]
    uploaded(api, api("PUT", f"{answer.headers['Location']}?digest={sha(data)}", data, OCTETS, status=201), data)


def test_a_single_post(api):
    data = secrets.token_bytes(100_000)
    uploaded(api, api("POST", api.path("blobs/uploads/") + f"?digest={sha(data)}", data, OCTETS, status=201), data)
    # Without a body the client gets a session instead.
    location = api.session(query=f"?digest={sha(data)}")
    uploaded(api, api("PUT", f"{location}?digest={sha(data)}", data, OCTETS, status=201), data)


def test_a_single_post_of_nothing(api):
    uploaded(api, api("POST", api.path("blobs/uploads/") + f"?digest={sha(b'')}", status=201), b"")


def test_a_single_post_with_another_digest(api):
    api("POST", api.path("blobs/uploads/") + f"?digest={sha(b'x')}", b"y", OCTETS, status=400, code="DIGEST_INVALID")
    api("HEAD", api.path("blobs", sha(b"x")), status=404)
    api("HEAD", api.path("blobs", sha(b"y")), status=404)
    assert list((api.server.data / "uploads").iterdir()) == []


@pytest.mark.parametrize("final", ["put with the last chunk", "empty put"])
def test_chunks(api, final):
    data = secrets.token_bytes(250_000)
    location, at = api.session(), 0
    ends = [100_000, 200_000] + ([250_000] if final == "empty put" else [])
    for end in ends:
        headers = OCTETS | {"Content-Range": f"{at}-{end - 1}"}
        answer = api("PATCH", location, data[at:end], headers, status=202)
        assert answer.headers["Range"] == f"0-{end - 1}"
        location, at = answer.headers["Location"], end
        status = api("GET", location, status=204)
        assert status.headers["Range"] == f"0-{end - 1}" and status.headers["Location"]
    headers = OCTETS | ({"Content-Range": f"{at}-{len(data) - 1}"} if at < len(data) else {})
    uploaded(api, api("PUT", f"{location}?digest={sha(data)}", data[at:], headers, status=201), data)
    api("GET", location, status=404, code="BLOB_UPLOAD_UNKNOWN")


def test_a_stream(api):
    """One PATCH of unknown length, as docker pushes."""
    data = secrets.token_bytes(900_000)
    pieces = (data[at : at + 50_000] for at in range(0, len(data), 50_000))
    answer = api("PATCH", api.session(), pieces, OCTETS, status=202)
    assert answer.headers["Range"] == f"0-{len(data) - 1}"
    uploaded(api, api("PUT", f"{answer.headers['Location']}?digest={sha(data)}", status=201), data)


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
@pytest.mark.parametrize("start", [0, 5, 20])
def test_chunks_out_of_order(api, method, start):
    location = api("PATCH", api.session(), b"0123456789", OCTETS | {"Content-Range": "0-9"}, status=202).headers["Location"]
    target = location + (f"?digest={sha(b'x')}" if method == "PUT" else "")
    answer = api(method, target, b"abc", OCTETS | {"Content-Range": f"{start}-{start + 2}"}, status=416)
    assert answer.headers["Range"] == "0-9" and answer.headers["Location"]
    # Nothing was harmed.
    api("PATCH", location, b"abc", OCTETS | {"Content-Range": "10-12"}, status=202)
    uploaded(api, api("PUT", f"{location}?digest={sha(b'0123456789abc')}", status=201), b"0123456789abc")


@pytest.mark.parametrize("header", ["x", "9-0", "-5", "5-", "1-2-3", "0-" + "9" * 25])
def test_broken_content_ranges(api, header):
    api("PATCH", api.session(), b"abc", OCTETS | {"Content-Range": header}, status=400, code="BLOB_UPLOAD_INVALID")


def test_a_content_range_of_another_length(api):
    location = api.session()
    api("PATCH", location, b"abc", OCTETS | {"Content-Range": "0-9"}, status=400, code="SIZE_INVALID")
    # Of a body of chunks it shows at the end: everything of it goes again.
    headers = OCTETS | {"Content-Range": "0-9"}
    api("PATCH", location, iter([b"abc"]), headers, status=400, code="SIZE_INVALID")
    assert api("GET", location, status=204).headers["Range"] == "0-0"
    uploaded(api, api("PUT", f"{location}?digest={sha(b'good')}", b"good", OCTETS, status=201), b"good")


def test_a_wrong_digest_ends_the_upload(api):
    location = api.session()
    api("PUT", f"{location}?digest={sha(b'x')}", b"y", OCTETS, status=400, code="DIGEST_INVALID")
    api("GET", location, status=404, code="BLOB_UPLOAD_UNKNOWN")
    api("HEAD", api.path("blobs", sha(b"y")), status=404)


@pytest.mark.parametrize("query", ["", "?digest=", "?digest=x", "?digest=sha256:12", "?digest=md5:" + "0" * 32])
def test_a_digest_that_is_none(api, query):
    api("PUT", api.session() + query, b"y", OCTETS, status=400, code="DIGEST_INVALID")


def test_an_upload_is_cancelled(api):
    location = api.session()
    api("DELETE", location, status=204)
    for method in ("GET", "PATCH", "DELETE"):
        api(method, location, status=404, code="BLOB_UPLOAD_UNKNOWN")


def test_an_upload_belongs_to_its_repository(api):
    location = api.session().replace(api.repository, "other/repository")
    api("PATCH", location, b"x", OCTETS, status=404, code="BLOB_UPLOAD_UNKNOWN")


def test_mount(api):
    source, data = "source/" + secrets.token_hex(4), secrets.token_bytes(5000)
    digest = api.push(data, source)
    target = api.path("blobs/uploads/")
    uploaded(api, api("POST", f"{target}?mount={digest}&from={source}", status=201), data)
    # Without a source it is taken from wherever it is.
    other = secrets.token_bytes(5000)
    digest = api.push(other, source)
    uploaded(api, api("POST", f"{target}?mount={digest}", status=201), other)
    for query in (f"mount={sha(b'nowhere')}&from={source}", f"mount={sha(b'nowhere')}", f"mount={digest}&from=not/there"):
        location = api("POST", f"{target}?{query}", status=202).headers["Location"]
        api("DELETE", location, status=204)
    api("POST", f"{target}?mount=x&from={source}", status=400, code="DIGEST_INVALID")
    api("POST", f"{target}?mount={digest}&from=..", status=400, code="NAME_INVALID")


def test_sha512(api):
    data = secrets.token_bytes(100_000)
    location = api.session(query="?digest-algorithm=sha512")
    api("PATCH", location, data, OCTETS, status=202)
    uploaded(api, api("PUT", f"{location}?digest={sha(data, 'sha512')}", status=201), data, "sha512")
    # The algorithm may also show at the end only.
    other = secrets.token_bytes(100_000)
    assert api.push(other, algorithm="sha512").startswith("sha512:")
    api("POST", api.path("blobs/uploads/?digest-algorithm=md5"), status=400, code="DIGEST_INVALID")
    api.push(EMPTY)
    document = manifest()
    answer = api.put(document, sha(document, "sha512"))
    assert answer.headers["Docker-Content-Digest"] == sha(document, "sha512")
    assert api("GET", api.path("manifests", sha(document, "sha512")), status=200).data == document


# Push of manifests


def test_what_a_manifest_names_must_be_there(api):
    api.push(EMPTY)
    answer = api.put(manifest([b"missing one", b"missing two"]), "x", status=404, code="MANIFEST_BLOB_UNKNOWN")
    assert {entry["detail"] for entry in json.loads(answer.data)["errors"]} == {sha(b"missing one"), sha(b"missing two")}
    api.put(index([b"missing"]), "x", media_type=INDEX, status=404, code="MANIFEST_BLOB_UNKNOWN")
    # It is in another repository: pulled from this one it would be missing.
    api.push(b"elsewhere", "elsewhere/x")
    api.put(manifest([b"elsewhere"]), "x", status=404, code="MANIFEST_BLOB_UNKNOWN")
    api("GET", api.path("manifests/x"), status=404)
    listed = json.loads((api.server.data / "index.json").read_text())["manifests"]
    assert not [entry for entry in listed if api.repository in str(entry)]


def test_layers_of_a_publisher_need_not_be_there(api):
    api.push(EMPTY)
    layer = {"mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "digest": sha(b"foreign"), "size": 7,
             "urls": ["https://publisher.example/layer"]}  # fmt: skip
    api.put(json.dumps(json.loads(manifest()) | {"layers": [layer]}).encode(), "x")


@pytest.mark.parametrize(
    ("media_type", "change"),
    [
        (MANIFEST, b"not json"), (MANIFEST, b"[]"), (MANIFEST, b'{"schemaVersion":2}'), (MANIFEST, b""),
        (MANIFEST, {"mediaType": INDEX}), (INDEX, {}), (MANIFEST, {"manifests": []}), (MANIFEST, {"schemaVersion": 1}),
        (MANIFEST, {"config": {"digest": "sha256:x", "size": 1}}), (MANIFEST, {"layers": [{"size": 1}]}),
        (MANIFEST, {"config": {"mediaType": "a/b", "digest": sha(EMPTY), "size": 3}}),
        ("application/vnd.docker.distribution.manifest.v1+prettyjws", b'{"schemaVersion":1,"signatures":[],"fsLayers":[]}'),
        ("application/vnd.docker.distribution.manifest.v1+json", b'{"schemaVersion":1}'), ("application/json", b'{"schemaVersion":1}'),
        (MANIFEST, b'{"schemaVersion":2,"schemaVersion":2}'), (MANIFEST, b"[" * 5000), ("a b", b"{}"), ("", b"{}"),
    ],
)  # fmt: skip
def test_invalid_manifests(api, media_type, change):
    api.push(EMPTY)
    data = change if isinstance(change, bytes) else json.dumps(json.loads(manifest()) | change).encode()
    api.put(data, "x", media_type=media_type, status=400, code="MANIFEST_INVALID")
    api("GET", api.path("manifests/x"), status=404)


def test_a_manifest_of_another_digest(api):
    api.push(EMPTY)
    api.put(manifest(), sha(b"x"), status=400, code="DIGEST_INVALID")
    api.put(manifest(), "sha256:baddigeststring", status=400, code="DIGEST_INVALID")


def test_unknown_media_types_are_kept(api):
    for media_type, data in (("application/vnd.example.thing+json", b'{ "anything": ["at all"] }'),
                             ("application/vnd.oci.artifact.manifest.v1+json; charset=utf-8", b'{"blobs":[]}')):  # fmt: skip
        api.put(data, "x", media_type=media_type)
        answer = api("GET", api.path("manifests/x"), status=200)
        assert answer.data == data
        assert answer.headers["Content-Type"] == media_type.partition(";")[0]
    data = json.dumps({"blobs": [descriptor(b"missing")]}).encode()
    api.put(data, "y", media_type="application/vnd.oci.artifact.manifest.v1+json", status=404, code="MANIFEST_BLOB_UNKNOWN")


def test_large_manifests(api):
    api.push(EMPTY)
    room = 4 * 1024 * 1024 - len(manifest(annotations={"x": ""}))
    data = manifest(annotations={"x": "y" * room})
    assert len(data) == 4 * 1024 * 1024
    api.put(data, "x")
    assert api("GET", api.path("manifests/x"), status=200).data == data
    api.put(data + b" ", "y", status=413, code="SIZE_INVALID")
    pieces = (secrets.token_bytes(1 << 20) for _ in range(6))
    headers = {"Content-Type": MANIFEST}
    api("PUT", api.path("manifests/y"), pieces, headers, status=413, code="SIZE_INVALID")


def test_several_tags_at_once(api):
    api.push(EMPTY)
    data = manifest()
    answer = api("PUT", api.path("manifests", sha(data)) + "?tag=1&tag=1.2&tag=latest", data, {"Content-Type": MANIFEST}, status=201)
    assert answer.headers["OCI-Tag"] == "1, 1.2, latest"
    assert json.loads(api("GET", api.path("tags/list"), status=200).data)["tags"] == ["1", "1.2", "latest"]


def test_ten_tags_at_once(api):
    api.push(EMPTY)
    data, tags = manifest(), [f"v{number}" for number in range(10)]
    query = "&".join(f"tag={tag}" for tag in tags)
    answer = api("PUT", api.path("manifests", sha(data)) + "?" + query, data, {"Content-Type": MANIFEST}, status=201)
    assert answer.headers["OCI-Tag"].split(", ") == tags
    assert json.loads(api("GET", api.path("tags/list"), status=200).data)["tags"] == tags


def test_a_tag_moves(api):
    first, _ = api.image("latest")
    second, _ = api.image("latest")
    assert api("GET", api.path("manifests/latest"), status=200).data == second
    assert api("GET", api.path("manifests", sha(first)), status=200).data == first


def test_docker_manifests(api):
    api.push(EMPTY)
    data = manifest().replace(MANIFEST.encode(), DOCKER.encode())
    api.put(data, "x", media_type=DOCKER)
    assert api("GET", api.path("manifests/x"), status=200).headers["Content-Type"] == DOCKER


def test_an_index(api):
    images = [api.image(f"part{number}")[0] for number in range(3)]
    data = index(images)
    api.put(data, "all", media_type=INDEX)
    assert api("GET", api.path("manifests/all"), status=200).data == data
    # buildkit's caches list blobs there.
    blob = secrets.token_bytes(100)
    api.push(blob)
    api.put(index([blob]), "cache", media_type=INDEX)


# Content discovery


def test_tags_are_listed_in_pages(api):
    api.push(EMPTY)
    tags = sorted(["b", "a", "A", "10", "9", "_x", "Z.1"])
    for tag in tags:
        api.put(manifest(), tag)

    def page(query):
        answer = api("GET", api.path("tags/list") + query, status=200)
        return json.loads(answer.data)["tags"], answer.headers["Link"]

    assert page("") == (tags, None)
    assert page("?n=0") == ([], None)
    assert page("?n=100") == (tags, None)
    assert page(f"?n={len(tags)}") == (tags, None)
    assert page("?last=A") == (tags[tags.index("A") + 1 :], None)
    assert page("?n=2&last=A")[0] == tags[tags.index("A") + 1 :][:2]
    assert page("?last=zzz") == ([], None)
    found, query = [], "?n=2"
    while query:
        names, link = page(query)
        assert len(names) == 2 or link is None
        found += names
        target = link and link.removeprefix("<").removesuffix('>; rel="next"')
        query = target and "?" + target.partition("?")[2]
    assert found == tags
    for query in ("?n=-1", "?n=x", "?n=1.5"):
        api("GET", api.path("tags/list") + query, status=400)


def test_the_catalog(api):
    names = [f"catalog/{letter}" for letter in "abc"]
    for name in names:
        api.push(b"x", name)
    answer = api("GET", "/v2/_catalog", status=200)
    assert [name for name in json.loads(answer.data)["repositories"] if name.startswith("catalog/")] == names
    answer = api("GET", "/v2/_catalog?n=1&last=catalog/a", status=200)
    assert json.loads(answer.data) == {"repositories": ["catalog/b"]}
    assert answer.headers["Link"] == '</v2/_catalog?n=1&last=catalog%2Fb>; rel="next"'


def test_referrers(api):
    subject, _ = api.image("subject")
    about = descriptor(subject, MANIFEST)
    empty = json.loads(api("GET", api.path("referrers", sha(subject)), status=200).data)
    assert empty == {"schemaVersion": 2, "mediaType": INDEX, "manifests": []}
    made = {}
    for name, more in {
        "signature": {"artifactType": "application/vnd.example.signature", "annotations": {"by": "me", "ä": "\u2028"}},
        "sbom+json": {"artifactType": "application/vnd.example.sbom+json"}, "by config": {},
    }.items():  # fmt: skip
        data = manifest(subject=about, annotations=more.get("annotations", {}) | {"name": name}, **{
            key: value for key, value in more.items() if key != "annotations"})  # fmt: skip
        answer = api.put(data)
        assert answer.headers["OCI-Subject"] == sha(subject)
        made[name] = data
    listing = index([subject], subject=about)
    assert api.put(listing, media_type=INDEX).headers["OCI-Subject"] == sha(subject)

    answer = api("GET", api.path("referrers", sha(subject)), status=200)
    assert answer.headers["Content-Type"] == INDEX and answer.headers["OCI-Filters-Applied"] is None
    found = {entry["digest"]: entry for entry in json.loads(answer.data)["manifests"]}
    assert set(found) == {sha(data) for data in [*made.values(), listing]}
    signature = found[sha(made["signature"])]
    assert signature == {
        "mediaType": MANIFEST, "digest": sha(made["signature"]), "size": len(made["signature"]),
        "artifactType": "application/vnd.example.signature", "annotations": {"by": "me", "ä": "\u2028", "name": "signature"},
    }  # fmt: skip
    assert found[sha(made["by config"])]["artifactType"] == "application/vnd.oci.image.config.v1+json"
    assert "artifactType" not in found[sha(listing)]

    for plus in ("+", "%2B"):
        answer = api("GET", api.path("referrers", sha(subject)) + f"?artifactType=application/vnd.example.sbom{plus}json", status=200)
        assert answer.headers["OCI-Filters-Applied"] == "artifactType"
        assert [entry["digest"] for entry in json.loads(answer.data)["manifests"]] == [sha(made["sbom+json"])]

    pages, query = [], "?n=3"
    while query:
        answer = api("GET", api.path("referrers", sha(subject)) + query, status=200)
        pages.append(len(json.loads(answer.data)["manifests"]))
        query = answer.headers["Link"] and "?" + answer.headers["Link"].partition("?")[2].partition(">")[0]
    assert pages == [3, 1]

    api("DELETE", api.path("manifests", sha(made["signature"])), status=202)
    assert len(json.loads(api("GET", api.path("referrers", sha(subject)), status=200).data)["manifests"]) == 3


def test_a_subject_need_not_be_there(api):
    api.push(EMPTY)
    answer = api.put(manifest(subject=descriptor(b"not yet", MANIFEST)))
    assert answer.headers["OCI-Subject"] == sha(b"not yet")
    assert len(json.loads(api("GET", api.path("referrers", sha(b"not yet")), status=200).data)["manifests"]) == 1
    # A repository that does not exist has no referrers, and says so.
    assert json.loads(api("GET", "/v2/not/there/referrers/" + sha(b""), status=200).data)["manifests"] == []


# Content management


def test_a_tag_is_deleted(api):
    data, _ = api.image("one")
    api.put(data, "two")
    api("DELETE", api.path("manifests/one"), status=202)
    api("GET", api.path("manifests/one"), status=404)
    assert api("GET", api.path("manifests/two"), status=200).data == data
    assert api("GET", api.path("manifests", sha(data)), status=200).data == data
    api("DELETE", api.path("manifests/one"), status=404, code="MANIFEST_UNKNOWN")


def test_a_manifest_is_deleted(api):
    data, layers = api.image("one")
    api.put(data, "two")
    api("DELETE", api.path("manifests", sha(data)), status=202)
    for name in ("one", "two", sha(data)):
        api("GET", api.path("manifests", name), status=404)
    api("DELETE", api.path("manifests", sha(data)), status=404)
    assert json.loads(api("GET", api.path("tags/list"), status=200).data)["tags"] == []
    # Its layer was pushed a moment ago: somebody may be about to name it.
    api("HEAD", api.path("blobs", sha(layers[0])), status=200)


def test_a_blob_is_deleted(api):
    data, layers = api.image()
    digest = sha(layers[0])
    file = api.server.data / "blobs/sha256" / digest[7:]
    api("DELETE", api.path("blobs", digest), status=405, code="UNSUPPORTED")
    other = "other/" + secrets.token_hex(4)
    api("POST", api.path("blobs/uploads/", repository=other) + f"?mount={digest}&from={api.repository}", status=201)
    api("DELETE", api.path("manifests", sha(data)), status=202)
    api("DELETE", api.path("blobs", digest), status=202)
    api("GET", api.path("blobs", digest), status=404)
    api("DELETE", api.path("blobs", digest), status=404, code="BLOB_UNKNOWN")
    assert file.exists() and api("GET", api.path("blobs", digest, repository=other), status=200).data == layers[0]
    api("DELETE", api.path("blobs", digest, repository=other), status=202)
    assert not file.exists()


def test_a_manifest_that_an_index_names_stays(api):
    data, _ = api.image("part")
    whole = index([data])
    api.put(whole, "all", media_type=INDEX)
    api("DELETE", api.path("manifests", sha(data)), status=405, code="UNSUPPORTED")
    api("DELETE", api.path("manifests", sha(whole)), status=202)
    api("DELETE", api.path("manifests", sha(data)), status=202)


# Garbage


def blobs(server):
    return {path.name for path in (server.data / "blobs/sha256").iterdir()}


def test_garbage_goes_while_the_registry_serves():
    with RegistryServer(None, None, "--keep-unlinked", "0s") as server:
        api = Client(server)
        keep, kept_layers = api.image("keep", layers=[b"shared", b"kept"], repository="garbage/keep")
        # Blobs without a manifest go at once when nothing is to be kept, so both go up together with their manifest's others.
        shared = {sha(blob)[7:] for blob in [keep, *kept_layers, EMPTY]}
        wait_for(lambda: blobs(server) == shared, "only what is named to be left")
        api("DELETE", api.path("manifests", sha(keep), repository="garbage/keep"), status=202)
        wait_for(lambda: blobs(server) == set(), "everything to be gone")
        wait_for(lambda: json.loads(api("GET", "/v2/_catalog", status=200).data)["repositories"] == [], "the repository to be gone")


def test_an_unnamed_blob_is_swept_after_its_time():
    with RegistryServer(None, None, "--keep-unlinked", "2s") as server:
        api = Client(server)
        data, layers = api.image(layers=[b"named"])
        digest = api.push(b"unnamed")
        assert digest[7:] in blobs(server)
        wait_for(lambda: digest[7:] not in blobs(server), "the blob to be swept")
        assert blobs(server) == {sha(data)[7:], sha(layers[0])[7:], sha(EMPTY)[7:]}


# The directory


def test_the_directory_is_an_oci_layout(api):
    data, _ = api.image("v1.0")
    assert json.loads((api.server.data / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}

    def entry():
        listed = json.loads((api.server.data / "index.json").read_text())["manifests"]
        return [item for item in listed if item["digest"] == sha(data)]

    wait_for(entry, "the index to be written")
    assert entry()[0]["annotations"] == {"org.opencontainers.image.ref.name": f"{api.repository}:v1.0"}
    for path in (api.server.data / "blobs/sha256").iterdir():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    assert api.server.data.stat().st_mode & 0o777 == 0o700


def test_uploads_outlive_the_server():
    with RegistryServer() as server:
        api = Client(server)
        location = api.session()
        api("PATCH", location, b"first ", OCTETS, status=202)
        for number in (15, 9):
            server.stop(number)
            server.start()
            assert api("GET", location, status=204).headers["Range"] == "0-5"
        uploaded(api, api("PUT", f"{location}?digest={sha(b'first last')}", b"last", OCTETS, status=201), b"first last")


def test_a_second_server_on_one_directory_says_so(server):
    with pytest.raises(RuntimeError, match="another berth registry serves it"):
        RegistryServer(server.data).start()


def test_read_only():
    with RegistryServer() as server:
        api = Client(server)
        data, layers = api.image()
        server.stop()
        server.flags.append("--read-only")
        server.start()
        assert api("GET", api.path("manifests/latest"), status=200).data == data
        assert api("GET", api.path("blobs", sha(layers[0])), status=200).data == layers[0]
        for method, path in (("POST", "blobs/uploads/"), ("PUT", "manifests/x"), ("DELETE", "manifests/latest"), ("DELETE", "blobs/" + sha(EMPTY))):
            api(method, api.path(path), status=405, code="UNSUPPORTED")
        # Readers share a directory.
        with RegistryServer(server.data, None, "--read-only") as other:
            assert Client(other)("GET", api.path("manifests/latest"), status=200).data == data


# Who may


def test_passwords():
    with RegistryServer(htpasswd=True) as server:
        api = Client(server)
        for path in ("/v2/", api.path("manifests/latest"), "/nowhere"):
            answer = api("GET", path, status=401, code="UNAUTHORIZED")
            assert answer.headers["WWW-Authenticate"].startswith("Basic realm=")
        api("GET", "/v2/", auth=(USER, "wrong"), status=401)
        api("GET", "/v2/", auth=("nobody", PASSWORD), status=401)
        for _ in range(3):
            api("GET", "/v2/", auth=(USER, PASSWORD), status=200)
        api("GET", "/v2/", auth=(USER, "wrong"), status=401)
        for header in ("Basic", "Basic x", "Bearer abc", "Basic " + "A" * 9000, "Basic AAAA"):
            api("GET", "/v2/", headers={"Authorization": header}, status=401)
        data = secrets.token_bytes(3_000_000)
        # The body of a refused request is not waited for, nor taken.
        api("POST", api.path("blobs/uploads/") + f"?digest={sha(data)}", data, OCTETS, auth=(USER, "wrong"), status=401)
        api("POST", api.path("blobs/uploads/") + f"?digest={sha(data)}", data, OCTETS, auth=(USER, PASSWORD), status=201)
        wait_for(lambda: f" {USER} POST " in server.text(), "the line")
        assert PASSWORD not in server.text()

        # A user who is taken out of the file is out.
        (server.base / "users").write_text("# nobody\n")
        wait_for(lambda: api("GET", "/v2/", auth=(USER, PASSWORD)).status == 401, "the file to be read again")


def test_a_password_file_with_other_hashes_is_refused(tmp_path):
    (tmp_path / "users").write_text("alice:$apr1$x$y\n")
    with pytest.raises(RuntimeError, match=r"line 1: only bcrypt hashes"):
        RegistryServer(None, None, "--htpasswd", tmp_path / "users").start()


def test_tls(api):
    with RegistryServer(tls=True, htpasswd=True) as server:
        assert server.url.startswith("https://")
        api = Client(server)
        data = secrets.token_bytes(3_000_000)
        for method, path in (("POST", api.path("blobs/uploads/") + f"?digest={sha(data)}"), ("GET", api.path("blobs", sha(data)))):
            answer = api(method, path, data if method == "POST" else None, auth=(USER, PASSWORD))
            assert answer.status in (200, 201)
        assert answer.data == data
        answer = api("GET", api.path("blobs", sha(data)), headers={"Range": "bytes=2000000-2999990"}, auth=(USER, PASSWORD), status=206)
        assert answer.data == data[2000000:2999991]


# The program


def test_a_port_in_use(server):
    with pytest.raises(RuntimeError, match=r"listen on .*: the address is in use; choose another"):
        RegistryServer(listen=server.address).start()


@pytest.mark.parametrize("text", ["127.0.0.1:99999", "127.0.0.1:x", "::1:5000", "[::1"])
def test_addresses_that_are_none(text):
    with pytest.raises(RuntimeError, match="expected ADDRESS:PORT"):
        RegistryServer(listen=text).start()


def test_open_to_others_is_told():
    with RegistryServer(listen="0.0.0.0:0") as server:
        server.stop()
        assert "warning: other machines can connect, without TLS (--tls-cert, --tls-key) and passwords (--htpasswd)" in server.text()
        server.start()


def test_the_log_has_one_line_for_each_request(server):
    name = secrets.token_hex(8)
    agent = {"User-Agent": 'x"[31m y'}
    server.call("GET", f"/v2/{name}/tags/list?n=1", headers=agent)
    wait_for(lambda: name in server.text(), "the line")
    fields = next(line for line in server.text().splitlines() if name in line).split(" ")
    assert fields[3:7] == ["GET", f"/v2/{name}/tags/list?n=1", "404", "0"] and fields[2] == "-"
    assert fields[1].startswith("127.0.0.1:") and fields[8].endswith("ms")
    assert fields[9:] == ['"x?[31m', 'y"']


def test_quiet_says_nothing():
    with RegistryServer(None, None, "--quiet") as server:
        server.call("GET", "/v2/")
        server.stop()
        assert server.text() == ""
        server.start()


@pytest.mark.parametrize("number", [2, 15])
def test_a_signal_ends_it_when_running_requests_are_done(number):
    with RegistryServer() as server:
        api = Client(server)
        link = server.connection()
        data = secrets.token_bytes(100_000)
        link.putrequest("POST", api.path("blobs/uploads/") + f"?digest={sha(data)}")
        link.putheader("Content-Length", str(len(data)))
        link.endheaders(data[:50_000])
        wait_for(lambda: list((server.data / "uploads").iterdir()), "the upload to begin")
        idle = server.connection()
        idle.request("GET", "/v2/")
        idle.getresponse().read()
        server.process.send_signal(number)
        wait_for(lambda: connect_is_refused(server), "the server to stop listening")
        link.send(data[50_000:])
        assert link.getresponse().status == 201
        assert server.stop() == 0
        assert sha(data)[7:] in blobs(server)
        server.start()


def connect_is_refused(server):
    try:
        server.connection().connect()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        pass  # it was in the queue of a socket that was closed just then
    return False


def test_as_an_ordinary_user(suite):
    if suite.user is None or os.geteuid() != 0:
        pytest.skip("needs root and an ordinary user")
    import shutil
    import tempfile

    with tempfile.TemporaryDirectory(prefix="berth-registry-program-") as place:
        os.chmod(place, 0o755)
        from host import REPOSITORY

        program = shutil.copy(os.environ.get("BERTH", REPOSITORY / ".build/debug/berth"), place)
        with RegistryServer(None, program, user=suite.user) as server:
            data, _ = Client(server).image("x", repository="of/a/user")
            assert server.data.stat().st_uid == suite.user.uid
            assert server.call("GET", "/v2/of/a/user/manifests/x").data == data


# Many at once


def test_the_same_image_from_many(server):
    api = Client(server)
    layers = [secrets.token_bytes(400_000) for _ in range(4)] + [EMPTY]
    data = manifest(layers[:-1])
    answers = []

    def push(number):
        for layer in layers:
            if api("HEAD", api.path("blobs", sha(layer))).status == 404:
                api.push(layer)
        answers.append(api.put(data, f"tag{number % 3}").status)
        assert api("GET", api.path("manifests", sha(data)), status=200).data == data

    with many(8, push):
        pass
    assert answers == [201] * 8
    assert json.loads(api("GET", api.path("tags/list"), status=200).data)["tags"] == ["tag0", "tag1", "tag2"]
    for layer in layers:
        assert api("GET", api.path("blobs", sha(layer)), status=200).data == layer


def test_pushing_and_deleting_the_same_at_once():
    """Whoever is told 201 can pull what he pushed, whatever others delete meanwhile."""
    with RegistryServer(None, None, "--keep-unlinked", "1h") as server:
        api = Client(server)
        layer = secrets.token_bytes(50_000)
        data = manifest([layer])

        def push(number):
            repository = f"race/{number}"
            for _ in range(12):
                for blob in (layer, EMPTY):
                    api.push(blob, repository)
                api.put(data, "x", repository)
                assert api("GET", api.path("blobs", sha(layer), repository=repository), status=200).data == layer
                assert api("GET", api.path("manifests/x", repository=repository), status=200).data == data
                api("DELETE", api.path("manifests", sha(data), repository=repository), status=202)
                for blob in (layer, EMPTY):
                    api("DELETE", api.path("blobs", sha(blob), repository=repository), status=202)

        with many(6, push):
            pass
        assert blobs(server) == set()
