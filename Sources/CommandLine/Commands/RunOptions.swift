import Engine
import Flags
import Glibc
import Linux

/// Makes the engine's request from the flags of `run` and `create`.
struct RunOptions {
    let arguments: ParsedArguments

    func request() throws(CommandError) -> ContainerRequest {
        guard let image = arguments.positionals.first else { throw CommandError("an image is needed", status: 125) }
        var request = ContainerRequest(image: image)
        request.command = Array(arguments.positionals.dropFirst())
        do throws(EngineError) {
            try readIdentity(into: &request)
            try readProcess(into: &request)
            try readStorage(into: &request.definition)
            try readIsolation(into: &request.definition)
            request.imageVolumes = try ContainerRequest.ImageVolumes(option: arguments.string("image-volume"))
            try readNetworks(into: &request)
            try readResources(into: &request.definition)
            try readLife(into: &request)
        } catch {
            throw CommandError(error, running: true)
        }
        return request
    }

    private func readIdentity(into request: inout ContainerRequest) throws(EngineError) {
        // Docker shows names with a slash before them, and takes them so. A slash alone is no name.
        let name = arguments.string("name")
        request.definition.name =
            name.utf8.first == UInt8(ascii: "/") && name.utf8.count > 1 ? String(name.dropFirst()) : name
        request.definition.hostname = arguments.string("hostname")
        request.definition.domainname = arguments.string("domainname")
        for path in arguments.strings("label-file") {
            for line in try EnvironmentOption.parse(file: try file(path, "label file"), name: path, inherit: false) {
                let label = try EnvironmentOption.label(line)
                request.definition.labels[label.key] = label.value
            }
        }
        for text in arguments.strings("label") {
            let label = try EnvironmentOption.label(text)
            request.definition.labels[label.key] = label.value
        }
        for pair in arguments.pairs("annotation") { request.definition.annotations[pair.key] = pair.value }
        request.platform = arguments.string("platform")
        request.pull = ContainerRequest.PullPolicy(rawValue: arguments.string("pull")) ?? .missing
    }

    private func readProcess(into request: inout ContainerRequest) throws(EngineError) {
        var environment: [String] = []
        for path in arguments.strings("env-file") {
            environment += try EnvironmentOption.parse(
                file: try file(path, "environment file"), name: path, inherit: true)
        }
        for text in arguments.strings("env") {
            if let entry = try EnvironmentOption.parse(text) { environment.append(entry) }
        }
        request.definition.environment = environment
        request.definition.workingDirectory = arguments.string("workdir")
        request.definition.user = arguments.string("user")
        request.definition.groupAdd = arguments.strings("group-add")
        if arguments.isSet("entrypoint") { request.entrypoint = [arguments.string("entrypoint")] }
        request.definition.`init` = arguments.bool("init")
        request.definition.openStdin = arguments.bool("interactive")
        request.definition.terminal = arguments.bool("tty")
        for text in arguments.strings("ulimit") {
            let limit = try Ulimit(option: text)
            request.definition.ulimits.removeAll { $0.name == limit.name }
            request.definition.ulimits.append(limit)
        }
    }

    private func readStorage(into definition: inout ContainerDefinition) throws(EngineError) {
        var workingDirectory: String?
        for occurrence in arguments.occurrences(of: "volume", "mount", "tmpfs") {
            switch occurrence.name {
            case "volume":
                let current = workingDirectory ?? Session.workingDirectory()
                workingDirectory = current
                definition.mounts.append(try VolumeOption.parse(occurrence.text, workingDirectory: current))
            case "mount": definition.mounts.append(try MountOption.parse(occurrence.text))
            default: definition.mounts.append(try TmpfsOption.parse(occurrence.text))
            }
        }
        definition.volumesFrom = arguments.strings("volumes-from")
        definition.volumeDriver = arguments.string("volume-driver")
        definition.readOnlyRoot = arguments.bool("read-only")
        try readDevices(into: &definition)
        for text in arguments.strings("device-cgroup-rule") { definition.deviceRules.append(try DeviceRuleOption.check(text)) }
        if let size = arguments.int64("shm-size") { definition.shmSize = size }
    }

    private func readDevices(into definition: inout ContainerDefinition) throws(EngineError) {
        var names: [CDIName] = []
        for text in arguments.strings("device") {
            if let name = CDIName(text) { names.append(name) } else { definition.devices.append(try DeviceRequest(option: text)) }
        }
        for text in arguments.strings("gpus") { definition.driverDevices.append(try DriverDeviceRequest(gpus: text)) }
        // In Docker's order: those of --gpus first.
        if !names.isEmpty { definition.driverDevices.append(.cdi(names)) }
    }

    private func readIsolation(into definition: inout ContainerDefinition) throws(EngineError) {
        definition.privileged = arguments.bool("privileged")
        definition.capAdd = arguments.strings("cap-add")
        definition.capDrop = arguments.strings("cap-drop")
        definition.security = try SecurityOptions(options: arguments.strings("security-opt")) {
            (path) throws(EngineError) in
            try file(path, "seccomp profile")
        }
        for text in arguments.strings("sysctl") {
            let parameter = try SysctlOption.parse(text)
            definition.sysctls[parameter.key] = parameter.value
        }
        definition.pid = try NamespaceOption.pid(arguments.string("pid"))
        definition.ipc = try NamespaceOption.ipc(arguments.string("ipc"))
        definition.uts = try NamespaceOption.uts(arguments.string("uts"))
        definition.userNamespace = try UserNamespaceMode(option: arguments.string("userns"))
        definition.cgroup = try NamespaceOption.cgroup(arguments.string("cgroupns"))
        definition.cgroupParent = arguments.string("cgroup-parent")
        definition.runtime = arguments.string("runtime")
    }

    private func readNetworks(into request: inout ContainerRequest) throws(EngineError) {
        try Self.readNetworks(arguments.strings("network"), into: &request)
        try readAddresses(into: &request)
        for text in arguments.strings("publish") { request.definition.ports.append(try PortBinding(option: text)) }
        request.definition.isDockerCompatible = arguments.bool("docker-compat")
        request.definition.publishesAll = arguments.bool("publish-all")
        if arguments.isSet("network-rate") {
            try NetworkRateOption(arguments.string("network-rate")).apply(to: &request.definition.networkRate)
        }
        for text in arguments.strings("expose") { request.definition.exposed.append(try ExposedPorts(option: text)) }
        try Self.readNames(arguments, into: &request.definition)
    }

    /// Flags about names that `build` has too.
    static func readNames(_ arguments: ParsedArguments, into definition: inout ContainerDefinition) throws(EngineError) {
        for text in arguments.strings("dns") { definition.dns.append(try ResolverOption.server(text)) }
        for text in arguments.strings("dns-search") { definition.dnsSearch.append(try ResolverOption.domain(text)) }
        for text in arguments.strings("dns-option") { definition.dnsOptions.append(try ResolverOption.option(text)) }
        for text in arguments.strings("add-host") { definition.extraHosts.append(try ExtraHostOption.parse(text)) }
    }

    /// - Parameter options: of `--network`; none at all is the default one.
    static func readNetworks(_ options: [String], into request: inout ContainerRequest) throws(EngineError) {
        var texts = options.filter { !$0.isEmpty }
        // "default" is Docker's name for what a container gets that nobody said anything about.
        if texts.isEmpty { texts = ["default"] }
        if let index = texts.firstIndex(of: "default") { texts[index] = try Configuration.load().defaultNetwork }
        request.definition.network = .private
        for text in texts {
            let attachment = try NetworkAttachment(option: text)
            if let mode = try NamespaceOption.network(attachment.network) {
                request.definition.network = mode
            } else {
                request.networks.append(attachment)
            }
        }
        if texts.count > 1, request.definition.network != .private, request.networks.isEmpty {
            throw EngineError(.invalid, sentence: "conflicting options: only one of --network none, host and container: can be given")
        }
    }

    /// Flags about the first network.
    private func readAddresses(into request: inout ContainerRequest) throws(EngineError) {
        let flags = ["ip", "ip6", "mac-address", "link-local-ip", "network-alias", "link"].filter { arguments.isSet($0) }
        if flags.isEmpty { return }
        guard var first = request.networks.first else {
            let flag = flags.first ?? ""
            throw request.definition.network.refusal(of: flag)
        }
        func given(_ flag: String, _ isGiven: Bool) throws(EngineError) {
            if isGiven, arguments.isSet(flag) {
                throw EngineError(.invalid, sentence: "conflicting options: cannot specify both --\(flag) and per-network \(flag)")
            }
        }
        try given("ip", first.ipv4 != nil)
        try given("ip6", first.ipv6 != nil)
        try given("mac-address", first.mac != nil)
        try given("link-local-ip", !first.linkLocal.isEmpty)
        try given("network-alias", !first.aliases.isEmpty)
        if arguments.isSet("ip") { first.ipv4 = try NetworkAttachment.address(arguments.string("ip"), ipv6: false) }
        if arguments.isSet("ip6") { first.ipv6 = try NetworkAttachment.address(arguments.string("ip6"), ipv6: true) }
        if arguments.isSet("mac-address") { first.mac = try NetworkAttachment.mac(arguments.string("mac-address")) }
        for text in arguments.strings("link-local-ip") { first.linkLocal.append(try NetworkAttachment.linkLocal(text)) }
        for text in arguments.strings("network-alias") { first.aliases.append(try NetworkAttachment.alias(text)) }
        first.links += arguments.strings("link")
        request.networks[0] = first
    }

    private func readResources(into definition: inout ContainerDefinition) throws(EngineError) {
        func given(_ name: String) -> Int64? { arguments.isSet(name) ? arguments.int64(name) : nil }
        definition.resources = try ResourceRequest(arguments)
        definition.resources.memorySwappiness = given("memory-swappiness")
        definition.resources.disableOOMKiller = arguments.bool("oom-kill-disable")
        definition.oomScoreAdjustment = given("oom-score-adj").map { Int($0) }
    }

    private func readLife(into request: inout ContainerRequest) throws(EngineError) {
        request.definition.autoRemove = arguments.bool("rm")
        request.definition.restart = try RestartRequest(option: arguments.string("restart"))
        request.stopSignal = arguments.isSet("stop-signal") ? arguments.string("stop-signal") : nil
        if let timeout = arguments.int64("stop-timeout") { request.definition.stopTimeout = timeout }
        request.definition.health = try HealthOptions(arguments: arguments).request()
        request.definition.log = try LogRequest(
            driver: arguments.string("log-driver"), options: arguments.strings("log-opt"))
        guard request.definition.log.passesThrough else { return }
        let driver = request.definition.log.driver
        if arguments.isSet("attach") { throw EngineError(.invalid, sentence: "cannot specify --attach with --log-driver=\(driver)") }
        if request.definition.terminal {
            throw EngineError(
                .invalid, sentence: "cannot specify --tty with --log-driver=\(driver): the container's streams are those of who starts it")
        }
    }

    private func file(_ path: String, _ what: String) throws(EngineError) -> String {
        do throws(SystemError) {
            return try FD.cwd.readText(path, limit: 16 << 20)
        } catch {
            throw EngineError(.invalid, "read \(what)", path, cause: error.errno.description)
        }
    }
}
