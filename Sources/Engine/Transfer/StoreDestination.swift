import Archive
import Control
import Glibc
import Linux
import OCI
import Store

/// `berth:NAME` to be written: an image of the local store.
///
/// The image is put together as a layout that nobody else sees, in a directory of this command, and loaded as a whole.
final class StoreDestination: ImageDestination {
    let location: ImageLocation
    let keepsIndexes = false
    let prefersCompressed = false
    private let engine: Engine
    private let layout: LayoutDestination
    private let parent: String
    private let name: String

    init(_ engine: Engine, _ location: ImageLocation) throws(EngineError) {
        let reference: Reference
        do throws(OCIError) { reference = try Reference.parse(location.name).withDefaultTag } catch {
            throw .invalid("invalid image name \"\(location)\": \(error.description)")
        }
        if reference.digest != nil { throw .invalid("\(location): an image is stored under a tag, not under a digest") }
        self.engine = engine
        self.location = location
        parent = SpoolFile.directory
        name = "berth-copy-" + hexadecimal(randomBytes(8))
        let path = parent + "/" + name
        try during("make directory", path) { () throws(SystemError) in try FD.cwd.makeDirectory(path, mode: 0o700) }
        do throws(EngineError) {
            layout = try LayoutDestination(ImageLocation(transport: .layout, path: path + "/image"))
        } catch {
            try? removeTree(FD.cwd, path)
            throw error
        }
        layout.imageName = reference
    }

    func begin() throws(EngineError) { try layout.begin() }
    func has(_ blob: Descriptor, from source: ImageLocation) throws(EngineError) -> Bool { false }

    func put(_ blob: Descriptor, _ content: BlobContent) throws(EngineError) {
        // What the store has already need not come again.
        if let kept = stored(blob) {
            let sink = VerifyingSink(Nowhere(), blob)
            do throws(EngineError) {
                try kept.write(into: sink)
                try sink.verify()
                return try layout.put(blob, BlobContent(write: kept.write, file: kept.file))
            } catch {
                // A damaged one comes anew.
                if error.code == .system { throw error }
            }
        }
        try layout.put(blob, content)
    }

    private func stored(_ blob: Descriptor) -> FileRange? {
        guard blob.digest.algorithm == .sha256,
            let file = try? FD.cwd.open(engine.roots.store + "/blobs/sha256/" + blob.digest.hex, [.noFollow, .nonBlocking]),
            let information = try? file.fd.status(), Int64(information.st_size) == blob.size
        else { return nil }
        return FileRange(file: SharedFD(consume file), offset: 0, size: blob.size)
    }

    func put(manifest: FoundManifest, isTop: Bool) throws(EngineError) { try layout.put(manifest: manifest, isTop: isTop) }

    func commit() throws(EngineError) {
        try layout.commit()
        // The copy was chosen for its platform already: whatever came is what was wanted.
        _ = try engine.load(path: parent + "/" + name + "/image", platform: "")
        abandon()
    }

    func abandon() { try? removeTree(FD.cwd, parent + "/" + name) }
}
