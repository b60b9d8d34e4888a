import Engine
import Flags
import Linux

/// `berth cp`
struct CopyCommand {
    let session: Session
    private var arguments: ParsedArguments { session.arguments }
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let words = arguments.positionals
        guard words.count == 2 else { throw CommandError("a source and a destination are needed") }
        if words[0].isEmpty { throw CommandError("source can not be empty") }
        if words[1].isEmpty { throw CommandError("destination can not be empty") }
        var request = FileCopyRequest(
            from: try end(words[0]), to: try end(words[1]), workingDirectory: Session.workingDirectory())
        if request.containers.isEmpty { throw CommandError("must specify at least one container source") }
        if request.source == .stream, Terminal.isTerminal(.standardInput) {
            throw CommandError("refusing to read an archive from a terminal: redirect one to standard input")
        }
        if request.target == .stream, Terminal.isTerminal(.standardOutput) {
            throw CommandError("refusing to write an archive to a terminal: redirect standard output")
        }
        if let status = try session.delegated(withTreesOf: request.containers, mounts: true) { return status }
        request.archive = arguments.bool("archive")
        request.followLinks = arguments.bool("follow-link")
        request.overwrite = arguments.bool("overwrite")
        // Docker's client tells on a terminal only, and then on standard error.
        let isQuiet = arguments.isSet("quiet") ? arguments.bool("quiet") : !Terminal.isTerminal(.standardOutput)
        let isTelling = !isQuiet && request.source != .stream && request.target != .stream
        let progress = CopyProgress(isIntoContainer: request.source == .local(words[0]))
        if isTelling, Terminal.isTerminal(.standardError) { request.report = progress.tell }
        var volume: Int64 = 0
        let status = try session.withTrees { () throws(EngineError) in volume = try session.engine.copy(request) }
        progress.clear()
        if isTelling, status == 0 {
            session.tellWarnings()
            session.complain("Successfully copied \(ByteSize.decimal(volume)) to \(shown(request.target))")
        }
        return status
    }

    /// - Throws: where a name of a container is missing before the colon.
    private func end(_ word: String) throws(CommandError) -> CopyEnd {
        if word == "-" { return .stream }
        let (container, path) = CopyPath.split(word)
        guard let container else { return .local(path) }
        if container.isEmpty || path.isEmpty { throw CommandError("\(word): a container and a path are needed, as CONTAINER:PATH") }
        return .container(container, path: path)
    }

    private func shown(_ end: CopyEnd) -> String {
        switch end {
        case .container(let name, let path): "\(name):\(path)"
        case .local(let path): path
        case .stream: "-"
        }
    }
}

/// One line on a terminal that says how far it is, ten times a second at most.
final class CopyProgress {
    private let heading: String
    private var last: Int64 = monotonicNanoseconds()
    private var isShown = false

    init(isIntoContainer: Bool) {
        heading = isIntoContainer ? "Copying to container - " : "Copying from container - "
    }

    func tell(_ bytes: Int64) {
        let now = monotonicNanoseconds()
        if now - last < 100_000_000 { return }
        last = now
        isShown = true
        try? FD.standardError.writeAll("\r\u{1b}[2K" + heading + ByteSize.decimal(bytes))
    }

    func clear() {
        if isShown { try? FD.standardError.writeAll("\r\u{1b}[2K") }
    }
}
