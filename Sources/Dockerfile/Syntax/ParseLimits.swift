/// What a Dockerfile may cost before it is refused. It may come from a stranger's repository.
public struct ParseLimits: Sendable, Hashable {
    /// The largest file, in bytes.
    public var fileSize = 16 << 20
    /// The longest line, in bytes: BuildKit's limit.
    public var lineLength = 65535
    /// The longest instruction with its continuations joined, in bytes.
    public var instructionLength = 1 << 20
    /// The most instructions.
    public var instructions = 50_000
    /// The most here-documents of one instruction.
    public var heredocs = 1000

    public init() {}

    /// 16 MiB, lines of 65,535 bytes, instructions of 1 MiB, 50,000 of them.
    public static let standard = ParseLimits()
}
