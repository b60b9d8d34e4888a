import CLinux
import Glibc
import Linux
import OCI

/// A scope of systemd around a container: systemd makes the cgroup and delegates it, the rest is as elsewhere.
///
/// A scope begins with a process that exists already and ends when its cgroup is empty. The container's first process is
/// born in the cgroup, so something else has to be there before it: an ``Anchor``, for a few milliseconds.
/// Spec: systemd.scope(5), org.freedesktop.systemd1(5), and systemd's "Control Group APIs and Delegation".
struct SystemdScope {
    let slice: String
    let unit: String

    /// - Parameters: the parts of `slice:prefix:name`.
    init(slice: String, prefix: String, name: String, rootless: Bool) throws(CgroupError) {
        self.slice = slice.isEmpty ? (rootless ? "user.slice" : "system.slice") : slice
        unit = (prefix.isEmpty ? "" : prefix + "-") + name + ".scope"
        guard self.slice.hasSuffix(".slice") else {
            throw CgroupError(.invalid, "use cgroups path", "\"\(slice):\(prefix):\(name)\"", "\"\(slice)\" is no slice")
        }
        // The characters of unit names, systemd.unit(5).
        let allowed = unit.utf8.allSatisfy {
            ($0 >= 48 && $0 <= 58) || ($0 >= 65 && $0 <= 90) || ($0 >= 97 && $0 <= 122) || [45, 46, 92, 95, 64].contains($0)
        }
        guard allowed, unit.utf8.count < 256 else {
            throw CgroupError(.invalid, "use cgroups path", "\"\(slice):\(prefix):\(name)\"", "\"\(unit)\" is no name of a unit")
        }
    }

    /// Starts the scope around a process and waits until it is there.
    func start(on bus: SystemdBus, around pid: Int32, _ limits: [SystemdProperty]) throws(CgroupError) {
        let properties =
            [
                SystemdProperty("Description", .text("container \(unit)")), SystemdProperty("Slice", .text(slice)),
                SystemdProperty("PIDs", .pids([UInt32(bitPattern: pid)])), SystemdProperty("Delegate", .flag(true)),
                SystemdProperty("DefaultDependencies", .flag(false)),
                // A scope whose processes were killed is forgotten like any other.
                SystemdProperty("CollectMode", .text("inactive-or-failed")),
            ] + ["Memory", "CPU", "IO", "Tasks"].map { SystemdProperty($0 + "Accounting", .flag(true)) } + limits
        var body = SystemdBytes()
        body.append(unit)
        body.append("fail")
        body.array(alignment: 8) { out in for property in properties { property.write(to: &out) } }
        body.array(alignment: 8) { _ in }  // auxiliary units: none
        try bus.run("StartTransientUnit", "ssa(sv)a(sa(sv))", unit, body)
    }

    /// As ``start(on:around:_:)``; the last container of this name may have ended a moment ago, and its scope goes when
    /// systemd has seen that. A scope that is in use stays, and is an error.
    func startWhenFree(on bus: SystemdBus, around pid: Int32, _ limits: [SystemdProperty]) throws(CgroupError) {
        for attempt in 0... {
            do throws(CgroupError) { return try start(on: bus, around: pid, limits) } catch {
                guard error.code == .notEmpty, attempt < 20 else { throw error }
            }
            var name = SystemdBytes()
            name.append(unit)
            _ = try? bus.call("ResetFailedUnit", "s", unit, name)
            pause(milliseconds: 50)
        }
    }

    /// Stops a unit that may be gone already. For clean-up: what is wrong then is not told.
    static func stop(_ unit: String, rootless: Bool) {
        guard let bus = try? SystemdBus(SystemdBus.address(rootless: rootless), seconds: 5) else { return }
        var body = SystemdBytes()
        body.append(unit)
        body.append("replace")
        try? bus.run("StopUnit", "ss", unit, body)
        var name = SystemdBytes()
        name.append(unit)
        _ = try? bus.call("ResetFailedUnit", "s", unit, name)
    }

    /// Tells systemd new limits: at its next reload it writes what it knows.
    static func update(_ unit: String, rootless: Bool, _ limits: [SystemdProperty]) throws(CgroupError) {
        if limits.isEmpty { return }
        let bus = try SystemdBus(SystemdBus.address(rootless: rootless))
        var body = SystemdBytes()
        body.append(unit)
        body.append(UInt32(1))  // for this boot, not for ever
        body.array(alignment: 8) { out in for property in limits { property.write(to: &out) } }
        try bus.call("SetUnitProperties", "sba(sv)", unit, body)
    }

    /// The limits that systemd knows by a name of its own; it writes them again at each of its reloads.
    static func limits(_ resources: LinuxResources) throws(CgroupError) -> [SystemdProperty] {
        func amount(_ value: Int64) -> UInt64 { value < 0 ? UInt64.max : UInt64(value) }
        var found: [SystemdProperty] = []
        if let memory = resources.memory {
            if let limit = memory.limit, limit != 0 { found.append(.init("MemoryMax", .number(amount(limit)))) }
            if let low = memory.reservation, low != 0 { found.append(.init("MemoryLow", .number(amount(low)))) }
            let swap = try ResourceConversion.swapMaximum(memory: memory.limit ?? 0, memoryAndSwap: memory.swap ?? 0)
            if let swap { found.append(.init("MemorySwapMax", .number(UInt64(swap) ?? UInt64.max))) }
        }
        if let cpu = resources.cpu {
            if let shares = cpu.shares, shares != 0, cpu.idle != 1 {
                found.append(.init("CPUWeight", .number(ResourceConversion.weight(shares: shares))))
            }
            if let quota = cpu.quota, quota != 0 {
                let period = cpu.period.flatMap { $0 == 0 ? nil : $0 } ?? 100_000
                found.append(.init("CPUQuotaPeriodUSec", .number(period)))
                found.append(.init("CPUQuotaPerSecUSec", .number(perSecond(quota, period))))
            }
        }
        if let limit = resources.pids?.limit { found.append(.init("TasksMax", .number(limit < 0 ? UInt64.max : UInt64(max(limit, 1))))) }
        return found
    }

    /// Microseconds in a second of a quota; systemd keeps it in steps of 10 ms, and rounded down it could be zero.
    private static func perSecond(_ quota: Int64, _ period: UInt64) -> UInt64 {
        if quota < 0 { return UInt64.max }
        let (product, overflow) = UInt64(quota).multipliedReportingOverflow(by: 1_000_000)
        if overflow || product > UInt64.max - 10_000 { return UInt64.max }
        return (product / period + 9_999) / 10_000 * 10_000
    }
}

/// A process that does nothing but be there. It ends with this object, or with its parent.
final class Anchor {
    let pid: Int32

    init() throws(CgroupError) {
        pid = cl_clone3(0, UInt64(SIGCHLD), nil, -1)
        if pid == 0 {
            _ = cl_prctl(1 /* PR_SET_PDEATHSIG */, UInt(SIGKILL), 0, 0, 0)
            while true { _ = cl_poll(nil, nil, nil, 0, -1) }
        }
        if pid < 0 { throw CgroupError(Errno(rawValue: -pid), "clone", "process for systemd") }
    }

    deinit {
        guard pid > 0 else { return }
        _ = cl_kill(pid, SIGKILL)
        _ = try? waitForProcess(pid)
    }
}

extension Cgroup {
    /// Makes the container's cgroup as a scope of systemd. ``releaseAnchor()`` when a process of the container is in it.
    static func makeScope(
        _ scope: SystemdScope, host: CgroupHost, resources: LinuxResources, rootless: Bool
    ) throws(CgroupError) -> Cgroup {
        guard FD.cwd.exists("/run/systemd/system") else {
            throw CgroupError(
                .systemdMissing, "make scope", "\"\(scope.unit)\"",
                "systemd is not running here; use a path such as /berth/name, and no --systemd-cgroup")
        }
        guard host.mode == .unified, let unified = host.unified else {
            throw CgroupError(
                .unsupported, "make scope", "\"\(scope.unit)\"",
                "the systemd driver needs a host with cgroup v2 only; leave --systemd-cgroup away here")
        }
        let bus = try SystemdBus(SystemdBus.address(rootless: rootless))
        let anchor = try Anchor()
        let limits = try SystemdScope.limits(resources)
        try scope.startWhenFree(on: bus, around: anchor.pid, limits)
        let own = CgroupHost.parseOwnCgroups(try CgroupHost.procText("/proc/\(anchor.pid)/cgroup"))
        guard let path = own.first(where: { $0.name.isEmpty })?.path, path.hasSuffix("/" + scope.unit) else {
            throw CgroupError(.systemd, "make scope", "\"\(scope.unit)\"", "its process is not in it")
        }
        let entry = CgroupRecord.Entry(hierarchy: "", path: unified.mountPoint + path)
        let cgroup = Cgroup(record: CgroupRecord(entries: [entry], rootless: rootless, scope: scope.unit))
        cgroup.fresh = [true]
        cgroup.anchor = anchor
        return cgroup
    }

    /// Lets go of what held the scope open: the container's own process does so now.
    public func releaseAnchor() { anchor = nil }
}
