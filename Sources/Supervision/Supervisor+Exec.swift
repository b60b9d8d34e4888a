import CLinux
import Control
import Glibc
import JSON
import Linux

/// A further process that is being started for a client.
struct PendingExec {
    let pid: Int32
    let client: ControlClient
    /// Of the request, which the answer repeats.
    let sequence: UInt32
    /// Where the runtime's messages go: its standard error is the new process's too.
    let messages: SharedFD
}

/// `exec -d`: processes nobody waits for in the foreground.
///
/// Started by us they are ours to reap, as the container's orphans are; started by a command that ends they would become
/// children of the host's process 1, whatever that does with them.
extension Supervisor {
    /// Begins to start a process; the answer follows when it runs or cannot.
    func exec(_ client: ControlClient, _ sequence: UInt32, _ descriptors: [SharedFD]) throws(ControlError) {
        guard stage == .running else { throw refusal("container is not running") }
        guard config.runtime.isEmpty else { throw ControlError(.protocol, "exec", cause: "the runtime is not ours") }
        guard descriptors.count == 1, let process = descriptors.first else {
            throw refusal("exec came without its process")
        }
        do throws(SystemError) {
            let null = try FD.cwd.open("/dev/null", .readWrite)
            let messages = SharedFD(owning: try check(cl_memfd_create("messages", 1 /* CLOEXEC */), "make memory file"))
            var request = SpawnRequest(
                "/proc/self/exe",
                [
                    "berth-runtime", "--root", ContainerFiles.runtimeRoot(run: arguments.run), "--log", "/proc/self/fd/4",
                    "--log-format", "json", "exec", "--detach", "--process", "/proc/self/fd/3", arguments.id,
                ])
            request.descriptors = [(null.fd, 0), (null.fd, 1), (null.fd, 2), (process.fd, 3), (messages.fd, 4)]
            // Children inherit the score, and the container's may be killed.
            unprotectFromOutOfMemory()
            defer { protectFromOutOfMemory() }
            let child = try spawn(request)
            execs.append(PendingExec(pid: child.pid, client: client, sequence: sequence, messages: messages))
        } catch {
            throw refusal(error.description)
        }
    }

    /// A child that is not the container's first process has ended: an orphan of the container, or the runtime that has
    /// done, or could not do, what a client waits for.
    func otherEnded(_ pid: Int32, _ status: ExitStatus) {
        if let userPorts, pid == userPorts.forwarder {
            // Somebody has killed it. Its ports are still ours.
            if userPorts.forwarderEnded(), stage == .running { forwardPorts() }
            return
        }
        guard let index = execs.firstIndex(where: { $0.pid == pid }) else { return }
        let exec = execs.remove(at: index)
        guard exec.client.token != nil else { return }
        var answer = ControlEvent.done
        if status != .exited(0) {
            let code = status.code
            answer = .failed(
                exitCode: code == 126 || code == 127 ? code : 125, text: lastMessage(exec.messages.fd) ?? "exit status \(code)")
        }
        if !exec.client.send(answer, sequence: exec.sequence) { remove(exec.client) }
    }

    private func lastMessage(_ messages: FD) -> String? {
        guard cl_lseek(messages.rawValue, 0, SEEK_SET) == 0, let bytes = try? messages.readAll(limit: 1 << 16) else { return nil }
        let last = bytes.split(separator: UInt8(ascii: "\n")).last
        return last.flatMap { try? JSONValue.parse(Array($0)) }?["msg"]?.string
    }
}
