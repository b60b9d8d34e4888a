/// Which user namespace a container gets (`--userns`).
public enum UserNamespaceMode: Hashable, Sendable {
    /// Rootless: the user's subordinate ids, container root is the user. Rootful: the host's.
    case `default`
    case host
    /// Rootless: the user keeps their own ids inside, or has these instead.
    case keepID(uid: UInt32?, gid: UInt32?)
    /// Rootful: ids of its own, this many.
    case auto(size: UInt32)

    /// How many ids `auto` gives when nobody says otherwise, and at most.
    static let automaticSize: UInt32 = 65536

    public var text: String {
        switch self {
        case .default: return ""
        case .host: return "host"
        case .keepID(nil, nil): return "keep-id"
        case .keepID(let uid, let gid):
            let parts = [uid.map { "uid=\($0)" }, gid.map { "gid=\($0)" }].compactMap { $0 }
            return "keep-id:" + parts.joined(separator: ",")
        case .auto(UserNamespaceMode.automaticSize): return "auto"
        case .auto(let size): return "auto:size=\(size)"
        }
    }

    /// - Throws: Docker's sentence for what is no mode; "not supported yet" for podman's that are not there.
    public init(option text: String) throws(EngineError) {
        let pair = text.splitOnce(":")
        switch pair.map({ String($0.head) }) ?? text {
        case "" where pair == nil: self = .default
        case "host" where pair == nil: self = .host
        case "keep-id": self = try UserNamespaceMode.keepID(pair.map { String($0.tail) } ?? "", text)
        case "auto": self = try UserNamespaceMode.auto(pair.map { String($0.tail) } ?? "", text)
        case "nomap", "container", "ns", "private": throw .notSupported("--userns \(text)")
        default: throw .invalid("--userns: invalid USER mode")
        }
    }

    private static func keepID(_ options: String, _ text: String) throws(EngineError) -> UserNamespaceMode {
        var uid: UInt32?
        var gid: UInt32?
        for option in options.split(separator: ",", omittingEmptySubsequences: true) {
            guard let (key, value) = String(option).splitOnce("="), let number = Numbers.unsigned(String(value)),
                number <= 0x7FFF_FFFF
            else { throw .invalid("--userns: invalid value '\(text)': use keep-id:uid=UID,gid=GID") }
            switch key {
            case "uid": uid = number
            case "gid": gid = number
            case "size": throw .notSupported("--userns \(text)")
            default: throw .invalid("--userns: invalid value '\(text)': use keep-id:uid=UID,gid=GID")
            }
        }
        return .keepID(uid: uid, gid: gid)
    }

    private static func auto(_ options: String, _ text: String) throws(EngineError) -> UserNamespaceMode {
        var size = automaticSize
        for option in options.split(separator: ",", omittingEmptySubsequences: true) {
            guard let (key, value) = String(option).splitOnce("=") else {
                throw .invalid("--userns: invalid value '\(text)': use auto:size=NUMBER")
            }
            if key == "uidmapping" || key == "gidmapping" { throw .notSupported("--userns \(text)") }
            guard key == "size", let number = Numbers.unsigned(String(value)), (1...automaticSize).contains(number)
            else {
                throw .invalid("--userns: invalid value '\(text)': use auto:size=NUMBER, from 1 to \(automaticSize)")
            }
            size = number
        }
        return .auto(size: size)
    }
}
