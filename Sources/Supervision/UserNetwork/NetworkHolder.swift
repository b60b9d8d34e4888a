import CLinux
import Control
import Glibc
import Linux

/// `berth-runtime hold-network --run RUN`: keeps the namespaces of a user's networks, and pasta.
///
/// Descriptor 3 is a pipe that is told ``NetworkHolder/isReady`` or why not. Needs a process with one thread, in the namespaces of
/// the host.
/// - Parameter arguments: what follows `hold-network`.
package func holdNetworkMain(arguments: [String]) -> Int32 {
    guard arguments.count == 2, arguments[0] == "--run", let info = try? FD(3).status(), info.st_mode & S_IFMT == S_IFIFO else {
        try? FD.standardError.writeAll("berth-runtime: hold-network is started by supervisors only\n")
        return 2
    }
    _ = cl_setsid()
    _ = cl_signal_ignore(SIGPIPE)
    _ = cl_signal_ignore(SIGHUP)
    let name: StaticString = "berth-network"
    _ = cl_prctl(15 /* PR_SET_NAME */, UInt(bitPattern: name.utf8Start), 0, 0, 0)
    let report = SharedFD(owning: 3)
    try? report.fd.setCloseOnExec(true)
    let holder: NetworkHolder
    do throws(LaunchFailure) { holder = try NetworkHolder(NetworkHolderFiles(run: arguments[1])) } catch {
        try? report.fd.writeAll(error.text)
        return 1
    }
    try? report.fd.writeAll(NetworkHolder.isReady)
    // The end of the pipe is what the starter waits for.
    if let null = try? FD.cwd.open("/dev/null", .readWrite) { _ = cl_dup3(null.raw, report.raw, 0) }
    holder.serve()
    return 0
}

/// Holds the namespaces for as long as somebody is connected, and keeps pasta running.
package final class NetworkHolder {
    static let isReady = "ready"
    /// A loop of `berth run --rm` shall not make everything anew each time.
    private static let linger: Int64 = 2_000_000_000

    private let files: NetworkHolderFiles
    private let program: String
    private let userNamespace: SharedFD
    private let networkNamespace: SharedFD
    private let record: SharedFD
    private let listener: SharedFD
    private let keepsSources: Bool
    private var connections: [SharedFD] = []
    private var pasta: PastaProcess?
    /// When to try pasta again, and how long to wait after the next failure.
    private var retry = Int64.max
    private var pause: Int64 = 1_000_000_000

    init(_ files: NetworkHolderFiles) throws(LaunchFailure) {
        self.files = files
        program = try Self.findPasta()
        let failure: String?
        do throws(SystemError) {
            let anchor = try NamespaceAnchor.make()
            defer { anchor.end() }
            keepsSources = anchor.keepsSources
            userNamespace = try openNamespace("user", of: anchor.pid)
            networkNamespace = try openNamespace("net", of: anchor.pid)
            record = SharedFD(try PastaRecord.make(files.pasta))
            // Before pasta: no step may fail while it runs.
            listener = SharedFD(try listenLocal(files.socket, kind: .sequencedPacket))
            try listener.fd.setNonBlocking(true)
            failure = try startPasta(anchor)
        } catch {
            throw LaunchFailure("make namespaces for networks: \(error.description)")
        }
        guard let failure else { return }
        // Without a way out containers still have each other; it is tried again until the host has one.
        retry = monotonicNanoseconds() + 5_000_000_000
        if HostRoutes.hasDefault(isIPv6: false) || HostRoutes.hasDefault(isIPv6: true) {
            _ = cl_unlinkat(AT_FDCWD, files.socket, 0)
            throw LaunchFailure("start pasta: \(failure)")
        }
    }

    /// What is missing is told with what to type.
    private static func findPasta() throws(LaunchFailure) -> String {
        guard let program = findProgram("pasta") else {
            throw LaunchFailure(
                "networks of users other than root need pasta, which is not installed; type: sudo apt install passt "
                    + "(or use --network host or none)")
        }
        let opened = cl_openat(AT_FDCWD, "/dev/net/tun", O_RDWR, 0)
        guard opened >= 0 else {
            let fix = opened == -ENOENT ? "sudo modprobe tun" : "sudo chmod 0666 /dev/net/tun"
            throw LaunchFailure(
                "networks of users other than root need /dev/net/tun, which cannot be opened: "
                    + "\(Errno(rawValue: -opened).description); type: \(fix) (or use --network host or none)")
        }
        _ = cl_close(opened)
        return program
    }

    /// - Returns: why it does not run; nil once it forwards.
    private func startPasta(_ anchor: borrowing NamespaceAnchor) throws(SystemError) -> String? {
        let process = try PastaProcess.start(program, anchor: anchor.pid, files)
        guard process.isReady() else {
            process.end()
            return process.lastMessage()
        }
        PastaRecord.write(process.pid, to: record.fd)
        pasta = consume process
        pause = 1_000_000_000
        return nil
    }

    // MARK: Serving

    /// Until nobody has been connected for a while.
    func serve() {
        var emptySince = monotonicNanoseconds()
        // The one who had us started has more to do than others before it asks.
        var patience: Int64 = 10_000_000_000
        while true {
            let now = monotonicNanoseconds()
            if connections.isEmpty, now - emptySince >= patience { break }
            if now >= retry { restartPasta() }
            var wakeUp = retry
            if connections.isEmpty { wakeUp = min(wakeUp, emptySince + patience) }
            let wasUsed = !connections.isEmpty
            wait(until: wakeUp)
            if wasUsed || !connections.isEmpty {
                emptySince = monotonicNanoseconds()
                patience = Self.linger
            }
        }
        // The name first: who finds none starts another holder. Who is connected and was not heard sees the end, and looks again.
        _ = cl_unlinkat(AT_FDCWD, files.socket, 0)
        _ = cl_unlinkat(AT_FDCWD, files.ready, 0)
        _ = cl_unlinkat(AT_FDCWD, files.pasta, 0)
        if let process = pasta.take() { process.end() }
    }

    private func wait(until wakeUp: Int64) {
        var fds = [listener.raw, pastaDescriptor] + connections.map(\.raw)
        var wanted = [Int16](repeating: Int16(POLLIN), count: fds.count)
        var got = [Int16](repeating: 0, count: fds.count)
        let left = wakeUp == Int64.max ? -1 : max(0, (wakeUp - monotonicNanoseconds() + 999_999) / 1_000_000)
        guard cl_poll(&fds, &wanted, &got, Int32(fds.count), Int32(clamping: left)) > 0 else { return }
        let silent = connections.indices.filter { got[$0 + 2] == 0 || serve(connections[$0]) }
        if silent.count != connections.count { connections = silent.map { connections[$0] } }
        if got[1] != 0 { pastaEnded() }
        if got[0] != 0 { accept() }
    }

    /// Answers a supervisor that wants sockets of the host's namespace.
    ///
    /// - Returns: false when it has gone.
    private func serve(_ connection: SharedFD) -> Bool {
        guard let message = try? connection.fd.receive(limit: 64, flags: 0x40 /* MSG_DONTWAIT */), !message.bytes.isEmpty else {
            return false
        }
        let answer = HostSocketRequest.answer(message.bytes)
        // Who takes no answers waits in vain; everybody else is served on.
        try? connection.fd.send(answer.bytes, descriptors: answer.descriptors.map(\.fd), flags: 0x40)
        return true
    }

    private func accept() {
        let number = cl_accept4(listener.raw, Int32(SOCK_CLOEXEC.rawValue))
        guard number >= 0 else { return }
        let connection = SharedFD(owning: number)
        guard let peer = try? connection.fd.peerCredentials(), peer.uid == geteuid() else { return }
        let descriptors = [userNamespace.fd, networkNamespace.fd, record.fd]
        let greeting = [keepsSources ? 1 : 2] + UserNetwork.hostIdentity()
        guard (try? connection.fd.send(greeting, descriptors: descriptors, flags: 0x40)) != nil else { return }
        connections.append(connection)
    }

    private var pastaDescriptor: Int32 { pasta?.pidfd.raw ?? -1 }

    private func pastaEnded() {
        if let process = pasta.take() { process.end() }
        retry = monotonicNanoseconds() + pause
        pause = min(pause * 2, 30_000_000_000)
    }

    private func restartPasta() {
        retry = Int64.max
        let wait = pause
        if let anchor = try? NamespaceAnchor.enter(userNamespace, networkNamespace) {
            defer { anchor.end() }
            if (try? startPasta(anchor)) == .some(nil) { return }
        }
        retry = monotonicNanoseconds() + wait
        pause = min(wait * 2, 30_000_000_000)
    }
}
