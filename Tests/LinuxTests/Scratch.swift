import CLinux
import Glibc

@testable import Linux

/// A directory of a test's own, removed with everything in it when the test ends.
final class Scratch {
    let path: String
    let directory: SharedFD
    var fd: FD { directory.fd }

    init() throws {
        let base = environmentVariable("TMPDIR") ?? "/tmp"
        path = "\(base)/berth-linux-\(hexadecimal(randomBytes(8)))"
        try FD.cwd.makeDirectory(path, mode: 0o700)
        directory = SharedFD(try FD.cwd.open(path, [.readOnly, .directory, .noFollow]))
    }

    func text(_ name: String) throws -> String { try fd.readText(name) }

    /// What lies directly in it.
    func names() throws -> Set<String> {
        let again = try FD.cwd.open(path, [.readOnly, .directory])
        return Set(try directoryEntries(again.fd).map(\.name))
    }

    deinit {
        // Opened anew: a test may have listed the directory, which leaves its offset at the end.
        if let again = try? FD.cwd.open(path, [.readOnly, .directory, .noFollow]) { Scratch.empty(again.fd) }
        try? FD.cwd.removeDirectory(path)
    }

    private static func empty(_ directory: FD) {
        guard let entries = try? directoryEntries(directory) else { return }
        for (name, _) in entries {
            if let child = try? directory.open(name, [.readOnly, .directory, .noFollow]) {
                _ = cl_fchmod(child.raw, 0o700)
                empty(child.fd)
                try? directory.removeDirectory(name)
            } else {
                try? directory.removeFile(name)
            }
        }
    }
}

/// Bytes of a string.
func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

/// The error a body throws, for `#expect`.
func failure(_ body: () throws -> Void) -> SystemError? {
    do { try body() } catch { return error as? SystemError }
    return nil
}
