import CLinux
import Cgroups
import Glibc
import Linux
import OCI

/// What ``Container/restore(_:_:program:)`` makes processes from.
public struct RestoreRequest: Sendable {
    /// Directory of the images.
    public var images: String
    /// Directory for CRIU's log and statistics; empty: that of the images.
    public var work = ""
    public var establishedConnections = false
    /// Connections that were open are closed instead of taken up again.
    public var closesConnections = false
    public var skipsInFlight = false
    public var externalUnixSockets = false
    public var isShellJob = false
    public var fileLocks = false
    public var remapsLinks = false
    public var deduplicates = false
    public var lazyPages = false
    public var emptyNetwork = false
    /// As of ``CheckpointRequest``.
    public var cgroupMode = ""
    public var labelProfile = ""
    public var labelMountContext = ""
    /// A descriptor that is hung up when nobody wants the container any more; -1: none.
    public var cancelled: Int32 = -1

    public init(images: String) { self.images = images }
}

/// Processes that CRIU has made again and holds.
final class RestoredProcesses {
    let pidfd: SharedFD
    let console: SharedFD?
    private let session: CriuSession
    private let complaint: CriuComplaint
    private let cancelled: FD?

    init(pidfd: SharedFD, console: SharedFD?, session: CriuSession, complaint: CriuComplaint, cancelled: FD?) {
        (self.pidfd, self.console, self.session) = (pidfd, console, session)
        (self.complaint, self.cancelled) = (complaint, cancelled)
    }

    /// Lets them run; CRIU has ended when this returns.
    func resume() throws(RuntimeError) {
        var last: CriuResponse?
        do throws(CriuFailure) {
            // To the notification that all is restored.
            try session.answer(true)
            while true {
                let (response, _) = try session.receive(cancelled: cancelled)
                last = response
                if response.kind != CriuRequest.Kind.notify.rawValue { break }
                try session.answer(true)
            }
        } catch {
            throw complaint.error(error, last)
        }
        session.close(milliseconds: 10_000)
        if last?.succeeded != true { throw complaint.error(CriuFailure(text: "it gave no reason"), last) }
        CriuStatistics.tell(in: complaint.work.fd, CriuStatistics.restore)
    }
}

/// `restore`: what ``Launcher`` does, with CRIU in the place of the first process's own steps.
///
/// The order: cgroup and limits; a network namespace, connected; CRIU in the cgroup and in namespaces of its own, where the root and what
/// the container has of the host are mounted; then its processes, which stand still until the container is started.
struct ContainerRestore {
    private let launcher: Launcher
    private let restore: RestoreRequest
    private let program: CriuProgram
    private var request: CreateRequest { launcher.request }
    private var plan: InitPlan { launcher.plan }

    /// Nothing exists yet when this throws.
    init(_ launcher: Launcher, _ restore: RestoreRequest, _ program: CriuProgram) throws(RuntimeError) {
        (self.launcher, self.restore, self.program) = (launcher, restore, program)
        let operation = "restore container"
        try ContainerCheckpoint.requirePrivileges(operation, launcher.request.id)
        try ContainerCheckpoint.requireSupport(launcher.plan.spec, operation, launcher.request.id)
        guard launcher.plan.newMountNamespace else {
            throw RuntimeError(.unsupported, operation, launcher.request.id, cause: "it has no mount namespace of its own")
        }
    }

    func run() throws(RuntimeError) -> Container {
        let images = try kernel("open checkpoint") { () throws(SystemError) in
            SharedFD(try FD.cwd.open(restore.images, [.readOnly, .directory]))
        }
        let files = try CheckpointFiles.read(images.fd, restore.images)
        try launcher.directory.make()
        do throws(RuntimeError) {
            return try makeInOwnedDirectory(images, files)
        } catch {
            try? launcher.directory.remove()
            throw error
        }
    }

    private func makeInOwnedDirectory(_ images: SharedFD, _ files: CheckpointFiles) throws(RuntimeError) -> Container {
        let cgroup = try launcher.makeCgroup()
        var pid: Int32 = 0
        do throws(RuntimeError) {
            try RootfsPreparation(request, plan, rootless: launcher.rootless).run()
            let network = try makeNetwork()
            if let network { try request.whileMaking?(network) }
            let work = restore.work.isEmpty ? images : try ContainerCheckpoint.open(restore.work, "log")
            let stage = CriuStage(plan: plan, directory: launcher.directory.path, files: files, network: network)
            let session = try stage.start(program, cgroup)
            let complaint = CriuComplaint(
                program: program, operation: "restore container", container: request.id, work: work,
                workPath: restore.work.isEmpty ? restore.images : restore.work, log: CriuLog.restore)
            let options = try options(images: images, work: work, files: files, stage)
            let restored = try converse(session, options, complaint, &pid)
            let record = try launcher.writeRecord(pid, cgroup)
            try kernel("make gate") { () throws(SystemError) in try FD.cwd.writeFile(launcher.directory.gatePath, []) }
            return Container(request: request, directory: launcher.directory, record: record, cgroup: cgroup, restored)
        } catch {
            // CRIU is in it as well as what it has made.
            try? cgroup.kill()
            if pid > 0 {
                _ = cl_kill(pid, SIGKILL)
                _ = try? waitForProcess(pid)
            }
            try? cgroup.remove()
            launcher.runPoststopHooks()
            throw error
        }
    }

    /// - Parameter pid: of the restored first process, as soon as it is known; a child of ours.
    private func converse(
        _ session: CriuSession, _ options: CriuOptions, _ complaint: CriuComplaint, _ pid: inout Int32
    ) throws(RuntimeError) -> RestoredProcesses {
        var console: SharedFD?
        let cancelled = restore.cancelled < 0 ? nil : FD(restore.cancelled)
        var response: CriuResponse?
        do throws(CriuFailure) {
            try session.ask(CriuRequest(kind: .restore, options: options))
            while true {
                let (next, descriptors) = try session.receive(cancelled: cancelled)
                response = next
                if next.pid > 0 { pid = next.pid }
                guard next.kind == CriuRequest.Kind.notify.rawValue, next.script != "post-restore" else { break }
                switch next.script {
                case "orphan-pts-master": console = descriptors.first
                case "setup-namespaces": try runHooks(pid)
                default: break
                }
                try session.answer(true)
            }
        } catch {
            throw complaint.error(error)
        }
        guard let response, response.script == "post-restore", pid > 0 else {
            throw complaint.error(CriuFailure(text: "it gave no reason"), response)
        }
        let process = pid
        let pidfd = try kernel("watch restored process") { () throws(SystemError) in SharedFD(try openProcess(process)) }
        if let master = console, let socket = request.consoleSocket {
            try kernel("send terminal") { () throws(SystemError) in try socket.send(Array("/dev/ptmx".utf8), descriptors: [master.fd]) }
            console = nil
        }
        return RestoredProcesses(pidfd: pidfd, console: console, session: session, complaint: complaint, cancelled: cancelled)
    }

    private func runHooks(_ pid: Int32) throws(CriuFailure) {
        guard let hooks = plan.spec.hooks else { return }
        let runner = HookRunner(state: plan.state(status: "creating", pid: pid))
        do throws(RuntimeError) {
            try runner.run(hooks.prestart, "prestart")
            try runner.run(hooks.createRuntime, "createRuntime")
        } catch {
            throw CriuFailure(text: error.description, isOurs: true)
        }
    }

    private func options(
        images: SharedFD, work: SharedFD, files: CheckpointFiles, _ stage: CriuStage
    ) throws(RuntimeError) -> CriuOptions {
        var options = CriuOptions()
        (options.images, options.work) = (images.raw, work.raw)
        options.logFile = CriuLog.restore
        options.root = plan.rootfsMountPoint
        options.restoresSibling = true
        options.establishedConnections = restore.establishedConnections
        options.closesConnections = restore.closesConnections
        options.skipsInFlight = restore.skipsInFlight
        options.externalUnixSockets = restore.externalUnixSockets
        options.isShellJob = restore.isShellJob
        options.fileLocks = restore.fileLocks
        options.remapsLinks = restore.remapsLinks
        options.deduplicates = restore.deduplicates
        options.lazyPages = restore.lazyPages
        options.emptyNamespaces = restore.emptyNetwork ? 0x4000_0000 : 0
        options.cgroupMode = try ContainerCheckpoint.cgroupMode(restore.cgroupMode)
        options.labelProfile = restore.labelProfile
        options.labelMountContext = restore.labelMountContext
        options.networkLock = ContainerCheckpoint.networkLock(established: restore.establishedConnections)
        options.inherited = stage.inherited
        // A file of the host in the place of another.
        options.allowsOtherModes = files.streams.contains { $0.hasPrefix("file[") }
        options.external = try stage.external()
        return options
    }

    // MARK: Network

    /// The namespace that config.json names, or a new one as the container's first process would have made it; nil: the host's.
    private func makeNetwork() throws(RuntimeError) -> SharedFD? {
        if let joined = plan.namespaces.joined.first(where: { $0.kind == .network }) { return joined.descriptor }
        guard plan.namespaces.isNew(.network) else { return nil }
        return try kernel("make network namespace") { () throws(SystemError) in
            let home = try currentNetworkNamespace()
            try check(cl_unshare(0x4000_0000 /* CLONE_NEWNET */), "make network namespace")
            defer {
                // As in withNetworkNamespace: what goes on elsewhere would change somebody else's network.
                if cl_setns(home.raw, 0x4000_0000) < 0 { abort() }
            }
            try raiseLoopback()
            for (key, value) in plan.linux.sysctl where key.hasPrefix("net.") || key.hasPrefix("net/") {
                let path = "/proc/sys/" + String(key.map { $0 == "." ? "/" : $0 })
                let file = try FD.cwd.open(path, .writeOnly)
                try file.fd.writeOnce(value, to: key)
            }
            return SharedFD(try currentNetworkNamespace())
        }
    }
}
