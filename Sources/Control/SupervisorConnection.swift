import CLinux
import Glibc
import Linux

/// A client's connection to the supervisor of one container.
///
/// Blocking, one thread. Requests may be posted without waiting: a launch with attach and start costs no round trip.
public final class SupervisorConnection {
    public let id: String
    private let socket: SharedFD
    /// The supervisor as a child, when this process launched it; reaped at the end of the connection.
    private let child: Int32
    private var lastSequence: UInt32 = 0
    private var lastAnswered: UInt32 = 0
    /// Events that came while an answer was waited for.
    private var pending: [ControlEvent] = []
    private var isClosed = false
    /// The supervisor, when it is not our child: see ``watch(_:)``.
    private var watched: Int32 = 0

    package init(id: String, socket: consuming OwnedFD, child: Int32) {
        self.id = id
        self.socket = SharedFD(socket)
        self.child = child
    }

    deinit {
        var status: Int32 = 0
        if child > 0 { _ = cl_waitpid(child, &status, WNOHANG) }
    }

    /// For `poll(2)`: readable when ``receive(timeout:)`` will not wait. Look at ``hasPending`` first.
    public var fd: FD { socket.fd }
    public var hasPending: Bool { !pending.isEmpty }

    /// Connects to the supervisor of a container that runs.
    ///
    /// - Throws: `.notRunning` when there is none.
    public static func connect(run: String, id: String) throws(ControlError) -> SupervisorConnection {
        do throws(SystemError) {
            let socket = try connectLocal(ContainerFiles.socket(run: run, id: id), kind: .sequencedPacket)
            return SupervisorConnection(id: id, socket: socket, child: 0)
        } catch {
            if error.errno == .noEntry || error.errno == .connectionRefused {
                throw ControlError(.notRunning, "connect to supervisor of", id, cause: "container is not running", exitCode: 1)
            }
            throw ControlError(error, "connect to supervisor of", id)
        }
    }

    /// Gives up waiting for a supervisor that is stopped by a signal, instead of waiting for ever.
    ///
    /// - Parameter supervisor: its pid; 0 watches nothing.
    public func watch(_ supervisor: Int32) { watched = supervisor }

    /// Waits until there is something to read.
    ///
    /// - Throws: `.timedOut`, naming the process and what to type, when it has been stopped for ten seconds.
    private func waitForWatched() throws(ControlError) {
        var stoppedSeconds = 0
        while watched > 0 {
            var number = socket.raw
            var wanted = Int16(POLLIN)
            var got: Int16 = 0
            if cl_poll(&number, &wanted, &got, 1, 1000) != 0 { return }
            let state = processState(watched)
            stoppedSeconds = state == "T" || state == "t" ? stoppedSeconds + 1 : 0
            if stoppedSeconds < 10 { continue }
            throw ControlError(
                .timedOut, "ask supervisor of", id,
                cause: "process \(watched) is stopped by a signal; type: kill -CONT \(watched)", exitCode: 1)
        }
    }

    // MARK: Messages

    /// Lets the supervisor that was launched create the container: its directory is complete. Does not wait.
    ///
    /// - Parameters:
    ///   - lock: the container's, which the supervisor takes over: no other command comes between.
    ///   - streams: standard input, output and error for the container, with the driver ``LogConfiguration/Driver/passthrough``; else none.
    /// - Throws: `.system`. That the supervisor has gone is told by what waits for ``waitForCreated()`` or a later answer.
    public func create(lock: FD, streams: [FD] = []) throws(ControlError) {
        do throws(SystemError) {
            try socket.fd.send(
                ControlRequest.create.frame(sequence: 0).encoded, descriptors: [lock] + streams, flags: 0x4000 /* MSG_NOSIGNAL */)
        } catch {
            if error.errno == .brokenPipe || error.errno == .connectionReset { return }
            throw ControlError(error, "start supervisor of", id)
        }
    }

    /// Sends a request and does not wait for its answer.
    ///
    /// - Returns: its sequence number.
    /// - Throws: `.system`. That the supervisor has gone is told by what waits for the answer.
    @discardableResult
    public func post(_ request: ControlRequest, descriptors: [FD] = []) throws(ControlError) -> UInt32 {
        try makeRoom()
        lastSequence &+= 1
        do throws(SystemError) {
            try socket.fd.send(request.frame(sequence: lastSequence).encoded, descriptors: descriptors, flags: 0x4000 /* MSG_NOSIGNAL */)
        } catch {
            // It has gone, and what it said last may still be on the way: the one who waits for the answer hears it.
            if error.errno == .brokenPipe || error.errno == .connectionReset { return lastSequence }
            throw ControlError(error, "ask supervisor of", id)
        }
        return lastSequence
    }

    /// Takes answers in while many are due. A local socket holds ten messages, and a supervisor does not wait for us: it
    /// drops a client whose socket is full.
    private func makeRoom() throws(ControlError) {
        while lastSequence &- lastAnswered >= 6 {
            guard let (sequence, event) = try receiveFrame() else { return }
            keep(sequence, event)
        }
    }

    /// Sends a request and waits for its answer; events that come before it are kept for ``receive(timeout:)``.
    ///
    /// - Throws: `.refused` with the supervisor's text, `.disconnected`, `.protocol`, `.system`.
    public func request(_ request: ControlRequest, descriptors: [FD] = []) throws(ControlError) {
        try waitForAnswer(try post(request, descriptors: descriptors))
    }

    /// Waits for the answer to a posted request.
    public func waitForAnswer(_ sequence: UInt32) throws(ControlError) {
        while let (answered, event) = try receiveFrame() {
            if answered != sequence {
                keep(answered, event)
                continue
            }
            switch event {
            case .done: return
            case .refused(let code, let text):
                throw ControlError(ControlError.Code(rawValue: code), "ask supervisor of", id, cause: text, exitCode: 1)
            case .failed(let exitCode, let text): throw ControlError(.startFailed, "exec in", id, cause: text, exitCode: exitCode)
            default: pending.append(event)
            }
        }
        for case .failed(let exitCode, let text) in pending { throw startFailure(exitCode, text) }
        throw disconnected("ask supervisor of")
    }

    /// The next event; answers to posted requests are left out unless they are refusals.
    ///
    /// - Parameter timeout: milliseconds; negative waits for ever.
    /// - Returns: nil when the supervisor has gone.
    /// - Throws: `.timedOut`, `.protocol`, `.version`, `.system`.
    public func receive(timeout: Int32 = -1) throws(ControlError) -> ControlEvent? {
        let deadline = timeout < 0 ? nil : monotonicNanoseconds() &+ Int64(timeout) &* 1_000_000
        while pending.isEmpty {
            if let deadline { try waitReadable(until: deadline) }
            guard let (sequence, event) = try receiveFrame() else { return nil }
            keep(sequence, event)
        }
        return pending.removeFirst()
    }

    /// Takes what has arrived, one message and no more: for callers that wait for other things too.
    ///
    /// - Returns: nil for an answer that carries nothing (`done`).
    /// - Throws: `.disconnected` when the supervisor has gone.
    public func receiveOne() throws(ControlError) -> ControlEvent? {
        if !pending.isEmpty { return pending.removeFirst() }
        guard let (sequence, event) = try receiveFrame() else { throw disconnected("listen to") }
        keep(sequence, event)
        return pending.isEmpty ? nil : pending.removeFirst()
    }

    private func keep(_ sequence: UInt32, _ event: ControlEvent) {
        if event != .done { pending.append(event) }
    }

    private func waitReadable(until deadline: Int64) throws(ControlError) {
        while true {
            let left = max(0, (deadline &- monotonicNanoseconds()) / 1_000_000)
            var number = socket.raw
            var wanted: Int16 = Int16(POLLIN)
            var got: Int16 = 0
            let ready = cl_poll(&number, &wanted, &got, 1, Int32(clamping: left))
            if ready > 0 { return }
            if ready == 0 { throw ControlError(.timedOut, "wait for supervisor of", id, cause: "no answer in time") }
        }
    }

    private func receiveFrame() throws(ControlError) -> (UInt32, ControlEvent)? {
        if isClosed { return nil }
        try waitForWatched()
        let message = try receiveMessage()
        if message.bytes.isEmpty {
            isClosed = true
            return nil
        }
        let frame = try ControlFrame.decode(message.bytes)
        // A sequence nobody has used is an answer to somebody else: the two sides do not agree any more.
        guard frame.sequence <= lastSequence else {
            throw ControlError(.protocol, "ask supervisor of", id, cause: "answer to a request that was not made")
        }
        let event = try ControlEvent(frame)
        // What answers `.query` comes before the end of the answer, and without a number.
        if frame.sequence != 0 { lastAnswered = frame.sequence }
        return (frame.sequence, event)
    }

    private func receiveMessage() throws(ControlError) -> Message {
        do throws(SystemError) {
            return try socket.fd.receive(limit: ControlFrame.limit)
        } catch {
            // The other side closed with requests of ours unread. The kernel says so once, before what it had sent.
            guard error.errno == .connectionReset else { throw ControlError(error, "ask supervisor of", id) }
            return try receiveMessage()
        }
    }

    func disconnected(_ operation: String) -> ControlError {
        ControlError(.disconnected, operation, id, cause: "supervisor has gone")
    }
}
