import CLinux
import Dockerfile
import Engine
import Glibc
import Linux
import OCI
import Store

/// Builds an image from a Dockerfile: the stages that the target needs, each step unless its result is known.
public final class Builder {
    public let request: BuildRequest
    let engine: Engine
    let session: BuildSession
    let observer: any BuildObserver
    private(set) var isSingle = false
    private var file: ParsedDockerfile
    private var graph: StageGraph?
    private var states: [Int: StageState] = [:]
    private var images: [String: String] = [:]
    private var sources: [String: FileSource] = [:]
    private var steps = 0

    /// - Throws: where the Dockerfile is not one.
    public init(_ request: BuildRequest, _ engine: Engine, _ observer: any BuildObserver) throws(BuildFailure) {
        self.request = request
        self.engine = engine
        self.observer = observer
        do throws(Diagnostic) { file = try ParsedDockerfile.parse(request.source) } catch { throw BuildFailure(error, request.source) }
        session = try engineCall { () throws(EngineError) in try engine.makeBuildSession() }
    }

    /// - Returns: the image, durably in the store, with its names.
    public func build() throws(BuildFailure) -> LoadedImage {
        let global: GlobalScope
        let graph: StageGraph
        do throws(Diagnostic) {
            let options = ScopeOptions(buildArguments: request.arguments, targetPlatform: request.platform, target: request.target)
            global = try GlobalScope(file, options)
            graph = try StageGraph(file, global, target: request.target)
        } catch { throw BuildFailure(error, request.source) }
        self.graph = graph
        isSingle = graph.needed.count == 1
        for index in graph.needed { states[index] = try build(graph.nodes[index], file.stages[index], global) }
        guard let state = states[graph.target] else { throw BuildFailure("the target stage was not built") }
        let image = try publish(state)
        try stored { () throws(StoreError) in try session.finish() }
        return image
    }

    func begin(_ title: String) -> Int {
        steps += 1
        observer.stepBegins(steps, title)
        return steps
    }

    // MARK: Stages

    private func build(_ node: StageGraph.Node, _ stage: Stage, _ global: GlobalScope) throws(BuildFailure) -> StageState {
        var commands = node.commands
        let platform = node.platform ?? request.platform
        var state: StageState
        switch node.base {
        case .stage(let index):
            guard let below = states[index] else { throw BuildFailure("stage \(index) was not built") }
            state = below
            state.scope = StageScope(on: below.scope)
            state.config.onBuild = []
            state.hasOwnCommand = false
        case .scratch:
            state = StageState(
                layers: [], config: ContainerConfig(), history: [], platform: platform, created: request.epoch ?? wallClockNanoseconds(),
                scope: StageScope(global))
        case .named(let name):
            let number = begin("[\(stage.displayName)] FROM \(name)")
            let begin = monotonicNanoseconds()
            let id: String
            do throws(BuildFailure) { id = try image(name, platform) } catch {
                throw BuildFailure(Diagnostic(.error, .evaluation, error.message, stage.range), request.source)
            }
            let (layers, config) = try stored { () throws(StoreError) in try session.layers(ofImage: id) }
            observer.stepEnds(number, isCached: false, nanoseconds: monotonicNanoseconds() &- begin)
            let scope = StageScope(global, environment: BuildEnvironment(list: config.config.env))
            state = StageState(
                layers: layers, config: config.config, history: config.history, platform: config.platform,
                created: request.epoch ?? config.created.flatMap(parseTime) ?? 0, scope: scope)
            commands = try triggers(config.config.onBuild, stage) + commands
            state.config.onBuild = []
        }
        var builder = StageBuilder(self, stage, state, count: commands.count)
        for command in commands { try builder.run(command) }
        return builder.state
    }

    private func triggers(_ expressions: [String], _ stage: Stage) throws(BuildFailure) -> [StageCommand] {
        var commands: [StageCommand] = []
        do throws(Diagnostic) {
            for text in expressions { commands.append(try ParsedDockerfile.trigger(text, from: stage.range)) }
        } catch { throw BuildFailure(error, request.source) }
        return commands
    }

    private func image(_ name: String, _ platform: Platform) throws(BuildFailure) -> String {
        let key = "\(name) \(platform)"
        if let known = images[key] { return known }
        let id = try engineCall { () throws(EngineError) in try observer.image(name, platform) }
        images[key] = id
        return id
    }

    private func publish(_ state: StageState) throws(BuildFailure) -> LoadedImage {
        var config = state.config
        config.labels.merge(request.labels) { $1 }
        config.env = state.scope.imageEnvironment.list
        let image = ImageConfig(
            created: rfc3339(state.created), author: state.author, platform: state.platform, config: config,
            rootfs: RootFS(diffIDs: state.layers.map(\.diffID)), history: state.history)
        let number = begin("exporting to image")
        let begin = monotonicNanoseconds()
        let loaded = try stored { () throws(StoreError) in try session.publish(image, state.layers, names: request.names) }
        observer.stepEnds(number, isCached: false, nanoseconds: monotonicNanoseconds() &- begin)
        return loaded
    }

    // MARK: Files

    /// The layers of a stage or image that `from` names, topmost first; nil for none of them.
    func layers(of from: String, stage: Stage, numbers: Bool) throws(BuildFailure) -> (top: Digest?, directories: [String])? {
        switch graph?.source(from, in: stage, numbers: numbers) {
        case nil: return nil
        case .scratch: return (nil, [])
        case .stage(let index):
            guard let state = states[index] else { throw BuildFailure("stage \(from) was not built") }
            return (state.top, try stored { () throws(StoreError) in try session.layerDirectories(top: state.top) })
        case .named(let name):
            let id = try image(name, request.platform)
            return try stored { () throws(StoreError) in
                let top = try session.layers(ofImage: id).layers.last?.chainID
                return (top, try session.layerDirectories(top: top))
            }
        }
    }

    /// Where COPY takes files from.
    ///
    /// - Parameter from: `--from`; nil: the context.
    func source(_ from: String?, stage: Stage) throws(BuildFailure) -> FileSource {
        guard let from else {
            guard let context = request.context else { return FileSource(root: nil, ignored: FileSource.nothing) }
            return FileSource(root: context.root, ignored: context.ignored)
        }
        guard let layers = try layers(of: from, stage: stage, numbers: true) else {
            throw BuildFailure("--from=\(from): no such stage or image")
        }
        let key = layers.top?.description ?? ""
        if let known = sources[key] { return known }
        let made = FileSource(root: try tree(layers.directories, nil), ignored: FileSource.nothing)
        sources[key] = made
        return made
    }

    /// - Returns: nil for no layers that nothing is written on.
    func tree(_ layers: [String], _ step: StepDirectory?) throws(BuildFailure) -> SharedFD? {
        try engineCall { () throws(EngineError) in try engine.mountTree(layers, writingTo: step) }
    }

    func tree(_ layers: [String], _ step: StepDirectory) throws(BuildFailure) -> SharedFD {
        guard let tree = try tree(layers, Optional(step)) else { throw BuildFailure("there is nothing to write to") }
        return tree
    }

    /// A file that a step mounts. It goes with the build.
    func temporaryFile(_ content: [UInt8], mode: UInt32, uid: UInt32, gid: UInt32) throws(BuildFailure) -> String {
        let directory = try stored { () throws(StoreError) in try session.makeStepDirectory() }
        let path = directory.work + "/file"
        do throws(SystemError) {
            let file = try FD.cwd.open(path, [.writeOnly, .create, .exclusive, .noFollow], mode: 0o600)
            try file.fd.writeAll(content)
            try check(cl_fchownat(file.raw, "", uid, gid, 0x1000 /* AT_EMPTY_PATH */), "change owner")
            try check(cl_fchmod(file.raw, mode), "change mode")
        } catch { throw BuildFailure("keep file for a step: \(error.cause)") }
        return path
    }

    /// The directory of a cache mount, which stays from build to build.
    ///
    /// - Returns: its path, and a lock that is held as long as the step runs, with `sharing=locked`.
    func cacheDirectory(_ mount: RunMount) throws(BuildFailure) -> (path: String, lock: SharedFD?) {
        try engineCall { () throws(EngineError) in
            try engine.cacheDirectory(
                id: mount.cacheID, sharing: mount.sharing?.rawValue ?? "shared", mode: mount.effectiveMode ?? 0o755, uid: mount.uid ?? 0,
                gid: mount.gid ?? 0)
        }
    }
}
