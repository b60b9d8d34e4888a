import CLinux
import Control
import Glibc
import Linux

/// One output of the container: read in big pieces, logged, and copied to the clients that are attached.
///
/// A client that reads slowly holds the container back (a piece is read when every client has the one before); one that
/// has gone is dropped at once. The log has a piece before any client.
package final class OutputStream {
    private let stream: LogRecord.Stream
    private let loop: EventLoop
    private let log: LogWriter?
    private var source: SharedFD?
    private var sourceToken: EventLoop.Token?
    private var buffer = MappedBuffer(capacity: 256 << 10)
    /// Bytes of the piece that clients still need.
    private var length = 0
    private var sinks: [Sink] = []
    /// What was left in the pipe at the end of the run, for clients that are behind. The log has it already.
    private var tail: ArraySlice<UInt8> = []
    private var isTerminal = false
    private var pipeWasEnlarged = false
    /// The container has ended: take what is there, do not wait for more.
    private var isDraining = false
    /// Called when there is nothing more to read and every client has everything.
    package var onFinished: () -> Void = {}
    /// Called when data begins to flow after a rest.
    package var onActivity: () -> Void = {}
    private var wasActive = false
    /// Called when a terminal has hung up while the container may open it again.
    package var onTerminalHangUp: () -> Void = {}

    /// A client's end of a pipe.
    private final class Sink {
        let fd: SharedFD
        var token: EventLoop.Token?
        /// Bytes of the piece it has.
        var done: Int
        var isWaiting = false
        init(_ fd: SharedFD) {
            self.fd = fd
            done = 0
        }
    }

    package init(_ stream: LogRecord.Stream, _ loop: EventLoop, log: LogWriter?) {
        self.stream = stream
        self.loop = loop
        self.log = log
    }

    package var hasClients: Bool { !sinks.isEmpty }
    /// Whether nothing is left to read or to hand on.
    package var isFinished: Bool { source == nil && tail.isEmpty && isTaken }
    /// Whether every client has the piece.
    private var isTaken: Bool { sinks.allSatisfy { $0.done >= length } }

    /// Begins to read a run's output.
    package func open(_ source: SharedFD, isTerminal: Bool) throws(SystemError) {
        try source.fd.setNonBlocking(true)
        self.source = source
        self.isTerminal = isTerminal
        isDraining = false
        pipeWasEnlarged = isTerminal
        try watch()
    }

    /// Adds a client; it gets what comes from now on.
    package func attach(_ fd: SharedFD) throws(SystemError) {
        try fd.fd.setNonBlocking(true)
        let sink = Sink(fd)
        sink.done = length
        // No events: the kernel reports by itself when the other end is closed.
        sink.token = try loop.add(fd.fd, []) { [unowned self, unowned sink] events in sinkIsReady(sink, events) }
        sinks.append(sink)
    }

    /// The container has ended: what is in the pipe is all there will be. The log gets it now, clients when they can.
    package func drain() {
        isDraining = true
        if isTaken { read() }
        if !isTaken { takeTail() }
        if isFinished { onFinished() }
    }

    /// Empties the pipe for the log although clients are behind: they hold up themselves only.
    private func takeTail() {
        guard let source else { return }
        let chunk = 64 << 10
        var count = chunk
        // A pipe's most, should somebody who could not be killed go on writing.
        while count > 0, tail.count < 1 << 20 {
            let bytes = [UInt8](unsafeUninitializedCapacity: chunk) { buffer, initialized in
                count = cl_read(source.raw, buffer.baseAddress, chunk)
                initialized = max(0, count)
            }
            bytes.withUnsafeBytes { if !$0.isEmpty { log?.write(stream, $0) } }
            tail += bytes
        }
        closeSource()
    }

    /// Goes on with the next piece of what was kept.
    private func pushTail() {
        while isTaken, !tail.isEmpty {
            guard let base = buffer.map() else {
                tail = []
                return
            }
            length = min(tail.count, buffer.capacity)
            // SAFETY: at most the capacity, from the beginning of as many bytes.
            tail.withUnsafeBytes { if let start = $0.baseAddress { memcpy(base, start, length) } }
            tail = tail.dropFirst(length)
            for sink in sinks { sink.done = 0 }
            for sink in sinks { push(sink) }
        }
    }

    /// Ends all attachments; clients read to the end of their pipes.
    package func closeClients() {
        for sink in sinks {
            if let token = sink.token { loop.remove(token) }
        }
        sinks = []
        tail = []
        length = 0
    }

    /// Lets go of the container's side.
    package func closeSource() {
        unwatch()
        source = nil
    }

    /// Whether data has flowed since the last call.
    package func takeActivity() -> Bool {
        defer { wasActive = false }
        return wasActive
    }

    package func releaseMemory() {
        if isTaken {
            length = 0
            for sink in sinks { sink.done = 0 }
            buffer.release()
        }
    }

    /// Looks at a terminal again that had hung up.
    package func retryTerminal() {
        if source != nil, sourceToken == nil, length == 0 || !sinks.contains(where: \.isWaiting) { try? watch() }
    }

    // MARK: Reading

    private func watch() throws(SystemError) {
        guard let source, sourceToken == nil else { return }
        sourceToken = try loop.add(source.fd, .readable) { [unowned self] _ in read() }
    }

    /// Taken out of epoll altogether: with no events asked for it would still report a hang-up, again and again.
    private func unwatch() {
        if let sourceToken { loop.remove(sourceToken) }
        sourceToken = nil
    }

    private func read() {
        guard let source else { return }
        if buffer.base == nil { onActivity() }
        guard let base = buffer.map() else { return }
        wasActive = true
        // A few pieces in a row, then the others have their turn. At the end all there is, but not without bound: a
        // process that could not be killed may write for ever.
        for _ in 0..<(isDraining ? 1024 : 8) {
            let count = cl_read(source.raw, base, buffer.capacity)
            if count <= 0 {
                readEnded(count)
                return
            }
            enlargePipe(source, count)
            // SAFETY: `count` bytes were read to `base`; the mapping stays until the stream is idle, the log copies or writes.
            let bytes = UnsafeRawBufferPointer(start: base, count: count)
            log?.write(stream, bytes)
            length = count
            for sink in sinks { sink.done = 0 }
            for sink in sinks { push(sink) }
            if !isTaken {
                unwatch()
                return
            }
        }
        if isDraining { closeSource() }
    }

    private func readEnded(_ result: Int) {
        if result == -Int(EAGAIN) {
            if isDraining { closeSource() }
            return
        }
        // EIO: nobody has the terminal open now; while the container lives somebody may open it again.
        if result == -Int(EIO), isTerminal, !isDraining {
            unwatch()
            onTerminalHangUp()
            return
        }
        closeSource()
        if isFinished, !isDraining { onFinished() }
    }

    /// A pipe that was found full is made larger, once: less waking for containers that talk much.
    private func enlargePipe(_ source: SharedFD, _ count: Int) {
        guard !pipeWasEnlarged, count >= 64 << 10 else { return }
        pipeWasEnlarged = true
        _ = cl_fcntl(source.raw, 1031 /* F_SETPIPE_SZ */, buffer.capacity)
    }

    // MARK: Clients

    private func push(_ sink: Sink) {
        guard let base = buffer.base else { return }
        while sink.done < length {
            let count = cl_write(sink.fd.raw, base + sink.done, length - sink.done)
            if count == -Int(EAGAIN) {
                wait(sink, true)
                return
            }
            if count <= 0 {
                drop(sink)
                return
            }
            sink.done += count
        }
        wait(sink, false)
    }

    private func wait(_ sink: Sink, _ waiting: Bool) {
        guard sink.isWaiting != waiting, let token = sink.token else { return }
        sink.isWaiting = waiting
        loop.change(token, waiting ? .writable : [])
    }

    private func sinkIsReady(_ sink: Sink, _ events: EventLoop.Events) {
        if events.contains(.error) {
            drop(sink)
        } else {
            push(sink)
        }
        resumeIfTaken()
    }

    private func drop(_ sink: Sink) {
        if let token = sink.token { loop.remove(token) }
        sink.token = nil
        sink.done = Int.max
        sinks.removeAll { $0 === sink }
    }

    /// Goes on reading once every client has the piece.
    private func resumeIfTaken() {
        pushTail()
        guard isTaken else { return }
        if source == nil {
            onFinished()
        } else if isDraining {
            drain()
        } else {
            try? watch()
        }
    }
}
