"""`berth image copy`, `sync`, `inspect`, `list-tags` and `delete` with docker-registry: plain, TLS, names and passwords."""

import http.server
import json
import os
import shutil
import signal
import subprocess
import threading
import time

import images
import pytest
from distribution import distribution, place, plain  # noqa: F401
from fault_registry import FaultRegistry
from images import Layout
from test_image_copy import platform_index, simple_layout, skopeo, top, tree, two_layers

PLAIN = ("--src-tls-verify=false", "--dest-tls-verify=false")


@pytest.fixture
def repository(plain, request):
    """A repository of the test's own."""
    return f"{plain.host}/{''.join(c if c.isalnum() else '-' for c in request.node.name.lower()).strip('-').replace('--', '-')}"


def inspected(name):
    return skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{name}")


def test_to_a_registry_and_back(root_berth, place, repository):
    path = simple_layout().directory(place / "source")
    root_berth.ok("image", "copy", *PLAIN, f"oci:{path}:1", f"docker://{repository}:1", timeout=30)
    assert images.digest(inspected(f"{repository}:1")) == top(path)["digest"]
    root_berth.ok("image", "copy", *PLAIN, f"docker://{repository}:1", f"dir:{place}/mine", timeout=30)
    skopeo("copy", "--src-tls-verify=false", f"docker://{repository}:1", f"dir:{place}/theirs")
    assert tree(place / "mine") == tree(place / "theirs")
    # By digest, which must be right.
    root_berth.ok("image", "copy", *PLAIN, f"docker://{repository}@{top(path)['digest']}", f"dir:{place}/by-digest", timeout=30)
    assert tree(place / "by-digest") == tree(place / "mine")
    root_berth.call("image", "copy", *PLAIN, f"docker://{repository}:nope", f"dir:{place}/x", timeout=30).fails(1, "not found|unknown")
    assert not (place / "x").exists()


def test_a_whole_index(root_berth, place, repository):
    layout = Layout()
    entry = platform_index(layout)
    layout.directory(place / "source")
    root_berth.ok("image", "copy", "--all", *PLAIN, f"oci:{place}/source:all", f"docker://{repository}:all", timeout=30)
    assert images.digest(inspected(f"{repository}:all")) == entry["digest"]
    skopeo("copy", "--all", "--src-tls-verify=false", f"docker://{repository}:all", f"dir:{place}/theirs")
    root_berth.ok("image", "copy", "--all", *PLAIN, f"docker://{repository}:all", f"dir:{place}/mine", timeout=30)
    assert tree(place / "mine") == tree(place / "theirs")
    # From one repository to another of the same registry: nothing is sent that can be mounted.
    root_berth.ok("image", "copy", "--all", *PLAIN, f"docker://{repository}:all", f"docker://{repository}-two:all", timeout=30)
    assert images.digest(inspected(f"{repository}-two:all")) == entry["digest"]


def test_nothing_is_copied_twice(root_berth, place, plain, repository):
    path = simple_layout().directory(place / "source")
    name = repository.partition("/")[2]
    root_berth.ok("image", "copy", *PLAIN, f"oci:{path}:1", f"docker://{repository}:1", timeout=30)
    before = len(plain.requests())
    out = root_berth.ok("image", "copy", *PLAIN, f"oci:{path}:1", f"docker://{repository}:2", timeout=30)
    assert sum("skipped: already exists" in line for line in out.lines) == 3
    sent = [request for request in plain.requests()[before:] if request[0] in ("POST", "PATCH", "PUT")]
    assert sent == [("PUT", f"/v2/{name}/manifests/2")], sent
    before = len(plain.requests())
    root_berth.ok("image", "copy", *PLAIN, f"docker://{repository}:1", f"docker://{repository}-two:1", timeout=30)
    requests = plain.requests()[before:]
    assert not [request for request in requests if request[0] == "PATCH"], requests
    assert not [request for request in requests if request[0] == "GET" and f"/v2/{name}/blobs/" in request[1]], requests


def test_the_order_of_things(root_berth, place, plain, repository):
    layout = Layout()
    platform_index(layout)
    layout.directory(place / "source")
    before = len(plain.requests())
    root_berth.ok("image", "copy", "--all", *PLAIN, f"oci:{place}/source:all", f"docker://{repository}:all", timeout=30)
    writes = [path for method, path in plain.requests()[before:] if method == "PUT"]
    kinds = ["blob" if "/blobs/" in path else "tag" if path.endswith("/all") else "manifest" for path in writes]
    assert kinds == sorted(kinds, key=["blob", "manifest", "tag"].index) and kinds[-1] == "tag" and kinds.count("manifest") == 2, kinds


def test_docker_archives_to_a_registry(root_berth, place, repository):
    layers = two_layers()
    images.write(place / "saved.tar", images.docker_archive(layers, ["x:1"]))
    root_berth.ok("image", "copy", *PLAIN, f"docker-archive:{place}/saved.tar", f"docker://{repository}:1", timeout=30)
    manifest = json.loads(inspected(f"{repository}:1"))
    assert manifest["mediaType"] == "application/vnd.docker.distribution.manifest.v2+json"
    assert {layer["mediaType"] for layer in manifest["layers"]} == {"application/vnd.docker.image.rootfs.diff.tar.gzip"}
    root_berth.ok("image", "copy", *PLAIN, f"docker://{repository}:1", f"docker-archive:{place}/back.tar:x:1", timeout=30)
    assert root_berth.ok("load", "-i", place / "back.tar").lines[-1] == "Loaded image: x:1"


def test_hostile_blobs_reach_no_registry(root_berth, place, plain, repository):
    from test_image_copy import HOSTILE, spoiled

    for change, pattern in HOSTILE.values():
        shutil.rmtree(place / "source", ignore_errors=True)
        spoiled(**change).directory(place / "source")
        before = len(plain.requests())
        root_berth.call("image", "copy", *PLAIN, f"oci:{place}/source:1", f"docker://{repository}:1", timeout=30).fails(1, pattern)
        assert not [path for method, path in plain.requests()[before:] if method == "PUT" and "/manifests/" in path]


def test_tls_with_an_authority_of_its_own(root_berth, place, suite):
    path = simple_layout().directory(place / "source")
    with distribution(place / "registry", tls=True) as server:
        name = f"docker://{server.host}/app:1"
        # A registry on loopback is trusted unless somebody says otherwise, as in Docker.
        verified = "--dest-tls-verify"
        root_berth.call("image", "copy", verified, f"oci:{path}:1", name, timeout=60).fails(1, "certificate|TLS|tls")
        (place / "certificates").mkdir()
        shutil.copy(server.ca, place / "certificates/ca.crt")
        root_berth.ok("image", "copy", verified, "--dest-cert-dir", place / "certificates", f"oci:{path}:1", name, timeout=30)
        assert images.digest(server.get("app/manifests/1", images.MANIFEST)[0]) == top(path)["digest"]
        root_berth.ok("image", "copy", "--src-tls-verify", "--src-cert-dir", place / "certificates", name, f"dir:{place}/out", timeout=30)
        assert images.digest(tree(place / "out")["manifest.json"]) == top(path)["digest"]
        root_berth.ok("image", "copy", "--dest-tls-verify=false", f"oci:{path}:1", f"docker://{server.host}/app:2", timeout=30)


def test_names_and_passwords(root_berth, place):
    path = simple_layout().directory(place / "source")
    with distribution(place / "registry", users={"me": "secret"}) as server:
        name = f"docker://{server.host}/app:1"
        words = ("image", "copy", "--dest-tls-verify=false", f"oci:{path}:1", name)
        root_berth.call(*words, timeout=60).fails(1, "unauthorized|authentication|credentials|login")
        root_berth.call(*words, "--dest-creds", "me:wrong", timeout=60).fails(1, "unauthorized|authentication|credentials|login")
        assert "secret" not in root_berth.ok(*words, "--dest-creds", "me:secret", timeout=30).out
        auth = place / "auth.json"
        auth.write_text(json.dumps({"auths": {server.host: {"auth": "bWU6c2VjcmV0"}}}))
        for flag in ("--src-authfile", "--authfile"):
            shutil.rmtree(place / "out", ignore_errors=True)
            root_berth.ok("image", "copy", "--src-tls-verify=false", flag, auth, name, f"dir:{place}/out", timeout=30)
        inspected = root_berth.ok("image", "inspect", "--tls-verify=false", "--creds", "me:secret", name, timeout=30)
        assert json.loads(inspected.out)["RepoTags"] == ["1"]
        root_berth.call("image", "inspect", "--tls-verify=false", "--no-creds", "--authfile", auth, name, timeout=60).fails(1, "unauthorized|authentication|credentials|login")


# The other verbs


def test_inspecting(root_berth, place, repository):
    layout = Layout()
    platform_index(layout)
    layout.image(two_layers(), tag="one", compression="gzip", config={"Labels": {"a": "b"}})
    layout.directory(place / "source")
    for tag in ("all", "one"):
        root_berth.ok("image", "copy", "--all", *PLAIN, f"oci:{place}/source:{tag}", f"docker://{repository}:{tag}", timeout=30)
        name = f"docker://{repository}:{tag}"
        mine = json.loads(root_berth.ok("image", "inspect", "--tls-verify=false", name, timeout=30).out)
        theirs = json.loads(skopeo("inspect", "--tls-verify=false", name))
        assert {key: sorted(mine[key]) if key == "RepoTags" else mine[key] for key in theirs} == {**theirs, "RepoTags": sorted(theirs["RepoTags"])}
        for flag in ("--raw", "--config"):
            raw = root_berth.call("image", "inspect", "--tls-verify=false", "--raw", *([flag] if flag == "--config" else []), name, timeout=30).bytes
            assert raw == skopeo("inspect", "--tls-verify=false", "--raw", *([flag] if flag == "--config" else []), name)
    arm = root_berth.ok("image", "inspect", "--tls-verify=false", "--platform", "linux/arm64", "--format", "{{.Architecture}}", f"docker://{repository}:all", timeout=30)
    assert arm.text == "arm64"


def test_tags_and_deletion(root_berth, place, repository):
    path = simple_layout().directory(place / "source")
    for tag in ("1", "2"):
        root_berth.ok("image", "copy", *PLAIN, f"oci:{path}:1", f"docker://{repository}:{tag}", timeout=30)
    mine = json.loads(root_berth.ok("image", "list-tags", "--tls-verify=false", f"docker://{repository}", timeout=30).out)
    assert mine == json.loads(skopeo("list-tags", "--tls-verify=false", f"docker://{repository}"))
    root_berth.call("image", "list-tags", f"docker://{repository}:1").fails(1, "no tag or digest allowed")
    root_berth.call("image", "list-tags", f"oci:{path}").fails(1, "unsupported transport 'oci' for tag listing")
    root_berth.ok("image", "delete", "--tls-verify=false", f"docker://{repository}:1", timeout=30)
    root_berth.call("image", "delete", "--tls-verify=false", f"docker://{repository}:2", timeout=30).fails(1, "not found")
    root_berth.call("image", "delete", f"dir:{path}").fails(1, "remove it with rm")
    root_berth.call("image", "delete", "berth:x").fails(1, "use berth rmi x")


def test_deletion_from_the_referrers_tag(root_berth):
    """A registry without lists of referrers: what is copied there is listed below its subject's tag, and no longer when it is deleted."""
    with FaultRegistry() as registry:
        registry.add_image("team/app", "latest", [b"layer"])
        subject = registry.descriptor(*registry.manifests["team/app"]["latest"])
        digests = []
        for tag in ("sig1", "sig2"):
            text = tag.encode()
            digests.append(registry.add_image("team/app", tag, [text], config_type="application/vnd.example.sig", subject=subject))
        registry.referrers_api = False
        tag = subject["digest"].replace(":", "-")
        for name in ("sig1", "sig2"):
            root_berth.ok("image", "copy", *PLAIN, f"docker://{registry.host}/team/app:{name}", f"docker://{registry.host}/copy/app:{name}", timeout=30)
        assert [entry["digest"] for entry in json.loads(registry.manifests["copy/app"][tag][0])["manifests"]] == digests
        root_berth.ok("image", "delete", "--tls-verify=false", f"docker://{registry.host}/copy/app:sig1", timeout=30)
        assert [entry["digest"] for entry in json.loads(registry.manifests["copy/app"][tag][0])["manifests"]] == digests[1:]


def test_sync(root_berth, place, repository):
    for tag in ("1", "2"):
        path = simple_layout().directory(place / f"source{tag}")
        root_berth.ok("image", "copy", *PLAIN, f"oci:{path}:1", f"docker://{repository}:{tag}", timeout=30)
    name = repository.rpartition("/")[2]
    for scope in ([], ["--scoped"]):
        suffix = "-scoped" if scope else ""
        words = ("sync", *scope, "--src-tls-verify=false", "--src", "docker", "--dest", "dir", repository)
        out = root_berth.ok("image", *words, place / f"mine{suffix}", timeout=60)
        assert out.lines[-1] == "Synced 2 images"
        skopeo(*words, place / f"theirs{suffix}")
        assert tree(place / f"mine{suffix}") == tree(place / f"theirs{suffix}")
    assert sorted(os.listdir(place / "mine")) == [f"{name}:1", f"{name}:2"]
    root_berth.call("image", "sync", "--src-tls-verify=false", "--src", "docker", "--dest", "dir", f"{repository}:1", place / "mine", timeout=30).fails(
        1, "refusing to overwrite destination directory"
    )
    # And from a directory to a registry.
    root_berth.ok("image", "sync", "--dest-tls-verify=false", "--src", "dir", "--dest", "docker", place / "mine", f"{repository}-back", timeout=60)
    for tag in ("1", "2"):
        assert images.digest(inspected(f"{repository}-back/{name}:{tag}")) == top(place / f"source{tag}")["digest"]
    dry = root_berth.ok("image", "sync", "--dry-run", "--src-tls-verify=false", "--src", "docker", "--dest", "dir", repository, place / "dry", timeout=30)
    assert dry.lines[-1] == "Would have synced 2 images" and not (place / "dry").exists()
    root_berth.call("image", "sync", "--src", "yaml", "--dest", "dir", "x.yml", place / "x").fails(1, "YAML file is not supported")
    root_berth.call("image", "sync", "--src", "dir", "--dest", "dir", place, place / "x").fails(
        1, f"one side of image sync must be a registry: to copy a directory, type cp -r {place} {place}/x\n")
    root_berth.call("image", "sync", "--dest", "dir", "x", "y").fails(1, "a source transport must be specified")


def test_sync_into_the_store(fresh, place, repository):
    path = simple_layout().directory(place / "source")
    shutil.chown(path, fresh.who.uid, fresh.who.gid)
    fresh.ok("image", "copy", *PLAIN, f"oci:{path}:1", f"docker://{repository}:1", timeout=30)
    fresh.ok("image", "sync", "--src-tls-verify=false", "--src", "docker", "--dest", "berth", f"{repository}:1", "mirror", timeout=60)
    assert fresh.ok("images", "--format", "{{.Repository}}:{{.Tag}}").lines == [f"mirror/{repository.rpartition('/')[2]}:1"]


# Lock files


def test_lock_files(root_berth, place, repository):
    for tag in ("1", "2"):
        path = simple_layout().directory(place / f"source{tag}")
    digest = top(place / "source1")["digest"]
    push = lambda number: root_berth.ok("image", "copy", *PLAIN, f"oci:{place}/source{number}:1", f"docker://{repository}:x", timeout=30)  # noqa: E731
    push(1)
    for lock in ("images.lock", "images.json"):
        pull = ("image", "copy", "--lock", place / lock, "--src-tls-verify=false", f"docker://{repository}:x", f"dir:{place}/out")
        root_berth.call(*pull, "--locked", timeout=30).fails(1, "is not in the lock file .* --locked adds nothing")
        assert not (place / lock).exists()
        push(1)
        root_berth.ok(*pull, timeout=30)
        text = (place / lock).read_text()
        assert (json.loads(text) == {"images": {f"{repository}:x": digest}}) if lock.endswith("json") else (text == f"{repository}:x {digest}\n")
        # The tag moves, what is pinned does not.
        push(2)
        for words in ([], ["--locked"]):
            root_berth.ok(*pull, *words, timeout=30)
            assert images.digest((place / "out/manifest.json").read_bytes()) == digest
        assert (place / lock).read_text() == text
        (place / lock).write_text("this is not\na lock file at all\n")
        root_berth.call(*pull, timeout=30).fails(1, "read lock file")
    root_berth.call("image", "copy", "--locked", "dir:a", "dir:b").fails(1, "--locked needs --lock FILE")




# Ctrl-C


class Stalling(http.server.BaseHTTPRequestHandler):
    """A registry whose last layer never ends."""

    protocol_version = "HTTP/1.1"
    files, waits, release = {}, None, None

    def do_GET(self):
        name = self.path.rpartition("/")[2]
        data = self.files.get("blobs/sha256/" + name.partition(":")[2], b"") if ":" in name else self.files[name]
        self.send_response(200)
        kind = "application/octet-stream" if "/blobs/" in self.path else images.MANIFEST if self.path != "/v2/" else "text/plain"
        data = b"" if self.path == "/v2/" else data
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if len(data) > 60000:
            self.wfile.write(data[:1000])
            self.wfile.flush()
            self.waits.set()
            self.release.wait(30)
        self.wfile.write(data)

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGTERM]])
def test_an_interrupted_copy_leaves_nothing(root_berth, place, signals):
    layout = simple_layout()
    files = layout.finish()
    manifest = files["blobs/sha256/" + layout.manifests[0]["digest"].partition(":")[2]]
    handler = type("Handler", (Stalling,), {"files": {**files, "1": manifest}, "waits": threading.Event(), "release": threading.Event()})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            for destination in ("dir:{}/out", "oci:{}/out:1", "oci-archive:{}/out:1"):
                handler.waits.clear()
                process = root_berth.popen(
                    "image", "copy", "--src-tls-verify=false", f"docker://127.0.0.1:{server.server_port}/x:1", destination.format(place),
                    stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                )  # fmt: skip
                assert handler.waits.wait(20)
                began = time.monotonic()
                for number in signals:
                    process.send_signal(number)
                _, error = process.communicate(timeout=10)
                assert process.returncode == 130, error
                assert time.monotonic() - began < 2
                assert os.listdir(place) == []
        finally:
            handler.release.set()
            server.shutdown()


def test_waiting_for_another_try_can_be_interrupted(root_berth, place):
    """Within a second, and in order: the process says so itself instead of being ended."""
    simple_layout().directory(place / "source")
    with FaultRegistry() as registry:
        registry.fault("POST", "/blobs/uploads/", drop=True)
        registry.fault(".*", "/blobs/", status=503, retry_after="0")
        process = root_berth.popen(
            "image", "copy", "--retry-times", "9", "--dest-tls-verify=false", f"oci:{place}/source:1", f"docker://{registry.host}/x:1",
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        # The second pause is two seconds, the next ones longer.
        for line in process.stdout:
            if line.startswith(b"Copying failed, trying again"):
                break
        else:
            raise AssertionError(process.communicate())
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=10)
        assert process.returncode == 130 and b"interrupted" in error, error
        assert time.monotonic() - began < 0.9


def test_waiting_for_a_pipe_can_be_interrupted(root_berth, place):
    os.mkfifo(place / "pipe")
    process = root_berth.popen("image", "copy", f"oci-archive:{place}/pipe:1", f"dir:{place}/out", stderr=subprocess.PIPE)
    with open(place / "pipe", "wb"):
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=5)
    assert process.returncode == 130
    assert os.listdir(place) == ["pipe"]
