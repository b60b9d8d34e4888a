import CLinux
import Control
import Glibc
import Linux
import OCI

/// Work that a rootless engine must do as root of its user namespace: files of containers belong to subordinate ids.
extension Engine {
    /// Set for the program's second self inside the namespace.
    static let helperVariable = "BERTH_IN_USER_NAMESPACE"

    /// Whether this process is that second self.
    public static var isHelper: Bool { environmentVariable(helperVariable) == "1" }

    /// Runs this program again inside the user namespace with the same arguments, for commands that touch layers.
    ///
    /// - Parameter facts: `NAME=value` for its environment: what can only be seen from outside.
    /// - Parameter meanwhile: what this process does until then.
    /// - Returns: its exit code, or nil when this process may do the work itself.
    public func reexecuteInUserNamespace(
        _ arguments: [String], telling facts: [String] = [], meanwhile: () -> Void = {}
    ) throws(EngineError) -> Int32? {
        if !host.isRootless || Engine.isHelper { return nil }
        return try spawnInUserNamespace(arguments, facts, meanwhile).code
    }

    /// Runs a command as root of the user namespace that containers' files belong to, with mounts of its own.
    ///
    /// - Returns: its exit code.
    /// - Throws: `.invalid` for root, who has no such namespace; `.notFound` with exit code 127.
    public func runUnshared(_ command: [String]) throws(EngineError) -> Int32 {
        if !host.isRootless {
            throw EngineError(
                .invalid, sentence: "please use unshare as a user other than root: root's containers have their files as they are")
        }
        guard let name = command.first, let program = findProgram(name) else {
            throw EngineError(.notFound, sentence: "no such program in PATH: \(command.first ?? "")", exitCode: 127)
        }
        let environment = rooted(currentEnvironment())
        return try spawnInUserNamespace(program, command, environment, flags: 0x0002_0000 /* CLONE_NEWNS */, isForeground: true).code
    }

    /// An environment in which this program finds this user's store.
    private func rooted(_ environment: [String]) -> [String] {
        environment.filter { !$0.hasPrefix("BERTH_ROOT=") && !$0.hasPrefix("BERTH_RUN_ROOT=") }
            + ["BERTH_ROOT=" + roots.store, "BERTH_RUN_ROOT=" + roots.run]
    }

    /// Runs an internal verb (`InternalCommand`) inside the user namespace.
    func runInUserNamespace(_ arguments: [String]) throws(EngineError) {
        let status = try spawnInUserNamespace(["berth", "internal"] + arguments)
        if status != .exited(0) {
            throw EngineError(
                .system, "work in user namespace", arguments.first ?? "", cause: "failed with status \(status.code)")
        }
    }

    /// Removes trash that this user alone may not; nothing is started when there is none.
    func emptyForeignTrash() {
        guard let trash = try? FD.cwd.open(roots.store + "/trash", [.readOnly, .directory, .noFollow]),
            let entries = try? directoryEntries(trash.fd), !entries.isEmpty
        else { return }
        if Engine.isHelper { return }
        try? runInUserNamespace(["empty-trash"])
    }

    private func spawnInUserNamespace(
        _ arguments: [String], _ facts: [String] = [], _ meanwhile: () -> Void = {}
    ) throws(EngineError) -> ExitStatus {
        let environment = rooted(currentEnvironment()) + [Engine.helperVariable + "=1"] + facts
        return try spawnInUserNamespace("/proc/self/exe", arguments, environment, meanwhile: meanwhile)
    }

    /// A child in a new user namespace with the store's mapping. This process has one thread, so the child may run until
    /// its execve; it waits there until its ids are mapped.
    ///
    /// - Parameters:
    ///   - flags: further namespaces.
    ///   - isForeground: what a person types ends the child and not this process, as with system(3).
    private func spawnInUserNamespace(
        _ program: String, _ arguments: [String], _ environment: [String], flags: UInt64 = 0, isForeground: Bool = false,
        meanwhile: () -> Void = {}
    ) throws(EngineError) -> ExitStatus {
        let mapping = try UserNamespacePlan.rootless(uid: host.uid, gid: host.gid)
        let argv = CStringArray(arguments)
        let envp = CStringArray(environment)
        let path = CStringArray([program])
        let text = "Error: cannot go on in the user namespace\n"
        let complaint = CStringArray([text])
        let length = text.utf8.count
        return try during("enter user namespace") { () throws(SystemError) in
            let gate = try makePipe().take()
            let reader = OwnedFD(owning: gate.first)
            let writer = OwnedFD(owning: gate.second)
            var pidfd: Int32 = -1
            let pid = try check(
                cl_clone3(0x1000_0000 /* CLONE_NEWUSER */ | flags, UInt64(SIGCHLD), &pidfd, -1), "make user namespace")
            if pid == 0 {
                // Only system calls from here to execve.
                var byte: UInt8 = 0
                _ = cl_prctl(1 /* PR_SET_PDEATHSIG */, UInt(SIGKILL), 0, 0, 0)
                // 0: the one outside has given up, and tells why.
                let count = cl_read(reader.raw, &byte, 1)
                if count == 1 {
                    _ = cl_setresgid(0, 0, 0)
                    _ = cl_setresuid(0, 0, 0)
                    _ = cl_execveat(AT_FDCWD, path.pointer[0], argv.pointer, envp.pointer, 0)
                }
                if count != 0 { _ = cl_write(2, complaint.pointer[0], length) }
                _exit(125)
            }
            let process = OwnedFD(owning: pidfd)
            if isForeground { for signal in [SIGINT, SIGQUIT] { _ = cl_signal_ignore(signal) } }
            do throws(SystemError) {
                try writeIDMaps(pid, users: mapping.users.map(idMapping), groups: mapping.groups.map(idMapping))
                try writer.fd.writeAll([1])
            } catch {
                try? process.fd.sendSignal(SIGKILL)
                _ = try? waitForProcess(pid)
                throw error
            }
            meanwhile()
            return try waitForProcess(pid)?.status ?? .exited(125)
        }
    }

    func idMapping(_ mapping: LinuxIDMapping) -> IDMapping {
        IDMapping(inside: mapping.containerID, outside: mapping.hostID, count: mapping.size)
    }

    /// The verbs of ``runInUserNamespace(_:)``, in the second self.
    public func runInternal(_ arguments: [String]) throws(EngineError) {
        switch arguments.first {
        case "empty-trash":
            let trash = try during("empty trash") { () throws(SystemError) in
                try FD.cwd.open(roots.store + "/trash", [.readOnly, .directory, .noFollow])
            }
            try during("empty trash") { () throws(SystemError) in
                for (name, _) in try directoryEntries(trash.fd) { try removeTree(trash.fd, name) }
            }
        case "fill-volume" where arguments.count >= 5:
            guard let uid = Numbers.unsigned(arguments[3]), let gid = Numbers.unsigned(arguments[4]) else { break }
            try VolumeContent.fill(arguments[1], from: Array(arguments.dropFirst(5)), at: arguments[2], uid: uid, gid: gid)
        case "change-owner" where arguments.count == 4:
            guard let uid = Numbers.unsigned(arguments[2]), let gid = Numbers.unsigned(arguments[3]) else { break }
            try VolumeContent.changeOwner(arguments[1], uid: uid, gid: gid)
        default: throw .invalid("unknown internal verb")
        }
    }
}
