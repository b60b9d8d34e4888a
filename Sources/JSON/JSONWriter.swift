/// Writes JSON text the way Go's encoding/json does with HTML escaping off.
///
/// Keys are written in the order of the calls; dictionaries sorted by their UTF-8 bytes.
///
/// ```swift
/// var writer = JSONWriter(indent: "  ")
/// writer.object { w in
///     w.field("name", name)
///     w.fieldIfNotEmpty("args", args)
///     w.arrayIfNotEmpty("mounts", mounts) { w, mount in mount.write(to: &w) }
/// }
/// ```
public struct JSONWriter {
    /// What was written so far.
    public private(set) var bytes: [UInt8] = []
    /// One level of indentation; nil for the compact form.
    private let indent: [UInt8]?
    private var depth = 0
    /// Whether the open object or array has nothing in it yet.
    private var isEmpty = true
    /// Whether a key was just written, so that its value needs no separator.
    private var afterKey = false

    /// - Parameter indent: one level of indentation, as in Go's MarshalIndent; nil for the compact form.
    public init(indent: StaticString? = nil, capacity: Int = 1024) {
        if let indent {
            self.indent = indent.withUTF8Buffer { [UInt8]($0) }
        } else {
            self.indent = nil
        }
        bytes.reserveCapacity(capacity)
    }

    /// Writes a document with one call.
    public static func document(indent: StaticString? = nil, _ body: (inout JSONWriter) -> Void) -> [UInt8] {
        var writer = JSONWriter(indent: indent)
        body(&writer)
        return writer.bytes
    }

    // MARK: Structure

    /// Writes an object whose members `body` writes.
    public mutating func object(_ body: (inout JSONWriter) -> Void) {
        begin(UInt8(ascii: "{"))
        body(&self)
        end(UInt8(ascii: "}"))
    }

    /// Writes an array whose elements `body` writes.
    public mutating func array(_ body: (inout JSONWriter) -> Void) {
        begin(UInt8(ascii: "["))
        body(&self)
        end(UInt8(ascii: "]"))
    }

    /// Writes an array with one call of `body` for each element.
    @inlinable
    public mutating func array<T>(_ elements: [T], _ body: (inout JSONWriter, T) -> Void) {
        array { writer in
            for element in elements { body(&writer, element) }
        }
    }

    /// Writes a key; its value must be written next.
    public mutating func key(_ name: StaticString) {
        separate()
        name.withUTF8Buffer { appendQuoted($0) }
        finishKey()
    }

    /// Writes a key that is data; its value must be written next.
    public mutating func key(_ name: String) {
        separate()
        appendQuoted(name)
        finishKey()
    }

    /// A new line with the indentation of an open value; nothing in the compact form.
    private mutating func breakLine() {
        guard let indent else { return }
        bytes.append(UInt8(ascii: "\n"))
        for _ in 0..<depth { bytes.append(contentsOf: indent) }
    }

    /// What must stand before a key, or before an element of an array.
    private mutating func separate() {
        if afterKey {
            afterKey = false
            return
        }
        guard depth > 0 else { return }
        if !isEmpty { bytes.append(UInt8(ascii: ",")) }
        isEmpty = false
        breakLine()
    }

    private mutating func finishKey() {
        bytes.append(UInt8(ascii: ":"))
        if indent != nil { bytes.append(UInt8(ascii: " ")) }
        afterKey = true
    }

    private mutating func begin(_ bracket: UInt8) {
        separate()
        bytes.append(bracket)
        depth += 1
        isEmpty = true
    }

    private mutating func end(_ bracket: UInt8) {
        depth -= 1
        if !isEmpty { breakLine() }
        bytes.append(bracket)
        isEmpty = false
    }

    // MARK: Values

    public mutating func null() {
        separate()
        append("null")
    }

    public mutating func value(_ value: Bool) {
        separate()
        append(value ? "true" : "false")
    }

    public mutating func value(_ value: String) {
        separate()
        appendQuoted(value)
    }

    @inlinable
    public mutating func value<T: FixedWidthInteger>(_ value: T) {
        if T.isSigned {
            signed(Int64(truncatingIfNeeded: value))
        } else {
            unsigned(UInt64(truncatingIfNeeded: value))
        }
    }

    /// Writes the shortest number that reads back as the same; JSON has no infinity and no NaN, they become `null`.
    public mutating func value(_ value: Double) {
        separate()
        guard value.isFinite else { return append("null") }
        bytes.append(contentsOf: JSONWriter.text(of: value))
    }

    public mutating func value(_ value: [String]) {
        array(value) { writer, element in writer.value(element) }
    }

    /// Writes an object with its keys sorted by their UTF-8 bytes.
    public mutating func value(_ value: [String: String]) {
        let members = value.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
        object { writer in
            for member in members {
                writer.key(member.key)
                writer.value(member.value)
            }
        }
    }

    public mutating func value(_ value: JSONValue) {
        switch value {
        case .null: null()
        case .bool(let value): self.value(value)
        case .int(let value): self.value(value)
        case .uint(let value): self.value(value)
        case .double(let value): self.value(value)
        case .string(let value): self.value(value)
        case .array(let elements): array(elements) { writer, element in writer.value(element) }
        case .object(let members):
            object { writer in
                for member in members {
                    writer.key(member.key)
                    writer.value(member.value)
                }
            }
        }
    }

    /// Writes a value that is JSON text already, unchanged: the caller vouches for it.
    public mutating func raw(_ text: [UInt8]) {
        separate()
        bytes.append(contentsOf: text)
    }

    @usableFromInline
    mutating func signed(_ value: Int64) {
        separate()
        if value < 0 { bytes.append(UInt8(ascii: "-")) }
        appendDigits(value.magnitude)
    }

    @usableFromInline
    mutating func unsigned(_ value: UInt64) {
        separate()
        appendDigits(value)
    }

    // MARK: Text

    private mutating func append(_ text: StaticString) {
        text.withUTF8Buffer { bytes.append(contentsOf: $0) }
    }

    private mutating func appendDigits(_ value: UInt64) {
        let start = bytes.count
        var rest = value
        repeat {
            bytes.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10))
            rest /= 10
        } while rest > 0
        bytes[start...].reverse()
    }

    private mutating func appendQuoted(_ text: String) {
        var text = text
        // SAFETY: the buffer is read inside of the closure only; so are those of the static strings.
        text.withUTF8 { appendQuoted($0) }
    }

    private mutating func appendQuoted(_ text: UnsafeBufferPointer<UInt8>) {
        bytes.append(UInt8(ascii: "\""))
        var start = 0
        var index = 0
        while index < text.count {
            let byte = text[index]
            // U+2028 and U+2029 end a line in JavaScript; Go escapes them even with HTML escaping off.
            let isLineSeparator =
                byte == 0xE2 && index + 2 < text.count && text[index + 1] == 0x80 && text[index + 2] | 1 == 0xA9
            if byte >= 0x20, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), !isLineSeparator {
                index += 1
                continue
            }
            bytes.append(contentsOf: text[start..<index])
            if isLineSeparator {
                append("\\u202")
                bytes.append(text[index + 2] == 0xA8 ? UInt8(ascii: "8") : UInt8(ascii: "9"))
                index += 3
            } else {
                appendEscape(byte)
                index += 1
            }
            start = index
        }
        bytes.append(contentsOf: text[start...])
        bytes.append(UInt8(ascii: "\""))
    }

    private mutating func appendEscape(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""): append("\\\"")
        case UInt8(ascii: "\\"): append("\\\\")
        case UInt8(ascii: "\n"): append("\\n")
        case UInt8(ascii: "\r"): append("\\r")
        case UInt8(ascii: "\t"): append("\\t")
        case 0x08: append("\\b")
        case 0x0C: append("\\f")
        default:
            append(byte < 0x10 ? "\\u000" : "\\u001")
            let digit = byte & 0x0F
            bytes.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
        }
    }
}
