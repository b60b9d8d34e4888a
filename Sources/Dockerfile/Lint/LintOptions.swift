/// Which rules are looked at: `# check=skip=A,B;error=true`.
public struct LintOptions: Sendable, Hashable {
    public var skipsAll = false
    public var skipped: Set<String> = []
    public var triesAll = false
    /// Rules that are only looked at when they are named.
    public var tried: Set<String> = []
    /// Whether a warning fails the build.
    public var failsOnWarnings = false

    public init() {}

    /// Reads the value of the directive, or of the argument BUILDKIT_DOCKERFILE_CHECK.
    ///
    /// - Throws: for options that are none. Rules that do not exist are no error: other versions have others.
    public init(_ text: String) throws(PatternError) {
        if text.trimmed.isEmpty { return }
        for part in text.utf8.split(separator: UInt8(ascii: ";"), maxSplits: 2, omittingEmptySubsequences: false).map(\.text) {
            guard let (key, value) = part.cut(Byte.equals) else { throw PatternError("invalid check option \(Quoted.short(part))") }
            let names = Set(value.fields(UInt8(ascii: ",")).map(\.trimmed))
            switch key.trimmed {
            case "skip": if value.trimmed == "all" { skipsAll = true } else { skipped = names }
            case "experimental": if value.trimmed == "all" { triesAll = true } else { tried = names }
            case "error":
                guard let bool = GoBool.value(value.trimmed) else {
                    throw PatternError("failed to parse check option \(Quoted.short(part)): invalid boolean")
                }
                failsOnWarnings = bool
            default: throw PatternError("invalid check option \(Quoted.short(key.trimmed))")
            }
        }
    }

    func includes(_ rule: LintRule) -> Bool {
        rule.isExperimental ? triesAll || tried.contains(rule.name) : !skipsAll && !skipped.contains(rule.name)
    }

    /// With what a comment `# check=skip=A` above an instruction says for that instruction.
    func merged(_ comments: [String]) -> LintOptions {
        for comment in comments where comment.has(Byte.equals) {
            guard let (name, value) = DirectiveReader.parts(Array(comment.utf8)[...], []), name == .check else { continue }
            guard let local = try? LintOptions(value.cut(Byte.space)?.0 ?? value) else { return self }
            var merged = self
            merged.skipsAll = skipsAll || local.skipsAll
            merged.triesAll = triesAll || local.triesAll
            merged.skipped.formUnion(local.skipped)
            merged.tried.formUnion(local.tried)
            return merged
        }
        return self
    }
}
