import Linux

/// A set or map of the table: what its keys and values are made of.
struct FirewallSet: Hashable {
    /// Numbers by which nft(8) knows types.
    enum Field: UInt32 {
        case ipv4 = 7, ipv6 = 8, transport = 12, port = 13, device = 41

        private var bytes: UInt32 {
            switch self {
            case .ipv4: 4
            case .ipv6, .device: 16
            case .transport: 1
            case .port: 2
            }
        }

        /// Fields beside others are filled up to registers of four bytes.
        func length(in count: Int) -> UInt32 { count == 1 ? bytes : (bytes + 3) & ~3 }
    }

    let name: String
    let key: [Field]
    var data: [Field] = []
    /// Keys are ranges: each a beginning and an end that does not belong to it.
    var isInterval = false

    var flags: UInt32 { (isInterval ? 4 : 0) | (data.isEmpty ? 0 : 8) }
}

/// An element of a set or map.
struct FirewallElement: Hashable {
    var key: [UInt8]
    var data: [UInt8] = []
    /// Shown by nft(8) as the element's comment: whose it is.
    var comment = ""
    /// The first key behind a range.
    var isEnd = false

    init(key: [UInt8], data: [UInt8] = [], comment: String = "", isEnd: Bool = false) {
        self.key = key
        self.data = data
        self.comment = comment
        self.isEnd = isEnd
    }

    /// From NFT_MSG_NEWSETELEM.
    init(_ bytes: [UInt8]) {
        self.init(key: [])
        for (type, value) in NetlinkBytes.attributes(bytes) {
            switch type {
            case 1 /* NFTA_SET_ELEM_KEY */: key = NetlinkBytes.attributes(value).first?.value ?? []
            case 2 /* NFTA_SET_ELEM_DATA */: data = NetlinkBytes.attributes(value).first?.value ?? []
            case 3 /* NFTA_SET_ELEM_FLAGS */: isEnd = UInt32(bigEndian: NetlinkBytes.read(value, 0, UInt32.self)) & 1 != 0
            case 6 /* NFTA_SET_ELEM_USERDATA */:
                // One byte type, one byte length, and for a comment text with its end.
                if value.count > 2, value[0] == 0, Int(value[1]) <= value.count - 2 { comment = NetlinkBytes.text(Array(value[2...])) }
            default: break
            }
        }
    }

    func write(to list: inout NetlinkBytes, keyOnly: Bool) {
        list.nested(1 /* NFTA_LIST_ELEM */) { element in
            if isEnd { element.attribute(3, bigEndian: 1 /* NFT_SET_ELEM_INTERVAL_END */) }
            element.nested(1) { $0.attribute(1 /* NFTA_DATA_VALUE */, key) }
            if keyOnly { return }
            if !data.isEmpty { element.nested(2) { $0.attribute(1, data) } }
            if !comment.isEmpty {
                let text = Array(comment.utf8.prefix(120))
                element.attribute(6, [0, UInt8(text.count + 1)] + text + [0])
            }
        }
    }

    /// A device's name as the firewall compares it: 16 bytes.
    static func device(_ name: String) -> [UInt8] {
        let bytes = Array(name.utf8.prefix(15))
        return bytes + [UInt8](repeating: 0, count: 16 - bytes.count)
    }

    /// Both ends of a subnet.
    static func range(_ prefix: IPPrefix) -> [FirewallElement] {
        let first = FirewallElement(key: prefix.network.address.bytes)
        // A range to the very last address has no end.
        guard let behind = prefix.last.advanced(by: 1) else { return [first] }
        return [first, FirewallElement(key: behind.bytes, isEnd: true)]
    }
}
