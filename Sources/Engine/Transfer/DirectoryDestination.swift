import Archive
import Glibc
import Linux
import OCI

/// `dir:PATH` to be written: a new directory, which takes the place of an older one of the same kind.
final class DirectoryDestination: ImageDestination {
    let location: ImageLocation
    let keepsIndexes = true
    let prefersCompressed = false
    private let target: StagedTarget
    private let replaces: Bool
    private var staged: BlobDirectory?

    init(_ location: ImageLocation) throws(EngineError) {
        self.location = location
        target = try StagedTarget(location.path)
        guard let existing = try target.existing() else {
            replaces = false
            return
        }
        replaces = true
        guard existing.st_mode & S_IFMT == S_IFDIR else {
            throw .invalid("\(location.path) exists and is no directory: name another")
        }
        let directory = try during("open", location.path) { () throws(SystemError) in
            SharedFD(try target.parent.fd.open(target.name, [.directory, .noFollow]))
        }
        let entries = try during("read", location.path) { () throws(SystemError) in try directoryEntries(directory.fd) }
        let version = (try? directory.fd.readFile("version", limit: 4096)) ?? []
        let text = String(decoding: version, as: UTF8.self)
        guard entries.isEmpty || text.hasPrefix(DirectorySource.versionPrefix) else {
            throw .invalid(
                "\(location.path) is not a containers image directory, and important data is not overwritten: name another")
        }
    }

    func begin() throws(EngineError) {
        let directory = BlobDirectory(directory: try target.makeDirectory())
        staged = directory
        try directory.put("version", Array((DirectorySource.versionPrefix + "1.1\n").utf8))
    }

    private func directory() throws(EngineError) -> BlobDirectory {
        guard let staged else { throw EngineError(.system, "write", location.path, cause: "not begun") }
        return staged
    }

    func has(_ blob: Descriptor, from source: ImageLocation) throws(EngineError) -> Bool { false }

    func put(_ blob: Descriptor, _ content: BlobContent) throws(EngineError) {
        try directory().put(blob.digest.hex, content)
    }

    func put(manifest: FoundManifest, isTop: Bool) throws(EngineError) {
        try directory().put(isTop ? "manifest.json" : manifest.digest.hex + ".manifest.json", manifest.raw)
    }

    func commit() throws(EngineError) { try target.publishDirectory(replacing: replaces) }

    func abandon() { target.discard() }
}
