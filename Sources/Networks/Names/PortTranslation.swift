import CLinux
import Glibc
import Linux

/// Rules in a container's network namespace by which one address's port 53 is another port of it.
///
/// The resolver does not bind port 53: a name server in the container that binds 0.0.0.0:53 would find it in use. Both ways
/// only a port is rewritten, packet by packet: no NAT and no connection tracking, which would cost all of the container's
/// traffic. Questions are rewritten before connection tracking would see them and answers after it has (a container may have
/// rules of its own), so that it sees one port only.
///
/// Kernel: nf_tables (Linux 3.13; payload rewriting 4.5); include/uapi/linux/netfilter/nf_tables.h.
public enum PortTranslation {
    static let table = "berth-names"

    /// Writes the rules into the calling thread's network namespace, instead of those that are there.
    ///
    /// - Parameters:
    ///   - address: four bytes.
    ///   - from: what clients ask.
    ///   - to: what is bound.
    public static func install(address: [UInt8], from: UInt16, to: UInt16) throws(SystemError) {
        let socket = OwnedFD(
            owning: try check(cl_socket(16 /* AF_NETLINK */, 3 /* SOCK_RAW */, 12 /* NETLINK_NETFILTER */), "open nftables"))
        do throws(SystemError) {
            try send(rules(address, from, to, replacing: false), socket.fd)
        } catch {
            guard error.errno == .exists else { throw error }
            try send(rules(address, from, to, replacing: true), socket.fd)
        }
    }

    /// One transaction: all of it or nothing.
    private static func send(_ batch: Batch, _ socket: FD) throws(SystemError) {
        try socket.send(batch.bytes)
        // Each message that fails is told, and the last one's success is asked for.
        while true {
            let answer = try socket.receive(limit: 16 << 10)
            var offset = 0
            while answer.bytes.count - offset >= 20 {
                let length = Int(NetlinkBytes.read(answer.bytes, offset, UInt32.self))
                guard length >= 20, NetlinkBytes.read(answer.bytes, offset + 4, UInt16.self) == 2 /* NLMSG_ERROR */ else { break }
                let code = NetlinkBytes.read(answer.bytes, offset + 16, Int32.self)
                if code != 0 { throw SystemError(Errno(rawValue: -code), "write nftables rules", table) }
                if NetlinkBytes.read(answer.bytes, offset + 8, UInt32.self) == batch.last { return }
                offset += (length + 3) & ~3
            }
        }
    }

    private static func rules(_ address: [UInt8], _ from: UInt16, _ to: UInt16, replacing: Bool) -> Batch {
        var batch = Batch()
        batch.begin()
        let name = attribute(1, table)
        batch.message(0 /* NEWTABLE */, flags: 0x400 | (replacing ? 0 : 0x200) /* CREATE, EXCL */, name)
        if replacing {
            batch.message(2 /* DELTABLE */, flags: 0, name)
            batch.message(0, flags: 0x400, name)
        }
        // Before connection tracking (-200) and what is called raw (-300); after source NAT (100).
        batch.message(3 /* NEWCHAIN */, flags: 0x400, name + chain("questions", hook: 3 /* output */, priority: -310))
        batch.message(3, flags: 0x400, name + chain("answers", hook: 4 /* postrouting */, priority: 310))
        let transports: [(UInt8, UInt32)] = [(17, 6), (6, 16)]  // UDP and TCP, and where their checksums are
        for (index, (number, checksum)) in transports.enumerated() {
            let isLast = index == transports.count - 1
            batch.message(
                6 /* NEWRULE */, flags: 0xc00,
                name + attribute(2, "questions")
                    + expressions(address, at: 16, number, port: from, at: 2, becomes: to, checksum: checksum))
            batch.message(
                6, flags: 0xc00 | (isLast ? 4 : 0) /* CREATE, APPEND, ACK */,
                name + attribute(2, "answers") + expressions(address, at: 12, number, port: to, at: 0, becomes: from, checksum: checksum))
        }
        batch.end()
        return batch
    }

    private static func chain(_ name: String, hook: UInt32, priority: Int32) -> [UInt8] {
        attribute(3, name)
            + nested(4, attribute(1, big: hook) + attribute(2, big: UInt32(bitPattern: priority)))
            + attribute(7, "filter")
    }

    /// The address first: it is another one in almost all packets.
    private static func expressions(
        _ address: [UInt8], at place: UInt32, _ transport: UInt8, port: UInt16, at portPlace: UInt32, becomes: UInt16, checksum: UInt32
    ) -> [UInt8] {
        let load = { (base: UInt32, offset: UInt32, length: UInt32) in
            expression(
                "payload", attribute(1, big: 1) + attribute(2, big: base) + attribute(3, big: offset) + attribute(4, big: length))
        }
        let equals = { (value: [UInt8]) in
            expression("cmp", attribute(1, big: 1) + attribute(2, big: 0) + nested(3, attribute(1, value)))
        }
        let written =
            attribute(5, big: 1) + attribute(2, big: 2) + attribute(3, big: portPlace) + attribute(4, big: 2) + attribute(6, big: 1)
            + attribute(7, big: checksum)
        let list =
            load(1, place, 4) + equals(address)
            + expression("meta", attribute(2, big: 16 /* L4PROTO */) + attribute(1, big: 1)) + equals([transport])
            + load(2, portPlace, 2) + equals([UInt8(port >> 8), UInt8(port & 0xff)])
            + expression("immediate", attribute(1, big: 1) + nested(2, attribute(1, [UInt8(becomes >> 8), UInt8(becomes & 0xff)])))
            + expression("payload", written)
        return nested(4, list)
    }

    private static func expression(_ name: String, _ data: [UInt8]) -> [UInt8] { nested(1, attribute(1, name) + nested(2, data)) }

    private static func attribute(_ type: UInt16, _ value: [UInt8]) -> [UInt8] {
        var out = NetlinkBytes()
        out.attribute(type, value)
        return out.bytes
    }

    private static func attribute(_ type: UInt16, _ text: String) -> [UInt8] { attribute(type, Array(text.utf8) + [0]) }
    private static func nested(_ type: UInt16, _ value: [UInt8]) -> [UInt8] { attribute(type | 0x8000, value) }
    private static func attribute(_ type: UInt16, big value: UInt32) -> [UInt8] {
        attribute(type, withUnsafeBytes(of: value.bigEndian) { Array($0) })
    }

    /// Messages that take effect together.
    private struct Batch {
        private var out = NetlinkBytes()
        private var sequence: UInt32 = 0
        /// The message whose success is asked for.
        private(set) var last: UInt32 = 0
        var bytes: [UInt8] { out.bytes }

        mutating func begin() { put(16, flags: 0, family: 0, resource: 10, []) }
        mutating func end() { put(17, flags: 0, family: 0, resource: 10, []) }

        mutating func message(_ type: UInt16, flags: UInt16, _ attributes: [UInt8]) {
            put(10 << 8 | type, flags: flags, family: 2 /* IPv4 */, resource: 0, attributes)
            if flags & 4 != 0 { last = sequence }
        }

        private mutating func put(_ type: UInt16, flags: UInt16, family: UInt8, resource: UInt16, _ attributes: [UInt8]) {
            sequence += 1
            out.append(UInt32(20 + attributes.count))
            out.append(type)
            out.append(flags | 1)
            out.append(sequence)
            out.append(UInt32(0))
            out.append(family)
            out.append(UInt8(0))
            out.append(resource.bigEndian)
            out.bytes += attributes
        }
    }
}
