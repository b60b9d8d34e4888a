import CLinux
import Cgroups
import Glibc
import Linux
import OCI

/// What ``ContainerCheckpoint`` is to do.
public struct CheckpointRequest: Sendable {
    /// Directory for the images; made where it is not there.
    public var images: String
    /// Directory for CRIU's log and statistics; empty: that of the images.
    public var work = ""
    /// The images are moved there once they are whole and synced, before the container ends; empty: they stay.
    public var publishedAs = ""
    /// What is there already goes; otherwise it is an error.
    public var replaces = false
    /// An earlier dump, relative to the images: its memory is not written again.
    public var parent = ""
    /// Only memory, while the container runs on: to be somebody's parent.
    public var isPreDump = false
    public var leavesRunning = false
    public var establishedConnections = false
    public var skipsInFlight = false
    public var externalUnixSockets = false
    public var isShellJob = false
    public var fileLocks = false
    public var remapsLinks = false
    public var deduplicates = false
    public var lazyPages = false
    public var statusDescriptor: Int32 = -1
    public var emptyNetwork = false
    /// runc's words: `soft`, `full`, `strict`, `ignore`; empty: `ignore`, and processes are put into the container's cgroup.
    public var cgroupMode = ""
    /// `ADDRESS:PORT` of `criu page-server`; empty: memory goes into the images.
    public var pageServer = ""

    public init(images: String) { self.images = images }
}

/// `checkpoint`: writes all processes of a container down, and ends them unless they are to go on.
///
/// Spec: none of the OCI; the command line is runc's. The program is CRIU (images/rpc.proto).
public struct ContainerCheckpoint {
    private let directory: StateDirectory
    private let program: CriuProgram

    public init(_ directory: StateDirectory, program: CriuProgram) {
        (self.directory, self.program) = (directory, program)
    }

    /// Returns when the images are whole and synced, and the container has been ended or runs on as before.
    ///
    /// Whatever fails, the container runs on.
    /// - Parameter cancelled: becomes readable when nobody wants it any more.
    /// - Throws: CRIU's own reason, and where its log is.
    public func run(_ request: CheckpointRequest, cancelled: FD? = nil) throws(RuntimeError) {
        try Self.requirePrivileges("checkpoint container", directory.id)
        let record = try directory.read()
        let status = record.status(in: directory)
        guard status == .running || status == .paused else {
            throw RuntimeError(.wrongState, "checkpoint container", record.id, cause: "it is \(status.rawValue), not running")
        }
        let spec = try directory.spec()
        try Self.requireSupport(spec, "checkpoint container", record.id)
        let images = try Self.open(request.images, "images")
        let work = request.work.isEmpty ? images : try Self.open(request.work, "log")
        let complaint = CriuComplaint(
            program: program, operation: "checkpoint container", container: record.id, work: work,
            workPath: request.work.isEmpty ? request.images : request.work, log: CriuLog.dump)
        let files = try describe(record, spec)
        var options = try options(request, record, spec, files)
        (options.images, options.work) = (images.raw, work.raw)
        if !request.isPreDump { try kernel("write checkpoint") { () throws(SystemError) in try files.write(images.fd) } }
        let session = try CriuSession.start(program)
        let outcome: Result<CriuResponse, CriuFailure>
        do throws(CriuFailure) {
            outcome = .success(try converse(session, request, options, images.fd, cancelled))
        } catch {
            outcome = .failure(error)
        }
        switch outcome {
        case .success(let response) where response.succeeded:
            session.close(milliseconds: 60_000)
            CriuStatistics.tell(in: work.fd, CriuStatistics.dump)
            if request.isPreDump { try publish(request, images.fd) }
        case .success(let response):
            session.close(milliseconds: 10_000, isFailure: true)
            throw complaint.error(CriuFailure(text: "it gave no reason"), response)
        case .failure(let failure):
            // It lets the processes go on by itself when it has nobody to ask. One that hangs does not.
            session.close(milliseconds: 10_000, isFailure: true)
            if status == .running { try? Cgroup(record: record.cgroup).thaw() }
            throw complaint.error(failure)
        }
    }

    private func converse(
        _ session: CriuSession, _ request: CheckpointRequest, _ options: CriuOptions, _ images: FD, _ cancelled: FD?
    ) throws(CriuFailure) -> CriuResponse {
        try session.ask(CriuRequest(kind: request.isPreDump ? .preDump : .dump, options: options))
        while true {
            let (response, _) = try session.receive(cancelled: cancelled, whenReadable: true)
            guard response.kind == CriuRequest.Kind.notify.rawValue else { return response }
            var failure: RuntimeError?
            // All is written, and the processes stand still: what cannot be kept now has not happened.
            if response.script == "post-dump" {
                do throws(RuntimeError) { try publish(request, images) } catch { failure = error }
            }
            try session.answer(failure == nil)
            if let failure { throw CriuFailure(text: failure.description, isOurs: true) }
        }
    }

    /// Syncs the images and moves them to their name.
    private func publish(_ request: CheckpointRequest, _ images: FD) throws(RuntimeError) {
        try kernel("keep checkpoint") { () throws(SystemError) in
            try CheckpointFiles.sync(images)
            if request.publishedAs.isEmpty { return }
            let isThere = request.replaces && FD.cwd.exists(request.publishedAs)
            // RENAME_EXCHANGE, RENAME_NOREPLACE: what was there before is the caller's to remove, under the old name of this.
            try FD.cwd.rename(request.images, to: request.publishedAs, flags: isThere ? 2 : 1)
            let parent = try FD.cwd.open(request.publishedAs + "/..", [.readOnly, .directory])
            try parent.fd.sync()
        }
    }

    /// What the container has of the host.
    private func describe(_ record: ContainerRecord, _ spec: Spec) throws(RuntimeError) -> CheckpointFiles {
        try kernel("look at mounts of container") { () throws(SystemError) in
            var files = CheckpointFiles()
            let mounts = ExternalMounts(spec: spec, cgroup: Launcher.visibleNames(record.cgroup))
            let own = try MountInfo.read("\(record.pid)")
            files.mounts = mounts.find(container: own, host: try MountInfo.read("self"))
            for number in 0...2 { files.streams.append(stream(number, of: record.pid, own)) }
            files.hasNetwork = spec.linux?.namespaces.contains { $0.type == "network" } ?? false
            return files
        }
    }

    /// What a standard stream is called in the images: `pipe:[4711]`; a file of the host as CRIU names those.
    private func stream(_ number: Int, of pid: Int32, _ mounts: [MountInfo]) -> String {
        let link = (try? FD.cwd.readLink("/proc/\(pid)/fd/\(number)")) ?? ""
        guard link.hasPrefix("/"), let info = try? FD.cwd.status(of: "/proc/\(pid)/fd/\(number)", follow: true),
            info.st_mode & S_IFMT == S_IFREG, let text = try? FD.cwd.readText("/proc/\(pid)/fdinfo/\(number)"),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix("mnt_id:") }),
            let mount = UInt64(line.dropFirst(7).drop { $0 == "\t" || $0 == " " }), !mounts.contains(where: { $0.id == mount })
        else { return link }
        return "file[" + String(mount, radix: 16) + ":" + String(info.st_ino, radix: 16) + "]"
    }

    private func options(
        _ request: CheckpointRequest, _ record: ContainerRecord, _ spec: Spec, _ files: CheckpointFiles
    ) throws(RuntimeError) -> CriuOptions {
        var options = CriuOptions()
        options.pid = record.pid
        options.logFile = CriuLog.dump
        options.parent = request.parent
        options.tracksMemory = request.isPreDump || !request.parent.isEmpty
        options.leavesRunning = request.leavesRunning
        options.externalUnixSockets = request.externalUnixSockets
        options.establishedConnections = request.establishedConnections
        options.skipsInFlight = request.skipsInFlight
        options.isShellJob = request.isShellJob
        options.fileLocks = request.fileLocks
        options.remapsLinks = request.remapsLinks
        options.deduplicates = request.deduplicates
        options.lazyPages = request.lazyPages
        options.statusDescriptor = request.statusDescriptor
        options.emptyNamespaces = request.emptyNetwork ? 0x4000_0000 : 0
        options.cgroupMode = try Self.cgroupMode(request.cgroupMode)
        options.pageServer = try Self.pageServer(request.pageServer)
        options.freezer = freezer(record.cgroup)
        options.networkLock = Self.networkLock(established: request.establishedConnections)
        for (index, point) in files.mounts.enumerated() { options.external.append("mnt[\(point)]:\(CheckpointFiles.mountKey(index))") }
        // The same file for two streams is one file.
        for name in Set(files.streams) where name.hasPrefix("file[") { options.external.append(name) }
        if files.hasNetwork {
            let namespace = try kernel("look at network of container") { () throws(SystemError) in
                try FD.cwd.status(of: "/proc/\(record.pid)/ns/net", follow: true).st_ino
            }
            options.external.append("net[\(namespace)]:\(CheckpointFiles.networkKey)")
        }
        return options
    }

    /// The directory whose freezer stops all at once: the one that ``Cgroup/freeze(timeoutMilliseconds:)`` uses.
    private func freezer(_ record: CgroupRecord) -> String {
        if let unified = record.entries.first(where: \.isUnified) { return unified.path }
        return record.entries.first { $0.hierarchy.split(separator: ",").contains("freezer") }?.path ?? ""
    }
}

extension ContainerCheckpoint {
    /// CRIU needs what only the machine's root has: to see every process's memory, and to choose process ids.
    static func requirePrivileges(_ operation: String, _ id: String) throws(RuntimeError) {
        if geteuid() == 0, !isInUserNamespace() { return }
        throw RuntimeError(
            .unsupported, operation, id,
            cause: "checkpoints need the machine's root, as CRIU does; run the container as root: sudo berth run …")
    }

    /// What cannot be made again from images and config.json.
    static func requireSupport(_ spec: Spec, _ operation: String, _ id: String) throws(RuntimeError) {
        for namespace in spec.linux?.namespaces ?? [] {
            let isJoined = !namespace.path.isEmpty && namespace.type != "network"
            guard namespace.type == "user" || isJoined else { continue }
            let what = isJoined ? "it shares the \(namespace.type) namespace of another" : "it has a user namespace of its own"
            throw RuntimeError(.unsupported, operation, id, cause: what + ", which cannot be restored")
        }
    }

    static func open(_ path: String, _ what: String) throws(RuntimeError) -> SharedFD {
        try kernel("open directory for \(what)") { () throws(SystemError) in
            try FD.cwd.makeDirectories(path, mode: 0o700)
            return SharedFD(try FD.cwd.open(path, [.readOnly, .directory]))
        }
    }

    /// Without connections to keep, nothing has to be kept from them: no program for a firewall is needed.
    static func networkLock(established: Bool) -> CriuOptions.NetworkLock {
        if !established { return .skip }
        return findProgram("iptables-restore") == nil ? .nftables : .iptables
    }

    static func cgroupMode(_ word: String) throws(RuntimeError) -> CriuOptions.CgroupMode {
        switch word {
        case "", "ignore": return .ignore
        case "soft": return .soft
        case "full": return .full
        case "strict": return .strict
        default:
            throw RuntimeError(.invalid, "--manage-cgroups-mode", word, cause: "it must be soft, full, strict or ignore")
        }
    }

    static func pageServer(_ text: String) throws(RuntimeError) -> (address: String, port: Int32)? {
        if text.isEmpty { return nil }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let port = Int32(parts[1]), (1...65535).contains(port), !parts[0].isEmpty else {
            throw RuntimeError(.invalid, "--page-server", text, cause: "it must be ADDRESS:PORT")
        }
        return (String(parts[0]), port)
    }
}
