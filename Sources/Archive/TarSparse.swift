/// Where the data of a sparse file lies, in order, without overlap.
struct SparseMap {
    struct Segment {
        var offset: Int64
        var length: Int64
    }

    /// Only segments that have data.
    private(set) var segments: [Segment] = []
    private(set) var stored: Int64 = 0
    private var end: Int64 = 0

    /// Most segments of one file: more than that is an attack on memory (a map is 16 bytes per segment here).
    static let limit = 1 << 18

    mutating func append(offset: Int64, length: Int64) throws(ArchiveError) {
        let (next, overflow) = offset.addingReportingOverflow(length)
        guard offset >= end, length >= 0, !overflow else { throw .corrupt("sparse map out of order") }
        guard segments.count < SparseMap.limit else {
            throw ArchiveError(.tooLarge, "read sparse map", cause: "more than \(SparseMap.limit) segments")
        }
        end = next
        stored += length
        if length > 0 { segments.append(Segment(offset: offset, length: length)) }
    }

    /// Checks the map against the file's size and the bytes stored for it.
    func verify(size: Int64, stored expected: Int64, in path: [UInt8]) throws(ArchiveError) {
        guard end <= size else { throw .corrupt("sparse map beyond the end of the file", in: path) }
        guard stored == expected else { throw .corrupt("sparse map does not match the stored size", in: path) }
    }
}

/// The GNU.sparse.* records of one PAX header: formats 0.0, 0.1 and 1.0 of GNU tar.
struct PaxSparse {
    var major: Int64?
    var minor: Int64?
    var name: [UInt8]?
    /// GNU.sparse.size (0.x) or GNU.sparse.realsize (1.0).
    var size: Int64?
    var map = SparseMap()
    private var hasMap = false
    private var count: Int64?
    private var pendingOffset: Int64?
    private var pairs: Int64 = 0

    var isPresent: Bool { major != nil || size != nil || hasMap || name != nil || count != nil }
    /// The map stands at the front of the payload.
    var isInPayload: Bool { major == 1 }

    mutating func apply(_ key: String, _ value: [UInt8]) throws(ArchiveError) {
        switch key {
        case "name":
            guard !value.isEmpty, !value.contains(0) else { throw .corrupt("bad sparse file name") }
            name = value
        case "map": try applyMap(value)
        case "major": major = try number(value)
        case "minor": minor = try number(value)
        case "size", "realsize": size = try number(value)
        case "numblocks": count = try number(value)
        case "offset":
            guard pendingOffset == nil else { throw .corrupt("bad sparse map") }
            pendingOffset = try number(value)
        case "numbytes":
            guard let offset = pendingOffset else { throw .corrupt("bad sparse map") }
            pendingOffset = nil
            hasMap = true
            pairs += 1
            try map.append(offset: offset, length: try number(value))
        default: throw ArchiveError(.unsupported, "read extended header", key, cause: "unknown sparse format")
        }
    }

    private mutating func applyMap(_ value: [UInt8]) throws(ArchiveError) {
        guard !hasMap else { throw .corrupt("two sparse maps") }
        hasMap = true
        let numbers = value.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
        guard value.isEmpty || numbers.count % 2 == 0 else { throw .corrupt("bad sparse map") }
        if value.isEmpty { return }
        for index in stride(from: 0, to: numbers.count, by: 2) {
            guard let offset = PaxRecords.decimal(numbers[index]), let length = PaxRecords.decimal(numbers[index + 1])
            else { throw .corrupt("bad sparse map") }
            pairs += 1
            try map.append(offset: offset, length: length)
        }
    }

    /// Checks that the records are one of the three formats and complete.
    func verify() throws(ArchiveError) {
        guard size != nil, pendingOffset == nil else { throw .corrupt("incomplete sparse header") }
        if major == nil, minor == nil {
            guard hasMap || count == 0, count == nil || count == pairs else { throw .corrupt("bad sparse map") }
            return
        }
        guard major == 1, minor == 0, !hasMap else {
            throw ArchiveError(.unsupported, "read extended header", cause: "unknown sparse format")
        }
    }

    private func number(_ value: [UInt8]) throws(ArchiveError) -> Int64 {
        guard let number = PaxRecords.decimal(value) else { throw .corrupt("bad number in a sparse header") }
        return number
    }
}
