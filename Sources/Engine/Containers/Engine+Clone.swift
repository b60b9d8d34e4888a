import Control
import Linux
import Store

/// What `clone` changes of the container that it copies.
public struct CloneRequest: Sendable {
    /// Empty: the other's with `-clone` behind it, and a number where that is taken.
    public var name = ""
    /// Empty: the image that the other was made from, whatever is called so now.
    public var image = ""
    /// Limits beside the other's, or in their place.
    public var change = ContainerChange()
    /// -1: the other's.
    public var memorySwappiness: Int64 = -1
    /// The other is removed when its copy is there.
    public var destroy = false
    /// With ``destroy``: also where it runs.
    public var force = false

    public init() {}
}

extension Engine {
    /// Makes a container as another one was made: the same configuration, and nothing of its files.
    ///
    /// Named volumes and networks are shared; unnamed volumes, addresses and ids are its own.
    /// - Throws: `.imageMissing` for another image that is not here; ``create(_:)`` has the rest. Nothing is removed then.
    public func clone(_ text: String, _ clone: CloneRequest) throws(EngineError) -> ContainerDefinition {
        let view = try container(text)
        if clone.force, !clone.destroy { throw .invalid("cannot set --force without --destroy") }
        if clone.destroy, !clone.force, view.isAlive || view.observation.status == .restarting || isMounted(view.id) {
            throw EngineError(
                .conflict, sentence: "cannot destroy container \(view.name): it is running or mounted; stop and unmount it, or use --force")
        }
        let definition = try create(try cloneRequest(view, clone))
        if clone.destroy { try remove(view.id, force: clone.force) }
        return definition
    }

    private func cloneRequest(_ view: ContainerView, _ clone: CloneRequest) throws(EngineError) -> ContainerRequest {
        let old = view.definition
        var change = clone.change
        var base = old
        // What `update` refuses: here one kind of limit takes the other's place.
        if change.resources.nanoCPUs ?? 0 > 0 { (base.resources.cpuPeriod, base.resources.cpuQuota) = (nil, nil) }
        if change.resources.cpuPeriod ?? 0 > 0 || change.resources.cpuQuota ?? 0 > 0 { base.resources.nanoCPUs = nil }
        if change.resources.memory ?? 0 > 0, change.resources.memorySwap == nil, old.resources.memorySwap == nil {
            // Docker's "twice the memory" of the new limit.
            change.resources.memorySwap = 0
            base.resources.memory = nil
        }
        var request = ContainerRequest(image: old.image)
        request.definition = try change.applied(to: base)
        if clone.memorySwappiness >= 0 { request.definition.resources.memorySwappiness = clone.memorySwappiness }
        request.definition.image = try image(for: old, clone)
        request.entrypoint = old.entrypoint
        request.command = old.command
        request.stopSignal = "\(old.stopSignal)"
        request.definition.name = try name(of: clone, of: old)
        request.definition.userNamespaceSlot = nil
        request.definition.volumesFrom = []
        request.definition.networkName = ""
        // Those that were its id.
        if old.hostname == old.shortID || !old.hasOwnHostname { request.definition.hostname = "" }
        if old.isConnectable { request.networks = try networks(of: old) }
        return request
    }

    private func image(for old: ContainerDefinition, _ clone: CloneRequest) throws(EngineError) -> String {
        if !clone.image.isEmpty { return clone.image }
        let named = try? image(old.image).id
        return named == old.imageID ? old.image : old.imageID
    }

    private func name(of clone: CloneRequest, of old: ContainerDefinition) throws(EngineError) -> String {
        if !clone.name.isEmpty { return clone.name }
        for number in 0..<10_000 {
            let name = old.name + "-clone" + (number == 0 ? "" : "\(number)")
            do throws(EngineError) { _ = try definition(of: name) } catch {
                if error.code == .notFound { return name }
                // Several ids begin so.
                throw error
            }
        }
        throw EngineError(.conflict, sentence: "no free name for a clone of \(old.name): give one with --name")
    }

    /// The same networks without what one container alone can have there.
    private func networks(of old: ContainerDefinition) throws(EngineError) -> [NetworkAttachment] {
        let store = try self.store()
        let records = try stored { () throws(StoreError) in try store.connections(ofContainer: old.id) }.endpoints
        var result: [NetworkAttachment] = []
        for record in records.sorted(by: { $0.position < $1.position }) where record.networkID != nil {
            let asked = try EndpointDefinition(decoding: record.definition)
            var attachment = NetworkAttachment(asked.network)
            attachment.aliases = asked.aliases
            attachment.links = asked.links
            attachment.driverOptions = asked.driverOptions
            attachment.gatewayPriority = asked.gatewayPriority
            result.append(attachment)
        }
        if result.isEmpty { result.append(NetworkAttachment(old.networkName)) }
        return result
    }
}

extension ContainerDefinition {
    /// Whether a name was its own to choose.
    fileprivate var hasOwnHostname: Bool {
        if case .container = network { return false }
        return uts == .private
    }
}
