import OCI

extension SeccompProfile {
    /// The profile of a container for which nobody asked for another.
    ///
    /// Docker's list less `vmsplice`, with Podman's error policy: what is known to be dangerous fails with `EPERM`,
    /// what this profile does not know fails with `ENOSYS`, so that a C library falls back. Only the container's own
    /// architecture may make calls; a 32-bit ABI is opted in.
    /// - Parameters:
    ///   - capabilities: the container's bounding set. A call that needs one is allowed with it only.
    ///   - architecture: the architecture of the container's programs.
    ///   - additional: further ABIs, such as `architecture.compatible`.
    ///   - allowsSocketcall: lets 32-bit x86 and s390 C libraries that know no other way open sockets. A filter cannot
    ///     see the family inside `socketcall`, so this gives up the refusal of `AF_ALG` and `AF_VSOCK` there.
    ///   - kernel: ptrace is allowed since 4.8.
    public static func `default`(
        capabilities: CapabilitySet, architecture: SeccompArchitecture = .native,
        additional: [SeccompArchitecture] = [], allowsSocketcall: Bool = false, kernel: KernelVersion = .running
    ) -> LinuxSeccomp {
        builtIn(
            capabilities, architecture, additional, nested: false, allowsSocketcall: allowsSocketcall, kernel: kernel)
    }

    /// The profile for containers that run containers or build images without privileges.
    ///
    /// `default`, and besides what Podman's profile allows without a capability: `clone` and `unshare` of namespaces,
    /// mounts, `pivot_root`, `keyctl`, memory policies. The kernel still asks for the capability in the
    /// namespace that owns the object.
    /// - Parameters: as of `default`.
    public static func nested(
        capabilities: CapabilitySet, architecture: SeccompArchitecture = .native,
        additional: [SeccompArchitecture] = [], allowsSocketcall: Bool = false, kernel: KernelVersion = .running
    ) -> LinuxSeccomp {
        builtIn(
            capabilities, architecture, additional, nested: true, allowsSocketcall: allowsSocketcall, kernel: kernel)
    }

    private static func builtIn(
        _ capabilities: CapabilitySet, _ architecture: SeccompArchitecture, _ additional: [SeccompArchitecture],
        nested: Bool, allowsSocketcall: Bool, kernel: KernelVersion
    ) -> LinuxSeccomp {
        let architectures = [architecture] + additional.filter { $0 != architecture }
        var allowed = DefaultSyscalls.allowed
        // The calls of an ABI are named only where it is listed, so a name never allows what it does not mean there.
        for architecture in architectures { allowed += DefaultSyscalls.own(to: architecture) }
        if kernel >= KernelVersion(4, 8) { allowed += DefaultSyscalls.tracing }
        if nested { allowed += DefaultSyscalls.nested }
        var refused = DefaultSyscalls.refused
        DefaultSyscalls.byCapability { capability, names in
            if capabilities.contains(capability) { allowed += names } else { refused += names }
        }
        let administrates = capabilities.contains(.sysAdmin)
        if administrates { allowed += DefaultSyscalls.newWithSysAdmin }
        if allowsSocketcall { allowed.append("socketcall") } else { refused.append("socketcall") }

        // The compiler lets the first rule without conditions decide: what is allowed stands before what is refused.
        var rules = [allow(allowed), refuse(refused, errno: Self.notPermitted)]
        if administrates || nested { rules.append(allow(["clone"])) } else { rules += clone(on: architecture) }
        rules += personality + sockets(audit: capabilities.contains(.auditWrite))
        return LinuxSeccomp(
            defaultAction: "SCMP_ACT_ERRNO", defaultErrnoRet: Self.noSuchCall,
            architectures: architectures.map(\.ociName), syscalls: rules)
    }
}

// MARK: Rules that look at arguments
//
// Every rule excludes every other of its call, so their order means nothing and any runtime reads them alike, and
// every call has a rule for each value. The kernel takes `int` arguments from the low word of a register, so a rule
// that allowed "greater than 40" would allow 38 with a bit set above: only values that fit 32 bits are allowed.

extension SeccompProfile {
    private static let notPermitted: UInt32 = 1
    private static let invalid: UInt32 = 22
    private static let noSuchCall: UInt32 = 38
    private static let protocolNotSupported: UInt32 = 93
    private static let familyNotSupported: UInt32 = 97

    private static func allow(_ names: [String], _ arguments: LinuxSeccompArg...) -> LinuxSyscall {
        LinuxSyscall(names: names, action: "SCMP_ACT_ALLOW", args: arguments)
    }

    private static func refuse(_ names: [String], errno: UInt32, _ arguments: LinuxSeccompArg...) -> LinuxSyscall {
        LinuxSyscall(names: names, action: "SCMP_ACT_ERRNO", errnoRet: errno, args: arguments)
    }

    private static func equal(_ index: UInt32, _ value: UInt64) -> LinuxSeccompArg {
        LinuxSeccompArg(index: index, value: value, op: "SCMP_CMP_EQ")
    }

    private static func above(_ index: UInt32, _ value: UInt64) -> LinuxSeccompArg {
        LinuxSeccompArg(index: index, value: value, op: "SCMP_CMP_GT")
    }

    private static func below(_ index: UInt32, _ value: UInt64) -> LinuxSeccompArg {
        LinuxSeccompArg(index: index, value: value, op: "SCMP_CMP_LT")
    }

    /// Values from `start` on, as many as the power of two `count`, of which `start` is a multiple.
    private static func block(_ index: UInt32, _ start: UInt64, _ count: UInt64) -> LinuxSeccompArg {
        LinuxSeccompArg(index: index, value: ~(count &- 1), valueTwo: start, op: "SCMP_CMP_MASKED_EQ")
    }

    /// `clone` that makes no namespace; one that would is refused with `EPERM`.
    private static func clone(on architecture: SeccompArchitecture) -> [LinuxSyscall] {
        // NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. NEWTIME cannot be given to clone(2).
        let bits: [UInt64] = [
            0x0002_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000,
        ]
        // s390 has the stack first and the flags second.
        let index: UInt32 = architecture == .s390x || architecture == .s390 ? 1 : 0
        let none = LinuxSeccompArg(
            index: index, value: bits.reduce(0, |), valueTwo: 0, op: "SCMP_CMP_MASKED_EQ")
        return [allow(["clone"], none)]
            + bits.map { bit in
                refuse(
                    ["clone"], errno: notPermitted,
                    LinuxSeccompArg(index: index, value: bit, valueTwo: bit, op: "SCMP_CMP_MASKED_EQ"))
            }
    }

    /// Linux, Linux 32-bit, and both with UNAME26; 0xffffffff asks without changing.
    private static let personality: [LinuxSyscall] = {
        let allowed: [UInt64] = [0, 8, 0x2_0000, 0x2_0008, 0xFFFF_FFFF]
        return allowed.map { allow(["personality"], equal(0, $0)) } + [
            // All others: at least 0, the rule that any reader asks last.
            refuse(
                ["personality"], errno: notPermitted, LinuxSeccompArg(index: 0, value: 0, op: "SCMP_CMP_GE"))
        ]
    }()

    /// Sockets of every family up to AF_MCTP (45) but AF_ALG (38), with its record of kernel holes, and AF_VSOCK
    /// (40), which reaches out of namespaces to the hypervisor.
    ///
    /// - Parameter audit: allows NETLINK_AUDIT (9), refused with `EINVAL` otherwise so that PAM and sshd go on.
    private static func sockets(audit: Bool) -> [LinuxSyscall] {
        let name = ["socket"]
        var rules = [
            allow(name, below(0, 16)), allow(name, equal(0, 17)), allow(name, block(0, 18, 2)),
            allow(name, block(0, 20, 4)), allow(name, block(0, 24, 8)), allow(name, block(0, 32, 4)),
            allow(name, block(0, 36, 2)), refuse(name, errno: notPermitted, equal(0, 38)), allow(name, equal(0, 39)),
            refuse(name, errno: notPermitted, equal(0, 40)), allow(name, equal(0, 41)), allow(name, block(0, 42, 2)),
            allow(name, block(0, 44, 2)), refuse(name, errno: familyNotSupported, above(0, 45)),
        ]
        let netlink = equal(0, 16)
        if audit {
            rules.append(allow(name, netlink))
            return rules
        }
        rules += [
            allow(name, netlink, below(2, 9)), refuse(name, errno: invalid, netlink, equal(2, 9)),
            allow(name, netlink, block(2, 10, 2)), allow(name, netlink, block(2, 12, 4)),
            allow(name, netlink, block(2, 16, 16)), refuse(name, errno: protocolNotSupported, netlink, above(2, 31)),
        ]
        return rules
    }
}
