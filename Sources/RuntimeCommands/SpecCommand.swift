import Flags
import Glibc
import Linux
import OCI
import Runtime

/// `berth-runtime spec`: writes a config.json to start from.
enum SpecCommand {
    static var command: Command {
        Command(
            "spec", summary: "Write a config.json to start from", arity: .none,
            flags: {
                [
                    .string("bundle", "b", "Directory to write it into (default: the working directory)", value: "path"),
                    .bool("rootless", nil, "For a container of an ordinary user"),
                ]
            },
            run: { arguments in
                CommandContext.run(arguments) { (context) throws(RuntimeError) in
                    let bundle = arguments.string("bundle")
                    let path = (bundle.isEmpty ? "." : bundle) + "/config.json"
                    let spec = template(rootless: arguments.bool("rootless"))
                    do throws(SystemError) {
                        let file = try FD.cwd.open(path, [.writeOnly, .create, .exclusive], mode: 0o644)
                        try file.fd.writeAll(spec.encode(pretty: true) + [10])
                    } catch {
                        throw RuntimeError(.invalid, "write specification", cause: error.description)
                    }
                    return 0
                }
            })
    }

    /// A shell with podman's capabilities less those few programs need, as runc's template has them.
    static func template(rootless: Bool) -> Spec {
        let capabilities = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
        var process = OCI.Process(
            terminal: true, args: ["sh"],
            env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"], cwd: "/",
            capabilities: LinuxCapabilities(bounding: capabilities, effective: capabilities, permitted: capabilities),
            rlimits: [POSIXRlimit(type: "RLIMIT_NOFILE", hard: 1024, soft: 1024)], noNewPrivileges: true)
        process.user = User(uid: 0, gid: 0)
        var linux = LinuxSpec()
        linux.namespaces = ["pid", "network", "ipc", "uts", "mount", "cgroup"].map { LinuxNamespace(type: $0) }
        linux.maskedPaths = [
            "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
            "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi",
        ]
        linux.readonlyPaths = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
        var devpts = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]
        var sys = Mount(destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"])
        if rootless {
            linux.namespaces = ["pid", "ipc", "uts", "mount", "cgroup", "user"].map { LinuxNamespace(type: $0) }
            linux.uidMappings = [LinuxIDMapping(containerID: 0, hostID: geteuid(), size: 1)]
            linux.gidMappings = [LinuxIDMapping(containerID: 0, hostID: getegid(), size: 1)]
            devpts.removeLast()
            sys = Mount(
                destination: "/sys", type: "none", source: "/sys", options: ["rbind", "nosuid", "noexec", "nodev", "ro"])
        } else {
            linux.resources = LinuxResources(devices: [LinuxDeviceCgroup(allow: false, access: "rwm")])
        }
        let mounts = [
            Mount(destination: "/proc", type: "proc", source: "proc"),
            Mount(destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "strictatime", "mode=755", "size=65536k"]),
            Mount(destination: "/dev/pts", type: "devpts", source: "devpts", options: devpts),
            Mount(
                destination: "/dev/shm", type: "tmpfs", source: "shm",
                options: ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
            Mount(destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: ["nosuid", "noexec", "nodev"]),
            sys,
            Mount(
                destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup",
                options: ["nosuid", "noexec", "nodev", "relatime", "ro"]),
        ]
        return Spec(
            ociVersion: RuntimeProgram.specVersion, process: process, root: Root(path: "rootfs", readonly: true),
            hostname: "berth", mounts: mounts, linux: linux)
    }
}
