import CLinux
import Cgroups
import Control
import Glibc
import JSON
import Linux
import OCI

/// Containers of another OCI runtime (`--runtime runc`), through its command line.
///
/// The container's first process is orphaned by `create` and becomes our child, because we are a subreaper. An overlay is
/// mounted in a mount namespace of our own: nothing of it is left on the host, however we end.
final class ExternalLauncher: ContainerLauncher {
    fileprivate let config: SupervisionConfig
    fileprivate let run: String
    private let network: UserNetwork?
    private let command: ExternalCommand
    private var pidfd: SharedFD?
    private var cgroup: Cgroup?
    private var ownMounts = false
    /// What probe.json runs.
    private var probeCommand: [String] = []
    private(set) var userNamespace: SharedFD?

    init(_ config: SupervisionConfig, run: String, network: UserNetwork? = nil) {
        self.config = config
        self.run = run
        self.network = network
        command = ExternalCommand(
            runtime: config.runtime, bundle: config.bundle, root: ContainerFiles.externalState(run: run, id: config.id),
            log: ContainerFiles.runDirectory(run: run, id: config.id) + "/runtime.log")
    }

    fileprivate var pidFile: String { ContainerFiles.runDirectory(run: run, id: config.id) + "/pid" }

    func create(
        _ stdio: ContainerStdio, whileMaking: @escaping (SharedFD) throws(LaunchFailure) -> Void
    ) throws(LaunchFailure) -> LaunchedContainer {
        try prepareRootfs()
        _ = cl_unlinkat(AT_FDCWD, pidFile, 0)
        let consoleSocket = config.terminal ? try makeConsoleSocket() : nil
        var arguments = ["create", "--bundle", config.bundle, "--pid-file", pidFile]
        if let consoleSocket { arguments += ["--console-socket", consoleSocket.path] }
        arguments.append(config.id)
        try makeStateRoot()
        try command.call(arguments, stdio)
        let pid = try readPid()
        let opened: SharedFD
        do throws(SystemError) { opened = SharedFD(try openProcess(pid)) } catch {
            throw LaunchFailure(error.description)
        }
        pidfd = opened
        if geteuid() != 0 {
            userNamespace = try? openNamespace("user", of: pid)
        }
        let record = cgroupRecord(of: pid)
        cgroup = Cgroup(record: record)
        let console = try consoleSocket.map { (socket) throws(LaunchFailure) in try receiveConsole(socket.fd.fd) }
        return LaunchedContainer(pid: pid, pidfd: opened, console: console, freezeFile: freezeFile(record))
    }

    func start() throws(LaunchFailure) { try command.call(["start", config.id]) }

    func kill(_ signal: Int32) throws(LaunchFailure) {
        guard let pidfd else { throw LaunchFailure("container is not running") }
        do throws(SystemError) { try pidfd.fd.sendSignal(signal) } catch {
            // gVisor and virtual machines do not show their first process to us: they know how to reach it.
            try command.call(["kill", config.id, "\(signal)"])
        }
    }

    /// `kill --all` means the processes of the container's cgroup, and where it has none of its own those of the cgroup it
    /// is in, which are the caller's own: then only the first process is killed, and its pid namespace goes with it.
    func killAll() {
        guard let cgroup, !cgroup.record.entries.isEmpty else {
            try? pidfd?.fd.sendSignal(SIGKILL)
            return
        }
        _ = try? command.call(["kill", "--all", config.id, "9"])
        try? cgroup.kill()
    }

    func setFrozen(_ frozen: Bool) throws(LaunchFailure) { try command.call([frozen ? "pause" : "resume", config.id]) }

    func beginProbe(_ command: [String], input: FD, output: FD, oomScore: Int?) throws(LaunchFailure) -> any ProbeProcess {
        let directory = ContainerFiles.runDirectory(run: run, id: config.id)
        let probePid = directory + "/probe.pid"
        do throws(SystemError) {
            if probeCommand != command {
                let bytes = try FD.cwd.readFile(config.bundle + "/" + ContainerFiles.specification)
                guard var process = (try? Spec.decode(bytes))?.process else {
                    throw SystemError(.invalid, "read", ContainerFiles.specification)
                }
                process.becomeProbe(command, oomScore: oomScore)
                try FD.cwd.replaceFile(directory + "/probe.json", with: JSONWriter.document { process.write(to: &$0) }, durable: false)
                probeCommand = command
            }
            // The runtime writes it anew; the number of a probe before is nobody's.
            _ = cl_unlinkat(AT_FDCWD, probePid, 0)
        } catch {
            throw LaunchFailure(error.description)
        }
        let arguments = ["exec", "--process", directory + "/probe.json", "--pid-file", probePid, config.id]
        return ExternalProbe(try self.command.begin(arguments, input: input, output: output), pidFile: probePid)
    }

    func outOfMemoryKills() -> UInt64 { (try? cgroup?.oomKillCount()) ?? 0 }

    func delete() {
        do throws(LaunchFailure) { try command.call(["delete", "--force", config.id]) } catch { complain(error.text) }
        try? removeTree(.cwd, ContainerFiles.externalState(run: run, id: config.id))
        pidfd = nil
        cgroup = nil
        if ownMounts, case .overlay = config.rootfs { try? detachMount(rootfsPath) }
    }

    // MARK: Steps

    private func makeStateRoot() throws(LaunchFailure) {
        do throws(SystemError) {
            try FD.cwd.makeDirectories(ContainerFiles.externalState(run: run, id: config.id), mode: 0o700)
        } catch {
            throw LaunchFailure(error.description)
        }
    }

    private var rootfsPath: String { config.bundle + "/rootfs" }

    /// Mounts the overlay where config.json has its root (`rootfs` in the bundle).
    private func prepareRootfs() throws(LaunchFailure) {
        guard case .overlay(let plan) = config.rootfs else { return }
        do throws(SystemError) {
            if !ownMounts {
                // The namespace of the networks has the user's whole map as well, and the container's network namespace must
                // belong to it.
                if !config.userMap.isEmpty, network == nil { try enterUserNamespace() }
                try check(cl_unshare(0x0002_0000 /* CLONE_NEWNS */), "make mount namespace")
                // Mounts of the host still come to us, ours do not go to the host.
                try check(cl_mount(nil, "/", nil, 1 << 19 | 1 << 14 /* MS_SLAVE | MS_REC */, nil), "separate mounts", "/")
                ownMounts = true
            }
            try FD.cwd.makeDirectories(rootfsPath, mode: 0o755)
            let context = try FileSystemContext("overlay")
            let layers = try ErofsLayer.open(plan.lower)
            defer { withExtendedLifetime(layers.mounts) {} }
            for lower in layers.paths { try context.set("lowerdir+", lower) }
            try context.set("upperdir", plan.upper)
            try context.set("workdir", plan.work)
            if plan.userXattr { try context.set(flag: "userxattr") }
            if plan.volatile { try context.set(flag: "volatile") }
            let mount = try context.mount()
            let target = try FD.cwd.open(rootfsPath, [.path, .directory])
            try moveMount(mount.fd, to: target.fd)
        } catch {
            throw LaunchFailure(error.description)
        }
    }
}

extension ExternalLauncher {
    /// An ordinary user's runtime is called as root of a user namespace that this process holds: there it may mount, and
    /// find the overlay, without a privilege on the host.
    ///
    /// The maps are written by a child that stays outside: `newuidmap` works only from the parent namespace.
    private func enterUserNamespace() throws(SystemError) {
        let pipe = try makePipe().take()
        let reader = SharedFD(owning: pipe.first)
        let writer = OwnedFD(owning: pipe.second)
        let parent = getpid()
        let child = try check(cl_clone3(0, UInt64(SIGCHLD), nil, -1), "clone")
        if child == 0 {
            var byte: UInt8 = 0
            guard cl_read(reader.raw, &byte, 1) == 1 else { _exit(1) }
            _exit((try? writeIDMaps(parent, users: config.userMap, groups: config.groupMap)) == nil ? 1 : 0)
        }
        let unshared = cl_unshare(0x1000_0000 /* CLONE_NEWUSER */)
        if unshared == 0 { try? writer.fd.writeAll([1]) }
        close(writer)
        let status = try waitForProcess(child)?.status ?? .exited(1)
        try check(unshared, "make user namespace")
        if status != .exited(0) {
            throw SystemError(.notPermitted, "map ids of user namespace (see /etc/subuid, /etc/subgid)")
        }
        try check(cl_setresgid(0, 0, 0), "set gid")
        try check(cl_setresuid(0, 0, 0), "set uid")
    }

    private func readPid() throws(LaunchFailure) -> Int32 {
        guard let text = try? FD.cwd.readText(pidFile, limit: 64), let pid = Int32(text.filter(\.isNumber)), pid > 0 else {
            throw LaunchFailure("\(config.runtime) create: it left no pid file")
        }
        return pid
    }

    /// A socket to which the runtime connects to hand over the terminal.
    private func makeConsoleSocket() throws(LaunchFailure) -> (path: String, fd: SharedFD) {
        let path = ContainerFiles.runDirectory(run: run, id: config.id) + "/console.sock"
        do throws(SystemError) { return (path, SharedFD(try listenLocal(path, kind: .stream))) } catch {
            throw LaunchFailure(error.description)
        }
    }

    private func receiveConsole(_ listener: FD) throws(LaunchFailure) -> SharedFD {
        let connection = cl_accept4(listener.rawValue, Int32(SOCK_CLOEXEC.rawValue))
        guard connection >= 0 else { throw LaunchFailure("accept terminal: \(Errno(rawValue: -connection).description)") }
        let socket = OwnedFD(owning: connection)
        guard let message = try? socket.fd.receive(limit: 4096), let console = message.descriptors.first else {
            throw LaunchFailure("\(config.runtime) did not hand over a terminal")
        }
        return console
    }

    /// Where the process is in each hierarchy, in the form of our own cgroups.
    private func cgroupRecord(of pid: Int32) -> CgroupRecord {
        guard let text = try? FD.cwd.readText("/proc/\(pid)/cgroup"), let host = try? CgroupHost.detect() else {
            return CgroupRecord()
        }
        var record = CgroupRecord()
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            // One that does not name the container is shared with others: never ours to kill or freeze.
            guard fields.count == 3, fields[2].split(separator: "/").last?.includes(config.id) == true else { continue }
            let name = String(fields[1])
            let hierarchy = name.isEmpty ? host.unified : host.legacy.first { $0.name == name }
            guard let hierarchy else { continue }
            record.entries.append(CgroupRecord.Entry(hierarchy: name, path: hierarchy.mountPoint + fields[2]))
        }
        return record
    }
}
