import Linux
import OCI
import Testing

@testable import Runtime

/// One row for each thing config.json may not say (runtime-spec config.md, config-linux.md).
struct SpecValidationTests {
    struct Row: Sendable, CustomTestStringConvertible {
        let name: String
        let error: String
        let change: @Sendable (inout Spec) -> Void
        var testDescription: String { name }

        init(_ name: String, _ error: String, _ change: @escaping @Sendable (inout Spec) -> Void) {
            self.name = name
            self.error = error
            self.change = change
        }
    }

    static func spec() -> Spec {
        Spec(
            ociVersion: "1.2.0", process: Process(args: ["/bin/true"], cwd: "/"), root: Root(path: "rootfs"),
            linux: LinuxSpec(namespaces: ["pid", "mount", "network", "ipc", "uts"].map { LinuxNamespace(type: $0) }))
    }

    static func check(_ spec: Spec) throws {
        try SpecValidation(spec, namespaces: NamespacePlan(spec.linux?.namespaces ?? [])).check()
    }

    static func mapping(_ inside: UInt32, _ outside: UInt32, _ size: UInt32) -> LinuxIDMapping {
        LinuxIDMapping(containerID: inside, hostID: outside, size: size)
    }

    /// Adds a user namespace with these uid mappings.
    static func map(_ spec: inout Spec, _ users: [LinuxIDMapping]) {
        spec.linux?.namespaces.append(LinuxNamespace(type: "user"))
        spec.linux?.uidMappings = users
        spec.linux?.gidMappings = [mapping(0, 100_000, 65536)]
    }

    @Test func aPlainSpecIsAccepted() throws {
        try Self.check(Self.spec())
    }

    @Test(arguments: ["1.0.0", "1.0.2-dev", "1.2.1", "1.99.0", "1.1.0+build"])
    func everyMinorVersionIsAccepted(version: String) throws {
        var spec = Self.spec()
        spec.ociVersion = version
        try Self.check(spec)
    }

    static let versions: [Row] =
        ["", "1", "1.2", "1.2.x", "a.b.c", "1..0", "1.2.3.4", "-1.0.0", "1.0.99999999999"].map { text in
            Row("version \(text)", "ociVersion") { $0.ociVersion = text }
        } + ["0.9.0", "2.0.0"].map { text in Row("version \(text)", "only 1.x") { $0.ociVersion = text } }

    static let process: [Row] = [
        Row("no process", "process") { $0.process = nil },
        Row("no args", "process.args") { $0.process?.args = [] },
        Row("relative cwd", "process.cwd") { $0.process?.cwd = "tmp" },
        Row("empty cwd", "process.cwd") { $0.process?.cwd = "" },
        Row("unknown rlimit", "unknown type \"RLIMIT_X\"") { $0.process?.rlimits = [POSIXRlimit(type: "RLIMIT_X", hard: 1, soft: 1)] },
        Row("soft above hard", "above the hard limit") { $0.process?.rlimits = [POSIXRlimit(type: "RLIMIT_NOFILE", hard: 1, soft: 2)] },
        Row("rlimit twice", "given twice") {
            $0.process?.rlimits = [
                POSIXRlimit(type: "RLIMIT_NOFILE", hard: 2, soft: 1), POSIXRlimit(type: "RLIMIT_NOFILE", hard: 2, soft: 1),
            ]
        },
        Row("oom score too high", "oomScoreAdj") { $0.process?.oomScoreAdj = 1001 },
        Row("oom score too low", "oomScoreAdj") { $0.process?.oomScoreAdj = -1001 },
        Row("oom score overflow", "oomScoreAdj") { $0.process?.oomScoreAdj = Int.max },
        Row("NUL in args", "NUL") { $0.process?.args = ["/bin/true", "a\0b"] },
        Row("NUL in env", "NUL") { $0.process?.env = ["A=\0"] },
        Row("NUL in cwd", "NUL") { $0.process?.cwd = "/\0" },
        Row("no root", "root") { $0.root = nil },
        Row("empty root path", "root.path") { $0.root?.path = "" },
    ]

    static let namespaces: [Row] = [
        Row("hostname on the host", "hostname") { spec in
            spec.hostname = "x"
            spec.linux?.namespaces.removeAll { $0.type == "uts" }
        },
        Row("domainname on the host", "domainname") { spec in
            spec.domainname = "x"
            spec.linux?.namespaces.removeAll { $0.type == "uts" }
        },
        Row("time offsets without namespace", "timeOffsets") { $0.linux?.timeOffsets = ["boottime": LinuxTimeOffset(secs: 1)] },
        Row("unknown namespace", "unknown type") { $0.linux?.namespaces.append(LinuxNamespace(type: "quantum")) },
        Row("namespace twice", "given twice") { $0.linux?.namespaces.append(LinuxNamespace(type: "pid")) },
        Row("namespace path missing", "no such file") {
            $0.linux?.namespaces = [LinuxNamespace(type: "mount"), LinuxNamespace(type: "pid", path: "/nonexistent")]
        },
        Row("namespace of another kind", "invalid argument") {
            $0.linux?.namespaces = [LinuxNamespace(type: "mount"), LinuxNamespace(type: "network", path: "/proc/self/ns/uts")]
        },
        Row("namespace that is a plain file", "join network namespace") {
            $0.linux?.namespaces = [LinuxNamespace(type: "mount"), LinuxNamespace(type: "network", path: "/etc/passwd")]
        },
        Row("mounts on the host", "mount namespace") { spec in
            spec.linux?.namespaces.removeAll { $0.type == "mount" }
            spec.mounts = [Mount(destination: "/proc", type: "proc")]
        },
        Row("masked paths on the host", "mount namespace") { spec in
            spec.linux?.namespaces.removeAll { $0.type == "mount" }
            spec.linux?.maskedPaths = ["/proc/kcore"]
        },
        Row("read-only root on the host", "mount namespace") { spec in
            spec.linux?.namespaces.removeAll { $0.type == "mount" }
            spec.root?.readonly = true
        },
    ]

    static let ids: [Row] = [
        Row("user namespace without mappings", "needs uidMappings") { $0.linux?.namespaces.append(LinuxNamespace(type: "user")) },
        Row("mappings without namespace", "need a user namespace") { $0.linux?.uidMappings = [mapping(0, 0, 1)] },
        Row("empty range", "a range is empty") { map(&$0, [mapping(0, 1, 0)]) },
        Row("range over 32 bits", "exceeds 32 bits") { map(&$0, [mapping(4_294_967_295, 0, 2)]) },
        Row("host range over 32 bits", "exceeds 32 bits") { map(&$0, [mapping(0, 4_294_967_295, 2)]) },
        Row("overlap inside", "overlap") { map(&$0, [mapping(0, 100_000, 10), mapping(9, 200_000, 10)]) },
        Row("overlap outside", "overlap") { map(&$0, [mapping(0, 100_000, 10), mapping(10, 100_009, 10)]) },
        Row("too many ranges", "at most 340") { spec in map(&spec, (0..<341).map { mapping($0, 100_000 + $0, 1) }) },
        Row("uid not mapped", "not mapped") { spec in
            map(&spec, [mapping(0, 100_000, 10)])
            spec.process?.user.uid = 10
        },
        Row("gid not mapped", "not mapped") { spec in
            map(&spec, [mapping(0, 100_000, 10)])
            spec.process?.user.gid = 65536
        },
    ]

    static let sysctls: [Row] =
        [
            "kernel.panic", "vm.swappiness", "fs.file-max", "kernel.core_pattern", "kernel/core_pattern", "net", "", "../x",
            "kernel.hostname",
            "kernel.shmmaxx", "kernel.msg", "dev.cdrom.info",
        ].map { name in Row("sysctl \(name)", "linux.sysctl") { $0.linux?.sysctl = [name: "1"] } } + [
            Row("net sysctl on the host", "needs a network namespace") { spec in
                spec.linux?.sysctl = ["net.ipv4.ip_forward": "1"]
                spec.linux?.namespaces.removeAll { $0.type == "network" }
            },
            Row("net sysctl with slashes on the host", "needs a network namespace") { spec in
                spec.linux?.sysctl = ["net/ipv4/ip_forward": "1"]
                spec.linux?.namespaces.removeAll { $0.type == "network" }
            },
            Row("ipc sysctl on the host", "needs a ipc namespace") { spec in
                spec.linux?.sysctl = ["kernel.shmmax": "1"]
                spec.linux?.namespaces.removeAll { $0.type == "ipc" }
            },
            Row("mqueue sysctl on the host", "needs a ipc namespace") { spec in
                spec.linux?.sysctl = ["fs.mqueue.msg_max": "1"]
                spec.linux?.namespaces.removeAll { $0.type == "ipc" }
            },
            Row("user sysctl on the host", "needs a user namespace") { $0.linux?.sysctl = ["user.max_user_namespaces": "1"] },
        ]

    static let others: [Row] = [
        Row("mount without destination", "mounts.destination") { $0.mounts = [Mount(type: "tmpfs")] },
        Row("NUL in a destination", "NUL") { $0.mounts = [Mount(destination: "/a\0b", type: "tmpfs")] },
        Row("NUL in a source", "NUL") { $0.mounts = [Mount(destination: "/a", type: "bind", source: "/\0")] },
        Row("half an id mapping", "both uidMappings and gidMappings") {
            $0.mounts = [Mount(destination: "/a", source: "/b", options: ["bind", "idmap"], uidMappings: [mapping(0, 1, 1)])]
        },
        Row("relative masked path", "not an absolute path") { $0.linux?.maskedPaths = ["proc/kcore"] },
        Row("relative read-only path", "not an absolute path") { $0.linux?.readonlyPaths = ["../etc"] },
        Row("unknown propagation", "rootfsPropagation") { $0.linux?.rootfsPropagation = "loud" },
        Row("resctrl", "resctrl") { $0.linux?.intelRdt = LinuxIntelRdt(closID: "x") },
        Row("unknown personality", "personality") { $0.linux?.personality = LinuxPersonality(domain: "BSD", flags: []) },
    ]

    @Test(arguments: versions + process + namespaces + ids + sysctls + others)
    func itIsRefusedWithItsReason(row: Row) {
        var spec = Self.spec()
        row.change(&spec)
        let text = refusal { try Self.check(spec) }
        #expect(text?.contains(row.error) == true, "\(text ?? "accepted")")
    }

    static let accepted: [Row] =
        [
            Row("sysctls of own namespaces", "") {
                $0.linux?.sysctl = ["net.ipv4.ip_forward": "1", "kernel.shmmax": "1", "fs.mqueue.msg_max": "9", "kernel.domainname": "x"]
            },
            Row("sysctl with slashes", "") { $0.linux?.sysctl = ["net/ipv4/ip_unprivileged_port_start": "0"] },
            Row("adjacent ranges", "") { map(&$0, [mapping(0, 1000, 1), mapping(1, 100_000, 65535)]) },
            Row("the whole range", "") { map(&$0, [mapping(0, 0, 4_294_967_295)]) },
            Row("oom score at its ends", "") { $0.process?.oomScoreAdj = -1000 },
            Row("equal rlimits", "") { $0.process?.rlimits = [POSIXRlimit(type: "RLIMIT_CORE", hard: UInt64.max, soft: UInt64.max)] },
            Row("joined namespace", "") { spec in
                spec.linux?.namespaces.removeAll { $0.type == "uts" }
                spec.linux?.namespaces.append(LinuxNamespace(type: "uts", path: "/proc/self/ns/uts"))
                spec.hostname = "x"
            },
        ]
        + ["", "private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable", "runbindable"].map { name in
            Row("propagation \(name)", "") { $0.linux?.rootfsPropagation = name }
        }

    @Test(arguments: accepted)
    func itIsAccepted(row: Row) throws {
        var spec = Self.spec()
        row.change(&spec)
        try Self.check(spec)
    }
}
