/// Paths as text, as Go's `path` package has them. Nothing is looked up.
enum PathText {
    /// The shortest path that means the same: no `.`, no `//`, and `..` only at the beginning of a relative one. Never empty.
    static func clean(_ path: String) -> String {
        let isAbsolute = path.utf8.first == Byte.slash
        var parts: [Substring.UTF8View.SubSequence] = []
        for part in Substring(path).utf8.split(separator: Byte.slash) {
            if part.elementsEqual(".".utf8) { continue }
            if part.elementsEqual("..".utf8) {
                if let last = parts.last, !last.elementsEqual("..".utf8) {
                    parts.removeLast()
                } else if !isAbsolute {
                    parts.append(part)
                }
                continue
            }
            parts.append(part)
        }
        let joined = parts.map { $0.text }.joined(separator: "/")
        if isAbsolute { return "/" + joined }
        return joined.isEmpty ? "." : joined
    }

    /// The last part; `.` for nothing and `/` for only slashes.
    static func base(_ path: String) -> String {
        if path.isEmpty { return "." }
        guard let last = path.utf8.split(separator: Byte.slash).last else { return "/" }
        return last.text
    }

    static func isAbsolute(_ path: String) -> Bool { path.utf8.first == Byte.slash }
}
