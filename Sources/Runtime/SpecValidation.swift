import Glibc
import Linux
import OCI

/// What config.json must satisfy before anything is made.
///
/// Spec: runtime-spec config.md, config-linux.md; one check for each MUST that is about the document itself.
struct SpecValidation {
    let spec: Spec
    let namespaces: NamespacePlan

    init(_ spec: Spec, namespaces: NamespacePlan) {
        self.spec = spec
        self.namespaces = namespaces
    }

    private var linux: LinuxSpec { spec.linux ?? LinuxSpec() }

    func check() throws(RuntimeError) {
        try checkVersion()
        try checkProcess()
        try checkRoot()
        try checkNames()
        try checkIDs()
        try checkSysctls()
        try checkMountsAndPaths()
        try checkUnsupported()
        guard spec.annotations[""] == nil else { throw .invalid("annotations", "a key is empty") }
        for rule in linux.seccomp?.syscalls ?? [] where rule.names.isEmpty {
            throw .invalid("linux.seccomp.syscalls", "a rule has no names")
        }
    }

    /// Any 1.x is understood: minor versions only add (config.md "Specification version", SemVer).
    private func checkVersion() throws(RuntimeError) {
        let parts = spec.ociVersion.prefix { $0 != "-" && $0 != "+" }.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3, parts.allSatisfy({ UInt32($0) != nil }) else {
            throw .invalid("ociVersion", "\"\(spec.ociVersion)\" is not a semantic version")
        }
        guard parts[0] == "1" else { throw .invalid("ociVersion", "version \(spec.ociVersion) is not supported, only 1.x") }
    }

    private func checkProcess() throws(RuntimeError) {
        guard let process = spec.process else { throw .invalid("process", "it is missing") }
        guard !process.args.isEmpty else { throw .invalid("process.args", "it is empty") }
        guard process.cwd.hasPrefix("/") else { throw .invalid("process.cwd", "\"\(process.cwd)\" is not an absolute path") }
        var types: [String] = []
        for limit in process.rlimits {
            guard ProcessIdentity.resource(limit.type) != nil else {
                throw .invalid("process.rlimits", "unknown type \"\(limit.type)\"")
            }
            guard limit.soft <= limit.hard else {
                throw .invalid("process.rlimits", "\(limit.type): soft limit \(limit.soft) is above the hard limit \(limit.hard)")
            }
            guard !types.contains(limit.type) else { throw .invalid("process.rlimits", "\(limit.type) is given twice") }
            types.append(limit.type)
        }
        if let score = process.oomScoreAdj, !(-1000...1000).contains(score) {
            throw .invalid("process.oomScoreAdj", "\(score) is not within -1000 to 1000")
        }
        for text in process.args + process.env + [process.cwd] where text.utf8.contains(0) {
            throw .invalid("process", "a string contains a NUL character")
        }
    }

    private func checkRoot() throws(RuntimeError) {
        guard let root = spec.root else { throw .invalid("root", "it is missing") }
        guard !root.path.isEmpty else { throw .invalid("root.path", "it is empty") }
    }

    private func checkNames() throws(RuntimeError) {
        if !spec.hostname.isEmpty, namespaces.isHost(.uts) {
            throw .invalid("hostname", "it needs a uts namespace of the container's own")
        }
        if !spec.domainname.isEmpty, namespaces.isHost(.uts) {
            throw .invalid("domainname", "it needs a uts namespace of the container's own")
        }
        if !linux.timeOffsets.isEmpty, !namespaces.isNew(.time) {
            throw .invalid("linux.timeOffsets", "they need a new time namespace")
        }
    }

    private func checkIDs() throws(RuntimeError) {
        let mapped = !linux.uidMappings.isEmpty || !linux.gidMappings.isEmpty
        if namespaces.isNew(.user), linux.uidMappings.isEmpty || linux.gidMappings.isEmpty {
            throw .invalid("linux.uidMappings", "a new user namespace needs uidMappings and gidMappings")
        }
        if mapped, namespaces.isHost(.user) {
            throw .invalid("linux.uidMappings", "id mappings need a user namespace")
        }
        for list in [linux.uidMappings, linux.gidMappings] {
            guard list.count <= 340 else { throw .invalid("linux.uidMappings", "the kernel takes at most 340 ranges") }
            for (i, a) in list.enumerated() {
                guard a.size > 0 else { throw .invalid("linux.uidMappings", "a range is empty") }
                let end = UInt64(a.containerID) + UInt64(a.size)
                let hostEnd = UInt64(a.hostID) + UInt64(a.size)
                guard end <= 1 << 32, hostEnd <= 1 << 32 else { throw .invalid("linux.uidMappings", "a range exceeds 32 bits") }
                for b in list[..<i] {
                    let inside = UInt64(b.containerID) < end && UInt64(a.containerID) < UInt64(b.containerID) + UInt64(b.size)
                    let outside = UInt64(b.hostID) < hostEnd && UInt64(a.hostID) < UInt64(b.hostID) + UInt64(b.size)
                    if inside || outside { throw .invalid("linux.uidMappings", "two ranges overlap") }
                }
            }
        }
        if namespaces.isNew(.user),
            spec.process.map({ !maps($0.user.uid, linux.uidMappings) || !maps($0.user.gid, linux.gidMappings) }) == true
        {
            throw .invalid("process.user", "uid or gid is not mapped in the container's user namespace")
        }
    }

    private func maps(_ id: UInt32, _ list: [LinuxIDMapping]) -> Bool {
        list.contains { id >= $0.containerID && UInt64(id) < UInt64($0.containerID) + UInt64($0.size) }
    }

    /// Only what a namespace keeps to the container may be set.
    private func checkSysctls() throws(RuntimeError) {
        let ipc = [
            "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax",
            "kernel.shmmni", "kernel.shm_rmid_forced",
        ]
        for key in linux.sysctl.keys {
            let name = String(decoding: key.utf8.map { $0 == UInt8(ascii: "/") ? UInt8(ascii: ".") : $0 }, as: UTF8.self)
            let kind: NamespaceKind
            if ipc.contains(name) || name.hasPrefix("fs.mqueue.") {
                kind = .ipc
            } else if name.hasPrefix("net.") {
                kind = .network
            } else if name == "kernel.domainname" {
                kind = .uts
            } else if name == "kernel.hostname" {
                throw .invalid("linux.sysctl", "\"\(key)\" is set by the field hostname")
            } else if name.hasPrefix("user.") {
                kind = .user
            } else {
                throw .invalid("linux.sysctl", "\"\(key)\" is not kept to a namespace and would change the host")
            }
            if namespaces.isHost(kind) {
                throw .invalid("linux.sysctl", "\"\(key)\" needs a \(kind.specName) namespace of the container's own")
            }
        }
    }

    private func checkMountsAndPaths() throws(RuntimeError) {
        for mount in spec.mounts {
            guard !mount.destination.isEmpty, !mount.destination.utf8.contains(0), !mount.source.utf8.contains(0) else {
                throw .invalid("mounts.destination", "it is empty or contains a NUL character")
            }
            if mount.uidMappings.isEmpty != mount.gidMappings.isEmpty {
                throw .invalid("mounts", "\"\(mount.destination)\" must have both uidMappings and gidMappings or neither")
            }
        }
        for path in linux.maskedPaths + linux.readonlyPaths {
            guard path.hasPrefix("/") else { throw .invalid("linux.maskedPaths", "\"\(path)\" is not an absolute path") }
        }
        if namespaces.isHost(.mount) {
            guard linux.maskedPaths.isEmpty, linux.readonlyPaths.isEmpty, spec.mounts.isEmpty, spec.root?.readonly != true else {
                throw .invalid("linux.namespaces", "mounts, masked and read-only paths need a mount namespace of the container's own")
            }
        }
        _ = try Self.propagation(linux.rootfsPropagation)
    }

    /// Asked for and impossible here: an error, never silence.
    private func checkUnsupported() throws(RuntimeError) {
        if linux.intelRdt != nil {
            throw RuntimeError(.unsupported, "use linux.intelRdt", cause: "resctrl is not supported")
        }
        if !linux.netDevices.isEmpty, namespaces.isHost(.network) {
            throw .invalid("linux.netDevices", "they need a network namespace of the container's own")
        }
        if let hooks = spec.hooks {
            let all = hooks.prestart + hooks.createRuntime + hooks.createContainer + hooks.startContainer + hooks.poststart + hooks.poststop
            for hook in all {
                if let timeout = hook.timeout, timeout <= 0 { throw .invalid("hooks.timeout", "\(timeout) is not greater than zero") }
                guard hook.path.hasPrefix("/") else { throw .invalid("hooks.path", "\"\(hook.path)\" is not an absolute path") }
            }
        }
        if let personality = linux.personality { _ = try Personality.number(personality) }
    }

    static func propagation(_ name: String) throws(RuntimeError) -> (kind: Propagation, recursive: Bool)? {
        switch name {
        case "": return nil
        case "private": return (.private, false)
        case "rprivate": return (.private, true)
        case "slave": return (.slave, false)
        case "rslave": return (.slave, true)
        case "shared": return (.shared, false)
        case "rshared": return (.shared, true)
        case "unbindable": return (.unbindable, false)
        case "runbindable": return (.unbindable, true)
        default: throw .invalid("linux.rootfsPropagation", "unknown value \"\(name)\"")
        }
    }
}
