import CLinux
import Glibc

/// Path resolution inside a rootfs. Every path of config.json that names something in the container comes through here.
///
/// All resolution is `openat2` with RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS from the descriptor of the rootfs, so links
/// an image planted stay inside, and what was resolved is used as a descriptor, never as a path again
/// (CVE-2019-19921, CVE-2021-30465, CVE-2025-31133).
public struct RootfsPath {
    /// O_PATH descriptor of the root of the container's file system, in the container's mount namespace.
    public let root: FD

    public init(root: FD) { self.root = root }

    public enum Kind: Sendable { case directory, file }

    /// Opens an existing path without side effects (O_PATH).
    public func open(_ path: String, _ flags: OpenFlags = []) throws(SystemError) -> OwnedFD {
        try root.open(inRoot: path, flags.union(.path))
    }

    /// Opens a mount target, making it and its missing parents first.
    ///
    /// A dangling link is followed inside the root and its target made, as `-v sock:/var/run/x` on an image with
    /// `/var/run -> /run` expects.
    public func makeTarget(_ path: String, _ kind: Kind, mode: UInt32 = 0o755) throws(SystemError) -> OwnedFD {
        try makeTarget(path, kind, mode: mode, depth: 0)
    }

    private func makeTarget(_ path: String, _ kind: Kind, mode: UInt32, depth: Int) throws(SystemError) -> OwnedFD {
        // The bound covers a hostile chain of links as well as very deep paths.
        guard depth < 256 else { throw SystemError(.loop, "make mount target", path) }
        do throws(SystemError) {
            return try root.open(inRoot: path, .path)
        } catch {
            guard error.errno == .noEntry else { throw error }
        }
        let (parentPath, name) = splitLast(path)
        guard !name.isEmpty, name != ".", name != ".." else { throw SystemError(.noEntry, "make mount target", path) }
        let parent = try makeTarget(parentPath, .directory, mode: 0o755, depth: depth + 1)
        if let link = try? parent.fd.readLink(name) {
            let target = link.utf8.first == UInt8(ascii: "/") ? link : parentPath + "/" + link
            return try makeTarget(target, kind, mode: mode, depth: depth + 16)
        }
        switch kind {
        case .directory:
            let made = cl_mkdirat(parent.raw, name, mode)
            if made != -EEXIST { try check(made, "make directory", path) }
            return try parent.fd.open(name, [.path, .directory, .noFollow])
        case .file:
            let file = try parent.fd.open(name, [.writeOnly, .create, .noFollow, .nonBlocking], mode: 0o644)
            return try file.fd.pathDescriptor()
        }
    }
}

/// Splits at the last component; trailing slashes do not count.
public func splitLast(_ path: String) -> (parent: String, name: String) {
    let bytes = Array(path.utf8)
    var end = bytes.count
    while end > 0, bytes[end - 1] == UInt8(ascii: "/") { end -= 1 }
    var start = end
    while start > 0, bytes[start - 1] != UInt8(ascii: "/") { start -= 1 }
    let name = String(decoding: bytes[start..<end], as: UTF8.self)
    let parent = String(decoding: bytes[0..<start], as: UTF8.self)
    return (parent.isEmpty ? "/" : parent, name)
}

extension FD {
    /// An O_PATH descriptor of the same file, by way of `open_tree` without a clone (no procfs needed). Linux 5.2.
    public func pathDescriptor() throws(SystemError) -> OwnedFD {
        OwnedFD(owning: try check(cl_open_tree(rawValue, "", 0o2000000 | 0x1000), "reopen"))
    }
}

/// Lexical cleaning of an absolute path: `.` and `..` are resolved without looking at the file system.
public func cleanPath(_ path: String) -> String {
    var parts: [Substring] = []
    for part in path.split(separator: "/", omittingEmptySubsequences: true) {
        if part == "." { continue }
        if part == ".." { _ = parts.popLast() } else { parts.append(part) }
    }
    return "/" + parts.joined(separator: "/")
}
