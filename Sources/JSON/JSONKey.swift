import Glibc

/// The key of an object member, compared with literals without making a `String`.
///
/// Valid only until the closure or function that got the bytes to parse returns: it points into them.
public struct JSONKey {
    @usableFromInline let start: UnsafeRawPointer
    @usableFromInline let count: Int
    /// The unescaped bytes of a key written with escapes; nil for all ordinary keys.
    @usableFromInline let unescaped: [UInt8]?

    @usableFromInline
    init(start: UnsafeRawPointer, count: Int, unescaped: [UInt8]?) {
        self.start = start
        self.count = count
        self.unescaped = unescaped
    }

    /// Whether the key is `literal`, byte for byte: keys are case sensitive.
    @inlinable @inline(__always)
    public static func ~= (literal: StaticString, key: JSONKey) -> Bool {
        literal.utf8CodeUnitCount == key.count && key.hasBytes(of: literal)
    }

    @usableFromInline
    func hasBytes(of literal: StaticString) -> Bool {
        guard let unescaped else {
            // SAFETY: the caller compared the lengths, and `start` has `count` bytes while the parser lives.
            return memcmp(literal.utf8Start, start, count) == 0
        }
        return unescaped.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return true }
            // SAFETY: `count` is `unescaped.count`.
            return memcmp(literal.utf8Start, base, bytes.count) == 0
        }
    }

    /// The key as a string; it was validated when it was read.
    public var string: String {
        guard let unescaped else {
            // SAFETY: `start` has `count` bytes while the parser lives.
            return String(decoding: UnsafeRawBufferPointer(start: start, count: count), as: UTF8.self)
        }
        return String(decoding: unescaped, as: UTF8.self)
    }

    /// FNV-1a over the bytes, to find duplicate keys.
    var hash: UInt64 {
        guard let unescaped else {
            // SAFETY: `start` has `count` bytes while the parser lives.
            return JSONKey.hash(UnsafeRawBufferPointer(start: start, count: count))
        }
        return unescaped.withUnsafeBytes { JSONKey.hash($0) }
    }

    private static func hash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        return hash
    }
}
