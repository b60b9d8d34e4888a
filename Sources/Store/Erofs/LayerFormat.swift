import Linux
import OCI

/// How the files of a layer are kept. Both may stand in one image.
public enum LayerFormat: String, Sendable, CaseIterable {
    /// Unpacked, in `fs`.
    case directory
    /// The plain tar and an erofs index that points into it: nothing is unpacked.
    case erofs
}

extension Store {
    /// What overlay stands on: the directory, or the index. One look at the disk, so that a row can never be wrong about it.
    func layerLocation(_ hex: String) -> String {
        let base = Directory.layers + "/" + hex + "/"
        return root.fd.exists(base + ErofsLayer.indexName) ? base + ErofsLayer.indexName : base + "fs"
    }

    /// How a layer is kept; nil when it is not there, as far as a look at its names tells.
    func layerFormat(_ hex: String) -> LayerFormat? {
        let base = Directory.layers + "/" + hex + "/"
        if root.fd.exists(base + ErofsLayer.indexName) { return root.fd.exists(base + ErofsLayer.tarName) ? .erofs : nil }
        return root.fd.exists(base + "fs") ? .directory : nil
    }

    /// Whether layers can be mounted here: tried, not guessed, as it takes a privilege, a kernel that has erofs, mounts it from
    /// files, and lets overlay stand on it. Costs a few mounts.
    ///
    /// - Returns: nil when they can; otherwise why not, as the rest of a sentence.
    public func erofsObstacle() throws(StoreError) -> String? {
        if isInUserNamespace { return "only root can mount layers" }
        let staging = try makeStaging()
        defer { staging.remove() }
        var index = ErofsIndex(LayerTree())
        guard let diffID = Digest(bytes: [UInt8](repeating: 0, count: 32)), let image = index.image(diffID: diffID, tarSize: 1024)
        else { return nil }
        try system { () throws(SystemError) in
            try staging.directory.fd.writeFile(ErofsLayer.indexName, image)
            try staging.directory.fd.writeFile(ErofsLayer.tarName, [UInt8](repeating: 0, count: 1024))
            try staging.directory.fd.makeDirectory("below")
        }
        let base = path + "/" + Directory.staging + "/" + staging.name + "/"
        let mount: SharedFD
        do throws(SystemError) { mount = SharedFD(try ErofsLayer.mount(base + ErofsLayer.indexName)) } catch {
            switch error.errno {
            case .notPermitted, .accessDenied: return "only root can mount layers"
            case .noDevice: return "this kernel has no erofs (CONFIG_EROFS_FS)"
            default: return "this kernel cannot mount layers from files (Linux 6.12, CONFIG_EROFS_FS_BACKED_BY_FILE): \(error.errno)"
            }
        }
        do throws(SystemError) {
            let context = try FileSystemContext("overlay")
            try context.set("lowerdir+", mount.fd.procPath)
            try context.set("lowerdir+", base + "below")
            _ = try context.mount()
        } catch {
            return "overlay cannot stand on such layers here (Linux 6.15, and a store that is not on an overlay itself): \(error.errno)"
        }
        return nil
    }
}
