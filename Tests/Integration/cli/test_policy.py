"""The signature policy: what it does not accept is not used, and nothing of it is written."""

import base64
import json
import os
import subprocess

import images
import pytest
from distribution import place, plain  # noqa: F401
from images import Layout
from test_image_copy import platform_index, simple_layout, top

PLAIN = ("--src-tls-verify=false", "--dest-tls-verify=false")
SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
KEYS = {
    "p256": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], "p384": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
    "rsa": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], "ed25519": ["-algorithm", "ED25519"],
}  # fmt: skip


@pytest.fixture(scope="session")
def keys(suite):
    directory = suite.base / f"keys-{os.getpid()}"
    directory.mkdir()
    for name, words in KEYS.items():
        subprocess.run(["openssl", "genpkey", *words, "-out", directory / f"{name}.key"], check=True, capture_output=True)
        subprocess.run(["openssl", "pkey", "-in", directory / f"{name}.key", "-pubout", "-out", directory / f"{name}.pub"], check=True)
    subprocess.run(["openssl", "genpkey", *KEYS["p256"], "-out", directory / "other.key"], check=True, capture_output=True)
    return directory


def sign(key, payload):
    if key.stem == "ed25519":
        (key.parent / "payload").write_bytes(payload)
        return subprocess.run(["openssl", "pkeyutl", "-sign", "-inkey", key, "-rawin", "-in", key.parent / "payload"], check=True, capture_output=True).stdout
    return subprocess.run(["openssl", "dgst", "-sha256", "-sign", key], input=payload, check=True, capture_output=True).stdout


def payload(reference, digest, **change):
    critical = {"identity": {"docker-reference": reference}, "image": {"docker-manifest-digest": digest}, "type": "cosign container image signature"}
    return json.dumps({"critical": critical | change, "optional": {"creator": "test"}}).encode()


def attach(plain, repository, digest, signatures):
    """Puts signatures where cosign does: [(payload, signature)]."""
    config = b"{}"
    layers = []
    plain.put_blob(repository, config, images.digest(config))
    for data, signature in signatures:
        plain.put_blob(repository, data, images.digest(data))
        layers.append(
            {"mediaType": SIMPLE_SIGNING, "digest": images.digest(data), "size": len(data), "annotations": {"dev.cosignproject.cosign/signature": base64.b64encode(signature).decode()}}
        )
    manifest = {"schemaVersion": 2, "mediaType": images.MANIFEST, "config": {"mediaType": images.CONFIG, "digest": images.digest(config), "size": 2}, "layers": layers}
    plain.put_manifest(repository, digest.replace(":", "-") + ".sig", json.dumps(manifest).encode(), images.MANIFEST)


class Signed:
    """An image at a registry, and a way to ask for it under a policy."""

    def __init__(self, berth, place, plain, name):
        self.berth, self.place, self.plain, self.repository = berth, place, plain, name
        self.reference = f"{plain.host}/{name}:1"
        path = simple_layout().directory(place / "source")
        self.digest = top(path)["digest"]
        berth.ok("image", "copy", *PLAIN, f"oci:{path}:1", f"docker://{self.reference}", timeout=30)

    def policy(self, requirements, **more):
        path = self.place / "policy.json"
        path.write_text(json.dumps({"default": [{"type": "reject"}], "transports": {"docker": {self.reference: requirements}}} | more))
        return path

    def copy(self, requirements, name=None, **more):
        target = self.place / "out"
        subprocess.run(["rm", "-rf", target], check=True)
        result = self.berth.call(
            "image", "copy", *PLAIN, "--signature-policy", self.policy(requirements, **more), f"docker://{name or self.reference}", f"dir:{target}", timeout=30
        )
        assert target.exists() == (result.code == 0)
        return result


@pytest.fixture
def signed(root_berth, place, plain, request):
    return Signed(root_berth, place, plain, "".join(c if c.isalnum() else "-" for c in request.node.name.lower()).strip("-").replace("--", "-"))


def by_key(path, **more):
    return [{"type": "sigstoreSigned", "keyPath": str(path), **more}]


@pytest.mark.parametrize("kind", KEYS)
def test_kinds_of_keys(signed, keys, kind):
    signed.copy(by_key(keys / f"{kind}.pub")).fails(1, "source image rejected: .* a signature was required, but no signature exists")
    data = payload(signed.reference, signed.digest)
    attach(signed.plain, signed.repository, signed.digest, [(data, sign(keys / "other.key", data))])
    signed.copy(by_key(keys / f"{kind}.pub")).fails(1, "no signature is accepted: it is not by the key")
    attach(signed.plain, signed.repository, signed.digest, [(data, sign(keys / "other.key", data)), (data, sign(keys / f"{kind}.key", data))])
    signed.copy(by_key(keys / f"{kind}.pub")).check()
    # As text in the policy, and as one of several.
    text = base64.b64encode((keys / f"{kind}.pub").read_bytes()).decode()
    signed.copy([{"type": "sigstoreSigned", "keyData": text}]).check()
    signed.copy([{"type": "sigstoreSigned", "keyPaths": [str(keys / f"{name}.pub") for name in KEYS]}]).check()
    # All requirements must hold.
    signed.copy(by_key(keys / f"{kind}.pub") + [{"type": "reject"}]).fails(1, "rejected by policy")


def test_what_was_signed(signed, keys):
    key = keys / "p256.key"
    requirement = by_key(keys / "p256.pub")
    other = "sha256:" + "1" * 64
    for data, pattern in (
        (payload(signed.reference, other), "it is for the digest sha256:1111"), (payload("example.com/other:1", signed.digest), "it is for example.com/other:1"),
        (payload(signed.reference.rpartition(":")[0], signed.digest), "it is for "), (payload(signed.reference, signed.digest, type="atomic"), "not what cosign writes"),
        (payload(signed.reference, signed.digest, more={}), "not what cosign writes"), (b"{}", "not what cosign writes"), (b"", "not what cosign writes"),
    ):  # fmt: skip
        attach(signed.plain, signed.repository, signed.digest, [(data, sign(key, data))])
        signed.copy(requirement).fails(1, pattern)
    data = payload(signed.reference, signed.digest)
    good = sign(key, data)
    for bad in (b"", good[:-1], good + b"x", bytes([good[0] ^ 1]) + good[1:], b"\0" * 64):
        attach(signed.plain, signed.repository, signed.digest, [(data, bad)])
        signed.copy(requirement).fails(1, "it is not by the key")
    attach(signed.plain, signed.repository, signed.digest, [(data, good)])
    signed.copy(requirement).check()


def test_identities(signed, keys):
    host, name = signed.plain.host, signed.repository

    def signed_as(reference):
        data = payload(reference, signed.digest)
        attach(signed.plain, signed.repository, signed.digest, [(data, sign(keys / "p256.key", data))])

    def copy(identity, wanted=None):
        requirements = by_key(keys / "p256.pub", signedIdentity=identity)
        return signed.copy(requirements, wanted, **({"default": requirements} if wanted else {})).code == 0

    exact, repository, default = {"type": "matchExact"}, {"type": "matchRepository"}, {"type": "matchRepoDigestOrExact"}
    by_digest = f"{host}/{name}@{signed.digest}"
    signed_as(signed.reference)
    assert copy(exact) and copy(default) and copy(repository) and copy(default, by_digest) and copy(repository, by_digest) and not copy(exact, by_digest)
    assert copy({"type": "exactReference", "dockerReference": signed.reference}) and not copy({"type": "exactReference", "dockerReference": f"{host}/{name}:2"})
    signed_as(f"{host}/{name}:2")
    assert not copy(exact) and not copy(default) and copy(repository) and copy(default, by_digest)
    signed_as(f"{host}/{name}")
    # What cosign writes: the repository alone.
    assert not copy(exact) and not copy(default) and copy(repository)
    signed_as("example.com/vendor/app:1")
    assert not copy(repository) and copy({"type": "exactRepository", "dockerRepository": "example.com/vendor/app"})
    remap = {"type": "remapIdentity", "prefix": f"{host}/{name}", "signedPrefix": "example.com/vendor/app"}
    assert copy(remap) and not copy({**remap, "prefix": f"{host}/{name}"[:-1]}) and not copy({**remap, "signedPrefix": "example.com/other"})


def test_an_index(root_berth, place, plain, keys):
    layout = Layout()
    entry = platform_index(layout)
    layout.directory(place / "source")
    name = f"{plain.host}/signed-index:all"
    root_berth.ok("image", "copy", "--all", *PLAIN, f"oci:{place}/source:all", f"docker://{name}", timeout=30)
    (place / "policy.json").write_text(json.dumps({"default": by_key(keys / "p256.pub")}))

    def copy(*words):
        subprocess.run(["rm", "-rf", place / "out"], check=True)
        return root_berth.call("image", "copy", *PLAIN, *words, "--signature-policy", place / "policy.json", f"docker://{name}", f"dir:{place}/out", timeout=30).code == 0

    assert not copy() and not copy("--all")
    # The image for one platform is signed: that one may be used, the whole may not.
    member = json.loads(plain.get("signed-index/manifests/all", images.INDEX)[0])["manifests"][1]["digest"]
    data = payload(name, member)
    attach(plain, "signed-index", member, [(data, sign(keys / "p256.key", data))])
    assert copy("--platform", "linux/arm64") and not copy("--platform", "linux/amd64") and not copy("--all")
    # A signed index vouches for what it lists.
    data = payload(name, entry["digest"])
    attach(plain, "signed-index", entry["digest"], [(data, sign(keys / "p256.key", data))])
    assert copy("--platform", "linux/amd64") and copy("--all")


def test_scopes(root_berth, place):
    path = simple_layout().directory(place / "source")
    accept, reject = [{"type": "insecureAcceptAnything"}], [{"type": "reject"}]

    def copy(policy, source=f"oci:{path}:1"):
        (place / "policy.json").write_text(json.dumps(policy))
        subprocess.run(["rm", "-rf", place / "out"], check=True)
        return root_berth.call("image", "copy", "--signature-policy", place / "policy.json", source, f"dir:{place}/out")

    copy({"default": accept}).check()
    copy({"default": reject}).fails(1, "source image rejected: .* running it is rejected by policy \\(the default of .*policy.json\\)")
    copy({"default": reject, "transports": {"oci": {"": accept}}}).check()
    copy({"default": reject, "transports": {"docker": {"": accept}}}).fails(1, "rejected by policy")
    copy({"default": reject, "transports": {"oci": {str(path): accept, "": reject}}}).check()
    copy({"default": accept, "transports": {"oci": {str(path.parent): reject}}}).fails(1, 'scope "oci:.*"')
    copy({"default": reject, "transports": {"oci": {str(path.parent): accept}}}).check()
    # No name, no signature.
    copy({"default": [{"type": "sigstoreSigned", "keyData": ""}]}).fails(1)
    (place / "link").symlink_to(path)
    copy({"default": accept, "transports": {"oci": {str(path): reject}}}, f"oci:{place}/link:1").fails(1, "rejected by policy")


@pytest.mark.parametrize(
    "document, pattern",
    [
        ("", "read signature policy"), ("{}", 'it has no "default"'), ('{"default": []}', "is empty"), ('{"default": [{"type": "accept"}]}', "unknown type"),
        ('{"default": [{"type": "insecureAcceptAnything", "x": 1}]}', 'unknown key "x"'), ('{"default": [{"type": "insecureAcceptAnything"}], "transport": {}}', 'unknown key "transport"'),
        ('{"default": [{"type": "sigstoreSigned"}]}', "exactly one of keyPath"), ('{"default": [{"type": "sigstoreSigned", "keyPath": "/nowhere"}]}', "read key of signature policy"),
        ('{"default": [{"type": "sigstoreSigned", "keyData": "?"}]}', "no base64"),
        ('{"default": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/x"}]}', "GPG is not supported: sign with cosign and use sigstoreSigned with its public key .the default of "),
        ('{"default": [{"type": "sigstoreSigned", "fulcio": {}}]}', "fulcio, which is not supported"),
        ('{"default": [{"type": "reject"}], "default": [{"type": "insecureAcceptAnything"}]}', "duplicate"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused(root_berth, place, document, pattern):
    path = simple_layout().directory(place / "source")
    (place / "policy.json").write_text(document)
    root_berth.call("image", "copy", "--signature-policy", place / "policy.json", f"oci:{path}:1", f"dir:{place}/out").fails(1, pattern)
    assert not (place / "out").exists()


def test_where_the_policy_is(root_berth, place):
    path = simple_layout().directory(place / "source")
    home = place / "home"
    (home / ".config/containers").mkdir(parents=True)
    copy = lambda *words: root_berth.call("image", "copy", *words, f"oci:{path}:1", f"dir:{place}/out", env={"HOME": str(home)})  # noqa: E731
    copy().check()
    (home / ".config/containers/policy.json").write_text('{"default": [{"type": "reject"}]}')
    copy().fails(1, "rejected by policy .*home/.config/containers/policy.json")
    (place / "other.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    copy("--signature-policy", place / "other.json").check()
    copy("--signature-policy", place / "nowhere.json").fails(1, "nowhere.json")
    root_berth.call("image", "inspect", f"oci:{path}:1", env={"HOME": str(home)}).fails(1, "rejected by policy")
    # A link to nowhere is a file that cannot be read, not one that is not there.
    (home / ".config/containers/policy.json").unlink()
    (home / ".config/containers/policy.json").mkdir()
    copy().fails(1, "read signature policy")


