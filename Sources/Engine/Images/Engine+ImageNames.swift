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
        let target = reference.withDefaultTag
        if let id = try? store.image(matching: target.description).id {
            announce("tag", image: id, name: target.familiar, labelsOf: id)
        }
    }

    /// Takes a name from an image or removes it: Docker's rules of `rmi`.
    ///
    /// - Parameter platforms: what the image has to be one of; empty takes it as it is.
    /// - Returns: Docker's lines, `Untagged: …` and `Deleted: …`.
    /// - Throws: `.notFound`; `.conflict` when a container uses it.
    public func removeImage(
        _ name: String, force: Bool, platforms: [String] = []
    ) throws(EngineError) -> [String] {
        guard hasStore else { throw .noSuchImage(name) }
        if !platforms.isEmpty { try requirePlatform(of: name, platforms) }
        let store = try self.store()
        // Before the database is locked: whoever waits for the lock waits for no container.
        var alive: Set<String> = []
        for view in try containers() where view.observation.status.usesImage { alive.insert(view.definition.id) }
        let id = (try? store.image(matching: name).id) ?? name
        try releaseMounts(ofImage: id, force: force)
        let removed = try named(name) { () throws(StoreError) in
            try store.removeImage(name, force: force) { alive.contains($0) }
        }
        announce(removed, id: id)
        return removed.lines
    }

    /// Removes an image with all its names unless a container uses it: each image of `rmi --all`.
    ///
    /// - Throws: as ``removeImage(_:force:platforms:)``.
    public func removeWithAllNames(_ id: String) throws(EngineError) -> [String] {
        let store = try self.store()
        try releaseMounts(ofImage: id, force: false)
        if let removed = try stored({ () throws(StoreError) in try store.pruneImage(id: id, onlyUntagged: false) }) {
            _ = store.reclaimTrash()
            announce(removed, id: id)
            return removed.lines
        }
        return try removeImage(id, force: false)
    }

    /// Takes names from an image and leaves the image itself alone, as podman's `untag`.
    ///
    /// - Parameter names: all of them when empty.
    /// - Throws: `.notFound` for the image and for what is no name of it.
    public func untag(_ name: String, _ names: [String]) throws(EngineError) {
        guard hasStore else { throw .noSuchImage(name) }
        var references: [Reference] = []
        for text in names {
            do throws(OCIError) { references.append(try Reference.parse(text)) } catch { throw .invalid(error.description) }
        }
        let store = try self.store()
        let id = (try? store.image(matching: name).id) ?? name
        do throws(StoreError) {
            try store.untag(name, references)
            announce("untag", image: id, name: id)
        } catch {
            if error.code == .notFound, error.operation == "untag image" {
                throw EngineError(.notFound, sentence: "\(error.object): tag not known for image \(name)")
            }
            if error.code == .notFound { throw .noSuchImage(name) }
            throw EngineError(error)
        }
    }

    /// - Throws: `.notFound` when the image is for none of the platforms.
    func requirePlatform(of name: String, _ texts: [String]) throws(EngineError) {
        let record: ImageRecord = try image(name)
        let store = try self.store()
        let platform = try stored { () throws(StoreError) in try store.imageConfig(id: record.id).platform }
        for text in texts {
            if let wanted = try self.platform(text), wanted.isSame(as: platform) || wanted.runs(platform) { return }
        }
        throw EngineError(
            .notFound,
            sentence: "image with reference \(name) was found but its platform (\(platform)) does not match the "
                + "specified platform (\(texts.joined(separator: ", ")))")
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
    fileprivate var usesImage: Bool { hasProcess || self == .starting || self == .restarting }
}
