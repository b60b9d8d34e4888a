import Control
import Engine
import Flags
import Linux

/// `berth debug`
struct DebugCommand {
    let session: Session
    private var arguments: ParsedArguments { session.arguments }
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        var request = DebugRequest(target: arguments.positionals.first ?? "", command: try command())
        try readStreams(into: &request)
        request.image = arguments.string("image")
        request.user = arguments.string("user")
        request.privileged = arguments.bool("privileged")
        request.capAdd = arguments.strings("cap-add")
        request.readOnly = arguments.bool("read-only")
        request.network = arguments.optionalString("network")
        request.platform = arguments.string("platform")
        request.pull = ContainerRequest.PullPolicy(rawValue: arguments.string("pull")) ?? .missing
        do throws(EngineError) {
            for text in arguments.strings("env") {
                if let entry = try EnvironmentOption.parse(text) { request.environment.append(entry) }
            }
        } catch {
            throw CommandError(error, running: true)
        }
        return try run(request)
    }

    private func run(_ request: DebugRequest) throws(CommandError) -> Int32 {
        let engine = session.engine
        var tools = ContainerRequest(image: try image(request))
        tools.pull = request.pull
        tools.platform = request.platform
        let starting = try ImagePuller(session: session).supplying(tools) { (_) throws(EngineError) in
            try engine.createAndLaunchDebug(request)
        }
        session.tellWarnings()
        var streams: AttachStreams = request.openStdin ? [.input, .output] : [.output]
        if !request.terminal { streams.insert(.error) }
        return try Foreground.run(starting, streams, keys: nil, proxy: true, session)
    }

    private func image(_ request: DebugRequest) throws(CommandError) -> String {
        do throws(EngineError) { return try session.engine.debugImage(request) } catch { throw CommandError(error, running: true) }
    }

    /// A shell, what it is to run, or a program of the tools.
    private func command() throws(CommandError) -> [String] {
        let words = Array(arguments.positionals.dropFirst())
        let name = arguments.string("shell")
        let isAuto = name == "auto" || name.isEmpty
        let shell = isAuto ? "sh" : name
        if arguments.isSet("command") { return [shell, "-c", arguments.string("command"), shell] + words }
        if !words.isEmpty {
            if arguments.isSet("shell") {
                throw CommandError("--shell is for a shell, and the command is a program: give it with -c", status: 125)
            }
            return words
        }
        // Which of the two the image has is found out there.
        return isAuto ? ["sh", "-c", "exec \"$(command -v bash || command -v sh)\""] : [shell]
    }

    /// A shell reads what is typed or piped to it. A command does so only where that was asked for or is typed: a loop that reads names
    /// and calls this for each must not lose the rest of them.
    private func readStreams(into request: inout DebugRequest) throws(CommandError) {
        let hasTerminal = Terminal.isTerminal(.standardInput)
        let isShell = !arguments.isSet("command") && arguments.positionals.count == 1
        request.openStdin = arguments.isSet("interactive") ? arguments.bool("interactive") : isShell || hasTerminal
        request.terminal =
            arguments.isSet("tty")
            ? arguments.bool("tty") : hasTerminal && Terminal.isTerminal(.standardOutput) && request.openStdin
        if request.terminal, request.openStdin, !hasTerminal { throw CommandError("the input device is not a TTY") }
    }
}
