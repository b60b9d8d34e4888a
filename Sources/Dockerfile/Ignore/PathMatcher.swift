/// The patterns of a .dockerignore file or of `--exclude`: the last one that matches a path, or a directory it is in, decides.
///
/// Spec: Dockerfile reference, ".dockerignore file".
public struct PathMatcher: Sendable {
    struct Rule: Sendable {
        var pattern: PathPattern
        /// `!`: what matches is taken back in.
        var isException: Bool
    }

    let rules: [Rule]
    /// Whether there are patterns with `!`.
    public var hasExceptions: Bool { rules.contains(where: \.isException) }
    public var isEmpty: Bool { rules.isEmpty }

    /// No patterns: nothing is left out.
    public init() { rules = [] }

    /// - Parameter patterns: as `IgnoreFile.patterns` returns them; empty ones are passed over.
    /// - Throws: for a lone `!` and for patterns that are none.
    public init(_ patterns: [String]) throws(PatternError) {
        var rules: [Rule] = []
        for text in patterns {
            let trimmed = text.trimmed
            if trimmed.isEmpty { continue }
            var cleaned = PathText.clean(trimmed)
            let isException = cleaned.utf8.first == Byte.bang
            if isException {
                cleaned = cleaned.utf8.dropFirst().text
                if cleaned.isEmpty { throw PatternError("illegal exclusion pattern: \"!\"") }
            }
            do throws(PatternError) {
                rules.append(Rule(pattern: try PathPattern(cleaned, spansDirectories: true), isException: isException))
            } catch { throw PatternError("\(error.message): \(Quoted.short(text))") }
        }
        self.rules = rules
    }

    /// What is known of a path, for the paths below it.
    public struct Verdict: Sendable, Hashable {
        /// Whether the path is left out.
        public var isMatched = false
        /// Which patterns match it or a directory it is in.
        var matched: [Bool] = []
    }

    /// Whether a path is left out.
    ///
    /// - Parameter path: relative, clean, with slashes. `.` never is.
    public func matches(_ path: String) -> Bool {
        if path == "." { return false }
        var isMatched = false
        // Only a rule that would change the answer has to be looked at.
        for rule in rules where rule.isException == isMatched {
            if rule.pattern.matchesWithin(path) { isMatched = !rule.isException }
        }
        return isMatched
    }

    /// What becomes of a path, in a walk through directories.
    ///
    /// - Parameters:
    ///   - path: relative, with slashes.
    ///   - parent: the verdict of the directory it is in; nil for those at the top.
    public func verdict(_ path: String, in parent: Verdict?) -> Verdict {
        var verdict = Verdict(isMatched: false, matched: [Bool](repeating: false, count: rules.count))
        for (index, rule) in rules.enumerated() {
            // What matches a directory matches all that is in it.
            let isMatch = parent?.matched[index] == true || rule.pattern.matches(path)
            verdict.matched[index] = isMatch
            if isMatch { verdict.isMatched = !rule.isException }
        }
        return verdict
    }

    /// Whether a walk need not enter a directory: it is left out, and no exception can match anything in it.
    public func canSkip(directory: String, _ verdict: Verdict) -> Bool {
        guard verdict.isMatched else { return false }
        for (index, rule) in rules.enumerated().reversed() {
            // Everything below is left out by this one, whatever those before it say.
            if verdict.matched[index], !rule.isException { return true }
            if rule.isException, rule.pattern.mayMatch(below: directory) { return false }
        }
        return true
    }

    /// Whether nothing at the top is left: the patterns that make `COPY .` useless.
    var ignoresEverything: Bool {
        rules.contains { !$0.isException && ["*", "**", "**/*"].contains($0.pattern.text) }
    }
}
