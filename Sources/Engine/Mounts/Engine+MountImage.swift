import Control
import Glibc
import Linux
import Store

/// `image mount` and `image unmount`: an image's files at a path of the host, to be read.
extension Engine {
    private var imageMounts: String { roots.run + "/mounts/images" }

    /// - Parameter id: `sha256:…`
    private func mountPoint(ofImage id: String) -> String {
        imageMounts + "/" + (id.splitOnce(":").map { String($0.tail) } ?? id)
    }

    /// - Returns: the image's id, and where its files are.
    public func mountImage(_ text: String) throws(EngineError) -> (id: String, path: String) {
        let id = try image(text).id
        let path = mountPoint(ofImage: id)
        let store = try self.store()
        let layers = try stored { () throws(StoreError) in try store.layerDirectories(image: id) }
        try during("mount image", text) { () throws(SystemError) in
            let mount: SharedFD
            if let mounted = try openMountRoot(path) {
                mount = SharedFD(try cloneMount(mounted.fd))
            } else {
                mount = try mountReadOnly(layers)
                try setMountAttributes(mount.fd, set: .readOnly)
            }
            try attach(mount.fd, at: path)
        }
        // Removed meanwhile: what would be seen is not whole.
        do throws(EngineError) { _ = try image(id) } catch {
            try takeDown(path)
            throw error
        }
        return (id, path)
    }

    public func mountedImages() throws(EngineError) -> [MountedObject] {
        let mounted = try mounted(in: imageMounts)
        if mounted.isEmpty { return [] }
        return try images().filter { mounted.contains($0.id.splitOnce(":").map { String($0.tail) } ?? $0.id) }.map {
            MountedObject(id: $0.id, names: $0.names, path: mountPoint(ofImage: $0.id))
        }
    }

    /// Takes one mount of an image away, or with `force` all of them, also while their files are in use.
    ///
    /// - Returns: the image's id.
    public func unmountImage(_ text: String, force: Bool) throws(EngineError) -> String {
        let id: String
        do throws(EngineError) { id = try image(text).id } catch {
            guard error.code == .notFound, text.utf8.count == 64, !text.utf8.contains(0x2f), try takeDown(mountPoint(ofImage: text))
            else { throw error }
            return text
        }
        try unmount(mountPoint(ofImage: id), force: force, "image \(text)")
        return id
    }

    /// Names for `image unmount --all`.
    public func allMountedImages() throws(EngineError) -> [String] {
        var seen: Set<String> = []
        return try mounted(in: imageMounts).filter { seen.insert($0).inserted }
    }

    /// An image that is to be removed: its layers go from under what is mounted.
    ///
    /// - Throws: `.conflict` unless forced.
    func releaseMounts(ofImage id: String, force: Bool) throws(EngineError) {
        guard isImageMounted(id) else { return }
        guard force else {
            throw EngineError(
                .conflict, sentence: "image \(id) is mounted: type berth image unmount \(id), or remove it by force", exitCode: 1)
        }
        try takeDown(mountPoint(ofImage: id))
    }

    func isImageMounted(_ id: String) -> Bool {
        let path = mountPoint(ofImage: id)
        return FD.cwd.exists(path) && (try? openMountRoot(path)) != nil
    }
}
