import CLinux
import Control
import Glibc
import Linux

/// The container's standard input: a pipe or terminal, fed by the clients that are attached.
///
/// At most one piece is held; while the container does not read, no client is read.
package final class InputStream {
    private let loop: EventLoop
    /// Close after the first client (docker's StdinOnce).
    private let once: Bool
    private var target: SharedFD?
    private var targetToken: EventLoop.Token?
    private var isTerminal = false
    private var clients: [Client] = []
    private var held: ArraySlice<UInt8> = []
    private var isWaiting = false
    /// The container has closed its end, or got all it will get: who attaches now sees a closed pipe.
    private var isOver = false

    private final class Client {
        let fd: SharedFD
        var token: EventLoop.Token?
        init(_ fd: SharedFD) { self.fd = fd }
    }

    package init(_ loop: EventLoop, once: Bool) {
        self.loop = loop
        self.once = once
    }

    /// The container's side of a run.
    package func open(_ target: SharedFD, isTerminal: Bool) throws(SystemError) {
        try target.fd.setNonBlocking(true)
        self.target = target
        self.isTerminal = isTerminal
        isOver = false
        if !isTerminal {
            // No events: reported is that the container has closed its end.
            targetToken = try loop.add(target.fd, []) { [unowned self] events in targetIsReady(events) }
        }
        watchClients(true)
    }

    package func attach(_ fd: SharedFD) throws(SystemError) {
        if isOver { return }
        try fd.fd.setNonBlocking(true)
        let client = Client(fd)
        clients.append(client)
        if target != nil, held.isEmpty { watch(client, true) }
    }

    /// Ends the run's side, or standard input altogether.
    package func close() {
        if let targetToken { loop.remove(targetToken) }
        targetToken = nil
        target = nil
        held = []
        isWaiting = false
    }

    package func closeClients() {
        watchClients(false)
        clients = []
    }

    private func watchClients(_ on: Bool) {
        for client in clients { watch(client, on) }
    }

    private func watch(_ client: Client, _ on: Bool) {
        if on, client.token == nil {
            client.token = try? loop.add(client.fd.fd, .readable) { [unowned self, unowned client] _ in read(client) }
        } else if !on, let token = client.token {
            loop.remove(token)
            client.token = nil
        }
    }

    private func read(_ client: Client) {
        var count = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: 64 << 10) { buffer, initialized in
            count = cl_read(client.fd.raw, buffer.baseAddress, buffer.count)
            initialized = max(0, count)
        }
        if count == -Int(EAGAIN) { return }
        if count <= 0 {
            watch(client, false)
            clients.removeAll { $0 === client }
            // A terminal is not closed: its program would see a hang-up, not an end of input.
            if once, !isTerminal { closeForGood() }
            return
        }
        held = bytes[...]
        flush()
    }

    private func flush() {
        guard let target else { return }
        while !held.isEmpty {
            let count = held.withUnsafeBytes { cl_write(target.raw, $0.baseAddress, $0.count) }
            if count == -Int(EAGAIN) {
                waitForTarget()
                return
            }
            guard count > 0 else {
                closeForGood()
                return
            }
            held = held.dropFirst(count)
        }
        held = []
        if isWaiting { stopWaiting() }
    }

    private func stopWaiting() {
        isWaiting = false
        if let targetToken {
            if isTerminal {
                loop.remove(targetToken)
                self.targetToken = nil
            } else {
                loop.change(targetToken, [])
            }
        }
        watchClients(true)
    }

    private func waitForTarget() {
        if isWaiting { return }
        isWaiting = true
        watchClients(false)
        guard let target else { return }
        if let targetToken {
            loop.change(targetToken, .writable)
        } else {
            targetToken = try? loop.add(target.fd, .writable) { [unowned self] events in targetIsReady(events) }
        }
    }

    private func targetIsReady(_ events: EventLoop.Events) {
        if events.contains(.error) || events.contains(.hangUp) {
            closeForGood()
        } else {
            flush()
        }
    }

    /// The container reads no more, or will get no more: clients see it at the other end of their pipes.
    private func closeForGood() {
        isOver = true
        close()
        closeClients()
    }
}
