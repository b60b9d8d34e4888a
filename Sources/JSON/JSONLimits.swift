/// What a document may cost before it is refused.
public struct JSONLimits: Sendable, Hashable {
    /// How many objects and arrays may be open at once (attack: megabytes of `[`).
    public var depth: Int
    /// The largest accepted document in bytes; looked at before anything else.
    public var size: Int
    /// Whether `\u0000` is accepted inside strings. Refuse it where strings become C strings, which it would cut short.
    public var allowsNUL: Bool

    public init(depth: Int = 64, size: Int = 16 << 20, allowsNUL: Bool = true) {
        self.depth = depth
        self.size = size
        self.allowsNUL = allowsNUL
    }

    /// 64 levels, 16 MiB.
    public static let standard = JSONLimits()
}
