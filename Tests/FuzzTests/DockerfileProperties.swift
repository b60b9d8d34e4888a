import Dockerfile
import OCI

/// Dockerfiles and ignore files of strangers. What is accepted stands where it says, and is read the same again.
enum DockerfileProperties {
    private static let options = ScopeOptions(
        buildArguments: BuildEnvironment(list: ["VERSION=4"]), targetPlatform: Platform(os: "linux", architecture: "amd64"))

    static func check(_ bytes: [UInt8]) throws(FuzzFailure) {
        let source = SourceText(bytes: bytes)
        _ = SyntaxDetection.syntax(of: source)
        let report = Linter.check(source, options)
        _ = report.rendered(in: source)
        for found in report.warnings + [report.error].compactMap({ $0 }) { try check(found.range, source) }
        guard let file = try? ParsedDockerfile.parse(source) else { return }
        for stage in file.stages {
            try check(stage.range, source)
            for command in stage.commands {
                try check(command.range, source)
                if case .onbuild(let onbuild) = command.instruction {
                    _ = try? ParsedDockerfile.trigger(onbuild.expression, from: command.range)
                }
            }
        }
        _ = try? Outline(file, options)
        if let global = try? GlobalScope(file, options), let graph = try? StageGraph(file, global) {
            for index in graph.needed {
                var scope = StageScope(global)
                for command in graph.nodes[index].commands { _ = try? scope.evaluate(command) }
            }
        }
    }

    private static func check(_ range: SourceRange?, _ source: SourceText) throws(FuzzFailure) {
        guard let range else { return }
        guard range.start.line >= 1, range.start <= range.end, range.end.line <= source.lineCount else {
            throw FuzzFailure(description: "\(range) is outside of \(source.lineCount) lines")
        }
    }

    /// A walk through directories finds what looking at each path alone finds.
    static func checkIgnore(_ bytes: [UInt8]) throws(FuzzFailure) {
        guard let matcher = try? PathMatcher(IgnoreFile.patterns(bytes)) else { return }
        for path in [["a"], ["a", "b"], ["a", "b", "c.o"], ["README.md"], ["d", "README.md"]] {
            var verdict: PathMatcher.Verdict?
            var current = ""
            var isSkipped = false
            for part in path {
                if let verdict, matcher.canSkip(directory: current, verdict) { isSkipped = true }
                current += current.isEmpty ? part : "/" + part
                verdict = matcher.verdict(current, in: verdict)
            }
            let isMatched = matcher.matches(current)
            guard verdict?.isMatched == isMatched else { throw FuzzFailure(description: "a walk and a look disagree about \(current)") }
            guard !isSkipped || isMatched else { throw FuzzFailure(description: "a walk passes \(current) over") }
        }
    }
}
