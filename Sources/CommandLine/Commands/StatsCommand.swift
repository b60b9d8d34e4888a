import CLinux
import Engine
import Flags
import Glibc
import Linux

/// `berth stats`
struct StatsCommand {
    let session: Session
    private var arguments: ParsedArguments { session.arguments }
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let selection = try ContainerSelection(session)
        let format = try StatsFormat(arguments.string("format"), full: arguments.bool("no-trunc"))
        // Docker's client draws once a second.
        let interval = arguments.int64("interval") ?? 1
        if interval < 1 { throw CommandError("invalid interval, must be a positive number greater zero") }
        let streams = !arguments.bool("no-stream")
        let reader = StatisticsReader()
        var views = try selection.views()
        reader.sample(views)
        if views.contains(where: \.isAlive) { wait(milliseconds: reader.window(views)) }
        let screen = Screen(redraws: streams && !arguments.bool("no-reset") && Terminal.isTerminal(.standardOutput))
        while true {
            let statistics = reader.read(views)
            let rows = zip(views, statistics).map { StatsRow($0, $1, as: selection.word(for: $0)) }
            guard screen.show(try format.render(rows)) else { return 1 }
            // Those that were named are gone for good.
            if !streams || (views.isEmpty && selection.isNamed) { return 0 }
            wait(milliseconds: Int32(clamping: interval &* 1000))
            // Looked at again: some may have ended, others come.
            views = try selection.views()
        }
    }

    private func wait(milliseconds: Int32) { _ = cl_poll(nil, nil, nil, 0, milliseconds) }
}

/// Which containers a table shows: those that were named, or all that run.
private struct ContainerSelection {
    private let session: Session
    /// Id and the word it was named by, in this order.
    private var named: [(id: String, word: String)] = []
    let isNamed: Bool

    init(_ session: Session) throws(CommandError) {
        self.session = session
        let arguments = session.arguments
        isNamed = !arguments.positionals.isEmpty || arguments.bool("latest")
        if arguments.bool("latest"), !arguments.positionals.isEmpty || arguments.bool("all") {
            throw CommandError("--all, --latest and containers cannot be used together")
        }
        for word in arguments.bool("latest") ? [try session.container().name] : arguments.positionals {
            let id = try engine { () throws(EngineError) in try session.engine.container(word).id }
            if !named.contains(where: { $0.id == id }) { named.append((id, word)) }
        }
    }

    func word(for view: ContainerView) -> String {
        named.first { $0.id == view.id }?.word ?? view.definition.shortID
    }

    /// As they are now.
    func views() throws(CommandError) -> [ContainerView] {
        let all = try engine { () throws(EngineError) in try session.engine.containers() }
        if isNamed { return named.compactMap { one in all.first { $0.id == one.id } } }
        if session.arguments.bool("all") { return all }
        return all.filter(\.isAlive)
    }
}

/// What is on the terminal.
private final class Screen {
    private let redraws: Bool
    private var isFirst = true

    /// - Parameter redraws: over what was shown before; otherwise below it.
    init(redraws: Bool) { self.redraws = redraws }

    /// - Returns: false where nobody takes it any more.
    func show(_ text: String) -> Bool {
        var output = text
        if redraws {
            // One write, and no line erased before its successor is there: nothing flickers.
            output = isFirst ? "\u{1b}[2J\u{1b}[H" : "\u{1b}[H"
            for line in text.split(separator: "\n") { output += line + "\u{1b}[K\n" }
            output += "\u{1b}[J"
            isFirst = false
        }
        return (try? FD.standardOutput.writeAll(output)) != nil
    }
}
