import Linux
import OCI

/// The options of one entry of `mounts`, sorted by who consumes them: the VFS, the propagation, the file system.
///
/// Spec: runtime-spec config.md "Mounts", "Linux mount options"; the names are mount(8)'s.
struct MountOptions {
    var set: MountAttributes = []
    var clear: MountAttributes = []
    var recursiveSet: MountAttributes = []
    var recursiveClear: MountAttributes = []
    /// Applied in this order after the mount is in place.
    var propagation: [(kind: Propagation, recursive: Bool)] = []
    /// Given to the file system as they are: `mode=755`, `size=64m`…
    var data: [String] = []
    var bind = false
    var recursiveBind = false
    var idmap = false
    var recursiveIdmap = false
    /// Copy what the image has at the target into a fresh tmpfs (runc's extension `tmpcopyup`).
    var copyUp = false
    /// Binds: a path below the source that is mounted instead of it, and never leads out of it (our extension).
    var subpath = ""
    /// A directory of the container that the destination, which begins with it, does not lead out of (our extension).
    var base = ""
    /// Mounted by the creator, with its privileges and in its network, not from inside the container (our extension).
    var byCreator = false
    /// Superblock flags for file systems that are not binds: name as fsconfig(2) wants it.
    var superblockFlags: [String] = []

    /// - Throws: `.invalid` for options that contradict the mount type.
    init(_ options: [String]) {
        for option in options { add(option) }
    }

    /// Everything that mounting changes on the mount itself, before it becomes visible.
    func apply(to mount: FD) throws(SystemError) {
        if !set.isEmpty || !clear.isEmpty { try setMountAttributes(mount, set: set, clear: clear) }
        if !recursiveSet.isEmpty || !recursiveClear.isEmpty {
            try setMountAttributes(mount, set: recursiveSet, clear: recursiveClear, recursive: true)
        }
    }

    fileprivate static let attributes: [(name: StaticString, set: MountAttributes, clear: MountAttributes)] = [
        ("ro", .readOnly, []), ("rw", [], .readOnly),
        ("nosuid", .noSetuid, []), ("suid", [], .noSetuid),
        ("nodev", .noDevices, []), ("dev", [], .noDevices),
        ("noexec", .noExecute, []), ("exec", [], .noExecute),
        ("noatime", .noAccessTime, .accessTimeMask), ("atime", [], .accessTimeMask),
        ("relatime", [], .accessTimeMask), ("norelatime", [], []),
        ("strictatime", .strictAccessTime, .accessTimeMask), ("nostrictatime", [], .accessTimeMask),
        ("nodiratime", .noDirectoryAccessTime, []), ("diratime", [], .noDirectoryAccessTime),
        ("nosymfollow", .noSymbolicLinks, []), ("symfollow", [], .noSymbolicLinks),
    ]

    fileprivate static let propagations: [(name: StaticString, kind: Propagation, recursive: Bool)] = [
        ("private", .private, false), ("rprivate", .private, true),
        ("shared", .shared, false), ("rshared", .shared, true),
        ("slave", .slave, false), ("rslave", .slave, true),
        ("unbindable", .unbindable, false), ("runbindable", .unbindable, true),
    ]

    private mutating func add(_ option: String) {
        switch option {
        case "bind": bind = true
        case "rbind":
            bind = true
            recursiveBind = true
        case "idmap": idmap = true
        case "ridmap":
            idmap = true
            recursiveIdmap = true
        case "tmpcopyup": copyUp = true
        case "creatormount": byCreator = true
        case "defaults", "": break
        case "sync", "dirsync", "lazytime", "mand": superblockFlags.append(option)
        case "async", "nolazytime", "nomand", "silent", "loud", "iversion", "noiversion", "acl", "noacl", "remount": break
        default: addNamed(option)
        }
    }

    private mutating func addNamed(_ option: String) {
        for known in Self.attributes where known.name.matches(option) {
            // A later option wins over an earlier one, as in mount(8).
            clear.formUnion(known.clear)
            set.subtract(known.clear)
            clear.subtract(known.set.subtracting(.accessTimeMask))
            set.formUnion(known.set)
            return
        }
        if option.utf8.first == UInt8(ascii: "r") {
            let plain = option.dropFirst()
            for known in Self.attributes where known.name.matches(plain) {
                recursiveClear.formUnion(known.clear)
                recursiveSet.subtract(known.clear)
                recursiveClear.subtract(known.set.subtracting(.accessTimeMask))
                recursiveSet.formUnion(known.set)
                return
            }
        }
        for known in Self.propagations where known.name.matches(option) {
            propagation.append((known.kind, known.recursive))
            return
        }
        if option.utf8.starts(with: "subpath=".utf8) {
            subpath = String(option.dropFirst(8))
            return
        }
        if option.utf8.starts(with: "base=".utf8) {
            base = String(option.dropFirst(5))
            return
        }
        data.append(option)
    }
}

extension StaticString {
    /// Byte equality without building a String.
    func matches(_ other: some StringProtocol) -> Bool {
        var rest = other.utf8.makeIterator()
        for i in 0..<utf8CodeUnitCount where rest.next() != utf8Start[i] { return false }
        return rest.next() == nil
    }
}

/// The options a mount may have, for the document of `features`.
public enum MountOptionNames {
    public static var all: [String] {
        var names = ["bind", "rbind", "defaults", "idmap", "ridmap", "tmpcopyup", "sync", "async", "dirsync", "lazytime", "remount"]
        for known in MountOptions.attributes {
            names.append("\(known.name)")
            names.append("r\(known.name)")
        }
        names += MountOptions.propagations.map { "\($0.name)" }
        return names.sorted()
    }
}
