import Cgroups
import Flags
import Linux
import OCI
import Runtime

/// `berth-runtime update`: changes limits of a running container.
enum UpdateCommand {
    static var command: Command {
        Command(
            "update", operands: "CONTAINER", summary: "Change the limits of a container", arity: .exactly(1), flags: flags,
            run: { arguments in
                CommandContext.run(arguments) { (context) throws(RuntimeError) in
                    try update(context)
                    return 0
                }
            })
    }

    @Sendable private static func flags() -> [Flag] {
        [
            .string("resources", "r", "File with linux.resources as JSON, or - for standard input", value: "path"),
            .string("blkio-weight", nil, "Block I/O weight, 10 to 1000", value: "weight"),
            .string("cpu-period", nil, "CFS period in microseconds", value: "us"),
            .string("cpu-quota", nil, "CFS quota in microseconds", value: "us"),
            .string("cpu-burst", nil, "CFS burst in microseconds", value: "us"),
            .string("cpu-share", nil, "Relative CPU weight", value: "shares"),
            .string("cpu-rt-period", nil, "Real-time period in microseconds", value: "us"),
            .string("cpu-rt-runtime", nil, "Real-time budget in microseconds", value: "us"),
            .string("cpu-idle", nil, "1 makes the container run only when nothing else does", value: "0|1"),
            .string("cpuset-cpus", nil, "CPUs, e.g. 0-2,7", value: "list"),
            .string("cpuset-mems", nil, "Memory nodes", value: "list"),
            .string("memory", nil, "Memory limit in bytes", value: "bytes"),
            .string("memory-reservation", nil, "Soft memory limit in bytes", value: "bytes"),
            .string("memory-swap", nil, "Limit of memory and swap together in bytes, -1 for none", value: "bytes"),
            .string("kernel-memory", nil, "Accepted and ignored: the kernel dropped it", value: "bytes", hidden: true),
            .string("kernel-memory-tcp", nil, "TCP buffer limit in bytes", value: "bytes"),
            .string("pids-limit", nil, "Number of processes, -1 for no limit", value: "count"),
        ]
    }

    private static func update(_ context: CommandContext) throws(RuntimeError) {
        let directory = try context.directory()
        let record = try directory.read()
        guard record.isAlive else {
            throw RuntimeError(.wrongState, "update container", record.id, cause: "it is not running")
        }
        let file = context.arguments.string("resources")
        let resources = file.isEmpty ? try fromFlags(context.arguments) : try read(file)
        let cgroup = Cgroup(record: record.cgroup)
        do throws(CgroupError) { try cgroup.update(resources) } catch {
            throw RuntimeError(.system, "update container", record.id, cause: error.description)
        }
        if cgroup.record != record.cgroup {
            var changed = record
            changed.cgroup = cgroup.record
            try directory.replace(changed)
        }
    }

    private static func read(_ path: String) throws(RuntimeError) -> LinuxResources {
        let bytes: [UInt8]
        do throws(SystemError) {
            bytes = path == "-" ? try FD.standardInput.readAll() : try FD.cwd.readFile(path)
        } catch {
            throw RuntimeError(.invalid, "read resources", path, cause: error.description)
        }
        do throws(OCIError) { return try LinuxResources.decode(bytes) } catch {
            throw RuntimeError(.invalid, "read resources", path, cause: error.description)
        }
    }

    private static func fromFlags(_ arguments: ParsedArguments) throws(RuntimeError) -> LinuxResources {
        func number<T: FixedWidthInteger>(_ name: String, _: T.Type) throws(RuntimeError) -> T? {
            guard arguments.isSet(name) else { return nil }
            guard let value = T(arguments.string(name)) else {
                throw RuntimeError(.invalid, "--\(name)", arguments.string(name), cause: "it is not a number in range")
            }
            return value
        }
        var memory = LinuxMemory()
        memory.limit = try number("memory", Int64.self)
        memory.reservation = try number("memory-reservation", Int64.self)
        memory.swap = try number("memory-swap", Int64.self)
        memory.kernelTCP = try number("kernel-memory-tcp", Int64.self)
        var cpu = LinuxCPU()
        cpu.shares = try number("cpu-share", UInt64.self)
        cpu.quota = try number("cpu-quota", Int64.self)
        cpu.period = try number("cpu-period", UInt64.self)
        cpu.burst = try number("cpu-burst", UInt64.self)
        cpu.realtimeRuntime = try number("cpu-rt-runtime", Int64.self)
        cpu.realtimePeriod = try number("cpu-rt-period", UInt64.self)
        cpu.idle = try number("cpu-idle", Int64.self)
        cpu.cpus = arguments.string("cpuset-cpus")
        cpu.mems = arguments.string("cpuset-mems")
        var resources = LinuxResources()
        resources.memory = memory
        resources.cpu = cpu
        if let limit = try number("pids-limit", Int64.self) { resources.pids = LinuxPids(limit: limit) }
        if let weight = try number("blkio-weight", UInt16.self) { resources.blockIO = LinuxBlockIO(weight: weight) }
        return resources
    }
}
