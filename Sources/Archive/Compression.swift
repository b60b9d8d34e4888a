/// How a stream is compressed, told from its first bytes and never from a name or a media type.
public enum Compression: Sendable, Hashable {
    case none, gzip, zstd

    /// How many bytes ``detect(_:)`` wants to see.
    public static let magicLength = 6

    /// The compression of a stream that begins with `prefix`.
    ///
    /// - Throws: `.unsupported` for xz and bzip2, with the command that converts.
    public static func detect(_ prefix: [UInt8]) throws(ArchiveError) -> Compression {
        if prefix.starts(with: [0x1f, 0x8b]) { return .gzip }
        if prefix.starts(with: [0x28, 0xb5, 0x2f, 0xfd]) { return .zstd }
        // RFC 8878 3.1.2: skippable frames 0x184D2A50 to 0x184D2A5F may come first.
        if prefix.count >= 4, prefix[0] & 0xf0 == 0x50, prefix[1...3].elementsEqual([0x2a, 0x4d, 0x18]) { return .zstd }
        if prefix.starts(with: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]) { throw unsupported("xz", "xz -dc FILE") }
        if prefix.count >= 4, prefix.starts(with: [0x42, 0x5a, 0x68]), (0x31...0x39).contains(prefix[3]) {
            throw unsupported("bzip2", "bzip2 -dc FILE")
        }
        return .none
    }

    private static func unsupported(_ name: String, _ command: String) -> ArchiveError {
        ArchiveError(
            .unsupported, "read compressed stream",
            cause: "\(name) is not supported; decompress it first: \(command) | berth ...")
    }

    /// A decoder for this compression over `source`; nil for `.none`.
    public func decoder(_ source: any ByteLender) throws(ArchiveError) -> (any ByteReader)? {
        switch self {
        case .none: nil
        case .gzip: try GzipDecoder(source)
        case .zstd: try ZstdDecoder(source)
        }
    }

    /// An encoder for this compression in front of `sink`; `sink` itself for `.none`.
    ///
    /// - Parameter level: nil takes the compression's own.
    public func encoder(_ sink: any ByteSink, level: Int32? = nil) throws(ArchiveError) -> any ByteSink {
        switch self {
        case .none: sink
        case .gzip: try GzipEncoder(sink, level: level ?? 6)
        case .zstd: try ZstdEncoder(sink, level: level ?? 3)
        }
    }
}
