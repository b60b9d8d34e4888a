"""The registry client by itself against a registry that misbehaves: names of the rows of attacks.md and faults.md."""

import threading
import time

import pytest

from fault_registry import digest_of
from registry_home import client, registry  # noqa: F401

BLOB = bytes(range(256)) * 4096  # 1 MiB


def blob_args(registry, data=BLOB, repository="team/app"):
    return "blob", f"{registry.host}/{repository}", digest_of(data), str(len(data))


# Reading


def test_manifest_by_tag_and_digest(registry, client):
    digest = registry.add_image("team/app", "v1", [b"one"])
    out = client.ok("manifest", f"{registry.host}/team/app:v1").text.split()
    assert out[1] == digest and out[3] == registry.host
    assert client.ok("manifest", f"{registry.host}/team/app@{digest}").text.split()[1] == digest
    assert client.ok("head", f"{registry.host}/team/app:v1").text.split()[1] == digest
    assert registry.count("GET", "/manifests/") == 2 and registry.count("HEAD", "/manifests/") == 1


def test_head_falls_back_to_get(registry, client):
    registry.head = False
    assert client.ok("head", f"{registry.host}/team/app").text.split()[1].startswith("sha256:")
    registry.head, registry.announce = True, False
    assert client.ok("head", f"{registry.host}/team/app").text.split()[1].startswith("sha256:")


def test_head_of_nothing(registry, client):
    assert client.ok("head", f"{registry.host}/team/app:gone").text == "none"
    client("manifest", f"{registry.host}/team/app:gone").fails(1, "not found", r"\[not found\]")


def test_digest_is_verified(registry, client):
    digest = registry.add_image("team/app", "v1", [b"one"])
    registry.fault("GET", "/manifests/", corrupt=5, amend={"Docker-Content-Digest": None})
    client("manifest", f"{registry.host}/team/app@{digest}").fails(1, r"\[digest mismatch\]")
    registry.rules.clear()
    registry.fault("GET", "/manifests/", corrupt=5)
    client("manifest", f"{registry.host}/team/app:v1").fails(1, "announced", r"\[digest mismatch\]")


def test_blob_whole_and_part(registry, client):
    assert client.ok(*blob_args(registry)).bytes == BLOB
    assert client.ok(*blob_args(registry), "1000").bytes == BLOB[1000:]
    assert registry.requests[-1].header("range") == "bytes=1000-"


def test_tags_follow_pages(registry, client):
    for number in range(25):
        registry.add_image("team/app", f"v{number:02}", [b"x"])
    registry.page = 10
    assert client.ok("tags", f"{registry.host}/team/app").lines == ["latest"] + [f"v{n:02}" for n in range(25)]
    assert registry.count("GET", "/tags/list") == 3


def test_tags_page_that_leads_back(registry, client):
    registry.fault("GET", "/tags/list", amend={"Link": '</v2/team/app/tags/list>; rel="next"'})
    client("tags", f"{registry.host}/team/app").fails(1, "back")
    registry.rules.clear()
    registry.fault("GET", "/tags/list", amend={"Link": '<http://127.0.0.1:1/v2/team/app/tags/list>; rel="next"'})
    client("tags", f"{registry.host}/team/app").fails(1, "elsewhere")


@pytest.mark.parametrize("api", [True, False])
def test_referrers(registry, client, api):
    data, kind = registry.manifests["team/app"]["latest"]
    subject = registry.descriptor(data, kind)
    signature = registry.add_image("team/app", None, [b"sig"], config_type="application/vnd.example.sig", subject=subject)
    if not api:
        registry.referrers_api = False
        held = registry.descriptor(*registry.manifests["team/app"][signature])
        index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [held]}
        registry.add_manifest("team/app", digest_of(data).replace(":", "-"), index, index["mediaType"])
    assert signature in client.ok("referrers", f"{registry.host}/team/app", digest_of(data)).out


def test_referrers_of_nothing(registry, client):
    """Neither the API nor a referrers tag: there are none. A tag that is no index is told: it must not look like that."""
    registry.referrers_api = False
    subject = digest_of(registry.manifests["team/app"]["latest"][0])
    assert client.ok("referrers", f"{registry.host}/team/app", subject).out.strip() == ""
    registry.add_manifest("team/app", subject.replace(":", "-"), b'{"not": "an index"}', "application/json")
    client("referrers", f"{registry.host}/team/app", subject).fails(1, r"\[protocol\]")


def test_the_accept_header(registry, client):
    client.ok("manifest", f"{registry.host}/team/app")
    accepted = ",".join(value for key, value in registry.seen("GET", "/manifests/")[0].headers if key.lower() == "accept")
    for name in ("oci.image.manifest.v1", "oci.image.index.v1", "docker.distribution.manifest.v2", "docker.distribution.manifest.list.v2"):
        assert f"application/vnd.{name}+json" in accepted


def test_parameters_of_a_content_type(registry, client):
    kind = registry.manifests["team/app"]["latest"][1]
    plain = client.ok("manifest", f"{registry.host}/team/app").text
    registry.fault("GET", "/manifests/", amend={"Content-Type": f"{kind}; charset=utf-8"})
    assert client.ok("manifest", f"{registry.host}/team/app").text == plain


def test_a_warning_changes_nothing(registry, client):
    plain = client.ok("manifest", f"{registry.host}/team/app").text
    registry.fault("GET", "/manifests/", amend={"Warning": '299 - "this repository is going away"'})
    assert client.ok("manifest", f"{registry.host}/team/app").text == plain


# F22: truncated bodies


@pytest.mark.parametrize("at", [0, 1, len(BLOB) // 2, len(BLOB) - 1])
@pytest.mark.parametrize("how", ["cut", "rst"])
def test_F22_resumes_by_range(registry, client, at, how):
    registry.fault("GET", "/blobs/", times=2, **{how: at})
    assert client.ok(*blob_args(registry)).bytes == BLOB
    ranges = [r.header("range") for r in registry.seen("GET", "/blobs/")]
    # The rest of the blob may be too short to be cut again.
    assert len(ranges) == (3 if at <= len(BLOB) // 4 else 2) and ranges[0] is None
    if 0 < at and how == "cut":
        assert ranges[1] == f"bytes={at}-"


def test_F22_without_range(registry, client):
    registry.ranges = False
    registry.fault("GET", "/blobs/", times=2, cut=300_000)
    assert client.ok(*blob_args(registry)).bytes == BLOB


@pytest.mark.parametrize("wrong", ["bytes 0-9/1048576", "bytes 7-1048575/1048576", "garbage", "bytes 300000-1048575/9", None])
def test_F22_wrong_content_range(registry, client, wrong):
    registry.fault("GET", "/blobs/", times=1, cut=300_000)
    registry.fault("GET", "/blobs/", times=1, amend={"Content-Range": wrong})
    assert client.ok(*blob_args(registry)).bytes == BLOB
    assert registry.seen("GET", "/blobs/")[-1].header("range") is None


def test_F22_never_whole(registry, client):
    registry.fault("GET", "/blobs/", cut=0)
    client(*blob_args(registry), "attempts=3").fails(1, "ended|closed", r"\[network\]")
    assert registry.count("GET", "/blobs/") == 3


@pytest.mark.parametrize("length", [len(BLOB) - 5, len(BLOB) + 5, 2**63 - 1])
def test_F22_wrong_length(registry, client, length):
    registry.fault("GET", "/blobs/", amend={"Content-Length": str(length)})
    client(*blob_args(registry), "1").fails(1, r"\[digest mismatch\]|\[network\]|\[protocol\]")


@pytest.mark.parametrize("extra", [b"x", b"x" * 100_000])
def test_F22_extra_bytes(registry, client, extra):
    registry.fault("GET", "/blobs/", amend={"Content-Length": None, "Connection": "close"}, extra=extra)
    result = client(*blob_args(registry))
    assert len(result.bytes) <= len(BLOB)
    result.fails(1, "more than", r"\[digest mismatch\]")


def test_F22_chunked(registry, client):
    registry.fault("GET", "/blobs/", chunked=True)
    assert client.ok(*blob_args(registry)).bytes == BLOB


def test_small_blob_is_verified(registry, client):
    data = b"config" * 100
    registry.add_blob(data)
    words = ("small", f"{registry.host}/team/app", digest_of(data), str(len(data)))
    assert client.ok(*words).bytes == data
    registry.fault("GET", "/blobs/", corrupt=3)
    client(*words).fails(1, r"\[digest mismatch\]")


# F24: try again later


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_F24_passes(registry, client, status):
    registry.fault("GET", "/manifests/", times=2, status=status)
    client.ok("manifest", f"{registry.host}/team/app")
    assert registry.count("GET", "/manifests/") == 3


@pytest.mark.parametrize("status", [429, 503])
def test_F24_for_ever(registry, client, status):
    registry.fault("GET", "/manifests/", status=status, retry_after="1000000000")
    begin = time.monotonic()
    client("manifest", f"{registry.host}/team/app", "attempts=4").fails(1, r"\[too many requests\]|\[unavailable\]")
    assert registry.count("GET", "/manifests/") == 4
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize("status", [400, 403, 404, 405, 410, 418, 501])
def test_F24_no_retry(registry, client, status):
    registry.fault("GET", "/manifests/", status=status)
    client("manifest", f"{registry.host}/team/app").fails(1, ".")
    assert registry.count("GET", "/manifests/") == 1


@pytest.mark.parametrize("text", ["1", "garbage", "-5", "", "Thu, 01 Jan 1970 00:00:00 GMT", "99999999999999999999999"])
def test_F24_retry_after(registry, client, text):
    registry.fault("GET", "/manifests/", times=1, status=429, retry_after=text)
    client.ok("manifest", f"{registry.host}/team/app", "longest=1.5")
    first, second = registry.seen("GET", "/manifests/")
    assert second.time - first.time >= (1 if text in ("1",) else 0)


def test_F24_not_found_in_the_middle(registry, client):
    registry.fault("GET", "/blobs/", times=1, cut=1000)
    registry.fault("GET", "/blobs/", status=404)
    client(*blob_args(registry)).fails(1, r"\[not found\]")


def test_F24_token_ends_in_the_middle(registry, client):
    registry.bearer({"me": "secret"}, expires=300)

    def cut_and_expire(request):
        if request.header("authorization") is None:
            return None
        threading.Timer(0.02, registry.expire).start()
        return {"cut": 1000}

    registry.fault("GET", "/blobs/", times=1, call=cut_and_expire)
    assert client.ok(*blob_args(registry), "delay=0.3").bytes == BLOB
    assert registry.count("GET", "/token") == 2


def test_a_crowd_with_one_client(registry, client):
    """16 threads: a token is fetched once for all of them, at the beginning and each time it ends, and every byte is right."""
    blobs = [bytes([number]) * (200_000 + number) for number in range(5)]
    for data in blobs:
        registry.add_blob(data, "team/app")
    registry.bearer({}, expires=300)
    asked = []

    def expire(request):
        asked.append(request)
        if len(asked) in (40, 90):
            registry.expire()

    registry.fault("GET", "/blobs/", call=expire)
    words = [word for data in blobs for word in (digest_of(data), str(len(data)))]
    result = client("crowd", f"{registry.host}/team/app", "16", "8", *words, timeout=60).exits(0)
    assert result.lines == ["tags 128 right 128 wrong 0"]
    assert registry.count("GET", "/token") == 3


# F25: slow and silent


def test_F25_silence(registry, client):
    registry.fault("GET", "/blobs/", times=1, stall=1000)
    assert client.ok(*blob_args(registry), "progress=0.5").bytes == BLOB


def test_F25_no_answer(registry, client):
    registry.fault("GET", "/manifests/", times=1, delay=30)
    client.ok("manifest", f"{registry.host}/team/app", "head=0.5")
    assert registry.count("GET", "/manifests/") == 2


def test_F25_slow_head(registry, client):
    registry.fault("GET", "/manifests/", slow_head=(1, 0.3))
    client("manifest", f"{registry.host}/team/app", "head=1", "attempts=1").fails(1, "did not answer")


def test_F25_trickle(registry, client):
    registry.fault("GET", "/manifests/", slow=(1, 0.1))
    client("manifest", f"{registry.host}/team/app", "progress=1", "rate=100", "attempts=1").fails(1, "less than 100 bytes")


def test_F25_trickling_blob(registry, client):
    registry.fault("GET", "/blobs/", slow=(1, 0.1))
    client(*blob_args(registry), "progress=1", "rate=100", "attempts=1").fails(1, "less than 100 bytes")


def test_F25_nobody_listens(client):
    begin = time.monotonic()
    client("manifest", "127.0.0.1:1/team/app").fails(1, "connection refused", r"\[network\]")
    assert time.monotonic() - begin < 3


def test_F25_unknown_host(client):
    client("manifest", "nowhere.invalid/team/app", timeout=60).fails(1, "nowhere.invalid", r"\[network\]")


@pytest.mark.parametrize("what", [{"stall": 1000}, {"delay": 30}, {"slow_head": (1, 2)}, {"status": 503, "retry_after": "30"}])
def test_F25_cancel_is_felt_within_a_second(registry, client, what):
    registry.fault("GET", "/blobs/", **what)
    begin = time.monotonic()
    client(*blob_args(registry), "cancel=0.5", "longest=30", "delay=20", quick=False).fails(1, r"\[cancelled\]")
    assert time.monotonic() - begin < 2


# F26: redirects


def test_F26_redirects_are_followed(registry, client):
    registry.fault("GET", "/blobs/", times=1, redirect="/elsewhere/{target}?signed=a%2Fb%3D%3D&x=%7E")
    registry.fault("GET", "/elsewhere/", redirect=f"{registry.url}/v2/team/app/blobs/{digest_of(BLOB)}?done=1")
    assert client.ok(*blob_args(registry)).bytes == BLOB
    assert registry.requests[1].target.endswith("?signed=a%2Fb%3D%3D&x=%7E")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_F26_loop(registry, client, status):
    registry.fault("GET", "/manifests/", status=status, redirect="{target}")
    client("manifest", f"{registry.host}/team/app").fails(1, "redirects more than 10 times")
    assert registry.count("GET", "/manifests/") == 11


@pytest.mark.parametrize("where", ["ftp://host/x", "http://user:pw@host/x", "http://[::1", "http://host:99999/", "http://a b/"])
def test_F26_nonsense(registry, client, where):
    registry.fault("GET", "/manifests/", redirect=where)
    client("manifest", f"{registry.host}/team/app").fails(1, "redirects to no address")


# S55: lies about size


def test_S55_large_manifest(registry, client):
    registry.add_manifest("team/app", "big", b'{"x":"' + b"y" * (5 << 20) + b'"}')
    client("manifest", f"{registry.host}/team/app:big").fails(1, r"\[too large\]")


def test_S55_large_token(registry, client):
    registry.bearer({}, expires=60)
    registry.fault("GET", "/token", status=200, body=b'{"token":"' + b"y" * (2 << 20) + b'"}')
    client("manifest", f"{registry.host}/team/app").fails(1, r"\[too large\]")


def test_S55_large_error(registry, client):
    registry.fault("GET", "/manifests/", status=400, body=b"\x1b[31mE" * (1 << 18))
    result = client("manifest", f"{registry.host}/team/app").fails(1, "status 400")
    assert len(result.err) < 2000 and "\x1b" not in result.err


@pytest.mark.parametrize("head", [b"X: " + b"y" * (1 << 20) + b"\r\n", b"X: y\r\n" * 100_000, b"".join(b"X%d: y\r\n" % n for n in range(5000))])
def test_S55_S76_large_headers(registry, client, head):
    registry.fault("GET", "/manifests/", raw=b"HTTP/1.1 200 OK\r\n" + head + b"Content-Length: 0\r\n\r\n")
    client("manifest", f"{registry.host}/team/app", "attempts=1").fails(1, r"\[too large\]|\[network\]|\[protocol\]")


@pytest.mark.parametrize("size", ["-1", "99999999999999999999", str(2**63)])
def test_S55_impossible_length(registry, client, size):
    registry.fault("GET", "/manifests/|/blobs/", amend={"Content-Length": size})
    client(*blob_args(registry), "attempts=1").fails(1, r"\[network\]|\[protocol\]")
    client("manifest", f"{registry.host}/team/app", "attempts=1").fails(1, r"\[network\]|\[protocol\]")


@pytest.mark.parametrize("raw", [
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
    b"SSH-2.0-OpenSSH_9\r\n", b"", b"\x15\x03\x01\x00\x02\x02\x46",
])  # fmt: skip
def test_S76_no_http(registry, client, raw):
    registry.fault("GET", "/manifests/", raw=raw)
    client("manifest", f"{registry.host}/team/app", "attempts=2").fails(1, r"\[network\]|\[protocol\]|\[tls\]")


def test_S76_chunk_extensions(registry, client):
    chunk = b"1;" + b"e" * 30000 + b"\r\n{\r\n"
    registry.fault("GET", "/manifests/", raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 200)
    client("manifest", f"{registry.host}/team/app", "attempts=1").fails(1, r"\[network\]|\[protocol\]|\[too large\]")
