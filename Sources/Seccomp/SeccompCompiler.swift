import OCI

/// Compiles an OCI seccomp configuration to a BPF program.
///
/// What a profile means:
/// - The architecture is checked first. A call through an ABI that is not listed kills the process, as does an
///   x32 number where x32 is not listed. The native architecture is always listed.
/// - A rule's conditions are ANDed, the rules of one system call are ORed. A rule that conditions one argument
///   twice is one rule per condition (as runc reads it).
/// - Of rules without conditions the first decides, whatever conditions other rules of the call have, except that
///   one which only repeats the default action is no rule. Of rules with conditions the more specific one decides
///   (`Chain.precedes`), then the earlier one.
/// - On 32-bit ABIs, x32 and n32 only the low word of an argument is compared.
/// - An unconditional rule for `connect` or `shmat` also holds inside `socketcall` or `ipc` where the ABI has those
///   and the profile does not decide them itself.
/// - A name no architecture knows is ignored. Any other unknown word is an error.
/// - Unless the default action lets calls through (`ALLOW`, `LOG`, `TRACE`), a number above the highest one that the
///   profile names for that ABI returns `ENOSYS`: the profile is older than the call, and a C library falls back on
///   `ENOSYS` but not on `EPERM`. Arm's private calls and x32's own 512 to 547 neither count nor are covered; on
///   s390 number 0 (how the kernel reports numbers it does not know) is covered.
///
/// The search over numbers is a balanced tree whose nodes look at nothing but the number, so that since Linux 5.11
/// the kernel answers every unconditionally allowed call from a bitmap without running the filter.
///
/// Spec: OCI runtime-spec 1.2 config-linux.md "Seccomp"; seccomp(2).
public struct SeccompCompiler {
    /// Compiles a configuration.
    ///
    /// - Parameter native: the kernel's own architecture.
    /// - Throws: `.unknownAction`, `.unknownOperator`, `.unknownArchitecture`, `.unknownFlag`, `.invalidArgument`,
    ///   `.invalidErrno`, `.invalidNotify`, and `.tooLong` above 4096 instructions.
    public static func compile(
        _ profile: LinuxSeccomp, native: SeccompArchitecture = .native
    ) throws(SeccompError) -> SeccompProgram {
        let rules = try RuleSet(profile)
        var emitter = Emitter()
        try emitter.emit(BPF.loadAbsolute, BPF.architectureOffset)
        for group in try architectures(profile.architectures, native: native) {
            let section = FilterSection(rules: rules, architectures: group)
            try section.emit(into: &emitter)
        }
        try emitter.emit(BPF.ret, SeccompReturn.killProcess)
        let flags = try flags(profile.flags, listener: rules.notifies)
        return SeccompProgram(instructions: emitter.code, flags: flags, architecture: native)
    }

    /// The listed architectures, native first, those that share an audit value together (x86_64 and x32).
    private static func architectures(
        _ names: [String], native: SeccompArchitecture
    ) throws(SeccompError) -> [[SeccompArchitecture]] {
        var groups = [[native]]
        for name in names {
            guard let named = SeccompArchitecture(ociName: name) else {
                throw SeccompError(code: .unknownArchitecture, object: name, cause: "unknown architecture")
            }
            let architecture = name == "SCMP_ARCH_NATIVE" ? native : named
            if groups.contains(where: { $0.contains(architecture) }) { continue }
            let audit = architecture.facts.audit
            if let group = groups.firstIndex(where: { $0[0].facts.audit == audit }) {
                groups[group].append(architecture)
            } else {
                groups.append([architecture])
            }
        }
        return groups
    }

    private static func flags(_ names: [String], listener: Bool) throws(SeccompError) -> SeccompProgram.Flags {
        var flags: SeccompProgram.Flags = listener ? [.newListener] : []
        for name in names {
            switch name {
            case "SECCOMP_FILTER_FLAG_TSYNC":
                // The kernel refuses it with a listener, and the caller has one thread: nothing to synchronise.
                if !listener { flags.insert(.tsync) }
            case "SECCOMP_FILTER_FLAG_LOG": flags.insert(.log)
            case "SECCOMP_FILTER_FLAG_SPEC_ALLOW": flags.insert(.specAllow)
            case "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV":
                // EINVAL without a listener, where it would mean nothing.
                if listener { flags.insert(.waitKillableRecv) }
            default: throw SeccompError(code: .unknownFlag, object: name, cause: "unknown flag")
            }
        }
        return flags
    }
}
