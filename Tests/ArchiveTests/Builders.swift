@testable import Archive

/// Builds archives byte by byte, wrong ones included.
struct TarBytes {
    var bytes: [UInt8] = []

    static func field(_ text: String, _ length: Int) -> [UInt8] {
        Array(text.utf8) + [UInt8](repeating: 0, count: length - text.utf8.count)
    }

    /// A ustar header with a right checksum; `edit` changes bytes before the checksum is made.
    mutating func header(
        _ name: String, size: Int = 0, type: Character = "0", mode: Int = 0o644, uid: Int = 0, link: String = "",
        magic: String = "ustar\u{0}00", badChecksum: Bool = false, edit: (inout [UInt8]) -> Void = { _ in }
    ) {
        var block = [UInt8](repeating: 0, count: 512)
        func put(_ value: [UInt8], _ at: Int) { block.replaceSubrange(at..<(at + value.count), with: value) }
        func octal(_ value: Int, _ width: Int) -> [UInt8] {
            let digits = String(value, radix: 8)
            return Array((String(repeating: "0", count: width - 1 - digits.count) + digits).utf8) + [0]
        }
        put(Array(name.utf8.prefix(100)), 0)
        put(octal(mode, 8), 100)
        put(octal(uid, 8), 108)
        put(octal(0, 8), 116)
        put(octal(size, 12), 124)
        put(octal(1_700_000_000, 12), 136)
        block[156] = type.asciiValue ?? 0
        put(Array(link.utf8.prefix(100)), 157)
        put(Array(magic.utf8), 257)
        put(octal(0, 8), 329)
        put(octal(0, 8), 337)
        edit(&block)
        put([UInt8](repeating: 0x20, count: 8), 148)
        let sum = block.reduce(badChecksum ? 1 : 0) { $0 + Int($1) }
        put(Array(octal(sum, 7)) + [0x20], 148)
        bytes += block
    }

    mutating func data(_ data: [UInt8]) {
        bytes += data + [UInt8](repeating: 0, count: (512 - data.count % 512) % 512)
    }

    mutating func file(_ name: String, _ text: String) {
        header(name, size: text.utf8.count)
        data(Array(text.utf8))
    }

    static func record(_ key: String, _ value: [UInt8]) -> [UInt8] {
        let rest = key.utf8.count + value.count + 3
        var length = rest + 1
        while "\(length)".utf8.count + rest != length { length = "\(length)".utf8.count + rest }
        return Array("\(length) \(key)=".utf8) + value + [0x0a]
    }

    mutating func pax(_ records: [(String, String)], type: Character = "x") {
        pax(raw: records.flatMap { TarBytes.record($0.0, Array($0.1.utf8)) }, type: type)
    }

    mutating func pax(raw: [UInt8], type: Character = "x") {
        header("PaxHeader", size: raw.count, type: type)
        data(raw)
    }

    mutating func long(_ name: String, type: Character = "L") {
        header("././@LongLink", size: name.utf8.count + 1, type: type, magic: "ustar  \u{0}")
        data(Array(name.utf8) + [0])
    }

    mutating func end() { bytes += [UInt8](repeating: 0, count: 1024) }
}

func list(_ bytes: [UInt8], step: Int = .max) throws(ArchiveError) -> [String] {
    let reader = TarReader(BufferedLender(MemoryReader(bytes, step: step)))
    var result: [String] = []
    while let entry = try reader.next() {
        var contents: [UInt8] = []
        var end: Int64 = 0
        while let (offset, piece) = try reader.readSegment() {
            if entry.isSparse, offset > end { contents += Array("<\(offset - end)>".utf8) }
            contents += Array(piece)
            end = offset + Int64(piece.count)
        }
        result.append("\(entry.kind) \(printable(entry.path)) \(printable(contents))")
    }
    return result
}

func code(_ bytes: [UInt8]) -> ArchiveError.Code? {
    do throws(ArchiveError) {
        _ = try list(bytes)
        return nil
    } catch { return error.code }
}
