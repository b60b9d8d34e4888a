@testable import Seccomp

/// One system call as a filter sees it (`struct seccomp_data`).
struct Call {
    var architecture: UInt32
    var number: UInt32
    var arguments: [UInt64] = [0, 0, 0, 0, 0, 0]

    init(_ architecture: SeccompArchitecture, _ number: UInt32, _ arguments: UInt64...) {
        self.init(audit: architecture.facts.audit, number, arguments)
    }

    init(audit: UInt32, _ number: UInt32, _ arguments: [UInt64] = []) {
        self.architecture = audit
        self.number = number
        for (index, argument) in arguments.enumerated() { self.arguments[index] = argument }
    }

    /// A call by name.
    init(_ architecture: SeccompArchitecture, _ name: String, _ arguments: UInt64...) {
        let number = SyscallTable.number(of: name, on: architecture) ?? 0xFFFF
        self.init(audit: architecture.facts.audit, number, arguments)
    }
}

/// Runs a filter the way the kernel does and refuses what the kernel would refuse.
struct Interpreter {
    enum Fault: Error { case empty, tooLong, badInstruction(Int), outOfRange(Int), noReturn }

    struct Instruction {
        var code: UInt16
        var jt: UInt8
        var jf: UInt8
        var k: UInt32
    }

    let code: [Instruction]
    var bigEndian = false

    init(_ program: SeccompProgram, bigEndian: Bool = false) throws {
        self.bigEndian = bigEndian
        code = program.instructions.map {
            Instruction(
                code: UInt16(truncatingIfNeeded: $0), jt: UInt8(truncatingIfNeeded: $0 >> 16),
                jf: UInt8(truncatingIfNeeded: $0 >> 24), k: UInt32(truncatingIfNeeded: $0 >> 32))
        }
        if code.isEmpty { throw Fault.empty }
        if code.count > 4096 { throw Fault.tooLong }
        // The kernel's own checks (bpf_check_classic, seccomp_check_filter).
        for (position, instruction) in code.enumerated() {
            switch instruction.code {
            case 0x20:
                if instruction.k % 4 != 0 || instruction.k >= 64 { throw Fault.badInstruction(position) }
            case 0x54, 0x06: break
            case 0x05:
                if position + 1 + Int(instruction.k) >= code.count { throw Fault.outOfRange(position) }
            case 0x15, 0x25, 0x35, 0x45:
                let farthest = max(instruction.jt, instruction.jf)
                if position + 1 + Int(farthest) >= code.count { throw Fault.outOfRange(position) }
            default: throw Fault.badInstruction(position)
            }
        }
        if code.last?.code != 0x06 { throw Fault.noReturn }
    }

    func load(_ call: Call, _ offset: UInt32) -> UInt32 {
        switch offset {
        case 0: return call.number
        case 4: return call.architecture
        case 8, 12: return 0
        default:
            let argument = call.arguments[Int(offset - 16) / 8]
            let wantsHigh = (offset % 8 == 4) != bigEndian
            return UInt32(truncatingIfNeeded: wantsHigh ? argument >> 32 : argument)
        }
    }

    /// The filter's return value and how many instructions ran.
    func run(_ call: Call) -> (result: UInt32, steps: Int) {
        var accumulator: UInt32 = 0
        var position = 0
        var steps = 0
        while true {
            let instruction = code[position]
            steps += 1
            position += 1
            let holds: Bool
            switch instruction.code {
            case 0x20: accumulator = load(call, instruction.k); continue
            case 0x54: accumulator &= instruction.k; continue
            case 0x05: position += Int(instruction.k); continue
            case 0x15: holds = accumulator == instruction.k
            case 0x25: holds = accumulator > instruction.k
            case 0x35: holds = accumulator >= instruction.k
            case 0x45: holds = accumulator & instruction.k != 0
            default: return (instruction.k, steps)
            }
            position += Int(holds ? instruction.jt : instruction.jf)
        }
    }

    func callAsFunction(_ call: Call) -> UInt32 { run(call).result }
}

/// Deterministic random numbers (splitmix64).
struct Random: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
