import Glibc
import Linux
import OCI
import Store

extension Engine {
    /// Makes an image from the tar of a root file system.
    ///
    /// - Parameters:
    ///   - path: nil reads standard input.
    ///   - changes: instructions in the language of Dockerfiles.
    /// - Returns: the image's id.
    public func importRootFileSystem(
        path: String?, name: String?, changes: [String], message: String, platform: String
    ) throws(EngineError) -> String {
        // Everything that was typed is checked before a byte is read.
        let config = try ImageChanges(changes).config
        var reference: Reference?
        if let name {
            do throws(OCIError) { reference = try Reference.parse(name).withDefaultTag } catch {
                throw .invalid(error.description)
            }
        }
        let request = ImportRequest(
            name: reference, config: config, platform: try self.platform(platform), message: message,
            source: path ?? "-")
        let store = try self.store()
        let file: SharedFD = try during("open", path ?? "-") { () throws(SystemError) in
            if let path { return SharedFD(try FD.cwd.open(path, .readOnly)) }
            return SharedFD(try FD.standardInput.duplicate())
        }
        return try stored { () throws(StoreError) in try store.importRootFileSystem(from: file.fd, request).id }
    }

    /// Writes images to a file, or to standard output when `path` is nil.
    ///
    /// A file appears whole or not at all.
    public func save(_ names: [String], path: String?, format: String) throws(EngineError) {
        guard let format = SaveFormat(rawValue: format.isEmpty ? SaveFormat.dockerArchive.rawValue : format) else {
            throw .invalid("unknown format \"\(format)\": use docker-archive or oci-archive")
        }
        var images: [(id: String, names: [Reference])] = []
        for name in names {
            let record: ImageRecord = try image(name)
            // Saved under the name it was asked for by; by its id, without one.
            let named = (try? Reference.parse(name).withDefaultTag).flatMap {
                record.names.contains($0.description) ? $0 : nil
            }
            if let known = images.firstIndex(where: { $0.id == record.id }) {
                if let named, !images[known].names.contains(named) { images[known].names.append(named) }
            } else {
                images.append((record.id, named.map { [$0] } ?? []))
            }
        }
        let store = try self.store()
        guard let path else {
            try stored { () throws(StoreError) in try store.save(images, to: .standardOutput, format: format) }
            return
        }
        let staging = path + ".\(getpid()).new"
        let file = try during("create", path) { () throws(SystemError) in
            SharedFD(try FD.cwd.open(staging, [.writeOnly, .create, .exclusive], mode: 0o600))
        }
        do throws(EngineError) {
            try stored { () throws(StoreError) in try store.save(images, to: file.fd, format: format) }
            try during("write", path) { () throws(SystemError) in
                try file.fd.sync()
                try FD.cwd.rename(staging, to: path)
            }
        } catch {
            try? FD.cwd.removeFile(staging)
            throw error
        }
    }
}
