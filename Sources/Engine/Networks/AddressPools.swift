import Linux
import Store

/// Where subnets of IPv4 are taken from that nobody named (`[network] pools`).
public struct AddressPools: Sendable, Equatable {
    public struct Pool: Sendable, Equatable {
        public var base: IPPrefix
        /// Length of each subnet.
        public var length: Int
    }

    public var pools: [Pool]

    /// Docker's, then room for 4,096 more networks.
    public static let standard: AddressPools = {
        let text =
            "172.17.0.0/16:16, 172.18.0.0/15:16, 172.20.0.0/14:16, 172.24.0.0/13:16, 192.168.0.0/16:20, 10.208.0.0/12:24"
        return (try? AddressPools(text)) ?? AddressPools(pools: [])
    }()

    init(pools: [Pool]) { self.pools = pools }

    /// Reads `BASE/LENGTH:SUBNET-LENGTH`, separated by commas.
    init(_ text: String) throws(EngineError) {
        pools = []
        for word in text.split(separator: ",") {
            let word = String(word.filter { $0 != " " })
            guard let (base, size) = word.splitOnce(":"), let prefix = IPPrefix(String(base)), !prefix.isIPv6,
                let length = Numbers.unsigned(size), prefix.length <= length, length <= 31
            else {
                throw .invalid("invalid pool \"\(word)\": write it as 172.18.0.0/15:16, the addresses and the length of each subnet")
            }
            pools.append(Pool(base: prefix.network, length: Int(length)))
        }
        if pools.isEmpty { throw .invalid("no pool is given") }
    }

    /// The first subnet that overlaps no other network and no route of the host.
    func choose(
        routes: [IPPrefix], isTaken: (IPPrefix) throws(StoreError) -> Bool
    ) throws(StoreError) -> IPPrefix? {
        for pool in pools {
            var address: IPAddress? = pool.base.address
            while let first = address, pool.base.contains(first), let subnet = IPPrefix(first, length: pool.length) {
                if try !isTaken(subnet), !routes.contains(where: { $0.overlaps(subnet) }) { return subnet }
                address = subnet.last.advanced(by: 1)
            }
        }
        return nil
    }

    /// The first subnet of 64 bits below the store's own prefix (RFC 4193: 48 bits, of which 40 are random).
    static func chooseIPv6(
        _ subnets: Store.Subnets, routes: [IPPrefix]
    ) throws(StoreError) -> IPPrefix? {
        let prefix = try subnets.prefix(ipv6: true) { [0xfd] + randomBytes(5) }
        guard prefix.count == 6 else { throw StoreError(.corrupt, "choose subnet", cause: "the store's prefix is damaged") }
        for number in 0...UInt16.max {
            let bytes = prefix + [UInt8(number >> 8), UInt8(number & 0xff)] + [UInt8](repeating: 0, count: 8)
            guard let address = IPAddress(bytes: bytes), let subnet = IPPrefix(address, length: 64) else { continue }
            if try !subnets.isTaken(subnet), !routes.contains(where: { $0.overlaps(subnet) }) { return subnet }
        }
        return nil
    }
}
