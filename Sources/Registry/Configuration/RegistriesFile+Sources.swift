import OCI

/// One place that may have what a reference names.
struct SourceName: Sendable, Hashable {
    /// `host[:port]` as written: `docker.io`, `mirror.example:5000`.
    var registry: String
    /// The repository there.
    var path: String
    var isInsecure: Bool
    var isMirror: Bool
    var pull: RegistriesFile.PullFromMirror = .all

    /// What credentials are looked up for: the most specific key.
    var name: String { registry + "/" + path }
}

extension RegistriesFile {
    /// Where to look for a repository: its mirrors in order, then itself, with rewritten locations.
    ///
    /// - Throws: `.blocked`; `.configuration` when a location makes no repository.
    func sources(for reference: Reference) throws(RegistryError) -> [SourceName] {
        let name = reference.description
        guard let entry = entry(for: name) else {
            return [SourceName(registry: reference.domain, path: reference.path, isInsecure: false, isMirror: false)]
        }
        if entry.blocked {
            throw RegistryError(.blocked, "registry \(entry.prefix) is blocked in \(entry.file)")
        }
        guard let matched = RegistriesFile.matchLength(name, prefix: entry.prefix) else { return [] }
        var sources: [SourceName] = []
        for mirror in entry.mirrors {
            sources.append(
                try source(reference, matched, mirror.location, mirror.insecure, isMirror: true, mirror.pull, entry.file))
        }
        let location = entry.location.isEmpty ? nil : entry.location
        sources.append(try source(reference, matched, location, entry.insecure, isMirror: false, .all, entry.file))
        return sources
    }

    private func source(
        _ reference: Reference, _ matched: Int, _ location: String?, _ insecure: Bool, isMirror: Bool, _ pull: PullFromMirror,
        _ file: String
    ) throws(RegistryError) -> SourceName {
        var text = reference.name
        if let location {
            // A prefix that has a tag or digest in it names no repository beyond its own.
            text = location + String(decoding: Array(text.utf8.dropFirst(matched)), as: UTF8.self)
        }
        let host = text.prefix { $0 != "/" }
        let path = text.dropFirst(host.utf8.count + 1)
        guard WebAddress.splitAuthority(host) != nil, (try? Reference.parse("host.invalid/" + path))?.path == String(path) else {
            throw RegistriesFile.failure(file, "\(reference.name) would become \"\(Failures.printable(text))\", which is no repository")
        }
        return SourceName(registry: String(host), path: String(path), isInsecure: insecure, isMirror: isMirror, pull: pull)
    }

    /// What a name may stand for; see ``RegistryClient/candidates(_:)``.
    func candidates(_ text: String) throws(RegistryError) -> [Reference] {
        do throws(OCIError) {
            let reference = try Reference.parse(text)
            guard RegistriesFile.isShort(text) else { return [reference.withDefaultTag] }
            // The tag or digest is no part of an alias' name.
            let bare = RegistriesFile.withoutTag(text)
            let suffix = String(text.dropFirst(bare.count))
            if let target = aliases[bare] { return [try Reference.parse(target + suffix).withDefaultTag] }
            guard let searchList, !searchList.isEmpty else { return [reference.withDefaultTag] }
            var out: [Reference] = []
            for registry in searchList {
                let candidate = try Reference.parse(registry + "/" + text).withDefaultTag
                if !out.contains(candidate) { out.append(candidate) }
            }
            return out
        } catch {
            throw RegistryError(.configuration, error.description)
        }
    }

    /// Whether a name has no registry in front.
    private static func isShort(_ text: String) -> Bool {
        guard let slash = text.firstIndex(of: "/") else { return true }
        let first = text[..<slash]
        return first != "localhost" && !first.utf8.contains { $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: ":") }
            && !first.utf8.contains { $0 >= UInt8(ascii: "A") && $0 <= UInt8(ascii: "Z") }
    }

    private static func withoutTag(_ text: String) -> String {
        var bare = text.prefix { $0 != "@" }
        let slash = bare.lastIndex(of: "/") ?? bare.startIndex
        if let colon = bare[slash...].lastIndex(of: ":") { bare = bare[..<colon] }
        return String(bare)
    }
}
