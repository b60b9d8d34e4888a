import Control
import Glibc
import Linux

/// A process of a container, as the host's /proc shows it.
public struct ContainerProcess: Sendable {
    public var pid: Int32
    public var parent: Int32
    public var uid: UInt32
    public var gid: UInt32
    /// Process group and session, as the host numbers them.
    public var group: Int32
    public var session: Int32
    /// What the container calls it; nil where the kernel does not say.
    public var innerPid: Int32?
    public var state: String
    /// Clock ticks.
    public var cpuTime: UInt64
    /// Ticks since boot.
    public var startTime: UInt64
    /// Controlling terminal (`pts/0`), `?` without one.
    public var terminal: String
    public var virtualMemory: Int64
    public var residentMemory: Int64
    public var threads: Int64
    public var nice: Int64
    public var command: String
    public var name: String
}

extension Engine {
    /// The processes of a running container. Only the host's /proc is read; nothing of the container runs for it.
    public func processes(_ text: String) throws(EngineError) -> [ContainerProcess] {
        let view = try container(text)
        guard view.isAlive, view.observation.pid > 0 else {
            throw EngineError(.conflict, sentence: "container \(view.id) is not running")
        }
        var result: [ContainerProcess] = []
        for pid in members(of: view) { if let process = ContainerProcess(pid: pid) { result.append(process) } }
        announce("top", view.definition)
        return result.sorted { $0.pid < $1.pid }
    }

    /// Everything in the container's cgroup; where it has none, everything in its pid namespace.
    private func members(of view: ContainerView) -> [Int32] {
        let pid = view.observation.pid
        let own = (try? FD.cwd.readText("/proc/\(pid)/cgroup", limit: 65536)) ?? ""
        let ours = own.includes(view.id) ? own : ""
        var namespace = ""
        if view.definition.pid == .private { namespace = (try? FD.cwd.readLink("/proc/\(pid)/ns/pid")) ?? "" }
        guard let proc = try? FD.cwd.open("/proc", [.readOnly, .directory]),
            let entries = try? directoryEntries(proc.fd)
        else { return [pid] }
        return entries.compactMap { entry in
            guard let number = Int32(entry.name) else { return nil }
            if number == pid { return number }
            if !namespace.isEmpty, (try? proc.fd.readLink("\(number)/ns/pid")) == namespace { return number }
            if !ours.isEmpty, let text = try? proc.fd.readText("\(number)/cgroup", limit: 65536), text == ours {
                return number
            }
            return nil
        }
    }
}

extension ContainerProcess {
    init?(pid: Int32) {
        guard let directory = try? FD.cwd.open("/proc/\(pid)", [.path, .directory]),
            let text = try? directory.fd.readText("stat", limit: 8192), let info = try? directory.fd.status(),
            let open = text.firstIndex(of: "("), let close = text.lastIndex(of: ")")
        else { return nil }
        let fields = text[text.index(after: close)...].split(separator: " ")
        guard fields.count > 21 else { return nil }
        func number(_ field: Int) -> Int64 { Int64(fields[field - 3]) ?? 0 }
        self.pid = pid
        name = String(text[text.index(after: open)..<close])
        state = String(fields[0])
        parent = Int32(truncatingIfNeeded: number(4))
        uid = info.st_uid
        gid = info.st_gid
        group = Int32(truncatingIfNeeded: number(5))
        session = Int32(truncatingIfNeeded: number(6))
        let status = (try? directory.fd.readText("status", limit: 1 << 16)) ?? ""
        let numbers = status.split(separator: "\n").first { $0.hasPrefix("NSpid:") }?.split { $0 == "\t" || $0 == " " }
        innerPid = numbers?.last.flatMap { Int32($0) }
        cpuTime = UInt64(clamping: number(14) &+ number(15))
        startTime = UInt64(clamping: number(22))
        nice = number(19)
        threads = number(20)
        virtualMemory = number(23)
        residentMemory = number(24) &* Int64(getpagesize())
        let terminalNumber = UInt64(bitPattern: number(7))
        let major = (terminalNumber >> 8) & 0xFFF
        let minor = (terminalNumber & 0xFF) | ((terminalNumber >> 12) & 0xFFF00)
        terminal =
            terminalNumber == 0
            ? "?" : major >= 136 && major <= 143 ? "pts/\((major - 136) * 256 + minor)" : "tty\(minor)"
        let line = (try? directory.fd.readText("cmdline", limit: 1 << 17)) ?? ""
        let words = line.split(separator: "\0").joined(separator: " ")
        command = words.isEmpty ? "[\(name)]" : words
    }
}
