import Linux
import OCI
import Store

/// One line of `images`: a name and the image behind it.
public struct ImageRow: Sendable {
    /// `sha256:…`
    public var id: String
    public var repository: String
    public var tag: String
    public var digest: String
    /// Nanoseconds since 1970.
    public var created: Int64
    public var size: Int64
    var references: [String]

    public var shortID: String { String(id.drop { $0 != ":" }.dropFirst().prefix(12)) }
    public var isDangling: Bool { repository == "<none>" }

    /// `REPOSITORY[:TAG]` as `images` and `--filter reference` take it; `*` stands for anything but a slash.
    public func matches(_ pattern: String) -> Bool {
        if isDangling { return false }
        let candidates = [repository, repository + ":" + tag] + references
        return candidates.contains { Glob.matches($0, pattern) }
    }
}

/// Shell patterns with `*` and `?`, which match no slash.
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
            } else if p < pattern.count,
                pattern[p] == text[t] || (pattern[p] == UInt8(ascii: "?") && text[t] != UInt8(ascii: "/"))
            {
                p += 1
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
}

extension Engine {
    /// The lines of `images`, newest first.
    public func imageRows() throws(EngineError) -> [ImageRow] {
        var rows: [ImageRow] = []
        for record in try images() {
            let digest = record.manifestDigest.isEmpty ? "<none>" : record.manifestDigest
            if record.names.isEmpty {
                rows.append(row(record, "<none>", "<none>", digest, []))
            }
            for name in record.names {
                let reference: Reference
                do throws(OCIError) { reference = try Reference.parse(name) } catch { continue }
                rows.append(
                    row(
                        record, reference.familiarName, reference.tag ?? "<none>", digest,
                        [reference.name, name, reference.familiar]))
            }
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

    private func row(
        _ record: ImageRecord, _ repository: String, _ tag: String, _ digest: String, _ references: [String]
    ) -> ImageRow {
        ImageRow(
            id: record.id, repository: repository, tag: tag, digest: digest,
            created: record.created > 0 ? record.created : record.added, size: record.size, references: references)
    }
}
