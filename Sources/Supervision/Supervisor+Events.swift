import Control
import Linux

/// What a supervisor writes into the store's event log: all that happens to a run. The rest is its command's.
///
/// A run's `die` is written before its exit record: where there is a record, there is the event (docs/events.md).
extension Supervisor {
    private func append(_ event: Event) {
        if !config.isStep { events.append(event) }
    }

    func tell(_ action: String, _ more: [String: String] = [:]) {
        append(.container(action, id: arguments.id, name: config.name, image: config.image, labels: config.labels, more))
    }

    func tellSignal(_ signal: Int32) { tell("kill", ["signal": "\(signal)"]) }

    func tellEnd(of exit: ExitRecord, nanoseconds: Int64) {
        if exit.oomKilled { tell("oom") }
        tell("die", Event.end(exitCode: exit.exitCode, duration: nanoseconds))
    }

    /// - Parameter action: `connect`, `disconnect`.
    func tell(_ action: String, _ endpoints: [EndpointPlan]) {
        for endpoint in endpoints {
            let bridge = endpoint.bridge
            let attributes = ["container": arguments.id, "name": bridge.networkName, "type": bridge.driver]
            append(Event("network", action, actor: bridge.networkID, attributes))
        }
    }

    /// What a change of the plan has connected and disconnected.
    func tellChange(from before: [EndpointPlan], to after: [EndpointPlan]) {
        let (old, new) = (Set(before.map(\.bridge.networkID)), Set(after.map(\.bridge.networkID)))
        tell("disconnect", before.filter { !new.contains($0.bridge.networkID) })
        tell("connect", after.filter { !old.contains($0.bridge.networkID) })
    }

    func tellMounted() {
        for volume in config.volumes {
            let attributes = [
                "container": arguments.id, "destination": volume.destination, "driver": "local", "propagation": "",
                "read/write": volume.readOnly ? "false" : "true",
            ]
            append(Event("volume", "mount", actor: volume.name, attributes))
        }
    }

    func tellUnmounted() {
        for volume in config.volumes {
            append(Event("volume", "unmount", actor: volume.name, ["container": arguments.id, "driver": "local"]))
        }
    }
}

extension BridgePlan {
    fileprivate var driver: String {
        switch parent?.kind {
        case .macvlan: "macvlan"
        case .ipvlan: "ipvlan"
        case nil: tunnel == nil ? "bridge" : "vxlan"
        }
    }
}
