/// A command line that was accepted.
///
/// Accessors take the canonical long name. Asking for a flag the command does not declare is a mistake of the
/// program; it stops debug builds and answers the kind's zero otherwise.
public struct ParsedArguments: Sendable {
    /// One flag as it stood on the command line.
    public struct Occurrence: Sendable, Equatable {
        /// Canonical long name.
        public let name: String
        /// The value's text; `true` for a bare switch.
        public let text: String
        /// Position among all flag occurrences, for flags whose order matters together (`-v` and `--mount`).
        public let order: Int
        let value: FlagValue
    }

    /// Command words with the program: `["berth", "container", "ls"]`.
    public let path: [String]
    public let command: Command
    /// Operands in order.
    public let positionals: [String]
    /// Every flag given, in order.
    public let occurrences: [Occurrence]
    /// How many operands stood before `--`, or nil when there was none.
    public let positionalsBeforeDashes: Int?
    /// Advice about deprecated flags; the program prints it on standard error.
    public let warnings: [String]
    let own: [Flag]
    let above: [Flag]
    /// Places of the few flags that have a default, so that asking for one that was not given need not look
    /// through the whole table.
    let defaults: [Flag]

    /// The command as it was spelled: `berth container ls`.
    public var commandLine: String {
        path.joined(separator: " ")
    }

    public func isSet(_ name: String) -> Bool {
        last(name) != nil
    }

    public func bool(_ name: String) -> Bool {
        if case .bool(let value)? = value(name) { return value }
        return false
    }

    /// Nil when neither given nor defaulted.
    public func optionalBool(_ name: String) -> Bool? {
        if case .bool(let value)? = value(name) { return value }
        return nil
    }

    /// The last text given, else the default, else nothing.
    public func string(_ name: String) -> String {
        optionalString(name) ?? ""
    }

    public func optionalString(_ name: String) -> String? {
        last(name)?.text ?? defaulted(name)?.defaultText
    }

    /// Every value of a repeatable flag, in order.
    public func strings(_ name: String) -> [String] {
        var result: [String] = []
        for occurrence in occurrences where occurrence.name == name {
            Self.append(occurrence.value, text: occurrence.text, to: &result)
        }
        if result.isEmpty, let declared = defaulted(name), let text = declared.defaultText,
            let value = try? declared.kind.read(text)
        {
            Self.append(value, text: text, to: &result)
        }
        return result
    }

    /// Pairs of a `key=value` flag in order; a value is empty where there was no `=`. Later keys do not remove earlier.
    public func pairs(_ name: String) -> [(key: String, value: String)] {
        strings(name).map { Self.pair($0) }
    }

    /// Integers, durations (nanoseconds), sizes (bytes), CPU counts (billionths) and counts.
    ///
    /// Nil when neither given nor defaulted. A `count` adds up, and a value after `=` replaces the sum.
    public func int64(_ name: String) -> Int64? {
        var result: Int64?
        for occurrence in occurrences where occurrence.name == name {
            switch occurrence.value {
            case .step: result = (result ?? 0) &+ 1
            case .integer(let value): result = value
            case .unsigned(let value): result = Int64(clamping: value)
            default: break
            }
        }
        if let result { return result }
        switch value(name) {
        case .integer(let value): return value
        case .unsigned(let value): return Int64(clamping: value)
        default: return nil
        }
    }

    public func int(_ name: String) -> Int? {
        int64(name).map { Int($0) }
    }

    public func uint64(_ name: String) -> UInt64? {
        switch value(name) {
        case .unsigned(let value): return value
        case .integer(let value): return UInt64(exactly: value)
        default: return nil
        }
    }

    public func double(_ name: String) -> Double? {
        if case .double(let value)? = value(name) { return value }
        return nil
    }

    /// All occurrences of several flags in the order they were given.
    public func occurrences(of names: String...) -> [Occurrence] {
        occurrences.filter { names.contains($0.name) }
    }

    /// A refusal in the layout of Docker's client, for mistakes found after parsing:
    /// `berth: SENTENCE`, then where to read more. Goes with exit status 125.
    public func complaint(_ sentence: String) -> String {
        "\(path.first ?? ""): \(sentence)\n\nRun '\(commandLine) --help' for more information\n"
    }

    /// Splits `key=value` at the first `=`.
    public static func pair(_ text: String) -> (key: String, value: String) {
        guard let mark = text.utf8.firstIndex(of: UInt8(ascii: "=")) else { return (text, "") }
        return (String(text[..<mark]), String(text[text.utf8.index(after: mark)...]))
    }

    private static func append(_ value: FlagValue, text: String, to result: inout [String]) {
        if case .texts(let texts) = value {
            result += texts
        } else {
            result.append(text)
        }
    }

    private func value(_ name: String) -> FlagValue? {
        if let occurrence = last(name) { return occurrence.value }
        guard let declared = defaulted(name), let text = declared.defaultText else { return nil }
        return try? declared.kind.read(text)
    }

    private func last(_ name: String) -> Occurrence? {
        assert(
            own.place { $0.name == name } ?? above.place { $0.name == name } != nil,
            "the table of \(commandLine) has no flag \(name)")
        var index = occurrences.count
        while index > 0 {
            index -= 1
            if occurrences[index].name == name { return occurrences[index] }
        }
        return nil
    }

    private func defaulted(_ name: String) -> Flag? {
        defaults.place { $0.name == name }.map { defaults[$0] }
    }
}
