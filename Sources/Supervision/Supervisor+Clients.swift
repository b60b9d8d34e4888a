import CLinux
import Control
import Glibc
import Linux

/// Connections: who may connect, what they may ask, what they are told.
extension Supervisor {
    /// Begins to listen on `RUN/containers/ID/control.sock`.
    package func listen() throws(SystemError) {
        let path = ContainerFiles.runDirectory(run: arguments.run, id: arguments.id)
        try FD.cwd.makeDirectories(path, mode: 0o700)
        let socket = SharedFD(
            try listenLocal(ContainerFiles.socket(run: arguments.run, id: arguments.id), kind: .sequencedPacket))
        try socket.fd.setNonBlocking(true)
        listener = socket
        _ = try loop.add(socket.fd, .readable) { [unowned self] _ in _ = accept() }
    }

    /// - Returns: whether there was somebody, be it one who is not let in.
    func accept() -> Bool {
        guard let listener else { return false }
        let number = cl_accept4(listener.raw, Int32(SOCK_CLOEXEC.rawValue))
        guard number >= 0 else { return false }
        let socket = SharedFD(owning: number)
        // The file's mode admits only its owner; this also keeps out whoever got the descriptor handed.
        guard let peer = try? socket.fd.peerCredentials(), peer.uid == geteuid() || peer.uid == 0 else { return true }
        _ = addClient(socket)
        return true
    }

    @discardableResult
    func addClient(_ socket: SharedFD) -> ControlClient? {
        let client = ControlClient(socket)
        client.token = try? loop.add(socket.fd, .readable) { [unowned self, unowned client] _ in receive(client) }
        guard client.token != nil else { return nil }
        clients.append(client)
        return client
    }

    func remove(_ client: ControlClient) {
        if let token = client.token { loop.remove(token) }
        client.token = nil
        // Others may hold the socket too (the one we were started with): its other side must hear that nobody listens.
        _ = shutdown(client.socket.raw, Int32(SHUT_RDWR))
        clients.removeAll { $0 === client }
        thaw(after: client)
        giveUpCheckpoint(of: client)
        guard starter === client else { return }
        starter = nil
        // Nobody will start it any more, or wants what it does.
        if stage == .created, !isKept { abandon() } else if stage == .running, config.endsWithStarter { killAll() }
    }

    func broadcast(_ event: ControlEvent) {
        for client in clients where !client.send(event, sequence: 0) { remove(client) }
    }

    private func receive(_ client: ControlClient) {
        becomeIdleSoon()
        let message: Message
        do throws(SystemError) {
            message = try client.socket.fd.receive(limit: 4096, flags: 0x40 /* MSG_DONTWAIT */)
        } catch {
            if error.errno == .again { return }
            remove(client)
            clientHasGone()
            return
        }
        if message.bytes.isEmpty {
            remove(client)
            clientHasGone()
            return
        }
        do throws(ControlError) {
            let frame = try ControlFrame.decode(message.bytes)
            guard !message.truncated, frame.sequence == client.sequence &+ 1 else {
                throw ControlError(.protocol, "read message", cause: "it is out of order or truncated")
            }
            client.sequence = frame.sequence
            answer(client, frame, message.descriptors)
        } catch {
            // Whoever does not speak the protocol is told once, and left.
            _ = client.send(.refused(code: error.code.rawValue, text: error.description), sequence: 0)
            remove(client)
        }
    }

    private func answer(_ client: ControlClient, _ frame: ControlFrame, _ descriptors: [SharedFD]) {
        let reply: ControlEvent
        do throws(ControlError) {
            let request = try ControlRequest(frame)
            if case .query = request, !client.send(.phase(record), sequence: 0) { return remove(client) }
            if case .watchHealth = request {
                client.watchesHealth = true
                if !client.send(.health(stage == .running ? record.health : .none), sequence: 0) { return remove(client) }
            }
            if case .probe = request { return try probe(client, frame.sequence) }
            if case .checkpoint(let order) = request { return try checkpoint(client, frame.sequence, order) }
            if case .exec(let id, let terminal) = request {
                return try exec(client, frame.sequence, ExecWish(id: id, terminal: terminal), descriptors)
            }
            try perform(request, client, descriptors)
            reply = .done
        } catch {
            reply = .refused(code: error.code.rawValue, text: error.cause)
        }
        // The answer follows the deed. Starting may have ended us and the client.
        if client.token != nil, !client.send(reply, sequence: frame.sequence) { remove(client) }
    }
}
