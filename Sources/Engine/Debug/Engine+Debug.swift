import Control
import Glibc
import Linux
import OCI
import Store

/// Looking into containers and images with tools that they do not have.
///
/// A debug container is one of the tools' image. Of a target that runs it has the namespaces, except that of mounts, and the target's
/// root as a mount; so nothing of the tools is to be found in the target. Of another it has the layers, below one that is
/// thrown away.
extension Engine {
    /// What a target is when somebody looks.
    private enum DebugTarget {
        case running(ContainerView)
        case stopped(ContainerView)
        /// Its id.
        case image(String)
    }

    /// Makes the container that `debug` runs in, and its supervisor; the caller attaches streams and starts it.
    ///
    /// - Throws: `.imageMissing` where the tools' image is not here; ``create(_:)`` has the rest.
    public func createAndLaunchDebug(_ request: DebugRequest) throws(EngineError) -> StartingContainer {
        try createAndLaunch(try debugContainer(request))
    }

    /// The image of the tools, as it is pulled.
    public func debugImage(_ request: DebugRequest) throws(EngineError) -> String {
        request.image.isEmpty ? try Configuration.load().debugImage : request.image
    }

    private func debugContainer(_ debug: DebugRequest) throws(EngineError) -> ContainerRequest {
        var request = ContainerRequest(image: try debugImage(debug))
        request.pull = debug.pull
        request.platform = debug.platform
        request.imageVolumes = .ignore
        request.entrypoint = []
        request.command = debug.command
        // A shell that a person talks to passes over SIGTERM.
        request.stopSignal = "HUP"
        // A check of the tools' image is of no use here.
        request.definition.health = HealthRequest()
        request.definition.health?.check = Healthcheck(test: ["NONE"])
        request.definition.environment = debug.environment
        request.definition.user = debug.user
        request.definition.workingDirectory = DebugRequest.place
        request.definition.terminal = debug.terminal
        request.definition.openStdin = debug.openStdin
        request.definition.stdinOnce = debug.openStdin
        request.definition.attachStdin = debug.openStdin
        request.definition.attachStdout = true
        request.definition.attachStderr = true
        request.definition.privileged = debug.privileged
        // With it, others' memory and files are seen that the kernel calls the same user's; and by it, programs of the target that lack
        // it cannot trace those of ours (ptrace(2), "access mode checking").
        request.definition.capAdd = debug.capAdd + ["SYS_PTRACE"]
        request.definition.autoRemove = true
        request.definition.endsWithCommand = true
        request.definition.log.driver = "none"
        switch try debugTarget(debug.target) {
        case .running(let view): try joinTarget(view, debug, &request.definition)
        case .stopped(let view):
            try showTarget(view, debug, &request.definition)
            try chooseNetwork(debug, &request)
        case .image(let id):
            request.definition.labels["berth.debug"] = id
            var mount = MountDefinition(.image, source: debug.target, target: DebugRequest.place)
            mount.imageID = id
            mount.readOnly = debug.readOnly
            request.definition.mounts = [mount]
            try chooseNetwork(debug, &request)
        }
        return request
    }

    /// - Throws: `.notFound` for what is neither.
    private func debugTarget(_ text: String) throws(EngineError) -> DebugTarget {
        for _ in 0..<500 {
            let view: ContainerView
            do throws(EngineError) { view = try container(text) } catch {
                guard error.code == .notFound else { throw error }
                do throws(EngineError) { return .image(try image(text).id) } catch {
                    guard error.code == .notFound || error.code == .imageMissing else { throw error }
                    throw EngineError(.notFound, sentence: "no such container or image: \(text); berth pull \(text) fetches an image")
                }
            }
            switch view.observation.status {
            case .starting: usleep(20_000)
            case .removing, .removed: throw EngineError(.conflict, sentence: "container \(view.name) is being removed")
            // Between two runs there is nothing to join: what failed can be looked for in its files.
            case .restarting: return .stopped(view)
            default: return view.hasProcess && view.observation.pid > 0 ? .running(view) : .stopped(view)
            }
        }
        throw EngineError(.conflict, sentence: "container \(text) is being started by another command")
    }

    // MARK: A container that runs

    private func joinTarget(
        _ view: ContainerView, _ debug: DebugRequest, _ definition: inout ContainerDefinition
    ) throws(EngineError) {
        if debug.network != nil {
            throw .invalid("--network is for what does not run: container \(view.name) runs, and its network is what is seen")
        }
        name(&definition, after: view)
        let id = view.id
        definition.network = .container(id)
        definition.pid = .container(id)
        // Without a /dev/shm there is none to be shared.
        if view.definition.ipc != .none { definition.ipc = .container(id) }
        definition.uts = .container(id)
        // Its range of ids, so that its files have their owners and its root is no more than that here.
        definition.userNamespaceSlot = view.definition.userNamespaceSlot
        if definition.userNamespaceSlot != nil { definition.userNamespace = view.definition.userNamespace }
        // What the target may, may be needed to see why it fails.
        definition.capAdd += view.definition.capAdd.filter { !definition.capAdd.contains($0) }
        var mount = MountDefinition(.container, source: id, target: DebugRequest.place)
        mount.readOnly = debug.readOnly
        definition.mounts = [mount]
    }

    private func name(_ definition: inout ContainerDefinition, after view: ContainerView) {
        definition.name = view.name + "-debug-" + hexadecimal(randomBytes(3))
        definition.labels["berth.debug"] = view.id
    }

    // MARK: One that does not

    /// Its layers, and below its own place each of its mounts: those can be read only, as other containers may use them.
    private func showTarget(
        _ view: ContainerView, _ debug: DebugRequest, _ definition: inout ContainerDefinition
    ) throws(EngineError) {
        name(&definition, after: view)
        definition.userNamespace = view.definition.userNamespace
        // With its range of ids its files have their owners.
        definition.userNamespaceSlot = view.definition.userNamespaceSlot
        var mount = MountDefinition(.container, source: view.id, target: DebugRequest.place)
        mount.readOnly = debug.readOnly
        mount.isOverlay = true
        definition.mounts = [mount] + view.definition.mounts.compactMap(asSeenByDebug)
    }

    private func asSeenByDebug(_ mount: MountDefinition) -> MountDefinition? {
        var copy = VolumesFromOption.inheriting(mount)
        // As its start finds it: an image may have links there, which mean its own files.
        copy.base = DebugRequest.place
        copy.target = DebugRequest.place + mount.target
        copy.propagation = ""
        copy.isOverlay = false
        copy.createSource = false
        copy.label = .none
        copy.readOnly = true
        switch mount.kind {
        // What was memory is gone; where it was is a place to write to.
        case .tmpfs, .container: return nil
        case .bind: return FD.cwd.exists(mount.source) ? copy : nil
        case .image, .volume: return copy
        }
    }

    private func chooseNetwork(_ debug: DebugRequest, _ request: inout ContainerRequest) throws(EngineError) {
        let wanted = debug.network ?? "default"
        let attachment = try NetworkAttachment(option: wanted == "default" ? try Configuration.load().defaultNetwork : wanted)
        if let mode = try NamespaceOption.network(attachment.network) {
            request.definition.network = mode
        } else {
            request.definition.network = .private
            request.networks = [attachment]
        }
    }
}

extension ContainerDefinition {
    /// The container that this one debugs while that runs.
    var joinedTarget: String? { mounts.first { $0.kind == .container && !$0.isOverlay }?.source }
}
