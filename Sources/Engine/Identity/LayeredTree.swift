import Glibc
import Linux

/// An image's files as overlayfs would show them, read without an overlay.
///
/// Every step opens one component with O_NOFOLLOW below a descriptor of a layer, and links are followed by this walk
/// itself: nothing in an image can lead outside of its layers (attack rows S19, S21). Whiteouts and opaque directories
/// are honoured.
public final class LayeredTree {
    /// One directory as the layers have it, top first.
    struct Directory {
        var parts: [Part]
    }

    /// What a path leads to.
    enum Node {
        case directory(Directory)
        /// Not a directory and not a link.
        case other(Found)
    }

    private let root: Directory

    /// - Parameters:
    ///   - layers: layers on the host, top first: directories, and indexes as ``ErofsLayer`` has them.
    ///   - mounting: mount indexed layers for as long as this lives, instead of reading their indexes: to copy from them.
    public init(layers: [String], mounting: Bool = false) throws(SystemError) {
        var parts: [Part] = []
        for layer in layers {
            parts.append(try Part(layer: layer, mounting: mounting))
            if try parts[parts.count - 1].isOpaque() { break }
        }
        root = Directory(parts: parts)
    }

    /// Reads a regular file.
    ///
    /// - Parameter limit: bytes; a longer file throws `.tooBig`, whatever its size claims to be.
    /// - Returns: nil when nothing is there.
    /// - Throws: `.invalid` when it is no regular file, `.loop` for too many links.
    public func readFile(_ path: String, limit: Int) throws(SystemError) -> [UInt8]? {
        guard let node = try find(path) else { return nil }
        guard case .other(let file) = node, file.type == S_IFREG else {
            throw SystemError(.invalid, "read (not a regular file)", path)
        }
        if file.size > limit { throw SystemError(.tooBig, "read", path) }
        return try file.contents(limit: limit)
    }

    /// Follows a path from the root of the image; nil when some component is missing.
    func find(_ path: String) throws(SystemError) -> Node? {
        var pending =
            path.split(separator: "/", omittingEmptySubsequences: true).map(String.init).reversed() as [String]
        var stack = [root]
        var links = 0
        while let name = pending.popLast() {
            if name == "." { continue }
            if name == ".." {
                if stack.count > 1 { stack.removeLast() }
                continue
            }
            if name.utf8.count > 255 { throw SystemError(.nameTooLong, "open", name) }
            switch try step(stack[stack.count - 1], name) {
            case nil: return nil
            case .directory(let directory): stack.append(directory)
            case .other(let found):
                if found.type == S_IFLNK {
                    links += 1
                    if links > 40 { throw SystemError(.loop, "open", path) }
                    let target = try found.target()
                    if target.hasPrefix("/") { stack = [root] }
                    pending += target.split(separator: "/", omittingEmptySubsequences: true).map(String.init).reversed()
                    if pending.count > 4096 { throw SystemError(.nameTooLong, "open", path) }
                } else {
                    return pending.isEmpty ? .other(found) : nil
                }
            }
        }
        return .directory(stack[stack.count - 1])
    }

    /// One component below a merged directory.
    func step(_ directory: Directory, _ name: String) throws(SystemError) -> Node? {
        var merged: [Part] = []
        for part in directory.parts {
            guard let found = try part.find(name) else { continue }
            if found.isWhiteout { break }  // nothing below counts
            if found.type != S_IFDIR {
                // A file below a directory is hidden by it; a file on top ends the search.
                if merged.isEmpty { return .other(found) }
                break
            }
            let child = try found.directory()
            merged.append(child)
            if try child.isOpaque() { break }
        }
        return merged.isEmpty ? nil : .directory(Directory(parts: merged))
    }

    /// Names in a merged directory, whiteouts applied; of layers that are mounted.
    func entries(_ directory: Directory) throws(SystemError) -> [String] {
        var seen: Set<String> = []
        var result: [String] = []
        for case .directory(let part) in directory.parts {
            let opened = try part.fd.open(".", [.readOnly, .directory])
            for entry in try directoryEntries(opened.fd) where seen.insert(entry.name).inserted {
                if entry.type == 2 || entry.type == 0 {  // DT_CHR, DT_UNKNOWN
                    let info = try part.fd.status(of: entry.name)
                    if info.st_mode & S_IFMT == S_IFCHR, info.st_rdev == 0 { continue }
                }
                result.append(entry.name)
            }
        }
        return result
    }
}
