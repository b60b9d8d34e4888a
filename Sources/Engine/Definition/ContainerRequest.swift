import OCI

/// What a door asks the engine to make: the options as read, not yet joined with the image.
public struct ContainerRequest: Sendable {
    /// Every setting that does not depend on the image. `id`, `imageID` and `createdAt` are filled in by the engine;
    /// an empty name gets a generated one.
    public var definition: ContainerDefinition
    /// Networks to connect it to, the first of which is `eth0`.
    public var networks: [NetworkAttachment] = []
    public var imageVolumes = ImageVolumes.anonymous
    /// What `--volumes-from` gives, each target once.
    var inherited: [MountDefinition] = []
    /// Nil: the image's. An empty list clears it.
    public var entrypoint: [String]?
    /// Empty: the image's (unless the entrypoint was replaced).
    public var command: [String] = []
    /// Nil: the image's or SIGTERM.
    public var stopSignal: String?
    public var pull = PullPolicy.missing
    /// `os[/arch[/variant]]`; empty is the host's.
    public var platform = ""
    /// What a step of a build stands on instead of an image.
    var base: StepBase?
    /// The definition is that of a container that was made before: the image adds nothing to it.
    var isComplete = false
    /// What the image is called instead of what it is found by; empty: the same.
    var imageName = ""

    /// What the volumes become that an image declares.
    public enum ImageVolumes: String, Sendable {
        case anonymous, tmpfs, ignore

        /// - Parameter option: podman's `--image-volume`, where `bind` is its older word for `anonymous`.
        public init(option: String) throws(EngineError) {
            guard let value = ImageVolumes(rawValue: option == "bind" ? "anonymous" : option) else {
                throw .invalid("invalid value for --image-volume: \(option): use anonymous, tmpfs or ignore")
            }
            self = value
        }
    }

    public enum PullPolicy: String, Sendable { case always, missing, never }

    public init(image: String) {
        definition = ContainerDefinition(id: "", name: "")
        definition.image = image
    }
}

extension ContainerRequest {
    /// Prefixes of labels that programs take orders from; an image does not get to give any (CVE-2022-23648 class).
    static let reservedLabelPrefixes = [
        "berth.", "io.berth.", "io.cri-containerd", "io.containerd.", "io.kubernetes.", "cdi.k8s.io/", "io.podman.",
        "io.containers.", "com.docker.compose.", "com.docker.swarm.", "run.oci.",
    ]

    /// Joins the options with the image's configuration, as Docker does.
    ///
    /// - Throws: `.invalid` for contradictions and for what an image may not ask for.
    func complete(
        id: String, name: String, imageID: String, image: ContainerConfig
    ) throws(EngineError) -> ContainerDefinition {
        var result = definition
        result.id = id
        result.name = name
        result.imageID = imageID
        if !imageName.isEmpty { result.image = imageName }
        if isComplete { return result }
        try completeArguments(&result, image)
        result.environment = EnvironmentOption.merge(
            image.env.filter { $0.utf8.contains(UInt8(ascii: "=")) }, definition.environment)
        result.labels = image.labels.filter { label in
            !Self.reservedLabelPrefixes.contains { label.key.hasPrefix($0) }
        }
        result.labels.merge(definition.labels) { $1 }
        if result.user.isEmpty { result.user = image.user }
        result.workingDirectory = try workingDirectory(image)
        if let text = stopSignal ?? (image.stopSignal.isEmpty ? nil : image.stopSignal) {
            result.stopSignal = try SignalName.parse(text)
        }
        if definition.health != nil || image.healthcheck != nil {
            result.health = try (definition.health ?? HealthRequest()).completed(image)
        }
        try completeMounts(&result, image)
        completePorts(&result, image)
        try completeNames(&result)
        return result
    }

    private func completeArguments(_ result: inout ContainerDefinition, _ image: ContainerConfig) throws(EngineError) {
        if let entrypoint {
            // A replaced entrypoint drops the image's command: it was written for the old one.
            result.entrypoint = entrypoint.filter { !$0.isEmpty }
            result.command = command
        } else {
            result.entrypoint = image.entrypoint ?? []
            result.command = command.isEmpty ? image.cmd ?? [] : command
        }
        if result.arguments.isEmpty { throw .invalid("no command specified: give one after the image's name") }
        if result.arguments.contains(where: { $0.utf8.contains(0) }) { throw .invalid("an argument holds a NUL byte") }
    }

    private func workingDirectory(_ image: ContainerConfig) throws(EngineError) -> String {
        if !definition.workingDirectory.isEmpty {
            guard definition.workingDirectory.hasPrefix("/") else {
                throw .invalid(
                    "the working directory '\(definition.workingDirectory)' is invalid, it needs to be an absolute path"
                )
            }
            return cleanContainerPath(definition.workingDirectory)
        }
        return image.workingDir.isEmpty ? "/" : cleanContainerPath(image.workingDir)
    }

    /// Volumes the image declares become anonymous ones, where nothing else was asked for at the place.
    private func completeMounts(_ result: inout ContainerDefinition, _ image: ContainerConfig) throws(EngineError) {
        var targets: Set<String> = []
        for mount in result.mounts where !targets.insert(mount.target).inserted {
            throw .invalid("Duplicate mount point: \(mount.target)")
        }
        // What was named for the place goes first, as in Docker.
        for mount in inherited where targets.insert(mount.target).inserted { result.mounts.append(mount) }
        if imageVolumes == .ignore { return }
        for volume in image.volumes.sorted() {
            let path = volume.hasPrefix("/") ? volume : "/" + volume
            let target = try MountTarget.check(path, in: volume)
            if !targets.insert(target).inserted { continue }
            var mount = MountDefinition(imageVolumes == .tmpfs ? .tmpfs : .volume, target: target)
            if imageVolumes == .tmpfs { mount.options = ["tmpcopyup"] } else { mount.isAnonymous = true }
            result.mounts.append(mount)
        }
    }

    /// What the image exposes, what was asked for, and what is published; each once.
    private func completePorts(_ result: inout ContainerDefinition, _ image: ContainerConfig) {
        // An image's mistake is no reason not to run it.
        let all = image.exposedPorts.compactMap { try? ExposedPorts(option: $0) } + definition.exposed + definition.ports.map(\.ports)
        result.exposed = []
        for ports in all where !result.exposed.contains(where: { $0.contains(ports) }) { result.exposed.append(ports) }
        var seen: Set<PortBinding> = []
        result.ports = definition.ports.filter { seen.insert($0).inserted }
        if result.isConnectable, let first = networks.first { result.networkName = first.network }
    }

    private func completeNames(_ result: inout ContainerDefinition) throws(EngineError) {
        let asked = !definition.hostname.isEmpty
        try checkNetworkOptions()
        if asked, case .container = definition.network {
            throw .invalid("conflicting options: hostname and the network mode")
        }
        if asked, definition.uts != .private { throw .invalid("conflicting options: hostname and the UTS mode") }
        if !asked { result.hostname = result.shortID }
        for name in [result.hostname, result.domainname] {
            let isName =
                name.utf8.count <= 64 && name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "/") }
            if !isName { throw .invalid("invalid hostname format: \(name)") }
        }
        if result.autoRemove, result.restart.name != .no {
            throw .invalid("conflicting options: cannot specify both --restart and --rm")
        }
        if result.shmSize < 0 { throw .invalid("SHM size can not be less than 0") }
        if let score = result.oomScoreAdjustment, !(-1000...1000).contains(score) {
            throw .invalid("Invalid value \(score), range for oom score adj is [-1000, 1000]")
        }
        if result.shmSize == 0 { result.shmSize = 64 << 20 }
    }
}

extension ContainerRequest {
    /// Docker's sentences for options that contradict where the network comes from.
    private func checkNetworkOptions() throws(EngineError) {
        if definition.isConnectable {
            if networks.isEmpty { throw .invalid("a network is needed") }
            return
        }
        if let attachment = networks.first {
            throw .invalid(
                "conflicting options: cannot attach both user-defined and non-user-defined network-modes (\(attachment.network), "
                    + "\(definition.network.text))")
        }
        if !definition.networkRate.isEmpty { throw definition.network.refusal(of: "network-rate") }
        guard case .container = definition.network else { return }
        if !definition.dns.isEmpty || !definition.dnsSearch.isEmpty || !definition.dnsOptions.isEmpty {
            throw .invalid("conflicting options: dns and the network mode")
        }
        if !definition.extraHosts.isEmpty { throw .invalid("conflicting options: custom host-to-IP mapping and the network mode") }
        if !definition.ports.isEmpty || definition.publishesAll {
            throw .invalid("conflicting options: port publishing and the container type network mode")
        }
        if !definition.exposed.isEmpty { throw .invalid("conflicting options: port exposing and the container type network mode") }
    }
}
