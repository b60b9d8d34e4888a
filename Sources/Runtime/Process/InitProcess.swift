import CLinux
import Glibc
import Linux
import OCI

/// The container's first process, from the clone to execve.
///
/// A copy of its creator's address space with one thread; it never returns and leaves with `_exit`.
struct InitProcess {
    private let plan: InitPlan
    private let sync: SyncChannel

    /// Runs the whole sequence. Never returns.
    static func run(_ plan: InitPlan) -> Never {
        plan.closeCreatorsEnd()
        let process = InitProcess(plan: plan, sync: SyncChannel(socket: plan.sync))
        do throws(RuntimeError) {
            try process.build()
        } catch {
            process.sync.sendFailure(error)
        }
        _exit(1)
    }

    /// Returns only by throwing.
    private func build() throws(RuntimeError) {
        setName("berth:[1:JOIN]")
        try joinWorld()
        setName("berth:[2:ROOTFS]")
        var rootfs = try prepareFileSystem()
        let terminal = try runHooksAndConsole(&rootfs)
        try rootfs.writeSysctls()
        let labels = try SecurityLabels(plan, procfs: plan.needsLabels ? rootfs.privateProcfs() : nil)
        try rootfs.restrict()
        try rootfs.enter()
        let program = try finishEnvironment(terminal)
        setName("berth:[3:CREATED]")
        try announceAndWait()
        try startProgram(program, labels)
    }

    /// Session, cgroups, ids, and the namespaces that could not be made by clone.
    private func joinWorld() throws(RuntimeError) {
        // The joining stage reports our pid on this same socket: nothing of ours may come before that.
        if !plan.namespaces.joined.isEmpty { try sync.expect(.proceed) }
        try kernel("prepare container process") { () throws(SystemError) in
            try check(cl_setsid(), "make session")
            if !plan.noNewKeyring { _ = cl_keyctl_join_session("_ses." + plan.id) }
            // A single-threaded process that moves itself by `tasks` skips the kernel's global lock, which costs a
            // parent that writes our pid up to 15 ms (docs/decisions/cgroup-join.md).
            for file in plan.cgroupTasks { try FD(file).writeOnce("0", to: "tasks") }
        }
        try applyOOMScore()
        if plan.seccomp?.listener != nil {
            // The host's procfs knows our pid there; a seccomp agent needs that one.
            plan.hostPid = Int32((try? FD.cwd.readLink("/proc/self")) ?? "") ?? 0
        }
        // After the OOM score: procfs files of a process with unmapped ids belong to nobody.
        if plan.namespaces.isNew(.user) { try sync.expect(.mapped) }
        try kernel("prepare container process") { () throws(SystemError) in
            if plan.inUserNamespace { try becomeNamespaceRoot() }
            if plan.namespaces.isNew(.cgroup) { try check(cl_unshare(0x0200_0000), "make cgroup namespace") }
            if plan.namespaces.isNew(.time) { try enterTimeNamespace() }
            if !plan.spec.hostname.isEmpty {
                try check(cl_sethostname(plan.spec.hostname, plan.spec.hostname.utf8.count), "set hostname", plan.spec.hostname)
            }
            if !plan.spec.domainname.isEmpty {
                try check(
                    cl_setdomainname(plan.spec.domainname, plan.spec.domainname.utf8.count), "set domain name",
                    plan.spec.domainname)
            }
            if plan.namespaces.isNew(.network) { try raiseLoopback() }
            // From here on the container's own processes could see us; they must not be able to trace us
            // (CVE-2016-9962).
            try check(cl_prctl(4 /* PR_SET_DUMPABLE */, 0, 0, 0, 0), "forbid tracing")
        }
        try plan.identity.applyLimits()
        try plan.identity.applyScheduling(affinity: plan.process.execCPUAffinity?.initial)
    }

    /// A lower score than the caller's needs CAP_SYS_RESOURCE: without it that is best effort.
    private func applyOOMScore() throws(RuntimeError) {
        guard let score = plan.process.oomScoreAdj else { return }
        do throws(SystemError) {
            let file = try FD.cwd.open("/proc/self/oom_score_adj", .writeOnly)
            try file.fd.writeOnce("\(score)", to: "oom_score_adj")
        } catch {
            if error.errno != .accessDenied && error.errno != .notPermitted { throw RuntimeError(error) }
        }
    }

    /// Where the mapping has an id 0; in a map of one other id we keep that one, with all capabilities.
    private func becomeNamespaceRoot() throws(SystemError) {
        let group = cl_setresgid(0, 0, 0)
        if group != -EINVAL { try check(group, "set gid", "0") }
        let user = cl_setresuid(0, 0, 0)
        if user != -EINVAL { try check(user, "set uid", "0") }
    }

    /// Offsets can be written only while nobody is in the namespace, so it is made for children and then entered.
    private func enterTimeNamespace() throws(SystemError) {
        try check(cl_unshare(0x80), "make time namespace")
        if !plan.linux.timeOffsets.isEmpty {
            let file = try FD.cwd.open("/proc/self/timens_offsets", .writeOnly)
            var text = ""
            for (clock, offset) in plan.linux.timeOffsets.sorted(by: { $0.key < $1.key }) {
                text += "\(clock) \(offset.secs) \(offset.nanosecs)\n"
            }
            try file.fd.writeOnce(text, to: "timens_offsets")
        }
        let entered = try FD.cwd.open("/proc/self/ns/time_for_children", .readOnly)
        try check(cl_setns(entered.raw, 0x80), "enter time namespace")
    }

    private func prepareFileSystem() throws(RuntimeError) -> RootfsBuilder {
        if !plan.newMountNamespace && plan.namespaces.joins(.mount) {
            throw .invalid("linux.namespaces", "a rootfs cannot be set up in a joined mount namespace")
        }
        var builder = try RootfsBuilder(plan)
        try builder.buildMounts()
        return builder
    }

    /// The hooks run between the finished mounts and pivot_root: prestart and createRuntime by the creator on the host,
    /// createContainer here, still with the host's tree but in the container's namespaces.
    private func runHooksAndConsole(_ rootfs: inout RootfsBuilder) throws(RuntimeError) -> Console? {
        if let hooks = plan.spec.hooks {
            if !hooks.prestart.isEmpty || !hooks.createRuntime.isEmpty {
                try kernel { () throws(SystemError) in try sync.send(.mounted) }
                try sync.expect(.hooked)
            }
            if !hooks.createContainer.isEmpty {
                try HookRunner(state: plan.state(status: "creating", pid: getpid())).run(hooks.createContainer, "createContainer")
            }
        }
        guard plan.process.terminal else { return nil }
        let console = try Console.open(in: rootfs.root, size: plan.process.consoleSize, bindsConsole: plan.newMountNamespace)
        try kernel { () throws(SystemError) in
            try sync.send(.console, descriptors: [console.master.fd])
        }
        console.closeMaster()
        return console
    }

    /// Personality, umask, HOME, the program's path; all inside the new root.
    private func finishEnvironment(_ console: borrowing Console?) throws(RuntimeError) -> ProgramImage {
        if let personality = plan.linux.personality { try Personality.apply(personality) }
        if let policy = plan.linux.memoryPolicy { try MemoryPolicy.apply(policy) }
        try Streams.install(plan, console)
        _ = cl_umask(plan.process.user.umask ?? 0o022)
        try WorkingDirectory.make(plan.process.cwd)
        try plan.identity.becomeUser()
        try WorkingDirectory.enter(plan.process.cwd)
        return try ProgramImage.find(plan.process)
    }

    /// Nothing but the standard streams, the preserved descriptors, the gate and the sync socket is open while the
    /// container is in the created state.
    private func announceAndWait() throws(RuntimeError) {
        try kernel { () throws(SystemError) in
            try Streams.closeAllExcept(plan)
            // In a user namespace `exec` may enter a created container only if it may trace its first process. Nothing
            // of the host is open here any more.
            if plan.inUserNamespace { try check(cl_prctl(4 /* PR_SET_DUMPABLE */, 1, 0, 0, 0), "allow tracing") }
            try sync.send(.ready)
            if plan.reportsToStandardError { _ = cl_close(plan.sync.rawValue) }
            var byte: UInt8 = 0
            let count = try check(cl_read(plan.gate.rawValue, &byte, 1), "wait for start")
            // The creator is gone without a start: there is nobody to run for.
            if count == 0 { _exit(1) }
            // The gate stays open until execve: a starter sees by its end that the program runs.
        }
    }

    private func startProgram(_ program: ProgramImage, _ labels: borrowing SecurityLabels) throws(RuntimeError) {
        do throws(RuntimeError) {
            if let hooks = plan.spec.hooks, !hooks.startContainer.isEmpty {
                try HookRunner(state: plan.state(status: "created", pid: getpid())).run(hooks.startContainer, "startContainer")
            }
            try Self.confineAndExecute(plan, program, labels)
        } catch {
            if plan.reportsToStandardError {
                try? FD.standardError.writeAll("berth-runtime: \(error.description)\n")
                _exit(error.exitCode)
            }
            throw error
        }
    }

    /// The last steps, in the one order that works: the label and the filter need privilege that the final
    /// capabilities take away; under no_new_privs the filter comes after them and needs to allow only execve.
    static func confineAndExecute(
        _ plan: InitPlan, _ program: ProgramImage, _ labels: borrowing SecurityLabels
    ) throws(RuntimeError) {
        try labels.apply()
        try plan.identity.finishAffinity()
        program.prepare(preserving: plan.preservedDescriptors, blockingSignals: plan.blocksSignals)
        if plan.process.noNewPrivileges {
            try kernel { () throws(SystemError) in
                try check(cl_prctl(38 /* PR_SET_NO_NEW_PRIVS */, 1, 0, 0, 0), "set no_new_privs")
            }
            try plan.identity.applyCapabilities()
            try load(plan.seccomp, plan)
        } else {
            try load(plan.seccomp, plan)
            try plan.identity.applyCapabilities()
        }
        throw program.execute()
    }

    private static func load(_ seccomp: PreparedSeccomp?, _ plan: InitPlan) throws(RuntimeError) {
        guard let seccomp else { return }
        try kernel { () throws(SystemError) in
            try seccomp.load(state: plan.state(status: "running", pid: plan.hostPid))
        }
    }

    /// Shown by ps and /proc/PID/comm while the container is being made.
    private func setName(_ name: StaticString) {
        _ = cl_prctl(15 /* PR_SET_NAME */, UInt(bitPattern: name.utf8Start), 0, 0, 0)
    }
}
