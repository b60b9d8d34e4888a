import CLinux
import Glibc
import Linux

/// The way into a container's cgroups for a process that is about to be born.
///
/// The parent opens everything; the child is cloned with CLONE_INTO_CGROUP into ``cloneDirectory`` and then calls
/// ``joinSelf()``, which allocates nothing. Keep the value until the child has joined: it owns the descriptors.
///
/// Why not write the child's pid from outside: on v1 that waits for a grace period of all processors (up to 15 ms for
/// each hierarchy). A single-threaded process that moves itself through `tasks` needs none (10 µs each).
public struct CgroupEntry: ~Copyable {
    /// The v2 directory for clone3, or -1 when the container has none.
    public let cloneDirectory: Int32
    /// One `tasks` file for each v1 hierarchy, open for writing.
    public let tasks: [Int32]
    private let ownsDirectory: Bool
    /// Keeps the directory open that `cloneDirectory` borrows.
    private let cgroup: Cgroup

    init(cgroup: Cgroup, cloneDirectory: Int32, ownsDirectory: Bool, tasks: [Int32]) {
        self.cgroup = cgroup
        self.cloneDirectory = cloneDirectory
        self.ownsDirectory = ownsDirectory
        self.tasks = tasks
    }

    deinit {
        for descriptor in tasks { _ = cl_close(descriptor) }
        if ownsDirectory { _ = cl_close(cloneDirectory) }
    }

    /// Moves the calling process into the v1 cgroups. For a process with one thread, before it enters its cgroup
    /// namespace. Nothing happens on a v2 host.
    /// - Throws: the first refusal.
    public borrowing func joinSelf() throws(CgroupError) {
        for descriptor in tasks {
            var zero: UInt8 = 48
            let result = cl_write(descriptor, &zero, 1)
            if result < 0 {
                throw CgroupError(Errno(rawValue: Int32(truncatingIfNeeded: -result)), "write \"0\" to", "tasks")
            }
        }
    }
}

extension Cgroup {
    /// Opens what a new process needs to be born in these cgroups.
    /// - Throws: `.notFound` when a cgroup is gone.
    public func entry() throws(CgroupError) -> CgroupEntry {
        CgroupEntry(
            cgroup: self, cloneDirectory: try unifiedDirectory()?.fd.rawValue ?? -1, ownsDirectory: false,
            tasks: try openTasks())
    }

    /// As ``entry()``, into the v2 cgroup in which a process of the container is now.
    ///
    /// For `exec`: a container that runs systemd moves its first process into a sub-cgroup, and the kernel then refuses
    /// (EBUSY) processes in the container's own cgroup.
    /// - Parameter pid: host pid of a process of the container.
    public func entry(ofProcess pid: Int32) throws(CgroupError) -> CgroupEntry {
        guard let index = unifiedIndex else { return try entry() }
        let bytes = try CgroupHost.procText("/proc/\(pid)/cgroup")
        let own = CgroupHost.parseOwnCgroups(bytes).first { $0.name.isEmpty }?.path ?? "/"
        let mine = record.entries[index].path
        // What /proc says is relative to our namespace's root, the record to the mount point: they share their tail.
        // Only a path at or below the container's own cgroup is used.
        guard let below = Self.tail(of: own, behind: mine) else { return try entry() }
        let directory = cl_openat(AT_FDCWD, mine + below, O_RDONLY | O_DIRECTORY, 0)
        if directory < 0 { throw CgroupError(Errno(rawValue: -directory), "open cgroup", "\"\(mine + below)\"") }
        do throws(CgroupError) {
            return CgroupEntry(cgroup: self, cloneDirectory: directory, ownsDirectory: true, tasks: try openTasks())
        } catch {
            _ = cl_close(directory)
            throw error
        }
    }

    /// The part of `own` below the container's cgroup: `/a/b/init` behind `/sys/fs/cgroup/a/b` is `/init`.
    static func tail(of own: String, behind path: String) -> String? {
        var prefix = own
        while !prefix.isEmpty, prefix != "/" {
            if path.hasSuffix(prefix) { return String(own.dropFirst(prefix.count)) }
            guard let slash = prefix.lastIndex(of: "/") else { return nil }
            prefix = String(prefix[..<slash])
        }
        return nil
    }

    private func openTasks() throws(CgroupError) -> [Int32] {
        var opened: [Int32] = []
        do throws(CgroupError) {
            for index in record.entries.indices where !record.entries[index].isUnified {
                opened.append(try directory(at: index).open("tasks", O_WRONLY).take())
            }
        } catch {
            for descriptor in opened { _ = cl_close(descriptor) }
            throw error
        }
        return opened
    }

    /// Moves another process, with all its threads, into the cgroups: the slow way, for processes that exist already.
    ///
    /// - Throws: `.notFound` when the process is gone; `.busy` on v2 when controllers are enabled below (processes may
    ///   then only live in sub-cgroups).
    public func add(pid: Int32) throws(CgroupError) {
        for index in record.entries.indices { try Cgroup.add(pid, to: try directory(at: index)) }
    }

    static func add(_ pid: Int32, to directory: CgroupDirectory) throws(CgroupError) {
        // EINVAL may mean that the task is not quite born; it is a matter of milliseconds.
        for attempt in 0..<5 {
            let errno = directory.attempt("cgroup.procs", "\(pid)")
            if errno.rawValue == 0 { return }
            if errno != .invalid || attempt == 4 { throw directory.failure(errno, "cgroup.procs", "\(pid)") }
            pause(milliseconds: 10)
        }
    }
}
