import Engine
import Linux

/// `--filter` of `images`: values of one key are alternatives for `reference`, and all have to hold otherwise.
struct ImageFilter {
    private var values: [(key: String, value: String)] = []
    private var references: [String] = []

    init(_ pairs: [(key: String, value: String)]) throws(CommandError) {
        for (key, value) in pairs {
            switch key {
            case "reference":
                references.append(value)
                continue
            case "dangling":
                guard ["true", "false", "1", "0"].contains(value) else { throw .invalid("invalid filter 'dangling=\(value)'") }
            case "until":
                guard Self.time(value) != nil else {
                    throw .invalid("invalid filter 'until=\(value)': neither a time (2026-01-02T03:04:05Z) nor a duration (10m)")
                }
            case "label", "before", "since": break
            default: throw .invalid("invalid filter '\(key)'")
            }
            values.append((key, value))
        }
    }

    /// The filter with what it needs to know of other images.
    ///
    /// - Throws: when an image that is named is not here.
    func resolved(_ engine: Engine) throws(EngineError) -> (ImageRow) -> Bool {
        var tests: [(ImageRow) -> Bool] = []
        if !references.isEmpty {
            let references = self.references
            tests.append { row in references.contains { row.matches($0) } }
        }
        for (key, value) in values {
            switch key {
            case "dangling":
                let wanted = value == "true" || value == "1"
                tests.append { $0.isDangling == wanted }
            case "label":
                let ids = try engine.images(labelled: value)
                tests.append { ids.contains($0.id) }
            case "until":
                let time = Self.time(value) ?? 0
                tests.append { $0.created < time }
            default:
                let other = try engine.created(value)
                tests.append { key == "before" ? $0.created < other : $0.created > other }
            }
        }
        return { row in tests.allSatisfy { $0(row) } }
    }

    /// Nanoseconds since 1970 of a time, or of as long ago as a duration is.
    private static func time(_ text: String) -> Int64? {
        if let ago = DurationOption.parse(text) { return wallClockNanoseconds().subtractingReportingOverflow(ago).partialValue }
        return Timestamp.parse(text)
    }
}
