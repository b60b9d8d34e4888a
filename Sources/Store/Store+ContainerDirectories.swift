import Linux

extension Store {
    /// Makes a container's directory with its writable layer.
    ///
    /// Before its row is inserted whoever makes it holds the lock in it, or it counts as garbage. Idempotent.
    /// - Returns: its absolute path; it has `upper` and `work` for overlay. Mode 0700 on the outside, so that the modes of
    ///   the container's own files protect nothing less than before (CVE-2021-41091).
    @discardableResult
    public func makeContainerDirectory(_ id: String) throws(StoreError) -> String {
        let relative = Directory.containers + "/" + id
        try system { () throws(SystemError) in
            try root.fd.makeDirectories(relative, mode: 0o700)
            try root.fd.makeDirectories(relative + "/upper", mode: 0o755)
            try root.fd.makeDirectories(relative + "/work", mode: 0o700)
        }
        return path + "/" + relative
    }

    /// The absolute path of a container's directory, made or not.
    public func containerDirectory(_ id: String) -> String { path + "/" + Directory.containers + "/" + id }

    /// Opens a container's directory.
    public func openContainerDirectory(_ id: String) throws(StoreError) -> OwnedFD {
        try directory(Directory.containers + "/" + id)
    }
}
