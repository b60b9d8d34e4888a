import Cgroups
import Glibc
import JSON
import Linux
import OCI
import Store

/// What the kernel says of the machine.
public struct SystemFacts: Sendable {
    public var kernel: String
    public var architecture: String
    public var hostName: String

    public static func read() -> SystemFacts {
        var name = utsname()
        uname(&name)
        let kernel = withUnsafeBytes(of: &name.release) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        let host = withUnsafeBytes(of: &name.nodename) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        return SystemFacts(kernel: kernel, architecture: Engine.hostPlatform().architecture, hostName: host)
    }
}

/// What `info` shows.
public struct EngineInformation: Sendable {
    public var containers = 0
    public var running = 0
    public var paused = 0
    public var stopped = 0
    public var images = 0
    public var facts: SystemFacts
    public var operatingSystem = ""
    public var cgroupVersion = ""
    public var rootless = false
    public var cpus = 0
    public var memory: Int64 = 0
    public var root = ""
    public var runRoot = ""
    /// Of the program that asks.
    public var version = ""
    /// Where CDI specifications are looked for, what is described there, and files that cannot be used.
    public var deviceDirectories: [String] = []
    public var devices: [CDIName] = []
    public var deviceFailures: [String] = []

    public func encode() -> [UInt8] {
        JSONWriter.document { writer in
            writer.object { w in
                w.field("Containers", containers)
                w.field("ContainersRunning", running)
                w.field("ContainersPaused", paused)
                w.field("ContainersStopped", stopped)
                w.field("Images", images)
                w.field("Driver", "overlay2")
                w.field("LoggingDriver", "cri")
                w.field("CgroupDriver", "cgroupfs")
                w.field("CgroupVersion", cgroupVersion)
                w.field("KernelVersion", facts.kernel)
                w.field("OperatingSystem", operatingSystem)
                w.field("OSType", "linux")
                w.field("Architecture", facts.architecture)
                w.field("NCPU", cpus)
                w.field("MemTotal", memory)
                w.field("Name", facts.hostName)
                w.field("ServerVersion", version)
                w.field("DockerRootDir", root)
                w.field("RunRoot", runRoot)
                w.field("DefaultRuntime", "berth-runtime")
                w.field(
                    "SecurityOptions",
                    ["name=seccomp,profile=builtin", "name=cgroupns"] + (rootless ? ["name=rootless"] : []))
                w.field("Rootless", rootless)
                w.field("CDISpecDirs", deviceDirectories)
                w.array("DiscoveredDevices", devices) { w, device in
                    w.object { w in
                        w.field("Source", "cdi")
                        w.field("ID", device.description)
                    }
                }
                w.field("Warnings", deviceFailures.map { "CDI: " + $0 })
            }
        }
    }

    /// Name and value in the order of Docker's `info`.
    public var lines: [(String, String)] {
        [
            ("Containers", "\(containers)"), (" Running", "\(running)"), (" Paused", "\(paused)"),
            (" Stopped", "\(stopped)"),
            ("Images", "\(images)"), ("Storage Driver", "overlay2"), ("Logging Driver", "cri"),
            ("Cgroup Driver", "cgroupfs"),
            ("Cgroup Version", cgroupVersion), ("Default Runtime", "berth-runtime"),
            ("Security Options", "seccomp (builtin), cgroupns" + (rootless ? ", rootless" : "")),
            ("Kernel Version", facts.kernel), ("Operating System", operatingSystem), ("OSType", "linux"),
            ("CDI Spec Directories", deviceDirectories.joined(separator: ", ")),
            ("Discovered Devices", devices.isEmpty ? "none" : devices.map { "cdi: \($0)" }.joined(separator: ", ")),
            ("Architecture", facts.architecture), ("CPUs", "\(cpus)"), ("Total Memory", ByteSize.binary(memory)),
            ("Name", facts.hostName), ("Root Dir", root), ("Run Dir", runRoot),
        ]
    }
}

extension Engine {
    public func information() throws(EngineError) -> EngineInformation {
        var info = EngineInformation(facts: .read())
        for view in try containers() {
            info.containers += 1
            switch view.observation.status {
            case .paused: info.paused += 1
            case .running, .stopping: info.running += 1
            default: info.stopped += 1
            }
        }
        info.images = try images().count
        info.rootless = host.isRootless
        info.cgroupVersion = host.hasCgroupV2 ? "2" : "1"
        info.cpus = HostFacts.onlineCPUs
        info.memory = Int64(sysconf(Int32(_SC_PHYS_PAGES))) &* Int64(getpagesize())
        info.root = roots.store
        info.runRoot = roots.run
        let registry = try devices()
        info.deviceDirectories = registry.directories
        info.devices = registry.names
        info.deviceFailures = registry.failures
        if let text = try? FD.cwd.readText("/etc/os-release"),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix("PRETTY_NAME=") })
        {
            info.operatingSystem = line.dropFirst(12).filter { $0 != "\"" }
        }
        return info
    }
}

/// One thing `system check` looked at.
public struct Finding: Sendable {
    public var name: String
    public var isGood: Bool
    /// Nothing runs without it.
    public var isFatal: Bool
    public var text: String
    /// What to type; empty when there is nothing to do.
    public var fix: String

    init(_ name: String, good text: String) {
        self.init(name, true, false, text, "")
    }

    init(_ name: String, bad text: String, fix: String, fatal: Bool = false) {
        self.init(name, false, fatal, text, fix)
    }

    private init(_ name: String, _ isGood: Bool, _ isFatal: Bool, _ text: String, _ fix: String) {
        self.name = name
        self.isGood = isGood
        self.isFatal = isFatal
        self.text = text
        self.fix = fix
    }
}

extension Engine {
    /// Looks at the host and at the store, and clears away what killed commands left.
    ///
    /// - Parameters:
    ///   - repair: also rebuild what is damaged in the store.
    ///   - quick: read no content.
    ///   - force: with `repair`, also remove containers that can run no more.
    ///   - leftoverAge: seconds after which an interrupted download is a leftover; nil: a week.
    public func findings(
        repair: Bool = false, quick: Bool = false, force: Bool = false, leftoverAge: Int64? = nil
    ) throws(EngineError) -> [Finding] {
        var findings = [kernelFinding(), cgroupFinding(), runtimeFinding()]
        if host.isRootless { findings.append(identityFinding()) }
        findings.append(Finding("overlay", present: "overlay", fix: "sudo modprobe overlay"))
        var options = CheckOptions(repair: repair)
        options.isQuick = quick
        options.leftoverAge = leftoverAge
        if force, repair { options.removeContainer = { (try? self.remove($0, force: true)) != nil } }
        findings += try storeFindings(options)
        return findings
    }

    private func kernelFinding() -> Finding {
        let kernel = SystemFacts.read().kernel
        let numbers = kernel.split(whereSeparator: { $0 == "." || $0 == "-" }).prefix(2).compactMap { Int($0) }
        if numbers.count == 2, (numbers[0], numbers[1]) >= (5, 12) { return Finding("kernel", good: kernel) }
        return Finding(
            "kernel", bad: "\(kernel) is older than 5.12, the first with mount_setattr(2)",
            fix: "sudo apt-get install linux-image-amd64", fatal: true)
    }

    private func cgroupFinding() -> Finding {
        if !host.isRootless { return Finding("cgroups", good: host.hasCgroupV2 ? "version 2" : "version 1 or hybrid") }
        guard let refusal = Engine.isHelper ? environmentVariable(Engine.cgroupVariable) : cgroupRefusal else {
            return Finding("cgroups", good: "delegated to this user")
        }
        let parts = refusal.split(separator: "\n", maxSplits: 1, omittingEmptySubsequences: false)
        return Finding(
            "cgroups", bad: "limits (--memory, --cpus, --pids-limit) cannot be set: \(parts.first ?? "")",
            fix: parts.count > 1 ? String(parts[1]) : "")
    }

    /// Carries the refusal below into the user namespace, where the user looks like root.
    static let cgroupVariable = "BERTH_CGROUP_REFUSAL"

    /// Why this user has no cgroups, a line end, and what to type.
    private var cgroupRefusal: String? {
        CgroupDelegation.refusal().map { $0.cause + "\n" + ($0.fix ?? "") }
    }

    /// What `system check` can only see from outside of the user namespace.
    public func outsideFacts() -> [String] {
        if !host.isRootless || Engine.isHelper { return [] }
        return cgroupRefusal.map { [Engine.cgroupVariable + "=" + $0] } ?? []
    }

    private func runtimeFinding() -> Finding {
        if FD.cwd.exists(runtimeProgram) { return Finding("runtime", good: runtimeProgram) }
        return Finding("runtime", bad: "berth-runtime is not found beside berth", fix: "make install", fatal: true)
    }

    /// Inside the user namespace the mapping is there already.
    private func identityFinding() -> Finding {
        if Engine.isHelper { return Finding("subordinate ids", good: "mapped") }
        do throws(EngineError) {
            _ = try UserNamespacePlan.rootless(uid: host.uid, gid: host.gid)
            return Finding("subordinate ids", good: "granted in /etc/subuid and /etc/subgid")
        } catch {
            let command = error.description.split(separator: ":").last.map { $0.drop { $0 == " " } } ?? ""
            return Finding(
                "subordinate ids", bad: error.description, fix: command.hasPrefix("sudo") ? String(command) : "",
                fatal: true)
        }
    }

    private func storeFindings(_ asked: CheckOptions) throws(EngineError) -> [Finding] {
        guard hasStore else { return [Finding("store", good: "none yet at \(roots.store)")] }
        // Looking at all containers clears away those that ended with --rm and nobody waited for.
        let views = try containers()
        for view in views where view.observation.supervisorLost {
            return [
                Finding(
                    "container \(view.name)", bad: "runs without its supervisor, which was killed",
                    fix: "berth rm -f \(view.name)")
            ]
        }
        sweepRunDirectory()
        let store = try self.store()
        var options = asked
        let alive = Set(views.filter { $0.isAlive || $0.observation.status == .restarting }.map(\.id))
        options.isRunning = { alive.contains($0) }
        if let repull {
            options.refetch = { (text) throws(StoreError) in
                guard let digest = (try? Reference.parse(text))?.digest else { return }
                do throws(EngineError) {
                    try repull(text, digest)
                } catch {
                    throw StoreError(.system, "pull", text, cause: error.description)
                }
            }
        }
        let problems = try stored { () throws(StoreError) in try store.check(options) }
        return problems.map(Finding.init(problem:)) + [
            Finding("store", good: "\(views.count) containers, \(try images().count) images at \(roots.store)")
        ]
    }
}

extension Finding {
    /// Damage keeps something from running or from being saved; leftovers and files beside the database do not.
    init(problem: StoreProblem) {
        let name = "\(problem.kind.rawValue) \(problem.object)"
        switch problem.outcome {
        case .repaired: self.init(name, good: problem.cause + "; repaired")
        case .removed: self.init(name, bad: problem.cause + "; removed", fix: problem.fix)
        case .found:
            let isDamage = problem.kind != .garbage && problem.kind != .index && problem.kind != .volume && problem.kind != .unchecked
            self.init(name, bad: problem.cause, fix: problem.fix, fatal: isDamage)
        }
    }

    /// Whether /proc/filesystems has a file system.
    init(_ name: String, present type: String, fix: String) {
        let text = (try? FD.cwd.readText("/proc/filesystems")) ?? ""
        let isThere = text.split(separator: "\n").contains { $0.hasSuffix("\t" + type) }
        if isThere {
            self.init(name, good: "known to the kernel")
        } else {
            self.init(name, bad: "the kernel does not have it (yet)", fix: fix, fatal: false)
        }
    }
}
