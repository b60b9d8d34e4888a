import OCI

/// What a build was asked for, as far as the language cares.
public struct ScopeOptions: Sendable {
    /// `--build-arg`, with those that were given by name only resolved.
    public var buildArguments: BuildEnvironment
    public var targetPlatform: Platform
    public var buildPlatform: Platform
    /// `--target`; empty for the last stage.
    public var target: String

    public init(
        buildArguments: BuildEnvironment = BuildEnvironment(), targetPlatform: Platform, buildPlatform: Platform? = nil,
        target: String = ""
    ) {
        self.buildArguments = buildArguments
        self.targetPlatform = targetPlatform
        self.buildPlatform = buildPlatform ?? targetPlatform
        self.target = target
    }
}

/// An argument that was declared.
public struct DeclaredArgument: Sendable, Hashable {
    public var name: String
    /// nil where it was given no value at all.
    public var value: String?
    public var description: String
    public var range: SourceRange
    /// Arguments that its default was made of.
    public var dependencies: [String] = []
    /// Whether the value is the global scope's: then that one is the declaration.
    public var isInherited = false
}

/// The arguments before the first FROM: what FROM may use, and what stages can ask for by name.
public struct GlobalScope: Sendable {
    public let options: ScopeOptions
    public let escape: Unicode.Scalar
    /// Predefined arguments and those of the file.
    public private(set) var environment: BuildEnvironment
    /// In the order of the file, each name once.
    public private(set) var arguments: [DeclaredArgument] = []
    private var places: [String: Int] = [:]

    /// - Throws: where a default cannot be expanded.
    public init(_ file: ParsedDockerfile, _ options: ScopeOptions) throws(Diagnostic) {
        self.options = options
        escape = file.escape
        environment = BuildEnvironment()
        let target = options.target.isEmpty ? file.stages.last?.name ?? "" : options.target
        let predefined = PredefinedArguments.platforms(
            build: options.buildPlatform, target: options.targetPlatform, stage: target)
        for entry in predefined { environment.set(entry.name, options.buildArguments.value(of: entry.name) ?? entry.value) }
        for command in file.globalArguments {
            guard case .arg(let instruction) = command.instruction else { continue }
            do throws(InstructionFailure) {
                for argument in instruction.arguments { try declare(argument, command.range) }
            } catch { throw Diagnostic(.error, .evaluation, error.message, command.range, focus: error.focus) }
        }
    }

    private mutating func declare(_ argument: ArgInstruction.Argument, _ range: SourceRange) throws(InstructionFailure) {
        let name = argument.name.text
        var declared = DeclaredArgument(name: name, value: nil, description: argument.description, range: range)
        if let given = options.buildArguments.value(of: name) {
            declared.value = given
        } else if let value = argument.value {
            var scope = WordScope(escape: escape, environment)
            declared.value = try scope.expand(value).text
            declared.dependencies = scope.used.filter { $0 != name }
            // `ARG a=$a-x`: what the former one was made of is part of this one.
            if scope.used.contains(name), let former = self.argument(name) {
                declared.dependencies += former.dependencies.filter { !declared.dependencies.contains($0) }
            }
        }
        if let value = declared.value { try environment.setLimited(name, value, argument.name.range) }
        if let place = places[name] {
            arguments[place] = declared
        } else {
            places[name] = arguments.count
            arguments.append(declared)
        }
    }

    func argument(_ name: String) -> DeclaredArgument? { places[name].map { arguments[$0] } }

    /// A word of FROM, expanded.
    public struct Resolved: Sendable, Hashable {
        public var text: String
        public var used: [String]
        public var unset: [String]
    }

    func resolve(_ word: Word) throws(InstructionFailure) -> Resolved {
        var scope = WordScope(escape: escape, environment)
        let text = try scope.expand(word).text
        return Resolved(text: text, used: scope.used, unset: scope.unset)
    }

    /// What FROM of a stage names, with its variables replaced.
    ///
    /// - Throws: for syntax errors, and where nothing is left.
    public func base(of stage: Stage) throws(Diagnostic) -> Resolved {
        do throws(InstructionFailure) {
            let base = try resolve(stage.base)
            if base.text.isEmpty { throw InstructionFailure("base name (\(stage.base.text)) should not be blank", stage.base.range) }
            return base
        } catch { throw Diagnostic(.error, .evaluation, error.message, stage.range, focus: error.focus) }
    }

    /// The platform that FROM asks for; nil without `--platform`.
    ///
    /// - Throws: where nothing is left, or no platform.
    public func platform(of stage: Stage) throws(Diagnostic) -> (platform: Platform, resolved: Resolved)? {
        guard let word = stage.platform else { return nil }
        do throws(InstructionFailure) {
            let resolved = try resolve(word)
            let hint = resolved.unset.lazy.map { Suggestion.hint($0, environment.names) }.first { !$0.isEmpty } ?? ""
            if resolved.text.isEmpty { throw InstructionFailure("empty platform value from expression \(word.text)\(hint)", word.range) }
            do throws(OCIError) {
                return (try Platform.parse(resolved.text, host: options.targetPlatform), resolved)
            } catch {
                throw InstructionFailure("failed to parse platform \(word.text): \(error.cause)\(hint)", word.range)
            }
        } catch { throw Diagnostic(.error, .evaluation, error.message, stage.range, focus: error.focus) }
    }
}

extension BuildEnvironment {
    /// Sets a variable unless all of them together would be larger than anything could be started with.
    mutating func setLimited(_ name: String, _ value: String, _ range: SourceRange) throws(InstructionFailure) {
        set(name, value)
        guard size <= WordScope.lengthLimit else {
            throw InstructionFailure("the variables are larger than \(WordScope.lengthLimit) bytes", range)
        }
    }
}
