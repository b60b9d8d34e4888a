/// A domain name as messages carry it: labels with their lengths before them, the root's empty one last. Case is kept.
///
/// Spec: RFC 1035 section 3.1; the case is sent back as it came (draft-vixie-dnsext-dns0x20).
public struct DNSName: Sendable, Hashable {
    /// At most 255 bytes, without compression.
    public let wire: [UInt8]

    public static let root = DNSName(checked: [0])

    /// - Parameter checked: labels of 1 to 63 bytes and the empty one, 255 bytes together at most.
    init(checked: [UInt8]) { wire = checked }

    /// Nil when the text cannot be one: an empty label, one over 63 bytes, 255 bytes in all. A last dot may stand or not.
    public init?(_ text: some Sequence<UInt8>) {
        var wire: [UInt8] = [0]
        var start = 0
        var isRoot = true
        for byte in text {
            guard wire.count < 256 else { return nil }
            if byte == UInt8(ascii: ".") {
                guard wire[start] > 0 else { return nil }
                start = wire.count
                wire.append(0)
            } else {
                guard wire[start] < 63 else { return nil }
                wire[start] += 1
                wire.append(byte)
                isRoot = false
            }
        }
        if wire[start] != 0 { wire.append(0) }
        guard !isRoot, wire.count <= 255 else { return nil }
        self.wire = wire
    }

    public init?(_ text: String) { self.init(text.utf8) }

    /// As text in small letters without a last dot: what names of containers are compared with. Nil for the root, and where a
    /// label has a byte that such a name cannot have: a dot (`web\.net` is not `web.net`), a blank, a control character.
    public var folded: [UInt8]? {
        guard wire.count > 2 else { return nil }
        // Of the wire's bytes all but the first length and the last: lengths become dots.
        var text = Array(wire[1..<(wire.count - 1)])
        var dot = Int(wire[0])
        for place in text.indices {
            let byte = text[place]
            if place == dot {
                dot += 1 + Int(byte)
                text[place] = UInt8(ascii: ".")
            } else {
                guard byte > 0x20, byte != 0x7f, byte != UInt8(ascii: ".") else { return nil }
                text[place] = DNSName.fold(byte)
            }
        }
        return dot == text.count ? text : nil
    }

    /// Whether two names are one: capital letters of ASCII are the small ones (RFC 4343).
    public func isSame(as other: DNSName) -> Bool {
        guard wire.count == other.wire.count else { return false }
        // A length is at most 63, and no letter is: folding leaves lengths alone.
        for index in wire.indices where DNSName.fold(wire[index]) != DNSName.fold(other.wire[index]) { return false }
        return true
    }

    @inline(__always) static func fold(_ byte: UInt8) -> UInt8 {
        byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z") ? byte | 0x20 : byte
    }
}

extension DNSName {
    /// The address that a name below `in-addr.arpa` or `ip6.arpa` stands for, its bytes in network order.
    ///
    /// Spec: RFC 1035 section 3.5, RFC 3596 section 2.5.
    public static func address(reverse folded: [UInt8]) -> [UInt8]? {
        if let labels = labels(of: folded, below: ".in-addr.arpa"), labels.count == 4 {
            let bytes = labels.reversed().compactMap(number)
            return bytes.count == 4 ? bytes : nil
        }
        guard let labels = labels(of: folded, below: ".ip6.arpa"), labels.count == 32 else { return nil }
        let digits: [UInt8] = labels.reversed().compactMap { label in
            guard label.count == 1, let digit = label.first else { return nil }
            switch digit {
            case 48...57: return digit - 48
            case 97...102: return digit - 87
            default: return nil
            }
        }
        guard digits.count == 32 else { return nil }
        return (0..<16).map { digits[2 * $0] << 4 | digits[2 * $0 + 1] }
    }

    /// The name that is asked for to learn an address's name, as text.
    public static func reverse(_ address: [UInt8]) -> [UInt8] {
        if address.count == 4 {
            return Array((address.reversed().map { "\($0)" }.joined(separator: ".") + ".in-addr.arpa").utf8)
        }
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        for byte in address.reversed() { text += [digits[Int(byte & 15)], 46, digits[Int(byte >> 4)], 46] }
        return text + Array("ip6.arpa".utf8)
    }

    private static func labels(of folded: [UInt8], below zone: StaticString) -> [ArraySlice<UInt8>]? {
        let size = zone.utf8CodeUnitCount
        guard folded.count > size, zone.withUTF8Buffer({ folded.suffix(size).elementsEqual($0) }) else { return nil }
        return folded.dropLast(size).split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    }

    private static func number(_ label: ArraySlice<UInt8>) -> UInt8? {
        guard (1...3).contains(label.count), label.count == 1 || label.first != 48 else { return nil }
        var value = 0
        for digit in label {
            guard (48...57).contains(digit) else { return nil }
            value = value * 10 + Int(digit - 48)
        }
        return UInt8(exactly: value)
    }
}
