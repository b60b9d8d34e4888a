import CLinux
import Control
import Glibc
import Linux
import OCI
import Store

extension Engine {
    /// Changes a container: at once where it runs (limits, restart policy), and for its next starts.
    ///
    /// The kernel first, which may refuse; then the definition, durably; then the files of its supervisor, which starts it again by
    /// them. What fails takes back what was done before: all of the change or nothing.
    /// - Throws: Docker's sentences, what the kernel refused.
    public func update(_ container: String, _ change: ContainerChange) throws(EngineError) {
        try changingConnections(of: container) { (view) throws(EngineError) in
            try update(view, change)
            announce("update", view.definition)
        }
    }

    private func update(_ view: ContainerView, _ change: ContainerChange) throws(EngineError) {
        let old = view.definition
        let new = try told(of: view) { () throws(EngineError) in
            try change.applied(to: old) { (try? self.store().imageConfig(id: old.imageID))?.config.shell ?? [] }
        }
        if new == old { return }
        let devices = try DeviceNumber.find(new.resources.deviceLimits)
        try told(of: view) { () throws(EngineError) in try applyLimits(of: new, insteadOf: old, view) }
        do throws(EngineError) {
            try keep(new)
            do throws(EngineError) { try rewriteFiles(of: view, from: old, to: new, devices) } catch {
                try? keep(old)
                throw error
            }
        } catch {
            try? applyLimits(of: old, insteadOf: new, view)
            throw error
        }
    }

    private func told<R>(of view: ContainerView, _ body: () throws(EngineError) -> R) throws(EngineError) -> R {
        do throws(EngineError) { return try body() } catch { throw Engine.updateFailure(view, error) }
    }

    /// Docker's sentence around the reason; what a person typed wrong stands for itself.
    private static func updateFailure(_ view: ContainerView, _ error: EngineError) -> EngineError {
        if error.code == .invalid { return error }
        return EngineError(error.code, sentence: "Cannot update container \(view.id): \(error.description)", exitCode: 1)
    }

    // MARK: The running container

    private func applyLimits(
        of new: ContainerDefinition, insteadOf old: ContainerDefinition, _ view: ContainerView
    ) throws(EngineError) {
        guard view.hasProcess, new.resources != old.resources else { return }
        let devices = try DeviceNumber.find(new.resources.deviceLimits + old.resources.deviceLimits)
        let resources = new.resources.change(from: old.resources, defaultPids: SpecBuilder.defaultPids, devices)
        if resources == LinuxResources() { return }
        if host.isRootless { try requireCgroup(view, resources) }
        if host.isRootless, !new.runtime.isEmpty {
            throw .notSupported("limits of a running container with --runtime \(new.runtime) for users other than root")
        }
        let program = new.runtime.isEmpty ? runtimeProgram : try externalRuntime(new)
        let state = new.runtime.isEmpty ? roots.runtimeState : ContainerFiles.externalState(run: roots.run, id: new.id)
        let failure = try runUpdate([program, "--root", state, "update", "--resources", "-", new.id], input: resources.encode())
        guard let failure else { return }
        throw EngineError(.runtime, sentence: Engine.reason(failure, new.id), exitCode: 1)
    }

    /// A container of a user who had no delegated cgroup when it was started has none with limits.
    private func requireCgroup(_ view: ContainerView, _ resources: LinuxResources) throws(EngineError) {
        let text = (try? FD.cwd.readText("/proc/\(view.observation.pid)/cgroup", limit: 65536)) ?? ""
        if text.includes(view.id) { return }
        guard let refusal = CgroupDelegation.refusal(of: resources, id: view.id) else {
            throw EngineError(.conflict, sentence: "it was started without a cgroup: stop it, and start it again")
        }
        throw EngineError(
            .permission,
            sentence: "it has no cgroup: \(refusal.cause)"
                + (refusal.fix.map { "; type: \($0), and start the container again from that shell" } ?? ""))
    }

    /// - Returns: what the runtime said where it failed.
    private func runUpdate(_ arguments: [String], input: [UInt8]) throws(EngineError) -> String? {
        try during("run", arguments[0]) { () throws(SystemError) -> String? in
            let output = try makePipe().take()
            let reader = OwnedFD(owning: output.first)
            let writer = OwnedFD(owning: output.second)
            let document = OwnedFD(owning: try check(cl_memfd_create("resources", 0), "make memory file"))
            try document.fd.writeAll(input)
            guard cl_lseek(document.raw, 0, 0) == 0 else { throw SystemError(.invalid, "rewind", "memory file") }
            let null = try FD.cwd.open("/dev/null", .readWrite)
            var request = SpawnRequest(
                arguments[0], arguments, descriptors: [(document.fd, 0), (null.fd, 1), (writer.fd, 2)])
            request.environment = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
            let process = try spawn(request)
            close(writer)
            let text = String(decoding: try reader.fd.readAll(limit: 1 << 16), as: UTF8.self)
            return try process.wait().code == 0 ? nil : text
        }
    }

    /// The last line, without the program's name and what is said already.
    private static func reason(_ text: String, _ id: String) -> String {
        let line = text.split(separator: "\n").last.map(String.init) ?? "the runtime failed without a word"
        let mark = "berth-runtime: update container \"\(id)\": "
        return line.hasPrefix(mark) ? String(line.dropFirst(mark.utf8.count)) : line
    }

    // MARK: What its next runs are made from

    private func keep(_ definition: ContainerDefinition) throws(EngineError) {
        let store = try self.store()
        try stored { () throws(StoreError) in
            try store.updateContainer(id: definition.id, durability: definition.autoRemove ? .volatile : .durable) { _ in
                definition.encode()
            }
        }
    }

    /// A supervisor makes the container again from config.json when the restart policy says so, and has the policy from supervise.json.
    /// Any other start writes both anew.
    private func rewriteFiles(
        of view: ContainerView, from old: ContainerDefinition, to new: ContainerDefinition, _ devices: [String: DeviceNumber]
    ) throws(EngineError) {
        guard hasSupervisor(view.id), !view.observation.supervisorLost else { return }
        try during("write files of container", view.id) { () throws(SystemError) in
            let directory = try FD.cwd.open(roots.container(view.id), [.readOnly, .directory, .noFollow])
            try rewriteSpecification(in: directory.fd, from: old, to: new, devices)
        }
        if new.restart == old.restart, new.health == old.health { return }
        try controlled { () throws(ControlError) in
            let connection: SupervisorConnection
            do throws(ControlError) { connection = try SupervisorConnection.connect(run: roots.run, id: view.id) } catch {
                // It has ended meanwhile.
                if error.code == .notRunning { return }
                throw error
            }
            connection.watch(view.observation.supervisor)
            let directory: OwnedFD
            do throws(SystemError) { directory = try FD.cwd.open(roots.container(view.id), [.readOnly, .directory, .noFollow]) } catch {
                throw ControlError(error, "open directory of container", view.id)
            }
            var config = try SupervisionConfig.load(from: directory.fd)
            config.restart = restartPolicy(new.restart)
            config.health = new.health?.plan()
            try config.save(in: directory.fd, durable: false)
            if new.health == old.health { try connection.setRestartPolicy(config.restart) } else { try connection.reload() }
        }
    }

    private func rewriteSpecification(
        in directory: FD, from old: ContainerDefinition, to new: ContainerDefinition, _ devices: [String: DeviceNumber]
    ) throws(SystemError) {
        guard new.resources != old.resources || new.environment != old.environment else { return }
        let bytes = try directory.readFile(ContainerFiles.specification)
        guard var spec = try? Spec.decode(bytes) else { throw SystemError(.invalid, "read", ContainerFiles.specification) }
        // Without a cgroup that limits could be set in there are none in it.
        if var resources = spec.linux?.resources {
            SpecBuilder.limit(&resources, by: new.resources, devices)
            spec.linux?.resources = resources
        }
        if new.environment != old.environment {
            let hadHome = old.environment.contains { $0.hasPrefix("HOME=") }
            let home = hadHome ? nil : spec.process?.env.first { $0.hasPrefix("HOME=") }
            // What CDI devices brought stays.
            let before = SpecBuilder.environment(of: old, home: home)
            let brought = (spec.process?.env ?? []).filter { !before.contains($0) }
            spec.process?.env = EnvironmentOption.merge(SpecBuilder.environment(of: new, home: home), brought)
        }
        try directory.replaceFile(ContainerFiles.specification, with: spec.encode(), durable: false)
    }
}
