import Linux
import NIOHTTP1
import OCI

/// The endpoints of the distribution API.
///
/// Spec: OCI distribution-spec 1.1 "Endpoints".
struct RegistryAPI: Sendable {
    let storage: RegistryStorage
    let manifestLimit: Int

    /// Says what is to be done for a request. Does not block.
    func plan(_ request: Request) throws(APIFailure) -> Plan {
        let route = try Route.parse(request.target.path)
        let isWrite = ![.GET, .HEAD].contains(request.method)
        if isWrite, storage.isReadOnly {
            throw APIFailure(405, .unsupported, "the registry is read-only").with("Allow", "GET, HEAD")
        }
        switch (route, request.method) {
        case (.ping, .GET), (.ping, .HEAD):
            return .work { () throws(APIFailure) in Answer.json(Array("{}".utf8)).head(request) }
        case (.catalog, .GET): return try catalog(request)
        case (.tags(let name), .GET): return try tags(name, request)
        case (.referrers(let name, let digest), .GET): return referrers(name, digest, request)
        case (.manifest(let name, let target), .GET), (.manifest(let name, let target), .HEAD):
            return .work { () throws(APIFailure) in try manifest(name, target, request) }
        case (.manifest(let name, let target), .PUT): return try putManifest(name, target, request)
        case (.manifest(let name, let target), .DELETE):
            return .work { () throws(APIFailure) in
                switch target {
                case .tag(let tag): try storage.deleteTag(name, tag)
                case .digest(let digest): try storage.deleteManifest(name, digest)
                }
                return Answer(.accepted)
            }
        case (.blob(let name, let digest), .GET), (.blob(let name, let digest), .HEAD):
            return .work { () throws(APIFailure) in try blob(name, digest, request) }
        case (.blob(let name, let digest), .DELETE):
            return .work { () throws(APIFailure) in
                try storage.deleteBlob(name, digest)
                return Answer(.accepted)
            }
        case (.uploads(let name), .POST): return try startUpload(name, request)
        case (.upload(let name, let id), .GET):
            return .work { () throws(APIFailure) in
                let session = try storage.upload(name, id)
                return RegistryAPI.progress(session, session.offset, .noContent)
            }
        case (.upload(let name, let id), .PATCH): return .upload(try chunk(name, id, request))
        case (.upload(let name, let id), .PUT): return .upload(try lastChunk(name, id, request))
        case (.upload(let name, let id), .DELETE):
            return .work { () throws(APIFailure) in
                try storage.cancelUpload(name, id)
                return Answer(.noContent)
            }
        default: throw APIFailure.unsupportedMethod.with("Allow", RegistryAPI.methods(route))
        }
    }

    private static func methods(_ route: Route) -> String {
        switch route {
        case .ping: "GET, HEAD"
        case .catalog, .tags, .referrers: "GET"
        case .manifest: "GET, HEAD, PUT, DELETE"
        case .blob: "GET, HEAD, DELETE"
        case .uploads: "POST"
        case .upload: "GET, PATCH, PUT, DELETE"
        }
    }

    // MARK: Pull

    private func manifest(_ name: String, _ target: ManifestName, _ request: Request) throws(APIFailure) -> Answer {
        let stored = try storage.manifest(name, target, opens: request.method == .GET)
        let headers = RegistryAPI.identity(stored.digest) + [("Content-Type", stored.mediaType)]
        if request.knows(stored.digest) { return Answer(.notModified, RegistryAPI.identity(stored.digest)) }
        guard let file = stored.file else { return Answer(.ok, headers, length: stored.size) }
        return Answer(.ok, headers, body: .file(file, 0..<stored.size))
    }

    private static func identity(_ digest: Digest) -> [(String, String)] {
        [("Docker-Content-Digest", digest.description), ("ETag", "\"\(digest)\"")]
    }

    private func blob(_ name: String, _ digest: Digest, _ request: Request) throws(APIFailure) -> Answer {
        let blob = try storage.blob(name, digest, opens: request.method == .GET)
        var headers = RegistryAPI.identity(digest)
        // Content never changes under its digest.
        headers.append(("Cache-Control", "max-age=31536000"))
        if request.knows(digest) { return Answer(.notModified, headers) }
        headers += [("Content-Type", "application/octet-stream"), ("Accept-Ranges", "bytes")]
        guard let file = blob.file else { return Answer(.ok, headers, length: blob.size) }
        // With If-Range, a range only counts for the content that the client has a part of.
        let range = request.headers.first(name: "if-range").map { $0 == "\"\(digest)\"" } ?? true
        switch range ? ByteRange.select(request.headers.first(name: "range"), size: blob.size) : .everything {
        case .everything: return Answer(.ok, headers, body: .file(file, 0..<blob.size))
        case .part(let part):
            headers.append(("Content-Range", "bytes \(part.lowerBound)-\(part.upperBound - 1)/\(blob.size)"))
            return Answer(.partialContent, headers, body: .file(file, part))
        case .unsatisfiable:
            throw APIFailure(416, .sizeInvalid, "the blob has \(blob.size) bytes")
                .with("Content-Range", "bytes */\(blob.size)")
        }
    }

    // MARK: Push of manifests

    private func putManifest(_ name: String, _ target: ManifestName, _ request: Request) throws(APIFailure) -> Plan {
        var tags: [String] = []
        if case .digest = target {
            for text in request.target.all("tag") { tags.append(try ManifestName.tag(text)) }
        }
        let (limit, extra) = (manifestLimit, tags)
        let tooLarge = APIFailure(413, .sizeInvalid, "the manifest is larger than \(limit) bytes")
        if let length = request.contentLength, length > limit { throw tooLarge }
        return .collect(limit: limit) { (bytes) throws(APIFailure) in
            if bytes.count > limit { throw tooLarge }
            let pushed = try storage.putManifest(
                name, target, contentType: request.headers.first(name: "content-type") ?? "", bytes, tags: extra)
            var headers = [
                ("Location", "/v2/\(name)/manifests/\(pushed.digest)"), ("Docker-Content-Digest", pushed.digest.description),
            ]
            if let subject = pushed.subject { headers.append(("OCI-Subject", subject.description)) }
            if !extra.isEmpty { headers.append(("OCI-Tag", extra.joined(separator: ", "))) }
            return Answer(.created, headers)
        }
    }

    // MARK: Push of blobs

    private static func progress(_ session: UploadSession, _ offset: Int64, _ status: HTTPResponseStatus) -> Answer {
        Answer(
            status,
            [
                ("Location", session.location), ("Range", UploadSession.range(offset)), ("Docker-Upload-UUID", session.id),
            ])
    }

    private static func created(_ name: String, _ digest: Digest) -> Answer {
        Answer(
            .created,
            [("Location", "/v2/\(name)/blobs/\(digest)"), ("Docker-Content-Digest", digest.description)])
    }

    private func startUpload(_ name: String, _ request: Request) throws(APIFailure) -> Plan {
        var algorithm = Digest.Algorithm.sha256
        if let wanted = request.target.first("digest-algorithm") {
            guard let known = Digest.Algorithm(rawValue: wanted) else {
                throw APIFailure(400, .digestInvalid, "unsupported digest algorithm: expected sha256 or sha512")
            }
            algorithm = known
        }
        if let wanted = request.target.first("mount") {
            let digest = try Route.parseDigest(wanted)
            let source = request.target.first("from")
            if let source, !Reference.isRepositoryPath(source) {
                throw APIFailure(400, .nameInvalid, "invalid repository name in \"from\"")
            }
            return .work { () throws(APIFailure) in
                if try storage.mount(name, digest, from: source) { return RegistryAPI.created(name, digest) }
                return RegistryAPI.progress(try storage.startUpload(name, digest.algorithm), 0, .accepted)
            }
        }
        // Without a body there is nothing to take at once: the client gets a session, as from a registry without this.
        if let wanted = request.target.first("digest") {
            let digest = try Route.parseDigest(wanted)
            let nothing = try RunningHash.digest([], digest.algorithm)
            if request.hasBody || digest == nothing { return .upload(wholeBlob(name, digest)) }
            algorithm = digest.algorithm
        }
        let chosen = algorithm
        return .work { () throws(APIFailure) in
            RegistryAPI.progress(try storage.startUpload(name, chosen), 0, .accepted)
        }
    }

    private func wholeBlob(_ name: String, _ digest: Digest) -> UploadPlan {
        UploadPlan(
            open: { () throws(APIFailure) in try storage.startUpload(name, digest.algorithm).begin(nil) },
            finish: { (writer, _) throws(APIFailure) in
                try storage.finish(writer, digest)
                return RegistryAPI.created(name, digest)
            },
            // Nobody knows the session's name: nobody can go on with it.
            abandon: { writer in
                writer.session.cancel()
                storage.forget(writer.session)
            })
    }

    /// The `Content-Range` of a part, checked against `Content-Length`.
    private func range(_ request: Request) throws(APIFailure) -> ClosedRange<Int64>? {
        guard let header = request.headers.first(name: "content-range") else { return nil }
        guard let range = ByteRange.uploaded(header) else {
            throw APIFailure(400, .blobUploadInvalid, "Content-Range must be FIRST-LAST, in bytes")
        }
        if let length = request.contentLength, length != range.upperBound - range.lowerBound + 1 {
            throw APIFailure(400, .sizeInvalid, "Content-Length and Content-Range contradict each other")
        }
        return range
    }

    private func chunk(_ name: String, _ id: String, _ request: Request) throws(APIFailure) -> UploadPlan {
        let range = try range(request)
        return UploadPlan(
            open: { () throws(APIFailure) in try storage.upload(name, id).begin(range) },
            finish: { (writer, received) throws(APIFailure) in
                try RegistryAPI.check(writer, range, received)
                writer.session.release(writer)
                return RegistryAPI.progress(writer.session, writer.start + received, .accepted)
            }, abandon: { $0.session.release($0) })
    }

    private func lastChunk(_ name: String, _ id: String, _ request: Request) throws(APIFailure) -> UploadPlan {
        let range = try range(request)
        guard let wanted = request.target.first("digest") else {
            throw APIFailure(400, .digestInvalid, "the digest parameter is missing")
        }
        let digest = try Route.parseDigest(wanted)
        return UploadPlan(
            open: { () throws(APIFailure) in try storage.upload(name, id).begin(range) },
            finish: { (writer, received) throws(APIFailure) in
                try RegistryAPI.check(writer, range, received)
                try storage.finish(writer, digest)
                return RegistryAPI.created(name, digest)
            }, abandon: { $0.session.release($0) })
    }

    /// A body of chunks may turn out to be longer or shorter than its range says.
    private static func check(
        _ writer: UploadSession.Writer, _ range: ClosedRange<Int64>?, _ received: Int64
    ) throws(APIFailure) {
        guard let range, received != range.upperBound - range.lowerBound + 1 else { return }
        try writer.session.rollBack(writer)
        writer.session.release(writer)
        throw APIFailure(400, .sizeInvalid, "the body has another length than Content-Range says")
    }
}

extension Request {
    /// Whether `If-None-Match` names this content.
    func knows(_ digest: Digest) -> Bool {
        headers[canonicalForm: "if-none-match"].contains { tag in
            let bare = tag.hasPrefix("W/") ? tag.dropFirst(2) : tag
            return bare == "\"\(digest)\"" || bare == "*"
        }
    }
}

extension Answer {
    /// The same without its body where the request is HEAD.
    func head(_ request: Request) -> Answer {
        guard request.method == .HEAD else { return self }
        var copy = self
        copy.body = .none
        return copy
    }
}
