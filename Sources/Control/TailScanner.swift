/// Finds where the last lines of a log begin, file by file and chunk by chunk backwards.
///
/// A line of the container is its records up to one with tag `F`; a last line that is not finished counts too. Streams
/// are counted together, as docker does.
struct TailScanner {
    /// Bytes after a chunk that are needed to read the head of a record that begins at its end.
    static let lookahead = 64

    private let wanted: Int
    /// Lines met so far.
    private var lines = 0
    private var sawAny = false
    /// Where the earliest record of this file met so far begins; its end before that.
    private var begin: Int64 = 0

    /// - Parameter wanted: at least 1.
    init(wanted: Int) { self.wanted = wanted }

    mutating func beginFile(size: Int64) { begin = size }

    /// - Parameters:
    ///   - bytes: the chunk, and up to ``lookahead`` bytes of what follows it.
    ///   - ownLength: bytes of the chunk itself.
    ///   - position: of the chunk in the file.
    /// - Returns: where the wanted lines begin, once that is known.
    // SAFETY: the bytes are looked at during the call and not kept; every index is checked against their count.
    mutating func scan(_ bytes: UnsafeRawBufferPointer, ownLength: Int, at position: Int64) -> Int64? {
        // A record belongs to the chunk that has the newline before it, so each is met once.
        var newline = ownLength
        while newline > 0 {
            newline -= 1
            guard bytes[newline] == UInt8(ascii: "\n") else { continue }
            if let found = record(bytes, from: newline + 1, at: position) { return found }
        }
        return position == 0 ? record(bytes, from: 0, at: 0) : nil
    }

    private mutating func record(_ bytes: UnsafeRawBufferPointer, from index: Int, at position: Int64) -> Int64? {
        guard let tag = TailScanner.tag(UnsafeRawBufferPointer(rebasing: bytes[index...])) else { return nil }
        if tag == UInt8(ascii: "F") || !sawAny {
            // It ends a line, so the record after it begins one. With enough of those, this line is not wanted.
            if lines == wanted { return begin }
            lines += 1
        }
        sawAny = true
        begin = position + Int64(index)
        return nil
    }

    /// The tag of the record that begins here; nil when none does.
    private static func tag(_ bytes: UnsafeRawBufferPointer) -> UInt8? {
        // Docker's `json-file`: ours says of a part of a line that it is one at its beginning.
        if bytes.first == UInt8(ascii: "{"), bytes.count > 2 {
            return bytes[2] == UInt8(ascii: "p") ? UInt8(ascii: "P") : bytes[2] == UInt8(ascii: "l") ? UInt8(ascii: "F") : nil
        }
        guard let space = bytes.prefix(40).firstIndex(of: UInt8(ascii: " ")), space >= 20, space + 9 < bytes.count,
            bytes[space + 7] == UInt8(ascii: " "), bytes[space + 9] == UInt8(ascii: " ")
        else { return nil }
        return bytes[space + 8]
    }
}
