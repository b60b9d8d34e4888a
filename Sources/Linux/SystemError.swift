import CLinux
import Glibc

/// An error number of the kernel, as `errno` carries it.
public struct Errno: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    public let rawValue: Int32
    public init(rawValue: Int32) { self.rawValue = rawValue }

    /// The C library's sentence in lower case, e.g. `no such file or directory`.
    public var description: String {
        guard let text = cl_strerror(rawValue) else { return "error \(rawValue)" }
        var bytes = Array(UnsafeBufferPointer(start: text, count: strlen(text)).map { UInt8(bitPattern: $0) })
        if bytes.count > 1, bytes[0] >= 65, bytes[0] <= 90, bytes[1] >= 97 { bytes[0] += 32 }
        return String(decoding: bytes, as: UTF8.self)
    }

    public static let notPermitted = Errno(rawValue: EPERM)
    public static let noEntry = Errno(rawValue: ENOENT)
    public static let noProcess = Errno(rawValue: ESRCH)
    public static let interrupted = Errno(rawValue: EINTR)
    public static let io = Errno(rawValue: EIO)
    public static let noDevice = Errno(rawValue: ENODEV)
    public static let noChild = Errno(rawValue: ECHILD)
    public static let again = Errno(rawValue: EAGAIN)
    public static let accessDenied = Errno(rawValue: EACCES)
    public static let busy = Errno(rawValue: EBUSY)
    public static let exists = Errno(rawValue: EEXIST)
    public static let crossDevice = Errno(rawValue: EXDEV)
    public static let notDirectory = Errno(rawValue: ENOTDIR)
    public static let isDirectory = Errno(rawValue: EISDIR)
    public static let invalid = Errno(rawValue: EINVAL)
    public static let noSpace = Errno(rawValue: ENOSPC)
    public static let readOnly = Errno(rawValue: EROFS)
    public static let brokenPipe = Errno(rawValue: EPIPE)
    public static let nameTooLong = Errno(rawValue: ENAMETOOLONG)
    public static let notImplemented = Errno(rawValue: ENOSYS)
    public static let notEmpty = Errno(rawValue: ENOTEMPTY)
    public static let loop = Errno(rawValue: ELOOP)
    public static let noData = Errno(rawValue: ENODATA)
    public static let notSupported = Errno(rawValue: EOPNOTSUPP)
    public static let connectionReset = Errno(rawValue: ECONNRESET)
    public static let connectionRefused = Errno(rawValue: ECONNREFUSED)
    public static let addressInUse = Errno(rawValue: EADDRINUSE)
    public static let inProgress = Errno(rawValue: EINPROGRESS)
    public static let timedOut = Errno(rawValue: ETIMEDOUT)
    public static let stale = Errno(rawValue: ESTALE)
    public static let badDescriptor = Errno(rawValue: EBADF)
    public static let execFormat = Errno(rawValue: ENOEXEC)
    public static let tooBig = Errno(rawValue: E2BIG)
}

/// A system call that failed: what was tried, on what, and why.
///
/// Text: ``open "/x": no such file or directory``.
public struct SystemError: Error, Sendable, CustomStringConvertible {
    public let errno: Errno
    public let operation: String
    public let object: String?
    /// The kernel's own words about it, where it has some (netlink).
    public let detail: String?

    public init(_ errno: Errno, _ operation: String, _ object: String? = nil, detail: String? = nil) {
        self.errno = errno
        self.operation = operation
        self.object = object
        self.detail = detail
    }

    /// The reason alone: `file exists`, `invalid argument (unknown device type)`.
    public var cause: String { detail.map { "\(errno.description) (\($0))" } ?? errno.description }

    public var description: String {
        if let object { return "\(operation) \"\(object)\": \(cause)" }
        return "\(operation): \(cause)"
    }
}

/// Turns a `cl_` result (value or -errno) into a value or a thrown error.
///
/// EBADF and EFAULT cannot come from outside: they are programming errors and trap in debug builds.
@inline(__always) @discardableResult
public func check(
    _ result: Int32, _ operation: @autoclosure () -> String, _ object: @autoclosure () -> String? = nil
) throws(SystemError) -> Int32 {
    if result >= 0 { return result }
    assert(result != -EFAULT, "EFAULT in \(operation())")
    throw SystemError(Errno(rawValue: -result), operation(), object())
}

@inline(__always) @discardableResult
public func check(
    _ result: Int, _ operation: @autoclosure () -> String, _ object: @autoclosure () -> String? = nil
) throws(SystemError) -> Int {
    if result >= 0 { return result }
    assert(result != -Int(EFAULT), "EFAULT in \(operation())")
    throw SystemError(Errno(rawValue: Int32(truncatingIfNeeded: -result)), operation(), object())
}
