import Linux

/// Ports of the host. A claim counts while its container runs: nobody has to give it back.
extension Store {
    /// What the last start gave to a container.
    public func ports(ofContainer id: String) throws(StoreError) -> [PortRecord] {
        var result: [PortRecord] = []
        try database.query(
            """
            SELECT container_id,transport,address,first,last,container_port FROM ports WHERE container_id=? ORDER BY position
            """, [.text(id)]
        ) { row in if let port = Store.port(row) { result.append(port) } }
        return result
    }

    /// What the last starts gave to all containers.
    public func ports() throws(StoreError) -> [PortRecord] {
        var result: [PortRecord] = []
        try database.query(
            "SELECT container_id,transport,address,first,last,container_port FROM ports ORDER BY container_id,position"
        ) { row in if let port = Store.port(row) { result.append(port) } }
        return result
    }

    /// Replaces a container's ports by what it asks for now.
    ///
    /// - Throws: `.inUse` with the container that has a port in `holders`; `.tooLarge` where no port is free.
    func claimPorts(_ request: ConnectionRequest, container id: String) throws(StoreError) {
        try database.run("DELETE FROM ports WHERE container_id=?", [.text(id)])
        try addPorts(request, container: id, from: 0)
    }

    /// Changes a container's definition and, with it, the ports it has now.
    ///
    /// - Parameters:
    ///   - request: ports to add; empty for a container that does not run.
    ///   - isRemoved: which of its ports go.
    /// - Throws: `.notFound`; as ``insertContainer``.
    public func changePorts(
        container id: String, definition: [UInt8], _ request: ConnectionRequest, removing isRemoved: (PortRecord) -> Bool,
        durability: Durability
    ) throws(StoreError) {
        try database.transaction(durability) { () throws(StoreError) in
            guard try database.run("UPDATE containers SET definition=? WHERE id=?", [.blob(definition), .text(id)]) == 1 else {
                throw StoreError(.notFound, "update container", id, cause: "no such container")
            }
            for port in try ports(ofContainer: id) where isRemoved(port) {
                try database.run(
                    "DELETE FROM ports WHERE container_id=? AND transport=? AND address=? AND first=?",
                    [.text(id), .text(port.transport), .blob(port.address.bytes), .integer(Int64(port.hostPort))])
            }
            let last = try database.firstInteger("SELECT max(position) FROM ports WHERE container_id=?", [.text(id)])
            try addPorts(request, container: id, from: (last ?? -1) + 1)
        }
    }

    private func addPorts(_ request: ConnectionRequest, container id: String, from start: Int64) throws(StoreError) {
        var position = start
        for wanted in request.ports {
            let first = try place(wanted, container: id, request)
            for address in wanted.addresses {
                try database.run(
                    "INSERT INTO ports VALUES(?,?,?,?,?,?,?)",
                    [
                        .text(id), .integer(position), .text(wanted.transport), .blob(address.bytes), .integer(Int64(first)),
                        .integer(Int64(first) + Int64(wanted.count) - 1), .integer(Int64(wanted.containerPort)),
                    ])
                position += 1
            }
        }
    }

    private func place(
        _ wanted: PortRequest, container id: String, _ request: ConnectionRequest
    ) throws(StoreError) -> UInt16 {
        switch wanted.place {
        case .given(let first):
            for address in wanted.addresses {
                guard let clash = try clash(wanted, address, first, container: id, request) else { continue }
                throw StoreError(
                    .inUse, "publish port", clash.address.isIPv6 ? "[\(address)]:\(clash.port)" : "\(address):\(clash.port)",
                    cause: "port is already allocated", holders: [clash.container])
            }
            return first
        case .free(let range, let start):
            for offset in 0..<UInt32(range.count) {
                let port = (UInt32(start) - UInt32(range.lowerBound) + offset) % UInt32(range.count) + UInt32(range.lowerBound)
                guard let port = UInt16(exactly: port) else { continue }
                if try isFree(wanted, port, container: id, request) { return port }
            }
            throw StoreError(.tooLarge, "publish port", "\(wanted.containerPort)/\(wanted.transport)", cause: "no port is free")
        }
    }

    private func isFree(
        _ wanted: PortRequest, _ port: UInt16, container id: String, _ request: ConnectionRequest
    ) throws(StoreError) -> Bool {
        for address in wanted.addresses {
            if try clash(wanted, address, port, container: id, request) != nil { return false }
            if !request.isFree(wanted.transport, address, port) { return false }
        }
        return true
    }

    /// Who has one of the ports.
    private func clash(
        _ wanted: PortRequest, _ address: IPAddress, _ first: UInt16, container id: String, _ request: ConnectionRequest
    ) throws(StoreError) -> (container: String, address: IPAddress, port: UInt16)? {
        let last = Int64(first) + Int64(wanted.count) - 1
        var found: [PortRecord] = []
        try database.query(
            """
            SELECT container_id,transport,address,first,last,container_port FROM ports
            WHERE transport=? AND last>=? AND first<=?
            """, [.text(wanted.transport), .integer(Int64(first)), .integer(last)]
        ) { row in if let port = Store.port(row) { found.append(port) } }
        for other in found where other.address.isIPv6 == address.isIPv6 {
            guard other.address == address || other.address.isUnspecified || address.isUnspecified else { continue }
            // Its own of the last start are gone: what is there of it was asked for twice.
            if other.containerID == id || request.isRunning(other.containerID) {
                return (other.containerID, address, max(first, other.hostPort))
            }
        }
        return nil
    }

    private static func port(_ row: Row) -> PortRecord? {
        guard let address = IPAddress(bytes: row.blob(2)), let first = UInt16(exactly: row.integer(3)),
            let last = UInt16(exactly: row.integer(4)), last >= first, let inside = UInt16(exactly: row.integer(5)),
            let count = UInt16(exactly: Int(last) - Int(first) + 1)
        else { return nil }
        return PortRecord(
            containerID: row.text(0), transport: row.text(1), address: address, hostPort: first, containerPort: inside,
            count: count)
    }
}
