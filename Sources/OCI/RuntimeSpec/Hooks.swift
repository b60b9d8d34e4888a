import JSON

/// Programs to run at points of the lifecycle.
///
/// Spec: OCI runtime-spec 1.3 config.md "POSIX-platform Hooks".
public struct Hooks: Sendable, Hashable {
    /// Deprecated; runs with `createRuntime`.
    public var prestart: [Hook]
    /// In the runtime's namespaces, before pivot_root.
    public var createRuntime: [Hook]
    /// In the container's namespaces, before pivot_root.
    public var createContainer: [Hook]
    /// In the container, before the user's program.
    public var startContainer: [Hook]
    /// In the runtime's namespaces, after the user's program started.
    public var poststart: [Hook]
    /// In the runtime's namespaces, after the container was deleted.
    public var poststop: [Hook]

    public init(
        prestart: [Hook] = [], createRuntime: [Hook] = [], createContainer: [Hook] = [], startContainer: [Hook] = [],
        poststart: [Hook] = [], poststop: [Hook] = []
    ) {
        self.prestart = prestart
        self.createRuntime = createRuntime
        self.createContainer = createContainer
        self.startContainer = startContainer
        self.poststart = poststart
        self.poststop = poststop
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "prestart": prestart = try parser.array(Hook.init(json:))
            case "createRuntime": createRuntime = try parser.array(Hook.init(json:))
            case "createContainer": createContainer = try parser.array(Hook.init(json:))
            case "startContainer": startContainer = try parser.array(Hook.init(json:))
            case "poststart": poststart = try parser.array(Hook.init(json:))
            case "poststop": poststop = try parser.array(Hook.init(json:))
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.arrayIfNotEmpty("prestart", prestart) { w, value in value.write(to: &w) }
            w.arrayIfNotEmpty("createRuntime", createRuntime) { w, value in value.write(to: &w) }
            w.arrayIfNotEmpty("createContainer", createContainer) { w, value in value.write(to: &w) }
            w.arrayIfNotEmpty("startContainer", startContainer) { w, value in value.write(to: &w) }
            w.arrayIfNotEmpty("poststart", poststart) { w, value in value.write(to: &w) }
            w.arrayIfNotEmpty("poststop", poststop) { w, value in value.write(to: &w) }
        }
    }
}

/// One program to run.
public struct Hook: Sendable, Hashable {
    /// Absolute.
    public var path: String
    /// Includes argv[0].
    public var args: [String]
    public var env: [String]
    /// Seconds, above 0.
    public var timeout: Int?

    public init(path: String = "", args: [String] = [], env: [String] = [], timeout: Int? = nil) {
        self.path = path
        self.args = args
        self.env = env
        self.timeout = timeout
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "path": path = try parser.string()
            case "args": args = try parser.strings()
            case "env": env = try parser.strings()
            case "timeout": timeout = try parser.int()
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("path", path)
            w.fieldIfNotEmpty("args", args)
            w.fieldIfNotEmpty("env", env)
            w.fieldIfPresent("timeout", timeout)
        }
    }
}
