import Linux

extension Store {
    /// Where a network that is being made may lie.
    public struct Subnets {
        let database: Database

        /// Whether a subnet overlaps one of another network.
        public func isTaken(_ subnet: IPPrefix) throws(StoreError) -> Bool {
            // Subnets lie beside each other: the one that begins last before our end is the last one that can reach into ours.
            var isTaken = false
            try database.query(
                "SELECT last FROM subnets WHERE family=? AND first<=? ORDER BY first DESC LIMIT 1",
                [.integer(subnet.isIPv6 ? 6 : 4), .blob(subnet.last.bytes)]
            ) { row in isTaken = !row.blob(0).lexicographicallyPrecedes(subnet.network.address.bytes) }
            return isTaken
        }

        /// The prefix that all subnets of a family are cut from that nobody named; made once for each store.
        public func prefix(ipv6: Bool, make: () -> [UInt8]) throws(StoreError) -> [UInt8] {
            let family = Value.integer(ipv6 ? 6 : 4)
            var found: [UInt8]?
            try database.query("SELECT prefix FROM address_prefixes WHERE family=?", [family]) { row in found = row.blob(0) }
            if let found { return found }
            let made = make()
            try database.run("INSERT INTO address_prefixes VALUES(?,?)", [family, .blob(made)])
            return made
        }
    }

    /// Adds a network: takes its name and its subnets in one transaction.
    ///
    /// - Parameters:
    ///   - name: must be new.
    ///   - make: chooses the subnets while nobody else does.
    /// - Throws: `.nameInUse` with the other network's id in `holders`; `.inUse` with the other network's name for subnets that
    ///   overlap; what `make` throws.
    @discardableResult
    public func insertNetwork(
        name: String, _ make: (Subnets) throws(StoreError) -> (record: NetworkRecord, subnets: [IPPrefix])
    ) throws(StoreError) -> NetworkRecord {
        try database.transaction(.durable) { () throws(StoreError) -> NetworkRecord in
            if let holder = try database.firstText("SELECT id FROM networks WHERE name=?", [.text(name)]) {
                throw StoreError(.nameInUse, "create network", name, cause: "the network exists", holders: [holder])
            }
            let (record, subnets) = try make(Subnets(database: database))
            try database.run(
                "INSERT INTO networks VALUES(?,?,?,?,?)",
                [
                    .text(record.id), .text(name), .text(record.driver), .integer(record.created), .blob(record.definition),
                ])
            for subnet in subnets {
                if try Subnets(database: database).isTaken(subnet) {
                    throw StoreError(
                        .inUse, "create network", name, cause: "subnet \(subnet.network) overlaps another network's",
                        holders: try networks(overlapping: subnet))
                }
                try database.run(
                    "INSERT INTO subnets VALUES(?,?,?,?)",
                    [
                        .integer(subnet.isIPv6 ? 6 : 4), .blob(subnet.network.address.bytes), .blob(subnet.last.bytes),
                        .text(record.id),
                    ])
            }
            return record
        }
    }

    /// The names of networks with addresses in a subnet.
    private func networks(overlapping subnet: IPPrefix) throws(StoreError) -> [String] {
        try database.texts(
            """
            SELECT DISTINCT name FROM networks JOIN subnets ON network_id=id
            WHERE family=? AND first<=? AND last>=? ORDER BY name
            """,
            [.integer(subnet.isIPv6 ? 6 : 4), .blob(subnet.last.bytes), .blob(subnet.network.address.bytes)])
    }

    /// The network with exactly this name.
    public func network(name: String) throws(StoreError) -> NetworkRecord? {
        var result: NetworkRecord?
        try database.query("SELECT id,name,driver,created_ns,definition FROM networks WHERE name=?", [.text(name)]) { row in
            result = Store.network(row)
        }
        return result
    }

    /// The network a user means: by full id, by name, or by the beginning of its id, in this order.
    ///
    /// - Throws: `.notFound`; `.ambiguous` when several ids begin like this.
    public func network(matching text: String) throws(StoreError) -> NetworkRecord {
        var result: NetworkRecord?
        try database.query(
            "SELECT id,name,driver,created_ns,definition FROM networks WHERE id=?1 OR name=?1 ORDER BY id<>?1", [.text(text)]
        ) { row in if result == nil { result = Store.network(row) } }
        if let result { return result }
        var ids: [String] = []
        if !text.isEmpty, text.utf8.count < 64, text.utf8.allSatisfy(isHexDigit) {
            try database.query(
                "SELECT id,name,driver,created_ns,definition FROM networks WHERE id>=?1 AND id<?1||'g' LIMIT 2", [.text(text)]
            ) { row in
                result = Store.network(row)
                ids.append(row.text(0))
            }
        }
        if ids.count > 1 {
            throw StoreError(.ambiguous, "find network", text, cause: "several network ids begin with it", holders: ids)
        }
        guard let result else { throw StoreError(.notFound, "find network", text, cause: "no such network") }
        return result
    }

    /// All networks by name.
    public func networks() throws(StoreError) -> [NetworkRecord] {
        var result: [NetworkRecord] = []
        try database.query("SELECT id,name,driver,created_ns,definition FROM networks ORDER BY name") { row in
            result.append(Store.network(row))
        }
        return result
    }

    /// The networks of a container.
    public func networks(ofContainer id: String) throws(StoreError) -> [NetworkRecord] {
        var result: [NetworkRecord] = []
        try database.query(
            """
            SELECT n.id,n.name,n.driver,n.created_ns,n.definition FROM endpoints e JOIN networks n ON n.id=e.network_id
            WHERE e.container_id=? ORDER BY e.position
            """, [.text(id)]
        ) { row in result.append(Store.network(row)) }
        return result
    }

    /// Replaces a network's definition by what `change` makes of it; its subnets stay.
    ///
    /// - Throws: `.notFound`, and what `change` throws (nothing is changed then).
    public func updateNetwork(id: String, _ change: ([UInt8]) throws(StoreError) -> [UInt8]) throws(StoreError) {
        try database.transaction(.durable) { () throws(StoreError) in
            let old = try network(matching: id)
            try database.run(
                "UPDATE networks SET definition=? WHERE id=?", [.blob(try change(old.definition)), .text(old.id)])
        }
    }

    /// Removes a network. Containers that do not run keep its name.
    ///
    /// - Parameters:
    ///   - isUnused: only when no container at all is connected.
    ///   - isRunning: whether a container runs or is about to; asked while nobody else writes.
    ///   - takeAway: what else belongs to it, while nobody else writes; who is killed after that has a network that is made anew when it is
    ///     needed, and not devices without a network.
    /// - Throws: `.notFound`; `.inUse` with the ids of the containers in `holders`.
    public func removeNetwork(
        id: String, onlyUnused isUnused: Bool = false, isRunning: (String) -> Bool, takeAway: () -> Void = {}
    ) throws(StoreError) {
        try database.transaction(.durable, givesRoom: true) { () throws(StoreError) in
            let users = try database.texts(
                "SELECT container_id FROM endpoints WHERE network_id=? ORDER BY 1", [.text(id)])
            let holders = isUnused ? users : users.filter(isRunning)
            guard holders.isEmpty else {
                throw StoreError(.inUse, "remove network", id, cause: "containers are connected", holders: holders)
            }
            // Addresses mean nothing without the network, and must not be in the way of its successor's.
            try database.run("UPDATE endpoints SET ipv4=NULL, ipv6=NULL WHERE network_id=?", [.text(id)])
            guard try database.run("DELETE FROM networks WHERE id=?", [.text(id)]) == 1 else {
                throw StoreError(.notFound, "remove network", id, cause: "no such network")
            }
            takeAway()
        }
    }

    private static func network(_ row: Row) -> NetworkRecord {
        NetworkRecord(
            id: row.text(0), name: row.text(1), driver: row.text(2), created: row.integer(3), definition: row.blob(4))
    }
}
