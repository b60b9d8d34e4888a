import Control
import JSON
import Linux
import Store

extension Engine {
    /// A container in the layout of Docker's `inspect`.
    ///
    /// - Parameter size: count what it holds on disk too.
    public func inspectContainer(_ text: String, size: Bool = false) throws(EngineError) -> [UInt8] {
        let view = try container(text)
        let layers = (try? store().layerDirectories(container: view.id)) ?? []
        var inspection = ContainerInspection(view: view, roots: roots, layers: layers)
        if let network = PredefinedNetwork(rawValue: view.definition.network.text) {
            inspection.networks.predefinedID = placeholder(network).id
        } else if view.definition.isConnectable {
            let store = try self.store()
            inspection.networks.connections = try stored { () throws(StoreError) in try store.connections(ofContainer: view.id) }
            inspection.networks.definitions = try networks(of: view.definition, store)
        }
        inspection.health = healthRecord(view)
        if size { inspection.sizes = (writtenSize(view.id), virtualSize(view)) }
        return JSONWriter.document { inspection.write(to: &$0) }
    }
}

/// Docker's `inspect` document of one container.
struct ContainerInspection {
    let view: ContainerView
    let roots: Roots
    let layers: [String]
    var networks = Networks()
    var health: HealthRecord?
    var sizes: (written: Int64, all: Int64)?
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
            w.field("LogPath", !definition.logConfiguration.hasFile ? "" : directory + "/" + ContainerFiles.log)
            w.field("Name", "/" + definition.name)
            w.field("RestartCount", view.observation.restartCount)
            w.field("Driver", "overlay2")
            w.field("Platform", "linux")
            w.field("MountLabel", "")
            w.field("ProcessLabel", "")
            w.field("AppArmorProfile", definition.security.appArmor)
            let execs = view.isAlive ? ExecRegistration.living(run: roots.run, container: definition.id) : []
            if execs.isEmpty { w.nullField("ExecIDs") } else { w.field("ExecIDs", execs) }
            w.key("HostConfig")
            writeHostConfig(to: &w)
            writeGraphDriver(to: &w)
            w.fieldIfPresent("SizeRw", sizes?.written)
            w.fieldIfPresent("SizeRootFs", sizes?.all)
            w.array("Mounts", definition.mounts.filter { $0.kind != .tmpfs }) { w, mount in writeMount(mount, to: &w) }
            w.key("Config")
            writeConfig(to: &w)
            writeNetworkSettings(to: &w)
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
            // Podman's.
            w.field("Checkpointed", seen.isCheckpointed)
            if seen.isCheckpointed { w.field("CheckpointedAt", Timestamp.text(seen.finishedAt)) }
            w.field("Restored", seen.isRestored)
            if seen.isRestored { w.field("RestoredAt", Timestamp.text(seen.startedAt)) }
            w.ifPresent("Health", health) { w, health in health.write(to: &w) }
            w.field("SupervisorPid", seen.supervisor)
        }
    }

    func bindText(_ mount: MountDefinition) -> String {
        var modes: [String] = []
        if mount.readOnly { modes.append("ro") }
        if !mount.propagation.isEmpty { modes.append(mount.propagation) }
        if mount.noCopy { modes.append("nocopy") }
        if mount.isOverlay { modes.append("O") }
        if mount.isIDMapped { modes.append("idmap") }
        return mount.source + ":" + mount.target + (modes.isEmpty ? "" : ":" + modes.joined(separator: ","))
    }

    private func writeGraphDriver(to w: inout JSONWriter) {
        w.object("GraphDriver") { w in
            w.object("Data") { w in
                w.field("LowerDir", layers.joined(separator: ":"))
                w.field("MergedDir", directory + "/rootfs")
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
            writeExposedPorts(to: &w)
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
            w.nullField("OnBuild")
            w.field("Labels", definition.labels)
            w.field("StopSignal", SignalName.text(definition.stopSignal))
            w.field("StopTimeout", definition.stopTimeout)
            w.ifPresent("Healthcheck", definition.health?.check) { w, check in check.write(to: &w) }
            // Podman's, where they were asked for.
            w.ifPresent("StartupHealthCheck", definition.health?.startup) { w, startup in startup.write(to: &w) }
            if let action = definition.health?.onFailure, action != .none { w.field("HealthcheckOnFailureAction", action.rawValue) }
        }
    }
}
