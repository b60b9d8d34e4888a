import OCI

/// Which stage needs which, and which of them a target needs.
public struct StageGraph: Sendable {
    /// Where files come from.
    public enum Source: Sendable, Hashable {
        case scratch
        /// By its index.
        case stage(Int)
        /// A named context or an image.
        case named(String)
    }

    /// A stage with what it stands on.
    public struct Node: Sendable {
        public var base: Source
        /// What `--platform` says; nil: the target's.
        public var platform: Platform?
        /// Stages, contexts and images that COPY and mounts take from, each once, in order.
        public var dependencies: [Source] = []
        /// ONBUILD triggers of the base, then the stage's own.
        public var commands: [StageCommand]
        /// Whether a named context stands for it: then its instructions are not run.
        public var isReplaced = false
    }

    public let nodes: [Node]
    /// The stage that is built.
    public let target: Int
    /// The stages that the target needs, with it, in the order in which they can be built.
    public let needed: [Int]
    private let names: StageNames

    /// The most triggers that stages of the file may give to others, all together.
    static let triggerLimit = 10_000

    /// - Parameters:
    ///   - target: the name of a stage, whatever its case; empty for the last one.
    ///   - triggers: what ONBUILD of the base images says, by stage (`ParsedDockerfile.trigger`).
    ///   - contexts: names of `--build-context`, in lower case: they stand for stages of these names.
    /// - Throws: for bases that cannot be expanded, circles, unknown targets, and sources that are defined too late.
    public init(
        _ file: ParsedDockerfile, _ global: GlobalScope, target: String = "", triggers: [Int: [StageCommand]] = [:],
        contexts: Set<String> = []
    ) throws(Diagnostic) {
        let names = StageNames(file)
        var nodes: [Node] = []
        var given = 0
        for stage in file.stages {
            if !stage.name.isEmpty, contexts.contains(stage.name) {
                nodes.append(Node(base: .named(stage.name), commands: [], isReplaced: true))
                continue
            }
            let base = try global.base(of: stage).text
            let platform = try global.platform(of: stage)?.platform
            var node = Node(base: .named(base), platform: platform, commands: triggers[stage.index] ?? [])
            if let index = names.stage(base, before: stage.index) {
                node.base = .stage(index)
                for case .onbuild(let onbuild) in file.stages[index].commands.map(\.instruction) {
                    given += 1
                    guard given <= Self.triggerLimit else {
                        throw .error("the stages have more than \(Self.triggerLimit) ONBUILD triggers for each other", stage.range)
                    }
                    node.commands.append(try ParsedDockerfile.trigger(onbuild.expression, from: stage.range))
                }
            } else if base == "scratch" {
                node.base = .scratch
            }
            node.commands += stage.commands
            node.dependencies = try names.dependencies(of: node.commands, in: stage)
            for word in stage.after {
                guard case .stage(let index) = names.source(word.text, in: stage, numbers: true) else {
                    throw Diagnostic(
                        .error, .file, "stage \(Quoted.short(word.text)) of --after could not be found", stage.range, focus: word.range)
                }
                if !node.dependencies.contains(.stage(index)) { node.dependencies.append(.stage(index)) }
            }
            nodes.append(node)
        }
        self.nodes = nodes
        self.names = names
        try Self.refuseCircles(nodes, file)
        self.target = try names.target(target, file)
        needed = try Self.needed(by: self.target, nodes, file)
    }

    /// What `--from` of a COPY or of a mount in a stage means.
    /// - Parameter text: of a valid file; numbers mean stages for COPY only.
    public func source(_ text: String, in stage: Stage, numbers: Bool = true) -> Source {
        names.source(text, in: stage, numbers: numbers)
    }

    private static func edges(_ node: Node) -> [Int] {
        ([node.base] + node.dependencies).compactMap { if case .stage(let index) = $0 { index } else { nil } }
    }

    /// Takes away stages that need nothing that is left, until there are none; what stays goes in a circle or needs one.
    private static func refuseCircles(_ nodes: [Node], _ file: ParsedDockerfile) throws(Diagnostic) {
        var waiting = nodes.map { Set(edges($0)) }
        var users: [Int: [Int]] = [:]
        for (index, needs) in waiting.enumerated() { for need in needs { users[need, default: []].append(index) } }
        var free = nodes.indices.filter { waiting[$0].isEmpty }
        var done = Set(free)
        while let index = free.popLast() {
            for user in users[index] ?? [] {
                waiting[user].remove(index)
                if waiting[user].isEmpty, done.insert(user).inserted { free.append(user) }
            }
        }
        guard var index = nodes.indices.first(where: { !done.contains($0) }) else { return }
        var seen: Set<Int> = []
        while seen.insert(index).inserted { index = waiting[index].min() ?? index }
        let stage = file.stages[index]
        throw Diagnostic(.error, .file, "circular dependency detected on stage: \(stage.displayName)", stage.range)
    }

    private static func needed(by target: Int, _ nodes: [Node], _ file: ParsedDockerfile) throws(Diagnostic) -> [Int] {
        var found: Set<Int> = [target]
        var pending = [target]
        while let index = pending.popLast() {
            for edge in edges(nodes[index]) {
                if edge > index {
                    let (name, here) = (file.stages[edge].displayName, file.stages[index].displayName)
                    throw Diagnostic(
                        .error, .file,
                        "cannot copy from stage \(Quoted.text(name)), it needs to be defined before current stage \(Quoted.text(here))",
                        file.stages[index].range)
                }
                if found.insert(edge).inserted { pending.append(edge) }
            }
        }
        return found.sorted()
    }
}

/// The stages by name.
private struct StageNames: Sendable {
    /// Indices that share a name, in order.
    private var indices: [String: [Int]] = [:]
    private let count: Int

    init(_ file: ParsedDockerfile) {
        count = file.stages.count
        for stage in file.stages where !stage.name.isEmpty { indices[stage.name, default: []].append(stage.index) }
    }

    func stage(_ name: String, before index: Int) -> Int? { indices[name.loweredASCII]?.last { $0 < index } }

    /// The last one before this stage; otherwise one that is not before it, for which there will be an error.
    private func source(named name: String, in stage: Stage) -> StageGraph.Source {
        if let index = self.stage(name, before: stage.index) ?? indices[name.loweredASCII]?.last { return .stage(index) }
        return name == "scratch" ? .scratch : .named(name)
    }

    func source(_ text: String, in stage: Stage, numbers: Bool) -> StageGraph.Source {
        if numbers, let index = Int(text), (0..<count).contains(index) { return .stage(index) }
        return source(named: text, in: stage)
    }

    func dependencies(of commands: [StageCommand], in stage: Stage) throws(Diagnostic) -> [StageGraph.Source] {
        var found: [StageGraph.Source] = []
        var seen: Set<StageGraph.Source> = []
        for command in commands {
            switch command.instruction {
            case .copy(let copy):
                guard let from = copy.from else { continue }
                if let number = Int(from.text), !(0..<count).contains(number) {
                    throw Diagnostic(.error, .file, "invalid stage index \(number)", command.range, focus: from.range)
                }
                let source = source(from.text, in: stage, numbers: true)
                if seen.insert(source).inserted { found.append(source) }
            case .run(let run):
                for mount in run.mounts where !mount.from.isEmpty {
                    let source = source(mount.from, in: stage, numbers: false)
                    if seen.insert(source).inserted { found.append(source) }
                }
            default: break
            }
        }
        return found
    }

    func target(_ name: String, _ file: ParsedDockerfile) throws(Diagnostic) -> Int {
        if name.isEmpty { return count - 1 }
        if let index = indices[name.loweredASCII]?.last { return index }
        let hint = Suggestion.hint(name, file.stages.map(\.displayName))
        throw .error("target stage \(Quoted.short(name)) could not be found\(hint)", nil)
    }
}
