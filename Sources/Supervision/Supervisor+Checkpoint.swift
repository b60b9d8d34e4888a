import CLinux
import Control
import Glibc
import Linux
import Networks

/// A checkpoint that is being made for a client.
struct PendingCheckpoint {
    /// Of the runtime's command.
    let pid: Int32
    let client: ControlClient
    /// Of the request, which the answer repeats.
    let sequence: UInt32
    let order: CheckpointOrder
    /// Where the runtime's messages go.
    let messages: SharedFD
}

/// Checkpoints: made by the runtime's command as a child, so that we go on serving: it waits for CRIU and for the disk.
///
/// Three ends come in any order: the client's, the command's and, when all goes well, that of the container's first process. The last counts
/// only once the command has ended: before, nobody knows whether a checkpoint is the reason.
extension Supervisor {
    func refuseDuringCheckpoint() throws(ControlError) {
        if checkpoint != nil { throw refusal("a checkpoint of the container is being made") }
    }

    /// Begins; the answer follows when the images are whole or there will be none.
    func checkpoint(_ client: ControlClient, _ sequence: UInt32, _ order: CheckpointOrder) throws(ControlError) {
        guard stage == .running, record.phase == .running else { throw refusal("container is not running") }
        guard config.runtime.isEmpty else { throw refusal("it is run by another runtime: \(config.runtime)") }
        try refuseDuringCheckpoint()
        // Whoever copies from it has frozen it by itself, and may want both of one moment.
        if isPaused || clients.contains(where: { $0.keepsFrozen && $0 !== client }) { throw refusal("container is paused") }
        var words = [
            "berth-runtime", "--root", ContainerFiles.runtimeRoot(run: arguments.run), "--log", "/proc/self/fd/3", "--log-format", "json",
            "--criu",
            order.program, "checkpoint", "--keep-state", "--image-path", order.staging, "--publish-as", order.target, "--work-path",
            order.work,
        ]
        if !order.parent.isEmpty { words += ["--parent-path", order.parent] }
        for (option, word) in Self.words where order.options.contains(option) { words.append(word) }
        // A command that was killed together with its supervisor.
        try? removeTree(.cwd, order.staging)
        pauseProbes()
        do throws(SystemError) {
            let null = try FD.cwd.open("/dev/null", .readWrite)
            let messages = SharedFD(owning: try check(cl_memfd_create("messages", 1 /* CLOEXEC */), "make memory file"))
            var request = SpawnRequest("/proc/self/exe", words + [arguments.id])
            request.descriptors = [(null.fd, 0), (null.fd, 1), (null.fd, 2), (messages.fd, 3)]
            unprotectFromOutOfMemory()
            defer { protectFromOutOfMemory() }
            let child = try spawn(request)
            checkpoint = PendingCheckpoint(pid: child.pid, client: client, sequence: sequence, order: order, messages: messages)
        } catch {
            resumeProbes()
            throw refusal(error.description)
        }
    }

    private static let words: [(CheckpointOrder.Options, String)] = [
        (.leavesRunning, "--leave-running"), (.establishedConnections, "--tcp-established"), (.fileLocks, "--file-locks"),
        (.isPreDump, "--pre-dump"), (.replaces, "--replace"),
    ]

    private func resumeProbes() {
        if stage == .running, !isFrozen(record.freezeFile) { health?.resume() }
    }

    /// The runtime's command has ended.
    func checkpointEnded(_ status: ExitStatus) {
        guard let done = checkpoint else { return }
        checkpoint = nil
        let order = done.order
        let isDone = status == .exited(0)
        // Of a failure what was written so far, of a success what had the name before.
        try? removeTree(.cwd, order.staging)
        if isDone, !order.options.contains(.isPreDump) { tell("checkpoint") }
        let ends = isDone && !order.options.contains(.leavesRunning) && !order.options.contains(.isPreDump)
        if ends {
            isCheckpointed = true
            // As after a stop, no policy starts it again.
            manuallyStopped = true
        } else if ended == nil {
            resumeProbes()
        }
        guard done.client.token != nil else { return }
        var answer = ControlEvent.done
        if !isDone {
            answer = .failed(exitCode: 125, text: lastMessage(done.messages.fd) ?? "berth-runtime checkpoint: exit status \(status.code)")
        }
        if !done.client.send(answer, sequence: done.sequence) { remove(done.client) }
    }

    /// Nobody wants it any more. The command lets the container go on, and ends.
    func giveUpCheckpoint(of client: ControlClient) {
        if checkpoint?.client === client { giveUpCheckpoint() }
    }

    /// Also where the container is to end: whoever stops it does not wait for a CRIU that hangs.
    func giveUpCheckpoint() {
        if let checkpoint { _ = cl_kill(checkpoint.pid, SIGTERM) }
    }

    // MARK: Restores

    /// Before the container has its address: its connections are to be found where they are asked for.
    func lockPackets(_ namespace: SharedFD) throws(LaunchFailure) {
        guard record.isRestored, config.restore?.establishedConnections == true else { return }
        do throws(SystemError) { try PacketLock.lock(namespace.fd) } catch { throw LaunchFailure(error.description) }
        lockedNetwork = namespace
    }

    /// Its sockets are there.
    func unlockPackets() throws(LaunchFailure) {
        guard let namespace = lockedNetwork else { return }
        lockedNetwork = nil
        do throws(SystemError) { try PacketLock.unlock(namespace.fd) } catch { throw LaunchFailure(error.description) }
    }
}
