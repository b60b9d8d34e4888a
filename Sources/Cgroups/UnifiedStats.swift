import Linux

/// Statistics of cgroup v2. Kernel: admin-guide/cgroup-v2.rst.
enum UnifiedStats {
    static func cpu(_ directory: CgroupDirectory, _ cpu: inout CgroupStats.CPU) throws(CgroupError) {
        guard let bytes = try directory.readIfPresent("cpu.stat") else { return }
        KeyedText(bytes).forEachLine { fields in
            guard fields.count == 2, let value = number(fields[1]) else { return }
            switch text(fields[0]) {
            case "usage_usec": cpu.total = value &* 1000
            case "user_usec": cpu.user = value &* 1000
            case "system_usec": cpu.kernel = value &* 1000
            case "nr_periods": cpu.periods = value
            case "nr_throttled": cpu.throttledPeriods = value
            case "throttled_usec": cpu.throttledTime = value &* 1000
            default: break
            }
        }
    }

    static func memory(_ directory: CgroupDirectory, _ memory: inout CgroupStats.Memory) throws(CgroupError) {
        guard let usage = try directory.number("memory.current") else { return }
        memory.raw = statLines(try directory.readIfPresent("memory.stat") ?? [])
        memory.cache = memory["file"] ?? 0
        memory.usage.usage = usage
        memory.usage.limit = try directory.number("memory.max") ?? .max
        memory.usage.peak = try directory.number("memory.peak") ?? 0  // since 5.19
        memory.usage.failures = KeyedText(try directory.readIfPresent("memory.events") ?? []).value("max") ?? 0
        // v1's sum of memory and swap, for callers that know only that.
        memory.memoryAndSwap.usage = usage &+ (try directory.number("memory.swap.current") ?? 0)
        let swapLimit = try directory.number("memory.swap.max") ?? .max
        let (sum, overflow) = memory.usage.limit.addingReportingOverflow(swapLimit)
        memory.memoryAndSwap.limit = overflow ? .max : sum
    }

    static func statLines(_ bytes: [UInt8]) -> [(key: String, value: UInt64)] {
        var lines: [(key: String, value: UInt64)] = []
        KeyedText(bytes).forEachLine { fields in
            if fields.count == 2, let value = number(fields[1]) { lines.append((text(fields[0]), value)) }
        }
        return lines
    }

    /// `io.stat`, under v1's names: `8:0 rbytes=1 wbytes=2 rios=3 wios=4 …`.
    static func blockIO(_ directory: CgroupDirectory, _ io: inout CgroupStats.BlockIO) throws(CgroupError) {
        guard let bytes = try directory.readIfPresent("io.stat") else { return }
        KeyedText(bytes).forEachLine { fields in
            let device = (fields.first ?? []).split(separator: UInt8(ascii: ":"))
            guard device.count == 2, let major = number(device[0]), let minor = number(device[1]) else { return }
            for field in fields.dropFirst() {
                guard let equals = field.firstIndex(of: UInt8(ascii: "=")), let value = number(field[(equals + 1)...])
                else { continue }
                func entry(_ operation: String) -> CgroupStats.BlockIO.Entry {
                    .init(major: major, minor: minor, operation: operation, value: value)
                }
                switch text(field[..<equals]) {
                case "rbytes": io.serviceBytes.append(entry("Read"))
                case "wbytes": io.serviceBytes.append(entry("Write"))
                case "rios": io.serviced.append(entry("Read"))
                case "wios": io.serviced.append(entry("Write"))
                default: break
                }
            }
        }
    }

    /// `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`; nil where the kernel does not measure pressure.
    static func pressure(_ directory: CgroupDirectory, _ file: String) throws(CgroupError) -> CgroupStats.Pressure? {
        guard let bytes = try directory.readIfPresent(file), !bytes.isEmpty else { return nil }
        var pressure = CgroupStats.Pressure()
        KeyedText(bytes).forEachLine { fields in
            var line = CgroupStats.Pressure.Line()
            for field in fields.dropFirst() {
                let parts = field.split(separator: UInt8(ascii: "="))
                if parts.count != 2 { continue }
                switch text(parts[0]) {
                case "avg10": line.average10 = decimal(parts[1])
                case "avg60": line.average60 = decimal(parts[1])
                case "avg300": line.average300 = decimal(parts[1])
                case "total": line.total = number(parts[1]) ?? 0
                default: break
                }
            }
            if fields[0].elementsEqual("some".utf8) { pressure.some = line } else { pressure.full = line }
        }
        return pressure
    }

    /// The kernel prints two decimals.
    private static func decimal(_ digits: ArraySlice<UInt8>) -> Double {
        let parts = digits.split(separator: UInt8(ascii: "."))
        let whole = parts.first.flatMap { number($0) } ?? 0
        let hundredths = parts.count > 1 ? number(parts[1].prefix(2)) ?? 0 : 0
        return Double(whole) + Double(hundredths) / 100
    }
}
