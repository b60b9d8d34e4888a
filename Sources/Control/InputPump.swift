import CLinux
import Glibc
import Linux

/// Moves what is typed or piped in to a container's standard input.
struct InputPump {
    private let source: FD
    private var target: SharedFD?
    private var keys: DetachKeyMatcher?
    private var canSplice = true
    /// Read and not yet written: the container does not read.
    private var held: ArraySlice<UInt8> = []
    private var sourceIndex = -1
    private var targetIndex = -1

    init(from source: FD, to target: SharedFD?, keys: DetachKeyMatcher?) {
        self.source = source
        self.target = target
        self.keys = keys
        if keys != nil { canSplice = false }
        try? target?.fd.setNonBlocking(true)
    }

    mutating func prepare(_ set: inout PollSet) {
        sourceIndex = -1
        targetIndex = -1
        guard let target else { return }
        // Without events it still reports POLLERR: the container has closed its standard input.
        targetIndex = set.add(target.fd, held.isEmpty ? 0 : Int16(POLLOUT))
        if held.isEmpty { sourceIndex = set.add(source, Int16(POLLIN)) }
    }

    /// - Returns: whether the detach keys were typed.
    mutating func transfer(_ set: PollSet) throws(SystemError) -> Bool {
        guard let target else { return false }
        if set.events(targetIndex) & Int16(POLLERR) != 0 {
            self.target = nil
            return false
        }
        if !held.isEmpty {
            if set.isReady(targetIndex) { flush(target.fd) }
            return false
        }
        return set.isReady(sourceIndex) ? try take(target.fd) : false
    }

    private mutating func take(_ target: FD) throws(SystemError) -> Bool {
        if canSplice {
            let moved = cl_splice(source.rawValue, target.rawValue, 1 << 20, 3 /* SPLICE_F_MOVE|NONBLOCK */)
            if moved > 0 { return false }
            if moved == 0 || moved == -Int(EPIPE) || moved == -Int(EIO) {
                self.target = nil  // the half-close
                return false
            }
            // EAGAIN with a readable source: the pipe is full. The slow path waits for it.
            if moved != -Int(EAGAIN) { canSplice = false }
        }
        let chunk = 64 << 10
        var count = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: chunk) { buffer, initialized in
            count = cl_read(source.rawValue, buffer.baseAddress, chunk)
            initialized = max(0, count)
        }
        if count == -Int(EAGAIN) { return false }
        // EIO: a terminal that hung up, or a background read; no more will come.
        if count <= 0 {
            self.target = nil
            return false
        }
        var detached = false
        if keys != nil, let fed = keys?.feed(bytes) {
            held = fed.output[...]
            detached = fed.detached
        } else {
            held = bytes[...]
        }
        flush(target)
        return detached
    }

    private mutating func flush(_ target: FD) {
        while !held.isEmpty {
            let count = held.withUnsafeBytes { cl_write(target.rawValue, $0.baseAddress, $0.count) }
            if count == -Int(EAGAIN) { return }
            guard count > 0 else {
                self.target = nil
                held = []
                return
            }
            held = held.dropFirst(count)
        }
    }
}
