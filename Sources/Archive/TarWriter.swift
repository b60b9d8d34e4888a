import Linux

/// Writes ustar with PAX headers where ustar is too small. The same entries give the same bytes.
public final class TarWriter {
    private let sink: any ByteSink
    private var remaining: Int64 = 0
    private var padding = 0
    private static let zeros = [UInt8](repeating: 0, count: 1024)

    public init(_ sink: any ByteSink) { self.sink = sink }

    /// Begins an entry. For a file, exactly `entry.size` bytes must follow by ``write(_:)``.
    ///
    /// - Throws: `.unsupported` for a sparse entry or a name with NUL; `.system` when the sink fails.
    public func append(_ entry: TarEntry) throws(ArchiveError) {
        try endEntry()
        guard !entry.isSparse, !entry.path.isEmpty, !entry.path.contains(0), !entry.linkPath.contains(0) else {
            throw ArchiveError(.unsupported, "write archive entry", printable(entry.path), cause: "cannot be stored")
        }
        let size = entry.kind == .file ? max(0, entry.size) : 0
        var records: [(key: String, value: [UInt8])] = []
        let split = TarWriter.split(entry.path)
        if split == nil { records.append(("path", entry.path)) }
        if entry.linkPath.count > 100 { records.append(("linkpath", entry.linkPath)) }
        if size >= 1 << 33 { records.append(("size", Array(String(size).utf8))) }
        if entry.uid >= 1 << 21 { records.append(("uid", Array(String(entry.uid).utf8))) }
        if entry.gid >= 1 << 21 { records.append(("gid", Array(String(entry.gid).utf8))) }
        let time = entry.modification
        if time.nanoseconds != 0 || time.seconds < 0 || time.seconds >= 1 << 33 {
            records.append(("mtime", Array(TarWriter.text(time).utf8)))
        }
        for attribute in entry.xattrs.sorted(by: { $0.name.lexicographicallyPrecedes($1.name) }) {
            records.append(("SCHILY.xattr." + TarWriter.escaped(attribute.name), attribute.value))
        }
        if !records.isEmpty { try writeExtended(records, for: entry) }
        try writeHeader(entry, type: TarWriter.type(entry.kind), size: size, name: split ?? ([], Array(entry.path.prefix(100))))
        remaining = size
        padding = Int((512 - size % 512) % 512)
    }

    /// Some of the current file's bytes.
    // SAFETY: the bytes are borrowed for the call and written before it returns.
    public func write(_ bytes: UnsafeRawBufferPointer) throws(ArchiveError) {
        guard Int64(bytes.count) <= remaining else {
            throw ArchiveError(.corrupt, "write archive entry", cause: "more data than its size")
        }
        try sink.write(bytes)
        remaining -= Int64(bytes.count)
    }

    public func write(_ bytes: [UInt8]) throws(ArchiveError) {
        let result = bytes.withUnsafeBytes { buffer in Result { () throws(ArchiveError) in try write(buffer) } }
        try result.get()
    }

    /// An entry with its bytes in memory.
    public func append(_ entry: TarEntry, contents: [UInt8]) throws(ArchiveError) {
        var sized = entry
        sized.size = Int64(contents.count)
        try append(sized)
        try write(contents)
    }

    /// Ends the archive and the sink.
    public func finish() throws(ArchiveError) {
        try endEntry()
        try sink.write(TarWriter.zeros)
        try sink.finish()
    }

    private func endEntry() throws(ArchiveError) {
        guard remaining == 0 else {
            throw ArchiveError(.corrupt, "write archive entry", cause: "less data than its size")
        }
        if padding > 0 { try sink.write(Array(TarWriter.zeros.prefix(padding))) }
        padding = 0
    }

    private func writeExtended(
        _ records: [(key: String, value: [UInt8])], for entry: TarEntry
    ) throws(ArchiveError) {
        var data: [UInt8] = []
        for (key, value) in records {
            // The length counts its own digits: find the fixed point.
            let rest = key.utf8.count + value.count + 3
            var length = rest + 1
            while String(length).utf8.count + rest != length { length = String(length).utf8.count + rest }
            data += Array("\(length) \(key)=".utf8) + value + [0x0a]
        }
        let header = TarEntry(kind: .file, path: [], mode: 0o644, size: Int64(data.count))
        let base = entry.path.split(separator: UInt8(ascii: "/")).last.map(Array.init) ?? []
        try writeHeader(
            header, type: UInt8(ascii: "x"), size: Int64(data.count),
            name: ([], Array(("PaxHeaders.0/".utf8 + base).prefix(100))))
        let rest = (512 - data.count % 512) % 512
        try sink.write(data + TarWriter.zeros.prefix(rest))
    }

    private func writeHeader(
        _ entry: TarEntry, type: UInt8, size: Int64, name: (prefix: [UInt8], name: [UInt8])
    ) throws(ArchiveError) {
        var block = [UInt8](repeating: 0, count: 512)
        func put(_ bytes: some Collection<UInt8>, _ offset: Int) {
            block.replaceSubrange(offset..<(offset + bytes.count), with: bytes)
        }
        func octal(_ value: Int64, _ offset: Int, _ length: Int) {
            // A value that does not fit stands in the extended header; the field then holds 0.
            let fits = value >= 0 && value < Int64(1) << (3 * Int64(length - 1))
            let digits = String(fits ? value : 0, radix: 8).utf8
            put(repeatElement(UInt8(ascii: "0"), count: length - 1 - digits.count), offset)
            put(Array(digits), offset + length - 1 - digits.count)
        }
        put(name.name, 0)
        octal(Int64(entry.mode & 0o7777), 100, 8)
        octal(Int64(entry.uid), 108, 8)
        octal(Int64(entry.gid), 116, 8)
        octal(size, 124, 12)
        octal(entry.modification.seconds, 136, 12)
        put(repeatElement(0x20, count: 8), 148)
        block[156] = type
        put(entry.linkPath.prefix(100), 157)
        put(Array("ustar\u{0}00".utf8), 257)
        octal(Int64(entry.major), 329, 8)
        octal(Int64(entry.minor), 337, 8)
        put(name.prefix, 345)
        let sum = block.reduce(0) { $0 + Int64($1) }
        octal(sum, 148, 7)
        block[154] = 0
        block[155] = 0x20
        try sink.write(block)
    }

    /// Name and prefix as ustar wants them, nil when the path does not fit.
    private static func split(_ path: [UInt8]) -> (prefix: [UInt8], name: [UInt8])? {
        if path.count <= 100 { return ([], path) }
        guard path.count <= 256 else { return nil }
        // The slash between the two is not stored; a directory's own final slash must stay in the name.
        for index in path.indices where path[index] == UInt8(ascii: "/") && index > 0 && index <= 155 {
            let rest = path.count - index - 1
            if rest > 0, rest <= 100 { return (Array(path[..<index]), Array(path[(index + 1)...])) }
        }
        return nil
    }

    private static func text(_ time: FileTime) -> String {
        var seconds = time.seconds
        var nanoseconds = Int64(time.nanoseconds)
        let negative = seconds < 0
        if negative, nanoseconds > 0 {
            seconds += 1
            nanoseconds = 1_000_000_000 - nanoseconds
        }
        var text = (negative ? "-" : "") + String(seconds.magnitude)
        guard nanoseconds > 0 else { return text }
        var fraction = Array(String(nanoseconds + 1_000_000_000).utf8.dropFirst())
        while fraction.last == UInt8(ascii: "0") { fraction.removeLast() }
        text += "." + String(decoding: fraction, as: UTF8.self)
        return text
    }

    private static func escaped(_ name: [UInt8]) -> String {
        var result: [UInt8] = []
        for byte in name {
            switch byte {
            case UInt8(ascii: "%"): result += Array("%25".utf8)
            case UInt8(ascii: "="): result += Array("%3D".utf8)
            default: result.append(byte)
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    private static func type(_ kind: TarEntry.Kind) -> UInt8 {
        switch kind {
        case .file: UInt8(ascii: "0")
        case .hardLink: UInt8(ascii: "1")
        case .symbolicLink: UInt8(ascii: "2")
        case .characterDevice: UInt8(ascii: "3")
        case .blockDevice: UInt8(ascii: "4")
        case .directory: UInt8(ascii: "5")
        case .fifo: UInt8(ascii: "6")
        }
    }
}
