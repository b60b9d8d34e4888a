import Archive
import Glibc
import Linux
import Store

extension Engine {
    /// What a container has changed of its image's files, from its writable layer; by path. Not what the engine made there to
    /// mount on. A user's in the user namespace.
    public func changes(of text: String) throws(EngineError) -> [TreeChange] {
        raiseDescriptorLimit()
        let view = try container(text)
        let store = try self.store()
        let layers = try stored { () throws(StoreError) in try store.layerDirectories(container: view.id) }
        let ids = try idTranslation(view.definition)
        // The kernel asks for privilege over the mount namespace even of one who mounts nothing in it.
        if host.isRootless { try enterPrivateMounts() }
        let (upper, lower) = try during("open layers of container", view.name) { () throws(SystemError) -> (SharedFD, SharedFD?) in
            let upper = SharedFD(try FD.cwd.open(roots.container(view.id) + "/upper", [.path, .directory, .noFollow]))
            if layers.isEmpty { return (upper, nil) }
            let all = layers + [try MountPointLayer(store: roots.store).prepare()]
            // A mount that is in no namespace.
            return (upper, SharedFD(try OverlayRootfs(lower: all, upper: "", work: "", userXattr: marksAreUser).mount()))
        }
        let mountPoints = Set(view.definition.mounts.map { Array($0.target.utf8) } + NetworkFiles.targets.values.map { Array($0.utf8) })
        return try stored { () throws(StoreError) in
            try UpperChanges(marks: OverlayMarks(isUser: marksAreUser), ids: ids, mountPoints: mountPoints).find(upper: upper, lower: lower)
        }
    }

    /// Whether overlays of this store keep what they hide in `user.` attributes.
    var marksAreUser: Bool { host.isRootless || isInsideUserNamespace }

    /// Writes a container's root file system as a tar archive: all layers as one, without what is mounted in it. A user's in the
    /// user namespace (``exportTrees(of:withMounts:)``).
    ///
    /// - Parameter path: a file, which appears whole or not at all; nil: standard output.
    public func export(_ text: String, to path: String?) throws(EngineError) {
        guard let path else { return try export(text, to: .standardOutput, named: "standard output") }
        let target = try StagedTarget(path)
        if let present = try target.existing(), present.st_mode & S_IFMT != S_IFREG {
            if present.isDirectory { throw .invalid("invalid output path: \"\(path)\" must be a regular file") }
            let file = try during("open", path) { () throws(SystemError) in
                SharedFD(try FD.cwd.open(path, [.writeOnly, .truncate, .noControllingTerminal]))
            }
            return try export(text, to: file.fd, named: path)
        }
        _ = try definition(of: text)
        let file = try target.makeFile()
        do throws(EngineError) {
            try export(text, to: file.fd, named: path)
            try target.publish(file)
        } catch {
            target.discard()
            throw error
        }
    }

    private func export(_ text: String, to file: FD, named name: String) throws(EngineError) {
        raiseDescriptorLimit()
        let tree = try tree(of: text, for: .rootOnly)
        try stored { () throws(StoreError) in
            let writer = TarSink(TarWriter(FileSink(file, name: name)))
            try TreeReader(ids: tree.ids).read(tree.root, as: [], to: writer)
            do throws(ArchiveError) { try writer.finish() } catch { throw StoreError(error) }
        }
        withExtendedLifetime(tree) {}
    }
}
