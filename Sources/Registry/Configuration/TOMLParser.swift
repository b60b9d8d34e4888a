/// A reader of TOML 1.0 documents, for registries.conf.
///
/// Strict: what TOML forbids (a key twice, a table defined twice, control characters) is an error, because two readers of a security
/// setting must not understand it differently. Floats and dates are kept as text.
/// Spec: toml.io/en/v1.0.0.
struct TOMLParser {
    /// A table while it grows.
    final class Node {
        enum Origin {
            /// By a longer header: `[a.b]` makes `a`, which may still get its own header.
            case implied
            case header
            /// By a dotted key: closed for headers.
            case dotted
            /// `{…}`: closed for everything.
            case inline
        }

        enum Item {
            case value(TOMLValue)
            case table(Node)
            /// `[[name]]`, closed for everything but more of them.
            case tables([Node])
        }

        var members: [String: Item] = [:]
        var origin: Origin

        init(_ origin: Origin) { self.origin = origin }

        var value: TOMLValue {
            .table(
                members.mapValues { item in
                    switch item {
                    case .value(let value): value
                    case .table(let node): node.value
                    case .tables(let nodes): .array(nodes.map(\.value))
                    }
                })
        }
    }

    static let longest = 1 << 20
    private static let deepest = 64

    var bytes: [UInt8]
    var position = 0
    var line = 1
    private var depth = 0

    private init(_ bytes: [UInt8]) {
        self.bytes = bytes
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
    }

    /// Reads a whole document.
    static func parse(_ bytes: [UInt8]) throws(TOMLError) -> [String: TOMLValue] {
        guard bytes.count <= longest else { throw TOMLError(line: 1, cause: "the file is larger than 1 MiB") }
        guard String(validating: bytes, as: UTF8.self) != nil else { throw TOMLError(line: 1, cause: "the file is not UTF-8") }
        var parser = TOMLParser(bytes)
        let root = Node(.header)
        var current = root
        while parser.skipBlankLines() {
            if parser.peek == UInt8(ascii: "[") {
                current = try parser.header(root)
            } else {
                try parser.keyValue(current)
            }
            try parser.endOfLine()
        }
        return root.value.table ?? [:]
    }

    // MARK: Bytes

    var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

    func peek(_ text: StaticString) -> Bool {
        text.withUTF8Buffer { wanted in
            bytes.count - position >= wanted.count && bytes[position..<(position + wanted.count)].elementsEqual(wanted)
        }
    }

    func failure(_ cause: String) -> TOMLError { TOMLError(line: line, cause: cause) }

    mutating func take(_ byte: UInt8) -> Bool {
        guard peek == byte else { return false }
        position += 1
        return true
    }

    mutating func expect(_ byte: UInt8) throws(TOMLError) {
        guard take(byte) else { throw failure("expected \"\(String(decoding: [byte], as: UTF8.self))\"") }
    }

    mutating func skipBlanks() {
        while let byte = peek, byte == 0x20 || byte == 0x09 { position += 1 }
    }

    /// Moves past a line break; false when there is none.
    mutating func takeLineBreak() -> Bool {
        if take(0x0A) {
            line += 1
            return true
        }
        guard peek("\r\n") else { return false }
        position += 2
        line += 1
        return true
    }

    mutating func skipComment() {
        guard peek == UInt8(ascii: "#") else { return }
        while let byte = peek, byte != 0x0A { _ = byte; position += 1 }
    }

    /// Moves to the next line with something on it; false at the end of the document.
    private mutating func skipBlankLines() -> Bool {
        repeat {
            skipBlanks()
            skipComment()
        } while takeLineBreak()
        return peek != nil
    }

    private mutating func endOfLine() throws(TOMLError) {
        skipBlanks()
        skipComment()
        guard peek == nil || takeLineBreak() else { throw failure("unexpected text after the value") }
    }

    // MARK: Tables

    private mutating func header(_ root: Node) throws(TOMLError) -> Node {
        position += 1
        let isArray = take(UInt8(ascii: "["))
        skipBlanks()
        let path = try dottedKey()
        try expect(UInt8(ascii: "]"))
        if isArray { try expect(UInt8(ascii: "]")) }
        var node = root
        for key in path.dropLast() { node = try descend(node, key, .implied) }
        guard let last = path.last else { throw failure("a table without name") }
        let made = Node(.header)
        switch node.members[last] {
        case nil: node.members[last] = isArray ? .tables([made]) : .table(made)
        case .tables(let nodes) where isArray: node.members[last] = .tables(nodes + [made])
        case .table(let known) where !isArray && known.origin == .implied:
            known.origin = .header
            return known
        default: throw failure("\"\(shown(last))\" is defined twice")
        }
        return made
    }

    /// The table below `node` with this name, made when it is not there.
    private func descend(_ node: Node, _ key: String, _ origin: Node.Origin) throws(TOMLError) -> Node {
        switch node.members[key] {
        case nil:
            let made = Node(origin)
            node.members[key] = .table(made)
            return made
        case .table(let known):
            guard known.origin != .inline, origin != .dotted || known.origin == .dotted else { break }
            return known
        case .tables(let nodes):
            if origin == .implied, let last = nodes.last { return last }
        case .value: break
        }
        throw failure("\"\(shown(key))\" is defined twice")
    }

    mutating func keyValue(_ table: Node) throws(TOMLError) {
        let path = try dottedKey()
        try expect(UInt8(ascii: "="))
        skipBlanks()
        var node = table
        for key in path.dropLast() { node = try descend(node, key, .dotted) }
        guard let last = path.last else { throw failure("a value without key") }
        guard node.members[last] == nil else { throw failure("\"\(shown(last))\" is defined twice") }
        node.members[last] = try item()
    }

    private mutating func dottedKey() throws(TOMLError) -> [String] {
        var path = [try simpleKey()]
        skipBlanks()
        while take(UInt8(ascii: ".")) {
            skipBlanks()
            path.append(try simpleKey())
            skipBlanks()
            guard path.count <= TOMLParser.deepest else { throw failure("too many parts in a key") }
        }
        return path
    }

    private mutating func simpleKey() throws(TOMLError) -> String {
        switch peek {
        case UInt8(ascii: "\""): return try basicString()
        case UInt8(ascii: "'"): return try literalString()
        default:
            let start = position
            while let byte = peek, TOMLParser.isBareKey(byte) { position += 1 }
            guard position > start else { throw failure("expected a key") }
            return String(decoding: bytes[start..<position], as: UTF8.self)
        }
    }

    private func shown(_ key: String) -> String { Failures.printable(key, limit: 64) }

    static func isBareKey(_ byte: UInt8) -> Bool {
        let lower = byte | 0x20
        return lower >= UInt8(ascii: "a") && lower <= UInt8(ascii: "z") || byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")
            || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
    }

    // MARK: Values

    private mutating func item() throws(TOMLError) -> Node.Item {
        guard peek == UInt8(ascii: "{") else { return .value(try value()) }
        return .table(try inlineTable())
    }

    mutating func value() throws(TOMLError) -> TOMLValue {
        switch peek {
        case UInt8(ascii: "\""): return .string(peek("\"\"\"") ? try longString() : try basicString())
        case UInt8(ascii: "'"): return .string(peek("'''") ? try longLiteral() : try literalString())
        case UInt8(ascii: "["): return try array()
        case UInt8(ascii: "{"): return try inlineTable().value
        default: return try word()
        }
    }

    private mutating func deeper() throws(TOMLError) {
        depth += 1
        guard depth <= TOMLParser.deepest else { throw failure("values are nested too deeply") }
    }

    private mutating func array() throws(TOMLError) -> TOMLValue {
        try deeper()
        defer { depth -= 1 }
        position += 1
        var elements: [TOMLValue] = []
        while true {
            skipSpaceInArray()
            if take(UInt8(ascii: "]")) { return .array(elements) }
            elements.append(try value())
            skipSpaceInArray()
            if take(UInt8(ascii: "]")) { return .array(elements) }
            try expect(UInt8(ascii: ","))
        }
    }

    private mutating func skipSpaceInArray() {
        repeat {
            skipBlanks()
            skipComment()
        } while takeLineBreak()
    }

    private mutating func inlineTable() throws(TOMLError) -> Node {
        try deeper()
        defer { depth -= 1 }
        position += 1
        let table = Node(.header)
        skipBlanks()
        if !take(UInt8(ascii: "}")) {
            repeat {
                skipBlanks()
                try keyValue(table)
                skipBlanks()
            } while take(UInt8(ascii: ","))
            try expect(UInt8(ascii: "}"))
        }
        table.origin = .inline
        return table
    }
}
