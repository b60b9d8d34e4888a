import CLinux
import Control
import Glibc
import Linux

/// The user and network namespace in which all networks of an ordinary user are: bridges, firewall rules, the containers' far ends.
///
/// A supervisor whose container has networks lives in them. They are found through a process that holds them for all
/// (``NetworkHolder``) and that goes when the last connection to it has been closed, by whatever kind of end.
/// docs/networks-rootless.md has the picture.
package struct UserNetwork {
    /// What is held for as long as the supervisor lives.
    private let connection: SharedFD
    /// `RUN/networks/pasta`, with the lock that all users of these namespaces share.
    private let pasta: SharedFD
    /// Which ids of the host the user namespace has.
    let users: [IDMapping]
    let groups: [IDMapping]
    /// Whether sockets in there may speak as clients from outside.
    let keepsSources: Bool
    let hostAddresses: [String]
    /// Sockets of the network namespace this process has left.
    let hostSockets: HostSockets

    /// Finds the namespaces, or has them made, and enters them for good.
    ///
    /// Needs a process with one thread. Ports of the host have to be bound before.
    /// - Throws: one sentence with what to do about it.
    package static func enter(run: String) throws(LaunchFailure) -> UserNetwork {
        let files = NetworkHolderFiles(run: run)
        let joined = try join(files)
        if joined.hostIdentity != hostIdentity() {
            throw LaunchFailure(
                "containers with networks of this user run in another network namespace of the host: stop them first, "
                    + "or choose another run directory with --runroot")
        }
        let hostAddresses = findHostAddresses()
        do throws(SystemError) {
            try check(cl_setns(joined.descriptors[0].raw, 0x1000_0000 /* CLONE_NEWUSER */), "enter user namespace of networks")
            try check(cl_setns(joined.descriptors[1].raw, 0x4000_0000 /* CLONE_NEWNET */), "enter namespace of networks")
            // The change of capabilities has taken away what /proc needs to show us to our own user: `berth exec` enters
            // our namespaces, and children write their maps. Our memory was readable for that user before.
            try check(cl_prctl(4 /* PR_SET_DUMPABLE */, 1, 0, 0, 0), "allow tracing")
        } catch {
            throw LaunchFailure(error.description)
        }
        return UserNetwork(
            connection: joined.connection, pasta: joined.descriptors[2], users: readIDMap("/proc/self/uid_map"),
            groups: readIDMap("/proc/self/gid_map"), keepsSources: joined.keepsSources,
            hostAddresses: hostAddresses, hostSockets: HostSockets(joined.connection))
    }

    /// Ids of the host as ids of this process's user namespace.
    func translate(
        users wanted: [IDMapping], groups wantedGroups: [IDMapping]
    ) throws(LaunchFailure) -> (users: [IDMapping], groups: [IDMapping]) {
        guard let users = Linux.translate(wanted, into: users), let groups = Linux.translate(wantedGroups, into: groups) else {
            throw LaunchFailure(
                "the container has ids that were granted in /etc/subuid or /etc/subgid after its user's networks were made: "
                    + "stop the containers that have networks, then start it again")
        }
        return (users, groups)
    }

    /// Before this process ends. Only what a holder that was killed has left is ended here, and only by the last.
    func leave() {
        // Answers that came too late for their questions first.
        while true {
            guard let message = try? connection.fd.receive(limit: 512, flags: 0x40 /* MSG_DONTWAIT */) else { return }
            if message.bytes.isEmpty { break }
        }
        // Another open description of the same file, which may have lost its name since.
        guard let again = try? pasta.fd.reopen(.readWrite) else { return }
        try? pasta.fd.unlockAndForget()
        PastaRecord.endIfAbandoned(again.fd)
    }

    // MARK: Finding

    private struct Joined {
        let connection: SharedFD
        let descriptors: [SharedFD]
        let keepsSources: Bool
        let hostIdentity: [UInt8]
    }

    /// The network namespace that is the host for this process, as 16 bytes: a device and an inode.
    static func hostIdentity() -> [UInt8] {
        guard let namespace = try? currentNetworkNamespace(), let info = try? namespace.fd.status() else { return [] }
        return [UInt64(info.st_dev), UInt64(info.st_ino)].flatMap { number in withUnsafeBytes(of: number) { Array($0) } }
    }

    private static func join(_ files: NetworkHolderFiles) throws(LaunchFailure) -> Joined {
        try system { () throws(SystemError) in try FD.cwd.makeDirectories(files.directory, mode: 0o700) }
        // A holder that is about to go takes no connection any more: look again.
        for _ in 0..<8 {
            if let joined = try system({ () throws(SystemError) in try ask(files) }) { return joined }
            let lock = try system { () throws(SystemError) in
                let lock = try FD.cwd.open(files.lock, [.readWrite, .create], mode: 0o600)
                try lock.fd.lock(.exclusive)
                return SharedFD(lock)
            }
            defer { withExtendedLifetime(lock) {} }
            if let joined = try system({ () throws(SystemError) in try ask(files) }) { return joined }
            if let failure = try system({ () throws(SystemError) in try startHolder(files) }) { throw LaunchFailure(failure) }
            if let joined = try system({ () throws(SystemError) in try ask(files) }) { return joined }
        }
        throw LaunchFailure("join networks: what holds them ends again and again")
    }

    private static func system<T>(_ body: () throws(SystemError) -> T) throws(LaunchFailure) -> T {
        do throws(SystemError) { return try body() } catch { throw LaunchFailure(error.description) }
    }

    /// - Returns: nil when nobody is there.
    private static func ask(
        _ files: NetworkHolderFiles
    ) throws(SystemError) -> Joined? {
        let connection: SharedFD
        do throws(SystemError) { connection = SharedFD(try connectLocal(files.socket, kind: .sequencedPacket)) } catch {
            if error.errno == .noEntry || error.errno == .connectionRefused { return nil }
            throw error
        }
        guard let answer = try? connection.fd.receive(limit: 64), answer.descriptors.count == 3 else { return nil }
        return Joined(
            connection: connection, descriptors: answer.descriptors, keepsSources: answer.bytes.first == 1,
            hostIdentity: Array(answer.bytes.dropFirst()))
    }

    /// Starts the process that holds the namespaces, in the namespaces of the host.
    ///
    /// - Returns: why it could not; nil once it listens.
    private static func startHolder(_ files: NetworkHolderFiles) throws(SystemError) -> String? {
        let null = try FD.cwd.open("/dev/null", .readWrite)
        let pipe = try makePipe().take()
        let reader = OwnedFD(owning: pipe.first)
        let writer = OwnedFD(owning: pipe.second)
        var request = SpawnRequest("/proc/self/exe", ["berth-runtime", "hold-network", "--run", files.run])
        request.descriptors = [(null.fd, 0), (null.fd, 1), (null.fd, 2), (writer.fd, 3)]
        request.workingDirectory = "/"
        request.newSession = true
        let child = try spawn(request)
        close(writer)
        let answer = String(decoding: try reader.fd.readAll(limit: 4096), as: UTF8.self)
        if answer == NetworkHolder.isReady { return nil }
        _ = try? child.wait()
        return answer.isEmpty ? "join networks: what holds them ended without a word" : answer
    }
}

extension FD {
    /// Gives up a lock that other descriptors share, for this process only: by letting go of the description.
    fileprivate func unlockAndForget() throws(SystemError) {
        let null = try FD.cwd.open("/dev/null", .readOnly)
        try check(cl_dup3(null.raw, rawValue, 0), "close lock")
    }
}

/// Where a user's networks have their files.
struct NetworkHolderFiles {
    let run: String
    var directory: String { run + "/networks" }
    var socket: String { directory + "/holder.sock" }
    /// Held while a holder is looked for and started.
    var lock: String { directory + "/holder.lock" }
    /// Which pasta serves; see ``PastaRecord``.
    var pasta: String { directory + "/pasta" }
    /// A FIFO to which pasta writes its pid once it forwards.
    var ready: String { directory + "/pasta.ready" }
}
