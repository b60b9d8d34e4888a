/// An overlay of image layers with a writable layer on top.
public struct OverlayRootfs: Sendable {
    /// Read-only layers, top first: directories, and indexes that ``ErofsLayer`` mounts.
    public var lower: [String]
    /// The writable layer and overlay's scratch directory, on one file system; empty for an overlay that nobody writes to.
    public var upper: String
    public var work: String
    /// Whiteouts and opaque marks are `user.overlay.*` attributes: mounts made in a user namespace.
    public var userXattr: Bool
    /// Skip syncing the upper layer at unmount: for containers that are removed when they end. Linux 5.10.
    public var volatile: Bool
    /// The layers hold the ids of the caller's namespace and are shown with those of the container's own mapping
    /// (idmapped mounts, Linux 5.19 for overlay). The upper layer belongs to the container's ids already.
    public var idMapped = false

    public init(lower: [String], upper: String, work: String, userXattr: Bool = false, volatile: Bool = false) {
        self.lower = lower
        self.upper = upper
        self.work = work
        self.userXattr = userXattr
        self.volatile = volatile
    }

    /// A detached mount of the overlay.
    ///
    /// `lowerdir+` (Linux 6.7) takes one path a call: no escaping of colons and no limit of one page for 500 layers.
    /// - Parameter lowerDescriptors: the lower directories already open (id-mapped ones), instead of `lower`.
    public func mount(lowerDescriptors: [SharedFD] = [], attributes: MountAttributes = []) throws(SystemError) -> OwnedFD {
        // Opened here and closed after: the overlay holds the mounts it stands on.
        let layers =
            try lowerDescriptors.isEmpty
            ? ErofsLayer.open(lower) : (paths: lowerDescriptors.map(\.fd.procPath), mounts: lowerDescriptors)
        defer { withExtendedLifetime(layers.mounts) {} }
        let paths = layers.paths
        do throws(SystemError) { return try mount(paths, attributes, oneByOne: true) } catch {
            guard error.errno == .invalid else { throw error }
            return try mount(paths, attributes, oneByOne: false)
        }
    }

    private func mount(_ paths: [String], _ attributes: MountAttributes, oneByOne: Bool) throws(SystemError) -> OwnedFD {
        let context = try FileSystemContext("overlay")
        try context.set("source", "overlay")
        if oneByOne {
            for path in paths { try context.set("lowerdir+", path) }
        } else {
            try context.set("lowerdir", paths.map(Self.escaped).joined(separator: ":"))
        }
        if !upper.isEmpty {
            try context.set("upperdir", upper)
            try context.set("workdir", work)
        }
        if userXattr { try context.set(flag: "userxattr") }
        if volatile { try context.set(flag: "volatile") }
        return try context.mount(attributes: attributes)
    }

    /// Colons and backslashes separate and escape in the `lowerdir` list (overlayfs.rst).
    static func escaped(_ path: String) -> String {
        var out: [UInt8] = []
        for byte in path.utf8 {
            if byte == UInt8(ascii: ":") || byte == UInt8(ascii: "\\") { out.append(UInt8(ascii: "\\")) }
            out.append(byte)
        }
        return String(decoding: out, as: UTF8.self)
    }
}
