import Glibc
import Linux

/// Where the engine keeps its things.
public struct Roots: Sendable, Hashable {
    /// Images, layers, containers, volumes and the database: survives a boot.
    public var store: String
    /// Sockets and runtime state: gone after a boot.
    public var run: String

    public init(store: String, run: String) {
        self.store = store
        self.run = run
    }

    /// What was asked for by flag, else by environment, else the place of this user.
    ///
    /// - Throws: `.invalid` for a path that is not absolute.
    public static func locate(store: String?, run: String?) throws(EngineError) -> Roots {
        let isRoot = geteuid() == 0
        let wanted = Roots(
            store: given(store, "BERTH_ROOT") ?? usualStore,
            run: given(run, "BERTH_RUN_ROOT")
                ?? (isRoot
                    ? "/run/berth" : absolute("XDG_RUNTIME_DIR").map { $0 + "/berth" } ?? "/tmp/berth-\(geteuid())"))
        for path in [wanted.store, wanted.run] where !path.hasPrefix("/") || path.utf8.contains(0) {
            throw .invalid("the path \"\(path)\" is not absolute")
        }
        return wanted
    }

    private static var usualStore: String {
        if geteuid() == 0 { return "/var/lib/berth" }
        return (absolute("XDG_DATA_HOME") ?? (environmentVariable("HOME") ?? "/") + "/.local/share") + "/berth"
    }

    /// Whether the store is where everybody of this user has it.
    var isUsual: Bool { store == Roots.usualStore }

    private static func given(_ flag: String?, _ variable: String) -> String? {
        if let flag, !flag.isEmpty { return trimmed(flag) }
        if let value = environmentVariable(variable), !value.isEmpty { return trimmed(value) }
        return nil
    }

    private static func absolute(_ variable: String) -> String? {
        guard let value = environmentVariable(variable), value.hasPrefix("/") else { return nil }
        return trimmed(value)
    }

    private static func trimmed(_ path: String) -> String {
        var path = path
        while path.utf8.count > 1, path.hasSuffix("/") { path.removeLast() }
        return path
    }

    public var containers: String { store + "/containers" }
    public func container(_ id: String) -> String { store + "/containers/" + id }
    public var runtimeState: String { run + "/runtime" }

    /// Makes what is missing. One call per directory when they are there.
    ///
    /// - Throws: `.permission` when a directory is not ours: somebody else could have put it into /tmp (attack row S39).
    func prepare() throws(EngineError) {
        try during("prepare", store) { () throws(SystemError) in
            try FD.cwd.makeDirectories(store, mode: 0o700)
            try FD.cwd.makeDirectories(containers, mode: 0o700)
        }
        try during("prepare", run) { () throws(SystemError) in
            // Others must be able to pass through to nothing but what their own containers mount.
            try FD.cwd.makeDirectories(run, mode: 0o700)
            try FD.cwd.makeDirectories(run + "/containers", mode: 0o700)
        }
        let info = try during("check", run) { () throws(SystemError) in try FD.cwd.status(of: run) }
        guard info.st_uid == geteuid(), info.st_mode & S_IFMT == S_IFDIR, info.st_mode & 0o022 == 0 else {
            throw EngineError(.permission, "use", run, cause: "it belongs to somebody else or others may write to it")
        }
    }
}
