import CLinux
import Linux
import Store

/// What is mounted in a container that does not run, for a command that looks into it.
struct StoppedMount {
    enum Source {
        /// Of the host or the store.
        case path(String, recursive: Bool)
        /// Layers, topmost first.
        case image([String])
    }

    let mount: MountDefinition
    let source: Source
    let isReadOnly: Bool
    /// It shows the ids that are seen inside.
    let isMapped: Bool
}

extension Engine {
    /// In the order in which a start mounts them.
    ///
    /// What was memory has ended with the container; what a container wrote over an image, or over a source of its own layer (`O`), too:
    /// below it all is as it was, and not to be written to.
    /// - Throws: `.notSupported` where something would be written below what a start mounts over it.
    func stoppedMounts(_ definition: ContainerDefinition, writable: Bool) throws(EngineError) -> [StoppedMount] {
        var result: [StoppedMount] = []
        let sorted = definition.mounts.enumerated().sorted {
            let (left, right) = ($0.element.target.utf8.count { $0 == 0x2f }, $1.element.target.utf8.count { $0 == 0x2f })
            return left == right ? $0.offset < $1.offset : left < right
        }
        for (_, mount) in sorted {
            var isReadOnly = mount.readOnly || mount.isOverlay
            var isMapped = mount.kind == .volume || mount.isIDMapped
            let source: StoppedMount.Source
            switch mount.kind {
            case .tmpfs, .container: continue
            case .bind: source = .path(mount.source, recursive: mount.recursive)
            case .image:
                // A part of it could only be shown by a mount of the whole.
                if !mount.subpath.isEmpty { continue }
                source = .image(try layers(of: mount, in: definition))
                isReadOnly = true
            case .volume:
                let driver = try driver(of: mount)
                switch driver?.source {
                case nil: source = .path(roots.volume(mount.source), recursive: mount.recursive)
                case .bind(let path, let recursive):
                    source = .path(path, recursive: recursive)
                    isReadOnly = isReadOnly || driver?.options.contains("ro") == true
                    isMapped = false
                case .temporary: continue
                case .fileSystem(let type, _):
                    if !writable { continue }
                    throw .notSupported(
                        "copying into a container that does not run and has a volume of type \(type): start it first")
                }
            }
            result.append(StoppedMount(mount: mount, source: source, isReadOnly: isReadOnly, isMapped: isMapped))
        }
        return result
    }

    /// A detached mount of it; a subpath leads nowhere out of the volume.
    func open(_ stopped: StoppedMount) throws(SystemError) -> SharedFD {
        let mount = stopped.mount
        switch stopped.source {
        case .image(let layers): return try mountReadOnly(layers)
        case .path(let path, let recursive):
            var source = SharedFD(try FD.cwd.open(path, .path))
            if !mount.subpath.isEmpty {
                source = SharedFD(try source.fd.open(mount.subpath, .path, resolve: [.beneath, .noMagicLinks]))
            }
            return SharedFD(try cloneMount(source.fd, recursive: recursive))
        }
    }

    /// An image's files as a detached mount without a layer to write to.
    ///
    /// - Parameter layers: topmost first.
    func mountReadOnly(_ layers: [String]) throws(SystemError) -> SharedFD {
        // The kernel wants two lower layers where there is none above.
        guard layers.count > 1 else {
            // An image may have none at all.
            let layer: String
            if let first = layers.first { layer = first } else { layer = try MountPointLayer(store: roots.store).prepare() }
            return SharedFD(try ErofsLayer.isIndex(layer) ? ErofsLayer.mount(layer) : cloneMount(.cwd, layer))
        }
        return SharedFD(try OverlayRootfs(lower: layers, upper: "", work: "", userXattr: marksAreUser).mount())
    }
}
