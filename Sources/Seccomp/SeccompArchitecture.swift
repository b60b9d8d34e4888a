/// A system call ABI that seccomp can tell apart.
///
/// Facts: `linux/audit.h` (`AUDIT_ARCH_*`), seccomp(2); names are libseccomp's `SCMP_ARCH_*`, which the OCI
/// runtime specification uses.
public enum SeccompArchitecture: UInt8, Sendable, Hashable, CaseIterable {
    case x86_64, x86, x32, aarch64, arm, riscv64, loongarch64
    case ppc64le, ppc64, ppc, s390x, s390
    case mips, mipsel, mips64, mipsel64, mips64n32, mipsel64n32
    case parisc, parisc64, m68k, sh, sheb

    /// The ABI this program was built for, which is the kernel's own.
    #if arch(x86_64)
    public static let native = SeccompArchitecture.x86_64
    #elseif arch(arm64)
    public static let native = SeccompArchitecture.aarch64
    #elseif arch(i386)
    public static let native = SeccompArchitecture.x86
    #elseif arch(arm)
    public static let native = SeccompArchitecture.arm
    #elseif arch(riscv64)
    public static let native = SeccompArchitecture.riscv64
    #elseif arch(powerpc64le)
    public static let native = SeccompArchitecture.ppc64le
    #elseif arch(s390x)
    public static let native = SeccompArchitecture.s390x
    #else
    #error("name this architecture's AUDIT_ARCH value")
    #endif

    /// The architecture of an OCI name, `SCMP_ARCH_X86_64`; nil when unknown. `SCMP_ARCH_NATIVE` is `native`.
    public init?(ociName: String) {
        if ociName == "SCMP_ARCH_NATIVE" {
            self = .native
            return
        }
        for candidate in Self.allCases where candidate.facts.name == ociName {
            self = candidate
            return
        }
        return nil
    }

    /// The name in an OCI configuration: `SCMP_ARCH_X86_64`.
    public var ociName: String { facts.name }

    /// The name in the `arches` lists of Docker's profile format: `amd64`, `x86`, `arm64`.
    public var profileName: String { facts.profileName }

    /// The architecture of a Go and OCI platform name (`amd64`, `386`, `arm64`, `ppc64le`); nil when unknown.
    public init?(platform: String) {
        switch platform {
        case "amd64": self = .x86_64
        case "386": self = .x86
        case "arm64": self = .aarch64
        case "arm": self = .arm
        case "riscv64": self = .riscv64
        case "loong64": self = .loongarch64
        case "ppc64le": self = .ppc64le
        case "ppc64": self = .ppc64
        case "s390x": self = .s390x
        case "mips": self = .mips
        case "mipsle": self = .mipsel
        case "mips64": self = .mips64
        case "mips64le": self = .mipsel64
        default: return nil
        }
    }

    /// The ABIs a kernel of this architecture also runs: x86_64 runs x86 and x32.
    public var compatible: [SeccompArchitecture] {
        switch self {
        case .x86_64: [.x86, .x32]
        case .aarch64: [.arm]
        case .mips64: [.mips, .mips64n32]
        case .mips64n32: [.mips, .mips64]
        case .mipsel64: [.mipsel, .mipsel64n32]
        case .mipsel64n32: [.mipsel, .mipsel64]
        case .s390x: [.s390]
        default: []
        }
    }
}

extension SeccompArchitecture {
    struct Facts {
        /// The OCI name.
        var name: String
        var profileName: String
        /// `seccomp_data.arch`.
        var audit: UInt32
        /// Added to the number in the table: 0x40000000 on x32, 4000 on mips.
        var base: UInt32 = 0
        /// Registers hold 32 bits, or only the low word of an argument counts (x32, n32).
        var narrow = false
        var bigEndian = false
    }

    var facts: Facts {
        switch self {
        case .x86_64: Facts(name: "SCMP_ARCH_X86_64", profileName: "amd64", audit: 0xC000_003E)
        case .x86: Facts(name: "SCMP_ARCH_X86", profileName: "x86", audit: 0x4000_0003, narrow: true)
        case .x32: Facts(name: "SCMP_ARCH_X32", profileName: "x32", audit: 0xC000_003E, base: 0x4000_0000, narrow: true)
        case .aarch64: Facts(name: "SCMP_ARCH_AARCH64", profileName: "arm64", audit: 0xC000_00B7)
        case .arm: Facts(name: "SCMP_ARCH_ARM", profileName: "arm", audit: 0x4000_0028, narrow: true)
        case .riscv64: Facts(name: "SCMP_ARCH_RISCV64", profileName: "riscv64", audit: 0xC000_00F3)
        case .loongarch64: Facts(name: "SCMP_ARCH_LOONGARCH64", profileName: "loongarch64", audit: 0xC000_0102)
        case .ppc64le: Facts(name: "SCMP_ARCH_PPC64LE", profileName: "ppc64le", audit: 0xC000_0015)
        case .ppc64: Facts(name: "SCMP_ARCH_PPC64", profileName: "ppc64", audit: 0x8000_0015, bigEndian: true)
        case .ppc: Facts(name: "SCMP_ARCH_PPC", profileName: "ppc", audit: 0x0000_0014, narrow: true, bigEndian: true)
        case .s390x: Facts(name: "SCMP_ARCH_S390X", profileName: "s390x", audit: 0x8000_0016, bigEndian: true)
        case .s390:
            Facts(name: "SCMP_ARCH_S390", profileName: "s390", audit: 0x0000_0016, narrow: true, bigEndian: true)
        case .mips, .mipsel, .mips64, .mipsel64, .mips64n32, .mipsel64n32: mipsFacts
        case .parisc:
            Facts(name: "SCMP_ARCH_PARISC", profileName: "parisc", audit: 0x0000_000F, narrow: true, bigEndian: true)
        case .parisc64: Facts(name: "SCMP_ARCH_PARISC64", profileName: "parisc64", audit: 0x8000_000F, bigEndian: true)
        case .m68k:
            Facts(name: "SCMP_ARCH_M68K", profileName: "m68k", audit: 0x0000_0004, narrow: true, bigEndian: true)
        case .sh: Facts(name: "SCMP_ARCH_SH", profileName: "sh", audit: 0x4000_002A, narrow: true)
        case .sheb:
            Facts(name: "SCMP_ARCH_SHEB", profileName: "sheb", audit: 0x0000_002A, narrow: true, bigEndian: true)
        }
    }

    private var mipsFacts: Facts {
        switch self {
        case .mips:
            Facts(
                name: "SCMP_ARCH_MIPS", profileName: "mips", audit: 0x0000_0008, base: 4000, narrow: true,
                bigEndian: true)
        case .mipsel:
            Facts(name: "SCMP_ARCH_MIPSEL", profileName: "mipsel", audit: 0x4000_0008, base: 4000, narrow: true)
        case .mips64:
            Facts(name: "SCMP_ARCH_MIPS64", profileName: "mips64", audit: 0x8000_0008, base: 5000, bigEndian: true)
        case .mipsel64: Facts(name: "SCMP_ARCH_MIPSEL64", profileName: "mipsel64", audit: 0xC000_0008, base: 5000)
        case .mips64n32:
            Facts(
                name: "SCMP_ARCH_MIPS64N32", profileName: "mips64n32", audit: 0xA000_0008, base: 6000, narrow: true,
                bigEndian: true)
        default:
            Facts(
                name: "SCMP_ARCH_MIPSEL64N32", profileName: "mipsel64n32", audit: 0xE000_0008, base: 6000,
                narrow: true)
        }
    }
}
