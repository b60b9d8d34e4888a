/// A git repository and what is wanted of it: `https://host/repo.git#ref:directory`, `git@host:repo.git`, and queries.
///
/// Spec: docker build reference, "Git repositories"; "URL queries".
public struct GitReference: Sendable, Hashable {
    /// Without fragment and query.
    public var remote: String
    /// A branch, a tag or a commit; empty for the default branch.
    public var ref = ""
    public var directory = ""
    /// The commit that it must be.
    public var checksum: String?
    public var keepsGitDirectory: Bool?
    public var submodules: Bool?
    public var fetchesByCommit = false
    /// `commit` or `checkout`: which time files get; empty: not said.
    public var timePolicy = ""
    /// `github.com/…` without a scheme: for ADD a path, for a build context a repository.
    public var looksLocal = false

    /// The directory's name that git would choose: `repo` for `https://host/a/repo.git`.
    public var shortName: String {
        let base = PathText.base(remote)
        return base.utf8.count > 4 && base.utf8.suffix(4).elementsEqual(".git".utf8) ? base.utf8.dropLast(4).text : base
    }

    /// Reads a reference.
    ///
    /// - Returns: nil where the text is something else: a path, a URL without `.git`.
    /// - Throws: for queries that mean nothing or contradict each other.
    public init?(_ text: String) throws(ExpansionError) {
        guard !text.starts("./"), !text.starts("../") else { return nil }
        let (address, fragment) = text.cut(Byte.hash) ?? (text, "")
        let (location, query) = address.cut(UInt8(ascii: "?")) ?? (address, "")
        if text.starts("github.com/") {
            looksLocal = true
        } else if let scheme = Self.scheme(location) {
            switch scheme {
            case "http", "https": guard location.utf8.suffix(4).elementsEqual(".git".utf8) else { return nil }
            case "git", "ssh": break
            default: return nil
            }
        } else {
            guard Self.isSCPStyle(location) else { return nil }
        }
        remote = location
        if let (ref, directory) = fragment.cut(UInt8(ascii: ":")) {
            self.ref = ref
            self.directory = directory
        } else {
            ref = fragment
        }
        try read(query: query)
    }

    private static func scheme(_ text: String) -> String? {
        let name = text.utf8.prefix { Byte.isLetter($0) || Byte.isDigit($0) }
        guard !name.isEmpty, text.utf8[name.endIndex...].starts(with: "://".utf8) else { return nil }
        return name.text.loweredASCII
    }

    /// `user@host:path`.
    private static func isSCPStyle(_ text: String) -> Bool {
        guard let (user, rest) = text.cut(UInt8(ascii: "@")), let (host, path) = rest.cut(UInt8(ascii: ":")) else { return false }
        func isName(_ text: String, _ others: [UInt8]) -> Bool {
            !text.isEmpty && text.utf8.allSatisfy { Byte.isLetter($0) || Byte.isDigit($0) || others.contains($0) }
        }
        return isName(user, Array("-_".utf8)) && isName(host, Array("-.".utf8)) && !path.isEmpty
    }

    private mutating func read(query: String) throws(ExpansionError) {
        var seen: [String] = []
        var (tag, branch) = ("", "")
        for part in query.fields(UInt8(ascii: "&")) where !part.isEmpty {
            let (key, value) = part.cut(Byte.equals) ?? (part, "")
            let name = Quoted.short(key)
            if seen.contains(key) { throw ExpansionError("query \(name) has multiple values") }
            seen.append(key)
            let isSwitch = ["submodules", "keep-git-dir", "fetch-by-commit"].contains(key)
            if value.isEmpty, !isSwitch { throw ExpansionError("query \(name) has no value") }
            switch key {
            case "ref": try setRef(value)
            case "tag": tag = value
            case "branch": branch = value
            case "subdir":
                if !directory.isEmpty, directory != value { throw Self.conflict("subdir", directory, value) }
                directory = value
            case "checksum", "commit": checksum = value
            case "mtime":
                guard value == "checkout" || value == "commit" else {
                    throw ExpansionError("invalid mtime value: \(Quoted.short(value)) (must be \"checkout\" or \"commit\")")
                }
                timePolicy = value
            case "keep-git-dir": keepsGitDirectory = try Self.bool(key, value)
            case "submodules": submodules = try Self.bool(key, value)
            case "fetch-by-commit": fetchesByCommit = try Self.bool(key, value)
            default: throw ExpansionError("unexpected query \(name)")
            }
        }
        if !tag.isEmpty { try setRef(tag.starts("refs/tags/") ? tag : "refs/tags/" + tag) }
        if !branch.isEmpty {
            if !tag.isEmpty { throw ExpansionError("branch conflicts with tag") }
            try setRef(branch.starts("refs/heads/") ? branch : "refs/heads/" + branch)
        }
    }

    private mutating func setRef(_ value: String) throws(ExpansionError) {
        if !ref.isEmpty, ref != value { throw Self.conflict("ref", ref, value) }
        ref = value
    }

    private static func conflict(_ what: String, _ one: String, _ other: String) -> ExpansionError {
        ExpansionError("\(what) conflicts: \(Quoted.short(one)) vs \(Quoted.short(other))")
    }

    private static func bool(_ key: String, _ value: String) throws(ExpansionError) -> Bool {
        if value.isEmpty { return true }
        guard let bool = GoBool.value(value) else { throw ExpansionError("invalid \(key) value: \(Quoted.short(value))") }
        return bool
    }
}
