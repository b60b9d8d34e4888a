"""`push` of what has no compression, and of what broke: what is sent, what is asked, what is remembered."""

import gzip
import json
import os
import pathlib
import signal
import sqlite3

import images
import invariants
import pytest
from fault_registry import FaultRegistry, digest_of
from host import wait_for
from test_pull import BLOB, add, registry  # noqa: F401

DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
UPLOADS = "/blobs/uploads/"


def layers():
    return [images.Layer().dir("a").file("a/one", b"one" * 50_000), images.Layer().file("two", os.urandom(70_000))]


def loaded(berth, place, made, name="plain:1", **more):
    """Loads an image of plain layers; its id."""
    berth.ok("load", "-i", images.write(place / "plain.tar", images.docker_archive(made, tags=[name], **more)), timeout=60)
    return berth.inspect(name, "Id")


def pushed(registry, repository, tag):
    data, media_type = registry.manifests[repository][tag]
    return json.loads(data), media_type


def remembered(berth):
    with sqlite3.connect(f"file:{berth.root}/berth.db?mode=ro", uri=True) as database:
        return sorted(row[0] for row in database.execute("SELECT method FROM compressed_layers"))


def test_plain_layers_are_compressed(fresh, registry, place):
    made = layers()
    identity = loaded(fresh, place, made)
    name = f"{registry.host}/app:1"
    fresh.ok("tag", "plain:1", name)
    told = fresh.ok("push", name, timeout=60).lines[-1]
    manifest, _ = pushed(registry, "app", "1")
    assert manifest["config"]["digest"] == identity, "the image is the same one"
    assert [layer["mediaType"] for layer in manifest["layers"]] == ["application/vnd.oci.image.layer.v1.tar+gzip"] * 2
    for layer, content in zip(manifest["layers"], made):
        blob = registry.blobs[layer["digest"]]
        assert len(blob) == layer["size"] and gzip.decompress(blob) == content.bytes
    assert digest_of(content.bytes) not in registry.blobs
    digest = digest_of(registry.manifests["app"]["1"][0])
    assert told == f"1: digest: {digest} size: {len(registry.manifests['app']['1'][0])}"
    assert f"{registry.host}/app@{digest}" in fresh.inspect(name, "RepoDigests")

    registry.requests.clear()
    assert fresh.ok("push", name, timeout=60).lines[-1] == told
    assert [(r.method, r.path) for r in registry.requests if r.path != "/v2/"] == [("HEAD", "/v2/app/manifests/1")]
    # The name moves, the blobs are there.
    fresh.ok("tag", "plain:1", f"{registry.host}/app:2")
    fresh.ok("push", f"{registry.host}/app:2", timeout=60)
    assert registry.count("POST|PATCH|PUT", UPLOADS) == 0 and registry.manifests["app"]["2"] == registry.manifests["app"]["1"]
    # Another repository takes them over.
    fresh.ok("tag", "plain:1", f"{registry.host}/other:1")
    assert any(line.endswith(": Mounted from app") for line in fresh.ok("push", f"{registry.host}/other:1", timeout=60).lines)
    assert registry.count("PATCH|PUT", UPLOADS) == 0 and registry.manifests["other"]["1"] == registry.manifests["app"]["1"]
    # Another registry gets the same bytes.
    with FaultRegistry() as second:
        fresh.ok("tag", "plain:1", f"{second.host}/app:1")
        fresh.ok("push", f"{second.host}/app:1", timeout=60)
        assert second.manifests["app"]["1"] == registry.manifests["app"]["1"]
    assert remembered(fresh) == ["gzip", "gzip"]
    # What was pushed is what is here: nothing is fetched.
    registry.requests.clear()
    fresh.ok("pull", name)
    assert registry.count("GET", BLOB) == 0
    invariants.check_invariants(fresh)
    fresh.ok("rmi", "-f", identity)
    assert remembered(fresh) == [], "nothing is remembered of images that are gone"
    fresh.ok("pull", name, timeout=60)
    assert fresh.inspect(name, "Id") == identity
    assert fresh.inspect(name, "RepoDigests") == [f"{registry.host}/app@{digest}"]


def test_the_same_plain_layer_twice(fresh, registry, place):
    one = images.Layer().file("one", b"1" * 5000)
    loaded(fresh, place, [one, images.Layer().file("two", b"2"), one])
    fresh.ok("tag", "plain:1", f"{registry.host}/app:1")
    fresh.ok("push", f"{registry.host}/app:1", timeout=60)
    first, _, third = pushed(registry, "app", "1")[0]["layers"]
    assert first == third and registry.count("PUT", UPLOADS) == 3, "two layers and the config"


@pytest.mark.parametrize("words, suffix, refused", [
    (("--compression-format", "zstd"), "+zstd", None), (("--compression-format", "zstd", "--compression-level", "19"), "+zstd", None),
    (("--compression-level", "9"), "+gzip", None), (("--compression-format", "gzip"), "+gzip", None),
    (("--compression-format", "zstd:chunked"), "", "zstd:chunked is read and not written: use --compression-format zstd"),
    (("--compression-format", "xz"), "", 'unknown compression format "xz": use gzip or zstd'),
    (("--compression-level", "10"), "", "compression level 10 is none of gzip: use 1 to 9"),
    (("--compression-format", "zstd", "--compression-level", "0"), "", "compression level 0 is none of zstd: use 1 to 19"),
])  # fmt: skip
def test_compression_can_be_chosen(fresh, registry, place, words, suffix, refused):
    loaded(fresh, place, layers())
    fresh.ok("tag", "plain:1", f"{registry.host}/app:1")
    if refused:
        fresh.call("push", *words, f"{registry.host}/app:1").fails(1, refused)
        assert registry.requests == []
        return
    for _ in range(2):
        fresh.ok("push", *words, f"{registry.host}/app:1", timeout=60)
    assert {layer["mediaType"] for layer in pushed(registry, "app", "1")[0]["layers"]} == {"application/vnd.oci.image.layer.v1.tar" + suffix}
    assert registry.count("PUT", UPLOADS) == 3


def test_what_was_pulled_plain_goes_back_plain(fresh, registry):
    """Byte for byte, unless something else was asked for; docker's manifests have no zstd."""
    made = images.Layer().file("a", b"x" * 100_000).bytes
    digest = add(
        registry, layers=[(made, digest_of(made))], layer_type="application/vnd.docker.image.rootfs.diff.tar", media_type=DOCKER,
        config_type="application/vnd.docker.container.image.v1+json",
    )  # fmt: skip
    fresh.ok("pull", f"{registry.host}/app:1")
    with FaultRegistry() as other:
        fresh.ok("tag", f"{registry.host}/app:1", f"{other.host}/copy:1")
        fresh.ok("push", f"{other.host}/copy:1", timeout=60)
        assert digest_of(other.manifests["copy"]["1"][0]) == digest and other.blobs[digest_of(made)] == made
        fresh.ok("push", "--compression-format", "gzip", f"{other.host}/copy:1", timeout=60)
        manifest, media_type = pushed(other, "copy", "1")
        assert media_type == DOCKER and manifest["layers"][0]["mediaType"] == "application/vnd.docker.image.rootfs.diff.tar.gzip"
        fresh.ok("push", "--compression-format", "zstd", f"{other.host}/copy:1", timeout=60)
        manifest, media_type = pushed(other, "copy", "1")
        assert media_type == images.MANIFEST and manifest["layers"][0]["mediaType"] == "application/vnd.oci.image.layer.v1.tar+zstd"
        assert fresh.inspect(f"{other.host}/copy:1", "Id") == manifest["config"]["digest"]


def test_a_push_that_failed_compresses_nothing_twice(fresh, registry, place):
    loaded(fresh, place, layers())
    fresh.ok("tag", "plain:1", f"{registry.host}/app:1")
    registry.fault("PUT", "/manifests/", times=1, status=403, body=b'{"errors":[{"code":"DENIED","message":"no"}]}')
    fresh.call("push", f"{registry.host}/app:1", timeout=60).fails(1, "denied|no")
    assert remembered(fresh) == ["gzip", "gzip"]
    registry.requests.clear()
    fresh.ok("push", f"{registry.host}/app:1", timeout=60)
    assert registry.count("POST|PATCH|PUT", UPLOADS) == 0


def test_an_upload_of_a_compressed_layer_breaks(fresh, registry, place):
    loaded(fresh, place, [images.Layer().file("random", os.urandom(3 << 20))])
    fresh.ok("tag", "plain:1", f"{registry.host}/app:1")
    # The layer's, not the config's.
    large = lambda request: {"take": 1 << 20} if int(request.header("content-length")) > 1 << 20 else None  # noqa: E731
    registry.fault("PUT", UPLOADS, times=1, call=large)
    registry.fault("HEAD", BLOB, times=1, status=503, retry_after="0")
    fresh.ok("push", f"{registry.host}/app:1", timeout=60)
    layer = pushed(registry, "app", "1")[0]["layers"][0]
    assert digest_of(registry.blobs[layer["digest"]]) == layer["digest"] and registry.count("PATCH", UPLOADS) == 1


def test_a_damaged_plain_layer_is_not_pushed(fresh, registry, place):
    made = layers()
    loaded(fresh, place, made)
    fresh.ok("tag", "plain:1", f"{registry.host}/app:1")
    path = fresh.root / "blobs/sha256" / digest_of(made[1].bytes)[7:]
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    fresh.call("push", f"{registry.host}/app:1", timeout=60).fails(1, "the stored blob has other content .berth system check tells more")
    assert "app" not in registry.manifests


def test_memory_does_not_grow_with_the_layer(fresh, registry, place):
    loaded(fresh, place, [images.Layer().file("large", os.urandom(1 << 20) * 128)])
    fresh.ok("tag", "plain:1", f"{registry.host}/app:1")
    peaks = []

    def look(_):
        """At the end: everything was compressed and sent."""
        for pid in fresh.processes():
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
            peaks.append(int(status.partition("VmHWM:")[2].split()[0]))

    registry.fault("PUT", "/manifests/", call=look)
    fresh.ok("push", f"{registry.host}/app:1", timeout=60)
    assert peaks and max(peaks) < 100 << 10, f"{peaks} KiB"


@pytest.mark.parametrize("command", ["pull", "push"])
def test_retries_can_be_chosen(fresh, registry, command):
    add(registry)
    name = f"{registry.host}/app:1"
    fresh.ok("pull", name)
    if command == "pull":
        fresh.ok("rmi", name)
    else:
        fresh.ok("tag", name, f"{registry.host}/app:2")
        name = f"{registry.host}/app:2"
    what = ("GET", BLOB) if command == "pull" else ("PUT", "/manifests/")
    registry.fault(*what, times=3, status=503)
    registry.requests.clear()
    fresh.call(command, "--retry", "0", name, timeout=30).fails(1, "503")
    assert registry.count(*what) <= 2, "one for each layer that was under way"
    fresh.ok(command, "--retry", "9", "--retry-delay", "10ms", name, timeout=30)
    fresh.call(command, "--retry-delay", "-1s", name).fails(1, "--retry-delay cannot be negative")


def test_a_push_is_killed_while_it_compresses(fresh, registry, place):
    """Nothing of it is left anywhere: the file has no name."""
    loaded(fresh, place, [images.Layer().file("large", os.urandom(1 << 20) * 24)])
    fresh.ok("tag", "plain:1", f"{registry.host}/app:1")
    temporary = place / "temporary"
    temporary.mkdir()
    temporary.chmod(0o777)
    process = fresh.popen("push", "--compression-level", "9", f"{registry.host}/app:1", env={"TMPDIR": str(temporary)}, start_new_session=True)
    wait_for(lambda: registry.requests, "it to begin")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert os.listdir(temporary) == []
    fresh.ok("push", "--compression-level", "9", f"{registry.host}/app:1", timeout=60)
    invariants.check_invariants(fresh)
