import Archive
import Linux
import NIOHTTP1
import OCI

extension Repository {
    /// Opens a blob for reading.
    ///
    /// - Parameter offset: where to begin, for what was kept of a broken download; 0 to the size.
    /// - Throws: `.notFound`.
    public func blob(_ descriptor: Descriptor, from offset: Int64 = 0) throws(RegistryError) -> BlobStream {
        guard descriptor.size >= 0, (0...descriptor.size).contains(offset) else {
            throw RegistryError(.configuration, "blob \(descriptor.digest) has no byte \(offset)")
        }
        let stream = BlobStream(self, descriptor, from: offset)
        try stream.open()
        return stream
    }

    /// Fetches a whole blob into memory and verifies it.
    ///
    /// - Parameter limit: bytes; a descriptor that says more is refused before anything is sent.
    /// - Throws: `.notFound`; `.tooLarge`; `.digestMismatch`.
    public func smallBlob(_ descriptor: Descriptor, limit: Int) throws(RegistryError) -> [UInt8] {
        guard descriptor.size >= 0, descriptor.size <= Int64(limit) else {
            throw RegistryError(
                .tooLarge,
                "blob \(descriptor.digest) of \(reference.familiarName) has \(descriptor.size) bytes; at most \(limit) are accepted")
        }
        if let data = descriptor.data, ContentDigest.of(data, like: descriptor.digest) == descriptor.digest { return data }
        var first = 0
        while true {
            let stream = BlobStream(self, descriptor, from: 0, source: first)
            try stream.open()
            let bytes = try Repository.all(of: stream)
            let digest = ContentDigest.of(bytes, like: descriptor.digest)
            if digest == descriptor.digest { return bytes }
            let source = min(stream.source, sources.count - 1)
            let cause =
                digest.map { "\(sources[source].host.name) sent blob \(descriptor.digest) with digest \($0)" }
                ?? "blob \(descriptor.digest): sha512 digests are not supported"
            guard source < sources.count - 1, digest != nil else { throw RegistryError(.digestMismatch, cause) }
            session.notice("mirror: \(cause)")
            first = source + 1
        }
    }

    private static func all(of stream: BlobStream) throws(RegistryError) -> [UInt8] {
        var out: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            do throws(ArchiveError) {
                let count = try piece.withUnsafeMutableBytes { bytes in
                    Result { () throws(ArchiveError) in try stream.read(into: bytes) }
                }.get()
                if count == 0 { return out }
                out += piece[..<count]
            } catch {
                throw stream.failure ?? RegistryError(.network, error.cause)
            }
        }
    }

    /// Whether the registry itself (no mirror) has a blob in this repository.
    public func hasBlob(_ digest: Digest) throws(RegistryError) -> Bool {
        let source = try registry()
        let call = source.call(.HEAD, "blobs/" + digest.description, ["pull", "push"], "blob \(digest)")
        return try session.perform(call, expecting: [200, 404]).status == 200
    }

    /// Asks the registry to take a blob over from another of its repositories.
    ///
    /// - Parameter repositoryPath: `library/alpine`, at the same registry.
    /// - Returns: false when it wants the bytes instead; the session that it opened is used by the next upload of the blob.
    public func mount(_ digest: Digest, from repositoryPath: String) throws(RegistryError) -> Bool {
        let source = try registry()
        let query =
            "?mount=" + WebAddress.queryEscaped(digest.description) + "&from=" + WebAddress.queryEscaped(repositoryPath)
        var call = source.call(.POST, "blobs/uploads/" + query, ["pull", "push"], "blob \(digest)")
        call.scopes.append(.repository(repositoryPath, ["pull"]))
        let answer = try session.perform(call, expecting: [201, 202])
        answer.drain()
        if answer.status == 201 { return true }
        let opened = try? UploadSession(answer, source.host.name)
        openSessions.withLock { $0[digest] = opened }
        return false
    }

    /// Uploads a blob: in one piece, or in chunks where the registry asks for them or a connection broke.
    ///
    /// - Parameters:
    ///   - file: a regular file of `descriptor.size` bytes; read by offset, its position is neither used nor moved.
    ///   - progress: gets the number of bytes sent so far; less than before when the registry lost some.
    /// - Throws: `.digestMismatch` when the registry says so.
    public func upload(
        _ descriptor: Descriptor, from file: FD, progress: (@Sendable (Int64) -> Void)? = nil
    ) throws(RegistryError) {
        var upload = BlobUpload(self, try registry(), descriptor, file, progress)
        upload.session = openSessions.withLock { $0.removeValue(forKey: descriptor.digest) }
        try upload.run()
    }
}
