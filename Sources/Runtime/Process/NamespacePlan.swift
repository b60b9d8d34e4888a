import CLinux
import Linux
import OCI

/// The kinds of namespaces, with their clone flag and their name in `/proc/PID/ns`.
enum NamespaceKind: UInt64, CaseIterable {
    // In the order in which they are joined: the user namespace first, it grants the right to join the others.
    case user = 0x1000_0000
    case cgroup = 0x0200_0000
    case ipc = 0x0800_0000
    case uts = 0x0400_0000
    case network = 0x4000_0000
    case pid = 0x2000_0000
    case mount = 0x0002_0000
    case time = 0x0000_0080

    /// The name in config.json.
    var specName: String {
        switch self {
        case .user: return "user"
        case .cgroup: return "cgroup"
        case .ipc: return "ipc"
        case .uts: return "uts"
        case .network: return "network"
        case .pid: return "pid"
        case .mount: return "mount"
        case .time: return "time"
        }
    }

    /// The file in `/proc/PID/ns`.
    var file: String {
        switch self {
        case .network: return "net"
        case .mount: return "mnt"
        default: return specName
        }
    }
}

/// Which namespaces are made and which are joined.
///
/// Spec: runtime-spec config-linux.md "Namespaces".
struct NamespacePlan {
    private(set) var made: UInt64 = 0
    private(set) var joined: [(kind: NamespaceKind, descriptor: SharedFD)] = []

    /// Opens the paths that are to be joined and checks each for its type.
    /// - Throws: `.invalid` for an unknown type, a duplicate, or a path that is not such a namespace.
    init(_ namespaces: [LinuxNamespace]) throws(RuntimeError) {
        var seen: UInt64 = 0
        for entry in namespaces {
            guard let kind = NamespaceKind.allCases.first(where: { $0.specName == entry.type }) else {
                throw .invalid("linux.namespaces", "unknown type \"\(entry.type)\"")
            }
            guard seen & kind.rawValue == 0 else {
                throw .invalid("linux.namespaces", "\"\(entry.type)\" is given twice")
            }
            seen |= kind.rawValue
            if entry.path.isEmpty {
                made |= kind.rawValue
                continue
            }
            let descriptor = try kernel("join \(entry.type) namespace") { () throws(SystemError) in
                let file = try FD.cwd.open(entry.path, .readOnly)
                // NS_GET_NSTYPE: a file of another kind would be joined silently otherwise.
                let type = try check(cl_ioctl(file.raw, 0xb703, 0), "query namespace type", entry.path)
                if UInt64(UInt32(bitPattern: type)) != kind.rawValue { throw SystemError(.invalid, "join namespace", entry.path) }
                return SharedFD(file)
            }
            joined.append((kind, descriptor))
        }
        let order = NamespaceKind.allCases
        joined.sort { order.firstIndex(of: $0.kind) ?? 0 < order.firstIndex(of: $1.kind) ?? 0 }
    }

    func isNew(_ kind: NamespaceKind) -> Bool { made & kind.rawValue != 0 }
    func joins(_ kind: NamespaceKind) -> Bool { joined.contains { $0.kind == kind } }
    /// Neither made nor joined: the caller's, which for most kinds is the host's.
    func isHost(_ kind: NamespaceKind) -> Bool { !isNew(kind) && !joins(kind) }

    /// What clone3 makes. The cgroup namespace waits until the process is in its cgroup, the time namespace until its
    /// offsets are written: both take what they find at the moment they are made.
    var cloneFlags: UInt64 { made & ~(NamespaceKind.cgroup.rawValue | NamespaceKind.time.rawValue) }

    /// Enters the joined namespaces, for this process and (pid) its children.
    func join() throws(SystemError) {
        for entry in joined {
            try check(
                cl_setns(entry.descriptor.raw, Int32(truncatingIfNeeded: entry.kind.rawValue)), "join \(entry.kind.specName) namespace")
        }
    }
}
