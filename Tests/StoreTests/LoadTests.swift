import Archive
import Glibc
import Linux
import OCI
import Testing

@testable import Store

@Suite struct LoadTests {
    static let base = try! LayerBuilder().directory("bin").file("bin/sh", "shell", mode: 0o755).file("etc/a", "1").bytes()
    static let upper = try! LayerBuilder().file("etc/b", "2").file("etc/.wh.a").bytes()

    @Test(arguments: [Compression.none, .gzip, .zstd], [false, true]) func everyFormat(
        compression: Compression, docker: Bool
    ) throws {
        var image = TestImage([LoadTests.base, LoadTests.upper])
        image.compression = compression
        let archive = try tar(docker ? image.docker() : image.layout())
        for outer in [Compression.none, .gzip, .zstd] {
            for piped in [false, true] {
                let fixture = try Fixture()
                defer { fixture.remove() }
                let path = try fixture.write(try compress(archive, outer))
                let loaded: [LoadedImage]
                if piped {
                    var ends: [Int32] = [0, 0]
                    #expect(pipe(&ends) == 0)
                    let (input, output) = (ends[0], ends[1])
                    let bytes = try compress(archive, outer)
                    let writer = try Worker {
                        _ = try? FD(output).writeAll(bytes)
                        close(output)
                    }
                    loaded = try fixture.store.load(from: FD(input))
                    writer.join()
                    close(input)
                } else {
                    loaded = try fixture.store.load(path: path)
                }
                #expect(loaded.count == 1 && loaded[0].id == image.id)
                #expect(loaded[0].names == ["docker.io/library/test:latest"])
                try check(fixture, image)
            }
        }
    }

    private func check(_ fixture: Fixture, _ image: TestImage) throws {
        let record = try fixture.store.image(matching: "test")
        #expect(record.id == image.id && record.size == Int64(LoadTests.base.count + LoadTests.upper.count))
        let directories = try fixture.store.layerDirectories(image: image.id)
        #expect(directories.count == 2)
        #expect(try FD.cwd.readText(directories[1] + "/bin/sh") == "shell")
        #expect(try FD.cwd.readText(directories[0] + "/etc/b") == "2")
        #expect(isWhiteoutNode(try FD.cwd.status(of: directories[0] + "/etc/a")))
        #expect(try fixture.leftovers() == [])
        let details = try fixture.store.imageDetails(id: image.id)
        #expect(details.layers.map(\.diffID) == image.layers.map { digest($0).description })
        #expect(details.record.created == 1_704_164_645_000_000_006)
        // What is on disk is a layout that can be loaded again.
        let other = try Fixture()
        defer { other.remove() }
        #expect(try other.store.load(path: fixture.base + "/store")[0].id == image.id)
    }

    @Test func directoryLayout() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        let image = TestImage([LoadTests.base])
        try FD.cwd.makeDirectories(fixture.base + "/layout/blobs/sha256")
        for file in try image.layout() { try FD.cwd.writeFile(fixture.base + "/layout/" + file.name, file.bytes) }
        #expect(try fixture.store.load(path: fixture.base + "/layout")[0].id == image.id)
    }

    @Test func layersAreSharedAndLoadingTwiceChangesNothing() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        var first = TestImage([LoadTests.base])
        first.names = ["docker.io/library/one:latest"]
        var second = TestImage([LoadTests.base, LoadTests.upper])
        second.names = ["docker.io/library/two:1", "docker.io/library/two:2"]
        try fixture.load(first)
        try fixture.load(second)
        try fixture.load(second)
        #expect(try fixture.names(in: "layers").count == 2)
        #expect(try fixture.store.images().count == 2)
        #expect(try fixture.store.image(matching: "two:2").names == second.names)
        // The same image with other stored bytes keeps the first ones, and nothing is left over.
        second.compression = .gzip
        try fixture.load(second)
        #expect(try fixture.names(in: "blobs/sha256").count == 2 + 4)
        #expect(try fixture.store.imageDetails(id: second.id).manifest.layers[0].mediaType == .ociLayer)
    }

    @Test func aNameMovesToTheNewImage() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        let first = TestImage([LoadTests.base])
        var second = TestImage([LoadTests.base])
        second.command = ["other"]
        try fixture.load(first)
        let loaded = try fixture.load(second)
        #expect(loaded.replaced.map(\.id) == [first.id])
        #expect(try fixture.store.image(matching: "test").id == second.id)
        #expect(try fixture.store.image(id: first.id)?.names == [])
    }

    @Test func resolving() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        let image = TestImage([LoadTests.base])
        try fixture.load(image)
        let hex = String(image.id.dropFirst(7))
        for text in ["test", "test:latest", "docker.io/library/test", image.id, hex, String(hex.prefix(6)), "sha256:" + hex.prefix(3)] {
            #expect(try fixture.store.image(matching: text).id == image.id, "\(text)")
        }
        let manifest = try fixture.store.image(matching: "test").manifestDigest
        #expect(try fixture.store.image(matching: "test@" + manifest).id == image.id)
        for text in ["", "Test", "test:other", "nope", "sha256:", "%", "other@" + manifest, "sha256:zz"] {
            #expect(failure { () throws(StoreError) in _ = try fixture.store.image(matching: text) }?.code == .notFound, "\(text)")
        }
    }

    static let wrong: [(StoreError.Code, @Sendable (inout TestImage) -> Void, @Sendable (inout [(name: String, bytes: [UInt8])]) -> Void)] =
        [
            // S56: what config, manifest and layers say must be the same.
            (.digestMismatch, { $0.diffIDs = [digest([1]), digest(LoadTests.upper)] }, { _ in }),
            (.digestMismatch, { $0.diffIDs = $0.layers.map(digest).reversed() }, { _ in }),
            (.corrupt, { $0.diffIDs = [digest(LoadTests.base)] }, { _ in }),
            (.corrupt, { $0.diffIDs = [] }, { _ in }),
            (.corrupt, { _ in }, { files in files.removeAll { $0.name.hasPrefix("blobs/") } }),
            (.corrupt, { _ in }, { files in files.removeLast() }),
            (.digestMismatch, { _ in }, { files in files[files.count - 1].bytes[700] ^= 1 }),
            (.digestMismatch, { _ in }, { files in files[files.count - 1].bytes += [0] }),
            (.digestMismatch, { _ in }, { files in files[3].bytes += [0x20] }),
            (.corrupt, { _ in }, { files in files[1].bytes = Array("{}".utf8) }),
            (.corrupt, { _ in }, { files in files[1].bytes = Array("[[[[".utf8) }),
            (.tooLarge, { _ in }, { files in files[1].bytes = [UInt8](repeating: 0x20, count: 5 << 20) }),
            (.unsupported, { _ in }, { files in files[0].bytes = Array("{\"imageLayoutVersion\":\"2.0\"}".utf8) }),
            (.corrupt, { _ in }, { files in files.removeFirst() }),
        ]

    @Test(arguments: wrong.indices) func nothingWrongBecomesVisible(index: Int) throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        var image = TestImage([LoadTests.base, LoadTests.upper])
        LoadTests.wrong[index].1(&image)
        var files = try image.layout()
        LoadTests.wrong[index].2(&files)
        let path = try fixture.write(try tar(files))
        let error = failure { () throws(StoreError) in _ = try fixture.store.load(path: path) }
        #expect(error?.code == LoadTests.wrong[index].0, "\(index): \(String(describing: error))")
        #expect(try fixture.store.images().isEmpty && fixture.leftovers().isEmpty)
        // And it stands in nobody's way.
        try fixture.load(TestImage([LoadTests.base, LoadTests.upper]))
    }

    @Test func wrongDockerArchives() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        let image = TestImage([LoadTests.base])
        for change: (inout [(name: String, bytes: [UInt8])]) -> Void in [
            { $0[0].bytes[700] ^= 1 }, { $0.remove(at: 1) }, { $0.remove(at: 0) },
            { $0[2].bytes = Array("[]".utf8) }, { $0[2].bytes = Array("{}".utf8) },
            { $0[2].bytes = Array("[{\"Config\":\"../../etc/passwd\",\"Layers\":[]}]".utf8) },
            { $0[2].bytes = Array("[{\"Config\":\"config.json\",\"Layers\":[]}]".utf8) },
            { $0[2].bytes = Array("[{\"Config\":\"config.json\",\"RepoTags\":[\"UPPER\"],\"Layers\":[\"l0/layer.tar\"]}]".utf8) },
        ] {
            var files = try image.docker()
            change(&files)
            let path = try fixture.write(try tar(files))
            #expect(failure { () throws(StoreError) in _ = try fixture.store.load(path: path) } != nil)
            #expect(try fixture.store.images().isEmpty)
        }
    }

    @Test func platforms() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        var foreign = TestImage([LoadTests.base])
        foreign.platform = Platform(os: "linux", architecture: "s390x")
        var files = try foreign.layout()
        let own = try TestImage([LoadTests.base]).layout()
        let both = try Index.decode(files[1].bytes).manifests + Index.decode(own[1].bytes).manifests
        files[1].bytes = Index(manifests: both).raw
        files += own[2...].filter { file in !files.contains { $0.name == file.name } }
        let path = try fixture.write(try tar(files))
        #expect(try fixture.store.load(path: path).map(\.id) == [TestImage([LoadTests.base]).id])
        let options = LoadOptions(platform: Platform(os: "linux", architecture: "s390x"))
        #expect(try fixture.store.load(path: path, options: options).map(\.id) == [foreign.id])
        let missing = LoadOptions(platform: Platform(os: "linux", architecture: "riscv64"))
        #expect(failure { () throws(StoreError) in _ = try fixture.store.load(path: path, options: missing) }?.code == .notFound)
        // A single image is loaded for whatever platform it is.
        #expect(try fixture.load(foreign).id == foreign.id)
    }

    @Test func linksInsideAnArchive() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        let image = TestImage([LoadTests.base])
        let sink = MemorySink()
        let writer = TarWriter(sink)
        for file in try image.docker() {
            let name = file.name == "l0/layer.tar" ? "real/layer.tar" : file.name
            try writer.append(TarEntry(kind: .file, path: Array(name.utf8), mode: 0o644), contents: file.bytes)
        }
        try writer.append(
            TarEntry(kind: .symbolicLink, path: Array("l0/layer.tar".utf8), linkPath: Array("../real/layer.tar".utf8), mode: 0o777))
        try writer.append(TarEntry(kind: .symbolicLink, path: Array("loop".utf8), linkPath: Array("loop".utf8), mode: 0o777))
        try writer.finish()
        #expect(try fixture.store.load(path: fixture.write(sink.bytes))[0].id == image.id)
    }

    /// Two commands load images that share their layers.
    @Test func parallelLoads() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        let counts = Counts()
        let workers = try (0..<6).map { number in
            var image = TestImage([LoadTests.base, LoadTests.upper])
            image.command = ["\(number / 2)"]
            image.names = ["docker.io/library/p\(number):latest"]
            let path = try fixture.write(try tar(number % 2 == 0 ? image.layout() : image.docker()), "archive\(number)")
            return try Worker {
                do {
                    let store = try fixture.again()
                    _ = try store.load(path: path)
                } catch { counts.add { $0.failures.append("\(error)") } }
            }
        }
        for worker in workers { worker.join() }
        #expect(counts.failures.isEmpty, "\(counts.failures)")
        #expect(try fixture.store.images().count == 3)
        #expect(try fixture.names(in: "layers").count == 2)
        #expect(try fixture.leftovers() == [])
    }

    @Test func times() {
        #expect(parseTime("1970-01-01T00:00:00Z") == 0)
        #expect(parseTime("2024-02-29T12:00:00.5+01:00") == 1_709_204_400_500_000_000)
        #expect(parseTime("1969-12-31T23:59:59.999999999Z") == -1)
        for text in [
            "", "0001-01-01T00:00:00Z", "2024-13-01T00:00:00Z", "2024-01-01", "2024-01-01T00:00:00", "2024-01-01T00:00:00.Z",
            "9999-12-31T23:59:59Z", "2024-01-01T00:00:00+1:00", "２０２４-01-01T00:00:00Z",
        ] {
            #expect(parseTime(text) == nil, "\(text)")
        }
    }
}
