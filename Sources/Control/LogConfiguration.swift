import JSON

/// Where a container's output is kept.
public struct LogConfiguration: Sendable, Hashable {
    /// `.file` is the CRI text format; docker's `json-file` and `local` and podman's `k8s-file` are names for the same file.
    public enum Driver: UInt8, Sendable, Hashable {
        case file, none

        /// Reads docker's and podman's driver names; nil for those that do not exist here.
        public init?(_ text: String) {
            switch text {
            case "cri", "json-file", "local", "k8s-file", "": self = .file
            case "none": self = .none
            default: return nil
            }
        }
    }

    public var driver: Driver
    /// Bytes after which a file is rotated away; 0 never rotates.
    public var maximumSize: UInt64
    /// How many files are kept, the one being written included (at least 1).
    public var maximumFiles: UInt32

    /// 20 MiB in each of 5 files: a container cannot fill the disk by talking.
    public init(driver: Driver = .file, maximumSize: UInt64 = 20 << 20, maximumFiles: UInt32 = 5) {
        self.driver = driver
        self.maximumSize = maximumSize
        self.maximumFiles = maximumFiles
    }

    func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("driver", driver == .none ? "none" : "cri")
            w.field("maximumSize", maximumSize)
            w.field("maximumFiles", maximumFiles)
        }
    }

    init(json parser: inout JSONParser) throws(JSONError) {
        self.init()
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "driver":
                guard let known = Driver(try parser.string()) else {
                    throw parser.failure(.invalidValue, "unknown log driver")
                }
                driver = known
            case "maximumSize": maximumSize = try parser.int()
            case "maximumFiles": maximumFiles = max(1, try parser.int())
            default: try parser.skip()
            }
        }
    }
}
