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
