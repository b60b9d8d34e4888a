/// A resource limit (`--ulimit`): `NAME=SOFT[:HARD]`, -1 for unlimited.
public struct Ulimit: Hashable, Sendable {
    /// As in `setrlimit(2)` without the prefix, lower case: `nofile`.
    public var name: String
    public var soft: UInt64
    public var hard: UInt64

    public static let names: Set<String> = [
        "as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss",
        "rtprio",
        "rttime", "sigpending", "stack",
    ]

    public init(name: String, soft: UInt64, hard: UInt64) {
        self.name = name
        self.soft = soft
        self.hard = hard
    }

    public init(option text: String) throws(EngineError) {
        guard let (name, limits) = text.splitOnce("=") else { throw .invalid("invalid ulimit argument: \(text)") }
        guard Ulimit.names.contains(String(name)) else { throw .invalid("invalid ulimit type: \(name)") }
        let parts = limits.split(separator: ":", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), let soft = Ulimit.value(parts[0]) else {
            throw .invalid("invalid ulimit argument: \(text)")
        }
        var hard = soft
        if parts.count == 2 {
            guard let value = Ulimit.value(parts[1]) else { throw .invalid("invalid ulimit argument: \(text)") }
            hard = value
        }
        if soft > hard {
            throw .invalid(
                "ulimit soft limit must be less than or equal to hard limit: \(parts[0]) > \(parts.last ?? "")")
        }
        self.init(name: String(name), soft: soft, hard: hard)
    }

    private static func value(_ text: Substring) -> UInt64? {
        if text == "-1" || text == "unlimited" { return .max }
        return text.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) ? UInt64(text) : nil
    }

    /// Docker's text: `nofile=1024:2048`.
    public var text: String { "\(name)=\(Ulimit.text(soft)):\(Ulimit.text(hard))" }
    private static func text(_ value: UInt64) -> String { value == .max ? "-1" : "\(value)" }
}
