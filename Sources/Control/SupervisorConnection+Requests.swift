import Linux

/// What a command does with a container, in the words of the protocol.
extension SupervisorConnection {
    /// Waits until the container exists and its process waits before execve.
    ///
    /// - Returns: the pid, for setting up what needs its namespaces before ``start()``.
    /// - Throws: `.startFailed` with exit code 125, 126 or 127.
    public func waitForCreated() throws(ControlError) -> Int32 {
        while let event = try receive() {
            switch event {
            case .created(let pid): return pid
            case .failed(let exitCode, let text): throw startFailure(exitCode, text)
            case .refused(_, let text): throw ControlError(.refused, "create", id, cause: text)
            default: continue
            }
        }
        throw disconnected("create")
    }

    /// Lets the container run; does not wait.
    public func start() throws(ControlError) { try post(.start) }

    /// Leaves the container created when this connection ends.
    public func keep() throws(ControlError) { try request(.keep) }

    /// Waits until the container's program runs.
    ///
    /// - Throws: `.startFailed` with exit code 125, 126 or 127.
    @discardableResult
    public func waitForStarted() throws(ControlError) -> (pid: Int32, startedAt: Int64) {
        while let event = try receive() {
            switch event {
            case .started(let pid, let startedAt): return (pid, startedAt)
            case .failed(let exitCode, let text): throw startFailure(exitCode, text)
            case .refused(_, let text): throw ControlError(.refused, "start", id, cause: text)
            default: continue
            }
        }
        throw disconnected("start")
    }

    public func startFailure(_ exitCode: Int32, _ text: String) -> ControlError {
        ControlError(.startFailed, "start", id, cause: text, exitCode: exitCode)
    }

    /// Waits for the end of the current run.
    ///
    /// - Parameter final: wait on while the restart policy starts it again.
    /// - Returns: nil when the supervisor went away without a word: look at the exit record.
    public func waitForExit(final: Bool = false) throws(ControlError) -> ExitRecord? {
        while let event = try receive() {
            switch event {
            case .exited(let record, let restarting):
                if !final || !restarting { return record }
            case .failed(let exitCode, let text):
                return ExitRecord(exitCode: Int(exitCode), error: text)
            default: continue
            }
        }
        return nil
    }

    /// Stops the container and waits for its end.
    ///
    /// - Parameters:
    ///   - signal: first signal; nil is the configured one.
    ///   - timeout: seconds until SIGKILL; nil is the configured time, negative waits for ever.
    /// - Returns: nil when the supervisor went away without a word.
    public func stop(signal: Int32? = nil, timeout: Int64? = nil) throws(ControlError) -> ExitRecord? {
        let milliseconds = timeout.map { $0 < 0 || $0 > Int64.max / 1000 ? -1 : $0 * 1000 }
        try request(.stop(signal: signal ?? 0, timeout: milliseconds ?? ControlRequest.configuredTimeout))
        return try waitForExit(final: true)
    }

    public func kill(_ signal: Int32) throws(ControlError) { try request(.kill(signal: signal)) }
    public func resize(rows: UInt16, columns: UInt16) throws(ControlError) {
        try request(.resize(rows: rows, columns: columns))
    }
    public func setRestartPolicy(_ policy: RestartPolicy) throws(ControlError) { try request(.setRestartPolicy(policy)) }
    public func pause() throws(ControlError) { try request(.pause) }
    public func resume() throws(ControlError) { try request(.resume) }

    /// Stops all processes until this connection closes, however that comes about.
    public func freeze() throws(ControlError) { try request(.freeze) }
    public func reload() throws(ControlError) { try request(.reload) }

    /// Runs a further process in the background, as a child of the supervisor.
    ///
    /// - Parameter process: a file with config.json's member `process`.
    /// - Throws: `.startFailed` with exit code 125, 126 or 127; `.protocol` from a supervisor that cannot do this.
    public func exec(_ process: FD, id: String, terminal: Bool) throws(ControlError) {
        try request(.exec(id: id, terminal: terminal), descriptors: [process])
    }

    /// Has it looked now whether the container works, and waits for what that finds.
    ///
    /// - Throws: `.refused` where the container has no probe or does not run; `.disconnected` when it ended meanwhile; `.protocol` from a
    ///   supervisor that cannot do this.
    public func probe() throws(ControlError) -> (exitCode: Int32, status: HealthStatus) {
        try post(.probe)
        while let event = try receive() {
            switch event {
            case .probed(let exitCode, let status): return (exitCode, status)
            case .refused(let code, let text):
                throw ControlError(ControlError.Code(rawValue: code), "probe", id, cause: text, exitCode: 125)
            case .exited, .failed: throw ControlError(.disconnected, "probe", id, cause: "container has ended")
            default: continue
            }
        }
        throw disconnected("probe")
    }

    /// Has the container's processes written down. Without `.leavesRunning` the end of the run follows (``waitForExit(final:)``).
    ///
    /// - Throws: `.startFailed` with why it could not be done; the container runs on then. `.protocol` from a supervisor that cannot do this.
    public func checkpoint(_ order: CheckpointOrder) throws(ControlError) { try request(.checkpoint(order)) }

    /// Asks to be told the container's health: now, and whenever it changes. Listen with ``receive(timeout:)``.
    public func watchHealth() throws(ControlError) { try request(.watchHealth) }

    /// Connects streams; does not wait. Ask before ``start()`` and no byte is missed.
    ///
    /// - Returns: this side's ends of new pipes. A container with a terminal has no error stream.
    public func attach(_ streams: AttachStreams) throws(ControlError) -> AttachedStreams {
        var result = AttachedStreams()
        do throws(SystemError) {
            var theirs: [SharedFD] = []
            if streams.contains(.input) {
                let pipe = try makePipe().take()
                theirs.append(SharedFD(owning: pipe.first))
                result.input = SharedFD(owning: pipe.second)
            }
            if streams.contains(.output) {
                let pipe = try makePipe().take()
                result.output = SharedFD(owning: pipe.first)
                theirs.append(SharedFD(owning: pipe.second))
            }
            if streams.contains(.error) {
                let pipe = try makePipe().take()
                result.error = SharedFD(owning: pipe.first)
                theirs.append(SharedFD(owning: pipe.second))
            }
            let posted = Result { () throws(ControlError) in
                try post(.attach(streams), descriptors: theirs.map(\.fd))
            }
            if case .failure(let error) = posted { throw SystemError(.brokenPipe, "attach (\(error.code.rawValue))") }
        } catch {
            throw ControlError(error, "attach to", id)
        }
        return result
    }
}

/// A client's ends of the pipes to a container.
public struct AttachedStreams: Sendable {
    /// Write here; drop it to close the container's standard input.
    public var input: SharedFD?
    /// Read these to the end: everything the container wrote comes before end of file.
    public var output: SharedFD?
    public var error: SharedFD?

    public init(input: SharedFD? = nil, output: SharedFD? = nil, error: SharedFD? = nil) {
        self.input = input
        self.output = output
        self.error = error
    }
}
