"""`berth manifest`: lists of images for several platforms, kept here and pushed."""

import json
import os
import threading

import images
import pytest
from distribution import plain  # noqa: F401
from images import Layer, Layout
from test_image_copy import DOCKER, skopeo

PLAIN = "--tls-verify=false"


def members(berth, place, plain, repository, format="oci", names=("amd64", "arm64")):
    """Images for platforms, pushed under their architectures' names; gives {architecture: digest}."""
    found = {}
    for name in names:
        layout = Layout()
        entry = layout.image([Layer().file("arch", name), Layer().file("same", "same")], tag="1", compression="gzip", document=lambda d, n=name: {**d, "architecture": n})
        layout.directory(place / f"{repository}-{name}")
        berth.ok(
            "image", "copy", "--dest-tls-verify=false", "--digestfile", place / "digest", *(["--format", format] if format != "oci" else []),
            f"oci:{place}/{repository}-{name}:1", f"docker://{plain.host}/{repository}:{name}", timeout=30,
        )  # fmt: skip
        found[name] = (place / "digest").read_text()
        assert format != "oci" or found[name] == entry["digest"]
    return found


@pytest.mark.parametrize("format", ["oci", "v2s2"])
def test_from_a_registry_to_a_registry(fresh, place, plain, format):
    name = f"{plain.host}/app-{format}-{fresh.who.name}"
    digests = members(fresh, place, plain, name.partition("/")[2], format)
    out = fresh.ok("manifest", "create", PLAIN, f"{name}:1", f"{name}:amd64", f"{name}:arm64", timeout=30)
    assert out.text == f"Created manifest list {name}:1"
    shown = fresh.ok("manifest", "inspect", f"{name}:1").out
    index = json.loads(shown)
    assert shown.startswith('{\n\t"schemaVersion": 2,\n')
    assert index["mediaType"] == (images.INDEX if format == "oci" else DOCKER[images.INDEX])
    assert [(entry["platform"]["architecture"], entry["digest"]) for entry in index["manifests"]] == list(digests.items())
    before = len(plain.requests())
    pushed = fresh.ok("manifest", "push", PLAIN, "-q", f"{name}:1", timeout=30)
    # The images are there already: no blob is sent.
    assert not [path for method, path in plain.requests()[before:] if method in ("POST", "PATCH")]
    raw = skopeo("inspect", "--raw", PLAIN, f"docker://{name}:1")
    assert images.digest(raw) == pushed.text and json.loads(raw) == index
    skopeo("copy", "--all", "--src-tls-verify=false", f"docker://{name}:1", f"dir:{place}/checked")
    assert json.loads(fresh.ok("manifest", "inspect", PLAIN, f"{name}:amd64", timeout=30).out)["config"]
    verbose = json.loads(fresh.ok("manifest", "inspect", PLAIN, "-v", f"{name}:1", timeout=30).out)
    assert [entry["Descriptor"]["digest"] for entry in verbose] == list(digests.values())
    assert "SchemaV2Manifest" in verbose[0] if format == "v2s2" else "OCIManifest" in verbose[0]
    # To another repository, with the images.
    fresh.ok("manifest", "push", PLAIN, "--all", f"{name}:1", f"{name}-two:1", timeout=30)
    skopeo("copy", "--all", "--src-tls-verify=false", f"docker://{name}-two:1", f"dir:{place}/checked")
    # Without them a registry refuses the list.
    fresh.call("manifest", "push", PLAIN, "--all=false", f"{name}:1", f"{name}-three:1", timeout=30).fails(1)
    fresh.ok("manifest", "push", PLAIN, "--all=false", "--purge", f"{name}:1", timeout=30)
    assert fresh.call("manifest", "exists", f"{name}:1").code == 1


def test_from_the_local_store(fresh, place, plain):
    name = f"{plain.host}/local-{fresh.who.name}"
    images.write(place / "image.tar", images.docker_archive([Layer().file("x", "y")], ["local:1"]))
    fresh.ok("load", "-i", place / "image.tar")
    fresh.ok("manifest", "create", name, "local:1")
    digest = fresh.ok("manifest", "push", PLAIN, "-q", name, timeout=30).text
    assert images.digest(skopeo("inspect", "--raw", PLAIN, f"docker://{name}:latest")) == digest
    fresh.ok("manifest", "push", PLAIN, "-q", name, f"oci:{place}/out:1")
    assert images.digest(skopeo("inspect", "--raw", f"oci:{place}/out:1")) == digest


def test_add_annotate_remove(fresh, place, plain):
    name = f"{plain.host}/changed-{fresh.who.name}"
    digests = members(fresh, place, plain, name.partition("/")[2], names=("amd64", "arm", "arm64"))
    fresh.ok("manifest", "create", name)
    fresh.call("manifest", "create", name).fails(1, "refusing to amend an existing manifest list with no --amend flag")
    fresh.call("manifest", "push", PLAIN, name).fails(1, "lists no image: add one with berth manifest add")
    added = fresh.ok("manifest", "add", PLAIN, name, f"docker://{name}:amd64", timeout=30)
    assert added.text == f"{name}: {digests['amd64']}"
    fresh.ok("manifest", "add", PLAIN, "--arch", "arm", "--variant", "v7", "--annotation", "a=b", name, f"{name}:arm", timeout=30)
    fresh.ok("manifest", "create", "--amend", "--annotation", "list=yes", PLAIN, name, f"{name}:arm64", timeout=30)
    fresh.ok("manifest", "annotate", "--os-version", "1.2", "--os-features", "x,y", name, f"{name}:amd64")
    fresh.ok("manifest", "annotate", "--variant", "v8", name, digests["arm64"])
    index = json.loads(fresh.ok("manifest", "inspect", name).out)
    assert [entry["platform"] for entry in index["manifests"]] == [
        {"architecture": "amd64", "os": "linux", "os.version": "1.2", "os.features": ["x", "y"]},
        {"architecture": "arm", "os": "linux", "variant": "v7"}, {"architecture": "arm64", "os": "linux", "variant": "v8"},
    ]  # fmt: skip
    assert index["manifests"][1]["annotations"] == {"a": "b"} and index["annotations"] == {"list": "yes"}
    fresh.call("manifest", "annotate", "--arch", "x", name, f"{name}:nope").fails(1, "manifest for image .* does not exist in")
    fresh.call("manifest", "annotate", "--arch", "x", name).fails(1, "name the image of the list, or give --index")
    fresh.ok("manifest", "annotate", "--index", "--annotation", "list=no", name)
    assert fresh.ok("manifest", "remove", name, digests["arm"]).text == f"{name}: {digests['arm']}"
    assert [entry["digest"] for entry in json.loads(fresh.ok("manifest", "inspect", name).out)["manifests"]] == [digests["amd64"], digests["arm64"]]
    fresh.ok("manifest", "exists", name)
    fresh.ok("manifest", "rm", name)
    assert fresh.call("manifest", "exists", name).code == 1
    for words in (["add", name, "x"], ["annotate", name, "x"], ["push", name], ["rm", name], ["remove", name, "x"]):
        fresh.call("manifest", *words).fails(1, "no such manifest: .* make a list with berth manifest create")
    fresh.ok("manifest", "rm", "--ignore", name)
    assert fresh.ok("system", "check", timeout=30)


def test_all_of_an_index(fresh, place, plain):
    name = f"{plain.host}/whole-{fresh.who.name}"
    digests = members(fresh, place, plain, name.partition("/")[2])
    fresh.ok("manifest", "create", PLAIN, f"{name}:both", f"{name}:amd64", f"{name}:arm64", timeout=30)
    fresh.ok("manifest", "push", PLAIN, "-q", f"{name}:both", timeout=30)
    fresh.ok("manifest", "rm", f"{name}:both")
    fresh.ok("manifest", "create", PLAIN, "--all", f"{name}:again", f"{name}:both", timeout=30)
    fresh.ok("manifest", "create", PLAIN, f"{name}:mine", f"{name}:both", timeout=30)
    fresh.ok("manifest", "add", PLAIN, "--arch", "arm64", f"{name}:mine", f"{name}:both", timeout=30)
    assert [entry["digest"] for entry in json.loads(fresh.ok("manifest", "inspect", f"{name}:again").out)["manifests"]] == list(digests.values())
    assert {entry["digest"] for entry in json.loads(fresh.ok("manifest", "inspect", f"{name}:mine").out)["manifests"]} == set(digests.values())


def test_two_commands_at_once(fresh, place):
    for number in range(8):
        images.write(place / f"{number}.tar", images.docker_archive([Layer().file("x", str(number))], [f"local:{number}"]))
        fresh.ok("load", "-i", place / f"{number}.tar")
    fresh.ok("manifest", "create", "list")
    threads = [threading.Thread(target=fresh.ok, args=("manifest", "add", "list", f"local:{number}"), kwargs={"timeout": 30}) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(json.loads(fresh.ok("manifest", "inspect", "list").out)["manifests"]) == 8
    directory = fresh.root / "manifests"
    assert len(os.listdir(directory)) == 1
    next(directory.iterdir()).write_text("{")
    fresh.call("manifest", "inspect", "list").fails(1, "read manifest list")
