"""Published breakouts at the level of the command, with exec. Each test is named by its row in the project's list.

The oracle: a canary tree of the host, the two programs and the kernel's core_pattern are as before.
"""

import os
import pathlib
import re
import shutil
import stat
import subprocess

import pytest

import images
from host import fields, status_fields, tree_state
from spec import capability_mask
from test_run_user import MATRIX

CORE_PATTERN = pathlib.Path("/proc/sys/kernel/core_pattern")


@pytest.fixture(autouse=True)
def host_is_unharmed(berth_programs, canary):
    before = program_state(berth_programs), CORE_PATTERN.read_text(), tree_state(canary)
    yield
    assert (program_state(berth_programs), CORE_PATTERN.read_text(), tree_state(canary)) == before


def program_state(directory):
    """Whatever is written to a file changes its ctime, which nobody can set back; hashing 150 MB takes a second."""
    states = [os.stat(directory / name) for name in ("berth", "berth-runtime")]
    return [(state.st_ino, state.st_size, state.st_mode, state.st_ctime_ns) for state in states]


def load(berth, suite, place, tag, *layers, **config):
    """An image of the usual base and further layers."""
    data = images.docker_archive([images.base_layer(suite.init), *layers], [tag], config or None)
    berth.ok("load", "-i", images.write(place / "image.tar", data))
    return tag


# S06, S07: targets that are exchanged while they are mounted on

ROUNDS = int(os.environ.get("BERTH_HOSTILE_ROUNDS", "12"))


def test_s06_s07_targets_in_a_shared_volume(berth, place, canary):
    """CVE-2021-30465, CVE-2024-45310: one container swaps a directory and a link out, another mounts below that name."""
    mark = f"s06-{berth.mark}"
    (place / "file").write_text("mounted\n")
    script = f"mkdir -p /v/dir; ln -sfn / /v/link; ln -sfn ../../../../../../..{canary} /v/out; exec /init exchange /v/dir /v/link"
    racer = berth.up("-v", "raced:/v", command=("sh", "-c", script))
    berth.wait_log(racer, "ready")
    for round in range(ROUNDS):
        targets = ["-v", f"{place}:/v/dir/{mark}", "-v", f"{place}/file:/v/dir/{mark}-file", "-v", f"{place}:/v/out/{mark}"]
        result = berth.run("-v", "raced:/v", *targets, "test", "sh", "-c", f"ls /; cat {canary}/secret /v/dir/secret /v/out/secret; true")
        assert "canary-secret" not in result.out
        if result.code:
            assert result.err.strip()
            continue
        # What was mounted is inside, wherever the links led in the container's own root.
        assert "bin" in result.out.split()
    for outside in ("/", canary, canary / "sub", berth.root, place.parent):
        assert not [name for name in os.listdir(outside) if name.startswith(mark)], f"made in {outside}"
    assert berth.status(racer) == "running"


# S10: names that are paths


@pytest.mark.parametrize("name", ["../x", "../../etc", "/etc/passwd", "a/../b", "..", ".", "%2e%2e", "x\0y"])
def test_s10_names_are_no_paths(berth, name):
    for words in (["rm", "-f"], ["inspect"], ["start"], ["logs"], ["stop"], ["kill"], ["wait"]):
        if "\0" in name:
            continue
        result = berth.call(*words, name)
        assert result.code != 0 or words[0] == "rm", f"{words} {name}"
    if "\0" not in name:
        assert berth.call("exec", name, "true").code != 0


# S12: files of the engine under hostile links


@pytest.mark.parametrize("kind", ["etc-is-a-link", "etc-leads-out", "files-are-links", "files-are-absolute-links", "files-are-directories"])
def test_s12_the_engines_files(berth, suite, place, canary, kind):
    layer = images.Layer()
    if kind == "etc-is-a-link":
        layer.whiteout("etc").symlink("etc", "elsewhere").dir("elsewhere")
    elif kind == "etc-leads-out":
        layer.whiteout("etc").symlink("etc", "../../../../../../../.." + str(canary))
    else:
        for name in ("hosts", "resolv.conf", "hostname", "mtab"):
            if kind == "files-are-links":
                layer.symlink(f"etc/{name}", "../../../../../../../.." + str(canary / "secret"))
            elif kind == "files-are-absolute-links":
                layer.symlink(f"etc/{name}", str(canary / "secret"))
            else:
                layer.dir(f"etc/{name}")
    tag = load(berth, suite, place, "engines:1", layer)
    result = berth.run("-u", "0", tag, "sh", "-c", "cat /etc/hosts /etc/resolv.conf /etc/hostname; echo owned > /etc/hosts; echo owned > /etc/hostname")
    assert "canary-secret" not in result.out + result.err
    # Confined or refused: never without a word.
    assert result.code == 0 or result.err.strip()
    berth.assert_clean()


# S14: descriptors, from everywhere a process of the container comes


@pytest.mark.parametrize("how", ["run", "detached", "exec", "exec -u", "start"])
def test_s14_descriptors(berth, how):
    with open("/etc/shadow" if os.geteuid() == 0 else "/etc/passwd") as secret:
        os.set_inheritable(secret.fileno(), True)
        keywords = {"pass_fds": (secret.fileno(),)}
        command = ("/init", "ls-fds")
        if how == "run":
            text = berth.run("test", *command, **keywords).check().out
        elif how == "detached":
            name = berth.detached("test", *command, **keywords)
            berth.ok("wait", name)
            text = berth.logs(name)
        elif how == "start":
            berth.ok("create", "--name", "started", "--network", "none", "test", *command, **keywords)
            text = berth.ok("start", "-a", "started", **keywords).out
        else:
            text = berth.ok("exec", *(["-u", "app"] if "-u" in how else []), berth.up(), *command, **keywords).out
    assert [line.split()[0] for line in text.splitlines()] == ["0", "1", "2"], text
    assert "shadow" not in text and "passwd" not in text


# S15: the programs of the engine


@pytest.mark.parametrize("program", ["true", "/proc/self/exe"])
def test_s15_a_hunter_and_exec(berth, program):
    """CVE-2019-5736: what enters is not there to be opened, or cannot be written."""
    flags = ["--cap-add", "SYS_PTRACE", "--cap-add", "SYS_ADMIN", "--cap-add", "DAC_READ_SEARCH", "--security-opt", "seccomp=unconfined"]
    name = berth.up(*flags, command=("/init", "hunt"))
    berth.wait_log(name, "ready")
    for _ in range(5):
        berth.call("exec", name, program, "--version")
    berth.ok("kill", "-s", "TERM", name)
    berth.ok("wait", name)
    # What it saw of the container's own files it may write.
    info = (berth.programs / "berth-runtime").stat()
    ours = [line for line in berth.logs(name).splitlines() if f" {info.st_dev}:{info.st_ino} " in line]
    assert not [line for line in ours if "WRITTEN" in line], ours


def test_s15_the_entry_point_is_the_program(berth, suite, place):
    """`#!/proc/self/exe` runs whatever opened it: in the container, as the container's user, and read-only."""
    layer = images.Layer().file("evil", "#!/proc/self/exe\n", mode=0o755).symlink("self", "/proc/self/exe")
    tag = load(berth, suite, place, "evilentry:1", layer)
    for entry in ("/evil", "/self"):
        result = berth.run("--entrypoint", entry, tag, timeout=10)
        assert "canary" not in result.out
    name = berth.up(image=tag)
    for entry in ("/evil", "/self"):
        berth.call("exec", name, entry, "--version", timeout=10)


# S17: nothing of the image runs or is read as code on the host's side


def test_s17_programs_and_libraries_of_the_image(berth, suite, place):
    if shutil.which("strace") is None:
        pytest.skip("needs strace")
    layer = images.Layer().dir("lib64").dir("lib/x86_64-linux-gnu").dir("usr/sbin")
    for path in ("lib64/ld-linux-x86-64.so.2", "lib/x86_64-linux-gnu/libnss_files.so.2", "lib/x86_64-linux-gnu/libc.so.6", "etc/ld.so.preload"):
        layer.file(path, "/lib/x86_64-linux-gnu/libc.so.6\n", mode=0o755)
    layer.file("etc/nsswitch.conf", "passwd: evil\n")
    for path in ("usr/bin/ps", "usr/bin/nsenter", "usr/bin/newuidmap", "usr/bin/gzip", "usr/sbin/runc"):
        layer.file(path, "#!/bin/sh\ntouch /pwned\n", mode=0o755)
    tag = load(berth, suite, place, "evilcode:1", layer)
    name = berth.up(image=tag)
    commands = [["exec", "-u", "app", name, "true"], ["top", name], ["inspect", name]]
    if berth.who.is_root:  # under strace newuidmap has no privileges
        commands.append(["run", "--rm", "--network", "none", "-u", "app", tag, "true"])
    for words in commands:
        trace = place / "trace"
        trace.touch()
        trace.chmod(0o666)
        berth.ok(*words, wrap=["strace", "-f", "-qq", "-e", "trace=open,openat,openat2,execve,execveat", "-o", trace], timeout=30)
        calls = trace.read_text()
        assert "exec" in calls or "open" in calls, "nothing was seen"
        assert not re.findall(r"nsswitch\.conf|libnss|ld\.so\.preload|libc\.so|locale-archive|zoneinfo|gconv", calls), words
    berth.call("exec", name, "test", "-e", "/pwned").exits(1)


# S19, S22, S23: who a process of exec is


@pytest.mark.parametrize("user", [user for user in MATRIX if user != "0:0"])
def test_s19_users_of_exec(berth, user):
    uid, gid, groups = MATRIX[user]
    out = fields(berth.ok("exec", "-u", user, berth.up("-u", "4242"), "/init", "id").text)
    assert (out["uid"], out["euid"], out["gid"], out["egid"]) == (str(uid), str(uid), str(gid), str(gid))
    assert {int(group) for group in out["groups"].split(",") if group} | {gid} == groups | {gid}


@pytest.mark.parametrize("user", ["-1", " 1", "1 ", "0x1", "1e0", "1:", "app:", "1:-1", "nosuch", "app:nosuch", "4294967295", "4294967296", "1:2:3", "root\n", "+1", ":5"])
def test_s19_what_is_no_user_of_exec(berth, user):
    name = berth.up("-u", "app")
    result = berth.call("exec", "-u", user, name, "/init", "id")
    assert result.code == 126 and "uid=" not in result.out, result
    assert result.err.strip()


def test_s21_passwd_of_the_container_for_exec(berth):
    """What a container wrote there since: a FIFO, a device, a link to the host, a loop. Never a hang, never the host's."""
    for change in (
        "rm /etc/passwd && mkfifo /etc/passwd", "rm -f /etc/passwd && ln -s /dev/zero /etc/passwd", "rm -f /etc/passwd && ln -s ../../../../../../etc/passwd /etc/passwd",
        "rm -f /etc/passwd && ln -s passwd /etc/passwd", "rm -f /etc/passwd && mkdir /etc/passwd", "rmdir /etc/passwd; head -c 11534336 /dev/zero > /etc/passwd",
    ):  # fmt: skip
        name = berth.up(command=("sh", "-c", f"{change}; echo changed; sleep 1000"))
        berth.wait_log(name, "changed")
        berth.call("exec", "-u", "berth-test", name, "/init", "id", timeout=5).fails(126)
        out = berth.ok("exec", "-u", "4242:4343", name, "/init", "id", timeout=5).text
        assert fields(out)["uid"] == "4242"
        berth.ok("rm", "-f", name)


def test_s22_groups_of_the_caller(berth):
    """The engine's caller is in groups of the host; no process of a container is."""
    def groups(*words):
        process = berth.popen(*words, stdout=subprocess.PIPE, extra_groups=[4, 6, 4321])
        out, _ = process.communicate(timeout=10)
        assert process.returncode == 0
        return {group for group in fields(out.decode().strip())["groups"].split(",") if group}

    name = berth.up()
    assert groups("run", "--rm", "--network", "none", "test", "/init", "id") <= {"0"}
    assert groups("exec", name, "/init", "id") <= {"0"}
    assert groups("exec", "-u", "app", name, "/init", "id") == {"10", "63", "1000"}


DEFAULT = "CHOWN DAC_OVERRIDE FSETID FOWNER SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL".split()
ROWS = [
    # flags of run, flags of exec, effective, ambient, bounding
    ([], [], DEFAULT, [], DEFAULT), ([], ["-u", "app"], [], [], DEFAULT), (["-u", "app"], [], [], [], DEFAULT), (["-u", "app"], ["-u", "0"], DEFAULT, [], DEFAULT),
    (["--cap-drop", "ALL"], [], [], [], []), (["--cap-drop", "ALL"], ["-u", "0"], [], [], []),
    (["--cap-add", "SYS_TIME"], ["-u", "app"], ["SYS_TIME"], ["SYS_TIME"], DEFAULT + ["SYS_TIME"]),
    (["--cap-add", "SYS_TIME", "-u", "app"], [], ["SYS_TIME"], ["SYS_TIME"], DEFAULT + ["SYS_TIME"]),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"run {' '.join(row[0])} exec {' '.join(row[1])}")
def test_s23_capabilities_of_exec(berth, row):
    run, execute, effective, ambient, bounding = row
    status = status_fields(berth.ok("exec", *execute, berth.up(*run), "/init", "caps").out)
    found = {name: int(status["Cap" + name], 16) for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")}
    assert found["Eff"] == found["Prm"] == capability_mask(effective)
    assert found["Amb"] == found["Inh"] == capability_mask(ambient), "inheritable without ambient is CVE-2022-24769"
    assert found["Bnd"] == capability_mask(bounding)


# S25: the caller's environment


def test_s25_environment_of_exec_and_of_the_supervisor(berth):
    secret = {"SECRETX": "canary-value", "AWS_SECRET_ACCESS_KEY": "canary-value", "HTTPS_PROXY": "http://u:canary-value@h"}
    first = berth.detached("-e", "OWN=first", "test", "sleep", "1000", env=secret)
    second = berth.detached("-e", "OWN=second", "test", "sleep", "1000", env=secret)
    for flags in ([], ["-u", "app"], ["-e", "A=b"], ["--privileged"]):
        text = berth.ok("exec", *flags, first, "sh", "-c", "env; cat /proc/1/environ /proc/self/environ; true", env=secret).out
        assert "canary-value" not in text and "second" not in text and "BERTH" not in text
    assert "canary-value" not in berth.ok("inspect", first).out
    for identity in (first, second):
        environ = pathlib.Path(f"/proc/{berth.supervisor(identity)}/environ").read_text()
        assert "canary-value" not in environ and "OWN=" not in environ


# S29, S32: kernel file systems from namespaces of one's own


def test_s29_release_agent(berth):
    out = berth.run("test", "/init", "unshare", "user", "mount", "cgroup", ";", "mount", "cgroup", "cgroup", "/tmp", "memory", ";", "poke", "/tmp/release_agent", "/evil").out
    assert "ok" not in out.split(), out
    flags = ["--security-opt", "seccomp=unconfined"]
    out = berth.run(*flags, "test", "/init", "unshare", "user", "mount", "cgroup", ";", "mount", "cgroup", "cgroup", "/tmp", "memory", ";", "poke", "/tmp/release_agent", "/evil").out
    assert not out.rstrip().endswith("ok\n\x1e0"), out


def test_s32_a_fresh_procfs(berth):
    words = ["unshare", "user", "mount", ";", "mount", "proc", "proc", "/tmp", ";", "mount", "sysfs", "sysfs", "/tmp"]
    out = re.split(r"\x1e\d+\n", berth.run("--security-opt", "seccomp=unconfined", "test", "/init", *words).out)
    assert [part.strip() for part in out[1:3]] == ["EPERM", "EPERM"], out


# S35: keys


def test_s35_session_keyrings(berth):
    """keyctl is refused by the filter, and without it each container still has a keyring of its own."""
    assert berth.run("test", "/init", "syscall", "250", "0", "-3", "0").out.strip() == "EPERM"
    flags = ["--security-opt", "seccomp=unconfined"]
    first, second = berth.up(*flags), berth.up(*flags)
    found = [berth.run(*flags, "test", "/init", "keyring").check().text for _ in range(2)]
    host = subprocess.run([str(berth.suite.init), "keyring"], capture_output=True, text=True).stdout.strip()
    assert found[0] == "-1" or len({*found, host}) == 3, found
    entered = [berth.ok("exec", name, "/init", "keyring").text for name in (first, second)]
    assert found[0] == "-1" or len({*entered, host}) == 3, f"exec brings in the caller's keys: {entered}, host {host}"


def test_s35_the_quota_of_keys_is_not_used_up(berth):
    """300 containers against a quota of 200: keyrings go with their containers."""
    used = lambda: sum(int(line.split()[1]) for line in pathlib.Path("/proc/key-users").read_text().splitlines() if int(line.split(":")[0]) == berth.who.uid)  # noqa: E731
    before = used()
    for _ in range(10):
        berth.run("test", "true").check()
    assert used() - before < 10


# S36: ids


def test_s36_files_of_the_caller(user_berth, canary):
    """Nothing of the user's home, of the host's root or of another container can be named."""
    who = user_berth.who
    home = user_berth.suite.home(who)
    (pathlib.Path(home) / ".ssh").mkdir(exist_ok=True)
    secret = pathlib.Path(home) / ".ssh/id_secret"
    secret.write_text("canary-secret")
    other = user_berth.up()
    script = f"cat {secret} {canary}/secret; ls /proc/1/root/tmp /proc/1/root/../..; ls {user_berth.root}; cat /proc/self/uid_map; true"
    out = user_berth.sh(script)
    assert "canary-secret" not in out.out and other not in out.out
    rows = [tuple(map(int, line.split())) for line in out.lines if re.fullmatch(r"\s*\d+\s+\d+\s+\d+", line)]
    assert len(rows) > 1 and rows[0] == (0, who.uid, 1)
    # Root of the host is nobody inside, and cannot be mapped.
    assert all(start > 0 for _, start, _ in rows)


def test_s36_a_user_of_another_container(user_berth):
    """Two containers of one user have the same ids outside, and still no way to each other's processes and files."""
    first = user_berth.up(command=("sh", "-c", "echo canary-secret > /file; sleep 1000"))
    pid = user_berth.pid(first)
    out = user_berth.sh(f"cat /proc/{pid}/root/file; kill -0 {pid} && echo seen; ls /proc | grep -c '^[0-9]'")
    assert "canary-secret" not in out.out and "seen" not in out.out


# S38: no_new_privs


@pytest.mark.parametrize("flags", [[], ["--privileged"], ["-u", "app"]])
def test_s38_exec_keeps_no_new_privileges(berth, flags):
    name = berth.up("--security-opt", "no-new-privileges")
    assert "NoNewPrivs:\t1" in berth.ok("exec", *flags, name, "/init", "caps").out


# S39: the store


def test_s39_nobody_else_enters_the_store(berth, suite):
    """Another user finds nothing below the roots, not even a name; a setuid file in a layer or volume is out of reach."""
    if os.geteuid() != 0:
        pytest.skip("needs root to be another user")
    berth.sh("-v", "private:/v", "cp /bin/busybox /v/su && chmod 4755 /v/su /bin/busybox").check()
    name = berth.up()
    other = suite.user.uid if berth.who.is_root else 65534
    for top in (berth.root, berth.run_root):
        assert stat.S_IMODE(top.stat().st_mode) & 0o077 in (0, 0o011), top
        for place in (top, top / "containers", top / "layers", top / "volumes", top / "blobs", top / "containers" / name):
            if not place.exists():
                continue
            found = subprocess.run(["ls", "-a", place], capture_output=True, text=True, user=other, group=other, extra_groups=[])
            assert found.returncode != 0 and found.stdout == "", f"{place} can be read by others"
    found = subprocess.run(["find", berth.root, berth.run_root], capture_output=True, text=True, user=other, group=other, extra_groups=[])
    assert set(found.stdout.split()) <= {str(berth.root), str(berth.run_root)}
    su = berth.root / "volumes/private/_data/su"
    assert su.stat().st_mode & stat.S_ISUID
    with pytest.raises(PermissionError):
        subprocess.run([su, "true"], user=other, group=other, extra_groups=[], check=False)


def test_s39_files_of_the_store(berth):
    """What the engine itself writes is nobody else's to read."""
    name = berth.up("-e", "SECRET=1")
    loose = []
    for top in (berth.root / "containers" / name, berth.run_root):
        for directory, _, files in os.walk(top):
            if "/upper" in directory or "/rootfs" in directory or "/work" in directory:
                continue
            for file in files:
                path = pathlib.Path(directory, file)
                if stat.S_IMODE(path.lstat().st_mode) & 0o022:
                    loose.append(str(path))
    assert loose == []
    assert stat.S_IMODE((berth.root / "berth.db").stat().st_mode) & 0o077 == 0


# S40: control sockets


def test_s40_control_sockets(berth, suite):
    name = berth.up()
    path = berth.run_root / "containers" / name / "control.sock"
    info = path.stat()
    assert stat.S_ISSOCK(info.st_mode) and stat.S_IMODE(info.st_mode) == 0o600 and info.st_uid == berth.who.uid
    assert stat.S_IMODE(path.parent.stat().st_mode) & 0o077 == 0
    ours = [line for line in pathlib.Path("/proc/net/unix").read_text().splitlines() if "@" in line and ("berth" in line or name in line)]
    assert ours == [], "an abstract socket can be reached from every container with the host's network"
    if os.geteuid() == 0:
        # Even with the directories open the peer's user id is checked.
        script = f"import socket; s=socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); import os; os.chdir({str(path.parent)!r}); s.connect('control.sock')"
        other = 65534
        result = subprocess.run(["/usr/bin/python3", "-c", script], capture_output=True, text=True, user=other, group=other, extra_groups=[])
        assert "PermissionError" in result.stderr


def test_s40_root_in_a_container_on_the_hosts_network(root_berth, place):
    """The sockets have names in the file system, which the container does not see."""
    name = root_berth.up()
    path = root_berth.run_root / "containers" / name / "control.sock"
    out = root_berth.ok("run", "--rm", "--network", "host", "test", "sh", "-c", f"ls {path}; grep -c '@.*berth' /proc/net/unix; true")
    assert out.text == "0"
    assert root_berth.status(name) == "running"


def test_s40_a_peer_of_another_user_is_not_served(root_berth, suite):
    """A socket somebody else got hold of (here: with its directory opened) answers nothing."""
    name = root_berth.up()
    path = root_berth.run_root / "containers" / name / "control.sock"
    places = [root_berth.run_root / "containers" / name, root_berth.run_root / "containers", root_berth.run_root, root_berth.dir]
    modes = [stat.S_IMODE(entry.stat().st_mode) for entry in places]
    try:
        for entry in places:
            entry.chmod(0o755)
        path.chmod(0o666)
        script = (
            "import os, socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.settimeout(3); "
            f"os.chdir({str(path.parent)!r}); s.connect('control.sock'); print('connected'); s.send(b'x' * 16); print(len(s.recv(10)))"
        )
        result = subprocess.run(["/usr/bin/python3", "-c", script], capture_output=True, text=True, user=suite.user.uid, group=suite.user.gid, extra_groups=[])
        assert result.stdout.split()[:1] == ["connected"] and result.stdout.split()[1:] in ([], ["0"]), result
        assert root_berth.status(name) == "running"
    finally:
        for entry, mode in zip(places, modes):
            entry.chmod(mode)
