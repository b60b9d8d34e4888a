import Archive
import Glibc
import Linux
import OCI

@testable import Store

/// A layer's tar in memory, one call per entry.
struct LayerBuilder {
    private let sink = MemorySink()
    private let writer: TarWriter

    init() { writer = TarWriter(sink) }

    func entry(_ entry: TarEntry, _ contents: String = "") throws -> LayerBuilder {
        var sized = entry
        if entry.kind == .file { sized.size = Int64(contents.utf8.count) }
        sized.uid = entry.uid == 0 ? ownID : entry.uid
        sized.gid = entry.gid == 0 ? ownGroup : entry.gid
        try writer.append(sized)
        if entry.kind == .file { try writer.write(Array(contents.utf8)) }
        return self
    }

    func file(_ path: String, _ contents: String = "", mode: UInt32 = 0o644, xattrs: [ExtendedAttribute] = []) throws -> LayerBuilder {
        try entry(
            TarEntry(
                kind: .file, path: Array(path.utf8), mode: mode, modification: FileTime(seconds: 1000, nanoseconds: 5),
                xattrs: xattrs), contents)
    }

    func directory(_ path: String, mode: UInt32 = 0o755, xattrs: [ExtendedAttribute] = []) throws -> LayerBuilder {
        try entry(
            TarEntry(
                kind: .directory, path: Array(path.utf8), mode: mode, modification: FileTime(seconds: 2000), xattrs: xattrs))
    }

    func link(_ path: String, _ target: String, hard: Bool = false, mode: UInt32 = 0o777) throws -> LayerBuilder {
        try entry(
            TarEntry(
                kind: hard ? .hardLink : .symbolicLink, path: Array(path.utf8), linkPath: Array(target.utf8), mode: mode,
                modification: FileTime(seconds: 3000)))
    }

    func node(_ path: String, _ kind: TarEntry.Kind, major: UInt32 = 0, minor: UInt32 = 0) throws -> LayerBuilder {
        try entry(TarEntry(kind: kind, path: Array(path.utf8), mode: 0o666, major: major, minor: minor))
    }

    func bytes() throws -> [UInt8] {
        try writer.finish()
        return sink.bytes
    }
}

/// Tests need no root: files belong to whoever runs them.
let ownID = geteuid()
let ownGroup = getegid()

func attribute(_ name: String, _ value: String) -> ExtendedAttribute {
    ExtendedAttribute(name: Array(name.utf8), value: Array(value.utf8))
}

func compress(_ bytes: [UInt8], _ compression: Compression) throws -> [UInt8] {
    let sink = MemorySink()
    let encoder = try compression.encoder(sink)
    try encoder.write(bytes)
    try encoder.finish()
    return sink.bytes
}

func digest(_ bytes: [UInt8]) -> Digest { Digest("sha256:" + SHA256.hex(bytes))! }

/// An image in memory that can be written in every format, also wrongly.
struct TestImage {
    var layers: [[UInt8]]
    var compression = Compression.none
    var names = ["docker.io/library/test:latest"]
    var platform = Store.hostPlatform()
    var diffIDs: [Digest]?
    var created = "2024-01-02T03:04:05.000000006Z"
    var command = ["sh"]

    init(_ layers: [[UInt8]]) { self.layers = layers }

    var config: ImageConfig {
        ImageConfig(
            created: created, platform: platform, config: ContainerConfig(cmd: command),
            rootfs: RootFS(diffIDs: diffIDs ?? layers.map(digest)))
    }
    var id: String { digest(config.raw).description }

    /// Files of an OCI layout by name.
    func layout() throws -> [(name: String, bytes: [UInt8])] {
        let blobs = try layers.map { try compress($0, compression) }
        let type: MediaType = compression == .gzip ? .ociLayerGzip : compression == .zstd ? .ociLayerZstd : .ociLayer
        let manifest = Manifest(
            config: Descriptor(mediaType: .ociConfig, digest: digest(config.raw), size: Int64(config.raw.count)),
            layers: blobs.map { Descriptor(mediaType: type, digest: digest($0), size: Int64($0.count)) })
        let top = names.map {
            Descriptor(
                mediaType: .ociManifest, digest: digest(manifest.raw), size: Int64(manifest.raw.count),
                annotations: [Annotation.refName: $0], platform: platform)
        }
        var files: [(name: String, bytes: [UInt8])] = [
            ("oci-layout", OCILayout().encode()), ("index.json", Index(manifests: top).raw),
            (digest(manifest.raw).layoutPath, manifest.raw), (digest(config.raw).layoutPath, config.raw),
        ]
        for blob in blobs { files.append((digest(blob).layoutPath, blob)) }
        return files
    }

    /// Files of a docker archive: layers first, as they are streamed.
    func docker() throws -> [(name: String, bytes: [UInt8])] {
        var files: [(name: String, bytes: [UInt8])] = []
        var names: [String] = []
        for (index, layer) in layers.enumerated() {
            names.append("l\(index)/layer.tar")
            files.append((names[index], try compress(layer, compression)))
        }
        let tags = self.names.map { "\"" + $0.replacing("docker.io/library/", with: "") + "\"" }.joined(separator: ",")
        let list = names.map { "\"\($0)\"" }.joined(separator: ",")
        files.append(("config.json", config.raw))
        files.append(("manifest.json", Array("[{\"Config\":\"config.json\",\"RepoTags\":[\(tags)],\"Layers\":[\(list)]}]".utf8)))
        return files
    }
}

/// Files as a tar.
func tar(_ files: [(name: String, bytes: [UInt8])]) throws -> [UInt8] {
    let sink = MemorySink()
    let writer = TarWriter(sink)
    for file in files {
        try writer.append(TarEntry(kind: .file, path: Array(file.name.utf8), mode: 0o644), contents: file.bytes)
    }
    try writer.finish()
    return sink.bytes
}

extension Fixture {
    /// Writes bytes to a file beside the store and gives its path.
    func write(_ bytes: [UInt8], _ name: String = "archive") throws -> String {
        try FD.cwd.writeFile(base + "/" + name, bytes)
        return base + "/" + name
    }

    @discardableResult
    func load(_ image: TestImage) throws -> LoadedImage {
        try store.load(path: write(tar(image.layout())))[0]
    }

    /// Everything below the store's root that is content, to see that nothing is left behind.
    func leftovers() throws -> [String] {
        var result: [String] = []
        for name in ["staging", "trash"] {
            let directory = try FD.cwd.open(base + "/store/" + name, [.directory])
            result += try directoryEntries(directory.fd).map(\.name).filter { $0 != ".lock" }.map { name + "/" + $0 }
        }
        return result
    }

    func names(in directory: String) throws -> [String] {
        let opened = try FD.cwd.open(base + "/store/" + directory, [.directory])
        return try directoryEntries(opened.fd).map(\.name).sorted()
    }
}
