import Glibc
import Linux

extension Store {
    /// As ``save(_:to:format:)`` to a path: the file or directory appears whole or not at all, and survives power loss.
    ///
    /// What is there and is no regular file (a device, a fifo, a link such as `/dev/stdout`) is written to as it is.
    /// - Throws: also `.invalid` for ``SaveFormat/ociDirectory`` where something is already.
    public func save(_ images: [SavedImage], toPath path: String, format: SaveFormat) throws(StoreError) {
        guard format == .ociDirectory else {
            return try writeWhole(path, "save images") { (file) throws(StoreError) in try save(images, to: file, format: format) }
        }
        let target = try SaveTarget(path, "save images")
        if try target.existing() != nil {
            throw StoreError(.invalid, "save images", path, cause: "it exists; an OCI layout is written to a new directory")
        }
        try saveDirectory(images, target)
    }

    /// Writes a file that appears whole or not at all, and survives power loss; what is there and is no regular file is
    /// written to as it is.
    func writeWhole(_ path: String, _ operation: String, _ write: (FD) throws(StoreError) -> Void) throws(StoreError) {
        let target = try SaveTarget(path, operation)
        if let present = try target.existing(), present.st_mode & S_IFMT != S_IFREG {
            let file = try system { () throws(SystemError) in
                SharedFD(try FD.cwd.open(path, [.writeOnly, .truncate, .noControllingTerminal]))
            }
            return try write(file.fd)
        }
        let parent = target.parent.fd
        let file = try system { () throws(SystemError) in
            SharedFD(try parent.open(target.staging, [.writeOnly, .create, .exclusive, .noFollow], mode: 0o600))
        }
        do throws(StoreError) {
            try write(file.fd)
            try system { () throws(SystemError) in
                // The bytes first, then the name, then the directory that holds it.
                try file.fd.sync()
                try parent.rename(target.staging, to: target.name)
                try parent.sync()
            }
        } catch {
            try? parent.removeFile(target.staging)
            throw error
        }
    }

    private func saveDirectory(_ images: [SavedImage], _ target: SaveTarget) throws(StoreError) {
        let parent = target.parent.fd
        let directory = try system { () throws(SystemError) in
            try parent.makeDirectory(target.staging, mode: 0o755)
            return SharedFD(try parent.open(target.staging, [.directory, .noFollow]))
        }
        do throws(StoreError) {
            try save(images, to: directory.fd, format: .ociDirectory)
            try system { () throws(SystemError) in
                // RENAME_NOREPLACE: two commands with one name do not lose each other's.
                try parent.rename(target.staging, to: target.name, flags: 1)
                try parent.sync()
            }
        } catch {
            try? removeTree(parent, target.staging)
            throw error
        }
    }
}

/// A path as the directory it is in and the name there.
private struct SaveTarget {
    let parent: SharedFD
    let name: String
    /// Beside the target, so that it can be renamed over it.
    var staging: String { "\(name).\(getpid()).new" }

    init(_ path: String, _ operation: String) throws(StoreError) {
        var rest = path[...]
        while rest.utf8.count > 1, rest.utf8.last == UInt8(ascii: "/") { rest.removeLast() }
        let slash = rest.utf8.lastIndex(of: UInt8(ascii: "/"))
        name = String(slash.map { rest[rest.utf8.index(after: $0)...] } ?? rest)
        guard !name.isEmpty, name != ".", name != ".." else {
            throw StoreError(.invalid, operation, path, cause: "it has no file name")
        }
        let directory = slash.map { $0 == rest.startIndex ? "/" : String(rest[..<$0]) } ?? "."
        parent = try system { () throws(SystemError) in SharedFD(try FD.cwd.open(directory, [.directory])) }
    }

    /// What has the name itself; nil when nothing has.
    func existing() throws(StoreError) -> stat? {
        do throws(SystemError) { return try parent.fd.status(of: name) } catch {
            if error.errno == .noEntry { return nil }
            throw StoreError(error)
        }
    }
}
