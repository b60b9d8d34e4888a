"""AppArmor labels, where the kernel enforces them."""

import pathlib
import subprocess

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[4]
TREE = REPOSITORY / ".build/uml/tree"
PROFILES = pathlib.Path("/sys/kernel/security/apparmor/profiles")
NAME = "berth-test-profile"
PROFILE = f"""
profile {NAME} flags=(attach_disconnected,mediate_deleted) {{
  file,
  signal,
  unix,
  capability,
  umount,
  mount,
  deny /etc/denied rwklx,
}}
"""


@pytest.fixture(scope="module")
def profile():
    """The profile, loaded. The parser is a program of another Debian and runs with the libraries that came with it."""
    libraries = TREE / "usr/lib/x86_64-linux-gnu"
    program = next(path for path in (TREE / "usr/sbin/apparmor_parser", TREE / "sbin/apparmor_parser") if path.exists())
    path = f"{libraries}:/lib/x86_64-linux-gnu:/usr/lib/x86_64-linux-gnu"
    command = [libraries / "ld-linux-x86-64.so.2", "--library-path", path, program, "--replace", "--skip-cache", "--base", "/nonexistent"]
    done = subprocess.run(command, input=PROFILE, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert f"{NAME} (enforce)" in PROFILES.read_text()
    return NAME


def test_it_is_enforcing():
    assert pathlib.Path("/sys/module/apparmor/parameters/enabled").read_text().strip() == "Y"


@pytest.fixture
def labelled(ct, profile):
    (ct.rootfs / "etc/denied").write_text("secret")
    (ct.rootfs / "etc/plain").write_text("plain")
    ct.process["apparmorProfile"] = profile
    return ct


def test_the_label_is_on_and_enforced(labelled):
    label, denied, plain = labelled.look("cat /proc/self/attr/current", "open r /etc/denied", "cat /etc/plain")
    assert label == f"{NAME} (enforce)"
    assert denied == "EACCES" and plain == "plain"


def test_without_no_new_privileges(labelled):
    labelled.process["noNewPrivileges"] = False
    assert labelled.text("open r /etc/denied") == "EACCES"


def test_exec_gets_the_label(labelled):
    labelled.up()
    assert labelled.exec("open r /etc/denied").out.strip() == "EACCES"


def test_exec_with_a_label_of_its_own(ct, profile):
    ct.up()
    assert ct.exec("cat /proc/self/attr/current", flags=["--apparmor", profile]).check().out.strip() == f"{NAME} (enforce)"
    ct.exec("true", flags=["--apparmor", "berth-no-such-profile"]).refused("apparmor|label|profile")


def test_with_seccomp_and_few_capabilities(labelled):
    labelled.process["capabilities"] = {}
    labelled.process["user"] = {"uid": 1000, "gid": 1000}
    labelled.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{"names": ["getppid"], "action": "SCMP_ACT_ERRNO"}],
    }  # fmt: skip
    assert labelled.text("cat /proc/self/attr/current") == f"{NAME} (enforce)"


def test_an_unknown_profile_fails_closed(ct):
    """CVE-2019-16884: never a container without the label."""
    ct.process["apparmorProfile"] = "berth-no-such-profile"
    result = ct.run("echo started")
    result.refused("berth-no-such-profile")
    assert "started" not in result.out
    ct.delete("--force")
    ct.assert_clean()


def test_unconfined(ct):
    ct.process["apparmorProfile"] = "unconfined"
    assert ct.text("cat /proc/self/attr/current").startswith("unconfined")


@pytest.mark.parametrize("where", ["/proc", "/proc/self", "/proc/self/attr"])
def test_a_masked_proc_does_not_swallow_the_label(root_ct, profile, where):
    """CVE-2019-16884, CVE-2019-19921: an image or a mount over /proc must not receive the write."""
    fake = root_ct.directory("fake")
    for name in ("self/attr/apparmor", "attr/apparmor", "apparmor"):
        (fake / name).mkdir(parents=True, exist_ok=True)
        for file in ("exec", "current"):
            (fake / name / file).write_text("")
            (fake / name).parent.joinpath(file).write_text("") if name != "apparmor" else (fake / file).write_text("")
    root_ct.mount(where, "bind", fake, ["bind"])
    root_ct.process["apparmorProfile"] = profile
    (root_ct.rootfs / "etc/denied").write_text("secret")
    result = root_ct.run("open r /etc/denied")
    assert result.code != 0 or result.out.strip() == "EACCES", result


def test_berth_run(berth, profile):
    assert berth.run("--security-opt", f"apparmor={profile}", "test", "/init", "cat", "/proc/self/attr/current").check().text == f"{NAME} (enforce)"
    berth.run("--security-opt", "apparmor=berth-no-such-profile", "test", "echo", "started").fails(125, "berth-no-such-profile")
    berth.run("--security-opt", "apparmor=unconfined", "test", "true").check()
    berth.assert_clean()
