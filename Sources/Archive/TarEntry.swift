/// A time as archives and file systems keep it.
public struct FileTime: Hashable, Sendable {
    /// Seconds since 1970; may be negative.
    public var seconds: Int64
    /// 0 to 999,999,999, always added.
    public var nanoseconds: Int32

    public init(seconds: Int64, nanoseconds: Int32 = 0) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }
}

/// An extended attribute: names and values are bytes.
public struct ExtendedAttribute: Hashable, Sendable {
    public var name: [UInt8]
    public var value: [UInt8]

    public init(name: [UInt8], value: [UInt8]) {
        self.name = name
        self.value = value
    }
}

/// One member of a tar archive, with all extended headers applied.
public struct TarEntry: Sendable {
    public enum Kind: Sendable, Hashable {
        case file, hardLink, symbolicLink, characterDevice, blockDevice, directory, fifo
    }

    public var kind: Kind
    /// As stored: not normalised, not necessarily UTF-8, never empty, without NUL.
    public var path: [UInt8]
    /// Target of a hard or symbolic link, as stored.
    public var linkPath: [UInt8]
    /// Permission bits with set-id and sticky bits (0 to 0o7777).
    public var mode: UInt32
    public var uid: UInt32
    public var gid: UInt32
    /// Bytes of the file as it will be read, holes included; 0 for everything but files.
    public var size: Int64
    public var modification: FileTime
    public var major: UInt32
    public var minor: UInt32
    public var xattrs: [ExtendedAttribute]
    /// Whether the payload comes as segments with holes between them.
    public var isSparse: Bool

    public init(
        kind: Kind, path: [UInt8], linkPath: [UInt8] = [], mode: UInt32, uid: UInt32 = 0, gid: UInt32 = 0,
        size: Int64 = 0, modification: FileTime = FileTime(seconds: 0), major: UInt32 = 0, minor: UInt32 = 0,
        xattrs: [ExtendedAttribute] = [], isSparse: Bool = false
    ) {
        self.kind = kind
        self.path = path
        self.linkPath = linkPath
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.size = size
        self.modification = modification
        self.major = major
        self.minor = minor
        self.xattrs = xattrs
        self.isSparse = isSparse
    }
}
