/// A compiled seccomp filter, ready for seccomp(2).
public struct SeccompProgram: Sendable, Hashable {
    /// Flags of `SECCOMP_SET_MODE_FILTER` (`linux/seccomp.h`).
    public struct Flags: OptionSet, Sendable, Hashable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }

        public static let tsync = Flags(rawValue: 1 << 0)
        public static let log = Flags(rawValue: 1 << 1)
        public static let specAllow = Flags(rawValue: 1 << 2)
        /// seccomp(2) returns the listener's descriptor.
        public static let newListener = Flags(rawValue: 1 << 3)
        public static let waitKillableRecv = Flags(rawValue: 1 << 5)
    }

    /// The filter: each element is one `struct sock_filter` in the memory layout of this machine.
    ///
    /// 1 to 4096 elements, the last a return. Its storage is what `sock_fprog.filter` points to.
    public let instructions: [UInt64]

    /// The `flags` argument of seccomp(2); 0 allows `prctl(PR_SET_SECCOMP)` as well.
    public let flags: Flags

    /// The architecture whose kernel the program is for.
    public let architecture: SeccompArchitecture

    /// A rule returns `SECCOMP_RET_USER_NOTIF`: the descriptor seccomp(2) returns must reach an agent.
    public var needsListener: Bool { flags.contains(.newListener) }

    init(instructions: [UInt64], flags: Flags, architecture: SeccompArchitecture) {
        self.instructions = instructions
        self.flags = flags
        self.architecture = architecture
    }
}

// MARK: Serialisation

extension SeccompProgram {
    private static let magic: UInt64 = 0x3150_4253_4854_5242  // "BRTHSBP1"

    /// The program as bytes for a cache on this machine.
    ///
    /// Little-endian words: magic with the format's version, architecture and flags, instruction count, checksum,
    /// instructions. A cache must key its entries by the profile, and may not outlive what it was made for: the bytes
    /// say nothing about the compiler's tables.
    public func serialized() -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(8 * (instructions.count + 4))
        func append(_ word: UInt64) {
            var word = word
            for _ in 0..<8 {
                bytes.append(UInt8(truncatingIfNeeded: word))
                word >>= 8
            }
        }
        append(Self.magic)
        append(UInt64(architecture.rawValue) << 32 | UInt64(flags.rawValue))
        append(UInt64(instructions.count))
        append(checksum)
        for instruction in instructions { append(instruction) }
        return bytes
    }

    /// Reads what `serialized()` wrote.
    ///
    /// The checksum finds accidents, not malice: whoever can write the cache can write any filter.
    /// - Throws: `.invalidProgram` for another version, architecture, length or checksum.
    public init(serialized bytes: [UInt8]) throws(SeccompError) {
        func refused(_ cause: String) -> SeccompError {
            SeccompError(code: .invalidProgram, operation: "read compiled seccomp filter", object: "", cause: cause)
        }
        func word(_ index: Int) -> UInt64 {
            bytes.withUnsafeBytes { UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: 8 * index, as: UInt64.self)) }
        }
        guard bytes.count >= 40, bytes.count % 8 == 0, word(0) == Self.magic else { throw refused("unknown format") }
        let header = word(1)
        guard
            header >> 40 == 0,
            let architecture = SeccompArchitecture(rawValue: UInt8(truncatingIfNeeded: header >> 32)),
            architecture == .native
        else { throw refused("made for another architecture") }
        let count = bytes.count / 8 - 4
        guard word(2) == UInt64(count), count <= BPF.maximumInstructions else { throw refused("truncated") }
        self.init(
            instructions: (0..<count).map { word($0 + 4) }, flags: Flags(rawValue: UInt32(truncatingIfNeeded: header)),
            architecture: architecture)
        guard word(3) == checksum else { throw refused("checksum mismatch") }
    }

    /// FNV-1a over the flags and instructions, a word at a time.
    private var checksum: UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        func mix(_ word: UInt64) {
            hash = (hash ^ word) &* 0x100_0000_01B3
            hash ^= hash >> 29
        }
        mix(UInt64(flags.rawValue))
        for instruction in instructions { mix(instruction) }
        return hash
    }
}
