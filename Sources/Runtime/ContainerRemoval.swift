import CLinux
import Cgroups
import Glibc
import Linux
import OCI

/// Takes a container down. Every step can be repeated: a removal that was killed is finished by the next.
///
/// Order: processes, then the cgroup that finds them, then the record that names the cgroup. The poststop hooks come
/// last (runtime-spec runtime.md "Lifecycle", step 12).
struct ContainerRemoval {
    let directory: StateDirectory
    let record: ContainerRecord
    let spec: Spec?

    func run(force: Bool) throws(RuntimeError) {
        let cgroup = Cgroup(record: record.cgroup)
        let status = record.status(in: directory)
        if status != .stopped {
            guard force || status == .created else {
                throw RuntimeError(
                    .wrongState, "delete container", record.id,
                    cause: "it is \(status.rawValue); stop it first or use --force")
            }
            try killEverything(cgroup)
        } else if !cgroup.isEmpty {
            // Without a pid namespace of its own, processes may outlive the first.
            try? cgroup.kill()
        }
        do throws(CgroupError) { try cgroup.remove() } catch {
            throw RuntimeError(.system, "remove cgroup", cause: error.description)
        }
        try directory.remove()
        guard let hooks = spec?.hooks, !hooks.poststop.isEmpty else { return }
        let state = State(
            ociVersion: record.ociVersion, id: record.id, status: ContainerStatus.stopped.rawValue, pid: 0,
            bundle: record.bundle, annotations: record.annotations)
        HookRunner(state: state).runAll(hooks.poststop, "poststop") { warn($0) }
    }

    /// The cgroup finds every process; a container without one is killed by its first process, which takes its pid
    /// namespace along.
    private func killEverything(_ cgroup: Cgroup) throws(RuntimeError) {
        var killed = false
        if !cgroup.isEmpty {
            do throws(CgroupError) {
                try cgroup.kill()
                killed = true
            } catch {
                if record.pid <= 0 { throw RuntimeError(.system, "kill container", record.id, cause: error.description) }
            }
        }
        guard record.isAlive, let pidfd = try? openProcess(record.pid) else { return }
        if !killed || record.isAlive { try? pidfd.fd.sendSignal(9) }
        // Readable when it has ended, parent or not; an unkillable process is named instead of waited for forever.
        var fds = [pidfd.raw]
        var events: [Int16] = [1]
        var ready: [Int16] = [0]
        let deadline = monotonicNanoseconds() + 10_000_000_000
        while monotonicNanoseconds() < deadline {
            let left = Int32(clamping: (deadline - monotonicNanoseconds()) / 1_000_000 + 1)
            if cl_poll(&fds, &events, &ready, 1, left) > 0 { return }
        }
        throw RuntimeError(
            .system, "kill container", record.id, cause: "process \(record.pid) does not end (state \(processState(record.pid) ?? "?"))")
    }
}
