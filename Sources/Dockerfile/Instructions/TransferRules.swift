/// What ADD and COPY refuse when their words are known.
enum TransferRules {
    static func check(_ add: AddInstruction) throws(InstructionFailure) {
        var git: [GitReference] = []
        for word in add.transfer.sources {
            if case .git(let reference) = try AddSource.read(word) { git.append(reference) }
        }
        for reference in git {
            if let said = add.keepGitDirectory, let asked = reference.keepsGitDirectory, said != asked {
                throw InstructionFailure("inconsistent keep-git-dir configuration")
            }
            if let checksum = add.checksum, let asked = reference.checksum, checksum.text != asked {
                throw InstructionFailure("checksum mismatch \(Quoted.short(checksum.text)) != \(Quoted.short(asked))", checksum.range)
            }
        }
        guard let checksum = add.checksum, !checksum.text.isEmpty else { return }
        guard add.transfer.sources.count == 1, let source = add.transfer.sources.first else {
            throw InstructionFailure("checksum can't be specified for multiple sources", checksum.range)
        }
        if case .local = try AddSource.read(source) {
            throw InstructionFailure("checksum requires HTTP(S) or Git sources", checksum.range)
        }
    }

    static func check(_ copy: CopyInstruction) throws(InstructionFailure) {
        for word in copy.transfer.sources {
            switch try AddSource.read(word) {
            case .local: break
            case .http: throw InstructionFailure("source can't be a URL for COPY", word.range)
            case .git: throw InstructionFailure("source can't be a git ref for COPY", word.range)
            }
        }
    }
}

/// What a source of ADD is.
public enum AddSource: Sendable, Hashable {
    /// A path of the context.
    case local(String)
    case http(String)
    case git(GitReference)

    /// - Throws: for a git URL with a query that means nothing.
    static func read(_ word: Word) throws(InstructionFailure) -> AddSource {
        do throws(ExpansionError) {
            return try AddSource(word.text)
        } catch { throw InstructionFailure(error.message, word.range) }
    }

    /// - Throws: for a git URL with a query that means nothing.
    public init(_ text: String) throws(ExpansionError) {
        if let git = try GitReference(text), !git.looksLocal {
            self = .git(git)
        } else {
            self = text.starts("http://") || text.starts("https://") ? .http(text) : .local(text)
        }
    }

    /// The name of the file that a URL becomes; `__unnamed__` where its path has none.
    public static func fileName(ofURL url: String) -> String {
        var bytes = url.utf8[...]
        if let end = bytes.firstIndex(where: { $0 == Byte.hash || $0 == UInt8(ascii: "?") }) { bytes = bytes[..<end] }
        guard let colon = bytes.firstIndex(of: UInt8(ascii: ":")) else { return "__unnamed__" }
        let behind = bytes[colon...].dropFirst(3)
        guard let slash = behind.firstIndex(of: Byte.slash) else { return "__unnamed__" }
        let base = PathText.base(behind[slash...].text)
        return base == "/" || base == "." || base == ".." ? "__unnamed__" : base
    }
}
