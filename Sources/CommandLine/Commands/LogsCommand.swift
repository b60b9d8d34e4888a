import Control
import Engine
import Flags
import Linux

/// `berth logs`
struct LogsCommand {
    let session: Session
    private var arguments: ParsedArguments { session.arguments }
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let name = arguments.positionals.first ?? ""
        let view = try engine { () throws(EngineError) in try session.engine.container(name) }
        if view.definition.log.driver == "none" {
            throw CommandError("configured logging driver does not support reading")
        }
        let options = try readOptions()
        let target = LogTarget(
            LogPrinter(timestamps: arguments.bool("timestamps"), details: arguments.bool("details") ? "" : nil))
        do throws(ControlError) {
            var reader = try LogReader(directory: session.engine.roots.container(view.id), options: options)
            if arguments.bool("follow") {
                // Connected before the first read: an end in between is not missed.
                let lives = view.isAlive || view.observation.status == .restarting
                let supervisor = lives ? try? session.engine.connect(view.id) : nil
                try reader.follow(supervisor, { target.printer.print($0) }, idle: { target.printer.flush() })
            } else {
                _ = try reader.readAvailable { target.printer.print($0) }
            }
        } catch {
            target.printer.flush()
            throw CommandError(error.description)
        }
        target.printer.flush()
        return target.printer.failure == nil ? 0 : 1
    }

    private func readOptions() throws(CommandError) -> LogReader.Options {
        var options = LogReader.Options()
        let tail = arguments.string("tail")
        if !tail.isEmpty, tail != "all" { options.tail = Int(tail).flatMap { $0 < 0 ? nil : $0 } }
        let now = wallClockNanoseconds()
        for (name, isSince) in [("since", true), ("until", false)] where arguments.isSet(name) {
            guard let time = HumanTime.point(arguments.string(name), now: now) else {
                throw .invalid(
                    "invalid value for \"\(name)\": failed to parse value as time or duration: \"\(arguments.string(name))\""
                )
            }
            if isSince { options.since = time } else { options.until = time }
        }
        return options
    }
}

/// Lets the two closures of a follow share one printer.
private final class LogTarget {
    var printer: LogPrinter
    init(_ printer: consuming LogPrinter) { self.printer = printer }
}
