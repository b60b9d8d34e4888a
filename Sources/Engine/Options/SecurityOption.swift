/// What `--security-opt` said, taken apart.
public struct SecurityOptions: Hashable, Sendable {
    /// `builtin`, `nested`, `unconfined` or the text of a profile file.
    public enum Seccomp: Hashable, Sendable {
        case builtin
        /// Our profile for containers that make containers.
        case nested
        case unconfined
        /// The JSON of a profile in Docker's format, as it was when the container was made.
        case profile(String)
    }

    public var seccomp = Seccomp.builtin
    /// Empty: the default of the host. `unconfined` or a profile's name.
    public var appArmor = ""
    /// SELinux label fields (`user:…`, `role:…`, `type:…`, `level:…`), or `disable`.
    public var labels: [String] = []
    public var noNewPrivileges = false
    /// No masked and no read-only paths in /proc and /sys.
    public var unconfinedSystemPaths = false
    public var mask: [String] = []
    public var unmask: [String] = []
    /// As typed, for `inspect`; the text of profiles is not repeated here.
    public var source: [String] = []

    public init() {}

    /// - Parameter readProfile: gives the text of a seccomp profile file.
    public init(
        options: [String], readProfile: (String) throws(EngineError) -> String
    ) throws(EngineError) {
        for option in options {
            try apply(option, readProfile)
            source.append(option)
        }
    }

    private mutating func apply(
        _ option: String, _ readProfile: (String) throws(EngineError) -> String
    ) throws(EngineError) {
        // Docker once separated by ":" and still reads it.
        let pair = option.splitOnce("=") ?? option.splitOnce(":")
        let key = pair.map { String($0.head) } ?? option
        let value = pair.map { String($0.tail) }
        if key == "no-new-privileges" {
            guard let on = value.map({ Numbers.bool($0) }) ?? true else {
                throw .invalid("invalid --security-opt 2: \"\(option)\"")
            }
            noNewPrivileges = on
            return
        }
        guard let value, !value.isEmpty else { throw .invalid("invalid --security-opt 2: \"\(option)\"") }
        switch key {
        case "seccomp":
            switch value {
            case "builtin": seccomp = .builtin
            case "nested": seccomp = .nested
            case "unconfined": seccomp = .unconfined
            default: seccomp = .profile(try readProfile(value))
            }
        case "apparmor": appArmor = value
        case "label":
            guard
                value == "disable" || value == "nested"
                    || ["user", "role", "type", "level", "filetype"].contains(where: { value.hasPrefix($0 + ":") })
            else { throw .invalid("invalid --security-opt 2: \"\(option)\"") }
            labels.append(value)
        case "systempaths":
            guard value == "unconfined" else { throw .invalid("invalid --security-opt 2: \"\(option)\"") }
            unconfinedSystemPaths = true
        case "mask": mask += try paths(value, option)
        case "unmask":
            if value == "ALL" || value == "all" {
                unconfinedSystemPaths = true
            } else {
                unmask += try paths(value, option)
            }
        case "writable-cgroups", "proc-opts", "credentialspec": throw .notSupported("--security-opt \(key)")
        default: throw .invalid("invalid --security-opt 2: \"\(option)\"")
        }
    }

    private func paths(_ text: String, _ option: String) throws(EngineError) -> [String] {
        let paths = text.split(separator: ":").map(String.init)
        guard !paths.isEmpty, paths.allSatisfy({ $0.hasPrefix("/") }) else {
            throw .invalid("invalid --security-opt: \"\(option)\": paths must be absolute")
        }
        return paths.map(cleanContainerPath)
    }
}
