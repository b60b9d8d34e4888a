import CLinux
import Cgroups
import Glibc
import Linux
import OCI

/// The process that becomes CRIU for a restore: in the container's cgroup, whose limits hold for what is restored, and in mount and cgroup
/// namespaces of its own, so that the mounts that CRIU needs are gone with it however it ends.
struct CriuStage {
    let plan: InitPlan
    /// The container's state directory: in that mount namespace, where mounts are kept for CRIU to take.
    let directory: String
    let files: CheckpointFiles
    let network: SharedFD?

    /// Descriptors of CRIU: its socket, the container's standard streams, the network namespace.
    private static let socket: Int32 = 3
    private static let firstStream: Int32 = 4
    private static let networkNamespace: Int32 = 7

    /// What CRIU uses in the place of what it finds in the images.
    var inherited: [(key: String, descriptor: Int32)] {
        var result: [(key: String, descriptor: Int32)] = []
        for (index, name) in files.streams.prefix(3).enumerated() {
            guard ["pipe:[", "socket:[", "file["].contains(where: { name.hasPrefix($0) }) else { continue }
            if !result.contains(where: { $0.key == name }) { result.append((name, Self.firstStream + Int32(index))) }
        }
        if files.hasNetwork, network != nil { result.append((CheckpointFiles.networkKey, Self.networkNamespace)) }
        return result
    }

    /// Where each of the mounts that are not in the images comes from.
    func external() throws(RuntimeError) -> [String] {
        var result: [String] = []
        for (index, point) in files.mounts.enumerated() {
            guard let source = sources.source(of: point) else {
                throw RuntimeError(
                    .invalid, "restore container", plan.id, cause: "the checkpoint has a mount at \(point), and config.json has none there")
            }
            let path =
                switch source {
                case .entry(let entry, let below): place(entry) + below
                case .host(let path): path
                }
            result.append("mnt[\(CheckpointFiles.mountKey(index))]:\(path)")
        }
        return result
    }

    private var sources: ExternalMounts {
        ExternalMounts(spec: plan.spec, cgroup: plan.cgroupIsUnified ? unified : plan.cgroupDirectories)
    }
    private var unified: [(name: String, path: String)] { plan.unifiedCgroup.map { [("unified", $0)] } ?? [] }

    private func place(_ entry: Int) -> String { directory + "/\(entry)" }

    /// - Returns: CRIU, which waits for a request.
    func start(_ program: CriuProgram, _ cgroup: Cgroup) throws(RuntimeError) -> CriuSession {
        let entry: CgroupEntry
        do throws(CgroupError) { entry = try cgroup.entry() } catch {
            throw RuntimeError(.system, "enter cgroup", cause: error.description)
        }
        plan.cgroupTasks = entry.tasks
        let cloneDirectory = entry.cloneDirectory
        let (rpc, sync) = try kernel { () throws(SystemError) in
            (try makeSocketPair(.sequencedPacket).take(), try makeSocketPair(.sequencedPacket).take())
        }
        let (ourSocket, ourSync) = (SharedFD(owning: rpc.first), SharedFD(owning: sync.first))
        let theirs = (socket: FD(rpc.second), sync: FD(sync.second))
        let process = try kernel("start criu") { () throws(SystemError) in
            var pidfd: Int32 = -1
            let cloned = cl_clone3(0, UInt64(SIGCHLD), &pidfd, cloneDirectory)
            defer {
                _ = cl_close(theirs.socket.rawValue)
                _ = cl_close(theirs.sync.rawValue)
            }
            let pid = try check(cloned, "clone")
            if pid == 0 { becomeCriu(program, socket: theirs.socket, sync: theirs.sync, closing: [ourSocket.raw, ourSync.raw]) }
            return (pid: pid, pidfd: SharedFD(owning: pidfd))
        }
        cgroup.releaseAnchor()
        let session = CriuSession(pid: process.pid, pidfd: process.pidfd, socket: ourSocket)
        // The end of the file is the sign of success: execve closed the other side.
        if let message = try SyncChannel(socket: ourSync.fd).receive() {
            throw RuntimeError(.system, "start criu", cause: "unexpected message \(message.step.rawValue)")
        }
        return session
    }

    /// In the child. Never returns.
    private func becomeCriu(_ program: CriuProgram, socket: FD, sync: FD, closing: [Int32]) -> Never {
        for number in closing { _ = cl_close(number) }
        let channel = SyncChannel(socket: sync)
        do throws(RuntimeError) {
            // While the mounts still are those that events are shared with.
            let sources = try kernel("open mount sources") { () throws(SystemError) in try cloneSources() }
            try kernel("prepare criu") { () throws(SystemError) in
                _ = cl_setsid()
                for file in plan.cgroupTasks { try FD(file).writeOnce("0", to: "tasks") }
                // What is restored is born in it: CRIU leaves cgroups alone.
                if plan.namespaces.isNew(.cgroup) { try check(cl_unshare(0x0200_0000), "make cgroup namespace") }
                try check(cl_unshare(0x0002_0000 /* CLONE_NEWNS */), "make mount namespace")
                try setPropagation("/", .private, recursive: true)
            }
            try makeMounts(sources)
            channel.sendFailure(RuntimeError(try becomeProgram(program, socket)))
        } catch {
            channel.sendFailure(error)
        }
        _exit(1)
    }

    /// The entries of `mounts` that the checkpoint has not, as the container's first process would have made them; by index.
    private func cloneSources() throws(SystemError) -> [Int: SharedFD] {
        var result: [Int: SharedFD] = [:]
        for point in files.mounts {
            guard case .entry(let index, _)? = sources.source(of: point), result[index] == nil else { continue }
            let mount = plan.mounts[index]
            let options = MountOptions(mount.options)
            if let prepared = plan.bindSources[index] {
                result[index] = prepared
            } else if options.bind || mount.type == "bind" {
                result[index] = SharedFD(try BindSource(plan.hostPath(mount.source), options).clone())
            } else {
                result[index] = SharedFD(try FileSystemMount(mount: mount, options: options).make())
            }
        }
        return result
    }

    private func makeMounts(_ copies: [Int: SharedFD]) throws(RuntimeError) {
        let root = try RootfsBuilder.attachRoot(plan, mayBeShared: false)
        try kernel("mount sources") { () throws(SystemError) in
            let context = try FileSystemContext("tmpfs")
            let places = try context.mount()
            let target = try FD.cwd.open(directory, [.path, .directory])
            try moveMount(places.fd, to: target.fd)
            for (index, copy) in copies.sorted(by: { $0.key < $1.key }) { try attach(copy, index, below: places.fd) }
        }
        try kernel("make mount points") { () throws(SystemError) in
            try makeTargets(RootfsPath(root: root.fd))
            if plan.spec.root?.readonly == true { try setMountAttributes(root.fd, set: .readOnly) }
        }
    }

    /// CRIU mounts on what is there: a rootfs that came from elsewhere need not have the places that were made in the first one.
    private func makeTargets(_ root: RootfsPath) throws(SystemError) {
        let targets = plan.mounts.map { cleanPath($0.destination) }
        for (index, target) in targets.enumerated() where target != "/" && !targets.contains(where: { target.hasPrefix($0 + "/") }) {
            let kept = try? FD.cwd.status(of: place(index), follow: true)
            let isFile = kept.map { $0.st_mode & S_IFMT != S_IFDIR } ?? false
            let made = try root.makeTarget(target, isFile ? .file : .directory)
            _ = made.fd
        }
    }

    /// An entry of `mounts` at its place, for CRIU to bind.
    private func attach(_ copy: SharedFD, _ index: Int, below places: FD) throws(SystemError) {
        let mount = plan.mounts[index]
        let options = MountOptions(mount.options)
        if options.bind || mount.type == "bind" {
            try options.apply(to: copy.fd)
        } else if options.set.contains(.readOnly) {
            try setMountAttributes(copy.fd, set: .readOnly)
        }
        let isDirectory = try copy.fd.status().st_mode & S_IFMT == S_IFDIR
        if isDirectory { try places.makeDirectory("\(index)") } else { try places.writeFile("\(index)", []) }
        let place = try places.open("\(index)", .path)
        try moveMount(copy.fd, to: place.fd)
        for entry in options.propagation { try setMountAttributes(copy.fd, propagation: entry.kind, recursive: entry.recursive) }
    }

    /// - Returns: why that failed.
    private func becomeProgram(_ program: CriuProgram, _ socket: FD) throws(RuntimeError) -> SystemError {
        try kernel("prepare criu") { () throws(SystemError) in
            // Never closed: its number may be one of the targets.
            let opened = try FD.cwd.open("/dev/null", .readWrite)
            let null = FD(opened.take())
            let streams = [plan.standardStreams.input, plan.standardStreams.output, plan.standardStreams.error]
            // By way of higher numbers: a source may itself be one of the targets.
            let lifted = try ([null, null, null, socket] + streams + [network?.fd ?? null]).map { (fd) throws(SystemError) in
                SharedFD(try fd.duplicate(atLeast: 64))
            }
            for (number, fd) in lifted.enumerated() { try check(cl_dup3(fd.raw, Int32(number), 0), "install descriptor") }
            try check(cl_close_range(UInt32(Self.networkNamespace) + 1, UInt32.max, 4 /* CLOSE_RANGE_CLOEXEC */), "close descriptors")
        }
        _ = cl_signal_default_all()
        return execute(program.path, arguments: ["criu", "swrk", "\(Self.socket)"], environment: CriuProgram.environment)
    }
}
