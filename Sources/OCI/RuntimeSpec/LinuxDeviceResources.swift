import JSON

/// Limits of block devices.
public struct LinuxBlockIO: Sendable, Hashable {
    /// 10 to 1000.
    public var weight: UInt16?
    public var leafWeight: UInt16?
    public var weightDevice: [LinuxWeightDevice]
    public var throttleReadBpsDevice: [LinuxThrottleDevice]
    public var throttleWriteBpsDevice: [LinuxThrottleDevice]
    public var throttleReadIOPSDevice: [LinuxThrottleDevice]
    public var throttleWriteIOPSDevice: [LinuxThrottleDevice]

    public init(
        weight: UInt16? = nil, leafWeight: UInt16? = nil, weightDevice: [LinuxWeightDevice] = [],
        throttleReadBpsDevice: [LinuxThrottleDevice] = [], throttleWriteBpsDevice: [LinuxThrottleDevice] = [],
        throttleReadIOPSDevice: [LinuxThrottleDevice] = [], throttleWriteIOPSDevice: [LinuxThrottleDevice] = []
    ) {
        self.weight = weight
        self.leafWeight = leafWeight
        self.weightDevice = weightDevice
        self.throttleReadBpsDevice = throttleReadBpsDevice
        self.throttleWriteBpsDevice = throttleWriteBpsDevice
        self.throttleReadIOPSDevice = throttleReadIOPSDevice
        self.throttleWriteIOPSDevice = throttleWriteIOPSDevice
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "weight": weight = try parser.int()
            case "leafWeight": leafWeight = try parser.int()
            case "weightDevice": weightDevice = try parser.array(LinuxWeightDevice.init(json:))
            case "throttleReadBpsDevice": throttleReadBpsDevice = try parser.array(LinuxThrottleDevice.init(json:))
            case "throttleWriteBpsDevice": throttleWriteBpsDevice = try parser.array(LinuxThrottleDevice.init(json:))
            case "throttleReadIOPSDevice": throttleReadIOPSDevice = try parser.array(LinuxThrottleDevice.init(json:))
            case "throttleWriteIOPSDevice":
                throttleWriteIOPSDevice = try parser.array(LinuxThrottleDevice.init(json:))
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.fieldIfPresent("weight", weight)
            w.fieldIfPresent("leafWeight", leafWeight)
            w.arrayIfNotEmpty("weightDevice", weightDevice) { w, value in value.write(to: &w) }
            w.arrayIfNotEmpty("throttleReadBpsDevice", throttleReadBpsDevice) { w, value in value.write(to: &w) }
            w.arrayIfNotEmpty("throttleWriteBpsDevice", throttleWriteBpsDevice) { w, value in value.write(to: &w) }
            w.arrayIfNotEmpty("throttleReadIOPSDevice", throttleReadIOPSDevice) { w, value in value.write(to: &w) }
            w.arrayIfNotEmpty("throttleWriteIOPSDevice", throttleWriteIOPSDevice) { w, value in value.write(to: &w) }
        }
    }
}

/// The weight of one block device.
public struct LinuxWeightDevice: Sendable, Hashable {
    public var major: Int64
    public var minor: Int64
    public var weight: UInt16?
    public var leafWeight: UInt16?

    public init(major: Int64 = 0, minor: Int64 = 0, weight: UInt16? = nil, leafWeight: UInt16? = nil) {
        self.major = major
        self.minor = minor
        self.weight = weight
        self.leafWeight = leafWeight
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "major": major = try parser.int()
            case "minor": minor = try parser.int()
            case "weight": weight = try parser.int()
            case "leafWeight": leafWeight = try parser.int()
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("major", major)
            w.field("minor", minor)
            w.fieldIfPresent("weight", weight)
            w.fieldIfPresent("leafWeight", leafWeight)
        }
    }
}

/// The limit of one block device, in bytes or operations per second.
public struct LinuxThrottleDevice: Sendable, Hashable {
    public var major: Int64
    public var minor: Int64
    public var rate: UInt64

    public init(major: Int64 = 0, minor: Int64 = 0, rate: UInt64 = 0) {
        self.major = major
        self.minor = minor
        self.rate = rate
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "major": major = try parser.int()
            case "minor": minor = try parser.int()
            case "rate": rate = try parser.int()
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("major", major)
            w.field("minor", minor)
            w.field("rate", rate)
        }
    }
}

/// Class and priorities of network traffic (cgroup v1).
public struct LinuxNetwork: Sendable, Hashable {
    public var classID: UInt32?
    public var priorities: [LinuxInterfacePriority]

    public init(classID: UInt32? = nil, priorities: [LinuxInterfacePriority] = []) {
        self.classID = classID
        self.priorities = priorities
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "classID": classID = try parser.int()
            case "priorities": priorities = try parser.array(LinuxInterfacePriority.init(json:))
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.fieldIfPresent("classID", classID)
            w.arrayIfNotEmpty("priorities", priorities) { w, value in value.write(to: &w) }
        }
    }
}

/// The priority of one network interface.
public struct LinuxInterfacePriority: Sendable, Hashable {
    public var name: String
    public var priority: UInt32

    public init(name: String = "", priority: UInt32 = 0) {
        self.name = name
        self.priority = priority
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "name": name = try parser.string()
            case "priority": priority = try parser.int()
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("name", name)
            w.field("priority", priority)
        }
    }
}

/// Limits of one RDMA device.
public struct LinuxRdma: Sendable, Hashable {
    public var hcaHandles: UInt32?
    public var hcaObjects: UInt32?

    public init(hcaHandles: UInt32? = nil, hcaObjects: UInt32? = nil) {
        self.hcaHandles = hcaHandles
        self.hcaObjects = hcaObjects
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "hcaHandles": hcaHandles = try parser.int()
            case "hcaObjects": hcaObjects = try parser.int()
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.fieldIfPresent("hcaHandles", hcaHandles)
            w.fieldIfPresent("hcaObjects", hcaObjects)
        }
    }
}
