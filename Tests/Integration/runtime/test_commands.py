"""list, features, spec, version, and options of the command line that belong to no other topic."""

import json
import os

import pytest

from spec import CAPABILITIES


def test_list_as_json(make):
    first, second = make(), make()
    second.state_root = first.state_root = first.directory("state")
    first.up()
    second.run_detached("true").check()
    second.wait_status("stopped")
    rows = {row["id"]: row for row in json.loads(first.call("list", "--format", "json").check().out)}
    assert set(rows) == {first.id, second.id}
    row = rows[first.id]
    assert row["status"] == "running" and row["pid"] == first.pid and row["bundle"] == str(first.dir)
    assert rows[second.id]["status"] == "stopped" and rows[second.id]["pid"] == 0
    assert row["created"].startswith("20") and row["owner"] in ("root", first.who.name)


def test_list_as_table(ct):
    ct.state_root = ct.directory("state")
    ct.up()
    header, row = ct.call("list").check().out.splitlines()
    assert header.split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    cells = row.split()
    assert cells[:4] == [ct.id, str(ct.pid), "running", str(ct.dir)]


def test_list_quietly(make):
    first, second = make(), make()
    second.state_root = first.state_root = first.directory("state")
    first.up()
    second.up()
    assert sorted(first.call("list", "--quiet").check().out.split()) == sorted([first.id, second.id])


def test_an_empty_list(ct):
    ct.state_root = ct.dir / "nothing-yet"
    assert ct.call("list", "-q").check().out == ""
    assert json.loads(ct.call("list", "-f", "json").check().out) in (None, [])


def test_list_passes_over_what_is_no_container(ct):
    ct.state_root = ct.directory("state")
    ct.up()
    (ct.state_root / "stray-file").write_text("x")
    (ct.state_root / "half-made").mkdir()
    ct.own(ct.state_root / "half-made")
    assert ct.id in ct.call("list", "-q").check().out


def test_roots_do_not_know_each_other(make):
    first, second = make(), make()
    second.state_root = second.directory("state")
    first.up()
    assert first.id not in second.call("list", "-q").out
    second.call("state", first.id).refused()


def test_version(ct):
    out = ct.call("--version", root=False).check().out
    assert "version" in out and "spec:" in out


def test_help(ct):
    out = ct.call("--help", root=False).check().out
    for command in ("create", "start", "state", "kill", "delete", "exec", "run", "ps", "pause", "resume", "update", "spec", "list"):
        assert command in out


@pytest.mark.parametrize("command", ["create", "exec", "kill", "run", "update"])
def test_help_of_a_command(ct, command):
    result = ct.call(command, "--help", root=False)
    assert result.ok and command in result.out


@pytest.mark.parametrize("args", [["no-such-command"], ["--no-such-flag", "list"], ["list", "--no-such-flag"], ["list", "--format", "xml"]])
def test_nonsense_is_refused(ct, args):
    ct.call(*args).refused()


def test_flags_may_be_written_with_equals(ct):
    ct.args("echo here")
    ct.save()
    assert ct.call("run", f"--bundle={ct.dir}", ct.id).check().out == "here\n"


def test_state_root_is_made_private(ct):
    ct.state_root = ct.dir / "new" / "state"
    ct.up()
    assert os.stat(ct.state_root).st_mode & 0o077 in (0, 0o11)
    assert os.stat(ct.state_root / ct.id).st_mode & 0o066 == 0


def test_systemd_cgroup_without_systemd(root_ct):
    """An error that says why, not a container without limits."""
    if os.path.isdir("/run/systemd/system"):
        pytest.skip("this host runs systemd")
    root_ct.linux["cgroupsPath"] = f"system.slice:berth:{root_ct.id}"
    root_ct.create("true", options=["--systemd-cgroup"]).refused("systemd|dbus|d-bus")
    root_ct.assert_clean()


# spec


def test_spec(ct):
    bundle = ct.directory("fresh")
    ct.call("spec", "--bundle", bundle).check()
    spec = json.loads((bundle / "config.json").read_text())
    assert spec["ociVersion"] and spec["process"]["args"] and spec["root"]["path"] == "rootfs"
    assert {entry["type"] for entry in spec["linux"]["namespaces"]} >= {"pid", "network", "ipc", "uts", "mount"}
    assert {"/proc", "/dev", "/sys", "/dev/pts", "/dev/shm", "/dev/mqueue"} <= {mount["destination"] for mount in spec["mounts"]}
    assert spec["linux"]["maskedPaths"] and spec["linux"]["readonlyPaths"]


def test_spec_in_the_current_directory(ct):
    bundle = ct.directory("fresh")
    ct.call("spec", cwd=str(bundle)).check()
    assert (bundle / "config.json").exists()


def test_spec_does_not_overwrite(ct):
    bundle = ct.directory("fresh", config__json="{}")
    ct.call("spec", "--bundle", bundle).refused("exist")
    assert (bundle / "config.json").read_text() == "{}"


def test_the_spec_runs(ct):
    """What `spec` writes works as it is, but for the program and the terminal."""
    flags = [] if ct.who.is_root else ["--rootless"]
    ct.call("spec", *flags, "--bundle", ct.dir).check()
    ct.spec = json.loads((ct.dir / "config.json").read_text())
    ct.process["terminal"] = False
    assert ct.text("hostname")


def test_spec_rootless(ct):
    bundle = ct.directory("fresh")
    ct.call("spec", "--rootless", "--bundle", bundle).check()
    spec = json.loads((bundle / "config.json").read_text())
    assert "user" in {entry["type"] for entry in spec["linux"]["namespaces"]}
    assert spec["linux"]["uidMappings"] == [{"containerID": 0, "hostID": ct.who.uid, "size": 1}]
    assert not spec["linux"].get("resources")


# features


@pytest.fixture
def features(suite):
    return suite.runtime.features


def test_features(features):
    assert features["ociVersionMin"] <= features["ociVersionMax"]
    assert {"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"} == set(features["hooks"])
    linux = features["linux"]
    assert {"cgroup", "ipc", "mount", "network", "pid", "user", "uts"} <= set(linux["namespaces"])
    assert {"CAP_CHOWN", "CAP_SYS_ADMIN"} <= set(linux["capabilities"])
    assert linux["cgroup"]["v1"] is True and linux["cgroup"]["v2"] is True
    seccomp = linux["seccomp"]
    assert seccomp["enabled"] is True
    assert {"SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY", "SCMP_ACT_TRACE", "SCMP_ACT_TRAP"} <= set(
        seccomp["actions"]
    )
    assert {f"SCMP_CMP_{op}" for op in ("EQ", "NE", "LT", "LE", "GT", "GE", "MASKED_EQ")} == set(seccomp["operators"])
    assert "SCMP_ARCH_X86_64" in seccomp["archs"]


def test_both_versions_of_features_are_accepted(make, features):
    for name in ("ociVersionMin", "ociVersionMax"):
        ct = make()
        ct.spec["ociVersion"] = features[name]
        ct.run("true").check()


def test_every_mount_option_of_features_is_recognised(root_ct, features):
    """Each on a mount of its own, all in one container."""
    skipped = {"bind", "rbind", "remount", "idmap", "ridmap", "tmpcopyup", "mand"}
    for index, option in enumerate(sorted(set(features["mountOptions"]) - skipped)):
        root_ct.mount(f"/m{index}", "bind", root_ct.directory(f"d{index}"), ["rbind", option])
    root_ct.run("true").check()


def test_every_capability_of_features_is_recognised(make, features):
    """As a bounding set: what the host lacks is a warning at most."""
    ct = make()
    have = int(next(line for line in open("/proc/self/status") if line.startswith("CapBnd")).split()[1], 16)
    names = [name for name in features["linux"]["capabilities"] if have >> CAPABILITIES.index(name[4:]) & 1]
    ct.process["capabilities"] = {"bounding": names}
    ct.run("true").check()


def test_features_are_about_the_program_not_the_caller(make, features):
    ct = make()
    assert json.loads(ct.call("features", root=False).check().out) == features


# Documents


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "{}", '"text"', '{"ociVersion": 1}', '{"ociVersion": "1.0.2", "process": []}', "\x00", "{" * 100000],
    ids=["empty", "open", "array", "null", "object", "string", "number", "process-array", "nul", "deep"],
)  # fmt: skip
def test_configs_that_are_none(ct, text):
    ct.save(text)
    ct.call_detached("create", "--bundle", ct.dir, ct.id).refused()
    ct.assert_clean()


def test_unknown_properties_are_ignored(ct):
    ct.spec["unknownProperty"] = {"a": [1, 2, {"b": None}]}
    ct.process["unknownToo"] = "x"
    ct.linux["unknownAsWell"] = 5
    ct.spec["annotations"] = {"com.example.unknown": "value"}
    ct.run("true").check()


def test_other_platforms_sections_are_ignored(ct):
    ct.spec["windows"] = {"layerFolders": ["C:\\x"]}
    ct.spec["solaris"] = {"milestone": "x"}
    ct.run("true").check()


@pytest.mark.parametrize("version", ["1.0.0", "1.0.1", "1.0.2", "1.0.2-dev", "1.0.0-rc5"])
def test_versions_that_are_accepted(root_ct, version):
    root_ct.spec["ociVersion"] = version
    root_ct.run("true").check()


@pytest.mark.parametrize("version", ["words", "1", "", "99.0.0"])
def test_versions_that_are_refused(root_ct, version):
    root_ct.spec["ociVersion"] = version
    root_ct.create("true").refused("version")
    root_ct.assert_clean()


def test_annotations_with_no_key_are_refused(ct):
    ct.spec["annotations"] = {"": "value"}
    ct.create("true").refused()
    ct.assert_clean()


def test_annotations_that_are_no_strings_are_refused(ct):
    ct.spec["annotations"] = {"key": 5}
    ct.create("true").refused()
    ct.assert_clean()


def test_utf8(ct):
    (ct.rootfs / "\u00e9\u4e16\U0001f6a2").mkdir()
    ct.process["cwd"] = "/\u00e9\u4e16\U0001f6a2"
    assert ct.text("cwd") == "/\u00e9\u4e16\U0001f6a2"


def test_a_nul_in_a_string(ct):
    """It would cut an argument or a path short."""
    ct.process["args"] = ["/init", "echo", "a\x00b"]
    ct.run().refused()
    ct.assert_clean()


def test_large_arguments(ct):
    ct.process["args"] = ["/init", "echo", "x" * 100000]
    assert ct.run().check().out == "x" * 100000 + "\n"


def test_many_mounts(ct):
    for index in range(60):
        ct.mount(f"/many/{index}", "tmpfs", "tmpfs", ["size=4k"])
    assert ct.text("mountinfo").count(" /many/") == 60


def test_intel_rdt_without_resctrl(root_ct):
    if os.path.ismount("/sys/fs/resctrl"):
        pytest.skip("this host has resctrl")
    root_ct.linux["intelRdt"] = {"closID": "x", "l3CacheSchema": "L3:0=f"}
    root_ct.create("true").refused("rdt|resctrl|intel")
    root_ct.assert_clean()
