import Control
import Linux
import Networks

/// A container's networks while it runs: its end of the cables, its published ports, its names, its resolver.
///
/// Opened for each run between the making of the container and its start, closed after its end: no command has to be there
/// for either. One thread, the supervisor's.
final class ContainerConnections {
    private let id: String
    private let run: String
    private let loop: EventLoop
    private var plan: NetworkPlan
    private let network: ContainerNetwork
    private var resolver: Resolver?
    private let hostSockets: HostSockets?
    private let onActivity: () -> Void
    /// Somebody has changed rules of the host's firewall.
    var onRulesetChange: () -> Void = {}
    private var namespace: SharedFD?
    /// By the network's directory of names.
    private var registrations: [String: NameRegistration] = [:]
    private var watch: EventLoop.Token?

    /// - Parameters:
    ///   - hostSockets: where this process is not in the host's network namespace.
    ///   - onActivity: called when the resolver is asked something.
    init(
        _ plan: NetworkPlan, id: String, run: String, loop: EventLoop, hostSockets: HostSockets?, onActivity: @escaping () -> Void
    ) {
        self.plan = plan
        self.id = id
        self.run = run
        self.loop = loop
        network = ContainerNetwork(plan, id: id, run: run)
        self.hostSockets = hostSockets
        self.onActivity = onActivity
        resolver = plan.resolver.map(makeResolver)
    }

    private func makeResolver(_ plan: ResolverPlan) -> Resolver {
        let made = Resolver(plan, loop: loop)
        made.onActivity = onActivity
        if let hostSockets { made.makeHostSockets = hostSockets.makeQuickly }
        return made
    }

    /// Connects a container that was made and not started. Nothing is left when this throws.
    ///
    /// - Parameter namespace: the container's network namespace.
    func open(_ namespace: SharedFD) throws(LaunchFailure) {
        do throws(NetworkError) {
            self.namespace = namespace
            try network.attach(namespace: namespace)
            do throws(SystemError) { try resolver?.open(namespace: namespace) } catch { throw NetworkError(error) }
            // Last: who finds the name reaches the container. It has not started yet, and finds its own.
            try register(plan)
            watchRuleset()
        } catch {
            close()
            throw LaunchFailure(error.description)
        }
    }

    /// Once something of the container's is in the firewall, which may be with a later connection.
    private func watchRuleset() {
        guard watch == nil, let file = network.watch else { return }
        watch = try? loop.add(file.fd, .readable) { [unowned self] _ in
            // What cannot be repaired now is told by nobody; the next change of the rules is another try.
            if network.rulesetChanged() { try? network.repair() }
            onRulesetChange()
        }
    }

    /// Disconnects; in this order nobody is led to what is gone.
    func close() {
        for registration in registrations.values { registration.withdraw() }
        registrations = [:]
        resolver?.close()
        namespace = nil
        if let watch { loop.remove(watch) }
        watch = nil
        network.detach()
    }

    /// Carries out what is different in another plan, on the running container.
    ///
    /// - Throws: what was there before stays then.
    func change(to next: NetworkPlan) throws(NetworkError) {
        if next == plan { return }
        try network.change(to: next)
        watchRuleset()
        do throws(NetworkError) {
            try changeResolver(next.resolver)
            try register(next)
        } catch {
            try? changeResolver(plan.resolver)
            try? register(plan)
            try? network.change(to: plan)
            throw error
        }
        plan = next
    }

    /// Makes anew what somebody has taken away of bridges and rules, and looks again who a network's other hosts are.
    func refresh() throws(NetworkError) { try network.repair() }

    /// Who is in no network that has names has none, and gets one with the first.
    private func changeResolver(_ next: ResolverPlan?) throws(NetworkError) {
        if let resolver {
            if let next { return resolver.update(next) }
            resolver.close()
            self.resolver = nil
        } else if let next, let namespace {
            let made = makeResolver(next)
            do throws(SystemError) { try made.open(namespace: namespace) } catch { throw NetworkError(error) }
            resolver = made
        }
    }

    private func register(_ next: NetworkPlan) throws(NetworkError) {
        var entries: [String: NameEntry] = [:]
        for endpoint in next.endpoints where !endpoint.names.isEmpty {
            let addresses = endpoint.addresses.compactMap { IPPrefix($0)?.address }
            let directory = ContainerFiles.networkNames(run: run, network: endpoint.bridge.networkID)
            entries[directory] = NameEntry(network: endpoint.bridge.networkName, names: endpoint.names, addresses: addresses)
        }
        for (directory, registration) in registrations where entries[directory] == nil {
            registration.withdraw()
            registrations[directory] = nil
        }
        for (directory, entry) in entries {
            if let known = registrations[directory] {
                try known.replace(entry)
            } else {
                registrations[directory] = try NameRegistration(directory: directory, container: id, entry)
            }
        }
    }

    func releaseMemory() { resolver?.releaseMemory() }
}
