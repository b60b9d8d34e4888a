import OCI

/// Everything a runtime spec is made from: the definition, and what it means on this host and in this image.
public struct SpecInputs: Sendable {
    public var definition: ContainerDefinition
    public var user: ResolvedUser
    public var host: HostFacts
    /// The container's directory on the host, where the generated files are.
    public var directory = ""
    /// Generated files to bind: (host path, target).
    public var files: [(source: String, target: String)] = []
    /// Mounts of the definition bound to this host, in any order.
    public var mounts: [BoundMount] = []
    /// Devices of the definition as they are on this host.
    public var devices: [BoundDevice] = []
    /// Of block devices that are limited, by path.
    public var deviceNumbers: [String: DeviceNumber] = [:]
    /// Host pids of containers whose namespaces are joined, by flag.
    public var joined: [NamespaceKind: Int32] = [:]
    /// A process whose user namespace is joined, with the ids of the mappings below; nil: a new one, or the host's.
    public var joinedUserNamespace: Int32?
    /// Empty: the host's user namespace.
    public var uidMappings: [LinuxIDMapping] = []
    public var gidMappings: [LinuxIDMapping] = []
    /// Host path of `berth-runtime`, for `--init`.
    public var runtimeProgram = ""
    public var seccomp: LinuxSeccomp?
    /// Whether limits can be enforced: always for root, by delegation for users.
    public var hasCgroup = true

    public enum NamespaceKind: String, Sendable {
        case network, pid, ipc, uts

        /// The file in /proc/PID/ns.
        var file: String { self == .network ? "net" : rawValue }
        /// Docker's word for it in messages.
        var word: String { self == .network ? rawValue : rawValue.uppercased() }
    }

    public init(definition: ContainerDefinition, user: ResolvedUser, host: HostFacts) {
        self.definition = definition
        self.user = user
        self.host = host
    }

    /// The supervisor holds the user namespace and the runtime is called inside it: an external runtime of a user.
    public var isUserNamespaceGiven: Bool { host.isRootless && !definition.runtime.isEmpty }

    /// The container runs in a user namespace that is not ours.
    var ownUserNamespace: Bool { !uidMappings.isEmpty }
}

/// A mount with its source found.
public struct BoundMount: Sendable, Hashable {
    public var mount: MountDefinition
    /// Host path; empty for tmpfs and images.
    public var source: String
    /// What the options of a volume mount in its place.
    var driver: LocalDriver?
    /// Of an image, topmost first.
    var layers: [String] = []
    /// Directory with `upper` and `work` for what the container writes over the source; empty: it writes to the source.
    var scratch = ""

    public init(_ mount: MountDefinition, source: String) {
        self.mount = mount
        self.source = source
    }
}

/// A device node of the host.
public struct BoundDevice: Sendable, Hashable {
    public var hostPath: String
    public var device: LinuxDevice
    public var permissions: String

    public init(hostPath: String, device: LinuxDevice, permissions: String) {
        self.hostPath = hostPath
        self.device = device
        self.permissions = permissions
    }
}
