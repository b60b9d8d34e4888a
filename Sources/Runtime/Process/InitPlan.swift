import CLinux
import Linux
import OCI
import Seccomp

/// Everything the container's first process needs, prepared by its creator.
///
/// After the clone nothing is parsed, looked up or validated any more: what can fail for a reason in config.json has
/// failed before there is a process to clean up.
final class InitPlan {
    enum Root {
        case directory
        case mounted(SharedFD)
        case overlay(OverlayRootfs)
    }

    let id: String
    let bundle: String
    let spec: Spec
    let process: OCI.Process
    let linux: LinuxSpec
    let identity: ProcessIdentity
    let seccomp: PreparedSeccomp?
    let namespaces: NamespacePlan

    /// Absolute path on which the rootfs is attached before it becomes the root.
    var rootfsMountPoint = ""
    var rootfs = Root.directory
    var rootfsPropagation: (kind: Propagation, recursive: Bool)?
    var noPivot = false
    var noNewKeyring = false

    /// Bind sources that the creator opened because the container's user may not reach them, or id-mapped; by index in `mounts`.
    var bindSources: [Int: SharedFD] = [:]

    /// v1 `tasks` files, open for writing and owned by the creator's `CgroupEntry`: the process writes itself in.
    var cgroupTasks: [Int32] = []
    var cgroupIsUnified = true
    /// v1 hierarchies the container is in: name below /sys/fs/cgroup, absolute path on the host.
    var cgroupDirectories: [(name: String, path: String)] = []
    /// The container's cgroup on a v2 host.
    var unifiedCgroup: String?

    /// The creator's end of the gate: one byte starts the program.
    var gate: FD = FD(-1)
    var sync: FD = FD(-1)
    /// The creator's end of `sync`, which the child was born with a copy of.
    var creatorSync: FD = FD(-1)

    /// First in the child: with the copy open it would wait for ever for a creator that was killed.
    func closeCreatorsEnd() { _ = cl_close(creatorSync.rawValue) }
    var standardStreams: (input: FD, output: FD, error: FD) = (FD(0), FD(1), FD(2))
    var preservedDescriptors: Int32 = 0
    var blocksSignals = false
    /// Where a failure after `create` has returned is reported, when nobody listens on the sync socket any more.
    var reportsToStandardError = false

    var mounts: [Mount] { spec.mounts }
    var newMountNamespace: Bool { namespaces.isNew(.mount) }
    var inUserNamespace: Bool { namespaces.isNew(.user) || namespaces.joins(.user) }

    /// A bind source: relative ones are relative to the bundle (config.md "Mounts").
    func hostPath(_ source: String) -> String { source.hasPrefix("/") ? source : bundle + "/" + source }

    /// Nodes are bound from the host where the kernel would not let us make them.
    var bindsDevices: Bool { inUserNamespace || hostIsUserNamespace }
    var hostIsUserNamespace = false

    /// runc's rule: `/dev` is ours to fill unless config.json binds one.
    var makesDevices: Bool {
        !mounts.contains {
            cleanPath($0.destination) == "/dev" && ($0.type == "bind" || $0.options.contains { $0 == "bind" || $0 == "rbind" })
        }
    }

    /// Our pid as the host sees it; only known when a seccomp agent needs it.
    var hostPid: Int32 = 0

    /// An open `attr/exec` file, kept until execve; -1 without a label.
    var labelDescriptor: Int32 = -1
    var needsLabels: Bool { !process.apparmorProfile.isEmpty || !process.selinuxLabel.isEmpty }

    /// The state document that hooks and seccomp agents get.
    func state(status: String, pid: Int32) -> State {
        State(
            ociVersion: spec.ociVersion, id: id, status: status, pid: pid, bundle: bundle, annotations: spec.annotations)
    }

    init(
        id: String, bundle: String, spec: Spec, process: OCI.Process, identity: ProcessIdentity,
        seccomp: PreparedSeccomp?, namespaces: NamespacePlan
    ) {
        self.id = id
        self.bundle = bundle
        self.spec = spec
        self.process = process
        self.linux = spec.linux ?? LinuxSpec()
        self.identity = identity
        self.seccomp = seccomp
        self.namespaces = namespaces
    }
}
