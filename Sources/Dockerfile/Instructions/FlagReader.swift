/// The flags of one instruction.
struct FlagReader {
    enum Kind { case bool, string, strings }

    private var values: [String: [Word]] = [:]
    private(set) var names: [String] = []

    /// - Throws: for flags that are not among the allowed, doubled ones, and values of the wrong kind.
    init(_ flags: [Word], _ allowed: [(name: String, kind: Kind)] = []) throws(InstructionFailure) {
        for flag in flags {
            let (written, value) = flag.text.cut(Byte.equals).map { ($0, Optional($1)) } ?? (flag.text, nil)
            let name = String(decoding: written.utf8.dropFirst(2), as: UTF8.self)
            guard let known = allowed.first(where: { $0.name == name }) else {
                let hint = Suggestion.hint(name, allowed.map(\.name))
                throw InstructionFailure("unknown flag: \(written)\(hint)", flag.range)
            }
            if values[name] != nil, known.kind != .strings {
                throw InstructionFailure("duplicate flag specified: \(written)", flag.range)
            }
            switch known.kind {
            case .bool:
                if value?.isEmpty == true { throw InstructionFailure("missing a value on flag: \(written)", flag.range) }
                let text = (value ?? "true").loweredASCII
                guard text == "true" || text == "false" else {
                    throw InstructionFailure("expecting boolean value for flag \(written), not: \(value ?? "")", flag.range)
                }
                values[name] = [flag.with(text)]
            case .string, .strings:
                guard let value else { throw InstructionFailure("missing a value on flag: \(written)", flag.range) }
                values[name, default: []].append(flag.with(value))
            }
            if !names.contains(name) { names.append(name) }
        }
    }

    /// nil where the flag does not stand there.
    func bool(_ name: String) -> Bool? { values[name]?.first.map { $0.text == "true" } }

    func string(_ name: String) -> Word? { values[name]?.first }

    /// nil also for an empty value, which is as if the flag did not stand there.
    func filled(_ name: String) -> Word? { string(name).flatMap { $0.text.isEmpty ? nil : $0 } }

    func strings(_ name: String) -> [Word] { values[name] ?? [] }
}
