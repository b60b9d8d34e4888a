import Linux

/// One step of a rule: reads into registers, compares them, or decides.
///
/// A register holds 16 bytes; it may also be named by fours (`REG32`), which keys of several fields need.
/// Kernel: /usr/include/linux/netfilter/nf_tables.h. The comments beside are the syntax of nft(8).
enum Expression {
    /// A field of the packet's circumstances (NFT_META_…).
    case meta(Meta, Register)
    case payload(Base, offset: UInt32, length: UInt32, Register)
    /// Changes a field of the packet, and with it the checksum at an offset of the transport's header (Linux 4.5).
    case rewrite(Base, offset: UInt32, length: UInt32, Register, checksum: UInt32)
    case value(Register, [UInt8])
    /// Whether the packet is for a socket that speaks with another's address (`socket transparent`): one byte. Linux 4.18.
    case transparentSocket(Register)
    case setMark(Register)
    /// A field of the tracked connection.
    case conntrack(Conntrack, Register)
    /// What kind of address the packet is for (`fib daddr type`).
    case destinationType(Register)
    case compare(Register, isEqual: Bool, [UInt8])
    /// `register & mask`, of four bytes.
    case mask(Register, UInt32)
    case lookup(String, Register, isInverted: Bool)
    /// Looks a value up; what is found stands in the same register afterwards.
    case map(String, Register)
    case destinationNAT(isIPv6: Bool, address: Register, port: Register)
    case masquerade
    case counter
    case verdict(Verdict)

    enum Meta: UInt32 { case inputName = 6, outputName = 7, networkProtocol = 15, transport = 16 }
    enum Base: UInt32 { case network = 1, transport = 2 }
    enum Conntrack: UInt32 { case state = 0, status = 2 }
    enum Verdict { case accept, drop, jump(String) }

    struct Register: RawRepresentable {
        let rawValue: UInt32
        static let first = Register(rawValue: 1), second = Register(rawValue: 2)
        /// One of the sixteen of four bytes: 0 to 3 are ``first``, 4 to 7 are ``second``.
        static func four(_ number: UInt32) -> Register { Register(rawValue: 8 + number) }
    }

    private var name: String {
        switch self {
        case .meta, .setMark: "meta"
        case .transparentSocket: "socket"
        case .payload, .rewrite: "payload"
        case .conntrack: "ct"
        case .destinationType: "fib"
        case .compare: "cmp"
        case .mask: "bitwise"
        case .lookup, .map: "lookup"
        case .destinationNAT: "nat"
        case .masquerade: "masq"
        case .counter: "counter"
        case .verdict, .value: "immediate"
        }
    }

    func write(to list: inout NetlinkBytes) {
        list.nested(1 /* NFTA_LIST_ELEM */) { element in
            element.attribute(1 /* NFTA_EXPR_NAME */, name)
            element.nested(2 /* NFTA_EXPR_DATA */) { writeData(&$0) }
        }
    }

    private func writeData(_ data: inout NetlinkBytes) {
        switch self {
        case .meta(let key, let register):
            data.attribute(2, bigEndian: key.rawValue)
            data.attribute(1, bigEndian: register.rawValue)
        case .payload(let base, let offset, let length, let register):
            data.attribute(1, bigEndian: register.rawValue)
            data.attribute(2, bigEndian: base.rawValue)
            data.attribute(3, bigEndian: offset)
            data.attribute(4, bigEndian: length)
        case .rewrite(let base, let offset, let length, let register, let checksum):
            data.attribute(5, bigEndian: register.rawValue)
            data.attribute(2, bigEndian: base.rawValue)
            data.attribute(3, bigEndian: offset)
            data.attribute(4, bigEndian: length)
            data.attribute(6, bigEndian: 1 /* NFT_PAYLOAD_CSUM_INET */)
            data.attribute(7, bigEndian: checksum)
        case .value(let register, let value):
            data.attribute(1, bigEndian: register.rawValue)
            data.nested(2) { $0.attribute(1 /* NFTA_DATA_VALUE */, value) }
        case .transparentSocket(let register):
            data.attribute(1, bigEndian: 0 /* NFT_SOCKET_TRANSPARENT */)
            data.attribute(2, bigEndian: register.rawValue)
        case .setMark(let register):
            data.attribute(2, bigEndian: 3 /* NFT_META_MARK */)
            data.attribute(3, bigEndian: register.rawValue)
        case .conntrack(let key, let register):
            data.attribute(2, bigEndian: key.rawValue)
            data.attribute(1, bigEndian: register.rawValue)
        case .destinationType(let register):
            data.attribute(3, bigEndian: 2 /* NFTA_FIB_F_DADDR */)
            data.attribute(2, bigEndian: 3 /* NFT_FIB_RESULT_ADDRTYPE */)
            data.attribute(1, bigEndian: register.rawValue)
        case .compare(let register, let isEqual, let value):
            data.attribute(1, bigEndian: register.rawValue)
            data.attribute(2, bigEndian: isEqual ? 0 : 1)
            data.nested(3) { $0.attribute(1 /* NFTA_DATA_VALUE */, value) }
        case .mask(let register, let mask):
            var value = NetlinkBytes()
            value.append(mask)
            data.attribute(1, bigEndian: register.rawValue)
            data.attribute(2, bigEndian: register.rawValue)
            data.attribute(3, bigEndian: 4)
            data.nested(4) { $0.attribute(1, value.bytes) }
            data.nested(5) { $0.attribute(1, [0, 0, 0, 0]) }
        case .lookup(let set, let register, let isInverted):
            data.attribute(1, set)
            data.attribute(2, bigEndian: register.rawValue)
            if isInverted { data.attribute(5, bigEndian: 1) }
        case .map(let set, let register):
            data.attribute(1, set)
            data.attribute(2, bigEndian: register.rawValue)
            data.attribute(3, bigEndian: register.rawValue)
        case .destinationNAT(let isIPv6, let address, let port):
            data.attribute(1, bigEndian: 1 /* NFT_NAT_DNAT */)
            data.attribute(2, bigEndian: isIPv6 ? 10 : 2)
            data.attribute(3, bigEndian: address.rawValue)
            data.attribute(5, bigEndian: port.rawValue)
        case .masquerade, .counter: break
        case .verdict(let verdict):
            data.attribute(1, bigEndian: 0 /* NFT_REG_VERDICT */)
            data.nested(2) { data in data.nested(2 /* NFTA_DATA_VERDICT */) { verdict.write(to: &$0) } }
        }
    }
}

extension Expression.Verdict {
    fileprivate func write(to data: inout NetlinkBytes) {
        switch self {
        case .drop: data.attribute(1, bigEndian: 0)
        case .accept: data.attribute(1, bigEndian: 1)
        case .jump(let chain):
            data.attribute(1, bigEndian: UInt32(bitPattern: -3))
            data.attribute(2, chain)
        }
    }
}
