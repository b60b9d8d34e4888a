/// Files with patterns of what does not belong into a build context.
public enum IgnoreFile {
    /// Which file holds, of those that may exist.
    ///
    /// - Parameter dockerfile: the Dockerfile's path.
    /// - Returns: in the order in which they are looked for. The first is beside the Dockerfile, the others are in the context.
    public static func candidates(dockerfile: String) -> [Candidate] {
        [
            Candidate(path: dockerfile + ".dockerignore", isBesideDockerfile: true),
            Candidate(path: ".containerignore", isBesideDockerfile: false),
            Candidate(path: ".dockerignore", isBesideDockerfile: false),
        ]
    }

    public struct Candidate: Sendable, Hashable {
        public var path: String
        /// The path is what the Dockerfile's is relative to; otherwise it is one of the context.
        public var isBesideDockerfile: Bool
    }

    /// The first candidate that exists; nil: nothing is ignored.
    public static func choose(dockerfile: String, _ exists: (Candidate) -> Bool) -> Candidate? {
        candidates(dockerfile: dockerfile).first(where: exists)
    }

    /// The patterns of a file, in order: without comments, empty lines, white space around them and slashes at their beginning.
    public static func patterns(_ bytes: [UInt8]) -> [String] {
        let source = SourceText(bytes: bytes)
        var found: [String] = []
        for number in 1...source.lineCount {
            let line = source.line(number)
            if line.first == Byte.hash { continue }
            var text = line.trimmed
            if text.isEmpty { continue }
            let isException = text.first == Byte.bang
            if isException { text = text.dropFirst().trimmed }
            var pattern = text.isEmpty ? "" : PathText.clean(text.text)
            if pattern.utf8.count > 1, pattern.utf8.first == Byte.slash { pattern = pattern.utf8.dropFirst().text }
            found.append((isException ? "!" : "") + pattern)
        }
        return found
    }
}
