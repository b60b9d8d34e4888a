import Archive
import CLinux
import Glibc
import Linux
import OCI

/// Manifest lists under construction, one file each, in the directory `manifests` of the store.
///
/// A file is replaced as a whole and survives power loss; changes of two commands follow one another.
struct ManifestListFiles {
    private let path: String

    init(_ roots: Roots) { path = roots.store + "/manifests" }

    /// Nil when there is none of the name.
    func read(_ name: Reference) throws(EngineError) -> ManifestList? {
        let file = path + "/" + ManifestListFiles.fileName(name)
        let bytes: [UInt8]
        do throws(SystemError) { bytes = try FD.cwd.readFile(file) } catch {
            if error.errno == .noEntry { return nil }
            throw EngineError("read manifest list", file, error)
        }
        return try ManifestList(bytes, path: file)
    }

    /// Reads, changes and writes a list while no other command does.
    ///
    /// - Parameter body: gets nil for a list that does not exist.
    func change<R>(
        _ name: Reference, _ body: (inout ManifestList?) throws(EngineError) -> R
    ) throws(EngineError) -> R {
        let directory = try during("open", path) { () throws(SystemError) in
            try FD.cwd.makeDirectories(path, mode: 0o700)
            let directory = SharedFD(try FD.cwd.open(path, [.directory]))
            try Linux.check(cl_flock(directory.raw, LOCK_EX), "lock", path)
            return directory
        }
        defer { withExtendedLifetime(directory) {} }
        var list = try read(name)
        let before = list
        let result = try body(&list)
        guard list != before else { return result }
        try during("write manifest list", name.description) { () throws(SystemError) in
            let file = ManifestListFiles.fileName(name)
            if let list {
                try directory.fd.replaceFile(file, with: list.encode(), durable: true)
            } else {
                try directory.fd.removeFile(file)
                try directory.fd.sync()
            }
        }
        return result
    }

    /// A reference has slashes and may be longer than a file's name.
    private static func fileName(_ name: Reference) -> String {
        SHA256.hex(Array(name.description.utf8)) + ".json"
    }
}
