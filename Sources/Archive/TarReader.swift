/// Reads tar archives as a stream: v7, ustar, GNU (long names, base 256, sparse) and PAX.
///
/// Where GNU tar and Python's tarfile would list an archive differently, it is refused: an archive that two readers
/// understand differently is how a payload is hidden from a scanner (CVE-2025-62518). Memory does not grow with the
/// archive: one header, its extended headers (at most 1 MiB) and one borrowed buffer. To be used from one thread.
public final class TarReader {
    /// Most bytes that the extended headers of one entry may have together.
    public static let extendedHeaderLimit = 1 << 20

    private let source: any ByteLender
    private var chunk = UnsafeRawBufferPointer(start: nil, count: 0)
    // SAFETY: scratch for a header block that spans two buffers of the source; owned from init to deinit.
    private let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: TarHeader.blockSize, alignment: 16)
    /// Bytes of the archive consumed so far.
    public private(set) var position: Int64 = 0
    private var finished = false
    private var remaining: Int64 = 0
    private var padding: Int64 = 0
    private var global = PaxRecords()

    // Payload of a sparse entry: segments still to come. A plain entry is one segment.
    private var segments: [SparseMap.Segment] = []
    private var segment = 0

    public init(_ source: any ByteLender) { self.source = source }

    deinit { scratch.deallocate() }

    /// Bytes stored for the current entry that were not read yet.
    public var remainingPayload: Int64 { remaining }

    /// The next entry, nil at the end of the archive. Unread payload of the one before is skipped.
    ///
    /// - Throws: `.corrupt`, `.truncated`, `.unsupported` or `.tooLarge`; nothing can be read after that.
    public func next() throws(ArchiveError) -> TarEntry? {
        if finished { return nil }
        try skip(remaining + padding)
        remaining = 0
        padding = 0
        segments.removeAll(keepingCapacity: true)
        segment = 0
        var extensions = Extensions()
        while true {
            guard let block = try readBlock(), let header = try TarHeader(block) else {
                if extensions.isPresent { throw .corrupt("extended header without an entry") }
                finished = true
                return nil
            }
            switch header.type {
            case UInt8(ascii: "x"):
                // Two in a row: GNU tar takes the second, tarfile lets the first win.
                if extensions.records != nil { throw .corrupt("two extended headers for one entry") }
                extensions.records = PaxRecords()
                extensions.records = try PaxRecords(try readExtension(header, &extensions), isGlobal: false)
            case UInt8(ascii: "g"):
                if extensions.isPresent { throw .corrupt("global header between an entry and its extended header") }
                let new = try PaxRecords(try readExtension(header, &extensions), isGlobal: true)
                global.uid = new.uid ?? global.uid
                global.gid = new.gid ?? global.gid
                global.modification = new.modification ?? global.modification
                extensions = Extensions()
            case UInt8(ascii: "L"):
                if extensions.longName != nil { throw .corrupt("two long names for one entry") }
                extensions.longName = try readLongName(header, &extensions)
            case UInt8(ascii: "K"):
                if extensions.longLink != nil { throw .corrupt("two long link names for one entry") }
                extensions.longLink = try readLongName(header, &extensions)
            default:
                return try makeEntry(header, extensions)
            }
        }
    }

    /// The next piece of the current entry's payload and where in the file it belongs; nil at its end.
    ///
    /// The bytes are valid until the next call on this reader. Between segments of a sparse file are holes; after the last
    /// one the file is extended to `TarEntry.size`.
    public func readSegment() throws(ArchiveError) -> (offset: Int64, bytes: UnsafeRawBufferPointer)? {
        guard segment < segments.count else { return nil }
        if chunk.isEmpty { try refill("entry cut short") }
        let offset = segments[segment].offset
        let count = Int(min(Int64(chunk.count), segments[segment].length))
        let bytes = UnsafeRawBufferPointer(rebasing: chunk[0..<count])
        take(count)
        remaining -= Int64(count)
        segments[segment].offset += Int64(count)
        segments[segment].length -= Int64(count)
        if segments[segment].length == 0 { segment += 1 }
        return (offset, bytes)
    }

    /// The whole payload of a small entry.
    ///
    /// - Parameter limit: bytes; a larger entry throws `.tooLarge` before anything is read.
    public func readAll(limit: Int, of entry: TarEntry) throws(ArchiveError) -> [UInt8] {
        guard entry.size <= Int64(limit), !entry.isSparse else {
            throw ArchiveError(
                .tooLarge, "read archive entry", printable(entry.path), cause: "larger than \(limit) bytes")
        }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Int(entry.size))
        while let (_, piece) = try readSegment() { bytes.append(contentsOf: piece) }
        return bytes
    }

    // MARK: Entries

    /// The headers that come before an entry and belong to it.
    private struct Extensions {
        var records: PaxRecords?
        var longName: [UInt8]?
        var longLink: [UInt8]?
        var size = 0
        var isPresent: Bool { records != nil || longName != nil || longLink != nil }
    }

    private func makeEntry(_ header: TarHeader, _ extensions: Extensions) throws(ArchiveError) -> TarEntry {
        let records = extensions.records ?? PaxRecords()
        // A name from both: GNU tar prefers PAX, tarfile whichever came first.
        if records.path != nil, extensions.longName != nil { throw .corrupt("two long names for one entry") }
        if records.linkPath != nil, extensions.longLink != nil { throw .corrupt("two long link names for one entry") }
        let path = records.sparse.name ?? records.path ?? extensions.longName ?? header.path
        guard !path.isEmpty else { throw .corrupt("entry without a name") }
        let kind = try kind(of: header, path)
        var entry = TarEntry(
            kind: kind, path: path,
            linkPath: kind == .hardLink || kind == .symbolicLink
                ? records.linkPath ?? extensions.longLink ?? header.linkPath : [],
            mode: header.mode, uid: records.uid ?? global.uid ?? header.uid,
            gid: records.gid ?? global.gid ?? header.gid,
            modification: records.modification ?? global.modification ?? FileTime(seconds: header.modification),
            major: header.major, minor: header.minor, xattrs: records.xattrs)
        if kind == .hardLink || kind == .symbolicLink, entry.linkPath.isEmpty {
            throw .corrupt("link without a target", in: path)
        }
        let stored = records.size ?? header.size
        guard kind == .file else {
            // Some readers skip a payload here and some read it as the next header.
            guard stored == 0, !records.sparse.isPresent else { throw .corrupt("data after an entry without data", in: path) }
            return entry
        }
        remaining = stored
        padding = (512 - stored % 512) % 512
        entry.size = stored
        if header.type == UInt8(ascii: "S") || records.sparse.isPresent {
            try beginSparse(&entry, header, records)
        } else if stored > 0 {
            segments.append(SparseMap.Segment(offset: 0, length: stored))
        }
        return entry
    }

    private func kind(of header: TarHeader, _ path: [UInt8]) throws(ArchiveError) -> TarEntry.Kind {
        let endsInSlash = path.last == UInt8(ascii: "/")
        switch header.type {
        case UInt8(ascii: "0"), UInt8(ascii: "7"), UInt8(ascii: "S"):
            // GNU tar makes a directory of it, tarfile a file.
            if endsInSlash { throw .corrupt("file with the name of a directory", in: path) }
            return .file
        case 0:
            // Before ustar there was no type for directories. tarfile decides by the header's own name.
            guard endsInSlash == (header.path.last == UInt8(ascii: "/")) else {
                throw .corrupt("file with the name of a directory", in: path)
            }
            return endsInSlash ? .directory : .file
        case UInt8(ascii: "1"): return .hardLink
        case UInt8(ascii: "2"): return .symbolicLink
        case UInt8(ascii: "3"): return .characterDevice
        case UInt8(ascii: "4"): return .blockDevice
        case UInt8(ascii: "5"): return .directory
        case UInt8(ascii: "6"): return .fifo
        default:
            let type = header.type > 0x20 && header.type < 0x7f ? String(UnicodeScalar(header.type)) : "\(header.type)"
            throw ArchiveError(
                .unsupported, "read archive entry", printable(path), cause: "unknown entry type \(type)")
        }
    }

    private func beginSparse(
        _ entry: inout TarEntry, _ header: TarHeader, _ records: PaxRecords
    ) throws(ArchiveError) {
        entry.isSparse = true
        var map: SparseMap
        if header.type == UInt8(ascii: "S") {
            guard !records.sparse.isPresent, records.size == nil, header.format == .gnu else {
                throw .corrupt("two kinds of sparse header", in: entry.path)
            }
            (map, entry.size) = try readOldSparseMap(entry.path)
        } else {
            try records.sparse.verify()
            entry.size = records.sparse.size ?? 0
            map = records.sparse.isInPayload ? try readPayloadMap(entry.path) : records.sparse.map
        }
        try map.verify(size: entry.size, stored: remaining, in: entry.path)
        segments = map.segments
    }

    /// Old GNU format: four segments in the header itself (still in `scratch`), 21 in each extension block.
    private func readOldSparseMap(_ path: [UInt8]) throws(ArchiveError) -> (SparseMap, Int64) {
        var map = SparseMap()
        func add(_ from: Int, _ count: Int) throws(ArchiveError) {
            for index in 0..<count {
                let at = from + index * 24
                if scratch[at] == 0 { return }
                guard let offset = TarNumber.parse(UnsafeRawBufferPointer(rebasing: scratch[at..<(at + 12)])),
                    let length = TarNumber.parse(UnsafeRawBufferPointer(rebasing: scratch[(at + 12)..<(at + 24)]))
                else { throw .corrupt("bad sparse map", in: path) }
                try map.append(offset: offset, length: length)
            }
        }
        guard let size = TarNumber.parse(UnsafeRawBufferPointer(rebasing: scratch[483..<495])), size >= 0 else {
            throw .corrupt("bad sparse file size", in: path)
        }
        try add(386, 4)
        var more = scratch[482] != 0
        var blocks = 0
        while more {
            guard blocks < TarReader.extendedHeaderLimit / 512, try readBlock() != nil else {
                throw .corrupt("bad sparse map", in: path)
            }
            blocks += 1
            try add(0, 21)
            more = scratch[504] != 0
        }
        return (map, size)
    }

    /// GNU format 1.0: decimal lines at the front of the payload, padded to a block.
    private func readPayloadMap(_ path: [UInt8]) throws(ArchiveError) -> SparseMap {
        var map = SparseMap()
        var expected: Int64?
        var offset: Int64?
        var line: [UInt8] = []
        var blocks = 0
        while true {
            guard remaining >= 512, blocks < TarReader.extendedHeaderLimit / 512, let block = try readBlock() else {
                throw .corrupt("bad sparse map", in: path)
            }
            blocks += 1
            remaining -= 512
            for byte in block {
                if byte != 0x0a {
                    guard line.count < 20 else { throw .corrupt("bad sparse map", in: path) }
                    line.append(byte)
                    continue
                }
                guard let number = PaxRecords.decimal(line) else { throw .corrupt("bad sparse map", in: path) }
                line.removeAll(keepingCapacity: true)
                if expected == nil {
                    expected = number
                } else if let start = offset {
                    try map.append(offset: start, length: number)
                    offset = nil
                    expected = expected.map { $0 - 1 }
                } else {
                    offset = number
                }
                if expected == 0 { return map }
            }
        }
    }

    // MARK: Extended headers

    private func readLongName(_ header: TarHeader, _ extensions: inout Extensions) throws(ArchiveError) -> [UInt8] {
        let data = try readExtension(header, &extensions)
        let name = Array(data.prefix { $0 != 0 })
        guard !name.isEmpty else { throw .corrupt("empty long name") }
        return name
    }

    private func readExtension(_ header: TarHeader, _ extensions: inout Extensions) throws(ArchiveError) -> [UInt8] {
        guard header.size <= Int64(TarReader.extendedHeaderLimit - extensions.size) else {
            throw ArchiveError(
                .tooLarge, "read extended header", cause: "larger than \(TarReader.extendedHeaderLimit) bytes")
        }
        let size = Int(header.size)
        extensions.size += size
        var data: [UInt8] = []
        data.reserveCapacity(size)
        while data.count < size {
            if chunk.isEmpty { try refill("extended header cut short") }
            let count = min(chunk.count, size - data.count)
            data.append(contentsOf: chunk[0..<count])
            take(count)
        }
        try skip(Int64((512 - size % 512) % 512))
        return data
    }

    // MARK: Bytes

    private func take(_ count: Int) {
        chunk = UnsafeRawBufferPointer(rebasing: chunk[count...])
        position += Int64(count)
    }

    private func refill(_ what: String) throws(ArchiveError) {
        chunk = try source.lend()
        if chunk.isEmpty { throw .truncated("read archive", what) }
    }

    /// The next block, copied to `scratch`; nil when the archive ends exactly here.
    private func readBlock() throws(ArchiveError) -> UnsafeRawBufferPointer? {
        var filled = 0
        while filled < scratch.count {
            if chunk.isEmpty {
                chunk = try source.lend()
                if chunk.isEmpty {
                    if filled == 0 { return nil }
                    throw .truncated("read archive", "header cut short")
                }
            }
            let count = min(chunk.count, scratch.count - filled)
            UnsafeMutableRawBufferPointer(rebasing: scratch[filled...])
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: chunk[0..<count]))
            take(count)
            filled += count
        }
        return UnsafeRawBufferPointer(scratch)
    }

    private func skip(_ count: Int64) throws(ArchiveError) {
        var left = count
        while left > 0 {
            if chunk.isEmpty {
                let skipped = try source.skip(left)
                position += skipped
                left -= skipped
                if left == 0 { return }
                try refill("entry cut short")
            }
            let piece = Int(min(Int64(chunk.count), left))
            take(piece)
            left -= Int64(piece)
        }
    }
}
