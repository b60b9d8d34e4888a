import CLinux
import Glibc
import Linux

extension Cgroup {
    /// Stops all processes until ``thaw()``, and waits until every one has stopped.
    ///
    /// - Parameter timeoutMilliseconds: after that the cgroup is thawed again.
    /// - Throws: `.timedOut`; `.unsupported` when the host can freeze neither way (cgroup v2 since 5.2).
    public func freeze(timeoutMilliseconds: Int32 = 10_000) throws(CgroupError) {
        guard let (directory, unified) = try freezer() else {
            throw CgroupError(.unsupported, "freeze", "cgroup", "the container has no cgroup with a freezer")
        }
        do throws(CgroupError) {
            if unified {
                try directory.write("cgroup.freeze", "1")
                try waitUntilFrozen(directory, timeoutMilliseconds)
            } else {
                try freezeLegacy(directory, timeoutMilliseconds)
            }
        } catch {
            // Half frozen is worse than not: such processes do not even die.
            _ = directory.attempt(unified ? "cgroup.freeze" : "freezer.state", unified ? "0" : "THAWED")
            throw error
        }
    }

    public func thaw() throws(CgroupError) {
        guard let (directory, unified) = try freezer() else { return }
        try directory.write(unified ? "cgroup.freeze" : "freezer.state", unified ? "0" : "THAWED")
    }

    /// Whether ``freeze(timeoutMilliseconds:)`` is in force (and not only a parent frozen). False when the cgroup is gone.
    public var isFrozen: Bool {
        get throws(CgroupError) {
            do throws(CgroupError) {
                guard let (directory, unified) = try freezer() else { return false }
                if unified { return try directory.number("cgroup.freeze") == 1 }
                let state = KeyedText(try directory.read("freezer.state")).trimmed
                if state == "THAWED" { return false }
                return try directory.number("freezer.self_freezing") != 0
            } catch {
                if error.code == .notFound { return false }
                throw error
            }
        }
    }

    private func freezer() throws(CgroupError) -> (directory: CgroupDirectory, unified: Bool)? {
        // v2's freezer is the better one: frozen processes can be killed and traced. v1 where a container has only that.
        if let unified = try unifiedDirectory() { return (unified, true) }
        if let legacy = try legacyDirectory(.freezer) { return (legacy, false) }
        return nil
    }

    /// The kernel notifies pollers of `cgroup.events` when `frozen` changes.
    private func waitUntilFrozen(_ directory: CgroupDirectory, _ timeout: Int32) throws(CgroupError) {
        let events = try directory.open("cgroup.events", O_RDONLY)
        let deadline = monotonicNanoseconds() + Int64(timeout) * 1_000_000
        var buffer = [UInt8](repeating: 0, count: 256)
        while true {
            let count = cl_pread(events.raw, &buffer, buffer.count, 0)
            if count < 0 {
                throw CgroupError(Errno(rawValue: Int32(truncatingIfNeeded: -count)), "read", "cgroup.events")
            }
            if KeyedText(Array(buffer[..<count])).value("frozen") == 1 { return }
            let left = (deadline - monotonicNanoseconds()) / 1_000_000
            if left <= 0 {
                throw CgroupError(.timedOut, "freeze", "\"\(directory.path)\"", "not all processes stopped in time")
            }
            var descriptor = events.raw
            var wanted = Int16(POLLPRI)
            var got: Int16 = 0
            // Not longer than 50 ms at once: a missed notification must not cost the whole timeout.
            _ = cl_poll(&descriptor, &wanted, &got, 1, Int32(min(left, 50)))
        }
    }

    /// v1 stays at FREEZING while processes are forked; writing again, and thawing now and then, gets it through.
    private func freezeLegacy(_ directory: CgroupDirectory, _ timeout: Int32) throws(CgroupError) {
        let deadline = monotonicNanoseconds() + Int64(timeout) * 1_000_000
        var round: Int32 = 0
        while true {
            try directory.write("freezer.state", "FROZEN")
            if KeyedText(try directory.read("freezer.state")).trimmed == "FROZEN" { return }
            if monotonicNanoseconds() > deadline {
                throw CgroupError(.timedOut, "freeze", "\"\(directory.path)\"", "not all processes stopped in time")
            }
            round += 1
            if round % 50 == 0 { try directory.write("freezer.state", "THAWED") }
            pause(milliseconds: round < 10 ? 0 : 1)
        }
    }
}
