import Engine
import Flags
import Glibc
import Linux

/// `berth top`: ps(1)'s columns, read from the host's /proc.
struct TopCommand {
    let session: Session
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let arguments = session.arguments.positionals
        let columns = try columns(Array(arguments.dropFirst()))
        let processes = try engine { () throws(EngineError) in try session.engine.processes(arguments.first ?? "") }
        var table = TextTable(heading: columns.map(\.heading))
        let boot = Clock.bootTime()
        for process in processes { table.add(columns.map { $0.value(process, boot) }) }
        session.printRaw(table.render())
        return 0
    }

    private struct Column {
        let heading: String
        let value: (ContainerProcess, Int64) -> String
    }

    /// `-ef` is what stands for nothing at all; `-o`, `-eo` and `aux` are understood.
    private func columns(_ options: [String]) throws(CommandError) -> [Column] {
        if options.isEmpty || options == ["-ef"] { return try named("uid,pid,ppid,c,stime,tty,time,cmd") }
        if options == ["aux"] || options == ["-aux"] {
            return try named("user,pid,%cpu,vsz,rss,tty,stat,start,time,command")
        }
        var list = ""
        var index = 0
        while index < options.count {
            let word = options[index]
            if word == "-o" || word == "-eo" || word == "-Ao" || word == "o", index + 1 < options.count {
                list += (list.isEmpty ? "" : ",") + options[index + 1]
                index += 2
            } else if word.hasPrefix("-o"), word.utf8.count > 2 {
                list += (list.isEmpty ? "" : ",") + word.dropFirst(2)
                index += 1
            } else if word == "-e" || word == "-A" {
                index += 1
            } else if !word.hasPrefix("-"), Self.known.contains(where: { $0.names.contains(word) }) {
                // podman's way: columns as operands.
                list += (list.isEmpty ? "" : ",") + word
                index += 1
            } else {
                throw CommandError("not supported yet: ps option \(word): use -o COLUMN,…")
            }
        }
        return try named(list)
    }

    private func named(_ list: String) throws(CommandError) -> [Column] {
        var result: [Column] = []
        for name in list.split(separator: ",").map({ $0.lowercased() }) {
            guard let column = Self.known.first(where: { $0.names.contains(name) }) else {
                throw CommandError("not supported yet: ps column \(name)")
            }
            result.append(column.column)
        }
        return result
    }

    private static var known: [(names: [String], column: Column)] {
        [
            (["uid"], Column(heading: "UID") { p, _ in userName(of: p.uid) ?? "\(p.uid)" }),
            (["user", "euser", "uname"], Column(heading: "USER") { p, _ in userName(of: p.uid) ?? "\(p.uid)" }),
            (["pid", "hpid"], Column(heading: "PID") { p, _ in "\(p.pid)" }),
            (["ppid"], Column(heading: "PPID") { p, _ in "\(p.parent)" }),
            (["c"], Column(heading: "C") { p, boot in "\(Clock.share(p, boot))" }),
            (["pcpu", "%cpu"], Column(heading: "%CPU") { p, boot in "\(Clock.share(p, boot)).0" }),
            (["stime", "start", "lstart"], Column(heading: "STIME") { p, boot in Clock.start(p, boot) }),
            (["tty", "tt", "tname"], Column(heading: "TTY") { p, _ in p.terminal }),
            (["time", "cputime"], Column(heading: "TIME") { p, _ in Clock.cpu(p) }),
            (["cmd", "args", "command"], Column(heading: "CMD") { p, _ in p.command }),
            (["comm", "ucmd"], Column(heading: "COMMAND") { p, _ in p.name }),
            (["stat", "state", "s"], Column(heading: "STAT") { p, _ in p.state }),
            (["vsz", "vsize"], Column(heading: "VSZ") { p, _ in "\(p.virtualMemory / 1024)" }),
            (["rss", "rssize"], Column(heading: "RSS") { p, _ in "\(p.residentMemory / 1024)" }),
            (["ni", "nice"], Column(heading: "NI") { p, _ in "\(p.nice)" }),
            (["nlwp", "thcount"], Column(heading: "NLWP") { p, _ in "\(p.threads)" }),
        ]
    }

    private enum Clock {
        static let ticks = max(1, Int64(sysconf(Int32(_SC_CLK_TCK))))

        /// Seconds since 1970 of the boot.
        static func bootTime() -> Int64 {
            var uptime = timespec()
            clock_gettime(CLOCK_BOOTTIME, &uptime)
            return wallClockNanoseconds() / 1_000_000_000 - Int64(uptime.tv_sec)
        }

        static func start(_ process: ContainerProcess, _ boot: Int64) -> String {
            let text = HumanTime.local((boot + Int64(process.startTime) / ticks) * 1_000_000_000)
            return String(text.dropFirst(11).prefix(5))
        }

        static func cpu(_ process: ContainerProcess) -> String {
            let seconds = Int64(process.cpuTime) / ticks
            func two(_ n: Int64) -> String { n < 10 ? "0\(n)" : "\(n)" }
            return "\(two(seconds / 3600)):\(two(seconds / 60 % 60)):\(two(seconds % 60))"
        }

        /// Percent of one CPU over the process's life.
        static func share(_ process: ContainerProcess, _ boot: Int64) -> Int64 {
            let age = wallClockNanoseconds() / 1_000_000_000 - boot - Int64(process.startTime) / ticks
            return age <= 0 ? 0 : min(99, Int64(process.cpuTime) / ticks * 100 / age)
        }
    }
}
