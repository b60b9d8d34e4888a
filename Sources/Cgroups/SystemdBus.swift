import CLinux
import Glibc
import Linux

/// A connection to systemd's own socket: D-Bus without a bus daemon in between.
///
/// systemd listens at `/run/systemd/private` for root and below XDG_RUNTIME_DIR for the manager of a user, and speaks
/// D-Bus there; systemctl goes the same way. Nothing has to be installed for it.
/// Spec: D-Bus specification, "Authentication Protocol"; org.freedesktop.systemd1(5).
final class SystemdBus {
    private let socket: SharedFD
    private var serial: UInt32 = 0
    private var input: [UInt8] = []
    /// Ends of jobs that were told before somebody asked: object path and result.
    private var finished: [(job: String, result: String)] = []
    private let deadline: Int64

    /// The socket of the manager that answers to this user.
    static func address(rootless: Bool) -> String {
        if !rootless { return "/run/systemd/private" }
        let directory = environmentVariable("XDG_RUNTIME_DIR") ?? ""
        return (directory.isEmpty ? "/run/user/\(userIDOutside())" : directory) + "/systemd/private"
    }

    /// Connects and says who we are.
    /// - Parameter seconds: for everything that is asked on this connection.
    /// - Throws: `.systemdMissing` when nobody listens, `.systemd` when it does not let us in.
    init(_ path: String, seconds: Int64 = 30) throws(CgroupError) {
        deadline = monotonicNanoseconds() + seconds * 1_000_000_000
        do throws(SystemError) { socket = SharedFD(try connectLocal(path, kind: .stream)) } catch {
            throw CgroupError(
                .systemdMissing, "reach systemd at", "\"\(path)\"", error.errno.description, errno: error.errno)
        }
        // Without a name of our own: the kernel tells the other side who we are, also from within a user namespace.
        // BEGIN goes along at once, and a message only after the answer: what systemd reads together with BEGIN it keeps
        // until more arrives.
        try write(Array("\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n".utf8))
        var answer = try line()
        if answer.hasPrefix("DATA") { answer = try line() }
        guard answer.hasPrefix("OK") else { throw Self.failure("log in to systemd", path, answer) }
    }

    /// Calls a method of the manager and returns the body of its answer.
    /// - Throws: `.systemd` with systemd's own words.
    @discardableResult
    func call(
        _ member: String, _ signature: String = "", _ object: String = "", _ body: SystemdBytes = SystemdBytes()
    )
        throws(CgroupError) -> [UInt8]
    {
        serial += 1
        try write(SystemdMessage.call(member, serial: serial, signature: signature, body: body.bytes))
        while true {
            let message = try receive()
            guard message.replyTo == serial else { continue }
            if message.kind == .reply { return message.body }
            var reader = SystemdReader(message.body)
            let text = message.signature.hasPrefix("s") ? reader.text() ?? "" : ""
            throw Self.failure(member, object, text.isEmpty ? message.errorName : text, name: message.errorName)
        }
    }

    /// Calls a method that starts a job, and waits until the job is done. A connection such as this one gets all signals.
    /// - Throws: `.systemd` when the job failed, `.timedOut`.
    func run(_ member: String, _ signature: String, _ object: String, _ body: SystemdBytes) throws(CgroupError) {
        var reader = SystemdReader(try call(member, signature, object, body))
        guard let job = reader.text() else { throw Self.failure(member, object, "the answer names no job") }
        while true {
            if let end = finished.first(where: { $0.job == job }) {
                if end.result == "done" { return }
                throw Self.failure(member, object, "the job ended as \"\(end.result)\"")
            }
            _ = try receive()
        }
    }

    static func failure(_ operation: String, _ object: String, _ cause: String, name: String = "") -> CgroupError {
        let code: CgroupError.Code = name.hasSuffix(".UnitExists") ? .notEmpty : .systemd
        return CgroupError(code, "ask systemd for", object.isEmpty ? operation : "\(operation) \"\(object)\"", cause)
    }

    // MARK: The wire

    private func write(_ bytes: [UInt8]) throws(CgroupError) {
        try rewording { () throws(SystemError) in try socket.fd.writeAll(bytes) }
    }

    private func receive() throws(CgroupError) -> SystemdMessage {
        try fill(16)
        guard let length = SystemdMessage.length(Array(input.prefix(16))) else {
            throw Self.failure("read from systemd", "", "what it sent is no D-Bus message")
        }
        try fill(length)
        guard let message = SystemdMessage(Array(input.prefix(length))) else {
            throw Self.failure("read from systemd", "", "what it sent is no D-Bus message")
        }
        input.removeFirst(length)
        if message.kind == .signal, message.member == "JobRemoved", message.signature == "uoss" {
            var reader = SystemdReader(message.body)
            if reader.number() != nil, let job = reader.text(), reader.text() != nil, let result = reader.text() {
                finished.append((job, result))
            }
        }
        return message
    }

    private func line() throws(CgroupError) -> String {
        while true {
            if let end = input.firstIndex(of: 10) {
                let text = String(decoding: input[..<end], as: UTF8.self)
                input.removeFirst(end + 1)
                return text
            }
            if input.count > 4096 { throw Self.failure("log in to systemd", "", "its answer has no end") }
            try fill(input.count + 1)
        }
    }

    /// Reads until so many bytes are there.
    private func fill(_ count: Int) throws(CgroupError) {
        while input.count < count {
            let left = (deadline - monotonicNanoseconds()) / 1_000_000
            var fds = [socket.raw]
            var events: [Int16] = [1 /* POLLIN */]
            var ready: [Int16] = [0]
            let polled = left <= 0 ? 0 : cl_poll(&fds, &events, &ready, 1, Int32(clamping: left))
            if polled == -EINTR { continue }
            if polled <= 0 { throw CgroupError(.timedOut, "wait for", "systemd", "it did not answer in time") }
            var buffer = [UInt8](repeating: 0, count: 8192)
            let got = cl_read(socket.raw, &buffer, buffer.count)
            if got == -EINTR { continue }
            if got < 0 { throw CgroupError(Errno(rawValue: Int32(truncatingIfNeeded: -got)), "read from", "systemd") }
            if got == 0 { throw Self.failure("read from systemd", "", "it closed the connection") }
            input += buffer[..<got]
        }
    }
}
