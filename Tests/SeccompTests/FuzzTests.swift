import OCI
import Testing

@testable import Seccomp

@Suite struct FuzzTests {
    private static let actions = [
        "SCMP_ACT_ALLOW", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP", "SCMP_ACT_ERRNO",
        "SCMP_ACT_TRACE", "SCMP_ACT_LOG",
    ]
    private static let operators = ["EQ", "NE", "LT", "LE", "GT", "GE", "MASKED_EQ"]
    private static let values: [UInt64] = [
        0, 1, 3, 4, 8, 0xFF, 0xFFFF_FFFF, 0x1_0000_0000, 0x1_0000_0003, 0xFFFF_FFFF_FFFF_FFFF, 0xFFFF_FFFF_0000_0000,
    ]

    private func randomProfile(_ random: inout Random, architectures: [String]) -> LinuxSeccomp {
        // Few names, so that rules meet on one call.
        let names = (0..<Int.random(in: 1...12, using: &random)).compactMap { _ in
            SyscallNames.all.randomElement(using: &random)
        }
        var profile = LinuxSeccomp(
            defaultAction: Self.actions.randomElement(using: &random) ?? "", architectures: architectures)
        for _ in 0..<Int.random(in: 0...20, using: &random) {
            var rule = LinuxSyscall(
                names: (0..<Int.random(in: 1...4, using: &random)).compactMap { _ in
                    names.randomElement(using: &random)
                }, action: Self.actions.randomElement(using: &random) ?? "")
            if rule.action == "SCMP_ACT_ERRNO" && Bool.random(using: &random) {
                rule.errnoRet = UInt32.random(in: 0...4095, using: &random)
            }
            if Int.random(in: 0..<4, using: &random) != 0 {
                for _ in 0..<Int.random(in: 1...3, using: &random) {
                    rule.args.append(
                        LinuxSeccompArg(
                            index: [0, 2].randomElement(using: &random) ?? 0,
                            value: Self.values.randomElement(using: &random) ?? 0,
                            valueTwo: Self.values.randomElement(using: &random) ?? 0,
                            op: "SCMP_CMP_" + (Self.operators.randomElement(using: &random) ?? "")))
                }
            }
            profile.syscalls.append(rule)
        }
        return profile
    }

    @Test(arguments: 0..<32)
    func compiledAndReadProfilesAgree(_ seed: Int) {
        var random = Random(state: UInt64(seed))
        let natives: [SeccompArchitecture] = [.x86_64, .aarch64, .s390x, .mips64, .arm, .riscv64]
        let native = seed < 16 ? .x86_64 : natives.randomElement(using: &random) ?? .x86_64
        let listed = native.compatible.filter { _ in Bool.random(using: &random) }
            // Programs compare words where the native byte order puts them.
            .filter { $0.facts.bigEndian == native.facts.bigEndian }
        let profile = randomProfile(&random, architectures: listed.map(\.ociName))
        let samples = (0..<2).map { _ in Self.values.randomElement(using: &random) ?? 0 }
        expectAgreement(profile, native: native, numbers: 0..<600) { _ in samples }
    }
}
