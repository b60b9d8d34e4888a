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
        let options = try readOptions()
        let views = try containers()
        for view in views where !view.definition.hasReadableLog {
            if view.definition.log.passesThrough {
                throw CommandError("this container is using the '\(view.definition.log.driver)' log driver, cannot read logs")
            }
            throw CommandError("configured logging driver does not support reading")
        }
        if views.count > 1 || arguments.bool("names") { return try show(views, options) }
        guard let view = views.first else { return 0 }
        let target = LogTarget(printer(view, prefix: nil))
        do throws(ControlError) {
            var reader = try LogReader(directory: session.engine.roots.container(view.id), options: options)
            if arguments.bool("follow") {
                // Connected before the first read: an end in between is not missed.
                try reader.follow(supervisor(of: view), { target.printer.print($0) }, idle: { target.printer.flush() })
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

    /// Podman's: several containers, each line after whose it is; one after the other, or together with `-f`.
    private func show(_ views: [ContainerView], _ options: LogReader.Options) throws(CommandError) -> Int32 {
        let targets = views.map { view in
            LogTarget(printer(view, prefix: arguments.bool("names") ? view.name : view.definition.shortID))
        }
        var last = 0
        // In order, whoever it is of.
        let emit = { (index: Int, record: LogRecord) -> Bool in
            if index != last { targets[last].printer.flush() }
            last = index
            return targets[index].printer.print(record)
        }
        do throws(ControlError) {
            var followed: [FollowedLog] = []
            for (index, view) in views.enumerated() {
                let supervisor = arguments.bool("follow") ? supervisor(of: view) : nil
                var reader = try LogReader(directory: session.engine.roots.container(view.id), options: options)
                if arguments.bool("follow") {
                    followed.append(FollowedLog(reader, supervisor))
                } else {
                    _ = try reader.readAvailable { emit(index, $0) }
                }
            }
            try FollowedLog.follow(followed, until: options.until, emit, idle: { targets[last].printer.flush() })
        } catch {
            for target in targets { target.printer.flush() }
            throw CommandError(error.description)
        }
        for target in targets { target.printer.flush() }
        return targets.contains { $0.printer.failure != nil } ? 1 : 0
    }

    private func containers() throws(CommandError) -> [ContainerView] {
        var names = arguments.positionals
        if arguments.bool("latest") {
            guard names.isEmpty else { throw CommandError("--latest and containers cannot be used together") }
            let newest = try engine { () throws(EngineError) in try session.engine.containers().first }
            guard let newest else { throw CommandError("there is no container") }
            names = [newest.id]
        }
        if names.isEmpty { throw CommandError("name a container, or give --latest") }
        var views: [ContainerView] = []
        for name in names { views.append(try engine { () throws(EngineError) in try session.engine.container(name) }) }
        return views
    }

    private func supervisor(of view: ContainerView) -> SupervisorConnection? {
        let lives = view.isAlive || view.observation.status == .restarting
        return lives ? (try? session.engine.connect(view.id)) ?? nil : nil
    }

    private func printer(_ view: ContainerView, prefix: String?) -> LogPrinter {
        var details: String?
        if arguments.bool("details") {
            details = view.definition.logAttributes.sorted { $0.key < $1.key }
                .map { LogsCommand.escaped($0.key) + "=" + LogsCommand.escaped($0.value) }.joined(separator: ",")
        }
        return LogPrinter(timestamps: arguments.bool("timestamps"), details: details, prefix: prefix)
    }

    /// As Go escapes queries.
    private static func escaped(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: " "): bytes.append(UInt8(ascii: "+"))
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "~"):
                bytes.append(byte)
            default: bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private func readOptions() throws(CommandError) -> LogReader.Options {
        var options = LogReader.Options()
        let tail = arguments.string("tail")
        if !tail.isEmpty, tail != "all" { options.tail = Int(tail).flatMap { $0 < 0 ? nil : $0 } }
        let now = wallClockNanoseconds()
        options.since = try HumanTime.bound("since", arguments, now: now)
        options.until = try HumanTime.bound("until", arguments, now: now)
        return options
    }
}

/// Lets the closures of a follow share one printer.
private final class LogTarget {
    var printer: LogPrinter
    init(_ printer: consuming LogPrinter) { self.printer = printer }
}
