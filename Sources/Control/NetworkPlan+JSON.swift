import JSON

extension NetworkPlan {
    func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.arrayIfNotEmpty("endpoints", endpoints) { $1.write(to: &$0) }
            w.arrayIfNotEmpty("ports", ports) { $1.write(to: &$0) }
            w.fieldIfTrue("portsPassInput", portsPassInput)
            if let resolver {
                w.key("resolver")
                resolver.write(to: &w)
            }
        }
    }

    init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "endpoints":
                endpoints = try parser.array { (p: inout JSONParser) throws(JSONError) in try EndpointPlan(json: &p) }
            case "ports": ports = try parser.array { (p: inout JSONParser) throws(JSONError) in try PortPlan(json: &p) }
            case "portsPassInput": portsPassInput = try parser.bool()
            case "resolver": resolver = try ResolverPlan(json: &parser)
            default: try parser.skip()
            }
        }
    }
}

extension BridgePlan {
    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("networkID", networkID)
            w.field("networkName", networkName)
            w.field("device", device)
            w.fieldIfNotEmpty("addresses", addresses)
            w.fieldIfNotEmpty("subnets", subnets)
            w.fieldIfNotZero("mtu", mtu)
            w.fieldIfTrue("internal", isInternal)
            w.fieldIfTrue("closed", !connectsContainers)
            w.fieldIfTrue("routed", !masquerades)
            w.fieldIfTrue("open", isOpen)
            w.fieldIfNotZero("vlan", vlan)
            if let parent {
                w.key("parent")
                parent.write(to: &w)
            }
            if let tunnel {
                w.key("tunnel")
                tunnel.write(to: &w)
            }
        }
    }

    init(json parser: inout JSONParser) throws(JSONError) {
        self.init(networkID: "", networkName: "", device: "")
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "networkID": networkID = try parser.string()
            case "networkName": networkName = try parser.string()
            case "device": device = try parser.string()
            case "addresses": addresses = try parser.strings()
            case "subnets": subnets = try parser.strings()
            case "mtu": mtu = try parser.int()
            case "internal": isInternal = try parser.bool()
            case "closed": connectsContainers = try !parser.bool()
            case "routed": masquerades = try !parser.bool()
            case "open": isOpen = try parser.bool()
            case "vlan": vlan = try parser.int()
            case "parent": parent = try ParentPlan(json: &parser)
            case "tunnel": tunnel = try TunnelPlan(json: &parser)
            default: try parser.skip()
            }
        }
    }
}

extension EndpointPlan {
    func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.key("bridge")
            bridge.write(to: &w)
            w.field("interface", interface)
            w.field("hostInterface", hostInterface)
            w.field("mac", mac)
            w.fieldIfNotEmpty("addresses", addresses)
            w.fieldIfNotEmpty("linkLocal", linkLocal)
            w.fieldIfNotEmpty("gateways", gateways)
            w.arrayIfNotEmpty("routes", routes) { $1.write(to: &$0) }
            w.fieldIfNotEmpty("names", names)
            if !rate.isEmpty {
                w.key("rate")
                rate.write(to: &w)
            }
        }
    }

    init(json parser: inout JSONParser) throws(JSONError) {
        self.init(bridge: BridgePlan(networkID: "", networkName: "", device: ""), interface: "", hostInterface: "", mac: "")
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "bridge": bridge = try BridgePlan(json: &parser)
            case "interface": interface = try parser.string()
            case "hostInterface": hostInterface = try parser.string()
            case "mac": mac = try parser.string()
            case "addresses": addresses = try parser.strings()
            case "linkLocal": linkLocal = try parser.strings()
            case "gateways": gateways = try parser.strings()
            case "routes": routes = try parser.array { (p: inout JSONParser) throws(JSONError) in try RoutePlan(json: &p) }
            case "names": names = try parser.strings()
            case "rate": rate = try NetworkRate(json: &parser)
            default: try parser.skip()
            }
        }
    }
}

extension PortPlan {
    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("transport", transport.rawValue)
            w.field("hostAddress", hostAddress)
            w.field("hostPort", hostPort)
            w.field("containerPort", containerPort)
            w.field("count", count)
            w.field("target", target)
        }
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init(.tcp, hostAddress: "", hostPort: 0, containerPort: 0, target: "")
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "transport":
                guard let known = Transport(rawValue: try parser.string()) else {
                    throw parser.failure(.invalidValue, "unknown transport protocol")
                }
                transport = known
            case "hostAddress": hostAddress = try parser.string()
            case "hostPort": hostPort = try parser.int()
            case "containerPort": containerPort = try parser.int()
            case "count": count = max(1, try parser.int())
            case "target": target = try parser.string()
            default: try parser.skip()
            }
        }
    }
}

extension ResolverPlan {
    func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.fieldIfNotEmpty("upstreams", upstreams)
            w.fieldIfTrue("asksFromContainer", asksFromContainer)
            w.arrayIfNotEmpty("fixed", fixed) { w, name in
                w.object { w in
                    w.field("name", name.name)
                    w.field("addresses", name.addresses)
                }
            }
            w.fieldIfNotEmpty("directories", directories)
        }
    }

    init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "upstreams": upstreams = try parser.strings()
            case "asksFromContainer": asksFromContainer = try parser.bool()
            case "fixed":
                fixed = try parser.array { (p: inout JSONParser) throws(JSONError) in
                    var name = FixedName("", [])
                    var object = try p.beginObject()
                    while let key = try p.nextKey(&object) {
                        switch key {
                        case "name": name.name = try p.string()
                        case "addresses": name.addresses = try p.strings()
                        default: try p.skip()
                        }
                    }
                    return name
                }
            case "directories": directories = try parser.strings()
            default: try parser.skip()
            }
        }
    }
}
