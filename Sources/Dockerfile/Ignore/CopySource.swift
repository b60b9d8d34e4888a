/// A source of COPY or ADD as paths are looked for: wildcards as in Go's `filepath.Match`, and with `--parents` a pivot.
///
/// Spec: Dockerfile reference, "COPY", "COPY --parents".
public struct CopySource: Sendable, Hashable {
    /// The directory to look in, from the context's root: absolute and clean.
    public var root: String
    /// What to look for below it, relative; empty: the root itself.
    public var pattern: PathPattern
    /// Whether there is a wildcard: then it is no error that nothing matches when others do.
    public var hasWildcard: Bool
    /// With `--parents`: what of a match's path is kept begins behind `root`. Otherwise only its last part is.
    public var keepsParents: Bool

    /// - Parameters:
    ///   - text: with its variables replaced.
    ///   - parents: `--parents`: `/./` parts what is not kept from what is, and `**` spans directories.
    /// - Throws: for open brackets.
    public init(_ text: String, parents: Bool) throws(PatternError) {
        keepsParents = parents
        var (directory, rest) = ("/", text)
        if parents, let (before, behind) = Self.pivot(text) { (directory, rest) = (before, behind) }
        // `..` cannot leave the context.
        let whole = PathText.clean("/" + rest)
        hasWildcard = Self.hasWildcard(whole) || (parents && Self.hasWildcard(directory))
        root = PathText.clean("/" + directory)
        var relative = whole.utf8.dropFirst().text
        if !parents {
            // Directories before the first wildcard need no search.
            let (constant, remaining) = Self.constantPrefix(relative)
            root = constant.isEmpty ? "/" : "/" + constant
            relative = remaining
        }
        pattern = try PathPattern(relative, spansDirectories: parents)
    }

    private static func pivot(_ text: String) -> (String, String)? {
        let bytes = Array(text.utf8)
        var index = 0
        while index + 2 < bytes.count {
            if bytes[index] == Byte.slash, bytes[index + 1] == UInt8(ascii: "."), bytes[index + 2] == Byte.slash {
                return (bytes[..<index].text, bytes[(index + 3)...].text)
            }
            index += 1
        }
        return nil
    }

    /// Whether a path has `*`, `?` or `[` that a backslash does not take the meaning of.
    public static func hasWildcard(_ text: String) -> Bool {
        var isEscaped = false
        for byte in text.utf8 {
            if isEscaped {
                isEscaped = false
            } else if byte == Byte.backslash {
                isEscaped = true
            } else if byte == UInt8(ascii: "*") || byte == UInt8(ascii: "?") || byte == Byte.bracket {
                return true
            }
        }
        return false
    }

    /// The leading directories without wildcards and escapes, and the rest.
    private static func constantPrefix(_ path: String) -> (String, String) {
        let parts = path.fields(Byte.slash)
        let constant = parts.dropLast().prefix { !hasWildcard($0) && !$0.has(Byte.backslash) }
        return (constant.joined(separator: "/"), parts.dropFirst(constant.count).joined(separator: "/"))
    }

    /// Whether a path below the root, relative to it, is meant.
    public func matches(_ path: String) -> Bool { pattern.matches(path) }

    /// Whether something below a directory may be meant.
    public func mayMatch(below directory: String) -> Bool { pattern.mayMatch(below: directory) }
}
