import Linux
import Testing

@testable import Store

@Suite struct NetworkTests {
    @Test func roundTripAndLookup() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        let store = fixture.store
        let web = try insert(store, 0xabc, "web", "10.1.0.0/24")
        let back = try insert(store, 0xabd, "back", "10.1.1.0/24")
        #expect(try store.network(name: "web") == web)
        #expect(try store.network(matching: "abd") == back)
        #expect(try store.network(matching: web.id) == web)
        #expect(failure { () throws(StoreError) in _ = try store.network(matching: "ab") }?.code == .ambiguous)
        for text in ["", "x", "abe", "'; DROP TABLE networks; --", "%"] {
            #expect(failure { () throws(StoreError) in _ = try store.network(matching: text) }?.code == .notFound)
        }
        #expect(try fixture.again().networks().map(\.name) == ["back", "web"])
        #expect(failure { () throws(StoreError) in try insert(store, 3, "web", "10.2.0.0/24") }?.holders == [web.id])
    }

    @Test(arguments: [
        ("10.1.0.0/16", true), ("10.1.0.0/24", true), ("10.1.255.0/24", true), ("10.0.0.0/8", true), ("0.0.0.0/1", true),
        ("10.2.0.0/16", false), ("10.0.0.0/16", false), ("10.0.255.255/32", false), ("fd00::/64", true), ("fd00::/16", true),
        ("fd00:0:0:1::/64", false),
    ])
    func subnetsNeverOverlap(subnet: String, isTaken: Bool) throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        let store = fixture.store
        try insert(store, 1, "one", "10.1.0.0/16", "fd00::/64")
        try insert(store, 2, "two", "192.168.0.0/24")
        let error = failure { () throws(StoreError) in try insert(store, 3, "three", subnet) }
        #expect((error?.code == .inUse) == isTaken)
        #expect(error.map { $0.holders == ["one"] } ?? true)
        #expect(try store.networks().count == (isTaken ? 2 : 3))
    }

    @Test func addressesAreGivenInOrderAndEachOnce() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        let store = fixture.store
        try insert(store, 1, "small", "10.1.0.0/29")
        let excluded: Set<IPAddress> = [address("10.1.0.1"), address("10.1.0.4")]
        let range = AddressRange(first: address("10.1.0.1"), last: address("10.1.0.6"), excluded: excluded)
        func add(_ number: Int) throws(StoreError) -> String {
            try connect(store, number, .free([range])).endpoints[0].ipv4?.description ?? ""
        }
        #expect(try (1...4).map(add) == ["10.1.0.2", "10.1.0.3", "10.1.0.5", "10.1.0.6"])
        #expect(failure { () throws(StoreError) in _ = try add(5) }?.code == .tooLarge)
        #expect(try store.containers().count == 4)
        // A gap is found when the end is reached.
        try store.removeContainer(id: identifier(2))
        #expect(try add(6) == "10.1.0.3")
    }

    @Test func rangesServeAfterEachOther() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        let store = fixture.store
        try insert(store, 1, "two", "10.1.0.0/30", "10.2.0.0/30")
        let ranges = [
            AddressRange(first: address("10.1.0.2"), last: address("10.1.0.2")),
            AddressRange(first: address("10.2.0.2"), last: address("10.2.0.2")),
        ]
        #expect(try connect(store, 1, .free(ranges)).endpoints[0].ipv4 == address("10.1.0.2"))
        #expect(try connect(store, 2, .free(ranges)).endpoints[0].ipv4 == address("10.2.0.2"))
    }

    @Test func twoContainersAskForOneAddress() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        let store = fixture.store
        try insert(store, 1, "net", "10.1.0.0/24", "fd00::/64")
        _ = try connect(store, 1, .given(address("10.1.0.9")), .given(address("fd00::9")))
        let error = failure { () throws(StoreError) in _ = try connect(store, 2, .given(address("10.1.0.9"))) }
        #expect(error?.code == .inUse && error?.holders == [identifier(1)])
        let six = failure { () throws(StoreError) in
            _ = try connect(store, 2, .given(address("10.1.0.10")), .given(address("fd00::9")))
        }
        #expect(six?.code == .inUse && six?.object == "fd00::9")
        #expect(try store.containers().count == 1)
        // Its end gives them back.
        try store.removeContainer(id: identifier(1), durability: .volatile)
        _ = try connect(store, 2, .given(address("10.1.0.9")), .given(address("fd00::9")))
    }

    @Test func networksThatAreUsedStay() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        let store = fixture.store
        let network = try insert(store, 1, "net", "10.1.0.0/24")
        _ = try connect(store, 1, .given(address("10.1.0.9")))
        #expect(
            failure { () throws(StoreError) in try store.removeNetwork(id: network.id) { _ in true } }?.holders == [identifier(1)])
        #expect(
            failure { () throws(StoreError) in try store.removeNetwork(id: network.id, onlyUnused: true) { _ in false } }?.code == .inUse)
        try store.removeNetwork(id: network.id) { _ in false }
        let left = try store.connections(ofContainer: identifier(1)).endpoints
        #expect(left.count == 1 && left[0].networkID == nil && left[0].ipv4 == nil)
        #expect(failure { () throws(StoreError) in _ = try connect(store, 2, .none) }?.code == .notFound)
        try insert(store, 1, "net", "10.1.0.0/24")
        #expect(try fixture.again().check().isEmpty)
    }

    @Test func connectTakesTheFirstFreePosition() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        let store = fixture.store
        let names = ["one", "two", "three", "four"]
        for (index, name) in names.enumerated() { try insert(store, index + 1, name, "10.\(index + 1).0.0/24") }
        try store.insertContainer(record(1))
        func join(_ number: Int) throws(StoreError) -> Int {
            try store.connect(container: identifier(1), request(number), durability: .durable).position
        }
        #expect(try [join(1), join(2), join(3)] == [0, 1, 2])
        #expect(failure { () throws(StoreError) in _ = try join(2) }?.code == .nameInUse)
        #expect(try store.disconnect(container: identifier(1), position: 1, durability: .durable))
        #expect(try !store.disconnect(container: identifier(1), position: 1, durability: .durable))
        #expect(try join(4) == 1)
        #expect(try store.networks(ofContainer: identifier(1)).map(\.name) == ["one", "four", "three"])
    }

    // MARK: Ports

    @Test func portsOfRunningContainersAreTheirs() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        let store = fixture.store
        let any = address("0.0.0.0")
        try claim(store, 1, [PortRequest(transport: "tcp", addresses: [any], place: .given(8000), containerPort: 80, count: 10)])
        let clashes: [(String, String, UInt16, UInt16, Bool)] = [
            ("tcp", "0.0.0.0", 8000, 1, true), ("tcp", "127.0.0.1", 8009, 1, true), ("tcp", "0.0.0.0", 7990, 11, true),
            ("tcp", "0.0.0.0", 7000, 2000, true), ("udp", "0.0.0.0", 8000, 1, false), ("tcp", "::", 8000, 1, false),
            ("tcp", "0.0.0.0", 8010, 1, false), ("tcp", "0.0.0.0", 7999, 1, false),
        ]
        for (transport, host, port, count, isTaken) in clashes {
            let wanted = PortRequest(
                transport: transport, addresses: [address(host)], place: .given(port), containerPort: 1, count: count)
            let error = failure { () throws(StoreError) in try claim(store, 2, [wanted]) }
            #expect((error?.code == .inUse) == isTaken, "\(transport) \(host) \(port)")
            if isTaken { #expect(error?.holders == [identifier(1)]) } else { try store.removeContainer(id: identifier(2)) }
        }
        // Of one that does not run they are nobody's.
        try claim(store, 3, [PortRequest(transport: "tcp", addresses: [any], place: .given(8000), containerPort: 1)], running: false)
    }

    @Test func freePortsAreLookedForAround() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        let store = fixture.store
        func free(_ container: Int, _ busy: Set<UInt16> = []) throws(StoreError) -> UInt16 {
            let wanted = PortRequest(
                transport: "tcp", addresses: [address("0.0.0.0")], place: .free(65530...65535, start: 65534), containerPort: 80)
            return try claim(store, container, [wanted], busy: busy).ports[0].hostPort
        }
        #expect(try [free(1), free(2), free(3, [65530]), free(4)] == [65534, 65535, 65531, 65530])
        _ = try [free(5), free(6)]
        #expect(failure { () throws(StoreError) in _ = try free(7) }?.code == .tooLarge)
    }

    @Test func onePortAskedForTwiceIsRefused() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        let wanted = PortRequest(transport: "tcp", addresses: [address("0.0.0.0")], place: .given(80), containerPort: 80)
        let error = failure { () throws(StoreError) in try claim(fixture.store, 1, [wanted, wanted]) }
        #expect(error?.code == .inUse && error?.holders == [identifier(1)])
    }

    // MARK: Races

    @Test func oneOfManyGetsAName() async throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        let path = fixture.store.path
        let outcomes = try await together(16) { index in
            let store = try Store(path: path)
            return failure { () throws(StoreError) in try insert(store, index + 1, "one", "10.\(index).0.0/24") }?.code.rawValue ?? "made"
        }
        #expect(outcomes.count { $0 == "made" } == 1)
        #expect(outcomes.count { $0 == "name in use" } == 15)
    }

    @Test func eachOfManyGetsAnAddressOfItsOwn() async throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        try insert(fixture.store, 1, "net", "10.1.0.0/24")
        let range = AddressRange(first: address("10.1.0.2"), last: address("10.1.0.254"))
        let path = fixture.store.path
        let given = try await together(8) { index in
            let store = try Store(path: path)
            return try (0..<10).map { try connect(store, 100 + index * 10 + $0, .free([range])).endpoints[0].ipv4?.description ?? "" }
                .joined(separator: " ")
        }.flatMap { $0.split(separator: " ") }
        #expect(given.count == 80 && Set(given).count == 80)
    }

    // MARK: Check

    @Test func checkFindsAddressesThatAreNotTheNetworks() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        let store = fixture.store
        try insert(store, 1, "net", "10.1.0.0/24")
        _ = try connect(store, 1, .given(address("10.9.0.9")))
        #expect(try store.check().map(\.kind) == [.container])
        #expect(try store.check(repair: true).map(\.outcome) == [.repaired])
        #expect(try store.check().isEmpty)
        #expect(try store.connections(ofContainer: identifier(1)).endpoints[0].networkID == nil)
    }

    @Test func checkFindsSubnetsThatOverlap() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        let store = fixture.store
        try insert(store, 1, "one", "10.1.0.0/24")
        try insert(store, 2, "two", "10.2.0.0/24")
        try store.database.run("UPDATE subnets SET last=? WHERE network_id=?", [.blob([10, 3, 0, 0]), .text(identifier(1))])
        #expect(try store.check().map(\.object) == ["two"])
        try store.database.run("DELETE FROM subnets")
        #expect(try store.check().map(\.object) == ["one", "two"])
    }

    // MARK: Parts

    /// Runs a body several times at once and gives what each answered.
    private func together(_ count: Int, _ body: @escaping @Sendable (Int) throws -> String) async throws -> [String] {
        try await withThrowingTaskGroup(of: String.self) { group in
            for index in 0..<count { group.addTask { try body(index) } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
    }
}

/// Free functions, so that tasks need not share the suite.
private func address(_ text: String) -> IPAddress {
    guard let address = IPAddress(text) else { preconditionFailure("\(text) is no address") }
    return address
}

@discardableResult
private func insert(_ store: Store, _ number: Int, _ name: String, _ subnets: String...) throws(StoreError) -> NetworkRecord {
    try store.insertNetwork(name: name) { _ throws(StoreError) in
        let record = NetworkRecord(
            id: identifier(number), name: name, driver: "bridge", created: Int64(number), definition: Array("{}".utf8))
        return (record, subnets.compactMap { IPPrefix($0) })
    }
}

private func request(_ network: Int) -> EndpointRequest {
    EndpointRequest(
        id: identifier(0xe), networkID: identifier(network), networkName: "net", definition: Array("{}".utf8))
}

private func connect(
    _ store: Store, _ number: Int, _ ipv4: EndpointRequest.Address, _ ipv6: EndpointRequest.Address = .none
) throws(StoreError) -> Connections {
    var connections = ConnectionRequest()
    var endpoint = request(1)
    endpoint.ipv4 = ipv4
    endpoint.ipv6 = ipv6
    connections.endpoints = [endpoint]
    return try store.insertContainer(record(number), connections: connections, durability: .volatile)
}

@discardableResult
private func claim(
    _ store: Store, _ container: Int, _ ports: [PortRequest], running: Bool = true, busy: Set<UInt16> = []
) throws(StoreError) -> Connections {
    var connections = ConnectionRequest()
    connections.ports = ports
    connections.isRunning = { _ in running }
    connections.isFree = { _, _, port in !busy.contains(port) }
    return try store.insertContainer(record(container), connections: connections)
}
