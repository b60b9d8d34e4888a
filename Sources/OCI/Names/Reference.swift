/// The name of an image: `[domain/]path[:tag][@digest]`, normalised the way Docker does it.
///
/// `alpine` is `docker.io/library/alpine`. A first component is a domain when it is `localhost`, has a `.` or `:`, or has an
/// upper-case letter. With both a tag and a digest the digest decides what is fetched; the tag is only kept for printing.
/// Stricter than Docker in one thing: a port must be 1 to 65535.
/// Spec: the grammar of distribution/reference.
public struct Reference: Sendable, Hashable, CustomStringConvertible {
    public static let defaultDomain = "docker.io"
    public static let defaultTag = "latest"

    /// The registry, with its port: `docker.io`, `localhost:5000`, `[::1]:5000`.
    public let domain: String
    /// The repository in the registry: `library/alpine`.
    public let path: String
    /// The tag as written; nil when there was none.
    public let tag: String?
    public let digest: Digest?

    init(domain: String, path: String, tag: String?, digest: Digest?) {
        self.domain = domain
        self.path = path
        self.tag = tag
        self.digest = digest
    }

    /// `domain/path`, without tag and digest.
    public var name: String { domain + "/" + path }

    /// What names the manifest in a request to the registry: the digest, else the tag, else `latest`.
    public var target: String { digest?.description ?? tag ?? Reference.defaultTag }

    /// The tag to use where there must be one: nil only when the digest alone names the image.
    public var effectiveTag: String? { tag ?? (digest == nil ? Reference.defaultTag : nil) }

    /// The host to talk to, with its port: Docker Hub's registry has another name than its images.
    public var registryHost: String {
        domain == Reference.defaultDomain ? "registry-1.docker.io" : domain
    }

    /// The same reference with `latest` when it has neither tag nor digest.
    public var withDefaultTag: Reference {
        Reference(domain: domain, path: path, tag: effectiveTag, digest: digest)
    }

    /// The repository alone.
    public var repository: Reference { Reference(domain: domain, path: path, tag: nil, digest: nil) }

    /// The same repository with this digest and no tag.
    public func with(digest: Digest) -> Reference {
        Reference(domain: domain, path: path, tag: nil, digest: digest)
    }

    /// The same repository with this tag and no digest.
    ///
    /// - Throws: `.invalidReference` when it is no tag.
    public func with(tag: String) throws(OCIError) -> Reference {
        guard Reference.isTag(tag.utf8) else {
            throw ReferenceParser.failure(tag, "invalid tag")
        }
        return Reference(domain: domain, path: path, tag: tag, digest: nil)
    }

    /// The full form: `docker.io/library/alpine:latest@sha256:…`, with what was written only.
    public var description: String { name + suffix }

    /// The name as Docker shows it: without `docker.io/` and `library/`.
    ///
    /// Kept whole where the short form would be read as another image: `docker.io/localhost/x` is not `localhost/x`.
    public var familiarName: String {
        guard domain == Reference.defaultDomain else { return name }
        let library = "library/"
        if path.hasPrefix(library) {
            let rest = path.dropFirst(library.count)
            return rest.utf8.contains(UInt8(ascii: "/")) ? path : String(rest)
        }
        let first = path.prefix { $0 != "/" }
        return ReferenceParser.isDomain(first.utf8) ? name : path
    }

    /// The reference as Docker shows it: `alpine:3.20`.
    public var familiar: String { familiarName + suffix }

    private var suffix: String {
        var text = ""
        if let tag { text += ":" + tag }
        if let digest { text += "@" + digest.description }
        return text
    }

    /// Reads a reference as users type it.
    ///
    /// - Throws: `.invalidReference`, saying which part is wrong.
    public static func parse(_ text: String) throws(OCIError) -> Reference {
        try ReferenceParser.parse(text)
    }

    /// Whether a text is a repository's path (`library/alpine`), as registries know it.
    ///
    /// Spec: OCI distribution-spec 1.1 "Pulling manifests"; as in distribution/reference at most 255 characters.
    public static func isRepositoryPath(_ text: String) -> Bool {
        text.utf8.count <= ReferenceParser.maximumPath && ReferenceParser.isPath(Substring(text).utf8)
    }

    /// Whether `text` can be a tag: a word character, then up to 127 word characters, full stops and dashes.
    public static func isTag(_ text: some Collection<UInt8>) -> Bool {
        guard let first = text.first, text.count <= 128 else { return false }
        guard Characters.isAlphanumeric(first) || first == UInt8(ascii: "_") else { return false }
        return text.allSatisfy {
            Characters.isAlphanumeric($0) || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-")
        }
    }
}
