import CLinux
import Glibc
import Linux

/// Moves what a container wrote from its pipe to our own output.
struct OutputPump {
    private var source: SharedFD?
    private let target: FD
    /// Waits for `target` before it reads, so that a slow reader holds the container back and not this loop.
    private var sourceIndex = -1
    private var targetIndex = -1
    private var sourceReady = false
    private var canSplice: Bool
    /// Bytes per call: a terminal takes little at once, and a write to one blocks until it has all.
    private let chunk: Int

    /// Whether end of file was reached (or there was no stream).
    var isDone: Bool { source == nil }

    init(from source: SharedFD?, to target: FD) {
        self.source = source
        self.target = target
        let kind = (try? target.status())?.st_mode ?? 0
        canSplice = kind & S_IFMT != S_IFCHR
        chunk = kind & S_IFMT == S_IFREG ? 64 << 10 : 4 << 10
    }

    mutating func prepare(_ set: inout PollSet) {
        sourceIndex = -1
        targetIndex = -1
        guard let source else { return }
        if sourceReady {
            targetIndex = set.add(target, Int16(POLLOUT))
        } else {
            sourceIndex = set.add(source.fd, Int16(POLLIN))
        }
    }

    /// - Throws: `.brokenPipe` when nobody reads our output.
    mutating func transfer(_ set: PollSet) throws(SystemError) {
        if set.isReady(sourceIndex) { sourceReady = true }
        guard sourceReady, let source else { return }
        // Having become readable just now: ask about the target without waiting.
        if targetIndex < 0 || !set.isReady(targetIndex) {
            var probe = PollSet()
            let index = probe.add(target, Int16(POLLOUT))
            probe.wait(timeout: 0)
            guard probe.isReady(index) else { return }
        }
        let moved = try move(source.fd)
        // Nothing moved and no end: the target is full after all, wait for it.
        if moved == 0 { self.source = nil }
        if moved >= 0 { sourceReady = false }
    }

    /// - Returns: bytes moved, 0 at end of file, -1 when the target takes none now.
    private mutating func move(_ source: FD) throws(SystemError) -> Int {
        if canSplice {
            let moved = cl_splice(source.rawValue, target.rawValue, 1 << 20, 3 /* SPLICE_F_MOVE|NONBLOCK */)
            if moved >= 0 { return moved }
            if moved == -Int(EAGAIN) { return -1 }
            if moved != -Int(EINVAL) { try check(moved, "write output") }
            // Append-mode files and some devices take no splice.
            canSplice = false
        }
        var failure: SystemError?
        // SAFETY: the buffer stays in the closure, and the slice has at most the bytes that were read into it.
        let count = withUnsafeTemporaryAllocation(byteCount: chunk, alignment: 16) { buffer -> Int in
            do throws(SystemError) {
                let count = try source.read(into: buffer)
                try target.writeBlocking(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
                return count
            } catch {
                failure = error
                return 0
            }
        }
        if let failure { throw failure }
        return count
    }
}

extension FD {
    /// Writes all, waiting where the descriptor is non-blocking: a terminal shared with another program often is.
    fileprivate func writeBlocking(_ bytes: UnsafeRawBufferPointer) throws(SystemError) {
        var done = 0
        while done < bytes.count {
            let count = cl_write(rawValue, bytes.baseAddress.map { $0 + done }, bytes.count - done)
            if count == -Int(EAGAIN) {
                var set = PollSet()
                _ = set.add(self, Int16(POLLOUT))
                set.wait()
                continue
            }
            done += try check(count, "write output")
        }
    }
}
