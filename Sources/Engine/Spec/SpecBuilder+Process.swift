import OCI

extension SpecBuilder {
    static let defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    func process(_ capabilities: LinuxCapabilities) throws(EngineError) -> Process {
        var process = Process()
        process.terminal = definition.terminal
        process.user = try user()
        process.args = arguments()
        process.env = environment()
        process.cwd = definition.workingDirectory.isEmpty ? "/" : definition.workingDirectory
        process.capabilities = capabilities
        process.rlimits = limits()
        process.noNewPrivileges = definition.security.noNewPrivileges
        if !definition.privileged, definition.security.appArmor != "unconfined" {
            process.apparmorProfile = definition.security.appArmor
        } else if definition.security.appArmor == "unconfined" {
            process.apparmorProfile = ""
        }
        process.selinuxLabel = seLinuxLabel()
        process.oomScoreAdj = definition.oomScoreAdjustment
        return process
    }

    private func arguments() -> [String] {
        guard definition.`init` else { return definition.arguments }
        return [SpecBuilder.initTarget, "init", "--"] + definition.arguments
    }

    private func user() throws(EngineError) -> User {
        var user = User()
        user.uid = inputs.user.uid
        user.gid = inputs.user.gid
        user.umask = 0o022
        user.additionalGids = inputs.user.additionalGroups
        try checkMapped(user)
        return user
    }

    /// Ids that the user namespace does not have cannot be set; the kernel would only say "invalid argument".
    private func checkMapped(_ user: User) throws(EngineError) {
        guard inputs.ownUserNamespace else { return }
        guard isMapped(user.uid, inputs.uidMappings) else {
            throw .invalid(
                "user \(user.uid) does not exist in the container's user namespace: grant more ids with "
                    + "sudo usermod --add-subuids FIRST-LAST --add-subgids FIRST-LAST NAME")
        }
        for gid in [user.gid] + user.additionalGids where !isMapped(gid, inputs.gidMappings) {
            throw .invalid(
                "group \(gid) does not exist in the container's user namespace: grant more ids with "
                    + "sudo usermod --add-subuids FIRST-LAST --add-subgids FIRST-LAST NAME")
        }
    }

    private func isMapped(_ id: UInt32, _ mappings: [LinuxIDMapping]) -> Bool {
        mappings.contains { id >= $0.containerID && id - $0.containerID < $0.size }
    }

    /// Nothing of the caller's environment gets in but what was named (CVE-2020-14370).
    private func environment() -> [String] {
        SpecBuilder.environment(of: definition, home: "HOME=" + inputs.user.home)
    }

    /// - Parameter home: the entry of the user's home directory, where the definition has none; nil leaves it to the runtime.
    static func environment(of definition: ContainerDefinition, home: String?) -> [String] {
        var result = [SpecBuilder.defaultPath, "HOSTNAME=" + definition.hostname, "container=oci"]
        if definition.terminal { result.append("TERM=xterm") }
        result = EnvironmentOption.merge(result, definition.environment)
        if let home, !result.contains(where: { $0.hasPrefix("HOME=") }) { result.append(home) }
        return result
    }

    // MARK: Capabilities

    /// Podman's 11, changed by `--cap-add` and `--cap-drop` as Docker does.
    ///
    /// For a user other than root the sets are empty but for what was added by name, which then is ambient: that is the
    /// only way it survives execve (capabilities(7)).
    func capabilities() throws(EngineError) -> LinuxCapabilities {
        let bounding = try boundingSet()
        var result = LinuxCapabilities()
        result.bounding = bounding.names
        if inputs.user.uid == 0 {
            result.effective = result.bounding
            result.permitted = result.bounding
            return result
        }
        let added =
            definition.capAdd.contains { SpecBuilder.isAll($0) }
            ? bounding : try named(definition.capAdd).intersection(bounding)
        let names = added.names
        result.effective = names
        result.permitted = names
        result.inheritable = names
        result.ambient = names
        return result
    }

    func boundingSet() throws(EngineError) -> CapabilitySet {
        let addAll = definition.capAdd.contains { SpecBuilder.isAll($0) }
        let dropAll = definition.capDrop.contains { SpecBuilder.isAll($0) }
        if addAll, dropAll { throw .invalid("adding all caps and removing all caps not allowed") }
        // In a user namespace of its own a process has every capability; else never more than we have.
        let all = inputs.ownUserNamespace ? CapabilitySet.all : CapabilitySet.all.intersection(inputs.host.capabilities)
        if definition.privileged { return all }
        let adds = try named(definition.capAdd)
        let drops = try named(definition.capDrop)
        if addAll { return all.subtracting(drops) }
        if dropAll { return adds }
        return CapabilitySet.default.union(adds).subtracting(drops.subtracting(adds))
    }

    private static func isAll(_ name: String) -> Bool { name.uppercased() == "ALL" }

    private func named(_ names: [String]) throws(EngineError) -> CapabilitySet {
        do throws(OCIError) {
            return try CapabilitySet(
                names: names.filter { !SpecBuilder.isAll($0) }.map { name in
                    let upper = name.uppercased()
                    return upper.hasPrefix("CAP_") ? upper : "CAP_" + upper
                })
        } catch {
            throw .invalid("unknown capability: \"\(error.object)\"")
        }
    }

    // MARK: Limits

    /// nofile as systemd gives it to services, no core files; what the host does not allow is clamped, not refused.
    private func limits() -> [POSIXRlimit] {
        var wanted = [
            Ulimit(name: "nofile", soft: 1024, hard: 524_288), Ulimit(name: "core", soft: 0, hard: 0),
        ]
        for limit in definition.ulimits {
            wanted.removeAll { $0.name == limit.name }
            wanted.append(limit)
        }
        let mayRaise = !inputs.host.isRootless && inputs.host.capabilities.contains(.sysResource)
        return wanted.map { limit in
            var hard = limit.hard
            var soft = limit.soft
            if limit.name == "nofile", !mayRaise {
                hard = min(hard, inputs.host.maximumOpenFiles)
                soft = min(soft, hard)
            }
            return POSIXRlimit(type: "RLIMIT_" + limit.name.uppercased(), hard: hard, soft: soft)
        }
    }

    /// `--security-opt label=…`: a label is only made when one was asked for; the runtime fails when the host has no
    /// SELinux.
    private func seLinuxLabel() -> String {
        let labels = definition.security.labels
        if labels.isEmpty || labels.contains("disable") || definition.privileged { return "" }
        var parts = ["user": "system_u", "role": "system_r", "type": "container_t", "level": "s0"]
        for label in labels {
            guard let (key, value) = label.splitOnce(":") else { continue }
            parts[String(key)] = String(value)
        }
        return ["user", "role", "type", "level"].compactMap { parts[$0] }.joined(separator: ":")
    }
}
