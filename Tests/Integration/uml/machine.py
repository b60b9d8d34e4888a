#!/usr/bin/python3
"""A machine with cgroup v2 and AppArmor: User-Mode Linux, a kernel that runs as an ordinary program.

usage: machine.py DIRECTORY COMMAND [ARG...]     run COMMAND as root in the machine; its exit code is ours
       machine.py --fetch                        only fetch the kernel

The kernel that CI has mounts cgroup v1, and gives AppArmor to nobody. This one is Debian trixie's `user-mode-linux`: it needs no KVM
and no root, boots in a second and a half, and has cgroup2 with cpu, io, memory and pids, AppArmor enforcing, seccomp notify and device
programs (not: cpuset, PSI, SMP, nftables).

- The packages come from the mirror that this machine uses for its own Debian, by an apt configuration of their own: nothing is
  installed, nothing of the machine's apt state is touched. They are unpacked below `.build/uml`. `Unavailable` says why not.
- The root file system is the host's, read-only (hostfs). /tmp, /run and /dev are the machine's own. The repository is at
  /mnt/repository, DIRECTORY at /mnt/out: the only place that the machine can write to on the host.
- The kernel wants trixie's C library. Its program is copied with another interpreter, the one that was unpacked beside it; the path is
  relative, which execve allows, so it starts in that directory.
- Everything it prints goes to DIRECTORY/console; the command's exit code to DIRECTORY/code.
- It ends with its starter (PR_SET_PDEATHSIG), and when DEADLINE seconds have passed.
"""

import contextlib
import ctypes
import fcntl
import os
import pathlib
import platform
import shlex
import shutil
import signal
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parents[2]
PLACE = REPOSITORY / ".build/uml"
SUITE = "trixie"
PACKAGES = ["user-mode-linux", "libc6", "apparmor", "libapparmor1"]
INTERPRETER, OWN_INTERPRETER = b"/lib64/ld-linux-x86-64.so.2\0", b"lib/ld-linux-x86-64.so.2"
MEMORY = 1024  # MiB; only what is touched is used
DEADLINE = 400


class Unavailable(Exception):
    """There can be no such machine here; the text says why."""


# The kernel


def mirror():
    """The base address of the mirror that this machine takes its own Debian from."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"]
    try:
        lines = subprocess.run(command, capture_output=True, text=True, timeout=30).stdout.splitlines()
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"no apt: {error}") from None
    codename = ""
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/etc/os-release").read_text().splitlines():
            if line.startswith("VERSION_CODENAME="):
                codename = line.partition("=")[2].strip('"')
    for line in lines:
        address, release, component = line.rsplit(" ", 2)
        if release == codename and component == "main":
            return address.rstrip("/")
    return "http://deb.debian.org/debian"


def apt(*arguments, timeout):
    """apt-get with a state of its own; the machine's proxies and timeouts still hold."""
    state = PLACE / "apt"
    for name in ("state/lists/partial", "cache/archives/partial"):
        (state / name).mkdir(parents=True, exist_ok=True)
    (state / "status").touch()
    keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
    (state / "sources.list").write_text(f"deb [signed-by={keyring}] {mirror()} {SUITE} main\n")
    options = {
        "Dir::State": state / "state", "Dir::State::status": state / "status", "Dir::Cache": state / "cache",
        "Dir::Etc::SourceList": state / "sources.list", "Dir::Etc::SourceParts": "/dev/null", "Dir::Etc::Preferences": "/dev/null",
        "Dir::Etc::PreferencesParts": "/dev/null", "APT::Architecture": "amd64", "APT::Sandbox::User": "", "Acquire::Languages": "none",
        "Acquire::Retries": "2", "APT::Update::Error-Mode": "any",
    }  # fmt: skip
    command = ["apt-get", "-q", *(word for key, value in options.items() for word in ("-o", f"{key}={value}")), *arguments]
    try:
        done = subprocess.run(command, cwd=state, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"apt-get {arguments[0]} took longer than {timeout} s") from None
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.startswith("E:")] or [f"exit {done.returncode}"]
        raise Unavailable(f"apt-get {arguments[0]}: {lines[0]}")


def fetch():
    """The directory with the kernel, fetched when it is not there yet. Raises Unavailable."""
    if platform.machine() != "x86_64":
        raise Unavailable(f"no user-mode-linux for {platform.machine()}")
    PLACE.mkdir(parents=True, exist_ok=True)
    ready = PLACE / "ready"
    with open(PLACE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if ready.exists():
            return PLACE
        apt("update", timeout=120)
        apt("download", *PACKAGES, timeout=180)
        for package in sorted((PLACE / "apt").glob("*.deb")):
            subprocess.run(["dpkg-deb", "-x", package, PLACE / "tree"], check=True)
            package.unlink()
        libraries = PLACE / "tree/usr/lib/x86_64-linux-gnu"
        program = (PLACE / "tree/usr/bin/linux.uml").read_bytes()
        if program.count(INTERPRETER) != 1:
            raise Unavailable("linux.uml names no known interpreter")
        (PLACE / "linux").write_bytes(program.replace(INTERPRETER, OWN_INTERPRETER.ljust(len(INTERPRETER), b"\0")))
        (PLACE / "linux").chmod(0o755)
        with contextlib.suppress(FileExistsError):
            (PLACE / "lib").symlink_to(libraries.relative_to(PLACE))
        shutil.rmtree(PLACE / "apt")
        ready.touch()
    return PLACE


# The machine


def boot(directory, command, deadline=DEADLINE):
    """Runs a command in a machine of its own; returns its exit code, or None when the machine ended without one. Raises Unavailable."""
    kernel, out = fetch(), pathlib.Path(directory).resolve()
    if any(character.isspace() or character == "," for character in str(out)):
        raise Unavailable(f'"{out}" cannot be on a kernel command line')
    shutil.copy(HERE / "init.sh", out / "init.sh")
    (out / "init.sh").chmod(0o755)
    with open(out / "disk", "wb") as disk:
        disk.truncate(64 << 20)  # a block device for io limits; sparse
    (out / "repository").write_text(str(REPOSITORY))
    (out / "command").write_text(shlex.join(map(str, command)) + "\n")
    words = [
        "./linux", f"mem={MEMORY}M", "root=none", "rootfstype=hostfs", "rootflags=/", "ro", "quiet", "con=null", "con0=null,fd:1",
        "con1=null,fd:1", f"ubd0={out}/disk", "lsm=capability,yama,apparmor", f"init={out}/init.sh", f"OUT={out}",
    ]  # fmt: skip
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LD_LIBRARY_PATH": str(kernel / "lib"), "HOME": "/"}
    shared = os.statvfs("/dev/shm") if os.path.isdir("/dev/shm") else None
    if shared is None or shared.f_bavail * shared.f_frsize < (MEMORY + 64) << 20:
        environment["TMPDIR"] = str(out)  # its memory is a file

    def end_with_us():
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)

    with open(out / "console", "wb") as console:
        process = subprocess.Popen(
            words, cwd=kernel, env=environment, stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True,
            preexec_fn=end_with_us,
        )  # fmt: skip
        try:
            process.wait(deadline)
        except subprocess.TimeoutExpired:
            console.write(f"\nthe deadline of {deadline} s passed\n".encode())
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # its processes are traced by it and end with it
            process.wait()
    with contextlib.suppress(OSError, ValueError):
        return int((out / "code").read_text())
    return None


def main():
    # Whoever started us may die first.
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
    try:
        if sys.argv[1:] == ["--fetch"]:
            return print(fetch())
        if len(sys.argv) < 3:
            sys.exit(__doc__)
        code = boot(sys.argv[1], sys.argv[2:])
    except Unavailable as error:
        sys.exit(f"machine: {error}")
    sys.exit(125 if code is None else code)


if __name__ == "__main__":
    main()
