import CLinux
import Glibc
import Linux
import OCI

extension RootfsBuilder {
    /// One entry of `mounts`.
    mutating func attach(_ mount: Mount, _ index: Int) throws(RuntimeError) {
        let options = MountOptions(mount.options)
        if !options.base.isEmpty { return try attach(mount, index, below: options.base) }
        try attach(mount, index, cleanPath(mount.destination), options)
    }

    /// With a directory of the container in place of its root.
    private mutating func attach(_ mount: Mount, _ index: Int, below base: String) throws(RuntimeError) {
        let (options, destination) = (MountOptions(mount.options), cleanPath(mount.destination))
        guard base != "/", destination.hasPrefix(cleanPath(base) + "/") else {
            throw .invalid("mounts", "\"\(destination)\" is not below its base \"\(base)\"")
        }
        let place = try kernel { () throws(SystemError) in try root.open(base, .directory) }
        let whole = root
        root = RootfsPath(root: place.fd)
        defer { root = whole }
        try attach(mount, index, String(destination.dropFirst(cleanPath(base).count)), options)
    }

    private mutating func attach(
        _ mount: Mount, _ index: Int, _ destination: String, _ options: MountOptions
    ) throws(RuntimeError) {
        guard destination != "/" else { throw .invalid("destination", "the root of the container cannot be mounted over") }
        try refuseUnderProc(destination, mount, options)
        if options.bind || mount.type == "bind" {
            try bind(mount, index, destination, options)
            return
        }
        if !options.subpath.isEmpty, mount.type != "overlay" {
            throw .invalid("mounts", "\"\(destination)\": only binds and overlays have a subpath")
        }
        switch mount.type {
        case "cgroup", "cgroup2":
            try CgroupMount(root: root, plan: plan).attach(destination, options)
        case "proc", "sysfs":
            try attachKernelFileSystem(mount, destination, options)
        case "tmpfs":
            try attachTemporary(mount, destination, options)
        default: try attachFileSystem(mount, index, destination, options)
        }
    }

    /// Nothing but procfs itself and a few files that lxcfs provides may be mounted under /proc: a fake `/proc/self`
    /// would redirect the runtime's and the kernel's security decisions (CVE-2019-19921, CVE-2025-52881).
    private func refuseUnderProc(_ destination: String, _ mount: Mount, _ options: MountOptions) throws(RuntimeError) {
        if destination == "/proc" {
            if mount.type == "proc" && !options.bind { return }
            if options.bind || mount.type == "bind", try isProcfs(mount.source) { return }
            throw .invalid("destination", "/proc can only hold a procfs")
        }
        guard destination.hasPrefix("/proc/") else { return }
        let allowed = [
            "cpuinfo", "diskstats", "meminfo", "stat", "swaps", "uptime", "loadavg", "slabinfo", "net/dev",
            "sys/kernel/ns_last_pid", "sys/crypto/fips_enabled",
        ]
        for name in allowed where destination == "/proc/" + name { return }
        throw .invalid("destination", "\"\(destination)\" cannot be mounted because it is inside /proc")
    }

    private func isProcfs(_ path: String) throws(RuntimeError) -> Bool {
        try kernel { () throws(SystemError) in
            let file = try FD.cwd.open(path, .path)
            let type = try file.fd.fileSystemType()
            let info = try file.fd.status()
            return type == 0x9fa0 && info.st_ino == 1
        }
    }

    private func bind(_ mount: Mount, _ index: Int, _ destination: String, _ options: MountOptions) throws(RuntimeError) {
        let source: SharedFD = try kernel { () throws(SystemError) in
            if let prepared = plan.bindSources[index] { return prepared }
            return SharedFD(try BindSource(plan.hostPath(mount.source), options).clone())
        }
        let isDirectory = try kernel { () throws(SystemError) in try source.fd.status().st_mode & S_IFMT == S_IFDIR }
        let target: SharedFD = try kernel { () throws(SystemError) in
            SharedFD(try root.makeTarget(destination, isDirectory ? .directory : .file))
        }
        if isDirectory { try copyUp(options, from: target, to: source) }
        try kernel { () throws(SystemError) in
            let targetIsDirectory = try target.fd.status().st_mode & S_IFMT == S_IFDIR
            if isDirectory != targetIsDirectory {
                throw SystemError(isDirectory ? .notDirectory : .isDirectory, "mount on", destination)
            }
            try options.apply(to: source.fd)
            try moveMount(source.fd, to: target.fd)
            try setPropagations(source.fd, options)
        }
    }

    private func setPropagations(_ mount: FD, _ options: MountOptions) throws(SystemError) {
        for entry in options.propagation {
            try setMountAttributes(mount, propagation: entry.kind, recursive: entry.recursive)
        }
    }

    /// A detached mount of a file system that is not a bind.
    private func fileSystem(_ mount: Mount, _ options: MountOptions) throws(RuntimeError) -> OwnedFD {
        try kernel { () throws(SystemError) in try FileSystemMount(mount: mount, options: options, label: linux.mountLabel).make() }
    }

    /// A file system as the container sees it, not one of the kernel's own: a volume, an image.
    private func attachFileSystem(_ mount: Mount, _ index: Int, _ destination: String, _ options: MountOptions) throws(RuntimeError) {
        let target: SharedFD = try kernel { () throws(SystemError) in SharedFD(try root.makeTarget(destination, .directory)) }
        let detached: SharedFD
        if let prepared = plan.bindSources[index] {
            detached = prepared
        } else {
            detached = SharedFD(try fileSystem(mount, options))
        }
        try copyUp(options, from: target, to: detached)
        if options.subpath.isEmpty { return try finish(detached.fd, on: target.fd, options) }
        try kernel("mount subpath") { () throws(SystemError) in
            // Parts can only be cloned of what is mounted here; the whole is nobody's to see, as nothing runs yet.
            try moveMount(detached.fd, to: target.fd)
            let part: SharedFD
            do throws(SystemError) {
                let below = try detached.fd.open(options.subpath, .path, resolve: [.beneath, .noMagicLinks])
                part = SharedFD(try cloneMount(below.fd))
            } catch {
                try? detachMount(detached.fd.procPath)
                throw error
            }
            try detachMount(detached.fd.procPath)
            let isDirectory = try part.fd.status().st_mode & S_IFMT == S_IFDIR
            guard isDirectory else { throw SystemError(.notDirectory, "mount on", destination) }
            try options.apply(to: part.fd)
            try moveMount(part.fd, to: target.fd)
        }
    }

    /// What the image has at the target goes into a volume that is empty.
    private func copyUp(_ options: MountOptions, from source: SharedFD, to volume: SharedFD) throws(RuntimeError) {
        guard options.copyUp else { return }
        try kernel("copy up") { () throws(SystemError) in
            do throws(SystemError) {
                let to = try volume.fd.open(".", [.readOnly, .directory])
                guard try directoryEntries(to.fd).isEmpty else { return }
                let listed = try source.fd.open(".", [.readOnly, .directory])
                if try directoryEntries(listed.fd).isEmpty { return }
                // Anew: that one has been read to its end.
                let from = try source.fd.open(".", [.readOnly, .directory])
                try copyTree(from: from.fd, to: to.fd)
            } catch {
                // What the container may not write to it cannot fill either.
                guard [.accessDenied, .notPermitted, .readOnly].contains(error.errno) else { throw error }
            }
        }
    }

    private func finish(_ mount: FD, on place: FD, _ options: MountOptions) throws(RuntimeError) {
        try kernel { () throws(SystemError) in
            if options.set.contains(.readOnly) { try setMountAttributes(mount, set: .readOnly) }
            try moveMount(mount, to: place)
            try setPropagations(mount, options)
        }
    }

    /// procfs and sysfs go only onto a real directory at exactly that path: through a link they would land elsewhere
    /// and leave the real /proc to the image (CVE-2023-27561).
    private mutating func attachKernelFileSystem(
        _ mount: Mount, _ destination: String, _ options: MountOptions
    ) throws(RuntimeError) {
        let target = try kernel { () throws(SystemError) in
            let made = try root.makeTarget(destination, .directory)
            _ = made.fd
            return try root.root.open(inRoot: destination, [.path, .directory], resolve: .noSymlinks)
        }
        let detached = try fileSystem(mount, options)
        try finish(detached.fd, on: target.fd, options)
        if mount.type == "proc", destination == "/proc" { keep(procfs: SharedFD(detached)) }
    }

    private mutating func attachTemporary(_ mount: Mount, _ destination: String, _ options: MountOptions) throws(RuntimeError) {
        let target = try kernel { () throws(SystemError) in try root.makeTarget(destination, .directory) }
        var wanted = options
        var adoptsMode: UInt32?
        if !options.data.contains(where: { $0.hasPrefix("mode=") }), let info = try? target.fd.status() {
            // A tmpfs over an existing directory keeps that directory's mode, as runc does.
            adoptsMode = info.st_mode & 0o7777
        }
        if let adoptsMode { wanted.data.append("mode=" + String(adoptsMode, radix: 8)) }
        let detached = try fileSystem(mount, wanted)
        if options.copyUp {
            try kernel("copy up") { () throws(SystemError) in
                let from = try target.fd.open(".", [.readOnly, .directory])
                let to = try detached.fd.open(".", [.readOnly, .directory])
                try copyTree(from: from.fd, to: to.fd)
            }
        }
        // `/dev` still gets its nodes, its terminals and its console; it is closed at the end.
        if destination == "/dev", options.set.contains(.readOnly) {
            wanted.set.subtract(.readOnly)
            keep(readOnly: try kernel { () throws(SystemError) in SharedFD(try detached.fd.duplicate()) })
        }
        try finish(detached.fd, on: target.fd, wanted)
    }
}

extension FD {
    /// The magic number of the file system that holds this file. The C function is `fstatfs(2)`.
    func fileSystemType() throws(SystemError) -> Int64 {
        var type: Int64 = 0
        var block: Int64 = 0
        var blocks: Int64 = 0
        var free: Int64 = 0
        var flags: Int64 = 0
        try check(cl_fstatfs(rawValue, &type, &block, &blocks, &free, &flags), "stat file system")
        return type
    }
}
