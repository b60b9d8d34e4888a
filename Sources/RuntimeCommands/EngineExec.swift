import CLinux
import Control
import Glibc
import Linux
import Runtime

/// What `berth-runtime exec` does for `berth exec`, which has become it: the process is told of while it lives, its end is an event,
/// and keys leave it alone.
struct EngineExec {
    private let id: String
    private let bundle: String
    private let container: String
    private let registration: ExecRegistration?

    /// The id that `berth exec` has given it; nil for callers of the runtime's own command line.
    static var identifier: String? {
        guard let id = environmentVariable("BERTH_EXEC"), ExecRegistration.isIdentifier(id) else { return nil }
        return id
    }

    /// - Parameters:
    ///   - root: `RUN/runtime`.
    ///   - bundle: the container's directory.
    init?(root: String, bundle: String, container: String) {
        guard let id = EngineExec.identifier else { return nil }
        self.id = id
        self.bundle = bundle
        self.container = container
        let run = root.lastIndex(of: "/").map { String(root[..<$0]) } ?? root
        registration = ExecRegistration(run: run, container: container, exec: id)
    }

    /// It never ran.
    func failed() { registration?.withdraw() }

    func ended(_ status: ExitStatus) {
        registration?.withdraw()
        tell("exec_die", ["exitCode": "\(status.code)"])
    }

    func detached() { tell("exec_detach", [:]) }

    private func tell(_ action: String, _ more: [String: String]) {
        guard let directory = try? FD.cwd.open(bundle, [.readOnly, .directory]),
            let config = try? SupervisionConfig.load(from: directory.fd)
        else { return }
        let attributes = more.merging(["execID": id]) { $1 }
        EventLog(container: bundle).append(
            .container(action, id: container, name: config.name, image: config.image, labels: config.labels, attributes))
    }
}

/// A terminal that its keys let go of: the process goes on, with somebody who reads what it writes and waits for its end.
///
/// That is this process's child, which has started it: whoever typed the command gets a shell again when the parent ends.
enum DetachableTerminal {
    /// What the child knows.
    struct Side {
        let keys: DetachKeys
        /// The parent's ear; its end says that the parent was killed.
        let parent: SharedFD

        /// The command is over for its user; the terminal has its old state already.
        func leave() {
            // Out of its session first: as soon as the parent has gone the terminal may hang up.
            _ = cl_setsid()
            if let null = try? FD.cwd.open("/dev/null", .readWrite) {
                for number: Int32 in 0...2 { _ = cl_dup3(null.raw, number, 0) }
            }
            _ = chdir("/")
            try? parent.fd.writeAll([1])
        }
    }

    enum Role {
        case child(Side)
        /// The child has ended, or has let go of the terminal.
        case parent(status: Int32)
    }

    /// Forks. Needs a process with one thread, with all signals blocked.
    static func divide(_ keys: DetachKeys) throws(SystemError) -> Role {
        let pair = try makeSocketPair(.stream).take()
        let (ours, theirs) = (SharedFD(owning: pair.first), SharedFD(owning: pair.second))
        let child = try check(cl_clone3(0, UInt64(SIGCHLD), nil, -1), "clone")
        if child == 0 {
            _ = cl_close(ours.raw)
            return .child(Side(keys: keys, parent: theirs))
        }
        _ = cl_close(theirs.raw)
        return .parent(status: try wait(child, ours.fd))
    }

    private static func wait(_ child: Int32, _ ear: FD) throws(SystemError) -> Int32 {
        let signals = OwnedFD(owning: try check(cl_signalfd(-1, Foreground.blocked, Int32(O_NONBLOCK)), "make signal descriptor"))
        var hears = true
        while true {
            var fds = [signals.raw, hears ? ear.rawValue : -1]
            var events: [Int16] = [1, 1]
            var ready: [Int16] = [0, 0]
            let count = cl_poll(&fds, &events, &ready, 2, -1)
            if count == -EINTR { continue }
            try check(count, "wait")
            if ready[1] != 0 {
                var byte: UInt8 = 0
                if cl_read(ear.rawValue, &byte, 1) == 1 { return 0 }
                hears = false
            }
            if ready[0] != 0 {
                var info = [UInt8](repeating: 0, count: 128)
                while cl_read(signals.raw, &info, 128) == 128 {
                    let number = info.withUnsafeBytes { Int32(bitPattern: $0.loadUnaligned(as: UInt32.self)) }
                    // Of the terminal's size the child hears by itself.
                    if number != SIGCHLD, number != SIGWINCH { _ = kill(child, number) }
                }
                if let ended = try waitForProcess(child, options: WNOHANG) { return ended.status.code }
            }
        }
    }
}
