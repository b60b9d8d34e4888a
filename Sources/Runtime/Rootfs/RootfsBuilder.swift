import CLinux
import Glibc
import Linux
import OCI

/// Builds the container's file system from inside its new mount namespace, up to and including pivot_root.
///
/// Runs in the container's first process while the host's tree is still its root. Every target is an open descriptor
/// inside the rootfs; nothing is addressed by a joined path.
struct RootfsBuilder: ~Copyable {
    let plan: InitPlan
    var root: RootfsPath
    /// Keeps the descriptor behind `root` open.
    private let rootDescriptor: OwnedFD
    /// A procfs of the container's pid namespace that nothing can be mounted over before we are done with it.
    private(set) var procfs: SharedFD?
    /// Mounts that become read-only only when everything below them is in place.
    private var laterReadOnly: [SharedFD] = []

    var linux: LinuxSpec { plan.linux }

    /// Attaches the rootfs as a mount of its own, so that it can become the root.
    ///
    /// Order: propagation of the whole tree first, or our mounts would appear on the host.
    init(_ plan: InitPlan) throws(RuntimeError) {
        self.plan = plan
        let propagation = plan.rootfsPropagation ?? (.slave, true)
        try kernel { () throws(SystemError) in
            try setPropagation("/", propagation.kind, recursive: propagation.recursive)
        }
        // Recursively private or slave: no mount is shared any more. Otherwise the one above the rootfs may be.
        let settled = propagation.recursive && (propagation.kind == .slave || propagation.kind == .private)
        rootDescriptor = try Self.attachRoot(plan, mayBeShared: !settled)
        root = RootfsPath(root: rootDescriptor.fd)
    }

    static func attachRoot(_ plan: InitPlan, mayBeShared: Bool) throws(RuntimeError) -> OwnedFD {
        try kernel("prepare rootfs") { () throws(SystemError) in
            let place = try FD.cwd.open(plan.rootfsMountPoint, [.path, .directory])
            if mayBeShared { try makeParentPrivate(of: plan.rootfsMountPoint) }
            let mount: OwnedFD
            switch plan.rootfs {
            case .directory:
                mount = try cloneMount(place.fd, recursive: true)
            case .mounted(let detached):
                mount = try detached.fd.duplicate()
            case .overlay(let overlay):
                mount = try overlay.mount()
            }
            try moveMount(mount.fd, to: place.fd)
            // The descriptor of the detached mount stays valid and now names the attached root.
            return mount
        }
    }

    /// pivot_root(2) refuses a new root whose parent mount is shared.
    private static func makeParentPrivate(of path: String) throws(SystemError) {
        let text = try FD.cwd.readText("/proc/self/mountinfo", limit: 64 << 20)
        var best = "/"
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 5 else { continue }
            let point = String(fields[4])
            if point.utf8.count > best.utf8.count, path == point || path.hasPrefix(point + "/") { best = point }
        }
        try setPropagation(best, .private, recursive: false)
    }

    /// Everything between the attached rootfs and the hooks: mounts in the order of config.json, then `/dev`.
    mutating func buildMounts() throws(RuntimeError) {
        for (index, mount) in plan.mounts.enumerated() {
            do throws(RuntimeError) { try attach(mount, index) } catch {
                throw RuntimeError(error.code, "mount \"\(mount.source)\" on", mount.destination, cause: error.description)
            }
        }
        if plan.makesDevices { try DeviceNodes(root: root, plan: plan).create() }
    }

    /// Writes `linux.sysctl` while procfs is still writable and before anything is mounted over it.
    mutating func writeSysctls() throws(RuntimeError) {
        if linux.sysctl.isEmpty { return }
        let proc = try privateProcfs()
        for (key, value) in linux.sysctl {
            var path: [UInt8] = Array("sys/".utf8)
            for byte in key.utf8 { path.append(byte == UInt8(ascii: ".") ? UInt8(ascii: "/") : byte) }
            let name = String(decoding: path, as: UTF8.self)
            try kernel("set sysctl \(key)") { () throws(SystemError) in
                let file = try proc.fd.open(name, .writeOnly, resolve: [.beneath, .noMagicLinks])
                try file.fd.writeOnce(value, to: key)
            }
        }
    }

    /// The procfs used for our own writes: never a path inside the container (CVE-2025-52881).
    mutating func privateProcfs() throws(RuntimeError) -> SharedFD {
        if let procfs { return procfs }
        let made = try kernel("open procfs") { () throws(SystemError) in
            do throws(SystemError) {
                let context = try FileSystemContext("proc")
                return SharedFD(try context.mount(attributes: [.noSetuid, .noDevices, .noExecute]))
            } catch {
                // In a user namespace without a pid namespace of its own: the host's, while it still is our root's.
                guard error.errno == .notPermitted else { throw error }
                let host = try FD.cwd.open("/proc", [.path, .directory, .noFollow])
                guard try host.fd.fileSystemType() == 0x9fa0 else { throw error }
                return SharedFD(host)
            }
        }
        procfs = made
        return made
    }

    /// Makes the built tree the root of this process and lets go of the host's.
    func enter() throws(RuntimeError) {
        try kernel("enter rootfs") { () throws(SystemError) in
            if !plan.newMountNamespace {
                try check(cl_fchdir(root.root.rawValue), "change directory")
                try check(cl_chroot("."), "change root")
                return
            }
            try check(cl_fchdir(root.root.rawValue), "change directory")
            if plan.noPivot {
                try moveRoot()
            } else {
                let host = try FD.cwd.open("/", [.path, .directory])
                // pivot_root(".", ".") stacks the old root on top of the new one (pivot_root(2), "Notes").
                try check(cl_pivot_root(".", "."), "pivot root")
                // "." is the new root still. Without this a shared old root would take the host's mounts down with it.
                try check(cl_fchdir(host.raw), "change directory")
                try setPropagation(".", .slave, recursive: true)
                try detachMount(".")
            }
            try check(cl_chdir("/"), "change directory", "/")
            // Only now: pivot_root refuses a shared new root.
            if let propagation = plan.rootfsPropagation {
                try setPropagation("/", propagation.kind, recursive: propagation.recursive)
            }
        }
    }

    /// For hosts whose root is a ramfs (`--no-pivot`).
    private func moveRoot() throws(SystemError) {
        try check(cl_mount(".", "/", nil, 8192 /* MS_MOVE */, nil), "move root")
        try check(cl_chroot("."), "change root")
    }

    /// The last changes: read-only root, masked and read-only paths.
    ///
    /// After the hooks, which may still write; by descriptors, so before or after pivot makes no difference.
    func restrict() throws(RuntimeError) {
        if !plan.newMountNamespace { return }
        for path in linux.readonlyPaths { try makeReadOnly(path) }
        try PathMask(root: root, plan: plan).apply(linux.maskedPaths)
        try kernel("restrict rootfs") { () throws(SystemError) in
            for mount in laterReadOnly { try setMountAttributes(mount.fd, set: .readOnly) }
            if plan.spec.root?.readonly == true { try setMountAttributes(root.root, set: .readOnly) }
        }
    }

    /// A path that does not exist needs no protection.
    private func makeReadOnly(_ path: String) throws(RuntimeError) {
        try kernel("make read-only") { () throws(SystemError) in
            let target: OwnedFD
            do throws(SystemError) { target = try root.open(path) } catch {
                if error.errno == .noEntry || error.errno == .notDirectory { return }
                throw error
            }
            let copy = try cloneMount(target.fd, recursive: true)
            try setMountAttributes(copy.fd, set: .readOnly, recursive: true)
            try moveMount(copy.fd, to: target.fd)
        }
    }

    mutating func keep(readOnly mount: SharedFD) { laterReadOnly.append(mount) }

    mutating func keep(procfs descriptor: SharedFD) { procfs = descriptor }
}
