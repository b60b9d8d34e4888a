import Linux

/// A directory in which one command prepares content, alive as long as its lock is held.
///
/// A killed command leaves it behind unlocked; the next writer sweeps it (``Store/sweepStaging()``).
final class Staging {
    let name: String
    let directory: SharedFD
    private let lock: SharedFD
    private let parent: SharedFD
    private var count = 0

    fileprivate init(name: String, directory: SharedFD, lock: SharedFD, parent: SharedFD) {
        self.name = name
        self.directory = directory
        self.lock = lock
        self.parent = parent
    }

    /// A name not used before in this directory.
    func freshName(_ prefix: String) -> String {
        count += 1
        return prefix + String(count)
    }

    /// A new file for content.
    func makeFile(_ name: String) throws(StoreError) -> SharedFD {
        try system { () throws(SystemError) in
            SharedFD(try directory.fd.open(name, [.readWrite, .create, .exclusive, .noFollow], mode: 0o600))
        }
    }

    /// Removes what is left. The lock goes last, with the object.
    func remove() { try? removeTree(parent.fd, name) }
}

extension Store {
    private static let lockName = ".lock"

    /// Makes a staging directory. Call its `remove` on every way out.
    func makeStaging() throws(StoreError) -> Staging {
        let parent = SharedFD(owning: try directory(Directory.staging).take())
        // Layers are unpacked here and only renamed afterwards: their place on disk is chosen here.
        parent.fd.spreadSubdirectories()
        return try system { () throws(SystemError) in
            // A sweep between the making of the directory and the taking of its lock would see it as left over.
            let guardLock = try parent.fd.open(Store.lockName, [.readWrite, .create, .noFollow], mode: 0o600)
            try guardLock.fd.lock(.exclusive)
            let name = hexadecimal(randomBytes(8))
            try parent.fd.makeDirectory(name, mode: 0o700)
            let directory = SharedFD(try parent.fd.open(name, [.directory, .noFollow]))
            let lock = SharedFD(try directory.fd.open("lock", [.readWrite, .create, .exclusive], mode: 0o600))
            try lock.fd.lock(.exclusive)
            return Staging(name: name, directory: directory, lock: lock, parent: parent)
        }
    }

    /// Staging directories whose commands are gone.
    func abandonedStaging() -> [String] {
        guard let parent = try? directory(Directory.staging) else { return [] }
        return names(in: Directory.staging).filter { name in
            // Without a lock it is just being made, or was killed then: the sweep knows under its own lock.
            guard name != Store.lockName, let lock = try? parent.fd.open(name + "/lock", [.readWrite, .noFollow]) else { return false }
            return (try? lock.fd.tryLock(.exclusive)) == true
        }
    }

    /// Clears away the staging directories of commands that are gone. Failures are left to the next sweep.
    func sweepStaging() {
        guard let parent = try? directory(Directory.staging), let entries = try? directoryEntries(parent.fd),
            entries.contains(where: { $0.name != Store.lockName })
        else { return }
        do throws(SystemError) {
            let guardLock = try parent.fd.open(Store.lockName, [.readWrite, .create, .noFollow], mode: 0o600)
            try guardLock.fd.lock(.exclusive)
            for entry in entries where entry.name != Store.lockName {
                // Renamed under the lock, removed after it: removal can take long.
                if let lock = try? parent.fd.open(entry.name + "/lock", [.readWrite, .noFollow]) {
                    guard (try? lock.fd.tryLock(.exclusive)) == true else { continue }
                }
                try? parent.fd.rename(
                    entry.name, to: Directory.trash + "/" + hexadecimal(randomBytes(8)), in: root.fd)
            }
        } catch { return }
        emptyTrash()
    }

    /// Held shared by commands that bring content in, exclusively by the collection of garbage: content is on disk before a
    /// row names it.
    func contentLock(_ kind: FileLock, wait: Bool = true) throws(StoreError) -> SharedFD? {
        // A store that cannot be written loses nothing either: reading from it needs no lock.
        if kind == .shared, database.lockIsMissing { return nil }
        return try system { () throws(SystemError) in
            let file = SharedFD(try root.fd.open("content.lock", [.readWrite, .create, .noFollow], mode: 0o600))
            if wait {
                try file.fd.lock(kind)
                return file
            }
            return try file.fd.tryLock(kind) ? file : nil
        }
    }

    /// Waits until nobody else works on the layer: two commands that need it unpack it once.
    ///
    /// One byte of one file, chosen by the chain id, so that no lock files have to be made and removed; a collision of two
    /// ids costs a wait. Released when the descriptor closes. C function: `fcntl(2)` with F_OFD_SETLKW.
    func lockLayer(_ hex: String) throws(StoreError) -> SharedFD {
        let start = Int64(hex.prefix(15), radix: 16) ?? 0
        return try system { () throws(SystemError) in
            let file = SharedFD(try root.fd.open("layers.lock", [.readWrite, .create, .noFollow], mode: 0o600))
            try file.fd.lock(.exclusive, start..<(start + 1))
            return file
        }
    }
}
