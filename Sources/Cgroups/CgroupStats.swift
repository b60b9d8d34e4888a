/// What a container has used, in the terms of runc's `events --stats`. Fields a host cannot tell are 0 or empty.
public struct CgroupStats: Sendable, Equatable {
    public var cpu = CPU()
    public var memory = Memory()
    public var pids = Pids()
    public var blockIO = BlockIO()
    /// By page size (`2MB`).
    public var hugetlb: [(size: String, usage: HugePages)] = []

    public init() {}

    /// Times in nanoseconds since the cgroup was made.
    public struct CPU: Sendable, Equatable {
        public var total: UInt64 = 0
        public var user: UInt64 = 0
        public var kernel: UInt64 = 0
        /// v1 only.
        public var perCPU: [UInt64] = []
        public var perCPUUser: [UInt64] = []
        public var perCPUKernel: [UInt64] = []
        public var periods: UInt64 = 0
        public var throttledPeriods: UInt64 = 0
        public var throttledTime: UInt64 = 0
        public var pressure: Pressure?
    }

    /// Bytes; a limit of `UInt64.max` is none.
    public struct Usage: Sendable, Equatable {
        public var usage: UInt64 = 0
        public var peak: UInt64 = 0
        public var limit: UInt64 = 0
        /// How often the limit was hit.
        public var failures: UInt64 = 0
    }

    public struct Memory: Sendable, Equatable {
        /// Page cache in bytes.
        public var cache: UInt64 = 0
        public var usage = Usage()
        /// Memory and swap together, as v1 counts it; computed on v2.
        public var memoryAndSwap = Usage()
        public var kernel = Usage()
        public var kernelTCP = Usage()
        /// `memory.stat` as it is, in the kernel's order.
        public var raw: [(key: String, value: UInt64)] = []
        public var pressure: Pressure?

        public subscript(key: String) -> UInt64? { raw.first { $0.key == key }?.value }

        public static func == (a: Memory, b: Memory) -> Bool {
            a.cache == b.cache && a.usage == b.usage && a.memoryAndSwap == b.memoryAndSwap && a.kernel == b.kernel
                && a.kernelTCP == b.kernelTCP && a.pressure == b.pressure && a.raw.elementsEqual(b.raw, by: ==)
        }
    }

    public struct Pids: Sendable, Equatable {
        public var current: UInt64 = 0
        /// 0 is none, as in runc.
        public var limit: UInt64 = 0
    }

    public struct BlockIO: Sendable, Equatable {
        public struct Entry: Sendable, Equatable {
            public var major: UInt64
            public var minor: UInt64
            /// `Read`, `Write`, … as v1 names them.
            public var operation: String
            public var value: UInt64
        }

        public var serviceBytes: [Entry] = []
        public var serviced: [Entry] = []
        public var queued: [Entry] = []
        public var serviceTime: [Entry] = []
        public var waitTime: [Entry] = []
        public var merged: [Entry] = []
        public var time: [Entry] = []
        public var sectors: [Entry] = []
        public var pressure: Pressure?
    }

    public struct HugePages: Sendable, Equatable {
        public var usage: UInt64 = 0
        public var peak: UInt64 = 0
        public var failures: UInt64 = 0
    }

    /// Pressure stall information: shares of time in percent, `total` in microseconds.
    public struct Pressure: Sendable, Equatable {
        public struct Line: Sendable, Equatable {
            public var average10 = 0.0
            public var average60 = 0.0
            public var average300 = 0.0
            public var total: UInt64 = 0
        }
        public var some = Line()
        public var full = Line()
    }

    public static func == (a: CgroupStats, b: CgroupStats) -> Bool {
        a.cpu == b.cpu && a.memory == b.memory && a.pids == b.pids && a.blockIO == b.blockIO
            && a.hugetlb.elementsEqual(b.hugetlb, by: ==)
    }
}
