import Linux

/// Keeps the shared-memory index of the engine's database log in use.
///
/// SQLite throws that index away when a command opens the database and nobody else has it open, and makes it anew from the
/// log: a quarter of a millisecond of each `exec` and `ps`. While a container lives its supervisor holds the lock that says
/// that the index is in use; it reads and writes nothing. Who removes or replaces the file leaves the lock on a file that
/// nobody looks at any more.
///
/// SQLite: os_unix.c, `UNIX_SHM_DMS`; walformat.html, "WAL locks".
struct DatabaseIndex {
    private let file: SharedFD

    /// Nil where there is none, or where another process is just making it.
    ///
    /// - Parameter container: the container's directory in the store.
    init?(besides container: FD) {
        guard let opened = try? container.open("../../berth.db-shm", [.readOnly, .noFollow]) else { return nil }
        let file = SharedFD(opened)
        guard (try? file.fd.tryLock(.shared, 128..<129)) == true else { return nil }
        self.file = file
    }
}
