import OCI

extension SpecBuilder {
    /// Where the init program of `--init` appears: on the tmpfs of /dev, so that the image stays untouched.
    static let initTarget = "/dev/init"

    /// The kernel's file systems first, then the files the engine makes, then the user's mounts by depth, so that
    /// `/a` is mounted before `/a/b` whatever the order of the options (attack row S11).
    func mounts() throws(EngineError) -> [Mount] {
        var result = kernelMounts()
        // A mount of the user replaces the engine's at the same place, and a file system over /dev would hide ours.
        let targets = Set(inputs.mounts.map(\.mount.target))
        result.removeAll { targets.contains($0.destination) }
        if definition.`init`, !inputs.runtimeProgram.isEmpty {
            result.append(
                Mount(
                    destination: SpecBuilder.initTarget, type: "bind", source: inputs.runtimeProgram,
                    options: ["bind", "ro", "nosuid", "nodev", "rprivate"]))
        }
        for file in inputs.files where !targets.contains(file.target) {
            let access = definition.readOnlyRoot ? "ro" : "rw"
            result.append(
                Mount(
                    destination: file.target, type: "bind", source: file.source,
                    options: ["bind", access, "nosuid", "nodev", "rprivate"] + mappedIDs))
        }
        for device in inputs.devices where bindsDevices {
            result.append(
                Mount(
                    destination: device.device.path, type: "bind", source: device.hostPath,
                    options: ["bind", "nosuid", "noexec", "rprivate"]))
        }
        // Stable: equal depth keeps the order given.
        let sorted = inputs.mounts.enumerated().sorted {
            let left = depth($0.element.mount.target)
            let right = depth($1.element.mount.target)
            return left == right ? $0.offset < $1.offset : left < right
        }
        for (_, bound) in sorted {
            var made = mount(bound)
            if !bound.mount.base.isEmpty { made.options.append("base=" + bound.mount.base) }
            result.append(made)
        }
        return result
    }

    private func depth(_ path: String) -> Int { path.utf8.count { $0 == UInt8(ascii: "/") } }

    /// In a user namespace device nodes cannot be made; the host's are bound instead.
    var bindsDevices: Bool { inputs.ownUserNamespace }

    private func kernelMounts() -> [Mount] {
        var result: [Mount] = []
        if bindsProcfs {
            result.append(
                Mount(
                    destination: "/proc", type: "bind", source: "/proc",
                    options: ["rbind", "nosuid", "noexec", "nodev", "rprivate"]))
        } else {
            result.append(
                Mount(destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"]))
        }
        // noexec is more than the peers do; --init's program on it is a mount of its own.
        result.append(
            Mount(
                destination: "/dev", type: "tmpfs", source: "tmpfs",
                options: ["nosuid", "noexec", "strictatime", "mode=755", "size=65536k"]))
        var pts = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]
        if hasGroup(5) { pts.append("gid=5") }
        result.append(Mount(destination: "/dev/pts", type: "devpts", source: "devpts", options: pts))
        if let memory = sharedMemory() { result.append(memory) }
        if let queue = messageQueue() { result.append(queue) }
        result.append(sysfs())
        result.append(cgroup())
        return result
    }

    /// The tty group does not exist where nothing maps it, and the kernel refuses an option that names it.
    private func hasGroup(_ gid: UInt32) -> Bool {
        guard inputs.ownUserNamespace else { return true }
        return inputs.gidMappings.contains { gid >= $0.containerID && gid - $0.containerID < $0.size }
    }

    /// A shared IPC namespace shares /dev/shm too: POSIX and System V shared memory belong together.
    private func sharedMemory() -> Mount? {
        let flags = ["nosuid", "noexec", "nodev"]
        switch definition.ipc {
        case .host:
            return Mount(
                destination: "/dev/shm", type: "bind", source: "/dev/shm", options: ["bind"] + flags + ["rprivate"])
        case .container:
            if let pid = inputs.joined[.ipc] {
                return Mount(
                    destination: "/dev/shm", type: "bind", source: "/proc/\(pid)/root/dev/shm",
                    options: ["bind"] + flags + ["rprivate"])
            }
        case .none: return nil
        default: break
        }
        return Mount(
            destination: "/dev/shm", type: "tmpfs", source: "shm",
            options: flags + ["mode=1777", "size=\(definition.shmSize)"])
    }

    private func messageQueue() -> Mount? {
        let flags = ["nosuid", "noexec", "nodev"]
        if inputs.ownUserNamespace, !ownIPC, !joinsOwner(.ipc) {
            // Only the owner of the IPC namespace may mount its queues, and not every host shows them.
            guard inputs.host.showsMessageQueues else { return nil }
            return Mount(
                destination: "/dev/mqueue", type: "bind", source: "/dev/mqueue",
                options: ["bind"] + flags + ["rprivate"])
        }
        return Mount(destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: flags)
    }

    private func sysfs() -> Mount {
        let access = definition.privileged ? "rw" : "ro"
        if bindsSysfs {
            return Mount(
                destination: "/sys", type: "bind", source: "/sys",
                options: ["rbind", "nosuid", "noexec", "nodev", access == "ro" ? "rro" : "rw", "rprivate"])
        }
        return Mount(
            destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", access])
    }

    private func cgroup() -> Mount {
        // Writable only for --privileged with a cgroup namespace of its own: the host's tree is never given (CVE-2023-25809).
        let writable = definition.privileged && definition.cgroup != .host
        return Mount(
            destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup",
            options: ["nosuid", "noexec", "nodev", "relatime", writable ? "rw" : "ro"])
    }

    // MARK: The user's mounts

    private func mount(_ bound: BoundMount) -> Mount {
        let mount = bound.mount
        if mount.kind == .tmpfs { return temporary(mount) }
        if !bound.scratch.isEmpty { return overlay(bound) }
        if let driver = bound.driver { return volume(bound, driver) }
        var options = [mount.recursive ? "rbind" : "bind"]
        options.append(mount.propagation.isEmpty ? "rprivate" : mount.propagation)
        options += access(mount)
        if mount.kind == .volume { options += volumeFlags(mount) + mappedIDs }
        if mount.kind == .bind, mount.isIDMapped { options += mappedIDs }
        options += mount.options.filter { $0 != "suid" && $0 != "dev" && $0 != "exec" }
        if !mount.subpath.isEmpty { options.append("subpath=" + mount.subpath) }
        return Mount(destination: mount.target, type: "bind", source: bound.source, options: options)
    }

    private func access(_ mount: MountDefinition) -> [String] {
        if !mount.readOnly { return [] }
        return mount.recursive && mount.recursiveReadOnly != .off ? ["ro", "rro"] : ["ro"]
    }

    /// What is in a volume came from containers: it shall not act as setuid or device on others.
    private func volumeFlags(_ mount: MountDefinition) -> [String] {
        (mount.options.contains("suid") ? [] : ["nosuid"]) + (mount.options.contains("dev") ? [] : ["nodev"])
    }

    /// A volume whose options name what is mounted in its place. As other volumes it gets what the image has there, where it
    /// is empty.
    private func volume(_ bound: BoundMount, _ driver: LocalDriver) -> Mount {
        let mount = bound.mount
        let fill = mount.noCopy || mount.isInherited ? [] : ["tmpcopyup"]
        // What was asked for the container goes before what the volume says.
        let common = volumeFlags(mount) + driver.options + mount.options.filter { $0 != "suid" && $0 != "dev" && $0 != "exec" }
        switch driver.source {
        case .bind(let path, let recursive):
            var options = [recursive ? "rbind" : "bind", "rprivate"] + common + access(mount) + fill
            if !mount.subpath.isEmpty { options.append("subpath=" + mount.subpath) }
            return Mount(destination: mount.target, type: "bind", source: path, options: options)
        case .temporary:
            // The image's directory would give its owner and mode too.
            let isOwned = driver.options.contains { $0.hasPrefix("uid=") || $0.hasPrefix("gid=") || $0.hasPrefix("mode=") }
            return Mount(
                destination: mount.target, type: "tmpfs", source: "tmpfs",
                options: common + (mount.readOnly ? ["ro"] : []) + (isOwned ? [] : fill))
        case .fileSystem(let type, let device):
            return Mount(
                destination: mount.target, type: type, source: device,
                options: common + (mount.readOnly ? ["ro"] : []) + fill + ["creatormount"])
        }
    }

    /// An image, or a source with a layer of the container's own above it.
    private func overlay(_ bound: BoundMount) -> Mount {
        let mount = bound.mount
        var options = volumeFlags(mount)
        if mount.readOnly { options.append("ro") }
        let isMapped = definition.userNamespaceSlot != nil
        // The kernel wants two lower layers where there is none above: an empty one is always there.
        for layer in mount.kind == .image || mount.kind == .container ? bound.layers + [bound.scratch + "/empty"] : [bound.source] {
            // What a container has written has its ids.
            let isOwn = isMapped && mount.kind == .container && layer == bound.layers.first
            options.append((isOwn ? "ownlayer+=" : "lowerdir+=") + layer)
        }
        if mount.isOverlay || !mount.readOnly { options += ["upperdir=\(bound.scratch)/upper", "workdir=\(bound.scratch)/work"] }
        // Only root of the host maps ids of mounts, and the marks in layers of root's are root's.
        if isMapped {
            options += ["creatormount", "idmap"]
        } else if inputs.host.isRootless || inputs.ownUserNamespace {
            options.append("userxattr")
        }
        if !mount.subpath.isEmpty { options.append("subpath=" + mount.subpath) }
        return Mount(destination: mount.target, type: "overlay", source: "overlay", options: options)
    }

    /// What is the engine's own and shared by containers holds the ids that are seen inside, whatever ids a container has
    /// on the host (idmapped mounts, Linux 5.12). A bind of the host's keeps the host's ids, unless it was asked otherwise.
    private var mappedIDs: [String] { definition.userNamespaceSlot == nil ? [] : ["idmap"] }

    private func temporary(_ mount: MountDefinition) -> Mount {
        var options: [String] = []
        for (strict, loose) in [("noexec", "exec"), ("nosuid", "suid"), ("nodev", "dev")]
        where !mount.options.contains(loose) {
            options.append(strict)
        }
        if mount.readOnly { options.append("ro") }
        if mount.tmpfsSize > 0 { options.append("size=\(mount.tmpfsSize)") }
        if let mode = mount.tmpfsMode { options.append("mode=" + String(mode, radix: 8)) }
        let known: Set<String> = ["exec", "suid", "dev", "noexec", "nosuid", "nodev"]
        options += mount.options.filter { !known.contains($0) }
        return Mount(destination: mount.target, type: "tmpfs", source: "tmpfs", options: options)
    }
}
