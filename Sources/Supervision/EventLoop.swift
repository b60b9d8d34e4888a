import CLinux
import Glibc
import Linux

/// One epoll, with a closure for each descriptor and a few deadlines. One thread.
package final class EventLoop {
    package struct Token: Hashable, Sendable {
        fileprivate let index: Int
        fileprivate let generation: UInt32
    }

    package struct Events: OptionSet, Sendable {
        package let rawValue: UInt32
        package init(rawValue: UInt32) { self.rawValue = rawValue }
        package static let readable = Events(rawValue: 0x1)
        package static let writable = Events(rawValue: 0x4)
        /// Reported without being asked for.
        package static let error = Events(rawValue: 0x8)
        package static let hangUp = Events(rawValue: 0x10)
    }

    /// What can be waited for by time; each has at most one deadline.
    package enum Deadline: Int, CaseIterable, Sendable {
        case kill, restart, drain, terminal, idle, probe
    }

    private struct Slot {
        var fd: Int32 = -1
        var generation: UInt32 = 0
        var handler: ((Events) -> Void)?
    }

    private let epoll: OwnedFD
    private var slots: [Slot] = []
    private var deadlines = [Int64](repeating: Int64.max, count: Deadline.allCases.count)
    private let onDeadline: (Deadline) -> Void
    private var isStopped = false
    /// The next wait is expected to be long: give memory back first.
    package var expectsRest = false
    package var clock: () -> Int64 = monotonicNanoseconds

    package init(onDeadline: @escaping (Deadline) -> Void) throws(SystemError) {
        epoll = OwnedFD(owning: try check(cl_epoll_create1(0), "make epoll"))
        self.onDeadline = onDeadline
    }

    /// Watches a descriptor, level-triggered. It must stay open until ``remove(_:)``.
    ///
    /// - Parameter events: empty reports errors and hang-up only.
    package func add(_ fd: FD, _ events: Events, _ handler: @escaping (Events) -> Void) throws(SystemError) -> Token {
        var index = slots.firstIndex { $0.handler == nil } ?? slots.count
        if index == slots.count {
            slots.append(Slot())
            index = slots.count - 1
        }
        slots[index].generation &+= 1
        let token = Token(index: index, generation: slots[index].generation)
        try check(
            cl_epoll_ctl(epoll.raw, 1 /* ADD */, fd.rawValue, events.rawValue, EventLoop.pack(token)), "watch descriptor")
        slots[index].fd = fd.rawValue
        slots[index].handler = handler
        return token
    }

    package func change(_ token: Token, _ events: Events) {
        guard isLive(token) else { return }
        _ = cl_epoll_ctl(epoll.raw, 3 /* MOD */, slots[token.index].fd, events.rawValue, EventLoop.pack(token))
    }

    /// Forgets a descriptor; before it is closed.
    package func remove(_ token: Token) {
        guard isLive(token) else { return }
        _ = cl_epoll_ctl(epoll.raw, 2 /* DEL */, slots[token.index].fd, 0, 0)
        slots[token.index].handler = nil
        slots[token.index].fd = -1
    }

    /// - Parameter nanoseconds: from now; nil takes the deadline away.
    package func set(_ deadline: Deadline, in nanoseconds: Int64?) {
        deadlines[deadline.rawValue] = nanoseconds.map { clock() &+ $0 } ?? Int64.max
    }

    /// Nanoseconds until a deadline; nil when it is not set.
    package func remaining(_ deadline: Deadline) -> Int64? {
        let at = deadlines[deadline.rawValue]
        return at == Int64.max ? nil : at &- clock()
    }

    package func stop() { isStopped = true }

    /// Runs until ``stop()``.
    package func run() {
        while !isStopped { step() }
    }

    /// One wait and all that it brought.
    package func step() {
        let next = deadlines.min() ?? Int64.max
        var timeout: Int32 = -1
        if next != Int64.max { timeout = Int32(clamping: max(0, (next &- clock() &+ 999_999) / 1_000_000)) }
        if expectsRest {
            expectsRest = false
            // An epoll descriptor is itself readable when it has events.
            _ = cl_idle_wait(epoll.raw, timeout)
            timeout = 0
        }
        withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 16) { data in
            withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 16) { events in
                let count = cl_epoll_wait(epoll.raw, data.baseAddress, events.baseAddress, 16, timeout)
                var index = 0
                while index < count, !isStopped {
                    dispatch(data[index], Events(rawValue: events[index]))
                    index += 1
                }
            }
        }
        if next != Int64.max { fireDeadlines() }
    }

    private func dispatch(_ packed: UInt64, _ events: Events) {
        let index = Int(truncatingIfNeeded: packed & 0xffff_ffff)
        // An earlier handler of this round may have removed it, and its slot may be somebody else's by now.
        guard index < slots.count, slots[index].generation == UInt32(truncatingIfNeeded: packed >> 32) else { return }
        slots[index].handler?(events)
    }

    private func fireDeadlines() {
        let now = clock()
        for deadline in Deadline.allCases where deadlines[deadline.rawValue] <= now {
            deadlines[deadline.rawValue] = Int64.max
            onDeadline(deadline)
        }
    }

    private func isLive(_ token: Token) -> Bool {
        token.index < slots.count && slots[token.index].generation == token.generation
            && slots[token.index].handler != nil
    }

    private static func pack(_ token: Token) -> UInt64 {
        UInt64(token.generation) << 32 | UInt64(token.index)
    }
}
