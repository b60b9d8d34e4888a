"""Programs and bundles that cannot be run, and where programs are found."""

import pytest


@pytest.mark.parametrize("program", ["/no-such-program", "no-such-program"])
def test_a_missing_program(ct, program):
    """dockerd and podman read the reason to tell 127 from the rest."""
    ct.process["args"] = [program]
    ct.run().refused(r"executable file .*not found|no such file or directory")
    ct.assert_clean()


def test_a_program_without_the_right_to_run(ct):
    (ct.rootfs / "plain").write_text("not a program")
    (ct.rootfs / "plain").chmod(0o644)
    ct.process["args"] = ["/plain"]
    ct.run().refused("permission denied")
    ct.assert_clean()


def test_a_directory_as_program(ct):
    ct.process["args"] = ["/tmp"]
    ct.run().refused("permission denied|is a directory")
    ct.assert_clean()


def test_a_file_that_is_no_program(ct):
    (ct.rootfs / "text").write_text("not a program")
    (ct.rootfs / "text").chmod(0o755)
    ct.process["args"] = ["/text"]
    ct.run().refused("exec format error")
    ct.assert_clean()


def test_a_missing_program_detached(ct):
    ct.process["args"] = ["/no-such-program"]
    result = ct.create()
    if result.ok:  # it may be noticed only when the program should run
        result = ct.start()
    result.refused(r"executable file .*not found|no such file or directory")
    ct.delete("--force").check()
    ct.assert_clean()


def test_the_program_is_found_in_the_containers_path(ct):
    (ct.rootfs / "opt/tools").mkdir(parents=True)
    (ct.rootfs / "init").rename(ct.rootfs / "opt/tools/look")
    ct.process["env"] += ["PATH=/nowhere:/opt/tools"]
    ct.process["env"] = [entry for entry in ct.process["env"] if not entry.startswith("PATH=/usr")]
    ct.process["args"] = ["look", "echo", "found"]
    assert ct.run().check().out == "found\n"


def test_the_program_is_found_relative_to_cwd(ct):
    (ct.rootfs / "opt").mkdir()
    (ct.rootfs / "init").rename(ct.rootfs / "opt/look")
    ct.process["cwd"] = "/opt"
    ct.process["args"] = ["./look", "echo", "found"]
    assert ct.run().check().out == "found\n"


def test_no_config(ct):
    ct.call("create", "--bundle", ct.dir, ct.id).refused("config.json")
    ct.assert_clean()


def test_no_bundle(ct):
    ct.call("create", "--bundle", "/nowhere/at/all", ct.id).refused("nowhere|no such file")
    ct.assert_clean()


def test_no_rootfs(ct):
    ct.spec["root"]["path"] = "nothing"
    ct.create("true").refused("nothing|no such file|rootfs")
    ct.assert_clean()


@pytest.mark.parametrize("field", ["root", "process", "args", "cwd"])
def test_required_fields(ct, field):
    if field in ("args", "cwd"):
        ct.process.pop(field)
    else:
        ct.spec.pop(field)
    ct.save()
    result = ct.call_detached("create", "--bundle", ct.dir, ct.id)
    if result.ok:
        result = ct.start()
    result.refused()
    ct.delete("--force")
    ct.assert_clean()
