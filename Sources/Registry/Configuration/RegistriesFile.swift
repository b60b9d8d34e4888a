import Linux

/// What `registries.conf` says, all files together.
///
/// Spec: containers-registries.conf(5), version 2; of version 1 the lists are read.
struct RegistriesFile: Sendable {
    /// When a mirror may be asked.
    enum PullFromMirror: String, Sendable {
        case all
        case digestOnly = "digest-only"
        case tagOnly = "tag-only"
    }

    struct Endpoint: Sendable {
        /// `host[:port][/path]`.
        var location: String
        var insecure = false
        var pull: PullFromMirror = .all
    }

    struct Entry: Sendable {
        /// What the name must begin with, `*.example.com` included.
        var prefix: String
        /// What takes the prefix's place; empty for the name as it is.
        var location: String
        var insecure = false
        var blocked = false
        var mirrors: [Endpoint] = []
        /// The file it stands in, for errors.
        var file: String
    }

    var entries: [Entry] = []
    /// Nil when no file says anything about it.
    var searchList: [String]?
    /// Short names to full ones.
    var aliases: [String: String] = [:]
    /// Credential helpers for everything, in order (`credential-helpers`).
    var helpers: [String] = []

    init() {}

    /// Adds a file; what it says goes before what was there.
    ///
    /// - Throws: `.configuration` with file and line.
    mutating func add(_ bytes: [UInt8], file: String) throws(RegistryError) {
        let document: [String: TOMLValue]
        do throws(TOMLError) {
            document = try TOMLParser.parse(bytes)
        } catch {
            throw RegistriesFile.failure(file, error.description)
        }
        let reader = Reader(file: file)
        var found = try reader.entries(document["registry"])
        if let lists = document["registries"] {
            guard found.isEmpty else { throw RegistriesFile.failure(file, "mixes [registries.…] of version 1 with [[registry]]") }
            found = try reader.versionOne(lists, &searchList)
        }
        for entry in found {
            entries.removeAll { $0.prefix == entry.prefix }
            entries.append(entry)
        }
        if let list = document["unqualified-search-registries"] {
            guard let names = list.strings else {
                throw RegistriesFile.failure(file, "unqualified-search-registries is no array of strings")
            }
            searchList = try reader.hosts(names)
        }
        if let list = document["credential-helpers"] {
            guard let names = list.strings else { throw RegistriesFile.failure(file, "credential-helpers is no array of strings") }
            helpers = names
        }
        if let table = document["aliases"] {
            guard let members = table.table else { throw RegistriesFile.failure(file, "aliases is no table") }
            for (name, value) in members {
                guard let target = value.string else { throw RegistriesFile.failure(file, "an alias that is no string") }
                // An empty value takes an alias of another file away.
                aliases[name] = target.isEmpty ? nil : target
            }
        }
    }

    static func failure(_ file: String, _ cause: String) -> RegistryError {
        RegistryError(.configuration, "read \"\(file)\": \(cause)")
    }

    /// The entry whose prefix is the longest that `name` begins with.
    ///
    /// - Parameter name: `host/path[:tag][@digest]`.
    func entry(for name: String) -> Entry? {
        entries.filter { RegistriesFile.matchLength(name, prefix: $0.prefix) != nil }
            .max { $0.prefix.utf8.count < $1.prefix.utf8.count }
    }

    /// How many bytes of the name the prefix stands for; nil when it does not match.
    static func matchLength(_ name: String, prefix: String) -> Int? {
        if prefix.hasPrefix("*.") {
            let host = name.prefix { $0 != "/" && $0 != "@" }
            let bare = host.prefix { $0 != ":" }
            let suffix = prefix.dropFirst()
            guard bare.utf8.count > suffix.utf8.count, bare.hasSuffix(suffix) else { return nil }
            return host.utf8.count
        }
        guard name.utf8.starts(with: prefix.utf8) else { return nil }
        let rest = name.utf8.dropFirst(prefix.utf8.count)
        guard let next = rest.first else { return prefix.utf8.count }
        let ends = [UInt8(ascii: "/"), UInt8(ascii: ":"), UInt8(ascii: "@")]
        return ends.contains(next) ? prefix.utf8.count : nil
    }
}

extension RegistriesFile {
    /// Takes the values of one file apart.
    private struct Reader {
        let file: String

        private func failure(_ cause: String) -> RegistryError { RegistriesFile.failure(file, cause) }

        private func string(_ table: [String: TOMLValue], _ key: String) throws(RegistryError) -> String {
            guard let value = table[key] else { return "" }
            guard let text = value.string else { throw failure("\(key) is \(value.kind), not a string") }
            return text
        }

        private func bool(_ table: [String: TOMLValue], _ key: String) throws(RegistryError) -> Bool {
            guard let value = table[key] else { return false }
            guard let flag = value.bool else { throw failure("\(key) is \(value.kind), not true or false") }
            return flag
        }

        func entries(_ value: TOMLValue?) throws(RegistryError) -> [Entry] {
            guard let value else { return [] }
            guard let tables = value.array else { throw failure("registry is no array of tables; write [[registry]]") }
            var out: [Entry] = []
            for element in tables {
                guard let table = element.table else { throw failure("registry is no array of tables; write [[registry]]") }
                out.append(try entry(table))
            }
            return out
        }

        private func entry(_ table: [String: TOMLValue]) throws(RegistryError) -> Entry {
            let location = try self.location(try string(table, "location"))
            var prefix = try string(table, "prefix")
            if prefix.isEmpty { prefix = location }
            prefix = try prefix.hasPrefix("*.") ? prefix : self.location(prefix)
            if prefix.isEmpty { throw failure("a registry with neither prefix nor location") }
            if prefix.hasPrefix("*."), prefix.utf8.contains(UInt8(ascii: "/")) {
                throw failure("prefix \"\(Failures.printable(prefix))\": a wildcard stands for hosts only")
            }
            var entry = Entry(prefix: prefix, location: location, file: file)
            entry.insecure = try bool(table, "insecure")
            entry.blocked = try bool(table, "blocked")
            let digestOnly = try bool(table, "mirror-by-digest-only")
            guard let mirrors = table["mirror"] else { return entry }
            guard let list = mirrors.array else { throw failure("mirror is no array of tables; write [[registry.mirror]]") }
            for element in list {
                guard let mirror = element.table else { throw failure("mirror is no table") }
                var endpoint = Endpoint(location: try self.location(try string(mirror, "location")))
                if endpoint.location.isEmpty { throw failure("a mirror without location") }
                endpoint.insecure = try bool(mirror, "insecure")
                let pull = try string(mirror, "pull-from-mirror")
                guard let when = pull.isEmpty ? .all : PullFromMirror(rawValue: pull) else {
                    throw failure("pull-from-mirror is none of all, digest-only, tag-only")
                }
                if digestOnly, !pull.isEmpty { throw failure("pull-from-mirror cannot stand beside mirror-by-digest-only") }
                endpoint.pull = digestOnly ? .digestOnly : when
                entry.mirrors.append(endpoint)
            }
            return entry
        }

        /// `host[:port][/path]`, without a slash at the end.
        private func location(_ text: String) throws(RegistryError) -> String {
            var text = Substring(text)
            while text.hasSuffix("/") { text.removeLast() }
            if text.includes("://") {
                throw failure("\"\(Failures.printable(String(text)))\": locations are written without http:// or https://")
            }
            let host = text.prefix { $0 != "/" && $0 != "@" }
            guard text.isEmpty || WebAddress.splitAuthority(host) != nil else {
                throw failure("\"\(Failures.printable(String(text)))\" is no registry")
            }
            return String(text)
        }

        func hosts(_ names: [String]) throws(RegistryError) -> [String] {
            var out: [String] = []
            for name in names {
                let host = try location(name)
                if host.isEmpty { throw failure("an empty name in a list of registries") }
                out.append(host)
            }
            return out
        }

        /// `[registries.search]`, `[registries.insecure]`, `[registries.block]`.
        func versionOne(_ value: TOMLValue, _ searchList: inout [String]?) throws(RegistryError) -> [Entry] {
            func list(_ name: String) throws(RegistryError) -> [String]? {
                guard let table = value.table?[name]?.table, let list = table["registries"] else { return nil }
                guard let names = list.strings else { throw failure("registries of [registries.\(name)] is no array of strings") }
                return try hosts(names)
            }
            var entries: [Entry] = []
            for name in try list("insecure") ?? [] {
                entries.append(Entry(prefix: name, location: name, insecure: true, file: file))
            }
            for name in try list("block") ?? [] {
                entries.removeAll { $0.prefix == name }
                entries.append(Entry(prefix: name, location: name, blocked: true, file: file))
            }
            if let names = try list("search") { searchList = names }
            return entries
        }
    }
}
