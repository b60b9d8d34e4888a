"""The embedded registry and other people's clients: skopeo, podman, dockerd, curl, umoci."""

import hashlib
import json
import os
import pathlib
import secrets
import shutil
import subprocess
import sys

import pytest
from images import Layer, Layout
from registry_server import PASSWORD, USER, RegistryServer
from registry_api import Client, sha

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from peer_docker import PrivateDocker  # noqa: E402

CREDENTIALS = f"{USER}:{PASSWORD}"


def needs(*programs):
    for name in programs:
        if not shutil.which(name):
            pytest.skip(f"{name} is not installed: scripts/setup test peers")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("peers")


@pytest.fixture(scope="module")
def run(place):
    """Runs a program that finds no configuration of this machine's user."""
    home = place / "home"
    home.mkdir()
    (home / "auth.json").write_text("{}")
    environment = {"PATH": os.environ["PATH"] + ":/usr/sbin:/sbin", "HOME": str(home), "XDG_RUNTIME_DIR": str(home),
                   "REGISTRY_AUTH_FILE": str(home / "auth.json"), "DOCKER_CONFIG": str(home)}  # fmt: skip

    def call(*command, fails=False):
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120, env=environment)
        assert (done.returncode != 0) == fails, f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stderr if fails else done.stdout

    return call


@pytest.fixture(scope="module")
def layout(place):
    """An OCI layout with an image of three layers."""
    return make_layout(place / "layout")


def make_layout(path):
    layers = []
    for number in range(3):
        layer = Layer()
        layer.file(f"file{number}", secrets.token_bytes(200_000))
        layers.append(layer)
    layout = Layout()
    layout.image(layers, tag="one", compression="gzip")
    return layout.directory(path)


@pytest.fixture(scope="module", params=["plain", "tls and password"])
def server(request):
    secure = request.param != "plain"
    with RegistryServer(tls=secure, htpasswd=secure) as server:
        server.secure = secure
        yield server


def skopeo(server, run, verb, *words, **keywords):
    """skopeo with what it needs to reach the server."""
    flags = []
    sides = {"copy": ["--src-", "--dest-"]}.get(verb, ["--"])
    docker = [str(word).startswith("docker://") for word in words if "://" in str(word) or ":" in str(word) and not str(word).startswith("-")]
    for side, is_docker in zip(sides, docker):
        if not is_docker:
            continue
        if server.secure:
            trust = server.base / "trust"
            trust.mkdir(exist_ok=True)
            shutil.copy(server.ca, trust / "ca.crt")
            flags += [f"{side}cert-dir={trust}", f"{side}creds={CREDENTIALS}"]
        else:
            flags.append(f"{side}tls-verify=false")
    return run("skopeo", "--insecure-policy", verb, *flags, *words, **keywords)


def test_skopeo_in_and_out(server, run, layout, place):
    """Byte for byte: the manifest and every blob."""
    needs("skopeo")
    name = f"docker://{server.address}/skopeo/{secrets.token_hex(4)}:v1"
    skopeo(server, run, "copy", f"oci:{layout}:one", name)
    for form in ("oci", "dir"):
        target = place / f"back-{form}-{secrets.token_hex(4)}"
        skopeo(server, run, "copy", name, f"{form}:{target}" + (":one" if form == "oci" else ""))
        if form == "oci":
            before, after = ({p.name: p.read_bytes() for p in (base / "blobs/sha256").iterdir()} for base in (layout, target))
            assert after.items() <= before.items() and len(after) == 5
        else:
            listed = json.loads((layout / "index.json").read_text())["manifests"]
            assert sha((target / "manifest.json").read_bytes()) in {entry["digest"] for entry in listed}
    inspected = json.loads(skopeo(server, run, "inspect", name))
    assert inspected["RepoTags"] == ["v1"] and len(inspected["Layers"]) == 3
    # Another repository: mounted, not pushed.
    begin = len(server.text())
    second = f"docker://{server.address}/second/{secrets.token_hex(4)}:v2"
    skopeo(server, run, "copy", name, second)
    assert "mount=" in server.text()[begin:]
    assert json.loads(skopeo(server, run, "list-tags", second.rpartition(":")[0]))["Tags"] == ["v2"]
    skopeo(server, run, "delete", second)
    skopeo(server, run, "inspect", second, fails=True)


def test_skopeo_as_docker_manifests(server, run, layout, place):
    needs("skopeo")
    name = f"docker://{server.address}/converted:v1"
    skopeo(server, run, "copy", "--format", "v2s2", f"oci:{layout}:one", name)
    assert "distribution.manifest.v2" in skopeo(server, run, "inspect", "--raw", name)
    target = place / f"converted-{secrets.token_hex(4)}"
    skopeo(server, run, "copy", name, f"dir:{target}")
    for path in target.iterdir():
        if len(path.name) == 64:
            assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name


def test_skopeo_reads_the_directory_as_a_layout(run, layout, place):
    """The registry's directory, once the server has ended, is what any tool can read."""
    needs("skopeo")
    with RegistryServer() as server:
        server.secure = False
        skopeo(server, run, "copy", f"oci:{layout}:one", f"docker://{server.address}/some/image:v1")
        server.stop()
        target = place / f"direct-{secrets.token_hex(4)}"
        run("skopeo", "--insecure-policy", "copy", f"oci:{server.data}:some/image:v1", f"dir:{target}")
        assert len([path for path in target.iterdir() if len(path.name) == 64]) == 4
        server.start()


def test_podman(server, run, layout, place):
    needs("podman")
    if os.geteuid() != 0:
        pytest.skip("needs root")
    base = pathlib.Path(f"/tmp/berth-podman-registry-{os.getpid()}-{server.port}")
    base.mkdir()
    flags = ["--root", base / "root", "--runroot", base / "run", "--tmpdir", base / "tmp", "--storage-driver", "vfs", "--events-backend", "none"]
    podman = lambda *words: run("podman", *flags, *words).strip()  # noqa: E731
    if server.secure:
        trust = base / "trust"
        trust.mkdir()
        shutil.copy(server.ca, trust / "ca.crt")
        reach = [f"--cert-dir={trust}", f"--creds={CREDENTIALS}"]
    else:
        reach = ["--tls-verify=false"]
    try:
        podman("pull", f"oci:{layout}:one")
        image = podman("images", "-q", "--no-trunc").splitlines()[0]
        name = f"{server.address}/podman/image:v1"
        podman("push", *reach, image, f"docker://{name}")
        podman("rmi", "-a", "-f")
        pulled = podman("pull", *reach, name).splitlines()[-1]
        assert image.removeprefix("sha256:") == pulled
        assert podman("image", "inspect", "--format", "{{len .RootFS.Layers}}", pulled) == "3"
    finally:
        run("podman", *flags, "rmi", "-a", "-f")
        shutil.rmtree(base, ignore_errors=True)


def test_docker(run, layout, place):
    """dockerd takes 127.0.0.0/8 without TLS."""
    reason = PrivateDocker.why_not()
    if reason:
        pytest.skip(reason)
    needs("skopeo")
    archive = place / "docker.tar"
    run("skopeo", "--insecure-policy", "copy", f"oci:{layout}:one", f"docker-archive:{archive}:of/docker:v1")
    docker = PrivateDocker(f"/tmp/berth-docker-registry-{os.getpid()}")
    try:
        with RegistryServer() as server, RegistryServer(htpasswd=True) as closed:
            docker.ok("load", "-i", archive)
            image = docker.ok("images", "-q", "--no-trunc")
            for target in (server, closed):
                name = f"{target.address}/of/docker:v1"
                docker.ok("tag", image, name)
                if target is closed:
                    assert "no basic auth credentials" in docker.call("push", name).stderr
                    docker.ok("login", "-u", USER, "-p", PASSWORD, target.address)
                docker.ok("push", name)
                # Again: nothing is sent.
                assert "Layer already exists" in docker.ok("push", name)
                # Another repository of the same registry: mounted.
                docker.ok("tag", image, f"{target.address}/other:v1")
                assert "Mounted from of/docker" in docker.ok("push", f"{target.address}/other:v1")
                docker.ok("rmi", "-f", image)
                docker.ok("pull", name)
                assert docker.ok("images", "-q", "--no-trunc") == image
            assert Client(server)("GET", "/v2/of/docker/tags/list").data == b'{"name":"of/docker","tags":["v1"]}'
    finally:
        docker.close()


def test_curl(server, run, place):
    """A file that curl announces with "Expect: 100-continue", and parts of it back."""
    needs("curl")
    data = secrets.token_bytes(3_000_000)
    (place / "file").write_bytes(data)
    curl = ["curl", "-sS", "--fail-with-body"] + (["--cacert", server.ca, "-u", CREDENTIALS] if server.secure else [])
    url = f"{server.url}/v2/by/curl/blobs/"
    run(*curl, "-H", "Expect: 100-continue", "-H", "Content-Type: application/octet-stream", "-X", "POST", "--data-binary", f"@{place}/file",
        f"{url}uploads/?digest={sha(data)}")  # fmt: skip
    run(*curl, "-o", place / "part", "-r", "0-999999", url + sha(data))
    with open(place / "part", "rb") as file:
        assert file.read() == data[:1_000_000]
    run(*curl, "-o", place / "part", "-C", "-", url + sha(data))
    assert (place / "part").read_bytes() == data


def test_many_skopeos_push_one_image(run, layout):
    needs("skopeo")
    with RegistryServer() as server:
        server.secure = False
        from registry_server import many

        names = [f"docker://{server.address}/same/image{number % 2}:t{number}" for number in range(6)]
        with many(6, lambda number: skopeo(server, run, "copy", f"oci:{layout}:one", names[number])):
            pass
        digests = {json.loads(skopeo(server, run, "inspect", name))["Digest"] for name in names}
        assert len(digests) == 1
