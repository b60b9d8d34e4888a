import JSON

/// What is specific to containers in virtual machines. Carried for other runtimes; this one has no use for it.
///
/// Spec: OCI runtime-spec 1.3 config-vm.md.
public struct VM: Sendable, Hashable {
    public var hypervisor: VMHypervisor?
    public var kernel: VMKernel
    public var image: VMImage?
    public var hwConfig: VMHardware?

    public init(
        hypervisor: VMHypervisor? = nil, kernel: VMKernel = VMKernel(), image: VMImage? = nil,
        hwConfig: VMHardware? = nil
    ) {
        self.hypervisor = hypervisor
        self.kernel = kernel
        self.image = image
        self.hwConfig = hwConfig
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "hypervisor": hypervisor = try VMHypervisor(json: &parser)
            case "kernel": kernel = try VMKernel(json: &parser)
            case "image": image = try VMImage(json: &parser)
            case "hwConfig", "hwconfig": hwConfig = try VMHardware(json: &parser)
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.ifPresent("hypervisor", hypervisor) { w, value in value.write(to: &w) }
            w.key("kernel")
            kernel.write(to: &w)
            w.ifPresent("image", image) { w, value in value.write(to: &w) }
            w.ifPresent("hwConfig", hwConfig) { w, value in value.write(to: &w) }
        }
    }
}

/// The hypervisor to use.
public struct VMHypervisor: Sendable, Hashable {
    public var path: String
    public var parameters: [String]

    public init(path: String = "", parameters: [String] = []) {
        self.path = path
        self.parameters = parameters
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "path": path = try parser.string()
            case "parameters": parameters = try parser.strings()
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("path", path)
            w.fieldIfNotEmpty("parameters", parameters)
        }
    }
}

/// The kernel to boot.
public struct VMKernel: Sendable, Hashable {
    public var path: String
    public var parameters: [String]
    public var initrd: String

    public init(path: String = "", parameters: [String] = [], initrd: String = "") {
        self.path = path
        self.parameters = parameters
        self.initrd = initrd
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "path": path = try parser.string()
            case "parameters": parameters = try parser.strings()
            case "initrd": initrd = try parser.string()
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("path", path)
            w.fieldIfNotEmpty("parameters", parameters)
            w.fieldIfNotEmpty("initrd", initrd)
        }
    }
}

/// The image to boot.
public struct VMImage: Sendable, Hashable {
    public var path: String
    /// `raw`, `qcow2`, `vdi`, `vmdk` or `vhd`.
    public var format: String

    public init(path: String = "", format: String = "") {
        self.path = path
        self.format = format
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "path": path = try parser.string()
            case "format": format = try parser.string()
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("path", path)
            w.field("format", format)
        }
    }
}

/// The hardware of the machine.
public struct VMHardware: Sendable, Hashable {
    public var deviceTree: String
    public var vcpus: UInt32?
    /// Bytes.
    public var memory: UInt64?
    public var dtdevs: [String]
    public var iomems: [VMIOMemory]
    public var irqs: [UInt32]

    public init(
        deviceTree: String = "", vcpus: UInt32? = nil, memory: UInt64? = nil, dtdevs: [String] = [],
        iomems: [VMIOMemory] = [], irqs: [UInt32] = []
    ) {
        self.deviceTree = deviceTree
        self.vcpus = vcpus
        self.memory = memory
        self.dtdevs = dtdevs
        self.iomems = iomems
        self.irqs = irqs
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "deviceTree": deviceTree = try parser.string()
            case "vcpus": vcpus = try parser.int()
            case "memory": memory = try parser.int()
            case "dtdevs": dtdevs = try parser.strings()
            case "iomems": iomems = try parser.array(VMIOMemory.init(json:))
            case "irqs": irqs = try parser.array { (p: inout JSONParser) throws(JSONError) in try p.int(UInt32.self) }
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.fieldIfNotEmpty("deviceTree", deviceTree)
            w.fieldIfPresent("vcpus", vcpus)
            w.fieldIfPresent("memory", memory)
            w.fieldIfNotEmpty("dtdevs", dtdevs)
            w.arrayIfNotEmpty("iomems", iomems) { w, value in value.write(to: &w) }
            w.arrayIfNotEmpty("irqs", irqs) { w, value in w.value(value) }
        }
    }
}

/// Hardware I/O memory pages to pass through.
public struct VMIOMemory: Sendable, Hashable {
    public var firstGFN: UInt64?
    public var firstMFN: UInt64?
    public var nrMFNs: UInt64?

    public init(firstGFN: UInt64? = nil, firstMFN: UInt64? = nil, nrMFNs: UInt64? = nil) {
        self.firstGFN = firstGFN
        self.firstMFN = firstMFN
        self.nrMFNs = nrMFNs
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "firstGFN": firstGFN = try parser.int()
            case "firstMFN": firstMFN = try parser.int()
            case "nrMFNs": nrMFNs = try parser.int()
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.fieldIfPresent("firstGFN", firstGFN)
            w.fieldIfPresent("firstMFN", firstMFN)
            w.fieldIfPresent("nrMFNs", nrMFNs)
        }
    }
}
