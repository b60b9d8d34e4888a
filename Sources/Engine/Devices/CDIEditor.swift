import CLinux
import Glibc
import Linux
import OCI

/// Changes the OCI spec of a container as CDI specifications say.
///
/// Spec: CDI 1.1 "OCI Edits", "Error Handling": what is named and not there is an error when the container is made.
struct CDIEditor {
    /// A file of this host, links followed.
    struct HostFile {
        /// `c`, `b`, `p`, or empty for what is no device.
        var type: String
        var major: Int64 = 0
        var minor: Int64 = 0
        /// Permission bits.
        var mode: UInt32 = 0
    }

    /// What the container may be given, by who asks.
    struct Place {
        /// In a user namespace no device can be made: the host's are bound.
        var bindsDevices = false
        /// An ordinary user's container: no device rules, and no devices of the host's network.
        var isRootless = false
        var hasOwnNetwork = true
        /// Another runtime than ours.
        var hasExternalRuntime = false
        /// Of the container's user namespace; empty: the host's ids.
        var gidMappings: [LinuxIDMapping] = []
    }

    private(set) var spec: Spec
    private let place: Place
    /// What is at a path of the host; nil: nothing.
    private let look: (String) -> HostFile?
    /// What is being applied, for errors.
    private var path = ""
    private var device = ""
    private var hasMounts = false

    init(_ spec: Spec, _ place: Place, look: @escaping (String) -> HostFile? = CDIEditor.hostFile) {
        self.spec = spec
        self.place = place
        self.look = look
    }

    static func hostFile(_ path: String) -> HostFile? {
        guard let info = try? FD.cwd.status(of: path, follow: true) else { return nil }
        let type =
            switch info.st_mode & S_IFMT {
            case S_IFCHR: "c"
            case S_IFBLK: "b"
            case S_IFIFO: "p"
            default: ""
            }
        let number = UInt64(info.st_rdev)
        return HostFile(
            type: type, major: Int64(cl_major(number)), minor: Int64(cl_minor(number)), mode: UInt32(info.st_mode) & 0o7777)
    }

    /// The spec with all changes in it.
    ///
    /// - Throws: `.notFound` for what a specification names and this host has not, with the file and the specification.
    static func edited(
        _ spec: Spec, _ changes: [CDIRegistry.Change], _ place: Place, look: @escaping (String) -> HostFile? = CDIEditor.hostFile
    ) throws(EngineError) -> Spec {
        var editor = CDIEditor(spec, place, look: look)
        for change in changes { try editor.apply(change) }
        if editor.hasMounts { editor.sortMounts() }
        return editor.spec
    }

    private mutating func apply(_ change: CDIRegistry.Change) throws(EngineError) {
        path = change.path
        device = change.device.description
        let edits = change.edits
        let environment = spec.process?.env ?? []
        spec.process?.env = EnvironmentOption.merge(environment, edits.environment)
        for node in edits.deviceNodes { try apply(node) }
        for device in edits.netDevices { try apply(device) }
        for mount in edits.mounts { try apply(mount) }
        for hook in edits.hooks { try apply(hook) }
        if let settings = edits.intelRdt { try apply(settings) }
        for gid in edits.additionalGIDs where gid != 0 { try apply(group: gid) }
    }

    // MARK: Device nodes

    private mutating func apply(_ node: CDIEdits.DeviceNode) throws(EngineError) {
        let made = try completed(node)
        spec.linux?.devices.removeAll { $0.path == made.path }
        spec.mounts.removeAll { $0.destination == made.path }
        if place.bindsDevices, made.type != "p" {
            let source = node.hostPath.isEmpty ? node.path : node.hostPath
            spec.mounts.append(
                Mount(destination: made.path, type: "bind", source: source, options: ["bind", "nosuid", "noexec", "rprivate"]))
            hasMounts = true
        } else {
            spec.linux?.devices.append(made)
        }
        if place.isRootless || made.type == "p" { return }
        let access = node.permissions.isEmpty ? "rwm" : node.permissions == "none" ? "" : node.permissions
        var resources = spec.linux?.resources ?? LinuxResources()
        resources.devices.append(
            LinuxDeviceCgroup(allow: true, type: made.type, major: made.major, minor: made.minor, access: access))
        spec.linux?.resources = resources
    }

    /// The node with what the specification leaves to the host.
    private func completed(_ node: CDIEdits.DeviceNode) throws(EngineError) -> LinuxDevice {
        let target = try self.target(node.path)
        let hostPath = node.hostPath.isEmpty ? node.path : node.hostPath
        let type = node.type == "u" ? "c" : node.type
        var result = LinuxDevice(
            path: target, type: type, major: node.major, minor: node.minor, fileMode: node.fileMode, uid: node.uid ?? owner?.uid,
            gid: node.gid ?? owner?.gid)
        let isWhole = !type.isEmpty && (node.major != 0 || type == "p")
        guard let host = look(hostPath) else {
            // Numbers alone make a node, where the specification does not say that it is one of the host's.
            if isWhole, node.hostPath.isEmpty, !place.bindsDevices || type == "p" { return result }
            throw missing(hostPath)
        }
        if type == "p", node.hostPath.isEmpty || host.type == "p" { return result }
        // A node of the container's own with a name that is something else here.
        let isOther =
            host.type.isEmpty || !type.isEmpty && host.type != type
            || node.major != 0 && (host.major, host.minor) != (node.major, node.minor)
        if isOther {
            if isWhole, node.hostPath.isEmpty, !place.bindsDevices { return result }
            throw changed(node, hostPath, host)
        }
        result.type = host.type
        (result.major, result.minor) = (host.major, host.minor)
        if result.fileMode == nil { result.fileMode = host.mode }
        return result
    }

    /// Who the container's process is, where that is not root: the node is theirs.
    private var owner: (uid: UInt32?, gid: UInt32?)? {
        guard let user = spec.process?.user else { return nil }
        return (user.uid > 0 ? user.uid : nil, user.gid > 0 ? user.gid : nil)
    }

    private func missing(_ file: String) -> EngineError {
        EngineError(
            .notFound,
            sentence: "CDI device \(device): \(file) is missing, which \(path) names; if the specification is out of date, "
                + "have the program that made it make it again")
    }

    private func changed(_ node: CDIEdits.DeviceNode, _ hostPath: String, _ host: HostFile) -> EngineError {
        let found = host.type.isEmpty ? "no device" : "\(host.type) \(host.major):\(host.minor)"
        let kind = node.type.isEmpty ? "a device" : node.type
        let wanted = node.major == 0 ? kind : "\(kind) \(node.major):\(node.minor)"
        return EngineError(
            .invalid,
            sentence:
                "CDI device \(device): \(hostPath) is \(found), and \(path) says that it is \(wanted); if the specification is out of date, "
                + "have the program that made it make it again")
    }

    /// A path in the container, which must not be one of those that its security hangs on.
    private func target(_ text: String) throws(EngineError) -> String {
        let target = cleanContainerPath(text)
        let isForbidden = target == "/" || ["/proc", "/sys"].contains { target == $0 || target.hasPrefix($0 + "/") }
        if isForbidden { throw .invalid("CDI device \(device): \(path) puts something at \(text), where nothing may be put") }
        return target
    }

    // MARK: The rest

    private mutating func apply(_ device: CDIEdits.NetDevice) throws(EngineError) {
        if place.isRootless {
            throw EngineError(
                .permission,
                sentence: "CDI device \(self.device): \(path) gives the network interface \"\(device.hostName)\" away, which only root can")
        }
        guard place.hasOwnNetwork else {
            throw .invalid(
                "CDI device \(self.device): \(path) gives the container a network interface, for which it needs a network of its own: "
                    + "leave --network host and container: out")
        }
        // Not by /sys, which may show another network than this process's.
        guard if_nametoindex(device.hostName) != 0 else {
            throw missing("the network interface " + device.hostName)
        }
        spec.linux?.netDevices[device.hostName] = LinuxNetDevice(name: device.name)
    }

    private mutating func apply(_ mount: CDIEdits.Mount) throws(EngineError) {
        let target = cleanContainerPath(mount.containerPath)
        if target == "/" { throw .invalid("CDI device \(device): \(path) mounts something at /") }
        var result = Mount(destination: target, type: mount.type, source: mount.hostPath, options: mount.options)
        if mount.isBind {
            guard look(mount.hostPath) != nil else { throw missing(mount.hostPath) }
            result.type = "bind"
            if !result.options.contains(where: { $0 == "bind" || $0 == "rbind" }) { result.options += ["rbind", "rprivate"] }
        }
        spec.mounts.removeAll { $0.destination == target }
        spec.mounts.append(result)
        hasMounts = true
    }

    /// What is mounted at `/a` comes before `/a/b`, whoever asked for it.
    private mutating func sortMounts() {
        func depth(_ mount: Mount) -> Int { mount.destination.utf8.count { $0 == UInt8(ascii: "/") } }
        spec.mounts = spec.mounts.enumerated().sorted {
            let (left, right) = (depth($0.element), depth($1.element))
            return left == right ? $0.offset < $1.offset : left < right
        }.map(\.element)
    }

    private mutating func apply(_ hook: CDIEdits.Hook) throws(EngineError) {
        // That one alone is looked for in the container.
        if hook.point != .startContainer, look(hook.path) == nil { throw missing(hook.path) }
        let entry = Hook(path: hook.path, args: hook.arguments, env: hook.environment, timeout: hook.timeout)
        var hooks = spec.hooks ?? Hooks()
        switch hook.point {
        case .prestart: hooks.prestart.append(entry)
        case .createRuntime: hooks.createRuntime.append(entry)
        case .createContainer: hooks.createContainer.append(entry)
        case .startContainer: hooks.startContainer.append(entry)
        case .poststart: hooks.poststart.append(entry)
        case .poststop: hooks.poststop.append(entry)
        }
        spec.hooks = hooks
    }

    private mutating func apply(_ settings: CDIEdits.IntelRdt) throws(EngineError) {
        guard place.hasExternalRuntime else {
            throw EngineError(
                .notSupported,
                sentence: "CDI device \(device): \(path) asks for intelRdt (resctrl), which berth-runtime does not set; "
                    + "--runtime runc can")
        }
        spec.linux?.intelRdt = LinuxIntelRdt(
            closID: settings.closID, schemata: settings.schemata, l3CacheSchema: settings.l3CacheSchema, memBwSchema: settings.memBwSchema,
            enableMonitoring: settings.enableMonitoring)
    }

    private mutating func apply(group: UInt32) throws(EngineError) {
        let isMapped = place.gidMappings.contains { group >= $0.containerID && group - $0.containerID < $0.size }
        guard place.gidMappings.isEmpty || isMapped else {
            throw .invalid(
                "CDI device \(device): group \(group) of \(path) does not exist in the container's user namespace: grant more ids with "
                    + "sudo usermod --add-subuids FIRST-LAST --add-subgids FIRST-LAST NAME")
        }
        if spec.process?.user.additionalGids.contains(group) == false { spec.process?.user.additionalGids.append(group) }
    }
}
