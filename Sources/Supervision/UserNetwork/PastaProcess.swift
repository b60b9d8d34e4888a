import CLinux
import Glibc
import Linux
import Networks

/// A running pasta(1): the way out of a user's networks.
///
/// It forwards connections by sockets of its own in the host's network namespace, so it needs no privilege there, and none of the
/// host's addresses inside: those may change meanwhile.
struct PastaProcess: ~Copyable {
    /// Its device in the namespace gets these, of blocks that are nobody's on the host: RFC 7335 and RFC 4193.
    static let gateway = "192.0.0.1"
    static let address = "192.0.0.2"
    static let gateway6 = "fd62:6572:7468::1"
    static let address6 = "fd62:6572:7468::2"

    let pid: Int32
    let pidfd: OwnedFD
    private let messages: OwnedFD
    private let ready: OwnedFD

    /// - Parameters:
    ///   - program: its path.
    ///   - anchor: a process in the namespaces: pasta opens them by its directory in /proc.
    static func start(_ program: String, anchor: Int32, _ files: NetworkHolderFiles) throws(SystemError) -> PastaProcess {
        _ = cl_unlinkat(AT_FDCWD, files.ready, 0)
        try check(cl_mknodat(AT_FDCWD, files.ready, S_IFIFO | 0o600, 0), "make fifo", files.ready)
        // Open for both directions, so that neither side waits for the other.
        let ready = try FD.cwd.open(files.ready, [.readWrite, .nonBlocking, .noFollow])
        let pipe = try makePipe().take()
        let messages = OwnedFD(owning: pipe.first)
        let output = OwnedFD(owning: pipe.second)
        // What nobody reads must not stop it.
        try messages.fd.setNonBlocking(true)
        try output.fd.setNonBlocking(true)
        let null = try FD.cwd.open("/dev/null", .readWrite)
        var request = SpawnRequest(program, arguments(anchor, files))
        request.descriptors = [(null.fd, 0), (null.fd, 1), (output.fd, 2)]
        request.workingDirectory = "/"
        request.newSession = true
        let process = try spawn(request)
        let pid = process.pid
        return PastaProcess(pid: pid, pidfd: try process.pidfd.fd.duplicate(), messages: messages, ready: ready)
    }

    private static func arguments(_ anchor: Int32, _ files: NetworkHolderFiles) -> [String] {
        var words = [
            "pasta", "--foreground", "--quiet", "--config-net", "--no-netns-quit", "--pid", files.ready,
            "--userns", "/proc/\(anchor)/ns/user", "--netns", "/proc/\(anchor)/ns/net", "--ns-ifname", WayOut.device,
            // Published ports are forwarded by supervisors, and nothing inside listens for the host.
            "-t", "none", "-u", "none", "-T", "none", "-U", "none",
            // Without this its gateway is the host's 127.0.0.1, with every service that trusts it.
            "--no-map-gw",
        ]
        if HostRoutes.hasDefault(isIPv6: false) {
            words += ["--address", address, "--netmask", "29", "--gateway", gateway]
        } else {
            words += ["--ipv6-only"]
        }
        if HostRoutes.hasDefault(isIPv6: true) {
            words += ["--address", address6, "--gateway", gateway6]
        } else {
            words += ["--ipv4-only"]
        }
        return words
    }

    /// Whether it forwards; false when it has ended instead. Waits for either.
    borrowing func isReady() -> Bool {
        var fds = [ready.raw, pidfd.raw]
        var wanted = [Int16(POLLIN), Int16(POLLIN)]
        var got: [Int16] = [0, 0]
        let deadline = monotonicNanoseconds() + 10_000_000_000
        while true {
            let left = deadline - monotonicNanoseconds()
            if left <= 0 { return false }
            if cl_poll(&fds, &wanted, &got, 2, Int32(clamping: left / 1_000_000 + 1)) > 0 { return got[0] != 0 }
        }
    }

    /// The last line it has said.
    borrowing func lastMessage() -> String {
        let text = String(decoding: (try? messages.fd.readAvailable()) ?? [], as: UTF8.self)
        return text.split(separator: "\n").last.map(String.init) ?? "no reason given"
    }

    borrowing func end() {
        try? pidfd.fd.sendSignal(SIGKILL)
        _ = try? waitForProcess(pid)
    }
}

extension FD {
    /// What a descriptor that does not block has now.
    fileprivate func readAvailable() throws(SystemError) -> [UInt8] {
        var result: [UInt8] = []
        while result.count < 1 << 16 {
            var part = [UInt8](repeating: 0, count: 4096)
            let count = part.withUnsafeMutableBytes { cl_read(rawValue, $0.baseAddress, $0.count) }
            if count <= 0 { break }
            result += part.prefix(count)
        }
        return result
    }
}

/// Which families have a way out of the host.
enum HostRoutes {
    static func hasDefault(isIPv6: Bool) -> Bool {
        guard let text = try? FD.cwd.readText(isIPv6 ? "/proc/net/ipv6_route" : "/proc/net/route", limit: 16 << 20) else { return false }
        for line in text.split(separator: "\n") {
            let fields = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
            if isIPv6 {
                // Destination, its length, …, device. The kernel has an unreachable default of its own, by `lo`.
                guard fields.count >= 10, fields[1] == "00", fields[9] != "lo" else { continue }
                return true
            }
            guard fields.count >= 8, fields[1] == "00000000", fields[7] == "00000000" else { continue }
            return true
        }
        return false
    }
}

/// The file that says which pasta serves.
///
/// Its lock is held by one open description of which the holder and all supervisors of its namespaces have a copy: free, it says that
/// nobody uses them, however they ended.
enum PastaRecord {
    static func make(_ path: String) throws(SystemError) -> OwnedFD {
        if let old = try? FD.cwd.open(path, [.readWrite, .noFollow]) { endIfAbandoned(old.fd) }
        // Supervisors of a holder that was killed keep the old one, without its name.
        _ = cl_unlinkat(AT_FDCWD, path, 0)
        let file = try FD.cwd.open(path, [.readWrite, .create, .exclusive], mode: 0o600)
        try file.fd.lock(.exclusive)
        return file
    }

    static func write(_ pid: Int32, to file: FD) {
        _ = cl_ftruncate(file.rawValue, 0)
        _ = cl_lseek(file.rawValue, 0, SEEK_SET)
        try? file.writeAll("\(pid) \(processStartTime(pid) ?? 0)\n")
    }

    static func endIfAbandoned(_ file: FD) {
        guard (try? file.tryLock(.exclusive)) == true else { return }
        _ = cl_lseek(file.rawValue, 0, SEEK_SET)
        let text = String(decoding: (try? file.readAll(limit: 256)) ?? [], as: UTF8.self)
        let numbers = text.split(whereSeparator: { $0 == " " || $0 == "\n" })
        guard numbers.count == 2, let pid = Int32(numbers[0]), pid > 1, let time = UInt64(numbers[1]),
            let process = try? openProcess(pid), processStartTime(pid) == time
        else { return }
        try? process.fd.sendSignal(SIGKILL)
    }
}
