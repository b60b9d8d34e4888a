import Linux

/// Options of Docker's `local` volume driver: what is mounted in place of the volume's own directory.
///
/// The mount exists in the mount namespace of each container that uses the volume, from its start to its end: nothing stays
/// mounted on the host, whatever is killed.
struct LocalDriver: Hashable, Sendable {
    static let name = "local"

    enum Source: Hashable, Sendable {
        /// A directory or file of the host.
        case bind(String, recursive: Bool)
        /// Memory, each container's own.
        case temporary
        /// Any other file system of the kernel: `nfs`, `cifs`, `ext4` …
        case fileSystem(type: String, device: String)
    }

    let source: Source
    /// Options for the mount, as mount(8) spells them.
    let options: [String]

    /// - Parameter options: of a volume, checked by ``check(_:)`` when it was made.
    /// - Returns: nil for a volume that is a directory of the store.
    init?(_ options: [String: String]) {
        guard let type = options["type"], let device = options["device"] else { return nil }
        var words = (options["o"] ?? "").split(separator: ",").map(String.init)
        let isBind = type == "none" || type == "bind" || words.contains("bind") || words.contains("rbind")
        if isBind {
            source = .bind(device, recursive: words.contains("rbind"))
            words.removeAll { $0 == "bind" || $0 == "rbind" }
        } else {
            source = type == "tmpfs" ? .temporary : .fileSystem(type: type, device: device)
        }
        self.options = words
    }

    /// Docker's rules for `--driver`.
    static func check(driver: String) throws(EngineError) {
        if driver.isEmpty || driver == name { return }
        throw EngineError(
            .notFound, sentence: "error looking up volume plugin \(driver): plugin \"\(driver)\" not found")
    }

    /// Docker's rules for `--opt`, in its words.
    static func check(_ options: [String: String]) throws(EngineError) {
        for key in options.keys.sorted() where !["type", "device", "o", "size"].contains(key) {
            throw .invalid("invalid option: \"\(key)\"")
        }
        if let size = options["size"] {
            if try ByteSize.parse(size) > 0 { throw .invalid("quota size requested but no quota support") }
        }
        for (key, others) in [("o", ["device", "type"]), ("device", ["type"]), ("type", ["device"])] where options[key] != nil {
            for other in others where options[other] == nil { throw .invalid("missing required option: \"\(other)\"") }
        }
        guard let driver = LocalDriver(options) else { return }
        for text in options.values where text.utf8.contains(0) { throw .invalid("an option holds a NUL byte") }
        switch driver.source {
        case .bind(let path, _):
            guard path.hasPrefix("/") else {
                throw .invalid("invalid option: device=\(path): the directory to bind must be an absolute path")
            }
        case .fileSystem(let type, _):
            if ["proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue", "overlay", "devtmpfs"].contains(type) {
                throw .invalid("invalid option: type=\(type): such a file system is no volume")
            }
            // The kernel looks no names up.
            for word in driver.options where word.hasPrefix("addr=") && IPAddress(String(word.dropFirst(5))) == nil {
                throw .invalid("invalid option: o=\(word): give an address, not a name")
            }
        case .temporary: break
        }
        for word in driver.options where isReserved(word) { throw .invalid("invalid option: o=\(word)") }
    }

    /// Words that the runtime takes as orders to itself, not as options of a file system.
    private static func isReserved(_ word: String) -> Bool {
        ["idmap", "ridmap", "tmpcopyup", "creatormount"].contains(word) || word.hasPrefix("subpath=")
            || word.hasPrefix("lowerdir") || word.hasPrefix("upperdir") || word.hasPrefix("workdir")
    }
}
