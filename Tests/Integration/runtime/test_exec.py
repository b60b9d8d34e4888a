"""exec: a second process in a running container."""

import json
import os
import subprocess

import pytest

from host import fields, status_fields, wait_for
from spec import DEFAULT_CAPABILITIES, capability_mask


@pytest.fixture
def up(ct):
    return ct.up()


def test_exec_runs_in_the_container(up):
    host = os.readlink(f"/proc/{up.pid}/ns/mnt")
    out = up.exec("ns", "hostname", "cat /proc/1/environ").check().out
    for kind in ("mnt", "pid", "net", "uts", "ipc", "user", "cgroup"):
        assert os.readlink(f"/proc/{up.pid}/ns/{kind}") in out
    assert "berth-test" in out and host in out


@pytest.mark.parametrize("code", [0, 1, 42, 126, 127, 255])
def test_exec_returns_the_exit_code(root_ct, code):
    assert root_ct.up().exec(f"exit {code}").code == code


def test_exec_returns_the_exit_code_rootless(user_ct):
    assert user_ct.up().exec("exit 42").code == 42


def test_exec_of_a_killed_process(up):
    assert up.exec("syscall 39", "kill 9 2").code in (0, 1, 137)
    process = up.popen("exec", up.id, "/init", "process", ";", "pause", stdout=subprocess.PIPE)
    inside = fields(process.stdout.readline().decode())["pid"]
    up.exec(f"kill 9 {inside}").check()
    assert process.wait(10) == 137
    process.stdout.close()


def test_exec_passes_the_streams(up):
    result = up.exec("fd-cat 0", "stderr to-stderr", stdin="from stdin\n").check()
    assert "from stdin\n" in result.out and "to-stderr" in result.err and "to-stderr" not in result.out


def test_exec_forwards_signals(up):
    process = up.popen("exec", up.id, "/init", "pause", stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    process.terminate()
    line = process.stdout.readline()
    while line == b"signal URG\n":
        line = process.stdout.readline()
    assert line == b"signal TERM\n"
    assert process.wait(10) == 0
    process.stdout.close()


def test_exec_inherits_the_process_of_the_config(ct):
    (ct.rootfs / "srv").mkdir()
    ct.process["env"] += ["FROM=config"]
    ct.process["cwd"] = "/srv"
    ct.process["user"] = {"uid": 1000, "gid": 100, "additionalGids": [7], "umask": 0o027} if ct.who.is_root else {"uid": 1000, "gid": 100}
    ct.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 88}]
    ct.process["oomScoreAdj"] = 500
    ct.up()
    out = ct.exec("env", "cwd", "id", "rlimits", "oom_score_adj").check().out
    assert "FROM=config" in out and "\n/srv\n" in out and "uid=1000" in out and "gid=100" in out
    assert "RLIMIT_NOFILE 77 88" in out and "\n500\n" in out


def test_exec_umask(ct):
    ct.process["user"]["umask"] = 0o027
    ct.up()
    assert ct.exec("umask").out == "0027\n"


@pytest.mark.parametrize("flag", ["--env", "-e"])
def test_exec_env(up, flag):
    out = up.exec("env", flags=[flag, "A=1", flag, "B=x y=z"]).check().out.splitlines()
    assert "A=1" in out and "B=x y=z" in out and f"BERTH_TEST_ID={up.id}" in out


def test_exec_env_comes_after_the_configs(ct):
    ct.process["env"].append("A=config")
    ct.up()
    out = ct.exec("env", flags=["--env", "A=exec"]).check().out.splitlines()
    assert [line for line in out if line.startswith("A=")][-1] == "A=exec"


def test_exec_does_not_show_the_callers_environment(up):
    assert "SECRET" not in up.exec("env", env={"SECRET_OF_CALLER": "x"}).check().out


def test_exec_cwd(up):
    assert up.exec("cwd", flags=["--cwd", "/tmp"]).check().out == "/tmp\n"


def test_exec_cwd_that_is_missing(up):
    """Other than at creation it may be made or refused, but never silently be `/`."""
    result = up.exec("cwd", flags=["--cwd", "/no/such/place"])
    if result.ok:
        assert result.out == "/no/such/place\n"
    else:
        result.refused("/no/such/place|no such file")


@pytest.mark.parametrize("value, uid, gid", [("1000", "1000", "0"), ("1000:50", "1000", "50"), ("0:0", "0", "0"), ("0", "0", "0")])
def test_exec_user(up, value, uid, gid):
    got = fields(up.exec("id", flags=["--user", value]).check().out)
    assert (got["uid"], got["euid"], got["gid"], got["egid"]) == (uid, uid, gid, gid)


@pytest.mark.parametrize("value", ["-1", " 1", "1e0", "0x1", "4294967296", "name", ":5", "1:", "1:x", "1:2:3"])
def test_s19_exec_user_is_exact_or_an_error(root_ct, value):
    """S19 (CVE-2026-30892): whatever is not a number is refused; never taken as 0."""
    root_ct.process["user"] = {"uid": 1234, "gid": 1234}
    root_ct.up()
    root_ct.exec("id", flags=["--user", value]).refused()


def test_s19_a_leading_zero_is_decimal(root_ct):
    """S19."""
    root_ct.up()
    result = root_ct.exec("id", flags=["--user", "010"])
    if result.ok:
        assert fields(result.out)["uid"] == "10"


def test_s19_an_empty_user_is_the_configs(root_ct):
    """S19."""
    root_ct.process["user"] = {"uid": 1234, "gid": 1234}
    root_ct.up()
    result = root_ct.exec("id", flags=["--user", ""])
    if result.ok:
        assert fields(result.out)["uid"] == "1234"


def test_exec_additional_gids(root_ct):
    root_ct.up()
    got = fields(root_ct.exec("id", flags=["--additional-gids", "33", "--additional-gids", "44"]).check().out)
    assert {"33", "44"} <= set(got["groups"].split(","))


def caps(text):
    return {name: int(value, 16) for name, value in status_fields(text).items() if name.startswith("Cap")}


def test_exec_has_the_containers_capabilities(up):
    wanted = capability_mask(DEFAULT_CAPABILITIES)
    got = caps(up.exec("caps").check().out)
    assert got == {"CapInh": 0, "CapPrm": wanted, "CapEff": wanted, "CapBnd": wanted, "CapAmb": 0}


def test_s23_exec_as_another_user_has_none(up):
    """S23: no inheritable, no ambient, nothing effective; the bounding set is the container's."""
    got = caps(up.exec("caps", flags=["--user", "1000"]).check().out)
    assert (got["CapInh"], got["CapPrm"], got["CapEff"], got["CapAmb"]) == (0, 0, 0, 0)
    assert got["CapBnd"] == capability_mask(DEFAULT_CAPABILITIES)


def test_exec_cap_adds_one(root_ct):
    root_ct.up()
    got = caps(root_ct.exec("caps", flags=["--cap", "CAP_SYS_PTRACE"]).check().out)
    assert got["CapEff"] == got["CapBnd"] == capability_mask([*DEFAULT_CAPABILITIES, "CAP_SYS_PTRACE"])
    assert caps(root_ct.exec("caps").out)["CapEff"] == capability_mask(DEFAULT_CAPABILITIES)


def test_s38_no_new_privileges_is_kept(up):
    """S38: the config's value holds for exec as well."""
    assert status_fields(up.exec("caps").check().out)["NoNewPrivs"] == "1"


def test_exec_no_new_privs_flag(ct):
    ct.process["noNewPrivileges"] = False
    ct.up()
    assert status_fields(ct.exec("caps").out)["NoNewPrivs"] == "0"
    assert status_fields(ct.exec("caps", flags=["--no-new-privs"]).out)["NoNewPrivs"] == "1"


def test_exec_by_process_file(up):
    process = {
        "terminal": False, "user": {"uid": 1000, "gid": 55}, "args": ["/init", "id", ";", "env", ";", "cwd", ";", "caps"],
        "env": ["ONLY=this"], "cwd": "/tmp", "capabilities": {"bounding": ["CAP_KILL"]}, "noNewPrivileges": False,
        "rlimits": [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}],
    }  # fmt: skip
    path = up.file("process.json", json.dumps(process))
    out = up.call("exec", "--process", path, up.id).check().out
    assert "uid=1000" in out and "gid=55" in out and "ONLY=this" in out and "PATH=" not in out and "\n/tmp\n" in out
    assert caps(out.split("\x1e0\n")[3])["CapBnd"] == capability_mask(["CAP_KILL"])


@pytest.mark.parametrize("text", ["{", "[]", '{"args": []}', '{"args": ["/init"], "cwd": "tmp"}'])
def test_exec_by_a_process_file_that_is_none(root_ct, text):
    root_ct.up()
    root_ct.call("exec", "--process", root_ct.file("process.json", text), root_ct.id).refused()


def test_exec_detached(up):
    path = up.dir / "exec.pid"
    up.exec_detached("echo second", "pause", flags=["--pid-file", path]).check()
    pid = int(path.read_text())
    wait_for(lambda: up.log.count("ready") == 2, "the second process")
    assert pid != up.pid and pid in up.processes()
    assert os.readlink(f"/proc/{pid}/ns/pid") == os.readlink(f"/proc/{up.pid}/ns/pid")
    assert sorted(up.processes()) == sorted([pid, up.pid])


def test_exec_pid_file_in_the_foreground(up):
    path = up.dir / "exec.pid"
    up.exec("true", flags=["--pid-file", path]).check()
    assert path.read_text().isdigit()


def test_exec_ends_with_the_container(up):
    up.exec_detached("pause").check()
    up.kill("KILL").check()
    up.wait_status("stopped")
    wait_for(lambda: not up.processes(), "the second process to be gone")


def test_exec_survives_nothing_of_its_own(up):
    """The container goes on when the second process ends."""
    up.exec("exit 1")
    assert up.status == "running"


@pytest.mark.parametrize("program", ["/no-such-program", "no-such-program"])
def test_exec_of_a_missing_program(up, program):
    """dockerd and podman look for these words to answer 127. runc's exit code is 255, crun's 1."""
    result = up.call("exec", up.id, program)
    result.refused(r"executable file .*not found|no such file or directory")
    assert result.code in (1, 127, 255)


def test_exec_of_what_may_not_run(up):
    """The same for 126."""
    (up.rootfs / "plain").write_text("x")
    (up.rootfs / "plain").chmod(0o644)
    result = up.call("exec", up.id, "/plain").refused("permission denied")
    assert result.code in (1, 126, 255)


def test_exec_in_a_created_container(ct):
    """runc and crun allow it: prestart-like set-up is done this way."""
    ct.create("pause").check()
    assert ct.exec("echo early").check().out == "early\n"
    assert ct.status == "created"


def test_exec_in_a_stopped_container(ct):
    ct.run_detached("true").check()
    ct.wait_status("stopped")
    ct.exec("true").refused("stopped|not running|running")


def test_exec_in_a_missing_container(ct):
    ct.call("exec", "no-such-container", "/init", "true").refused("not exist|no such|not found")


def test_exec_without_a_program(up):
    up.call("exec", up.id).refused()


def test_flags_of_the_program_are_its_own(up):
    assert up.call("exec", up.id, "/init", "echo", "-e", "--cwd", "-t").check().out == "-e --cwd -t\n"


def test_s14_exec_has_three_descriptors(up):
    """S14."""
    first = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    try:
        out = up.exec("ls-fds", pass_fds=[first]).check().out
    finally:
        os.close(first)
    assert sorted(line.split()[0] for line in out.splitlines()) == ["0", "1", "2"]


def test_ten_at_once(up):
    running = [up.popen("exec", up.id, "/init", "echo", str(n), stdout=subprocess.PIPE) for n in range(10)]
    assert [process.communicate(timeout=20)[0].decode() for process in running] == [f"{n}\n" for n in range(10)]


def test_exec_with_a_joined_user_namespace(make_root):
    ct = make_root()
    ct.user_namespace(base=300000)
    ct.up()
    assert fields(ct.exec("id").check().out)["uid"] == "0"
    out = ct.exec("cat /proc/self/uid_map").check().out
    assert out.split() == ["0", "300000", "65536"]


def test_exec_in_another_cgroup(root_ct):
    """--cgroup names a cgroup below the container's; one that is not there is an error."""
    root_ct.up()
    root_ct.exec("true", flags=["--cgroup", "/no/such/cgroup"]).refused("cgroup")


def test_exec_keeps_the_time_namespace(ct):
    if not os.path.exists("/proc/self/ns/time"):
        pytest.skip("this kernel has no time namespaces")
    ct.namespace("time")
    ct.linux["timeOffsets"] = {"monotonic": {"secs": 1000000}}
    ct.up()
    assert int(fields(ct.exec("clock").check().out)["monotonic"]) >= 1000000


def test_exec_apparmor_that_is_missing(up):
    """S37."""
    if os.path.exists("/sys/kernel/security/apparmor/profiles"):
        pytest.skip("this host has AppArmor")
    up.exec("true", flags=["--apparmor", "berth-no-such-profile"]).refused("apparmor")


def test_exec_process_label_that_cannot_be_set(up):
    """S37."""
    if os.path.isdir("/sys/fs/selinux/initial_contexts"):
        pytest.skip("this host has SELinux")
    up.exec("true", flags=["--process-label", "system_u:system_r:container_t:s0"]).refused("selinux|label")


def test_no_zombie_is_left_in_the_container(up):
    """The init would have to reap it, and not every init does."""
    for _ in range(3):
        up.exec("true").check()
    names = [name for name in up.exec("ls /proc").check().out.split() if name.isdigit()]
    assert len(names) == 2


def test_s35_exec_has_no_keyring_of_the_caller(ct):
    """Its session keyring is not the one of whoever called exec."""
    import subprocess

    ct.up()
    caller = subprocess.run([ct.rootfs / "init", "keyring"], capture_output=True, text=True).stdout.strip()
    inside = ct.exec("keyring").check().out.strip()
    assert inside == "-1" or inside != caller


@pytest.mark.parametrize("left", ["whole", "empty", "noise", "cut", "another"])
def test_the_filter_is_compiled_once_and_never_left_out(ct, left):
    """What an earlier exec kept is used when it is whole, and made again when it is not."""
    if ct.runtime.kind != "berth":
        pytest.skip("the file is berth-runtime's")
    getppid = 110
    ct.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{"names": ["getppid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}],
    }  # fmt: skip
    ct.up()
    kept = ct.state_root / ct.id / "seccomp"
    assert ct.exec(f"try-syscall {getppid}").check().out == "ENOSYS\n"
    whole = kept.read_bytes()
    assert kept.stat().st_mode & 0o777 == 0o600
    kept.write_bytes(
        {"whole": whole, "empty": b"", "noise": os.urandom(2800), "cut": whole[:-8], "another": whole[:40] + bytes(8) + whole[48:]}[left])
    assert ct.exec(f"try-syscall {getppid}").check().out == "ENOSYS\n"
    assert ct.exec("status Seccomp").check().out == "Seccomp:\t2\n"
    assert kept.read_bytes() == whole
