/// System call numbers by name.
///
/// A name is looked up once, in a hash table made beforehand; its position then indexes the number table of every
/// architecture, of which only those asked for are touched.
public enum SyscallTable {
    /// The number of a system call; nil when the architecture has none of that name or the name is unknown.
    ///
    /// On x32 the number has bit 30 set, on mips it counts from 4000, 5000 or 6000, as in `seccomp_data.nr`.
    public static func number(of name: String, on architecture: SeccompArchitecture) -> UInt32? {
        guard let position = position(of: name) else { return nil }
        return number(at: position, in: architecture.numbers, base: architecture.facts.base)
    }

    /// The name of a system call number; nil when there is none. A linear search, for messages.
    public static func name(of number: UInt32, on architecture: SeccompArchitecture) -> String? {
        let numbers = architecture.numbers
        let base = architecture.facts.base
        for position in numbers.indices where self.number(at: position, in: numbers, base: base) == number {
            return SyscallNames.all[position]
        }
        return nil
    }

    /// Position of a name in `SyscallNames.all`.
    static func position(of name: String) -> Int? {
        let names = SyscallNames.all
        let slots = SyscallNames.slots
        var hash: UInt32 = 0x811C_9DC5
        for byte in name.utf8 { hash = (hash ^ UInt32(byte)) &* 0x0100_0193 }
        var slot = Int(hash) % slots.count
        // Half of the slots are free, so the search ends.
        while slots[slot] != 0xFFFF {
            let position = Int(slots[slot])
            if names[position] == name { return position }
            slot = (slot + 1) % slots.count
        }
        return nil
    }

    /// The full number at a position of an architecture's table; nil where there is none.
    @inline(__always)
    static func number(at position: Int, in numbers: [UInt16], base: UInt32) -> UInt32? {
        let stored = numbers[position]
        if stored == 0xFFFF { return nil }
        // Only arm stores numbers this high: its private calls 0x0f0001 ... do not fit 16 bits.
        if stored >= 0xF000 { return 0x000F_0000 | UInt32(stored & 0xFFF) }
        return base + UInt32(stored)
    }
}

extension SeccompArchitecture {
    var numbers: [UInt16] {
        switch self {
        case .x86_64: SyscallNumbers.x86_64
        case .x86: SyscallNumbers.x86
        case .x32: SyscallNumbers.x32
        case .aarch64: SyscallNumbers.aarch64
        case .arm: SyscallNumbers.arm
        case .riscv64: SyscallNumbers.riscv64
        case .loongarch64: SyscallNumbers.loongarch64
        case .ppc64, .ppc64le: SyscallNumbers.ppc64
        case .ppc: SyscallNumbers.ppc
        case .s390x: SyscallNumbers.s390x
        case .s390: SyscallNumbers.s390
        case .mips, .mipsel: SyscallNumbers.mips
        case .mips64, .mipsel64: SyscallNumbers.mips64
        case .mips64n32, .mipsel64n32: SyscallNumbers.mips64n32
        case .parisc: SyscallNumbers.parisc
        case .parisc64: SyscallNumbers.parisc64
        case .m68k: SyscallNumbers.m68k
        case .sh, .sheb: SyscallNumbers.sh
        }
    }

    /// Numbers of calls that stand outside the common table, so that they say nothing about a profile's age:
    /// arm's private calls, and x32's own 512 to 547.
    var privateNumbers: ClosedRange<UInt32>? {
        switch self {
        case .arm: 0x000F_0000...0x000F_FFFF
        case .x32: 0x4000_0200...0x4000_0223
        default: nil
        }
    }
}
