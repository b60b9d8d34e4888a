import JSON

/// One filesystem to mount.
///
/// Spec: OCI runtime-spec 1.3 config.md "Mounts".
public struct Mount: Sendable, Hashable {
    /// Absolute, inside the container.
    public var destination: String
    public var type: String
    /// A device, a path on the host (relative to the bundle) or a name.
    public var source: String
    public var options: [String]
    /// For an id-mapped mount.
    public var uidMappings: [LinuxIDMapping]
    public var gidMappings: [LinuxIDMapping]

    public init(
        destination: String = "", type: String = "", source: String = "", options: [String] = [],
        uidMappings: [LinuxIDMapping] = [], gidMappings: [LinuxIDMapping] = []
    ) {
        self.destination = destination
        self.type = type
        self.source = source
        self.options = options
        self.uidMappings = uidMappings
        self.gidMappings = gidMappings
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "destination": destination = try parser.string()
            case "type": type = try parser.string()
            case "source": source = try parser.string()
            case "options": options = try parser.strings()
            case "uidMappings": uidMappings = try parser.array(LinuxIDMapping.init(json:))
            case "gidMappings": gidMappings = try parser.array(LinuxIDMapping.init(json:))
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("destination", destination)
            w.fieldIfNotEmpty("type", type)
            w.fieldIfNotEmpty("source", source)
            w.fieldIfNotEmpty("options", options)
            w.arrayIfNotEmpty("uidMappings", uidMappings) { w, value in value.write(to: &w) }
            w.arrayIfNotEmpty("gidMappings", gidMappings) { w, value in value.write(to: &w) }
        }
    }
}

/// One line of a uid or gid map.
public struct LinuxIDMapping: Sendable, Hashable {
    public var containerID: UInt32
    public var hostID: UInt32
    public var size: UInt32

    public init(containerID: UInt32 = 0, hostID: UInt32 = 0, size: UInt32 = 0) {
        self.containerID = containerID
        self.hostID = hostID
        self.size = size
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "containerID": containerID = try parser.int()
            case "hostID": hostID = try parser.int()
            case "size": size = try parser.int()
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("containerID", containerID)
            w.field("hostID", hostID)
            w.field("size", size)
        }
    }
}
