"""`pull` and what `run` makes of it, from a registry that the test controls."""

import fcntl
import gzip
import json
import os
import signal
import subprocess
import time

import pytest

import images
import invariants
import oracle
from fault_registry import Certificates, FaultRegistry, digest_of
from host import locked, wait_for
from sweep import MUTATING, injected, numbers, require_strace

BLOB = "/blobs/"


@pytest.fixture
def registry():
    with FaultRegistry() as made:
        yield made


def layer(**files):
    """A gzip layer of files and the diff id of what is inside."""
    made = images.Layer()
    for name, data in files.items():
        made.file(name, data)
    plain = made.bytes
    return gzip.compress(plain, 1, mtime=0), digest_of(plain)


def big(name, size):
    return layer(**{name: os.urandom(size)})


def add(registry, repository="app", tag="1", layers=None, platform=None, **more):
    layers = layers or [layer(a="one"), layer(b="two")]
    config = {
        "architecture": "amd64", "os": "linux", "config": {"Env": ["A=b"], "Cmd": ["true"]},
        "rootfs": {"type": "layers", "diff_ids": [diff for _, diff in layers]},
    } | (platform or {})  # fmt: skip
    return registry.add_image(repository, tag, [blob for blob, _ in layers], config=json.dumps(config).encode(), **more)


def stored(engine, digest):
    """The bytes of a blob in the store, as the file they are."""
    path = engine.root / "blobs/sha256" / digest.removeprefix("sha256:")
    return path.read_bytes()


def partial(engine):
    path = engine.root / "partial"
    return sorted(os.listdir(path)) if path.exists() else []


# What is told


def test_a_pull_as_docker_tells_it(fresh, registry):
    digest = add(registry)
    name = f"{registry.host}/app"
    result = fresh.ok("pull", f"{name}:1", timeout=60)
    shorts = [digest_of(blob)[7:19] for blob, _ in (layer(a="one"), layer(b="two"))]
    assert result.lines[0] == f"1: Pulling from {name.partition('/')[2]}"
    assert set(result.lines[1:3]) == {f"{short}: Pulling fs layer" for short in shorts}
    for short in shorts:
        assert f"{short}: Download complete" in result.lines and f"{short}: Pull complete" in result.lines
    assert result.lines[-3:] == [f"Digest: {digest}", f"Status: Downloaded newer image for {name}:1", f"{name}:1"]
    again = fresh.ok("pull", f"{name}:1")
    assert again.lines == [f"1: Pulling from {name.partition('/')[2]}", f"Digest: {digest}", f"Status: Image is up to date for {name}:1", f"{name}:1"]
    assert partial(fresh) == []
    invariants.check_invariants(fresh)


def test_the_default_tag_and_quiet(fresh, registry):
    add(registry, tag="latest")
    assert fresh.ok("pull", f"{registry.host}/app").lines[0] == "Using default tag: latest"
    assert fresh.ok("pull", "-q", f"{registry.host}/app").text == f"{registry.host}/app:latest"


def test_progress_as_json(fresh, registry):
    add(registry)
    events = [json.loads(line) for line in fresh.ok("pull", "--progress", "json", f"{registry.host}/app:1").lines]
    assert {"status": "Pull complete", "id": digest_of(layer(a="one")[0])[7:19]} in events
    assert events[-1]["status"].startswith("Status: Downloaded newer image")


def test_what_came_is_what_the_registry_has(fresh, registry):
    digest = add(registry)
    fresh.ok("pull", f"{registry.host}/app:1")
    manifest, _ = registry.manifests["app"][digest]
    assert stored(fresh, digest) == manifest
    for blob in (json.loads(manifest)["config"], *json.loads(manifest)["layers"]):
        assert stored(fresh, blob["digest"]) == registry.blobs[blob["digest"]]
    assert fresh.inspect(f"{registry.host}/app:1", "RepoDigests") == [f"{registry.host}/app@{digest}"]


def test_an_up_to_date_tag_costs_one_head(fresh, registry):
    """users-ask 43."""
    add(registry)
    fresh.ok("pull", f"{registry.host}/app:1")
    registry.requests.clear()
    fresh.ok("pull", f"{registry.host}/app:1")
    assert [request.method for request in registry.seen(pattern="/manifests/|/blobs/")] == ["HEAD"]


def test_by_digest(fresh, registry):
    digest = add(registry)
    name = f"{registry.host}/app@{digest}"
    assert fresh.ok("pull", name).lines[-1] == name
    assert fresh.ok("images", "--digests", "--format", "{{.Repository}} {{.Tag}} {{.Digest}}").text == f"{registry.host}/app <none> {digest}"
    registry.requests.clear()
    fresh.ok("pull", name)
    assert registry.requests == [], "what a digest names cannot change"


def test_a_tag_that_moved(fresh, registry):
    add(registry)
    fresh.ok("pull", f"{registry.host}/app:1")
    old = fresh.ok("images", "-q").text
    add(registry, layers=[layer(a="one"), layer(c="three")])
    result = fresh.ok("pull", f"{registry.host}/app:1")
    assert f"{digest_of(layer(a='one')[0])[7:19]}: Already exists" in result.lines
    assert registry.count("GET", BLOB + digest_of(layer(a="one")[0])) == 1
    assert fresh.ok("images", "--format", "{{.ID}} {{.Tag}}").text.splitlines().count(f"{old} <none>") == 1


def test_all_tags(fresh, registry):
    for tag in ("1", "2", "x"):
        add(registry, tag=tag)
    fresh.ok("pull", "-a", f"{registry.host}/app", timeout=30)
    assert sorted(fresh.ok("images", "--format", "{{.Tag}}").lines) == ["1", "2", "x"]
    fresh.call("pull", "-a", f"{registry.host}/app:1").fails(1, "tag can't be used with --all-tags/-a")


# Which image


def two_platforms(registry):
    here = add(registry, tag=None, layers=[layer(which="amd64")])
    there = add(registry, tag=None, layers=[layer(which="arm64")], platform={"architecture": "arm64", "variant": "v8"})
    return registry.add_index("app", "1", [
        (here, {"os": "linux", "architecture": "amd64"}), (there, {"os": "linux", "architecture": "arm64", "variant": "v8"}),
    ])  # fmt: skip


def test_an_index_gives_what_runs_here(fresh, registry):
    index = two_platforms(registry)
    fresh.ok("pull", f"{registry.host}/app:1")
    assert fresh.inspect(f"{registry.host}/app:1", "Architecture") == "amd64"
    assert f"{registry.host}/app@{index}" in fresh.inspect(f"{registry.host}/app:1", "RepoDigests")
    assert stored(fresh, index) == registry.manifests["app"]["1"][0], "the index can be pushed again"
    fresh.ok("pull", "--platform", "linux/arm64", f"{registry.host}/app:1")
    assert fresh.inspect(f"{registry.host}/app:1", "Architecture") == "arm64"


def test_a_platform_that_is_not_there(fresh, registry):
    two_platforms(registry)
    fresh.call("pull", "--platform", "linux/s390x", f"{registry.host}/app:1").fails(1, "no image for platform linux/s390x.*linux/amd64, linux/arm64/v8")
    add(registry, tag="single")
    fresh.call("pull", "--platform", "linux/arm64", f"{registry.host}/app:single").fails(1, "does not match the specified platform: wanted linux/arm64, actual: linux/amd64")
    assert fresh.ok("images", "-q").text == ""


def test_what_is_no_image(fresh, registry):
    artifact = registry.add_image("app", "artifact", [b"x"], config=b"{}", config_type="application/vnd.example.thing")
    assert artifact
    fresh.call("pull", f"{registry.host}/app:artifact").fails(1, "artifact of type application/vnd.example.thing")
    registry.add_manifest("app", "old", {"schemaVersion": 1, "name": "x", "tag": "y", "fsLayers": []}, "application/vnd.docker.distribution.manifest.v1+json")
    fresh.call("pull", f"{registry.host}/app:old").fails(1, "schema 1")
    fresh.call("pull", f"{registry.host}/app:nosuch").fails(1, "not found")
    fresh.call("pull", f"{registry.host}/UPPER").fails(1, "invalid reference|lower")


@pytest.mark.parametrize("change", ["diff id", "blob", "config", "short"])
def test_bytes_that_are_not_what_they_should_be(fresh, registry, change):
    """S56: nothing of such an image becomes visible."""
    blob, diff = layer(a="one")
    if change == "diff id":
        add(registry, layers=[(blob, "sha256:" + "1" * 64)])
        wanted = "diff id"
    else:
        digest = add(registry, layers=[(blob, diff)])
        manifest = json.loads(registry.manifests["app"][digest][0])
        target = manifest["config"]["digest"] if change == "config" else digest_of(blob)
        if change == "short":
            registry.blobs[target] = registry.blobs[target][:-5]
            wanted = "ends early|size|bytes|short"
        else:
            data = bytearray(registry.blobs[target])
            data[-1] ^= 1
            registry.blobs[target] = bytes(data)
            wanted = "digest|corrupt|crc|check"
    fresh.call("pull", f"{registry.host}/app:1", timeout=90).fails(1, wanted)
    assert fresh.ok("images", "-aq").text == ""
    assert partial(fresh) == [] or change == "short"
    invariants.check_invariants(fresh)


# What breaks on the way


def test_a_pull_that_was_killed_goes_on_where_it_was(fresh, registry):
    """F01, users-ask 7: a kill at nine tenths costs one tenth."""
    size = 8 << 20
    blob, diff = big("data", size)
    small = layer(a="one")
    add(registry, layers=[small, (blob, diff)])
    registry.fault("GET", BLOB + digest_of(blob), times=1, stall=len(blob) * 9 // 10)
    pull = fresh.popen("pull", f"{registry.host}/app:1")
    path = fresh.root / "partial" / digest_of(blob)[7:]
    wait_for(lambda: path.exists() and path.stat().st_size >= len(blob) * 8 // 10, "most of the blob")
    places = [fresh.root / "partial" / digest_of(small[0])[7:], fresh.root / "blobs/sha256" / digest_of(small[0])[7:]]
    wait_for(lambda: any(place.exists() and place.stat().st_size == len(small[0]) for place in places), "the small layer")
    pull.kill()
    pull.wait()
    registry.release()
    registry.requests.clear()
    fresh.ok("pull", f"{registry.host}/app:1", timeout=60)
    again = registry.seen("GET", BLOB + digest_of(blob))
    assert len(again) == 1 and int(again[0].header("range").removeprefix("bytes=").rstrip("-")) >= len(blob) * 8 // 10
    assert registry.count("GET", BLOB + digest_of(small[0])) == 0, "what was whole is not fetched again"
    assert partial(fresh) == []
    invariants.check_invariants(fresh)


def test_a_copy_into_the_store_goes_on_where_it_was(fresh, registry):
    """What `image copy` takes from a registry comes as in a pull."""
    blob, diff = big("data", 1 << 20)
    digest = add(registry, layers=[layer(a="one"), (blob, diff)])
    registry.fault("GET", BLOB + digest_of(blob), times=1, stall=len(blob) // 2)
    words = ("image", "copy", "--src-tls-verify=false", f"docker://{registry.host}/app:1", "berth:copied:1")
    copy = fresh.popen(*words, start_new_session=True)
    path = fresh.root / "partial" / digest_of(blob)[7:]
    wait_for(lambda: path.exists() and path.stat().st_size > len(blob) // 4, "some of the blob")
    os.killpg(copy.pid, signal.SIGINT)
    assert copy.wait(timeout=10) != 0
    assert fresh.ok("images", "-aq").text == ""
    registry.release()
    registry.requests.clear()
    fresh.ok(*words, timeout=60)
    again = registry.seen("GET", BLOB + digest_of(blob))
    assert len(again) == 1 and again[0].header("range")
    assert stored(fresh, digest) == registry.manifests["app"]["1"][0] and stored(fresh, digest_of(blob)) == blob
    assert partial(fresh) == []
    invariants.check_invariants(fresh)


@pytest.mark.quiet
@pytest.mark.parametrize("name", ["INT", "TERM"])
def test_a_signal_ends_a_pull_at_once(fresh, registry, name):
    blob, diff = big("data", 1 << 20)
    add(registry, layers=[(blob, diff)])
    registry.fault("GET", BLOB + digest_of(blob), times=1, stall=1 << 19)
    pull = fresh.popen("pull", f"{registry.host}/app:1", start_new_session=True)
    wait_for(lambda: registry.count("GET", BLOB + digest_of(blob)), "the blob to be asked for")
    os.killpg(pull.pid, getattr(signal, f"SIG{name}"))
    began = time.monotonic()
    assert pull.wait(timeout=10) != 0
    assert time.monotonic() - began < 1
    registry.release()
    fresh.ok("pull", f"{registry.host}/app:1", timeout=60)
    invariants.check_invariants(fresh)


def test_damage_in_what_was_kept_is_found(fresh, registry):
    blob, diff = big("data", 1 << 20)
    add(registry, layers=[(blob, diff)])
    directory = fresh.root / "partial"
    directory.mkdir(mode=0o700, parents=True)
    path = directory / digest_of(blob)[7:]
    path.write_bytes(b"\0" * 5000)
    for each in (fresh.root, directory, path):
        os.chown(each, fresh.who.uid, fresh.who.gid)
    fresh.ok("pull", f"{registry.host}/app:1", timeout=60)
    assert stored(fresh, digest_of(blob)) == blob


def test_a_connection_that_breaks_is_resumed(fresh, registry):
    """F22."""
    blob, diff = big("data", 2 << 20)
    add(registry, layers=[(blob, diff)])
    registry.fault("GET", BLOB + digest_of(blob), times=2, cut=500_000)
    fresh.ok("pull", f"{registry.host}/app:1", timeout=60)
    assert [request.header("range") is None for request in registry.seen("GET", BLOB + digest_of(blob))] == [True, False, False]
    assert stored(fresh, digest_of(blob)) == blob


def test_two_pulls_fetch_each_blob_once(fresh, registry):
    """users-ask 7, F27."""
    layers = [big(f"f{number}", 300_000) for number in range(5)]
    add(registry, layers=layers)
    add(registry, repository="other", layers=[*layers[:3], big("more", 1000)])
    registry.fault("GET", BLOB, slow=(100_000, 0.05))
    pulls = [fresh.popen("pull", f"{registry.host}/{name}:1") for name in ("app", "app", "other", "app")]
    for pull in pulls:
        assert pull.wait(timeout=60) == 0, pull.communicate()
    for blob, _ in layers:
        assert registry.count("GET", BLOB + digest_of(blob)) == 1
    assert partial(fresh) == []
    invariants.check_invariants(fresh)


def test_one_of_several_pulls_is_killed(fresh, registry):
    """F27: the others finish what it began."""
    layers = [big(f"f{number}", 400_000) for number in range(4)]
    add(registry, layers=layers)
    registry.fault("GET", BLOB, slow=(50_000, 0.05))
    first = fresh.popen("pull", f"{registry.host}/app:1")
    wait_for(lambda: registry.count("GET", BLOB), "the first to fetch a blob")
    pulls = [first, *(fresh.popen("pull", f"{registry.host}/app:1") for _ in range(3))]
    wait_for(lambda: registry.count("HEAD", "/manifests/") >= 4, "all four to have asked")
    first.kill()
    for pull in pulls[1:]:
        assert pull.wait(timeout=60) == 0, pull.communicate()
    pulls[0].wait()
    invariants.check_invariants(fresh)


def test_the_same_layer_twice(fresh, registry):
    same = layer(a="one")
    add(registry, layers=[same, layer(b="two"), same])
    fresh.ok("pull", f"{registry.host}/app:1")
    assert registry.count("GET", BLOB + digest_of(same[0])) == 1
    invariants.check_invariants(fresh)


def test_no_layers_and_many(fresh, registry):
    config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": []}}
    registry.add_image("empty", "1", [], config=json.dumps(config).encode())
    fresh.ok("pull", f"{registry.host}/empty:1")
    add(registry, repository="many", layers=[layer(**{f"f{number}": str(number)}) for number in range(60)])
    fresh.ok("pull", f"{registry.host}/many:1", timeout=60)
    invariants.check_invariants(fresh)


def test_plain_and_zstd_layers(fresh, registry):
    made = images.Layer().file("a", b"x" * 100_000).bytes
    add(registry, repository="plain", layers=[(made, digest_of(made))], layer_type="application/vnd.oci.image.layer.v1.tar")
    fresh.ok("pull", f"{registry.host}/plain:1")
    add(registry, repository="zstd", layers=[(images.compressed(made, "zstd"), digest_of(made))], layer_type="application/vnd.oci.image.layer.v1.tar+zstd")
    fresh.ok("pull", f"{registry.host}/zstd:1")
    invariants.check_invariants(fresh)


# Without `write`: NIO's threads wake each other with it. What is unpacked is written so; the full disk below fails it.
CALLS = MUTATING.replace(",write,", ",")


@pytest.mark.parametrize("fault", ["signal=SIGKILL", "error=EIO", "error=ENOSPC"])
def test_f01_f03_any_call_of_a_pull(fresh, registry, place, fault):
    """Killed or failing at the Nth call: no half image, and the same command completes it."""
    require_strace()
    add(registry)
    name = f"{registry.host}/app:1"
    happened = 0
    for number in numbers((1, 5, 12, 20, 29, 38, 50, 70)):
        result, hit = injected(fresh, place, CALLS, fault, number, "pull", "-q", name)
        if not hit:
            break
        happened += 1
        if "KILL" not in fault:
            invariants.no_traps(result)
        # Whole or not there: what is listed can be saved, layer by layer.
        if fresh.ok("images", "-q").text:
            fresh.ok("save", "-o", place / "saved", name, timeout=60)
        fresh.ok("pull", "-q", name, timeout=60)
        invariants.check_invariants(fresh)
        # Killed between the rows and the clearing up: second names of blobs that rows name, without room of their own.
        blobs = {entry.stat().st_ino for entry in os.scandir(fresh.root / "blobs/sha256")}
        assert all((fresh.root / "partial" / left).stat().st_ino in blobs for left in partial(fresh)), (fault, number)
        fresh.ok("image", "prune", "-f")
        assert partial(fresh) == [], (fault, number)
        fresh.ok("rmi", name)
    assert happened > 2


@pytest.mark.parametrize("loop", [128], indirect=True)
def test_f07_a_full_disk(loop, registry):
    """The pull says so, everything that frees room works, and the image comes when there is room again."""
    add(registry, layers=[big("data", 200 << 20)], tag="huge")
    add(registry, tag="small")
    loop.call("pull", f"{registry.host}/app:huge", timeout=120).fails(1, "no space|disk is full|room")
    assert loop.ok("images", "-aq").text == ""
    for words in (["ps", "-a"], ["system", "df"], ["image", "prune", "-f"]):
        loop.ok(*words, timeout=60)
    loop.ok("pull", f"{registry.host}/app:small", timeout=60)
    invariants.check_invariants(loop)


# F04, F05: power loss


def assert_whole(engine, name, layers, registry):
    """The image is there with every blob as the registry has it, and its layers as their blobs say."""
    assert engine.ok("image", "inspect", "--format", "{{len .RootFS.Layers}}", name).text == str(len(layers))
    for blob, _ in layers:
        assert stored(engine, digest_of(blob)) == blob
    oracle.assert_sound(engine)
    registry.requests.clear()
    engine.ok("pull", name, timeout=60)
    assert registry.count("GET", BLOB) == 0, "nothing was missing"


def test_f05_power_loss_after_a_pull(loop, registry):
    """Exit 0: the image, its layers and its name are on the disk."""
    layers = [layer(a="one"), big("data", 2 << 20), layer(**{f"f{number}": "x" * 3000 for number in range(100)})]
    add(registry, layers=layers)
    name = f"{registry.host}/app:1"
    loop.ok("pull", name, timeout=60)
    fail_power(loop)
    assert_whole(loop, name, layers, registry)

    # A tag that moved: the new image, and the old one under no name.
    moved = [layers[0], layer(c="three")]
    add(registry, layers=moved)
    loop.ok("pull", name, timeout=60)
    fail_power(loop)
    assert_whole(loop, name, moved, registry)


def fail_power(engine):
    """The power fails and comes back: what an earlier boot called whole has to be verified again."""
    engine.lose_power(stopped=engine.processes)
    for name in partial(engine):
        digest, _, boot = name.partition("-")
        if boot:
            os.rename(engine.root / "partial" / name, engine.root / "partial" / f"{digest}-11111111-2222-3333-4444-555555555555")


def after_power_loss(engine, name, layers, registry):
    """The image is absent, or whole; the next pull completes it, and what was kept of a blob is verified before it is used."""
    oracle.assert_sound(engine)
    if engine.ok("images", "-q").text:
        assert_whole(engine, name, layers, registry)
    engine.ok("pull", name, timeout=60)
    assert_whole(engine, name, layers, registry)
    engine.ok("system", "prune", "-f")
    assert partial(engine) == []


@pytest.mark.parametrize("sent", [0, 1, 100_000, 1_500_000])
def test_f04_power_loss_while_a_blob_comes(loop, registry, sent):
    layers = [layer(a="one"), big("data", 2 << 20), layer(**{f"f{number}": "x" * 3000 for number in range(200)})]
    add(registry, layers=layers)
    name, large = f"{registry.host}/app:1", digest_of(layers[1][0])
    registry.fault("GET", BLOB + large, times=1, stall=sent)
    pull = loop.popen("pull", name, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: registry.count("GET", BLOB + large), "the large blob to be asked for")
    if sent:
        path = loop.root / "partial" / large[7:]
        wait_for(lambda: path.exists() and path.stat().st_size == sent, "what was sent to be kept")
    fail_power(loop)
    pull.wait(20)
    registry.release()
    registry.rules.clear()
    after_power_loss(loop, name, layers, registry)


def test_f04_power_loss_at_any_call_of_a_pull(loop, registry, place):
    """While it unpacks, syncs and commits, which is not seen from outside: in the place of the Nth call."""
    require_strace()
    layers = [layer(a="one"), big("data", 1 << 20), layer(**{f"f{number}": "x" * 3000 for number in range(20)})]
    add(registry, layers=layers)
    name = f"{registry.host}/app:1"
    happened = 0
    for number in numbers((2, 6, 11, 18, 27, 40)):
        result, hit = injected(loop, place, CALLS, "signal=SIGKILL", number, "pull", "-q", name)
        fail_power(loop)
        if not hit:
            result.check()
            assert_whole(loop, name, layers, registry)
            break
        happened += 1
        after_power_loss(loop, name, layers, registry)
        loop.ok("rmi", name)
    assert happened > 2


@pytest.mark.parametrize("how", ["not written", "damaged"])
def test_f05_what_power_loss_left_of_a_blob_is_never_named(fresh, registry, who, how, layer_format):
    """Even where nobody could clear it away before, because another command reads the store all the time."""
    layers = [layer(a="one"), big("data", 100_000)]
    add(registry, layers=layers)
    add(registry, "other", layers=[layer(c="three")])
    fresh.ok("pull", f"{registry.host}/other:1")
    for blob, _ in layers:
        path = fresh.root / "blobs/sha256" / digest_of(blob)[7:]
        path.write_bytes(b"" if how == "not written" else bytes(len(blob)))
        os.chown(path, who.uid, who.gid)
    with locked(fresh.root / "content.lock", fcntl.F_RDLCK):
        fresh.ok("pull", f"{registry.host}/app:1", timeout=60)
    assert_whole(fresh, f"{registry.host}/app:1", layers, registry)
    oracle.assert_sound(fresh)
    assert partial(fresh) == []


# run and create


def runnable(registry, init, tag="latest"):
    plain = images.base_layer(init).bytes
    return add(registry, repository="box", tag=tag, layers=[(gzip.compress(plain, 1), digest_of(plain))])


def test_run_pulls_what_is_missing(fresh, registry):
    runnable(registry, fresh.suite.init)
    result = fresh.call("run", "--rm", "--network", "none", f"{registry.host}/box", "echo", "hello", timeout=60)
    result.exits(0)
    assert result.text == "hello", "progress is told on standard error"
    assert f"Unable to find image '{registry.host}/box:latest' locally" in result.err
    assert "Pull complete" in result.err
    registry.requests.clear()
    assert fresh.ok("run", "--rm", "--network", "none", f"{registry.host}/box", "echo", "again").text == "again"
    assert registry.requests == []


def test_pull_policies(fresh, registry):
    runnable(registry, fresh.suite.init)
    name = f"{registry.host}/box"
    fresh.call("run", "--rm", "--pull", "never", "--network", "none", name, "true").fails(125, "No such image")
    assert registry.requests == []
    fresh.ok("create", "--pull", "missing", "--network", "none", "--name", "it", name, "true", timeout=60)
    registry.requests.clear()
    fresh.ok("run", "--rm", "--pull", "always", "--network", "none", name, "true", timeout=60)
    assert registry.count("HEAD", "/manifests/") == 1
    fresh.call("run", "--rm", "--network", "none", f"{registry.host}/nosuch", "true", timeout=60).fails(125, "not found")
    assert fresh.names("-a") == ["it"]
    fresh.clear()


# push


def test_a_push_and_back(fresh, registry, test_archive):
    fresh.ok("load", "-i", test_archive, timeout=60)
    name = f"{registry.host}/mine/box:2"
    fresh.ok("tag", "test", name)
    result = fresh.ok("push", name, timeout=60)
    assert result.lines[0] == f"The push refers to repository [{registry.host}/mine/box]"
    digest, size = result.lines[-1].split("digest: ")[1].split(" size: ")
    assert digest_of(registry.manifests["mine/box"]["2"][0]) == digest and len(registry.manifests["mine/box"]["2"][0]) == int(size)
    assert f"{registry.host}/mine/box@{digest}" in fresh.inspect(name, "RepoDigests")
    registry.requests.clear()
    assert f"2: digest: {digest} size: {size}" in fresh.ok("push", name).lines
    assert registry.count("POST|PATCH|PUT") == 0, "what is there is not sent again"
    fresh.ok("rmi", "-f", "test", name)
    fresh.ok("pull", name, timeout=60)
    assert fresh.inspect(name, "RepoDigests") == [f"{registry.host}/mine/box@{digest}"]
    invariants.check_invariants(fresh)


def test_a_pulled_image_is_pushed_byte_for_byte(fresh, registry):
    digest = add(registry)
    fresh.ok("pull", f"{registry.host}/app:1")
    with FaultRegistry() as other:
        fresh.ok("tag", f"{registry.host}/app:1", f"{other.host}/copy:1")
        fresh.ok("push", f"{other.host}/copy:1", timeout=60)
        data, kind = other.manifests["copy"]["1"]
        assert digest_of(data) == digest and json.loads(data)["mediaType"] == kind
        for name in registry.blobs:
            assert other.blobs[name] == registry.blobs[name]


def test_layers_are_mounted_from_neighbours(fresh, registry):
    add(registry)
    fresh.ok("pull", f"{registry.host}/app:1")
    fresh.ok("tag", f"{registry.host}/app:1", f"{registry.host}/other/name:1")
    result = fresh.ok("push", f"{registry.host}/other/name:1", timeout=60)
    assert f"{digest_of(layer(a='one')[0])[7:19]}: Mounted from app" in result.lines
    assert registry.count("PUT|PATCH", "/blobs/uploads/") == 0


def test_a_push_that_cannot_be(fresh, registry):
    fresh.call("push", f"{registry.host}/nosuch:1").fails(1, "An image does not exist locally with the tag")
    add(registry)
    fresh.ok("pull", f"{registry.host}/app:1")
    registry.fault("PUT", "/manifests/", status=403, body=b'{"errors":[{"code":"DENIED","message":"no"}]}')
    fresh.ok("tag", f"{registry.host}/app:1", f"{registry.host}/app:2")
    fresh.call("push", f"{registry.host}/app:2").fails(1, "denied|no")
    assert "2" not in registry.manifests["app"]


def test_all_tags_are_pushed(fresh, registry):
    add(registry)
    fresh.ok("pull", f"{registry.host}/app:1")
    for tag in ("2", "3"):
        fresh.ok("tag", f"{registry.host}/app:1", f"{registry.host}/app:{tag}")
    fresh.ok("push", "-a", f"{registry.host}/app", timeout=60)
    assert {"1", "2", "3"} <= set(registry.manifests["app"])


# Policy, pins, repair


def test_a_signature_policy_that_rejects(fresh, registry, place):
    add(registry)
    policy = images.write(place / "policy.json", json.dumps({
        "default": [{"type": "insecureAcceptAnything"}], "transports": {"docker": {registry.host: [{"type": "reject"}]}},
    }).encode())  # fmt: skip
    fresh.call("pull", "--signature-policy", policy, f"{registry.host}/app:1").fails(1, "rejected by policy")
    assert registry.count("GET", BLOB) == 0 and fresh.ok("images", "-aq").text == ""
    fresh.ok("pull", f"{registry.host}/app:1")
    fresh.call("pull", "--signature-policy", policy, f"{registry.host}/app:1").fails(1, "rejected by policy")


def test_a_lock_file_pins_what_a_tag_was(fresh, registry, place):
    first = add(registry)
    lock = place / "images.lock"
    fresh.call("pull", "--locked", "--lock", lock, f"{registry.host}/app:1").fails(1, "not in the lock file")
    fresh.ok("pull", "--lock", lock, f"{registry.host}/app:1")
    assert f"{registry.host}/app:1 {first}" in lock.read_text()
    second = add(registry, layers=[layer(other="x")])
    assert second != first
    assert f"Digest: {first}" in fresh.ok("pull", "--locked", "--lock", lock, f"{registry.host}/app:1").lines
    assert f"Digest: {second}" in fresh.ok("pull", f"{registry.host}/app:1").lines


@pytest.mark.parametrize("what", ["blob", "manifest"])
def test_repair_pulls_what_is_gone(fresh, registry, what):
    """F10."""
    digest = add(registry)
    fresh.ok("pull", f"{registry.host}/app:1")
    lost = digest_of(layer(a="one")[0]) if what == "blob" else digest
    path = fresh.root / "blobs/sha256" / lost.removeprefix("sha256:")
    path.unlink()
    fresh.call("system", "check").exits(1)
    fresh.call("system", "check", "--repair", timeout=60)
    assert digest_of(path.read_bytes()) == lost
    invariants.check_invariants(fresh)


# Ambiguous and oversized documents


@pytest.mark.parametrize("change,pattern", [
    ({"manifests": []}, "manifest|both|ambiguous|index"), ({"schemaVersion": 1}, "schema"), ({"layers": None}, "layers|null|array"),
    ({"config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "sha256:00", "size": 2}}, "digest"),
])  # fmt: skip
def test_s53_documents(fresh, registry, change, pattern):
    digest = add(registry)
    document = json.loads(registry.manifests["app"][digest][0]) | change
    registry.add_manifest("app", "bad", document)
    fresh.call("pull", f"{registry.host}/app:bad").fails(1, pattern)
    assert fresh.ok("images", "-aq").text == ""
    assert registry.count("GET", BLOB + digest_of(layer(a="one")[0])) == 0


def test_a_content_type_that_is_not_the_documents(fresh, registry):
    add(registry)
    registry.fault("GET|HEAD", "/manifests/", amend={"Content-Type": "application/vnd.docker.distribution.manifest.v2+json"})
    fresh.call("pull", f"{registry.host}/app:1").fails(1, "media ?type|mediaType|type")
    assert fresh.ok("images", "-aq").text == ""


# What run hands on


def test_run_with_a_lock_file(fresh, registry, place):
    first = runnable(registry, fresh.suite.init)
    name = f"{registry.host}/box"
    lock = place / "images.lock"
    fresh.call("run", "--rm", "--locked", "--lock", lock, "--network", "none", name, "true").fails(125, "not in the lock file")
    fresh.call("run", "--rm", "--locked", "--network", "none", name, "true").fails(125, "--locked needs --lock FILE")
    fresh.call("create", "--pull", "never", "--lock", lock, name).fails(125, "--lock and --pull never contradict each other")
    fresh.ok("run", "--rm", "--lock", lock, "--network", "none", name, "true", timeout=60)
    assert f"{name}:latest {first}" in lock.read_text()
    # The tag moves, and the one here with it; the pin does not.
    second = add(registry, repository="box", tag="latest", layers=[layer(nothing="to run")])
    fresh.ok("pull", name)
    assert fresh.inspect(name, "RepoDigests") == [f"{name}@{second}"]
    fresh.ok("create", "--locked", "--lock", lock, "--network", "none", "--name", "it", name, "true", timeout=60)
    assert fresh.inspect(name, "RepoDigests") == [f"{name}@{first}"]
    # What is pinned and here costs no question.
    registry.requests.clear()
    fresh.ok("run", "--rm", "--locked", "--lock", lock, "--network", "none", name, "true", timeout=60)
    assert registry.requests == []
    fresh.clear()


def test_run_hands_on_how_registries_are_asked(fresh, registry, place):
    runnable(registry, fresh.suite.init)
    name = f"{registry.host}/box"
    registry.basic("me", "secret")
    words = ("--rm", "--network", "none", name, "true")
    fresh.call("run", *words, timeout=60).fails(125, "wants authentication")
    fresh.ok("run", "--creds", "me:secret", *words, timeout=60)
    fresh.ok("rmi", name)
    file = images.write(place / "auth.json", json.dumps({"auths": {registry.host: {"auth": "bWU6c2VjcmV0"}}}).encode())
    result = fresh.call("run", "--authfile", file, "--progress", "json", *words, timeout=60).exits(0)
    assert '{"status":"Pull complete"' in result.err
    fresh.ok("rmi", name)
    registry.fault("HEAD", "/manifests/", times=3, status=503, retry_after="0")
    registry.requests.clear()
    fresh.call("run", "--authfile", file, "--retry", "0", *words, timeout=60).fails(125, "503")
    assert registry.count("HEAD", "/manifests/") == 1
    fresh.ok("run", "--authfile", file, "--retry", "9", "--retry-delay", "1ms", "--quiet", *words, timeout=60)
    fresh.clear()


def test_run_hands_on_what_it_trusts(fresh, place):
    with FaultRegistry(tls=Certificates(place / "tls")) as registry:
        runnable(registry, fresh.suite.init)
        words = ("--network", "none", f"{registry.host}/box", "true")
        trusted = place / "trusted"
        trusted.mkdir(mode=0o755)
        images.write(trusted / "ca.crt", registry.tls.authority.read_bytes())
        fresh.call("create", "--tls-verify", *words, timeout=60).fails(125, "certificate")
        fresh.ok("run", "--rm", "--cert-dir", trusted, *words, timeout=60)
        fresh.ok("rmi", f"{registry.host}/box")
        fresh.ok("run", "--rm", "--tls-verify=false", *words, timeout=60)
        fresh.clear()
