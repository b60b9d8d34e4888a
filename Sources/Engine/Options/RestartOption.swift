/// Docker's `--restart`: `no`, `always`, `unless-stopped`, `on-failure[:MAX]`.
public struct RestartRequest: Hashable, Sendable {
    public enum Name: String, Sendable {
        case no
        case always
        case unlessStopped = "unless-stopped"
        case onFailure = "on-failure"
    }

    public var name = Name.no
    /// 0: as often as it takes.
    public var maximumRetries = 0

    public init() {}

    public init(option text: String) throws(EngineError) {
        if text.isEmpty { return }
        let pair = text.splitOnce(":")
        guard let name = Name(rawValue: pair.map { String($0.head) } ?? text) else {
            throw .invalid(
                "invalid restart policy: unknown policy '\(pair.map { String($0.head) } ?? text)'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
            )
        }
        self.name = name
        guard let count = pair?.tail else { return }
        guard let retries = Numbers.integer(count), retries <= Int64(Int32.max) else {
            throw .invalid("invalid restart policy format: maximum retry count must be an integer")
        }
        if retries < 0 { throw .invalid("invalid restart policy: maximum retry count cannot be negative") }
        if name != .onFailure {
            throw .invalid("invalid restart policy: maximum retry count can only be used with 'on-failure'")
        }
        maximumRetries = Int(retries)
    }

    public var text: String {
        name == .onFailure && maximumRetries > 0 ? "on-failure:\(maximumRetries)" : name.rawValue
    }
}

/// `--log-driver` and `--log-opt`: one format on disk, Docker's names for it.
public struct LogRequest: Hashable, Sendable {
    /// As asked: `json-file`, `local`, `k8s-file` and `cri` all mean the same file here; `none` means no file.
    public var driver = "cri"
    /// Bytes of one file; 0 for no limit.
    public var maximumSize: Int64 = 20 << 20
    public var maximumFiles: Int64 = 5
    public var options: [String: String] = [:]

    public init() {}

    public init(driver: String, options: [String]) throws(EngineError) {
        switch driver {
        case "": break
        case "cri", "json-file", "local", "k8s-file", "none": self.driver = driver
        case "journald", "syslog", "gelf", "fluentd", "awslogs", "splunk", "gcplogs", "logentries", "etwlogs",
            "passthrough",
            "passthrough-tty":
            throw .notSupported("--log-driver \(driver): use cri or none")
        default: throw .invalid("logger: no log driver named '\(driver)' is registered")
        }
        for option in options {
            guard let (key, value) = option.splitOnce("="), !key.isEmpty else {
                throw .invalid("invalid logging opt format: \(option): use KEY=VALUE")
            }
            if self.driver == "none" { throw .invalid("invalid logging opts for driver none") }
            try apply(String(key), String(value))
            self.options[String(key)] = String(value)
        }
    }

    private mutating func apply(_ key: String, _ value: String) throws(EngineError) {
        switch key {
        case "max-size":
            if value == "-1" {
                maximumSize = 0
                return
            }
            maximumSize = try ByteSize.parse(value)
            if maximumSize < 1 { throw .invalid("invalid value for max-size: \(value)") }
        case "max-file":
            guard let count = Numbers.integer(value), count >= 1, count <= 100_000 else {
                throw .invalid("max-file cannot be less than 1")
            }
            maximumFiles = count
        case "compress":
            // Docker's default for `local` is to compress; asking for no compression is what happens here.
            if Numbers.bool(value) != false { throw .notSupported("--log-opt compress=true") }
        case "mode", "max-buffer-size", "tag", "labels", "labels-regex", "env", "env-regex", "path":
            throw .notSupported("--log-opt \(key)")
        default: throw .invalid("unknown log opt '\(key)' for \(driver) log driver")
        }
    }
}
