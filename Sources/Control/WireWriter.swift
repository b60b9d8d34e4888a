/// Builds a message: little-endian integers, strings and bytes with a length before them.
struct WireWriter {
    private(set) var bytes: [UInt8] = []

    init(capacity: Int = 64) { bytes.reserveCapacity(capacity) }

    mutating func integer<T: FixedWidthInteger>(_ value: T) {
        var rest = value
        for _ in 0..<(T.bitWidth / 8) {
            bytes.append(UInt8(truncatingIfNeeded: rest))
            rest = rest >> 8
        }
    }

    mutating func boolean(_ value: Bool) { bytes.append(value ? 1 : 0) }

    /// - Parameter text: cut at 16 KiB, so that one long error cannot exceed a message.
    mutating func string(_ text: String) {
        let cut = text.utf8.prefix(16 << 10)
        integer(UInt32(cut.count))
        bytes.append(contentsOf: cut)
    }
}
