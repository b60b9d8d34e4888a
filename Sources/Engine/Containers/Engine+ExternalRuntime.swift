import CLinux
import Control
import Glibc
import Linux
import OCI

/// Containers of another OCI runtime (`--runtime runc`): what the engine itself has to know about it.
extension Engine {
    /// Where the program is, after a check of what only our runtime can do.
    ///
    /// - Throws: Docker's words for a runtime that is not there; "not supported yet" for what others cannot be told.
    func externalRuntime(_ definition: ContainerDefinition) throws(EngineError) -> String {
        guard let path = findProgram(definition.runtime) else {
            throw EngineError(
                .notFound,
                sentence: "unknown or invalid runtime name: \(definition.runtime): no such program in PATH; install it, "
                    + "or give its path")
        }
        if definition.mounts.contains(where: { !$0.subpath.isEmpty }) {
            // Another runtime would pass over the option and show the whole volume.
            throw .notSupported("volume-subpath with --runtime \(definition.runtime)")
        }
        if definition.userNamespace != .default, definition.userNamespace != .host {
            throw .notSupported("--userns \(definition.userNamespace.text) with --runtime \(definition.runtime)")
        }
        if case .container = definition.ipc { throw .notSupported("--ipc container with --runtime \(definition.runtime)") }
        if host.isRootless {
            // Without a cgroup and a pid namespace of the container's own runc ends "all its processes" by those of the
            // cgroup it is called in: everything the user runs.
            if definition.pid == .host {
                throw .notSupported("--pid host with --runtime \(definition.runtime) for users other than root")
            }
            for case .container in [definition.network, definition.pid, definition.uts] {
                throw .notSupported(
                    "joining namespaces of a container with --runtime \(definition.runtime) for users other than root")
            }
        }
        return path.hasPrefix("/") ? path : currentDirectory() + "/" + path
    }

    private func currentDirectory() -> String {
        guard let path = getcwd(nil, 0) else { return "" }
        defer { free(path) }
        return String(cString: path)
    }

    /// The state root that the supervisor gives to the runtime.
    private func externalState(_ id: String) -> String { ContainerFiles.externalState(run: roots.run, id: id) }

    /// Becomes `RUNTIME exec`, in the namespaces of the container's supervisor where that holds some of its own.
    func execExternally(_ view: ContainerView, _ request: ExecRequest, _ arguments: [String]) throws(EngineError) -> Never {
        if request.detach, request.terminal {
            throw .notSupported("exec --detach --tty with --runtime \(view.definition.runtime)")
        }
        let program = try externalRuntime(view.definition)
        if host.isRootless { try enterSupervisor(view) }
        do throws(SystemError) {
            throw execute(
                program, arguments: [program, "--root", externalState(view.id)] + arguments,
                environment: currentEnvironment())
        } catch {
            throw EngineError("execute", program, error)
        }
    }

    /// The user namespace in which the runtime has its container, and the mounts that are visible only there.
    private func enterSupervisor(_ view: ContainerView) throws(EngineError) {
        try during("enter namespaces of supervisor", "\(view.observation.supervisor)") { () throws(SystemError) in
            let process = try openProcess(view.observation.supervisor)
            try check(cl_setns(process.raw, 0x1000_0000 | 0x0002_0000 /* CLONE_NEWUSER | CLONE_NEWNS */), "enter")
            try check(cl_setresgid(0, 0, 0), "set gid")
            try check(cl_setresuid(0, 0, 0), "set uid")
        }
    }

    /// Takes down what a runtime whose supervisor was killed has left.
    func deleteExternally(_ definition: ContainerDefinition) {
        let state = externalState(definition.id)
        guard !definition.runtime.isEmpty, FD.cwd.exists(state), let program = findProgram(definition.runtime) else {
            return
        }
        let request = SpawnRequest(
            program, [program, "--root", state, "delete", "--force", definition.id],
            environment: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"])
        if let process = try? spawn(request) { _ = try? process.wait() }
        try? removeTree(.cwd, state)
    }
}
