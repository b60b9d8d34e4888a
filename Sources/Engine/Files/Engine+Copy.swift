import Archive
import Glibc
import Linux
import Store

/// One end of a copy.
public enum CopyEnd: Sendable, Hashable {
    case container(String, path: String)
    case local(String)
    /// A tar archive on standard input or output.
    case stream
}

/// What `cp` asks for.
public struct FileCopyRequest {
    public var source: CopyEnd
    public var target: CopyEnd
    /// Where relative local paths begin.
    public var workingDirectory: String
    /// Owners are copied (out of a container, by root), or become the container's user (into one that has a user).
    public var archive = false
    /// What a link leads to is copied, where the source itself is one.
    public var followLinks = false
    /// Directories may take the place of other files, and the other way round.
    public var overwrite = false
    /// Called now and then with the bytes so far.
    public var report: (Int64) -> Void = { _ in }

    public init(from source: CopyEnd, to target: CopyEnd, workingDirectory: String) {
        (self.source, self.target, self.workingDirectory) = (source, target, workingDirectory)
    }

    /// The containers it is about.
    public var containers: [String] {
        [source, target].compactMap { if case .container(let name, _) = $0 { name } else { nil } }
    }
}

extension Engine {
    /// Copies files into a container, out of one, or between two, whether they run or not. A user's are copied in the user
    /// namespace (``reexecuteInUserNamespace(_:telling:)`` with ``exportTrees(of:withMounts:)``).
    ///
    /// Nothing of a container is run or loaded for it, and no name in it leads out of it. As with cp(1), nothing is synced.
    /// - Returns: how many bytes a tar archive of it all has.
    /// - Throws: in Docker's words.
    public func copy(_ request: FileCopyRequest) throws(EngineError) -> Int64 {
        raiseDescriptorLimit()
        if case .local(let path) = request.target { try checkOutput(path, request) }
        // Looked at first: a local mistake needs no container.
        var local: CopySource?
        if case .local(let path) = request.source { local = try localSource(path, request) }
        var trees: [String: ContainerTree] = [:]
        if case .container(let name, _) = request.target { trees[try definition(of: name).id] = try tree(of: name, for: .write) }
        var source: CopySource?
        var sourceIDs = host.isRootless ? Engine.localIDs : .none
        if case .container(let name, let path) = request.source {
            let id = try definition(of: name).id
            if trees[id] == nil { trees[id] = try tree(of: name, for: .read) }
            guard let tree = trees[id] else { throw .noSuchContainer(name) }
            sourceIDs = tree.ids
            source = try containerSource(path, name, tree, request)
        }
        defer { withExtendedLifetime(trees) {} }
        guard let source = source ?? local else { return try extract(request, trees) }
        if case .stream = request.target { return try pack(source, sourceIDs) }
        let (target, options) = try prepare(request, isDirectory: source.isDirectory, trees)
        return try write(to: target, options, request) { (writer) throws(StoreError) in
            let reader = TreeReader(ids: sourceIDs)
            try reader.read(source.node, as: Array((target.name ?? source.name).utf8), to: writer)
            if let output = reader.output {
                warn("WARNING: \"\(printable(output))\" is where the copy goes: it was not copied into itself")
            }
        }
    }

    /// A user's own files as the namespace shows them: those of others are the container's root's.
    private static var localIDs: IDTranslation {
        let ranges = [
            IDMapping(inside: 0, outside: IDTranslation.unmapped, count: 1), IDMapping(inside: 0, outside: 0, count: .max),
        ]
        return IDTranslation(users: ranges, groups: ranges)
    }

    // MARK: Ends

    private func localSource(_ path: String, _ request: FileCopyRequest) throws(EngineError) -> CopySource {
        let absolute = CopyPath.absolute(path, in: request.workingDirectory)
        do throws(SystemError) { return try CopySource(absolute, in: PathScope(root: nil), follow: request.followLinks) } catch {
            throw EngineError(error.errno == .noEntry ? .notFound : .system, sentence: "lstat \(absolute): \(error.cause)")
        }
    }

    private func containerSource(
        _ path: String, _ name: String, _ tree: ContainerTree, _ request: FileCopyRequest
    ) throws(EngineError) -> CopySource {
        let absolute = CopyPath.absolute(path, in: "/")
        do throws(SystemError) { return try CopySource(absolute, in: PathScope(root: tree.root), follow: request.followLinks) } catch {
            throw notFound(path, name, error)
        }
    }

    private func notFound(_ path: String, _ name: String, _ error: SystemError) -> EngineError {
        guard error.errno == .noEntry || error.errno == .notDirectory else { return EngineError("copy from container", path, error) }
        return EngineError(.notFound, sentence: "Could not find the file \(path) in container \(name)")
    }

    /// Docker's client looks at these before it asks its daemon.
    private func checkOutput(_ path: String, _ request: FileCopyRequest) throws(EngineError) {
        let absolute = CopyPath.absolute(path, in: request.workingDirectory)
        let parent = CopyPath.directory(CopyPath.clean(absolute))
        if (try? FD.cwd.status(of: parent, follow: true)) == nil {
            throw EngineError(.notFound, sentence: "invalid output path: directory \"\(parent)\" does not exist")
        }
        if let info = try? FD.cwd.status(of: absolute, follow: true), info.isDevice {
            throw .invalid("invalid output path: \"\(absolute)\" must be a directory or a regular file: got a device")
        }
    }

    /// Where it goes, and as whose.
    private func prepare(
        _ request: FileCopyRequest, isDirectory: Bool?, _ trees: [String: ContainerTree]
    ) throws(EngineError) -> (CopyTarget, TreeWriter.Options) {
        var options = TreeWriter.Options()
        options.overwrite = request.overwrite
        options.skipsDevices = host.isRootless || isInsideUserNamespace
        guard case .container(let name, let path) = request.target else {
            guard case .local(let path) = request.target else { throw .invalid("nothing to copy to") }
            options.ownership = request.archive && !host.isRootless ? .entry : .caller
            let absolute = CopyPath.absolute(path, in: request.workingDirectory)
            do throws(CopyTarget.Refusal) {
                return (try CopyTarget(absolute, in: PathScope(root: nil), isDirectory: isDirectory), options)
            } catch { throw refusal(error, path: absolute, shown: absolute, container: nil) }
        }
        let view = try container(name)
        guard let tree = trees[view.id] else { throw .noSuchContainer(name) }
        let target: CopyTarget
        do throws(CopyTarget.Refusal) {
            target = try CopyTarget(CopyPath.absolute(path, in: "/"), in: PathScope(root: tree.root), isDirectory: isDirectory)
        } catch {
            if case .directoryToFile = error, isDirectory == nil { throw .invalid("destination \"\(name):\(path)\" must be a directory") }
            throw refusal(error, path: path, shown: "\(name):\(path)", container: name)
        }
        if isDirectory == nil, target.name != nil { throw .invalid("destination \"\(name):\(path)\" must be a directory") }
        try tree.requireWritable(target.directory.fd)
        options.ids = tree.ids
        options.links = (tree.root, Array(target.directoryPath.utf8))
        if request.archive, !view.definition.user.isEmpty {
            let user = try resolve(view.definition.user, view)
            options.ownership = .fixed(uid: user.uid, gid: user.gid)
        }
        return (target, options)
    }

    private func refusal(_ refusal: CopyTarget.Refusal, path: String, shown: String, container: String?) -> EngineError {
        switch refusal {
        case .directoryToFile: return .invalid("cannot copy directory")
        case .noSuchDirectory: return .invalid("no such directory")
        case .device: return .invalid("destination \"\(shown)\" must be a directory or a regular file: got a device")
        case .noParent(let parent, let error):
            if let container { return notFound(parent, container, error) }
            if error.errno == .notDirectory { return .invalid("not a directory") }
            return EngineError(.notFound, sentence: "stat \(parent): \(error.cause)")
        case .system(let error): return EngineError("copy to", shown, error)
        }
    }

    // MARK: Copying

    private func write(
        to target: CopyTarget, _ options: TreeWriter.Options, _ request: FileCopyRequest, _ body: (TreeWriter) throws(StoreError) -> Void
    ) throws(EngineError) -> Int64 {
        let writer = TreeWriter(base: target.directory, options: options)
        writer.report = request.report
        try stored { () throws(StoreError) in try writer.run { () throws(StoreError) in try body(writer) } }
        if writer.skippedDevices > 0 {
            warn("WARNING: \(writer.skippedDevices) device nodes were left out: only root can make them")
        }
        return writer.volume
    }

    private func pack(_ source: CopySource, _ ids: IDTranslation) throws(EngineError) -> Int64 {
        try stored { () throws(StoreError) in
            let sink = FileSink(.standardOutput, name: "standard output")
            let writer = TarSink(TarWriter(sink))
            try TreeReader(ids: ids).read(source.node, as: Array(source.name.utf8), to: writer)
            do throws(ArchiveError) { try writer.finish() } catch { throw StoreError(error) }
        }
        return 0
    }

    /// Standard input, plain or compressed, goes into a directory that is there.
    private func extract(_ request: FileCopyRequest, _ trees: [String: ContainerTree]) throws(EngineError) -> Int64 {
        let (target, options) = try prepare(request, isDirectory: nil, trees)
        return try write(to: target, options, request) { (writer) throws(StoreError) in
            let reader: TarReader
            do throws(ArchiveError) {
                let (prefix, source) = try PrefixedReader.peek(FileReader(.standardInput, name: "standard input"), Compression.magicLength)
                let stored = BufferedLender(source)
                reader = TarReader(try Compression.detect(prefix).decoder(stored).map { BufferedLender($0) } ?? stored)
            } catch { throw StoreError(error) }
            try writer.add(reader)
        }
    }
}
