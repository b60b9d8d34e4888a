import Engine
import JSON

/// `podman info`: podman's document of what the engine knows of itself and its host.
struct PodmanInformation {
    let info: EngineInformation
    /// Path of the OCI runtime.
    let runtime: String

    /// Fields by their names in documents; those of templates begin with a capital, and some have names of their own.
    private var tree: [(String, JSONValue)] {
        [
            ("host", .object(host)),
            (
                "store",
                Self.object([
                    ("configFile", ""),
                    (
                        "containerStore",
                        Self.object([
                            ("number", .int(Int64(info.containers))), ("paused", .int(Int64(info.paused))),
                            ("running", .int(Int64(info.running))),
                            ("stopped", .int(Int64(info.stopped))),
                        ])
                    ),
                    ("graphDriverName", "overlay"), ("graphOptions", .object([])), ("graphRoot", .string(info.root)),
                    ("graphStatus", .object([])), ("imageCopyTmpDir", "/var/tmp"),
                    ("imageStore", Self.object([("number", .int(Int64(info.images)))])),
                    ("runRoot", .string(info.runRoot)), ("transientStore", .bool(false)), ("volumePath", .string(info.root + "/volumes")),
                ])
            ),
            ("registries", .object([])),
            (
                "plugins",
                Self.object([
                    ("authorization", .null), ("log", .strings(["k8s-file", "none", "passthrough", "journald"])),
                    ("network", .strings(["bridge", "macvlan", "ipvlan"])), ("volume", .strings(["local"])),
                ])
            ),
            (
                "version",
                Self.object([
                    ("APIVersion", .string(CalledAs.podman.version)), ("Built", .int(0)), ("BuiltTime", .string(BerthProgram.released)),
                    ("GitCommit", .string("berth-\(BerthProgram.version)")), ("GoVersion", ""), ("Os", "linux"),
                    ("OsArch", .string("linux/\(info.facts.architecture)")), ("Version", .string(CalledAs.podman.version)),
                ])
            ),
        ]
    }

    private var host: [JSONValue.Member] {
        let runtime = Self.object([
            ("name", "berth-runtime"), ("package", ""), ("path", .string(runtime)),
            ("version", .string("berth-runtime version \(BerthProgram.version)")),
        ])
        let security = Self.object([
            ("apparmorEnabled", .bool(false)), ("rootless", .bool(info.rootless)), ("seccompEnabled", .bool(true)),
            ("seccompProfilePath", ""),
            ("selinuxEnabled", .bool(false)),
        ])
        return [
            .init(key: "arch", value: .string(info.facts.architecture)), .init(key: "cgroupManager", value: "cgroupfs"),
            .init(key: "cgroupVersion", value: .string("v" + info.cgroupVersion)), .init(key: "cpus", value: .int(Int64(info.cpus))),
            .init(key: "distribution", value: Self.object([("distribution", .string(info.operatingSystem)), ("version", "")])),
            .init(key: "eventLogger", value: "file"), .init(key: "hostname", value: .string(info.facts.hostName)),
            .init(key: "kernel", value: .string(info.facts.kernel)), .init(key: "linkmode", value: "static"),
            .init(key: "logDriver", value: "k8s-file"), .init(key: "memTotal", value: .int(info.memory)),
            .init(key: "networkBackend", value: "berth"), .init(key: "ociRuntime", value: runtime), .init(key: "os", value: "linux"),
            .init(key: "remoteSocket", value: Self.object([("path", "")])), .init(key: "security", value: security),
            .init(key: "serviceIsRemote", value: .bool(false)),
        ]
    }

    private static func object(_ members: [(String, JSONValue)]) -> JSONValue { JSONValue.object([]).with(members) }

    var document: JSONValue { Self.object(tree) }

    /// With the names that templates use.
    var template: JSONValue { Self.capitalized(document) }

    /// Fields of podman's types that are not called as in its documents.
    private static let names = ["cgroupVersion": "CGroupsVersion", "ociRuntime": "OCIRuntime", "cpus": "CPUs", "os": "OS"]

    private static func capitalized(_ value: JSONValue) -> JSONValue {
        guard case .object(let members) = value else { return value }
        return .object(
            members.map { member in
                let name = names[member.key] ?? member.key.prefix(1).uppercased() + member.key.dropFirst()
                return JSONValue.Member(key: name, value: capitalized(member.value))
            })
    }
}
