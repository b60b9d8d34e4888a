import Archive
import CLinux
import Glibc
import Linux

/// The content of volumes as a whole: out as an archive, in by replacement.
extension Store {
    /// Writes a directory's content as a tar.
    ///
    /// - Parameters:
    ///   - directory: open for reading.
    ///   - sink: a file or pipe; stays the caller's.
    public func exportTree(_ directory: SharedFD, to sink: FD) throws(StoreError) {
        let writer = TarSink(TarWriter(FileSink(sink, name: "archive")), keepsFractions: true)
        try TreeReader(isVolume: true).read(directory, as: [], to: writer)
        try archive { () throws(ArchiveError) in try writer.finish() }
    }

    /// As ``exportTree(_:to:)`` to a file that appears whole or not at all, and survives power loss.
    public func exportTree(_ directory: SharedFD, toPath path: String) throws(StoreError) {
        try writeWhole(path, "export volume") { (file) throws(StoreError) in try exportTree(directory, to: file) }
    }

    /// Adds the content of an archive to a volume's: all of it or, when it fails or is killed, nothing.
    ///
    /// - Parameters:
    ///   - descriptor: a tar, plain or compressed by gzip or zstd; read to its end, stays the caller's.
    ///   - users: containers that cannot be started meanwhile, by id.
    /// - Throws: as ``replaceVolume(_:users:_:)``, `.corrupt` for what is no archive.
    public func importVolume(_ name: String, from descriptor: FD, users: Set<String>) throws(StoreError) {
        let source = try system { () throws(SystemError) in SharedFD(try descriptor.duplicate()) }
        try replaceVolume(name, users: users) { (old, new) throws(StoreError) in
            if let old { try system { () throws(SystemError) in try TreeCopy(from: old, to: new).run() } }
            let stream = try archive { () throws(ArchiveError) in try LayerStream(FileReader(source.fd, name: "archive")) }
            defer { stream.cancel() }
            let unpacker = LayerUnpacker(root: new, isInUserNamespace: isInUserNamespace, isLayer: false)
            try unpacker.unpack(TarReader(stream))
            let summary = try archive { () throws(ArchiveError) in try stream.finish() }
            guard summary.diffSize >= 1024 else {
                throw StoreError(.corrupt, "import volume", name, cause: "it is not a tar archive")
            }
        }
    }

    /// Replaces a volume's content by what `prepare` makes, in one rename. When it returns, the new content survives power loss.
    ///
    /// Who has the old content mounted keeps seeing that, so nobody may: the caller holds every container that uses the volume.
    /// - Parameters:
    ///   - users: ids of those containers.
    ///   - prepare: given the old content (nil when there is none) and an empty directory for the new.
    /// - Throws: `.notFound`; `.inUse` with the container in `holders`, when another container came to use it meanwhile; what
    ///   `prepare` throws. Nothing is changed then.
    func replaceVolume(
        _ name: String, users: Set<String>, _ prepare: (_ old: SharedFD?, _ new: SharedFD) throws(StoreError) -> Void
    ) throws(StoreError) {
        guard try volume(name: name) != nil else { throw noSuchVolume("replace content of volume", name) }
        _ = try volumeDirectory(name)
        let volume = try system { () throws(SystemError) in
            SharedFD(
                try root.fd.open(Directory.volumes + "/" + name, [.readOnly, .directory], resolve: [.beneath, .noSymlinks]))
        }
        let staging = try makeStaging()
        defer { staging.remove() }
        try system { () throws(SystemError) in try staging.directory.fd.makeDirectory("_data", mode: 0o755) }
        let (old, new) = try system { () throws(SystemError) in
            (
                SharedFD(try volume.fd.open("_data", [.readOnly, .directory, .noFollow])),
                SharedFD(try staging.directory.fd.open("_data", [.readOnly, .directory, .noFollow]))
            )
        }
        try prepare(old, new)
        try system { () throws(SystemError) in try new.fd.syncFileSystem() }
        // As a transaction, because containers are added by transactions: whoever comes later mounts the new content.
        try database.transaction(.volatile) { () throws(StoreError) in
            guard try self.volume(name: name) != nil else { throw noSuchVolume("replace content of volume", name) }
            let others = try containers(ofVolume: name).filter { !users.contains($0) }
            guard others.isEmpty else {
                throw StoreError(.inUse, "replace content of volume", name, cause: "a container came to use it meanwhile", holders: others)
            }
            try system { () throws(SystemError) in
                try staging.directory.fd.rename("_data", to: "_data", in: volume.fd, flags: 2 /* RENAME_EXCHANGE */)
            }
        }
        try system { () throws(SystemError) in
            try volume.fd.sync()
            try staging.directory.fd.sync()
        }
    }

    func noSuchVolume(_ operation: String, _ name: String) -> StoreError {
        StoreError(.notFound, operation, name, cause: "no such volume")
    }
}
