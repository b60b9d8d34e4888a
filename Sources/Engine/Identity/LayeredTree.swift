import CLinux
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
        var parts: [SharedFD]
    }

    /// What a path leads to.
    enum Node {
        case directory(Directory)
        /// Not a directory and not a link: in the directory `parent`, under `name`.
        case other(parent: SharedFD, name: String, info: stat)
    }

    private let root: Directory

    /// - Parameter layers: layers on the host, top first: directories, and indexes, which are mounted for as long as this lives.
    public init(layers: [String]) throws(SystemError) {
        var parts: [SharedFD] = []
        for layer in layers {
            let part =
                try ErofsLayer.isIndex(layer) ? ErofsLayer.mount(layer) : FD.cwd.open(layer, [.path, .directory, .noFollow])
            parts.append(SharedFD(part))
            if LayeredTree.isOpaque(parts[parts.count - 1].fd) { break }
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
        guard case .other(let parent, let name, let info) = node, info.st_mode & S_IFMT == S_IFREG else {
            throw SystemError(.invalid, "read (not a regular file)", path)
        }
        if info.st_size > limit { throw SystemError(.tooBig, "read", path) }
        // O_NONBLOCK: should it have become a FIFO meanwhile, the open must not wait.
        let file = try parent.fd.open(name, [.readOnly, .noFollow, .nonBlocking])
        guard try file.fd.status().st_mode & S_IFMT == S_IFREG else {
            throw SystemError(.invalid, "read (not a regular file)", path)
        }
        return try file.fd.readAll(limit: limit)
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
            case .other(let parent, let entry, let info):
                if info.st_mode & S_IFMT == S_IFLNK {
                    links += 1
                    if links > 40 { throw SystemError(.loop, "open", path) }
                    let target = try parent.fd.readLink(entry)
                    if target.hasPrefix("/") { stack = [root] }
                    pending += target.split(separator: "/", omittingEmptySubsequences: true).map(String.init).reversed()
                    if pending.count > 4096 { throw SystemError(.nameTooLong, "open", path) }
                } else {
                    return pending.isEmpty ? .other(parent: parent, name: entry, info: info) : nil
                }
            }
        }
        return .directory(stack[stack.count - 1])
    }

    /// One component below a merged directory.
    func step(_ directory: Directory, _ name: String) throws(SystemError) -> Node? {
        var merged: [SharedFD] = []
        for part in directory.parts {
            let info: stat
            do {
                info = try part.fd.status(of: name)
            } catch  where error.errno == .noEntry {
                continue
            }
            let type = info.st_mode & S_IFMT
            if type == S_IFCHR, info.st_rdev == 0 { break }  // whiteout: nothing below counts
            if type != S_IFDIR {
                // A file below a directory is hidden by it; a file on top ends the search.
                if merged.isEmpty { return .other(parent: part, name: name, info: info) }
                break
            }
            let child = SharedFD(try part.fd.open(name, [.path, .directory, .noFollow]))
            merged.append(child)
            if LayeredTree.isOpaque(child.fd) { break }
        }
        return merged.isEmpty ? nil : .directory(Directory(parts: merged))
    }

    /// Names in a merged directory with where each is found, whiteouts applied.
    func entries(_ directory: Directory) throws(SystemError) -> [String] {
        var seen: Set<String> = []
        var result: [String] = []
        for part in directory.parts {
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

    /// Whether an overlay directory hides what is below it. Root stores use `trusted.`, user namespaces `user.`.
    private static func isOpaque(_ directory: FD) -> Bool {
        // An O_PATH descriptor has no fgetxattr(2); "/." names the directory without following anything further.
        let path = directory.procPath + "/."
        for name in ["trusted.overlay.opaque", "user.overlay.opaque"] {
            var value: UInt8 = 0
            if cl_lgetxattr(path, name, &value, 1) == 1, value == UInt8(ascii: "y") { return true }
        }
        return false
    }
}
