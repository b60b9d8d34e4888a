import Engine
import Glibc
import Linux

/// A column of ps(1).
struct ProcessColumn {
    let names: [String]
    let heading: String
    let value: (ContainerProcess, ProcessClock) -> String

    init(_ names: String, _ heading: String, _ value: @escaping (ContainerProcess, ProcessClock) -> String) {
        self.names = names.split(separator: " ").map(String.init)
        self.heading = heading
        self.value = value
    }

    static func named(_ name: String) -> ProcessColumn? { known.first { $0.names.contains(name) } }

    private static var known: [ProcessColumn] { identity + times + sizes }

    private static var identity: [ProcessColumn] {
        [
            ProcessColumn("uid", "UID") { p, _ in userName(of: p.uid) ?? "\(p.uid)" },
            ProcessColumn("user euser uname huser", "USER") { p, _ in userName(of: p.uid) ?? "\(p.uid)" },
            ProcessColumn("euid", "EUID") { p, _ in "\(p.uid)" },
            ProcessColumn("gid egid", "GID") { p, _ in "\(p.gid)" },
            ProcessColumn("pid hpid tgid", "PID") { p, _ in "\(p.pid)" },
            ProcessColumn("nspid", "NSPID") { p, _ in p.innerPid.map { "\($0)" } ?? "-" },
            ProcessColumn("ppid", "PPID") { p, _ in "\(p.parent)" },
            ProcessColumn("pgid pgrp", "PGID") { p, _ in "\(p.group)" },
            ProcessColumn("sid sess session", "SID") { p, _ in "\(p.session)" },
            ProcessColumn("tty tt tname", "TTY") { p, _ in p.terminal },
            ProcessColumn("cmd args", "CMD") { p, _ in p.command },
            ProcessColumn("command", "COMMAND") { p, _ in p.command },
            ProcessColumn("comm ucmd ucomm", "COMMAND") { p, _ in p.name },
            ProcessColumn("stat state s", "STAT") { p, _ in p.state },
            ProcessColumn("ni nice", "NI") { p, _ in "\(p.nice)" },
            ProcessColumn("nlwp thcount", "NLWP") { p, _ in "\(p.threads)" },
        ]
    }

    private static var times: [ProcessColumn] {
        [
            ProcessColumn("c", "C") { p, clock in "\(clock.share(p))" },
            ProcessColumn("pcpu %cpu", "%CPU") { p, clock in "\(clock.share(p)).0" },
            ProcessColumn("stime", "STIME") { p, clock in clock.start(p) },
            ProcessColumn("start start_time bsdstart", "START") { p, clock in clock.start(p) },
            ProcessColumn("lstart", "STARTED") { p, clock in String(HumanTime.local(clock.started(p)).prefix(19)) },
            ProcessColumn("etime", "ELAPSED") { p, clock in clock.elapsed(p) },
            ProcessColumn("etimes", "ELAPSED") { p, clock in "\(clock.age(p))" },
            ProcessColumn("time cputime", "TIME") { p, clock in clock.used(p) },
        ]
    }

    private static var sizes: [ProcessColumn] {
        [
            ProcessColumn("pmem %mem", "%MEM") { p, clock in clock.memoryShare(p) },
            ProcessColumn("vsz vsize", "VSZ") { p, _ in "\(p.virtualMemory / 1024)" },
            ProcessColumn("rss rssize rsz", "RSS") { p, _ in "\(p.residentMemory / 1024)" },
        ]
    }
}

/// What the numbers of /proc are measured against.
struct ProcessClock {
    private let ticks = max(1, Int64(sysconf(Int32(_SC_CLK_TCK))))
    /// Seconds since 1970.
    private let now = wallClockNanoseconds() / 1_000_000_000
    private let boot: Int64
    /// Bytes.
    private let memory = Int64(max(1, sysconf(Int32(_SC_PHYS_PAGES)))) * Int64(getpagesize())

    init() {
        var uptime = timespec()
        clock_gettime(CLOCK_BOOTTIME, &uptime)
        boot = now - Int64(uptime.tv_sec)
    }

    /// Nanoseconds since 1970.
    func started(_ process: ContainerProcess) -> Int64 { (boot &+ Int64(clamping: process.startTime) / ticks) &* 1_000_000_000 }

    func start(_ process: ContainerProcess) -> String { String(HumanTime.local(started(process)).dropFirst(11).prefix(5)) }

    /// Seconds.
    func age(_ process: ContainerProcess) -> Int64 { max(0, now &- started(process) / 1_000_000_000) }

    /// `[[DD-]HH:]MM:SS`
    func elapsed(_ process: ContainerProcess) -> String {
        let seconds = age(process)
        let (days, hours) = (seconds / 86400, seconds / 3600 % 24)
        let rest = "\(two(seconds / 60 % 60)):\(two(seconds % 60))"
        if days > 0 { return "\(days)-\(two(hours)):\(rest)" }
        return hours > 0 ? "\(two(hours)):\(rest)" : rest
    }

    func used(_ process: ContainerProcess) -> String {
        let seconds = Int64(clamping: process.cpuTime) / ticks
        return "\(two(seconds / 3600)):\(two(seconds / 60 % 60)):\(two(seconds % 60))"
    }

    /// Percent of one processor over the process's life.
    func share(_ process: ContainerProcess) -> Int64 {
        let age = age(process)
        return age <= 0 ? 0 : min(99, Int64(clamping: process.cpuTime) / ticks &* 100 / age)
    }

    /// Percent of the host's memory, with one decimal.
    func memoryShare(_ process: ContainerProcess) -> String {
        let tenths = min(999, max(0, process.residentMemory) / (memory / 1000 + 1))
        return "\(tenths / 10).\(tenths % 10)"
    }

    private func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }
}
