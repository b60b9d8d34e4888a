import JSON

/// A network whose containers' devices lie on one of the host's instead of being ports of a bridge.
///
/// The host's device is the plan's `device`: there already, `PARENT.VLAN` (made on PARENT when it is not), or one that
/// leads nowhere.
public struct ParentPlan: Sendable, Hashable {
    public enum Kind: String, Sendable, Hashable {
        /// Each container has a hardware address of its own.
        case macvlan
        /// All share the parent's.
        case ipvlan
    }

    public var kind: Kind
    /// macvlan: `bridge`, `private`, `vepa`, `passthru`. ipvlan: `l2`, `l3`, `l3s`.
    public var mode: String
    /// ipvlan: `bridge`, `private`, `vepa`.
    public var flag = ""
    /// The device is the network's own and leads nowhere (a dummy).
    public var isDummy = false

    public init(_ kind: Kind, mode: String) {
        self.kind = kind
        self.mode = mode
    }
}

/// How the bridges of several hosts are one network: by a vxlan device among their ports.
public struct TunnelPlan: Sendable, Hashable {
    /// The device, at most 15 bytes.
    public var device: String
    /// From 1 to 16777215, the same on all hosts; as is the port.
    public var vni: UInt32
    public var port: UInt16
    /// Addresses of the hosts, and `dns:NAME` for all addresses that a name has. This host may be among them.
    public var peers: [String]
    /// Which of this host's addresses the others know; empty: as its routes say.
    public var local = ""
    /// By which of this host's devices the others are reached; empty: as its routes say.
    public var underlay = ""

    public init(device: String, vni: UInt32, port: UInt16, peers: [String]) {
        self.device = device
        self.vni = vni
        self.port = port
        self.peers = peers
    }
}

/// A route that the containers of a network have besides their default route.
public struct RoutePlan: Sendable, Hashable {
    /// `10.1.0.0/16`.
    public var destination: String
    public var gateway: String
    /// 0: the kernel's.
    public var metric: UInt32

    public init(_ destination: String, by gateway: String, metric: UInt32 = 0) {
        self.destination = destination
        self.gateway = gateway
        self.metric = metric
    }
}

extension ParentPlan {
    func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("kind", kind.rawValue)
            w.field("mode", mode)
            w.fieldIfNotEmpty("flag", flag)
            w.fieldIfTrue("dummy", isDummy)
        }
    }

    init(json parser: inout JSONParser) throws(JSONError) {
        self.init(.macvlan, mode: "")
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "kind":
                guard let known = Kind(rawValue: try parser.string()) else {
                    throw parser.failure(.invalidValue, "unknown kind of network device")
                }
                kind = known
            case "mode": mode = try parser.string()
            case "flag": flag = try parser.string()
            case "dummy": isDummy = try parser.bool()
            default: try parser.skip()
            }
        }
    }
}

extension TunnelPlan {
    func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("device", device)
            w.field("vni", vni)
            w.field("port", port)
            w.fieldIfNotEmpty("peers", peers)
            w.fieldIfNotEmpty("local", local)
            w.fieldIfNotEmpty("underlay", underlay)
        }
    }

    init(json parser: inout JSONParser) throws(JSONError) {
        self.init(device: "", vni: 0, port: 4789, peers: [])
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "device": device = try parser.string()
            case "vni": vni = try parser.int()
            case "port": port = try parser.int()
            case "peers": peers = try parser.strings()
            case "local": local = try parser.string()
            case "underlay": underlay = try parser.string()
            default: try parser.skip()
            }
        }
    }
}

extension RoutePlan {
    func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("destination", destination)
            w.field("gateway", gateway)
            w.fieldIfNotZero("metric", metric)
        }
    }

    init(json parser: inout JSONParser) throws(JSONError) {
        self.init("", by: "")
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "destination": destination = try parser.string()
            case "gateway": gateway = try parser.string()
            case "metric": metric = try parser.int()
            default: try parser.skip()
            }
        }
    }
}
