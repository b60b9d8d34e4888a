/// What the database knows about a container: what was asked for, never what was observed.
public struct ContainerRecord: Sendable, Hashable {
    /// 64 hexadecimal digits.
    public var id: String
    public var name: String
    /// Nanoseconds since 1970.
    public var created: Int64
    /// The image's id (`sha256:…`); nil for a container without image. The image may be gone.
    public var imageID: String?
    /// Without an image: the topmost layer it stands on, as a chain id.
    public var layer: String?
    public var autoRemove: Bool
    /// The engine's JSON document; opaque here.
    public var definition: [UInt8]

    public init(
        id: String, name: String, created: Int64, imageID: String?, layer: String? = nil, autoRemove: Bool = false, definition: [UInt8]
    ) {
        self.id = id
        self.name = name
        self.created = created
        self.imageID = imageID
        self.layer = layer
        self.autoRemove = autoRemove
        self.definition = definition
    }
}

/// What the database knows about a volume.
public struct VolumeRecord: Sendable, Hashable {
    public var name: String
    public var driver: String
    public var options: [String: String]
    public var labels: [String: String]
    /// Nanoseconds since 1970.
    public var created: Int64
    /// Made for one container without a name of the user's: removed with it by `rm -v` and `run --rm`.
    public var isAnonymous: Bool

    public init(
        name: String, driver: String = "local", options: [String: String] = [:], labels: [String: String] = [:],
        created: Int64, isAnonymous: Bool = false
    ) {
        self.name = name
        self.driver = driver
        self.options = options
        self.labels = labels
        self.created = created
        self.isAnonymous = isAnonymous
    }
}
