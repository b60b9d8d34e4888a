import Glibc
import Linux

/// Bytes of a file as lines, with the beginning of one that is not whole yet.
final class LineBuffer {
    /// The longest line; a longer one is passed over. The log's own have at most 16 KiB and a head.
    private static let capacity = 256 << 10

    private let storage: UnsafeMutableRawBufferPointer
    private var start = 0
    private var end = 0
    private var skipping = false

    init() { storage = .allocate(byteCount: LineBuffer.capacity, alignment: 16) }
    deinit { storage.deallocate() }

    /// Bytes held of a line that is not whole yet.
    var count: Int { end - start }

    /// Forgets the beginning of a line: its end will not come.
    func discard() {
        start = 0
        end = 0
        skipping = false
    }

    /// Takes more bytes. All whole lines must have been taken out before.
    func fill<Failure>(_ read: (UnsafeMutableRawBufferPointer) throws(Failure) -> Int) throws(Failure) -> Int {
        if start > 0 {
            // SAFETY: both ranges are inside the storage.
            if end > start, let base = storage.baseAddress { memmove(base, base + start, end - start) }
            end -= start
            start = 0
        }
        if end == storage.count {
            end = 0
            skipping = true
        }
        let count = try read(UnsafeMutableRawBufferPointer(rebasing: storage[end...]))
        end += count
        return count
    }

    /// The next whole line without its newline; valid until the next call of `fill`.
    func next() -> UnsafeRawBufferPointer? {
        while end > start, let base = storage.baseAddress {
            guard let newline = memchr(base + start, 10, end - start) else { return nil }
            let length = UnsafeRawPointer(newline) - UnsafeRawPointer(base + start)
            let line = UnsafeRawBufferPointer(rebasing: storage[start..<(start + length)])
            start += length + 1
            if !skipping { return line }
            skipping = false
        }
        return nil
    }
}
