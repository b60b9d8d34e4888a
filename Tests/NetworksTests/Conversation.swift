import CLinux
import Glibc
import Linux

/// Whether one namespace reaches another, by sockets that really connect.
struct Conversation {
    let host: TestHost
    /// How long a packet that is dropped is waited for.
    var patience: Int32 = 300

    /// A socket that listens in a namespace. Nil: the host's.
    func listen(_ kind: InternetProtocol, _ namespace: SharedFD?, _ address: String, _ port: UInt16) throws -> SharedFD {
        try host.inside(namespace) {
            let address = IPAddress(address)!
            let socket = try makeInternetSocket(kind, isIPv6: address.isIPv6)
            try socket.fd.setOption(1, 2, 1)
            try socket.fd.bind(to: InternetEndpoint(address, port: port))
            if kind == .tcp { try check(cl_listen(socket.raw, 64), "listen") }
            return SharedFD(socket)
        }
    }

    /// Connects, sends a word and gets it back.
    /// - Returns: the address the server saw, or nil when nothing came through.
    func talk(_ kind: InternetProtocol, from namespace: SharedFD?, to address: String, _ port: UInt16, server: SharedFD) throws -> String? {
        let address = IPAddress(address)!
        let client = SharedFD(try host.inside(namespace) { try makeInternetSocket(kind, isIPv6: address.isIPv6) })
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] { try setTimeout(client, option) }
        do {
            try host.inside(namespace) { try client.fd.connect(to: InternetEndpoint(address, port: port)) }
            if kind == .tcp {
                guard ready(server) else { return nil }
                let accepted = OwnedFD(owning: try check(cl_accept4(server.raw, 0), "accept"))
                let peer = name(accepted.raw)
                try client.fd.writeAll("ping")
                guard try receive(accepted.raw) == "ping" else { return nil }
                try accepted.fd.writeAll("pong")
                return try receive(client.raw) == "pong" ? peer : nil
            }
            try client.fd.writeAll("ping")
            guard ready(server) else { return nil }
            var storage = sockaddr_storage()
            var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
            var buffer = [UInt8](repeating: 0, count: 16)
            let count = withUnsafeMutablePointer(to: &storage) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { recvfrom(server.raw, &buffer, 16, 0, $0, &length) }
            }
            guard count == 4 else { return nil }
            let sent = withUnsafeMutablePointer(to: &storage) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { sendto(server.raw, "pong", 4, 0, $0, length) }
            }
            guard sent == 4, try receive(client.raw) == "pong" else { return nil }
            return text(storage)
        } catch {
            return nil
        }
    }

    private func setTimeout(_ socket: SharedFD, _ option: Int32) throws {
        var time = timeval(tv_sec: Int(patience) / 1000, tv_usec: Int(patience) % 1000 * 1000)
        try check(setsockopt(socket.raw, 1, option, &time, socklen_t(MemoryLayout<timeval>.size)), "set timeout")
    }

    private func ready(_ socket: SharedFD) -> Bool {
        var event = pollfd(fd: socket.raw, events: Int16(POLLIN), revents: 0)
        return poll(&event, 1, patience) == 1
    }

    private func receive(_ socket: Int32) throws -> String {
        var buffer = [UInt8](repeating: 0, count: 16)
        let count = recv(socket, &buffer, 16, 0)
        return String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
    }

    private func name(_ socket: Int32) -> String? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        _ = withUnsafeMutablePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getpeername(socket, $0, &length) }
        }
        return text(storage)
    }

    private func text(_ storage: sockaddr_storage) -> String? {
        withUnsafeBytes(of: storage) { bytes in
            let isIPv6 = storage.ss_family == sa_family_t(AF_INET6)
            return IPAddress(bytes: Array(bytes[isIPv6 ? 8..<24 : 4..<8]))?.description
        }
    }
}
