import Archive
import OCI

/// The files of an archive by name, with its links resolved. `Content` says where a file's bytes are.
///
/// Names are keys that reach no system call.
public struct ArchiveMembers<Content> {
    private enum Member {
        case content(Content)
        case link(String)
    }

    private var members: [String: Member] = [:]
    /// What is read, for messages.
    private let archive: String

    /// Far more files than images have, and a bound on what an archive of empty files costs.
    private static var maximum: Int { 100_000 }

    public init(of archive: String) { self.archive = archive }

    /// Adds an entry: a later one of the same name counts.
    ///
    /// - Parameter content: nil for what is no file that can be read from its place.
    /// - Throws: `.tooLarge` for too many; `.unsupported` for a sparse file.
    public mutating func add(_ entry: TarEntry, _ content: Content?) throws(ArchiveError) {
        guard members.count < Self.maximum else {
            throw ArchiveError(.tooLarge, "read image archive", archive, cause: "more than \(Self.maximum) files")
        }
        let name = Self.normalised(String(decoding: entry.path, as: UTF8.self), in: "")
        let target = String(decoding: entry.linkPath, as: UTF8.self)
        switch entry.kind {
        case .file:
            guard let content, !entry.isSparse else {
                throw ArchiveError(.unsupported, "read image archive", printable(entry.path), cause: "sparse file")
            }
            members[name] = .content(content)
        case .hardLink: members[name] = .link(Self.normalised(target, in: ""))
        case .symbolicLink:
            let directory = name.utf8.lastIndex(of: UInt8(ascii: "/")).map { String(name[..<$0]) } ?? ""
            members[name] = .link(Self.normalised(target, in: directory))
        default: break
        }
    }

    /// The content of a file; nil when there is none.
    public func find(_ name: String) -> Content? {
        var current = Self.normalised(name, in: "")
        // Docker's older layout needs one step; chains are an attack or a mistake.
        for _ in 0..<8 {
            switch members[current] {
            case .content(let content): return content
            case .link(let target): current = target
            case nil: return nil
            }
        }
        return nil
    }

    /// A path without `.`, `..` and double slashes.
    private static func normalised(_ path: String, in directory: String) -> String {
        var parts = path.utf8.first == UInt8(ascii: "/") ? [] : directory.split(separator: "/")
        for part in path.split(separator: "/") where part != "." {
            if part == ".." { _ = parts.popLast() } else { parts.append(part) }
        }
        return parts.joined(separator: "/")
    }
}
