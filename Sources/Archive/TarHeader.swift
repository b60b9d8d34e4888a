/// The fields of one 512-byte header block, checked as far as they can be without what came before.
struct TarHeader {
    enum Format { case v7, ustar, gnu }

    static let blockSize = 512

    var type: UInt8
    var format: Format
    var path: [UInt8]
    var linkPath: [UInt8]
    var mode: UInt32
    var uid: UInt32
    var gid: UInt32
    /// Bytes of payload that follow as the header says; 0 for hard links.
    var size: Int64
    var modification: Int64
    var major: UInt32
    var minor: UInt32

    /// Reads a block; nil for a block of zeros (the end of the archive).
    // SAFETY: the block is borrowed for the call and has 512 bytes; all offsets below are fixed and within them.
    init?(_ block: UnsafeRawBufferPointer) throws(ArchiveError) {
        guard block.count == TarHeader.blockSize else { throw .truncated("read archive", "header cut short") }
        // The first byte of the name decides quickly; only a possible end block is scanned in full.
        if block[0] == 0, block.allSatisfy({ $0 == 0 }) { return nil }
        try TarHeader.verifyChecksum(block)
        let name = TarHeader.text(block, 0, 100)
        func number(_ offset: Int, _ length: Int, _ what: StaticString) throws(ArchiveError) -> Int64 {
            guard let value = TarNumber.parse(UnsafeRawBufferPointer(rebasing: block[offset..<(offset + length)])) else {
                throw .corrupt("bad number in field \(what)", in: name)
            }
            return value
        }
        type = block[156]
        format = TarHeader.format(block)
        mode = UInt32(truncatingIfNeeded: try number(100, 8, "mode") & 0o7777)
        uid = try TarHeader.identifier(try number(108, 8, "uid"), name)
        gid = try TarHeader.identifier(try number(116, 8, "gid"), name)
        let isBlank = block[124..<136].allSatisfy { $0 == 0 || $0 == 0x20 }
        // Parsed before it is ignored: a reader that cannot parse it stops here and lists less.
        let declared = isBlank && TarHeader.hasNoData(type) ? 0 : try number(124, 12, "size")
        if isBlank, !TarHeader.hasNoData(type) { throw .corrupt("no size", in: name) }
        size = type == UInt8(ascii: "1") && declared >= 0 ? 0 : declared
        guard size >= 0 else { throw .corrupt("negative size", in: name) }
        modification = try number(136, 12, "mtime")
        linkPath = TarHeader.text(block, 157, 100)
        major = 0
        minor = 0
        if type == UInt8(ascii: "3") || type == UInt8(ascii: "4") {
            guard let major = UInt32(exactly: try number(329, 8, "devmajor")),
                let minor = UInt32(exactly: try number(337, 8, "devminor"))
            else { throw .corrupt("bad device number", in: name) }
            self.major = major
            self.minor = minor
        }
        path = name
        try addPrefix(block)
    }

    /// POSIX puts the front of a long name at offset 345; GNU keeps times there, and readers disagree about who looks at
    /// the magic first. Only archives that all of them list alike are accepted.
    private mutating func addPrefix(_ block: UnsafeRawBufferPointer) throws(ArchiveError) {
        guard block[345] != 0 else { return }
        switch format {
        case .ustar:
            path = TarHeader.text(block, 345, 155) + [UInt8(ascii: "/")] + path
        case .gnu where type == UInt8(ascii: "S") || type == UInt8(ascii: "L") || type == UInt8(ascii: "K"):
            return
        case .gnu, .v7:
            throw .corrupt("name prefix in a header that is not ustar", in: path)
        }
    }

    private static func hasNoData(_ type: UInt8) -> Bool { type >= UInt8(ascii: "1") && type <= UInt8(ascii: "6") }

    private static func format(_ block: UnsafeRawBufferPointer) -> Format {
        if block[257..<263].elementsEqual("ustar\0".utf8) { return .ustar }
        if block[257..<265].elementsEqual("ustar  \0".utf8) { return .gnu }
        return .v7
    }

    private static func identifier(_ value: Int64, _ name: [UInt8]) throws(ArchiveError) -> UInt32 {
        // 4294967295 is (uid_t)-1: "unchanged" to chown(2), so it may not come from outside.
        guard value >= 0, value < Int64(UInt32.max) else { throw .corrupt("owner id out of range", in: name) }
        return UInt32(value)
    }

    /// A field up to its first NUL, or whole.
    static func text(_ block: UnsafeRawBufferPointer, _ offset: Int, _ length: Int) -> [UInt8] {
        let field = block[offset..<(offset + length)]
        return Array(field[field.startIndex..<(field.firstIndex(of: 0) ?? field.endIndex)])
    }

    /// The sum of all bytes with the checksum field as spaces; old writers summed signed bytes, and readers accept both.
    private static func verifyChecksum(_ block: UnsafeRawBufferPointer) throws(ArchiveError) {
        guard let stored = TarNumber.octal(UnsafeRawBufferPointer(rebasing: block[148..<156])) else {
            throw .corrupt("bad header checksum")
        }
        var unsigned: Int64 = 0
        var high: Int64 = 0
        for byte in block {
            unsigned &+= Int64(byte)
            high &+= Int64(byte >> 7)
        }
        for byte in block[148..<156] {
            unsigned += 32 - Int64(byte)
            high -= Int64(byte >> 7)
        }
        guard stored == unsigned || stored == unsigned - 256 * high else { throw .corrupt("bad header checksum") }
    }
}

/// Numbers in header fields: octal text, or big-endian base 256 with the top bit set.
enum TarNumber {
    /// nil when two readers could disagree about the value. A field of only spaces and NULs is 0.
    static func parse(_ field: UnsafeRawBufferPointer) -> Int64? {
        guard let first = field.first else { return nil }
        if first & 0x80 != 0 { return base256(field) }
        return octal(field)
    }

    static func octal(_ field: UnsafeRawBufferPointer) -> Int64? {
        if field.allSatisfy({ $0 == 0 || $0 == 0x20 }) { return 0 }
        var index = 0
        while index < field.count, field[index] == 0x20 { index += 1 }
        var value: Int64 = 0
        let start = index
        while index < field.count, field[index] >= 0x30, field[index] <= 0x37 {
            // 12 digits at most: 36 bits.
            value = value << 3 | Int64(field[index] - 0x30)
            index += 1
        }
        if index == start { return nil }
        while index < field.count, field[index] == 0x20 { index += 1 }
        // After a NUL nobody reads on; anything else would be read differently by different readers.
        return index == field.count || field[index] == 0 ? value : nil
    }

    private static func base256(_ field: UnsafeRawBufferPointer) -> Int64? {
        guard field[0] == 0x80 || field[0] == 0xff else { return nil }
        let negative = field[0] == 0xff
        var value: Int64 = negative ? -1 : 0
        for byte in field.dropFirst() {
            let (high, overflow) = value.multipliedReportingOverflow(by: 256)
            if overflow { return nil }
            value = high | Int64(byte)
        }
        return value
    }
}
