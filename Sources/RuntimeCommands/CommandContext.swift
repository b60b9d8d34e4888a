import Flags
import Glibc
import JSON
import Linux
import OCI
import Runtime

/// What every command starts from: where state lives, where errors go.
struct CommandContext {
    let arguments: ParsedArguments
    let root: String

    init(_ arguments: ParsedArguments) throws(RuntimeError) {
        self.arguments = arguments
        if arguments.bool("systemd-cgroup"), !FD.cwd.exists("/run/systemd/system") {
            throw RuntimeError(
                .unsupported, "use --systemd-cgroup", cause: "systemd is not running here; leave the flag away to use cgroupfs")
        }
        let given = arguments.string("root")
        root = given.isEmpty ? Self.defaultRoot : given
    }

    /// `/run/berth-runtime` for root, below XDG_RUNTIME_DIR for others.
    static var defaultRoot: String {
        if geteuid() == 0 && !isInUserNamespace() { return "/run/berth-runtime" }
        if let directory = environmentVariable("XDG_RUNTIME_DIR"), !directory.isEmpty { return directory + "/berth-runtime" }
        return "/tmp/berth-runtime-\(geteuid())"
    }

    /// The operand that names the container.
    var id: String { arguments.positionals.first ?? "" }

    func directory() throws(RuntimeError) -> StateDirectory { try StateDirectory(root: root, id: id) }

    /// The bundle as an absolute path without links, and its configuration.
    func loadBundle() throws(RuntimeError) -> (path: String, spec: Spec, bytes: [UInt8]) {
        let given = arguments.string("bundle")
        let path: String
        let bytes: [UInt8]
        do throws(SystemError) {
            let directory = try FD.cwd.open(given.isEmpty ? "." : given, [.path, .directory])
            path = try FD.cwd.readLink(directory.fd.procPath)
            bytes = try directory.fd.readFile("config.json", limit: 16 << 20)
        } catch {
            let fix = error.errno == .noEntry ? " (berth-runtime spec writes one)" : ""
            throw RuntimeError(.invalid, "read bundle", given.isEmpty ? "." : given, cause: error.description + fix)
        }
        do throws(OCIError) { return (path, try Spec.decode(bytes), bytes) } catch {
            throw RuntimeError(.invalid, "read config.json", cause: error.description)
        }
    }

    /// Runs a command's body and turns its failure into a message and an exit status.
    static func run(_ arguments: ParsedArguments, _ body: (CommandContext) throws(RuntimeError) -> Int32) -> Int32 {
        do throws(RuntimeError) {
            return try body(try CommandContext(arguments))
        } catch {
            report(error.description, arguments)
            return 1
        }
    }

    /// One line on standard error, and in the log file the form that callers of runc parse.
    static func report(_ text: String, _ arguments: ParsedArguments) {
        // What `berth exec` becomes tells its failures as `berth` does.
        let program = environmentVariable("BERTH_EXEC") == nil ? "berth-runtime" : "Error"
        try? FD.standardError.writeAll("\(program): \(text)\n")
        let path = arguments.string("log")
        guard !path.isEmpty, let file = try? FD.cwd.open(path, [.writeOnly, .create, .append], mode: 0o644) else { return }
        let time = rfc3339(wallClockNanoseconds())
        var writer = JSONWriter()
        writer.object { w in
            w.field("level", "error")
            w.field("msg", text)
            w.field("time", time)
        }
        if arguments.string("log-format") == "json" {
            try? file.fd.writeAll(writer.bytes + [10])
        } else {
            try? file.fd.writeAll("time=\"\(time)\" level=error msg=\"\(text.split(separator: "\"").joined(separator: "\\\""))\"\n")
        }
    }
}

/// Writes to standard output; a closed pipe is not our error.
func output(_ bytes: [UInt8]) {
    try? FD.standardOutput.writeAll(bytes)
}

func output(_ text: String) { output(Array(text.utf8)) }
