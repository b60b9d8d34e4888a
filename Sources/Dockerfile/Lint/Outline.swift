import JSON
import OCI

/// What a target can be given: `build --call=outline`.
public struct Outline: Sendable, Hashable {
    public struct Argument: Sendable, Hashable {
        public var name: String
        public var value: String
        public var description: String
        public var range: SourceRange
    }

    /// A secret, or an SSH agent.
    public struct Credential: Sendable, Hashable {
        public var name: String
        public var isRequired: Bool
        public var range: SourceRange
    }

    public var name: String
    public var description: String
    public var arguments: [Argument] = []
    public var secrets: [Credential] = []
    public var ssh: [Credential] = []

    /// The arguments that the target and the stages it needs declare, or use in their FROM; and what their mounts ask for.
    ///
    /// - Throws: where a stage cannot be evaluated.
    public init(_ file: ParsedDockerfile, _ options: ScopeOptions) throws(Diagnostic) {
        let global = try GlobalScope(file, options)
        let graph = try StageGraph(file, global, target: options.target)
        let stage = file.stages[graph.target]
        name = stage.name
        description = stage.description
        var declared: [String: DeclaredArgument] = [:]
        for argument in global.arguments { declared[argument.name] = argument }
        var used: Set<String> = []
        var scopes = StageShelf<StageScope>(graph)
        var (secretNames, agentNames): (Set<String>, Set<String>) = ([], [])
        for index in graph.needed {
            used.formUnion(try global.base(of: file.stages[index]).used)
            used.formUnion(try global.platform(of: file.stages[index])?.resolved.used ?? [])
            var scope = StageScope(global)
            if case .stage(let base) = graph.nodes[index].base, let below = scopes.take(base) { scope = StageScope(on: below) }
            for command in graph.nodes[index].commands {
                let evaluated = try scope.evaluate(command)
                for argument in evaluated.arguments {
                    used.insert(argument.name)
                    if !argument.isInherited { declared[argument.name] = argument }
                }
                for mount in evaluated.mounts {
                    if mount.kind == .secret, secretNames.insert(mount.secretID).inserted {
                        secrets.append(Credential(name: mount.secretID, isRequired: mount.isRequired, range: command.range))
                    }
                    if mount.kind == .ssh, agentNames.insert(mount.sshID).inserted {
                        ssh.append(Credential(name: mount.sshID, isRequired: mount.isRequired, range: command.range))
                    }
                }
            }
            try scopes.put(scope, scope.weight, of: file.stages[index])
        }
        // What a default was made of counts as used too.
        var pending = Array(used)
        while let name = pending.popLast() {
            for other in declared[name]?.dependencies ?? [] where used.insert(other).inserted { pending.append(other) }
        }
        arguments = used.compactMap { declared[$0] }
            .map { Argument(name: $0.name, value: $0.value ?? "", description: $0.description, range: $0.range) }
            .sorted { ($0.range.start, $0.name) < ($1.range.start, $1.name) }
    }

    /// As `docker build --call=outline` prints it.
    public var rendered: String {
        var text = ""
        if !name.isEmpty || !description.isEmpty {
            var rows = [["TARGET:", name.isEmpty ? "(default)" : name]]
            if !description.isEmpty { rows.append(["DESCRIPTION:", description]) }
            text += Columns.text(rows, gap: 1) + "\n"
        }
        if !arguments.isEmpty {
            let rows = arguments.map { [$0.name, $0.value, $0.description] }
            text += Columns.text([["BUILD ARG", "VALUE", "DESCRIPTION"]] + rows, gap: 3) + "\n"
        }
        for (title, list) in [("SECRET", secrets), ("SSH", ssh)] where !list.isEmpty {
            let rows = list.map { [$0.name, $0.isRequired ? "true" : ""] }
            text += Columns.text([[title, "REQUIRED"]] + rows, gap: 3) + "\n"
        }
        return text
    }

    /// As `--call=outline,format=json` has it.
    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.fieldIfNotEmpty("name", name)
            w.fieldIfNotEmpty("description", description)
            w.arrayIfNotEmpty("args", arguments) { w, argument in
                w.object { w in
                    w.field("name", argument.name)
                    w.fieldIfNotEmpty("description", argument.description)
                    w.fieldIfNotEmpty("value", argument.value)
                    w.location(argument.range)
                }
            }
            w.arrayIfNotEmpty("secrets", secrets) { w, secret in secret.write(to: &w) }
            w.arrayIfNotEmpty("ssh", ssh) { w, agent in agent.write(to: &w) }
        }
    }
}

extension Outline.Credential {
    fileprivate func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("name", name)
            w.fieldIfTrue("required", isRequired)
            w.location(range)
        }
    }
}

/// The stages that can be built: `build --call=targets`.
public struct TargetList: Sendable, Hashable {
    public struct Target: Sendable, Hashable {
        public var name: String
        public var description: String
        public var isDefault: Bool
        public var base: String
        public var platform: String
        public var range: SourceRange
    }

    public var targets: [Target]

    public init(_ file: ParsedDockerfile) {
        targets = file.stages.map { stage in
            Target(
                name: stage.name, description: stage.description, isDefault: stage.index == file.stages.count - 1, base: stage.base.text,
                platform: stage.platform?.text ?? "", range: stage.range)
        }
    }

    /// As `docker build --call=targets` prints it.
    public var rendered: String {
        let rows = targets.map { target in
            [target.isDefault ? (target.name.isEmpty ? "" : target.name + " ") + "(default)" : target.name, target.description]
        }
        return Columns.text([["TARGET", "DESCRIPTION"]] + rows, gap: 1)
    }

    /// As `--call=targets,format=json` has it.
    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.array("targets", targets) { w, target in
                w.object { w in
                    w.fieldIfNotEmpty("name", target.name)
                    w.fieldIfTrue("default", target.isDefault)
                    w.fieldIfNotEmpty("description", target.description)
                    w.fieldIfNotEmpty("base", target.base)
                    w.fieldIfNotEmpty("platform", target.platform)
                    w.location(target.range)
                }
            }
        }
    }
}

/// Rows with their cells below each other.
private enum Columns {
    /// - Parameter gap: blanks behind the widest cell. The last column is not filled up.
    static func text(_ rows: [[String]], gap: Int) -> String {
        var widths: [Int] = []
        for row in rows {
            for (index, cell) in row.enumerated() {
                if index == widths.count { widths.append(0) }
                widths[index] = max(widths[index], cell.unicodeScalars.count)
            }
        }
        var text = ""
        for row in rows {
            for (index, cell) in row.enumerated() {
                text += cell
                if index + 1 < row.count { text += String(repeating: " ", count: widths[index] - cell.unicodeScalars.count + gap) }
            }
            text += "\n"
        }
        return text
    }
}
