import JSON
import Linux

/// Something that has happened to an object of the store, in the shape of Docker's API (`GET /events`).
///
/// What `berth events` shows and what a line of the event log holds. Format: docs/events.md.
public struct Event: Sendable, Hashable {
    /// `container`, `image`, `network`, `volume`; open, as other writers may know more.
    public var type: String
    /// `create`, `exec_start: sh -c true`, `health_status: healthy` …
    public var action: String
    /// The object: a container's or network's id, an image's id or reference, a volume's name.
    public var actor: String
    public var attributes: [String: String]
    /// Nanoseconds since 1970.
    public var time: Int64

    public init(_ type: String, _ action: String, actor: String, _ attributes: [String: String] = [:], time: Int64? = nil) {
        self.type = type
        self.action = action
        self.actor = actor
        self.attributes = attributes
        self.time = time ?? wallClockNanoseconds()
    }

    /// The longest record of the log. One with more leaves out all but the attributes that Docker always gives: labels may be many.
    static let longestRecord = 64 << 10

    /// Docker's document, on one line and without its end.
    public func encoded() -> [UInt8] { JSONWriter.document { write(to: &$0) } }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            // Docker's fields from before there were types; of containers and images only.
            if type == "container" || type == "image" {
                w.field("status", action)
                w.fieldIfNotEmpty("id", actor)
            }
            if type == "container" { w.fieldIfNotEmpty("from", attributes["image"] ?? "") }
            w.field("Type", type)
            w.field("Action", action)
            w.object("Actor") { w in
                w.field("ID", actor)
                w.field("Attributes", attributes)
            }
            w.field("scope", "local")
            w.field("time", time / 1_000_000_000)
            w.field("timeNano", time)
        }
    }

    /// What the log holds: the line between two line ends. The first one ends whatever a killed writer has left.
    func record() -> [UInt8] {
        var bytes = encoded()
        if bytes.count > Event.longestRecord {
            var short = self
            short.attributes = attributes.filter { Event.usualAttributes.contains($0.key) && $0.value.utf8.count < 4096 }
            if short.action.utf8.count > 8192 { short.action = String(decoding: Array(action.utf8.prefix(8192)), as: UTF8.self) }
            bytes = short.encoded()
        }
        let end = UInt8(ascii: "\n")
        return [end] + bytes + [end]
    }

    private static let usualAttributes: Set<String> = [
        "container", "driver", "execDuration", "execID", "exitCode", "image", "name", "oldName", "signal", "type",
    ]

    /// Reads a line of the log.
    ///
    /// - Returns: nil for what is none: torn by a kill, or somebody else's.
    public init?(line: [UInt8]) {
        let limits = JSONLimits(depth: 8, size: 1 << 20)
        do throws(JSONError) {
            self = try JSONParser.parse(line, limits: limits) { (parser: inout JSONParser) throws(JSONError) -> Event in
                try Event(json: &parser)
            }
        } catch {
            return nil
        }
        if type.isEmpty || action.isEmpty || time <= 0 { return nil }
    }

    private init(json parser: inout JSONParser) throws(JSONError) {
        self.init("", "", actor: "", time: 0)
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "Type": type = try parser.string()
            case "Action": action = try parser.string()
            case "Actor":
                var inner = try parser.beginObject()
                while let key = try parser.nextKey(&inner) {
                    switch key {
                    case "ID": actor = try parser.string()
                    case "Attributes": attributes = try parser.stringDictionary()
                    default: try parser.skip()
                    }
                }
            case "timeNano": time = try parser.int()
            default: try parser.skip()
            }
        }
    }
}

extension Event {
    /// Of a container: Docker gives its image, its name and all of its labels with each.
    public static func container(
        _ action: String, id: String, name: String, image: String, labels: [String: String] = [:], _ more: [String: String] = [:]
    ) -> Event {
        var attributes = labels
        attributes["image"] = image
        attributes["name"] = name
        attributes.merge(more) { $1 }
        return Event("container", action, actor: id, attributes)
    }

    /// The end of a run.
    ///
    /// - Parameters:
    ///   - exitCode: ``ExitRecord/unknownCode`` when nobody saw it.
    ///   - duration: nanoseconds; nil when nobody knows.
    public static func end(exitCode: Int, duration: Int64?) -> [String: String] {
        var attributes = ["exitCode": "\(exitCode)"]
        if let duration { attributes["execDuration"] = "\(max(0, duration) / 1_000_000_000)" }
        return attributes
    }
}
