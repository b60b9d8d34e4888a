import CLinux
import Control
import Glibc
import JSON
import Linux
import OCI
import Store

/// What `exec` asks for.
public struct ExecRequest: Sendable {
    public var arguments: [String]
    public var environment: [String] = []
    public var workingDirectory = ""
    public var user = ""
    public var terminal = false
    public var interactive = false
    public var detach = false
    public var privileged = false
    /// Docker's notation; empty is the container's, or else `ctrl-p,ctrl-q`.
    public var detachKeys = ""
    /// Descriptors from 3 on that the command gets.
    public var preservedDescriptors: Int64 = 0

    public init(arguments: [String]) { self.arguments = arguments }
}

extension Engine {
    /// Becomes `berth-runtime exec`, which enters the container and is the foreground from then on.
    ///
    /// Returns only for a process in the background, once its program runs: that one is its supervisor's.
    public func exec(_ text: String, _ request: ExecRequest) throws(EngineError) {
        let view = try container(text)
        let id = ContainerNames.identifier()
        // Docker's exit statuses, and no streams for what stays in the background.
        setenv("BERTH_EXEC", id, 1)
        if request.terminal, request.interactive, !request.detach {
            setenv("BERTH_DETACH_KEYS", request.detachKeys.isEmpty ? view.definition.detachKeys : request.detachKeys, 1)
        }
        switch view.observation.status {
        case .paused:
            throw EngineError(
                .conflict, sentence: "container \(view.id) is paused, unpause the container before exec", exitCode: 1)
        case .running, .stopping: break
        default: throw EngineError(.conflict, sentence: "container \(view.id) is not running", exitCode: 1)
        }
        announceExec(view, request, id)
        if request.detach, view.definition.runtime.isEmpty, try execBySupervisor(view, request, id) { return }
        var arguments = ["exec"]
        if request.detach { arguments.append("--detach") }
        // Another user has other groups, which runc's flags can only add to: then the whole process is given.
        let document = request.user.isEmpty ? nil : try processFile(view, request)
        if let document {
            if request.preservedDescriptors > 0 { arguments += ["--preserve-fds", "\(request.preservedDescriptors)"] }
            arguments += ["--process", document.fd.procPath, view.id]
        } else {
            arguments += flags(request) + [view.id] + request.arguments
        }
        do throws(SystemError) {
            if !request.interactive || request.detach {
                let null = try FD.cwd.open("/dev/null", .readOnly)
                try check(cl_dup3(null.raw, 0, 0), "replace standard input")
            }
        } catch {
            throw EngineError("replace", "standard input", error)
        }
        if !view.definition.runtime.isEmpty { try execExternally(view, request, arguments) }
        do throws(SystemError) {
            let program = protectedRuntime()
            throw execute(
                runtimeProgram, executable: program?.fd,
                arguments: ["berth-runtime", "--root", roots.runtimeState] + arguments, environment: currentEnvironment())
        } catch {
            throw EngineError("execute", runtimeProgram, error)
        }
    }

    /// - Returns: false when there is no supervisor that could (it was killed, it is older than this command, or the
    ///   container's runtime is another).
    private func execBySupervisor(_ view: ContainerView, _ request: ExecRequest, _ id: String) throws(EngineError) -> Bool {
        guard !view.observation.supervisorLost, let connection = try connect(view.id) else { return false }
        let document = try processFile(view, request, holdsTerminal: true)
        do throws(ControlError) {
            try connection.exec(document.fd, id: id, terminal: request.terminal)
            return true
        } catch {
            if error.code == .protocol || error.code == .disconnected { return false }
            // Without a container of that state: docker's exit code 1. What cannot be executed: 126 and 127.
            throw EngineError(.runtime, sentence: error.cause, exitCode: error.exitCode)
        }
    }

    private func announceExec(_ view: ContainerView, _ request: ExecRequest, _ id: String) {
        // Docker's text: a blank after the program, whatever follows.
        let command = (request.arguments.first ?? "") + " " + request.arguments.dropFirst().joined(separator: " ")
        announce("exec_create: " + command, view.definition, ["execID": id])
        announce("exec_start: " + command, view.definition, ["execID": id])
    }

    private func flags(_ request: ExecRequest) -> [String] {
        var result: [String] = []
        if request.preservedDescriptors > 0 { result += ["--preserve-fds", "\(request.preservedDescriptors)"] }
        if request.terminal, !request.detach { result.append("--tty") }
        for entry in environment(request) { result += ["--env", entry] }
        if !request.workingDirectory.isEmpty { result += ["--cwd", request.workingDirectory] }
        if request.privileged { for name in allCapabilities { result += ["--cap", name] } }
        return result
    }

    private func environment(_ request: ExecRequest) -> [String] {
        let hasTerm = request.environment.contains { $0.hasPrefix("TERM=") }
        return request.terminal && !hasTerm ? ["TERM=xterm"] + request.environment : request.environment
    }

    private var allCapabilities: [String] {
        CapabilitySet.all.intersection(host.isRootless ? .all : host.capabilities).names
    }

    /// The process of config.json with what the command changes, in a memory file that `berth-runtime exec --process` reads.
    ///
    /// - Parameter holdsTerminal: somebody reads the terminal of a process in the background.
    private func processFile(
        _ view: ContainerView, _ request: ExecRequest, holdsTerminal: Bool = false
    ) throws(EngineError) -> SharedFD {
        let spec = try during("read specification of container", view.id) { () throws(SystemError) in
            try FD.cwd.readFile(roots.container(view.id) + "/" + ContainerFiles.specification)
        }
        var process: Process
        do throws(OCIError) {
            process = try Spec.decode(spec).process ?? Process()
        } catch {
            throw EngineError(.system, "read specification of container", view.id, cause: error.description)
        }
        process.args = request.arguments
        // A terminal that nobody reads stops its writer when it is full.
        process.terminal = request.terminal && (!request.detach || holdsTerminal)
        process.consoleSize = nil
        process.env = EnvironmentOption.merge(process.env, environment(request))
        if !request.workingDirectory.isEmpty { process.cwd = request.workingDirectory }
        if !request.user.isEmpty {
            let user = try resolve(request.user, view)
            if !request.environment.contains(where: { $0.hasPrefix("HOME=") }) {
                process.env = EnvironmentOption.merge(process.env, ["HOME=" + user.home])
            }
            setIdentity(&process, user, view.definition, request)
        } else if request.privileged {
            process.capabilities = LinuxCapabilities(
                bounding: allCapabilities, effective: allCapabilities, permitted: allCapabilities)
        }
        let bytes = JSONWriter.document { process.write(to: &$0) }
        return try during("pass process to runtime") { () throws(SystemError) in
            let file = SharedFD(owning: try check(cl_memfd_create("process", 0), "make memory file"))
            try file.fd.writeAll(bytes)
            return file
        }
    }

    /// Names are looked up in the container's own files, by way of its layers: nothing of it runs for that.
    func resolve(_ user: String, _ view: ContainerView) throws(EngineError) -> ResolvedUser {
        let store = try self.store()
        let layers = try stored { () throws(StoreError) in try store.layerDirectories(container: view.id) }
        do throws(EngineError) {
            return try users(of: [roots.container(view.id) + "/upper"] + layers, needed: user).resolve(user)
        } catch {
            // Docker: the command could not be invoked.
            throw EngineError(error.code, error.operation, error.object, cause: error.cause, exitCode: 126)
        }
    }

    /// Root has the container's capabilities; another user none but what was added for the container by name.
    private func setIdentity(
        _ process: inout Process, _ user: ResolvedUser, _ definition: ContainerDefinition, _ request: ExecRequest
    ) {
        process.user.uid = user.uid
        process.user.gid = user.gid
        process.user.additionalGids = user.additionalGroups
        var capabilities = process.capabilities ?? LinuxCapabilities()
        if request.privileged { capabilities.bounding = allCapabilities }
        let isRoot = user.uid == 0
        let added =
            request.privileged
            ? capabilities.bounding
            : isRoot ? capabilities.bounding : addedCapabilities(definition, capabilities.bounding)
        capabilities.effective = added
        capabilities.permitted = added
        capabilities.inheritable = isRoot ? [] : added
        capabilities.ambient = isRoot ? [] : added
        process.capabilities = capabilities
    }

    private func addedCapabilities(_ definition: ContainerDefinition, _ bounding: [String]) -> [String] {
        guard let added = try? CapabilitySet(names: definition.capAdd) else { return [] }
        return added.names.filter { bounding.contains($0) }
    }
}
