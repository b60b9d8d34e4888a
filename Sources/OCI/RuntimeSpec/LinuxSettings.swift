import JSON

/// Settings of the resctrl filesystem.
public struct LinuxIntelRdt: Sendable, Hashable {
    public var closID: String
    public var schemata: [String]
    public var l3CacheSchema: String
    public var memBwSchema: String
    public var enableMonitoring: Bool

    public init(
        closID: String = "", schemata: [String] = [], l3CacheSchema: String = "", memBwSchema: String = "",
        enableMonitoring: Bool = false
    ) {
        self.closID = closID
        self.schemata = schemata
        self.l3CacheSchema = l3CacheSchema
        self.memBwSchema = memBwSchema
        self.enableMonitoring = enableMonitoring
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "closID": closID = try parser.string()
            case "schemata": schemata = try parser.strings()
            case "l3CacheSchema": l3CacheSchema = try parser.string()
            case "memBwSchema": memBwSchema = try parser.string()
            case "enableMonitoring": enableMonitoring = try parser.bool()
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.fieldIfNotEmpty("closID", closID)
            w.fieldIfNotEmpty("schemata", schemata)
            w.fieldIfNotEmpty("l3CacheSchema", l3CacheSchema)
            w.fieldIfNotEmpty("memBwSchema", memBwSchema)
            w.fieldIfTrue("enableMonitoring", enableMonitoring)
        }
    }
}

/// The NUMA memory policy; C function: `set_mempolicy(2)`.
public struct LinuxMemoryPolicy: Sendable, Hashable {
    /// `MPOL_BIND` and so on.
    public var mode: String
    /// A list like `0-3,7`.
    public var nodes: String
    public var flags: [String]

    public init(mode: String = "", nodes: String = "", flags: [String] = []) {
        self.mode = mode
        self.nodes = nodes
        self.flags = flags
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "mode": mode = try parser.string()
            case "nodes": nodes = try parser.string()
            case "flags": flags = try parser.strings()
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("mode", mode)
            w.fieldIfNotEmpty("nodes", nodes)
            w.fieldIfNotEmpty("flags", flags)
        }
    }
}

/// The execution domain; C function: `personality(2)`.
public struct LinuxPersonality: Sendable, Hashable {
    /// `LINUX` or `LINUX32`.
    public var domain: String
    public var flags: [String]

    public init(domain: String = "", flags: [String] = []) {
        self.domain = domain
        self.flags = flags
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "domain": domain = try parser.string()
            case "flags": flags = try parser.strings()
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("domain", domain)
            w.fieldIfNotEmpty("flags", flags)
        }
    }
}
