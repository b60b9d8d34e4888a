import JSON
import Linux
import OCI
import Registry

extension Engine {
    /// What ``inspectImage(at:_:show:)`` gives.
    public enum RemoteInspection: Sendable {
        /// skopeo's summary.
        case summary(tags: Bool)
        /// The exact bytes of the manifest or index.
        case manifest
        /// The exact bytes of the config.
        case config
    }

    /// An image anywhere, without bringing it in.
    ///
    /// - Parameter platform: which of several platforms; empty takes the one for this machine.
    public func inspectImage(
        at location: ImageLocation, _ access: TransferAccess, platform: String, policy: Policy, show: RemoteInspection
    ) throws(EngineError) -> [UInt8] {
        let source = try openSource(location, access)
        let top = try source.topManifest()
        try policy.check(PolicySubject(location), manifestDigest: top.digest, signatures(of: source))
        if case .manifest = show { return top.raw }
        let manifest = try image(of: top, source, try self.platform(platform))
        let config = try source.bytes(of: manifest.config)
        guard case .summary(let tags) = show else { return config }
        var all: [String] = []
        if tags, let source = source as? RegistrySource {
            all = try remote { () throws(RegistryError) in try source.repository.tags() }.sorted()
        }
        return try summary(location, top, manifest, config, all)
    }

    private func image(
        of top: FoundManifest, _ source: any ImageSource, _ wanted: Platform?
    ) throws(EngineError) -> Manifest {
        var options = CopyOptions()
        options.platform = wanted
        let plan = try CopyPlan.make(top, source, Inquiry(source.location), options, nil)
        guard case .image(let manifest, _) = plan.top else { throw .damaged(source.location.description, "no image") }
        return manifest
    }

    private func summary(
        _ location: ImageLocation, _ top: FoundManifest, _ manifest: Manifest, _ config: [UInt8], _ tags: [String]
    ) throws(EngineError) -> [UInt8] {
        let value: JSONValue
        do throws(JSONError) { value = try JSONValue.parse(config) } catch {
            throw .damaged(manifest.config.digest.description, error.description)
        }
        return JSONWriter.document(indent: "    ") { w in
            w.object { w in
                w.fieldIfNotEmpty("Name", location.reference.map(\.name) ?? "")
                w.field("Digest", top.digest.description)
                w.field("RepoTags", tags)
                w.field("Created", value["created"] ?? .null)
                w.field("DockerVersion", value["docker_version"]?.string ?? "")
                w.field("Labels", value["config"]?["Labels"] ?? .null)
                w.field("Architecture", value["architecture"]?.string ?? "")
                w.fieldIfNotEmpty("Variant", value["variant"]?.string ?? "")
                w.field("Os", value["os"]?.string ?? "")
                w.field("Layers", manifest.layers.map(\.digest.description))
                w.array("LayersData", manifest.layers) { w, layer in
                    w.object { w in
                        w.field("MIMEType", layer.mediaType.rawValue)
                        w.field("Digest", layer.digest.description)
                        w.field("Size", layer.size)
                        if layer.annotations.isEmpty {
                            w.nullField("Annotations")
                        } else {
                            w.field("Annotations", layer.annotations)
                        }
                    }
                }
                w.field("Env", value["config"]?["Env"] ?? .null)
            }
        }
    }

    /// All tags of a repository, or all names in a docker archive.
    public func listTags(
        _ location: ImageLocation, _ access: TransferAccess
    ) throws(EngineError) -> (repository: String?, tags: [String]) {
        switch location.transport {
        case .registry:
            guard let reference = location.reference else { throw .invalid("\(location): no name of a repository") }
            return (reference.name, try access.tags(of: reference))
        case .dockerArchive:
            return (nil, try DockerArchiveEntry.all(try ImageFiles(archive: location.path)).flatMap(\.tags))
        default:
            throw EngineError(
                .notSupported,
                sentence:
                    "unsupported transport '\(location.transport.rawValue)' for tag listing: only docker:// and docker-archive: have tags")
        }
    }

    /// Deletes the manifest that a name stands for, and with it every tag that names it.
    ///
    /// - Returns: its digest.
    @discardableResult
    public func deleteImage(at location: ImageLocation, _ access: TransferAccess) throws(EngineError) -> Digest {
        guard location.transport == .registry, let reference = location.reference else {
            throw EngineError(
                .notSupported,
                sentence: location.transport == .store
                    ? "to remove an image of the local store, use berth rmi \(location.name)"
                    : "deleting is for registries only: \(location) is a file or directory, remove it with rm")
        }
        let client = try access.client()
        defer { withExtendedLifetime(client) {} }
        return try remote { () throws(RegistryError) in
            let repository = try client.repository(reference)
            guard let found = try repository.head(reference.target) else {
                throw RegistryError(.notFound, "manifest of \(reference) not found: check the name and the tag")
            }
            // What it refers to is read while it is there.
            let manifest = try? repository.manifest(found.digest.description)
            do throws(RegistryError) { try repository.delete(found.digest.description) } catch {
                guard error.status == 405 else { throw error }
                throw RegistryError(
                    error.code, "\(reference.domain) does not allow deletion: its operator must enable it", status: error.status)
            }
            if let manifest { try repository.unlistReferrer(manifest) }
            return found.digest
        }
    }
}

/// A destination that nothing is written to: for asking which image would be copied.
private final class Inquiry: ImageDestination {
    let location: ImageLocation
    let keepsIndexes = false
    let prefersCompressed = false
    init(_ location: ImageLocation) { self.location = location }
    func begin() throws(EngineError) {}
    func has(_ blob: Descriptor, from source: ImageLocation) throws(EngineError) -> Bool { true }
    func put(_ blob: Descriptor, _ content: BlobContent) throws(EngineError) {}
    func put(manifest: FoundManifest, isTop: Bool) throws(EngineError) {}
    func commit() throws(EngineError) {}
    func abandon() {}
}
