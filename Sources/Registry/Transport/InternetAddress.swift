import Glibc

/// An IP address written as text, for rules about networks.
///
/// C function: `inet_pton(3)`.
enum InternetAddress: Sendable, Hashable {
    /// In host order.
    case v4(UInt32)
    /// 16 bytes.
    case v6([UInt8])

    /// Nil when the text is no address in its usual form. An IPv4 address in an IPv6 one (`::ffff:1.2.3.4`) is IPv4.
    init?(_ text: String) {
        var four = in_addr()
        if inet_pton(AF_INET, text, &four) == 1 {
            self = .v4(UInt32(bigEndian: four.s_addr))
            return
        }
        var six = in6_addr()
        guard inet_pton(AF_INET6, text, &six) == 1 else { return nil }
        let bytes = withUnsafeBytes(of: &six) { Array($0) }
        if bytes[..<10].allSatisfy({ $0 == 0 }), bytes[10] == 0xFF, bytes[11] == 0xFF {
            self = .v4(bytes[12...].reduce(0) { $0 << 8 | UInt32($1) })
        } else {
            self = .v6(bytes)
        }
    }

    /// Whether this is one of the addresses of `network` with its first `bits` bits.
    func isIn(_ network: InternetAddress, bits: Int) -> Bool {
        switch (self, network) {
        case (.v4(let mine), .v4(let theirs)):
            return bits == 0 || (1...32).contains(bits) && (mine ^ theirs) >> UInt32(32 - bits) == 0
        case (.v6(let mine), .v6(let theirs)):
            guard (0...128).contains(bits) else { return false }
            for bit in 0..<bits where (mine[bit / 8] ^ theirs[bit / 8]) >> UInt8(7 - bit % 8) & 1 == 1 { return false }
            return true
        default: return false
        }
    }
}
