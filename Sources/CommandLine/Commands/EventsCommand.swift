import Control
import Engine
import Flags
import JSON
import Linux

/// `berth events`
struct EventsCommand {
    let session: Session
    private var arguments: ParsedArguments { session.arguments }
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let now = wallClockNanoseconds()
        var options = EventReader.Options()
        options.since = try HumanTime.bound("since", arguments, now: now)
        options.until = try HumanTime.bound("until", arguments, now: now)
        options.follows = arguments.bool("stream")
        let format = arguments.string("format")
        let printer = EventPrinter(
            session, template: format.isEmpty || EventPrinter.isJSON(format) ? nil : try Template(format),
            isJSON: EventPrinter.isJSON(format), shortens: !arguments.bool("no-trunc"))
        let engine = session.engine
        let pairs = arguments.pairs("filter")
        do throws(EngineError) {
            let filter = try EventFilter(pairs)
            try engine.readEvents(options, { !filter.admits($0) || printer.print($0) }, idle: { session.flush() })
        } catch {
            throw CommandError(error)
        }
        if let failure = printer.failure { throw failure }
        return 0
    }
}

/// Prints events as Docker's client does.
private final class EventPrinter {
    private let session: Session
    private let template: Template?
    private let isJSON: Bool
    private let shortens: Bool
    private(set) var failure: CommandError?

    init(_ session: Session, template: Template?, isJSON: Bool, shortens: Bool) {
        self.session = session
        self.template = template
        self.isJSON = isJSON
        self.shortens = shortens
    }

    /// Docker's document has other names than the fields of its templates.
    static func isJSON(_ format: String) -> Bool {
        format == "json" || format.filter { $0 != " " } == "{{json.}}"
    }

    /// - Returns: whether to go on.
    func print(_ event: Event) -> Bool {
        if isJSON {
            session.print(String(decoding: event.encoded(), as: UTF8.self))
            return true
        }
        guard let template else {
            session.print(TerminalText.safeLines(line(event)))
            return true
        }
        do throws(CommandError) {
            session.print(TerminalText.safeLines(try template.render(EventPrinter.object(event), of: "events.Message")))
            return true
        } catch {
            failure = error
            return false
        }
    }

    /// `TIME container create ID (image=…, name=…)`
    private func line(_ event: Event) -> String {
        let isIdentifier = event.actor.utf8.count == 64
        let actor = shortens && isIdentifier ? String(event.actor.prefix(12)) : event.actor
        var text = "\(HumanTime.rfc3339(event.time, nanoseconds: true)) \(event.type) \(event.action) \(actor)"
        if !event.attributes.isEmpty {
            let pairs = event.attributes.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
            text += " (\(pairs.joined(separator: ", ")))"
        }
        return text
    }

    /// The fields of Docker's `events.Message`, and podman's.
    private static func object(_ event: Event) -> JSONValue {
        let attributes = JSONValue.object(event.attributes.sorted { $0.key < $1.key }.map { .init(key: $0.key, value: .string($0.value)) })
        let isObject = event.type == "container" || event.type == "image"
        let image = event.type == "container" ? event.attributes["image"] ?? "" : ""
        let health = event.action.hasPrefix("health_status: ") ? String(event.action.dropFirst(15)) : ""
        let fields: [(String, JSONValue)] = [
            ("Status", .string(isObject ? event.action : "")), ("ID", .string(event.actor)), ("From", .string(image)),
            ("Type", .string(event.type)), ("Action", .string(event.action)),
            ("Actor", .object([.init(key: "ID", value: .string(event.actor)), .init(key: "Attributes", value: attributes)])),
            ("Scope", .string("local")), ("Time", .int(event.time / 1_000_000_000)), ("TimeNano", .int(event.time)),
            ("Attributes", attributes), ("Name", .string(event.attributes["name"] ?? "")), ("Image", .string(image)),
            ("ContainerExitCode", .int(Int64(event.attributes["exitCode"] ?? "") ?? 0)), ("HealthStatus", .string(health)),
            ("Network", .string(event.type == "network" ? event.attributes["name"] ?? "" : "")),
        ]
        return .object(fields.map { JSONValue.Member(key: $0.0, value: $0.1) })
    }
}
