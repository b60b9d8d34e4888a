import Linux
import Store

/// What a door asks for when it makes a network: the texts as given.
public struct NetworkRequest: Sendable {
    public var name: String
    /// Empty: bridge.
    public var driver = ""
    public var subnets: [String] = []
    public var gateways: [String] = []
    public var ranges: [String] = []
    public var auxiliary: [String: String] = [:]
    public var ipamDriver = ""
    public var ipamOptions: [String: String] = [:]
    public var enablesIPv4 = true
    public var enablesIPv6 = false
    public var isInternal = false
    public var isAttachable = false
    public var labels: [String: String] = [:]
    public var options: [String: String] = [:]
    public var dns: [String] = []
    /// `DESTINATION,GATEWAY[,METRIC]`.
    public var routes: [String] = []
    public var hidesNames = false

    public init(name: String) { self.name = name }
}

extension NetworkRequest {
    /// The definition without the subnets that berth has to choose.
    ///
    /// - Throws: `.invalid` with one sentence, Docker's where it has one.
    func definition(id: String) throws(EngineError) -> NetworkDefinition {
        if name.isEmpty { throw .invalid("network name cannot be empty") }
        guard isObjectName(name) else {
            throw .invalid("invalid network name \"\(name)\": only [a-zA-Z0-9][a-zA-Z0-9_.-]* are allowed")
        }
        if PredefinedNetwork(rawValue: name) != nil || name == "default" {
            throw EngineError(.permission, sentence: "operation is not permitted on predefined \(name) network")
        }
        var result = NetworkDefinition(id: id, name: name)
        result.driver = try knownDriver().rawValue
        result.subnets = try namedSubnets()
        result.enablesIPv4 = enablesIPv4
        // A subnet of IPv6 is there to be used.
        result.enablesIPv6 = enablesIPv6 || result.subnets.contains { $0.subnet.isIPv6 }
        if !result.enablesIPv4, !result.enablesIPv6 { throw .invalid("IPv4 or IPv6 must be enabled") }
        if !enablesIPv4, let subnet = result.subnets.first(where: { !$0.subnet.isIPv6 }) {
            throw .invalid("conflicting options: --ipv4=false and the IPv4 subnet \(subnet.subnet)")
        }
        result.isInternal = isInternal
        result.isAttachable = isAttachable
        result.labels = labels
        result.options = options
        result.ipamOptions = ipamOptions
        _ = try DriverOptions(result)
        if result.driver == NetworkDriver.vxlan.rawValue { try shareSubnets(&result.subnets) }
        for text in dns where IPAddress(text) == nil { throw .invalid("invalid IP address: \(text)") }
        result.dns = dns
        result.routes = try routes.map { (text) throws(EngineError) in try NetworkRoute(text, in: result.subnets) }
        result.hidesNames = hidesNames
        return result
    }

    private func knownDriver() throws(EngineError) -> NetworkDriver {
        guard ["", "default", "host-local"].contains(ipamDriver) else {
            throw .invalid("unknown IPAM driver \"\(ipamDriver)\": use default")
        }
        if let known = NetworkDriver(rawValue: driver) { return known }
        switch driver {
        case "", "default": return .bridge
        case "host", "null", "none":
            throw EngineError(.permission, sentence: "only one instance of \"\(driver == "none" ? "null" : driver)\" network is allowed")
        default:
            let known = NetworkDriver.allCases.map(\.rawValue).joined(separator: ", ")
            throw .invalid("unknown network driver \"\(driver)\": use one of \(known)")
        }
    }

    // MARK: Subnets

    /// Of a network of several hosts: all have its subnets, and each its own part and its own gateway.
    private func shareSubnets(_ subnets: inout [NetworkSubnet]) throws(EngineError) {
        if subnets.isEmpty {
            throw .invalid("driver vxlan needs --subnet, the same on all hosts, and --ip-range, the part of it that this host gives out")
        }
        for index in subnets.indices where !gateways.contains(where: { IPAddress($0) == subnets[index].gateway }) {
            guard let range = subnets[index].range else { continue }
            let gateway = range == subnets[index].subnet ? NetworkRequest.usualGateway(of: range) : subnets[index].addresses.first
            if subnets[index].auxiliary.values.contains(gateway) {
                throw .invalid("auxiliary address \(gateway) is the gateway of this host: choose another with --gateway")
            }
            subnets[index].gateway = gateway
        }
    }

    private func namedSubnets() throws(EngineError) -> [NetworkSubnet] {
        var result: [NetworkSubnet] = []
        for text in subnets {
            guard let prefix = IPPrefix(text) else { throw .invalid("invalid subnet \(text): invalid CIDR block notation") }
            if prefix != prefix.network { throw .invalid("invalid subnet \(text): it should be \(prefix.network)") }
            let longest = prefix.address.bits - 1
            guard (1...longest).contains(prefix.length) else {
                throw .invalid("invalid subnet \(text): its length must be from 1 to \(longest)")
            }
            if result.contains(where: { $0.subnet.overlaps(prefix) }) {
                throw .invalid("multiple overlapping subnet configuration is not supported")
            }
            result.append(NetworkSubnet(prefix, gateway: NetworkRequest.usualGateway(of: prefix)))
        }
        if result.isEmpty, !ranges.isEmpty || !gateways.isEmpty || !auxiliary.isEmpty {
            throw .invalid("every ip-range or gateway must have a corresponding subnet")
        }
        try readRanges(&result)
        try readGateways(&result)
        try readAuxiliary(&result)
        for subnet in result where subnet.auxiliary.values.contains(subnet.gateway) {
            throw .invalid("auxiliary address \(subnet.gateway) is the gateway of subnet \(subnet.subnet): choose another with --gateway")
        }
        return result
    }

    /// The subnet's first address that a device may have.
    static func usualGateway(of subnet: IPPrefix) -> IPAddress {
        let first = subnet.network.address
        return subnet.length == first.bits - 1 ? first : first.advanced(by: 1) ?? first
    }

    private func readRanges(_ result: inout [NetworkSubnet]) throws(EngineError) {
        for text in ranges {
            guard let range = IPPrefix(text)?.network else { throw .invalid("invalid ip-range \(text): invalid CIDR block notation") }
            guard let index = result.firstIndex(where: { $0.subnet.contains(range.address) && $0.subnet.length <= range.length })
            else { throw .invalid("no matching subnet for range \(text)") }
            if let other = result[index].range {
                throw .invalid("cannot configure multiple ranges (\(text), \(other)) on the same subnet (\(result[index].subnet))")
            }
            result[index].range = range
        }
    }

    private func readGateways(_ result: inout [NetworkSubnet]) throws(EngineError) {
        var given: [IPPrefix: IPAddress] = [:]
        for text in gateways {
            guard let address = IPAddress(text) else { throw .invalid("invalid gateway \(text): not an IP address") }
            guard let index = result.firstIndex(where: { $0.subnet.contains(address) }) else {
                throw .invalid("no matching subnet for gateway \(text)")
            }
            let subnet = result[index].subnet
            if let other = given[subnet] {
                throw .invalid("cannot configure multiple gateways (\(text), \(other)) for the same subnet (\(subnet))")
            }
            guard NetworkSubnet.isHost(address, in: subnet) else {
                throw .invalid("invalid gateway \(text): it is the first or last address of subnet \(subnet)")
            }
            given[subnet] = address
            result[index].gateway = address
        }
    }

    private func readAuxiliary(_ result: inout [NetworkSubnet]) throws(EngineError) {
        for (name, text) in auxiliary.sorted(by: { $0.key < $1.key }) {
            guard let address = IPAddress(text) else { throw .invalid("invalid aux-address \(text): not an IP address") }
            guard let index = result.firstIndex(where: { $0.subnet.contains(address) }) else {
                throw .invalid("no matching subnet for aux-address \(text)")
            }
            result[index].auxiliary[name] = address
        }
    }
}
