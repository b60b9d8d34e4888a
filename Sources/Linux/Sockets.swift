import CLinux
import Glibc

/// Kinds of local sockets.
public enum SocketKind: Int32, Sendable {
    case stream = 1
    case datagram = 2
    /// Message boundaries with a connection: what one side sends at once the other receives at once.
    case sequencedPacket = 5
}

/// Two connected local sockets, CLOEXEC. The C function is `socketpair(2)`.
public func makeSocketPair(_ kind: SocketKind) throws(SystemError) -> FDPair {
    var fds: [Int32] = [-1, -1]
    try check(cl_socketpair(kind.rawValue, &fds), "make socket pair")
    return FDPair(first: OwnedFD(owning: fds[0]), second: OwnedFD(owning: fds[1]))
}

/// A pipe, CLOEXEC: `first` reads, `second` writes. The C function is `pipe2(2)`.
public func makePipe() throws(SystemError) -> FDPair {
    var fds: [Int32] = [-1, -1]
    try check(cl_pipe2(&fds, 0), "make pipe")
    return FDPair(first: OwnedFD(owning: fds[0]), second: OwnedFD(owning: fds[1]))
}

/// The two ends of a pipe or socket pair. Take them apart with ``take()`` or use them in place.
public struct FDPair: ~Copyable {
    public let first: OwnedFD
    public let second: OwnedFD

    public init(first: consuming OwnedFD, second: consuming OwnedFD) {
        self.first = first
        self.second = second
    }

    /// Gives up ownership of both numbers.
    public consuming func take() -> (first: Int32, second: Int32) {
        (first.take(), second.take())
    }
}

/// Connects to a local socket by path. Paths over 107 bytes go through the directory's descriptor.
///
/// - Parameter waits: for a listener that has many others waiting; otherwise `.again` is thrown, and nothing of it waits later.
public func connectLocal(_ path: String, kind: SocketKind, waits: Bool = true) throws(SystemError) -> OwnedFD {
    let type = kind.rawValue | (waits ? 0 : 0o4000 /* SOCK_NONBLOCK */)
    let socket = OwnedFD(owning: try check(cl_socket(AF_UNIX, type, 0), "make socket"))
    try withShortSocketPath(path) { short in cl_unix_connect(socket.raw, short) }
    return socket
}

/// Binds and listens on a local socket; the file gets mode 0600 and replaces a dead one.
public func listenLocal(_ path: String, kind: SocketKind, backlog: Int32 = 64) throws(SystemError) -> OwnedFD {
    let socket = OwnedFD(owning: try check(cl_socket(AF_UNIX, kind.rawValue, 0), "make socket"))
    _ = cl_unlinkat(AT_FDCWD, path, 0)
    try check(cl_fchmod(socket.raw, 0o600), "set mode of socket", path)  // the file inherits it at bind
    try withShortSocketPath(path) { short in cl_unix_bind(socket.raw, short) }
    try check(cl_listen(socket.raw, backlog), "listen", path)
    return socket
}

/// sun_path holds 107 bytes; a longer path is reached through `/proc/self/fd/N/name`.
private func withShortSocketPath(_ path: String, _ body: (String) -> Int32) throws(SystemError) {
    if path.utf8.count < 108 {
        try check(body(path), "use socket", path)
        return
    }
    guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { throw SystemError(.nameTooLong, "use socket", path) }
    let directory = try FD.cwd.open(String(path[..<slash]), [.path, .directory])
    try check(body("\(directory.fd.procPath)/\(path[path.index(after: slash)...])"), "use socket", path)
}

/// One received message.
public struct Message {
    public var bytes: [UInt8]
    /// Descriptors that came along, CLOEXEC, owned by the receiver.
    public var descriptors: [SharedFD]
    /// The message or its descriptors did not fit.
    public var truncated: Bool
}

extension FD {
    /// Sends one message with up to 16 descriptors. The C function is `sendmsg(2)`; SIGPIPE is not raised.
    public func send(_ bytes: [UInt8], descriptors: [FD] = [], flags: Int32 = 0) throws(SystemError) {
        let numbers = descriptors.map(\.rawValue)
        let sent = bytes.withUnsafeBytes { b in
            numbers.withUnsafeBufferPointer { n in
                cl_sendmsg_fds(rawValue, b.baseAddress, b.count, n.baseAddress, Int32(n.count), flags)
            }
        }
        try check(sent, "send message")
    }

    /// Receives one message. Zero bytes mean that the other side has closed.
    /// - Parameter limit: bytes the buffer holds.
    public func receive(limit: Int = 64 << 10, flags: Int32 = 0) throws(SystemError) -> Message {
        var fds = [Int32](repeating: -1, count: 16)
        var count: Int32 = 16
        var truncated: Int32 = 0
        var failure = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: limit) { buffer, initialized in
            let n = cl_recvmsg_fds(rawValue, buffer.baseAddress, buffer.count, &fds, &count, &truncated, flags)
            if n < 0 { failure = n } else { initialized = n }
        }
        try check(failure, "receive message")
        return Message(
            bytes: bytes, descriptors: fds.prefix(Int(count)).map { SharedFD(owning: $0) }, truncated: truncated != 0)
    }

    /// Who is at the other end of a local socket. The C function is `getsockopt(2)` with SO_PEERCRED.
    public func peerCredentials() throws(SystemError) -> (pid: Int32, uid: UInt32, gid: UInt32) {
        var pid: Int32 = 0
        var uid: UInt32 = 0
        var gid: UInt32 = 0
        try check(cl_peercred(rawValue, &pid, &uid, &gid), "read peer credentials")
        return (pid, uid, gid)
    }
}
