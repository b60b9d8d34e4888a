"""What must hold after any fault: the store is sound, nothing is left over, and the command works when it is run again."""

import hashlib
import json
import os
import pathlib
import subprocess

from host import host_mounts

# What `system check` tells of the host.
HOST = ("kernel", "cgroups", "runtime", "subordinate ids", "overlay", "store")


def findings(engine, *flags, **keywords):
    """What `system check` says of the store, as (ok, name, text)."""
    result = engine.call("system", "check", "--format", "{{json .}}", *flags, timeout=60, **keywords)
    assert result.out.strip(), f"system check: exit {result.code}\n{result.err}"
    return [(row["OK"], row["Name"], row["Text"]) for row in json.loads(result.out) if row["Name"] not in HOST]


all_findings = findings


def wrong_blobs(engine):
    """Blobs whose content is not what their name says."""
    wrong = []
    directory = engine.root / "blobs/sha256"
    for name in sorted(os.listdir(directory)) if directory.is_dir() else []:
        digest = hashlib.sha256()
        with open(directory / name, "rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
        if digest.hexdigest() != name:
            wrong.append(name)
    return wrong


def residue(engine):
    """What a command leaves outside of its store: processes, mounts, loop devices, network namespaces."""
    loops = subprocess.run(["losetup", "--list", "--noheadings", "--output", "BACK-FILE"], capture_output=True, text=True).stdout
    return {
        "processes": engine.processes(), "mounts": [mount.target for mount in host_mounts() if str(engine.dir) in mount.target],
        "loops": [line for line in loops.splitlines() if str(engine.dir) in line and line.strip() not in engine.loops],
    }  # fmt: skip


def unfinished(engine):
    """What is in the directories in which commands prepare content and from which they remove it."""
    found = []
    for name in ("staging", "trash"):
        directory = engine.root / name
        if directory.is_dir():
            found += [f"{name}/{entry.name}" for entry in directory.iterdir() if entry.name not in (".lock", "lock")]
    return found


def images(engine):
    """What is listed, as {full id: sorted names}; each of them can be inspected."""
    listed = {}
    for line in engine.ok("images", "--no-trunc", "--format", "{{.ID}} {{.Repository}}:{{.Tag}}").lines:
        identity, name = line.split()
        listed.setdefault(identity, []).append(name)
    for identity in listed:
        document = json.loads(engine.ok("image", "inspect", identity).out)[0]
        assert document["Id"] == identity
        for layer in [document["GraphDriver"]["Data"].get("UpperDir", ""), *document["GraphDriver"]["Data"].get("LowerDir", "").split(":")]:
            path = pathlib.Path(engine.seen(layer))
            there = path.is_file() and path.with_suffix(".tar").is_file() if path.suffix == ".erofs" else path.is_dir()
            assert not layer or there, f"{identity}: {layer} is missing"
    return {identity: sorted(names) for identity, names in listed.items()}


def assert_sound(engine, repair=True):
    """The store is as it should be, or `--repair` makes it so; nothing is left outside of it."""
    # A store that is nearly full has no room to compare layers in: nothing is known to be wrong with them.
    def findings(engine, *flags):
        return [row for row in all_findings(engine, *flags) if not row[1].startswith("unchecked ")]

    wrong = wrong_blobs(engine)
    before = images(engine)
    found = findings(engine)
    # What power loss left of a blob that no row names yet; it goes with the garbage.
    assert {f"garbage blobs/sha256/{name}" for name in wrong} <= {name for _, name, _ in found}, wrong
    if found and repair:
        # Only what was left behind may be there: nothing that a fault damages.
        assert all(name.startswith(("garbage ", "index ")) for _, name, _ in found), found
        findings(engine, "--repair")
        found = findings(engine)
    assert found == [] and wrong_blobs(engine) == []
    assert images(engine) == before
    assert unfinished(engine) == []
    left = residue(engine)
    assert not any(left.values()), left
