import OCI

/// Which limits a set of resources really asks for: 0 and empty mean "not set", as in runc and crun.
extension LinuxResources {
    var limitsMemory: Bool {
        guard let memory else { return false }
        return (memory.limit ?? 0) != 0 || (memory.swap ?? 0) != 0 || (memory.reservation ?? 0) != 0
            || memory.swappiness != nil || memory.disableOOMKiller == true
    }

    var limitsCPU: Bool {
        guard let cpu else { return false }
        return (cpu.shares ?? 0) != 0 || (cpu.quota ?? 0) != 0 || (cpu.period ?? 0) != 0 || cpu.burst != nil
            || cpu.idle != nil || limitsRealtime
    }

    var limitsRealtime: Bool { (cpu?.realtimeRuntime ?? 0) != 0 || (cpu?.realtimePeriod ?? 0) != 0 }

    var limitsCPUSet: Bool { !(cpu?.cpus ?? "").isEmpty || !(cpu?.mems ?? "").isEmpty }

    var limitsIO: Bool {
        guard let io = blockIO else { return false }
        return (io.weight ?? 0) != 0 || (io.leafWeight ?? 0) != 0 || !io.weightDevice.isEmpty
            || !io.throttleReadBpsDevice.isEmpty || !io.throttleWriteBpsDevice.isEmpty
            || !io.throttleReadIOPSDevice.isEmpty || !io.throttleWriteIOPSDevice.isEmpty
    }

    /// Refuses values no kernel takes, before anything is written.
    func validate() throws(CgroupError) {
        func refuse(_ name: String, _ value: String, _ cause: String) -> CgroupError {
            CgroupError(.invalid, "set", "\(name) to \(value)", cause)
        }
        for (name, value) in [
            ("memory limit", memory?.limit), ("memory reservation", memory?.reservation),
            ("memory and swap limit", memory?.swap), ("CPU quota", cpu?.quota), ("pids limit", pids?.limit),
        ] {
            if let value, value < -1 { throw refuse(name, "\(value)", "it must be -1 (no limit) or more") }
        }
        if let limit = memory?.limit, limit > 0, let swap = memory?.swap, swap > 0, swap < limit {
            throw refuse("memory and swap limit", "\(swap)", "it is below the memory limit of \(limit)")
        }
        if let swappiness = memory?.swappiness, swappiness > 100, swappiness != .max {
            throw refuse("memory swappiness", "\(swappiness)", "the range is 0 to 100")
        }
        if let idle = cpu?.idle, idle != 0, idle != 1 { throw refuse("CPU idle", "\(idle)", "it is 0 or 1") }
        for page in hugepageLimits where !page.pageSize.utf8.allSatisfy({ isAlphanumeric($0) }) || page.pageSize.isEmpty {
            throw refuse("huge page limit", "\(page.limit)", "\"\(page.pageSize)\" is not a page size such as 2MB")
        }
        for device in rdma.keys where device.isEmpty || device.utf8.contains(where: { $0 <= 32 }) {
            throw refuse("rdma limit", "a number", "\"\(device)\" is not a device name")
        }
        for name in unified.keys {
            let dot = name.utf8.firstIndex(of: UInt8(ascii: "."))
            if dot == nil || dot == name.startIndex || name.utf8.contains(where: { $0 == UInt8(ascii: "/") || $0 == 0 }) {
                throw refuse("unified resource", "a value", "\"\(name)\" is not of the form controller.parameter")
            }
        }
        _ = try DeviceRules(devices)
    }
}

private func isAlphanumeric(_ byte: UInt8) -> Bool {
    (byte >= 48 && byte <= 57) || (byte >= 65 && byte <= 90) || (byte >= 97 && byte <= 122)
}
