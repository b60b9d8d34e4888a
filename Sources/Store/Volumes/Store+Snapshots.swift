import CLinux
import Glibc
import Linux

/// A state of a volume that is kept.
public struct VolumeSnapshot: Sendable, Hashable {
    public var name: String
    /// Nanoseconds since 1970.
    public var created: Int64
}

/// Snapshots of volumes: `volumes/NAME/snapshots/SNAPSHOT/_data`. Each appears and goes by one rename, so a directory is all
/// there is to say about it; they go with their volume.
extension Store {
    private static let snapshots = "snapshots"
    /// In the directory of a volume while its row comes or goes: without a row such a directory is nobody's. Any other without
    /// a row is of a database that was lost, and is kept.
    static let endsWithRow = "ends-with-row"

    private func snapshotPath(_ volume: String) -> String { Directory.volumes + "/" + volume + "/" + Store.snapshots }

    /// The snapshots of a volume by name.
    public func snapshots(ofVolume volume: String) throws(StoreError) -> [VolumeSnapshot] {
        guard isObjectName(volume) else { throw noSuchVolume("list snapshots of volume", volume) }
        guard let parent = try? directory(snapshotPath(volume)) else { return [] }
        return names(in: snapshotPath(volume)).sorted().compactMap { name in
            guard let info = try? parent.fd.status(of: name) else { return nil }
            return VolumeSnapshot(name: name, created: Int64(info.st_mtim.tv_sec) * 1_000_000_000 + Int64(info.st_mtim.tv_nsec))
        }
    }

    /// The content of a snapshot, to be read.
    ///
    /// - Throws: `.notFound`.
    public func openSnapshot(_ name: String, ofVolume volume: String) throws(StoreError) -> SharedFD {
        guard isObjectName(volume), isObjectName(name) else { throw noSuchSnapshot(volume, name) }
        do throws(SystemError) {
            return SharedFD(
                try root.fd.open(
                    snapshotPath(volume) + "/" + name + "/_data", [.readOnly, .directory], resolve: [.beneath, .noSymlinks]))
        } catch {
            if error.errno == .noEntry { throw noSuchSnapshot(volume, name) }
            throw StoreError(error)
        }
    }

    /// Copies content and keeps it as a snapshot; when it returns, that survives power loss.
    ///
    /// - Parameters:
    ///   - content: of the volume, open for reading.
    ///   - copied: called when the content is read: it may change again. Not called when reading fails.
    /// - Throws: `.nameInUse`, `.notFound`; nothing is changed then.
    public func addSnapshot(
        _ name: String, toVolume volume: String, of content: SharedFD, copied: () throws(StoreError) -> Void
    ) throws(StoreError) {
        guard isObjectName(name) else {
            throw StoreError(
                .invalid, "create snapshot", name,
                cause: "a name has letters, digits, \"_\", \".\" and \"-\", and begins with a letter or digit")
        }
        let taken = StoreError(
            .nameInUse, "create snapshot", volume + "@" + name, cause: "a snapshot of the name exists", holders: [name])
        if root.fd.exists(snapshotPath(volume) + "/" + name) { throw taken }
        let staging = try makeStaging()
        defer { staging.remove() }
        try prepareCopy("new", of: content, in: staging, copied: copied)
        // As a transaction, because volumes are removed by transactions.
        try database.transaction(.volatile) { () throws(StoreError) in
            guard try self.volume(name: volume) != nil else { throw noSuchVolume("create snapshot of volume", volume) }
            try system { () throws(SystemError) in try root.fd.makeDirectories(snapshotPath(volume), mode: 0o700) }
            do throws(SystemError) {
                try staging.directory.fd.rename(
                    "new", to: snapshotPath(volume) + "/" + name, in: root.fd, flags: 1 /* RENAME_NOREPLACE */)
            } catch {
                if error.errno == .exists || error.errno == .notEmpty { throw taken }
                throw StoreError(error)
            }
        }
        try sync(snapshotPath(volume), Directory.volumes + "/" + volume)
    }

    /// - Throws: `.notFound`.
    public func removeSnapshot(_ name: String, ofVolume volume: String) throws(StoreError) {
        guard isObjectName(volume), isObjectName(name), root.fd.exists(snapshotPath(volume) + "/" + name) else {
            throw noSuchSnapshot(volume, name)
        }
        try system { () throws(SystemError) in
            do throws(SystemError) {
                try root.fd.rename(snapshotPath(volume) + "/" + name, to: Directory.trash + "/" + hexadecimal(randomBytes(8)))
            } catch {
                // Another command was faster.
                if error.errno != .noEntry { throw error }
            }
        }
        try sync(snapshotPath(volume))
        emptyTrash()
    }

    /// Makes a volume with the content of another or of a snapshot; when it returns, that survives power loss.
    ///
    /// - Throws: `.nameInUse`; nothing is changed then.
    public func cloneVolume(_ volume: VolumeRecord, from content: SharedFD, copied: () throws(StoreError) -> Void) throws(StoreError) {
        let taken = StoreError(.nameInUse, "create volume", volume.name, cause: "the volume exists", holders: [volume.name])
        if try self.volume(name: volume.name) != nil { throw taken }
        let staging = try makeStaging()
        defer { staging.remove() }
        try prepareCopy("new", of: content, in: staging, copied: copied)
        try system { () throws(SystemError) in
            try staging.directory.fd.writeFile("new/" + Store.endsWithRow, [])
            let made = try staging.directory.fd.open("new", [.readOnly, .directory, .noFollow])
            try made.fd.sync()
        }
        let path = Directory.volumes + "/" + volume.name
        // The content has its place before the row names it. Killed in between, the mark tells that it is nobody's.
        try database.transaction(.durable) { () throws(StoreError) in
            if try self.volume(name: volume.name) != nil { throw taken }
            try insertVolumeRow(volume, replace: true)
            do throws(SystemError) {
                try staging.directory.fd.rename("new", to: path, in: root.fd, flags: 1 /* RENAME_NOREPLACE */)
            } catch {
                if error.errno == .exists || error.errno == .notEmpty {
                    throw StoreError(
                        .nameInUse, "create volume", volume.name,
                        cause: "its directory \(self.path)/\(path) is there, of a volume that the database does not know; move it away")
                }
                throw StoreError(error)
            }
            try sync(Directory.volumes)
        } committed: { _ in
            try? root.fd.removeFile(path + "/" + Store.endsWithRow)
        }
    }

    /// Inside a transaction, before its commit: the directory is nobody's from then on.
    func markEnding(ofVolume name: String) { try? root.fd.writeFile(Directory.volumes + "/" + name + "/" + Store.endsWithRow, []) }

    /// Inside a transaction: clears away what a command that was killed left in the place of a volume that is not there.
    func discardLeftVolume(_ name: String) {
        let path = Directory.volumes + "/" + name
        if root.fd.exists(path + "/" + Store.endsWithRow) { discard(Doomed(paths: [path])) }
    }

    /// Replaces a volume's content by that of a snapshot: all of it or, when it fails or is killed, nothing.
    ///
    /// - Parameter users: as for ``replaceVolume(_:users:_:)``.
    public func restoreVolume(_ name: String, from content: SharedFD, users: Set<String>) throws(StoreError) {
        try replaceVolume(name, users: users) { (_, new) throws(StoreError) in
            try system { () throws(SystemError) in try TreeCopy(from: content, to: new).run() }
        }
    }

    /// Makes `NAME/_data` in a staging directory, on disk.
    private func prepareCopy(
        _ name: String, of content: SharedFD, in staging: Staging, copied: () throws(StoreError) -> Void
    ) throws(StoreError) {
        try system { () throws(SystemError) in
            try staging.directory.fd.makeDirectory(name, mode: 0o711)
            try staging.directory.fd.makeDirectory(name + "/_data", mode: 0o755)
        }
        let data = try system { () throws(SystemError) in
            let data = SharedFD(try staging.directory.fd.open(name + "/_data", [.readOnly, .directory, .noFollow]))
            try TreeCopy(from: content, to: data).run()
            return data
        }
        try copied()
        try system { () throws(SystemError) in try data.fd.syncFileSystem() }
    }

    private func sync(_ paths: String...) throws(StoreError) {
        for path in paths {
            try system { () throws(SystemError) in
                let directory = try root.fd.open(path, [.readOnly, .directory], resolve: [.beneath, .noSymlinks])
                try directory.fd.sync()
            }
        }
    }

    private func noSuchSnapshot(_ volume: String, _ name: String) -> StoreError {
        StoreError(.notFound, "open snapshot", volume + "@" + name, cause: "no such snapshot")
    }
}
