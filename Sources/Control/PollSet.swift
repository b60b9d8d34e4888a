import CLinux
import Glibc
import Linux

/// The descriptors of one `poll(2)`.
struct PollSet {
    private var fds: [Int32] = []
    private var wanted: [Int16] = []
    private var got: [Int16] = []

    /// - Returns: the index to ask about; -1 adds nothing.
    mutating func add(_ fd: FD, _ events: Int16) -> Int {
        fds.append(fd.rawValue)
        wanted.append(events)
        got.append(0)
        return fds.count - 1
    }

    /// - Parameter timeout: milliseconds; negative waits for ever.
    mutating func wait(timeout: Int32 = -1) {
        // An interrupted or failed call leaves no event behind, and the loop comes again.
        if cl_poll(&fds, &wanted, &got, Int32(fds.count), timeout) < 0 { got = got.map { _ in 0 } }
    }

    func isReady(_ index: Int) -> Bool { index >= 0 && got[index] != 0 }
    func events(_ index: Int) -> Int16 { index >= 0 ? got[index] : 0 }
}
