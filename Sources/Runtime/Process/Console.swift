import CLinux
import Glibc
import Linux
import OCI

/// A pseudo-terminal of the container's own devpts.
///
/// The slave comes from TIOCGPTPEER, not from a path, and `/dev/console` is a bind of that descriptor on a file that
/// is opened without following links (CVE-2025-52565).
struct Console: ~Copyable {
    let master: OwnedFD
    let slave: OwnedFD
    private let masterIsOpen: Bool = true

    static func open(in root: RootfsPath, size: Box?, bindsConsole: Bool) throws(RuntimeError) -> Console {
        try kernel("make terminal") { () throws(SystemError) in
            let console = try openPair(root)
            if let size, size.height > 0 || size.width > 0 {
                try check(
                    cl_winsize_set(console.master.raw, UInt16(clamping: size.height), UInt16(clamping: size.width)),
                    "set terminal size")
            }
            if bindsConsole { try bind(console.slave.fd, root) }
            return console
        }
    }

    private static func openPair(_ root: RootfsPath) throws(SystemError) -> Console {
        let flags: OpenFlags = [.readWrite, .noControllingTerminal, .noFollow]
        let master = try root.root.open(inRoot: "/dev/pts/ptmx", flags)
        let info = try master.fd.status()
        // 5:2 is the multiplexer; 0x1cd1 is devpts. Anything else was planted.
        guard info.st_mode & S_IFMT == S_IFCHR, info.st_rdev == cl_makedev(5, 2), try master.fd.fileSystemType() == 0x1cd1
        else { throw SystemError(.noDevice, "use terminal multiplexer", "/dev/pts/ptmx") }
        try check(cl_unlockpt(master.raw), "unlock terminal")
        let slave = OwnedFD(owning: try check(cl_tiocgptpeer(master.raw, O_RDWR | O_NOCTTY), "open terminal"))
        return Console(master: master, slave: slave)
    }

    private static func bind(_ slave: FD, _ root: RootfsPath) throws(SystemError) {
        let dev = try root.root.open(inRoot: "/dev", [.path, .directory])
        // O_CREAT without following: an image's link at this place is an error, not a target.
        let place = try dev.fd.open("console", [.writeOnly, .create, .noFollow, .nonBlocking, .noControllingTerminal], mode: 0o600)
        guard try place.fd.status().st_mode & S_IFMT != S_IFDIR else { throw SystemError(.isDirectory, "use", "/dev/console") }
        let copy = try cloneMount(slave)
        try moveMount(copy.fd, to: place.fd)
    }

    /// The creator has it now.
    func closeMaster() { _ = cl_close(master.raw) }
}

/// Standard streams and the descriptors that cross execve.
enum Streams {
    /// Puts the terminal or the given descriptors on 0, 1 and 2.
    static func install(_ plan: InitPlan, _ console: borrowing Console?) throws(RuntimeError) {
        try kernel("install standard streams") { () throws(SystemError) in
            if let slave = slaveDescriptor(console) {
                try check(cl_set_controlling_terminal(slave.rawValue), "set controlling terminal")
                for number: Int32 in 0...2 { try check(cl_dup3(slave.rawValue, number, 0), "install terminal") }
            } else {
                try replace(plan.standardStreams)
                if plan.newMountNamespace { try exchangeNull() }
            }
            // So that a program of another user may open /dev/stdout again.
            for number: Int32 in 0...2 { giveToUser(FD(number), plan.process.user.uid, isOurs: slaveDescriptor(console) != nil) }
        }
    }

    private static func slaveDescriptor(_ console: borrowing Console?) -> FD? {
        switch console {
        case .some(let value): return value.slave.fd
        case .none: return nil
        }
    }

    private static func replace(_ streams: (input: FD, output: FD, error: FD)) throws(SystemError) {
        // By way of higher numbers: a source may itself be one of 0, 1, 2.
        let sources = [streams.input, streams.output, streams.error]
        if sources == [FD(0), FD(1), FD(2)] { return }
        let lifted = try sources.map { (fd) throws(SystemError) in SharedFD(try fd.duplicate(atLeast: 3)) }
        for number in 0..<3 { try check(cl_dup3(lifted[number].raw, Int32(number), 0), "install standard stream") }
    }

    /// A stream that is the host's /dev/null becomes the container's: a descriptor of a mount that the container does not have cannot be
    /// written down by a checkpoint, and leads to a file system of the host.
    private static func exchangeNull() throws(SystemError) {
        for number: Int32 in 0...2 {
            guard let info = try? FD(number).status(), info.st_mode & S_IFMT == S_IFCHR, info.st_rdev == cl_makedev(1, 3) else { continue }
            // What the image has at this place need not be one.
            guard let own = try? FD.cwd.open("/dev/null", [.readWrite, .noFollow, .nonBlocking, .noControllingTerminal]),
                let found = try? own.fd.status(), found.st_mode & S_IFMT == S_IFCHR, found.st_rdev == cl_makedev(1, 3)
            else { continue }
            try check(cl_dup3(own.raw, number, 0), "install standard stream")
        }
    }

    /// Best effort: a host file, a read-only mount or an unmapped owner keeps its owner.
    ///
    /// - Parameter isOurs: the terminal is the container's: only then. One that was handed in is somebody's, who goes on typing there.
    private static func giveToUser(_ stream: FD, _ uid: UInt32, isOurs: Bool) {
        guard let info = try? stream.status(), info.st_uid != uid else { return }
        let kind = info.st_mode & S_IFMT
        guard kind == S_IFIFO || kind == S_IFSOCK || kind == S_IFCHR && isOurs, info.st_rdev != cl_makedev(1, 3) else { return }
        _ = cl_fchownat(stream.rawValue, "", uid, UInt32.max, 0x1000)
    }

    /// Closes every descriptor but 0 to 2, the preserved ones, the gate, the sync socket and the seccomp listener.
    static func closeAllExcept(_ plan: InitPlan) throws(SystemError) {
        var kept = [plan.gate.rawValue, plan.sync.rawValue]
        if let listener = plan.seccomp?.listener { kept.append(listener.raw) }
        if plan.labelDescriptor >= 0 { kept.append(plan.labelDescriptor) }
        kept.sort()
        var next = UInt32(3 + plan.preservedDescriptors)
        for number in kept where number >= 0 {
            let current = UInt32(number)
            if current > next { try check(cl_close_range(next, current - 1, 0), "close descriptors") }
            next = max(next, current + 1)
        }
        try check(cl_close_range(next, UInt32.max, 0), "close descriptors")
    }
}
