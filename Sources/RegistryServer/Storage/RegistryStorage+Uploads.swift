import CLinux
import Linux
import OCI
import Store

/// Waits until a file's content is on disk. The C function is `fdatasync(2)`.
func syncData(_ file: FD) throws(SystemError) { try check(cl_fdatasync(file.rawValue), "sync") }

/// Asks the kernel to begin to write a part of a file. A hint: its failure is none. The C function is `sync_file_range(2)`.
func startWriteback(_ file: FD, from offset: Int64, count: Int64) {
    #if arch(x86_64)
    let number = 277
    #else
    let number = 84
    #endif
    let write = 2
    _ = cl_syscall(number, Int(file.rawValue), Int(offset), Int(count), write, 0, 0)
}

extension RegistryStorage {
    static let unknownUpload = APIFailure(404, .blobUploadUnknown, "blob upload unknown to registry")

    /// Begins a session.
    ///
    /// - Throws: 429 while there are thousands that nobody goes on with.
    func startUpload(_ name: String, _ algorithm: Digest.Algorithm) throws(APIFailure) -> UploadSession {
        let open = sessions.withLock { sessions in
            RegistryStorage.closeIdle(&sessions)
            return sessions.count
        }
        if open >= 2000 {
            throw APIFailure(429, .tooManyRequests, "too many unfinished uploads").with("Retry-After", "60")
        }
        let id = RegistryStorage.uniqueIdentifier()
        let file = try kernel { () throws(SystemError) in
            SharedFD(try uploads.fd.open(id, [.readWrite, .create, .exclusive, .append, .noFollow], mode: 0o600))
        }
        do throws(APIFailure) {
            // Outlives the server, not a power cut: until the blob is there nothing was promised.
            try write(.volatile) { (database, _) throws(StoreError) -> Result<Void, APIFailure> in
                try database.run(
                    "INSERT INTO uploads VALUES(?,?,?,?)",
                    [.text(id), .text(name), .text(algorithm.rawValue), .integer(wallClockNanoseconds())])
                return .success(())
            }
        } catch {
            try? uploads.fd.removeFile(id)
            throw error
        }
        let session = UploadSession(id: id, repository: name, algorithm: algorithm, file: file, offset: 0, isNew: true)
        keep(session)
        return session
    }

    /// Sessions whose files stay open between two requests.
    private static let openSessions = 256

    /// Remembers a session; the same one for two requests that come at once, or both would write.
    ///
    /// Those that have been left alone for a minute make room: they are found again by their file, and hashed again.
    @discardableResult
    private func keep(_ session: UploadSession) -> UploadSession {
        sessions.withLock { sessions in
            if let other = sessions[session.id] { return other }
            RegistryStorage.closeIdle(&sessions)
            sessions[session.id] = session
            return session
        }
    }

    private static func closeIdle(_ sessions: inout [String: UploadSession]) {
        guard sessions.count >= openSessions else { return }
        sessions = sessions.filter { !$0.value.isIdle(for: 60_000_000_000) }
    }

    /// A random UUID (RFC 9562 version 4).
    private static func uniqueIdentifier() -> String {
        var bytes = randomBytes(16)
        bytes[6] = bytes[6] & 0x0F | 0x40
        bytes[8] = bytes[8] & 0x3F | 0x80
        let digits = Array(hexadecimal(bytes))
        return [digits[0..<8], digits[8..<12], digits[12..<16], digits[16..<20], digits[20..<32]]
            .map { String($0) }.joined(separator: "-")
    }

    /// Finds a session, also one of a server before this one.
    ///
    /// - Throws: 404; a session belongs to its repository.
    func upload(_ name: String, _ id: String) throws(APIFailure) -> UploadSession {
        // It becomes a file name below.
        guard id.utf8.count == 36, id.utf8.allSatisfy({ $0 == 0x2D || $0 >= 0x30 && $0 <= 0x39 || $0 >= 0x61 && $0 <= 0x66 })
        else { throw RegistryStorage.unknownUpload }
        if let session = sessions.withLock({ $0[id] }) {
            guard session.repository == name else { throw RegistryStorage.unknownUpload }
            return session
        }
        let algorithm = try read { (database) throws(StoreError) in
            try database.firstText(
                "SELECT algorithm FROM uploads WHERE id=? AND repository=?", [.text(id), .text(name)])
        }
        guard let algorithm, let algorithm = Digest.Algorithm(rawValue: algorithm) else { throw RegistryStorage.unknownUpload }
        let opened: (SharedFD, Int64)
        do throws(SystemError) {
            let file = SharedFD(try uploads.fd.open(id, [.readWrite, .append, .noFollow]))
            opened = (file, Int64(try file.fd.status().st_size))
        } catch {
            throw error.errno == .noEntry ? RegistryStorage.unknownUpload : APIFailure(error)
        }
        let session = UploadSession(
            id: id, repository: name, algorithm: algorithm, file: opened.0, offset: opened.1, isNew: false)
        return keep(session)
    }

    /// Makes a finished upload a blob of its repository.
    ///
    /// - Throws: 400 when the content has another digest; the session is gone then.
    func finish(_ writer: UploadSession.Writer, _ digest: Digest) throws(APIFailure) {
        let session = writer.session
        let size: Int64
        do throws(APIFailure) {
            size = try session.complete(writer, digest)
        } catch {
            if error.code == .digestInvalid { forget(session) }
            throw error
        }
        do throws(APIFailure) {
            try adopt(session.id, session.file.fd, digest, size: size) {
                (database, _) throws(StoreError) -> Result<Void, APIFailure> in
                try database.run("DELETE FROM uploads WHERE id=?", [.text(session.id)])
                try RegistryStorage.link(digest.description, to: session.repository, database)
                return .success(())
            }
        } catch {
            forget(session)
            throw error
        }
        sessions.withLock { _ = $0.removeValue(forKey: session.id) }
    }

    func cancelUpload(_ name: String, _ id: String) throws(APIFailure) {
        let session = try upload(name, id)
        session.cancel()
        forget(session)
    }

    /// Removes a session and what it has. Failures are left to the sweep.
    func forget(_ session: UploadSession) { forget(session.id) }

    func forget(_ id: String) {
        sessions.withLock { _ = $0.removeValue(forKey: id) }
        try? uploads.fd.removeFile(id)
        _ = try? write(.volatile, givesRoom: true) { (database, _) throws(StoreError) -> Result<Void, APIFailure> in
            try database.run("DELETE FROM uploads WHERE id=?", [.text(id)])
            return .success(())
        }
    }
}
