/// Names in a container's directory, and where its directories are.
public enum ContainerFiles {
    public static let specification = "config.json"
    public static let supervision = "supervise.json"
    public static let lock = "lock"
    public static let exitRecord = "exit.json"
    public static let log = "container.log"
    /// How the last run was found to be; while the container runs that of the directory of the run counts.
    public static let health = "health.json"
    /// Written before anything of the directory is removed: who finds it finishes the removal.
    public static let removed = "removed"
    public static let socket = "control.sock"
    /// Locked by who changes a container's connections or ports.
    public static let connectionsLock = "connections.lock"

    /// `STORE/containers`.
    public static func containers(store: String) -> String { store + "/containers" }
    /// `STORE/containers/ID`.
    public static func directory(store: String, id: String) -> String { "\(store)/containers/\(id)" }
    /// `RUN/containers/ID`.
    public static func runDirectory(run: String, id: String) -> String { "\(run)/containers/\(id)" }
    /// `RUN/containers/ID/health.json`.
    public static func health(run: String, id: String) -> String { "\(run)/containers/\(id)/\(health)" }
    /// `RUN/containers/ID/control.sock`.
    public static func socket(run: String, id: String) -> String { "\(run)/containers/\(id)/\(socket)" }
    /// Where root looks at a container's files: `RUN/mounts/containers/ID`. Nothing says what is mounted there but the kernel.
    public static func mountPoint(run: String, id: String) -> String { "\(run)/mounts/containers/\(id)" }
    /// The state root of an external runtime for this container alone: `RUN/containers/ID/oci`.
    public static func externalState(run: String, id: String) -> String { runDirectory(run: run, id: id) + "/oci" }
    /// `RUN/networks/NETWORK`: a file for each container that is connected, with its names.
    public static func networkNames(run: String, network: String) -> String { "\(run)/networks/\(network)" }
    /// The runtime's state root: `RUN/runtime`.
    public static func runtimeRoot(run: String) -> String { run + "/runtime" }
}
