import Archive
import Glibc
import Linux
import OCI
import Testing

@testable import Store

/// What is saved loads again as the same image, in every format, and a damaged store saves nothing.
@Suite struct SaveTests {
    static let base = try! LayerBuilder().directory("bin").file("bin/sh", "shell", mode: 0o755).link("bin/ash", "sh").bytes()
    static let upper = try! LayerBuilder().file("etc/b", String(repeating: "b", count: 300_000)).file("bin/.wh.ash").bytes()

    static func reference(_ text: String) -> Reference { try! Reference.parse(text) }

    /// Saves into a file beside the store and gives its path.
    private func save(
        _ fixture: Fixture, _ images: [Store.SavedImage], _ format: SaveFormat, _ name: String = "saved"
    ) throws -> String {
        let path = fixture.base + "/" + name
        try fixture.store.save(images, toPath: path, format: format)
        return path
    }

    /// The files of a tar.
    private func members(_ path: String) throws -> [(name: String, bytes: [UInt8])] {
        let reader = TarReader(BufferedLender(MemoryReader(try FD.cwd.readFile(path))))
        var found: [(name: String, bytes: [UInt8])] = []
        while let entry = try reader.next() {
            guard entry.kind == .file else { continue }
            found.append((String(decoding: entry.path, as: UTF8.self), try reader.readAll(limit: 1 << 20, of: entry)))
        }
        return found
    }

    @Test(arguments: [Compression.none, .gzip, .zstd], SaveFormat.allCases)
    func roundTrip(compression: Compression, format: SaveFormat) throws {
        let (fixture, other) = (try Fixture(), try Fixture())
        defer {
            fixture.remove()
            other.remove()
        }
        var image = TestImage([SaveTests.base, SaveTests.upper])
        image.compression = compression
        try fixture.load(image)
        let path = try save(fixture, [(image.id, [SaveTests.reference("test:latest")])], format)
        let loaded = try other.store.load(path: path)
        #expect(loaded.map(\.id) == [image.id] && loaded[0].names == ["docker.io/library/test:latest"])
        let before = try fixture.store.imageDetails(id: image.id)
        let after = try other.store.imageDetails(id: image.id)
        #expect(after.layers.map(\.diffID) == before.layers.map(\.diffID) && after.config.raw == before.config.raw)
        let layers = try other.store.layerDirectories(image: image.id)
        #expect(try FD.cwd.readText(layers[1] + "/bin/sh") == "shell")
        #expect(isWhiteoutNode(try FD.cwd.status(of: layers[0] + "/bin/ash")))
        #expect(try other.store.check() == [])
        if format == .dockerArchive {
            // dockerd before version 23 reads no zstd: what Docker itself writes are plain layers.
            #expect(after.manifest.layers.map(\.digest) == image.layers.map(digest))
            #expect(after.manifest.layers.allSatisfy { $0.mediaType == .ociLayer })
        } else {
            #expect(after.record.manifestDigest == before.record.manifestDigest)
        }
    }

    @Test func dockerArchiveForOldReaders() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        var image = TestImage([SaveTests.base, SaveTests.upper, SaveTests.base])
        image.compression = .zstd
        try fixture.load(image)
        let files = try members(try save(fixture, [(image.id, [SaveTests.reference("test:latest")])], .dockerArchive))
        let list = String(decoding: try #require(files.first { $0.name == "manifest.json" }).bytes, as: UTF8.self)
        let blobs = image.layers.map { digest($0).layoutPath }
        let quoted = blobs.map { "\"\($0)\"" }.joined(separator: ",")
        let config = Digest(image.id)!.layoutPath
        #expect(list == "[{\"Config\":\"\(config)\",\"RepoTags\":[\"test:latest\"],\"Layers\":[\(quoted)]}]")
        #expect(files.first { $0.name == blobs[1] }?.bytes == SaveTests.upper)
        // The layer that is in it twice is written once, and every file is named by what it holds.
        #expect(Set(files.map(\.name)).count == files.count)
        for file in files where file.name.hasPrefix("blobs/") { #expect(digest(file.bytes).layoutPath == file.name) }
        let index = try Index.decode(try #require(files.first { $0.name == "index.json" }).bytes)
        #expect(index.manifests.count == 1 && files.contains { $0.name == index.manifests[0].digest.layoutPath })
    }

    @Test(arguments: SaveFormat.allCases) func theSameBytesAgain(format: SaveFormat) throws {
        let (fixture, other) = (try Fixture(), try Fixture())
        defer {
            fixture.remove()
            other.remove()
        }
        let image = TestImage([SaveTests.base])
        try fixture.load(image)
        usleep(1000)
        try other.load(image)
        let names = [SaveTests.reference("test:latest")]
        let (one, two) = (try save(fixture, [(image.id, names)], format), try save(other, [(image.id, names)], format))
        if format == .ociDirectory {
            #expect(try FD.cwd.readFile(one + "/index.json") == FD.cwd.readFile(two + "/index.json"))
        } else {
            #expect(try FD.cwd.readFile(one) == FD.cwd.readFile(two))
        }
    }

    @Test(arguments: SaveFormat.allCases) func severalImages(format: SaveFormat) throws {
        let (fixture, other) = (try Fixture(), try Fixture())
        defer {
            fixture.remove()
            other.remove()
        }
        var images = [TestImage([SaveTests.base]), TestImage([SaveTests.base, SaveTests.upper]), TestImage([SaveTests.upper])]
        for index in images.indices {
            images[index].names = ["docker.io/library/i\(index):1", "docker.io/library/i\(index):2"]
            images[index].compression = .gzip
            try fixture.load(images[index])
        }
        let path = try save(
            fixture,
            [
                (images[0].id, [SaveTests.reference("i0:1"), SaveTests.reference("i0:2")]),
                (images[1].id, [SaveTests.reference("i1:2")]), (images[2].id, []),
            ], format)
        let loaded = try other.store.load(path: path)
        #expect(Set(loaded.map(\.id)) == Set(images.map(\.id)))
        #expect(try other.store.image(id: images[0].id)?.names == images[0].names)
        #expect(try other.store.image(id: images[1].id)?.names == ["docker.io/library/i1:2"])
        #expect(try other.store.image(id: images[2].id)?.names == [])
        #expect(try other.names(in: "layers").count == 3)
    }

    /// Two images without names are two images, not one for two platforms.
    @Test(arguments: SaveFormat.allCases) func severalImagesByID(format: SaveFormat) throws {
        let (fixture, other) = (try Fixture(), try Fixture())
        defer {
            fixture.remove()
            other.remove()
        }
        var images = [TestImage([SaveTests.base]), TestImage([SaveTests.base])]
        images[1].command = ["other"]
        for image in images { try fixture.load(image) }
        let loaded = try other.store.load(path: try save(fixture, images.map { ($0.id, []) }, format))
        #expect(Set(loaded.map(\.id)) == Set(images.map(\.id)))
    }

    static let damages: [(String, @Sendable (String) throws -> Void)] = [
        ("missing", { path in unlink(path) }),
        ("empty", { path in try FD.cwd.writeFile(path, []) }),
        ("cut short", { path in truncate(path, 20) }),
        (
            "flipped",
            { path in
                var bytes = try FD.cwd.readFile(path)
                bytes[bytes.count / 2] ^= 1
                try FD.cwd.writeFile(path, bytes)
            }
        ),
        (
            "a directory",
            { path in
                unlink(path)
                try FD.cwd.makeDirectory(path)
            }
        ),
        (
            "a link",
            { path in
                rename(path, path + ".moved")
                try FD.cwd.makeSymbolicLink(to: path + ".moved", at: path)
            }
        ),
        (
            "a fifo",
            { path in
                unlink(path)
                mkfifo(path, 0o600)
            }
        ),
    ]

    @Test(arguments: damages.indices, [Compression.none, .zstd])
    func damagedBlobs(damage: Int, compression: Compression) throws {
        for blob in 0..<4 {
            for format in SaveFormat.allCases {
                let fixture = try Fixture()
                defer { fixture.remove() }
                var image = TestImage([SaveTests.base, SaveTests.upper])
                image.compression = compression
                try fixture.load(image)
                let name = try fixture.names(in: "blobs/sha256")[blob]
                // Docker's form has a manifest of its own for compressed layers: the stored one is not part of it.
                let manifest = try fixture.store.imageDetails(id: image.id).record.manifestDigest
                if format == .dockerArchive, compression != .none, manifest == "sha256:" + name { continue }
                try SaveTests.damages[damage].1(fixture.base + "/store/blobs/sha256/" + name)
                let error = failure { () throws(StoreError) in
                    try fixture.store.save([(image.id, [])], toPath: fixture.base + "/saved", format: format)
                }
                #expect(error != nil, "\(SaveTests.damages[damage].0) \(name) \(format)")
                if SaveTests.damages[damage].0 == "flipped" || SaveTests.damages[damage].0 == "missing" {
                    #expect(error?.code == .corrupt && error?.cause.contains("berth system check") == true, "\(error!)")
                }
                // Nothing appears that is not whole.
                #expect(try fixture.names(in: "..").filter { $0.hasPrefix("saved") } == [])
            }
        }
    }

    @Test func whereItIsWritten() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        let image = TestImage([SaveTests.base])
        try fixture.load(image)
        let images: [Store.SavedImage] = [(image.id, [])]
        // A file is replaced, a device and what a link names are written to and stay what they are.
        let path = try fixture.write([1, 2, 3], "saved")
        try fixture.store.save(images, toPath: path, format: .ociArchive)
        #expect(try FD.cwd.status(of: path).st_size > 1024)
        try FD.cwd.makeSymbolicLink(to: "target", at: fixture.base + "/link")
        try FD.cwd.writeFile(fixture.base + "/target", [1])
        try fixture.store.save(images, toPath: fixture.base + "/link", format: .ociArchive)
        #expect(try FD.cwd.status(of: fixture.base + "/link").st_mode & S_IFMT == S_IFLNK)
        #expect(try FD.cwd.readFile(fixture.base + "/target") == FD.cwd.readFile(path))
        let before = try FD.cwd.status(of: "/dev/null")
        try fixture.store.save(images, toPath: "/dev/null", format: .dockerArchive)
        let after = try FD.cwd.status(of: "/dev/null")
        #expect(before.st_ino == after.st_ino && after.st_mode & S_IFMT == S_IFCHR)
        // A layout goes to a new directory only.
        for name in ["saved", "store"] {
            let error = failure { () throws(StoreError) in
                try fixture.store.save(images, toPath: fixture.base + "/" + name, format: .ociDirectory)
            }
            #expect(error?.code == .invalid)
        }
        #expect(
            failure { () throws(StoreError) in
                try fixture.store.save(images, toPath: fixture.base + "/none/saved", format: .ociArchive)
            } != nil)
        try fixture.store.save(images, toPath: fixture.base + "/layout/", format: .ociDirectory)
        #expect(try FD.cwd.readFile(fixture.base + "/layout/oci-layout") == OCILayout().encode())
    }

    @Test func aNameThatIsNoReference() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        // The spec lets the annotation be any text: Version_1 is one that umoci writes.
        for name in ["Version_1", "V1.0+build/7", "a b"] {
            var image = TestImage([SaveTests.base])
            image.names = [name]
            #expect(try fixture.load(image).names == [])
        }
    }
}
