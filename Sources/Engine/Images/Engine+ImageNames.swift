import Control
import Linux
import OCI
import Store

extension Engine {
    /// Gives an image a further name.
    ///
    /// - Throws: `.notFound`; `.invalid` for a name that is none.
    public func tag(_ source: String, _ target: String) throws(EngineError) {
        guard hasStore else { throw .noSuchImage(source) }
        let reference: Reference
        do throws(OCIError) {
            reference = try Reference.parse(target)
        } catch {
            throw .invalid("\"\(target)\" is not a valid repository/tag: \(error.description)")
        }
        let store = try self.store()
        try named(source) { () throws(StoreError) in try store.tag(source, as: reference) }
    }

    /// Takes a name from an image or removes it: Docker's rules of `rmi`.
    ///
    /// - Returns: Docker's lines, `Untagged: …` and `Deleted: …`.
    /// - Throws: `.notFound`; `.conflict` when a container uses it.
    public func removeImage(_ name: String, force: Bool) throws(EngineError) -> [String] {
        guard hasStore else { throw .noSuchImage(name) }
        let store = try self.store()
        // Before the database is locked: whoever waits for the lock waits for no container.
        var alive: Set<String> = []
        for view in try containers() where view.observation.status.usesImage { alive.insert(view.definition.id) }
        return try named(name) { () throws(StoreError) in
            try store.removeImage(name, force: force) { alive.contains($0) }.lines
        }
    }

    /// Tells the store's failures about an image in Docker's words.
    @discardableResult
    private func named<R>(_ text: String, _ body: () throws(StoreError) -> R) throws(EngineError) -> R {
        do throws(StoreError) {
            return try body()
        } catch {
            switch error.code {
            case .notFound: throw .noSuchImage(text)
            // A whole sentence already.
            case .inUse: throw EngineError(.conflict, sentence: error.cause)
            default: throw EngineError(error)
            }
        }
    }
}

extension ContainerObservation.Status {
    /// Whether its processes live, or come back by themselves.
    fileprivate var usesImage: Bool { isAlive || self == .starting || self == .restarting }
}
