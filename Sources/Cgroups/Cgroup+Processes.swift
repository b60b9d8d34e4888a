import CLinux
import Glibc
import Linux

extension Cgroup {
    /// Host pids of the container's processes.
    ///
    /// - Parameter recursive: with those in cgroups the container made itself.
    /// - Returns: nothing when the cgroup is gone. Pids of processes in other pid namespaces (0) are left out.
    public func processes(recursive: Bool = true) throws(CgroupError) -> [Int32] {
        do throws(CgroupError) {
            guard let directory = try membershipDirectory() else { return [] }
            var pids = Self.pids(try directory.readIfPresent("cgroup.procs") ?? [])
            if recursive {
                CgroupWalk.run(
                    directory.fd,
                    enter: { child in
                        let file = cl_openat(child.rawValue, "cgroup.procs", O_RDONLY, 0)
                        if file < 0 { return }
                        let procs = OwnedFD(owning: file)
                        // A threaded cgroup lists its processes at its domain root only (EOPNOTSUPP here).
                        pids += (try? procs.fd.readAll()).map(Self.pids) ?? []
                    })
            }
            return pids
        } catch {
            if error.code == .notFound { return [] }
            throw error
        }
    }

    static func pids(_ bytes: [UInt8]) -> [Int32] {
        bytes.split(separator: 10).compactMap { number($0).flatMap { Int32(exactly: $0) } }.filter { $0 > 0 }
    }

    /// Kills every process with SIGKILL, also paused ones and those in nested cgroups, and those forking meanwhile.
    ///
    /// `cgroup.kill` (Linux 5.14) does it at once; otherwise processes are frozen, signalled and thawed in passes.
    /// Does not wait until they are gone: ``remove(timeoutMilliseconds:)`` does.
    /// - Throws: nothing when the cgroup is gone already.
    public func kill() throws(CgroupError) {
        do throws(CgroupError) {
            if let unified = try unifiedDirectory() {
                let errno = unified.attempt("cgroup.kill", "1")
                if errno.rawValue == 0 { return }
                if errno != .noEntry, errno != .notSupported { throw unified.failure(errno, "cgroup.kill", "1") }
            }
            try killInPasses()
        } catch {
            if error.code != .notFound { throw error }
        }
    }

    private func killInPasses() throws(CgroupError) {
        for pass in 0..<100 {
            // Before the freezer, which would hold us too.
            if pass == 0 { try Self.requireForeign(processes()) }
            try? freeze(timeoutMilliseconds: 100)
            let pids = try processes()
            try Self.requireForeign(pids)
            for pid in pids { _ = cl_kill(pid, SIGKILL) }
            // A frozen v1 task dies only after the thaw.
            try? thaw()
            if pids.isEmpty { return }
            if pass > 0 { pause(milliseconds: 5) }
        }
        throw CgroupError(.timedOut, "kill", "cgroup", "new processes keep appearing")
    }

    /// Sends a signal to every process. SIGKILL goes through ``kill()``.
    ///
    /// The cgroup is frozen meanwhile where possible, so that no fork escapes; a container that was paused stays paused.
    public func signalAll(_ signal: Int32) throws(CgroupError) {
        if signal == SIGKILL { return try kill() }
        try Self.requireForeign(processes())
        let wasFrozen = (try? isFrozen) ?? false
        if !wasFrozen { try? freeze(timeoutMilliseconds: 100) }
        defer { if !wasFrozen { try? thaw() } }
        let pids = try processes()
        try Self.requireForeign(pids)
        for pid in pids { _ = cl_kill(pid, signal) }
    }

    /// A container's cgroup never holds us or the host's init: a record that says so is wrong, and what it names is the
    /// machine. (0 is a process of another pid namespace, and to kill(2) it is our own group.)
    static func requireForeign(_ pids: [Int32]) throws(CgroupError) {
        guard let wrong = pids.first(where: { $0 <= 1 || $0 == getpid() }) else { return }
        throw CgroupError(.invalid, "kill", "cgroup", "process \(wrong) is in it, which is not the container's")
    }
}
