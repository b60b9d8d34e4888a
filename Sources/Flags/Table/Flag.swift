/// One flag of a command.
///
/// Built by the factories in `Flag+Declarations.swift`, so that a table reads as a table.
public struct Flag: Sendable {
    /// How the text after a flag is read, and what help calls it.
    public enum Kind: Sendable, Equatable {
        /// `--rm`, `--rm=false`.
        case bool
        /// Each occurrence adds one: `-vvv`.
        case count
        case string
        /// Signed 64 bit; Go's prefixes `0x`, `0o`, `0b` are read.
        case int
        case uint
        case uint16
        case float
        /// Go's syntax (`1h30m`), kept as nanoseconds.
        case duration
        /// `512m`, `1.5GiB`, kept as bytes; negative sizes are refused.
        case bytes
        /// As `bytes`, and `-1` for no limit.
        case signedBytes
        /// `1.5`, kept as billionths.
        case nanoCPUs
        /// Repeatable, one value each time.
        case list
        /// Repeatable, each value is a line of comma separated values.
        case stringSlice
        /// Repeatable `key=value`.
        case map
    }

    /// Says what is wrong with a value, or nil; runs after the kind's own reading.
    public typealias Check = @Sendable (String) -> String?

    /// Without the dashes.
    public var name: String
    /// Other long spellings, accepted and never shown (`net` for `network`).
    public var aliases: [String]
    public var short: Unicode.Scalar?
    public var kind: Kind
    /// What help calls the value; nil takes the kind's own word.
    public var valueName: String?
    /// Text parsed when the flag is not given; nil is the kind's zero.
    public var defaultText: String?
    /// Value taken when the flag stands alone, without `=value`; bool and count have one by nature.
    public var valueWhenBare: String?
    /// What the flag does: own words, no full stop. May hold newlines.
    public var summary: String
    public var hidden: Bool
    /// Accepted below the command that declares it as well.
    public var persistent: Bool
    /// Set for a flag that still works but should not be used: the advice to print.
    public var deprecated: String?
    /// Known to exist elsewhere and refused here by name.
    public var refused: Bool
    public var completion: CompletionHint
    public var check: Check?

    init(
        _ name: String, _ short: Unicode.Scalar?, _ kind: Kind, _ summary: String, valueName: String? = nil,
        default defaultText: String? = nil, bare: String? = nil, aliases: [String] = [], hidden: Bool = false,
        persistent: Bool = false, deprecated: String? = nil, refused: Bool = false,
        completion: CompletionHint = .nothing, check: Check? = nil
    ) {
        self.name = name
        self.aliases = aliases
        self.short = short
        self.kind = kind
        self.valueName = valueName
        self.defaultText = defaultText
        self.valueWhenBare = bare
        self.summary = summary
        self.hidden = hidden
        self.persistent = persistent
        self.deprecated = deprecated
        self.refused = refused
        self.completion = completion
        self.check = check
    }

    /// True when the next argument is this flag's value.
    var wantsArgument: Bool {
        bareText == nil
    }

    /// The text taken when no `=value` follows, or nil when an argument is needed.
    var bareText: String? {
        switch kind {
        case .bool: return "true"
        case .count: return "+1"
        default: return valueWhenBare
        }
    }

    /// As error sentences name it: `-m, --memory`.
    var title: String {
        guard let short else { return "--" + name }
        return "-\(short), --\(name)"
    }

    func answers(to long: String) -> Bool {
        name == long || (!aliases.isEmpty && aliases.contains(long))
    }
}

extension [Flag] {
    /// The first index that matches.
    ///
    /// `firstIndex(where:)` copies every element it looks at, and a flag holds a dozen counted references: with
    /// seventy flags that copying was nine tenths of the time it takes to read a command line.
    func place(where matches: (borrowing Flag) -> Bool) -> Int? {
        var index = 0
        while index < count {
            if matches(self[index]) { return index }
            index += 1
        }
        return nil
    }
}
