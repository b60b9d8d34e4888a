import CLinux
import Control
import Glibc
import JSON
import Linux

/// What a client asks of a further process besides its document.
struct ExecWish {
    /// 64 hexadecimal digits, or empty.
    let id: String
    let terminal: Bool
}

/// A further process that is being started for a client.
struct PendingExec {
    let pid: Int32
    let client: ControlClient
    /// Of the request, which the answer repeats.
    let sequence: UInt32
    /// Where the runtime's messages go: its standard error is the new process's too.
    let messages: SharedFD
    let id: String
    /// Where the runtime writes whose end we will see.
    let pidFile: String
    /// What the runtime hands the terminal's master to, and its name.
    let console: ConsoleSink?
}

/// A further process that lives.
struct RunningExec {
    let pid: Int32
    let id: String
    let registration: ExecRegistration?
}

/// `exec -d`: processes nobody waits for in the foreground.
///
/// Started by us they are ours to reap, as the container's orphans are; started by a command that ends they would become
/// children of the host's process 1, whatever that does with them.
extension Supervisor {
    /// Begins to start a process; the answer follows when it runs or cannot.
    func exec(_ client: ControlClient, _ sequence: UInt32, _ wish: ExecWish, _ descriptors: [SharedFD]) throws(ControlError) {
        guard stage == .running else { throw refusal("container is not running") }
        guard config.runtime.isEmpty else { throw ControlError(.protocol, "exec", cause: "the runtime is not ours") }
        guard descriptors.count == 1, let process = descriptors.first else {
            throw refusal("exec came without its process")
        }
        // A file of the runtime's for each.
        let name = ExecRegistration.isIdentifier(wish.id) ? wish.id : "exec-\(sequence)"
        let base = ContainerFiles.runDirectory(run: arguments.run, id: arguments.id) + "/" + name
        do throws(SystemError) {
            let null = try FD.cwd.open("/dev/null", .readWrite)
            let messages = SharedFD(owning: try check(cl_memfd_create("messages", 1 /* CLOEXEC */), "make memory file"))
            let console = wish.terminal ? try ConsoleSink(loop, path: base + ".sock") : nil
            var words = [
                "berth-runtime", "--root", ContainerFiles.runtimeRoot(run: arguments.run), "--log", "/proc/self/fd/4",
                "--log-format", "json", "exec", "--detach", "--process", "/proc/self/fd/3", "--pid-file", base + ".pid",
            ]
            if let console { words += ["--console-socket", console.path] }
            var request = SpawnRequest("/proc/self/exe", words + [arguments.id])
            request.descriptors = [(null.fd, 0), (null.fd, 1), (null.fd, 2), (process.fd, 3), (messages.fd, 4)]
            // Children inherit the score, and the container's may be killed.
            unprotectFromOutOfMemory()
            defer { protectFromOutOfMemory() }
            let child = try spawn(request)
            execs.append(
                PendingExec(
                    pid: child.pid, client: client, sequence: sequence, messages: messages, id: wish.id, pidFile: base + ".pid",
                    console: console))
        } catch {
            throw refusal(error.description)
        }
    }

    /// A child that is not the container's first process has ended: an orphan of the container, a further process, or the runtime that
    /// has done, or could not do, what a client waits for.
    func otherEnded(_ pid: Int32, _ status: ExitStatus) {
        if let userPorts, pid == userPorts.forwarder {
            // Somebody has killed it. Its ports are still ours.
            if userPorts.forwarderEnded(), stage == .running { forwardPorts() }
            return
        }
        if pid == checkpoint?.pid { return checkpointEnded(status) }
        if health?.childEnded(pid, status) == true { return }
        if let index = runningExecs.firstIndex(where: { $0.pid == pid }) {
            tellEnd(of: runningExecs.remove(at: index), status)
            return
        }
        guard let index = execs.firstIndex(where: { $0.pid == pid }) else {
            if !execs.isEmpty { unclaimed.append((pid, status)) }
            return
        }
        let exec = execs.remove(at: index)
        if status == .exited(0) { began(exec) } else { exec.console?.close() }
        _ = cl_unlinkat(AT_FDCWD, exec.pidFile, 0)
        if execs.isEmpty { unclaimed = [] }
        guard exec.client.token != nil else { return }
        var answer = ControlEvent.done
        if status != .exited(0) {
            let code = status.code
            answer = .failed(
                exitCode: code == 126 || code == 127 ? code : 125, text: lastMessage(exec.messages.fd) ?? "exit status \(code)")
        }
        if !exec.client.send(answer, sequence: exec.sequence) { remove(exec.client) }
    }

    private func began(_ exec: PendingExec) {
        guard !exec.id.isEmpty, let text = try? FD.cwd.readText(exec.pidFile, limit: 64), let pid = Int32(text.filter(\.isNumber)) else {
            return
        }
        let running = RunningExec(
            pid: pid, id: exec.id, registration: ExecRegistration(run: arguments.run, container: arguments.id, exec: exec.id))
        // It may have been faster than the runtime that has started it.
        if let ended = unclaimed.first(where: { $0.pid == pid }) {
            tellEnd(of: running, ended.status)
        } else {
            runningExecs.append(running)
        }
    }

    private func tellEnd(of exec: RunningExec, _ status: ExitStatus) {
        exec.registration?.withdraw()
        tell("exec_die", ["execID": exec.id, "exitCode": "\(status.code)"])
    }

    func lastMessage(_ messages: FD) -> String? {
        guard cl_lseek(messages.rawValue, 0, SEEK_SET) == 0, let bytes = try? messages.readAll(limit: 1 << 16) else { return nil }
        let last = bytes.split(separator: UInt8(ascii: "\n")).last
        return last.flatMap { try? JSONValue.parse(Array($0)) }?["msg"]?.string
    }
}

/// The terminal of a process in the background: what it writes is read, because a terminal that is full stops its writer, and goes
/// nowhere.
final class ConsoleSink {
    let path: String
    private let loop: EventLoop
    /// The socket that is listened to, the runtime's connection, and then the terminal.
    private var source: SharedFD
    private var token: EventLoop.Token?
    /// Keeps itself while the process has the terminal.
    private var own: ConsoleSink?

    init(_ loop: EventLoop, path: String) throws(SystemError) {
        self.loop = loop
        self.path = path
        source = SharedFD(try listenLocal(path, kind: .stream))
        own = self
        token = try loop.add(source.fd, .readable) { [unowned self] _ in accept() }
    }

    func close() {
        if let token { loop.remove(token) }
        token = nil
        _ = cl_unlinkat(AT_FDCWD, path, 0)
        own = nil
    }

    private func follow(_ next: SharedFD, _ handler: @escaping (EventLoop.Events) -> Void) {
        if let token { loop.remove(token) }
        source = next
        token = try? loop.add(next.fd, .readable, handler)
        if token == nil { close() }
    }

    private func accept() {
        let number = cl_accept4(source.raw, Int32(SOCK_CLOEXEC.rawValue))
        guard number >= 0 else { return close() }
        _ = cl_unlinkat(AT_FDCWD, path, 0)
        follow(SharedFD(owning: number)) { [unowned self] _ in receive() }
    }

    private func receive() {
        guard let message = try? source.fd.receive(limit: 4096, flags: 0x40 /* MSG_DONTWAIT */), let console = message.descriptors.first,
            (try? console.fd.setNonBlocking(true)) != nil
        else { return close() }
        follow(console) { [unowned self] _ in discard() }
    }

    private func discard() {
        withUnsafeTemporaryAllocation(byteCount: 16 << 10, alignment: 8) { buffer in
            for _ in 0..<8 {
                let count = cl_read(source.raw, buffer.baseAddress, buffer.count)
                if count == -Int(EAGAIN) { return }
                // EIO: nobody has it open any more.
                if count <= 0 { return close() }
            }
        }
    }
}
