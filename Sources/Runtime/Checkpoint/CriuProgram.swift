import CLinux
import Glibc
import Linux

/// The program `criu`, which writes processes down and makes them again (criu.org).
///
/// It is used as runc and crun use it: as a child that speaks its RPC over a socket (`criu swrk`). The command line would not do: a
/// restored process could not become our child, and nobody could be asked between the last image and the end of the processes.
public struct CriuProgram: Sendable {
    public let path: String

    public init(path: String) { self.path = path }

    /// Where it is: as given, as `BERTH_CRIU` says, or in `PATH`.
    ///
    /// - Throws: `.unsupported` with what to install.
    public static func find(_ given: String = "") throws(RuntimeError) -> CriuProgram {
        let named = given.isEmpty || given == "criu" ? environmentVariable("BERTH_CRIU") ?? "" : given
        guard let path = findProgram(named.isEmpty ? "criu" : named) else {
            let what = named.isEmpty ? "checkpoints need the program criu" : "\"\(named)\" is no program"
            throw RuntimeError(.unsupported, "find criu", cause: what + "; install it: apt-get install criu, or see criu.org")
        }
        return CriuProgram(path: path)
    }

    /// What `criu check` finds missing on this host.
    ///
    /// - Returns: a sentence; nil where all that is needed works.
    public func problem() -> String? {
        guard let (status, text) = run(["check"]) else { return "\(path) cannot be run" }
        if status == .exited(0) { return nil }
        let line = CriuLog.reason(in: text) ?? text.split(separator: "\n").last.map(String.init) ?? "no reason given"
        return "criu\(version.map { " " + $0 } ?? "") does not work with this kernel (criu check: \(line)); install a newer one"
    }

    /// As `criu --version` tells it.
    var version: String? {
        let text = run(["--version"])?.text ?? ""
        let line = text.split(separator: "\n").first { $0.hasPrefix("Version:") }
        return line.map { String($0.dropFirst(8).drop { $0 == " " }) }
    }

    /// Runs it and reads what it says, for ten seconds.
    private func run(_ words: [String]) -> (status: ExitStatus, text: String)? {
        let said = cl_memfd_create("criu", 1 /* CLOEXEC */)
        guard said >= 0, let null = try? FD.cwd.open("/dev/null", .readWrite) else { return nil }
        let file = OwnedFD(owning: said)
        let request = SpawnRequest(
            path, ["criu"] + words, environment: Self.environment, descriptors: [(null.fd, 0), (file.fd, 1), (file.fd, 2)])
        guard let process = try? spawn(request) else { return nil }
        if !isReadable(process.pidfd.fd, milliseconds: 10_000) { try? process.pidfd.fd.sendSignal(SIGKILL) }
        guard let status = try? process.wait() else { return nil }
        _ = cl_lseek(file.raw, 0, SEEK_SET)
        let bytes = (try? file.fd.readAll(limit: 1 << 20)) ?? []
        return (status, String(decoding: bytes, as: UTF8.self))
    }

    /// It calls `ip`, `iptables`, `nft` and `tar`.
    static let environment = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"]
}

/// Whether a descriptor becomes readable in time, or its other side is gone.
func isReadable(_ descriptor: FD, milliseconds: Int32) -> Bool {
    var number = descriptor.rawValue
    var wanted = Int16(POLLIN)
    var got: Int16 = 0
    while true {
        let count = cl_poll(&number, &wanted, &got, 1, milliseconds)
        if count != -EINTR { return count > 0 }
    }
}

/// What CRIU writes while it works.
enum CriuLog {
    static let dump = "dump.log"
    static let restore = "restore.log"

    /// The line that says why, without its time and place in CRIU's sources: the first error, as those after it tell what came of it.
    static func reason(in text: String) -> String? {
        for line in text.split(separator: "\n") {
            guard let error = line.firstRange(of: "Error (") else { continue }
            let rest = line[error.upperBound...]
            let told = rest.firstRange(of: "): ").map { rest[$0.upperBound...] } ?? rest
            // Not being allowed what it need not have is no failure; the others end every failure, and say nothing.
            let isNoise = ["rlimit: ", "tun: ", "Dumping FAILED", "Restoring FAILED", "Pre-dumping FAILED"].contains { told.hasPrefix($0) }
            if !isNoise { return String(told) }
        }
        return nil
    }

    /// Of a log of any size the end counts.
    static func reason(_ directory: FD, _ name: String) -> String? {
        guard let file = try? directory.open(name, [.readOnly, .noFollow, .nonBlocking]), let info = try? file.fd.status() else {
            return nil
        }
        _ = cl_lseek(file.raw, max(0, Int64(info.st_size) - (1 << 20)), SEEK_SET)
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        let count = cl_read(file.raw, &buffer, buffer.count)
        return count > 0 ? reason(in: String(decoding: buffer[..<count], as: UTF8.self)) : nil
    }
}

extension Substring {
    /// C function: `strstr(3)`, without Foundation.
    fileprivate func firstRange(of text: String) -> Range<Substring.Index>? {
        let (bytes, wanted) = (utf8, Array(text.utf8))
        var start = bytes.startIndex
        while start != bytes.endIndex {
            var (here, index) = (start, 0)
            while index < wanted.count, here != bytes.endIndex, bytes[here] == wanted[index] {
                here = bytes.index(after: here)
                index += 1
            }
            if index == wanted.count { return start..<here }
            start = bytes.index(after: start)
        }
        return nil
    }
}
