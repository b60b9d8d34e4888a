import CLinux
import Glibc
import Linux

/// Memory for bursts of data: mapped when first used, given back when idle, never part of the heap.
///
/// A supervisor that waits has none of it; that keeps its share of memory at the few pages it really needs.
struct MappedBuffer: ~Copyable {
    let capacity: Int
    private(set) var base: UnsafeMutableRawPointer?

    init(capacity: Int) { self.capacity = capacity }

    /// The memory, mapped now if it was not.
    /// - Returns: nil when the kernel has no memory left; the caller drops what it wanted to do and comes again.
    mutating func map() -> UnsafeMutableRawPointer? {
        if let base { return base }
        let pointer = mmap(nil, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | Int32(MAP_ANONYMOUS), -1, 0)
        // SAFETY: MAP_FAILED is (void *)-1.
        guard let pointer, pointer != UnsafeMutableRawPointer(bitPattern: -1) else { return nil }
        base = pointer
        return pointer
    }

    mutating func release() {
        if let base { munmap(base, capacity) }
        base = nil
    }

    deinit {
        if let base { munmap(base, capacity) }
    }
}
