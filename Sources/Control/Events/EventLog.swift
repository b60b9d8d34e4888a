import CLinux
import Glibc
import Linux

/// The store's event log: a file that every command and every supervisor appends to.
///
/// A record is one `write(2)` with O_APPEND under a shared lock; who finds the file too long renames it away under the exclusive
/// one. A file that has been renamed is therefore never written to again. All locks are the kernel's, and end with their holder.
/// Nothing is synced. Format and reasons: docs/events.md.
public struct EventLog: Sendable {
    public static let name = "log"
    /// Bytes after which a file is rotated away.
    public static let maximumSize = 4 << 20
    /// How many files there are, the one being written included.
    public static let maximumFiles: UInt32 = 4

    /// `STORE/events`.
    public let directory: String
    private let limit: Int

    /// - Parameter limit: bytes of one file.
    public init(store: String, limit: Int = EventLog.maximumSize) {
        directory = store + "/events"
        self.limit = limit
    }

    /// - Parameter container: the directory of a container: `STORE/containers/ID`.
    public init(container: String) {
        var path = Substring(container)
        for _ in 0..<2 { path = path[..<(path.lastIndex(of: "/") ?? path.startIndex)] }
        self.init(store: String(path))
    }

    /// Writes an event down. What cannot be written (a full or read-only disk) is lost: no command fails for its event.
    public func append(_ event: Event) {
        let record = event.record()
        var isLast = false
        for attempt in 0..<16 where !isLast {
            guard let file = openFile() else { return }
            // Whoever rotates holds the other lock for a few calls. One that was stopped just there holds nobody up.
            isLast = attempt == 15
            guard (try? file.fd.tryLock(.shared)) == true || isLast else {
                usleep(500)
                continue
            }
            guard let info = try? file.fd.status(), let named = try? FD.cwd.status(of: path) else { continue }
            // Rotated away between our open and our lock.
            if info.st_ino != named.st_ino, !isLast { continue }
            let written = record.withUnsafeBytes { cl_write(file.raw, $0.baseAddress, $0.count) }
            if written > 0, Int(info.st_size) + written > limit { rotate(file.fd) }
            return
        }
    }

    private var path: String { directory + "/" + EventLog.name }

    private func openFile() -> OwnedFD? {
        for isFirst in [true, false] {
            do throws(SystemError) {
                // Shared locks need a descriptor open for reading.
                return try FD.cwd.open(path, [.readWrite, .append, .create, .noFollow], mode: 0o600)
            } catch {
                guard isFirst, error.errno == .noEntry, (try? FD.cwd.makeDirectories(directory, mode: 0o700)) != nil else { return nil }
            }
        }
        return nil
    }

    /// - Parameter file: the current file, with our shared lock. Where others have theirs the next writer has another try.
    private func rotate(_ file: FD) {
        guard (try? file.tryLock(.exclusive)) == true, let folder = try? FD.cwd.open(directory, [.readOnly, .directory]) else { return }
        // Two that gave up their shared locks at once: the other one was faster.
        guard let info = try? file.status(), let named = try? folder.fd.status(of: EventLog.name), info.st_ino == named.st_ino else {
            return
        }
        _ = RotatedFiles.shift(folder.fd, EventLog.name, keeping: EventLog.maximumFiles)
    }

    /// Whether the log has an event of a container, as this program writes it, at or after a time. Reads all of it: for the rare case
    /// that nobody knows.
    ///
    /// - Parameter since: nanoseconds since 1970.
    public func has(_ action: String, container id: String, since: Int64) -> Bool {
        var options = EventReader.Options(since: since, follows: false)
        options.beginning = Array("{\"status\":\"\(action)\",\"id\":\"\(id)\"".utf8)
        guard var reader = try? EventReader(self, options) else { return false }
        var found = false
        try? reader.read { event in
            found = event.action == action && event.actor == id && event.type == "container"
            return !found
        }
        return found
    }
}
