import CLinux
import Glibc
import Linux

@testable import Runtime

/// A directory of a test's own, removed with everything in it when the test ends.
final class Scratch {
    let path: String
    let directory: SharedFD
    var fd: FD { directory.fd }

    init() throws {
        path = "\(environmentVariable("TMPDIR") ?? "/tmp")/berth-runtime-\(hexadecimal(randomBytes(8)))"
        try FD.cwd.makeDirectory(path, mode: 0o700)
        directory = SharedFD(try FD.cwd.open(path, [.readOnly, .directory, .noFollow]))
    }

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

    /// Names below a directory with their types and, for links and files, what they hold: to compare before and after.
    func snapshot(_ name: String) throws -> [String] {
        var found: [String] = []
        var pending = [name]
        while let current = pending.popLast() {
            let directory = try fd.open(current, [.readOnly, .directory, .noFollow])
            for (entry, type) in try directoryEntries(directory.fd) {
                let path = "\(current)/\(entry)"
                let mode = try fd.status(of: path).st_mode
                switch type {
                case 4: pending.append(path)
                case 10: found.append("\(path) -> \(try fd.readLink(path))")
                default: found.append("\(path) = \(try fd.readText(path))")
                }
                found.append("\(path) mode \(mode)")
            }
        }
        return found.sorted()
    }

    private static func empty(_ directory: FD) {
        guard let entries = try? directoryEntries(directory) else { return }
        for (name, _) in entries {
            if let child = try? directory.open(name, [.readOnly, .directory, .noFollow]) {
                empty(child.fd)
                try? directory.removeDirectory(name)
            } else {
                try? directory.removeFile(name)
            }
        }
    }
}

/// The text of the error a body throws, or nil.
func refusal(_ body: () throws -> Void) -> String? {
    do { try body() } catch { return "\(error)" }
    return nil
}
