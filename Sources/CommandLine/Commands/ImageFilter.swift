import Engine
import Linux

/// `--filter` of `images`, with the keys of docker and podman: several of `reference` or `id` are alternatives, all others
/// have to hold together.
struct ImageFilter {
    private var values: [(key: String, value: String)] = []
    private var references: [String] = []
    private var ids: [String] = []

    init(_ pairs: [(key: String, value: String)]) throws(CommandError) {
        for (key, value) in pairs {
            switch key {
            case "reference":
                references.append(value)
                continue
            case "id":
                ids.append(value)
                continue
            case "dangling", "intermediate", "manifest", "readonly", "containers":
                guard ["true", "false", "1", "0"].contains(value) else { throw .invalid("invalid filter '\(key)=\(value)'") }
            case "until":
                guard Self.time(value) != nil else {
                    throw .invalid("invalid filter 'until=\(value)': neither a time (2026-01-02T03:04:05Z) nor a duration (10m)")
                }
            case "label", "before", "since", "after", "digest": break
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
        if !ids.isEmpty {
            let ids = self.ids.map { $0.hasPrefix("sha256:") ? $0 : "sha256:" + $0 }
            tests.append { row in ids.contains { row.id.hasPrefix($0) } }
        }
        for (key, value) in values {
            let wanted = value == "true" || value == "1"
            switch key {
            case "dangling": tests.append { $0.isDangling == wanted }
            // No image here is a step of another, a list of images, or in a store that cannot be written.
            case "intermediate", "manifest", "readonly": tests.append { _ in !wanted }
            case "containers":
                let ids = try engine.imagesInUse()
                tests.append { ids.contains($0.id) == wanted }
            case "digest":
                let ids = try engine.images(withDigest: value)
                tests.append { ids.contains($0.id) }
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
