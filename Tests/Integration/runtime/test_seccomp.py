"""linux.seccomp: every action, every operator, and what else the filter is made of."""

import errno
import platform

import pytest

from host import status_fields

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the call numbers are x86-64's")

GETPID, GETPPID, UNAME, SETHOSTNAME, MKDIR, GETPGID, KILL, FTRUNCATE, DUP = 39, 110, 63, 170, 83, 121, 62, 77, 32
KEXEC_LOAD, CLONE3, SOCKET = 246, 435, 41


def seccomp(ct, *rules, default="SCMP_ACT_ALLOW", **more):
    ct.linux["seccomp"] = {"defaultAction": default, "architectures": ["SCMP_ARCH_X86_64"], "syscalls": list(rules), **more}
    return ct


def rule(action, *names, args=(), **more):
    return {"names": list(names), "action": action, **({"args": list(args)} if args else {}), **more}


def compare(index, value, op, second=0):
    return {"index": index, "value": value, "valueTwo": second, "op": op}


def test_the_filter_is_on(ct):
    seccomp(ct, rule("SCMP_ACT_ERRNO", "getppid"))
    got = status_fields(ct.text("status Seccomp Seccomp_filters"))
    assert got == {"Seccomp": "2", "Seccomp_filters": "1"}


def test_no_filter_without_asking(ct):
    assert status_fields(ct.text("status Seccomp"))["Seccomp"] == "0"


def test_errno_is_eperm_by_default(ct):
    seccomp(ct, rule("SCMP_ACT_ERRNO", "getppid"))
    assert ct.text(f"try-syscall {GETPPID}") == "EPERM"


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EACCES, errno.EXDEV])
def test_errno_ret(ct, number):
    seccomp(ct, rule("SCMP_ACT_ERRNO", "getppid", errnoRet=number))
    assert ct.text(f"try-syscall {GETPPID}") == errno.errorcode[number]


def test_kill(ct):
    seccomp(ct, rule("SCMP_ACT_KILL", "getppid"), rule("SCMP_ACT_KILL_THREAD", "getpgid"), rule("SCMP_ACT_KILL_PROCESS", "uname"))
    assert ct.look(*(f"try-syscall {n}" for n in (GETPPID, GETPGID, UNAME))) == ["signal 31"] * 3


def test_a_killed_init_is_seen_in_the_exit_code(ct):
    seccomp(ct, rule("SCMP_ACT_KILL_PROCESS", "getppid"))
    assert ct.run(f"syscall {GETPPID}").code == 128 + 31


def test_trap(ct):
    seccomp(ct, rule("SCMP_ACT_TRAP", "getppid"))
    assert ct.text(f"trap {GETPPID}") == f"trapped {GETPPID}"


def test_log_lets_the_call_through(ct):
    seccomp(ct, rule("SCMP_ACT_LOG", "getppid"))
    assert ct.text(f"try-syscall {GETPPID}").isdigit()


def test_trace_without_a_tracer_is_enosys(ct):
    seccomp(ct, rule("SCMP_ACT_TRACE", "getppid"))
    assert ct.text(f"try-syscall {GETPPID}") == "ENOSYS"


def allowed(*more):
    """What the test init needs to start, look and end."""
    names = """read write writev openat open close fstat newfstatat stat lstat mmap munmap mprotect brk rt_sigaction rt_sigprocmask
        rt_sigreturn ioctl access execve exit exit_group arch_prctl set_tid_address set_robust_list rseq prlimit64 readlink readlinkat
        getrandom futex clone clone3 fork vfork wait4 getpid gettid getdents64 lseek fcntl prctl capget capset setuid setgid setgroups
        chdir fchdir fchdirfd getcwd faccessat faccessat2 uname setresuid setresgid dup dup2 dup3 sigaltstack getuid geteuid getgid getegid
        pread64 nanosleep epoll_create1 epoll_ctl epoll_pwait eventfd2 sched_yield sched_getaffinity mincore madvise tgkill pipe2 close_range
        getppid statfs fstatfs umask sendmsg recvmsg poll ppoll unlinkat unlink getrlimit setrlimit mkdirat mkdir sync_file_range""".split()
    return rule("SCMP_ACT_ALLOW", *(name for name in names if name not in more))


def test_an_allow_list(ct):
    seccomp(ct, allowed(), default="SCMP_ACT_ERRNO")
    assert ct.look(f"try-syscall {SETHOSTNAME} s:x 1", f"try-syscall {GETPID}")[0] == "EPERM"


def test_the_default_errno(ct):
    seccomp(ct, allowed(), default="SCMP_ACT_ERRNO", defaultErrnoRet=errno.EXDEV)
    assert ct.text(f"try-syscall {DUP + 800}") in ("EXDEV", "ENOSYS")
    assert ct.run(f"try-syscall {SETHOSTNAME} s:x 1").out.strip() == "EXDEV"


def test_calls_newer_than_the_filter(root_ct):
    """A number nobody knows yet: ENOSYS or the default errno, never the call."""
    seccomp(root_ct, allowed(), default="SCMP_ACT_ERRNO")
    assert root_ct.text("try-syscall 9999") in ("ENOSYS", "EPERM")


VALUE = 0x1_0000_0005  # the upper half matters: comparisons are of 64 bits
OPERATORS = [
    ("SCMP_CMP_EQ", VALUE, 0, [VALUE], [5, VALUE + 1]),
    ("SCMP_CMP_NE", VALUE, 0, [5, VALUE - 1], [VALUE]),
    ("SCMP_CMP_LT", VALUE, 0, [VALUE - 1, 0xFFFFFFFF, 0], [VALUE, VALUE + 1, 0x2_0000_0000]),
    ("SCMP_CMP_LE", VALUE, 0, [VALUE, 6], [VALUE + 1, 0x2_0000_0000]),
    ("SCMP_CMP_GE", VALUE, 0, [VALUE, VALUE + 1, 0x2_0000_0000], [VALUE - 1, 0xFFFFFFFF]),
    ("SCMP_CMP_GT", VALUE, 0, [VALUE + 1, 0x2_0000_0000], [VALUE, 0xFFFFFFFF]),
    ("SCMP_CMP_MASKED_EQ", 0xF_0000_000F, 0x1_0000_0005, [VALUE, 0xFFF1_0000_FFF5], [5, 0x1_0000_0004]),
    ("SCMP_CMP_LT", 10, 0, [9], [10, 0x8000_0000_0000_0000]),  # unsigned
    ("SCMP_CMP_GT", 0x7FFF_FFFF_FFFF_FFFF, 0, [0x8000_0000_0000_0000], [0x7FFF_FFFF_FFFF_FFFF]),
]  # fmt: skip


@pytest.mark.parametrize("op, value, second, hit, miss", OPERATORS)
def test_operators(root_ct, op, value, second, hit, miss):
    """getpid takes no argument, so any may be given; EXDEV is no errno of its own."""
    seccomp(root_ct, rule("SCMP_ACT_ERRNO", "getpid", args=[compare(2, value, op, second)], errnoRet=errno.EXDEV))
    got = root_ct.look(*(f"try-syscall {GETPID} 0 0 {n}" for n in hit + miss))
    assert got[: len(hit)] == ["EXDEV"] * len(hit)
    assert "EXDEV" not in got[len(hit) :]


def test_every_argument(root_ct):
    seccomp(root_ct, *(rule("SCMP_ACT_ERRNO", "getpid", args=[compare(i, 100 + i, "SCMP_CMP_EQ")], errnoRet=errno.EXDEV) for i in range(6)))
    vectors = [["0"] * 6 for _ in range(7)]
    for index in range(6):
        vectors[index][index] = str(100 + index)
    got = root_ct.look(*(f"try-syscall {GETPID} {' '.join(vector)}" for vector in vectors))
    assert got[:6] == ["EXDEV"] * 6 and got[6].isdigit()


def test_arguments_of_one_rule_are_all_needed(root_ct):
    both = [compare(0, 1, "SCMP_CMP_EQ"), compare(1, 2, "SCMP_CMP_EQ")]
    seccomp(root_ct, rule("SCMP_ACT_ERRNO", "getpid", args=both, errnoRet=errno.EXDEV))
    got = root_ct.look(f"try-syscall {GETPID} 1 2", f"try-syscall {GETPID} 1 3", f"try-syscall {GETPID} 0 2")
    assert got[0] == "EXDEV" and got[1].isdigit() and got[2].isdigit()


def test_one_argument_compared_twice_means_either(root_ct):
    """Docker's profiles rely on it: comparisons of one argument in one rule become rules of their own."""
    both = [compare(0, 1, "SCMP_CMP_EQ"), compare(0, 2, "SCMP_CMP_EQ")]
    seccomp(root_ct, rule("SCMP_ACT_ERRNO", "getpid", args=both, errnoRet=errno.EXDEV))
    assert root_ct.look(f"try-syscall {GETPID} 1", f"try-syscall {GETPID} 2") == ["EXDEV", "EXDEV"]


def test_several_rules_for_one_call(root_ct):
    seccomp(
        root_ct,
        rule("SCMP_ACT_ERRNO", "getpid", args=[compare(0, 1, "SCMP_CMP_EQ")], errnoRet=errno.EXDEV),
        rule("SCMP_ACT_ERRNO", "getpid", args=[compare(0, 2, "SCMP_CMP_EQ")], errnoRet=errno.ENOTTY),
    )
    got = root_ct.look(*(f"try-syscall {GETPID} {n}" for n in (1, 2, 3)))
    assert got[:2] == ["EXDEV", "ENOTTY"] and got[2].isdigit()


def test_many_calls_in_one_rule(root_ct):
    seccomp(root_ct, rule("SCMP_ACT_ERRNO", "getppid", "getpgid", "uname", "sethostname", errnoRet=errno.EXDEV))
    assert root_ct.look(*(f"try-syscall {n}" for n in (GETPPID, GETPGID, UNAME, SETHOSTNAME))) == ["EXDEV"] * 4


def test_unknown_calls_are_passed_over(ct):
    """One profile serves many architectures and kernels."""
    seccomp(ct, rule("SCMP_ACT_ERRNO", "no_such_call", "getppid", "s390_runtime_instr", "arm_fadvise64_64"))
    assert ct.text(f"try-syscall {GETPPID}") == "EPERM"


def test_foreign_architectures_are_denied(root_ct):
    """S26: with only x86-64 listed, the i386 and x32 entries do not lead around the filter."""
    seccomp(root_ct, rule("SCMP_ACT_ERRNO", "getppid"))
    i386, x32 = root_ct.look("int80 64", f"x32 {GETPPID}")
    assert i386 == "signal 31" or i386 in ("EPERM", "ENOSYS")
    assert x32 == "signal 31" or x32 in ("EPERM", "ENOSYS")


def test_listed_architectures_are_filtered_too(root_ct):
    seccomp(root_ct, rule("SCMP_ACT_ERRNO", "getppid", errnoRet=errno.EXDEV))
    root_ct.linux["seccomp"]["architectures"] = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]
    native, i386 = root_ct.look(f"try-syscall {GETPPID}", "int80 64")
    assert native == "EXDEV"
    assert i386 in ("EXDEV", "signal 11")  # a kernel may be without the i386 entry


def test_i386_socketcall_does_not_lead_around(root_ct):
    """S26, S27: socket() has another door on i386."""
    seccomp(root_ct, rule("SCMP_ACT_ERRNO", "socket", "socketcall", errnoRet=errno.EXDEV))
    root_ct.linux["seccomp"]["architectures"] = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]
    assert root_ct.look("socket 1 1", "int80 102 1 0", "int80 359 1 1")[0] == "EXDEV"
    assert root_ct.run("int80 102 1 0").out.strip() in ("EXDEV", "signal 11")


def test_s27_socket_families(root_ct):
    """S27: AF_ALG and AF_VSOCK denied as Docker's profile does it, by three ranges; the rest works."""
    allow = [
        rule("SCMP_ACT_ALLOW", "socket", args=[compare(0, 38, "SCMP_CMP_LT")]),
        rule("SCMP_ACT_ALLOW", "socket", args=[compare(0, 39, "SCMP_CMP_EQ")]),
        rule("SCMP_ACT_ALLOW", "socket", args=[compare(0, 40, "SCMP_CMP_GT")]),
    ]
    seccomp(root_ct, allowed(), *allow, default="SCMP_ACT_ERRNO", defaultErrnoRet=errno.EXDEV)
    assert root_ct.look("socket 38 5", "socket 40 1", "socket 1 1", "socket 2 1") == ["EXDEV", "EXDEV", "ok", "ok"]


def test_s28_clone3_is_missing_and_threads_work(ct):
    """S28: with clone3 as ENOSYS the C library falls back to clone."""
    seccomp(ct, rule("SCMP_ACT_ERRNO", "clone3", errnoRet=errno.ENOSYS), rule("SCMP_ACT_ERRNO", "unshare", "setns", "keyctl"))
    assert ct.look(f"try-syscall {CLONE3} 0 0", "thread", "unshare user", "try-syscall 250 0 -3 0") == ["ENOSYS", "ok", "EPERM", "EPERM"]


def test_s28_new_namespaces_by_clone_flags(root_ct):
    """S28: clone is allowed only without namespace flags."""
    allow = rule("SCMP_ACT_ALLOW", "clone", args=[compare(0, 0x7E020000, "SCMP_CMP_MASKED_EQ", 0)])
    seccomp(root_ct, allowed("clone", "clone3"), rule("SCMP_ACT_ERRNO", "clone3", errnoRet=errno.ENOSYS), allow, default="SCMP_ACT_ERRNO")
    root_ct.capabilities("SYS_ADMIN")
    assert root_ct.look(f"try-syscall 56 {0x10000000 | 17} 0", "thread") == ["EPERM", "ok"]


def test_without_no_new_privileges(ct):
    """The filter is loaded while the runtime still may; the process keeps what its capabilities say."""
    ct.process["noNewPrivileges"] = False
    seccomp(ct, rule("SCMP_ACT_ERRNO", "getpgid"))
    call, status = ct.look(f"try-syscall {GETPGID}", "status NoNewPrivs Seccomp")
    assert call == "EPERM" and status_fields(status) == {"NoNewPrivs": "0", "Seccomp": "2"}


def test_for_an_ordinary_process(ct):
    ct.process["user"] = {"uid": 1000, "gid": 1000}
    ct.process["capabilities"] = {}
    for value in (True, False):
        ct.process["noNewPrivileges"] = value
        seccomp(ct, rule("SCMP_ACT_ERRNO", "getpgid"))
        assert ct.text(f"try-syscall {GETPGID}") == "EPERM"


def test_exec_gets_the_filter(ct):
    seccomp(ct, rule("SCMP_ACT_ERRNO", "getppid"))
    ct.up()
    assert ct.exec(f"syscall {GETPPID}").out.strip() == "EPERM"


def test_a_filter_that_denies_what_the_runtime_needs(ct):
    """The filter comes last, so calls that only the runtime makes may be denied."""
    seccomp(ct, rule("SCMP_ACT_ERRNO", "mount", "umount2", "pivot_root", "setns", "unshare", "sethostname", "capset", "setgroups", "chdir"))
    ct.process["noNewPrivileges"] = True
    assert ct.text("mount tmpfs tmpfs /tmp") == "EPERM"


@pytest.mark.parametrize("flag", ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC"])
def test_flags(ct, flag):
    seccomp(ct, rule("SCMP_ACT_ERRNO", "getppid"), flags=[flag])
    assert ct.text(f"try-syscall {GETPPID}") == "EPERM"


@pytest.mark.parametrize(
    "change",
    [
        {"defaultAction": "SCMP_ACT_NOSUCH"}, {"defaultAction": ""}, {"architectures": ["SCMP_ARCH_NOSUCH"]},
        {"syscalls": [{"names": ["getppid"], "action": "SCMP_ACT_NOSUCH"}]}, {"syscalls": [{"names": ["getppid"]}]},
        {"syscalls": [{"names": [], "action": "SCMP_ACT_ERRNO"}]}, {"syscalls": [{"action": "SCMP_ACT_ERRNO"}]},
        {"syscalls": [rule("SCMP_ACT_ERRNO", "getppid", args=[compare(0, 1, "SCMP_CMP_NOSUCH")])]},
        {"syscalls": [rule("SCMP_ACT_ERRNO", "getppid", args=[compare(6, 1, "SCMP_CMP_EQ")])]},
        {"flags": ["SECCOMP_FILTER_FLAG_NOSUCH"]},
        {"syscalls": [rule("SCMP_ACT_KILL", "getppid", errnoRet=1)]},
        {"syscalls": [rule("SCMP_ACT_NOTIFY", "getppid")]},
    ],
    ids=["default", "no-default", "architecture", "action", "no-action", "empty-names", "no-names", "operator", "index", "flag",
         "errno-of-kill", "notify-without-listener"],
)  # fmt: skip
def test_profiles_that_are_none_are_refused(ct, change):
    """S37: a filter that cannot be made is no reason to go without."""
    seccomp(ct, rule("SCMP_ACT_ERRNO", "getppid"))
    ct.linux["seccomp"].update(change)
    ct.create("true").refused()
    ct.assert_clean()


# The listener


def test_notify(ct):
    seccomp(ct, rule("SCMP_ACT_NOTIFY", "getppid"), listenerMetadata="meta=1")
    ct.spec["annotations"] = {"org.example": "yes"}
    agent = ct.agent()
    ct.run_detached(f"syscall {GETPPID}", f"syscall {GETPPID}", "pause").check()
    state, fds = agent.receive()
    assert state["metadata"] == "meta=1" and state["ociVersion"] and state["pid"] > 0
    assert state["state"]["id"] == ct.id and state["state"]["bundle"] == str(ct.dir)
    assert state["state"]["status"] in ("creating", "created", "running") and state["state"]["annotations"] == {"org.example": "yes"}
    assert state["fds"] == ["seccompFd"]
    assert agent.answer(fds["seccompFd"], error=errno.EXDEV)[0] == GETPPID
    assert agent.answer(fds["seccompFd"], value=4242)[0] == GETPPID
    ct.wait_log("^ready$")
    assert ct.log.startswith("EXDEV\n\x1e1\n4242\n")
    assert state["pid"] == ct.pid


def test_notify_for_exec(ct):
    seccomp(ct, rule("SCMP_ACT_NOTIFY", "getppid"))
    agent = ct.agent()
    ct.up()
    agent.receive()
    ct.exec_detached(f"syscall {GETPPID}").check()
    state, fds = agent.receive()
    assert state["state"]["id"] == ct.id and state["pid"] != ct.pid
    agent.answer(fds["seccompFd"], value=77)
    ct.wait_log("^77$")


def test_nobody_listens(ct):
    seccomp(ct, rule("SCMP_ACT_NOTIFY", "getppid"), listenerPath=str(ct.dir / "nobody.sock"))
    ct.run("true").refused()
    ct.delete("--force")
    ct.assert_clean()


@pytest.mark.parametrize("name", ["write", "sendmsg"])
def test_notify_is_refused_for_what_the_runtime_needs_itself(ct, name):
    """What the runtime calls before the agent has the listener: it would wait for an answer that nobody can give."""
    if name == "sendmsg" and ct.runtime.kind != "berth":
        pytest.skip("runc and crun agree on write only")
    seccomp(ct, rule("SCMP_ACT_NOTIFY", name))
    agent = ct.agent()
    ct.create("true").refused()
    ct.assert_clean()
    assert agent


def test_notify_for_nearly_everything(ct):
    """All calls but those two may notify; an agent that lets them all through sees the container start and end."""
    names = [name for name in allowed()["names"] if name not in ("write", "sendmsg")]
    seccomp(ct, rule("SCMP_ACT_NOTIFY", *names))
    agent = ct.agent()
    ct.create("echo through", "pause").check()
    start = ct.popen("start", ct.id)  # it waits for execve, and that waits for the agent
    _, fds = agent.receive()
    calls = agent.pass_on(fds["seccompFd"], lambda: "ready" in ct.log)
    assert 59 in calls and start.wait(10) == 0
    ct.kill("KILL").check()
