import Linux

/// Networks, their subnets, and the addresses of containers.
extension StoreCheck {
    func checkNetworks() throws(StoreError) {
        try stop()
        for network in try store.networks() {
            let ranges = try subnets(of: network.id)
            if ranges.isEmpty {
                problems.append(StoreProblem(.network, network.name, "it has no subnet", fix: "berth network rm \(network.name)"))
                continue
            }
            for endpoint in try store.endpoints(ofNetwork: network.id) {
                for address in [endpoint.ipv4, endpoint.ipv6] {
                    guard let address, !ranges.contains(where: { $0.first <= address && address <= $0.last }) else { continue }
                    try releaseAddress(address, endpoint, network)
                    break
                }
            }
        }
        try checkOverlaps()
    }

    private func subnets(of network: String) throws(StoreError) -> [(first: IPAddress, last: IPAddress)] {
        var result: [(first: IPAddress, last: IPAddress)] = []
        try store.database.query("SELECT first,last FROM subnets WHERE network_id=? ORDER BY first", [.text(network)]) { row in
            if let first = IPAddress(bytes: row.blob(0)), let last = IPAddress(bytes: row.blob(1)) { result.append((first, last)) }
        }
        return result
    }

    /// The container is connected anew by its next start.
    private func releaseAddress(
        _ address: IPAddress, _ endpoint: EndpointRecord, _ network: NetworkRecord
    ) throws(StoreError) {
        var problem = StoreProblem(
            .container, endpoint.containerID, "its address \(address) is not one of network \(network.name)")
        if repair {
            _ = try store.database.transaction(.durable) { () throws(StoreError) in
                try store.database.run(
                    "UPDATE endpoints SET network_id=NULL, ipv4=NULL, ipv6=NULL WHERE container_id=? AND position=? AND id=?",
                    [.text(endpoint.containerID), .integer(Int64(endpoint.position)), .text(endpoint.id)])
            }
            problem.outcome = .repaired
            problem.fix = ""
        }
        problems.append(problem)
    }

    /// Each subnet begins behind the end of the one before.
    private func checkOverlaps() throws(StoreError) {
        var before: (family: Int64, last: [UInt8], name: String)?
        var found: [(String, String)] = []
        try store.database.query(
            "SELECT family,first,last,name FROM subnets JOIN networks ON id=network_id ORDER BY family,first"
        ) { row in
            let (family, first, last, name) = (row.integer(0), row.blob(1), row.blob(2), row.text(3))
            if let before, before.family == family, !before.last.lexicographicallyPrecedes(first) { found.append((name, before.name)) }
            before = (family, last, name)
        }
        for (name, other) in found {
            problems.append(
                StoreProblem(.network, name, "its addresses are also those of network \(other)", fix: "berth network rm \(name)"))
        }
    }
}
