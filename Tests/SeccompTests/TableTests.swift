import Testing

@testable import Seccomp

@Suite struct TableTests {
    @Test func everyTableHasANumberPerName() {
        #expect(SyscallNames.all == SyscallNames.all.sorted())
        #expect(Set(SyscallNames.all).count == SyscallNames.all.count)
        for architecture in SeccompArchitecture.allCases {
            #expect(architecture.numbers.count == SyscallNames.all.count)
            let numbers = SyscallNames.all.compactMap { SyscallTable.number(of: $0, on: architecture) }
            #expect(numbers.count > 300)
            #expect(Set(numbers).count == numbers.count, "\(architecture)")
        }
    }

    @Test func knownNumbers() {
        let facts: [(SeccompArchitecture, String, UInt32?)] = [
            (.x86_64, "read", 0), (.x86_64, "mseal", 462), (.x86_64, "file_setattr", 469), (.x86_64, "uretprobe", 335),
            (.x86_64, "socketcall", nil), (.x86, "socketcall", 102), (.x86, "clock_gettime64", 403),
            (.x32, "read", 0x4000_0000), (.x32, "rt_sigaction", 0x4000_0200), (.aarch64, "read", 63),
            (.aarch64, "open", nil), (.arm, "set_tls", 0x000F_0005), (.arm, "read", 3),
            (.riscv64, "riscv_hwprobe", 258), (.mips, "read", 4003), (.mips64, "read", 5000), (.mips64n32, "read", 6000),
            (.s390x, "clone", 120),
            (.ppc64le, "swapcontext", 249), (.x86_64, "no_such", nil), (.x86_64, "", nil), (.x86_64, "zzz", nil),
        ]
        for (architecture, name, number) in facts {
            #expect(SyscallTable.number(of: name, on: architecture) == number, "\(architecture) \(name)")
            if let number { #expect(SyscallTable.name(of: number, on: architecture) == name) }
        }
        #expect(SyscallTable.name(of: 9999, on: .x86_64) == nil)
    }

    @Test func architectureNames() {
        for architecture in SeccompArchitecture.allCases {
            #expect(SeccompArchitecture(ociName: architecture.ociName) == architecture)
        }
        #expect(SeccompArchitecture(ociName: "SCMP_ARCH_NATIVE") == .native)
        #expect(SeccompArchitecture(ociName: "SCMP_ARCH_") == nil)
        #expect(SeccompArchitecture(ociName: "") == nil)
        #expect(SeccompArchitecture(platform: "386") == .x86)
        #expect(SeccompArchitecture(platform: "plan9") == nil)
    }
}
