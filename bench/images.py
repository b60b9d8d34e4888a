"""What is run and loaded: a busybox root file system, a bundle, an image of many files."""

import hashlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import tarfile

from harness import NotMeasured

SECCOMP = "/usr/share/containers/seccomp.json"


def busybox_rootfs(directory, text_bytes=32 << 20):
    """Debian's busybox-static with its applets, and a text file for `dd` to read."""
    source = shutil.which("busybox", path="/bin:/usr/bin")
    if not source:
        raise NotMeasured("busybox-static is not installed")
    for name in ("bin", "proc", "sys", "dev", "tmp", "etc"):
        (directory / name).mkdir(parents=True)
    shutil.copy(source, directory / "bin/busybox")
    for applet in subprocess.run([source, "--list"], capture_output=True, text=True, check=True).stdout.split():
        if applet != "busybox":
            (directory / "bin" / applet).symlink_to("busybox")
    (directory / "etc/passwd").write_text("root:x:0:0:root:/:/bin/sh\n")
    (directory / "etc/group").write_text("root:x:0:\n")
    line = "".join(chr(33 + n % 90) for n in range(99)) + "\n"
    (directory / "text").write_text(line * (text_bytes // len(line)))
    return directory


def pack(directory, target):
    with tarfile.open(target, "w") as tar:
        for path in sorted(directory.rglob("*")):
            info = tar.gettarinfo(path, str(path.relative_to(directory)))
            info.uid = info.gid = 0
            info.uname = info.gname = ""
            if info.isreg():
                with open(path, "rb") as file:
                    tar.addfile(info, file)
            else:
                tar.addfile(info)
    return target


def seccomp_profile(capabilities):
    """The profile of containers-common as the runtime-spec has it: rules whose conditions hold for these capabilities."""
    if not os.path.exists(SECCOMP):
        return None
    profile = json.loads(pathlib.Path(SECCOMP).read_text())
    kept = []
    for rule in profile["syscalls"]:
        includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
        if "amd64" not in (includes.get("arches") or ["amd64"]) or "amd64" in (excludes.get("arches") or []):
            continue
        if not set(includes.get("caps") or []) <= set(capabilities) or set(excludes.get("caps") or []) & set(capabilities):
            continue
        entry = {"names": rule["names"], "action": rule["action"]}
        if rule.get("args"):
            entry["args"] = rule["args"]
        if rule.get("errnoRet") is not None:
            entry["errnoRet"] = rule["errnoRet"]
        kept.append(entry)
    architectures = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]
    return {"defaultAction": profile["defaultAction"], "architectures": architectures, "syscalls": kept}


def bundle(directory, rootfs):
    """A bundle as engines make it: all namespaces, the usual mounts, masks, devices, limits, the default seccomp profile."""
    directory.mkdir()
    capabilities = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_SETGID", "CAP_SETUID"]
    options = ["nosuid", "noexec", "nodev"]
    spec = {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0}, "args": ["/bin/true"], "cwd": "/", "env": ["PATH=/bin"], "noNewPrivileges": True,
            "capabilities": {kind: capabilities for kind in ("bounding", "effective", "permitted")},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
        },
        "root": {"path": str(rootfs), "readonly": True},
        "hostname": "bench",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": options},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": [*options, "mode=1777", "size=65536k"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": options},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": [*options, "ro"]},
        ],
        "linux": {
            "resources": {"memory": {"limit": 256 << 20}, "pids": {"limit": 100},
                          "devices": [{"allow": False, "access": "rwm"}]},
            "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "cgroup")],
            "maskedPaths": ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/sched_debug", "/sys/firmware"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    }  # fmt: skip
    profile = seccomp_profile(capabilities)
    if profile:
        spec["linux"]["seccomp"] = profile
    (directory / "config.json").write_text(json.dumps(spec))
    return directory


def add_files(tar, top, files, each_directory, content):
    """Adds numbered files to a tar, so many in each of its numbered directories, with what `content` gives for a number."""
    for number in range(files):
        folder = f"{top}/{number // each_directory:04}"
        if number % each_directory == 0:
            info = tarfile.TarInfo(folder)
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(info)
        data = content(number)
        info = tarfile.TarInfo(f"{folder}/file-{number:05}")
        info.size, info.mode, info.mtime = len(data), 0o644, 1_700_000_000 + number
        tar.addfile(info, io.BytesIO(data))


def large_archive(target, files=20_000, size=200 << 20, gzip=False):
    """A docker-archive of one layer: many small files in many directories, content that compresses to about a third."""
    base = target.parent
    layer = base / "layer.tar"
    each = size // files
    seed = hashlib.sha256(b"berth").digest()
    def content(number):
        noise = b"".join(hashlib.sha256(seed + number.to_bytes(4, "big") + n.to_bytes(4, "big")).digest() for n in range(each // 96))
        return (noise + b"some text that repeats " * each)[:each]

    with tarfile.open(layer, "w:gz" if gzip else "w", **({"compresslevel": 6} if gzip else {})) as tar:
        add_files(tar, "data", files, 100, content)
    # Both engines want the digest of the uncompressed tar.
    digest = hashlib.sha256()
    if gzip:
        with subprocess.Popen(["gzip", "-dc", str(layer)], stdout=subprocess.PIPE) as unzip:
            for block in iter(lambda: unzip.stdout.read(1 << 20), b""):
                digest.update(block)
    else:
        with open(layer, "rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
    config = json.dumps({
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/true"]},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest.hexdigest()]}, "history": [{"created_by": "bench"}],
    }).encode()  # fmt: skip
    name = hashlib.sha256(config).hexdigest()
    manifest = [{"Config": f"{name}.json", "RepoTags": ["localhost/berth-bench-large:latest"], "Layers": ["layer.tar"]}]
    with tarfile.open(target, "w") as tar:
        for file, content in ((f"{name}.json", config), ("manifest.json", json.dumps(manifest).encode())):
            info = tarfile.TarInfo(file)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        tar.add(layer, "layer.tar")
    layer.unlink()
    return target


def many_images(target, count):
    """A docker-archive of so many images, each with a config of its own; they share one small layer."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        info = tarfile.TarInfo("file")
        info.size = 5
        tar.addfile(info, io.BytesIO(b"small"))
    diff = "sha256:" + hashlib.sha256(layer.getvalue()).hexdigest()
    manifest, files = [], {"layer.tar": layer.getvalue()}
    for number in range(count):
        config = json.dumps({
            "architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/true"], "Labels": {"number": str(number)}},
            "rootfs": {"type": "layers", "diff_ids": [diff]}, "history": [{"created_by": "bench"}],
        }).encode()  # fmt: skip
        name = hashlib.sha256(config).hexdigest() + ".json"
        files[name] = config
        manifest.append({"Config": name, "RepoTags": [f"localhost/berth-bench-many:{number}"], "Layers": ["layer.tar"]})
    files["manifest.json"] = json.dumps(manifest).encode()
    with tarfile.open(target, "w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return target
