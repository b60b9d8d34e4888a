import Engine
import Flags
import Linux

/// `berth exec`
struct ExecCommand {
    let session: Session
    private var arguments: ParsedArguments { session.arguments }
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        var words = arguments.positionals
        let name = try container(&words)
        guard !words.isEmpty else { throw CommandError("a container and a command are needed") }
        var request = ExecRequest(arguments: words)
        request.detachKeys = arguments.string("detach-keys")
        request.preservedDescriptors = try preservedDescriptors()
        request.workingDirectory = arguments.string("workdir")
        request.user = arguments.string("user")
        request.detach = arguments.bool("detach")
        request.terminal = arguments.bool("tty")
        request.interactive = arguments.bool("interactive")
        request.privileged = arguments.bool("privileged")
        if request.terminal, request.interactive, !request.detach, !Terminal.isTerminal(.standardInput) {
            throw CommandError("the input device is not a TTY")
        }
        do throws(EngineError) {
            for path in arguments.strings("env-file") {
                let text = try? FD.cwd.readText(path, limit: 16 << 20)
                guard let text else {
                    throw EngineError(.invalid, "read environment file", path, cause: "cannot be read")
                }
                request.environment += try EnvironmentOption.parse(file: text, name: path, inherit: true)
            }
            for text in arguments.strings("env") {
                if let entry = try EnvironmentOption.parse(text) { request.environment.append(entry) }
            }
            // Returns for a process in the background only.
            try session.engine.exec(name, request)
            return 0
        } catch {
            // 126 where the command could not be invoked, as for `run`, and the background's own codes; 1 for what was wrong
            // before.
            throw CommandError(
                error.description, status: error.exitCode == 126 || error.code == .runtime ? error.exitCode : 1, code: error.code)
        }
    }

    /// The container's name, taken from what was typed unless it is named otherwise.
    private func container(_ words: inout [String]) throws(CommandError) -> String {
        let path = arguments.string("cidfile")
        if !path.isEmpty {
            guard let text = try? FD.cwd.readText(path, limit: 4096), let id = text.split(whereSeparator: \.isWhitespace).first else {
                throw CommandError("read container ID file \"\(path)\": it cannot be read or is empty")
            }
            return String(id)
        }
        if arguments.bool("latest") {
            guard let newest = try engine({ () throws(EngineError) in try session.engine.containers().first }) else {
                throw CommandError("there is no container")
            }
            return newest.id
        }
        return words.isEmpty ? "" : words.removeFirst()
    }

    /// They have to be there before anything else is opened: what we open must not be taken for them.
    private func preservedDescriptors() throws(CommandError) -> Int64 {
        guard let count = arguments.int64("preserve-fds"), count > 0 else { return 0 }
        if arguments.bool("detach") { throw CommandError("--preserve-fds and --detach cannot be used together") }
        guard count <= 1024 else { throw CommandError("--preserve-fds: \(count) is not within 0 to 1024") }
        for number in 3..<(3 + Int32(count)) where (try? FD(number).status()) == nil {
            throw CommandError("--preserve-fds: descriptor \(number) is not open")
        }
        return count
    }
}
