import Cgroups
import Linux

/// A process that is started again and again in one run of a container, beside other work: what it takes is read and checked once, and nothing
/// of it waits for the container, which may be slow, throttled or hostile.
public final class RepeatedExec {
    private let launch: ExecLaunch
    /// A dozen descriptors on a host with v1 hierarchies: opening them would be a tenth of what a process costs.
    private var entry: Entry?

    private final class Entry {
        let entry: CgroupEntry
        init(_ entry: consuming CgroupEntry) { self.entry = entry }
    }

    /// - Parameter change: makes the process from that of config.json.
    /// - Throws: what ``ExecProcess/start(_:)`` throws before there is a process.
    public init(root: String, id: String, _ change: (inout ExecRequest) -> Void) throws(RuntimeError) {
        let directory = try StateDirectory(root: root, id: id)
        let spec = try directory.spec()
        guard let process = spec.process else { throw .invalid("process", "it is missing") }
        var request = ExecRequest(root: root, id: id, process: process)
        request.spec = spec
        change(&request)
        launch = try ExecLaunch(request, try directory.read(), spec, directory)
    }

    /// Begins to start the process.
    ///
    /// Needs a single-threaded caller who reaps its children: of each call there are two, a stage that ends at once and the process.
    /// - Parameters: its standard streams; errors go to `output` too.
    public func begin(input: FD, output: FD) throws(RuntimeError) -> StartingExec {
        launch.plan.standardStreams = (input, output, output)
        let made: (stage: Int32, sync: SharedFD)
        do throws(RuntimeError) { made = try launch.begin(try knownEntry().entry) } catch {
            // The container may have moved itself into a cgroup below its own, where processes now have to go.
            entry = nil
            made = try launch.begin(try knownEntry().entry)
        }
        return StartingExec(id: launch.request.id, stage: made.stage, sync: made.sync)
    }

    private func knownEntry() throws(RuntimeError) -> Entry {
        if let entry { return entry }
        let made = Entry(try launch.entry())
        entry = made
        return made
    }

    /// SIGKILL to a process of it and to all that it has started: its session, and its descendants in other ones.
    ///
    /// What has left the session and lost its parent cannot be told from the container's own processes any more.
    public func kill(_ pid: Int32) {
        // In the order of their birth nothing is promised: what was forked between the look and the signal is met by the next look.
        for _ in 0..<8 {
            let found = ProcessTree.find(root: pid, among: candidates())
            for process in found { try? process.fd.sendSignal(9) }
            if found.isEmpty { return }
        }
    }

    private func candidates() -> [Int32] {
        let cgroup = Cgroup(record: launch.record.cgroup)
        if !launch.record.cgroup.entries.isEmpty, let pids = try? cgroup.processes(), !pids.isEmpty { return pids }
        return ProcessTree.allProcesses()
    }
}

/// A process on its way to execve.
public final class StartingExec {
    /// Readable when ``advance()`` has something to do.
    public let sync: SharedFD
    /// 0 until it is known. Child of this process.
    public private(set) var pid: Int32 = 0
    /// Child of this process that makes the other one and ends.
    public let stage: Int32
    private let id: String

    init(id: String, stage: Int32, sync: SharedFD) {
        self.id = id
        self.stage = stage
        self.sync = sync
    }

    /// Takes one message of the process; waits where there is none.
    ///
    /// - Returns: whether its program runs; then there is nothing more to wait for but its end.
    /// - Throws: exit code 126/127 errors when the program cannot run. The process ends by itself then.
    public func advance() throws(RuntimeError) -> Bool {
        let channel = SyncChannel(socket: sync.fd)
        if pid == 0 {
            pid = try ExecLaunch.pid(try channel.expect(.child).payload, id)
            try kernel { () throws(SystemError) in try channel.send(.proceed) }
            return false
        }
        return try channel.receive() == nil
    }
}
