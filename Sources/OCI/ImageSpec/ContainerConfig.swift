import JSON

/// The defaults that an image gives its containers, with Docker's additions.
///
/// Spec: OCI image-spec 1.1 config.md "config"; Docker's `Healthcheck`, `OnBuild`, `Shell`, `StopTimeout`, `ArgsEscaped`.
public struct ContainerConfig: Sendable, Hashable {
    /// `user[:group]`, names or ids.
    public var user: String
    /// `80/tcp` and so on.
    public var exposedPorts: [String]
    /// `KEY=value` entries.
    public var env: [String]
    /// Nil when the image says nothing; empty when it resets its base's.
    public var entrypoint: [String]?
    /// Nil when the image says nothing; empty when it resets its base's.
    public var cmd: [String]?
    /// Paths in the container.
    public var volumes: [String]
    public var workingDir: String
    public var labels: [String: String]
    public var stopSignal: String
    /// Seconds.
    public var stopTimeout: Int?
    /// Windows only; carried.
    public var argsEscaped: Bool
    public var healthcheck: Healthcheck?
    public var onBuild: [String]
    public var shell: [String]

    public init(
        user: String = "", exposedPorts: [String] = [], env: [String] = [], entrypoint: [String]? = nil, cmd: [String]? = nil,
        volumes: [String] = [], workingDir: String = "", labels: [String: String] = [:], stopSignal: String = "",
        stopTimeout: Int? = nil, argsEscaped: Bool = false, healthcheck: Healthcheck? = nil, onBuild: [String] = [],
        shell: [String] = []
    ) {
        self.user = user
        self.exposedPorts = exposedPorts
        self.env = env
        self.entrypoint = entrypoint
        self.cmd = cmd
        self.volumes = volumes
        self.workingDir = workingDir
        self.labels = labels
        self.stopSignal = stopSignal
        self.stopTimeout = stopTimeout
        self.argsEscaped = argsEscaped
        self.healthcheck = healthcheck
        self.onBuild = onBuild
        self.shell = shell
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "User": user = try parser.string()
            case "ExposedPorts": exposedPorts = try parser.keys()
            case "Env": env = try parser.strings()
            case "Entrypoint": entrypoint = try ContainerConfig.words(&parser)
            case "Cmd": cmd = try ContainerConfig.words(&parser)
            case "Volumes": volumes = try parser.keys()
            case "WorkingDir": workingDir = try parser.string()
            case "Labels": labels = try parser.stringDictionary()
            case "StopSignal": stopSignal = try parser.string()
            case "StopTimeout": stopTimeout = try parser.int()
            case "ArgsEscaped": argsEscaped = try parser.bool()
            case "Healthcheck": healthcheck = try Healthcheck(json: &parser)
            case "OnBuild": onBuild = try parser.strings()
            case "Shell": shell = try ContainerConfig.words(&parser)
            default: try parser.skip()
            }
        }
    }

    /// An array of strings; a bare string counts as an array of one, as Docker reads it.
    private static func words(_ parser: inout JSONParser) throws(JSONError) -> [String] {
        if try parser.kind() == .string { return [try parser.string()] }
        return try parser.strings()
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.fieldIfNotEmpty("User", user)
            ContainerConfig.writeSet("ExposedPorts", exposedPorts, to: &w)
            w.fieldIfNotEmpty("Env", env)
            w.fieldIfPresent("Entrypoint", entrypoint)
            w.fieldIfPresent("Cmd", cmd)
            ContainerConfig.writeSet("Volumes", volumes, to: &w)
            w.fieldIfNotEmpty("WorkingDir", workingDir)
            w.fieldIfNotEmpty("Labels", labels)
            w.fieldIfNotEmpty("StopSignal", stopSignal)
            w.fieldIfPresent("StopTimeout", stopTimeout)
            w.fieldIfTrue("ArgsEscaped", argsEscaped)
            w.ifPresent("Healthcheck", healthcheck) { w, healthcheck in healthcheck.write(to: &w) }
            w.fieldIfNotEmpty("OnBuild", onBuild)
            w.fieldIfNotEmpty("Shell", shell)
        }
    }

    /// A set is an object with empty objects as values; sorted, and each key once: two would not be read back.
    private static func writeSet(_ name: StaticString, _ keys: [String], to writer: inout JSONWriter) {
        if keys.isEmpty { return }
        writer.object(name) { w in
            for key in Set(keys).sorted(by: { $0.utf8.lexicographicallyPrecedes($1.utf8) }) {
                w.key(key)
                w.object { _ in }
            }
        }
    }
}

/// How to find out whether a container works. Times are nanoseconds; 0 inherits.
public struct Healthcheck: Sendable, Hashable {
    /// Empty inherits; `["NONE"]` disables; else `CMD` and arguments, or `CMD-SHELL` and one command line.
    public var test: [String]
    public var interval: Int64
    public var timeout: Int64
    public var startPeriod: Int64
    public var startInterval: Int64
    public var retries: Int

    public init(
        test: [String] = [], interval: Int64 = 0, timeout: Int64 = 0, startPeriod: Int64 = 0, startInterval: Int64 = 0,
        retries: Int = 0
    ) {
        self.test = test
        self.interval = interval
        self.timeout = timeout
        self.startPeriod = startPeriod
        self.startInterval = startInterval
        self.retries = retries
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "Test": test = try parser.strings()
            case "Interval": interval = try parser.int()
            case "Timeout": timeout = try parser.int()
            case "StartPeriod": startPeriod = try parser.int()
            case "StartInterval": startInterval = try parser.int()
            case "Retries": retries = try parser.int()
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.fieldIfNotEmpty("Test", test)
            w.fieldIfNotZero("Interval", interval)
            w.fieldIfNotZero("Timeout", timeout)
            w.fieldIfNotZero("StartPeriod", startPeriod)
            w.fieldIfNotZero("StartInterval", startInterval)
            w.fieldIfNotZero("Retries", retries)
        }
    }
}
