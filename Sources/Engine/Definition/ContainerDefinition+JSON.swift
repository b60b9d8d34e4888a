import Control
import JSON

extension ContainerDefinition {
    /// The text for the database: only what differs from the defaults.
    public func encode() -> [UInt8] {
        JSONWriter.document { writer in write(to: &writer) }
    }

    func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("id", id)
            writer.field("name", name)
            writer.field("createdAt", createdAt)
            writer.field("image", image)
            writer.fieldIfNotEmpty("imageID", imageID)
            writer.fieldIfNotEmpty("platform", platform)
            writeProcess(to: &writer)
            writer.fieldIfNotEmpty("hostname", hostname)
            writer.fieldIfNotEmpty("domainname", domainname)
            writer.fieldIfNotEmpty("labels", labels)
            writer.fieldIfNotEmpty("annotations", annotations)
            writer.arrayIfNotEmpty("mounts", mounts) { writer, mount in mount.write(to: &writer) }
            writer.fieldIfNotEmpty("volumesFrom", volumesFrom)
            writer.fieldIfNotEmpty("volumeDriver", volumeDriver)
            writer.fieldIfTrue("readOnlyRoot", readOnlyRoot)
            writer.field("shmSize", shmSize)
            writer.fieldIfNotEmpty("deviceRules", deviceRules)
            writer.arrayIfNotEmpty("devices", devices) { writer, device in
                writer.value([device.hostPath, device.containerPath, device.permissions])
            }
            writer.arrayIfNotEmpty("driverDevices", driverDevices) { writer, request in request.write(to: &writer) }
            writer.field("network", network.text)
            writeNetwork(to: &writer)
            if pid != .private { writer.field("pid", pid.text) }
            if ipc != .private { writer.field("ipc", ipc.text) }
            if uts != .private { writer.field("uts", uts.text) }
            if cgroup != .private { writer.field("cgroup", cgroup.text) }
            writer.fieldIfNotEmpty("userNamespace", userNamespace.text)
            writer.fieldIfPresent("userNamespaceSlot", userNamespaceSlot)
            writer.fieldIfTrue("privileged", privileged)
            writer.fieldIfNotEmpty("capAdd", capAdd)
            writer.fieldIfNotEmpty("capDrop", capDrop)
            if security != SecurityOptions() {
                writer.key("security")
                security.write(to: &writer)
            }
            writer.fieldIfNotEmpty("sysctls", sysctls)
            writeLife(to: &writer)
        }
    }

    private func writeProcess(to writer: inout JSONWriter) {
        writer.fieldIfNotEmpty("entrypoint", entrypoint)
        writer.fieldIfNotEmpty("command", command)
        writer.fieldIfNotEmpty("environment", environment)
        writer.fieldIfNotEmpty("workingDirectory", workingDirectory)
        writer.fieldIfNotEmpty("user", user)
        writer.fieldIfNotEmpty("groupAdd", groupAdd)
        writer.fieldIfTrue("terminal", terminal)
        writer.fieldIfTrue("openStdin", openStdin)
        writer.fieldIfTrue("stdinOnce", stdinOnce)
        writer.fieldIfTrue("attachStdin", attachStdin)
        writer.fieldIfTrue("attachStdout", attachStdout)
        writer.fieldIfTrue("attachStderr", attachStderr)
        writer.fieldIfTrue("init", self.`init`)
        writer.field("stopSignal", stopSignal)
        writer.field("stopTimeout", stopTimeout)
        writer.fieldIfNotEmpty("detachKeys", detachKeys)
    }

    private func writeNetwork(to writer: inout JSONWriter) {
        writer.fieldIfNotEmpty("networkName", networkName)
        if !ports.isEmpty { writer.field("ports", ports.map(\.text)) }
        writer.fieldIfTrue("publishesAll", publishesAll)
        if !exposed.isEmpty { writer.field("exposed", exposed.map(\.text)) }
        writer.fieldIfNotEmpty("dns", dns)
        writer.fieldIfNotEmpty("dnsSearch", dnsSearch)
        writer.fieldIfNotEmpty("dnsOptions", dnsOptions)
        writer.fieldIfNotEmpty("extraHosts", extraHosts)
        writer.fieldIfTrue("dockerCompatible", isDockerCompatible)
        if !networkRate.isEmpty {
            writer.key("networkRate")
            networkRate.write(to: &writer)
        }
    }

    private func writeLife(to writer: inout JSONWriter) {
        if !resources.isEmpty {
            writer.key("resources")
            resources.write(to: &writer)
        }
        writer.arrayIfNotEmpty("ulimits", ulimits) { writer, limit in writer.value(limit.text) }
        writer.fieldIfPresent("oomScoreAdjustment", oomScoreAdjustment)
        writer.fieldIfNotEmpty("cgroupParent", cgroupParent)
        writer.fieldIfTrue("autoRemove", autoRemove)
        writer.fieldIfNotEmpty("stepUpper", stepUpper)
        writer.fieldIfNotEmpty("stepWork", stepWork)
        writer.fieldIfTrue("endsWithCommand", endsWithCommand)
        if restart.name != .no { writer.field("restart", restart.text) }
        writer.field("logDriver", log.driver)
        writer.field("logMaximumSize", log.maximumSize)
        writer.field("logMaximumFiles", log.maximumFiles)
        writer.fieldIfNotEmpty("logOptions", log.options)
        writer.fieldIfNotEmpty("runtime", runtime)
        writer.ifPresent("health", health) { writer, health in health.write(to: &writer) }
    }

    /// - Throws: `.system` when the text is damaged.
    public init(decoding bytes: [UInt8]) throws(EngineError) {
        do throws(JSONError) {
            self = try JSONParser.parse(bytes) { (parser: inout JSONParser) throws(JSONError) in
                try ContainerDefinition(json: &parser)
            }
        } catch {
            throw EngineError(.system, "read container definition", cause: error.description)
        }
    }

    init(json parser: inout JSONParser) throws(JSONError) {
        self.init(id: "", name: "")
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            if try readProcess(key, &parser) { continue }
            if try readIsolation(key, &parser) { continue }
            if try readNetwork(key, &parser) { continue }
            if try readLife(key, &parser) { continue }
            try parser.skip()  // of a newer version
        }
    }

    private mutating func readProcess(_ key: JSONKey, _ parser: inout JSONParser) throws(JSONError) -> Bool {
        switch key {
        case "id": id = try parser.string()
        case "name": name = try parser.string()
        case "createdAt": createdAt = try parser.int()
        case "image": image = try parser.string()
        case "imageID": imageID = try parser.string()
        case "platform": platform = try parser.string()
        case "entrypoint": entrypoint = try parser.strings()
        case "command": command = try parser.strings()
        case "environment": environment = try parser.strings()
        case "workingDirectory": workingDirectory = try parser.string()
        case "user": user = try parser.string()
        case "groupAdd": groupAdd = try parser.strings()
        case "terminal": terminal = try parser.bool()
        case "openStdin": openStdin = try parser.bool()
        case "stdinOnce": stdinOnce = try parser.bool()
        case "attachStdin": attachStdin = try parser.bool()
        case "attachStdout": attachStdout = try parser.bool()
        case "attachStderr": attachStderr = try parser.bool()
        case "init": self.`init` = try parser.bool()
        case "stopSignal": stopSignal = try parser.int()
        case "stopTimeout": stopTimeout = try parser.int()
        case "detachKeys": detachKeys = try parser.string()
        case "hostname": hostname = try parser.string()
        case "domainname": domainname = try parser.string()
        case "labels": labels = try parser.stringDictionary()
        case "annotations": annotations = try parser.stringDictionary()
        default: return false
        }
        return true
    }

    private mutating func readIsolation(_ key: JSONKey, _ parser: inout JSONParser) throws(JSONError) -> Bool {
        switch key {
        case "mounts":
            mounts = try parser.array { (parser: inout JSONParser) throws(JSONError) in
                try MountDefinition(json: &parser)
            }
        case "volumesFrom": volumesFrom = try parser.strings()
        case "volumeDriver": volumeDriver = try parser.string()
        case "readOnlyRoot": readOnlyRoot = try parser.bool()
        case "shmSize": shmSize = try parser.int()
        case "deviceRules": deviceRules = try parser.strings()
        case "devices":
            devices = try parser.array { (parser: inout JSONParser) throws(JSONError) in
                let parts = try parser.strings()
                guard parts.count == 3 else { throw parser.failure(.invalidValue, "a device has three parts") }
                return DeviceRequest(hostPath: parts[0], containerPath: parts[1], permissions: parts[2])
            }
        case "driverDevices":
            driverDevices = try parser.array { (parser: inout JSONParser) throws(JSONError) in try DriverDeviceRequest(json: &parser) }
        case "network": network = NamespaceMode(text: try parser.string()) ?? .none
        case "pid": pid = NamespaceMode(text: try parser.string()) ?? .private
        case "ipc": ipc = NamespaceMode(text: try parser.string()) ?? .private
        case "uts": uts = NamespaceMode(text: try parser.string()) ?? .private
        case "cgroup": cgroup = NamespaceMode(text: try parser.string()) ?? .private
        case "userNamespace":
            // A newer version's mode must not turn into the host's ids.
            guard let mode = try? UserNamespaceMode(option: try parser.string()) else {
                throw parser.failure(.invalidValue, "unknown user namespace mode")
            }
            userNamespace = mode
        case "userNamespaceSlot": userNamespaceSlot = try parser.int()
        case "privileged": privileged = try parser.bool()
        case "capAdd": capAdd = try parser.strings()
        case "capDrop": capDrop = try parser.strings()
        case "security": security = try SecurityOptions(json: &parser)
        case "sysctls": sysctls = try parser.stringDictionary()
        default: return false
        }
        return true
    }

    private mutating func readNetwork(_ key: JSONKey, _ parser: inout JSONParser) throws(JSONError) -> Bool {
        switch key {
        case "networkName": networkName = try parser.string()
        case "ports":
            for text in try parser.strings() {
                guard let port = try? PortBinding(option: text) else { throw parser.failure(.invalidValue, "no port") }
                ports.append(port)
            }
        case "publishesAll": publishesAll = try parser.bool()
        case "exposed": exposed = try parser.strings().compactMap { try? ExposedPorts(option: $0) }
        case "dns": dns = try parser.strings()
        case "dnsSearch": dnsSearch = try parser.strings()
        case "dnsOptions": dnsOptions = try parser.strings()
        case "extraHosts": extraHosts = try parser.strings()
        case "dockerCompatible": isDockerCompatible = try parser.bool()
        case "networkRate": networkRate = try NetworkRate(json: &parser)
        default: return false
        }
        return true
    }

    private mutating func readLife(_ key: JSONKey, _ parser: inout JSONParser) throws(JSONError) -> Bool {
        switch key {
        case "resources": resources = try ResourceRequest(json: &parser)
        case "ulimits":
            for text in try parser.strings() {
                guard let limit = try? Ulimit(option: text) else { throw parser.failure(.invalidValue, "no ulimit") }
                ulimits.append(limit)
            }
        case "oomScoreAdjustment": oomScoreAdjustment = try parser.int()
        case "cgroupParent": cgroupParent = try parser.string()
        case "autoRemove": autoRemove = try parser.bool()
        case "stepUpper": stepUpper = try parser.string()
        case "stepWork": stepWork = try parser.string()
        case "endsWithCommand": endsWithCommand = try parser.bool()
        case "restart": restart = (try? RestartRequest(option: try parser.string())) ?? RestartRequest()
        case "logDriver": log.driver = try parser.string()
        case "logMaximumSize": log.maximumSize = try parser.int()
        case "logMaximumFiles": log.maximumFiles = try parser.int()
        case "logOptions": log.options = try parser.stringDictionary()
        case "runtime": runtime = try parser.string()
        case "health": health = try HealthRequest(json: &parser)
        default: return false
        }
        return true
    }
}
