import Archive
import JSON
import NIOHTTP1
import OCI

extension Repository {
    /// Largest accepted manifest; the specification asks registries for this much.
    public static let largestManifest = 4 << 20

    private static var accept: String { MediaType.acceptedManifests.map(\.rawValue).joined(separator: ", ") }

    /// Asks what a tag or digest names, without fetching it; falls back to GET when HEAD gives no digest.
    ///
    /// - Returns: nil when neither the mirrors nor the registry have it.
    public func head(_ target: String) throws(RegistryError) -> Descriptor? {
        let (text, digest) = try checked(target)
        do throws(RegistryError) {
            return try reading(isDigest: digest != nil) { (source, attempts) throws(RegistryError) in
                if let found = try head(text, digest, source, attempts) { return found }
                return try manifest(text, digest, source, attempts).descriptor
            }
        } catch {
            if error.code == .notFound { return nil }
            throw error
        }
    }

    /// - Returns: nil when the registry gives no usable answer to HEAD.
    private func head(
        _ target: String, _ wanted: Digest?, _ source: Source, _ attempts: Int?
    ) throws(RegistryError) -> Descriptor? {
        var call = source.call(.HEAD, "manifests/" + target, ["pull"], "manifest " + shown(target))
        call.headers.add(name: "Accept", value: Repository.accept)
        let answer = try session.perform(call, expecting: [200, 400, 405, 501], attempts: attempts)
        guard answer.status == 200, let size = answer.header("Content-Length").flatMap({ Int64($0) }), size >= 0,
            let digest = wanted ?? answer.header("Docker-Content-Digest").flatMap({ Digest($0) })
        else { return nil }
        let type = MediaType(contentType: answer.header("Content-Type") ?? "")
        guard type.isManifest || type.isIndex || type.isSchema1 else { return nil }
        if let wanted, let told = answer.header("Docker-Content-Digest"), told != wanted.description {
            throw RegistryError(.digestMismatch, "\(source.host.name) has other content under \(shown(target))")
        }
        return Descriptor(mediaType: type, digest: digest, size: size)
    }

    /// Fetches a manifest or index.
    ///
    /// The digest is verified when it was asked by digest, and when the registry announced one.
    /// - Throws: `.notFound`; `.digestMismatch`; `.tooLarge` above 4 MiB.
    public func manifest(_ target: String) throws(RegistryError) -> FetchedManifest {
        let (text, digest) = try checked(target)
        return try reading(isDigest: digest != nil) { (source, attempts) throws(RegistryError) in
            try manifest(text, digest, source, attempts)
        }
    }

    func manifest(
        _ target: String, _ wanted: Digest?, _ source: Source, _ attempts: Int?
    ) throws(RegistryError) -> FetchedManifest {
        let subject = "manifest " + shown(target)
        var call = source.call(.GET, "manifests/" + target, ["pull"], subject)
        call.headers.add(name: "Accept", value: Repository.accept)
        // Small enough that a broken body is simply asked for again.
        return try session.retrying(attempts) { () throws(RegistryError) in
            let answer = try session.perform(call, expecting: [200], attempts: 1)
            let bytes = try answer.exchange.body(limit: Repository.largestManifest, of: subject)
            return try verified(bytes, answer, wanted, subject, source)
        }
    }

    private func verified(
        _ bytes: [UInt8], _ answer: Answer, _ wanted: Digest?, _ subject: String, _ source: Source
    ) throws(RegistryError) -> FetchedManifest {
        let host = source.host.name
        guard let digest = ContentDigest.of(bytes, like: wanted) else {
            throw RegistryError(.protocol, "\(subject): sha512 digests are not supported")
        }
        if let wanted, digest != wanted {
            throw RegistryError(.digestMismatch, "\(host) sent a \(subject) with digest \(digest)")
        }
        if let told = answer.header("Docker-Content-Digest").flatMap({ Digest($0) }), told.algorithm == digest.algorithm,
            told != digest
        {
            throw RegistryError(.digestMismatch, "\(host) announced \(subject) with digest \(told) and sent \(digest)")
        }
        return FetchedManifest(bytes: bytes, mediaType: try type(bytes, answer, subject, host), digest: digest, host: host)
    }

    /// The header's type where it is one of manifests, which the document must not contradict; else the document's.
    private func type(_ bytes: [UInt8], _ answer: Answer, _ subject: String, _ host: String) throws(RegistryError) -> MediaType {
        let told = MediaType(contentType: answer.header("Content-Type") ?? "")
        if told.isManifest || told.isIndex || told.isSchema1 { return told }
        guard let written = ManifestType.read(bytes) else {
            throw RegistryError(
                .protocol, "\(host) sent a \(subject) that is no manifest (Content-Type \(Failures.printable(told.rawValue)))")
        }
        return written
    }

    /// Uploads a manifest or index under a tag or its digest, and lists it below the tag of its subject where the registry keeps no list.
    ///
    /// - Throws: `.digestMismatch` when the registry says that it stored something else.
    @discardableResult
    public func put(_ manifest: [UInt8], _ mediaType: MediaType, as target: String) throws(RegistryError) -> Digest {
        let (text, wanted) = try checked(target)
        guard let digest = ContentDigest.of(manifest, like: wanted), wanted == nil || wanted == digest else {
            throw RegistryError(.digestMismatch, "the manifest has another digest than \(text)")
        }
        let source = try registry()
        var call = source.call(.PUT, "manifests/" + text, ["pull", "push"], "manifest " + shown(text))
        call.headers.add(name: "Content-Type", value: mediaType.rawValue)
        call.body = .bytes(manifest)
        let answer = try session.perform(call, expecting: [201, 200, 202])
        answer.drain()
        if let told = answer.header("Docker-Content-Digest").flatMap({ Digest($0) }), told.algorithm == digest.algorithm,
            told != digest
        {
            throw RegistryError(.digestMismatch, "\(source.host.name) stored \(shown(text)) with digest \(told), not \(digest)")
        }
        if answer.header("OCI-Subject") == nil { try listReferrer(manifest, mediaType, digest) }
        return digest
    }

    /// Deletes a manifest by digest, or a tag where the registry can.
    ///
    /// - Throws: `.notFound`; `.unavailable` where the registry does not allow it.
    public func delete(_ target: String) throws(RegistryError) {
        let (text, _) = try checked(target)
        let source = try registry()
        // What it takes is said by the challenge: registries differ between `delete` and `*`.
        let call = source.call(.DELETE, "manifests/" + text, ["pull", "delete"], "manifest " + shown(text))
        let answer = try session.perform(call, expecting: [202, 200, 204, 405])
        answer.drain()
        guard answer.status == 405 else { return }
        throw RegistryError(
            .unavailable, "\(source.host.name) does not allow to delete \(shown(text)); it may have to be enabled there", status: 405)
    }
}

extension Answer {
    /// Takes what is left of a small body, so that the connection can be used again.
    func drain() { _ = exchange.someOfBody(limit: 16 << 10) }
}

/// Digests of bytes in memory.
enum ContentDigest {
    /// The digest, by the algorithm of another one; nil when that is not SHA-256.
    static func of(_ bytes: [UInt8], like other: Digest?) -> Digest? {
        guard other == nil || other?.algorithm == .sha256 else { return nil }
        var hash = SHA256()
        hash.update(bytes)
        return Digest(bytes: hash.finish())
    }
}

/// The type that a document has by itself.
enum ManifestType {
    /// `mediaType`, else by the members that it has; nil for what is no manifest.
    static func read(_ bytes: [UInt8]) -> MediaType? {
        let limits = JSONLimits(size: Repository.largestManifest)
        return try? JSONParser.parse(bytes, limits: limits) { (parser: inout JSONParser) throws(JSONError) -> MediaType? in
            var type: MediaType?
            var (hasConfig, hasManifests) = (false, false)
            var object = try parser.beginObject()
            while let key = try parser.nextKey(&object) {
                switch key {
                case "mediaType":
                    type = MediaType(try parser.string())
                    continue
                case "config": hasConfig = true
                case "manifests": hasManifests = true
                default: break
                }
                try parser.skip()
            }
            if let type, type.isManifest || type.isIndex { return type }
            if hasConfig == hasManifests { return nil }
            return hasConfig ? .ociManifest : .ociIndex
        }
    }
}
