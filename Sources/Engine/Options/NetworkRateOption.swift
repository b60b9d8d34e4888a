import Control

/// `--network-rate in=RATE,out=RATE`: one or both.
public struct NetworkRateOption: Sendable, Equatable {
    /// Bits per second; 0: no limit; nil: not said.
    public var incoming: UInt64?
    public var outgoing: UInt64?

    /// Less than this and a packet takes seconds.
    static let least: UInt64 = 8_000
    static let most: UInt64 = 1_000_000_000_000

    /// tc(8)'s units: multiples of 1000, of bits (`bit`) or of bytes (`bps`).
    private static let units: [(name: String, bits: UInt64)] = [
        ("", 1), ("bit", 1), ("kbit", 1_000), ("mbit", 1_000_000), ("gbit", 1_000_000_000), ("tbit", 1_000_000_000_000),
        ("bps", 8), ("kbps", 8_000), ("mbps", 8_000_000), ("gbps", 8_000_000_000), ("tbps", 8_000_000_000_000),
    ]

    /// - Throws: `.invalid` with what a rate looks like.
    public init(_ text: String) throws(EngineError) {
        for field in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let (key, value) = field.splitOnce("=") else { throw Self.malformed(text) }
            let rate = try Self.rate(String(value))
            switch key {
            case "in" where incoming == nil: incoming = rate
            case "out" where outgoing == nil: outgoing = rate
            default: throw Self.malformed(text)
            }
        }
    }

    public func apply(to rate: inout NetworkRate) {
        rate.incoming = incoming ?? rate.incoming
        rate.outgoing = outgoing ?? rate.outgoing
    }

    private static func malformed(_ text: String) -> EngineError {
        .invalid("invalid network rate \"\(text)\": write it as in=RATE,out=RATE, one or both")
    }

    private static func rate(_ text: String) throws(EngineError) -> UInt64 {
        let number = text.prefix { ("0"..."9").contains($0) || $0 == "." }
        let parts = number.split(separator: ".", omittingEmptySubsequences: false)
        // Of more digits than these a rate is out of bounds in any unit, or finer than a bit.
        guard let unit = units.first(where: { $0.name == text.dropFirst(number.count).lowercased() }), parts.count <= 2,
            parts.allSatisfy({ (1...13).contains($0.count) }), let whole = UInt64(parts[0])
        else {
            throw .invalid(
                "invalid rate \"\(text)\": write it as 512kbit, 100mbit, 1.5gbit (bits per second), or 10mbps (bytes per second)")
        }
        let (bits, isOver) = whole.multipliedReportingOverflow(by: unit.bits)
        var fraction: UInt64 = 0
        if parts.count == 2, let digits = UInt64(parts[1]) {
            var scale: UInt64 = 1
            for _ in 0..<parts[1].count { scale *= 10 }
            fraction = UInt64(Double(digits) / Double(scale) * Double(unit.bits))
        }
        let total = isOver ? UInt64.max : bits.addingReportingOverflow(fraction).partialValue
        if total == 0 { return 0 }
        if total < least { throw .invalid("rate \"\(text)\" is too low: 8kbit is the least, 0 is no limit") }
        if total > most { throw .invalid("rate \"\(text)\" is too high: 1tbit is the most, 0 is no limit") }
        return total
    }
}
