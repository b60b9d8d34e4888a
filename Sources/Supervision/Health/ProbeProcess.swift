import CLinux
import Control
import Glibc
import Linux
import Runtime

/// One run of a probe, on its way or running.
package protocol ProbeProcess: AnyObject {
    /// The child whose end is the probe's; 0 until it is known.
    var pid: Int32 { get }
    /// Readable when ``advance()`` has something to do; nil: there is only its end to wait for.
    var progress: SharedFD? { get }
    /// - Returns: whether the program runs.
    /// - Throws: why it cannot.
    func advance() throws(LaunchFailure) -> Bool
    /// SIGKILL to it and to what it has started.
    func kill()
    /// A child of this process has been reaped.
    ///
    /// - Returns: whether that was the last of a probe that was killed.
    func childEnded(_ child: Int32) -> Bool
}

/// Probes of a container of our own runtime: processes born in it, without a program of ours in between.
final class RuntimeProbe: ProbeProcess {
    private let exec: RepeatedExec
    private let stage: Int32
    private(set) var pid: Int32 = 0
    private var starting: StartingExec?
    private var stageHasEnded = false

    init(_ exec: RepeatedExec, input: FD, output: FD) throws(LaunchFailure) {
        self.exec = exec
        let made: StartingExec
        do throws(RuntimeError) { made = try exec.begin(input: input, output: output) } catch { throw LaunchFailure(error) }
        stage = made.stage
        starting = made
    }

    var progress: SharedFD? { starting?.sync }

    func advance() throws(LaunchFailure) -> Bool {
        guard let starting else { return true }
        do throws(RuntimeError) {
            guard try starting.advance() else {
                pid = starting.pid
                return false
            }
        } catch {
            pid = starting.pid
            throw LaunchFailure(error)
        }
        self.starting = nil
        return true
    }

    func kill() {
        if pid > 0 { return exec.kill(pid) }
        // A process whose number has not come yet waits for our word, and ends when it sees that none will come.
        starting = nil
        if !stageHasEnded { _ = cl_kill(stage, SIGKILL) }
    }

    func childEnded(_ child: Int32) -> Bool {
        if child == stage { stageHasEnded = true }
        return pid > 0 ? child == pid : child == stage
    }
}

/// Probes of a container of another runtime: its `exec`.
final class ExternalProbe: ProbeProcess {
    private let process: SpawnedProcess
    private let pidFile: String

    init(_ process: consuming SpawnedProcess, pidFile: String) {
        self.process = process
        self.pidFile = pidFile
    }

    var pid: Int32 { process.pid }
    var progress: SharedFD? { nil }
    func advance() throws(LaunchFailure) -> Bool { true }
    func childEnded(_ child: Int32) -> Bool { child == process.pid }

    func kill() {
        // The runtime's command does not take it along when it is killed.
        if let text = try? FD.cwd.readText(pidFile, limit: 64), let inside = Int32(text.filter(\.isNumber)), inside > 1 {
            let found = ProcessTree.find(root: inside, among: ProcessTree.allProcesses())
            for process in found { try? process.fd.sendSignal(SIGKILL) }
        }
        try? process.pidfd.fd.sendSignal(SIGKILL)
    }
}
