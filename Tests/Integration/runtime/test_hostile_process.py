"""Hostile programs: attacks on the process that enters, on the runtime's own binary, and on what the kernel isolates.

Each test is named by its case; the rows about descriptors, exec users, capabilities, mappings and labels that have no attacker
of their own are with their topics (grep for the case's number).
"""

import hashlib
import os
import pathlib
import re
import resource
import shutil
import stat
import subprocess

import pytest

from host import fields, status_fields, wait_for

CORE_PATTERN = pathlib.Path("/proc/sys/kernel/core_pattern")


@pytest.fixture(autouse=True)
def host_is_unharmed(suite):
    digest = hashlib.sha256(suite.runtime.path.read_bytes()).digest()
    pattern = CORE_PATTERN.read_text()
    yield
    if CORE_PATTERN.read_text() != pattern:
        CORE_PATTERN.write_text(pattern)
        pytest.fail("core_pattern was changed")
    assert hashlib.sha256(suite.runtime.path.read_bytes()).digest() == digest


# S15: the runtime's binary


def identity(path):
    status = os.stat(path)
    return f"{status.st_dev}:{status.st_ino}"


def hunted(ct, itself=False):
    """Runs a hunter as the container's init, execs next to it, and returns what it says.

    With `itself`, what is exec'd is the link to the entering process's own program.
    """
    ct.up("hunt")
    for _ in range(4):
        ct.exec("true")
        if itself:
            ct.call("exec", ct.id, "/proc/self/exe", "--version")
    ct.kill("TERM").check()
    ct.wait_status("stopped")
    return ct.log


def test_s15_the_program_is_not_written_to(ct):
    """CVE-2019-5736: the host's file cannot be opened for writing through the process that enters."""
    ct.capabilities("SYS_PTRACE", "DAC_OVERRIDE", "SYS_ADMIN")
    log = hunted(ct, itself=True)
    mine = identity(ct.runtime.path)
    for line in re.findall(r"^exe (.*)$", log, re.M):
        file, answer = line.split()
        assert not (file == mine and answer == "WRITTEN"), log


def test_s15_the_program_seen_inside_is_sealed(root_ct):
    """What can be seen of the entering process refuses writes: a sealed memfd or a read-only mount."""
    root_ct.capabilities("SYS_PTRACE")
    assert "WRITTEN" not in hunted(root_ct, itself=True)


def test_s15_the_entrypoint_is_the_program(ct):
    """The container's program is `/proc/self/exe`: it would be the runtime itself."""
    ct.process["args"] = ["/proc/self/exe", "--version"]
    ct.run(timeout=10)


def test_s15_the_interpreter_is_the_program(ct):
    (ct.rootfs / "script").write_text("#!/proc/self/exe\n")
    (ct.rootfs / "script").chmod(0o755)
    ct.process["args"] = ["/script"]
    ct.run(timeout=10)


# S16: the entering process is not to be looked into


def test_s16_the_entering_process_is_closed(ct):
    """An ordinary container root sees neither the program nor the files of a process that joins."""
    assert "saw" not in hunted(ct)


def test_s16_with_ptrace_in_a_user_namespace(ct):
    """CAP_SYS_PTRACE over the container's user namespace does not reach a process that has not exec'd yet."""
    if ct.who.is_root:
        ct.user_namespace()
    ct.capabilities("SYS_PTRACE")
    assert "saw" not in hunted(ct)


def test_s16_the_init_that_waits_is_closed(root_ct):
    """Between create and start another process of the host with the container's ids cannot trace the init."""
    root_ct.create("pause").check()
    status = status_fields(pathlib.Path(f"/proc/{root_ct.pid}/status").read_text())
    assert status["TracerPid"] == "0"
    assert os.stat(f"/proc/{root_ct.pid}/mem").st_uid == 0


# S17: no code of the container is loaded by the host's process


def test_s17_libraries_of_the_image_are_not_loaded(root_ct):
    """CVE-2019-14271: libraries and configuration where a C library would look for them, in the image, left unread."""
    if shutil.which("strace") is None:
        pytest.skip("needs strace")
    for name in ("libnss_files.so.2", "libc.so.6", "libgcc_s.so.1"):
        for directory in ("lib/x86_64-linux-gnu", "lib64", "usr/lib"):
            (root_ct.rootfs / directory).mkdir(parents=True, exist_ok=True)
            (root_ct.rootfs / directory / name).write_text("not a library")
    (root_ct.rootfs / "etc/nsswitch.conf").write_text("passwd: evil\n")
    (root_ct.rootfs / "etc/ld.so.preload").write_text("/lib64/libc.so.6\n")
    root_ct.up()
    trace = root_ct.dir / "trace"
    result = root_ct.exec("echo fine", flags=["--user", "1000"], wrap=["strace", "-f", "-qq", "-e", "trace=open,openat,openat2", "-o", str(trace)])
    assert result.out == "fine\n", result.err
    entered = trace.read_text()
    pid = next((line.split()[0] for line in entered.splitlines() if "/proc/self/setgroups" in line), None)
    for line in entered.splitlines():
        if "nsswitch.conf" in line or "ld.so.preload" in line or "libnss" in line:
            assert pid is None or line.split()[0] != pid, line


# S22, S23, S38: identity


def test_s22_groups_of_the_image_are_not_the_runtimes_choice(root_ct):
    """config.json says which groups; /etc/group of the image adds none."""
    (root_ct.rootfs / "etc/passwd").write_text("app:x:1000:1000::/:/bin/sh\n")
    (root_ct.rootfs / "etc/group").write_text("disk:x:6:app\ndocker:x:999:app\n")
    root_ct.process["user"] = {"uid": 1000, "gid": 1000}
    assert set(fields(root_ct.text("id"))["groups"].split(",")) <= {"", "1000"}


def test_s23_inheritable_and_ambient_are_empty(ct):
    got = status_fields(ct.text("caps"))
    assert int(got["CapInh"], 16) == int(got["CapAmb"], 16) == 0


@pytest.mark.parametrize("value", [True, False])
@pytest.mark.parametrize("mode", ["run", "exec"])
def test_s38_a_setuid_program(ct, value, mode):
    program = ct.rootfs / "setuid"
    shutil.copy(ct.rootfs / "init", program)
    ct.own(ct.rootfs)
    program.chmod(0o4755)
    ct.save = lambda text=None, save=ct.save: (save(text), program.chmod(0o4755))
    ct.process["user"] = {"uid": 1000, "gid": 1000}
    ct.process["noNewPrivileges"] = value
    if mode == "run":
        out = ct.text("run /setuid id")
    else:
        out = ct.up().exec("run /setuid id").check().out
    assert fields(out.splitlines()[0])["euid"] == ("1000" if value else "0")


# S26 to S28: system calls (the rest is in test_seccomp.py)


def test_s26_every_number_of_an_allow_list(root_ct):
    """All numbers are tried: exactly those not allowed answer as the profile says, from the highest to the lowest."""
    candidates = ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm/unistd_64.h")
    header = next((pathlib.Path(path) for path in candidates if os.path.exists(path)), None)
    if header is None or os.uname().machine != "x86_64":
        pytest.skip("needs the kernel's list of x86-64 calls (linux-libc-dev)")
    numbers = {name: int(n) for name, n in re.findall(r"#define __NR_(\w+) (\d+)", header.read_text())}
    # Enough for the init to start, fork, try and report; none of them does harm with -1 as every argument.
    names = """write close fstat newfstatat mmap munmap mprotect brk rt_sigaction rt_sigprocmask ioctl access execve exit exit_group arch_prctl
        set_tid_address set_robust_list rseq prlimit64 readlink readlinkat getrandom futex clone wait4 getpid alarm openat read fcntl prctl capset
        setuid setgid setgroups chdir getcwd uname umask getdents64 epoll_ctl eventfd2 epoll_create1 sigaltstack gettid madvise lseek
        dup3 faccessat2 pread64 nanosleep getppid statfs fstatfs close_range setresuid setresgid sched_yield epoll_pwait tgkill
        rt_sigreturn pipe2 capget getuid geteuid getgid getegid sched_getaffinity mincore sendmsg unlinkat fchdir""".split()
    root_ct.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 18, "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{"names": names, "action": "SCMP_ACT_ALLOW"}],
    }  # fmt: skip
    denied = set(map(int, root_ct.run("sweep 0 466 EXDEV", timeout=30).check().out.split()))
    missing = set(map(int, root_ct.run("sweep 0 466 ENOSYS", timeout=30).check().out.split()))
    allowed = {numbers[name] for name in names if name in numbers}
    assert not denied & allowed
    # A number that the filter's maker does not know yet may be ENOSYS, so that a C library falls back.
    # 335 and 336 are the traps of uprobes, which the kernel lets past every filter.
    through = set(range(467)) - allowed - denied - missing - {335, 336}
    assert not through, {name for name, number in numbers.items() if number in through}


# S29, S30: cgroups


def test_s29_release_agent(root_ct):
    """CVE-2022-0492: neither the given hierarchy nor one mounted in namespaces of one's own lets the agent be set."""
    root_ct.namespace("cgroup")
    root_ct.mount("/sys/fs/cgroup", "cgroup", "cgroup", ["nosuid", "noexec", "nodev", "relatime", "ro"])
    got = root_ct.look(
        "open w /sys/fs/cgroup/memory/release_agent /sys/fs/cgroup/pids/notify_on_release", "unshare user mount cgroup",
        "mount cgroup cgroup /tmp memory", "poke /tmp/release_agent /evil",
    )  # fmt: skip
    assert set(got[0].split()) <= {"EROFS", "ENOENT", "EACCES", "EPERM"}
    assert got[3] != "ok"


def test_s29_release_agent_with_a_writable_cgroup(root_ct):
    root_ct.namespace("cgroup")
    root_ct.mount("/sys/fs/cgroup", "cgroup", "cgroup", ["nosuid", "noexec", "nodev", "relatime"])
    got = root_ct.text("open w /sys/fs/cgroup/memory/release_agent /sys/fs/cgroup/pids/release_agent").split()
    assert "ok" not in got


ATTEMPTS = [
    "open w /sys/fs/cgroup/pids/cgroup.procs /sys/fs/cgroup/unified/cgroup.procs /sys/fs/cgroup/cgroup.procs",
    "mkdir /sys/fs/cgroup/pids/x", "mkdir /sys/fs/cgroup/unified/x", "open w /sys/fs/cgroup/memory/memory.limit_in_bytes",
]  # fmt: skip


def test_s30_cgroups_of_a_rootless_container(user_ct):
    """CVE-2023-25809: with the host's cgroup namespace nothing of the host's hierarchy can be written."""
    user_ct.mount("/sys/fs/cgroup", "cgroup", "cgroup", ["nosuid", "noexec", "nodev", "relatime", "ro"])
    assert "ok" not in user_ct.run(*ATTEMPTS).out.split()


def test_s30_sys_bound_from_the_host(user_ct):
    user_ct.drop_mount("/sys")
    user_ct.drop_namespace("network")
    user_ct.mount("/sys", "none", "/sys", ["rbind", "nosuid", "noexec", "nodev", "ro"])
    user_ct.mount("/sys/fs/cgroup", "cgroup", "cgroup", ["nosuid", "noexec", "nodev", "relatime", "ro"])
    assert "ok" not in user_ct.run(*ATTEMPTS).out.split()


# S32, S33: kernel filesystems and devices


def test_s32_a_fresh_procfs(ct):
    """From a nested user namespace the kernel refuses an unmasked procfs or sysfs beside a masked one."""
    got = ct.look("unshare user mount", "mount proc proc /tmp", "mount sysfs sysfs /tmp")
    assert got[1:] == ["EPERM", "EPERM"]


def test_s33_nodes_in_the_image(root_ct):
    """The devices of the image's own /dev cannot be opened."""
    root_ct.linux["maskedPaths"] = []
    nodes = (("disk", stat.S_IFBLK, 254, 0), ("mem", stat.S_IFCHR, 1, 1), ("kmsg", stat.S_IFCHR, 1, 11), ("loop", stat.S_IFBLK, 7, 0))
    for name, kind, major, minor in nodes:
        os.mknod(root_ct.rootfs / name, kind | 0o666, os.makedev(major, minor))
    assert root_ct.text("open rw /disk /mem /kmsg /loop").split() == ["EPERM"] * 4


def test_s33_nodes_are_covered_by_nodev(ct):
    """Volumes with nodev keep what is on them shut."""
    volume = ct.directory("volume")
    if os.geteuid() == 0:
        os.mknod(volume / "zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    ct.mount("/v", "bind", volume, ["bind", "nodev"])
    assert ct.text("open r /v/zero") in ("EACCES", "EPERM", "ENOENT")


# S35, S36, S40: keys, ids, sockets


def test_s35_the_session_keyring(make):
    """Two containers and the host have three session keyrings."""
    init = make()
    host = subprocess.run([init.rootfs / "init", "keyring"], capture_output=True, text=True).stdout.strip()
    first, second = make().text("keyring"), make().text("keyring")
    assert first.lstrip("-").isdigit() and (first == "-1" or len({first, second, host}) == 3)


def test_s35_keyrings_are_given_back(make):
    """Each container needs one key; the quota is 200 for an ordinary user."""
    for _ in range(15):
        make().run("true").check()


def test_s36_the_callers_files_are_out_of_reach(user_ct, canary):
    """What lies outside the rootfs cannot be named, and unmapped owners are nobody."""
    got = user_ct.look(f"cat {canary}/secret", "ls /proc/1/root", "stat /proc/1/root/../..")
    assert got[0] == "ENOENT" and "init" in got[1].split()


def test_s40_no_abstract_sockets(ct):
    """Abstract sockets are reachable with the host's network namespace: the runtime has none."""
    ct.up()
    lines = [line for line in pathlib.Path("/proc/net/unix").read_text().splitlines() if "@" in line]
    assert not [line for line in lines if ct.id in line or "berth" in line.lower()]


# Odds and ends of the kind


def test_a_program_that_ends_at_once_many_times(root_ct):
    """F33: nothing hangs on a process that is gone before anybody looked."""
    for _ in range(10):
        root_ct.run_detached("true").check()
        root_ct.wait_status("stopped")
        root_ct.delete().check()
    root_ct.assert_clean()


def test_an_init_that_ignores_everything(ct):
    ct.up("pause ignore")
    ct.kill("TERM").check()
    ct.wait_log("signal TERM")
    assert ct.status == "running"
    ct.delete("--force").check()
    ct.assert_clean()


def test_a_fork_bomb_of_orphans(root_ct):
    """Processes that left their parents behind die with the container."""
    root_ct.resources["pids"] = {"limit": 64}
    root_ct.up("family 50")
    root_ct.delete("--force").check()
    wait_for(lambda: not root_ct.processes(), "all of them to be gone")
    root_ct.assert_clean()


def test_few_descriptors(ct):
    """F34: with a limit of 64 descriptors a container with many mounts starts, or says what is missing."""
    for index in range(80):
        ct.mount(f"/m/{index}", "tmpfs", "tmpfs", [])
    result = ct.run("true", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
    if not result.ok:
        result.refused()
    ct.assert_clean()
