extension Flag {
    /// A switch. `initially: true` is shown as its default and turned off by `--name=false`.
    public static func bool(
        _ name: String, _ short: Unicode.Scalar? = nil, _ summary: String, initially: Bool = false,
        aliases: [String] = [], hidden: Bool = false, persistent: Bool = false, deprecated: String? = nil
    ) -> Flag {
        Flag(
            name, short, .bool, summary, default: initially ? "true" : nil, aliases: aliases, hidden: hidden,
            persistent: persistent, deprecated: deprecated)
    }

    /// A switch that counts how often it is given.
    public static func count(_ name: String, _ short: Unicode.Scalar? = nil, _ summary: String) -> Flag {
        Flag(name, short, .count, summary)
    }

    /// One text. `bare` is the value taken when the flag stands without `=value`.
    public static func string(
        _ name: String, _ short: Unicode.Scalar? = nil, _ summary: String, value: String? = nil,
        default text: String? = nil, bare: String? = nil, aliases: [String] = [], hidden: Bool = false,
        persistent: Bool = false, deprecated: String? = nil, completion: CompletionHint = .nothing,
        check: Check? = nil
    ) -> Flag {
        Flag(
            name, short, .string, summary, valueName: value, default: text, bare: bare, aliases: aliases,
            hidden: hidden, persistent: persistent, deprecated: deprecated, completion: completion, check: check)
    }

    /// A repeatable text.
    public static func list(
        _ name: String, _ short: Unicode.Scalar? = nil, _ summary: String, value: String? = nil,
        aliases: [String] = [], hidden: Bool = false, persistent: Bool = false,
        completion: CompletionHint = .nothing, check: Check? = nil
    ) -> Flag {
        Flag(
            name, short, .list, summary, valueName: value, aliases: aliases, hidden: hidden, persistent: persistent,
            completion: completion, check: check)
    }

    /// A flag of any other kind.
    public static func value(
        _ name: String, _ short: Unicode.Scalar? = nil, _ kind: Kind, _ summary: String, value: String? = nil,
        default text: String? = nil, bare: String? = nil, aliases: [String] = [], hidden: Bool = false,
        persistent: Bool = false, deprecated: String? = nil, completion: CompletionHint = .nothing,
        check: Check? = nil
    ) -> Flag {
        Flag(
            name, short, kind, summary, valueName: value, default: text, bare: bare, aliases: aliases,
            hidden: hidden, persistent: persistent, deprecated: deprecated, completion: completion, check: check)
    }

    /// A flag that other engines have: read with the right arity, then refused by name.
    /// - Parameter takesValue: false for a switch.
    public static func unsupported(
        _ name: String, _ short: Unicode.Scalar? = nil, takesValue: Bool = true
    ) -> Flag {
        Flag(name, short, takesValue ? .string : .bool, "", hidden: true, refused: true)
    }

    /// Many of them at once: names separated by blanks, a shorthand after a slash (`publish/p`).
    public static func unsupported(values: String = "", switches: String = "") -> [Flag] {
        unsupportedFlags(values, takesValue: true) + unsupportedFlags(switches, takesValue: false)
    }

    private static func unsupportedFlags(_ names: String, takesValue: Bool) -> [Flag] {
        names.utf8.split(whereSeparator: { $0 == 0x20 || $0 == 0x0A }).map { word in
            let parts = word.split(separator: UInt8(ascii: "/"))
            let short = parts.count > 1 ? parts[1].first.map { Unicode.Scalar($0) } : nil
            let name = parts.first.map { String(decoding: $0, as: UTF8.self) } ?? ""
            return .unsupported(name, short, takesValue: takesValue)
        }
    }
}
