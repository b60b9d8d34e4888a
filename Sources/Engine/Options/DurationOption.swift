/// Durations as Go writes them: `1h30m`, `10s`, `250ms`.
public enum DurationOption {
    /// Nanoseconds. Only non-negative durations make sense where this is used.
    public static func parse(_ text: String) -> Int64? {
        var bytes = text.utf8[...]
        if bytes.isEmpty { return nil }
        var total = 0.0
        while !bytes.isEmpty {
            let number = bytes.prefix { ($0 >= 0x30 && $0 <= 0x39) || $0 == UInt8(ascii: ".") }
            bytes = bytes.dropFirst(number.count)
            let unit = bytes.prefix { !(($0 >= 0x30 && $0 <= 0x39) || $0 == UInt8(ascii: ".")) }
            bytes = bytes.dropFirst(unit.count)
            guard let value = Double(String(Substring(number))) else { return nil }
            let scale: Double
            switch String(Substring(unit)) {
            case "ns": scale = 1
            case "us", "µs", "μs": scale = 1e3
            case "ms": scale = 1e6
            case "s": scale = 1e9
            case "m": scale = 60e9
            case "h": scale = 3600e9
            case "" where number.elementsEqual("0".utf8) && total == 0 && bytes.isEmpty: scale = 0
            default: return nil
            }
            total += value * scale
            if total > 9e18 { return nil }
        }
        return Int64(total)
    }
}
