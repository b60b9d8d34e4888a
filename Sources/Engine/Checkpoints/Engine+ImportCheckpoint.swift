import Archive
import CLinux
import Control
import Glibc
import Linux
import Store

/// What `container restore --import` reads, and what is to be different.
public struct CheckpointImport: Sendable {
    public var path: String
    /// The archive of an earlier `--pre-checkpoint`; empty: none.
    public var previous = ""
    /// Empty: as the archive says.
    public var name = ""
    /// Nil: as the archive says.
    public var ports: [PortBinding]?
    public var includesRootfs = true
    public var includesVolumes = true
    public var keepsAddress = true
    public var keepsHardwareAddress = true

    public init(path: String) { self.path = path }
}

extension Engine {
    /// Makes a container from an archive, and lets it go on from its checkpoint. Where that fails, nothing of it stays.
    ///
    /// The archive says what the container mounts and may do, as a command line of `run` does: it is to be believed as much as one.
    /// - Throws: `.notFound` where its image is not here; `.invalid` for an archive that is none of `container checkpoint --export`.
    public func importCheckpoint(_ source: CheckpointImport, _ options: RestoreOptions) throws(EngineError) -> CheckpointStatistics {
        if host.isRootless || isInsideUserNamespace {
            throw EngineError(.notSupported, sentence: "checkpoints need root, as CRIU does: sudo berth container restore …")
        }
        raiseDescriptorLimit()
        let archive = try CheckpointReader(source.path)
        defer { archive.close() }
        let request = try request(try archive.readDescription(), source, options)
        try refusePresentVolumes(request.definition, source)
        let definition = try create(request)
        do throws(EngineError) {
            try fill(definition, from: archive, source)
            let view = try container(definition.id)
            let places = CheckpointPlaces(container: roots.container(view.id))
            guard CheckpointPlaces.isCheckpoint(places.only) else {
                throw .invalid("\(source.path) holds no checkpoint: was it written by --pre-checkpoint?")
            }
            let statistics = try restore(view, places, options)
            if !options.keeps { for path in [places.only, places.previous, places.work] { try? removeTree(.cwd, path) } }
            return statistics
        } catch {
            // CRIU's log would go with it.
            let failure = keepLog(of: definition, error)
            try? remove(definition.id, force: true, volumes: true)
            throw failure
        }
    }

    /// Moves CRIU's log out of a container that goes.
    private func keepLog(of definition: ContainerDefinition, _ error: EngineError) -> EngineError {
        let log = CheckpointPlaces(container: roots.container(definition.id)).work + "/restore.log"
        let kept = roots.run + "/restore-\(definition.shortID).log"
        guard error.description.includes(log), let bytes = try? FD.cwd.readFile(log, limit: 64 << 20),
            (try? FD.cwd.writeFile(kept, bytes)) != nil
        else { return error }
        var told = error
        let parts = Array(error.cause.utf8).split(separator: Array(log.utf8))
        told.cause = parts.map { String(decoding: $0, as: UTF8.self) }.joined(separator: kept)
        return told
    }

    private func request(
        _ description: CheckpointDescription, _ source: CheckpointImport, _ options: RestoreOptions
    ) throws(EngineError) -> ContainerRequest {
        var request = ContainerRequest(image: description.definition.image)
        request.definition = description.definition
        request.isComplete = true
        request.pull = .never
        if !source.name.isEmpty { request.definition.name = source.name }
        if let ports = source.ports {
            request.definition.ports = ports
            for exposed in ports.map(\.ports) where !request.definition.exposed.contains(where: { $0.contains(exposed) }) {
                request.definition.exposed.append(exposed)
            }
        }
        let store = try self.store()
        // By its digest: an image that only has the name has other files.
        let id = description.definition.imageID
        do throws(StoreError) { request.definition.image = try store.image(matching: id).id } catch {
            guard error.code == .notFound else { throw EngineError(error) }
            let name = description.definition.image
            throw EngineError(
                .notFound, sentence: "the image of the checkpoint is not here: \(name) (\(id)); pull or load it first: berth pull \(name)")
        }
        request.imageName = description.definition.image
        for attachment in description.networks {
            // A connection keeps what was asked for; what it happened to have only where connections of it are to go on.
            let keeps = source.keepsAddress && options.establishedConnections
            request.networks.append(
                try NetworkAttachment(
                    attachment, keepsAddress: source.keepsAddress, hasSameAddress: keeps,
                    keepsHardwareAddress: source.keepsHardwareAddress))
        }
        return request
    }

    /// Podman's rule: what is in a volume here is not mixed with what comes.
    private func refusePresentVolumes(_ definition: ContainerDefinition, _ source: CheckpointImport) throws(EngineError) {
        guard source.includesVolumes else { return }
        let present = Set(try volumes().map(\.name))
        for mount in definition.mounts where mount.kind == .volume && !mount.isAnonymous && present.contains(mount.source) {
            throw EngineError(
                .conflict,
                sentence: "volume with name \(mount.source) already exists. Use --ignore-volumes to not restore content of volumes")
        }
    }

    private func fill(
        _ definition: ContainerDefinition, from archive: CheckpointReader, _ source: CheckpointImport
    ) throws(EngineError) {
        let directory = try during("open directory of container", definition.id) { () throws(SystemError) in
            SharedFD(try FD.cwd.open(roots.container(definition.id), [.readOnly, .directory, .noFollow]))
        }
        if !source.previous.isEmpty {
            let earlier = try CheckpointReader(source.previous)
            defer { earlier.close() }
            _ = try earlier.readDescription()
            while let (name, entry) = try earlier.next() {
                if name.hasPrefix(CheckpointArchive.previous + "/") { try earlier.write(entry, name, below: directory.fd) }
            }
        }
        while let (name, entry) = try archive.next() {
            switch name {
            case CheckpointArchive.rootfs:
                if source.includesRootfs { try unpack(try archive.spool(entry), into: directory.fd) }
            case _ where name.hasPrefix(CheckpointArchive.volumes):
                if source.includesVolumes { try fillVolume(name, of: definition, try archive.spool(entry)) }
            case _ where name.hasPrefix(CheckpointArchive.previous + "/") && !source.previous.isEmpty: break
            default: try archive.write(entry, name, below: directory.fd)
            }
        }
    }

    private func unpack(_ file: SharedFD, into directory: FD) throws(EngineError) {
        let upper = try during("open layer of container") { () throws(SystemError) in
            SharedFD(try directory.open("upper", [.readOnly, .directory, .noFollow]))
        }
        try stored { () throws(StoreError) in
            let reader = TarReader(BufferedLender(FileReader(file.fd, name: CheckpointArchive.rootfs)))
            try LayerUnpacker(root: upper, isInUserNamespace: false).unpack(reader)
        }
    }

    private func fillVolume(_ name: String, of definition: ContainerDefinition, _ file: SharedFD) throws(EngineError) {
        let number = name.dropFirst(CheckpointArchive.volumes.count)
        guard let index = Int(number.dropLast(4)), name == CheckpointArchive.volume(index), definition.mounts.indices.contains(index),
            definition.mounts[index].kind == .volume
        else { throw .invalid("the archive has content of a volume that the container does not have: \(name)") }
        let store = try self.store()
        let volume = definition.mounts[index].source
        try stored { () throws(StoreError) in try store.importVolume(volume, from: file.fd, users: [definition.id]) }
    }
}

extension NetworkAttachment {
    fileprivate init(
        _ attachment: CheckpointDescription.Attachment, keepsAddress: Bool, hasSameAddress: Bool, keepsHardwareAddress: Bool
    ) throws(EngineError) {
        let definition = try EndpointDefinition(decoding: attachment.definition)
        self.init(definition.network)
        aliases = definition.aliases
        links = definition.links
        driverOptions = definition.driverOptions
        gatewayPriority = definition.gatewayPriority
        if keepsAddress {
            ipv4 = IPAddress(hasSameAddress ? attachment.ipv4 : definition.ipv4)
            ipv6 = IPAddress(hasSameAddress ? attachment.ipv6 : definition.ipv6)
        }
        if keepsHardwareAddress { mac = MACAddress(attachment.mac) }
    }
}

/// Reads an archive of a checkpoint. What it says reaches no path but those of ``write(_:_:below:)``.
final class CheckpointReader {
    private let path: String
    private let file: SharedFD
    private let stream: LayerStream
    private let reader: TarReader

    init(_ path: String) throws(EngineError) {
        self.path = path
        let file = try during("open archive", path) { () throws(SystemError) in
            SharedFD(try FD.cwd.open(path, [.readOnly, .noControllingTerminal]))
        }
        self.file = file
        stream = try archived { () throws(ArchiveError) in try LayerStream(FileReader(file.fd, name: path)) }
        reader = TarReader(stream)
    }

    /// Ends the threads that decompress.
    func close() { stream.cancel() }

    func readDescription() throws(EngineError) -> CheckpointDescription {
        let bytes = try archived { [reader] () throws(ArchiveError) -> [UInt8]? in
            guard let entry = try reader.next(), entry.kind == .file, entry.path == Array(CheckpointArchive.description.utf8) else {
                return nil
            }
            return try reader.readAll(limit: 4 << 20, of: entry)
        }
        guard let bytes else {
            throw .invalid("\(path) is no archive of berth container checkpoint --export (podman's have another form)")
        }
        return try CheckpointDescription(decoding: bytes)
    }

    /// The next entry; directories are passed over, as their names are known.
    func next() throws(EngineError) -> (name: String, entry: TarEntry)? {
        while let entry = try archived({ [reader] () throws(ArchiveError) in try reader.next() }) {
            if entry.kind == .directory { continue }
            return (String(decoding: entry.path, as: UTF8.self), entry)
        }
        return nil
    }

    /// An image of CRIU's: a file of a plain name in one of two directories.
    ///
    /// - Throws: `.invalid` for any other name, and for everything that is no file, but for the one link that CRIU makes.
    func write(_ entry: TarEntry, _ name: String, below directory: FD) throws(EngineError) {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        let isKnown = parts.count == 2 && [CheckpointArchive.images, CheckpointArchive.previous].contains(parts[0])
        let allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-".utf8
        guard isKnown, parts[1].utf8.allSatisfy({ allowed.contains($0) }), !parts[1].isEmpty, parts[1].utf8.first != 0x2e else {
            throw refusal(name)
        }
        let folder = try during("make directory", parts[0]) { () throws(SystemError) in
            let made = cl_mkdirat(directory.rawValue, parts[0], 0o700)
            if made != -EEXIST { try check(made, "make directory", parts[0]) }
            return SharedFD(try directory.open(parts[0], [.readOnly, .directory, .noFollow]))
        }
        if entry.kind == .symbolicLink, name == "checkpoint/parent", entry.linkPath == Array("../pre-checkpoint".utf8) {
            try during("write", name) { () throws(SystemError) in try folder.fd.makeSymbolicLink(to: "../pre-checkpoint", at: "parent") }
            return
        }
        guard entry.kind == .file else { throw refusal(name) }
        let made = try during("write", name) { () throws(SystemError) in
            SharedFD(try folder.fd.open(parts[1], [.writeOnly, .create, .exclusive, .noFollow], mode: 0o600))
        }
        try copy(entry, to: made.fd, name)
    }

    private func refusal(_ name: String) -> EngineError {
        .invalid("\(path) has an entry that no checkpoint has: \"\(name)\"")
    }

    /// An entry's bytes in a file that stands at its beginning.
    func spool(_ entry: TarEntry) throws(EngineError) -> SharedFD {
        guard entry.kind == .file else { throw refusal(String(decoding: entry.path, as: UTF8.self)) }
        let file = try SpoolFile().file
        try copy(entry, to: file.fd, "archive")
        _ = cl_lseek(file.raw, 0, SEEK_SET)
        return file
    }

    private func copy(_ entry: TarEntry, to file: FD, _ name: String) throws(EngineError) {
        try archived { [reader] () throws(ArchiveError) in
            while let (offset, bytes) = try reader.readSegment() {
                guard cl_lseek(file.rawValue, offset, SEEK_SET) == offset else {
                    throw ArchiveError(.system, "write", name, cause: "cannot seek")
                }
                try writeAll(file, bytes, name: name)
            }
        }
        try during("write", name) { () throws(SystemError) in _ = try check(cl_ftruncate(file.rawValue, entry.size), "set size of", name) }
    }
}
