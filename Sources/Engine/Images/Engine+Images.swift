import Glibc
import Linux
import OCI
import Store

/// What a container needs of its image.
struct ContainerImage {
    var id: String
    var platform: String
    var config: ContainerConfig
    /// Top first.
    var layers: [String]
}

extension Engine {
    /// The image a container is made from.
    ///
    /// - Throws: `.imageMissing` with Docker's sentence when it is not here and may be pulled.
    func image(for request: ContainerRequest) throws(EngineError) -> ContainerImage {
        if let base = request.base {
            return ContainerImage(id: "", platform: base.platform.description, config: base.config, layers: base.layers)
        }
        let reference = request.definition.image
        let store = try self.store()
        let record: ImageRecord
        do throws(StoreError) {
            record = try store.image(matching: reference)
        } catch {
            guard error.code == .notFound else { throw EngineError(error) }
            throw try missing(reference, request.pull)
        }
        let config = try stored { () throws(StoreError) in try store.imageConfig(id: record.id) }
        try checkPlatform(config.platform, request.platform, reference)
        return ContainerImage(
            id: record.id, platform: config.platform.description, config: config.config,
            layers: try stored { () throws(StoreError) in try store.layerDirectories(image: record.id) })
    }

    private func missing(_ text: String, _ policy: ContainerRequest.PullPolicy) throws(EngineError) -> EngineError {
        let name: String
        do throws(OCIError) {
            name = try Reference.parse(text).withDefaultTag.familiar
        } catch {
            return .invalid("invalid reference format: \(error.description)")
        }
        if policy == .never { return EngineError(.notFound, sentence: "No such image: \(name)") }
        return EngineError(.imageMissing, sentence: "Unable to find image '\(name)' locally")
    }

    public static func hostPlatform() -> Platform {
        var name = utsname()
        uname(&name)
        let machine = withUnsafeBytes(of: &name.machine) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        return Platform.host(system: "linux", machine: machine)
    }

    private func checkPlatform(_ image: Platform, _ wanted: String, _ reference: String) throws(EngineError) {
        let host = Engine.hostPlatform()
        if wanted.isEmpty {
            if host.runs(image) { return }
            warn(
                "WARNING: The requested image's platform (\(image)) does not match the detected host platform (\(host)) "
                    + "and no specific platform was requested")
            return
        }
        let platform: Platform
        do throws(OCIError) {
            platform = try Platform.parse(wanted, host: host)
        } catch {
            throw .invalid(error.description)
        }
        if platform.isSame(as: image) || platform.runs(image) { return }
        throw EngineError(
            .notFound,
            sentence:
                "image with reference \(reference) was found but its platform (\(image)) does not match the specified platform (\(platform))"
        )
    }

    /// The image a user means.
    public func image(_ text: String) throws(EngineError) -> ImageRecord {
        guard hasStore else { throw .noSuchImage(text) }
        let store = try self.store()
        do throws(StoreError) {
            return try store.image(matching: text)
        } catch {
            if error.code == .notFound { throw .noSuchImage(text) }
            throw EngineError(error)
        }
    }

    /// All images, newest first.
    public func images() throws(EngineError) -> [ImageRecord] {
        guard hasStore else { return [] }
        let store = try self.store()
        return try stored { () throws(StoreError) in try store.images() }
    }

    public func imageDetails(_ text: String) throws(EngineError) -> ImageDetails {
        let record: ImageRecord = try image(text)
        let store = try self.store()
        return try stored { () throws(StoreError) in try store.imageDetails(id: record.id) }
    }

    /// Brings images in from an archive or layout.
    ///
    /// - Parameter path: nil reads standard input.
    public func load(path: String?, platform: String) throws(EngineError) -> [LoadedImage] {
        let options = LoadOptions(platform: try self.platform(platform))
        // A mistake in it is told before a byte is read.
        _ = try Configuration.load()
        let store = try self.store()
        let loaded = try stored { () throws(StoreError) in
            if let path { return try store.load(path: path, options: options) }
            return try store.load(from: .standardInput, options: options)
        }
        try collectImages(keeping: Set(loaded.map(\.id)))
        for image in loaded { announce("load", image: image.id, name: image.id, labelsOf: image.id) }
        return loaded
    }

    /// Reads `--platform`; nil for nothing.
    public func platform(_ text: String) throws(EngineError) -> Platform? {
        if text.isEmpty { return nil }
        do throws(OCIError) {
            return try Platform.parse(text, host: Engine.hostPlatform())
        } catch {
            throw .invalid(error.description)
        }
    }
}
