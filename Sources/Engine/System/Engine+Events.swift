import Control
import Linux
import Store

/// The store's event log: what commands have done is written here, what happens to a run by its supervisor (docs/events.md).
extension Engine {
    public var eventLog: EventLog { EventLog(store: roots.store) }

    /// - Parameters:
    ///   - action: Docker's: `create`, `rename`, `commit`, `archive-path`, `extract-to-dir`, `export` …
    ///   - more: besides image, name and labels.
    public func announce(_ action: String, _ definition: ContainerDefinition, _ more: [String: String] = [:]) {
        if definition.isStep { return }
        eventLog.append(
            .container(
                action, id: definition.id, name: definition.name, image: definition.image, labels: definition.labels, more))
    }

    /// - Parameters:
    ///   - action: `pull`, `push`, `tag`, `untag`, `delete`, `load`, `save`, `import`.
    ///   - actor: the image's id; for `pull` and `push` its reference.
    ///   - name: Docker's attribute of that name.
    ///   - id: of the image whose labels belong to it; nil for none.
    public func announce(_ action: String, image actor: String, name: String, labelsOf id: String? = nil) {
        var attributes: [String: String] = [:]
        if let id, let store = try? store(), let config = try? store.imageConfig(id: id) { attributes = config.config.labels }
        attributes["name"] = name
        eventLog.append(Event("image", action, actor: actor, attributes))
    }

    func announce(_ removed: RemovedImage, id: String) {
        for _ in removed.untagged { announce("untag", image: id, name: id) }
        for deleted in removed.deleted { announce("delete", image: deleted, name: deleted) }
    }

    /// - Parameter action: `create`, `destroy`; `connect` and `disconnect` are supervisors'.
    public func announce(_ action: String, _ network: NetworkDefinition) {
        eventLog.append(Event("network", action, actor: network.id, ["name": network.name, "type": network.driver]))
    }

    /// - Parameter action: `create`, `destroy`; `mount` and `unmount` are supervisors'.
    public func announce(_ action: String, volume name: String, driver: String = "local") {
        eventLog.append(Event("volume", action, actor: name, ["driver": driver]))
    }

    /// `prune` of a kind of objects.
    public func announcePrune(_ type: String, reclaimed: Int64) {
        eventLog.append(Event(type, "prune", actor: "", ["reclaimed": "\(reclaimed)"]))
    }

    /// Volumes that came with a container: those that were there before have another time.
    func announceNewVolumes(_ volumes: [VolumeRecord], _ store: Store) {
        for volume in volumes {
            guard let kept = try? store.volume(name: volume.name), kept.created == volume.created else { continue }
            announce("create", volume: volume.name)
        }
    }

    /// The unnamed volumes that have gone with a container.
    func announceLostVolumes(of definition: ContainerDefinition, _ store: Store) {
        for mount in definition.mounts where mount.kind == .volume && mount.isAnonymous {
            guard let users = try? store.containers(ofVolume: mount.source), users.isEmpty, (try? store.volume(name: mount.source)) == nil
            else { continue }
            announce("destroy", volume: mount.source)
        }
    }

    /// Writes down the end of a run that nobody saw: its supervisor was killed, or the machine went down.
    ///
    /// To be called with the container's lock, by whoever takes it for the next start or the removal, or has seen the end. Where
    /// there is an exit record, or the mark of a removal, the supervisor has written the event itself.
    /// - Parameter view: as it was before the lock was taken.
    func announceUnseenEnd(_ view: ContainerView) {
        let seen = view.observation
        let directory = roots.container(view.id)
        guard seen.startedAt > 0, seen.status != .created, !FD.cwd.exists(directory + "/" + ContainerFiles.exitRecord),
            !FD.cwd.exists(directory + "/" + ContainerFiles.removed),
            // It may have been killed between the event and the record.
            !eventLog.has("die", container: view.id, since: seen.startedAt)
        else { return }
        let code = seen.status == .exited ? seen.exitCode : ExitRecord.unknownCode
        announce("die", view.definition, Event.end(exitCode: code, duration: nil))
    }

    /// As ``announceUnseenEnd(_:)``, for who does not have the container's lock.
    func announceEndWithoutSupervisor(_ view: ContainerView) {
        guard let directory = try? FD.cwd.open(roots.container(view.id), [.readOnly, .directory, .noFollow]),
            let lock = try? SupervisorLock.acquire(in: directory.fd)
        else { return }
        announceUnseenEnd(view)
        lock.release()
    }

    /// Reads events in order of time: those of every command and every supervisor of this store.
    ///
    /// - Parameters:
    ///   - emit: returns whether to go on.
    ///   - idle: called before each wait.
    public func readEvents(
        _ options: EventReader.Options, _ emit: (Event) -> Bool, idle: () -> Void
    ) throws(EngineError) {
        try controlled { () throws(ControlError) in
            var reader = try EventReader(eventLog, options)
            try reader.read(emit, idle: idle)
        }
    }
}
