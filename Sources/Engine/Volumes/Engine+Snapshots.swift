import Control
import Linux
import Store

/// A volume, or one of its snapshots: `VOLUME` or `VOLUME@SNAPSHOT`.
public struct VolumeReference: Sendable, Hashable {
    public var volume: String
    public var snapshot: String?

    public init(_ text: String) {
        let pair = text.splitOnce("@")
        volume = pair.map { String($0.head) } ?? text
        snapshot = pair.map { String($0.tail) }
    }

    public var text: String { snapshot.map { volume + "@" + $0 } ?? volume }
}

/// States of volumes that are kept, and copies of them, while containers go on.
extension Engine {
    /// Keeps the content of a volume as it is now.
    ///
    /// Containers that use it stand still while it is read, so that it is the content of one moment.
    /// - Parameters:
    ///   - name: nil is the time.
    ///   - pausing: false reads while they go on: each file is whole, but not of one moment.
    /// - Returns: what it can be named by.
    /// - Throws: `.conflict` for a name that is taken; nothing is changed then.
    public func snapshotVolume(_ volume: String, name: String?, pausing: Bool = true) throws(EngineError) -> VolumeReference {
        let view = try self.volume(volume)
        try requireOwnContent(view, "snapshot")
        var reference = VolumeReference(volume)
        // 20260102T030405Z
        let time = String(Timestamp.text(wallClockNanoseconds()).prefix(19).filter { $0 != "-" && $0 != ":" }) + "Z"
        let chosen = name ?? time
        reference.snapshot = chosen
        let content = try openContent(of: view, "snapshot")
        let frozen = try freezeContainers(ofVolume: volume, isWanted: pausing)
        let store = try self.store()
        do throws(StoreError) {
            try store.addSnapshot(chosen, toVolume: volume, of: content) { () throws(StoreError) in try end(frozen) }
        } catch {
            switch error.code {
            case .notFound: throw .noSuchVolume(volume)
            case .nameInUse:
                throw EngineError(
                    .conflict,
                    sentence: "snapshot \(volume): a snapshot named \(chosen) exists; remove it first: berth volume rm \(reference.text)")
            default: throw EngineError(error)
            }
        }
        return reference
    }

    /// Snapshots of a volume by name.
    public func snapshots(of volume: String) throws(EngineError) -> [VolumeSnapshot] {
        let view = try self.volume(volume)
        let store = try self.store()
        return try stored { () throws(StoreError) in try store.snapshots(ofVolume: view.name) }
    }

    public func removeSnapshot(_ reference: VolumeReference, force: Bool = false) throws(EngineError) {
        do throws(EngineError) {
            _ = try volume(reference.volume)
            let store = try self.store()
            do throws(StoreError) {
                try store.removeSnapshot(reference.snapshot ?? "", ofVolume: reference.volume)
            } catch {
                if error.code == .notFound { throw EngineError.noSuchSnapshot(reference) }
                throw EngineError(error)
            }
        } catch {
            if error.code == .notFound, force { return }
            throw error
        }
        if host.isRootless { emptyForeignTrash() }
    }

    /// Makes a volume with the content and labels of another, or with the content of a snapshot.
    public func cloneVolume(_ source: VolumeReference, as name: String, pausing: Bool = true) throws(EngineError) -> VolumeView {
        let view = try volume(source.volume)
        try requireOwnContent(view, "clone")
        do throws(EngineError) { try VolumeName.check(name) } catch {
            throw EngineError(error.code, sentence: "clone \(source.text): \(error.description)")
        }
        let record = VolumeRecord(
            name: name, labels: view.labels.filter { $0.key != VolumeView.anonymousLabel }, created: wallClockNanoseconds())
        let content = try open(source, view, "clone")
        let frozen =
            source.snapshot == nil ? try freezeContainers(ofVolume: view.name, isWanted: pausing) : FrozenContainers()
        let store = try self.store()
        do throws(StoreError) {
            try store.cloneVolume(record, from: content) { () throws(StoreError) in try end(frozen) }
        } catch {
            guard error.code == .nameInUse else { throw EngineError(error) }
            let cause = error.cause == "the volume exists" ? "a volume named \(name) exists" : error.cause
            throw EngineError(.conflict, sentence: "clone \(source.text): \(cause)")
        }
        announce("create", volume: name)
        return self.view(record)
    }

    /// Gives a volume the content of one of its snapshots.
    ///
    /// - Throws: `.conflict` while a container that uses the volume runs: it would keep the content it has.
    public func restoreVolume(_ reference: VolumeReference) throws(EngineError) {
        let view = try volume(reference.volume)
        try requireOwnContent(view, "restore")
        guard reference.snapshot != nil else { throw .invalid("restore \(view.name): name a snapshot") }
        let content = try open(reference, view, "restore")
        let held = try holdContainers(ofVolume: view.name, "restore")
        defer { withExtendedLifetime(held) {} }
        let store = try self.store()
        try stored { () throws(StoreError) in try store.restoreVolume(view.name, from: content, users: held.ids) }
    }

    /// The content of a volume or snapshot, to be read.
    func open(_ reference: VolumeReference, _ view: VolumeView, _ purpose: String) throws(EngineError) -> SharedFD {
        guard let snapshot = reference.snapshot else { return try openContent(of: view, purpose) }
        let store = try self.store()
        do throws(StoreError) {
            return try store.openSnapshot(snapshot, ofVolume: reference.volume)
        } catch {
            if error.code == .notFound { throw .noSuchSnapshot(reference) }
            throw EngineError(error)
        }
    }

    /// Stops what runs in the containers that use a volume, for as long as the result lives and is not thawed.
    private func freezeContainers(ofVolume name: String, isWanted: Bool) throws(EngineError) -> FrozenContainers {
        let frozen = FrozenContainers()
        guard isWanted else { return frozen }
        let store = try self.store()
        for id in try stored({ () throws(StoreError) in try store.containers(ofVolume: name) }) {
            guard let view = try? container(id), view.isAlive else { continue }
            if host.isRootless || Engine.isHelper {
                do throws(EngineError) { try requireFreezer(view) } catch {
                    throw EngineError(error.code, sentence: error.description + "; or give --pause=false")
                }
            }
            guard let connection = try connect(id) else {
                throw EngineError(
                    .conflict, sentence: "container \(view.name) cannot be paused, as it has no supervisor: stop it, or give --pause=false")
            }
            do throws(ControlError) {
                try connection.freeze()
                frozen.add(id, connection)
            } catch {
                // It has ended meanwhile: it changes nothing any more.
                if let after = try? container(id), after.isAlive { throw EngineError(control: error) }
            }
        }
        return frozen
    }

    /// Lets containers go on.
    ///
    /// - Throws: `.inUse` when one of them did not stand still all the time, as it was stopped or killed meanwhile.
    private func end(_ frozen: FrozenContainers) throws(StoreError) {
        for id in frozen.ids where (try? observe(id))?.status != .paused {
            throw StoreError(.inUse, "copy volume", cause: "container \(id) was stopped meanwhile: do it again", holders: [id])
        }
        frozen.thaw()
    }
}

/// Containers that stand still until this thaws them, ends, or its process is killed: their supervisors watch the connections.
private final class FrozenContainers {
    private var connections: [String: SupervisorConnection] = [:]
    var ids: [String] { connections.keys.sorted() }

    func add(_ id: String, _ connection: SupervisorConnection) { connections[id] = connection }
    func thaw() { connections = [:] }
}

extension EngineError {
    static func noSuchSnapshot(_ reference: VolumeReference) -> EngineError {
        EngineError(.notFound, sentence: "get \(reference.text): no such snapshot")
    }
}
