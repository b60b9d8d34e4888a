import CLinux
import Cgroups
import Glibc
import Linux
import OCI

/// The creator's side of `create`: prepares everything, clones the first process, and walks it to the gate.
struct Launcher {
    let request: CreateRequest
    let plan: InitPlan
    let directory: StateDirectory
    let rootless: Bool

    /// Validates and prepares; nothing exists yet when this throws.
    init(_ request: CreateRequest) throws(RuntimeError) {
        self.request = request
        directory = try StateDirectory(root: request.root, id: request.id)
        rootless = geteuid() != 0 || isInUserNamespace()
        let spec = request.spec
        let namespaces = try NamespacePlan(spec.linux?.namespaces ?? [])
        try SpecValidation(spec, namespaces: namespaces).check()
        guard let process = spec.process else { throw .invalid("process", "it is missing") }
        try SecurityLabels.requireSupport(process, mountLabel: spec.linux?.mountLabel ?? "")
        var seccomp: PreparedSeccomp?
        if let profile = spec.linux?.seccomp { seccomp = try PreparedSeccomp(profile) }
        plan = InitPlan(
            id: request.id, bundle: request.bundle, spec: spec, process: process,
            identity: try ProcessIdentity(process, annotations: spec.annotations), seccomp: seccomp, namespaces: namespaces)
        plan.rootfsPropagation = try SpecValidation.propagation(spec.linux?.rootfsPropagation ?? "")
        plan.noPivot = request.noPivot
        plan.noNewKeyring = request.noNewKeyring
        plan.standardStreams = (request.standardInput, request.standardOutput, request.standardError)
        plan.preservedDescriptors = request.preserveFDs
        plan.blocksSignals = request.blocksSignals
        plan.reportsToStandardError = request.gate == .fifo
        plan.hostIsUserNamespace = rootless
    }

    /// Creates the container or leaves nothing behind.
    func launch() throws(RuntimeError) -> Container {
        try directory.make()
        do throws(RuntimeError) {
            return try createInOwnedDirectory()
        } catch {
            try? directory.remove()
            throw error
        }
    }

    private func createInOwnedDirectory() throws(RuntimeError) -> Container {
        let cgroup = try makeCgroup()
        var pid: Int32 = 0
        do throws(RuntimeError) {
            try RootfsPreparation(request, plan, rootless: rootless).run()
            return try clone(into: cgroup, &pid)
        } catch {
            // The process first, or its cgroup could not be removed.
            if pid > 0 {
                _ = cl_kill(pid, 9)
                _ = try? waitForProcess(pid)
            }
            try? cgroup.kill()
            try? cgroup.remove()
            runPoststopHooks()
            throw error
        }
    }

    /// What the earlier hooks set up, these take down (runtime.md "Lifecycle": on failure continue at step 12).
    func runPoststopHooks() {
        guard let hooks = plan.spec.hooks, !hooks.poststop.isEmpty else { return }
        HookRunner(state: plan.state(status: ContainerStatus.stopped.rawValue, pid: 0)).runAll(hooks.poststop, "poststop") { warn($0) }
    }

    func makeCgroup() throws(RuntimeError) -> Cgroup {
        let linux = plan.linux
        do throws(CgroupError) {
            let host = try CgroupHost.detect()
            var resources = linux.resources ?? LinuxResources()
            // Every container needs the standard nodes, whatever its rules forbid (runc does the same).
            if !resources.devices.isEmpty { resources.devices += DeviceRules.standard }
            let cgroup = try Cgroup.create(
                host: host, cgroupsPath: try cgroupsPath(), id: request.id, resources: resources,
                controllers: request.controllers, rootless: rootless)
            do throws(CgroupError) {
                try cgroup.apply(resources)
                if host.mode == .unified { try giveAway(cgroup) }
            } catch {
                try? cgroup.remove()
                throw error
            }
            plan.cgroupIsUnified = host.mode == .unified
            plan.unifiedCgroup = cgroup.record.entries.first(where: \.isUnified)?.path
            if !plan.cgroupIsUnified { plan.cgroupDirectories = Self.visibleNames(cgroup.record) }
            return cgroup
        } catch {
            throw RuntimeError(.system, "set up cgroup", cause: error.description)
        }
    }

    /// Where systemd manages cgroups there is a default too, and a path of directories means nothing.
    private func cgroupsPath() throws(CgroupError) -> String {
        let path = plan.linux.cgroupsPath
        guard request.systemdCgroup else { return path }
        if path.isEmpty { return ":berth:\(request.id)" }
        if case .systemd = try CgroupsPath.parse(path, id: request.id) { return path }
        throw CgroupError(.invalid, "use cgroups path", "\"\(path)\"", "with --systemd-cgroup it must be slice:prefix:name")
    }

    /// A container that has its own view of the cgroup tree, and may write to it, may divide its own cgroup.
    ///
    /// Spec: config-linux.md "Cgroup ownership".
    private func giveAway(_ cgroup: Cgroup) throws(CgroupError) {
        guard plan.namespaces.isNew(.cgroup), let inside = plan.spec.process?.user.uid else { return }
        let isWritable = plan.mounts.contains {
            $0.source == "cgroup" && ($0.type == "cgroup" || $0.type == "cgroup2") && $0.destination == "/sys/fs/cgroup"
                && !$0.options.contains("ro")
        }
        guard isWritable, let owner = hostUser(inside), owner != geteuid() else { return }
        do throws(CgroupError) { try cgroup.give(to: owner) } catch {
            // An ordinary user owns his cgroups, and can give them to nobody.
            if !rootless || error.code != .permissionDenied { throw error }
        }
    }

    /// The id on the host of a user of the container.
    private func hostUser(_ inside: UInt32) -> UInt32? {
        guard plan.namespaces.isNew(.user) else { return inside }
        for mapping in plan.linux.uidMappings where inside >= mapping.containerID {
            let offset = inside - mapping.containerID
            if offset < mapping.size { return mapping.hostID &+ offset }
        }
        return nil
    }

    /// The directories below /sys/fs/cgroup by which programs know the hierarchies.
    static func visibleNames(_ record: CgroupRecord) -> [(name: String, path: String)] {
        record.entries.map { entry in
            if entry.isUnified { return ("unified", entry.path) }
            return (entry.hierarchy.hasPrefix("name=") ? String(entry.hierarchy.dropFirst(5)) : entry.hierarchy, entry.path)
        }
    }

    private func clone(into cgroup: Cgroup, _ pid: inout Int32) throws(RuntimeError) -> Container {
        let entry: CgroupEntry
        do throws(CgroupError) { entry = try cgroup.entry() } catch {
            throw RuntimeError(.system, "enter cgroup", cause: error.description)
        }
        plan.cgroupTasks = entry.tasks
        let gate = try makeGate()
        let pair = try kernel { () throws(SystemError) in try makeSocketPair(.sequencedPacket).take() }
        let sync = SharedFD(owning: pair.first)
        let childSync = OwnedFD(owning: pair.second)
        plan.sync = childSync.fd
        plan.creatorSync = sync.fd
        plan.gate = gate.theirs.fd
        let process = try cloneProcess(cgroupDirectory: entry.cloneDirectory, sync)
        pid = process.pid
        cgroup.releaseAnchor()
        // Ours is the only copy left on this side, so that the child's end is seen as the end of the file.
        let channel = SyncChannel(socket: sync.fd)
        close(childSync)
        // Now: with other ids than ours, which it takes as soon as they are mapped, procfs shows it to nobody but the machine's root.
        let network = request.whileMaking == nil ? nil : try? openNamespace("net", of: process.pid)
        if plan.namespaces.isNew(.user) { try mapIDs(process.pid, channel) }
        try NetworkDevices.move(plan.linux.netDevices, into: process.pid, userNamespace: plan.namespaces.isNew(.user))
        if let network { try request.whileMaking?(network) }
        let console = try accompany(process.pid, channel)
        let record = try writeRecord(process.pid, cgroup)
        return Container(
            request: request, directory: directory, record: record, pidfd: process.pidfd, cgroup: cgroup, sync: sync,
            gate: gate.ours, console: console)
    }

    private func makeGate() throws(RuntimeError) -> (ours: SharedFD?, theirs: SharedFD) {
        try kernel("make gate") { () throws(SystemError) in
            let path = directory.gatePath
            switch request.gate {
            case .fifo:
                try check(cl_mknodat(AT_FDCWD, path, S_IFIFO | 0o600, 0), "make fifo", path)
                // Open for both directions: the child then never sees an end of file and opening never blocks.
                return (nil, SharedFD(try FD.cwd.open(path, [.readWrite, .noFollow])))
            case .socket:
                try FD.cwd.writeFile(path, [])
                let pair = try makeSocketPair(.sequencedPacket).take()
                return (SharedFD(owning: pair.first), SharedFD(owning: pair.second))
            }
        }
    }

    /// One clone where everything is new; through a stage that joins first where namespaces are given by path.
    private func cloneProcess(
        cgroupDirectory: Int32, _ sync: SharedFD
    ) throws(RuntimeError) -> (pid: Int32, pidfd: SharedFD) {
        try kernel("create container process") { () throws(SystemError) in
            var pidfd: Int32 = -1
            if plan.namespaces.joined.isEmpty {
                let pid = try check(
                    cl_clone3(plan.namespaces.cloneFlags, UInt64(SIGCHLD), &pidfd, cgroupDirectory), "clone")
                if pid == 0 { InitProcess.run(plan) }
                return (pid, SharedFD(owning: pidfd))
            }
            let stage = try check(cl_clone3(0, UInt64(SIGCHLD), nil, -1), "clone")
            if stage == 0 { JoiningStage.run(plan, cgroupDirectory: cgroupDirectory) }
            return try adoptFromStage(stage, sync)
        }
    }

    private func adoptFromStage(_ stage: Int32, _ sync: SharedFD) throws(SystemError) -> (pid: Int32, pidfd: SharedFD) {
        let message = try sync.fd.receive(limit: 32 << 10)
        _ = try waitForProcess(stage)
        guard message.bytes.count == 5, message.bytes[0] == SyncChannel.Step.child.rawValue else {
            // A failure text: pushed back to the caller through the usual decoder is not possible here, so say it.
            let text = String(decoding: message.bytes.dropFirst(), as: UTF8.self)
            let cause = text.split(separator: "\0", omittingEmptySubsequences: false).last.map(String.init) ?? text
            throw SystemError(.invalid, "join namespaces: " + cause)
        }
        let pid = message.bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 1, as: Int32.self) }
        let pidfd = SharedFD(try openProcess(pid))
        try SyncChannel(socket: sync.fd).send(.proceed)
        return (pid, pidfd)
    }

    private func mapIDs(_ pid: Int32, _ channel: SyncChannel) throws(RuntimeError) {
        let users = plan.linux.uidMappings.map(IDMapping.init)
        let groups = plan.linux.gidMappings.map(IDMapping.init)
        try kernel("map ids") { () throws(SystemError) in
            try writeIDMaps(pid, users: users, groups: groups)
            try channel.send(.mapped)
        }
    }

    /// Answers the child's questions until it stands at the gate.
    private func accompany(_ pid: Int32, _ channel: SyncChannel) throws(RuntimeError) -> SharedFD? {
        var console: SharedFD?
        while true {
            guard let message = try channel.receive() else {
                throw RuntimeError(.system, "create container", request.id, cause: "its first process ended early")
            }
            switch message.step {
            case .mounted:
                if let hooks = plan.spec.hooks {
                    let runner = HookRunner(state: plan.state(status: "creating", pid: pid))
                    try runner.run(hooks.prestart, "prestart")
                    try runner.run(hooks.createRuntime, "createRuntime")
                }
                try kernel { () throws(SystemError) in try channel.send(.hooked) }
            case .console:
                guard let master = message.descriptors.first else {
                    throw RuntimeError(.system, "make terminal", cause: "no descriptor arrived")
                }
                if let socket = request.consoleSocket {
                    try kernel("send terminal") { () throws(SystemError) in
                        try socket.send(Array("/dev/ptmx".utf8), descriptors: [master.fd])
                    }
                } else {
                    console = master
                }
            case .ready:
                return console
            default:
                throw RuntimeError(.system, "create container", request.id, cause: "unexpected message \(message.step.rawValue)")
            }
        }
    }

    /// The record names the process, so it is written when there is one; the pid file comes last, it tells others.
    func writeRecord(_ pid: Int32, _ cgroup: Cgroup) throws(RuntimeError) -> ContainerRecord {
        var record = ContainerRecord()
        record.id = request.id
        record.ociVersion = request.spec.ociVersion
        record.pid = pid
        record.startTime = processStartTime(pid) ?? 0
        record.bundle = request.bundle
        record.rootfs = plan.rootfsMountPoint
        record.created = rfc3339(wallClockNanoseconds())
        record.owner = rootless ? userIDOutside() : getuid()
        record.annotations = request.spec.annotations
        record.cgroup = cgroup.record
        try kernel("write state") { () throws(SystemError) in
            let bytes = request.specBytes.isEmpty ? request.spec.encode() : request.specBytes
            try FD.cwd.writeFile(directory.path + "/config.json", bytes)
        }
        try directory.write(record)
        if let path = request.pidFile {
            try kernel("write pid file") { () throws(SystemError) in
                try FD.cwd.replaceFile(path, with: Array("\(pid)".utf8), mode: 0o644, durable: false)
            }
        }
        return record
    }
}

extension IDMapping {
    package init(_ mapping: LinuxIDMapping) {
        self.init(inside: mapping.containerID, outside: mapping.hostID, count: mapping.size)
    }
}

/// The process between creator and container where namespaces are joined by path: it joins, then clones the first
/// process as its own sibling (CLONE_PARENT), reports the pid and ends.
enum JoiningStage {
    static func run(_ plan: InitPlan, cgroupDirectory: Int32) -> Never {
        let channel = SyncChannel(socket: plan.sync)
        do throws(SystemError) {
            try plan.namespaces.join()
            let flags = plan.namespaces.cloneFlags | 0x8000  // CLONE_PARENT
            let pid = try check(cl_clone3(flags, 0, nil, cgroupDirectory), "clone")
            if pid == 0 { InitProcess.run(plan) }
            var number = pid
            try channel.send(.child, withUnsafeBytes(of: &number) { Array($0) })
            _exit(0)
        } catch {
            channel.sendFailure(RuntimeError(error))
            _exit(1)
        }
    }
}
