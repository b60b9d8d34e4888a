import Control
import Glibc
import Linux

/// The connections of one container: its ends of virtual cables, its addresses and routes, its published ports.
///
/// One per supervisor, in the network namespace whose bridges and ports are meant. One thread only. The same calls serve a host's root and
/// root of a user namespace that owns the network namespace: nothing but CAP_NET_ADMIN and CAP_SYS_ADMIN there is needed.
public final class ContainerNetwork {
    var plan: NetworkPlan
    let id: String
    private let run: String
    private var opened: HostNetwork?
    /// Held while attached: the kernel keeps the namespace as long, so ``detach()`` has to be called when the container has ended.
    private(set) var namespace: SharedFD?
    private var home: SharedFD?
    var ports = PortBindings()
    private var changes: RulesetWatch?

    /// - Parameters:
    ///   - id: the container's.
    ///   - run: the engine's run directory.
    public init(_ plan: NetworkPlan, id: String, run: String) {
        self.plan = plan
        self.id = id
        self.run = run
    }

    func host() throws(NetworkError) -> HostNetwork {
        if let opened { return opened }
        let host = try HostNetwork(run: run)
        opened = host
        return host
    }

    /// Connects a container: its namespace has only `lo`, and nothing that was ours when this throws.
    ///
    /// - Parameter namespace: the container's network namespace.
    /// - Throws: `.inUse` when a host's port is taken; `.system`.
    public func attach(namespace: SharedFD) throws(NetworkError) {
        self.namespace = namespace
        do throws(NetworkError) {
            try plan.requireOwnNames()
            // Ports come first: they are what fails when somebody else was quicker.
            let elements = try PortElements.make(plan.ports, id: id)
            _ = try ports.bind(try PortBindings.keys(plan.ports))
            if plan.needsFirewall { watchRuleset() }
            try connect(plan.endpoints, routes: try Self.defaultRoutes(plan.endpoints))
            // Elements last: whoever comes by a published port finds the container's address.
            if !elements.isEmpty { try publish(elements) }
        } catch {
            detach()
            throw error
        }
    }

    /// Disconnects; tolerant of everything being gone. Leaves bridges and the table to the next container.
    ///
    /// Ports are free when it returns; devices disappear a moment later.
    public func detach() {
        if let host = opened {
            if !ports.isEmpty, let elements = try? PortElements.make(plan.ports, id: id) { try? host.firewall.remove(elements) }
            // The kernel does that by itself when the container's namespace ends; but somebody may have joined it and keep it.
            // And closing a socket of the firewall waits until removed elements are gone for good: another grace period.
            let closing = [host.openedFirewall?.fd, changes?.descriptor.fd].compactMap { $0 }
            host.route.removeLater(plan.endpoints.filter(\.isBridged).flatMap(\.hostDevices), closing: closing)
            let inner = plan.endpoints.filter { !$0.isBridged }.map(\.interface)
            if !inner.isEmpty { try? inside { (route) throws(SystemError) in route.removeLater(inner, closing: []) } }
        }
        // After the elements: nobody else may have the ports while they still lead here.
        ports.releaseAll()
        changes = nil
        namespace = nil
        opened = nil
    }

    /// Makes the running container's connections those of another plan, without touching what is in both.
    ///
    /// - Throws: as ``attach(namespace:)``; the connections and the plan are then as before.
    public func change(to next: NetworkPlan) throws(NetworkError) {
        guard namespace != nil else {
            plan = next
            return
        }
        try next.requireOwnNames()
        let difference = try PlanDifference(from: plan, to: next, id: id)
        let host = try host()
        if next.needsFirewall { watchRuleset() }
        let bound = try ports.bind(difference.addedPorts)
        do throws(NetworkError) {
            try networkError { () throws(SystemError) in
                for endpoint in difference.replacedEndpoints { try removeEnd(of: endpoint, host) }
            }
            try connect(difference.addedEndpoints)
            try setDefaultRoutes(next.endpoints)
            for (_, endpoint) in difference.changedRates { try host.setRate(endpoint) }
            if !difference.addedElements.isEmpty { try publish(difference.addedElements) }
        } catch {
            undo(difference, bound)
            throw error
        }
        plan = next
        try networkError { () throws(SystemError) in
            if !difference.removedElements.isEmpty { try host.firewall.remove(difference.removedElements) }
            for endpoint in difference.removedEndpoints { try removeEnd(of: endpoint, host) }
        }
        ports.release(difference.removedPorts)
        // With a device its routes go, and another network's gateway may be the default now.
        if !difference.removedEndpoints.isEmpty { try setDefaultRoutes(next.endpoints) }
    }

    private func undo(_ difference: PlanDifference, _ bound: Set<PortBindings.Key>) {
        guard let host = opened else { return }
        if !difference.addedElements.isEmpty { try? host.firewall.remove(difference.addedElements) }
        for endpoint in difference.addedEndpoints { try? removeEnd(of: endpoint, host) }
        for (endpoint, _) in difference.changedRates { try? host.setRate(endpoint) }
        ports.release(bound)
        try? connect(difference.replacedEndpoints)
        try? setDefaultRoutes(plan.endpoints)
        if let elements = try? PortElements.make(plan.ports, id: id), !elements.isEmpty { try? publish(elements) }
    }

    /// After a flush: the table, the bridges' elements, and this container's ports again. Idempotent.
    public func repair() throws(NetworkError) {
        guard namespace != nil, plan.needsFirewall else { return }
        let host = try host()
        try networkError { () throws(SystemError) in try host.repairRuleset() }
        for endpoint in plan.endpoints where endpoint.isBridged { try host.ensure(endpoint.bridge) }
        let elements = try PortElements.make(plan.ports, id: id)
        if !elements.isEmpty { try publish(elements) }
    }

    /// Readable when somebody has changed rules of this host's firewall; ask ``rulesetChanged()`` then. Nil while nothing depends on it,
    /// and where the kernel tells nothing.
    public var watch: SharedFD? { changes?.descriptor }

    /// Reads what ``watch`` has to say.
    /// - Returns: whether something of ours is gone: then ``repair()``.
    public func rulesetChanged() -> Bool {
        guard let changes, namespace != nil, let host = opened else { return false }
        changes.drain()
        do {
            guard try host.firewall.isWhole() else { return true }
            let bridges = try plan.endpoints.filter(\.isBridged).map { endpoint in
                (endpoint.bridge.device, try BridgeElements(endpoint.bridge).mark)
            }
            if try !host.firewall.stands(bridges) { return true }
            // Maps are flushed as a whole: one element of each tells.
            let elements = try PortElements.make(plan.ports, id: id)
            let samples = elements.compactMap { set, list in list.first.map { (set, $0) } }
            return try !host.firewall.holds(samples)
        } catch {
            return true
        }
    }

    private func watchRuleset() {
        if changes == nil { changes = try? RulesetWatch() }
    }

    private func publish(_ elements: [FirewallSet: [FirewallElement]]) throws(NetworkError) {
        let host = try host()
        try networkError { () throws(SystemError) in
            do throws(SystemError) {
                try host.firewall.change(add: elements)
            } catch {
                // Flushed since the bridge was looked at.
                guard error.errno == .noEntry else { throw error }
                try host.repairRuleset()
                try host.firewall.change(add: elements)
            }
        }
    }

    /// A route socket in the container's namespace, and what has to be opened there.
    func inside<T: ~Copyable>(_ body: (RouteSocket) throws(SystemError) -> T) throws(SystemError) -> T {
        guard let namespace else { throw SystemError(.noEntry, "enter network namespace") }
        let home: SharedFD
        if let known = self.home { home = known } else { home = SharedFD(try currentNetworkNamespace()) }
        self.home = home
        return try withNetworkNamespace(namespace.fd, home: home.fd) { () throws(SystemError) in try body(RouteSocket()) }
    }
}
