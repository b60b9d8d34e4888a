/// What `debug` asks for: tools from one image beside a container, or another image, that may have none.
public struct DebugRequest: Sendable {
    /// A container, else an image.
    public var target: String
    /// Where the tools are from; empty: `[debug] image` of the configuration.
    public var image = ""
    /// The program that runs.
    public var command: [String]
    public var environment: [String] = []
    /// As the tools' image knows it.
    public var user = "0"
    public var terminal = false
    public var openStdin = false
    public var privileged = false
    public var capAdd: [String] = []
    /// The target's files cannot be written to.
    public var readOnly = false
    /// Nil: as `run` would have it. Of a container that runs it is always that container's.
    public var network: String?
    public var pull = ContainerRequest.PullPolicy.missing
    /// Of the tools' image; empty is the host's.
    public var platform = ""

    public init(target: String, command: [String]) {
        self.target = target
        self.command = command
    }

    /// Where the target's files are.
    public static let place = "/target"
}
