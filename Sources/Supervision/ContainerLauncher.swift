import Control
import Linux

/// Stdio for one run of a container.
package struct ContainerStdio {
    /// The container's ends; with a terminal they are not used.
    package var input: SharedFD
    package var output: SharedFD
    package var error: SharedFD

    package init(input: SharedFD, output: SharedFD, error: SharedFD) {
        self.input = input
        self.output = output
        self.error = error
    }
}

/// Why a container could not be made or started, with docker's exit code for it.
package struct LaunchFailure: Error, Sendable {
    /// 127: the program does not exist; 126: it cannot be executed; 125: anything else.
    package var exitCode: Int32
    package var text: String

    package init(exitCode: Int32 = 125, _ text: String) {
        self.exitCode = exitCode
        self.text = text
    }
}

/// A container that exists: its first process is, or has become, a child of this process.
package struct LaunchedContainer {
    package var pid: Int32
    package var pidfd: SharedFD
    /// The terminal's master.
    package var console: SharedFD?
    /// Says whether the cgroup is frozen; see ``PhaseRecord/freezeFile``.
    package var freezeFile: String

    package init(pid: Int32, pidfd: SharedFD, console: SharedFD? = nil, freezeFile: String = "") {
        self.pid = pid
        self.pidfd = pidfd
        self.console = console
        self.freezeFile = freezeFile
    }
}

/// Whatever makes containers: our runtime, an external one, or a test's plain child.
///
/// One run after the other: `create`, `start`, then after its end `delete`, then perhaps `create` again.
package protocol ContainerLauncher: AnyObject {
    /// - Parameter whileMaking: called with the container's network namespace once the first process is in it, while the rest of the
    ///   container is made. What it throws ends the creation. A launcher that sees the process only when all is made does not call it.
    func create(
        _ stdio: ContainerStdio, whileMaking: @escaping (SharedFD) throws(LaunchFailure) -> Void
    ) throws(LaunchFailure) -> LaunchedContainer
    /// Returns once the program runs.
    func start() throws(LaunchFailure)
    /// Signals the first process.
    func kill(_ signal: Int32) throws(LaunchFailure)
    /// SIGKILL to every process of the container, frozen or not.
    func killAll()
    func setFrozen(_ frozen: Bool) throws(LaunchFailure)
    /// Begins to run a program in the running container, as its user, with its environment and restrictions. Does not wait for it.
    ///
    /// - Parameters:
    ///   - output: for both output streams.
    ///   - oomScore: the process's where config.json has none; nil: the caller's.
    func beginProbe(_ command: [String], input: FD, output: FD, oomScore: Int?) throws(LaunchFailure) -> any ProbeProcess
    /// How many of its processes the kernel's OOM killer has killed.
    func outOfMemoryKills() -> UInt64
    /// After its end, or before its start: takes down what is left (processes, cgroup, state) and runs poststop hooks.
    func delete()
    /// For removing files of subordinate ids: the user namespace they are mapped in; nil when there is none.
    var userNamespace: SharedFD? { get }
    /// The next `create` makes the container from a checkpoint.
    var restores: Bool { get }
    /// Whoever waits for the container, if anybody: a restore that may take long ends when it has gone.
    var starter: FD? { get set }
}

extension ContainerLauncher {
    package var restores: Bool { false }
    package var starter: FD? {
        get { nil }
        set { _ = newValue }
    }
}
