import Linux
import Store
import Synchronization

/// Connections to the registry's database: each call borrows one, so that reads never wait for a commit.
///
/// There are never more than there are threads that do blocking work.
final class DatabaseConnections: Sendable {
    private let directory: SharedFD
    private let path: String
    private let idle = Mutex<[Borrowed]>([])

    // SAFETY: SQLite's connections may move between threads (NOMUTEX means one at a time); the pool gives each to one.
    private struct Borrowed: @unchecked Sendable {
        let database: Database
    }

    init(directory: SharedFD, path: String) {
        self.directory = directory
        self.path = path
    }

    /// Runs `body` with a connection of its own.
    func with<T>(_ body: (Database) throws(StoreError) -> T) throws(StoreError) -> T {
        let connection: Borrowed
        if let kept = idle.withLock({ $0.popLast() }) {
            connection = kept
        } else {
            connection = Borrowed(database: try Database(directory: directory.fd, path: path, layout: RegistryTables.layout))
            // Twenty connections with SQLite's 2 MiB each would be most of the server's memory.
            _ = try connection.database.firstText("PRAGMA cache_size=-256")
        }
        defer { idle.withLock { $0.append(connection) } }
        return try body(connection.database)
    }
}
