import Cgroups
import Control
import Glibc
import Linux
import OCI
import Seccomp
import Store

/// All that has to be written before a supervisor can start a container.
struct ContainerPlan {
    var spec: Spec
    var layers: [String]
    var user: ResolvedUser
    var hasUserNamespace: Bool
    /// The ids of that namespace.
    var users: [LinuxIDMapping] = []
    var groups: [LinuxIDMapping] = []
    /// Processes of other containers whose namespaces it joins.
    var joined: [JoinedProcess] = []
    /// Path of an external runtime; empty: ours.
    var runtime = ""
    /// Nil: it has no network of its own.
    var network: NetworkPlanner?
    /// Nil: its program is run from the beginning.
    var restore: RestorePlan?
}

extension Engine {
    /// Works out how a definition runs on this host now. Changes nothing.
    ///
    /// - Parameters:
    ///   - layers: of the image, top first.
    ///   - upper: the container's writable layer, whose /etc/passwd counts too; nil for a new container.
    ///   - starting: the plan is for now: containers whose namespaces are joined must run.
    func plan(
        _ definition: ContainerDefinition, layers: [String], upper: String? = nil, starting: Bool
    ) throws(EngineError) -> ContainerPlan {
        let joined = try joinedNamespaces(of: definition, starting: starting)
        let definition = joined.definition
        let user = try resolveUser(definition, layers: upper.map { [$0] + layers } ?? layers)
        var inputs = SpecInputs(definition: definition, user: user, host: host)
        inputs.directory = roots.container(definition.id)
        inputs.runtimeProgram = runtimeProgram
        let namespace = try userNamespace(joined.owner ?? definition)
        inputs.uidMappings = namespace.users
        inputs.gidMappings = namespace.groups
        inputs.joined = joined.processes
        inputs.joinedUserNamespace = joined.userNamespace
        inputs.files = try networkFiles(definition)
        inputs.mounts = try bindMounts(definition)
        if let target = joined.target {
            // The runtime enters that process's mount namespace for it.
            for index in inputs.mounts.indices where inputs.mounts[index].mount.kind == .container {
                inputs.mounts[index].source = "/proc/\(target)/root/"
            }
        }
        inputs.devices = try DeviceBinder.bind(definition.devices, privileged: definition.privileged)
        inputs.deviceNumbers = try DeviceNumber.find(definition.resources.deviceLimits)
        inputs.hasCgroup = try hasCgroup(for: inputs)
        let bounding = try SpecBuilder(inputs).boundingSet()
        inputs.seccomp = try seccomp(definition, bounding)
        let builder = SpecBuilder(inputs)
        let spec = try adding(definition.driverDevices, to: try builder.build(), builder)
        var plan = ContainerPlan(spec: spec, layers: layers, user: user, hasUserNamespace: !namespace.users.isEmpty)
        plan.joined = joined.pinned
        plan.users = namespace.users
        plan.groups = namespace.groups
        if !definition.runtime.isEmpty { plan.runtime = try externalRuntime(definition) }
        return plan
    }

    // MARK: Identity

    private func resolveUser(_ definition: ContainerDefinition, layers: [String]) throws(EngineError) -> ResolvedUser {
        let isNumbersOnly = definition.groupAdd.allSatisfy { Numbers.unsigned($0) != nil }
        let database = try users(of: layers, needed: isNumbersOnly ? definition.user : "?")
        var user = try database.resolve(definition.user)
        for group in definition.groupAdd where group != "keep-groups" {
            let gid = try database.gid(of: group)
            if !user.additionalGroups.contains(gid) { user.additionalGroups.append(gid) }
        }
        if definition.groupAdd.contains("keep-groups"), definition.groupAdd.count > 1 {
            throw .invalid("--group-add keep-groups cannot be used with other --group-add options")
        }
        return user
    }

    /// The users of an image or container. Numbers need no files: an image with a strange /etc/passwd can still be run
    /// as a given id.
    func users(of layers: [String], needed user: String) throws(EngineError) -> UserDatabase {
        do throws(SystemError) {
            let tree = try LayeredTree(layers: layers)
            return UserDatabase(
                passwd: try tree.readFile("/etc/passwd", limit: 10 << 20),
                group: try tree.readFile("/etc/group", limit: 10 << 20))
        } catch {
            if isNumeric(user) { return UserDatabase() }
            throw EngineError("read users of", "image", error)
        }
    }

    private func isNumeric(_ user: String) -> Bool {
        user.split(separator: ":", omittingEmptySubsequences: false).allSatisfy { Numbers.unsigned($0) != nil }
            && !user.isEmpty
    }

    func userNamespace(_ definition: ContainerDefinition) throws(EngineError) -> UserNamespacePlan {
        switch definition.userNamespace {
        case .default, .host:
            return host.isRootless ? try .rootless(uid: host.uid, gid: host.gid) : .host
        case .keepID(let uid, let gid):
            if !host.isRootless { throw .invalid("--userns=keep-id is only for users other than root") }
            return try .keepID(uid: host.uid, gid: host.gid, insideUID: uid, insideGID: gid)
        case .auto(let size):
            if host.isRootless { throw .notSupported("--userns=auto for users other than root: use keep-id") }
            return .automatic(slot: definition.userNamespaceSlot, size: size)
        }
    }

    // MARK: Files

    /// A container that shares the network of another shares its name and address files too.
    private func networkFiles(
        _ definition: ContainerDefinition
    ) throws(EngineError) -> [(source: String, target: String)] {
        var owner = definition.id
        if case .container(let id) = definition.network { owner = id }
        let own = roots.container(definition.id)
        let shared = roots.container(owner)
        return [
            (own + "/hostname", "/etc/hostname"), (shared + "/hosts", "/etc/hosts"),
            (shared + "/resolv.conf", "/etc/resolv.conf"),
        ]
    }

    // MARK: Security

    private func seccomp(
        _ definition: ContainerDefinition, _ bounding: CapabilitySet
    ) throws(EngineError) -> LinuxSeccomp? {
        if definition.privileged, definition.security.seccomp == .builtin { return nil }
        switch definition.security.seccomp {
        case .unconfined: return nil
        case .builtin: return SeccompProfile.default(capabilities: bounding)
        case .nested: return SeccompProfile.nested(capabilities: bounding)
        case .profile(let text):
            do throws(SeccompError) {
                return try SeccompProfile(json: Array(text.utf8)).resolve(capabilities: bounding)
            } catch {
                throw .invalid("invalid seccomp profile: \(error.description)")
            }
        }
    }

    /// Root always has cgroups. A user has them where systemd or an administrator delegated some; where not, limits that
    /// were asked for are left out with a warning that says what to type.
    private func hasCgroup(for inputs: SpecInputs) throws(EngineError) -> Bool {
        if !host.isRootless { return true }
        guard let refusal = CgroupDelegation.refusal(of: try SpecBuilder(inputs).resources(), id: inputs.definition.id)
        else {
            return true
        }
        if !inputs.definition.resources.isEmpty {
            warn("WARNING: limits are left out: \(refusal.cause)" + (refusal.fix.map { "; type: " + $0 } ?? ""))
        }
        return false
    }
}

/// Whether this user may make cgroups with controllers.
enum CgroupDelegation {
    /// Makes a container's cgroup as the runtime will, and removes it again: no rule tells for sure but the attempt.
    ///
    /// - Returns: why it cannot be done, nil when it can.
    static func refusal(of resources: LinuxResources?, id: String) -> CgroupError? {
        do throws(CgroupError) {
            let cgroup = try Cgroup.create(
                host: try CgroupHost.detect(), cgroupsPath: "", id: "probe-" + id, resources: resources, rootless: true)
            try? cgroup.remove()
            return nil
        } catch {
            return error
        }
    }

    /// For `system check`: whether a limit of processes could be set.
    static func refusal() -> CgroupError? {
        var resources = LinuxResources()
        resources.pids = LinuxPids(limit: 64)
        return refusal(of: resources, id: ContainerNames.identifier())
    }
}
