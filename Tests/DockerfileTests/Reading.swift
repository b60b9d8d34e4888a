import OCI
import Testing

@testable import Dockerfile

/// Short ways to read a Dockerfile in tests.
enum Reading {
    static let host = Platform(os: "linux", architecture: "amd64")

    static func file(_ text: String) throws -> ParsedDockerfile { try ParsedDockerfile.parse(SourceText(text)) }

    /// What is said to be wrong, as a user reads it; nil where nothing is.
    static func refusal(_ text: String) -> String? {
        do throws(Diagnostic) {
            _ = try ParsedDockerfile.parse(SourceText(text))
            return nil
        } catch { return error.description }
    }

    /// The only instruction behind `FROM scratch`.
    static func command(_ text: String) throws -> StageCommand {
        let file = try file("FROM scratch\n" + text)
        return try #require(file.stages[0].commands.only)
    }

    static func instruction(_ text: String) throws -> Instruction { try command(text).instruction }

    static func options(_ arguments: [String] = [], target: String = "") -> ScopeOptions {
        ScopeOptions(buildArguments: BuildEnvironment(list: arguments), targetPlatform: host, target: target)
    }

    /// The last instruction of the last stage with its variables replaced, and the scope behind it.
    static func evaluated(
        _ text: String, _ arguments: [String] = [], base: [String] = []
    ) throws -> (command: EvaluatedCommand, scope: StageScope) {
        let file = try file(text)
        let global = try GlobalScope(file, options(arguments))
        var scope = StageScope(global, environment: BuildEnvironment(list: base))
        var last: EvaluatedCommand?
        for command in try #require(file.stages.last).commands { last = try scope.evaluate(command) }
        return (try #require(last), scope)
    }

    /// Why the last instruction cannot be evaluated.
    static func evaluationRefusal(_ text: String, _ arguments: [String] = []) throws -> String? {
        let file = try file(text)
        do throws(Diagnostic) {
            let global = try GlobalScope(file, options(arguments))
            var scope = StageScope(global)
            for command in file.stages[0].commands { _ = try scope.evaluate(command) }
            return nil
        } catch { return error.description }
    }
}

extension Array {
    var only: Element? { count == 1 ? self[0] : nil }
}

extension SourceRange {
    /// `1:2-3:4`.
    var text: String { "\(start.line):\(start.column)-\(end.line):\(end.column)" }
}
