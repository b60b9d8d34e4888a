import CLinux
import Glibc
import Linux
import Store

extension LayeredTree {
    /// A directory of one layer.
    enum Part {
        case directory(SharedFD)
        /// Of a layer that is read by its index, without a mount.
        case index(LayerIndexReader, LayerIndexReader.Node)

        /// The layer's root.
        ///
        /// - Parameter mounting: mount layers that have an index.
        init(layer: String, mounting: Bool) throws(SystemError) {
            guard ErofsLayer.isIndex(layer) else {
                self = .directory(SharedFD(try FD.cwd.open(layer, [.path, .directory, .noFollow])))
                return
            }
            if mounting {
                self = .directory(SharedFD(try ErofsLayer.mount(layer)))
            } else {
                let reader = try LayerIndexReader(layer)
                self = .index(reader, try reader.root())
            }
        }

        /// What a name in it is; nil for nothing.
        func find(_ name: String) throws(SystemError) -> Found? {
            switch self {
            case .directory(let directory):
                do {
                    return .entry(directory, name, try directory.fd.status(of: name))
                } catch  where error.errno == .noEntry {
                    return nil
                }
            case .index(let reader, let node): return try reader.find(name, in: node).map { .node(reader, $0) }
            }
        }

        /// Whether it hides what is below it. Root stores use `trusted.`, user namespaces `user.`.
        func isOpaque() throws(SystemError) -> Bool {
            switch self {
            case .index(let reader, let node): return try reader.isOpaque(node)
            case .directory(let directory):
                // An O_PATH descriptor has no fgetxattr(2); "/." names the directory without following anything further.
                let path = directory.fd.procPath + "/."
                for name in ["trusted.overlay.opaque", "user.overlay.opaque"] {
                    var value: UInt8 = 0
                    if cl_lgetxattr(path, name, &value, 1) == 1, value == UInt8(ascii: "y") { return true }
                }
                return false
            }
        }
    }

    /// Something that has a name in a layer.
    enum Found {
        case entry(_ parent: SharedFD, _ name: String, _ info: stat)
        case node(LayerIndexReader, LayerIndexReader.Node)

        var type: UInt32 {
            switch self {
            case .entry(_, _, let info): info.st_mode & S_IFMT
            case .node(_, let node): node.mode & S_IFMT
            }
        }

        var size: Int64 {
            switch self {
            case .entry(_, _, let info): Int64(info.st_size)
            case .node(_, let node): node.size
            }
        }

        var isWhiteout: Bool {
            switch self {
            case .entry(_, _, let info): info.st_mode & S_IFMT == S_IFCHR && info.st_rdev == 0
            case .node(_, let node): node.isWhiteout
            }
        }

        func directory() throws(SystemError) -> Part {
            switch self {
            case .entry(let parent, let name, _):
                .directory(SharedFD(try parent.fd.open(name, [.path, .directory, .noFollow])))
            case .node(let reader, let node): .index(reader, node)
            }
        }

        func target() throws(SystemError) -> String {
            switch self {
            case .entry(let parent, let name, _): try parent.fd.readLink(name)
            case .node(let reader, let node): try reader.target(of: node)
            }
        }

        /// A regular file's bytes.
        func contents(limit: Int) throws(SystemError) -> [UInt8] {
            switch self {
            case .entry(let parent, let name, _):
                // O_NONBLOCK: should it have become a FIFO meanwhile, the open must not wait.
                let file = try parent.fd.open(name, [.readOnly, .noFollow, .nonBlocking])
                guard try file.fd.status().st_mode & S_IFMT == S_IFREG else {
                    throw SystemError(.invalid, "read (not a regular file)", name)
                }
                return try file.fd.readAll(limit: limit)
            case .node(let reader, let node): return try reader.contents(of: node)
            }
        }
    }
}
