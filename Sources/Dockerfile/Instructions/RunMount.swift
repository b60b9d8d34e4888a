import Flags

/// `--mount` of RUN as it is written. What it means is known when its variables are: `RunMount`.
public struct MountFlag: Sendable, Hashable {
    public var word: Word
    /// The fields between its commas.
    var fields: [String]
    /// The stage, context or image it takes its source from; has no variables. Empty: the build context.
    public var from: String

    init(_ word: Word) throws(InstructionFailure) {
        guard let fields = CommaSeparated.parse(word.text), !fields.isEmpty else {
            throw InstructionFailure("failed to parse csv mounts: \(Quoted.short(word.text))", word.range)
        }
        self.word = word
        self.fields = fields
        from = ""
        for field in fields {
            guard let (key, value) = field.cut(Byte.equals), key.loweredASCII == "from" else { continue }
            if let dollar = value.utf8.firstIndex(of: Byte.dollar), value.utf8.index(after: dollar) != value.utf8.endIndex {
                throw InstructionFailure(
                    "'from' doesn't support variable expansion, define alias stage instead", word.range)
            }
            from = value
        }
    }
}

/// A mount that is there while a RUN instruction runs.
///
/// Spec: Dockerfile reference, "RUN --mount".
public struct RunMount: Sendable, Hashable {
    public enum Kind: String, Sendable, Hashable, CaseIterable { case bind, cache, tmpfs, secret, ssh }
    public enum Sharing: String, Sendable, Hashable, CaseIterable { case shared, `private`, locked }
    /// Buildah's: which SELinux label the source gets.
    public enum Relabel: String, Sendable, Hashable, CaseIterable { case shared, `private` }

    public var kind: Kind = .bind
    public var from = ""
    public var source = ""
    public var target = ""
    public var isReadOnly = false
    /// Of a tmpfs, in bytes; 0: no limit.
    public var size: Int64 = 0
    public var id = ""
    /// nil: not said, which is `shared`.
    public var sharing: Sharing?
    public var isRequired = false
    /// The variable that holds a secret; nil: it is a file.
    public var variable: String?
    public var mode: UInt32?
    public var uid: UInt32?
    public var gid: UInt32?
    /// Buildah's `z`, `Z` and `relabel`; nil: not said. Without SELinux there is nothing to do.
    public var relabel: Relabel?
    /// Buildah's `U` and `chown`: whether the source shall belong to the user of the instruction.
    public var changesOwner = false

    static let keys = [
        "type", "from", "source", "target", "readonly", "id", "sharing", "required", "size", "mode", "uid", "gid", "src", "dst",
        "destination", "ro", "rw", "readwrite", "env",
    ]

    /// - Parameter expand: replaces the variables in a value.
    init(_ flag: MountFlag, _ scope: inout WordScope) throws(InstructionFailure) {
        var isReadOnlySaid = false
        for field in flag.fields {
            guard let (written, raw) = field.cut(Byte.equals) else {
                if !setBuildahs(field, nil) { try setSwitch(field.loweredASCII, field, &isReadOnlySaid, flag.word) }
                continue
            }
            let value = try scope.expand(flag.word.with(raw)).text
            if !setBuildahs(written, value) { try set(written.loweredASCII, value, field, &isReadOnlySaid, flag.word) }
        }
        if !isReadOnlySaid { isReadOnly = kind != .cache && kind != .tmpfs }
        try check(flag.word)
    }

    /// A field without a value.
    private mutating func setSwitch(_ key: String, _ field: String, _ said: inout Bool, _ word: Word) throws(InstructionFailure) {
        switch key {
        case "readonly", "ro": (isReadOnly, said) = (true, true)
        case "readwrite", "rw": (isReadOnly, said) = (false, true)
        case "required":
            guard kind == .secret || kind == .ssh else { throw unexpected(key, word) }
            isRequired = true
        default: throw InstructionFailure("invalid field '\(field)' must be a key=value pair", word.range)
        }
    }

    /// What only buildah has. Its letters have a case.
    /// - Returns: false where it is none of these.
    private mutating func setBuildahs(_ key: String, _ value: String?) -> Bool {
        switch (key, value) {
        case ("z", nil): relabel = .shared
        case ("Z", nil): relabel = .private
        case ("relabel", let value?):
            guard let known = Relabel(rawValue: value) else { return false }
            relabel = known
        case ("U", let value), ("chown", let value):
            guard let said = value.map(GoBool.value) ?? true else { return false }
            changesOwner = said
        default: return false
        }
        return true
    }

    private func unexpected(_ key: String, _ word: Word) -> InstructionFailure {
        InstructionFailure("unexpected key '\(key)' for mount type '\(kind.rawValue)'", word.range)
    }

    private mutating func set(
        _ key: String, _ value: String, _ field: String, _ said: inout Bool, _ word: Word
    ) throws(InstructionFailure) {
        switch key {
        case "type": kind = try choice(value, "unsupported mount type", word)
        case "from": from = value
        case "source", "src": source = value
        case "target", "dst", "destination": target = value
        case "readonly", "ro": (isReadOnly, said) = (try GoBool.read(value, key, word), true)
        case "readwrite", "rw": (isReadOnly, said) = (!(try GoBool.read(value, key, word)), true)
        case "required":
            guard kind == .secret || kind == .ssh else { throw unexpected(key, word) }
            isRequired = try GoBool.read(value, key, word)
        case "size":
            guard kind == .tmpfs else { throw unexpected(key, word) }
            guard let bytes = ByteSize.parse(value) else { throw InstructionFailure("invalid value for \(key): \(value)", word.range) }
            size = bytes
        case "id": id = value
        case "sharing": sharing = try choice(value, "unsupported sharing value", word) as Sharing
        case "mode": mode = try number(value, 8, key, word)
        case "uid": uid = try number(value, 10, key, word)
        case "gid": gid = try number(value, 10, key, word)
        case "env": variable = value
        default:
            let hint = Suggestion.hint(key, Self.keys)
            throw InstructionFailure("unexpected key '\(key)' in '\(field)'\(hint)", word.range)
        }
    }

    private func choice<T: RawRepresentable<String> & CaseIterable>(
        _ value: String, _ sentence: String, _ word: Word
    ) throws(InstructionFailure) -> T {
        guard let found = T(rawValue: value.loweredASCII) else {
            let hint = Suggestion.hint(value, T.allCases.map(\.rawValue))
            throw InstructionFailure("\(sentence) \(Quoted.short(value))\(hint)", word.range)
        }
        return found
    }

    private func number(_ value: String, _ radix: Int, _ key: String, _ word: Word) throws(InstructionFailure) -> UInt32 {
        guard let first = value.utf8.first, Byte.isDigit(first), let number = UInt32(value, radix: radix) else {
            throw InstructionFailure("invalid value \(value) for \(key)", word.range)
        }
        return number
    }

    /// What does not go together.
    private func check(_ word: Word) throws(InstructionFailure) {
        func fail(_ message: String) -> InstructionFailure { InstructionFailure(message, word.range) }
        if kind == .bind || kind == .tmpfs {
            for (name, value) in [("mode", mode), ("uid", uid), ("gid", gid)] where value != nil {
                throw fail("\(name) not allowed for \"\(kind.rawValue)\" type mounts")
            }
        }
        if kind == .secret {
            if !from.isEmpty { throw fail("secret mount should not have a from") }
            if sharing != nil { throw fail("secret mount should not define sharing") }
            if source.isEmpty, target.isEmpty, id.isEmpty { throw fail("invalid secret mount. one of source, target required") }
            if !source.isEmpty, !id.isEmpty { throw fail("both source and id can't be set") }
        }
        if kind == .ssh, !source.isEmpty { throw fail("ssh does not support source") }
        if sharing != nil, kind != .cache { throw fail("invalid cache sharing set for \(kind.rawValue) mount") }
    }

    // MARK: What follows from what was not said

    /// The name of the secret that is wanted.
    public var secretID: String {
        if !source.isEmpty { return source }
        return id.isEmpty ? PathText.base(target) : id
    }

    /// Where the secret's file appears; nil where it is only in a variable.
    public var secretTarget: String? {
        if !target.isEmpty { return target }
        return variable == nil ? "/run/secrets/" + PathText.base(secretID) : nil
    }

    /// `default` where no agent is named.
    public var sshID: String { id.isEmpty ? "default" : id }

    /// The mode of a secret's file, an agent's socket or a new cache's directory; that of others is not changed.
    public var effectiveMode: UInt32? {
        switch kind {
        case .secret: mode ?? 0o400
        case .ssh: mode ?? 0o600
        case .cache: mode ?? 0o755
        case .bind, .tmpfs: nil
        }
    }

    /// What tells caches apart.
    public var cacheID: String { id.isEmpty ? PathText.clean(target) : id }
}

extension DeviceRequest {
    init(_ word: Word) throws(InstructionFailure) {
        guard let fields = CommaSeparated.parse(word.text) else {
            throw InstructionFailure("failed to parse csv devices: \(Quoted.short(word.text))", word.range)
        }
        self.init(name: "", isRequired: false)
        for field in fields {
            guard let (written, value) = field.cut(Byte.equals) else {
                if field.loweredASCII == "required" {
                    isRequired = true
                } else if name.isEmpty {
                    name = field
                } else {
                    throw InstructionFailure("invalid field '\(field)' must be a key=value pair", word.range)
                }
                continue
            }
            switch written.loweredASCII {
            case "name":
                if !name.isEmpty { throw InstructionFailure("device name already set to \(name)", word.range) }
                name = value
            case "required": isRequired = try GoBool.read(value, "required", word)
            case let key:
                // A CDI name has `=` in it.
                guard name.isEmpty else {
                    let hint = Suggestion.hint(key, ["name", "required"])
                    throw InstructionFailure("unexpected key '\(key)' in '\(field)'\(hint)", word.range)
                }
                name = field
            }
        }
    }
}

/// Go's `strconv.ParseBool`.
enum GoBool {
    static func value(_ text: String) -> Bool? {
        switch text {
        case "1", "t", "T", "true", "TRUE", "True": true
        case "0", "f", "F", "false", "FALSE", "False": false
        default: nil
        }
    }

    static func read(_ text: String, _ key: String, _ word: Word) throws(InstructionFailure) -> Bool {
        guard let value = value(text) else { throw InstructionFailure("invalid value for \(key): \(text)", word.range) }
        return value
    }
}
