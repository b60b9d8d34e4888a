import CSQLite
import Linux

/// How a transaction is committed.
public enum Durability: Sendable {
    /// Survives power loss once the call returns. Data it names must be synced before.
    case durable
    /// Survives the death of every process, not power loss: for what ends with the boot anyway (`run --rm`).
    case volatile
}

/// One connection to the store's database. For one thread at a time.
///
/// Writers queue on one kernel lock (an OFD lock on a file beside the database) and so never meet SQLITE_BUSY, however
/// many commands run: the kernel wakes them in order instead of each polling. Readers never wait (WAL).
///
/// The connection is not closed at exit: the last `sqlite3_close` checkpoints and removes the log (2.2 ms); the kernel drops
/// the locks anyway, and the log is kept short by a small automatic checkpoint.
public final class Database {
    static let fileName = "berth.db"

    /// What a database holds: the store's own tables, or another program part's in a directory of its own.
    package struct Layout: Sendable {
        let fileName: String
        /// Numbered steps; a released step is never changed.
        let migrations: [String]
        /// Told where the file turns out to be damaged.
        let advice: String

        package init(fileName: String, migrations: [String], advice: String) {
            self.fileName = fileName
            self.migrations = migrations
            self.advice = advice
        }

        static let store = Layout(
            fileName: Database.fileName, migrations: Schema.migrations,
            advice: "move the file away and load the images again (they are rebuilt by berth system check --repair)")
        var isStore: Bool { fileName == Database.fileName }
    }

    // SAFETY: SQLite's objects, used by one thread and only while the database that owns them lives.
    let handle: OpaquePointer
    /// Statements by the address of their literal.
    var statements: [UnsafePointer<UInt8>: OpaquePointer] = [:]
    /// Writers queue here; nil where the store cannot be written.
    private let lock: SharedFD?
    let path: String
    private var durability: Durability?
    private var isWriting = false
    private let layout: Layout
    private var version: Int64 { Int64(layout.migrations.count) }

    /// Opens the database below a directory, making or upgrading it where needed.
    ///
    /// - Parameters:
    ///   - directory: the store's root.
    ///   - path: the same directory by name: SQLite opens files by path.
    ///   - layout: its tables; the store's own when not given.
    /// - Throws: `.newerSchema`, `.corrupt`, `.system`.
    package init(directory: FD, path: String, layout: Layout? = nil) throws(StoreError) {
        let layout = layout ?? .store
        self.layout = layout
        self.path = path + "/" + layout.fileName
        do throws(SystemError) {
            lock = SharedFD(try directory.open(layout.fileName + ".lock", [.readWrite, .create, .noFollow], mode: 0o600))
        } catch {
            guard Database.isReadOnly(error), directory.exists(layout.fileName) else { throw StoreError(error) }
            (lock, handle) = (nil, try Database.openToRead(self.path))
            try checkVersion(directory)
            return
        }
        if !directory.exists(layout.fileName) {
            // Made before SQLite does, which would make it readable to all. Exclusively: opening and closing an existing
            // database would drop the locks another connection of this process holds on it.
            do { _ = try directory.open(layout.fileName, [.readWrite, .create, .exclusive], mode: 0o600) } catch {
                if error.errno != .exists { throw StoreError(error) }
            }
        }
        var opened: OpaquePointer?
        let result = sqlite3_open_v2(self.path, &opened, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nil)
        guard result == SQLITE_OK, let opened else {
            let cause = opened.map { String(cString: sqlite3_errmsg($0)) } ?? "out of memory"
            sqlite3_close_v2(opened)
            throw StoreError(.system, "open database", self.path, cause: cause)
        }
        handle = opened
        sqlite3_extended_result_codes(handle, 1)
        // Readers may wait for another process that replays the log; writers wait on our own lock.
        sqlite3_busy_timeout(handle, 30_000)
        sqlite3_wal_autocheckpoint(handle, 100)
        try checkVersion(directory)
        try run("PRAGMA foreign_keys=ON")
    }

    private func checkVersion(_ directory: FD) throws(StoreError) {
        let version = try firstInteger("PRAGMA user_version") ?? 0
        if version != self.version { try migrate(directory) }
    }

    deinit {
        for statement in statements.values { sqlite3_finalize(statement) }
        sqlite3_close_v2(handle)
    }

    var lockIsMissing: Bool { lock == nil }

    /// Runs `body` as one write transaction: all of it happens, or nothing.
    ///
    /// Waits for the write lock first. Not to be nested.
    /// - Parameters:
    ///   - durability: what the commit promises; see ``Durability``.
    ///   - givesRoom: it removes more than it adds, so it may use the reserve of a full disk. `body` runs twice then.
    ///   - committed: runs after the commit while the write lock is still held: renames that must not race with another
    ///     writer's decisions. May not fail.
    package func transaction<T>(
        _ durability: Durability, givesRoom: Bool = false, _ body: () throws(StoreError) -> T,
        committed: (T) -> Void = { _ in }
    ) throws(StoreError) -> T {
        precondition(!isWriting, "nested transaction")
        guard let lock else { throw readOnlyFailure() }
        try system { () throws(SystemError) in try lock.fd.lock(.exclusive) }
        isWriting = true
        defer {
            isWriting = false
            try? lock.fd.unlock()
        }
        let value: T
        do throws(StoreError) {
            value = try attempt(durability, body)
        } catch {
            guard givesRoom, error.code == .noSpace, releaseReserve() else { throw error }
            value = try attempt(durability, body)
        }
        committed(value)
        return value
    }

    private func attempt<T>(_ durability: Durability, _ body: () throws(StoreError) -> T) throws(StoreError) -> T {
        if self.durability != durability {
            switch durability {
            case .durable: try run("PRAGMA synchronous=FULL")
            // NORMAL syncs only around checkpoints, not at commit. OFF would also skip the sync before the log is
            // restarted, and power loss in that moment corrupts the database.
            case .volatile: try run("PRAGMA synchronous=NORMAL")
            }
            self.durability = durability
        }
        try run("BEGIN IMMEDIATE")
        do throws(StoreError) {
            let value = try body()
            try run("COMMIT")
            return value
        } catch {
            // Fails when SQLite rolled back by itself (disk full, I/O error): then there is nothing to do.
            if sqlite3_get_autocommit(handle) == 0 { _ = try? run("ROLLBACK") }
            throw error
        }
    }

    /// Runs several reads on one snapshot; inside a transaction or another snapshot, on that one.
    package func snapshot<T>(_ body: () throws(StoreError) -> T) throws(StoreError) -> T {
        if isWriting || sqlite3_get_autocommit(handle) == 0 { return try body() }
        try run("BEGIN")
        do throws(StoreError) {
            let value = try body()
            try run("COMMIT")
            return value
        } catch {
            _ = try? run("ROLLBACK")
            throw error
        }
    }

    /// The last error of the connection.
    func failure(_ operation: String) -> StoreError {
        let code = sqlite3_extended_errcode(handle)
        let cause = String(cString: sqlite3_errmsg(handle))
        switch code & 0xff {
        case SQLITE_CORRUPT, SQLITE_NOTADB:
            return StoreError(.corrupt, operation, path, cause: "\(cause); \(layout.advice)")
        case SQLITE_FULL: return StoreError(.noSpace, operation, path, cause: cause)
        default: return StoreError(.database, operation, path, cause: cause)
        }
    }

    private func migrate(_ directory: FD) throws(StoreError) {
        guard let lock else { throw readOnlyFailure() }
        try system { () throws(SystemError) in try lock.fd.lock(.exclusive) }
        defer { try? lock.fd.unlock() }
        // Only the first of several that wait here does the work.
        let version = try firstInteger("PRAGMA user_version") ?? 0
        if version == self.version { return }
        guard version < self.version, version >= 0 else {
            throw StoreError(
                .newerSchema, "open database", path,
                cause: "it has version \(version), this berth knows \(self.version); use the newer berth")
        }
        // A new database beside containers of a lost one would call them garbage.
        if version == 0, layout.isStore { keepContainers(directory) }
        // Persistent in the file; cannot be changed inside a transaction.
        if version == 0 { _ = try firstText("PRAGMA journal_mode=WAL") }
        try run("PRAGMA synchronous=FULL")
        durability = .durable
        try run("BEGIN IMMEDIATE")
        do throws(StoreError) {
            for step in layout.migrations[Int(version)...] { try execute(step) }
            try execute("PRAGMA user_version=\(self.version)")
            try run("COMMIT")
        } catch {
            if sqlite3_get_autocommit(handle) == 0 { _ = try? run("ROLLBACK") }
            throw error
        }
    }

    /// Puts the containers of a database that was lost out of the way of all sweeps: what they wrote is the user's to look at.
    private func keepContainers(_ directory: FD) {
        let name = Store.Directory.containers
        guard let opened = try? directory.open(name, [.directory, .noFollow]),
            let entries = try? directoryEntries(opened.fd), !entries.isEmpty
        else { return }
        try? directory.rename(name, to: "\(name).lost-\(hexadecimal(randomBytes(4)))")
        try? directory.makeDirectory(name, mode: 0o700)
    }

    /// Runs several statements of a trusted text.
    private func execute(_ sql: String) throws(StoreError) {
        guard sqlite3_exec(handle, sql, nil, nil, nil) == SQLITE_OK else { throw failure("migrate database") }
    }

    /// SQLite's own check of the file; the empty list is good.
    func integrityProblems() throws(StoreError) -> [String] {
        let references = try texts("PRAGMA foreign_key_check").map { "table \($0) has a row that refers to none" }
        return try texts("PRAGMA quick_check(20)").filter { $0 != "ok" } + references
    }
}
