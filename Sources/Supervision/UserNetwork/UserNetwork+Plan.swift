import CLinux
import Control
import Glibc
import Linux

extension UserNetwork {
    /// A plan as it is carried out in a user's namespaces.
    ///
    /// Published ports are the forwarder's, not the firewall's. The host is not the networks' gateway here: it has the address by
    /// which the outside knows it.
    func adapt(_ plan: NetworkPlan) -> NetworkPlan {
        var plan = plan
        plan.ports = []
        // What pasta's device takes at once: it ends connections here and opens its own, so no packet leaves as large as that, and each
        // costs two changes between processes.
        for index in plan.endpoints.indices where plan.endpoints[index].bridge.mtu == 0 { plan.endpoints[index].bridge.mtu = 65520 }
        for index in plan.endpoints.indices { plan.endpoints[index].endsNearby = true }
        guard var resolver = plan.resolver else { return plan }
        let gateways = Set(plan.endpoints.flatMap(\.bridge.addresses).compactMap { IPPrefix($0)?.address.description })
        if !hostAddresses.isEmpty {
            for index in resolver.fixed.indices where resolver.fixed[index].addresses.contains(where: gateways.contains) {
                resolver.fixed[index].addresses = hostAddresses
            }
        }
        plan.resolver = resolver
        return plan
    }

    /// The host's own addresses by which it speaks to the outside. In the host's network namespace; nothing is sent.
    static func findHostAddresses() -> [String] {
        ["192.0.2.1", "2001:db8::1"].compactMap { text in
            guard let anywhere = IPAddress(text), let socket = try? makeInternetSocket(.datagram, isIPv6: anywhere.isIPv6) else {
                return nil
            }
            guard (try? socket.fd.connect(to: InternetEndpoint(anywhere, port: 9))) != nil, let own = try? socket.fd.localEndpoint(),
                !own.belongsToItsHost
            else { return nil }
            return own.address.description
        }
    }
}
