import Glibc
import Linux
import Store

extension Engine {
    /// Bytes a container's writable layer takes on disk; what may not be read is not counted.
    public func writtenSize(_ id: String) -> Int64 {
        guard let root = try? FD.cwd.open(roots.container(id) + "/upper", [.readOnly, .directory, .noFollow]) else {
            return 0
        }
        var total: Int64 = 0
        var pending = [SharedFD(root)]
        while let directory = pending.popLast() {
            guard let entries = try? directoryEntries(directory.fd) else { continue }
            for (name, _) in entries {
                guard let info = try? directory.fd.status(of: name) else { continue }
                if info.st_mode & S_IFMT == S_IFDIR {
                    if let child = try? directory.fd.open(name, [.readOnly, .directory, .noFollow]) {
                        pending.append(SharedFD(child))
                    }
                } else if info.st_mode & S_IFMT == S_IFREG {
                    total &+= Int64(info.st_size)
                }
            }
        }
        return total
    }

    /// The writable layer and the image below it.
    public func virtualSize(_ view: ContainerView) -> Int64 {
        let store = try? self.store()
        let image = (try? store?.image(id: view.definition.imageID)) ?? nil
        return writtenSize(view.id) &+ (image?.size ?? 0)
    }
}
