import Control
import JSON

extension ContainerInspection {
    /// Docker's HostConfig: what was asked of the host. Keys of what this engine does not do yet are there with Docker's
    /// empty values, because programs read them without asking.
    func writeHostConfig(to writer: inout JSONWriter) {
        writer.object { w in
            writeStorage(to: &w)
            w.field("VolumeDriver", definition.volumeDriver)
            writeList("VolumesFrom", definition.volumesFrom, to: &w)
            w.array("ConsoleSize", [0, 0]) { w, value in w.value(value) }
            w.fieldIfNotEmpty("Annotations", definition.annotations)
            writeList("CapAdd", definition.capAdd, to: &w)
            writeList("CapDrop", definition.capDrop, to: &w)
            w.field("CgroupnsMode", definition.cgroup.text)
            w.field("Dns", definition.dns)
            w.field("DnsOptions", definition.dnsOptions)
            w.field("DnsSearch", definition.dnsSearch)
            writeList("ExtraHosts", definition.extraHosts, to: &w)
            writeList("GroupAdd", definition.groupAdd, to: &w)
            w.field("IpcMode", definition.ipc.text)
            w.field("Cgroup", "")
            w.nullField("Links")
            w.field("OomScoreAdj", definition.oomScoreAdjustment ?? 0)
            w.field("PidMode", definition.pid == .private ? "" : definition.pid.text)
            w.field("Privileged", definition.privileged)
            w.field("PublishAllPorts", definition.publishesAll)
            w.field("ReadonlyRootfs", definition.readOnlyRoot)
            writeList("SecurityOpt", definition.security.source, to: &w)
            writeTmpfs(to: &w)
            w.field("UTSMode", definition.uts == .private ? "" : definition.uts.text)
            w.field("UsernsMode", definition.userNamespace.text)
            w.field("ShmSize", definition.shmSize)
            w.fieldIfNotEmpty("Sysctls", definition.sysctls)
            w.field("Runtime", definition.runtime.isEmpty ? "berth-runtime" : definition.runtime)
            w.field("Isolation", "")
            writeResources(to: &w)
            let bare = definition.privileged || definition.security.unconfinedSystemPaths
            w.field("MaskedPaths", bare ? [] : SpecBuilder.masked)
            w.field("ReadonlyPaths", bare ? [] : SpecBuilder.readOnly)
        }
    }

    private func writeStorage(to w: inout JSONWriter) {
        writeList("Binds", definition.mounts.filter(\.isBindText).map(bindText), to: &w)
        w.field("ContainerIDFile", "")
        w.object("LogConfig") { w in
            w.field("Type", definition.log.driver)
            w.field("Config", definition.log.options)
        }
        w.field("NetworkMode", definition.networkMode)
        writePortBindings(to: &w)
        // Docker has no such thing: it is there only where it was asked for.
        let rate = definition.networkRate
        if !rate.isEmpty {
            w.object("NetworkRate") { w in
                w.field("In", rate.incoming)
                w.field("Out", rate.outgoing)
            }
        }
        w.object("RestartPolicy") { w in
            w.field("Name", definition.restart.name.rawValue)
            w.field("MaximumRetryCount", definition.restart.maximumRetries)
        }
        w.field("AutoRemove", definition.autoRemove)
    }

    private func writeTmpfs(to w: inout JSONWriter) {
        let mounts = definition.mounts.filter { $0.kind == .tmpfs }
        if mounts.isEmpty { return }
        w.object("Tmpfs") { w in
            for mount in mounts {
                w.key(mount.target)
                w.value(mount.options.joined(separator: ","))
            }
        }
    }

    /// Docker's Resources, which stand inside of HostConfig.
    private func writeResources(to w: inout JSONWriter) {
        let limits = definition.resources
        w.field("CpuShares", limits.cpuShares ?? 0)
        w.field("Memory", limits.memory ?? 0)
        w.field("NanoCpus", limits.nanoCPUs ?? 0)
        w.field("CgroupParent", definition.cgroupParent)
        w.field("BlkioWeight", limits.blockIOWeight ?? 0)
        writeLimits("BlkioWeightDevice", .weight, "Weight", to: &w)
        writeLimits("BlkioDeviceReadBps", .readBytes, "Rate", to: &w)
        writeLimits("BlkioDeviceWriteBps", .writeBytes, "Rate", to: &w)
        writeLimits("BlkioDeviceReadIOps", .readOperations, "Rate", to: &w)
        writeLimits("BlkioDeviceWriteIOps", .writeOperations, "Rate", to: &w)
        w.field("CpuPeriod", limits.cpuPeriod ?? 0)
        w.field("CpuQuota", limits.cpuQuota ?? 0)
        w.field("CpuRealtimePeriod", limits.cpuRealtimePeriod ?? 0)
        w.field("CpuRealtimeRuntime", limits.cpuRealtimeRuntime ?? 0)
        w.field("CpusetCpus", limits.cpusetCPUs)
        w.field("CpusetMems", limits.cpusetMems)
        w.array("Devices", definition.devices) { w, device in
            w.object { w in
                w.field("PathOnHost", device.hostPath)
                w.field("PathInContainer", device.containerPath)
                w.field("CgroupPermissions", device.permissions)
            }
        }
        writeList("DeviceCgroupRules", definition.deviceRules, to: &w)
        if definition.driverDevices.isEmpty {
            w.nullField("DeviceRequests")
        } else {
            w.array("DeviceRequests", definition.driverDevices) { w, request in request.write(to: &w) }
        }
        w.field("MemoryReservation", limits.memoryReservation ?? 0)
        w.field("MemorySwap", limits.memorySwap ?? limits.memory.map { $0 &* 2 } ?? 0)
        writeOptional("MemorySwappiness", limits.memorySwappiness, to: &w)
        w.field("OomKillDisable", limits.disableOOMKiller)
        w.field("Init", definition.`init`)
        w.field("PidsLimit", limits.pidsLimit ?? SpecBuilder.defaultPids)
        w.array("Ulimits", definition.ulimits) { w, limit in
            w.object { w in
                w.field("Name", limit.name)
                w.field("Hard", limit.hard == .max ? -1 : Int64(clamping: limit.hard))
                w.field("Soft", limit.soft == .max ? -1 : Int64(clamping: limit.soft))
            }
        }
        w.field("CpuCount", 0)
        w.field("CpuPercent", 0)
        w.field("IOMaximumIOps", 0)
        w.field("IOMaximumBandwidth", 0)
    }

    private func writeLimits(_ name: StaticString, _ kind: DeviceLimit.Kind, _ value: StaticString, to w: inout JSONWriter) {
        w.array(name, definition.resources.deviceLimits.filter { $0.kind == kind }) { w, limit in
            w.object { w in
                w.field("Path", limit.path)
                w.field(value, limit.value)
            }
        }
    }

    /// Docker shows a list that nobody gave as null.
    func writeList(_ name: StaticString, _ values: [String], to w: inout JSONWriter) {
        if values.isEmpty { w.nullField(name) } else { w.field(name, values) }
    }

    private func writeOptional(_ name: StaticString, _ value: Int64?, to w: inout JSONWriter) {
        if let value { w.field(name, value) } else { w.nullField(name) }
    }
}

extension MountDefinition {
    /// Whether Docker shows it among the binds.
    fileprivate var isBindText: Bool { (kind == .bind || kind == .volume) && !isAnonymous && !isInherited }
}
