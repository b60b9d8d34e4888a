import Archive
import Control
import Glibc
import Linux
import Store

extension Engine {
    /// Writes a checkpoint, and with it all that another host needs to let the container go on.
    ///
    /// The archive appears whole or not at all. Memory and files are those of one moment: a container that is to run on stands still until
    /// both are read.
    public func exportCheckpoint(
        _ text: String, _ options: CheckpointOptions, _ export: CheckpointExport
    ) throws(EngineError) -> CheckpointStatistics {
        raiseDescriptorLimit()
        let view = try container(text)
        try requireCheckpoints(view, needsToStay: false)
        let target = try StagedTarget(export.path)
        if let present = try target.existing(), present.st_mode & S_IFMT != S_IFREG {
            throw .invalid("invalid export path: \"\(export.path)\" must be a regular file")
        }
        let file = try target.makeFile()
        do throws(EngineError) {
            let ends = !options.leavesRunning && !options.isPreDump
            // One that goes with its end has to be read before.
            let staysForNow = !ends || view.definition.autoRemove
            let statistics =
                try staysForNow
                ? exportStanding(view, options, export, file, target) : exportEnded(view, options, export, file, target)
            if staysForNow, ends { try stop(view.id, signal: SIGKILL, timeout: 0) }
            return statistics
        } catch {
            target.discard()
            throw error
        }
    }

    private func exportEnded(
        _ view: ContainerView, _ options: CheckpointOptions, _ export: CheckpointExport, _ file: SharedFD, _ target: StagedTarget
    ) throws(EngineError) -> CheckpointStatistics {
        let statistics = try writeOnly(view, options)
        let directory = try during("open directory of container", view.id) { () throws(SystemError) in
            SharedFD(try FD.cwd.open(roots.container(view.id), [.readOnly, .directory, .noFollow]))
        }
        let lock = try lockEnded(view, directory.fd)
        try write(view, export, options, to: file)
        try target.publish(file)
        lock.release()
        return statistics
    }

    /// Nobody starts it meanwhile. Its supervisor tells its end a moment before it lets go of it.
    private func lockEnded(_ view: ContainerView, _ directory: FD) throws(EngineError) -> SupervisorLock {
        for _ in 0..<500 {
            if let lock = try acquireLock(directory, view.id) { return lock }
            if try observe(view.id).status.isAlive { break }
            usleep(10_000)
        }
        throw EngineError(.conflict, sentence: "container \(view.name) was started by another command; its checkpoint is kept")
    }

    private func exportStanding(
        _ view: ContainerView, _ options: CheckpointOptions, _ export: CheckpointExport, _ file: SharedFD, _ target: StagedTarget
    ) throws(EngineError) -> CheckpointStatistics {
        if view.observation.status == .paused {
            throw EngineError(.conflict, sentence: "container \(view.name) is paused: unpause it first")
        }
        let connection = try runningConnection(view, "checkpoint")
        try controlled { () throws(ControlError) in try connection.freeze() }
        // However this ends, the end of the connection lets it go on.
        var wanted = options
        wanted.leavesRunning = true
        let statistics = try writeOnly(view, wanted, over: connection)
        try write(view, export, options, to: file)
        try target.publish(file)
        if options.leavesRunning || options.isPreDump { try controlled { () throws(ControlError) in try connection.resume() } }
        return statistics
    }

    private func write(
        _ view: ContainerView, _ export: CheckpointExport, _ options: CheckpointOptions, to file: SharedFD
    ) throws(EngineError) {
        let places = CheckpointPlaces(container: roots.container(view.id))
        let sink = try archived { () throws(ArchiveError) in try export.compression.encoder(FileSink(file.fd, name: export.path)) }
        let writer = TarWriter(sink)
        let description = try describe(view).encoded
        try archived { () throws(ArchiveError) in
            try writer.append(TarEntry(kind: .file, path: Array(CheckpointArchive.description.utf8), mode: 0o600), contents: description)
        }
        if !options.isPreDump { try add(places.only, as: CheckpointArchive.images, to: writer) }
        if options.isPreDump || options.withPrevious { try add(places.previous, as: CheckpointArchive.previous, to: writer) }
        if export.includesRootfs, !options.isPreDump {
            let ids = try idTranslation(view.definition)
            let upper = try during("open layer of container", view.name) { () throws(SystemError) in
                SharedFD(try FD.cwd.open(roots.container(view.id) + "/upper", [.path, .directory, .noFollow]))
            }
            let reader = TreeReader(ids: ids, marks: OverlayMarks(isUser: marksAreUser))
            try add(upper, by: reader, as: CheckpointArchive.rootfs, to: writer)
        }
        if export.includesVolumes, !options.isPreDump { try addVolumes(of: view, to: writer) }
        try archived { () throws(ArchiveError) in try writer.finish() }
    }

    private func addVolumes(of view: ContainerView, to writer: TarWriter) throws(EngineError) {
        for (index, mount) in view.definition.mounts.enumerated() where mount.kind == .volume {
            let content = try openContent(of: try volume(mount.source), "export")
            try add(content, by: TreeReader(isVolume: true), as: CheckpointArchive.volume(index), to: writer)
        }
    }

    /// A directory's own files.
    private func add(_ path: String, as name: String, to writer: TarWriter) throws(EngineError) {
        let directory = try during("read checkpoint", path) { () throws(SystemError) in
            SharedFD(try FD.cwd.open(path, [.path, .directory, .noFollow]))
        }
        try stored { () throws(StoreError) in try TreeReader().read(directory, as: Array(name.utf8), to: TarSink(writer)) }
    }

    /// A tree as a tar of its own in the archive: by way of a file, as an entry says its size first.
    private func add(_ tree: SharedFD, by reader: TreeReader, as name: String, to writer: TarWriter) throws(EngineError) {
        let file = try SpoolFile().file
        try stored { () throws(StoreError) in
            let inner = TarSink(TarWriter(FileSink(file.fd, name: name)), keepsFractions: true)
            try reader.read(tree, as: [], to: inner)
            do throws(ArchiveError) { try inner.finish() } catch { throw StoreError(error) }
        }
        let size = try during("write", name) { () throws(SystemError) in
            let size = try file.fd.status().st_size
            guard lseek(file.raw, 0, SEEK_SET) == 0 else { throw SystemError(.io, "seek", name) }
            return Int64(size)
        }
        try stored { () throws(StoreError) in
            try TarSink(writer).add(TarEntry(kind: .file, path: Array(name.utf8), mode: 0o600, size: size), content: file.fd)
        }
    }

    private func describe(_ view: ContainerView) throws(EngineError) -> CheckpointDescription {
        var result = CheckpointDescription(definition: view.definition)
        guard view.definition.isConnectable else { return result }
        let store = try self.store()
        for endpoint in try stored({ () throws(StoreError) in try store.connections(ofContainer: view.id) }).endpoints {
            result.networks.append(
                CheckpointDescription.Attachment(
                    definition: endpoint.definition, ipv4: endpoint.ipv4?.description ?? "", ipv6: endpoint.ipv6?.description ?? "",
                    mac: endpoint.mac?.description ?? ""))
        }
        return result
    }
}
