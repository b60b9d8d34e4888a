import OCI
import Testing

@testable import Seccomp

private let allow: UInt32 = 0x7FFF_0000
private let eperm: UInt32 = 0x0005_0001
private let enosys: UInt32 = 0x0005_0026
private let einval: UInt32 = 0x0005_0016
private let kernel = KernelVersion(6, 12)

private func filter(_ profile: LinuxSeccomp, native: SeccompArchitecture = .x86_64) throws -> Interpreter {
    try Interpreter(SeccompCompiler.compile(profile, native: native))
}

@Suite struct DefaultProfileTests {
    private func standard(_ capabilities: CapabilitySet = .default) throws -> Interpreter {
        try filter(SeccompProfile.default(capabilities: capabilities, architecture: .x86_64, kernel: kernel))
    }

    @Test func refusesWhatDockerAndPodmanRefuse() throws {
        let run = try standard()
        let refused = [
            "acct", "add_key", "bpf", "clock_settime", "fsconfig", "fsmount", "fsopen", "fspick", "fanotify_init",
            "get_mempolicy", "set_mempolicy", "mbind", "migrate_pages", "move_pages", "init_module", "finit_module",
            "delete_module", "io_uring_setup", "io_uring_enter", "io_uring_register", "ioperm", "iopl", "kcmp",
            "kexec_load", "kexec_file_load", "keyctl", "request_key", "lookup_dcookie", "mount", "umount2",
            "mount_setattr", "move_mount", "open_tree", "pivot_root", "nfsservctl", "uselib", "ustat", "sysfs",
            "open_by_handle_at", "perf_event_open", "pidfd_getfd", "process_madvise", "quotactl", "quotactl_fd",
            "reboot", "setdomainname", "sethostname", "setns", "settimeofday", "swapon", "swapoff", "syslog", "unshare",
            "userfaultfd", "vhangup", "vmsplice",
        ]
        for name in refused { #expect(run(Call(.x86_64, name)) == eperm, "\(name)") }
        // New or gone: a C library must be able to fall back.
        for name in [
            "clone3", "lsm_list_modules", "_sysctl", "vserver", "open_tree_attr", "file_setattr", "listns", "uprobe",
        ] { #expect(run(Call(.x86_64, name)) == enosys, "\(name)") }
        #expect(run(Call(.x86_64, 600)) == enosys)
        #expect(run(Call(.x86_64, .max)) == enosys)
        for name in ["read", "execve", "mseal", "statmount", "ptrace", "chroot", "openat2", "futex_waitv", "rseq"] {
            #expect(run(Call(.x86_64, name)) == allow, "\(name)")
        }
        // Other ABIs are opted in.
        #expect(run(Call(.x86, 0)) == 0x8000_0000)
        #expect(run(Call(.x86_64, 0x4000_0000)) == 0x8000_0000)
    }

    @Test func cloneMayNotMakeNamespaces() throws {
        let run = try standard()
        #expect(run(Call(.x86_64, "clone", 0x003D_0F00)) == allow)
        #expect(run(Call(.x86_64, "clone", 17)) == allow)
        for bit in [UInt64(0x0002_0000), 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000] {
            #expect(run(Call(.x86_64, "clone", bit | 17)) == eperm)
        }
        #expect(run(Call(.x86_64, "clone", 0x7E02_0000)) == eperm)
        let admin = try standard(CapabilitySet.default.union([.sysAdmin]))
        #expect(admin(Call(.x86_64, "clone", 0x7E02_0000)) == allow)
        #expect(admin(Call(.x86_64, "clone3")) == allow)
        let s390x = try Interpreter(
            SeccompCompiler.compile(
                SeccompProfile.default(capabilities: [], architecture: .s390x, kernel: kernel), native: .s390x),
            bigEndian: true)
        #expect(s390x(Call(.s390x, "clone", 0x7E02_0000, 17)) == allow)
        #expect(s390x(Call(.s390x, "clone", 17, 0x1000_0000)) == eperm)
    }

    @Test func socketFamilies() throws {
        let run = try standard()
        let audit = try standard(CapabilitySet.default.union([.auditWrite]))
        for family in UInt64(0)...45 {
            let wanted = family == 38 || family == 40 ? eperm : allow
            #expect(run(Call(.x86_64, "socket", family, 3, 0)) == wanted, "family \(family)")
            #expect(audit(Call(.x86_64, "socket", family, 3, 9)) == wanted, "family \(family)")
        }
        // The kernel reads an int: a bit above it must not hide the family, nor the protocol.
        for family: UInt64 in [2, 38, 39, 40, 41] {
            for high: UInt64 in [1 << 32, 1 << 63, 0xFFFF_FFFF_0000_0000] {
                #expect(run(Call(.x86_64, "socket", family | high, 3, 0)) == 0x0005_0061)
            }
        }
        #expect(run(Call(.x86_64, "socket", 46, 3, 0)) == 0x0005_0061)
        for netlink in UInt64(0)...31 {
            let wanted = netlink == 9 ? einval : allow
            #expect(run(Call(.x86_64, "socket", 16, 3, netlink)) == wanted, "netlink \(netlink)")
            #expect(audit(Call(.x86_64, "socket", 16, 3, netlink)) == allow)
        }
        #expect(run(Call(.x86_64, "socket", 16, 3, 1 << 32 | 9)) == 0x0005_005D)
        #expect(run(Call(.x86_64, "socket", 16, 3, 32)) == 0x0005_005D)
    }

    @Test func personalities() throws {
        let run = try standard()
        for value: UInt64 in [0, 8, 0x20000, 0x20008, 0xFFFF_FFFF] {
            #expect(run(Call(.x86_64, "personality", value)) == allow)
        }
        for value: UInt64 in [1, 9, 0x40000, 0x1_0000_0000, .max] {
            #expect(run(Call(.x86_64, "personality", value)) == eperm)
        }
    }

    @Test func capabilitiesOpenTheirCalls() throws {
        let openings: [(Capability, [String])] = [
            (.sysAdmin, ["mount", "setns", "unshare", "bpf", "quotactl", "lsm_list_modules", "syslog"]),
            (.sysBoot, ["reboot"]), (.sysModule, ["init_module"]), (.sysPacct, ["acct"]),
            (.sysPtrace, ["kcmp", "pidfd_getfd"]), (.sysRawio, ["iopl"]), (.sysTime, ["settimeofday"]),
            (.sysTtyConfig, ["vhangup"]), (.sysNice, ["mbind"]), (.syslog, ["syslog"]), (.bpf, ["bpf"]),
            (.perfmon, ["perf_event_open"]), (.dacReadSearch, ["open_by_handle_at"]), (.sysChroot, ["chroot"]),
        ]
        let none = try standard([])
        for (capability, names) in openings {
            let run = try standard([capability])
            for name in names {
                #expect(run(Call(.x86_64, name)) == allow, "\(name)")
                #expect(none(Call(.x86_64, name)) != allow, "\(name)")
            }
        }
        let all = try standard(.all)
        for name in ["vmsplice", "keyctl", "io_uring_setup", "pivot_root", "kexec_load", "userfaultfd"] {
            #expect(all(Call(.x86_64, name)) == eperm)
        }
    }

    @Test func tracingNeedsLinux4_8() throws {
        for (version, wanted) in [(KernelVersion(4, 7), eperm), (KernelVersion(4, 8), allow)] {
            let run = try filter(SeccompProfile.default(capabilities: [], architecture: .x86_64, kernel: version))
            // Before 4.8 ptrace is CAP_SYS_PTRACE's.
            #expect(run(Call(.x86_64, "ptrace")) == wanted)
        }
    }

    @Test func nestedAllowsNamespacesAndStaysAList() throws {
        let run = try filter(SeccompProfile.nested(capabilities: .default, architecture: .x86_64, kernel: kernel))
        for name in ["clone3", "unshare", "setns", "mount", "umount2", "pivot_root", "keyctl", "mbind", "reboot"] {
            #expect(run(Call(.x86_64, name)) == allow, "\(name)")
        }
        #expect(run(Call(.x86_64, "clone", 0x1000_0000)) == allow)
        for name in ["bpf", "kexec_load", "io_uring_setup", "vmsplice", "init_module", "userfaultfd"] {
            #expect(run(Call(.x86_64, name)) == eperm, "\(name)")
        }
        #expect(run(Call(.x86_64, "socket", 38)) == eperm)
        let standard = try standard()
        for number: UInt32 in 0..<600 where standard(Call(.x86_64, number)) == allow {
            #expect(run(Call(.x86_64, number)) == allow)
        }
    }

    @Test func socketcallIsRefusedUnlessAskedFor() throws {
        for (asked, wanted) in [(false, eperm), (true, allow)] {
            let run = try filter(
                SeccompProfile.default(
                    capabilities: [], architecture: .x86_64, additional: [.x86], allowsSocketcall: asked,
                    kernel: kernel))
            for call: UInt64 in 1...3 { #expect(run(Call(.x86, "socketcall", call)) == wanted) }
            #expect(run(Call(.x86, "socket", 38)) == eperm)
            #expect(run(Call(.x86, "read")) == allow)
        }
    }

    @Test func everyNameExistsAndNoneIsTwice() {
        var byCapability: [String] = []
        DefaultSyscalls.byCapability { byCapability += $1 }
        let lists = [
            DefaultSyscalls.allowed, DefaultSyscalls.refused, DefaultSyscalls.nested, DefaultSyscalls.newWithSysAdmin,
            DefaultSyscalls.tracing, byCapability,
            SeccompArchitecture.allCases.flatMap { DefaultSyscalls.own(to: $0) },
        ]
        for name in lists.joined() { #expect(SyscallTable.position(of: name) != nil, "\(name)") }
        #expect(Set(DefaultSyscalls.allowed).isDisjoint(with: DefaultSyscalls.refused))
        #expect(Set(DefaultSyscalls.allowed).count == DefaultSyscalls.allowed.count)
        // The compiler takes unknown names silently; a capability list must not name what all may call.
        #expect(Set(DefaultSyscalls.allowed).isDisjoint(with: byCapability))
    }

    @Test(arguments: [SeccompArchitecture.x86_64, .aarch64, .riscv64, .s390x, .ppc64le, .mips64, .loongarch64])
    func agreesWithTheReference(_ native: SeccompArchitecture) {
        for capabilities in [CapabilitySet.default, .all] {
            let profile = SeccompProfile.default(
                capabilities: capabilities, architecture: native,
                additional: native.compatible.filter { $0.facts.bigEndian == native.facts.bigEndian }, kernel: kernel)
            expectAgreement(profile, native: native, numbers: 0..<600) { _ in
                [9, 16, 1 << 32 | 38]
            }
        }
    }

    @Test func fewInstructionsDecide() throws {
        let program = try SeccompCompiler.compile(
            SeccompProfile.default(
                capabilities: .default, architecture: .x86_64, additional: [.x86, .x32], kernel: kernel),
            native: .x86_64)
        let run = try Interpreter(program)
        #expect(program.instructions.count < 1200)
        for name in ["read", "write", "futex", "openat", "clock_gettime"] {
            #expect(run.run(Call(.x86_64, name)).steps <= 14, "\(name)")
        }
    }
}

@Suite struct ProfileFileTests {
    private func resolved(
        _ text: String, _ capabilities: CapabilitySet = [], _ architecture: SeccompArchitecture = .x86_64,
        _ kernel: KernelVersion = KernelVersion(6, 1)
    ) throws -> LinuxSeccomp {
        try SeccompProfile(json: Array(text.utf8)).resolve(
            capabilities: capabilities, architecture: architecture, kernel: kernel)
    }

    private let conditional = """
        {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "comment": 7,
         "archMap": [{"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
                     {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]}],
         "syscalls": [
           {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": null, "comment": "", "includes": {}, "excludes": {}},
           {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN", "CAP_MKNOD"]}},
           {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38, "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
           {"names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64", "x32"]}},
           {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "excludes": {"arches": ["s390x", "amd64"]},
            "args": [{"index": 0, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]},
           {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
           {"names": ["bpf"], "action": "SCMP_ACT_ALLOW", "excludes": {"minKernel": "6.0"}}]}
        """

    @Test func conditionsFollowTheContainer() throws {
        func names(_ profile: LinuxSeccomp) -> [String] { profile.syscalls.flatMap(\.names) }
        let plain = try resolved(conditional)
        #expect(names(plain) == ["read", "clone3", "arch_prctl", "ptrace"])
        #expect(plain.architectures == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"])
        #expect(plain.defaultErrnoRet == 38)
        #expect(plain.syscalls[1].errnoRet == 38)
        #expect(names(try resolved(conditional, [.sysAdmin])) == ["read", "arch_prctl", "ptrace"])
        #expect(
            names(try resolved(conditional, [.sysAdmin, .mknod])) == ["read", "mount", "arch_prctl", "ptrace"])
        let arm = try resolved(conditional, [], .aarch64, KernelVersion(4, 7))
        #expect(names(arm) == ["read", "clone3", "clone", "bpf"])
        #expect(arm.architectures == ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"])
        #expect(arm.syscalls[2].args == [LinuxSeccompArg(index: 0, value: 0x7E02_0000, op: "SCMP_CMP_MASKED_EQ")])
        #expect(try resolved(conditional, [], .riscv64).architectures.isEmpty)
    }

    @Test func oldAndPodmanForms() throws {
        let old = try resolved(
            """
            {"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"],
             "syscalls": [{"name": "accept", "action": "SCMP_ACT_ALLOW", "args": []}]}
            """)
        #expect(old.syscalls == [LinuxSyscall(names: ["accept"], action: "SCMP_ACT_ALLOW")])
        let podman = try resolved(
            """
            {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrno": "ENOSYS", "syscalls": [
             {"names": ["bdflush"], "action": "SCMP_ACT_ERRNO", "errno": "EPERM"},
             {"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 22, "errno": "EPERM"}]}
            """)
        #expect(podman.defaultErrnoRet == 38)
        #expect(podman.syscalls.map(\.errnoRet) == [1, 22])
    }

    @Test(arguments: [
        "", "[]", "null", "{", "{}", #"{"syscalls": []}"#, #"{"defaultAction": 1}"#,
        #"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": {}}"#,
        #"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"action": "SCMP_ACT_ALLOW"}]}"#,
        #"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"name": "a", "names": ["b"], "action": "X"}]}"#,
        #"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": [""], "action": "X"}]}"#,
        #"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["a"], "args": [{"value": -1}]}]}"#,
        #"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["a"], "args": [{"value": 1.5}]}]}"#,
        #"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["a"], "includes": {"minKernel": "4"}}]}"#,
        #"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["a"], "includes": {"minKernel": "4.8-rc1"}}]}"#,
        #"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["a"], "includes": []}]}"#,
        #"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrno": "EWHATEVER"}"#,
        #"{"defaultAction": "A", "architectures": ["B"], "archMap": [{"architecture": "C"}]}"#,
    ])
    func malformedFilesAreRefused(_ text: String) {
        #expect(throws: SeccompError.self) { try SeccompProfile(json: Array(text.utf8)) }
    }

    @Test func outOfRangeNumbersReachTheCompilersError() throws {
        let profile = try resolved(
            """
            {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW",
             "args": [{"index": 99999999999, "value": 18446744073709551615, "op": "SCMP_CMP_EQ"}]}]}
            """)
        #expect(throws: SeccompError.self) { try SeccompCompiler.compile(profile) }
    }

    @Test func kernelReleases() {
        #expect(KernelVersion(release: "6.12.3-rc1+deb13") == KernelVersion(6, 12))
        #expect(KernelVersion(release: "4.8") == KernelVersion(4, 8))
        #expect(KernelVersion(release: "5.10-generic") == KernelVersion(5, 10))
        for text in ["", "6", "6.", ".1", "a.b", "6x.1", "99999999999.1"] {
            #expect(KernelVersion(release: text) == nil, "\(text)")
        }
        #expect(KernelVersion(4, 19) < KernelVersion(5, 0))
        #expect(KernelVersion.running > KernelVersion(3, 0))
    }
}
