import JSON
import Linux
import OCI
import Store

/// What is recorded about an image of a list beside what it says of itself; nil leaves a field as it is.
public struct ManifestAnnotations: Sendable {
    public var os: String?
    public var architecture: String?
    public var variant: String?
    public var osVersion: String?
    public var osFeatures: [String]?
    public var annotations: [String: String] = [:]

    public init() {}

    func apply(to descriptor: inout Descriptor) {
        var platform = descriptor.platform ?? Platform(os: "", architecture: "")
        if let os { platform.os = os }
        if let architecture { platform.architecture = architecture }
        if let variant { platform.variant = variant }
        if let osVersion { platform.osVersion = osVersion }
        if let osFeatures { platform.osFeatures = osFeatures }
        if !platform.os.isEmpty || !platform.architecture.isEmpty { descriptor.platform = platform }
        descriptor.annotations.merge(annotations) { _, new in new }
    }
}

extension Engine {
    private var manifestLists: ManifestListFiles { ManifestListFiles(roots) }

    private func listName(_ text: String) throws(EngineError) -> Reference {
        do throws(OCIError) {
            let reference = try Reference.parse(text).withDefaultTag
            if reference.digest != nil {
                throw OCIError(code: .invalidReference, operation: "parse reference", object: text, cause: "a list has a tag, not a digest")
            }
            return reference
        } catch { throw .invalid("error parsing name for manifest list \(text): \(error.description)") }
    }

    private static func noSuchList(_ name: Reference) -> EngineError {
        EngineError(.notFound, sentence: "no such manifest: \(name): make a list with berth manifest create \(name.familiar)")
    }

    /// Begins a list, or adds to one with `amends`.
    ///
    /// - Parameter all: of an image of several platforms, all are added.
    /// - Returns: the full name.
    public func createManifestList(
        _ name: String, members: [String], amends: Bool, all: Bool, annotations: [String: String], _ access: TransferAccess
    ) throws(EngineError) -> String {
        let name = try listName(name)
        if !amends, try manifestLists.read(name) != nil { throw Engine.exists(name) }
        // The network first: the file is not locked while it works.
        var entries: [ManifestList.Entry] = []
        for member in members { entries += try listEntries(member, all: all, access) }
        try manifestLists.change(name) { (list) throws(EngineError) in
            if list != nil, !amends { throw Engine.exists(name) }
            var changed = list ?? ManifestList(name: name.description)
            for entry in entries { changed.add(entry) }
            changed.annotations.merge(annotations) { _, new in new }
            list = changed
        }
        return name.description
    }

    private static func exists(_ name: Reference) -> EngineError {
        EngineError(.conflict, sentence: "refusing to amend an existing manifest list with no --amend flag: \(name)")
    }

    /// Adds an image to a list.
    ///
    /// - Returns: the digests that were added.
    public func addToManifestList(
        _ name: String, _ member: String, _ changes: ManifestAnnotations, all: Bool, _ access: TransferAccess
    ) throws(EngineError) -> [Digest] {
        let name = try listName(name)
        guard try manifestLists.read(name) != nil else { throw Engine.noSuchList(name) }
        // What the list is to say of the image is also which of several is meant.
        let wanted = changes.architecture.map { Platform(os: changes.os ?? "linux", architecture: $0, variant: changes.variant ?? "") }
        var entries = try listEntries(member, all: all, access, platform: wanted)
        for number in entries.indices { changes.apply(to: &entries[number].descriptor) }
        try manifestLists.change(name) { (list) throws(EngineError) in
            guard list != nil else { throw Engine.noSuchList(name) }
            for entry in entries { list?.add(entry) }
        }
        return entries.map(\.descriptor.digest)
    }

    /// Changes what a list says of one of its images, or of itself where `member` is nil.
    public func annotateManifestList(
        _ name: String, member: String?, _ changes: ManifestAnnotations
    ) throws(EngineError) {
        let name = try listName(name)
        try manifestLists.change(name) { (list) throws(EngineError) in
            guard var changed = list else { throw Engine.noSuchList(name) }
            if let member {
                changes.apply(to: &changed.entries[try changed.find(member)].descriptor)
            } else {
                changed.annotations.merge(changes.annotations) { _, new in new }
            }
            list = changed
        }
    }

    /// Takes an image out of a list.
    public func removeFromManifestList(_ name: String, _ member: String) throws(EngineError) -> Digest {
        let name = try listName(name)
        return try manifestLists.change(name) { (list) throws(EngineError) in
            guard var changed = list else { throw Engine.noSuchList(name) }
            let removed = changed.entries.remove(at: try changed.find(member))
            list = changed
            return removed.descriptor.digest
        }
    }

    /// Removes a whole list; what it lists stays.
    public func removeManifestList(_ name: String) throws(EngineError) {
        let name = try listName(name)
        guard try manifestLists.read(name) != nil else { throw Engine.noSuchList(name) }
        try manifestLists.change(name) { (list) throws(EngineError) in list = nil }
    }

    public func manifestListExists(_ name: String) throws(EngineError) -> Bool {
        try manifestLists.read(try listName(name)) != nil
    }

    /// The list of a name; nil when there is none here.
    public func manifestList(_ name: String) throws(EngineError) -> ManifestList? {
        // Anything that can be inspected may be asked for, also by digest.
        guard let reference = (try? Reference.parse(name))?.withDefaultTag, reference.digest == nil else { return nil }
        return try manifestLists.read(reference)
    }

    /// Copies a list, and with ``MultiArchitecture/all`` its images, to a registry or another destination.
    public func pushManifestList(
        _ name: String, to destination: ImageLocation?, format: ManifestFormat?, _ access: TransferAccess, _ options: CopyOptions
    ) throws(EngineError) -> CopyResult {
        let name = try listName(name)
        guard let list = try manifestLists.read(name) else { throw Engine.noSuchList(name) }
        guard !list.entries.isEmpty else {
            throw .invalid("\(name) lists no image: add one with berth manifest add \(name.familiar) IMAGE")
        }
        let source = try ManifestListSource(list, ImageLocation(registry: name), format) { (location) throws(EngineError) in
            try openSource(location, access)
        }
        let target = try openDestination(destination ?? ImageLocation(registry: name), access)
        return try ImageCopier(source, target, options).run(signatures: nil)
    }

    // MARK: Finding images

    /// Where a name of a person is: with a transport there, else in the local store, else at its registry.
    public func locate(_ text: String) throws(EngineError) -> ImageLocation {
        if let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")),
            ImageLocation.Transport(rawValue: String(text[..<colon])) != nil,
            text.hasPrefix("docker://") || (try? image(text) as ImageRecord) == nil
        {
            return try ImageLocation.parse(text)
        }
        do throws(EngineError) {
            _ = try image(text) as ImageRecord
            return ImageLocation(transport: .store, name: text)
        } catch {
            if error.code != .notFound && error.code != .invalid { throw error }
        }
        return try ImageLocation.parse("docker://" + text)
    }

    private func listEntries(
        _ text: String, all: Bool, _ access: TransferAccess, platform: Platform? = nil
    ) throws(EngineError) -> [ManifestList.Entry] {
        let location = try locate(text)
        let source = try openSource(location, access)
        guard !source.isSynthetic else {
            throw .invalid("\(location) has no manifest to list: bring it in with berth load -i \(location.path) first")
        }
        let top = try source.topManifest()
        let name =
            location.transport == .registry || location.transport == .store
            ? ((try? Reference.parse(location.name))?.withDefaultTag.description ?? "") : ""
        let document = try documented(text) { () throws(OCIError) in
            try ManifestDocument.decode(top.raw, expected: top.mediaType)
        }
        switch document {
        case .manifest(let manifest):
            let descriptor = Descriptor(
                mediaType: manifest.mediaType, digest: top.digest, size: top.size,
                platform: try Engine.platform(of: manifest, source))
            return [ManifestList.Entry(descriptor: descriptor, source: try pinned(location, top.digest), name: name)]
        case .index(let index):
            let wanted = platform ?? Engine.hostPlatform()
            let chosen = all ? index.manifests : index.manifest(for: wanted).map { [$0] } ?? []
            guard !chosen.isEmpty else {
                throw EngineError(
                    .notFound,
                    sentence:
                        "no image found in \(location) for platform \(wanted): name another with --arch, or add all of them with --all")
            }
            guard location.transport == .registry else {
                throw EngineError(.notSupported, sentence: "\(location) is an index: push it to a registry and add it from there")
            }
            return try chosen.map { (descriptor) throws(EngineError) in
                ManifestList.Entry(descriptor: descriptor, source: try pinned(location, descriptor.digest), name: name)
            }
        }
    }

    /// The location of exactly this content.
    private func pinned(_ location: ImageLocation, _ digest: Digest) throws(EngineError) -> String {
        switch location.transport {
        case .registry: return "docker://" + (location.reference?.with(digest: digest).description ?? location.name)
        case .store: return "berth:" + (try image(location.name) as ImageRecord).id
        default:
            var whole = location
            whole.path = location.resolvedPath
            return whole.description
        }
    }

    private static func platform(of manifest: Manifest, _ source: any ImageSource) throws(EngineError) -> Platform? {
        guard manifest.config.mediaType.isConfig else { return nil }
        let bytes = try source.bytes(of: manifest.config)
        return try documented(manifest.config.digest.description) { () throws(OCIError) in
            try ImageConfig.decode(bytes).platform
        }
    }
}

extension Engine {
    /// A list under construction, or a manifest at a registry or another place.
    ///
    /// - Parameter verbose: Docker's longer form: each image with its descriptor and its manifest.
    public func inspectManifest(_ text: String, _ access: TransferAccess, verbose: Bool) throws(EngineError) -> [UInt8] {
        if let list = try manifestList(text) {
            if !verbose { return list.document().raw }
            let source = try ManifestListSource(list, ImageLocation(registry: try listName(text)), nil) {
                (location) throws(EngineError) in try openSource(location, access)
            }
            return try verboseManifest(source, text)
        }
        let source = try openSource(try locate(text), access)
        return verbose ? try verboseManifest(source, text) : try source.topManifest().raw
    }

    private func verboseManifest(_ source: any ImageSource, _ name: String) throws(EngineError) -> [UInt8] {
        let top = try source.topManifest()
        let document = try documented(name) { () throws(OCIError) in
            try ManifestDocument.decode(top.raw, expected: top.mediaType)
        }
        var images: [(reference: String, descriptor: Descriptor, raw: [UInt8])] = []
        let reference = (try? Reference.parse(name))?.withDefaultTag
        switch document {
        case .manifest(let manifest):
            let descriptor = Descriptor(
                mediaType: manifest.mediaType, digest: top.digest, size: top.size, platform: try Engine.platform(of: manifest, source))
            images = [(reference?.description ?? name, descriptor, top.raw)]
        case .index(let index):
            for member in index.manifests {
                images.append(
                    (reference?.with(digest: member.digest).description ?? name, member, try source.manifest(member)))
            }
        }
        func write(_ w: inout JSONWriter, _ image: (reference: String, descriptor: Descriptor, raw: [UInt8])) {
            w.object { w in
                w.field("Ref", image.reference)
                w.key("Descriptor")
                image.descriptor.write(to: &w)
                w.field("Raw", Base64.encode(image.raw))
                if image.descriptor.mediaType == .dockerManifest {
                    w.rawField("SchemaV2Manifest", image.raw)
                } else {
                    w.rawField("OCIManifest", image.raw)
                }
            }
        }
        return JSONWriter.document { w in
            if case .manifest = document, let image = images.first { return write(&w, image) }
            w.array(images) { w, image in write(&w, image) }
        }
    }
}
