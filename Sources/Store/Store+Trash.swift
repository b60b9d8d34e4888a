import Linux

/// What a committed transaction took the last name from.
struct Doomed {
    /// Paths below the root.
    var paths: [String] = []
}

extension Store {
    /// Moves what nothing names any more into the trash. Runs while the write lock is held, so that nobody who takes the lock
    /// next sees it; the slow removal comes after the lock (``emptyTrash()``).
    func discard(_ doomed: Doomed) {
        for path in doomed.paths {
            let name = hexadecimal(randomBytes(8))
            // Missing is fine: made only on first use, or moved before a kill. A full disk cannot keep it here for long
            // either: the sweep of ``Store/removeGarbage()`` finds it.
            try? root.fd.rename(path, to: Directory.trash + "/" + name)
        }
    }

    /// Removes everything in the trash, also what killed commands left there. Several may do it at once.
    func emptyTrash() {
        guard let trash = try? directory(Directory.trash), let entries = try? directoryEntries(trash.fd) else { return }
        for entry in entries { try? removeTree(trash.fd, entry.name) }
    }
}
