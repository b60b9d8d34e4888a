import Control
import Linux

extension EndpointPlan {
    /// The device in whose queue waits what leaves the container too fast. The kernel does not remove it with the cable.
    var shaper: String { "ifb-" + hostInterface.suffix(11) }

    /// What of it lies on the host.
    var hostDevices: [String] { rate.outgoing == 0 ? [hostInterface] : [hostInterface, shaper] }
}

extension HostNetwork {
    /// Limits how fast packets go into a container and come out of it, or ends that. Connections stay.
    ///
    /// Both on the host's end of the cable, which a container cannot reach whatever its capabilities. Into the container is what that end
    /// sends. What it receives can only be dropped there, not wait; so it is turned aside to a device that has a queue.
    func setRate(_ endpoint: EndpointPlan) throws(NetworkError) {
        let rate = endpoint.rate
        let cause: String
        do throws(SystemError) {
            guard Link.isName(endpoint.hostInterface), let end = try route.link(endpoint.hostInterface) else {
                throw SystemError(.noDevice, "limit rate of", endpoint.hostInterface)
            }
            try setIncoming(rate.incoming, end)
            return try setOutgoing(rate.outgoing, end, endpoint.shaper)
        } catch {
            // What the kernel says of kinds of queues, filters and devices that it does not have.
            guard [.noEntry, .notSupported].contains(error.errno) else { throw NetworkError(error) }
            cause = "the kernel lacks a part of it: modprobe -a sch_tbf sch_ingress cls_u32 act_mirred ifb (\(error.cause))"
        }
        throw NetworkError(.unsupported, "limit rate of", endpoint.interface, cause: cause)
    }

    private func setIncoming(_ rate: UInt64, _ end: Link) throws(SystemError) {
        var batch = RouteBatch()
        if rate != 0 {
            batch.setRate(rate, of: end, mtu: end.mtu)
            return try route.send(batch)
        }
        guard end.queue == "tbf" else { return }
        batch.removeRate(of: end)
        try route.send(batch)
    }

    private func setOutgoing(_ rate: UInt64, _ end: Link, _ name: String) throws(SystemError) {
        var batch = RouteBatch()
        var shaper = try route.link(name)
        if rate == 0 {
            if shaper == nil { return }
            batch.endTurningAside(end)
            try? route.send(batch)
            return try removeLink(name)
        }
        if shaper == nil {
            batch.addShaper(name)
            try route.send(batch)
            shaper = try route.link(name)
        }
        guard let shaper else { throw SystemError(.noDevice, "limit rate of", end.name) }
        do throws(SystemError) {
            // Nothing is turned aside before there is a queue.
            batch = RouteBatch()
            batch.setRate(rate, of: shaper, mtu: end.mtu)
            batch.allowTurningAside(end)
            do throws(SystemError) { try route.send(batch) } catch {
                // Packets are turned aside already.
                if error.errno == .exists { return }
                throw error
            }
            batch = RouteBatch()
            batch.turnAside(end, to: shaper)
            try route.send(batch)
        } catch {
            batch = RouteBatch()
            batch.endTurningAside(end)
            try? route.send(batch)
            try? removeLink(name)
            throw error
        }
    }
}
