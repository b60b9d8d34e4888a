import Cgroups
import Glibc
import Linux
import OCI

extension Container {
    /// Does once, for nothing, what the beginning of ``create(_:)`` does: pages of the program come in, and the Swift runtime
    /// makes the types that decoding a specification and compiling a profile need. Worth a millisecond to who has to wait
    /// anyway and knows that a container follows. Touches nothing outside this process.
    public static func rehearse() {
        _ = try? CgroupHost.detect()
        guard let spec = try? Spec.decode(Array(rehearsalSpecification.utf8)) else { return }
        _ = try? Launcher(CreateRequest(id: "rehearsal", bundle: "/", root: "/", spec: spec))
    }

    /// A little of everything that the engine writes for a container with the defaults.
    static let rehearsalSpecification = """
        {"ociVersion":"1.3.0","process":{"user":{"uid":0,"gid":0,"umask":18,"additionalGids":[0]},"args":["true"],"env":
        ["PATH=/bin","HOME=/"],"cwd":"/","capabilities":{"bounding":["CAP_CHOWN","CAP_KILL"],"effective":["CAP_CHOWN"],
        "permitted":["CAP_CHOWN"]},"rlimits":[{"type":"RLIMIT_CORE","hard":0,"soft":0}]},"root":{"path":"upper"},"hostname":
        "rehearsal","mounts":[{"destination":"/proc","type":"proc","source":"proc","options":["nosuid","noexec","nodev"]},
        {"destination":"/dev","type":"tmpfs","source":"tmpfs","options":["nosuid","mode=755","size=65536k"]},
        {"destination":"/etc/hosts","type":"bind","source":"/etc/hosts","options":["rbind","rprivate","nosuid","nodev"]}],
        "linux":{"sysctl":{"net.ipv4.ip_unprivileged_port_start":"0"},"resources":{"devices":[{"allow":false,"access":"rwm"},
        {"allow":true,"type":"c","major":1,"minor":3,"access":"rwm"}],"pids":{"limit":2048}},"cgroupsPath":"/berth/rehearsal",
        "namespaces":[{"type":"pid"},{"type":"ipc"},{"type":"uts"},{"type":"mount"},{"type":"network"},{"type":"cgroup"}],
        "seccomp":{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":38,"architectures":["SCMP_ARCH_X86_64"],"syscalls":[
        {"names":["read","write","close","openat","mmap","execve","exit_group"],"action":"SCMP_ACT_ALLOW"},
        {"names":["mount"],"action":"SCMP_ACT_ERRNO","errnoRet":1},
        {"names":["personality"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":0,"op":"SCMP_CMP_EQ"}]},
        {"names":["clone"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":2114060288,"op":"SCMP_CMP_MASKED_EQ"}]}]},
        "maskedPaths":["/proc/kcore"],"readonlyPaths":["/proc/sys"]}}
        """
}
