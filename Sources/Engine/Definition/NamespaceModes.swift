/// Where a namespace of a container comes from (`--pid`, `--ipc`, `--uts`, `--cgroupns`, `--network`).
public enum NamespaceMode: Hashable, Sendable {
    /// A new one.
    case `private`
    /// The host's.
    case host
    /// That of another container: id once resolved, name or id as typed before.
    case container(String)
    /// Network only: a new one with nothing but loopback.
    case none

    /// Docker's text, as `inspect` shows it.
    public var text: String {
        switch self {
        case .private: "private"
        case .host: "host"
        case .container(let id): "container:" + id
        case .none: "none"
        }
    }

    /// Reads the text this type writes; unknown text is nil.
    public init?(text: String) {
        switch text {
        case "private", "": self = .private
        case "host": self = .host
        case "none": self = .none
        default:
            guard text.hasPrefix("container:"), text.utf8.count > 10 else { return nil }
            self = .container(String(text.dropFirst(10)))
        }
    }
}

/// The flags that name a namespace.
public enum NamespaceOption {
    public static func network(_ text: String) throws(EngineError) -> NamespaceMode {
        switch text {
        case "none", "host": return NamespaceMode(text: text) ?? .none
        case "": return .none
        case "bridge", "default", "private", "pasta", "slirp4netns":
            throw .notSupported("--network \(text): use none, host or container:NAME")
        default:
            if let mode = NamespaceMode(text: text) { return mode }
            if text.hasPrefix("container:") {
                throw .invalid("--network: invalid container format container:<name|id>")
            }
            throw .notSupported("--network \(text): use none, host or container:NAME")
        }
    }

    public static func pid(_ text: String) throws(EngineError) -> NamespaceMode { try mode(text, "--pid") }
    public static func uts(_ text: String) throws(EngineError) -> NamespaceMode { try mode(text, "--uts") }
    public static func cgroup(_ text: String) throws(EngineError) -> NamespaceMode {
        if text.hasPrefix("container:") { throw .invalid("--cgroupns: invalid CGROUP mode") }
        return try mode(text, "--cgroupns")
    }

    /// Docker's "shareable" is what a private IPC namespace is here: it can always be joined by name.
    public static func ipc(_ text: String) throws(EngineError) -> NamespaceMode {
        if text == "shareable" { return .private }
        if text == "none" { throw .notSupported("--ipc none") }
        return try mode(text, "--ipc")
    }

    private static func mode(_ text: String, _ flag: String) throws(EngineError) -> NamespaceMode {
        guard let mode = NamespaceMode(text: text), mode != .none else {
            throw .invalid("\(flag): invalid mode '\(text)': use host, private or container:NAME")
        }
        return mode
    }
}

/// Which user namespace a container gets (`--userns`).
public enum UserNamespaceMode: Hashable, Sendable {
    /// Rootless: the user's subordinate ids, container root is the user. Rootful: the host's.
    case `default`
    case host
    /// Rootless: the user keeps their own id inside.
    case keepID
    /// Rootful: 65536 ids of its own.
    case auto

    public var text: String {
        switch self {
        case .default: ""
        case .host: "host"
        case .keepID: "keep-id"
        case .auto: "auto"
        }
    }

    public init(option text: String) throws(EngineError) {
        switch text {
        case "": self = .default
        case "host": self = .host
        case "keep-id": self = .keepID
        case "auto": self = .auto
        default:
            if text.hasPrefix("keep-id:") || text.hasPrefix("auto:") || text == "nomap" || text.hasPrefix("container:")
                || text.hasPrefix("ns:") || text == "private"
            {
                throw .notSupported("--userns \(text)")
            }
            throw .invalid("--userns: invalid USER mode")
        }
    }

    init(stored text: String) { self = (try? UserNamespaceMode(option: text)) ?? .default }
}
