import CLinux
import Control
import Glibc
import Linux

@testable import Supervision

/// "Containers" that are plain children running `/bin/sh -c SCRIPT`: everything but isolation.
final class ForkLauncher: ContainerLauncher {
    private let script: String
    private let terminal: Bool
    private var pid: Int32 = 0
    private var gate: SharedFD?
    private(set) var userNamespace: SharedFD?

    /// - Parameter script: `$0` in it is the scratch directory.
    init(_ script: String, directory: String, terminal: Bool) {
        self.script = script
        self.terminal = terminal
        self.directory = directory
    }
    private let directory: String

    func create(
        _ stdio: ContainerStdio, whileMaking: @escaping (SharedFD) throws(LaunchFailure) -> Void
    ) throws(LaunchFailure) -> LaunchedContainer {
        if script == "FAIL-CREATE" { throw LaunchFailure(exitCode: 125, "no such image") }
        guard let pair = try? makePipe().take() else { throw LaunchFailure("pipe") }
        let mine = SharedFD(owning: pair.second)
        var console: SharedFD?
        if terminal {
            console = SharedFD(owning: cl_openat(AT_FDCWD, "/dev/ptmx", O_RDWR | O_NOCTTY, 0))
            if let console { _ = cl_unlockpt(console.raw) }
        }
        pid = forkChild { [script, directory] in
            cl_signal_default_all()
            _ = cl_setsid()
            var fds = [stdio.input.raw, stdio.output.raw, stdio.error.raw]
            if let console {
                let peer = cl_tiocgptpeer(console.raw, O_RDWR)
                _ = cl_set_controlling_terminal(peer)
                fds = [peer, peer, peer]
            }
            for (index, fd) in fds.enumerated() { _ = cl_dup3(fd, Int32(index), 0) }
            _ = cl_dup3(pair.first, 3, 0)
            _ = cl_close_range(4, .max, 0)
            var byte: UInt8 = 0
            guard cl_read(3, &byte, 1) == 1 else { return 99 }
            _ = cl_close(3)
            let argv = CStringArray(["sh", "-c", script, directory])
            _ = cl_execveat(AT_FDCWD, "/bin/sh", argv.pointer, cl_environment(), 0)
            return 127
        }
        _ = cl_close(pair.first)
        gate = mine
        guard let pidfd = try? openProcess(pid) else { throw LaunchFailure("pidfd") }
        return LaunchedContainer(pid: pid, pidfd: SharedFD(pidfd), console: console)
    }

    func start() throws(LaunchFailure) {
        if script == "FAIL-START" { throw LaunchFailure(exitCode: 127, "execute \"x\": no such file or directory") }
        guard let gate, (try? gate.fd.writeAll([1])) != nil else { throw LaunchFailure("gate") }
        self.gate = nil
    }

    func kill(_ signal: Int32) throws(LaunchFailure) {
        if cl_kill(pid, signal) < 0 { throw LaunchFailure("no such process") }
    }
    func killAll() { _ = cl_kill(-pid, SIGKILL) }
    func setFrozen(_ frozen: Bool) throws(LaunchFailure) { try kill(frozen ? SIGSTOP : SIGCONT) }
    func beginProbe(_ command: [String], input: FD, output: FD, oomScore: Int?) throws(LaunchFailure) -> any ProbeProcess {
        guard command.first != "/nosuch" else { throw LaunchFailure(exitCode: 127, "exec \"/nosuch\": no such file or directory") }
        var request = SpawnRequest(command[0], command, descriptors: [(input, 0), (output, 1), (output, 2)])
        request.newSession = true
        guard let process = try? spawn(request) else { throw LaunchFailure("spawn") }
        return ForkProbe(process.pid)
    }

    func outOfMemoryKills() -> UInt64 { FD.cwd.exists(directory + "/oom") ? 1 : 0 }
    func delete() {
        // Like a cgroup: nothing of the session is left.
        _ = cl_kill(-pid, SIGKILL)
        gate = nil
        try? FD.cwd.writeFile(directory + "/deleted", [])
    }
}

private final class ForkProbe: ProbeProcess {
    let pid: Int32
    init(_ pid: Int32) { self.pid = pid }
    var progress: SharedFD? { nil }
    func advance() throws(LaunchFailure) -> Bool { true }
    func kill() { for process in ProcessTree.find(root: pid, among: ProcessTree.allProcesses()) { try? process.fd.sendSignal(SIGKILL) } }
    func childEnded(_ child: Int32) -> Bool { child == pid }
}
