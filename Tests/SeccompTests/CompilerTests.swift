import OCI
import Testing

@testable import Seccomp

private let allow: UInt32 = 0x7FFF_0000
private let eperm: UInt32 = 0x0005_0001
private let enosys: UInt32 = 0x0005_0026
private let killProcess: UInt32 = 0x8000_0000

private func profile(
    _ defaultAction: String = "SCMP_ACT_ERRNO", errno: UInt32? = nil, architectures: [String] = [],
    flags: [String] = [], _ rules: LinuxSyscall...
) -> LinuxSeccomp {
    LinuxSeccomp(
        defaultAction: defaultAction, defaultErrnoRet: errno, architectures: architectures, flags: flags,
        syscalls: rules)
}

private func profile(
    architectures: [String] = [], flags: [String] = [], _ first: LinuxSyscall, _ rest: LinuxSyscall...
) -> LinuxSeccomp {
    LinuxSeccomp(
        defaultAction: "SCMP_ACT_ERRNO", architectures: architectures, flags: flags, syscalls: [first] + rest)
}

private func rule(_ name: String, _ action: String = "SCMP_ACT_ALLOW", _ arguments: LinuxSeccompArg...) -> LinuxSyscall {
    LinuxSyscall(names: [name], action: action, args: arguments)
}

private func argument(_ op: String, _ value: UInt64, _ two: UInt64 = 0, index: UInt32 = 0) -> LinuxSeccompArg {
    LinuxSeccompArg(index: index, value: value, valueTwo: two, op: "SCMP_CMP_" + op)
}

private func compiled(_ profile: LinuxSeccomp, native: SeccompArchitecture = .x86_64) throws -> Interpreter {
    try Interpreter(SeccompCompiler.compile(profile, native: native), bigEndian: native.facts.bigEndian)
}

private func code(_ profile: LinuxSeccomp) -> SeccompError.Code? {
    do throws(SeccompError) {
        _ = try SeccompCompiler.compile(profile)
        return nil
    } catch {
        return error.code
    }
}

private let edges: [UInt64] = [
    0, 1, 2, 7, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFE, 0xFFFF_FFFF, 0x1_0000_0000, 0x1_0000_0001, 0x1_FFFF_FFFF,
    0x2_0000_0000, 0x1234_5678_9ABC_DEF0, 0x7FFF_FFFF_FFFF_FFFF, 0x8000_0000_0000_0000, 0xFFFF_FFFF_0000_0000,
    0xFFFF_FFFF_FFFF_FFFE, 0xFFFF_FFFF_FFFF_FFFF,
]

@Suite struct CompilerTests {
    @Test(arguments: ["EQ", "NE", "LT", "LE", "GT", "GE", "MASKED_EQ"])
    func operatorsCompareAllSixtyFourBits(_ op: String) throws {
        for architecture in [SeccompArchitecture.x86_64, .s390x] {
            for value in edges {
                for two in op == "MASKED_EQ" ? edges : [0] {
                    for index: UInt32 in architecture == .s390x ? [5] : [0] {
                        let condition = argument(op, value, two, index: index)
                        let filter = try compiled(
                            profile(rule("read", "SCMP_ACT_ALLOW", condition)), native: architecture)
                        for sample in edges + edges.map({ $0 & value }) {
                            var arguments = [UInt64](repeating: 0x5555_5555_5555_5555, count: 6)
                            arguments[Int(index)] = sample
                            var call = Call(architecture, "read")
                            call.arguments = arguments
                            let wanted = Reference.holds(condition, arguments, narrow: false) ? allow : eperm
                            let got = filter(call)
                            if got != wanted { Issue.record("\(op) \(value) \(two): \(sample) got \(got)") }
                        }
                    }
                }
            }
        }
    }

    @Test(arguments: ["EQ", "NE", "LT", "LE", "GT", "GE", "MASKED_EQ"])
    func narrowArchitecturesCompareTheLowWord(_ op: String) throws {
        for value in edges {
            let condition = argument(op, value, value)
            let filter = try compiled(profile(rule("read", "SCMP_ACT_ALLOW", condition)), native: .x86)
            for sample in edges {
                let wanted = Reference.holds(condition, [sample], narrow: true)
                #expect(filter(Call(.x86, "read", sample)) == (wanted ? allow : eperm), "\(op) \(value): \(sample)")
            }
        }
    }

    @Test func conditionsOfOneRuleAreAnded() throws {
        let filter = try compiled(
            profile(rule("read", "SCMP_ACT_ALLOW", argument("EQ", 1), argument("GT", 9, index: 2))))
        #expect(filter(Call(.x86_64, "read", 1, 0, 10)) == allow)
        #expect(filter(Call(.x86_64, "read", 1, 0, 9)) == eperm)
        #expect(filter(Call(.x86_64, "read", 2, 0, 10)) == eperm)
    }

    @Test func twoConditionsOnOneArgumentAreOred() throws {
        let filter = try compiled(profile(rule("read", "SCMP_ACT_ALLOW", argument("EQ", 1), argument("EQ", 5))))
        #expect(filter(Call(.x86_64, "read", 1)) == allow)
        #expect(filter(Call(.x86_64, "read", 5)) == allow)
        #expect(filter(Call(.x86_64, "read", 2)) == eperm)
    }

    @Test func theMoreSpecificRuleDecidesWhateverTheOrder() throws {
        let rules = [
            rule("read", "SCMP_ACT_ALLOW", argument("NE", 16)), rule("read", "SCMP_ACT_TRAP", argument("EQ", 40)),
            rule("read", "SCMP_ACT_LOG", argument("EQ", 40), argument("EQ", 3, index: 1)),
            rule("read", "SCMP_ACT_KILL", argument("LT", 10)), rule("read", "SCMP_ACT_KILL_PROCESS", argument("LT", 5)),
        ]
        for rules in [rules, rules.reversed()] {
            var wanted = profile()
            wanted.syscalls = rules
            let filter = try compiled(wanted)
            #expect(filter(Call(.x86_64, "read", 40, 3)) == 0x7FFC_0000)
            #expect(filter(Call(.x86_64, "read", 40, 4)) == 0x0003_0000)
            #expect(filter(Call(.x86_64, "read", 7)) == 0)
            #expect(filter(Call(.x86_64, "read", 4)) == killProcess)
            #expect(filter(Call(.x86_64, "read", 100)) == allow)
            #expect(filter(Call(.x86_64, "read", 16)) == eperm)
        }
    }

    @Test func aRuleWithoutConditionsDecides() throws {
        let both = [rule("read", "SCMP_ACT_KILL", argument("EQ", 1)), rule("read")]
        for rules in [both, both.reversed()] {
            var wanted = profile()
            wanted.syscalls = rules
            #expect(try compiled(wanted)(Call(.x86_64, "read", 1)) == allow)
        }
        let first = try compiled(profile(rule("read", "SCMP_ACT_TRAP"), rule("read")))
        #expect(first(Call(.x86_64, "read")) == 0x0003_0000)
        // One that repeats the default is no rule.
        let repeated = try compiled(
            profile(rule("read", "SCMP_ACT_ERRNO"), rule("read", "SCMP_ACT_ALLOW", argument("EQ", 1))))
        #expect(repeated(Call(.x86_64, "read", 1)) == allow)
        #expect(repeated(Call(.x86_64, "read", 2)) == eperm)
    }

    @Test func everyActionHasItsValue() throws {
        let values: [(String, UInt32?, UInt32)] = [
            ("SCMP_ACT_KILL", nil, 0), ("SCMP_ACT_KILL_THREAD", nil, 0), ("SCMP_ACT_KILL_PROCESS", nil, killProcess),
            ("SCMP_ACT_TRAP", nil, 0x0003_0000), ("SCMP_ACT_ERRNO", nil, eperm), ("SCMP_ACT_ERRNO", 38, enosys),
            ("SCMP_ACT_ERRNO", 0, 0x0005_0000), ("SCMP_ACT_TRACE", nil, 0x7FF0_0001),
            ("SCMP_ACT_TRACE", 0xFFFF, 0x7FF0_FFFF), ("SCMP_ACT_LOG", nil, 0x7FFC_0000),
            ("SCMP_ACT_NOTIFY", nil, 0x7FC0_0000),
        ]
        for (action, errno, value) in values {
            let filter = try compiled(
                profile("SCMP_ACT_ALLOW", LinuxSyscall(names: ["read"], action: action, errnoRet: errno)))
            #expect(filter(Call(.x86_64, "read")) == value)
            #expect(filter(Call(.x86_64, "close")) == allow)
        }
    }

    @Test func anUnlistedArchitectureIsKilled() throws {
        let native = try compiled(profile("SCMP_ACT_ALLOW"))
        #expect(native(Call(.x86_64, 0)) == allow)
        #expect(native(Call(.x86, 0)) == killProcess)
        #expect(native(Call(.aarch64, 0)) == killProcess)
        #expect(native(Call(audit: 0, 0)) == killProcess)
        #expect(native(Call(.x86_64, 0x4000_0000)) == killProcess)
        #expect(native(Call(.x86_64, 0x8000_0000)) == killProcess)
        #expect(native(Call(.x86_64, 0x3FFF_FFFF)) == allow)
        // A tracer sets -1 to skip a call; that is no x32 call.
        #expect(native(Call(.x86_64, .max)) == allow)
        let all = try compiled(
            profile("SCMP_ACT_ALLOW", architectures: ["SCMP_ARCH_X86", "SCMP_ARCH_X32"], rule("read", "SCMP_ACT_TRAP")))
        #expect(all(Call(.x86_64, "read")) == 0x0003_0000)
        #expect(all(Call(.x86, 3)) == 0x0003_0000)
        #expect(all(Call(.x86_64, 0x4000_0000)) == 0x0003_0000)
        #expect(all(Call(.x86_64, 0x4000_0001)) == allow)
        let onlyX32 = try compiled(profile("SCMP_ACT_ALLOW", architectures: ["SCMP_ARCH_X32"]), native: .x86)
        #expect(onlyX32(Call(.x86_64, 0)) == killProcess)
        #expect(onlyX32(Call(.x86_64, 0x3FFF_FFFF)) == killProcess)
        #expect(onlyX32(Call(.x86_64, 0x4000_0000)) == allow)
    }

    @Test func callsNewerThanTheProfileDoNotExist() throws {
        let filter = try compiled(profile(rule("read"), rule("openat2")))  // openat2 is 437
        #expect(filter(Call(.x86_64, 436)) == eperm)
        #expect(filter(Call(.x86_64, 437)) == allow)
        #expect(filter(Call(.x86_64, 438)) == enosys)
        #expect(filter(Call(.x86_64, 0x3FFF_FFFF)) == enosys)
        #expect(filter(Call(.x86_64, .max)) == enosys)
        // A name that only repeats the default is known all the same.
        let known = try compiled(profile(rule("read"), rule("openat2", "SCMP_ACT_ERRNO")))
        #expect(known(Call(.x86_64, 437)) == eperm)
        #expect(known(Call(.x86_64, 438)) == enosys)
        let killing = try compiled(profile("SCMP_ACT_KILL", rule("read")))
        #expect(killing(Call(.x86_64, 1)) == enosys)
        for action in ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"] {
            let filter = try compiled(profile(action, rule("read", "SCMP_ACT_TRAP")))
            #expect(filter(Call(.x86_64, 1000)) == Reference.action(action, nil))
        }
        // Without any rule there is no newest call.
        #expect(try compiled(profile())(Call(.x86_64, 1000)) == eperm)
        let s390x = try compiled(profile(rule("read")), native: .s390x)
        #expect(s390x(Call(.s390x, 0)) == enosys)
        #expect(s390x(Call(.s390x, 1)) == eperm)
        let arm = try compiled(profile(rule("cacheflush"), rule("read")), native: .arm)
        #expect(arm(Call(.arm, 0x0F_0002)) == allow)
        #expect(arm(Call(.arm, 0x0F_0005)) == eperm)
        #expect(arm(Call(.arm, 400)) == enosys)
    }

    @Test func multiplexedCallsFollowTheirNames() throws {
        let filter = try compiled(
            profile(rule("connect"), rule("shmat"), rule("socket", "SCMP_ACT_ALLOW", argument("EQ", 1))), native: .x86)
        #expect(filter(Call(.x86, "socketcall", 3)) == allow)
        #expect(filter(Call(.x86, "socketcall", 2)) == eperm)
        // The family of socket(2) lies in memory, so a rule about it says nothing about socketcall.
        #expect(filter(Call(.x86, "socketcall", 1)) == eperm)
        #expect(filter(Call(.x86, "ipc", 21)) == allow)
        #expect(filter(Call(.x86, "ipc", 22)) == eperm)
        let decided = try compiled(profile(rule("connect"), rule("socketcall", "SCMP_ACT_TRAP")), native: .x86)
        #expect(decided(Call(.x86, "socketcall", 3)) == 0x0003_0000)
    }

    @Test func unknownNamesAreIgnoredAndUnknownWordsRefused() throws {
        let filter = try compiled(profile(LinuxSyscall(names: ["no_such", "", "read"], action: "SCMP_ACT_ALLOW")))
        #expect(filter(Call(.x86_64, "read")) == allow)
        #expect(code(profile("")) == .unknownAction)
        #expect(code(profile("SCMP_ACT_FOO")) == .unknownAction)
        #expect(code(profile(rule("read", "ALLOW"))) == .unknownAction)
        #expect(code(profile(rule("no_such", "ALLOW"))) == .unknownAction)
        #expect(code(profile(rule("read", "SCMP_ACT_ALLOW", argument("XX", 1)))) == .unknownOperator)
        #expect(code(profile(rule("read", "SCMP_ACT_ALLOW", argument("EQ", 1, index: 6)))) == .invalidArgument)
        #expect(code(profile(rule("read", "SCMP_ACT_ALLOW", argument("EQ", 1, index: .max)))) == .invalidArgument)
        #expect(code(profile(architectures: ["SCMP_ARCH_Z80"])) == .unknownArchitecture)
        #expect(code(profile(architectures: ["X86"])) == .unknownArchitecture)
        #expect(code(profile(flags: ["SECCOMP_FILTER_FLAG_X"])) == .unknownFlag)
        #expect(code(profile("SCMP_ACT_ALLOW", errno: 1)) == .invalidErrno)
        #expect(code(profile("SCMP_ACT_ERRNO", errno: 4096)) == .invalidErrno)
        #expect(code(profile("SCMP_ACT_ERRNO", errno: 4095)) == nil)
        #expect(code(profile("SCMP_ACT_NOTIFY")) == .invalidNotify)
        #expect(code(profile(rule("write", "SCMP_ACT_NOTIFY"))) == .invalidNotify)
    }

    @Test func flags() throws {
        let tsync = "SECCOMP_FILTER_FLAG_TSYNC"
        let killable = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"
        let names = [tsync, "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", killable]
        let plain = try SeccompCompiler.compile(profile(flags: names))
        #expect(plain.flags == [.tsync, .log, .specAllow])
        #expect(!plain.needsListener)
        let listening = try SeccompCompiler.compile(profile(flags: names, rule("mkdir", "SCMP_ACT_NOTIFY")))
        #expect(listening.flags == [.newListener, .log, .specAllow, .waitKillableRecv])
        #expect(listening.needsListener)
        #expect(try SeccompCompiler.compile(profile()).flags.rawValue == 0)
    }

    @Test func hostileProfilesEndInAProgramOrAnError() throws {
        var huge = profile()
        for value in 0..<10_000 {
            huge.syscalls.append(rule("read", "SCMP_ACT_ALLOW", argument("EQ", UInt64(value))))
        }
        #expect(code(huge) == .tooLong)
        // Ten thousand equal rules are one.
        var equal = profile()
        equal.syscalls = [LinuxSyscall](repeating: rule("read", "SCMP_ACT_ALLOW", argument("EQ", 3)), count: 10_000)
        #expect(try SeccompCompiler.compile(equal).instructions.count < 20)
        var names = profile()
        names.syscalls = [LinuxSyscall](
            repeating: LinuxSyscall(names: SyscallNames.all, action: "SCMP_ACT_ALLOW"), count: 50)
        #expect(try SeccompCompiler.compile(names).instructions.count < 200)
        // The largest filters that fit: far jumps in every part.
        var wide = profile(architectures: ["SCMP_ARCH_X86", "SCMP_ARCH_X32"])
        for (index, name) in SyscallNames.all.enumerated() where index % 3 == 0 {
            wide.syscalls.append(rule(name, "SCMP_ACT_ALLOW", argument("EQ", UInt64(index))))
        }
        expectAgreement(wide, native: .x86_64, numbers: 0..<600) { [0, UInt64($0) % 512] }
        for value in 0..<400 {
            wide.syscalls.append(rule("read", "SCMP_ACT_TRAP", argument("EQ", UInt64(value) | 1 << 33)))
        }
        #expect(code(wide) == .tooLong)
    }

    @Test func aProgramSurvivesItsBytes() throws {
        let program = try SeccompCompiler.compile(
            profile(flags: ["SECCOMP_FILTER_FLAG_LOG"], rule("read"), rule("mkdir", "SCMP_ACT_NOTIFY")))
        let bytes = program.serialized()
        #expect(try SeccompProgram(serialized: bytes) == program)
        for length in 0..<bytes.count {
            #expect(throws: SeccompError.self) { try SeccompProgram(serialized: Array(bytes[..<length])) }
        }
        for position in bytes.indices {
            var broken = bytes
            broken[position] ^= 0x10
            #expect(throws: SeccompError.self) { try SeccompProgram(serialized: broken) }
        }
        #expect(throws: SeccompError.self) { try SeccompProgram(serialized: bytes + bytes) }
    }
}

/// Compares the compiled profile with the reference on every architecture it lists and one it does not.
func expectAgreement(
    _ profile: LinuxSeccomp, native: SeccompArchitecture, numbers: Range<UInt32>,
    sourceLocation: SourceLocation = #_sourceLocation, arguments: (UInt32) -> [UInt64]
) {
    let reference = Reference(profile, native: native)
    guard let program = try? SeccompCompiler.compile(profile, native: native),
        let filter = try? Interpreter(program, bigEndian: native.facts.bigEndian)
    else {
        Issue.record("does not compile", sourceLocation: sourceLocation)
        return
    }
    var failures = 0
    // x32 is looked for even where it is not listed, and so are arm's private numbers.
    let bases = Set(reference.architectures.map(\.facts.base) + [0, 0x4000_0000])
    var numbers = bases.flatMap { base in numbers.map { base + $0 } }
    numbers += [0x0F_0000, 0x0F_0002, 0x0F_FFFF, 0x10_0000, 0x3FFF_FFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFE, .max]
    for audit in Set(reference.architectures.map(\.facts.audit) + [0xDEAD_BEEF]) {
        for number in numbers {
            let values = arguments(number)
            for first in values {
                for third in values {
                    let call = Call(audit: audit, number, [first, 1, third])
                    let (got, wanted) = (filter(call), reference(call))
                    if got == wanted { continue }
                    failures += 1
                    if failures < 5 {
                        Issue.record("\(call): got \(got), wanted \(wanted)", sourceLocation: sourceLocation)
                    }
                }
            }
        }
    }
    #expect(failures == 0, sourceLocation: sourceLocation)
}
