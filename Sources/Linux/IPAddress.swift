import Glibc

/// An IPv4 or IPv6 address.
public struct IPAddress: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// In network order: 4 or 16.
    public let bytes: [UInt8]

    public var isIPv6: Bool { bytes.count == 16 }
    /// 32 or 128.
    public var bits: Int { bytes.count * 8 }

    /// Nil unless there are 4 or 16 bytes.
    public init?(bytes: [UInt8]) {
        guard bytes.count == 4 || bytes.count == 16 else { return nil }
        self.bytes = bytes
    }

    init(four: (UInt8, UInt8, UInt8, UInt8)) { bytes = [four.0, four.1, four.2, four.3] }

    /// Nil when the text is no address in its usual form; zones (`%eth0`) are none.
    ///
    /// C function: `inet_pton(3)`.
    public init?(_ text: String) {
        var four = in_addr()
        if inet_pton(AF_INET, text, &four) == 1 {
            bytes = withUnsafeBytes(of: &four) { Array($0) }
            return
        }
        var six = in6_addr()
        guard inet_pton(AF_INET6, text, &six) == 1 else { return nil }
        bytes = withUnsafeBytes(of: &six) { Array($0) }
    }

    /// The usual form: `172.18.0.2`, `fd00::2` (RFC 5952, C function: `inet_ntop(3)`).
    public var description: String {
        var text = [CChar](repeating: 0, count: 46)
        let made = bytes.withUnsafeBytes { source in
            inet_ntop(isIPv6 ? AF_INET6 : AF_INET, source.baseAddress, &text, socklen_t(46)) != nil
        }
        return made ? String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self) : ""
    }

    /// IPv4 before IPv6, then by number.
    public static func < (left: IPAddress, right: IPAddress) -> Bool {
        if left.bytes.count != right.bytes.count { return left.bytes.count < right.bytes.count }
        return left.bytes.lexicographicallyPrecedes(right.bytes)
    }

    /// The address so many after this one; nil behind the last.
    public func advanced(by count: UInt64) -> IPAddress? {
        var result = bytes
        var carry = count
        for index in result.indices.reversed() where carry != 0 {
            let sum = UInt64(result[index]) + (carry & 0xff)
            result[index] = UInt8(truncatingIfNeeded: sum)
            carry = (carry >> 8) + (sum >> 8)
        }
        return carry == 0 ? IPAddress(bytes: result) : nil
    }

    /// All zeros: `0.0.0.0`, `::`.
    public var isUnspecified: Bool { bytes.allSatisfy { $0 == 0 } }
    public var isLoopback: Bool { isIPv6 ? bytes.dropLast().allSatisfy { $0 == 0 } && bytes[15] == 1 : bytes[0] == 127 }
}

/// An address with the length of its network's part: `172.18.0.2/16`. Bits behind that length are kept.
public struct IPPrefix: Sendable, Hashable, CustomStringConvertible {
    public let address: IPAddress
    /// 0 to 32 or 128.
    public let length: Int

    /// Nil when the length does not fit the address.
    public init?(_ address: IPAddress, length: Int) {
        guard (0...address.bits).contains(length) else { return nil }
        self.address = address
        self.length = length
    }

    /// Nil unless the text is `ADDRESS/LENGTH`.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let address = IPAddress(String(parts[0])), let length = UInt8(parts[1]),
            parts[1].utf8.allSatisfy({ (48...57).contains($0) })
        else { return nil }
        self.init(address, length: Int(length))
    }

    public var description: String { "\(address)/\(length)" }
    public var isIPv6: Bool { address.isIPv6 }

    /// The first address of the network, with the same length.
    public var network: IPPrefix { masked(hostBits: 0) }
    /// The last address of the network (IPv4: the one for broadcasts).
    public var last: IPAddress { masked(hostBits: 0xff).address }

    private func masked(hostBits: UInt8) -> IPPrefix {
        var bytes = address.bytes
        for index in bytes.indices {
            let kept = max(0, min(8, length - index * 8))
            let mask = kept == 0 ? 0 : UInt8(truncatingIfNeeded: 0xff00 >> kept)
            bytes[index] = bytes[index] & mask | hostBits & ~mask
        }
        guard let address = IPAddress(bytes: bytes), let result = IPPrefix(address, length: length) else { return self }
        return result
    }

    public func contains(_ other: IPAddress) -> Bool {
        guard other.isIPv6 == isIPv6, let there = IPPrefix(other, length: length) else { return false }
        return there.network.address == network.address
    }

    /// Whether any address is in both.
    public func overlaps(_ other: IPPrefix) -> Bool {
        length <= other.length ? contains(other.address) : other.contains(address)
    }
}

/// The address of a network device: six bytes.
public struct MACAddress: Sendable, Hashable, CustomStringConvertible {
    public let bytes: [UInt8]

    /// Nil unless there are six bytes.
    public init?(bytes: [UInt8]) {
        guard bytes.count == 6 else { return nil }
        self.bytes = bytes
    }

    /// Nil unless the text is six pairs of hexadecimal digits with colons or dashes between.
    public init?(_ text: String) {
        let parts = text.split(omittingEmptySubsequences: false) { $0 == ":" || $0 == "-" }
        let bytes = parts.compactMap { $0.utf8.count == 2 && $0.first != "+" ? UInt8($0, radix: 16) : nil }
        guard parts.count == 6 else { return nil }
        self.init(bytes: bytes)
    }

    public var description: String {
        let digits = Array("0123456789abcdef")
        return bytes.map { "\(digits[Int($0 >> 4)])\(digits[Int($0 & 15)])" }.joined(separator: ":")
    }
}
