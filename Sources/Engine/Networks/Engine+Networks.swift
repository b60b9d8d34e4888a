import Archive
import Control
import Linux
import Store

/// Networks: their names, their subnets and who is connected. What the kernel has of them is made by supervisors.
extension Engine {
    /// Makes a network.
    ///
    /// - Throws: Docker's sentences; `.conflict` for a name or subnet that is taken.
    public func createNetwork(_ request: NetworkRequest) throws(EngineError) -> NetworkDefinition {
        var definition = try request.definition(id: ContainerNames.identifier())
        try requireDevices(of: definition)
        // The first network of all, so that it has the addresses people know.
        _ = try defaultBridge()
        try insert(&definition, try Configuration.load().pools)
        announce("create", definition)
        return definition
    }

    /// All networks: the three that are always there, and those that were made; by name.
    public func networks() throws(EngineError) -> [NetworkDefinition] {
        var result: [NetworkDefinition] = []
        if hasStore {
            let store = try self.store()
            for record in try stored({ () throws(StoreError) in try store.networks() }) { result.append(try decode(record)) }
        }
        for network in PredefinedNetwork.allCases where !result.contains(where: { $0.name == network.rawValue }) {
            result.append(placeholder(network))
        }
        return result.sorted { $0.name < $1.name }
    }

    /// The network a user means: by id, name or the beginning of its id.
    ///
    /// - Throws: `.notFound` with Docker's sentence; `.invalid` when several ids begin so.
    public func network(_ text: String) throws(EngineError) -> NetworkDefinition {
        let name = text == "default" ? PredefinedNetwork.bridge.rawValue : text
        if let found = try storedNetwork(name) { return found }
        for network in PredefinedNetwork.allCases {
            let candidate = placeholder(network)
            let isPrefix = !name.isEmpty && name.utf8.count >= 12 && candidate.id.hasPrefix(name)
            guard name == network.rawValue || isPrefix else { continue }
            return network == .bridge ? try defaultBridge() : candidate
        }
        throw .noSuchNetwork(text)
    }

    private func storedNetwork(_ text: String) throws(EngineError) -> NetworkDefinition? {
        guard hasStore else { return nil }
        let store = try self.store()
        let record: NetworkRecord
        do throws(StoreError) {
            record = try store.network(matching: text)
        } catch {
            switch error.code {
            case .notFound: return nil
            case .ambiguous:
                throw .invalid("network \(text) is ambiguous (\(error.holders.count) matches found based on ID prefix)")
            default: throw EngineError(error)
            }
        }
        return try decode(record)
    }

    /// What containers get that ask for no network; made when it is first needed.
    func defaultBridge() throws(EngineError) -> NetworkDefinition {
        let store = try self.store()
        let name = PredefinedNetwork.bridge.rawValue
        if let record = try stored({ () throws(StoreError) in try store.network(name: name) }) { return try decode(record) }
        var definition = placeholder(.bridge)
        definition.createdAt = wallClockNanoseconds()
        do throws(EngineError) {
            try insert(&definition, try Configuration.load().pools)
        } catch {
            // Made by another command since.
            guard error.code == .conflict, let made = try storedNetwork(name) else { throw error }
            return made
        }
        return definition
    }

    /// One that is always there, with an id that is the store's own, whether or not there is a store.
    func placeholder(_ network: PredefinedNetwork) -> NetworkDefinition {
        var result = NetworkDefinition(
            id: SHA256.hex(Array("network \(network.rawValue) of \(roots.store)".utf8)), name: network.rawValue)
        result.driver = network.driver
        return result
    }

    func decode(_ record: NetworkRecord) throws(EngineError) -> NetworkDefinition {
        var result = NetworkDefinition(id: record.id, name: record.name)
        result.driver = record.driver
        result.createdAt = record.created
        try result.decode(record.definition)
        return result
    }

    /// Takes name and subnets. Those that nobody named are chosen inside the transaction, so two networks never get one.
    private func insert(_ definition: inout NetworkDefinition, _ pools: AddressPools) throws(EngineError) {
        let store = try self.store()
        let routes = kernelNetworks.routes()
        try checkDevice(of: definition, store)
        if definition.createdAt == 0 { definition.createdAt = wallClockNanoseconds() }
        let wanted = definition
        let record: NetworkRecord
        do throws(StoreError) {
            record = try store.insertNetwork(name: wanted.name) { (taken) throws(StoreError) in
                var made = wanted
                try Engine.chooseSubnets(&made, pools, routes, taken)
                let record = NetworkRecord(
                    id: made.id, name: made.name, driver: made.driver, created: made.createdAt, definition: made.encode())
                return (record, made.subnets.map(\.subnet))
            }
        } catch {
            switch error.code {
            case .nameInUse:
                throw EngineError(.conflict, sentence: "network with name \(wanted.name) already exists")
            case .inUse:
                throw EngineError(
                    .conflict,
                    sentence: "invalid pool request: Pool overlaps with other one on this address space: "
                        + "network \(error.holders.joined(separator: ", ")) has addresses of it")
            default: throw EngineError(error)
            }
        }
        definition = try decode(record)
    }

    private static func chooseSubnets(
        _ made: inout NetworkDefinition, _ pools: AddressPools, _ routes: [IPPrefix], _ taken: Store.Subnets
    ) throws(StoreError) {
        for ipv6 in [false, true] where ipv6 ? made.enablesIPv6 : made.enablesIPv4 {
            if made.subnets.contains(where: { $0.subnet.isIPv6 == ipv6 }) { continue }
            let chosen =
                ipv6
                ? try AddressPools.chooseIPv6(taken, routes: routes)
                : try pools.choose(routes: routes) { (subnet) throws(StoreError) in try taken.isTaken(subnet) }
            guard let chosen else {
                throw StoreError(
                    .tooLarge, "",
                    cause: "all predefined address pools have been fully subnetted: name a subnet with --subnet, "
                        + "or more pools in /etc/berth/berth.conf ([network] pools)")
            }
            made.subnets.append(NetworkSubnet(chosen, gateway: NetworkRequest.usualGateway(of: chosen)))
        }
    }

    /// Two networks cannot share a bridge.
    private func checkDevice(of definition: NetworkDefinition, _ store: Store) throws(EngineError) {
        let options = try DriverOptions(definition)
        if let parent = options.parent { return try checkParent(parent, of: definition, store) }
        if let tunnel = options.tunnel { try checkTunnel(tunnel, of: definition, store) }
        let device = options.bridge.device
        if device.isEmpty { return }
        for record in try stored({ () throws(StoreError) in try store.networks() }) {
            let other = try decode(record)
            if other.isBridge, try self.device(of: other) == device {
                throw EngineError(
                    .conflict, sentence: "cannot create network \(definition.name): network \(other.name) has the bridge \(device)")
            }
        }
    }

    /// The bridge's device, or the host's that the network lies on. The default network's has a name that can be remembered, in the store that everybody uses.
    func device(of network: NetworkDefinition) throws(EngineError) -> String {
        let options = try DriverOptions(network)
        // Docker's names for devices that lead nowhere.
        if let parent = options.parent {
            return !parent.device.isEmpty ? parent.device : (parent.plan.kind == .macvlan ? "dm-" : "di-") + network.shortID
        }
        if !options.bridge.device.isEmpty { return options.bridge.device }
        if network.name == PredefinedNetwork.bridge.rawValue, roots.isUsual { return "berth0" }
        return "br-" + network.shortID
    }

    /// Ids of networks that containers are connected to.
    public func usedNetworks() throws(EngineError) -> Set<String> {
        guard hasStore else { return [] }
        let store = try self.store()
        return Set(try stored { () throws(StoreError) in try store.endpoints() }.compactMap(\.networkID))
    }

    /// Changes where names are asked for that nobody in a network has; containers that run are told.
    ///
    /// - Throws: `.notFound` for a server that is to go and is not there; nothing is changed then.
    public func updateNetwork(_ text: String, addingServers added: [String], droppingServers dropped: [String]) throws(EngineError) {
        let definition = try network(text)
        guard definition.isConnectable else {
            throw EngineError(.permission, sentence: "\(definition.name) is a pre-defined network and cannot be changed")
        }
        for text in added + dropped where IPAddress(text) == nil { throw .invalid("invalid IP address: \(text)") }
        let store = try self.store()
        try stored { () throws(StoreError) in
            try store.updateNetwork(id: definition.id) { (bytes) throws(StoreError) in
                var changed = definition
                do throws(EngineError) { try changed.decode(bytes) } catch { throw StoreError(.corrupt, "", cause: error.description) }
                for server in dropped {
                    guard let index = changed.dns.firstIndex(of: server) else {
                        throw StoreError(.notFound, "", cause: "network \(changed.name) has no DNS server \(server)")
                    }
                    changed.dns.remove(at: index)
                }
                changed.dns += added.filter { !changed.dns.contains($0) }
                return changed.encode()
            }
        }
        var failure: EngineError?
        for record in try stored({ () throws(StoreError) in try store.endpoints(ofNetwork: definition.id) }) {
            do throws(EngineError) {
                try changingConnections(of: record.containerID) { (view) throws(EngineError) in try reloadNetworks(of: view) }
            } catch {
                // One that has gone meanwhile asks nobody; the others are told all the same.
                if error.code != .notFound, failure == nil { failure = error }
            }
        }
        if let failure { throw failure }
    }

    // MARK: Removal

    /// Removes a network that no running container is connected to.
    ///
    /// - Returns: its name.
    public func removeNetwork(_ text: String) throws(EngineError) -> String {
        let definition = try network(text)
        if definition.isPredefined {
            throw EngineError(.permission, sentence: "\(definition.name) is a pre-defined network and cannot be removed")
        }
        _ = try remove(definition, onlyUnused: false)
        return definition.name
    }

    /// Networks that no container at all is connected to.
    public func pruneNetworks(_ filter: PruneFilter) throws(EngineError) -> PruneReport {
        var report = PruneReport()
        for definition in try networks() where !definition.isPredefined {
            if let until = filter.until, definition.createdAt >= until { continue }
            if !filter.admits(definition.labels) { continue }
            if try remove(definition, onlyUnused: true) { report.lines.append(definition.name) }
        }
        announcePrune("network", reclaimed: 0)
        return report
    }

    /// - Returns: false when it is in use or was removed meanwhile, where only unused ones are meant.
    private func remove(_ definition: NetworkDefinition, onlyUnused: Bool) throws(EngineError) -> Bool {
        let store = try self.store()
        // Containers of --rm that have ended and were not cleared away are nobody.
        if onlyUnused { _ = try containers() }
        let devices = try ownDevices(of: definition)
        do throws(StoreError) {
            try store.removeNetwork(id: definition.id, onlyUnused: onlyUnused, isRunning: hasSupervisor) {
                if let devices { kernelNetworks.remove(devices) }
            }
        } catch {
            switch error.code {
            case .inUse where onlyUnused: return false
            case .inUse: throw activeEndpoints(definition, error.holders)
            case .notFound where onlyUnused: return false
            case .notFound: throw .noSuchNetwork(definition.name)
            default: throw EngineError(error)
            }
        }
        if let directory = try? FD.cwd.open(roots.run + "/networks", [.readOnly, .directory, .noFollow]) {
            try? removeTree(directory.fd, definition.id)
        }
        announce("destroy", definition)
        return true
    }

    /// Removes the directories of names of networks that are no more.
    func sweepNetworkDirectories() {
        // Directories are listed before rows are read: a network has its row before its directory.
        guard let directory = try? FD.cwd.open(roots.run + "/networks", [.readOnly, .directory, .noFollow]),
            let names = try? directoryEntries(directory.fd).map(\.name).filter({ $0.utf8.count == 64 }), !names.isEmpty,
            let known = try? networks().map(\.id)
        else { return }
        for name in names where !known.contains(name) { try? removeTree(directory.fd, name) }
    }

    private func activeEndpoints(_ definition: NetworkDefinition, _ containers: [String]) -> EngineError {
        let endpoints = (try? store().endpoints(ofNetwork: definition.id)) ?? []
        let list = containers.map { id in
            let name = (try? self.definition(of: id).name) ?? id
            let endpoint = endpoints.first { $0.containerID == id }?.id ?? ""
            return "name:\"\(name)\" id:\"\(endpoint.prefix(12))\""
        }
        return EngineError(
            .conflict,
            sentence: "error while removing network: network \(definition.name) has active endpoints "
                + "(\(list.joined(separator: ", ")))")
    }

    /// Whether a container runs, is about to or will be started again by its supervisor.
    func hasSupervisor(_ id: String) -> Bool {
        guard let status = try? observe(id).status else { return true }
        return status.hasProcess || status == .starting || status == .restarting
    }
}

extension EngineError {
    public static func noSuchNetwork(_ name: String) -> EngineError {
        EngineError(.notFound, sentence: "network \(name) not found")
    }
}
