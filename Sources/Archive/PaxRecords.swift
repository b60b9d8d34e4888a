/// The records of one PAX extended header ("x") or global header ("g").
///
/// Format: POSIX pax, "pax Header Block"; keywords of star (SCHILY), libarchive and GNU tar beside the standard ones.
struct PaxRecords {
    var path: [UInt8]?
    var linkPath: [UInt8]?
    var size: Int64?
    var uid: UInt32?
    var gid: UInt32?
    var modification: FileTime?
    var xattrs: [ExtendedAttribute] = []
    var sparse = PaxSparse()

    init() {}

    /// Parses the whole payload of an extended header.
    ///
    /// - Parameter isGlobal: names, sizes and attributes are refused there: readers disagree on what they then apply to.
    init(_ data: [UInt8], isGlobal: Bool) throws(ArchiveError) {
        var position = 0
        while position < data.count {
            var length = 0
            var cursor = position
            while cursor < data.count, data[cursor] >= 0x30, data[cursor] <= 0x39, cursor - position < 8 {
                length = length * 10 + Int(data[cursor] - 0x30)
                cursor += 1
            }
            guard cursor > position, cursor < data.count, data[cursor] == 0x20, length > cursor - position + 1,
                length <= data.count - position, data[position + length - 1] == 0x0a
            else { throw PaxRecords.malformed("bad record length") }
            let record = data[(cursor + 1)..<(position + length - 1)]
            guard let equals = record.firstIndex(of: UInt8(ascii: "=")), equals > record.startIndex else {
                throw PaxRecords.malformed("record without a keyword")
            }
            let key = String(decoding: record[record.startIndex..<equals], as: UTF8.self)
            try apply(key, Array(record[(equals + 1)...]), record[record.startIndex..<equals], isGlobal)
            position += length
        }
        // Both writers of attributes may be present; star's form wins, as it holds the value itself.
        var seen = Set<[UInt8]>()
        xattrs = xattrs.reversed().filter { seen.insert($0.name).inserted }.reversed()
    }

    private static func malformed(_ cause: String) -> ArchiveError {
        ArchiveError(.corrupt, "read extended header", cause: cause)
    }

    private mutating func apply(
        _ key: String, _ value: [UInt8], _ rawKey: ArraySlice<UInt8>, _ isGlobal: Bool
    ) throws(ArchiveError) {
        switch key {
        case "uid": uid = try PaxRecords.identifier(value)
        case "gid": gid = try PaxRecords.identifier(value)
        case "mtime": modification = try PaxRecords.time(value)
        case "hdrcharset":
            guard value == Array("BINARY".utf8) || value == Array("ISO-IR 10646 2000 UTF-8".utf8) || value.isEmpty else {
                throw ArchiveError(.unsupported, "read extended header", printable(value), cause: "unknown charset")
            }
        case "path", "linkpath", "size":
            if isGlobal { throw PaxRecords.malformed("\(key) in a global header") }
            try applyIdentity(key, value)
        default:
            if let name = PaxRecords.suffix(rawKey, after: "SCHILY.xattr.") {
                if isGlobal { throw PaxRecords.malformed("xattr in a global header") }
                try add(ExtendedAttribute(name: PaxRecords.unescape(name, only: true), value: value))
            } else if let name = PaxRecords.suffix(rawKey, after: "LIBARCHIVE.xattr.") {
                if isGlobal { throw PaxRecords.malformed("xattr in a global header") }
                guard let decoded = base64(value) else { throw PaxRecords.malformed("bad base64 in xattr") }
                // Put first, so that a SCHILY record of the same name stays the later and wins.
                xattrs.insert(ExtendedAttribute(name: PaxRecords.unescape(name, only: false), value: decoded), at: 0)
                try add(nil)
            } else if let name = PaxRecords.suffix(rawKey, after: "GNU.sparse.") {
                if isGlobal { throw PaxRecords.malformed("sparse map in a global header") }
                try sparse.apply(String(decoding: name, as: UTF8.self), value)
            }
        // Everything else (atime, ctime, uname, comment, vendor keys) has no effect here.
        }
    }

    private mutating func applyIdentity(_ key: String, _ value: [UInt8]) throws(ArchiveError) {
        if key == "size" {
            guard let number = PaxRecords.decimal(value) else { throw PaxRecords.malformed("bad size") }
            size = number
            return
        }
        guard !value.isEmpty, !value.contains(0) else { throw PaxRecords.malformed("bad \(key)") }
        if key == "path" { path = value } else { linkPath = value }
    }

    private mutating func add(_ attribute: ExtendedAttribute?) throws(ArchiveError) {
        if let attribute { xattrs.append(attribute) }
        guard xattrs.count <= 1024 else {
            throw ArchiveError(.tooLarge, "read extended header", cause: "more than 1024 extended attributes")
        }
        if let attribute, attribute.name.isEmpty || attribute.name.contains(0) {
            throw PaxRecords.malformed("bad xattr name")
        }
    }

    private static func suffix(_ key: ArraySlice<UInt8>, after prefix: StaticString) -> [UInt8]? {
        let count = prefix.utf8CodeUnitCount
        // SAFETY: a StaticString lives as long as the program.
        guard key.count > count, key.starts(with: UnsafeBufferPointer(start: prefix.utf8Start, count: count)) else {
            return nil
        }
        return Array(key.dropFirst(count))
    }

    private static func identifier(_ value: [UInt8]) throws(ArchiveError) -> UInt32 {
        guard let number = decimal(value), number < Int64(UInt32.max) else { throw malformed("owner id out of range") }
        return UInt32(number)
    }

    /// Decimal digits only, up to Int64.max.
    static func decimal(_ value: some Collection<UInt8>) -> Int64? {
        guard !value.isEmpty else { return nil }
        var number: Int64 = 0
        for byte in value {
            guard byte >= 0x30, byte <= 0x39 else { return nil }
            let (ten, overflow) = number.multipliedReportingOverflow(by: 10)
            let (sum, carry) = ten.addingReportingOverflow(Int64(byte - 0x30))
            if overflow || carry { return nil }
            number = sum
        }
        return number
    }

    /// Seconds with an optional sign and fraction; digits after the ninth are cut off.
    static func time(_ value: [UInt8]) throws(ArchiveError) -> FileTime {
        let negative = value.first == UInt8(ascii: "-")
        let digits = negative ? value.dropFirst() : value[...]
        let point = digits.firstIndex(of: UInt8(ascii: ".")) ?? digits.endIndex
        guard let whole = decimal(digits[digits.startIndex..<point]) else { throw malformed("bad time") }
        var nanoseconds: Int64 = 0
        var count = 0
        for byte in digits[point...].dropFirst() {
            guard byte >= 0x30, byte <= 0x39 else { throw malformed("bad time") }
            if count < 9 { nanoseconds = nanoseconds * 10 + Int64(byte - 0x30) }
            count += 1
        }
        while count < 9 {
            nanoseconds *= 10
            count += 1
        }
        if !negative { return FileTime(seconds: whole, nanoseconds: Int32(nanoseconds)) }
        if nanoseconds == 0 { return FileTime(seconds: -whole) }
        return FileTime(seconds: -whole - 1, nanoseconds: Int32(1_000_000_000 - nanoseconds))
    }

    /// Percent escapes in attribute names: GNU tar writes only `%3D` and `%25`, libarchive any byte.
    private static func unescape(_ name: [UInt8], only gnu: Bool) -> [UInt8] {
        guard name.contains(UInt8(ascii: "%")) else { return name }
        var result: [UInt8] = []
        var index = 0
        while index < name.count {
            if name[index] == UInt8(ascii: "%"), index + 2 < name.count, let high = hexDigit(name[index + 1]),
                let low = hexDigit(name[index + 2]), !gnu || [0x3d, 0x25].contains(high << 4 | low)
            {
                result.append(high << 4 | low)
                index += 3
            } else {
                result.append(name[index])
                index += 1
            }
        }
        return result
    }

    private static func hexDigit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x41 + 10
        case 0x61...0x66: byte - 0x61 + 10
        default: nil
        }
    }
}

/// RFC 4648 base64, padding optional; nil for anything else.
func base64(_ text: [UInt8]) -> [UInt8]? {
    var result: [UInt8] = []
    var bits: UInt32 = 0
    var count = 0
    var body = text[...]
    while body.last == UInt8(ascii: "=") { body = body.dropLast() }
    for byte in body {
        let value: UInt8
        switch byte {
        case 0x41...0x5a: value = byte - 0x41
        case 0x61...0x7a: value = byte - 0x61 + 26
        case 0x30...0x39: value = byte - 0x30 + 52
        case UInt8(ascii: "+"): value = 62
        case UInt8(ascii: "/"): value = 63
        default: return nil
        }
        bits = bits << 6 | UInt32(value)
        count += 6
        if count >= 8 {
            count -= 8
            result.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
        }
    }
    return result
}
