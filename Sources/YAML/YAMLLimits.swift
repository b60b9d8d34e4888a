/// What a document may cost before it is refused.
public struct YAMLLimits: Sendable, Hashable {
    /// How many collections may be open at once, those that aliases stand for included.
    public var depth: Int
    /// The largest accepted document in bytes; looked at before anything else.
    public var size: Int
    /// How many nodes all documents together may have, with each alias counted as all it stands for (attack: "billion laughs",
    /// nine lines whose aliases stand for a thousand million nodes).
    public var nodes: Int
    /// Whether `"\0"` is accepted in texts. Off, as most of them become C strings, which it would cut short.
    public var allowsNUL: Bool

    public init(depth: Int = 64, size: Int = 4 << 20, nodes: Int = 250_000, allowsNUL: Bool = false) {
        self.depth = depth
        self.size = size
        self.nodes = nodes
        self.allowsNUL = allowsNUL
    }

    /// 64 levels, 4 MiB, a quarter of a million nodes.
    public static let standard = YAMLLimits()
}
