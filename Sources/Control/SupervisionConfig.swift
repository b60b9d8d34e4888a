import JSON
import Linux

/// All that a supervisor has to know about its container beside the OCI config.json.
///
/// The engine writes it as `supervise.json` at create, and again at `update` and `rename` (then it sends `.reload`).
public struct SupervisionConfig: Sendable, Hashable {
    public var id: String
    public var name: String
    /// The image's name as it was typed, and all labels: for events.
    public var image = ""
    public var labels: [String: String] = [:]
    /// Those it mounts: for events.
    public var volumes: [MountedVolume] = []
    /// The directory with config.json.
    public var bundle: String
    public var rootfs: RootfsPlan
    /// Stdio is a pseudo-terminal; must agree with `process.terminal` of config.json.
    public var terminal = false
    /// Standard input is a pipe that stays open (`-i`); otherwise it is /dev/null.
    public var openStdin = false
    /// Standard input is closed when the first client that was attached to it goes away.
    public var stdinOnce = false
    public var log = LogConfiguration()
    public var restart = RestartPolicy.never
    /// Signal number that `stop` sends first.
    public var stopSignal: Int32 = 15
    /// Seconds between the stop signal and SIGKILL; negative waits for ever.
    public var stopTimeoutSeconds: Int64 = 10
    /// The container's directory is removed when it has ended (`--rm`).
    public var autoRemove = false
    /// The container is killed when the connection of who launched its supervisor ends before it.
    public var endsWithStarter = false
    /// A step of a build: nothing is told of it.
    public var isStep = false
    /// PID 1 is our reaper; config.json has it in `process.args` and the bind mount of the program.
    public var initProcess = false
    /// The container has a user namespace of its own: its files belong to subordinate ids.
    public var ownUserNamespace = false
    /// Use the systemd cgroup driver.
    public var systemdCgroup = false
    /// Another OCI runtime by path or name; empty is our own.
    public var runtime = ""
    /// The user namespace in which an external runtime of an ordinary user is called; empty: the caller's.
    public var userMap: [IDMapping] = []
    public var groupMap: [IDMapping] = []
    /// Processes whose namespaces config.json joins by their pid, each as pid and start time: who restarts the container
    /// later must not join whatever has got the number since.
    public var joined: [JoinedProcess] = []
    /// Docker's notation; empty is the default `ctrl-p,ctrl-q`.
    public var detachKeys = ""
    /// Nil: nothing is to be done for the container's network namespace.
    public var network: NetworkPlan?
    /// Nil: nobody looks whether it works.
    public var health: HealthPlan?
    /// Of the first run of the supervisor that reads it; nil: the program is run from its beginning.
    public var restore: RestorePlan?

    public init(id: String, name: String, bundle: String, rootfs: RootfsPlan) {
        self.id = id
        self.name = name
        self.bundle = bundle
        self.rootfs = rootfs
    }

    /// The document that `parse` reads.
    public func encoded() -> [UInt8] {
        JSONWriter.document { writer in
            writer.object { w in
                w.field("version", 1)
                w.field("id", id)
                w.field("name", name)
                w.fieldIfNotEmpty("image", image)
                w.fieldIfNotEmpty("labels", labels)
                w.arrayIfNotEmpty("volumes", volumes) { $1.write(to: &$0) }
                w.field("bundle", bundle)
                w.key("rootfs")
                rootfs.write(to: &w)
                w.fieldIfTrue("terminal", terminal)
                w.fieldIfTrue("openStdin", openStdin)
                w.fieldIfTrue("stdinOnce", stdinOnce)
                w.key("log")
                log.write(to: &w)
                w.key("restart")
                restart.write(to: &w)
                w.field("stopSignal", stopSignal)
                w.field("stopTimeoutSeconds", stopTimeoutSeconds)
                w.fieldIfTrue("autoRemove", autoRemove)
                w.fieldIfTrue("endsWithStarter", endsWithStarter)
                w.fieldIfTrue("step", isStep)
                w.fieldIfTrue("initProcess", initProcess)
                w.fieldIfTrue("ownUserNamespace", ownUserNamespace)
                w.fieldIfTrue("systemdCgroup", systemdCgroup)
                w.fieldIfNotEmpty("runtime", runtime)
                if !userMap.isEmpty { w.field("userMap", userMap.map(\.text)) }
                if !groupMap.isEmpty { w.field("groupMap", groupMap.map(\.text)) }
                if !joined.isEmpty { w.field("joined", joined.map { "\($0.pid) \($0.startTime)" }) }
                w.fieldIfNotEmpty("detachKeys", detachKeys)
                if let network {
                    w.key("network")
                    network.write(to: &w)
                }
                if let health {
                    w.key("health")
                    health.write(to: &w)
                }
                w.ifPresent("restore", restore) { w, plan in plan.write(to: &w) }
            }
        }
    }

    /// Reads what `encoded` wrote; unknown members are passed over.
    ///
    /// - Throws: `.invalid` naming the place.
    public static func parse(_ bytes: [UInt8]) throws(ControlError) -> SupervisionConfig {
        do throws(JSONError) {
            return try JSONParser.parse(bytes, limits: JSONLimits(depth: 16, size: 4 << 20, allowsNUL: false)) {
                (parser: inout JSONParser) throws(JSONError) -> SupervisionConfig in try SupervisionConfig(json: &parser)
            }
        } catch {
            throw ControlError(error, ContainerFiles.supervision)
        }
    }

    /// Reads `supervise.json` of a container's directory.
    public static func load(from directory: FD) throws(ControlError) -> SupervisionConfig {
        let bytes: [UInt8]
        do throws(SystemError) {
            bytes = try directory.readFile(ContainerFiles.supervision, limit: 4 << 20)
        } catch {
            throw ControlError(error, "read", ContainerFiles.supervision)
        }
        return try parse(bytes)
    }

    /// Writes `supervise.json` by rename.
    ///
    /// - Parameter durable: survive power loss once this returns.
    public func save(in directory: FD, durable: Bool) throws(ControlError) {
        do throws(SystemError) {
            try directory.replaceFile(ContainerFiles.supervision, with: encoded(), durable: durable)
        } catch {
            throw ControlError(error, "write", ContainerFiles.supervision)
        }
    }
}

extension SupervisionConfig {
    private init(json parser: inout JSONParser) throws(JSONError) {
        self.init(id: "", name: "", bundle: "", rootfs: .directory(""))
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "id": id = try parser.string()
            case "name": name = try parser.string()
            case "image": image = try parser.string()
            case "labels": labels = try parser.stringDictionary()
            case "volumes":
                var array = try parser.beginArray()
                while try parser.nextElement(&array) { volumes.append(try MountedVolume(json: &parser)) }
            case "bundle": bundle = try parser.string()
            case "rootfs": rootfs = try RootfsPlan(json: &parser)
            case "terminal": terminal = try parser.bool()
            case "openStdin": openStdin = try parser.bool()
            case "stdinOnce": stdinOnce = try parser.bool()
            case "log": log = try LogConfiguration(json: &parser)
            case "restart": restart = try RestartPolicy(json: &parser)
            case "stopSignal": stopSignal = try parser.int()
            case "stopTimeoutSeconds": stopTimeoutSeconds = try parser.int()
            case "autoRemove": autoRemove = try parser.bool()
            case "endsWithStarter": endsWithStarter = try parser.bool()
            case "step": isStep = try parser.bool()
            case "initProcess": initProcess = try parser.bool()
            case "ownUserNamespace": ownUserNamespace = try parser.bool()
            case "systemdCgroup": systemdCgroup = try parser.bool()
            case "runtime": runtime = try parser.string()
            case "userMap": userMap = try IDMapping.list(try parser.strings(), parser)
            case "groupMap": groupMap = try IDMapping.list(try parser.strings(), parser)
            case "joined": joined = try parser.strings().compactMap { JoinedProcess(text: $0) }
            case "detachKeys": detachKeys = try parser.string()
            case "network": network = try NetworkPlan(json: &parser)
            case "health":
                let plan = try HealthPlan(json: &parser)
                health = plan.command.isEmpty ? nil : plan
            case "restore": restore = try RestorePlan(json: &parser)
            default: try parser.skip()
            }
        }
    }
}

/// A volume of the store in a container.
public struct MountedVolume: Sendable, Hashable {
    public var name: String
    /// Where it is in the container.
    public var destination: String
    public var readOnly: Bool

    public init(name: String, destination: String, readOnly: Bool) {
        self.name = name
        self.destination = destination
        self.readOnly = readOnly
    }

    func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.field("name", name)
            w.field("destination", destination)
            w.fieldIfTrue("readOnly", readOnly)
        }
    }

    init(json parser: inout JSONParser) throws(JSONError) {
        self.init(name: "", destination: "", readOnly: false)
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "name": name = try parser.string()
            case "destination": destination = try parser.string()
            case "readOnly": readOnly = try parser.bool()
            default: try parser.skip()
            }
        }
    }
}

/// A process of the host, told apart from a later one with its number.
public struct JoinedProcess: Sendable, Hashable {
    public var pid: Int32
    /// Ticks since boot.
    public var startTime: UInt64

    /// - Returns: nil when there is no such process.
    public init?(pid: Int32) {
        guard let time = processStartTime(pid) else { return nil }
        self.pid = pid
        startTime = time
    }

    init?(text: String) {
        let numbers = text.split(separator: " ")
        guard numbers.count == 2, let pid = Int32(numbers[0]), let time = UInt64(numbers[1]) else { return nil }
        self.pid = pid
        startTime = time
    }

    /// Whether it is still that process.
    public var isAlive: Bool { processStartTime(pid) == startTime }
}

extension IDMapping {
    /// As in /proc/PID/uid_map: inside, outside, count.
    fileprivate var text: String { "\(inside) \(outside) \(count)" }

    fileprivate static func list(_ texts: [String], _ parser: JSONParser) throws(JSONError) -> [IDMapping] {
        var result: [IDMapping] = []
        for text in texts {
            let numbers = text.split(separator: " ").compactMap { UInt32($0) }
            guard numbers.count == 3 else { throw parser.failure(.invalidValue, "an id mapping is not three numbers") }
            result.append(IDMapping(inside: numbers[0], outside: numbers[1], count: numbers[2]))
        }
        return result
    }
}
