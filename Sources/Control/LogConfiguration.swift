import JSON

/// Where a container's output goes.
public struct LogConfiguration: Sendable, Hashable {
    /// Names are those of supervise.json.
    public enum Driver: String, Sendable, Hashable {
        /// The CRI text format; docker's `local` and podman's `k8s-file` are names for the same file.
        case file = "cri"
        /// Docker's file: a JSON document a line.
        case json = "json-file"
        case none, syslog, journald
        /// Podman's: the container's streams are those of who starts it, and nobody here reads them.
        case passthrough

        /// Reads docker's and podman's names; nil for drivers that do not exist here.
        public init?(_ name: String) {
            switch name {
            case "", "local", "k8s-file": self = .file
            case "passthrough-tty": self = .passthrough
            default:
                guard let known = Driver(rawValue: name) else { return nil }
                self = known
            }
        }
    }

    public var driver: Driver
    /// Bytes after which a file is rotated away; 0 never rotates.
    public var maximumSize: UInt64
    /// How many files are kept, the one being written included (at least 1).
    public var maximumFiles: UInt32
    /// What is told with each line: labels and variables chosen by `--log-opt`, and the tag where one was given.
    public var attributes: [String: String] = [:]
    /// What lines are called elsewhere.
    public var tag = ""
    public var syslog = SyslogOptions()
    /// Bytes that wait for a receiver that is slow or away.
    public var bufferSize: UInt64 = 1 << 20
    /// What goes elsewhere is kept in a file too, for `logs` (`cache-disabled`).
    public var keepsCopy = true

    /// 20 MiB in each of 5 files: a container cannot fill the disk by talking.
    public init(driver: Driver = .file, maximumSize: UInt64 = 20 << 20, maximumFiles: UInt32 = 5) {
        self.driver = driver
        self.maximumSize = maximumSize
        self.maximumFiles = maximumFiles
    }

    /// Whether a process of its own gets each line.
    public var isForwarded: Bool { driver == .syslog || driver == .journald }
    public var hasFile: Bool { driver != .none && driver != .passthrough && (keepsCopy || !isForwarded) }

    func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("driver", driver.rawValue)
            w.field("maximumSize", maximumSize)
            w.field("maximumFiles", maximumFiles)
            w.fieldIfNotEmpty("attributes", attributes)
            w.fieldIfNotEmpty("tag", tag)
            if driver == .syslog {
                w.key("syslog")
                syslog.write(to: &w)
            }
            if isForwarded {
                w.field("bufferSize", bufferSize)
                w.field("keepsCopy", keepsCopy)
            }
        }
    }

    init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "driver":
                guard let known = Driver(rawValue: try parser.string()) else {
                    throw parser.failure(.invalidValue, "unknown log driver")
                }
                driver = known
            case "maximumSize": maximumSize = try parser.int()
            case "maximumFiles": maximumFiles = max(1, try parser.int())
            case "attributes": attributes = try parser.stringDictionary()
            case "tag": tag = try parser.string()
            case "syslog": syslog = try SyslogOptions(json: &parser)
            case "bufferSize": bufferSize = try parser.int()
            case "keepsCopy": keepsCopy = try parser.bool()
            default: try parser.skip()
            }
        }
    }
}

/// Whom syslog messages are sent to, and how they look.
public struct SyslogOptions: Sendable, Hashable {
    public enum Transport: String, Sendable, Hashable {
        /// Any of the usual sockets of this host.
        case local
        case unix, unixgram, udp, tcp
    }

    public enum Format: String, Sendable, Hashable {
        /// Without the host's name: what programs of the same host send.
        case unix
        case rfc3164
        case rfc5424
        /// With microseconds.
        case rfc5424micro
    }

    public var transport = Transport.local
    /// A path, or `1.2.3.4:514`.
    public var address = ""
    public var format = Format.unix
    /// 0 to 23; 3 is `daemon`.
    public var facility: UInt8 = 3

    public init() {}

    func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("transport", transport.rawValue)
            w.fieldIfNotEmpty("address", address)
            w.field("format", format.rawValue)
            w.field("facility", facility)
        }
    }

    init(json parser: inout JSONParser) throws(JSONError) {
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "transport":
                guard let known = Transport(rawValue: try parser.string()) else {
                    throw parser.failure(.invalidValue, "unknown syslog transport")
                }
                transport = known
            case "address": address = try parser.string()
            case "format":
                guard let known = Format(rawValue: try parser.string()) else {
                    throw parser.failure(.invalidValue, "unknown syslog format")
                }
                format = known
            case "facility": facility = try parser.int()
            default: try parser.skip()
            }
        }
    }
}
