import Linux

extension Store {
    /// What a container has of the networks, by position and port.
    public func connections(ofContainer id: String) throws(StoreError) -> Connections {
        var result = Connections()
        try database.query(
            """
            SELECT container_id,position,id,network_id,ipv4,ipv6,mac,definition FROM endpoints
            WHERE container_id=? ORDER BY position
            """, [.text(id)]
        ) { row in result.endpoints.append(Store.endpoint(row)) }
        result.ports = try ports(ofContainer: id)
        return result
    }

    /// The connections of all containers to a network, by container.
    public func endpoints(ofNetwork id: String) throws(StoreError) -> [EndpointRecord] {
        var result: [EndpointRecord] = []
        try database.query(
            """
            SELECT container_id,position,id,network_id,ipv4,ipv6,mac,definition FROM endpoints
            WHERE network_id=? ORDER BY container_id
            """, [.text(id)]
        ) { row in result.append(Store.endpoint(row)) }
        return result
    }

    /// All connections, by container and position.
    public func endpoints() throws(StoreError) -> [EndpointRecord] {
        var result: [EndpointRecord] = []
        try database.query(
            "SELECT container_id,position,id,network_id,ipv4,ipv6,mac,definition FROM endpoints ORDER BY container_id,position"
        ) { row in result.append(Store.endpoint(row)) }
        return result
    }

    /// Connects a container that exists.
    ///
    /// - Throws: `.nameInUse` when it is connected to that network already; as ``insertContainer``.
    public func connect(container id: String, _ request: EndpointRequest, durability: Durability) throws(StoreError) -> EndpointRecord {
        try database.transaction(durability) { () throws(StoreError) in
            guard try container(id: id) != nil else {
                throw StoreError(.notFound, "connect container", id, cause: "no such container")
            }
            var taken: [Int] = []
            var isConnected = false
            try database.query("SELECT position,network_id FROM endpoints WHERE container_id=?", [.text(id)]) { row in
                taken.append(Int(row.integer(0)))
                isConnected = isConnected || row.optionalText(1) == request.networkID
            }
            if isConnected {
                throw StoreError(.nameInUse, "connect to network", request.networkName, cause: "the container is connected")
            }
            // The device's number of one that was disconnected is used again.
            let position = (0...taken.count).first { !taken.contains($0) } ?? taken.count
            return try insertEndpoint(request, container: id, position: position)
        }
    }

    /// Ends a container's connection.
    ///
    /// - Returns: false when there was none.
    public func disconnect(container id: String, position: Int, durability: Durability) throws(StoreError) -> Bool {
        try database.transaction(durability, givesRoom: true) { () throws(StoreError) in
            try database.run(
                "DELETE FROM endpoints WHERE container_id=? AND position=?", [.text(id), .integer(Int64(position))]) == 1
        }
    }

    /// Gives a container its ports for a start, and connects it again where its network was made anew under the same name.
    ///
    /// - Parameter reconnections: by position.
    /// - Throws: as ``insertContainer``.
    public func claim(
        container id: String, _ request: ConnectionRequest, reconnections: [Int: EndpointRequest] = [:], durability: Durability
    ) throws(StoreError) -> Connections {
        try database.transaction(durability) { () throws(StoreError) in
            guard try container(id: id) != nil else {
                throw StoreError(.notFound, "start container", id, cause: "no such container")
            }
            for (position, endpoint) in reconnections {
                try database.run(
                    "DELETE FROM endpoints WHERE container_id=? AND position=?", [.text(id), .integer(Int64(position))])
                _ = try insertEndpoint(endpoint, container: id, position: position)
            }
            try claimPorts(request, container: id)
            return try connections(ofContainer: id)
        }
    }

    /// Inside the transaction that makes the container.
    func insertConnections(_ request: ConnectionRequest, container id: String) throws(StoreError) -> Connections {
        var result = Connections()
        for (position, endpoint) in request.endpoints.enumerated() {
            result.endpoints.append(try insertEndpoint(endpoint, container: id, position: position))
        }
        if !request.ports.isEmpty {
            try claimPorts(request, container: id)
            result.ports = try ports(ofContainer: id)
        }
        return result
    }

    // MARK: Leases

    private func insertEndpoint(
        _ request: EndpointRequest, container id: String, position: Int
    ) throws(StoreError) -> EndpointRecord {
        let record = EndpointRecord(
            containerID: id, position: position, id: request.id, networkID: request.networkID,
            ipv4: try address(request.ipv4, request), ipv6: try address(request.ipv6, request), mac: request.mac,
            definition: request.definition)
        do throws(StoreError) {
            try database.run(
                "INSERT INTO endpoints VALUES(?,?,?,?,?,?,?,?)",
                [
                    .text(id), .integer(Int64(position)), .text(request.id), .text(request.networkID),
                    .optionalBlob(record.ipv4?.bytes), .optionalBlob(record.ipv6?.bytes), .optionalBlob(record.mac?.bytes),
                    .blob(request.definition),
                ])
        } catch {
            throw try refusal(record, request, error)
        }
        return record
    }

    /// Asked only now, so that the common case needs one statement.
    private func refusal(
        _ record: EndpointRecord, _ request: EndpointRequest, _ error: StoreError
    ) throws(StoreError) -> StoreError {
        guard error.code == .database else { return error }
        if try database.firstInteger("SELECT 1 FROM networks WHERE id=?", [.text(request.networkID)]) == nil {
            return StoreError(.notFound, "connect to network", request.networkName, cause: "no such network")
        }
        for address in [record.ipv4, record.ipv6] {
            guard let address, let holder = try holder(of: address, network: request.networkID) else { continue }
            return StoreError(
                .inUse, "lease address", address.description, cause: "container \(holder) has it", holders: [holder])
        }
        return error
    }

    private func holder(of address: IPAddress, network: String) throws(StoreError) -> String? {
        let values: [Value] = [.text(network), .blob(address.bytes)]
        return address.isIPv6
            ? try database.firstText("SELECT container_id FROM endpoints WHERE network_id=? AND ipv6=?", values)
            : try database.firstText("SELECT container_id FROM endpoints WHERE network_id=? AND ipv4=?", values)
    }

    private func address(
        _ wanted: EndpointRequest.Address, _ request: EndpointRequest
    ) throws(StoreError) -> IPAddress? {
        switch wanted {
        case .none: return nil
        case .given(let address): return address
        case .free(let ranges):
            for range in ranges {
                if let found = try freeAddress(range, network: request.networkID) { return found }
            }
            throw StoreError(
                .tooLarge, "lease address in network", request.networkName, cause: "all addresses are in use")
        }
    }

    /// The one behind the highest that is in use: found by one look into the index, and whoever has just gone is not
    /// mistaken for its successor. The first gap when there is none.
    private func freeAddress(_ range: AddressRange, network: String) throws(StoreError) -> IPAddress? {
        let bounds: [Value] = [.text(network), .blob(range.first.bytes), .blob(range.last.bytes)]
        var highest: IPAddress?
        func keep(_ row: Row) { highest = IPAddress(bytes: row.blob(0)) }
        if range.first.isIPv6 {
            try database.query(
                "SELECT ipv6 FROM endpoints WHERE network_id=? AND ipv6 BETWEEN ? AND ? ORDER BY ipv6 DESC LIMIT 1", bounds, keep)
        } else {
            try database.query(
                "SELECT ipv4 FROM endpoints WHERE network_id=? AND ipv4 BETWEEN ? AND ? ORDER BY ipv4 DESC LIMIT 1", bounds, keep)
        }
        guard let highest else { return range.next(from: range.first) }
        if let next = range.next(from: highest.advanced(by: 1)) { return next }
        var candidate = range.next(from: range.first)
        var isFound = false
        func look(_ row: Row) {
            guard !isFound, let wanted = candidate, let address = IPAddress(bytes: row.blob(0)) else { return }
            if wanted < address { isFound = true }
            if wanted == address { candidate = range.next(from: address.advanced(by: 1)) }
        }
        if range.first.isIPv6 {
            try database.query(
                "SELECT ipv6 FROM endpoints WHERE network_id=? AND ipv6 BETWEEN ? AND ? ORDER BY ipv6", bounds, look)
        } else {
            try database.query(
                "SELECT ipv4 FROM endpoints WHERE network_id=? AND ipv4 BETWEEN ? AND ? ORDER BY ipv4", bounds, look)
        }
        return candidate
    }

    private static func endpoint(_ row: Row) -> EndpointRecord {
        EndpointRecord(
            containerID: row.text(0), position: Int(row.integer(1)), id: row.text(2), networkID: row.optionalText(3),
            ipv4: row.optionalBlob(4).flatMap { IPAddress(bytes: $0) }, ipv6: row.optionalBlob(5).flatMap { IPAddress(bytes: $0) },
            mac: row.optionalBlob(6).flatMap { MACAddress(bytes: $0) }, definition: row.blob(7))
    }
}

extension AddressRange {
    /// The first that may be given, not before an address.
    fileprivate func next(from address: IPAddress?) -> IPAddress? {
        var candidate = address
        while let found = candidate, excluded.contains(found) { candidate = found.advanced(by: 1) }
        guard let found = candidate, !(last < found) else { return nil }
        return found
    }
}
