/// Kernel parameters of a container (`--sysctl`): only those that belong to a namespace the container owns.
public enum SysctlOption {
    /// - Returns: the key with dots and its value.
    public static func parse(_ text: String) throws(EngineError) -> (key: String, value: String) {
        guard let (key, value) = text.splitOnce("="), !key.isEmpty, !key.utf8.contains(0) else {
            throw .invalid("invalid sysctl '\(text)': use NAME=VALUE")
        }
        // "net/ipv4/x" is written like that where a name itself holds a dot ("net/ipv4/conf/eth0.1/…").
        let name = String(key)
        if name.split(whereSeparator: { $0 == "." || $0 == "/" }).isEmpty || name.includes("..") {
            throw .invalid("invalid sysctl '\(text)': use NAME=VALUE")
        }
        return (name, String(value))
    }

    private static let ipc: Set<String> = [
        "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    ]

    /// Refuses what would reach the host: the key must belong to a namespace that is the container's own.
    static func check(
        _ name: String, ownNetwork: Bool, ownIPC: Bool, ownUTS: Bool, ownUser: Bool
    ) throws(EngineError) {
        let key = name.contains("/") && !name.contains(".") ? String(name.map { $0 == "/" ? "." : $0 }) : name
        let dotted = name.contains("/") ? String(name.map { $0 == "/" ? "." : $0 }) : key
        if dotted.hasPrefix("net.") {
            if ownNetwork { return }
            throw refused(name, "the network namespace is not the container's own")
        }
        if ipc.contains(dotted) || dotted.hasPrefix("fs.mqueue.") {
            if ownIPC { return }
            throw refused(name, "the IPC namespace is not the container's own")
        }
        if dotted == "kernel.domainname" {
            if ownUTS { return }
            throw refused(name, "the UTS namespace is not the container's own")
        }
        if dotted.hasPrefix("user."), ownUser { return }
        throw refused(name, "it is not separate for a container")
    }

    private static func refused(_ name: String, _ why: String) -> EngineError {
        .invalid("sysctl '\(name)' is not allowed: \(why)")
    }
}
