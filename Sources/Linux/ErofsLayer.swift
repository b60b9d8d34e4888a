import Glibc

/// Layers that are kept as a tar and an erofs index of it, and mounted directly.
///
/// A layer is told by one path: a directory is used as it is; a name that ends in `.erofs` is an index, beside which lies the
/// tar of the same name (`layer.erofs`, `layer.tar`).
public enum ErofsLayer {
    public static let indexName = "layer.erofs"
    public static let tarName = "layer.tar"

    public static func isIndex(_ path: String) -> Bool {
        let suffix: StaticString = ".erofs"
        return suffix.withUTF8Buffer { path.utf8.count > $0.count && path.utf8.suffix($0.count).elementsEqual($0) }
    }

    /// A detached, read-only mount of a layer. Needs CAP_SYS_ADMIN in the first user namespace; Linux 6.12.
    ///
    /// - Parameter index: absolute path of the index.
    public static func mount(_ index: String) throws(SystemError) -> OwnedFD {
        do throws(SystemError) {
            let context = try FileSystemContext("erofs")
            try context.set("source", index)
            try context.set("device", String(index.dropLast(6)) + ".tar")
            try context.set(flag: "ro")
            return try context.mount()
        } catch {
            // What it is about is the layer, whichever step failed.
            throw SystemError(error.errno, "mount layer", index)
        }
    }

    /// Layers by paths that overlay understands. The mounts live as long as `mounts` does, and as whatever stands on them.
    public static func open(_ layers: [String]) throws(SystemError) -> (paths: [String], mounts: [SharedFD]) {
        var paths = layers
        var mounts: [SharedFD] = []
        for (index, layer) in layers.enumerated() where isIndex(layer) {
            let mount = SharedFD(try mount(layer))
            paths[index] = mount.fd.procPath
            mounts.append(mount)
        }
        return (paths, mounts)
    }
}
