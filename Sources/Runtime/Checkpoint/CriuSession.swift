import CLinux
import Glibc
import Linux

/// Why CRIU did not do what it was asked for, before its log was looked at.
struct CriuFailure: Error {
    var text: String
    /// It was no fault of CRIU's: the text is the whole reason.
    var isOurs = false
}

/// One conversation with CRIU, from the request to the end of its process.
///
/// The messages are SEQPACKET's: one send, one receive. CRIU asks by notifications and waits for each answer.
final class CriuSession {
    let pid: Int32
    let pidfd: SharedFD
    private var socket: SharedFD?
    private var hasEnded = false

    init(pid: Int32, pidfd: SharedFD, socket: SharedFD) {
        (self.pid, self.pidfd, self.socket) = (pid, pidfd, socket)
    }

    /// `criu swrk 3`, with the other end of the socket as descriptor 3.
    static func start(_ program: CriuProgram) throws(RuntimeError) -> CriuSession {
        try kernel("start criu") { () throws(SystemError) in
            let pair = try makeSocketPair(.sequencedPacket).take()
            let ours = SharedFD(owning: pair.first)
            let theirs = SharedFD(owning: pair.second)
            let null = try FD.cwd.open("/dev/null", .readWrite)
            var request = SpawnRequest(
                program.path, ["criu", "swrk", "3"], environment: CriuProgram.environment,
                descriptors: [(null.fd, 0), (null.fd, 1), (null.fd, 2), (theirs.fd, 3)])
            // A key that interrupts us must not end it with its code in somebody's memory.
            request.newSession = true
            let process = try spawn(request)
            return CriuSession(pid: process.pid, pidfd: SharedFD(try process.pidfd.fd.duplicate()), socket: ours)
        }
    }

    func ask(_ request: CriuRequest) throws(CriuFailure) {
        guard let socket, (try? socket.fd.send(request.encoded, flags: 0x4000 /* MSG_NOSIGNAL */)) != nil else { throw end() }
    }

    /// The next message: a notification, or the result.
    ///
    /// - Parameters:
    ///   - cancelled: is hung up when nobody wants it any more.
    ///   - whenReadable: what comes from there is the word to end, too.
    func receive(cancelled: FD? = nil, whenReadable: Bool = false) throws(CriuFailure) -> (response: CriuResponse, descriptors: [SharedFD])
    {
        guard let socket else { throw CriuFailure(text: "it has ended") }
        var fds = [socket.raw, pidfd.raw, cancelled?.rawValue ?? -1]
        var wanted = [Int16(POLLIN), Int16(POLLIN), whenReadable ? Int16(POLLIN) : 0]
        var got: [Int16] = [0, 0, 0]
        while true {
            let count = cl_poll(&fds, &wanted, &got, 3, -1)
            if count == -EINTR { continue }
            if got[0] != 0 { break }
            if got[2] != 0 { throw CriuFailure(text: "it was interrupted", isOurs: true) }
            // Its end without a word; its own children may still hold the socket.
            if got[1] != 0 { throw end() }
        }
        guard let message = try? socket.fd.receive(limit: 64 << 10), !message.bytes.isEmpty else { throw end() }
        guard let response = CriuResponse(message.bytes) else {
            throw CriuFailure(text: "it answered with something that is not its protocol")
        }
        return (response, message.descriptors)
    }

    func answer(_ succeeded: Bool) throws(CriuFailure) { try ask(CriuRequest(kind: .notify, succeeded: succeeded)) }

    /// How it ended, as the reason for everything that did not come.
    private func end() -> CriuFailure {
        guard let status = close(milliseconds: 2000, isFailure: true) else { return CriuFailure(text: "it closed its connection") }
        switch status {
        case .exited(let code): return CriuFailure(text: "it ended with status \(code)")
        case .signaled(let signal): return CriuFailure(text: "it was killed by signal \(signal)")
        }
    }

    /// Lets go of it and waits for its end.
    ///
    /// CRIU lets processes go on that it was writing down when it finds nobody to ask: until then they must not be thawed by others.
    /// - Parameters:
    ///   - milliseconds: after that it is killed.
    ///   - isFailure: its children, which are in its process group, end with it. Otherwise there are none but those it has restored.
    /// - Returns: nil when somebody else has seen its end, or there was nothing to wait for.
    @discardableResult
    func close(milliseconds: Int32, isFailure: Bool = false) -> ExitStatus? {
        socket = nil
        if hasEnded { return nil }
        hasEnded = true
        if !isReadable(pidfd.fd, milliseconds: milliseconds) { try? pidfd.fd.sendSignal(SIGKILL) }
        // Before its number is free for others.
        if isFailure { _ = cl_kill(-pid, SIGKILL) }
        return (try? waitForProcess(pid))?.status
    }

    deinit { close(milliseconds: 0, isFailure: true) }
}

/// Tells a failure of CRIU's in one sentence: its own reason where its log has one, and where the log is.
struct CriuComplaint {
    let program: CriuProgram
    let operation: String
    let container: String
    let work: SharedFD
    let workPath: String
    let log: String

    func error(_ failure: CriuFailure, _ response: CriuResponse? = nil) -> RuntimeError {
        if failure.isOurs { return RuntimeError(.system, operation, container, cause: failure.text) }
        // Only now: it takes as long as a start of a container.
        if let problem = program.problem() { return RuntimeError(.unsupported, operation, container, cause: problem) }
        let told = response.flatMap { $0.errorText.isEmpty ? nil : $0.errorText }
        let reason = CriuLog.reason(work.fd, log) ?? told ?? failure.text
        let place = work.fd.exists(log) ? "; its log is \(workPath)/\(log)" : ""
        return RuntimeError(.system, operation, container, cause: "criu: " + reason + place)
    }
}
