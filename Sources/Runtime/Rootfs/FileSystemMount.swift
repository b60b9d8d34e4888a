import Linux
import OCI

/// A mount of a file system that is no bind, from an entry of `mounts` to a detached mount.
struct FileSystemMount {
    let mount: Mount
    let options: MountOptions
    /// SELinux context for file systems that take one; empty for none.
    var label = ""
    /// Of an overlay: whose ids its layers show.
    var mapping: SharedFD?

    func make() throws(SystemError) -> OwnedFD {
        if mount.type == "overlay", let overlay = OverlayLayers(options.data) { return try overlay.mount(options, mapping) }
        let context = try FileSystemContext(mount.type)
        if !mount.source.isEmpty { try context.set("source", mount.source) }
        if !label.isEmpty, takesLabel { try context.set("context", label) }
        for flag in options.superblockFlags { try context.set(flag: flag) }
        for option in options.data {
            if let equals = option.utf8.firstIndex(of: UInt8(ascii: "=")) {
                try context.set(String(option[..<equals]), String(option[option.utf8.index(after: equals)...]))
            } else {
                try context.set(flag: option)
            }
        }
        return try context.mount(attributes: options.set.subtracting(.readOnly))
    }

    private var takesLabel: Bool { mount.type == "tmpfs" || mount.type == "devpts" || mount.type == "mqueue" }
}

/// An overlay whose layers stand in the options one by one (`lowerdir+=`, our extension: a layer may be an index that
/// `ErofsLayer` mounts, and no path is too long for an option).
private struct OverlayLayers {
    private var lower: [String] = []
    /// Those among them that have the container's ids already (`ownlayer+=`).
    private var own: Set<String> = []
    private var upper = ""
    private var work = ""
    private var userXattr = false

    /// - Returns: nil for an overlay in the kernel's own words.
    init?(_ data: [String]) {
        for option in data {
            if let value = OverlayLayers.value(option, "lowerdir+=") { lower.append(value) }
            if let value = OverlayLayers.value(option, "ownlayer+=") {
                lower.append(value)
                own.insert(value)
            }
            if let value = OverlayLayers.value(option, "upperdir=") { upper = value }
            if let value = OverlayLayers.value(option, "workdir=") { work = value }
            if option == "userxattr" { userXattr = true }
        }
        if lower.isEmpty { return nil }
    }

    private static func value(_ option: String, _ key: String) -> String? {
        option.utf8.starts(with: key.utf8) ? String(option.utf8.dropFirst(key.utf8.count)) : nil
    }

    /// Named by descriptors, as an option has at most 255 bytes.
    func mount(_ options: MountOptions, _ mapping: SharedFD?) throws(SystemError) -> OwnedFD {
        var layers: [SharedFD] = []
        for path in lower {
            if let mapping, !own.contains(path) {
                // An index's own mount is as new as a copy of a directory's would be.
                let layer = try ErofsLayer.isIndex(path) ? ErofsLayer.mount(path) : cloneMount(.cwd, path)
                try setMountAttributes(layer.fd, set: .idMapped, userNamespace: mapping.fd)
                layers.append(SharedFD(layer))
                continue
            }
            layers.append(
                SharedFD(try ErofsLayer.isIndex(path) ? ErofsLayer.mount(path) : FD.cwd.open(path, [.path, .directory])))
        }
        var overlay = OverlayRootfs(lower: lower, upper: "", work: "", userXattr: userXattr)
        if upper.isEmpty { return try overlay.mount(lowerDescriptors: layers, attributes: options.set.subtracting(.readOnly)) }
        let (above, scratch) = (
            SharedFD(try FD.cwd.open(upper, [.path, .directory])), SharedFD(try FD.cwd.open(work, [.path, .directory]))
        )
        defer { withExtendedLifetime((above, scratch)) {} }
        overlay.upper = above.fd.procPath
        overlay.work = scratch.fd.procPath
        return try overlay.mount(lowerDescriptors: layers, attributes: options.set.subtracting(.readOnly))
    }
}
