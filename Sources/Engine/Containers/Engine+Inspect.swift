import Control
import JSON
import Linux
import Store

extension Engine {
    /// A container in the layout of Docker's `inspect`.
    public func inspectContainer(_ text: String) throws(EngineError) -> [UInt8] {
        let view = try container(text)
        let layers = (try? store().layerDirectories(container: view.id)) ?? []
        let inspection = ContainerInspection(view: view, roots: roots, layers: layers)
        return JSONWriter.document { inspection.write(to: &$0) }
    }
}

/// Docker's `inspect` document of one container.
struct ContainerInspection {
    let view: ContainerView
    let roots: Roots
    let layers: [String]
    var definition: ContainerDefinition { view.definition }
    private var directory: String { roots.container(view.id) }

    func write(to writer: inout JSONWriter) {
        let arguments = definition.arguments
        writer.object { w in
            w.field("Id", definition.id)
            w.field("Created", Timestamp.text(definition.createdAt))
            w.field("Path", arguments.first ?? "")
            w.field("Args", Array(arguments.dropFirst()))
            w.key("State")
            writeState(to: &w)
            w.field("Image", definition.imageID)
            w.field("ResolvConfPath", directory + "/resolv.conf")
            w.field("HostnamePath", directory + "/hostname")
            w.field("HostsPath", directory + "/hosts")
            w.field("LogPath", definition.log.driver == "none" ? "" : directory + "/" + ContainerFiles.log)
            w.field("Name", "/" + definition.name)
            w.field("RestartCount", view.observation.restartCount)
            w.field("Driver", "overlay2")
            w.field("Platform", "linux")
            w.field("MountLabel", "")
            w.field("ProcessLabel", "")
            w.field("AppArmorProfile", definition.security.appArmor)
            w.nullField("ExecIDs")
            w.key("HostConfig")
            writeHostConfig(to: &w)
            writeGraphDriver(to: &w)
            w.array("Mounts", definition.mounts.filter { $0.kind != .tmpfs }) { w, mount in writeMount(mount, to: &w) }
            w.key("Config")
            writeConfig(to: &w)
            writeNetwork(to: &w)
        }
    }

    private func writeState(to writer: inout JSONWriter) {
        let seen = view.observation
        writer.object { w in
            w.field("Status", seen.status.text)
            w.field("Running", view.isAlive || seen.status == .restarting)
            w.field("Paused", seen.status == .paused)
            w.field("Restarting", seen.status == .restarting)
            w.field("OOMKilled", seen.oomKilled)
            w.field("Dead", false)
            w.field("Pid", seen.pid)
            w.field("ExitCode", seen.exitCode)
            w.field("Error", seen.error)
            w.field("StartedAt", Timestamp.text(seen.startedAt))
            w.field("FinishedAt", Timestamp.text(seen.finishedAt))
            w.field("SupervisorPid", seen.supervisor)
        }
    }

    private func writeHostConfig(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("Binds", definition.mounts.filter { $0.kind != .tmpfs && !$0.isAnonymous }.map(bindText))
            w.field("ContainerIDFile", "")
            w.object("LogConfig") { w in
                w.field("Type", definition.log.driver)
                w.field("Config", definition.log.options)
            }
            w.field("NetworkMode", definition.network.text)
            w.object("PortBindings") { _ in }
            w.object("RestartPolicy") { w in
                w.field("Name", definition.restart.name.rawValue)
                w.field("MaximumRetryCount", definition.restart.maximumRetries)
            }
            w.field("AutoRemove", definition.autoRemove)
            w.field("CapAdd", definition.capAdd)
            w.field("CapDrop", definition.capDrop)
            w.field("CgroupnsMode", definition.cgroup.text)
            w.field("Annotations", definition.annotations)
            w.field("GroupAdd", definition.groupAdd)
            w.field("IpcMode", definition.ipc.text)
            w.field("OomScoreAdj", definition.oomScoreAdjustment ?? 0)
            w.field("PidMode", definition.pid == .private ? "" : definition.pid.text)
            w.field("Privileged", definition.privileged)
            w.field("ReadonlyRootfs", definition.readOnlyRoot)
            w.field("SecurityOpt", definition.security.source)
            w.object("Tmpfs") { w in
                for mount in definition.mounts where mount.kind == .tmpfs {
                    w.key(mount.target)
                    w.value(mount.options.joined(separator: ","))
                }
            }
            w.field("UTSMode", definition.uts == .private ? "" : definition.uts.text)
            w.field("UsernsMode", definition.userNamespace.text)
            w.field("ShmSize", definition.shmSize)
            w.field("Sysctls", definition.sysctls)
            w.field("Runtime", definition.runtime.isEmpty ? "berth-runtime" : definition.runtime)
            w.field("CgroupParent", definition.cgroupParent)
            w.field("Init", definition.`init`)
            writeLimits(to: &w)
        }
    }

    private func writeLimits(to w: inout JSONWriter) {
        let limits = definition.resources
        w.field("CpuShares", limits.cpuShares ?? 0)
        w.field("Memory", limits.memory ?? 0)
        w.field("NanoCpus", limits.nanoCPUs ?? 0)
        w.field("BlkioWeight", limits.blockIOWeight ?? 0)
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
        w.field("MemoryReservation", limits.memoryReservation ?? 0)
        w.field("MemorySwap", limits.memorySwap ?? limits.memory.map { $0 &* 2 } ?? 0)
        w.fieldIfPresent("MemorySwappiness", limits.memorySwappiness)
        w.field("OomKillDisable", limits.disableOOMKiller)
        w.field("PidsLimit", limits.pidsLimit ?? SpecBuilder.defaultPids)
        w.array("Ulimits", definition.ulimits) { w, limit in
            w.object { w in
                w.field("Name", limit.name)
                w.field("Hard", limit.hard == .max ? -1 : Int64(clamping: limit.hard))
                w.field("Soft", limit.soft == .max ? -1 : Int64(clamping: limit.soft))
            }
        }
        let bare = definition.privileged || definition.security.unconfinedSystemPaths
        w.field("MaskedPaths", bare ? [] : SpecBuilder.masked)
        w.field("ReadonlyPaths", bare ? [] : SpecBuilder.readOnly)
    }

    private func bindText(_ mount: MountDefinition) -> String {
        var modes: [String] = []
        if mount.readOnly { modes.append("ro") }
        if !mount.propagation.isEmpty { modes.append(mount.propagation) }
        if mount.noCopy { modes.append("nocopy") }
        return mount.source + ":" + mount.target + (modes.isEmpty ? "" : ":" + modes.joined(separator: ","))
    }

    private func writeGraphDriver(to w: inout JSONWriter) {
        w.object("GraphDriver") { w in
            w.object("Data") { w in
                w.field("LowerDir", layers.joined(separator: ":"))
                w.field("UpperDir", directory + "/upper")
                w.field("WorkDir", directory + "/work")
            }
            w.field("Name", "overlay2")
        }
    }

    private func writeMount(_ mount: MountDefinition, to writer: inout JSONWriter) {
        writer.object { w in
            w.field("Type", mount.kind.rawValue)
            if mount.kind == .volume {
                w.field("Name", mount.source)
                w.field("Source", roots.store + "/volumes/" + mount.source + "/_data")
            } else {
                w.field("Source", mount.source)
            }
            w.field("Destination", mount.target)
            if mount.kind == .volume { w.field("Driver", "local") }
            w.field("Mode", mount.label.rawValue)
            w.field("RW", !mount.readOnly)
            w.field("Propagation", mount.kind == .bind && mount.propagation.isEmpty ? "rprivate" : mount.propagation)
        }
    }

    private func writeConfig(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("Hostname", definition.hostname)
            w.field("Domainname", definition.domainname)
            w.field("User", definition.user)
            w.field("AttachStdin", definition.attachStdin)
            w.field("AttachStdout", definition.attachStdout)
            w.field("AttachStderr", definition.attachStderr)
            w.field("Tty", definition.terminal)
            w.field("OpenStdin", definition.openStdin)
            w.field("StdinOnce", definition.stdinOnce)
            w.field("Env", definition.environment)
            w.field("Cmd", definition.command)
            w.field("Image", definition.image)
            w.object("Volumes") { w in
                for mount in definition.mounts where mount.isAnonymous {
                    w.key(mount.target)
                    w.object { _ in }
                }
            }
            w.field("WorkingDir", definition.workingDirectory)
            if definition.entrypoint.isEmpty {
                w.nullField("Entrypoint")
            } else {
                w.field("Entrypoint", definition.entrypoint)
            }
            w.field("Labels", definition.labels)
            w.fieldIfNotEmpty("Annotations", definition.annotations)
            w.field("StopSignal", SignalName.text(definition.stopSignal))
            w.field("StopTimeout", definition.stopTimeout)
        }
    }

    private func writeNetwork(to w: inout JSONWriter) {
        w.object("NetworkSettings") { w in
            w.object("Ports") { _ in }
            w.object("Networks") { w in
                guard definition.network == .none || definition.network == .host else { return }
                w.key(definition.network.text)
                w.object { w in
                    w.field("NetworkID", "")
                    w.field("IPAddress", "")
                    w.field("Gateway", "")
                }
            }
        }
    }
}
