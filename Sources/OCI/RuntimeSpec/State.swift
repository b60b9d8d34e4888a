import JSON

/// The state of a container, as `state` prints it and hooks get it.
///
/// Spec: OCI runtime-spec 1.3 runtime.md "State".
public struct State: Sendable, Hashable {
    public var ociVersion: String
    public var id: String
    /// `creating`, `created`, `running`, `stopped`; runtimes add `paused`.
    public var status: String
    /// 0 when there is no process.
    public var pid: Int32
    /// Absolute path.
    public var bundle: String
    public var annotations: [String: String]

    public init(
        ociVersion: String = "", id: String = "", status: String = "", pid: Int32 = 0, bundle: String = "",
        annotations: [String: String] = [:]
    ) {
        self.ociVersion = ociVersion
        self.id = id
        self.status = status
        self.pid = pid
        self.bundle = bundle
        self.annotations = annotations
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "ociVersion": ociVersion = try parser.string()
            case "id": id = try parser.string()
            case "status": status = try parser.string()
            case "pid": pid = try parser.int()
            case "bundle": bundle = try parser.string()
            case "annotations": annotations = try parser.stringDictionary()
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("ociVersion", ociVersion)
            w.field("id", id)
            w.field("status", status)
            w.fieldIfNotZero("pid", pid)
            w.field("bundle", bundle)
            w.fieldIfNotEmpty("annotations", annotations)
        }
    }
}

/// What a seccomp agent gets together with the descriptors.
///
/// Spec: OCI runtime-spec 1.3 config-linux.md "The Container Process State".
public struct ContainerProcessState: Sendable, Hashable {
    public var ociVersion: String
    /// Names of the descriptors, in their order: `seccompFd`.
    public var fds: [String]
    public var pid: Int32
    public var metadata: String
    public var state: State

    public init(
        ociVersion: String = "", fds: [String] = [], pid: Int32 = 0, metadata: String = "", state: State = State()
    ) {
        self.ociVersion = ociVersion
        self.fds = fds
        self.pid = pid
        self.metadata = metadata
        self.state = state
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "ociVersion": ociVersion = try parser.string()
            case "fds": fds = try parser.strings()
            case "pid": pid = try parser.int()
            case "metadata": metadata = try parser.string()
            case "state": state = try State(json: &parser)
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("ociVersion", ociVersion)
            w.field("fds", fds)
            w.field("pid", pid)
            w.fieldIfNotEmpty("metadata", metadata)
            w.key("state")
            state.write(to: &w)
        }
    }
}
