import Control
import Glibc
import Linux
import OCI

/// What `container:NAME` in a definition comes to on this host now.
struct JoinedNamespaces {
    /// The definition with each namespace that turned out to be the host's named so.
    var definition: ContainerDefinition
    /// Host pids of the containers that are joined.
    var processes: [SpecInputs.NamespaceKind: Int32] = [:]
    /// The same with their start times, taken before the container was looked at again.
    var pinned: [JoinedProcess] = []
    /// The container in whose user namespace the new one must be, to be allowed into its other namespaces.
    var owner: ContainerDefinition?
    /// A process in that user namespace.
    var userNamespace: Int32?
    /// The first process of the container whose files are shown.
    var target: Int32?
}

extension ContainerDefinition {
    /// Whether any namespace is another container's.
    fileprivate var joinsOthers: Bool {
        for mode in [network, pid, ipc, uts] { if case .container = mode { return true } }
        return false
    }
}

extension Engine {
    /// Finds the processes whose namespaces a container joins.
    ///
    /// - Parameter starting: false for `create`: those others need not run yet; the start asks again.
    /// - Throws: Docker's sentences for containers that do not run or do not share.
    func joinedNamespaces(
        of definition: ContainerDefinition, starting: Bool
    ) throws(EngineError) -> JoinedNamespaces {
        var result = JoinedNamespaces(definition: definition)
        // The common case, without the key paths below: they are looked up at run time.
        if !definition.joinsOthers { return result }
        let target = definition.joinedTarget
        if let target { try findTarget(target, &result) }
        let modes: [(SpecInputs.NamespaceKind, WritableKeyPath<ContainerDefinition, NamespaceMode>)] = [
            (.network, \.network), (.pid, \.pid), (.ipc, \.ipc), (.uts, \.uts),
        ]
        for (kind, path) in modes {
            guard case .container(let id) = definition[keyPath: path] else { continue }
            let other = try container(id)
            if kind == .ipc, id != target { try checkShares(other) }
            guard other.hasProcess, other.observation.pid > 0 else {
                if starting {
                    throw EngineError(
                        .conflict,
                        sentence: "cannot join \(kind.word) namespace of a non running container: \(other.id)")
                }
                continue
            }
            let pid = other.observation.pid
            // A container on the host's network has nothing of its own to join.
            if namespace(kind.file, of: pid) == namespace(kind.file, of: nil) {
                result.definition[keyPath: path] = .host
                continue
            }
            // Its start time first, then whether it still is the container's: the two are of one process.
            guard let process = JoinedProcess(pid: pid), try observe(id).pid == pid else {
                throw EngineError(
                    .conflict,
                    sentence: "cannot join \(kind.word) namespace of a non running container: \(other.id)")
            }
            if !result.pinned.contains(process) { result.pinned.append(process) }
            result.processes[kind] = pid
            if host.isRootless { try shareUserNamespace(other, kind, &result) }
        }
        try checkUserNamespace(result)
        return result
    }

    /// The container that is debugged. Into its user namespace comes also who needs not: as root of the host it would be more than what
    /// it looks at, and its files would have other owners.
    private func findTarget(_ id: String, _ result: inout JoinedNamespaces) throws(EngineError) {
        let other = try container(id)
        let pid = other.observation.pid
        guard other.hasProcess, pid > 0, let process = JoinedProcess(pid: pid), try observe(id).pid == pid else {
            throw EngineError(.conflict, sentence: "container \(other.name) has ended meanwhile: try again")
        }
        result.pinned.append(process)
        result.target = pid
        guard host.isRootless || other.definition.userNamespaceSlot != nil else { return }
        result.userNamespace = pid
        result.owner = other.definition
    }

    private func checkShares(_ other: ContainerView) throws(EngineError) {
        switch other.definition.ipc {
        case .shareable, .container, .host: return
        case .private, .none:
            throw EngineError(
                .conflict,
                sentence: "container \(other.id): non-shareable IPC (hint: use IpcMode:shareable for the donor container)"
            )
        }
    }

    /// Without host privileges namespaces can be entered only from the user namespace they belong to: the new container
    /// is put into the other's.
    private func shareUserNamespace(
        _ other: ContainerView, _ kind: SpecInputs.NamespaceKind, _ result: inout JoinedNamespaces
    ) throws(EngineError) {
        let pid = other.observation.pid
        if let first = result.userNamespace, let owner = result.owner {
            guard namespace("user", of: pid) == namespace("user", of: first) else {
                throw EngineError(
                    .conflict,
                    sentence: "cannot join \(kind.word) namespace of container \(other.id): it has another user "
                        + "namespace than container \(owner.id); join namespaces of one container only")
            }
            return
        }
        result.userNamespace = pid
        result.owner = other.definition
    }

    /// A procfs for another container's pid namespace can be mounted only by who owns that namespace.
    private func checkUserNamespace(_ joined: JoinedNamespaces) throws(EngineError) {
        if case .auto = joined.definition.userNamespace, joined.processes[.pid] != nil, joined.owner == nil {
            throw .invalid("conflicting options: --userns=auto and the PID mode container:NAME")
        }
        if joined.owner != nil, joined.definition.userNamespace != .default,
            joined.definition.userNamespace != joined.owner?.userNamespace
        {
            throw .invalid("conflicting options: --userns and joining a namespace of a container with other ids")
        }
    }

    /// The kernel's name of a namespace (`net:[4026531840]`); nil: of this process.
    private func namespace(_ file: String, of pid: Int32?) -> String? {
        try? FD.cwd.readLink("/proc/\(pid.map { "\($0)" } ?? "self")/ns/\(file)")
    }
}
