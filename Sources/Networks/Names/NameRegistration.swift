import CLinux
import Glibc
import Linux

/// A container's file in a network's directory of names, with the lock that says that it lives.
///
/// The lock is the open file's: the kernel takes it back however the supervisor ends, and a file that nobody has locked is
/// not answered any more. Whoever changes which files the directory has holds the directory's own lock (flock) meanwhile, so
/// that clearing away what a dead supervisor left cannot meet a live one that takes the name. One thread.
public final class NameRegistration {
    public let directory: String
    public let container: String
    private var file: SharedFD?

    /// Writes the file; whoever asks from now on finds the names.
    ///
    /// - Parameters:
    ///   - directory: `RUN/networks/NETWORK`; made when it is missing.
    ///   - container: its id, 64 hexadecimal digits.
    public init(directory: String, container: String, _ entry: NameEntry) throws(NetworkError) {
        guard ContainerID(container.utf8) != nil else {
            throw NetworkError(.invalid, "register names of container", container, cause: "not an id")
        }
        self.directory = directory
        self.container = container
        try replace(entry)
    }

    /// Writes other names or addresses. Who asks meanwhile gets the old ones or the new.
    public func replace(_ entry: NameEntry) throws(NetworkError) {
        do throws(SystemError) {
            file = SharedFD(try write(entry.encoded()))
        } catch {
            throw NetworkError(error)
        }
    }

    /// Removes the file. Without it the names end with this object all the same.
    public func withdraw() {
        guard let file else { return }
        self.file = nil
        guard let folder = try? FD.cwd.open(directory, [.directory]), cl_flock(folder.raw, LOCK_EX) == 0 else { return }
        defer { _ = cl_flock(folder.raw, LOCK_UN) }
        // Not the file of somebody who has taken over meanwhile.
        guard let own = try? file.fd.status(), let there = try? folder.fd.status(of: container),
            own.st_ino == there.st_ino, own.st_dev == there.st_dev
        else { return }
        try? folder.fd.removeFile(container)
    }

    private func write(_ bytes: [UInt8]) throws(SystemError) -> OwnedFD {
        // A network may be removed and made again while nobody is connected.
        for _ in 0..<10 {
            try FD.cwd.makeDirectories(directory, mode: 0o700)
            guard let folder = try present(FD.cwd, directory) else { continue }
            try check(cl_flock(folder.raw, LOCK_EX), "lock directory", directory)
            defer { _ = cl_flock(folder.raw, LOCK_UN) }
            // Of somebody who was killed here: whoever writes now has the directory's lock.
            _ = cl_unlinkat(folder.raw, NameRegistration.staging, 0)
            do throws(SystemError) {
                let file = try folder.fd.open(NameRegistration.staging, [.readWrite, .create, .exclusive, .noFollow], mode: 0o600)
                // Locked before it has its name, so that nobody ever sees it without.
                try file.fd.lock(.exclusive)
                try file.fd.writeAll(bytes)
                try folder.fd.rename(NameRegistration.staging, to: container)
                return file
            } catch {
                _ = cl_unlinkat(folder.raw, NameRegistration.staging, 0)
                if error.errno != .noEntry { throw error }
            }
        }
        throw SystemError(.noEntry, "write names", directory)
    }

    private func present(_ base: FD, _ path: String) throws(SystemError) -> OwnedFD? {
        do throws(SystemError) { return try base.open(path, [.directory]) } catch {
            if error.errno == .noEntry { return nil }
            throw error
        }
    }

    static let staging = ".new"

    /// Clears away the files that dead supervisors left in a directory. Returns how many live ones are left.
    ///
    /// Not needed for right answers; for who removes a network.
    @discardableResult
    public static func sweep(directory: String) -> Int {
        guard let folder = try? FD.cwd.open(directory, [.directory]), let entries = try? directoryEntries(folder.fd) else { return 0 }
        var live = 0
        for (name, _) in entries where ContainerID(name.utf8) != nil {
            if !removeDead(name, in: folder.fd) { live += 1 }
        }
        return live
    }

    /// Removes a container's file if nobody has it locked and nobody else is changing the directory.
    /// - Returns: false when it is somebody's.
    static func removeDead(_ name: String, in folder: FD) -> Bool {
        guard cl_flock(folder.rawValue, LOCK_EX | LOCK_NB) == 0 else { return false }
        defer { _ = cl_flock(folder.rawValue, LOCK_UN) }
        // Nobody can take the name while the directory is locked: what is dead now is dead when it is removed.
        guard let file = try? folder.open(name, [.readOnly, .noFollow, .nonBlocking]) else { return true }
        guard (try? file.fd.isLocked(against: .shared)) == false else { return false }
        return (try? folder.removeFile(name)) != nil
    }
}

/// A container's id as 32 bytes: files of other names are none of ours.
struct ContainerID: Hashable {
    let words: (UInt64, UInt64, UInt64, UInt64)

    init?(_ name: some Collection<UInt8>) {
        guard name.count == 64 else { return nil }
        var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        for (index, digit) in name.enumerated() {
            let value: UInt64
            switch digit {
            case 48...57: value = UInt64(digit - 48)
            case 97...102: value = UInt64(digit - 87)
            default: return nil
            }
            switch index >> 4 {
            case 0: words.0 = words.0 << 4 | value
            case 1: words.1 = words.1 << 4 | value
            case 2: words.2 = words.2 << 4 | value
            default: words.3 = words.3 << 4 | value
            }
        }
        self.words = words
    }

    static func == (left: ContainerID, right: ContainerID) -> Bool { left.words == right.words }
    func hash(into hasher: inout Hasher) {
        hasher.combine(words.0)
        hasher.combine(words.3)
    }

    /// The file's name, ending in NUL.
    var fileName: [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(65)
        for word in [words.0, words.1, words.2, words.3] {
            var shift: UInt64 = 60
            while true {
                let digit = UInt8(word >> shift & 15)
                out.append(digit < 10 ? 48 + digit : 87 + digit)
                if shift == 0 { break }
                shift -= 4
            }
        }
        out.append(0)
        return out
    }
}
