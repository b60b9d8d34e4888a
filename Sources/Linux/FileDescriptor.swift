import CLinux
import Glibc

/// A borrowed file descriptor number. It does not close anything; `OwnedFD` does.
public struct FD: RawRepresentable, Hashable, Sendable {
    public let rawValue: Int32
    public init(rawValue: Int32) { self.rawValue = rawValue }
    public init(_ rawValue: Int32) { self.rawValue = rawValue }

    /// The working directory, for the `…at` calls (AT_FDCWD).
    public static let cwd = FD(AT_FDCWD)
    public static let standardInput = FD(0)
    public static let standardOutput = FD(1)
    public static let standardError = FD(2)

    /// The path by which this process names the descriptor, for the few calls that take only paths.
    public var procPath: String { "/proc/self/fd/\(rawValue)" }
}

/// A descriptor that is closed when its owner goes out of scope.
public struct OwnedFD: ~Copyable, Sendable {
    public let raw: Int32

    /// Takes ownership of an open descriptor.
    public init(owning raw: Int32) { self.raw = raw }

    public var fd: FD { FD(raw) }

    /// Gives the number up without closing it.
    public consuming func take() -> Int32 {
        let value = raw
        discard self
        return value
    }

    deinit { _ = cl_close(raw) }
}

/// Closes a descriptor before its scope ends.
public func close(_ descriptor: consuming OwnedFD) {
    _ = consume descriptor
}

/// A shared owner, for collections and copies: the last reference closes the descriptor.
public final class SharedFD: Sendable {
    public let raw: Int32
    public init(_ owned: consuming OwnedFD) { raw = owned.take() }
    public init(owning raw: Int32) { self.raw = raw }
    public var fd: FD { FD(raw) }
    deinit { _ = cl_close(raw) }
}

/// Flags of `open(2)`; CLOEXEC is always added.
public struct OpenFlags: OptionSet, Sendable {
    public let rawValue: Int32
    public init(rawValue: Int32) { self.rawValue = rawValue }
    public static let readOnly = OpenFlags([])
    public static let writeOnly = OpenFlags(rawValue: O_WRONLY)
    public static let readWrite = OpenFlags(rawValue: O_RDWR)
    public static let create = OpenFlags(rawValue: O_CREAT)
    public static let exclusive = OpenFlags(rawValue: O_EXCL)
    public static let truncate = OpenFlags(rawValue: O_TRUNC)
    public static let append = OpenFlags(rawValue: O_APPEND)
    public static let directory = OpenFlags(rawValue: 0o200000)
    public static let noFollow = OpenFlags(rawValue: 0o400000)
    public static let path = OpenFlags(rawValue: 0o10000000)
    public static let nonBlocking = OpenFlags(rawValue: O_NONBLOCK)
    public static let noControllingTerminal = OpenFlags(rawValue: O_NOCTTY)
    public static let temporary = OpenFlags(rawValue: 0o20200000)
}

/// How `openat2(2)` may resolve a path.
public struct ResolveFlags: OptionSet, Sendable {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }
    public static let noCrossDevice = ResolveFlags(rawValue: 0x01)
    public static let noMagicLinks = ResolveFlags(rawValue: 0x02)
    public static let noSymlinks = ResolveFlags(rawValue: 0x04)
    public static let beneath = ResolveFlags(rawValue: 0x08)
    public static let inRoot = ResolveFlags(rawValue: 0x10)
}

extension FD {
    /// Opens a path below this directory descriptor (or anywhere, when it is absolute). The C function is `openat(2)`.
    ///
    /// For paths on the host only; paths inside a rootfs or an image go through ``open(inRoot:flags:mode:)``.
    public func open(_ path: String, _ flags: OpenFlags, mode: UInt32 = 0) throws(SystemError) -> OwnedFD {
        OwnedFD(owning: try check(cl_openat(rawValue, path, flags.rawValue, mode), "open", path))
    }

    /// Opens a path with this descriptor as its root directory: absolute paths, `..` and symbolic links stay inside.
    ///
    /// The one way a path inside a rootfs or an image is resolved. Needs Linux 5.6. The C function is `openat2(2)`.
    /// - Throws: `.crossDevice` or `.loop` when a magic link is met.
    public func open(
        inRoot path: String, _ flags: OpenFlags, mode: UInt32 = 0, resolve extra: ResolveFlags = []
    ) throws(SystemError) -> OwnedFD {
        let resolve: ResolveFlags = [.inRoot, .noMagicLinks]
        return OwnedFD(
            owning: try check(
                cl_openat2(
                    rawValue, path, UInt64(UInt32(bitPattern: flags.rawValue)), UInt64(mode),
                    resolve.union(extra).rawValue), "open", path))
    }

    /// Opens below this descriptor, refusing everything `resolve` forbids. The C function is `openat2(2)`.
    public func open(
        _ path: String, _ flags: OpenFlags, mode: UInt32 = 0, resolve: ResolveFlags
    ) throws(SystemError) -> OwnedFD {
        OwnedFD(
            owning: try check(
                cl_openat2(
                    rawValue, path, UInt64(UInt32(bitPattern: flags.rawValue)), UInt64(mode), resolve.rawValue),
                "open", path))
    }

    /// A second descriptor for the same open file, CLOEXEC, numbered at or above `minimum`.
    public func duplicate(atLeast minimum: Int32 = 3) throws(SystemError) -> OwnedFD {
        OwnedFD(owning: try check(cl_fcntl(rawValue, 1030 /* F_DUPFD_CLOEXEC */, Int(minimum)), "duplicate descriptor"))
    }

    /// Opens what an O_PATH descriptor names. Follows a magic link of this process: only for descriptors made here.
    public func reopen(_ flags: OpenFlags) throws(SystemError) -> OwnedFD {
        try FD.cwd.open(procPath, flags)
    }

    public func setCloseOnExec(_ on: Bool) throws(SystemError) {
        try check(cl_fcntl(rawValue, F_SETFD, on ? Int(FD_CLOEXEC) : 0), "set close-on-exec")
    }

    public func setNonBlocking(_ on: Bool) throws(SystemError) {
        let flags = try check(cl_fcntl(rawValue, F_GETFL, 0), "get file flags")
        let wanted = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK
        if wanted != flags { try check(cl_fcntl(rawValue, F_SETFL, Int(wanted)), "set file flags") }
    }
}
