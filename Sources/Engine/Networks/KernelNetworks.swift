import Control
import Glibc
import Linux
import Networks

/// All that the engine itself asks the kernel about networks. What a container needs is made by its supervisor.
struct KernelNetworks {
    /// What the host reaches by another way than its default route: no network may lie there.
    var routes: () -> [IPPrefix]
    /// Whether the host has a network device of a name.
    var hasDevice: (_ name: String) -> Bool
    /// Whether no program has a port of the host.
    var isPortFree: (_ transport: String, _ address: IPAddress, _ port: UInt16) -> Bool = KernelNetworks.isFree
    /// Takes a network's devices and rules away; nothing where there are none.
    var remove: (_ bridge: BridgePlan) -> Void
    /// Takes away what a killed supervisor left of a container's connections; nothing where it left nothing.
    var forget: (_ plan: NetworkPlan, _ container: String) -> Void

    /// - Parameter run: the engine's run directory.
    init(run: String) {
        routes = { (try? HostNetwork(run: run).routes()) ?? [] }
        hasDevice = { (try? HostNetwork(run: run).deviceExists($0)) ?? true }
        remove = { bridge in try? HostNetwork(run: run).remove(bridge: bridge) }
        forget = { plan, container in try? HostNetwork(run: run).forget(plan, id: container) }
    }

    /// Where the kernel, and so everybody, takes ports from that nobody named (ip(7)).
    static func ephemeralPorts() -> ClosedRange<UInt16> {
        let text = (try? FD.cwd.readText("/proc/sys/net/ipv4/ip_local_port_range", limit: 64)) ?? ""
        let numbers = text.split(whereSeparator: { $0 == "\t" || $0 == " " || $0 == "\n" }).compactMap { UInt16($0) }
        guard numbers.count == 2, numbers[0] > 0, numbers[0] <= numbers[1] else { return 32768...60999 }
        return numbers[0]...numbers[1]
    }

    /// Only a look: whoever starts the container takes the port. SCTP is not asked: its module may not be there.
    private static func isFree(_ transport: String, _ address: IPAddress, _ port: UInt16) -> Bool {
        let kind: InternetProtocol = transport == "udp" ? .udp : .tcp
        guard transport != "sctp", let socket = try? makeInternetSocket(kind, isIPv6: address.isIPv6) else { return true }
        do throws(SystemError) {
            try socket.fd.bind(to: InternetEndpoint(address, port: port))
            return true
        } catch {
            return error.errno != .addressInUse
        }
    }
}
