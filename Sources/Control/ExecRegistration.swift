import CLinux
import Glibc
import Linux

/// A further process of a container, as long as it lives: a file `RUN/containers/ID/execs/EXEC`, locked by who waits for the process.
///
/// Nothing has to be cleared away after a kill: a file without a lock is nobody's, and all go with the container's directory.
public final class ExecRegistration {
    private let path: String
    private let file: SharedFD

    static func directory(run: String, container: String) -> String {
        ContainerFiles.runDirectory(run: run, id: container) + "/execs"
    }

    /// - Returns: nil where the container has no directory, or none can be made in it; it runs all the same.
    public init?(run: String, container: String, exec id: String) {
        let directory = ExecRegistration.directory(run: run, container: container)
        guard ExecRegistration.isIdentifier(id), FD.cwd.exists(ContainerFiles.runDirectory(run: run, id: container)),
            (try? FD.cwd.makeDirectories(directory, mode: 0o700)) != nil
        else { return nil }
        path = directory + "/" + id
        guard let made = try? FD.cwd.open(path, [.readWrite, .create, .noFollow], mode: 0o600), (try? made.fd.tryLock(.exclusive)) == true
        else { return nil }
        file = SharedFD(made)
    }

    public func withdraw() { try? FD.cwd.removeFile(path) }

    /// The ids of those that live.
    public static func living(run: String, container: String) -> [String] {
        guard let directory = try? FD.cwd.open(directory(run: run, container: container), [.readOnly, .directory, .noFollow]),
            let entries = try? directoryEntries(directory.fd)
        else { return [] }
        return entries.map(\.name).filter { name in
            guard isIdentifier(name), let file = try? directory.fd.open(name, [.readOnly, .noFollow]) else { return false }
            return (try? file.fd.isLocked(against: .shared)) == true
        }.sorted()
    }

    /// 64 hexadecimal digits.
    public static func isIdentifier(_ text: String) -> Bool {
        text.utf8.count == 64 && text.utf8.allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
    }
}
