/// Where a namespace of a container comes from (`--pid`, `--ipc`, `--uts`, `--cgroupns`, `--network`).
public enum NamespaceMode: Hashable, Sendable {
    /// A new one. Network: one that is connected, or may be.
    case `private`
    /// IPC only: a new one that other containers may join.
    case shareable
    /// The host's.
    case host
    /// That of another container: id once resolved, name or id as typed before.
    case container(String)
    /// Network: a new one with nothing but loopback. IPC: a new one without /dev/shm.
    case none

    /// Docker's text, as `inspect` shows it.
    public var text: String {
        switch self {
        case .private: "private"
        case .shareable: "shareable"
        case .host: "host"
        case .container(let id): "container:" + id
        case .none: "none"
        }
    }

    /// Reads the text this type writes; unknown text is nil.
    public init?(text: String) {
        switch text {
        case "private", "": self = .private
        case "shareable": self = .shareable
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
    /// - Returns: nil when the text names a network to be connected to.
    public static func network(_ text: String) throws(EngineError) -> NamespaceMode? {
        switch text {
        case "none", "host": return NamespaceMode(text: text)
        case "private", "shareable", "pasta", "slirp4netns":
            throw .notSupported("--network \(text): use bridge, the name of a network, none, host or container:NAME")
        default:
            if let mode = NamespaceMode(text: text), mode != .private { return mode }
            if text.hasPrefix("container:") {
                throw .invalid("--network: invalid container format container:<name|id>")
            }
            return nil
        }
    }

    public static func pid(_ text: String) throws(EngineError) -> NamespaceMode { try mode(text, "--pid") }
    public static func uts(_ text: String) throws(EngineError) -> NamespaceMode { try mode(text, "--uts") }
    public static func cgroup(_ text: String) throws(EngineError) -> NamespaceMode {
        if text.hasPrefix("container:") { throw .invalid("--cgroupns: invalid CGROUP mode") }
        return try mode(text, "--cgroupns")
    }

    public static func ipc(_ text: String) throws(EngineError) -> NamespaceMode {
        guard let mode = NamespaceMode(text: text) else {
            throw .invalid(
                "--ipc: invalid mode '\(text)': use none, private, shareable, host or container:NAME")
        }
        return mode
    }

    private static func mode(_ text: String, _ flag: String) throws(EngineError) -> NamespaceMode {
        guard let mode = NamespaceMode(text: text), mode != .none, mode != .shareable else {
            throw .invalid("\(flag): invalid mode '\(text)': use host, private or container:NAME")
        }
        return mode
    }
}
