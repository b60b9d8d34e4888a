import Archive

/// The digest of what a step depends on. Every part is told apart from its neighbours by its length.
struct CacheKey {
    private var hash = SHA256()

    /// - Parameter kind: of the step; the version of what it means is part of it.
    init(_ kind: String) { add("berth 1 " + kind) }

    mutating func add(_ text: String) {
        hash.update(Array("\(text.utf8.count):".utf8))
        hash.update(Array(text.utf8))
    }

    mutating func add(_ name: String, _ values: [String]) {
        add("\(name) \(values.count)")
        for value in values { add(value) }
    }

    /// Hexadecimal. Nothing may be added afterwards.
    mutating func finish() -> String { hash.finishHex() }
}
