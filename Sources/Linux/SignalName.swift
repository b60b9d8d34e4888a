/// Names of signals, as kill(1), Dockerfiles and `--stop-signal` write them.
public enum SignalName {
    private static let names: [(StaticString, Int32)] = [
        ("HUP", 1), ("INT", 2), ("QUIT", 3), ("ILL", 4), ("TRAP", 5), ("ABRT", 6), ("IOT", 6), ("BUS", 7), ("FPE", 8),
        ("KILL", 9), ("USR1", 10), ("SEGV", 11), ("USR2", 12), ("PIPE", 13), ("ALRM", 14), ("TERM", 15), ("STKFLT", 16),
        ("CHLD", 17), ("CLD", 17), ("CONT", 18), ("STOP", 19), ("TSTP", 20), ("TTIN", 21), ("TTOU", 22), ("URG", 23),
        ("XCPU", 24), ("XFSZ", 25), ("VTALRM", 26), ("PROF", 27), ("WINCH", 28), ("IO", 29), ("POLL", 29), ("PWR", 30),
        ("SYS", 31), ("RTMIN", 34), ("RTMAX", 64),
    ]

    /// `TERM`, `sigterm`, `15`, `RTMIN+3`, `SIGRTMAX-1`; nil for anything else and for numbers outside 1 to 64.
    public static func number(_ text: String) -> Int32? {
        if let number = Int32(text) { return (1...64).contains(number) ? number : nil }
        var bytes = text.utf8.map { $0 >= 97 && $0 <= 122 ? $0 - 32 : $0 }
        if bytes.starts(with: Array("SIG".utf8)) { bytes.removeFirst(3) }
        if let sign = bytes.firstIndex(where: { $0 == 43 || $0 == 45 }) {
            guard let base = plain(bytes[..<sign]), base >= 34,
                let offset = Int32(String(decoding: bytes[(sign + 1)...], as: UTF8.self)), offset >= 0, offset <= 30
            else { return nil }
            let number = bytes[sign] == 43 ? base + offset : base - offset
            return (34...64).contains(number) ? number : nil
        }
        return plain(bytes[...])
    }

    /// `SIGTERM` for 15; the number itself for those without a name.
    public static func name(_ number: Int32) -> String {
        for known in names where known.1 == number { return "SIG\(known.0)" }
        return "\(number)"
    }

    private static func plain(_ name: ArraySlice<UInt8>) -> Int32? {
        for known in names where known.0.utf8CodeUnitCount == name.count {
            var same = true
            for (i, byte) in name.enumerated() where known.0.utf8Start[i] != byte { same = false }
            if same { return known.1 }
        }
        return nil
    }
}
