import JSON

/// What a checkpoint is to be like, as a command asks a supervisor for it.
public struct CheckpointOrder: Sendable, Hashable {
    public struct Options: OptionSet, Sendable, Hashable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }
        /// The container runs on.
        public static let leavesRunning = Options(rawValue: 1)
        public static let establishedConnections = Options(rawValue: 2)
        public static let fileLocks = Options(rawValue: 4)
        /// Only memory, to be the parent of a later one.
        public static let isPreDump = Options(rawValue: 8)
        /// What has the name already goes.
        public static let replaces = Options(rawValue: 16)
    }

    /// Where the images are written, and the name they get when they are whole; on one file system.
    public var staging: String
    public var target: String
    /// For CRIU's log and statistics.
    public var work: String
    /// An earlier one, relative to `staging`; empty: none.
    public var parent = ""
    /// Path of CRIU; empty: as the supervisor finds it.
    public var program = ""
    public var options: Options = []

    public init(staging: String, target: String, work: String) {
        (self.staging, self.target, self.work) = (staging, target, work)
    }

    func write(to writer: inout WireWriter) {
        for text in [staging, target, work, parent, program] { writer.string(text) }
        writer.integer(options.rawValue)
    }

    init(wire reader: inout WireReader) throws(ControlError) {
        self.init(staging: try reader.string(), target: try reader.string(), work: try reader.string())
        parent = try reader.string()
        program = try reader.string()
        options = Options(rawValue: try reader.integer())
    }
}

/// What the next run of a container is made from instead of its program.
public struct RestorePlan: Sendable, Hashable {
    /// Directory of the images.
    public var images: String
    /// For CRIU's log and statistics.
    public var work: String
    public var establishedConnections = false
    public var closesConnections = false
    public var fileLocks = false

    public init(images: String, work: String) { (self.images, self.work) = (images, work) }

    func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("images", images)
            w.field("work", work)
            w.fieldIfTrue("establishedConnections", establishedConnections)
            w.fieldIfTrue("closesConnections", closesConnections)
            w.fieldIfTrue("fileLocks", fileLocks)
        }
    }

    init(json parser: inout JSONParser) throws(JSONError) {
        self.init(images: "", work: "")
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "images": images = try parser.string()
            case "work": work = try parser.string()
            case "establishedConnections": establishedConnections = try parser.bool()
            case "closesConnections": closesConnections = try parser.bool()
            case "fileLocks": fileLocks = try parser.bool()
            default: try parser.skip()
            }
        }
    }
}
