import Engine
import Flags

/// The name by which this program was called: as `docker` and `podman` (a link or a copy of that name) it answers in their forms,
/// where programs and scripts read what they print.
///
/// What differs, and what does not: docs/called-as.md. A shell's alias cannot be seen: its command is `berth`.
enum CalledAs: String, Sendable {
    case berth, docker, podman

    /// Of this process.
    static let current = CalledAs(path: Swift.CommandLine.arguments.first ?? "")

    /// - Parameter path: `argv[0]`.
    init(path: String) {
        let name = path.utf8.lastIndex(of: UInt8(ascii: "/")).map { path[path.utf8.index(after: $0)...] } ?? path[...]
        self = CalledAs(rawValue: String(name)) ?? .berth
    }

    /// The version whose command line and forms it has, as scripts compare it; for `berth` its own.
    var version: String {
        switch self {
        case .berth: BerthProgram.version
        case .docker: "28.3.0"
        case .podman: "5.0.0"
        }
    }

    /// What `--version` prints.
    var versionLine: String {
        switch self {
        case .berth: "berth version \(version)"
        // Where docker has the commit: who looks closely sees what answers.
        case .docker: "Docker version \(version), build berth-\(BerthProgram.version)"
        case .podman: "podman version \(version)"
        }
    }

    /// Exit status of an unknown command or a wrong number of operands.
    var commandFailure: Int32 { self == .podman ? 125 : 1 }
}
