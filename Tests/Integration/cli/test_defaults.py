"""What a container gets when nobody says otherwise: each row of the project's table of defaults, read from inside.

A row is a name, the words for the test init, and what its output must be: a text, a pattern, or a function that looks at it.
"""

import os
import pathlib
import re

import pytest

from host import fields, mount_on, status_fields
from spec import capability_mask

CAPABILITIES = "CHOWN DAC_OVERRIDE FSETID FOWNER SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL".split()


class Host:
    """What a check may ask beside the output."""

    def __init__(self, berth):
        self.berth, self.is_root = berth, berth.who.is_root


# Capabilities, identity, the process


def sets(**wanted):
    def check(text, host):
        found = {name: int(value, 16) for name, value in status_fields(text).items() if name.startswith("Cap")}
        return found == {"CapInh": 0, "CapAmb": 0} | {"Cap" + name: mask for name, mask in wanted.items()}

    return check


FULL = capability_mask(CAPABILITIES)


def environment(text, host):
    names = {line.partition("=")[0] for line in text.splitlines()}
    return names == {"PATH", "HOSTNAME", "HOME", "container"} and "container=oci" in text


def limits(text, host):
    rows = {row[0]: (int(row[1]), int(row[2])) for row in (line.split() for line in text.splitlines())}
    # 524288 or what the host allows; no limit of processes by user, which all containers of one would share
    hard = rows["RLIMIT_NOFILE"][1]
    return rows["RLIMIT_CORE"] == (0, 0) and rows["RLIMIT_NOFILE"][0] == 1024 and 1024 <= hard <= 524288


def score(text, host):
    own = int(pathlib.Path("/proc/self/oom_score_adj").read_text())
    return int(text) >= own


def session(text, host):
    found = fields(text)
    return (found["pid"], found["sid"], found["pgid"], found["pdeathsig"]) == ("1", "1", "1", "0")


def own_namespaces(text, host):
    found = dict(line.split() for line in text.splitlines())
    kinds = {"cgroup", "ipc", "mnt", "net", "pid", "uts"} | ({"time"} if os.path.exists("/proc/self/ns/time") else set())
    same = {kind for kind in kinds if found[kind] == os.readlink(f"/proc/self/ns/{kind}")}
    return not same and (found["user"] == os.readlink("/proc/self/ns/user")) == host.is_root


PROCESS = [
    ("capabilities", "caps", lambda text, host: sets(Prm=FULL, Eff=FULL, Bnd=FULL)(text, host)),
    ("capabilities of another user", "-u app caps", lambda text, host: sets(Prm=0, Eff=0, Bnd=FULL)(text, host)),
    ("capabilities added for another user", "-u app --cap-add=KILL caps", lambda text, host: int(status_fields(text)["CapAmb"], 16) == capability_mask(["KILL"])),
    ("no_new_privs", "status NoNewPrivs", r"NoNewPrivs:\t0"),
    ("seccomp", "status Seccomp", r"Seccomp:\t2"),
    ("ids", "id", r"uid=0 euid=0 gid=0 egid=0 groups=(0)?"),
    ("umask", "umask", "0022"),
    ("environment", "env", environment),
    ("working directory", "cwd", "/"),
    ("limits", "rlimits", limits),
    ("oom score", "oom_score_adj", score),
    ("session and group", "process", session),
    ("personality", "personality", "00000000"),
    ("descriptors", "ls-fds", lambda text, host: [line.split()[0] for line in text.splitlines()] == ["0", "1", "2"]),
    ("namespaces", "ns", own_namespaces),
    ("host name", "hostname", "[0-9a-f]{12}"),
]  # fmt: skip


# Mounts: target, type, options that must be there, options of the file system; "!" before what must not


MOUNTS = [
    ("/", "overlay", "rw", ""),
    ("/proc", "proc", "nosuid noexec nodev", ""),
    ("/dev", "tmpfs", "nosuid noexec !nodev !ro", "mode=755 size=65536k"),
    ("/dev/pts", "devpts", "nosuid noexec", "mode=620 ptmxmode=666"),
    ("/dev/shm", "tmpfs", "nosuid noexec nodev", "size=65536k"),
    ("/dev/mqueue", "mqueue", "nosuid noexec nodev", ""),
    ("/sys", "sysfs", "nosuid noexec nodev ro", ""),
    ("/sys/fs/cgroup", None, "nosuid noexec nodev ro", ""),
    ("/t", "tmpfs", "nosuid noexec nodev", ""),
    ("/volume", None, "nosuid nodev", ""),
    ("/bind", None, "", ""),
    ("/read-only", None, "ro", ""),
    ("/etc/hosts", None, "nosuid nodev", ""),
]  # fmt: skip


@pytest.fixture
def mount_table(berth, place):
    flags = ["--tmpfs", "/t", "-v", "defaults:/volume", "-v", f"{place}:/bind", "-v", f"{place}:/read-only:ro"]
    return berth.run(*flags, "test", "/init", "mountinfo").check().out


def test_mounts(mount_table):
    for target, kind, options, super_options in MOUNTS:
        mount = mount_on(mount_table, target)
        assert mount, f"{target} is not mounted"
        assert kind in (None, mount.type), f"{target}: {mount}"
        wanted = {word for word in options.split() if not word.startswith("!")}
        refused = {word[1:] for word in options.split() if word.startswith("!")}
        assert wanted <= mount.options and not refused & mount.options, f"{target}: {mount}"
        assert set(super_options.split()) <= mount.super_options, f"{target}: {mount}"
        assert not {word for word in mount.propagation if word.startswith("shared")}, f"{target} propagates: {mount}"


def test_devpts_has_the_tty_group_where_there_is_one(mount_table):
    assert any(word.startswith("gid=") for word in mount_on(mount_table, "/dev/pts").super_options)


def test_modes_of_the_file_systems(berth):
    out = berth.run("test", "/init", "stat", "/dev", "/dev/shm").check().lines
    assert [line.split()[1] for line in out] == ["0755", "1777"]


# Masked and read-only paths

MASKED = """/proc/acpi /proc/asound /proc/interrupts /proc/kcore /proc/keys /proc/latency_stats /proc/sched_debug /proc/scsi /proc/timer_list
/proc/timer_stats /proc/kallsyms /sys/devices/virtual/powercap /sys/firmware /sys/fs/selinux /sys/kernel/debug /sys/kernel/tracing
/sys/kernel/security""".split()
READ_ONLY = "/proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger".split()


def test_masked_paths(berth):
    """A file is the null device, a directory an empty read-only tmpfs; what this kernel does not have needs no mask."""
    words = [word for path in MASKED for word in ("stat", path, ";")]
    lines = [part.strip() for part in re.split(r"\x1e\d+\n", berth.run("test", "/init", *words[:-1]).out)]
    text = berth.run("test", "/init", "mountinfo").check().out
    hidden = []
    for path, line in zip(MASKED, lines):
        if line == "ENOENT":
            continue
        kind, *_, size, device, _ = line.split()
        assert mount_on(text, path), f"{path} is not covered"
        assert (kind, device) == ("c", "1:3") or kind == "d", f"{path}: {line}"
        if kind == "d":
            assert "ro" in mount_on(text, path).options
            assert berth.run("test", "/init", "ls", path).check().text == "", path
        hidden.append(path)
    assert {"/proc/keys", "/proc/interrupts", "/proc/kallsyms"} <= set(hidden), hidden


def test_read_only_paths(berth):
    text = berth.run("test", "/init", "mountinfo").check().out
    for path in READ_ONLY:
        if os.path.exists(path):
            assert "ro" in mount_on(text, path).options, path
    out = berth.run("test", "/init", "open", "w", "/proc/sys/kernel/domainname", "/proc/sysrq-trigger").out
    assert set(out.split()) <= {"EROFS", "EACCES", "ENOENT"}


# Devices

NODES = {"null": "1:3", "zero": "1:5", "full": "1:7", "random": "1:8", "urandom": "1:9", "tty": "5:0"}
LINKS = {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2", "ptmx": "pts/ptmx"}


def test_devices(berth):
    names = set(berth.run("test", "/init", "ls", "/dev").check().out.split())
    assert names - {"core", "console"} == set(NODES) | set(LINKS) | {"pts", "shm", "mqueue"}
    out = berth.run("test", "/init", "stat", *[f"/dev/{name}" for name in NODES]).check().lines
    assert [(line.split()[0], line.split()[1], line.split()[5]) for line in out] == [("c", "0666", number) for number in NODES.values()]
    out = berth.run("test", "/init", "readlink", *[f"/dev/{name}" for name in LINKS]).check().lines
    assert out == list(LINKS.values())


def test_device_rules(root_berth):
    """Made with the capability to, nothing but the standard devices opens; fuse neither."""
    nodes = {"mem": ("c", 1, 1), "kmsg": ("c", 1, 11), "disk": ("b", 8, 0), "fuse": ("c", 10, 229), "tun": ("c", 10, 200), "zero2": ("c", 1, 5)}
    words = []
    for name, (kind, major, minor) in nodes.items():
        words += ["mknod", f"/{name}", kind, str(major), str(minor), ";"]
    words += ["open", "rw", *[f"/{name}" for name in nodes]]
    out = root_berth.run("--cap-add", "MKNOD", "test", "/init", *words).out
    assert out.split("\x1e")[-2].split("\n", 1)[1].split() == ["EPERM"] * 5 + ["ok"], out


# Seccomp

X86_64 = os.uname().machine == "x86_64"
CALLS = {
    # number on x86-64: (name, arguments, answer)
    "EPERM": """acct:163 add_key:248 bpf:321 fanotify_init:300 fsconfig:431 fsmount:432 fsopen:430 fspick:433 get_mempolicy:239
        set_mempolicy:238 mbind:237 migrate_pages:256 move_pages:279 init_module:175 finit_module:313 delete_module:176 io_uring_setup:425
        io_uring_enter:426 io_uring_register:427 ioperm:173 iopl:172 kcmp:312 kexec_load:246 kexec_file_load:320 keyctl:250 request_key:249
        mount:165 umount2:166 mount_setattr:442 move_mount:429 open_tree:428 pivot_root:155 open_by_handle_at:304 perf_event_open:298
        pidfd_getfd:438 process_madvise:440 quotactl:179 quotactl_fd:443 reboot:169 setdomainname:171 sethostname:170 setns:308
        settimeofday:164 clock_settime:227 swapon:167 swapoff:168 syslog:103 unshare:272 userfaultfd:323 vhangup:153 vmsplice:278
        lookup_dcookie:212 uselib:134 ustat:136 sysfs:139 nfsservctl:180""",
    "ENOSYS": "clone3:435 _sysctl:156 none:500 none:1000",
}  # fmt: skip


@pytest.mark.skipif(not X86_64, reason="the numbers are those of x86-64")
def test_seccomp_answers(berth):
    """Known dangerous calls fail with EPERM although the kernel would say something else; unknown ones with ENOSYS."""
    wrong = {}
    for answer, table in CALLS.items():
        calls = [entry.split(":") for entry in table.split()]
        words = [word for _, number in calls for word in ("syscall", number, "-1", "-1", "-1", "-1", "-1", ";")]
        out = re.split(r"\x1e\d+\n", berth.run("test", "/init", *words[:-1]).out)
        for (name, number), found in zip(calls, out):
            if found.strip() != answer:
                wrong[f"{name} {number}"] = found.strip()
    assert wrong == {}


@pytest.mark.skipif(not X86_64, reason="the numbers are those of x86-64")
def test_seccomp_by_argument(berth):
    rows = [
        ("syscall 56 0x10000000 0 0 0 0", "EPERM"),  # clone with CLONE_NEWUSER
        ("syscall 56 0x20000 0 0 0 0", "EPERM"),  # CLONE_NEWNS
        ("syscall 135 0xffffffff", "0"), ("syscall 135 0x20000", "0"), ("syscall 135 0x40000", "EPERM"),  # personality
        ("socket 38 5", "EPERM"), ("socket 40 1", "EPERM"),  # AF_ALG, AF_VSOCK
        ("socket 1 1", "ok"), ("socket 2 1", "ok"), ("socket 16 3 9", "EINVAL"),  # AF_UNIX, AF_INET, NETLINK_AUDIT
        ("thread", "ok"), ("int80 20", "ENOSYS"), ("int80 102 1", "ENOSYS"), ("x32 39", "ENOSYS"),
    ]  # fmt: skip
    words = [word for verb, _ in rows for word in [*verb.split(), ";"]]
    out = re.split(r"\x1e\d+\n", berth.run("test", "/init", *words[:-1]).out)
    for (verb, wanted), found in zip(rows, out):
        if verb.startswith(("int80", "x32")):
            assert found.strip() in ("EPERM", "ENOSYS", "signal 31", "signal 11"), f"{verb}: {found}"
        else:
            assert found.strip() == wanted, f"{verb}: {found}"


# Network and kernel parameters

SYSCTLS = [("net.ipv4.ip_unprivileged_port_start", "0"), ("net.ipv4.ping_group_range", None)]


def test_sysctls(berth):
    start, group_range = berth.run("test", "/init", "sysctl", *[name for name, _ in SYSCTLS]).check().lines
    assert start == "0"
    first, last = map(int, group_range.split())
    assert first == 0 and (last == 2147483647 if berth.who.is_root else 65535 <= last < 2147483647)


def test_the_hosts_kernel_parameters_stay(berth):
    before = {name: pathlib.Path("/proc/sys", name).read_text() for name in ("kernel/core_pattern", "kernel/domainname", "vm/swappiness")}
    berth.run("test", "true").check()
    assert before == {name: pathlib.Path("/proc/sys", name).read_text() for name in before}


def test_no_network_of_the_host(berth):
    assert berth.run("test", "/init", "ls", "/sys/class/net").check().text == "lo"
    assert berth.run("test", "/init", "ping").check().text == "ok"


# Limits


def test_processes(root_berth):
    identity = root_berth.up()
    found = []
    # Cgroups of other tests go while these are listed: rglob() would raise.
    for path, _, files in os.walk("/sys/fs/cgroup"):
        if identity in os.path.basename(path) and "pids.max" in files:
            found.append(pathlib.Path(path, "pids.max").read_text().strip())
    assert found == ["2048"]


def test_memory_and_processors_are_not_limited(root_berth):
    host = root_berth.inspect(root_berth.up(), "HostConfig")
    assert [host[name] for name in ("Memory", "MemorySwap", "NanoCpus", "CpuQuota", "CpuShares")] == [0] * 5


def test_the_log_is_bounded(berth):
    """20 MiB in five files."""
    import json

    config = json.loads((berth.root / "containers" / berth.up() / "supervise.json").read_text())["log"]
    assert {20 << 20, 5} <= {value for value in config.values() if isinstance(value, int)}


# The table


@pytest.mark.parametrize("row", PROCESS, ids=lambda row: row[0])
def test_process(berth, row):
    name, words, wanted = row
    words = words.split()
    flags = []
    while words[0].startswith("-"):
        flags.append(words.pop(0))
        if flags[-1] == "-u":
            flags.append(words.pop(0))
    text = berth.run(*flags, "test", "/init", *words).check().text
    if callable(wanted):
        assert wanted(text, Host(berth)), f"{name}:\n{text}"
    else:
        assert re.fullmatch(wanted, text), f"{name}: {text!r}"


SAME_IN_EXEC = [row for row in PROCESS if row[0] not in ("session and group", "capabilities of another user", "capabilities added for another user")]


@pytest.mark.parametrize("row", SAME_IN_EXEC, ids=lambda row: row[0])
def test_process_of_exec(berth, row):
    name, words, wanted = row
    text = berth.ok("exec", berth.up(), "/init", *words.split()).text
    if callable(wanted):
        assert wanted(text, Host(berth)), f"{name}:\n{text}"
    else:
        assert re.fullmatch(wanted, text), f"{name}: {text!r}"
