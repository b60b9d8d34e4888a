"""commit: an image from a container's changes."""

import io
import json
import os
import subprocess
import tarfile
import time

import pytest

import images
from host import wait_for


@pytest.fixture
def box(fresh, test_archive):
    """A container that runs, in a store of its own."""
    fresh.ok("load", "-i", test_archive, timeout=60)
    fresh.up("--name", "box")
    return fresh


def config(berth, image):
    return json.loads(berth.ok("inspect", "--type", "image", image).out)[0]


def layer(berth, image, place):
    """The top layer of an image as a tar."""
    berth.ok("save", "--format", "oci-archive", "-o", place / "image.tar", image, timeout=60)
    tar = tarfile.open(place / "image.tar")
    read = lambda digest: tar.extractfile("blobs/sha256/" + digest.split(":")[1]).read()
    manifest = json.loads(tar.extractfile("index.json").read())["manifests"][0]
    manifest = json.loads(read(manifest["digest"]))
    (place / "image.tar").unlink()
    return manifest, tarfile.open(fileobj=io.BytesIO(read(manifest["layers"][-1]["digest"])))


def test_an_image_of_changes(box, place):
    script = "echo x >> /etc/passwd; rm /etc/group; mkdir /new; echo y > /new/f; chown 1000:1000 /new/f; rm -rf /var; mkdir /var; echo z > /var/fresh"
    box.ok("exec", "box", "sh", "-c", script)
    identity = box.ok("commit", "box", "changed:1", timeout=60).text
    assert identity.startswith("sha256:") and config(box, "changed:1")["Id"] == identity
    out = box.run("changed:1", "sh", "-c", "tail -1 /etc/passwd; stat -c %u /new/f; ls /var; test ! -e /etc/group && echo none").check()
    assert out.lines == ["x", "1000", "fresh", "none"]
    base, made = config(box, "test"), config(box, "changed:1")
    assert made["RootFS"]["Layers"][:-1] == base["RootFS"]["Layers"] and len(made["RootFS"]["Layers"]) == 2
    manifest, tar = layer(box, "changed:1", place)
    assert {descriptor["mediaType"] for descriptor in manifest["layers"]} <= {images.LAYER, images.LAYER + "+gzip", images.LAYER + "+zstd"}
    names = tar.getnames()
    assert names == sorted(names)
    assert set(names) == {"etc", "etc/.wh.group", "etc/passwd", "new", "new/f", "var", "var/.wh..wh..opq", "var/fresh"}
    # Nothing of the store but what both images need.
    assert box.ok("system", "check").code == 0


def test_what_it_is_made_of(box):
    box.ok("exec", "box", "touch", "/made")
    changes = [
        'CMD ["a", "b"]', "ENV A=1 B=\"two words\"", "EXPOSE 8080 53/udp", "LABEL k=v", "USER 1000", "VOLUME /v", "WORKDIR sub",
        "STOPSIGNAL SIGINT", "HEALTHCHECK --interval=5s --retries=2 CMD true", "ONBUILD RUN x",
    ]  # fmt: skip
    flags = [word for change in changes for word in ("-c", change)]
    box.ok("commit", "-a", "Me <me@here>", "-m", "why", *flags, "box", "made:1", timeout=60)
    made = config(box, "made:1")
    settings = made["Config"]
    assert settings["Cmd"] == ["a", "b"] and settings["User"] == "1000" and settings["WorkingDir"] == "/sub"
    assert {"A=1", "B=two words"} <= set(settings["Env"])
    assert set(settings["ExposedPorts"]) == {"8080/tcp", "53/udp"} and settings["Labels"]["k"] == "v" and set(settings["Volumes"]) == {"/v"}
    assert settings["StopSignal"] == "SIGINT" and made["Author"] == "Me <me@here>"
    history = json.loads(box.ok("history", "--format", "json", "--no-trunc", "made:1").lines[0])
    assert history["Comment"] == "why" and history["CreatedBy"] == "sleep 1000"


def test_the_containers_own_settings(fresh, test_archive):
    fresh.ok("load", "-i", test_archive, timeout=60)
    fresh.ok(
        "create", "--name", "box", "--network", "none", "-e", "OWN=1", "-l", "own=label", "-u", "app", "-w", "/tmp", "--entrypoint", "/bin/echo",
        "--stop-signal", "SIGQUIT", "--expose", "99", "--health-cmd", "true", "--health-retries", "7", "-v", "/vol", "test", "hello",
    )  # fmt: skip
    fresh.ok("commit", "box", "own", timeout=60)
    settings = config(fresh, "own")["Config"]
    assert settings["Entrypoint"] == ["/bin/echo"] and settings["Cmd"] == ["hello"] and settings["User"] == "app"
    assert "OWN=1" in settings["Env"] and settings["Labels"]["own"] == "label" and settings["WorkingDir"] == "/tmp"
    assert settings["StopSignal"] == "SIGQUIT" and "99/tcp" in settings["ExposedPorts"] and "/vol" in settings["Volumes"]
    assert settings["Healthcheck"] == {"Test": ["CMD-SHELL", "true"], "Retries": 7}
    assert fresh.run("own").check().text == "hello"
    # A new entrypoint drops the command that was written for the old one.
    fresh.ok("commit", "-c", 'ENTRYPOINT ["/bin/true"]', "box", "other", timeout=60)
    assert not config(fresh, "other")["Config"].get("Cmd")


def test_no_changes_no_layer(box):
    before = config(box, "test")["RootFS"]["Layers"]
    box.ok("commit", "-c", "ENV X=1", "box", "same", timeout=60)
    assert config(box, "same")["RootFS"]["Layers"] == before
    assert box.run("same", "sh", "-c", "echo $X").check().text == "1"


def test_the_same_changes_are_the_same_layer(box):
    box.ok("exec", "box", "sh", "-c", "mkdir /d; for i in c a b; do echo $i > /d/$i; done; rm /etc/group")
    box.ok("commit", "box", "first", timeout=60)
    box.ok("commit", "box", "second", timeout=60)
    first, second = config(box, "first"), config(box, "second")
    assert first["RootFS"] == second["RootFS"] and first["Id"] != second["Id"]
    box.ok("rmi", "first")
    assert box.run("second", "cat", "/d/a").check().text == "a"


def test_names(box):
    """Without a name; with one that another image has; refused before anything is done."""
    identity = box.ok("commit", "box", timeout=60).text
    assert config(box, identity)["RepoTags"] in ([], None)
    box.ok("commit", "-q", "box", "name", timeout=60)
    box.ok("commit", "box", "name:latest", timeout=60)
    assert box.ok("images", "-q", "name").lines
    for name, pattern in (("BAD", "lower-case"), ("x@sha256:" + "0" * 64, "digest"), ("a b", "reference")):
        before = box.ok("images", "-aq").lines
        box.call("commit", "box", name).fails(1, pattern)
        assert box.ok("images", "-aq").lines == before
    box.call("commit", "-c", "RUN x", "box").fails(1, "RUN")
    box.call("commit", "-c", "HEALTHCHECK --bogus=1 CMD x", "box").fails(1, "bogus")
    box.call("commit", "nobody").fails(1, "no such container: nobody")
    assert box.status("box") == "running"


def test_iidfile(box, place):
    identity = box.ok("commit", "--iidfile", place / "id", "box", timeout=60).text
    assert (place / "id").read_text() == identity
    # What is no file is written to and stays what it is.
    os.mkfifo(place / "pipe")
    (place / "pipe").chmod(0o666)
    reader = os.open(place / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    identity = box.ok("commit", "-q", "--iidfile", place / "pipe", "box", timeout=60).text
    assert os.read(reader, 100).decode() == identity and (place / "pipe").is_fifo()
    os.close(reader)


def test_a_stopped_container(box):
    box.ok("exec", "box", "sh", "-c", "echo kept > /kept")
    box.ok("stop", "-t", "0", "box")
    box.ok("commit", "box", "stopped", timeout=60)
    assert box.run("stopped", "cat", "/kept").check().text == "kept"


def test_volumes_are_no_part_of_it(box, place):
    (place / "host").write_text("host\n")
    box.up("--name", "mounts", "-v", f"{place}:/mnt/bound", "-v", "vol:/data")
    box.ok("exec", "mounts", "touch", "/data/x", "/own")
    box.ok("commit", "mounts", "image", timeout=60)
    assert box.run("image", "sh", "-c", "ls /own; ls -A /data /mnt/bound").check().out.split() == ["/own", "/data:", "/mnt/bound:"]


def test_ids_of_its_own(box):
    if not box.who.is_root:
        pytest.skip("root only")
    box.up("--name", "auto", "--userns", "auto")
    box.ok("exec", "auto", "sh", "-c", "echo x > /tmp/root; echo y > /tmp/app; chown 1000:1000 /tmp/app")
    box.ok("commit", "auto", "ids", timeout=60)
    assert box.run("ids", "stat", "-c", "%u", "/tmp/root", "/tmp/app").check().lines == ["0", "1000"]


def frozen(berth, name="box"):
    return berth.status(name) == "paused"


def test_it_is_paused_meanwhile(box):
    """And goes on however the command ends; what was paused before stays so."""
    if box.call("pause", "box").code:
        pytest.skip("no cgroup is delegated")
    box.ok("commit", "box", timeout=60)
    assert frozen(box)
    box.ok("unpause", "box")
    box.ok("exec", "box", "sh", "-c", "dd if=/dev/urandom of=/big bs=1M count=200 2>/dev/null", timeout=60)
    process = box.popen("commit", "box", "killed", stdout=subprocess.DEVNULL)
    wait_for(lambda: frozen(box), "the container to be paused", 10)
    process.kill()
    process.wait()
    wait_for(lambda: not frozen(box), "the container to go on", 10)
    box.ok("commit", "box", "whole", timeout=120)
    assert not frozen(box)
    staging = box.root / "staging"
    assert [entry for entry in os.listdir(staging) if entry != ".lock"] == []
    box.call("inspect", "killed").fails(1)
    assert box.run("whole", "wc", "-c", "/big").check().text.split()[0] == str(200 << 20)


def test_not_paused(box):
    seen = []
    box.ok("exec", "-d", "box", "sh", "-c", "while :; do echo >> /ticks; usleep 1000; done")
    box.ok("exec", "box", "sh", "-c", "dd if=/dev/zero of=/big bs=1M count=100 2>/dev/null", timeout=60)
    for flag in ("--no-pause", "--pause=false", "-p=false"):
        process = box.popen("commit", flag, "box", stdout=subprocess.DEVNULL)
        while process.poll() is None:
            seen.append(frozen(box))
            time.sleep(0.01)
        assert process.returncode == 0
    assert not any(seen)


def test_two_at_once(box):
    box.ok("exec", "box", "sh", "-c", "echo x > /f")
    running = [box.popen("commit", "box", f"n{number}", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for number in range(4)]
    for process in running:
        _, error = process.communicate(timeout=120)
        assert process.returncode == 0, error
    assert not frozen(box)
    assert len({config(box, f"n{number}")["RootFS"]["Layers"][-1] for number in range(4)}) == 1


def test_an_image_that_lost_its_name(box):
    box.ok("exec", "box", "sh", "-c", "echo x > /f")
    box.ok("rmi", "-f", "test")
    box.ok("commit", "box", "x", timeout=60)
    assert box.run("x", "cat", "/f").check().text == "x"


def test_names_that_layers_cannot_hold(box):
    box.ok("exec", "box", "touch", "/tmp/.wh.passwd")
    box.call("commit", "box", "x").fails(1, r"names that begin with \.wh\.")
    assert not frozen(box)


def test_other_formats(layer_format, fresh, test_archive):
    fresh.ok("load", "-i", test_archive, timeout=60)
    fresh.up("--name", "box")
    fresh.ok("exec", "box", "sh", "-c", "echo x > /f; rm -rf /var; mkdir /var; rm /etc/group")
    fresh.ok("commit", "box", "made", timeout=60)
    assert fresh.run("made", "sh", "-c", "cat /f; ls /var; ls /etc/group 2>/dev/null; echo end").check().lines == ["x", "end"]
    fresh.ok("stop", "-t", "0", "box")
    assert fresh.ok("diff", "box").lines == ["C /etc", "D /etc/group", "A /f", "C /var", "D /var/log"]
    assert fresh.ok("cp", "box:/f", "-").bytes
