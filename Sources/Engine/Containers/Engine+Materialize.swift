import CLinux
import Control
import Glibc
import Linux
import OCI
import Store

extension Engine {
    /// Writes what the supervisor reads: config.json, supervise.json and the generated files.
    ///
    /// Nothing of it is synced: the database has the definition, and every start writes them again.
    func materialize(_ definition: ContainerDefinition, _ plan: ContainerPlan) throws(EngineError) {
        let store = try self.store()
        let path = store.containerDirectory(definition.id)
        try prepareMounts(definition, plan, store)
        var spec = plan.spec
        // Our own runtime mounts the overlay over its upper layer, in the container's mount namespace only: no directory
        // has to be made for it. Others mount it where the host can see it.
        let needsMountPoint = !plan.layers.isEmpty && !definition.runtime.isEmpty
        if !needsMountPoint { spec.root?.path = "upper" }
        var plan = plan
        if !plan.layers.isEmpty {
            plan.layers.append(
                try during("prepare mount points") { () throws(SystemError) in
                    try MountPointLayer(store: roots.store).prepare()
                })
        }
        let supervision = supervision(definition, plan, path)
        let encodedSpec = spec.encode()
        let encodedSupervision = supervision.encoded()
        try during("write files of container", definition.id) { () throws(SystemError) in
            let directory = try FD.cwd.open(path, [.readOnly, .directory, .noFollow])
            if needsMountPoint {
                let made = cl_mkdirat(directory.raw, "rootfs", 0o755)
                if made != -EEXIST { try check(made, "make directory", "rootfs") }
            }
            try NetworkFiles(definition: definition, network: plan.network).write(in: directory.fd)
            try directory.fd.writeFile(ContainerFiles.specification, encodedSpec)
            try directory.fd.writeFile(ContainerFiles.supervision, encodedSupervision)
            if definition.userNamespaceSlot != nil { try giveToNamespace(directory.fd, spec) }
        }
    }

    /// A rootful container with ids of its own writes its layer with them.
    private func giveToNamespace(_ directory: FD, _ spec: Spec) throws(SystemError) {
        guard let user = spec.linux?.uidMappings.first, let group = spec.linux?.gidMappings.first else { return }
        for name in ["upper", "work"] {
            try check(
                cl_fchownat(directory.rawValue, name, user.hostID, group.hostID, AT_SYMLINK_NOFOLLOW), "change owner",
                name)
        }
    }

    private func supervision(
        _ definition: ContainerDefinition, _ plan: ContainerPlan, _ path: String
    ) -> SupervisionConfig {
        let rootfs: RootfsPlan
        if plan.layers.isEmpty {
            rootfs = .directory(path + "/upper")
        } else {
            rootfs = .overlay(
                OverlayPlan(
                    lower: plan.layers, upper: definition.isStep ? definition.stepUpper : path + "/upper",
                    work: definition.isStep ? definition.stepWork : path + "/work",
                    userXattr: host.isRootless || isInsideUserNamespace, volatile: definition.autoRemove,
                    idMapped: definition.userNamespaceSlot != nil))
        }
        var config = SupervisionConfig(id: definition.id, name: definition.name, bundle: path, rootfs: rootfs)
        config.image = definition.image
        config.labels = definition.labels
        config.volumes = definition.mounts.filter { $0.kind == .volume }.map {
            MountedVolume(name: $0.source, destination: $0.target, readOnly: $0.readOnly)
        }
        config.terminal = definition.terminal
        config.openStdin = definition.openStdin
        config.stdinOnce = definition.stdinOnce
        config.log = definition.logConfiguration
        config.restart = restartPolicy(definition.restart)
        config.stopSignal = definition.stopSignal
        config.stopTimeoutSeconds = definition.stopTimeout
        config.autoRemove = definition.autoRemove
        config.endsWithStarter = definition.endsWithCommand || definition.isStep
        config.isStep = definition.isStep
        config.initProcess = definition.`init`
        config.ownUserNamespace = plan.hasUserNamespace
        config.joined = plan.joined
        config.network = plan.network?.plan()
        config.health = definition.health?.plan()
        config.runtime = plan.runtime
        config.restore = plan.restore
        if !plan.runtime.isEmpty, host.isRootless {
            config.userMap = plan.users.map(idMapping)
            config.groupMap = plan.groups.map(idMapping)
        }
        config.detachKeys = definition.detachKeys
        return config
    }

    func restartPolicy(_ request: RestartRequest) -> RestartPolicy {
        let name: RestartPolicy.Name =
            switch request.name {
            case .no: .no
            case .always: .always
            case .unlessStopped: .unlessStopped
            case .onFailure: .onFailure
            }
        return RestartPolicy(name, maximumRetries: UInt32(clamping: request.maximumRetries))
    }

    /// Root of somebody's user namespace: overlay must use `user.` attributes there.
    var isInsideUserNamespace: Bool { !host.isRootless && isInUserNamespace() }
}
