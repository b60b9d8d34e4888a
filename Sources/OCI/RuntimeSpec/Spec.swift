import JSON

/// The configuration of a container: a bundle's `config.json`.
///
/// Decoding accepts unknown keys and unknown values of enumerations; what they mean is the runtime's to judge.
/// Members that Go marks `omitempty` are left out of the encoding when empty.
/// Spec: OCI runtime-spec 1.3 config.md.
public struct Spec: Sendable, Hashable {
    /// The version of the runtime-spec that `Spec()` claims.
    public static let version = "1.3.0"

    public var ociVersion: String
    public var process: Process?
    public var root: Root?
    public var hostname: String
    public var domainname: String
    public var mounts: [Mount]
    public var hooks: Hooks?
    public var annotations: [String: String]
    public var linux: LinuxSpec?
    public var vm: VM?

    public init(
        ociVersion: String = Spec.version, process: Process? = nil, root: Root? = nil, hostname: String = "",
        domainname: String = "", mounts: [Mount] = [], hooks: Hooks? = nil, annotations: [String: String] = [:],
        linux: LinuxSpec? = nil, vm: VM? = nil
    ) {
        self.ociVersion = ociVersion
        self.process = process
        self.root = root
        self.hostname = hostname
        self.domainname = domainname
        self.mounts = mounts
        self.hooks = hooks
        self.annotations = annotations
        self.linux = linux
        self.vm = vm
    }

    /// Reads a whole `config.json`.
    ///
    /// - Parameter limits: depth and size; NUL in strings is refused by default.
    /// - Throws: `.invalidJSON`, `.tooLarge`.
    public static func decode(
        _ bytes: [UInt8], limits: JSONLimits = JSONLimits(allowsNUL: false)
    ) throws(OCIError) -> Spec {
        try Document.decode(bytes, "parse config.json", limits) { (parser: inout JSONParser) throws(JSONError) -> Spec in
            try Spec(json: &parser)
        }
    }

    /// Writes a whole `config.json`.
    public func encode(pretty: Bool = false) -> [UInt8] {
        Document.encode(pretty: pretty) { write(to: &$0) }
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init(ociVersion: "")
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "ociVersion": ociVersion = try parser.string()
            case "process": process = try Process(json: &parser)
            case "root": root = try Root(json: &parser)
            case "hostname": hostname = try parser.string()
            case "domainname": domainname = try parser.string()
            case "mounts": mounts = try parser.array(Mount.init(json:))
            case "hooks": hooks = try Hooks(json: &parser)
            case "annotations": annotations = try parser.stringDictionary()
            case "linux": linux = try LinuxSpec(json: &parser)
            case "vm": vm = try VM(json: &parser)
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("ociVersion", ociVersion)
            w.ifPresent("process", process) { w, process in process.write(to: &w) }
            w.ifPresent("root", root) { w, root in root.write(to: &w) }
            w.fieldIfNotEmpty("hostname", hostname)
            w.fieldIfNotEmpty("domainname", domainname)
            w.arrayIfNotEmpty("mounts", mounts) { w, mount in mount.write(to: &w) }
            w.ifPresent("hooks", hooks) { w, hooks in hooks.write(to: &w) }
            w.fieldIfNotEmpty("annotations", annotations)
            w.ifPresent("linux", linux) { w, linux in linux.write(to: &w) }
            w.ifPresent("vm", vm) { w, vm in vm.write(to: &w) }
        }
    }
}

/// The root filesystem of a container.
public struct Root: Sendable, Hashable {
    /// Absolute, or relative to the bundle.
    public var path: String
    public var readonly: Bool

    public init(path: String = "", readonly: Bool = false) {
        self.path = path
        self.readonly = readonly
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "path": path = try parser.string()
            case "readonly": readonly = try parser.bool()
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("path", path)
            w.fieldIfTrue("readonly", readonly)
        }
    }
}
