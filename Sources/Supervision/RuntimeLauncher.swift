import Cgroups
import Control
import Glibc
import Linux
import OCI
import Runtime

/// Containers of our own runtime, in this process.
final class RuntimeLauncher: ContainerLauncher {
    private let config: SupervisionConfig
    private let root: String
    private let network: UserNetwork?
    /// Where the container's files may be mounted already.
    private let mountPoint: String
    private var container: Container?
    /// Of the first run only: what the policy starts after that begins anew.
    private var restore: RestorePlan?
    var restores: Bool { restore != nil }
    var starter: FD?
    private(set) var userNamespace: SharedFD?
    /// Its last reference, so that the container's mounts go when it is taken down. Otherwise its first process takes them
    /// down while it ends, and waits for a grace period of all processors before its parent hears of the end.
    private var mountNamespace: SharedFD?
    /// What the latest probe was started from.
    private var probe: (command: [String], exec: RepeatedExec)?

    /// - Parameters:
    ///   - root: the runtime's state root.
    ///   - mountPoint: where root may look at the container's files.
    ///   - network: the namespaces that this process has entered.
    init(_ config: SupervisionConfig, root: String, mountPoint: String, network: UserNetwork? = nil) {
        self.config = config
        self.root = root
        self.network = network
        self.mountPoint = mountPoint
        restore = config.restore
    }

    func create(
        _ stdio: ContainerStdio, whileMaking: @escaping (SharedFD) throws(LaunchFailure) -> Void
    ) throws(LaunchFailure) -> LaunchedContainer {
        var request = try makeRequest(stdio)
        let interruption = Interruption()
        request.whileMaking = { (network) throws(RuntimeError) in
            do throws(LaunchFailure) { try whileMaking(network) } catch {
                interruption.failure = error
                throw RuntimeError(.system, "create container", cause: error.text)
            }
        }
        let made: Container
        do throws(RuntimeError) {
            made = try make(request)
        } catch {
            throw interruption.failure ?? LaunchFailure(error)
        }
        container = made
        mountNamespace = try? openNamespace("mnt", of: made.pid)
        if config.autoRemove, config.ownUserNamespace || geteuid() != 0 {
            userNamespace = try? openNamespace("user", of: made.pid)
        }
        return LaunchedContainer(
            pid: made.pid, pidfd: made.pidfd, console: made.console, freezeFile: freezeFile(made.cgroup.record))
    }

    private func make(_ request: CreateRequest) throws(RuntimeError) -> Container {
        guard let plan = restore else { return try Container.create(request) }
        restore = nil
        var wanted = RestoreRequest(images: plan.images)
        wanted.work = plan.work
        wanted.establishedConnections = plan.establishedConnections
        wanted.closesConnections = plan.closesConnections
        wanted.fileLocks = plan.fileLocks
        wanted.cancelled = starter?.rawValue ?? -1
        return try Container.restore(request, wanted, program: try CriuProgram.find())
    }

    /// config.json is read anew for each run, and forgotten: what is needed later is in the runtime's state.
    private func makeRequest(_ stdio: ContainerStdio) throws(LaunchFailure) -> CreateRequest {
        let bytes: [UInt8]
        var spec: Spec
        do throws(SystemError) {
            bytes = try FD.cwd.readFile(config.bundle + "/" + ContainerFiles.specification)
        } catch {
            throw LaunchFailure(error.description)
        }
        do throws(OCIError) { spec = try Spec.decode(bytes) } catch { throw LaunchFailure(error.description) }
        if !config.joined.allSatisfy(\.isAlive) {
            throw LaunchFailure("a container whose namespaces are joined does not run any more; start that first")
        }
        if let network, var linux = spec.linux {
            // config.json has ids of the host, and they are given to the container by the user namespace we are in.
            let translated = try network.translate(
                users: linux.uidMappings.map(IDMapping.init), groups: linux.gidMappings.map(IDMapping.init))
            linux.uidMappings = translated.users.map(LinuxIDMapping.init)
            linux.gidMappings = translated.groups.map(LinuxIDMapping.init)
            spec.linux = linux
        }
        // Two overlays over one writable layer would not know of each other.
        let isMounted = geteuid() == 0 && (try? openMountRoot(mountPoint)) != nil
        if isMounted { spec.root?.path = mountPoint }
        var request = CreateRequest(id: config.id, bundle: config.bundle, root: root, spec: spec)
        request.specBytes = bytes
        request.mountsAreForeign = network != nil
        if !isMounted, case .overlay(let plan) = config.rootfs {
            var overlay = OverlayRootfs(
                lower: plan.lower, upper: plan.upper, work: plan.work, userXattr: plan.userXattr, volatile: plan.volatile)
            overlay.idMapped = plan.idMapped
            request.rootfs = .overlay(overlay)
        }
        request.standardInput = stdio.input.fd
        request.standardOutput = stdio.output.fd
        request.standardError = stdio.error.fd
        request.gate = .socket
        request.blocksSignals = config.initProcess
        return request
    }

    func start() throws(LaunchFailure) {
        guard let container else { throw LaunchFailure("container was not created") }
        do throws(RuntimeError) { try container.start() } catch { throw LaunchFailure(error) }
    }

    func kill(_ signal: Int32) throws(LaunchFailure) {
        guard let container else { throw LaunchFailure("container is not running") }
        do throws(SystemError) { try container.pidfd.fd.sendSignal(signal) } catch {
            throw LaunchFailure(error.errno == .noProcess ? "container is not running" : error.description)
        }
    }

    func killAll() { try? container?.cgroup.kill() }

    func setFrozen(_ frozen: Bool) throws(LaunchFailure) {
        guard let container else { throw LaunchFailure("container is not running") }
        do throws(CgroupError) {
            if frozen { try container.cgroup.freeze() } else { try container.cgroup.thaw() }
        } catch {
            throw LaunchFailure(error.description)
        }
    }

    func beginProbe(_ command: [String], input: FD, output: FD, oomScore: Int?) throws(LaunchFailure) -> any ProbeProcess {
        if let probe, probe.command == command { return try RuntimeProbe(probe.exec, input: input, output: output) }
        let exec: RepeatedExec
        do throws(RuntimeError) {
            exec = try RepeatedExec(root: root, id: config.id) { $0.process.becomeProbe(command, oomScore: oomScore) }
        } catch {
            throw LaunchFailure(error)
        }
        probe = (command, exec)
        return try RuntimeProbe(exec, input: input, output: output)
    }

    func outOfMemoryKills() -> UInt64 { (try? container?.cgroup.oomKillCount()) ?? 0 }

    func delete() {
        mountNamespace = nil
        probe = nil
        do throws(RuntimeError) { try container?.delete(force: true) } catch {
            // What is left is found by the runtime's own `delete`; the container has ended all the same.
            complain(error.description)
        }
        container = nil
    }
}

extension OCI.Process {
    /// The container's process as that of a probe: no terminal, another program, nothing else.
    mutating func becomeProbe(_ command: [String], oomScore: Int?) {
        args = command
        terminal = false
        consoleSize = nil
        if oomScoreAdj == nil { oomScoreAdj = oomScore }
        // It is no user's program: what a set-user-ID file of the image would give it, it does not need.
        if user.uid != 0 { noNewPrivileges = true }
    }
}

extension LinuxIDMapping {
    init(_ mapping: IDMapping) {
        self.init(containerID: mapping.inside, hostID: mapping.outside, size: mapping.count)
    }
}

extension LaunchFailure {
    init(_ error: RuntimeError) { self.init(exitCode: error.exitCode, error.description) }
}

/// The kernel's file that tells whether a cgroup is frozen.
func freezeFile(_ record: CgroupRecord) -> String {
    for entry in record.entries {
        if entry.hierarchy.split(separator: ",").contains("freezer") { return entry.path + "/freezer.state" }
    }
    return record.entries.first { $0.isUnified }.map { $0.path + "/cgroup.events" } ?? ""
}

/// Keeps a namespace of a container beyond the container.
/// A line for whoever still reads our standard error.
func complain(_ text: String) {
    try? FD.standardError.writeAll("berth-runtime supervise: \(text)\n")
}

/// Why the caller's part of a creation ended it, in the caller's words.
private final class Interruption {
    var failure: LaunchFailure?
}
