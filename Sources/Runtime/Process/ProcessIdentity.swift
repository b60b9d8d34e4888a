import CLinux
import Glibc
import Linux
import OCI

/// Who the container's process is: ids, capabilities, limits, scheduling. Used alike by `create` and `exec`.
struct ProcessIdentity {
    let process: OCI.Process
    /// The five sets, already parsed; all empty when config.json has none.
    let capabilities: CapabilityMasks
    /// The caller's supplementary groups stay (the annotation `run.oci.keep_original_groups`, which crun knows too).
    let keepsGroups: Bool

    /// Parsed `process.capabilities`: bit n is capability n.
    struct CapabilityMasks {
        var bounding: UInt64 = 0
        var effective: UInt64 = 0
        var permitted: UInt64 = 0
        var inheritable: UInt64 = 0
        var ambient: UInt64 = 0
    }

    init(_ process: OCI.Process, annotations: [String: String]) throws(RuntimeError) {
        self.process = process
        keepsGroups = annotations["run.oci.keep_original_groups"] == "1"
        guard let names = process.capabilities else {
            capabilities = CapabilityMasks()
            return
        }
        var masks = CapabilityMasks()
        masks.bounding = Self.mask(names.bounding)
        masks.effective = Self.mask(names.effective)
        masks.permitted = Self.mask(names.permitted)
        masks.inheritable = Self.mask(names.inheritable)
        masks.ambient = Self.mask(names.ambient)
        capabilities = masks
    }

    /// Unknown names are passed over: a newer engine may know more capabilities than this kernel (runtime-spec 1.2
    /// "capabilities": a warning, not an error).
    private static func mask(_ names: [String]) -> UInt64 {
        var result: UInt64 = 0
        for name in names {
            if let capability = Capability(name: name) {
                result |= 1 << UInt64(capability.rawValue)
            } else {
                warn("ignoring unknown capability \"\(name)\"")
            }
        }
        return result
    }

    /// Sets resource limits of this process.
    ///
    /// Before the ids change: raising a hard limit needs CAP_SYS_RESOURCE. What may not be raised is clamped to the
    /// hard limit this process has.
    func applyLimits() throws(RuntimeError) {
        for limit in process.rlimits {
            guard let resource = Self.resource(limit.type) else {
                throw .invalid("process.rlimits", "unknown type \"\(limit.type)\"")
            }
            var values = [limit.soft, limit.hard]
            var result = cl_prlimit(0, resource, values, nil)
            if result == -EPERM {
                var old: [UInt64] = [0, 0]
                try kernel { () throws(SystemError) in try check(cl_prlimit(0, resource, nil, &old), "read limit", limit.type) }
                values = [min(limit.soft, old[1]), min(limit.hard, old[1])]
                result = cl_prlimit(0, resource, values, nil)
            }
            let code = result
            try kernel { () throws(SystemError) in try check(code, "set limit", limit.type) }
        }
    }

    private static let resources: [(StaticString, Int32)] = [
        ("RLIMIT_CPU", 0), ("RLIMIT_FSIZE", 1), ("RLIMIT_DATA", 2), ("RLIMIT_STACK", 3), ("RLIMIT_CORE", 4),
        ("RLIMIT_RSS", 5), ("RLIMIT_NPROC", 6), ("RLIMIT_NOFILE", 7), ("RLIMIT_MEMLOCK", 8), ("RLIMIT_AS", 9),
        ("RLIMIT_LOCKS", 10), ("RLIMIT_SIGPENDING", 11), ("RLIMIT_MSGQUEUE", 12), ("RLIMIT_NICE", 13),
        ("RLIMIT_RTPRIO", 14), ("RLIMIT_RTTIME", 15),
    ]

    static func resource(_ name: String) -> Int32? {
        for known in resources where known.0.matches(name) { return known.1 }
        return nil
    }

    /// Scheduler, I/O priority and CPU affinity. Before the ids change: real-time classes need CAP_SYS_NICE.
    func applyScheduling(affinity: String?) throws(RuntimeError) {
        if let scheduler = process.scheduler { try Scheduling.apply(scheduler) }
        if let priority = process.ioPriority { try Scheduling.apply(priority) }
        if let affinity, !affinity.isEmpty { try Scheduling.setAffinity(affinity) }
    }

    /// `execCPUAffinity.final`: what the program itself is bound to.
    func finishAffinity() throws(RuntimeError) {
        if let final = process.execCPUAffinity?.final, !final.isEmpty { try Scheduling.setAffinity(final) }
    }

    /// Changes to the configured user and keeps every capability permitted for the steps that still need them.
    ///
    /// Order: the bounding set first (needs SETPCAP), KEEPCAPS before the uid changes (or it would clear the permitted
    /// set), groups before uid. Ends with permitted = effective = what the process had, within the new bounding set.
    func becomeUser() throws(RuntimeError) {
        try kernel("set user") { () throws(SystemError) in
            try Self.dropBounding(keeping: capabilities.bounding)
            try check(cl_prctl(8 /* PR_SET_KEEPCAPS */, 1, 0, 0, 0), "keep capabilities")
            try setGroups()
            let user = process.user
            try check(cl_setresgid(user.gid, user.gid, user.gid), "set gid", "\(user.gid)")
            try check(cl_setresuid(user.uid, user.uid, user.uid), "set uid", "\(user.uid)")
            try check(cl_prctl(8, 0, 0, 0, 0), "keep capabilities")
            var effective: UInt64 = 0
            var permitted: UInt64 = 0
            var inheritable: UInt64 = 0
            try check(cl_capget(&effective, &permitted, &inheritable), "read capabilities")
            try check(cl_capset(permitted, permitted, inheritable), "raise capabilities")
        }
    }

    private func setGroups() throws(SystemError) {
        if keepsGroups { return }
        let wanted = process.user.additionalGids
        let result = cl_setgroups(wanted.count, wanted)
        if result == -EPERM, wanted.isEmpty {
            return  // a single-id user namespace has setgroups denied; there is nothing to set
        }
        try check(result, "set supplementary groups")
    }

    private static func dropBounding(keeping mask: UInt64) throws(SystemError) {
        for number in 0..<64 where mask & (1 << UInt64(number)) == 0 {
            let result = cl_prctl(24 /* PR_CAPBSET_DROP */, UInt(number), 0, 0, 0)
            if result == -EINVAL { return }  // past the kernel's last capability
            try check(result, "drop capability", "\(number)")
        }
    }

    /// Sets the final capability sets; the last thing before execve but for a filter under no_new_privs.
    func applyCapabilities() throws(RuntimeError) {
        let wanted = capabilities
        try kernel("set capabilities") { () throws(SystemError) in
            var effective: UInt64 = 0
            var permitted: UInt64 = 0
            var inheritable: UInt64 = 0
            try check(cl_capget(&effective, &permitted, &inheritable), "read capabilities")
            // What the kernel or our own parent lacks cannot be given: warn-and-continue of runtime-spec 1.2.
            let grant = wanted.permitted & permitted
            let inherit = wanted.inheritable & permitted
            if effective != wanted.effective & grant || permitted != grant || inheritable != inherit {
                try check(cl_capset(wanted.effective & grant, grant, inherit), "set capabilities")
            }
            try check(cl_prctl(47 /* PR_CAP_AMBIENT */, 4 /* CLEAR_ALL */, 0, 0, 0), "clear ambient capabilities")
            let ambient = wanted.ambient & grant & inherit
            for number in 0..<64 where ambient & (1 << UInt64(number)) != 0 {
                try check(cl_prctl(47, 2 /* RAISE */, UInt(number), 0, 0), "raise ambient capability", "\(number)")
            }
        }
    }
}
