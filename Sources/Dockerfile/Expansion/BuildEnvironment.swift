/// Where the expansion of words looks variables up.
public protocol VariableLookup {
    /// - Returns: nil for a variable that is not set; an empty text is set.
    func value(of name: String) -> String?
}

/// Variables in the order in which they were first set.
public struct BuildEnvironment: Sendable, Hashable, VariableLookup {
    /// A variable.
    public struct Entry: Sendable, Hashable {
        public var name: String
        public var value: String

        public init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    public private(set) var entries: [Entry] = []
    private var places: [String: Int] = [:]
    /// Names and values together, in bytes.
    private(set) var size = 0

    public init() {}

    public init(_ entries: [Entry]) {
        for entry in entries { set(entry.name, entry.value) }
    }

    /// - Parameter list: `NAME=VALUE`, as image configs have them; a text without `=` is a name with an empty value.
    public init(list: [String]) {
        for text in list {
            let (name, value) = text.cut(Byte.equals) ?? (text, "")
            set(name, value)
        }
    }

    public func value(of name: String) -> String? { places[name].map { entries[$0].value } }

    public var names: [String] { entries.map(\.name) }

    /// `NAME=VALUE`.
    public var list: [String] { entries.map { $0.name + "=" + $0.value } }

    public var isEmpty: Bool { entries.isEmpty }

    /// Sets a variable. One that was set keeps its place.
    public mutating func set(_ name: String, _ value: String) {
        size += value.utf8.count
        if let place = places[name] {
            size -= entries[place].value.utf8.count
            entries[place].value = value
        } else {
            size += name.utf8.count
            places[name] = entries.count
            entries.append(Entry(name, value))
        }
    }

    public mutating func remove(_ name: String) {
        guard let place = places[name] else { return }
        let removed = entries.remove(at: place)
        size -= removed.name.utf8.count + removed.value.utf8.count
        places = [:]
        for (index, entry) in entries.enumerated() { places[entry.name] = index }
    }
}
