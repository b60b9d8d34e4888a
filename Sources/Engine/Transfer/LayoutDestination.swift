import Archive
import CLinux
import Control
import Glibc
import Linux
import OCI

/// `oci:DIR[:NAME]` to be written: a new layout, or one more image in a layout that is there.
///
/// A new layout appears by one rename. In an existing one blobs go to a staging directory first, then to their places, and
/// last `index.json` is replaced: it never names what is not there.
final class LayoutDestination: ImageDestination {
    let location: ImageLocation
    let keepsIndexes = true
    let prefersCompressed = true
    private let target: StagedTarget
    /// The layout that is there already.
    private var existing: SharedFD?
    private var staged: BlobDirectory?
    private var stagedRoot: SharedFD?
    private var top: Descriptor?

    init(_ location: ImageLocation) throws(EngineError) {
        self.location = location
        target = try StagedTarget(location.path)
        guard let found = try target.existing() else { return }
        guard found.st_mode & S_IFMT == S_IFDIR else {
            throw .invalid("\(location.path) exists and is no directory: use oci-archive:\(location.path), or name another")
        }
        let directory = try during("open", location.path) { () throws(SystemError) in
            SharedFD(try target.parent.fd.open(target.name, [.directory, .noFollow]))
        }
        let entries = try during("read", location.path) { () throws(SystemError) in try directoryEntries(directory.fd) }
        if !entries.isEmpty {
            guard let marker = try? directory.fd.readFile(OCILayout.fileName, limit: 64 << 10) else {
                throw .invalid("\(location.path) is not empty and no OCI image layout: name another directory")
            }
            _ = try documented(location.path) { () throws(OCIError) in try OCILayout.decode(marker) }
        }
        existing = directory
    }

    func begin() throws(EngineError) {
        let root: SharedFD
        if let existing {
            // Inside, for it must be of the same file system.
            root = try during("make directory", location.path) { () throws(SystemError) in
                try existing.fd.makeDirectory(target.staging, mode: 0o755)
                return SharedFD(try existing.fd.open(target.staging, [.directory, .noFollow]))
            }
        } else {
            root = try target.makeDirectory()
        }
        stagedRoot = root
        staged = try during("make directory", location.path) { () throws(SystemError) in
            try root.fd.makeDirectories("blobs/sha256", mode: 0o755)
            return BlobDirectory(directory: SharedFD(try root.fd.open("blobs/sha256", [.directory, .noFollow])))
        }
    }

    private func blobs() throws(EngineError) -> BlobDirectory {
        guard let staged else { throw EngineError(.system, "write", location.path, cause: "not begun") }
        return staged
    }

    func has(_ blob: Descriptor, from source: ImageLocation) throws(EngineError) -> Bool {
        guard let existing, blob.digest.algorithm == .sha256,
            let file = try? existing.fd.open(blob.digest.layoutPath, [.nonBlocking], resolve: [.beneath, .noSymlinks]),
            let information = try? file.fd.status()
        else { return false }
        guard information.st_mode & S_IFMT == S_IFREG, Int64(information.st_size) == blob.size else { return false }
        // A blob that a killed copy left, or that somebody changed, must not be taken for the real one.
        let range = FileRange(file: SharedFD(consume file), offset: 0, size: blob.size)
        let sink = VerifyingSink(Nowhere(), blob)
        do throws(EngineError) {
            try range.write(into: sink)
            try sink.verify()
            return true
        } catch { return false }
    }

    func put(_ blob: Descriptor, _ content: BlobContent) throws(EngineError) {
        try blob.digest.requireVerifiable()
        try blobs().put(blob.digest.hex, content)
    }

    func put(manifest: FoundManifest, isTop: Bool) throws(EngineError) {
        try blobs().put(manifest.digest.hex, manifest.raw)
        guard isTop else { return }
        var annotations: [String: String] = [:]
        if !location.name.isEmpty { annotations[Annotation.refName] = location.name }
        top = Descriptor(
            mediaType: manifest.mediaType ?? .ociManifest, digest: manifest.digest, size: manifest.size,
            annotations: annotations)
    }

    func commit() throws(EngineError) {
        guard let top, let stagedRoot else { throw EngineError(.system, "write", location.path, cause: "no image came") }
        guard let existing else {
            try during("write", location.path) { () throws(SystemError) in
                try stagedRoot.fd.writeFile(OCILayout.indexName, Index(manifests: [top]).raw, mode: 0o644)
                try stagedRoot.fd.writeFile(OCILayout.fileName, OCILayout().encode(), mode: 0o644)
            }
            return try target.publishDirectory(replacing: false)
        }
        try merge(top, into: existing)
    }

    private func merge(_ top: Descriptor, into layout: SharedFD) throws(EngineError) {
        // Two copies into one layout: the second adds to what the first wrote.
        _ = cl_flock(layout.raw, LOCK_EX)
        defer { _ = cl_flock(layout.raw, LOCK_UN) }
        let staged = try blobs()
        try during("write", location.path) { () throws(SystemError) in
            try layout.fd.makeDirectories("blobs/sha256", mode: 0o755)
            let blobs = try layout.fd.open("blobs/sha256", [.directory], resolve: [.beneath, .noSymlinks])
            for entry in try directoryEntries(staged.directory.fd) {
                try staged.directory.fd.rename(entry.name, to: entry.name, in: blobs.fd)
            }
            // Their bytes and names before the index that says they are there.
            try layout.fd.syncFileSystem()
        }
        var manifests: [Descriptor] = []
        if let bytes = try? layout.fd.readFile(OCILayout.indexName, limit: 4 << 20) {
            manifests = try documented(location.path) { () throws(OCIError) in try Index.decode(bytes) }.manifests
        }
        let name = top.annotations[Annotation.refName]
        manifests.removeAll {
            // The name moves; without a name the same image is not listed twice.
            $0.annotations[Annotation.refName] == name && (name != nil || $0.digest == top.digest)
        }
        manifests.append(top)
        try during("write", location.path) { () throws(SystemError) in
            if !layout.fd.exists(OCILayout.fileName) {
                try layout.fd.replaceFile(OCILayout.fileName, with: OCILayout().encode(), mode: 0o644, durable: true)
            }
            try layout.fd.replaceFile(OCILayout.indexName, with: Index(manifests: manifests).raw, mode: 0o644, durable: true)
        }
        discardStaged(layout)
    }

    private func discardStaged(_ layout: SharedFD) {
        try? removeTree(layout.fd, target.staging)
    }

    func abandon() {
        if let existing { discardStaged(existing) } else { target.discard() }
    }
}
