"""Hostile cases of attacks.md that concern what registries and images say about themselves, and secrets that are for registries."""

import base64
import json
import pathlib

import pytest

import images
from fault_registry import FaultRegistry
from terminal import Terminal

# What would change the title of the window, and colour what follows.
TITLE = "\x1b]0;pwned\x07"
EVIL = TITLE + "\x1b[31m\u202e\r"


@pytest.fixture
def registry():
    with FaultRegistry() as made:
        yield made


def add(registry, tag="1", **config):
    plain = images.Layer().file("f", "x").bytes
    document = {
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["true"], **config}, "author": EVIL,
        "history": [{"created_by": "RUN " + EVIL, "comment": EVIL, "author": EVIL}],
        "rootfs": {"type": "layers", "diff_ids": [images.digest(plain)]},
    }  # fmt: skip
    return registry.add_image("app", tag, [plain], config=json.dumps(document).encode(), config_type=images.CONFIG)


def shown(engine, *words):
    """What a person sees at a terminal."""
    with Terminal(engine, *words) as terminal:
        ended = False
        # Once more after the end: what it had written before is still to be read.
        while terminal.read(0.1) or not ended:
            ended = terminal.process.poll() is not None
        return terminal.seen.decode(errors="replace")


def test_s79_what_an_image_says_about_itself(fresh, registry):
    """Labels, history, author: tables and lists are for people, and a terminal obeys what they print."""
    add(registry, Labels={"evil": EVIL, EVIL: "x"}, Env=["A=" + EVIL], Cmd=["echo", EVIL])
    name = f"{registry.host}/app:1"
    assert TITLE not in shown(fresh, "pull", name)
    fresh.ok("create", "--name", "it", name)
    for words in (["images"], ["images", "--tree"], ["history", "--no-trunc", name], ["ps", "-a", "--no-trunc"], ["image", "inspect", name],
                  ["inspect", "it"], ["system", "df", "-v"], ["image", "inspect", f"docker://{name}"]):  # fmt: skip
        assert "\x1b" not in shown(fresh, *words), words
    fresh.clear()


def test_s79_what_a_registry_says(fresh, registry):
    """Errors, tags, and the names of token services: one line of visible characters."""
    add(registry)
    name = f"{registry.host}/app:1"
    body = json.dumps({"errors": [{"code": "DENIED", "message": EVIL, "detail": EVIL}]}).encode()
    rules = [
        {"status": 403, "body": body},
        {"status": 400, "body": EVIL.encode()},
        {"status": 401, "body": body, "headers": {"WWW-Authenticate": f'Bearer realm="http://127.0.0.1:1/{EVIL}",service="{EVIL}"'.replace("\r", "")}},
    ]  # fmt: skip
    for rule in rules:
        registry.rules.clear()
        registry.fault("GET|HEAD", "/manifests/", **rule)
        seen = shown(fresh, "pull", name)
        assert TITLE not in seen and "\x1b[31m" not in seen and "\u202e" not in seen, rule
    registry.rules.clear()
    registry.fault("GET", "/tags/list", status=200, body=json.dumps({"name": "app", "tags": ["1", EVIL]}).encode())
    # A document for programs keeps all letters; what a terminal obeys is escaped there as well.
    assert "\x1b" not in shown(fresh, "image", "list-tags", f"docker://{registry.host}/app")
    seen = shown(fresh, "pull", "-a", f"{registry.host}/app")
    assert TITLE not in seen and "\u202e" not in seen


def test_s80_secrets_for_registries(fresh, registry, place):
    """A password is in the file that its owner wrote, and nowhere else: not in the store, the output or the containers."""
    add(registry)
    secret = "k3epth1s-" + base64.b16encode(str(place).encode()).decode()[-24:]
    registry.basic("me", secret)
    encoded = base64.b64encode(f"me:{secret}".encode()).decode()
    file = place / "auth.json"
    file.write_text(json.dumps({"auths": {registry.host: {"auth": encoded}}}))
    file.chmod(0o644)
    environment = {"REGISTRY_AUTH_FILE": str(file)}
    name = f"{registry.host}/app:1"
    outputs = [
        fresh.ok("pull", "--progress", "plain", name, env=environment),
        fresh.ok("tag", name, f"{registry.host}/app:2"),
        fresh.ok("push", f"{registry.host}/app:2", env=environment),
        fresh.ok("create", "--name", "it", name),
        fresh.ok("inspect", "it"),
        fresh.ok("image", "inspect", name),
    ]
    file.write_text(json.dumps({"auths": {registry.host: {"auth": base64.b64encode(f"me:{secret}x".encode()).decode()}}}))
    outputs.append(fresh.call("pull", f"{registry.host}/app:3", env=environment))
    assert outputs[-1].code == 1
    for output in outputs:
        assert secret not in output.out + output.err and encoded not in output.out + output.err
    for root in (fresh.root, fresh.run_root):
        for path in pathlib.Path(root).rglob("*"):
            if path.is_file() and not path.is_symlink():
                data = path.read_bytes()
                assert secret.encode() not in data and encoded.encode() not in data, path
    fresh.clear()


@pytest.mark.parametrize("there", [True, False])
def test_s58_addresses_in_a_manifest(fresh, registry, place, there):
    """`urls` of a layer: the registry is asked, with its credentials, and the other host by nobody."""
    with FaultRegistry() as other:
        digest = add(registry)
        document = json.loads(registry.manifests["app"][digest][0])
        name = document["layers"][0]["digest"]
        document["layers"][0]["urls"] = [f"http://{other.host}/v2/app/blobs/{name}"]
        other.add_blob(registry.blobs[name], "app")
        registry.add_manifest("app", "foreign", document)
        if not there:
            registry.fault("GET|HEAD", "/blobs/" + name, status=404)
        registry.basic("me", "secret")
        file = place / "auth.json"
        file.write_text(json.dumps({"auths": {registry.host: {"auth": base64.b64encode(b"me:secret").decode()}}}))
        file.chmod(0o644)
        result = fresh.call("pull", f"{registry.host}/app:foreign", env={"REGISTRY_AUTH_FILE": str(file)})
        assert result.code == (0 if there else 1), result.err
        assert other.requests == []
