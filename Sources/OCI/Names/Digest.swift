/// The name of a piece of content by its hash: `sha256:` and 64 lower-case hexadecimal digits.
///
/// Nothing is hashed here; whoever hashed passes the raw bytes.
/// Spec: OCI image-spec 1.1 descriptor.md "Digests".
public struct Digest: Sendable, Hashable, Comparable, CustomStringConvertible {
    public enum Algorithm: String, Sendable, Hashable, CaseIterable {
        case sha256
        case sha512

        /// The length of the hash in bytes.
        public var byteCount: Int {
            switch self {
            case .sha256: 32
            case .sha512: 64
            }
        }
    }

    public let algorithm: Algorithm
    /// Lower-case hexadecimal digits, as many as the algorithm has; safe as a file name.
    public let hex: String

    private init(algorithm: Algorithm, checkedHex: String) {
        self.algorithm = algorithm
        hex = checkedHex
    }

    /// The digest made of a finished hash; nil when `bytes` has not the length of the algorithm's hash.
    public init?(algorithm: Algorithm = .sha256, bytes: some Collection<UInt8>) {
        guard bytes.count == algorithm.byteCount else { return nil }
        var digits: [UInt8] = []
        digits.reserveCapacity(bytes.count * 2)
        for byte in bytes {
            digits.append(Digest.digit(byte >> 4))
            digits.append(Digest.digit(byte & 0x0F))
        }
        self.init(algorithm: algorithm, checkedHex: String(decoding: digits, as: UTF8.self))
    }

    /// Reads `algorithm:hex`.
    ///
    /// Upper-case digits and other lengths are refused: the text becomes a path in the store, and one piece of content
    /// must have one name.
    /// - Throws: `.invalidDigest`.
    public static func parse(_ text: String) throws(OCIError) -> Digest {
        if let digest = Digest(text) { return digest }
        throw OCIError(
            code: .invalidDigest, operation: "parse digest", object: Printable.short(text),
            cause: "expected sha256: with 64 or sha512: with 128 lower-case hexadecimal digits")
    }

    /// Reads `algorithm:hex`; nil when it is not exactly that.
    public init?(_ text: String) {
        let bytes = text.utf8
        for algorithm in Algorithm.allCases {
            let prefix = algorithm.rawValue + ":"
            guard bytes.count == prefix.utf8.count + algorithm.byteCount * 2, bytes.starts(with: prefix.utf8) else {
                continue
            }
            let hex = bytes.dropFirst(prefix.utf8.count)
            guard hex.allSatisfy(Characters.isLowerHex) else { return nil }
            self.init(algorithm: algorithm, checkedHex: String(decoding: hex, as: UTF8.self))
            return
        }
        return nil
    }

    /// The raw bytes of the hash.
    public var bytes: [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(algorithm.byteCount)
        var high: UInt8?
        for character in hex.utf8 {
            let value = character <= UInt8(ascii: "9") ? character - UInt8(ascii: "0") : character - UInt8(ascii: "a") + 10
            if let first = high {
                output.append(first << 4 | value)
                high = nil
            } else {
                high = value
            }
        }
        return output
    }

    /// The first 12 digits, as Docker prints ids.
    public var short: String { String(hex.prefix(12)) }

    /// Where a blob stands in an image layout: `blobs/sha256/…`.
    public var layoutPath: String { "blobs/" + algorithm.rawValue + "/" + hex }

    public var description: String { algorithm.rawValue + ":" + hex }

    public static func < (left: Digest, right: Digest) -> Bool {
        left.algorithm == right.algorithm
            ? left.hex.utf8.lexicographicallyPrecedes(right.hex.utf8)
            : left.algorithm.rawValue < right.algorithm.rawValue
    }

    private static func digit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
    }
}
