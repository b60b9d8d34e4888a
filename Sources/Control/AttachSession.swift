import CLinux
import Glibc
import Linux

/// The foreground of `run`, `start -a` and `attach`: carries bytes and signals between this process and a container.
///
/// One thread, one `poll(2)` loop; bytes are moved by `splice(2)` where the kernel can. Every byte the container wrote is
/// passed on before the end is reported.
public struct AttachSession: ~Copyable {
    public struct Options {
        /// The container has a terminal: raw mode, detach keys and size apply when `input` is a terminal too.
        public var terminal = false
        /// Where what is typed comes from, and where the container's output goes.
        public var input = FD.standardInput
        public var output = FD.standardOutput
        public var error = FD.standardError
        /// Nil: nothing that is typed detaches.
        public var detachKeys: DetachKeys? = .standard
        /// Pass signals on to the container (`--sig-proxy`); only without a terminal, as in docker.
        public var forwardSignals = true

        public init() {}
    }

    /// How the attachment ended.
    public enum Outcome: Sendable, Hashable {
        case exited(ExitRecord, restarting: Bool)
        /// The container could not be started.
        case failed(exitCode: Int32, text: String)
        /// The detach keys were typed; the container runs on.
        case detached
        /// This process was told to end; the terminal is restored. Die by this signal, the container runs on.
        case interrupted(signal: Int32)
        /// Nobody reads our output any more (EPIPE); the container runs on.
        case outputClosed
        /// The supervisor went away without a word.
        case disconnected
    }

    let connection: SupervisorConnection
    let options: Options
    var input: InputPump
    var output: OutputPump
    var error: OutputPump
    var signals: SignalSource
    var raw: RawTerminal?
    var ended: Outcome?

    /// Runs until the container's end, or until something detaches.
    ///
    /// - Parameter streams: what ``SupervisorConnection/attach(_:)`` returned; they are closed at the end.
    /// - Throws: `.system`, `.protocol`. The terminal is restored in every case.
    public static func run(
        _ connection: SupervisorConnection, _ streams: consuming AttachedStreams, _ options: Options
    ) throws(ControlError) -> Outcome {
        var session = try AttachSession(connection, streams, options)
        return try session.loop()
    }

    private init(
        _ connection: SupervisorConnection, _ streams: consuming AttachedStreams, _ options: Options
    ) throws(ControlError) {
        self.connection = connection
        self.options = options
        // Signals first: from here on none can end us with the terminal raw.
        let isTerminal = options.terminal && streams.input != nil && cl_isatty(options.input.rawValue) == 1
        do throws(SystemError) {
            signals = try SignalSource(
                forward: options.forwardSignals && !options.terminal, raw: isTerminal, resize: options.terminal)
        } catch {
            throw ControlError(error, "attach to", connection.id)
        }
        raw = isTerminal ? RawTerminal(options.input) : nil
        input = InputPump(
            from: options.input, to: streams.input, keys: isTerminal ? options.detachKeys.map { DetachKeyMatcher($0) } : nil)
        output = OutputPump(from: streams.output, to: options.output)
        error = OutputPump(from: streams.error, to: options.error)
        if options.terminal { sendSize() }
    }

    private mutating func loop() throws(ControlError) -> Outcome {
        while true {
            while connection.hasPending { try takeEvent() }
            if let ended, output.isDone, error.isDone { return ended }
            if let early = try step() { return early }
        }
    }

    /// One wait and what it brought.
    private mutating func step() throws(ControlError) -> Outcome? {
        var set = PollSet()
        let control = ended == nil ? set.add(connection.fd, Int16(POLLIN)) : -1
        let signal = set.add(signals.fd, Int16(POLLIN))
        output.prepare(&set)
        error.prepare(&set)
        if ended == nil { input.prepare(&set) }
        set.wait()
        if set.isReady(signal), let early = try takeSignals() { return early }
        do throws(SystemError) {
            try output.transfer(set)
            try error.transfer(set)
            if ended == nil, try input.transfer(set) { return .detached }
        } catch {
            if error.errno == .brokenPipe { return .outputClosed }
            throw ControlError(error, "attach to", connection.id)
        }
        if set.isReady(control) { try takeEvent() }
        return nil
    }

    private mutating func takeEvent() throws(ControlError) {
        let event: ControlEvent?
        do throws(ControlError) {
            // Not `receive`, which waits until something happens: streams and signals would wait with it.
            event = try connection.receiveOne()
        } catch {
            guard error.code == .disconnected else { throw error }
            ended = ended ?? .disconnected
            return
        }
        switch event {
        case nil: break
        case .exited(let record, let restarting): ended = ended ?? .exited(record, restarting: restarting)
        case .failed(let exitCode, let text): ended = .failed(exitCode: exitCode, text: text)
        case .started: if options.terminal { sendSize() }
        default: break  // a refused resize or signal is no reason to end
        }
    }

    private mutating func takeSignals() throws(ControlError) -> Outcome? {
        while let signal = signals.next() {
            switch signal {
            case SIGWINCH: sendSize()
            case SIGTSTP where raw != nil: suspend()
            case SIGCONT, SIGPIPE: break
            default:
                guard signals.forwards else { return .interrupted(signal: signal) }
                _ = try? connection.post(.kill(signal: signal))
            }
        }
        return nil
    }

    /// Stops this process with the terminal as the shell left it, and takes it up again after `fg`.
    private mutating func suspend() {
        raw?.leave()
        _ = cl_kill(getpid(), SIGSTOP)
        raw?.enter()
        sendSize()
    }

    private func sendSize() {
        guard let size = terminalSize(options.input) ?? terminalSize(options.output) else { return }
        _ = try? connection.post(.resize(rows: size.rows, columns: size.columns))
    }
}
