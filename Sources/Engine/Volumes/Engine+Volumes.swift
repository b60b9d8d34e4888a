import JSON
import Linux
import Store

/// What somebody asks a volume to be.
public struct VolumeRequest: Sendable {
    /// Empty: a generated one, of 64 hexadecimal digits.
    public var name: String
    public var driver = ""
    public var options: [String: String] = [:]
    public var labels: [String: String] = [:]
    /// A volume of the name is good, whatever it is.
    public var takesExisting = false

    public init(name: String = "") { self.name = name }
}

/// A volume as somebody looks at it.
public struct VolumeView: Sendable, Hashable {
    public var name: String
    public var driver: String
    public var options: [String: String]
    public var labels: [String: String]
    /// Where its content is on the host, in Docker's layout.
    public var mountpoint: String
    /// Nanoseconds since 1970.
    public var createdAt: Int64
    /// Nobody gave it a name.
    public var isAnonymous: Bool

    /// Docker's mark of volumes that nobody named.
    static let anonymousLabel = "com.docker.volume.anonymous"
}

extension EngineError {
    static func noSuchVolume(_ name: String) -> EngineError {
        EngineError(.notFound, sentence: "get \(name): no such volume")
    }
}

extension Engine {
    /// Makes a volume, or finds the one of the name. When it returns, the volume survives power loss.
    ///
    /// - Throws: `.conflict` where a volume of the name has other options; `.invalid`, `.notFound` for what cannot be made.
    public func createVolume(_ request: VolumeRequest) throws(EngineError) -> VolumeView {
        let isAnonymous = request.name.isEmpty
        let name = isAnonymous ? hexadecimal(randomBytes(32)) : request.name
        do throws(EngineError) {
            try LocalDriver.check(driver: request.driver)
            try VolumeName.check(name)
            try LocalDriver.check(request.options)
        } catch {
            throw EngineError(error.code, sentence: "create \(name): \(error.description)")
        }
        let record = VolumeRecord(
            name: name, driver: LocalDriver.name, options: request.options, labels: request.labels,
            created: wallClockNanoseconds(), isAnonymous: isAnonymous)
        let store = try self.store()
        guard let existing = try stored({ () throws(StoreError) in try store.createVolume(record) }) else {
            announce("create", volume: name)
            return view(record)
        }
        if !request.takesExisting, !request.options.isEmpty, request.options != existing.options {
            throw EngineError(
                .conflict,
                sentence: "create \(name): conflict: volume name must be unique: \(name) exists with other options; choose another "
                    + "name, or remove it first: berth volume rm \(name)")
        }
        return view(existing)
    }

    /// All volumes by name.
    public func volumes() throws(EngineError) -> [VolumeView] {
        guard hasStore else { return [] }
        let store = try self.store()
        return try stored { () throws(StoreError) in try store.volumes() }.map(view)
    }

    /// Names of volumes that containers use, stopped ones too.
    public func usedVolumes() throws(EngineError) -> Set<String> {
        guard hasStore else { return [] }
        // On the way the --rm containers go that have ended and that nobody cleared away.
        _ = try containers()
        let store = try self.store()
        return try stored { () throws(StoreError) in try store.usedVolumes() }
    }

    /// - Throws: `.notFound`.
    public func volume(_ name: String) throws(EngineError) -> VolumeView {
        guard hasStore else { throw .noSuchVolume(name) }
        let store = try self.store()
        guard let record = try stored({ () throws(StoreError) in try store.volume(name: name) }) else { throw .noSuchVolume(name) }
        return view(record)
    }

    /// A volume in the layout of Docker's `volume inspect`.
    public func inspectVolume(_ name: String) throws(EngineError) -> [UInt8] {
        let volume = try volume(name)
        return JSONWriter.document { writer in
            writer.object { w in
                // Whole seconds, as Docker has them.
                w.field("CreatedAt", Timestamp.text(volume.createdAt / 1_000_000_000 * 1_000_000_000))
                w.field("Driver", volume.driver)
                w.field("Labels", volume.labels)
                w.field("Mountpoint", volume.mountpoint)
                w.field("Name", volume.name)
                w.field("Options", volume.options)
                w.field("Scope", "local")
            }
        }
    }

    /// Removes a volume and its content, unless a container uses it.
    ///
    /// - Parameter force: it need not be there.
    /// - Throws: `.notFound`; `.conflict` with Docker's sentence and the containers that use it.
    public func removeVolume(_ name: String, force: Bool = false) throws(EngineError) {
        guard hasStore else {
            if force { return }
            throw .noSuchVolume(name)
        }
        let store = try self.store()
        for isFirst in [true, false] {
            do throws(StoreError) {
                try store.removeVolume(name: name)
                announce("destroy", volume: name)
                if host.isRootless { emptyForeignTrash() }
                return
            } catch {
                if error.code == .notFound {
                    if force { return }
                    throw .noSuchVolume(name)
                }
                guard error.code == .inUse else { throw EngineError(error) }
                // The user may be a --rm container that has ended and that nobody has cleared away.
                if isFirst, error.holders.contains(where: { (try? container($0)) == nil }) { continue }
                throw EngineError(
                    .conflict, sentence: "remove \(name): volume is in use - [\(error.holders.joined(separator: ", "))]")
            }
        }
    }

    func view(_ record: VolumeRecord) -> VolumeView {
        var view = VolumeView(
            name: record.name, driver: record.driver, options: record.options, labels: record.labels,
            mountpoint: roots.volume(record.name), createdAt: record.created, isAnonymous: record.isAnonymous)
        if record.isAnonymous { view.labels[VolumeView.anonymousLabel] = "" }
        return view
    }
}

extension Roots {
    /// Where a volume's content is.
    func volume(_ name: String) -> String { store + "/volumes/" + name + "/_data" }
}
