/// What a container uses at one moment. Nil: nobody can tell; all of one that does not run.
public struct ContainerStatistics: Sendable, Equatable {
    /// Percent of one processor: 150 is one and a half.
    public var processor: Double?
    /// Bytes, without page cache that the kernel would take back first.
    public var memory: UInt64?
    /// Bytes: the container's limit, or all the host has.
    public var memoryLimit: UInt64?
    /// Bytes through the devices of its network namespace; 0 in the host's, which is nobody's alone.
    public var received: UInt64?
    public var sent: UInt64?
    /// Bytes from and to block devices.
    public var read: UInt64?
    public var written: UInt64?
    /// Processes and threads.
    public var tasks: UInt64?

    public init() {}

    /// How much of the limit is used, in percent.
    public var memoryShare: Double? {
        guard let memory, let memoryLimit, memoryLimit > 0 else { return nil }
        return Double(memory) / Double(memoryLimit) * 100
    }
}

/// A moment at which processor time was read.
struct ProcessorSample: Equatable {
    /// Nanoseconds of processor time so far.
    var used: UInt64
    /// Nanoseconds on the monotonic clock.
    var at: Int64

    /// Docker's formula: the container's part of all that the host's processors could do meanwhile, times their number.
    ///
    /// The host's part is the clock's, not `/proc/stat`'s, which counts hundredths of a second.
    func share(since earlier: ProcessorSample, processors: Int) -> Double {
        let elapsed = at &- earlier.at
        guard elapsed > 0, used > earlier.used, processors > 0 else { return 0 }
        let system = Double(elapsed) * Double(processors)
        return Double(used - earlier.used) / system * Double(processors) * 100
    }
}

/// Sums of `/proc/PID/net/dev` over all devices but loopback.
struct NetworkCounters: Equatable {
    var received: UInt64 = 0
    var sent: UInt64 = 0

    /// - Parameter text: two lines of headings, then `eth0: bytes packets errs drop fifo frame compressed multicast bytes …`.
    init(_ text: [UInt8]) {
        for line in text.split(separator: 10) {
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { continue }
            let name = line[..<colon].drop { $0 == 32 }
            if name.elementsEqual("lo".utf8) { continue }
            let fields = line[(colon + 1)...].split(separator: 32)
            guard fields.count >= 9, let received = Self.number(fields[0]), let sent = Self.number(fields[8]) else { continue }
            self.received &+= received
            self.sent &+= sent
        }
    }

    private static func number(_ digits: ArraySlice<UInt8>) -> UInt64? { UInt64(String(decoding: digits, as: UTF8.self)) }
}
