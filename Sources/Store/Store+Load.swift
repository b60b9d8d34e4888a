import Archive
import Glibc
import Linux
import OCI

/// How images are read from an archive.
public struct LoadOptions {
    /// What `--platform` asks for; nil takes what runs on this machine, or the only one there is.
    public var platform: Platform?
    public var cancellation: Cancellation?
    public var limits = LayerUnpacker.Limits()
    /// Layers that are worked on at once: one, where they come from one disk.
    var parallel = 1
    public init(platform: Platform? = nil, cancellation: Cancellation? = nil) {
        self.platform = platform
        self.cancellation = cancellation
    }
}

/// An image that is now in the store.
public struct LoadedImage: Sendable {
    /// `sha256:…`, the digest of its config.
    public var id: String
    /// Full references (`docker.io/library/x:latest`) that now name it.
    public var names: [String]
    /// Names that named another image before, with that image's id.
    public var replaced: [(name: String, id: String)]
    /// Parts of layers that were left out.
    public var notes: LayerUnpacker.Notes
}

extension Store {
    /// Loads all images of an archive or layout. When it returns, they survive power loss.
    ///
    /// Accepts a directory (OCI layout), a tar of one, a docker archive, each tar also compressed by gzip or zstd. Every
    /// digest and diff id is verified before an image becomes visible. Rootless, the caller runs in its user namespace.
    /// - Parameter path: file or directory.
    /// - Throws: `.corrupt`, `.digestMismatch`, `.unsupported`, `.tooLarge`, `.noSpace`, `.cancelled`, `.system`. Images of
    ///   the same archive appear together or not at all.
    public func load(path: String, options: LoadOptions = LoadOptions()) throws(StoreError) -> [LoadedImage] {
        let file = try system { () throws(SystemError) in
            SharedFD(try FD.cwd.open(path, [.noControllingTerminal]))
        }
        return try load(file, name: path, options)
    }

    /// As ``load(path:options:)`` from an open file, directory or pipe, such as standard input.
    ///
    /// - Parameter descriptor: read from its current position; stays the caller's.
    public func load(from descriptor: FD, options: LoadOptions = LoadOptions()) throws(StoreError) -> [LoadedImage] {
        let file = try system { () throws(SystemError) in SharedFD(try descriptor.duplicate()) }
        return try load(file, name: "standard input", options)
    }

    private func load(_ file: SharedFD, name: String, _ options: LoadOptions) throws(StoreError) -> [LoadedImage] {
        try ingest(options) { (staging, ingest) throws(StoreError) in
            let source = try ImageArchive(file, name: name, staging: staging, cancellation: options.cancellation)
            return try ImagePlanner(archive: source, platform: options.platform, host: Store.hostPlatform()).plan()
        }
    }

    /// Brings planned images in and makes them visible.
    ///
    /// In this order, so that a kill or a power loss at any point leaves the old state: content to staging, renamed into
    /// place, synced, and last the rows that name it.
    func ingest(
        _ options: LoadOptions, _ plan: (Staging, Ingest) throws(StoreError) -> [PlannedImage]
    ) throws(StoreError) -> [LoadedImage] {
        removeGarbage()
        let content = try contentLock(.shared)
        defer { withExtendedLifetime(content) {} }
        let staging = try makeStaging()
        defer { staging.remove() }
        let ingest = Ingest(self, staging, limits: options.limits, cancellation: options.cancellation)
        let planned = try plan(staging, ingest)
        // Another command's rmi may take away a layer between the check and the commit; then it is simply unpacked again.
        for _ in 0..<8 {
            var images: [NewImage] = []
            do throws(StoreError) {
                for image in planned { images.append(try bringIn(image, ingest, options)) }
            } catch {
                if error.code == .inUse { continue }
                throw error
            }
            try system { () throws(SystemError) in try root.fd.syncFileSystem() }
            if let loaded = try publish(images, ingest) { return loaded }
        }
        throw Ingest.lostLayer
    }

    private func bringIn(
        _ image: PlannedImage, _ ingest: Ingest, _ options: LoadOptions
    ) throws(StoreError) -> NewImage {
        let added = try LayerCrew(image.layers, ingest, options.cancellation).run(threads: options.parallel)
        let top = added.last?.chainID
        let size = added.reduce(0) { $0 + $1.diffSize }
        let layers = added.map(\.descriptor)
        let manifest =
            image.manifest
            ?? Manifest(
                config: Descriptor(mediaType: .ociConfig, digest: image.id, size: Int64(image.config.raw.count)), layers: layers)
        let digest = try document { () throws(OCIError) in try Digest.parse("sha256:" + SHA256.hex(manifest.raw)) }
        try ingest.add(document: image.config.raw, image.id)
        try ingest.add(document: manifest.raw, digest)
        for document in image.documents { try ingest.add(document: document.bytes, document.digest) }
        return NewImage(
            id: image.id, config: image.config, manifest: manifest, manifestDigest: digest, top: top, size: size,
            names: Self.unique(image.names.map(\.description)), digests: image.digests,
            documents: image.documents.map { ($0.digest.description, Int64($0.bytes.count)) })
    }

    /// `docker save` names an image twice: in `index.json` and in `manifest.json`.
    private static func unique(_ names: [String]) -> [String] {
        names.enumerated().filter { !names[..<$0.offset].contains($0.element) }.map(\.element)
    }

    /// This machine as images name it.
    static func hostPlatform() -> Platform {
        var name = utsname()
        uname(&name)
        let machine = withUnsafeBytes(of: &name.machine) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        return Platform.host(system: "linux", machine: machine)
    }
}
