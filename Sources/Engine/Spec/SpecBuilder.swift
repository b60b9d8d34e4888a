import OCI

/// Makes the OCI runtime spec of a container. Pure: the same inputs give the same spec.
///
/// The defaults are at least as strict as Docker's and Podman's in every respect; docs/security.md has the
/// table and the reasons.
public struct SpecBuilder {
    let inputs: SpecInputs
    var definition: ContainerDefinition { inputs.definition }

    public init(_ inputs: SpecInputs) { self.inputs = inputs }

    public func build() throws(EngineError) -> Spec {
        let capabilities = try self.capabilities()
        var linux = LinuxSpec()
        // Where it is joined they are for the mounts that show other ids.
        if inputs.joinedUserNamespace == nil || definition.userNamespaceSlot != nil, !inputs.isUserNamespaceGiven {
            linux.uidMappings = inputs.uidMappings
            linux.gidMappings = inputs.gidMappings
        }
        linux.namespaces = namespaces()
        linux.sysctl = try sysctls()
        linux.devices = deviceNodes()
        linux.resources = try resources()
        linux.cgroupsPath = cgroupsPath()
        linux.seccomp = inputs.seccomp
        linux.rootfsPropagation = rootfsPropagation()
        linux.maskedPaths = maskedPaths()
        linux.readonlyPaths = readonlyPaths()
        var spec = Spec()
        // Nothing newer is asked of other runtimes, and some know only 1.0 (crun before 1.9).
        spec.ociVersion = definition.runtime.isEmpty ? Spec.version : "1.0.2"
        spec.process = try process(capabilities)
        spec.root = Root(path: "rootfs", readonly: definition.readOnlyRoot)
        if ownUTS {
            spec.hostname = definition.hostname
            spec.domainname = definition.domainname
        }
        spec.mounts = try mounts()
        // Only what the user gave: labels and annotations of images never reach the runtime (CVE-2022-23648 class).
        spec.annotations = definition.annotations
        if definition.groupAdd.contains("keep-groups") { spec.annotations["run.oci.keep_original_groups"] = "1" }
        spec.linux = linux
        return spec
    }

    // MARK: Namespaces

    var ownNetwork: Bool { definition.network == .none || definition.network == .private }
    var ownIPC: Bool { definition.ipc == .private || definition.ipc == .shareable || definition.ipc == .none }
    var ownUTS: Bool { definition.uts == .private }
    var ownPID: Bool { definition.pid == .private }

    private func namespaces() -> [LinuxNamespace] {
        var result = [LinuxNamespace(type: "mount")]
        if let pid = inputs.joinedUserNamespace {
            result.insert(LinuxNamespace(type: "user", path: "/proc/\(pid)/ns/user"), at: 0)
        } else if inputs.ownUserNamespace, !inputs.isUserNamespaceGiven {
            result.insert(LinuxNamespace(type: "user"), at: 0)
        }
        add(&result, "pid", definition.pid, .pid)
        add(&result, "network", definition.network, .network)
        add(&result, "ipc", definition.ipc, .ipc)
        add(&result, "uts", definition.uts, .uts)
        if definition.cgroup != .host { result.append(LinuxNamespace(type: "cgroup")) }
        // Other runtimes may not know it: runc does since 1.2.
        if inputs.host.hasTimeNamespace, definition.runtime.isEmpty { result.append(LinuxNamespace(type: "time")) }
        return result
    }

    private func add(
        _ result: inout [LinuxNamespace], _ type: String, _ mode: NamespaceMode, _ kind: SpecInputs.NamespaceKind
    ) {
        switch mode {
        case .host: return
        case .container(let id):
            // Without a process to join (`create` before the other runs) never the host's: no runtime finds this path.
            let process = inputs.joined[kind].map { "/proc/\($0)" } ?? "/nonexistent/\(id)"
            result.append(LinuxNamespace(type: type, path: "\(process)/ns/\(kind.file)"))
        case .private, .shareable, .none: result.append(LinuxNamespace(type: type))
        }
    }

    // MARK: Kernel parameters

    private func sysctls() throws(EngineError) -> [String: String] {
        var result: [String: String] = [:]
        if ownNetwork, definition.network != .host {
            // Ports below 1024 and ping need no capability in a network namespace of one's own.
            result["net.ipv4.ip_unprivileged_port_start"] = "0"
            result["net.ipv4.ping_group_range"] = "0 \(inputs.ownUserNamespace ? mappedGroups - 1 : 2_147_483_647)"
        }
        for (name, value) in definition.sysctls {
            try SysctlOption.check(
                name, ownNetwork: ownNetwork, ownIPC: ownIPC, ownUTS: ownUTS, ownUser: inputs.ownUserNamespace)
            result[name] = value
        }
        return result
    }

    /// How many group ids exist inside: the range of `ping_group_range` may name no others.
    private var mappedGroups: UInt32 {
        inputs.gidMappings.reduce(1) { max($0, $1.containerID &+ $1.size) }
    }

    private func cgroupsPath() -> String {
        if !definition.cgroupParent.isEmpty {
            if definition.cgroupParent.hasSuffix(".slice") {
                return "\(definition.cgroupParent):berth:\(definition.id)"
            }
            return definition.cgroupParent + "/" + definition.id
        }
        // Without a path of ours a runtime that may not make cgroups goes on without (runc's rootless rule).
        if inputs.isUserNamespaceGiven { return "" }
        // A relative path goes under the caller's own delegated cgroup.
        return inputs.host.isRootless ? definition.id : "/berth/" + definition.id
    }

    /// A bind that propagates to or from the container needs its root to do so too.
    private func rootfsPropagation() -> String {
        var result = ""
        for bound in inputs.mounts {
            switch bound.mount.propagation {
            case "shared", "rshared": return "rshared"
            case "slave", "rslave": result = "rslave"
            default: break
            }
        }
        return result
    }

    // MARK: Hidden paths

    /// The union of what Docker and Podman hide, and a little more.
    static let masked = [
        "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
        "/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/proc/kallsyms",
        "/sys/devices/virtual/powercap", "/sys/firmware", "/sys/fs/selinux", "/sys/kernel/debug", "/sys/kernel/tracing",
        "/sys/kernel/security",
    ]
    static let readOnly = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]

    private func maskedPaths() -> [String] {
        if definition.privileged || definition.security.unconfinedSystemPaths { return definition.security.mask }
        var result = SpecBuilder.masked
        for cpu in 0..<inputs.host.throttledCPUs { result.append("/sys/devices/system/cpu/cpu\(cpu)/thermal_throttle") }
        // A bind of the host's /sys shows what a fresh sysfs of our own network namespace would not.
        if bindsSysfs { result.append("/sys/kernel") }
        result.removeAll { isUnmasked($0) }
        return result + definition.security.mask
    }

    private func readonlyPaths() -> [String] {
        if definition.privileged || definition.security.unconfinedSystemPaths { return [] }
        return SpecBuilder.readOnly.filter { !isUnmasked($0) }
    }

    /// Podman's `unmask`: exact paths, or a pattern that ends in `*`.
    private func isUnmasked(_ path: String) -> Bool {
        definition.security.unmask.contains { pattern in
            pattern.hasSuffix("/*") ? path.hasPrefix(pattern.dropLast(1)) : path == pattern
        }
    }

    /// sysfs can only be mounted by who owns the network namespace; who joined the owner's user namespace does.
    var bindsSysfs: Bool { inputs.ownUserNamespace && !ownNetwork && !joinsOwner(.network) }
    /// procfs can only be mounted by who owns the pid namespace.
    var bindsProcfs: Bool { inputs.ownUserNamespace && !ownPID && !joinsOwner(.pid) }

    func joinsOwner(_ kind: SpecInputs.NamespaceKind) -> Bool {
        inputs.joinedUserNamespace != nil && inputs.joined[kind] != nil
    }
}
