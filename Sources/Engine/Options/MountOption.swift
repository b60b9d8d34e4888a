/// Docker's `--mount`: comma-separated `key=value` pairs with CSV quoting.
public enum MountOption {
    public static func parse(_ text: String) throws(EngineError) -> MountDefinition {
        let fields = try CommaSeparated.fields(text)
        var kind = MountDefinition.Kind.volume
        // The type decides which other keys are allowed, and may stand anywhere.
        for field in fields {
            guard let (key, value) = field.splitOnce("="), key.lowercased() == "type" else { continue }
            kind = try self.kind(String(value))
        }
        var mount = MountDefinition(kind, target: "")
        mount.readOnly = kind == .image
        var state = State()
        for field in fields { try apply(field, to: &mount, &state) }
        try finish(&mount, state, text)
        return mount
    }

    private struct State {
        var families: Set<String> = []
        var bindRecursive = ""
    }

    private static func kind(_ value: String) throws(EngineError) -> MountDefinition.Kind {
        switch value.lowercased() {
        case "bind": return .bind
        case "volume": return .volume
        case "tmpfs": return .tmpfs
        case "image": return .image
        case "cluster", "npipe", "devpts", "glob", "ramfs", "artifact":
            throw .notSupported("--mount type=\(value.lowercased())")
        default: throw .invalid("mount type '\(value)' unknown: use bind, volume, tmpfs or image")
        }
    }

    private static func apply(
        _ field: String, to mount: inout MountDefinition, _ state: inout State
    ) throws(EngineError) {
        let pair = field.splitOnce("=")
        let key = (pair.map { String($0.head) } ?? field).lowercased()
        let value = pair.map { String($0.tail) }
        if let dash = key.firstIndex(of: "-"), ["bind", "volume", "tmpfs", "image"].contains(String(key[..<dash])) {
            state.families.insert(String(key[..<dash]))
        }
        if try applyFlag(key, value, field, to: &mount) { return }
        guard let value else { throw .invalid("invalid field '\(field)' must be a key=value pair") }
        switch key {
        case "type": break
        case "source", "src": mount.source = value
        case "target", "dst", "destination": mount.target = value
        case "consistency": break
        case "bind-propagation":
            guard VolumeOption.propagations.contains(value) else {
                throw .invalid("invalid propagation '\(value)' in '\(field)'")
            }
            mount.propagation = value
        case "bind-recursive": state.bindRecursive = value
        case "volume-subpath", "image-subpath", "subpath": mount.subpath = try subpath(value, key)
        case "volume-label":
            let label = value.splitOnce("=")
            mount.volumeLabels[label.map { String($0.head) } ?? value] = label.map { String($0.tail) } ?? ""
        case "volume-driver":
            try LocalDriver.check(driver: value)
        case "volume-opt":
            guard let option = value.splitOnce("=") else { throw .invalid("invalid field '\(field)' must be a key=value pair") }
            mount.volumeOptions[String(option.head)] = String(option.tail)
        case "tmpfs-size": mount.tmpfsSize = try ByteSize.parse(value)
        case "tmpfs-mode":
            guard let mode = Numbers.octal(value) else { throw .invalid("invalid value for tmpfs-mode: \(value)") }
            mount.tmpfsMode = mode
        case "relabel":
            switch value {
            case "shared": mount.label = .shared
            case "private": mount.label = .private
            default: throw .invalid("invalid value for relabel: \(value): use shared or private")
            }
        default: throw .invalid("unexpected key '\(key)' in '\(field)'")
        }
    }

    /// Keys that may stand without a value.
    private static func applyFlag(
        _ key: String, _ value: String?, _ field: String, to mount: inout MountDefinition
    ) throws(EngineError) -> Bool {
        guard
            [
                "readonly", "ro", "rro", "volume-nocopy", "bind-nonrecursive", "bind-create-src", "u", "chown", "z",
                "nocopy", "rw", "readwrite", "idmap",
            ]
            .contains(key)
        else { return false }
        guard let on = value.map({ Numbers.bool($0) }) ?? true else {
            throw .invalid("invalid value for \(key): \(value ?? "")")
        }
        switch key {
        case "readonly", "ro": mount.readOnly = on
        case "rw", "readwrite": mount.readOnly = !on
        case "idmap": mount.isIDMapped = on
        case "rro":
            mount.readOnly = on
            if on { mount.recursiveReadOnly = .force }
        case "volume-nocopy", "nocopy": mount.noCopy = on
        case "bind-nonrecursive": mount.recursive = !on
        case "bind-create-src": mount.createSource = on
        case "u", "chown": mount.changeOwner = on
        default: if on { mount.label = field.hasPrefix("Z") ? .private : .shared }
        }
        return true
    }

    private static func subpath(_ value: String, _ key: String) throws(EngineError) -> String {
        if value.hasPrefix("/") || value.split(separator: "/").contains("..") {
            let place = key == "volume-subpath" ? "volume" : "image"
            throw .invalid("invalid \(key) '\(value)': must be a relative path inside the \(place)")
        }
        return value
    }

    private static func finish(
        _ mount: inout MountDefinition, _ state: State, _ text: String
    ) throws(EngineError) {
        if mount.target.isEmpty { throw .invalid("target is required") }
        for family in state.families.sorted() where family != mount.kind.rawValue {
            throw .invalid("cannot mix '\(family)-*' options with mount type '\(mount.kind.rawValue)'")
        }
        mount.target = try MountTarget.check(mount.target, in: text)
        switch state.bindRecursive {
        case "", "enabled": break
        case "disabled": mount.recursive = false
        case "writable": mount.recursiveReadOnly = .off
        case "readonly":
            if !mount.readOnly {
                throw .invalid("option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction")
            }
            mount.recursiveReadOnly = .force
        default:
            throw .invalid(
                "invalid value for bind-recursive: \(state.bindRecursive) (must be \"enabled\", \"disabled\", \"writable\", or \"readonly\")"
            )
        }
        switch mount.kind {
        case .bind:
            if mount.source.isEmpty { throw .invalid("source is required for mount type bind") }
            if mount.label != .none { try HostPath.checkRelabel(mount.source) }
        case .volume:
            try LocalDriver.check(mount.volumeOptions)
            if mount.source.isEmpty {
                mount.isAnonymous = true
            } else {
                try VolumeName.check(mount.source)
            }
        case .image:
            if mount.source.isEmpty {
                throw .invalid("invalid mount config for type \"image\": field Source must not be empty")
            }
            if mount.noCopy || mount.changeOwner || mount.label != .none {
                throw .invalid("invalid mount config for type \"image\": only readonly, readwrite and subpath go with it")
            }
        case .tmpfs:
            if !mount.source.isEmpty {
                throw .invalid("invalid mount config for type \"tmpfs\": field Source must not be specified")
            }
            if mount.noCopy { throw .invalid("cannot mix 'volume-*' options with mount type 'tmpfs'") }
        // Not to be asked for.
        case .container: break
        }
    }
}

/// Docker's `--tmpfs`: `TARGET[:OPTIONS]`, where the options are those of mount(8).
public enum TmpfsOption {
    private static let flags: Set<String> = [
        "ro", "rw", "exec", "noexec", "dev", "nodev", "suid", "nosuid", "noatime", "nodiratime", "relatime",
        "strictatime",
        "sync", "async", "rprivate", "private", "notmpcopyup", "noswap",
    ]
    private static let keys: Set<String> = ["size", "nr_blocks", "nr_inodes", "mode", "uid", "gid", "mpol", "huge"]

    public static func parse(_ text: String) throws(EngineError) -> MountDefinition {
        let pair = text.splitOnce(":")
        let target = pair.map { String($0.head) } ?? text
        var mount = MountDefinition(.tmpfs, target: try MountTarget.check(target, in: text))
        for option in (pair?.tail ?? "").split(separator: ",").map(String.init) {
            guard let (key, value) = option.splitOnce("=") else {
                guard flags.contains(option) else { throw .invalid("invalid tmpfs option [\"\(option)\"]") }
                if option == "ro" {
                    mount.readOnly = true
                } else if option != "rw", option != "notmpcopyup" {
                    mount.options.append(option)
                }
                continue
            }
            guard keys.contains(String(key)) else { throw .invalid("invalid tmpfs option [\"\(option)\"]") }
            switch key {
            case "size" where value.last != "%": mount.tmpfsSize = try ByteSize.parse(String(value))
            case "mode":
                guard let mode = Numbers.octal(value) else { throw .invalid("invalid tmpfs option [\"\(option)\"]") }
                mount.tmpfsMode = mode
            default: mount.options.append(option)
            }
        }
        return mount
    }
}
