/// The bytes of an index while it is written; numbers are little-endian.
struct ErofsImage {
    private(set) var bytes: [UInt8]

    init(size: Int) { bytes = [UInt8](repeating: 0, count: size) }

    mutating func put<Number: FixedWidthInteger>(_ number: Number, at offset: Int) {
        var rest = number
        for index in 0..<(Number.bitWidth / 8) {
            bytes[offset + index] = UInt8(truncatingIfNeeded: rest)
            if Number.bitWidth > 8 { rest >>= 8 }
        }
    }

    mutating func put(_ text: ArraySlice<UInt8>, at offset: Int) {
        if !text.isEmpty { bytes.replaceSubrange(offset..<(offset + text.count), with: text) }
    }
}
