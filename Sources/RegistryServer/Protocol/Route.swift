import OCI

/// What a path of the API names.
///
/// Spec: OCI distribution-spec 1.1 "Endpoints".
enum Route: Sendable, Hashable {
    case ping
    case catalog
    case tags(String)
    case manifest(String, ManifestName)
    case blob(String, Digest)
    case uploads(String)
    case upload(String, id: String)
    case referrers(String, Digest)

    /// Reads a path. Names may have components like `blobs`, so that only its end decides.
    ///
    /// - Throws: 404 for what is no endpoint; 400 for names, tags and digests that break their grammar.
    static func parse(_ path: String) throws(APIFailure) -> Route {
        var parts = path.split(separator: "/", omittingEmptySubsequences: false)[...]
        guard parts.popFirst() == "", parts.popFirst() == "v2" else { throw noEndpoint }
        if parts.isEmpty || parts.elementsEqual([""]) { return .ping }
        if parts.elementsEqual(["_catalog"]) { return .catalog }
        guard let last = parts.popLast(), let kind = parts.popLast() else { throw noEndpoint }
        switch (kind, last) {
        case ("tags", "list"): return .tags(try name(parts))
        case ("manifests", _): return .manifest(try name(parts), try ManifestName.parse(String(last)))
        case ("referrers", _): return .referrers(try name(parts), try digest(last))
        // The slash at the end is the specification's; clients that leave it out mean the same.
        case ("blobs", "uploads"): return .uploads(try name(parts))
        case ("uploads", "") where parts.last == "blobs": return .uploads(try name(parts.dropLast()))
        case ("uploads", _) where parts.last == "blobs":
            return .upload(try name(parts.dropLast()), id: String(last))
        case ("blobs", _): return .blob(try name(parts), try digest(last))
        default: throw noEndpoint
        }
    }

    private static let noEndpoint = APIFailure(404, .unsupported, "no endpoint of the registry API has this path")

    private static func name(_ parts: ArraySlice<Substring>) throws(APIFailure) -> String {
        let name = parts.joined(separator: "/")
        guard Reference.isRepositoryPath(name) else {
            throw APIFailure(
                400, .nameInvalid, "invalid repository name: lower-case letters and digits with . _ - between them, at most 255")
        }
        return name
    }

    private static func digest(_ text: Substring) throws(APIFailure) -> Digest { try parseDigest(String(text)) }

    static func parseDigest(_ text: String) throws(APIFailure) -> Digest {
        guard let digest = Digest(text) else {
            throw APIFailure(
                400, .digestInvalid, "invalid digest: expected sha256: or sha512: and lower-case hexadecimal digits")
        }
        return digest
    }
}

/// A manifest by its tag or digest.
enum ManifestName: Sendable, Hashable {
    case tag(String)
    case digest(Digest)

    static func parse(_ text: String) throws(APIFailure) -> ManifestName {
        // No tag has a colon.
        if text.utf8.contains(UInt8(ascii: ":")) { return .digest(try Route.parseDigest(text)) }
        return .tag(try tag(text))
    }

    static func tag(_ text: String) throws(APIFailure) -> String {
        guard Reference.isTag(text.utf8) else {
            throw APIFailure(
                400, .manifestInvalid, "invalid tag: letters, digits, _ . -, at most 128, and . or - not in front")
        }
        return text
    }
}
