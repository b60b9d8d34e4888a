import Linux
import OCI
import Store

/// One line of `images`: a name and the image behind it.
public struct ImageRow: Sendable {
    /// `sha256:…`
    public var id: String
    public var repository: String
    /// `<none>` for an image without tags.
    public var tag: String
    /// What the registry of this repository calls it, or else the digest of its manifest.
    public var digests: [String]
    /// Nanoseconds since 1970.
    public var created: Int64
    /// Bytes of its layers' files and their archive headers, layers shared with other images included.
    public var size: Int64
    /// Whether no tag names the image.
    public var isDangling: Bool
    var references: [String]

    public var shortID: String { String(id.drop { $0 != ":" }.dropFirst().prefix(12)) }
    public var digest: String { digests.first ?? "<none>" }

    /// `REPOSITORY[:TAG]` as `images` and `--filter reference` take it; `*` stands for anything but a slash.
    public func matches(_ pattern: String) -> Bool {
        references.contains { Glob.matches($0, pattern) }
    }
}

/// Go's `path.Match`: `*` and `?` match no slash, `[a-z]` and `[^a-z]` one character, a backslash takes the next as it is.
enum Glob {
    static func matches(_ text: String, _ pattern: String) -> Bool {
        let text = Array(text.utf8)
        let pattern = Array(pattern.utf8)
        // Iterative with one backtracking point: no exponential time on hostile patterns.
        var t = 0
        var p = 0
        var star = -1
        var mark = 0
        while t < text.count {
            if p < pattern.count, pattern[p] == UInt8(ascii: "*") {
                star = p
                mark = t
                p += 1
            } else if let next = step(text[t], pattern, p) {
                p = next
                t += 1
            } else if star >= 0, text[mark] != UInt8(ascii: "/") {
                mark += 1
                t = mark
                p = star + 1
            } else {
                return false
            }
        }
        while p < pattern.count, pattern[p] == UInt8(ascii: "*") { p += 1 }
        return p == pattern.count
    }

    /// Where the pattern goes on after one byte; nil when it does not match.
    private static func step(_ byte: UInt8, _ pattern: [UInt8], _ position: Int) -> Int? {
        guard position < pattern.count else { return nil }
        switch pattern[position] {
        case UInt8(ascii: "?"): return byte == UInt8(ascii: "/") ? nil : position + 1
        case UInt8(ascii: "\\") where position + 1 < pattern.count:
            return pattern[position + 1] == byte ? position + 2 : nil
        case UInt8(ascii: "["): return characterClass(byte, pattern, position + 1)
        default: return pattern[position] == byte ? position + 1 : nil
        }
    }

    private static func characterClass(_ byte: UInt8, _ pattern: [UInt8], _ start: Int) -> Int? {
        var p = start
        let isNegated = p < pattern.count && (pattern[p] == UInt8(ascii: "^") || pattern[p] == UInt8(ascii: "!"))
        if isNegated { p += 1 }
        var isMatch = false
        let first = p
        while p < pattern.count, pattern[p] != UInt8(ascii: "]") || p == first {
            let low = pattern[p]
            var high = low
            if p + 2 < pattern.count, pattern[p + 1] == UInt8(ascii: "-"), pattern[p + 2] != UInt8(ascii: "]") {
                high = pattern[p + 2]
                p += 2
            }
            if low <= byte, byte <= high { isMatch = true }
            p += 1
        }
        guard p < pattern.count, byte != UInt8(ascii: "/") else { return nil }
        return isMatch != isNegated ? p + 1 : nil
    }
}

extension Engine {
    /// The lines of `images`, newest first: one for each tag, and one for each repository that knows an image only by digest.
    public func imageRows() throws(EngineError) -> [ImageRow] {
        var rows: [ImageRow] = []
        for record in try images() {
            var digests: [(repository: Reference, digest: String)] = []
            for known in record.digests {
                guard let reference = try? Reference.parse(known.reference), let digest = reference.digest else { continue }
                digests.append((reference.repository, digest.description))
            }
            var tagged: Set<String> = []
            for name in record.names {
                guard let reference = try? Reference.parse(name) else { continue }
                tagged.insert(reference.name)
                let known = digests.filter { $0.repository.name == reference.name }.map(\.digest)
                rows.append(row(record, reference, reference.tag ?? "<none>", known.isEmpty ? [record.manifestDigest] : known))
            }
            var untagged: Set<String> = []
            for (repository, _) in digests where !tagged.contains(repository.name) && untagged.insert(repository.name).inserted {
                let known = digests.filter { $0.repository.name == repository.name }.map(\.digest)
                rows.append(row(record, repository, "<none>", known))
            }
            if tagged.isEmpty, untagged.isEmpty { rows.append(row(record, nil, "<none>", [record.manifestDigest])) }
        }
        return rows
    }

    /// Ids of the images that have a label: `KEY` or `KEY=VALUE`.
    public func images(labelled text: String) throws(EngineError) -> Set<String> {
        let key = String(text.prefix { $0 != "=" })
        let value = key.utf8.count < text.utf8.count ? String(text.dropFirst(key.count + 1)) : nil
        var found: Set<String> = []
        for record in try images() {
            let store = try self.store()
            let config = try stored { () throws(StoreError) in try store.imageConfig(id: record.id).config }
            guard let present = config.labels[key], value == nil || value == present else { continue }
            found.insert(record.id)
        }
        return found
    }

    /// When the image a user means was made, as ``ImageRow/created``.
    public func created(_ text: String) throws(EngineError) -> Int64 {
        let record: ImageRecord = try image(text)
        return record.created > 0 ? record.created : record.added
    }

    /// Ids of the images that containers were made from.
    public func imagesInUse() throws(EngineError) -> Set<String> {
        Set(try containers().map(\.definition.imageID))
    }

    /// Ids of the images with a digest, the manifest's or one a registry knows, that begins so (with or without `sha256:`).
    public func images(withDigest text: String) throws(EngineError) -> Set<String> {
        let wanted = text.hasPrefix("sha256:") ? text : "sha256:" + text
        var found: Set<String> = []
        for record in try images() {
            let digests = [record.manifestDigest] + record.digests.map { String($0.reference.drop { $0 != "@" }.dropFirst()) }
            if digests.contains(where: { $0.hasPrefix(wanted) }) { found.insert(record.id) }
        }
        return found
    }

    /// Every name an image ever had, newest first, by image.
    public func nameHistory() throws(EngineError) -> [String: [String]] {
        guard hasStore else { return [:] }
        let store = try self.store()
        return try stored { () throws(StoreError) in try store.nameHistory() }
            .mapValues { $0.map(Engine.familiarReference) }
    }

    private func row(_ record: ImageRecord, _ name: Reference?, _ tag: String, _ digests: [String]) -> ImageRow {
        var references: [String] = []
        if let name {
            references = [name.familiarName, name.name]
            if name.tag != nil { references += [name.familiar, name.description] }
            for digest in digests { references += [name.familiarName + "@" + digest, name.name + "@" + digest] }
        }
        return ImageRow(
            id: record.id, repository: name?.familiarName ?? "<none>", tag: tag, digests: digests,
            created: record.created > 0 ? record.created : record.added, size: record.size,
            isDangling: record.names.isEmpty, references: references)
    }
}
