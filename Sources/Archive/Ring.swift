/// A ring of fixed buffers between one producing thread and one or more consuming threads.
///
/// Every consumer sees every buffer; a buffer is filled again when the last consumer is done with it. Nothing is copied.
final class Ring: @unchecked Sendable {
    // SAFETY: `slots[i]` belongs to the producer while `produced - slowest consumer <= i` and to the consumers otherwise;
    // the counters that decide this are only touched under the monitor's lock. Memory lives from init to deinit.
    private let monitor = Monitor()
    private let slots: [UnsafeMutableRawBufferPointer]
    private var filled: [Int]
    private var produced = 0
    /// Buffers each consumer is done with; `.max` for one that left.
    private var consumed: [Int]
    private var ended = false
    private var failure: ArchiveError?

    init(slots count: Int, size: Int = pipelineBufferSize, consumers: Int) {
        slots = (0..<count).map { _ in .allocate(byteCount: size, alignment: 64) }
        filled = Array(repeating: 0, count: count)
        consumed = Array(repeating: 0, count: consumers)
    }

    deinit { for slot in slots { slot.deallocate() } }

    /// Runs the producing side to its end on the calling thread: until `fill` returns 0, throws, or nobody listens.
    func produce(_ fill: (UnsafeMutableRawBufferPointer) throws(ArchiveError) -> Int) {
        while true {
            monitor.lock()
            while !consumed.allSatisfy({ $0 == .max }), produced - (consumed.min() ?? 0) >= slots.count { monitor.wait() }
            let abandoned = consumed.allSatisfy { $0 == .max }
            let slot = produced % slots.count
            monitor.unlock()
            if abandoned { return }
            do throws(ArchiveError) {
                let count = try fill(slots[slot])
                finishSlot(slot, count, nil)
                if count == 0 { return }
            } catch {
                return finishSlot(slot, 0, error)
            }
        }
    }

    private func finishSlot(_ slot: Int, _ count: Int, _ error: ArchiveError?) {
        monitor.lock()
        defer { monitor.unlock() }
        if count > 0 {
            filled[slot] = count
            produced += 1
        } else {
            ended = true
            failure = error
        }
        monitor.wakeAll()
    }

    /// The next buffer for a consumer, empty at the end; gives back the one it had before.
    ///
    /// Buffers produced before a failure are delivered first, then the failure is thrown.
    func next(_ consumer: Int, holding: Bool) throws(ArchiveError) -> UnsafeRawBufferPointer {
        monitor.lock()
        defer { monitor.unlock() }
        if holding, consumed[consumer] != .max {
            consumed[consumer] += 1
            monitor.wakeAll()
        }
        while consumed[consumer] == produced, !ended { monitor.wait() }
        guard consumed[consumer] < produced else {
            if let failure { throw failure }
            return UnsafeRawBufferPointer(start: nil, count: 0)
        }
        let slot = consumed[consumer] % slots.count
        return UnsafeRawBufferPointer(rebasing: slots[slot][0..<filled[slot]])
    }

    /// This consumer wants no more; when all have left, the producer stops.
    func leave(_ consumer: Int) {
        monitor.lock()
        defer { monitor.unlock() }
        consumed[consumer] = .max
        monitor.wakeAll()
    }

    /// Nobody wants more: everything that waits on this ring, producer or consumer, ends.
    func leaveAll() {
        monitor.lock()
        defer { monitor.unlock() }
        for consumer in consumed.indices { consumed[consumer] = .max }
        ended = true
        monitor.wakeAll()
    }
}

/// One consumer's end of a ring.
final class RingLender: ByteLender {
    private let ring: Ring
    private let consumer: Int
    private var holding = false

    init(_ ring: Ring, consumer: Int) {
        self.ring = ring
        self.consumer = consumer
    }

    func lend() throws(ArchiveError) -> UnsafeRawBufferPointer {
        let bytes = try ring.next(consumer, holding: holding)
        holding = !bytes.isEmpty
        return bytes
    }

    func leave() {
        ring.leave(consumer)
        holding = false
    }

    deinit { ring.leave(consumer) }
}
