import Glibc
import Linux
import OCI
import Store
import Synchronization

/// The registry's directory: an OCI layout (`oci-layout`, `index.json`, `blobs/`), a database that says what of it belongs to
/// which repository, and the uploads that are on their way in.
///
/// What a call has returned from is on disk: a file is synced before it is renamed into place, its directory after that, and
/// only then the transaction that names it is committed. Killed at any moment, the server finds the old state or the new at
/// its next start. All calls block; any thread may make them.
final class RegistryStorage: Sendable {
    let path: String
    let root: SharedFD
    let uploads: SharedFD
    let isReadOnly: Bool
    /// Nanoseconds for which blobs that no manifest names are kept.
    let keepUnlinked: Int64
    let connections: DatabaseConnections
    /// Held for life: two servers on one directory would not know of each other's uploads.
    private let lock: SharedFD?
    let sessions = Mutex<[String: UploadSession]>([:])
    /// Digests of files that are being brought in: their rows may still be missing.
    let pins = Mutex<[Digest: Int]>([:])
    let sightings: Sightings
    /// Something that `index.json` shows has changed since it was written.
    let indexIsStale = Mutex(false)
    /// What fails where no client is to be told.
    let complain: @Sendable (String) -> Void

    static let blobDirectories = Digest.Algorithm.allCases.map { "blobs/" + $0.rawValue }

    /// Opens a registry's directory, making it where there is none, and clears away what a killed server left.
    ///
    /// - Throws: `.inUse` while another server has it; `.storage`.
    init(
        path: String, isReadOnly: Bool, keepUnlinked: Int64, complain: @escaping @Sendable (String) -> Void
    ) throws(RegistryServerError) {
        self.path = path
        self.isReadOnly = isReadOnly
        self.keepUnlinked = keepUnlinked
        self.complain = complain
        sightings = Sightings(lifetime: keepUnlinked)
        do throws(SystemError) {
            if !isReadOnly {
                try FD.cwd.makeDirectories(path, mode: 0o700)
                for name in RegistryStorage.blobDirectories + ["uploads"] {
                    try FD.cwd.makeDirectories(path + "/" + name, mode: 0o700)
                }
            }
            root = SharedFD(try FD.cwd.open(path, [.directory]))
            uploads = SharedFD(try root.fd.open("uploads", [.directory, .noFollow]))
        } catch {
            throw RegistryServerError(error)
        }
        lock = try RegistryStorage.takeLock(root.fd, path, isReadOnly)
        connections = DatabaseConnections(directory: root, path: path)
        do throws(StoreError) {
            _ = try connections.with { (database) throws(StoreError) in try database.firstInteger("SELECT count(*) FROM repositories") }
            if !isReadOnly {
                try system { () throws(SystemError) in
                    if !root.fd.exists("oci-layout") {
                        try root.fd.replaceFile(
                            "oci-layout", with: Array("{\"imageLayoutVersion\":\"1.0.0\"}".utf8), mode: 0o600, durable: true)
                    }
                }
                try sweepAtStart()
            }
        } catch {
            throw RegistryServerError(error)
        }
    }

    private static func takeLock(_ root: FD, _ path: String, _ isReadOnly: Bool) throws(RegistryServerError) -> SharedFD? {
        let file: SharedFD
        let isFree: Bool
        do throws(SystemError) {
            file = SharedFD(try root.open("lock", [.readWrite, .create, .noFollow], mode: 0o600))
            // Readers share: nothing changes below them.
            isFree = try file.fd.tryLock(isReadOnly ? .shared : .exclusive)
        } catch {
            if isReadOnly, [EROFS, EACCES, EPERM].contains(error.errno.rawValue) { return nil }
            throw RegistryServerError(error)
        }
        if isFree { return file }
        throw RegistryServerError(
            .inUse, "serve", path, cause: "another berth registry serves it; end that one, or choose another --data")
    }

    // MARK: Database

    /// Reads; several statements see one state.
    func read<T>(_ body: (Database) throws(StoreError) -> T) throws(APIFailure) -> T {
        do throws(StoreError) {
            return try connections.with { (database) throws(StoreError) in
                try database.snapshot { () throws(StoreError) in try body(database) }
            }
        } catch {
            throw APIFailure(error)
        }
    }

    /// Changes something, durably. `body` may refuse by returning a failure; nothing has happened then.
    ///
    /// - Parameters:
    ///   - givesRoom: it removes more than it adds. `body` may run twice then.
    ///   - doomed: digests whose files go once their rows are gone for good.
    func write<T>(
        _ durability: Durability = .durable, givesRoom: Bool = false,
        _ body: (Database, inout [Digest]) throws(StoreError) -> Result<T, APIFailure>
    ) throws(APIFailure) -> T {
        var refusal: APIFailure?
        do throws(StoreError) {
            return try connections.with { (database) throws(StoreError) in
                let (value, _) = try database.transaction(
                    durability, givesRoom: givesRoom,
                    { () throws(StoreError) -> (T, [Digest]) in
                        var doomed: [Digest] = []
                        switch try body(database, &doomed) {
                        case .success(let value): return (value, doomed)
                        case .failure(let failure):
                            refusal = failure
                            throw StoreError(.cancelled, "change registry", cause: failure.message)
                        }
                    },
                    // While the write lock is held, so that nobody can have committed a row for such a file meanwhile.
                    committed: { self.removeFiles($0.1) })
                return value
            }
        } catch {
            throw refusal ?? APIFailure(error)
        }
    }

    /// Removes files whose rows are gone, except those that are being brought in again.
    private func removeFiles(_ digests: [Digest]) {
        if digests.isEmpty { return }
        pins.withLock { pins in
            for digest in digests where pins[digest] == nil { try? root.fd.removeFile(digest.layoutPath) }
        }
    }

    func pin(_ digest: Digest) { pins.withLock { $0[digest, default: 0] += 1 } }

    func unpin(_ digest: Digest) {
        pins.withLock { pins in
            let count = (pins[digest] ?? 1) - 1
            pins[digest] = count > 0 ? count : nil
        }
    }

    /// The row of a repository; nil where there is none.
    static func repository(_ name: String, _ database: Database) throws(StoreError) -> Int64? {
        try database.firstInteger("SELECT id FROM repositories WHERE name=?", [.text(name)])
    }

    /// The row of a repository, made where there is none.
    static func madeRepository(_ name: String, _ database: Database) throws(StoreError) -> Int64 {
        if let id = try repository(name, database) { return id }
        try database.run("INSERT INTO repositories(name) VALUES(?)", [.text(name)])
        return try database.firstInteger("SELECT last_insert_rowid()") ?? 0
    }

    func markChanged() { indexIsStale.withLock { $0 = true } }
}

/// Runs kernel calls and gives their errors as the store's.
@inline(__always)
func system<T: ~Copyable>(_ body: () throws(SystemError) -> T) throws(StoreError) -> T {
    do { return try body() } catch { throw StoreError(error) }
}

/// Which blobs clients have asked for lately: somebody who was told that a blob is there will name it without pushing it.
final class Sightings: Sendable {
    private let lifetime: Int64
    private let state = Mutex(State())
    private static let limit = 100_000

    private struct State {
        var times: [String: Int64] = [:]
        /// There were too many to keep: everything counts as seen until this time.
        var everythingUntil: Int64 = 0
    }

    /// - Parameter lifetime: nanoseconds.
    init(lifetime: Int64) { self.lifetime = lifetime }

    func note(_ repository: Int64, _ digest: String) {
        let now = wallClockNanoseconds()
        state.withLock { state in
            if state.times.count >= Sightings.limit {
                state.times = [:]
                state.everythingUntil = now + lifetime
            }
            state.times["\(repository)/\(digest)"] = now
        }
    }

    func isRecent(_ repository: Int64, _ digest: String) -> Bool {
        let now = wallClockNanoseconds()
        return state.withLock { state in
            if now < state.everythingUntil { return true }
            return (state.times["\(repository)/\(digest)"] ?? Int64.min / 2) > now - lifetime
        }
    }

    func forgetOld() {
        let now = wallClockNanoseconds()
        state.withLock { state in
            state.times = state.times.filter { $0.value > now - lifetime }
        }
    }
}
