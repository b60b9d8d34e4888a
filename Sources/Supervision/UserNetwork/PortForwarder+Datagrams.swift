import CLinux
import Glibc
import Linux

/// The datagrams between one client and one port.
final class DatagramSession {
    struct Key: Hashable {
        let port: Int
        let client: InternetEndpoint
    }

    let key: Key
    let port: PortForwarder.HostPort
    let socket: OwnedFD
    /// The host's address the client has asked, from which it is answered.
    var local: cl_internet
    var lastActive: Int64
    var slot = PortForwarder.Slot.Token(index: 0, generation: 0)

    init(_ key: Key, _ port: PortForwarder.HostPort, _ socket: consuming OwnedFD, local: cl_internet) {
        self.key = key
        self.port = port
        self.socket = socket
        self.local = local
        lastActive = monotonicNanoseconds()
    }
}

extension PortForwarder {
    /// Nothing either way for so long ends a session; the next datagram begins another.
    private static let silence: Int64 = 120_000_000_000

    /// What clients have sent.
    func receive(_ port: HostPort) {
        for _ in 0..<64 {
            var client = cl_internet()
            var local = cl_internet()
            makeBuffer()
            let count = buffer.withUnsafeMutableBytes {
                cl_internet_receive_local(port.socket.raw, $0.baseAddress, $0.count, &client, &local)
            }
            guard count >= 0 else { return }
            guard let session = session(port, InternetEndpoint(client), local) else { continue }
            session.local = local
            session.lastActive = monotonicNanoseconds()
            // What cannot be sent now is lost, as datagrams are.
            _ = buffer.withUnsafeBytes { cl_write(session.socket.raw, $0.baseAddress, count) }
        }
    }

    /// What the container has answered.
    func answer(_ session: DatagramSession) {
        for _ in 0..<64 {
            makeBuffer()
            let count = buffer.withUnsafeMutableBytes { cl_read(session.socket.raw, $0.baseAddress, $0.count) }
            if count == -ECONNREFUSED { continue }  // nobody listens in there: asking has cleared the error
            guard count >= 0 else { return }
            session.lastActive = monotonicNanoseconds()
            var client = session.key.client.raw
            _ = buffer.withUnsafeBytes {
                cl_internet_send_from(session.port.socket.raw, $0.baseAddress, count, &client, &session.local)
            }
        }
    }

    private func session(_ port: HostPort, _ client: InternetEndpoint, _ local: cl_internet) -> DatagramSession? {
        let key = DatagramSession.Key(port: port.slot.index, client: client)
        if let known = sessions[key] { return known }
        if sessions.count >= maximumSessions, let oldest = sessions.values.min(by: { $0.lastActive < $1.lastActive }) { end(oldest) }
        guard let socket = connect(2 /* SOCK_DGRAM */, as: client, to: port.target) else { return nil }
        let session = DatagramSession(key, port, socket, local: local)
        guard let slot = try? watch(session.socket.raw, Self.readable, .datagrams(session)) else { return nil }
        session.slot = slot
        sessions[key] = session
        return session
    }

    private func end(_ session: DatagramSession) {
        forget(session.slot)
        sessions[session.key] = nil
    }

    func endSilentSessions() {
        let limit = monotonicNanoseconds() - Self.silence
        for session in sessions.values where session.lastActive < limit { end(session) }
        if sessions.isEmpty { buffer = [] }
    }

    func endSessions(of port: HostPort) {
        for session in sessions.values where session.port === port { end(session) }
    }

    /// Room for the longest datagram.
    private func makeBuffer() {
        if buffer.isEmpty { buffer = [UInt8](repeating: 0, count: 65_536) }
    }
}
