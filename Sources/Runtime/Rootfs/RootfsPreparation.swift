import CLinux
import Glibc
import Linux
import OCI

/// What the creator does for the container's file system before there is a process: opening what the container's user
/// could not reach, and making id-mapped copies, both of which need the privileges of the outer user namespace.
struct RootfsPreparation {
    private let request: CreateRequest
    private let plan: InitPlan
    private let rootless: Bool
    /// One helper namespace for each distinct mapping.
    private var mapped: [(users: [LinuxIDMapping], groups: [LinuxIDMapping], namespace: SharedFD)] = []

    init(_ request: CreateRequest, _ plan: InitPlan, rootless: Bool) {
        self.request = request
        self.plan = plan
        self.rootless = rootless
    }

    private var isPrivileged: Bool { !request.mountsAreForeign && hasCapability(21 /* CAP_SYS_ADMIN */) }

    consuming func run() throws(RuntimeError) {
        try locateRootfs()
        try openBindSources()
    }

    private func locateRootfs() throws(RuntimeError) {
        let configured = request.spec.root?.path ?? ""
        let path = configured.hasPrefix("/") ? configured : request.bundle + "/" + configured
        let crossesNamespace = plan.inUserNamespace && isPrivileged
        let place = try kernel("open rootfs") { () throws(SystemError) in
            SharedFD(try FD.cwd.open(path, [.path, .directory]))
        }
        plan.rootfsMountPoint = try kernel { () throws(SystemError) in try realPath(place.fd, path) }
        switch request.rootfs {
        case .directory:
            if crossesNamespace {
                plan.rootfs = .mounted(
                    try kernel { () throws(SystemError) in SharedFD(try cloneMount(place.fd, recursive: true)) })
            }
        case .overlay(let overlay):
            // Mounted here when we may: the layers need not be reachable for the container's user then.
            if isPrivileged {
                let lowers = overlay.idMapped ? try mappedLayers(overlay) : []
                plan.rootfs = .mounted(
                    try kernel("mount rootfs") { () throws(SystemError) in
                        SharedFD(try overlay.mount(lowerDescriptors: lowers))
                    })
            } else {
                plan.rootfs = .overlay(overlay)
            }
        }
        guard plan.rootfsMountPoint != "/" else {
            throw .invalid("root.path", "the host's root cannot be a container's rootfs")
        }
        if crossesNamespace { plan.rootfsMountPoint = reachableMountPoint(plan.rootfsMountPoint) }
    }

    /// Each layer as a detached mount that shows the container's ids: nothing is copied, nothing changes its owner.
    private func mappedLayers(_ overlay: OverlayRootfs) throws(RuntimeError) -> [SharedFD] {
        let users = plan.linux.uidMappings.map(IDMapping.init)
        let groups = plan.linux.gidMappings.map(IDMapping.init)
        return try kernel("map ids of layers") { () throws(SystemError) in
            let namespace = try makeMappingNamespace(users: users, groups: groups)
            var layers: [SharedFD] = []
            for path in overlay.lower {
                // A layer's own mount is as new as a copy would be.
                let layer = try ErofsLayer.isIndex(path) ? ErofsLayer.mount(path) : cloneMount(.cwd, path)
                try setMountAttributes(layer.fd, set: .idMapped, userNamespace: namespace.fd)
                layers.append(SharedFD(layer))
            }
            return layers
        }
    }

    /// The container's root must be able to walk to the place where its rootfs is attached; where it cannot, any
    /// directory that everybody can reach serves: the place is visible only in the new mount namespace, until pivot_root.
    private func reachableMountPoint(_ path: String) -> String {
        var current = ""
        for part in path.split(separator: "/") {
            current += "/" + part
            guard let info = try? FD.cwd.status(of: current, follow: true), info.st_mode & 0o001 != 0 else {
                return ["/mnt", "/media", "/srv", "/tmp"].first { FD.cwd.exists($0) } ?? "/tmp"
            }
        }
        return path
    }

    /// The path without links, by which the mount point is opened again in the new namespace.
    private func realPath(_ directory: FD, _ path: String) throws(SystemError) -> String {
        if path.utf8.first == UInt8(ascii: "/"), (try? FD.cwd.open(path, [.path], resolve: .noSymlinks)) != nil { return cleanPath(path) }
        return try FD.cwd.readLink(directory.procPath)
    }

    private mutating func openBindSources() throws(RuntimeError) {
        let crossesNamespace = plan.inUserNamespace && isPrivileged
        for (index, mount) in plan.mounts.enumerated() {
            let options = MountOptions(mount.options)
            guard options.bind || mount.type == "bind" else {
                if options.byCreator, isPrivileged { plan.bindSources[index] = try mounted(mount, options) }
                continue
            }
            let idmapped = options.idmap || !mount.uidMappings.isEmpty || !mount.gidMappings.isEmpty
            let source = BindSource(plan.hostPath(mount.source), options, entersUserNamespace: request.mountsAreForeign)
            guard idmapped || crossesNamespace || source.isForeign else { continue }
            let namespace = idmapped ? try mappingNamespace(mount) : nil
            let copy: SharedFD = try kernel("open mount source \"\(mount.source)\"") { () throws(SystemError) in
                SharedFD(try source.clone())
            }
            if let namespace { try map(copy, mount, options, namespace) }
            plan.bindSources[index] = copy
        }
    }

    /// A file system that is mounted here because it needs what only we have: our network, our privileges.
    private mutating func mounted(_ mount: Mount, _ options: MountOptions) throws(RuntimeError) -> SharedFD {
        let mapping = options.idmap ? try mappingNamespace(mount) : nil
        return try kernel("mount \(mount.type) \"\(mount.source)\"") { () throws(SystemError) in
            SharedFD(try FileSystemMount(mount: mount, options: options, mapping: mapping).make())
        }
    }

    private func map(
        _ copy: SharedFD, _ mount: Mount, _ options: MountOptions, _ namespace: SharedFD
    ) throws(RuntimeError) {
        do throws(SystemError) {
            try setMountAttributes(
                copy.fd, set: .idMapped, recursive: options.recursiveIdmap, userNamespace: namespace.fd)
        } catch {
            guard error.errno == .invalid else { throw RuntimeError(error) }
            throw RuntimeError(
                .unsupported, "map ids of mount source", mount.source,
                cause: "its file system or this kernel has no idmapped mounts; put it on ext4, xfs, btrfs or tmpfs, or "
                    + "use the host's ids")
        }
    }

    /// A user namespace with the mount's mapping, or the container's when the mount has none of its own.
    private mutating func mappingNamespace(_ mount: Mount) throws(RuntimeError) -> SharedFD {
        let users = mount.uidMappings.isEmpty ? plan.linux.uidMappings : mount.uidMappings
        let groups = mount.gidMappings.isEmpty ? plan.linux.gidMappings : mount.gidMappings
        guard !users.isEmpty, !groups.isEmpty else {
            throw .invalid("mounts", "\"\(mount.destination)\" asks for idmap but there are no id mappings")
        }
        if let known = mapped.first(where: { $0.users == users && $0.groups == groups }) { return known.namespace }
        let namespace = try kernel("make id mapping") { () throws(SystemError) in
            try makeMappingNamespace(users: users.map(IDMapping.init), groups: groups.map(IDMapping.init))
        }
        mapped.append((users, groups, namespace))
        return namespace
    }
}
