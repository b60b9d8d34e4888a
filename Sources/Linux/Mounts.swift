import CLinux
import Glibc

/// Attributes of a mount, as `mount_setattr(2)` knows them.
public struct MountAttributes: OptionSet, Hashable, Sendable {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }
    public static let readOnly = MountAttributes(rawValue: 0x01)
    public static let noSetuid = MountAttributes(rawValue: 0x02)
    public static let noDevices = MountAttributes(rawValue: 0x04)
    public static let noExecute = MountAttributes(rawValue: 0x08)
    public static let noAccessTime = MountAttributes(rawValue: 0x10)
    public static let strictAccessTime = MountAttributes(rawValue: 0x20)
    public static let noDirectoryAccessTime = MountAttributes(rawValue: 0x80)
    public static let noSymbolicLinks = MountAttributes(rawValue: 0x20_0000)
    public static let idMapped = MountAttributes(rawValue: 0x10_0000)
    /// The mask of the access-time field: a change of access time clears it first.
    public static let accessTimeMask = MountAttributes(rawValue: 0x70)
}

/// Propagation of mount events between peer mounts (`mount_namespaces(7)`).
public enum Propagation: UInt64, Sendable {
    case unbindable = 0x20000  // MS_UNBINDABLE
    case `private` = 0x40000  // MS_PRIVATE
    case slave = 0x80000  // MS_SLAVE
    case shared = 0x100000  // MS_SHARED
}

/// A file system being configured: `fsopen(2)`, then options, then ``mount(attributes:)``. Linux 5.2.
public struct FileSystemContext: ~Copyable {
    private let context: OwnedFD
    private let type: String

    /// - Parameter type: a name of `/proc/filesystems`.
    public init(_ type: String) throws(SystemError) {
        context = OwnedFD(owning: try check(cl_fsopen(type, 1 /* FSOPEN_CLOEXEC */), "open file system", type))
        self.type = type
    }

    /// Sets `key=value`. The C function is `fsconfig(2)` with FSCONFIG_SET_STRING.
    public func set(_ key: String, _ value: String) throws(SystemError) {
        try check(cl_fsconfig(context.raw, 1, key, value, 0), "set option of \(type)", "\(key)=\(value)")
    }

    /// Sets an option that has no value. The C function is `fsconfig(2)` with FSCONFIG_SET_FLAG.
    public func set(flag: String) throws(SystemError) {
        try check(cl_fsconfig(context.raw, 0, flag, nil, 0), "set option of \(type)", flag)
    }

    /// Sets an option to an open file. The C function is `fsconfig(2)` with FSCONFIG_SET_FD.
    public func set(_ key: String, descriptor: FD) throws(SystemError) {
        try check(cl_fsconfig(context.raw, 5, key, nil, descriptor.rawValue), "set option of \(type)", key)
    }

    /// Creates the superblock and a detached mount of it.
    /// - Returns: a mount that is in no namespace yet: ``moveMount(_:to:)`` attaches it, closing it unmounts it.
    public func mount(attributes: MountAttributes = []) throws(SystemError) -> OwnedFD {
        let created = cl_fsconfig(context.raw, 6 /* FSCONFIG_CMD_CREATE */, nil, nil, 0)
        if created < 0 { throw SystemError(Errno(rawValue: -created), "create file system", diagnosis()) }
        return OwnedFD(
            owning: try check(
                cl_fsmount(context.raw, 1 /* FSMOUNT_CLOEXEC */, UInt32(truncatingIfNeeded: attributes.rawValue)),
                "mount file system", type))
    }

    /// The kernel's own words about the last failure, which it keeps in the context.
    private func diagnosis() -> String {
        var buffer = [UInt8](repeating: 0, count: 512)
        let count = buffer.withUnsafeMutableBytes { cl_read(context.raw, $0.baseAddress, $0.count) }
        guard count > 2 else { return type }
        return type + ": " + String(decoding: buffer[2..<count], as: UTF8.self).filter { $0 != "\n" }
    }
}

/// A detached copy of the mount that holds `path` (`open_tree(2)`, OPEN_TREE_CLONE). Needs CAP_SYS_ADMIN.
/// - Parameters:
///   - directory: where `path` starts; an empty path means the descriptor itself.
///   - recursive: take the mounts below along.
public func cloneMount(
    _ directory: FD, _ path: String = "", recursive: Bool = false, follow: Bool = true
) throws(SystemError) -> OwnedFD {
    var flags: UInt32 = 1 | 0o2000000  // OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC
    if path.isEmpty { flags |= 0x1000 }  // AT_EMPTY_PATH
    if recursive { flags |= 0x8000 }  // AT_RECURSIVE
    if !follow { flags |= 0x100 }  // AT_SYMLINK_NOFOLLOW
    return OwnedFD(owning: try check(cl_open_tree(directory.rawValue, path, flags), "clone mount", path))
}

/// Attaches a detached mount on an open file or directory. The C function is `move_mount(2)`.
public func moveMount(_ mount: FD, to target: FD) throws(SystemError) {
    // MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH: both ends are descriptors, nothing is resolved again.
    try check(cl_move_mount(mount.rawValue, "", target.rawValue, "", 0x4 | 0x40), "attach mount")
}

/// Changes attributes or propagation of a mount. The C function is `mount_setattr(2)`, Linux 5.12.
/// - Parameter userNamespace: with `.idMapped` in `set`: whose id mapping the mount shall show.
public func setMountAttributes(
    _ mount: FD, set: MountAttributes = [], clear: MountAttributes = [], propagation: Propagation? = nil,
    recursive: Bool = false, userNamespace: FD? = nil
) throws(SystemError) {
    try check(
        cl_mount_setattr(
            mount.rawValue, "", recursive ? 0x1000 | 0x8000 : 0x1000, set.rawValue, clear.rawValue,
            propagation?.rawValue ?? 0, userNamespace.map { UInt64(UInt32(bitPattern: $0.rawValue)) } ?? 0),
        "set mount attributes")
}

/// Changes the propagation of a mount by path. For `/` at the start of a new mount namespace.
public func setPropagation(_ path: String, _ propagation: Propagation, recursive: Bool) throws(SystemError) {
    let flags = UInt(propagation.rawValue) | (recursive ? 16384 /* MS_REC */ : 0)
    try check(cl_mount(nil, path, nil, flags, nil), "set propagation", path)
}

/// Lazily detaches a mount (MNT_DETACH). The C function is `umount2(2)`.
public func detachMount(_ path: String) throws(SystemError) {
    try check(cl_umount2(path, 2), "unmount", path)
}
