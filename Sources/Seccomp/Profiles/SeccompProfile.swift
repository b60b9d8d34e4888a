import OCI

/// A seccomp profile in the format that Docker and Podman read: an OCI configuration whose rules may depend on the
/// container's capabilities, the architecture and the kernel.
///
/// `resolve` turns it into the OCI configuration for one container.
public struct SeccompProfile: Sendable, Hashable {
    /// When a rule holds, or does not. Empty lists ask nothing.
    public struct Filter: Sendable, Hashable {
        public var capabilities: [String] = []
        /// `amd64`, `x86`, `arm64` ...: `SeccompArchitecture.profileName`.
        public var architectures: [String] = []
        public var minimumKernel: KernelVersion?

        public init() {}
    }

    public struct Rule: Sendable, Hashable {
        public var syscall: LinuxSyscall
        /// All that is listed must hold.
        public var includes = Filter()
        /// Nothing that is listed may hold.
        public var excludes = Filter()

        public init(_ syscall: LinuxSyscall) { self.syscall = syscall }
    }

    /// Everything but the rules and what `architectureMap` says.
    public var base: LinuxSeccomp
    /// Per native architecture those whose ABI it also runs (`archMap`), by OCI names.
    public var architectureMap: [(architecture: String, additional: [String])] {
        get { map.map { ($0.architecture, $0.additional) } }
        set { map = newValue.map { MapEntry(architecture: $0.architecture, additional: $0.additional) } }
    }
    public var rules: [Rule]

    private struct MapEntry: Sendable, Hashable {
        var architecture: String
        var additional: [String]
    }
    private var map: [MapEntry] = []

    public init(base: LinuxSeccomp, rules: [Rule] = []) {
        self.base = base
        self.rules = rules
    }

    /// The configuration for one container.
    ///
    /// A rule stays when every capability of `includes` is in the set and no capability of `excludes` is, and
    /// likewise for the architecture and the least kernel.
    /// - Parameters:
    ///   - capabilities: the container's bounding set.
    ///   - architecture: the kernel's own, which selects the `archMap` entry.
    ///   - kernel: compared with `minKernel`.
    public func resolve(
        capabilities: CapabilitySet, architecture: SeccompArchitecture = .native, kernel: KernelVersion = .running
    ) -> LinuxSeccomp {
        var resolved = base
        if let entry = map.first(where: { $0.architecture == architecture.ociName }) {
            resolved.architectures = [entry.architecture] + entry.additional
        }
        func has(_ name: String) -> Bool { Capability(name: name).map { capabilities.contains($0) } ?? false }
        let name = architecture.profileName
        for rule in rules {
            let (includes, excludes) = (rule.includes, rule.excludes)
            if excludes.architectures.contains(name) || excludes.capabilities.contains(where: has) { continue }
            if let least = excludes.minimumKernel, kernel >= least { continue }
            if !includes.architectures.isEmpty && !includes.architectures.contains(name) { continue }
            if !includes.capabilities.allSatisfy(has) { continue }
            if let least = includes.minimumKernel, kernel < least { continue }
            resolved.syscalls.append(rule.syscall)
        }
        return resolved
    }
}
