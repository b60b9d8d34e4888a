import CLinux
import Cgroups
import Glibc
import Linux
import OCI

/// What ``ExecProcess/start(_:)`` runs in an existing container.
public struct ExecRequest {
    public var root: String
    public var id: String
    /// The whole process: user, args, env, capabilities… as config.json would say it.
    public var process: OCI.Process
    public var consoleSocket: FD?
    public var standardInput = FD(0)
    public var standardOutput = FD(1)
    public var standardError = FD(2)
    public var preserveFDs: Int32 = 0
    public var pidFile: String?
    /// Paths below the container's own cgroup, each `[HIERARCHY:]PATH` (runc's `--cgroup`).
    public var cgroups: [String] = []
    /// Run although the container is paused: the process freezes at once.
    public var ignorePaused = false
    /// The container's config.json where it was read already.
    public var spec: Spec?

    public init(root: String, id: String, process: OCI.Process) {
        self.root = root
        self.id = id
        self.process = process
    }
}

/// An additional process of a running container, child of this process.
public struct ExecProcess {
    public let pid: Int32
    public let pidfd: SharedFD
    public let console: SharedFD?

    /// Starts the process and returns once execve has happened.
    ///
    /// Needs a single-threaded caller. The container is named by a pidfd that was compared with the record, so a pid
    /// that was given to somebody else in between is never entered.
    /// - Throws: exit code 126/127 errors when the program cannot run.
    public static func start(_ request: ExecRequest) throws(RuntimeError) -> ExecProcess {
        let directory = try StateDirectory(root: request.root, id: request.id)
        let record = try directory.read()
        let status = record.status(in: directory)
        guard status == .running || status == .created || (status == .paused && request.ignorePaused) else {
            throw RuntimeError(.wrongState, "exec in container", request.id, cause: "it is \(status.rawValue)")
        }
        let spec: Spec
        if let known = request.spec { spec = known } else { spec = try directory.spec() }
        return try ExecLaunch(request, record, spec, directory).run()
    }
}

struct ExecLaunch {
    let request: ExecRequest
    let record: ContainerRecord
    let plan: InitPlan
    let target: SharedFD

    init(
        _ request: ExecRequest, _ record: ContainerRecord, _ spec: Spec, _ directory: StateDirectory
    ) throws(RuntimeError) {
        self.request = request
        self.record = record
        target = try kernel { () throws(SystemError) in SharedFD(try openProcess(record.pid)) }
        guard record.isAlive else {
            throw RuntimeError(.wrongState, "exec in container", request.id, cause: "it is stopped")
        }
        guard !request.process.args.isEmpty else { throw .invalid("process.args", "it is empty") }
        guard request.process.cwd.hasPrefix("/") else {
            throw .invalid("process.cwd", "\"\(request.process.cwd)\" is not an absolute path")
        }
        try SecurityLabels.requireSupport(request.process, mountLabel: "")
        var seccomp: PreparedSeccomp?
        if let profile = spec.linux?.seccomp { seccomp = try PreparedSeccomp(profile, cached: directory) }
        plan = InitPlan(
            id: request.id, bundle: record.bundle, spec: spec, process: request.process,
            identity: try ProcessIdentity(request.process, annotations: spec.annotations), seccomp: seccomp,
            namespaces: try NamespacePlan([]))
        plan.standardStreams = (request.standardInput, request.standardOutput, request.standardError)
        plan.preservedDescriptors = request.preserveFDs
    }

    /// Namespaces the container does not share with its creator; setns(2) refuses a user namespace one is in already.
    private var flags: UInt64 {
        var result: UInt64 = 0
        for entry in plan.linux.namespaces {
            for kind in NamespaceKind.allCases where kind.specName == entry.type { result |= kind.rawValue }
        }
        return result
    }

    /// Makes the stage and does not wait for it.
    func begin(_ entry: borrowing CgroupEntry) throws(RuntimeError) -> (stage: Int32, sync: SharedFD) {
        let pair = try kernel { () throws(SystemError) in try makeSocketPair(.sequencedPacket).take() }
        let sync = SharedFD(owning: pair.first)
        let childSync = OwnedFD(owning: pair.second)
        plan.sync = childSync.fd
        plan.creatorSync = sync.fd
        let stage = try cloneStage(entry)
        close(childSync)
        return (stage, sync)
    }

    func run() throws(RuntimeError) -> ExecProcess {
        let (stage, sync) = try begin(try entry())
        let channel = SyncChannel(socket: sync.fd)
        var console: SharedFD?
        var pid: Int32 = 0
        do throws(RuntimeError) {
            let first: (payload: [UInt8], descriptors: [SharedFD])
            do throws(RuntimeError) { first = try channel.expect(.child) } catch {
                _ = try? waitForProcess(stage)
                throw error
            }
            _ = try? waitForProcess(stage)
            pid = try Self.pid(first.payload, request.id)
            let started = pid
            let pidfd = try kernel { () throws(SystemError) in SharedFD(try openProcess(started)) }
            if let path = request.pidFile {
                try kernel("write pid file") { () throws(SystemError) in
                    try FD.cwd.replaceFile(path, with: Array("\(started)".utf8), mode: 0o644, durable: false)
                }
            }
            try kernel { () throws(SystemError) in try channel.send(.proceed) }
            while let message = try channel.receive() {
                guard message.step == .console, let master = message.descriptors.first else { continue }
                if let socket = request.consoleSocket {
                    try kernel("send terminal") { () throws(SystemError) in
                        try socket.send(Array("/dev/ptmx".utf8), descriptors: [master.fd])
                    }
                } else {
                    console = master
                }
            }
            return ExecProcess(pid: pid, pidfd: pidfd, console: console)
        } catch {
            if pid > 0 {
                _ = cl_kill(pid, 9)
                _ = try? waitForProcess(pid)
            }
            throw error
        }
    }

    static func pid(_ payload: [UInt8], _ id: String) throws(RuntimeError) -> Int32 {
        guard payload.count == 4 else { throw RuntimeError(.system, "exec in container", id, cause: "unreadable pid") }
        return payload.withUnsafeBytes { $0.loadUnaligned(as: Int32.self) }
    }

    /// The container's cgroups with the asked-for paths below them; they must exist.
    private func subgroups() throws(CgroupError) -> CgroupRecord {
        var changed = record.cgroup
        for text in request.cgroups {
            let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            let path = cleanPath(String(parts[parts.count - 1]))
            for index in changed.entries.indices {
                let names = changed.entries[index].hierarchy.split(separator: ",")
                if parts.count == 2, !names.contains(parts[0]) { continue }
                changed.entries[index].path = record.cgroup.entries[index].path + (path == "/" ? "" : path)
            }
        }
        return changed
    }

    /// The way into the container's cgroups as they are now.
    func entry() throws(RuntimeError) -> CgroupEntry {
        do throws(CgroupError) {
            if request.cgroups.isEmpty { return try Cgroup(record: record.cgroup).entry(ofProcess: record.pid) }
            return try Cgroup(record: try subgroups()).entry()
        } catch {
            throw RuntimeError(.system, "enter cgroup", cause: error.description)
        }
    }

    /// The stage is born in the container's cgroup, enters its namespaces and clones the process as its sibling.
    private func cloneStage(_ entry: borrowing CgroupEntry) throws(RuntimeError) -> Int32 {
        let stage = cl_clone3(0, UInt64(SIGCHLD), nil, entry.cloneDirectory)
        if stage == 0 {
            let channel = SyncChannel(socket: plan.sync)
            do throws(SystemError) {
                for file in entry.tasks { try FD(file).writeOnce("0", to: "tasks") }
                if let score = plan.process.oomScoreAdj {
                    let file = try FD.cwd.open("/proc/self/oom_score_adj", .writeOnly)
                    _ = cl_write(file.raw, "\(score)", "\(score)".utf8.count)
                }
                try enterAndClone(channel)
            } catch {
                channel.sendFailure(RuntimeError(error))
            }
            _exit(0)
        }
        return try kernel { () throws(SystemError) in try check(stage, "clone") }
    }

    private func enterAndClone(_ channel: SyncChannel) throws(SystemError) {
        // Before the namespaces: from then on the container's processes see this one (CVE-2016-9962).
        try check(cl_prctl(4 /* PR_SET_DUMPABLE */, 0, 0, 0, 0), "forbid tracing")
        if flags != 0 { try check(cl_setns(target.raw, Int32(truncatingIfNeeded: flags)), "enter container") }
        let pid = try check(cl_clone3(0x8000 /* CLONE_PARENT */, 0, nil, -1), "clone")
        if pid == 0 { ExecChild.run(plan, inUserNamespace: flags & NamespaceKind.user.rawValue != 0) }
        var number = pid
        try channel.send(.child, withUnsafeBytes(of: &number) { Array($0) })
    }
}

/// The process itself, inside the container, from the clone to execve.
private enum ExecChild {
    static func run(_ plan: InitPlan, inUserNamespace: Bool) -> Never {
        plan.closeCreatorsEnd()
        let sync = SyncChannel(socket: plan.sync)
        do throws(RuntimeError) {
            try execute(plan, sync, inUserNamespace: inUserNamespace)
        } catch {
            sync.sendFailure(error)
        }
        _exit(1)
    }

    private static func execute(_ plan: InitPlan, _ sync: SyncChannel, inUserNamespace: Bool) throws(RuntimeError) {
        // The stage reports our pid on this same socket: nothing of ours may come before that.
        try sync.expect(.proceed)
        try kernel("prepare process") { () throws(SystemError) in
            try check(cl_setsid(), "make session")
            if inUserNamespace {
                let group = cl_setresgid(0, 0, 0)
                if group != -EINVAL { try check(group, "set gid", "0") }
                let user = cl_setresuid(0, 0, 0)
                if user != -EINVAL { try check(user, "set uid", "0") }
            }
            // In the container's user namespace, or it would be counted there as the caller's. Without one of its own the
            // process would have the session keyring of whoever called us, with its keys.
            _ = cl_keyctl_join_session("_ses." + plan.id)
        }
        try plan.identity.applyLimits()
        try plan.identity.applyScheduling(affinity: plan.process.execCPUAffinity?.initial)
        let labels = try SecurityLabels(plan, procfs: plan.needsLabels ? privateProcfs() : nil)
        var console: Console?
        if plan.process.terminal {
            let root = try kernel { () throws(SystemError) in try FD.cwd.open("/", [.path, .directory]) }
            let made = try Console.open(in: RootfsPath(root: root.fd), size: plan.process.consoleSize, bindsConsole: false)
            try kernel { () throws(SystemError) in try sync.send(.console, descriptors: [made.master.fd]) }
            made.closeMaster()
            console = consume made
        }
        if let personality = plan.linux.personality { try Personality.apply(personality) }
        try Streams.install(plan, console)
        _ = cl_umask(plan.process.user.umask ?? 0o022)
        try plan.identity.becomeUser()
        try WorkingDirectory.enter(plan.process.cwd)
        let program = try ProgramImage.find(plan.process)
        try kernel { () throws(SystemError) in try Streams.closeAllExcept(plan) }
        try InitProcess.confineAndExecute(plan, program, labels)
    }

    private static func privateProcfs() throws(RuntimeError) -> SharedFD {
        try kernel("open procfs") { () throws(SystemError) in
            let context = try FileSystemContext("proc")
            return SharedFD(try context.mount(attributes: [.noSetuid, .noDevices, .noExecute]))
        }
    }
}
