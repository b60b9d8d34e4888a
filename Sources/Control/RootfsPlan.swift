import JSON
import Linux

/// What a container's root file system is made of, decided by the engine and mounted by the runtime.
public enum RootfsPlan: Sendable, Hashable {
    /// `root.path` of config.json is a directory that is ready.
    case directory(String)
    case overlay(OverlayPlan)
}

/// The parts of an overlay mount.
public struct OverlayPlan: Sendable, Hashable {
    /// Read-only layers, the top one first: directories, and indexes that `ErofsLayer` mounts.
    public var lower: [String]
    public var upper: String
    public var work: String
    /// Mount with `userxattr`: needed inside a user namespace (Linux 5.11).
    public var userXattr: Bool
    /// Mount with `volatile`: no sync on unmount, for `--rm`.
    public var volatile: Bool
    /// Lower layers are seen through an idmapped mount (rootful container with a user namespace).
    public var idMapped: Bool

    public init(
        lower: [String], upper: String, work: String, userXattr: Bool = false, volatile: Bool = false,
        idMapped: Bool = false
    ) {
        self.lower = lower
        self.upper = upper
        self.work = work
        self.userXattr = userXattr
        self.volatile = volatile
        self.idMapped = idMapped
    }
}

extension RootfsPlan {
    func write(to writer: inout JSONWriter) {
        writer.object { w in
            switch self {
            case .directory(let path): w.field("directory", path)
            case .overlay(let overlay):
                w.object("overlay") { w in
                    w.field("lower", overlay.lower)
                    w.field("upper", overlay.upper)
                    w.field("work", overlay.work)
                    w.fieldIfTrue("userXattr", overlay.userXattr)
                    w.fieldIfTrue("volatile", overlay.volatile)
                    w.fieldIfTrue("idMapped", overlay.idMapped)
                }
            }
        }
    }

    init(json parser: inout JSONParser) throws(JSONError) {
        var result: RootfsPlan?
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "directory": result = .directory(try parser.string())
            case "overlay": result = .overlay(try OverlayPlan(json: &parser))
            default: try parser.skip()
            }
        }
        guard let result else { throw parser.failure(.invalidValue, "rootfs is neither directory nor overlay") }
        self = result
    }
}

extension OverlayPlan {
    init(json parser: inout JSONParser) throws(JSONError) {
        self.init(lower: [], upper: "", work: "")
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "lower": lower = try parser.strings()
            case "upper": upper = try parser.string()
            case "work": work = try parser.string()
            case "userXattr": userXattr = try parser.bool()
            case "volatile": volatile = try parser.bool()
            case "idMapped": idMapped = try parser.bool()
            default: try parser.skip()
            }
        }
    }
}
