import CLinux
import Glibc
import Linux
import OCI

/// The container's `/dev`: the nodes every container has, those of `linux.devices`, and the usual links.
///
/// Spec: runtime-spec config-linux.md "Default Devices", "Devices"; runtime-linux.md "Dev symbolic links".
struct DeviceNodes {
    let root: RootfsPath
    let plan: InitPlan

    /// Nodes that are made whether config.json names them or not.
    static let standard: [LinuxDevice] = [
        node("/dev/null", 1, 3), node("/dev/zero", 1, 5), node("/dev/full", 1, 7), node("/dev/random", 1, 8),
        node("/dev/urandom", 1, 9), node("/dev/tty", 5, 0),
    ]

    private static func node(_ path: String, _ major: Int64, _ minor: Int64) -> LinuxDevice {
        LinuxDevice(path: path, type: "c", major: major, minor: minor, fileMode: 0o666, uid: 0, gid: 0)
    }

    func create() throws(RuntimeError) {
        // The mode of a node must not depend on the caller's umask.
        let umask = cl_umask(0)
        defer { _ = cl_umask(umask) }
        for device in Self.standard where !plan.linux.devices.contains(where: { $0.path == device.path }) {
            try make(device)
        }
        for device in plan.linux.devices { try make(device) }
        try makeLinks()
    }

    private func make(_ device: LinuxDevice) throws(RuntimeError) {
        let (parentPath, name) = splitLast(cleanPath(device.path))
        guard !name.isEmpty else { throw .invalid("linux.devices", "\"\(device.path)\" names no node") }
        let kind: UInt32
        switch device.type {
        case "c", "u": kind = S_IFCHR
        case "b": kind = S_IFBLK
        case "p": kind = S_IFIFO
        default: throw .invalid("linux.devices", "unknown type \"\(device.type)\" of \"\(device.path)\"")
        }
        guard let major = UInt32(exactly: device.major), let minor = UInt32(exactly: device.minor) else {
            throw .invalid("linux.devices", "numbers of \"\(device.path)\" are out of range")
        }
        let number = kind == S_IFIFO ? 0 : cl_makedev(major, minor)
        try kernel("make device \"\(device.path)\"") { () throws(SystemError) in
            let parent = try root.makeTarget(parentPath, .directory)
            if plan.bindsDevices, kind != S_IFIFO {
                try bind(device.path, kind, number, parent.fd, name)
                return
            }
            let made = cl_mknodat(parent.raw, name, kind | (device.fileMode ?? 0o666) & 0o7777, number)
            if made == -EPERM, kind != S_IFIFO {
                try bind(device.path, kind, number, parent.fd, name)  // we are in somebody's container ourselves
                return
            }
            if made == -EEXIST {
                let present = try parent.fd.status(of: name)
                guard present.st_mode & S_IFMT == kind, present.st_rdev == number else {
                    throw SystemError(.exists, "make device", device.path)
                }
            } else {
                try check(made, "make device", device.path)
            }
            try check(
                cl_fchownat(parent.raw, name, device.uid ?? 0, device.gid ?? 0, AT_SYMLINK_NOFOLLOW), "change owner")
        }
    }

    /// In a user namespace nodes cannot be made: the host's node is bound over an empty file, after checking that it is
    /// the device it should be.
    private func bind(_ path: String, _ kind: UInt32, _ number: UInt64, _ parent: FD, _ name: String) throws(SystemError) {
        let source = try FD.cwd.open(path, [.path, .noFollow])
        let info = try source.fd.status()
        guard info.st_mode & S_IFMT == kind, info.st_rdev == number else {
            throw SystemError(.noDevice, "use host device", path)
        }
        let file = try parent.open(name, [.writeOnly, .create, .noFollow, .nonBlocking], mode: 0o644)
        let copy = try cloneMount(source.fd)
        try moveMount(copy.fd, to: file.fd)
    }

    private func makeLinks() throws(RuntimeError) {
        try kernel("make links in /dev") { () throws(SystemError) in
            let dev = try root.makeTarget("/dev", .directory)
            let links: [(String, String)] = [
                ("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"),
                ("stderr", "/proc/self/fd/2"), ("core", "/proc/kcore"), ("ptmx", "pts/ptmx"),
            ]
            for (name, target) in links {
                if name == "ptmx" { _ = cl_unlinkat(dev.raw, name, 0) }
                let made = cl_symlinkat(target, dev.raw, name)
                if made != -EEXIST { try check(made, "make symbolic link", "/dev/" + name) }
            }
        }
    }
}
