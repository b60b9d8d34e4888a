import Linux
import Store

/// Volumes as archives.
extension Engine {
    /// Writes a volume's content as a tar.
    ///
    /// What containers write meanwhile may be in it or not.
    /// - Parameters:
    ///   - name: of the volume, or `VOLUME@SNAPSHOT`.
    ///   - path: of a file that appears whole or not at all; nil is standard output.
    public func exportVolume(_ name: String, path: String?) throws(EngineError) {
        let reference = VolumeReference(name)
        let content = try open(reference, try volume(reference.volume), "export")
        let store = try self.store()
        try stored { () throws(StoreError) in
            if let path { return try store.exportTree(content, toPath: path) }
            try store.exportTree(content, to: .standardOutput)
        }
    }

    /// Adds the content of an archive to a volume's; all of it or nothing.
    ///
    /// - Parameter path: nil reads standard input.
    /// - Throws: `.conflict` while a container that uses the volume runs.
    public func importVolume(_ name: String, path: String?) throws(EngineError) {
        let volume = try volume(name)
        try requireOwnContent(volume, "import")
        let file: SharedFD = try during("open", path ?? "-") { () throws(SystemError) in
            if let path { return SharedFD(try FD.cwd.open(path, .readOnly)) }
            return SharedFD(try FD.standardInput.duplicate())
        }
        let held = try holdContainers(ofVolume: name, "import")
        defer { withExtendedLifetime(held) {} }
        let store = try self.store()
        do throws(StoreError) {
            try store.importVolume(name, from: file.fd, users: held.ids)
        } catch {
            if error.code == .notFound { throw .noSuchVolume(name) }
            throw EngineError(error)
        }
    }

    /// A volume's content, to be read.
    func openContent(of volume: VolumeView, _ purpose: String) throws(EngineError) -> SharedFD {
        var path = volume.mountpoint
        switch LocalDriver(volume.options)?.source {
        case nil:
            let store = try self.store()
            _ = try stored { () throws(StoreError) in try store.volumeDirectory(volume.name) }
        case .bind(let device, _): path = device
        default: try requireOwnContent(volume, purpose)
        }
        return try during("open volume", volume.name) { () throws(SystemError) in
            SharedFD(try FD.cwd.open(path, [.readOnly, .directory]))
        }
    }

    /// - Throws: `.invalid` for a volume whose content is elsewhere.
    func requireOwnContent(_ volume: VolumeView, _ purpose: String) throws(EngineError) {
        guard LocalDriver(volume.options) != nil else { return }
        throw .invalid(
            "\(purpose) \(volume.name): its content is not in the store but in what its options name (device=\(volume.options["device"] ?? "")); "
                + "do it there, or in a container that uses it")
    }
}
