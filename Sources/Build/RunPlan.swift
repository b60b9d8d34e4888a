import Dockerfile
import Engine
import Linux
import OCI
import Store

/// What a RUN instruction runs, in which environment.
struct RunPlan {
    private let run: RunInstruction
    private let state: StageState
    private let builder: Builder
    private var mounts: [MountDefinition] = []
    /// What the mounts show, for the key.
    private var shown: [String] = []
    /// Not part of the key, as their values are none of the image's business.
    private var secretVariables: [String] = []
    /// Held as long as the step runs.
    private var locks: [SharedFD] = []
    let words: [String]

    init(_ run: RunInstruction, _ state: StageState, _ builder: Builder) {
        (self.run, self.state, self.builder) = (run, state, builder)
        switch run.command.invocation {
        case .exec(let words): self.words = words
        case .shell(let text): words = state.shell + [text]
        case .script(let name, _): words = ["/dev/pipes/" + name]
        }
    }

    // MARK: Mounts

    mutating func add(_ mount: RunMount, _ stage: Stage) throws(BuildFailure) {
        if mount.changesOwner, mount.kind != .cache { throw BuildFailure("not supported yet: U of a \(mount.kind.rawValue) mount") }
        let target = "/" + StageState.relative(state.absolute(mount.target))
        switch mount.kind {
        case .bind: try bind(mount, target, stage)
        case .cache:
            let cache = try builder.cacheDirectory(mount)
            if let lock = cache.lock { locks.append(lock) }
            var made = MountDefinition(.bind, source: cache.path, target: target)
            made.readOnly = mount.isReadOnly
            made.changeOwner = mount.changesOwner
            mounts.append(made)
            shown.append("cache \(mount.cacheID) \(target)")
        case .tmpfs:
            var made = MountDefinition(.tmpfs, target: target)
            made.tmpfsSize = mount.size
            mounts.append(made)
            shown.append("tmpfs \(target) \(mount.size)")
        case .secret: try secret(mount)
        case .ssh:
            if mount.isRequired { throw BuildFailure("not supported yet: RUN --mount=type=ssh") }
        }
    }

    private mutating func bind(_ mount: RunMount, _ target: String, _ stage: Stage) throws(BuildFailure) {
        let from = mount.from.isEmpty ? nil : mount.from
        let source = StageState.relative(mount.source)
        if let from, let layers = try builder.layers(of: from, stage: stage, numbers: false) {
            var made = MountDefinition(.image, source: from, target: target)
            made.layers = layers.directories
            made.subpath = source
            made.readOnly = mount.isReadOnly
            mounts.append(made)
            shown.append("layers \(layers.top?.description ?? "") \(source) \(target)")
            return
        }
        guard from == nil, let context = builder.request.context else { throw BuildFailure("mount \(target): there is no build context") }
        let node = try engineCall { () throws(EngineError) in try builder.engine.open("/" + source, in: context.root) }
        guard let node else { throw BuildFailure("failed to calculate checksum: \"/\(source)\": not found") }
        let digest = TreeDigest()
        try stored { () throws(StoreError) in try TreeReader().read(node, as: Array("bind".utf8), to: digest) }
        shown.append("context \(digest.finish()) \(target)")
        var made = MountDefinition(.bind, source: source.isEmpty ? context.path : context.path + "/" + source, target: target)
        made.readOnly = mount.isReadOnly
        // What is written is thrown away.
        made.isOverlay = !mount.isReadOnly
        mounts.append(made)
    }

    private mutating func secret(_ mount: RunMount) throws(BuildFailure) {
        shown.append("secret \(mount.secretID) \(mount.secretTarget ?? "") \(mount.variable ?? "")")
        guard let content = builder.request.secrets[mount.secretID] else {
            if mount.isRequired { throw BuildFailure("secret \(mount.secretID): not found") }
            return
        }
        if let variable = mount.variable { secretVariables.append(variable + "=" + String(decoding: content, as: UTF8.self)) }
        guard let target = mount.secretTarget else { return }
        let path = try builder.temporaryFile(content, mode: mount.effectiveMode ?? 0o400, uid: mount.uid ?? 0, gid: mount.gid ?? 0)
        var made = MountDefinition(.bind, source: path, target: "/" + StageState.relative(state.absolute(target)))
        made.readOnly = true
        mounts.append(made)
    }

    // MARK: The step

    func key() throws(BuildFailure) -> CacheKey {
        var key = CacheKey("run")
        key.add("words", words)
        if case .script(_, let content) = run.command.invocation { key.add("script", [content]) }
        key.add("environment", state.scope.environment.list)
        key.add("user", [state.config.user, state.workingDirectory])
        key.add("network", [run.network.rawValue])
        key.add("mounts", shown)
        return key
    }

    func request() throws(BuildFailure) -> ContainerRequest {
        var request = builder.request.container
        request.entrypoint = words
        request.definition.name = "build-" + hexadecimal(randomBytes(8))
        request.definition.image = "build"
        request.definition.hostname = "buildkitsandbox"
        request.definition.workingDirectory = state.workingDirectory
        request.definition.user = state.config.user
        let proxies = PredefinedArguments.proxyVariables(builder.request.arguments).map { $0.name + "=" + $0.value }
        request.definition.environment = proxies + state.scope.environment.list + secretVariables
        request.definition.mounts += mounts
        if case .script(let name, let content) = run.command.invocation {
            let path = try builder.temporaryFile(Array(content.utf8), mode: 0o755, uid: 0, gid: 0)
            var made = MountDefinition(.bind, source: path, target: "/dev/pipes/" + name)
            made.readOnly = true
            request.definition.mounts.append(made)
        }
        switch run.network {
        case .default: break
        case .none: (request.definition.network, request.networks) = (.none, [])
        case .host: (request.definition.network, request.networks) = (.host, [])
        }
        return request
    }

    func release() { withExtendedLifetime(locks) {} }
}
