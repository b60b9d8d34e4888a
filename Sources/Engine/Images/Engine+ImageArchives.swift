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
        _ = try Configuration.load()
        var reference: Reference?
        if let name {
            do throws(OCIError) { reference = try Reference.parse(name).withDefaultTag } catch {
                throw .invalid(error.description)
            }
            // What the image's digest will be is not known before it is made.
            if reference?.digest != nil { throw .invalid("cannot import under a name with a digest: \(name)") }
        }
        let request = ImportRequest(
            name: reference, config: config, platform: try self.platform(platform), message: message,
            source: path ?? "-")
        let store = try self.store()
        let file: SharedFD
        do throws(SystemError) {
            if let path { file = SharedFD(try FD.cwd.open(path, .readOnly)) } else { file = SharedFD(try FD.standardInput.duplicate()) }
        } catch {
            throw EngineError(.system, "open", path ?? "-", cause: error.cause)
        }
        let id = try stored { () throws(StoreError) in try store.importRootFileSystem(from: file.fd, request).id }
        try collectImages(keeping: [id])
        if let reference { announce("tag", image: id, name: reference.familiar, labelsOf: id) }
        announce("import", image: id, name: id)
        return id
    }

    /// Writes images to a file or directory, or to standard output when `path` is nil.
    ///
    /// A file or directory appears whole or not at all.
    /// - Parameter platform: what the images have to be; empty takes them as they are.
    public func save(_ names: [String], path: String?, format: String, platform: String) throws(EngineError) {
        guard let format = SaveFormat(rawValue: format.isEmpty ? SaveFormat.dockerArchive.rawValue : format) else {
            throw .invalid(
                "unknown format \"\(format)\": use \(SaveFormat.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        let wanted = try self.platform(platform)
        var images: [Store.SavedImage] = []
        for name in names {
            let record: ImageRecord = try image(name)
            // Saved under the name it was asked for by; by its id, without one.
            let named = (try? Reference.parse(name).withDefaultTag).flatMap {
                record.names.contains($0.description) ? $0 : nil
            }
            if let known = images.firstIndex(where: { $0.id == record.id }) {
                if let named, !images[known].names.contains(named) { images[known].names.append(named) }
            } else {
                if let wanted { try check(record, name, wanted) }
                images.append((record.id, named.map { [$0] } ?? []))
            }
        }
        let store = try self.store()
        try stored { () throws(StoreError) in
            if let path { return try store.save(images, toPath: path, format: format) }
            guard format != .ociDirectory else {
                throw StoreError(.invalid, "save images", cause: "oci-dir writes a directory: name it with -o")
            }
            try store.save(images, to: .standardOutput, format: format)
        }
        for image in images { announce("save", image: image.id, name: image.id, labelsOf: image.id) }
    }

    private func check(_ record: ImageRecord, _ name: String, _ wanted: Platform) throws(EngineError) {
        let store = try self.store()
        let platform = try stored { () throws(StoreError) in try store.imageConfig(id: record.id).platform }
        guard !wanted.isSame(as: platform), !wanted.runs(platform) else { return }
        throw EngineError(
            .notFound,
            sentence: "image with reference \(name) was found but its platform (\(platform)) does not match the "
                + "specified platform (\(wanted))")
    }
}
