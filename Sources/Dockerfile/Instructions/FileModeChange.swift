/// What `--chmod` says: an octal mode, or changes as chmod(1) has them.
///
/// Spec: Dockerfile reference, "COPY --chmod"; POSIX.1-2024 `chmod`, "Extended description".
public enum FileModeChange: Sendable, Hashable {
    /// 0 to 07777.
    case absolute(UInt16)
    case symbolic([Clause])

    /// `ug+rwX`.
    public struct Clause: Sendable, Hashable {
        public struct Action: Sendable, Hashable {
            public enum Operator: Sendable, Hashable { case add, remove, set }

            public var kind: Operator
            /// Of r, w, x as in the last octal digit.
            public var bits: UInt16 = 0
            /// `X`: execution for directories and for what somebody may execute already.
            public var executesIfSensible = false
            public var setsID = false
            public var sticky = false
            /// `u`, `g` or `o`: what that one has.
            public var copies: UInt8?
        }

        /// u, g, o as 4, 2, 1. All three where none is named.
        public var who: UInt8
        public var actions: [Action]
    }

    /// - Parameter word: nil for no change.
    /// - Throws: with BuildKit's sentence.
    static func read(_ word: Word?) throws(InstructionFailure) -> FileModeChange? {
        guard let word else { return nil }
        if let change = FileModeChange(word.text) { return change }
        throw InstructionFailure(
            "invalid chmod parameter: '\(word.text)'. it should be octal string and between 0 and 07777", word.range)
    }

    /// nil for what is neither.
    public init?(_ text: String) {
        guard let first = text.utf8.first else { return nil }
        if Byte.isDigit(first) {
            guard let mode = UInt16(text, radix: 8), mode <= 0o7777 else { return nil }
            self = .absolute(mode)
            return
        }
        var clauses: [Clause] = []
        for part in text.fields(UInt8(ascii: ",")) {
            guard let clause = Self.clause(part) else { return nil }
            clauses.append(clause)
        }
        self = .symbolic(clauses)
    }

    private static func clause(_ text: String) -> Clause? {
        var bytes = text.utf8[...]
        var who: UInt8 = 0
        while let byte = bytes.first, let bits = whose(byte) {
            who |= bits
            bytes = bytes.dropFirst()
        }
        var clause = Clause(who: who == 0 ? 7 : who, actions: [])
        while let byte = bytes.first {
            let kind: Clause.Action.Operator
            switch byte {
            case UInt8(ascii: "+"): kind = .add
            case UInt8(ascii: "-"): kind = .remove
            case UInt8(ascii: "="): kind = .set
            default: return nil
            }
            bytes = bytes.dropFirst()
            var action = Clause.Action(kind: kind)
            while let letter = bytes.first, take(letter, &action) { bytes = bytes.dropFirst() }
            clause.actions.append(action)
        }
        return clause.actions.isEmpty ? nil : clause
    }

    private static func whose(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "u"): 4
        case UInt8(ascii: "g"): 2
        case UInt8(ascii: "o"): 1
        case UInt8(ascii: "a"): 7
        default: nil
        }
    }

    private static func take(_ letter: UInt8, _ action: inout Clause.Action) -> Bool {
        switch letter {
        case UInt8(ascii: "r"): action.bits |= 4
        case UInt8(ascii: "w"): action.bits |= 2
        case UInt8(ascii: "x"): action.bits |= 1
        case UInt8(ascii: "X"): action.executesIfSensible = true
        case UInt8(ascii: "s"): action.setsID = true
        case UInt8(ascii: "t"): action.sticky = true
        case UInt8(ascii: "u"), UInt8(ascii: "g"), UInt8(ascii: "o"):
            guard action.copies == nil else { return false }
            action.copies = whose(letter)
        default: return false
        }
        return true
    }

    /// The mode of a file after the change.
    /// - Parameter mode: the twelve permission bits before it.
    public func applied(to mode: UInt16, isDirectory: Bool) -> UInt16 {
        switch self {
        case .absolute(let mode): return mode
        case .symbolic(let clauses):
            var mode = mode & 0o7777
            for clause in clauses {
                for action in clause.actions { mode = Self.apply(action, clause.who, to: mode, isDirectory) }
            }
            return mode
        }
    }

    private static func apply(_ action: Clause.Action, _ who: UInt8, to mode: UInt16, _ isDirectory: Bool) -> UInt16 {
        var bits = action.bits
        if let copied = action.copies { bits |= (mode >> (copied == 4 ? 6 : copied == 2 ? 3 : 0)) & 7 }
        if action.executesIfSensible, isDirectory || mode & 0o111 != 0 { bits |= 1 }
        var (change, all): (UInt16, UInt16) = (0, 0)
        for (flag, shift) in [(UInt8(4), UInt16(6)), (2, 3), (1, 0)] where who & flag != 0 {
            change |= bits << shift
            all |= 7 << shift
        }
        if action.setsID { change |= (who & 4 != 0 ? 0o4000 : 0) | (who & 2 != 0 ? 0o2000 : 0) }
        if action.sticky, who == 7 { change |= 0o1000 }
        switch action.kind {
        case .add: return mode | change
        case .remove: return mode & ~change
        // As GNU chmod: a directory keeps its set-id bits unless they are named.
        case .set:
            if !isDirectory { all |= (who & 4 != 0 ? 0o4000 : 0) | (who & 2 != 0 ? 0o2000 : 0) }
            if who == 7 { all |= 0o1000 }
            return (mode & ~all) | change
        }
    }
}

/// `--chown` and USER: `user`, `user:group`, names or numbers. Names are looked up in the image.
public struct OwnerText: Sendable, Hashable {
    public var user: String
    /// nil: not said, which is the user's, or that of root.
    public var group: String?

    public init(_ text: String) {
        if let (user, group) = text.cut(UInt8(ascii: ":")) {
            self.user = user
            self.group = group
        } else {
            user = text
        }
    }

    /// A number; nil for names.
    public static func number(_ text: String) -> UInt32? {
        !text.isEmpty && text.utf8.allSatisfy(Byte.isDigit) ? UInt32(text) : nil
    }
}
