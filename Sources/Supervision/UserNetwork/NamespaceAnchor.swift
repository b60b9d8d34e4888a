import CLinux
import Glibc
import Linux
import Networks

/// A process that only is in the namespaces of a user's networks: /proc shows them by it to programs that take paths.
///
/// Not needed once they are open: descriptors keep them.
struct NamespaceAnchor: ~Copyable {
    let pid: Int32
    /// Sockets in there may speak as clients from outside.
    private(set) var keepsSources = false
    private let pidfd: OwnedFD

    /// Makes the namespaces: the user's whole map, `lo` up, forwarding on.
    static func make() throws(SystemError) -> NamespaceAnchor {
        let mapped = try makePipe().take()
        let mappedReader = SharedFD(owning: mapped.first)
        let mappedWriter = SharedFD(owning: mapped.second)
        let done = try makePipe().take()
        let doneReader = OwnedFD(owning: done.first)
        // Counted, not owned: an owned one would be closed at the beginning of a branch that never returns.
        var doneWriter: SharedFD? = SharedFD(owning: done.second)
        var pidfd: Int32 = -1
        let pid = try check(
            cl_clone3(0x5000_0000 /* CLONE_NEWUSER | CLONE_NEWNET */, UInt64(SIGCHLD), &pidfd, -1), "clone")
        if pid == 0 {
            _ = cl_prctl(1 /* PR_SET_PDEATHSIG */, UInt(SIGKILL), 0, 0, 0)
            _ = cl_close(mappedWriter.raw)
            var byte: UInt8 = 0
            guard cl_read(mappedReader.raw, &byte, 1) == 1 else { _exit(1) }
            prepare(doneWriter, isNew: true)
        }
        var anchor = NamespaceAnchor(pid: pid, pidfd: OwnedFD(owning: pidfd))
        do throws(SystemError) {
            let name = userName(of: getuid())
            try writeIDMaps(
                pid, users: wholeMap(getuid(), subordinateRanges(.user, userName: name, uid: getuid())),
                groups: wholeMap(getgid(), subordinateRanges(.group, userName: name, uid: getuid())))
            try mappedWriter.fd.writeAll([1])
            doneWriter = nil
            let answer = try doneReader.fd.readOne()
            anchor.keepsSources = answer == 0
            if answer > 0 { throw SystemError(Errno(rawValue: answer), "prepare namespace of networks") }
        } catch {
            anchor.end()
            throw error
        }
        return anchor
    }

    /// A new process in namespaces that exist.
    static func enter(_ user: SharedFD, _ network: SharedFD) throws(SystemError) -> NamespaceAnchor {
        let done = try makePipe().take()
        let doneReader = OwnedFD(owning: done.first)
        // Counted, not owned: an owned one would be closed at the beginning of a branch that never returns.
        var doneWriter: SharedFD? = SharedFD(owning: done.second)
        var pidfd: Int32 = -1
        let pid = try check(cl_clone3(0, UInt64(SIGCHLD), &pidfd, -1), "clone")
        if pid == 0 {
            guard cl_setns(user.raw, 0x1000_0000) == 0, cl_setns(network.raw, 0x4000_0000) == 0 else { _exit(1) }
            // Or /proc would not show its namespaces to pasta.
            _ = cl_prctl(4 /* PR_SET_DUMPABLE */, 1, 0, 0, 0)
            _ = cl_prctl(1 /* PR_SET_PDEATHSIG */, UInt(SIGKILL), 0, 0, 0)
            prepare(doneWriter, isNew: false)
        }
        let anchor = NamespaceAnchor(pid: pid, pidfd: OwnedFD(owning: pidfd))
        doneWriter = nil
        guard (try? doneReader.fd.readOne()) == 0 else {
            anchor.end()
            throw SystemError(.notPermitted, "enter namespaces of networks")
        }
        return anchor
    }

    /// In the child: repeats what costs nothing, says so (0, an error, or -1 without ``TransparentReplies``), and waits to be ended.
    private static func prepare(_ done: SharedFD?, isNew: Bool) -> Never {
        var failure: Int32 = 0
        _ = cl_setresgid(0, 0, 0)
        _ = cl_setresuid(0, 0, 0)
        do throws(SystemError) {
            try raiseLoopback()
            try FD.cwd.writeFile("/proc/sys/net/ipv4/ip_forward", Array("1".utf8))
            // A kernel without IPv6 has no such file.
            try? FD.cwd.writeFile("/proc/sys/net/ipv6/conf/all/forwarding", Array("1".utf8))
            if isNew { try WayOut.ensure() }
        } catch {
            failure = error.errno.rawValue
        }
        // A kernel without nft_socket: containers see the bridge's address instead of their clients'.
        if isNew, failure == 0, (try? TransparentReplies.ensure()) == nil { failure = -1 }
        if let done { _ = withUnsafeBytes(of: failure) { cl_write(done.raw, $0.baseAddress, 4) } }
        while true { pause() }
    }

    /// 0 is the user, and the subordinate ids follow from 1, as in every container of theirs.
    static func wholeMap(_ own: UInt32, _ ranges: [(start: UInt32, count: UInt32)]) -> [IDMapping] {
        var result = [IDMapping(inside: 0, outside: own, count: 1)]
        var next: UInt32 = 1
        for range in ranges {
            let (end, overflow) = next.addingReportingOverflow(range.count)
            if overflow { break }
            result.append(IDMapping(inside: next, outside: range.start, count: range.count))
            next = end
        }
        return result
    }

    borrowing func end() {
        try? pidfd.fd.sendSignal(SIGKILL)
        _ = try? waitForProcess(pid)
    }
}

extension FD {
    /// A number that a child writes; the end of the pipe is a failure.
    fileprivate func readOne() throws(SystemError) -> Int32 {
        var value: Int32 = 0
        let count = try check(withUnsafeMutableBytes(of: &value) { cl_read(rawValue, $0.baseAddress, 4) }, "read pipe")
        if count != 4 { throw SystemError(.brokenPipe, "read pipe") }
        return value
    }
}
