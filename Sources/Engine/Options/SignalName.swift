/// Signals by number or name, with or without SIG, in any case.
public enum SignalName {
    private static let names: [(String, Int32)] = [
        ("ABRT", 6), ("ALRM", 14), ("BUS", 7), ("CHLD", 17), ("CLD", 17), ("CONT", 18), ("FPE", 8), ("HUP", 1),
        ("ILL", 4),
        ("INT", 2), ("IO", 29), ("IOT", 6), ("KILL", 9), ("PIPE", 13), ("POLL", 29), ("PROF", 27), ("PWR", 30),
        ("QUIT", 3),
        ("SEGV", 11), ("STKFLT", 16), ("STOP", 19), ("SYS", 31), ("TERM", 15), ("TRAP", 5), ("TSTP", 20), ("TTIN", 21),
        ("TTOU", 22), ("URG", 23), ("USR1", 10), ("USR2", 12), ("VTALRM", 26), ("WINCH", 28), ("XCPU", 24),
        ("XFSZ", 25),
        ("RTMIN", 34), ("RTMAX", 64),
    ]

    /// - Throws: `.invalid` with Docker's words for anything that is no signal.
    public static func parse(_ text: String) throws(EngineError) -> Int32 {
        if let number = Numbers.unsigned(text) {
            guard number >= 1, number <= 64 else { throw .invalid("invalid signal: \(text)") }
            return Int32(number)
        }
        var name = text.uppercased()
        if name.hasPrefix("SIG") { name.removeFirst(3) }
        if let known = names.first(where: { $0.0 == name }) { return known.1 }
        for (base, start, sign) in [("RTMIN+", Int32(34), Int32(1)), ("RTMAX-", Int32(64), Int32(-1))]
        where name.hasPrefix(base) {
            if let offset = Numbers.unsigned(name.dropFirst(6)), offset <= 30 { return start + sign * Int32(offset) }
        }
        throw .invalid("invalid signal: \(text)")
    }

    /// `SIGTERM` for 15; the number where there is no name.
    public static func text(_ signal: Int32) -> String {
        names.first { $0.1 == signal && $0.0 != "CLD" && $0.0 != "IOT" && $0.0 != "POLL" }.map { "SIG" + $0.0 }
            ?? "\(signal)"
    }
}
