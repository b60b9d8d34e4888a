/// Docker's `-v`: `[SOURCE:]TARGET[:OPTIONS]`. Also the `Binds` strings of the Docker API.
public enum VolumeOption {
    /// - Parameter workingDirectory: of whoever typed it: `./x` and `.` are relative to it.
    public static func parse(_ text: String, workingDirectory: String) throws(EngineError) -> MountDefinition {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        let failure = EngineError.invalid("invalid volume specification: '\(text)'")
        guard (1...3).contains(parts.count), parts.allSatisfy({ !$0.isEmpty }) else { throw failure }
        if text.utf8.contains(0) { throw failure }
        if parts.count == 1 {
            var mount = MountDefinition(.volume, target: try MountTarget.check(parts[0], in: text))
            mount.isAnonymous = true
            return mount
        }
        // "/foo:ro" is a volume with a mode but no name, which Docker refuses too.
        if parts.count == 2, isModeList(parts[1]) { throw failure }
        let target = try MountTarget.check(parts[1], in: text)
        var mount = try source(parts[0], target: target, workingDirectory: workingDirectory)
        if parts.count == 3 { try apply(parts[2], to: &mount, text) }
        return mount
    }

    private static func source(
        _ source: String, target: String, workingDirectory: String
    ) throws(EngineError) -> MountDefinition {
        if source.hasPrefix("/") || source == "." || source == ".." || source.hasPrefix("./") || source.hasPrefix("../") {
            let path = source.hasPrefix("/") ? source : workingDirectory + "/" + source
            var mount = MountDefinition(.bind, source: path.hasPrefix("/") ? cleanHostPath(path) : path, target: target)
            mount.createSource = true
            return mount
        }
        try VolumeName.check(source)
        return MountDefinition(.volume, source: source, target: target)
    }

    static let propagations: Set<String> = ["shared", "rshared", "slave", "rslave", "private", "rprivate"]
    private static let plainModes: Set<String> = [
        "ro", "rw", "rro", "z", "Z", "nocopy", "U", "O", "idmap", "consistent", "cached", "delegated", "bind", "rbind", "exec",
        "noexec",
        "dev", "nodev", "suid", "nosuid",
    ]

    private static func isModeList(_ text: String) -> Bool {
        text.split(separator: ",").allSatisfy { plainModes.contains(String($0)) || propagations.contains(String($0)) }
    }

    private static func apply(_ modes: String, to mount: inout MountDefinition, _ text: String) throws(EngineError) {
        var seen: Set<String> = []
        for mode in modes.split(separator: ",", omittingEmptySubsequences: false).map(String.init) {
            let known = plainModes.contains(mode) || propagations.contains(mode)
            guard known, seen.insert(group(mode)).inserted else { throw .invalid("invalid mode: \(modes)") }
            switch mode {
            case "ro": mount.readOnly = true
            case "rro":
                mount.readOnly = true
                mount.recursiveReadOnly = .force
            case "z": mount.label = .shared
            case "Z": mount.label = .private
            case "nocopy":
                guard mount.kind == .volume else { throw .invalid("invalid mode: \(modes)") }
                mount.noCopy = true
            case "U": mount.changeOwner = true
            case "idmap": mount.isIDMapped = true
            case "O":
                mount.isOverlay = true
                mount.createSource = false
            case "bind": mount.recursive = false
            case "exec", "noexec", "dev", "nodev", "suid", "nosuid": mount.options.append(mode)
            case _ where propagations.contains(mode):
                guard mount.kind == .bind else { throw .invalid("invalid mode: \(modes)") }
                mount.propagation = mode
            default: break  // rw, rbind and the consistency words are what happens anyway
            }
        }
        if mount.isOverlay, !mount.propagation.isEmpty { throw .invalid("invalid mode: \(modes)") }
        if mount.label != .none { try HostPath.checkRelabel(mount.source) }
    }

    /// Modes of one group exclude each other.
    private static func group(_ mode: String) -> String {
        if propagations.contains(mode) { return "propagation" }
        switch mode {
        case "ro", "rw", "rro": return "access"
        case "z", "Z": return "label"
        case "consistent", "cached", "delegated": return "consistency"
        case "bind", "rbind": return "recursion"
        case "exec", "noexec": return "exec"
        case "dev", "nodev": return "dev"
        case "suid", "nosuid": return "suid"
        default: return mode
        }
    }
}

/// A path on the host as text: `.` and double slashes go, `..` is resolved textually as Go's `filepath.Clean` does.
public func cleanHostPath(_ path: String) -> String { cleanContainerPath(path) }

/// Rules for host paths that must never be given away.
enum HostPath {
    /// `:z`/`:Z` would relabel system directories for ever; podman refuses the same ones.
    static func checkRelabel(_ path: String) throws(EngineError) {
        let clean = cleanHostPath(path)
        let refused: Set<String> = [
            "/", "/home", "/usr", "/etc", "/run", "/var", "/boot", "/dev", "/proc", "/sys", "/root", "/tmp",
        ]
        if path.hasPrefix("/"), refused.contains(clean) {
            throw .invalid(
                "SELinux relabeling of \(clean) is not allowed: mount a directory below it, without :z or :Z")
        }
    }
}

/// Rules for the target of a mount.
enum MountTarget {
    /// The files lxcfs serves: the only ones that may be mounted over in /proc (CVE-2023-27561, runc's list).
    private static let allowedInProc: Set<String> = [
        "/proc/cpuinfo", "/proc/diskstats", "/proc/meminfo", "/proc/stat", "/proc/swaps", "/proc/uptime",
        "/proc/loadavg",
        "/proc/slabinfo", "/proc/net/dev", "/proc/sys/kernel/ns_last_pid",
    ]

    /// - Returns: the canonical target.
    static func check(_ target: String, in text: String) throws(EngineError) -> String {
        let start = "invalid volume specification: '\(text)': invalid mount config: "
        guard target.hasPrefix("/") else {
            throw .invalid(start + "invalid mount path: '\(target)' mount path must be absolute")
        }
        if target.utf8.contains(0) || target.utf8.count > 4095 { throw .invalid(start + "invalid mount path") }
        let clean = cleanContainerPath(target)
        if clean == "/" { throw .invalid(start + "destination can't be '/'") }
        if clean == "/proc" || (clean.hasPrefix("/proc/") && !allowedInProc.contains(clean)) {
            throw .invalid(start + "\"\(clean)\" cannot be mounted because it is inside /proc")
        }
        return clean
    }
}

/// Names of volumes: `[a-zA-Z0-9][a-zA-Z0-9_.-]*`, as the local driver of Docker has it.
enum VolumeName {
    static func isValid(_ name: String) -> Bool { ObjectName.isValid(name, minimum: 1) }

    static func check(_ name: String) throws(EngineError) {
        if isValid(name) { return }
        throw .invalid(
            "\"\(name)\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are "
                + "allowed. If you intended to pass a host directory, use absolute path")
    }
}

/// The grammar that names of containers and volumes share.
public enum ObjectName {
    public static func isValid(_ name: String, minimum: Int = 2) -> Bool {
        let bytes = name.utf8
        guard bytes.count >= minimum, bytes.count <= 255, let first = bytes.first, isAlphanumeric(first) else {
            return false
        }
        return bytes.dropFirst().allSatisfy {
            isAlphanumeric($0) || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-")
        }
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (byte >= 0x30 && byte <= 0x39) || (byte >= 0x41 && byte <= 0x5A) || (byte >= 0x61 && byte <= 0x7A)
    }
}
