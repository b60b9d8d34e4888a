import Glibc
import Linux

/// What the processes of a container use together, where it has no cgroup that would count.
///
/// Processor time and bytes of children that have ended are their parents', so that the sums do not fall as long as somebody in the
/// container waits for them.
struct ProcessSum: Equatable {
    /// Nanoseconds.
    var processorTime: UInt64 = 0
    /// Bytes of memory; what several processes share counts for each.
    var memory: UInt64 = 0
    var tasks: UInt64 = 0
    /// Nil where the kernel does not let us see.
    var read: UInt64?
    var written: UInt64?

    /// The sums for several containers, with one walk through the host's processes.
    ///
    /// - Returns: by container id; nothing for one whose processes are gone.
    static func read(_ views: [ContainerView]) -> [String: ProcessSum] {
        var owners: [String: String] = [:]
        var firsts: [Int32: String] = [:]
        for view in views {
            firsts[view.observation.pid] = view.id
            guard view.definition.pid == .private, let namespace = try? FD.cwd.readLink("/proc/\(view.observation.pid)/ns/pid") else {
                continue
            }
            owners[namespace] = view.id
        }
        guard let proc = try? FD.cwd.open("/proc", [.readOnly, .directory]), let entries = try? directoryEntries(proc.fd) else {
            return [:]
        }
        var sums: [String: ProcessSum] = [:]
        for entry in entries {
            guard let pid = Int32(entry.name) else { continue }
            var owner = firsts[pid]
            if owner == nil, let namespace = try? proc.fd.readLink("\(pid)/ns/pid") { owner = owners[namespace] }
            guard let owner, let text = try? proc.fd.readText("\(pid)/stat", limit: 8192) else { continue }
            let counters = try? proc.fd.readText("\(pid)/io", limit: 4096)
            sums[owner, default: ProcessSum()].add(stat: text, io: counters)
        }
        return sums
    }

    /// Adds a process: its `/proc/PID/stat`, and `/proc/PID/io` where that can be read (proc(5)).
    mutating func add(stat text: String, io: String?) {
        guard let close = text.utf8.lastIndex(of: UInt8(ascii: ")")) else { return }
        let fields = text[text.utf8.index(after: close)...].split(separator: " ")
        guard fields.count > 21 else { return }
        // The first of these is field 3.
        func number(_ field: Int) -> UInt64 { UInt64(fields[field - 3]) ?? 0 }
        let ticks = UInt64(max(1, sysconf(Int32(_SC_CLK_TCK))))
        let time = (14...17).reduce(UInt64(0)) { $0 &+ number($1) }
        processorTime &+= time &* (1_000_000_000 / ticks)
        tasks &+= number(20)
        memory &+= number(24) &* UInt64(getpagesize())
        for line in io?.split(separator: "\n") ?? [] {
            guard let (key, value) = line.splitOnce(":"), let bytes = UInt64(value.drop { $0 == " " }) else { continue }
            if key == "read_bytes" { read = (read ?? 0) &+ bytes }
            if key == "write_bytes" { written = (written ?? 0) &+ bytes }
        }
    }
}
