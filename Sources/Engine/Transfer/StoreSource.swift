import Archive
import Linux
import OCI
import Store

/// `berth:NAME`: an image of the local store.
///
/// Every blob is opened at the beginning: another command's `rmi` takes nothing away from a copy under way.
final class StoreSource: FileImageSource {
    let location: ImageLocation
    private let manifest: Manifest
    private var blobs: [Digest: FileRange] = [:]

    init(_ engine: Engine, _ location: ImageLocation) throws(EngineError) {
        self.location = location
        let details = try engine.imageDetails(location.name)
        manifest = details.manifest
        let path = engine.roots.store + "/blobs/sha256"
        let directory = try during("open", path) { () throws(SystemError) in try FD.cwd.open(path, [.directory]) }
        for blob in [manifest.config] + manifest.layers where blobs[blob.digest] == nil {
            try blob.digest.requireVerifiable()
            let file: SharedFD
            do throws(SystemError) {
                file = SharedFD(try directory.fd.open(blob.digest.hex, [.noFollow, .nonBlocking]))
            } catch {
                guard error.errno == .noEntry else { throw EngineError("open blob", blob.digest.description, error) }
                throw .damaged(blob.digest.description, "the stored blob is missing (berth system check tells more)")
            }
            let size = try during("stat", path) { () throws(SystemError) in Int64(try file.fd.status().st_size) }
            guard size == blob.size else {
                throw .damaged(
                    blob.digest.description, "the stored blob has \(size) bytes instead of \(blob.size) (berth system check tells more)")
            }
            blobs[blob.digest] = FileRange(file: file, offset: 0, size: size)
        }
    }

    func topManifest() throws(EngineError) -> FoundManifest {
        try FoundManifest(raw: manifest.raw, mediaType: manifest.mediaType)
    }

    func manifest(_ descriptor: Descriptor) throws(EngineError) -> [UInt8] {
        throw .damaged(descriptor.digest.description, "the store keeps no index")
    }

    func file(_ blob: Descriptor) throws(EngineError) -> SharedFD? { try content(blob).file }

    func content(_ blob: Descriptor) throws(EngineError) -> FileRange {
        guard let content = blobs[blob.digest] else { throw .damaged(blob.digest.description, "it is no part of \(location)") }
        return content
    }
}
