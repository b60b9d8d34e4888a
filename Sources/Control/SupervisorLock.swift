import CLinux
import Glibc
import Linux

/// The lock that a supervisor holds on its container for life, and the place where it says what it is doing.
///
/// The kernel releases it however the supervisor ends. One thread only.
public struct SupervisorLock: ~Copyable {
    private let file: OwnedFD
    private var generation: UInt32 = 0

    private init(_ file: consuming OwnedFD) { self.file = file }

    /// Takes the lock of a container's directory.
    ///
    /// - Throws: `.alreadyRunning` when a supervisor has it; `.notRunning` when the directory itself was removed; `.system`.
    public static func acquire(in directory: FD) throws(ControlError) -> SupervisorLock {
        do throws(SystemError) {
            let file = try directory.open(ContainerFiles.lock, [.readWrite, .create, .noFollow], mode: 0o600)
            if try file.fd.tryLock(.exclusive) { return SupervisorLock(file) }
        } catch {
            // No file can be made in a directory that has been removed.
            if error.errno == .noEntry { throw ControlError(.notRunning, "lock", "container", cause: "it has been removed") }
            throw ControlError(error, "lock", "container")
        }
        throw ControlError(.alreadyRunning, "lock", "container", cause: "a supervisor holds it")
    }

    /// Takes over the lock from a process that holds it: both have it then, and nobody can come between.
    ///
    /// - Parameter file: as ``descriptor``, from another process.
    /// - Throws: `.alreadyRunning` when that is not the lock of this directory.
    public static func adopt(_ file: SharedFD, in directory: FD) throws(ControlError) -> SupervisorLock {
        do throws(SystemError) {
            let (given, expected) = (try file.fd.status(), try directory.status(of: ContainerFiles.lock))
            // A lock belongs to the open description: to take it again is no change.
            if given.st_ino == expected.st_ino, given.st_dev == expected.st_dev, try file.fd.tryLock(.exclusive) {
                return SupervisorLock(try file.fd.duplicate())
            }
        } catch {
            throw ControlError(error, "lock", "container")
        }
        throw ControlError(.alreadyRunning, "lock", "container", cause: "a supervisor holds it")
    }

    /// For ``adopt(_:in:)`` by another process; as long as this is not released.
    public var descriptor: FD { file.fd }

    /// Lets go of the lock, as the end of the process does.
    public consuming func release() {}

    /// Writes the record over the one before, with one call.
    public mutating func write(_ record: PhaseRecord) throws(ControlError) {
        generation &+= 1
        let bytes = record.fileContent(generation: generation)
        let written = bytes.withUnsafeBytes { cl_pwrite(file.raw, $0.baseAddress, $0.count, 0) }
        if written < 0 {
            throw ControlError(
                SystemError(Errno(rawValue: Int32(truncatingIfNeeded: -written)), "write", ContainerFiles.lock),
                "record phase")
        }
    }

    /// Whether a supervisor lives, and the record in the lock file (of the last one, when none lives).
    ///
    /// - Parameter directory: the parent of the container's directory; `path` is `ID/lock`.
    static func inspect(_ directory: FD, _ path: String) throws(SystemError) -> (held: Bool, record: PhaseRecord?) {
        let file = try directory.open(path, .readOnly)
        var holder: Int32 = 0
        // A read lock conflicts with the supervisor's write lock, and may be asked about on a read-only descriptor.
        try check(cl_ofd_lock_holder(file.raw, Int32(F_RDLCK), &holder), "query lock", path)
        var record: PhaseRecord?
        for _ in 0..<3 {
            record = readRecord(file.fd)
            if record != nil || holder == 0 { break }
        }
        return (holder != 0, record)
    }

    private static func readRecord(_ file: FD) -> PhaseRecord? {
        let bytes = [UInt8](unsafeUninitializedCapacity: PhaseRecord.fileSize) { buffer, count in
            count = max(0, cl_pread(file.rawValue, buffer.baseAddress, buffer.count, 0))
        }
        return PhaseRecord.parse(fileContent: bytes)
    }
}
