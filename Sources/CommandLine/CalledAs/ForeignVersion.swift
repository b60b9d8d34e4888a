import Engine
import Flags
import JSON
import Linux

/// `docker version` and `podman version`.
struct ForeignVersion {
    let name: CalledAs
    let facts: SystemFacts

    func print(_ format: String, _ session: Session) throws(CommandError) {
        // Templates know fields by the names of Go's types.
        let object = name == .podman ? podman : format == "json" ? docker : VersionCommand.forTemplates(docker)
        if !format.isEmpty {
            session.print(try Template(format).render(object, of: name == .docker ? "versionInfo" : "*define.Version"))
            return
        }
        for line in name == .docker ? dockerLines : podmanLines { session.print(line) }
    }

    private var platform: String { "linux/\(facts.architecture)" }
    private var own: String { "berth-\(BerthProgram.version)" }

    private static func object(_ members: [(String, JSONValue)]) -> JSONValue { JSONValue.object([]).with(members) }

    private var docker: JSONValue {
        // One program is both of what Docker has as two.
        let both: [(String, JSONValue)] = [
            ("Version", .string(name.version)), ("ApiVersion", "1.51"), ("GitCommit", .string(own)), ("GoVersion", ""), ("Os", "linux"),
            ("Arch", .string(facts.architecture)), ("BuildTime", .string(BerthProgram.released)),
        ]
        let details = Self.object([
            ("ApiVersion", "1.51"), ("Arch", .string(facts.architecture)), ("KernelVersion", .string(facts.kernel)), ("Os", "linux"),
        ])
        let component = Self.object([("Name", "Engine"), ("Version", .string(name.version)), ("Details", details)])
        let platform = Self.object([("Name", .string("Berth \(BerthProgram.version)"))])
        return Self.object([
            ("Client", Self.object([("Platform", platform)] + both + [("DefaultAPIVersion", "1.51"), ("Context", "default")])),
            (
                "Server",
                Self.object(
                    [("Platform", platform), ("Components", .array([component]))] + both
                        + [("MinAPIVersion", "1.24"), ("KernelVersion", .string(facts.kernel))])
            ),
        ])
    }

    private var dockerLines: [String] {
        let both = [
            " Version:           \(name.version)", " API version:       1.51", " Git commit:        \(own)",
            " OS/Arch:           \(platform)",
        ]
        return ["Client: Berth \(BerthProgram.version)"] + both + [
            " Context:           default", "", "Server: Berth \(BerthProgram.version)", " Engine:",
        ]
            + both.map { " " + $0 }
    }

    private var podman: JSONValue {
        let client: [(String, JSONValue)] = [
            ("APIVersion", .string(name.version)), ("Version", .string(name.version)), ("GoVersion", ""), ("GitCommit", .string(own)),
            ("BuiltTime", .string(BerthProgram.released)), ("Built", .int(0)), ("OsArch", .string(platform)), ("Os", "linux"),
        ]
        return Self.object([("Client", Self.object(client))])
    }

    private var podmanLines: [String] {
        [
            "Client:       Podman Engine", "Version:      \(name.version)", "API Version:  \(name.version)", "Git Commit:   \(own)",
            "Built:        \(BerthProgram.released)", "OS/Arch:      \(platform)",
        ]
    }
}
