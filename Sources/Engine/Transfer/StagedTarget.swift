import Control
import Glibc
import Linux

/// A path of a person's, as the directory it is in and the name there: what is made beside it is renamed over it at the end.
struct StagedTarget {
    let path: String
    let parent: SharedFD
    let name: String
    /// Beside the target, so that it can be renamed there; of this process alone.
    let staging: String

    init(_ path: String) throws(EngineError) {
        self.path = path
        var rest = path[...]
        while rest.utf8.count > 1, rest.utf8.last == UInt8(ascii: "/") { rest.removeLast() }
        let slash = rest.utf8.lastIndex(of: UInt8(ascii: "/"))
        let last = String(slash.map { rest[rest.utf8.index(after: $0)...] } ?? rest)
        guard !last.isEmpty, last != ".", last != ".." else {
            throw .invalid("\(path) has no name of its own: name the file or directory to be made")
        }
        name = last
        staging = ".\(last.prefix(64)).\(hexadecimal(randomBytes(6))).new"
        let directory = slash.map { $0 == rest.startIndex ? "/" : String(rest[..<$0]) } ?? "."
        parent = try during("open", directory) { () throws(SystemError) in SharedFD(try FD.cwd.open(directory, [.directory])) }
    }

    /// What has the name itself; nil when nothing has.
    func existing() throws(EngineError) -> stat? {
        do throws(SystemError) { return try parent.fd.status(of: name) } catch {
            if error.errno == .noEntry { return nil }
            throw EngineError("stat", path, error)
        }
    }

    /// Makes the staging directory.
    func makeDirectory() throws(EngineError) -> SharedFD {
        try during("make directory", path) { () throws(SystemError) in
            try parent.fd.makeDirectory(staging, mode: 0o755)
            return SharedFD(try parent.fd.open(staging, [.directory, .noFollow]))
        }
    }

    /// Makes the staging file.
    func makeFile() throws(EngineError) -> SharedFD {
        try during("make file", path) { () throws(SystemError) in
            SharedFD(try parent.fd.open(staging, [.readWrite, .create, .exclusive, .noFollow], mode: 0o644))
        }
    }

    /// The staged directory takes the name; what had it is exchanged with it and removed.
    ///
    /// The data was synced before: after a power loss the old one is there or the new one.
    func publishDirectory(replacing: Bool) throws(EngineError) {
        try during("write", path) { () throws(SystemError) in
            try parent.fd.syncFileSystem()
            // RENAME_EXCHANGE and RENAME_NOREPLACE.
            try parent.fd.rename(staging, to: name, flags: replacing ? 2 : 1)
            try parent.fd.sync()
        }
        if replacing { discard() }
    }

    /// The staged file takes the name.
    func publish(_ file: SharedFD) throws(EngineError) {
        try during("write", path) { () throws(SystemError) in
            try file.fd.sync()
            try parent.fd.rename(staging, to: name)
            try parent.fd.sync()
        }
    }

    /// Takes away what was staged. Failures are left to the person who sees the name.
    func discard() {
        if (try? parent.fd.removeFile(staging)) == nil { try? removeTree(parent.fd, staging) }
    }
}
