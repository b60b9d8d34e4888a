import JSON
import Linux

extension NetworkDefinition {
    /// The text for the database: only what differs from the defaults.
    func encode() -> [UInt8] {
        JSONWriter.document { writer in
            writer.object { w in
                w.arrayIfNotEmpty("subnets", subnets) { w, subnet in subnet.write(to: &w) }
                w.fieldIfTrue("withoutIPv4", !enablesIPv4)
                w.fieldIfTrue("ipv6", enablesIPv6)
                w.fieldIfTrue("internal", isInternal)
                w.fieldIfTrue("attachable", isAttachable)
                w.fieldIfNotEmpty("labels", labels)
                w.fieldIfNotEmpty("options", options)
                w.fieldIfNotEmpty("ipamOptions", ipamOptions)
                w.fieldIfNotEmpty("dns", dns)
                w.arrayIfNotEmpty("routes", routes) { w, route in route.write(to: &w) }
                w.fieldIfTrue("hidesNames", hidesNames)
            }
        }
    }

    /// Reads what `encode` wrote. Id, name, driver and time are the row's.
    mutating func decode(_ bytes: [UInt8]) throws(EngineError) {
        do throws(JSONError) {
            self = try JSONParser.parse(bytes) { [self] (parser: inout JSONParser) throws(JSONError) in
                var result = self
                try result.read(&parser)
                return result
            }
        } catch {
            throw EngineError(.system, "read definition of network", name, cause: error.description)
        }
    }

    private mutating func read(_ parser: inout JSONParser) throws(JSONError) {
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "subnets":
                subnets = try parser.array { (p: inout JSONParser) throws(JSONError) in try NetworkSubnet(json: &p) }
            case "withoutIPv4": enablesIPv4 = !(try parser.bool())
            case "ipv6": enablesIPv6 = try parser.bool()
            case "internal": isInternal = try parser.bool()
            case "attachable": isAttachable = try parser.bool()
            case "labels": labels = try parser.stringDictionary()
            case "options": options = try parser.stringDictionary()
            case "ipamOptions": ipamOptions = try parser.stringDictionary()
            case "dns": dns = try parser.strings()
            case "routes":
                routes = try parser.array { (p: inout JSONParser) throws(JSONError) in try NetworkRoute(json: &p) }
            case "hidesNames": hidesNames = try parser.bool()
            default: try parser.skip()  // of a newer version
            }
        }
    }
}

extension NetworkRoute {
    func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("destination", destination.description)
            w.field("gateway", gateway.description)
            w.fieldIfNotZero("metric", metric)
        }
    }

    init(json parser: inout JSONParser) throws(JSONError) {
        var destination: IPPrefix?
        var gateway: IPAddress?
        var metric: UInt32 = 0
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "destination": destination = IPPrefix(try parser.string())
            case "gateway": gateway = IPAddress(try parser.string())
            case "metric": metric = try parser.int()
            default: try parser.skip()
            }
        }
        guard let destination, let gateway else { throw parser.failure(.invalidValue, "a route needs a destination and a gateway") }
        self.init(destination: destination, gateway: gateway, metric: metric)
    }
}

extension NetworkSubnet {
    func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("subnet", subnet.description)
            w.field("gateway", gateway.description)
            w.fieldIfPresent("range", range?.description)
            w.fieldIfNotEmpty("auxiliary", auxiliary.mapValues(\.description))
        }
    }

    init(json parser: inout JSONParser) throws(JSONError) {
        var subnet: IPPrefix?
        var gateway: IPAddress?
        var range: IPPrefix?
        var auxiliary: [String: IPAddress] = [:]
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "subnet": subnet = IPPrefix(try parser.string())
            case "gateway": gateway = IPAddress(try parser.string())
            case "range": range = IPPrefix(try parser.string())
            case "auxiliary": auxiliary = try parser.stringDictionary().compactMapValues { IPAddress($0) }
            default: try parser.skip()
            }
        }
        guard let subnet, let gateway, gateway.isIPv6 == subnet.isIPv6 else {
            throw parser.failure(.invalidValue, "a subnet needs its addresses and a gateway")
        }
        self.init(subnet, gateway: gateway)
        self.range = range
        self.auxiliary = auxiliary
    }
}
