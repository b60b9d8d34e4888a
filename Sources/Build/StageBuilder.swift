import Dockerfile
import Engine
import Linux
import OCI
import Store

/// Carries out the instructions of one stage.
struct StageBuilder {
    let builder: Builder
    let stage: Stage
    var state: StageState
    private let count: Int
    private var position = 1

    /// - Parameter count: of its instructions.
    init(_ builder: Builder, _ stage: Stage, _ state: StageState, count: Int) {
        (self.builder, self.stage, self.state, self.count) = (builder, stage, state, count)
    }

    mutating func run(_ command: StageCommand) throws(BuildFailure) {
        let evaluated: EvaluatedCommand
        do throws(Diagnostic) { evaluated = try state.scope.evaluate(command) } catch { throw BuildFailure(error, builder.request.source) }
        position += 1
        do throws(BuildFailure) { try carryOut(evaluated) } catch {
            if !error.excerpt.isEmpty { throw error }
            let diagnostic = Diagnostic(.error, .evaluation, error.message, command.range)
            throw BuildFailure(diagnostic, builder.request.source)
        }
    }

    private mutating func carryOut(_ evaluated: EvaluatedCommand) throws(BuildFailure) {
        switch evaluated.command.instruction {
        case .run(let run): try runCommand(run, evaluated)
        case .copy(let copy): try self.copy(copy.transfer, evaluated, from: copy.from?.text, parents: copy.parents, unpacks: false)
        case .add(let add): try self.add(add, evaluated)
        case .workdir(let word): try changeDirectory(word.text, evaluated)
        default: try configure(evaluated)
        }
    }

    // MARK: What changes the config only

    private mutating func configure(_ evaluated: EvaluatedCommand) throws(BuildFailure) {
        switch evaluated.command.instruction {
        case .env: state.config.env = state.scope.imageEnvironment.list
        case .label(let pairs): for pair in pairs { state.config.labels[pair.name.text] = pair.value.text }
        case .maintainer(let word): state.author = word.text
        case .cmd(let line):
            state.config.cmd = line.configured(shell: state.shell)
            state.hasOwnCommand = true
        case .entrypoint(let line):
            state.config.entrypoint = line.configured(shell: state.shell)
            if !state.hasOwnCommand { state.config.cmd = nil }
        case .expose:
            for port in evaluated.ports where !state.config.exposedPorts.contains(port.description) {
                state.config.exposedPorts.append(port.description)
            }
        case .volume(let words):
            for word in words where !state.config.volumes.contains(word.text) { state.config.volumes.append(word.text) }
        case .user(let word): state.config.user = word.text
        case .shell(let words): state.config.shell = words.map(\.text)
        case .stopsignal(let word): state.config.stopSignal = word.text
        case .healthcheck(let check): state.config.healthcheck = Healthcheck(check)
        case .onbuild(let trigger): state.config.onBuild.append(trigger.expression)
        case .arg, .run, .copy, .add, .workdir: break
        }
        addHistory(evaluated.command.text, isEmpty: true)
    }

    // MARK: Steps that may make a layer

    /// Does a step unless it was done before.
    ///
    /// - Parameters:
    ///   - key: of what it depends on, beside what it stands on.
    ///   - work: writes into the directory.
    private mutating func step(
        _ title: String, _ key: CacheKey, _ work: (StepDirectory, Int) throws(BuildFailure) -> Void
    ) throws(BuildFailure) {
        var key = key
        key.add("on", [state.top?.description ?? "scratch", state.platform.description])
        let name = key.finish()
        let number = builder.begin("[\(prefix)] \(title)")
        let begin = monotonicNanoseconds()
        let known = try builder.request.usesCache ? stored { () throws(StoreError) in try builder.session.find(name, on: state.top) } : nil
        if let found = known {
            if let layer = found.layer { state.layers.append(layer) }
            state.created = builder.request.epoch ?? found.created
            addHistory(title, isEmpty: found.layer == nil)
            return builder.observer.stepEnds(number, isCached: true, nanoseconds: 0)
        }
        let directory = try stored { () throws(StoreError) in try builder.session.makeStepDirectory() }
        try work(directory, number)
        let step = try stored { () throws(StoreError) in
            let layer = try builder.session.makeLayer(of: directory, on: state.top, notAfter: builder.request.epoch)
            let step = CachedStep(layer: layer, description: title)
            try builder.session.keep(step, as: name)
            return step
        }
        let layer = step.layer
        if let layer { state.layers.append(layer) }
        state.created = builder.request.epoch ?? step.created
        addHistory(title, isEmpty: layer == nil)
        builder.observer.stepEnds(number, isCached: false, nanoseconds: monotonicNanoseconds() &- begin)
    }

    private var prefix: String {
        let name = builder.isSingle && stage.name.isEmpty ? "" : stage.displayName + " "
        return name + "\(position)/\(count + 1)"
    }

    private mutating func addHistory(_ text: String, isEmpty: Bool) {
        state.history.append(History(created: rfc3339(state.created), createdBy: text, comment: "berth build", emptyLayer: isEmpty))
    }

    func layers() throws(BuildFailure) -> [String] {
        try stored { () throws(StoreError) in try builder.session.layerDirectories(top: state.top) }
    }

    private mutating func changeDirectory(_ path: String, _ evaluated: EvaluatedCommand) throws(BuildFailure) {
        let target = StageState.relative(state.absolute(path))
        state.config.workingDir = "/" + target
        if target.isEmpty { return addHistory(evaluated.command.text, isEmpty: true) }
        var key = CacheKey("workdir")
        key.add(target)
        let below = try layers()
        let (builder, engine) = (builder, builder.engine)
        try step(evaluated.command.text, key) { (directory, _) throws(BuildFailure) in
            let tree = try builder.tree(below, directory)
            if let there = try engineCall({ () throws(EngineError) in try engine.open("/" + target, in: tree) }) {
                let info = try engineCall { () throws(EngineError) in try there.status() }
                if info.isDirectory { return }
                throw BuildFailure("WORKDIR /\(target): a file of this name is there")
            }
            var options = TreeWriter.Options()
            options.links = (tree, [])
            let writer = TreeWriter(base: tree, options: options)
            try stored { () throws(StoreError) in
                try writer.run { () throws(StoreError) in _ = try writer.makeDirectories(Array(target.utf8)) }
            }
        }
    }

    // MARK: COPY and ADD

    private mutating func add(_ add: AddInstruction, _ evaluated: EvaluatedCommand) throws(BuildFailure) {
        for word in add.transfer.sources {
            let source: AddSource
            do throws(ExpansionError) { source = try AddSource(word.text) } catch { throw BuildFailure(error.message) }
            guard case .local = source else { throw BuildFailure("not supported yet: ADD of \(word.text): fetch it in a RUN") }
        }
        try copy(add.transfer, evaluated, from: nil, parents: false, unpacks: add.unpack ?? true)
    }

    private mutating func copy(
        _ transfer: Transfer, _ evaluated: EvaluatedCommand, from: String?, parents: Bool, unpacks: Bool
    ) throws(BuildFailure) {
        let below = try layers()
        let source = try builder.source(from, stage: stage)
        let excluded: PathMatcher
        do throws(PatternError) { excluded = try PathMatcher(transfer.excludes.map(\.text)) } catch { throw BuildFailure(error.message) }
        let owner = try owner(transfer.chown?.text, below)
        let there = try builder.tree(below, nil)
        let planner = CopyPlanner(
            engine: builder.engine, source: source, tree: there, destination: state.absolute(transfer.destination.text), parents: parents,
            unpacks: unpacks)
        var step = CopyStep(items: [], owner: owner, mode: evaluated.mode, excluded: excluded)
        step.items = try planner.items(transfer.sources.map(\.text), transfer.inline)
        var key = CacheKey("copy")
        try stored { () throws(StoreError) in try step.add(to: &key) }
        let builder = builder
        try self.step(evaluated.command.text, key) { (directory, _) throws(BuildFailure) in
            let tree = try builder.tree(below, directory)
            try stored { () throws(StoreError) in try step.write(in: tree) }
        }
    }

    private func owner(_ text: String?, _ layers: [String]) throws(BuildFailure) -> FileOwner? {
        guard let text else { return nil }
        do throws(EngineError) {
            let (uid, gid) = try builder.engine.owner(text, in: layers)
            return FileOwner(uid: uid, gid: gid)
        } catch { throw BuildFailure(error) }
    }

    // MARK: RUN

    private mutating func runCommand(_ run: RunInstruction, _ evaluated: EvaluatedCommand) throws(BuildFailure) {
        if run.security == .insecure { throw BuildFailure("not supported yet: RUN --security=insecure") }
        if !run.devices.isEmpty { throw BuildFailure("not supported yet: RUN --device") }
        var plan = RunPlan(run, state, builder)
        for mount in evaluated.mounts { try plan.add(mount, stage) }
        let words = plan.words
        let text = "RUN " + words.joined(separator: " ")
        let below = try layers()
        let builder = builder
        let base = StepBase(top: state.top, layers: below, config: ContainerConfig(), platform: state.platform)
        try step(evaluated.command.text, try plan.key()) { (directory, number) throws(BuildFailure) in
            let request = try plan.request()
            defer { plan.release() }
            let outcome: StepOutcome
            do throws(EngineError) {
                outcome = try builder.engine.runStep(request, on: base, in: directory) { bytes, isError in
                    builder.observer.stepWrites(number, bytes, isError: isError)
                }
            } catch { throw BuildFailure("failed to run \(text): \(error.description)") }
            guard outcome.exitCode == 0 else {
                let cause = outcome.isOutOfMemory ? "it was killed: it took more memory than it may" : "exit code: \(outcome.exitCode)"
                throw BuildFailure("process \"\(words.joined(separator: " "))\" did not complete successfully: \(cause)")
            }
        }
    }
}

extension Healthcheck {
    init(_ check: HealthcheckInstruction) {
        self.init()
        test = check.words
        (interval, timeout, startPeriod, startInterval) = (check.interval, check.timeout, check.startPeriod, check.startInterval)
        retries = Int(check.retries)
    }
}

/// The store's failures, as a build's.
func stored<R>(_ body: () throws(StoreError) -> R) throws(BuildFailure) -> R {
    do throws(StoreError) { return try body() } catch { throw BuildFailure(EngineError(error)) }
}

/// The engine's failures, as a build's.
func engineCall<R>(_ body: () throws(EngineError) -> R) throws(BuildFailure) -> R {
    do throws(EngineError) { return try body() } catch { throw BuildFailure(error) }
}
