import Flags
import JSON
import Linux
import OCI
import Runtime
import Seccomp

/// `berth-runtime features`: what this runtime can do, as JSON.
enum FeaturesCommand {
    static var command: Command {
        Command(
            "features", summary: "Print what this runtime supports as JSON (runtime-spec features.md)", arity: .none,
            run: { _ in
                var writer = JSONWriter(indent: "  ")
                document.write(to: &writer)
                output(writer.bytes + [10])
                return 0
            })
    }

    private static var document: Features {
        var linux = LinuxFeatures()
        linux.namespaces = ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"]
        linux.capabilities = Capability.names
        linux.cgroup = CgroupFeatures(v1: true, v2: true, systemd: true, systemdUser: true, rdma: true)
        linux.seccomp = SeccompFeatures(
            enabled: true,
            actions: [
                "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD",
                "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY", "SCMP_ACT_TRACE", "SCMP_ACT_TRAP",
            ],
            operators: [
                "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE",
            ],
            archs: SeccompArchitecture.allCases.map(\.ociName),
            knownFlags: [
                "SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
                "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
            ],
            supportedFlags: [
                "SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
                "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
            ])
        linux.apparmor = EnabledFeature(enabled: true)
        linux.selinux = EnabledFeature(enabled: true)
        linux.intelRdt = IntelRdtFeatures(enabled: false)
        linux.mountExtensions = MountExtensionFeatures(idmap: EnabledFeature(enabled: true))
        return Features(
            ociVersionMin: "1.0.0", ociVersionMax: RuntimeProgram.specVersion,
            hooks: ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"],
            mountOptions: MountOptionNames.all, linux: linux,
            annotations: ["io.github.berth.runtime.version": RuntimeProgram.version])
    }
}
