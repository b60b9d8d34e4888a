import Linux
import Store

/// Mounts that other objects give: other containers' and images.
extension Engine {
    /// What `--volumes-from` brings, each target once: of several containers the last one named counts, as in Docker.
    ///
    /// - Throws: `.notFound` for a container that is not there.
    func inheritedMounts(_ options: [String]) throws(EngineError) -> [MountDefinition] {
        var result: [MountDefinition] = []
        for text in options {
            let option = try VolumesFromOption(text)
            // A tmpfs is its container's own, and what a debug container shows is somebody else's.
            for mount in try container(option.container).definition.mounts
            where mount.kind != .tmpfs && mount.kind != .container {
                result.removeAll { $0.target == mount.target }
                result.append(option.inherit(mount))
            }
        }
        return result
    }

    /// Finds the images that are mounted; from then on they are meant by id.
    func resolveImageMounts(_ definition: inout ContainerDefinition) throws(EngineError) {
        for index in definition.mounts.indices where definition.mounts[index].kind == .image {
            if !definition.mounts[index].imageID.isEmpty || !definition.mounts[index].layers.isEmpty { continue }
            let record = try image(definition.mounts[index].source)
            definition.mounts[index].imageID = record.id
        }
    }

    /// The layers of a mounted image, topmost first.
    func layers(of mount: MountDefinition, in definition: ContainerDefinition) throws(EngineError) -> [String] {
        if !mount.layers.isEmpty { return mount.layers }
        let store = try self.store()
        return try stored { () throws(StoreError) in
            let pinned = try store.layerDirectories(ofImage: mount.imageID, mountedBy: definition.id)
            // Not a container yet.
            return try pinned.isEmpty ? store.layerDirectories(image: mount.imageID) : pinned
        }
    }
}

extension Engine {
    /// What a container that does not run has, its own layer first; all of it is only read.
    func layers(ofContainer id: String) throws(EngineError) -> [String] {
        let store = try self.store()
        return [roots.container(id) + "/upper"] + (try stored { () throws(StoreError) in try store.layerDirectories(container: id) })
    }
}

extension ContainerDefinition {
    /// Volumes that exist because another container has them.
    var inheritedVolumes: [String] { mounts.filter { $0.kind == .volume && $0.isInherited }.map(\.source) }
    /// Ids of images that are mounted.
    var mountedImages: [String] { mounts.filter { $0.kind == .image && $0.layers.isEmpty }.map(\.imageID) }
}
