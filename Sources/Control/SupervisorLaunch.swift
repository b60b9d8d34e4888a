import Linux

/// How to start the supervisor of a container.
public struct SupervisorLaunch {
    /// Path of `berth-runtime`, for messages and for running it when `executable` is nil.
    public var program: String
    /// The program as a descriptor on a read-only mount (CVE-2019-5736).
    public var executable: FD?
    public var store: String
    public var run: String
    public var id: String
    public var environment: [String]
    /// Where it may complain until it can talk to us; it lets go of it before the container starts.
    public var standardError: FD = .standardError

    public init(
        program: String, executable: FD? = nil, store: String, run: String, id: String,
        environment: [String] = currentEnvironment()
    ) {
        self.program = program
        self.executable = executable
        self.store = store
        self.run = run
        self.id = id
        self.environment = environment
    }
}

extension SupervisorConnection {
    /// Starts a supervisor, which gets itself ready and waits for ``create()``: its program is loaded while the caller
    /// still writes the container's files.
    ///
    /// It is in a session of its own and outlives this process. After ``create()`` post `.attach` and `.start`, or wait for
    /// ``waitForCreated()`` in between to prepare what needs the container's namespaces. Dropping the connection ends the
    /// supervisor before ``create()``, and deletes the container before `.start`.
    /// - Throws: `.system` when it cannot be spawned.
    public static func launch(_ launch: SupervisorLaunch) throws(ControlError) -> SupervisorConnection {
        do throws(SystemError) {
            let (ours, theirs) = try makeSocketPair(.sequencedPacket).take()
            let socket = OwnedFD(owning: ours)
            let remote = OwnedFD(owning: theirs)
            let null = try FD.cwd.open("/dev/null", .readWrite)
            var request = SpawnRequest(
                launch.program,
                [
                    "berth-runtime", "supervise", "--store", ContainerFiles.directory(store: launch.store, id: launch.id),
                    "--run", launch.run, "--id", launch.id,
                ],
                environment: launch.environment,
                descriptors: [(null.fd, 0), (null.fd, 1), (launch.standardError, 2), (remote.fd, 3)])
            request.executable = launch.executable
            request.workingDirectory = "/"
            request.newSession = true
            let process = try spawn(request)
            return SupervisorConnection(id: launch.id, socket: socket, child: process.pid)
        } catch {
            throw ControlError(error, "start supervisor of", launch.id)
        }
    }
}
