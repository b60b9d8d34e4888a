import Archive
import Linux

/// What an overlay writes into its upper layer about the layers below.
///
/// Kernel: overlayfs.rst, "whiteouts and opaque directories". What they become in an archive: OCI image-spec 1.1 layer.md.
public struct OverlayMarks: Sendable {
    private let prefix: String

    /// - Parameter isUser: the overlay is mounted in a user namespace (`userxattr`); an attribute of the other prefix means
    ///   nothing then, as programs of the container could write it.
    public init(isUser: Bool) { prefix = isUser ? "user.overlay." : "trusted.overlay." }

    /// Whether a directory hides all that is below it.
    ///
    /// - Throws: `.unsupported` for what is not here in full (`redirect_dir`, `metacopy`).
    func isOpaque(_ attributes: [String: [UInt8]], _ path: [UInt8]) throws(StoreError) -> Bool {
        if attributes.isEmpty { return false }
        for name in ["redirect", "metacopy"] where attributes[prefix + name] != nil {
            throw StoreError(
                .unsupported, "read", printable(path),
                cause:
                    "overlay keeps a part of it elsewhere: turn /sys/module/overlay/parameters/\(name == "redirect" ? "redirect_dir" : name) off"
            )
        }
        return attributes[prefix + "opaque"] == [UInt8(ascii: "y")]
    }

    /// Whether an attribute is a note of overlay's for itself: where a file was copied from, and the like. Kernel: fs/overlayfs/overlayfs.h,
    /// `enum ovl_xattr`.
    func isTransient(_ name: String) -> Bool {
        guard name.hasPrefix(prefix) else { return false }
        return ["origin", "impure", "nlink", "upper", "uuid", "protattr"].contains(String(name.dropFirst(prefix.utf8.count)))
    }

    static func whiteout(of path: [UInt8]) -> TarEntry {
        let start = path.lastIndex(of: UInt8(ascii: "/")).map { $0 + 1 } ?? 0
        return TarEntry(kind: .file, path: path[..<start] + Array(".wh.".utf8) + path[start...], mode: 0o600)
    }

    static func opaque(_ path: [UInt8]) -> TarEntry {
        TarEntry(kind: .file, path: (path.isEmpty ? [] : path + [UInt8(ascii: "/")]) + Array(".wh..wh..opq".utf8), mode: 0o600)
    }
}
