import CLinux
import Glibc
import Linux

/// Sockets made in another network namespace, used in this one. For a process of one thread.
public enum NamespaceSockets {
    /// Runs `body` in a network namespace and hands over the descriptors it returns.
    ///
    /// This process enters and comes back. Where it may not (an ordinary user's, whose container has a user namespace of its
    /// own), a child of it does: entering a user namespace is for ever. So nothing that `body` changes in memory can be counted on.
    /// - Parameter body: makes at most 16 descriptors.
    public static func make(
        in namespace: FD, _ body: () throws(SystemError) -> [SharedFD]
    ) throws(SystemError) -> [SharedFD] {
        let home = try currentNetworkNamespace()
        var made: Result<[SharedFD], SystemError> = .success([])
        do throws(SystemError) {
            try withNetworkNamespace(namespace, home: home.fd) { () throws(SystemError) in
                do throws(SystemError) { made = .success(try body()) } catch { made = .failure(error) }
            }
        } catch {
            if error.errno == .notPermitted { return try makeInChild(namespace, body) }
            throw error
        }
        return try made.get()
    }

    private static let newNetwork: Int32 = 0x4000_0000
    private static let newUser: Int32 = 0x1000_0000

    private static func makeInChild(
        _ namespace: FD, _ body: () throws(SystemError) -> [SharedFD]
    ) throws(SystemError) -> [SharedFD] {
        // Who owns a namespace's user namespace has all capabilities in it; the kernel says which it is (NS_GET_USERNS, Linux 4.9).
        let user = OwnedFD(owning: try check(cl_ioctl(namespace.rawValue, 0xb701, 0), "find user namespace of network namespace"))
        let ends = try makeSocketPair(.sequencedPacket)
        let child = try check(cl_clone3(0, UInt64(SIGCHLD), nil, -1), "clone")
        if child == 0 {
            var code: Int32 = 0
            var made: [SharedFD] = []
            do throws(SystemError) {
                try check(cl_setns(user.raw, newUser), "enter user namespace")
                try check(cl_setns(namespace.rawValue, newNetwork), "enter network namespace")
                made = try body()
            } catch {
                code = error.errno.rawValue
            }
            let answer = withUnsafeBytes(of: code) { Array($0) }
            try? ends.second.fd.send(answer, descriptors: made.map(\.fd))
            _exit(0)
        }
        let pair = ends.take()
        _ = cl_close(pair.second)
        let reader = OwnedFD(owning: pair.first)
        let message = try? reader.fd.receive(limit: 16)
        _ = try waitForProcess(child)
        guard let message, message.bytes.count == 4 else { throw SystemError(.io, "make sockets in namespace") }
        let code = NetlinkBytes.read(message.bytes, 0, Int32.self)
        if code != 0 { throw SystemError(Errno(rawValue: code), "make sockets in namespace") }
        return message.descriptors
    }
}
