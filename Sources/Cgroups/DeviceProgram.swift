/// A device policy as a BPF program of the type BPF_PROG_TYPE_CGROUP_DEVICE.
///
/// The kernel calls it with `struct bpf_cgroup_dev_ctx { u32 access_type; u32 major; u32 minor; }` where the lower half
/// of `access_type` is the kind of device and the upper half the access; it returns 1 to allow and 0 to refuse.
/// Kernel: Documentation/bpf/standardization/instruction-set.rst, include/uapi/linux/bpf.h.
public struct DeviceProgram: Sendable, Equatable {
    /// One instruction: `struct bpf_insn`.
    public struct Instruction: Sendable, Equatable {
        public var code: UInt8
        public var destination: UInt8 = 0
        public var source: UInt8 = 0
        public var offset: Int16 = 0
        public var immediate: UInt32 = 0

        /// The eight bytes as the kernel reads them on a little-endian machine.
        public var word: UInt64 {
            UInt64(code) | UInt64(destination & 15) << 8 | UInt64(source & 15) << 12
                | UInt64(UInt16(bitPattern: offset)) << 16 | UInt64(immediate) << 32
        }
    }

    public private(set) var instructions: [Instruction] = []

    public init(_ rules: DeviceRules) {
        // r1 is the context until everything is loaded, then scratch; r2 kind, r3 access, r4 major, r5 minor.
        load(2, offset: 0)
        instructions.append(Instruction(code: Self.move32, destination: 3, source: 2))
        instructions.append(Instruction(code: Self.and32, destination: 2, immediate: 0xffff))
        instructions.append(Instruction(code: Self.shiftRight32, destination: 3, immediate: 16))
        load(4, offset: 4)
        load(5, offset: 8)
        for exception in rules.exceptions { append(exception, deny: rules.allowsByDefault) }
        verdict(rules.allowsByDefault)
    }

    public var words: [UInt64] { instructions.map(\.word) }

    // Operation codes: class | operation | source of the operand.
    static let loadWord: UInt8 = 0x61  // LDX MEM W
    static let move32: UInt8 = 0xbc  // ALU MOV X
    static let moveImmediate64: UInt8 = 0xb7  // ALU64 MOV K
    static let and32: UInt8 = 0x54  // ALU AND K
    static let shiftRight32: UInt8 = 0x74  // ALU RSH K
    // 32-bit jumps (5.1): a 64-bit one would sign-extend the constant, and numbers above 2^31 would never match.
    static let jumpIfEqual: UInt8 = 0x16  // JMP32 JEQ K
    static let jumpIfNotEqual: UInt8 = 0x56  // JMP32 JNE K
    static let jumpIfNotEqualRegister: UInt8 = 0x5e  // JMP32 JNE X
    static let exit: UInt8 = 0x95

    private mutating func load(_ register: UInt8, offset: Int16) {
        instructions.append(Instruction(code: Self.loadWord, destination: register, source: 1, offset: offset))
    }

    private mutating func verdict(_ allow: Bool) {
        instructions.append(Instruction(code: Self.moveImmediate64, destination: 0, immediate: allow ? 1 : 0))
        instructions.append(Instruction(code: Self.exit))
    }

    /// A block of tests that all jump behind it when they fail.
    private mutating func append(_ exception: DeviceRules.Exception, deny: Bool) {
        var block = [Instruction(code: Self.jumpIfNotEqual, destination: 2, immediate: exception.kind.rawValue)]
        if exception.access != .all {
            block.append(Instruction(code: Self.move32, destination: 1, source: 3))
            block.append(Instruction(code: Self.and32, destination: 1, immediate: exception.access.rawValue))
            // Opening for reading and writing asks for both at once. Allowed only if the exception covers all that is
            // asked; forbidden if it covers any of it: otherwise O_RDWR would get around a rule against writing.
            block.append(
                deny
                    ? Instruction(code: Self.jumpIfEqual, destination: 1, immediate: 0)
                    : Instruction(code: Self.jumpIfNotEqualRegister, destination: 1, source: 3))
        }
        if let major = exception.major {
            block.append(Instruction(code: Self.jumpIfNotEqual, destination: 4, immediate: major))
        }
        if let minor = exception.minor {
            block.append(Instruction(code: Self.jumpIfNotEqual, destination: 5, immediate: minor))
        }
        // Jumps count from the next instruction; the two of the verdict are skipped as well. All jumps of a block are
        // of the JMP32 class (6).
        for index in block.indices where block[index].code & 7 == 6 {
            block[index].offset = Int16(block.count - index - 1 + 2)
        }
        instructions += block
        verdict(!deny)
    }
}
