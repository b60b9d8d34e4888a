import CLinux
import Glibc
import Linux

/// The conversation between the process that creates a container and the container's first process, over one
/// SOCK_SEQPACKET pair. Every step is named and answered, so neither side can run ahead of the other.
///
/// ```
///   parent                                child
///   clone3 ───────────────────────────►   [1:JOIN]
///   (only where namespaces are joined: child + pid from the stage, proceed to the process)
///   write id maps ── mapped ──────────►   becomes root of its namespace, mounts           [2:ROOTFS]
///        ◄───────── mounted ───────────   (only when there are hooks)
///   prestart, createRuntime ── hooked ►   createContainer hooks, pivot_root, …
///        ◄───────── console + fd ──────   (only with a terminal)
///        ◄───────── ready ─────────────   waits at the gate                              [3:CREATED]
///   start: one byte into the gate ────►   startContainer hooks, seccomp, capabilities, execve
///        ◄───────── end of file ───────   (the socket is CLOEXEC: its end means that execve happened)
/// ```
/// At any point the child may send `failed` and exit.
struct SyncChannel {
    enum Step: UInt8 {
        case child = 1  // payload: pid, 4 bytes native; from the joining stage
        case mapped = 2
        case mounted = 3
        case hooked = 4
        case console = 5  // carries the pty master
        case ready = 6
        case proceed = 8  // to a process whose pid came from the joining stage: it is known now
        case failed = 7  // payload: code, operation, object, cause, NUL-separated
    }

    let socket: FD

    func send(_ step: Step, _ payload: [UInt8] = [], descriptors: [FD] = []) throws(SystemError) {
        try socket.send([step.rawValue] + payload, descriptors: descriptors)
    }

    /// Tells the parent why the child ends. Failures of this call itself have nobody left to hear them.
    func sendFailure(_ error: RuntimeError) {
        let text = [error.code.rawValue, error.operation, error.object ?? "", error.cause].joined(separator: "\0")
        try? send(.failed, Array(text.utf8.prefix(16 << 10)))
    }

    /// Waits for the next message; nil at the end of file.
    /// - Throws: the child's own error when it reports one.
    func receive() throws(RuntimeError) -> (step: Step, payload: [UInt8], descriptors: [SharedFD])? {
        let message: Message
        do throws(SystemError) { message = try socket.receive(limit: 32 << 10) } catch {
            if error.errno == .connectionReset { return nil }
            throw RuntimeError(error)
        }
        guard let first = message.bytes.first else { return nil }
        guard let step = Step(rawValue: first) else {
            throw RuntimeError(.system, "synchronise with container process", cause: "unknown message \(first)")
        }
        let payload = Array(message.bytes.dropFirst())
        if step == .failed { throw Self.decodeFailure(payload) }
        return (step, payload, message.descriptors)
    }

    /// Waits for one particular message.
    /// - Throws: when the other side ends or says something else.
    @discardableResult
    func expect(_ wanted: Step) throws(RuntimeError) -> (payload: [UInt8], descriptors: [SharedFD]) {
        guard let message = try receive() else {
            throw RuntimeError(.system, "wait for container process", cause: "it ended before it was ready")
        }
        guard message.step == wanted else {
            throw RuntimeError(
                .system, "synchronise with container process",
                cause: "expected message \(wanted.rawValue), got \(message.step.rawValue)")
        }
        return (message.payload, message.descriptors)
    }

    private static func decodeFailure(_ payload: [UInt8]) -> RuntimeError {
        let parts = payload.split(separator: 0, maxSplits: 3, omittingEmptySubsequences: false)
            .map { String(decoding: $0, as: UTF8.self) }
        guard parts.count == 4 else { return RuntimeError(.system, "start container process", cause: "unreadable error") }
        return RuntimeError(
            RuntimeError.Code(rawValue: parts[0]), parts[1], parts[2].isEmpty ? nil : parts[2], cause: parts[3])
    }
}
