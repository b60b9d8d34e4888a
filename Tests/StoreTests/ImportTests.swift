import Archive
import Glibc
import Linux
import OCI
import Testing

@testable import Store

@Suite struct ImportTests {
    static let rootfs = try! LayerBuilder().directory("bin").file("bin/sh", "shell", mode: 0o4755).file("etc/a", "1").bytes()

    private func imported(_ fixture: Fixture, _ bytes: [UInt8], _ request: ImportRequest) throws -> LoadedImage {
        let file = try FD.cwd.open(try fixture.write(bytes, "rootfs"), .readOnly)
        return try fixture.store.importRootFileSystem(from: file.fd, request)
    }

    @Test(arguments: [Compression.none, .gzip, .zstd]) func everyCompression(compression: Compression) throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        let name = try Reference.parse("made:1")
        let image = try imported(fixture, try compress(ImportTests.rootfs, compression), ImportRequest(name: name))
        #expect(image.names == ["docker.io/library/made:1"])
        let details = try fixture.store.imageDetails(id: image.id)
        #expect(details.layers.map(\.diffID) == [digest(ImportTests.rootfs).description])
        #expect(details.layers[0].size == Int64(ImportTests.rootfs.count))
        let layers = try fixture.store.layerDirectories(image: image.id)
        #expect(try FD.cwd.status(of: layers[0] + "/bin/sh").st_mode & 0o7777 == 0o4755)
        #expect(try fixture.store.check() == [] && fixture.leftovers() == [])
    }

    @Test func whatTheImageSays() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        var config = ContainerConfig()
        config.cmd = ["sh"]
        config.env = ["A=1"]
        let platform = Platform(os: "linux", architecture: "s390x")
        let request = ImportRequest(name: nil, config: config, platform: platform, message: "first", source: "here.tar")
        let image = try imported(fixture, ImportTests.rootfs, request)
        let details = try fixture.store.imageDetails(id: image.id)
        #expect(image.names.isEmpty && details.config.config.cmd == ["sh"] && details.config.config.env == ["A=1"])
        #expect(details.config.platform == platform && details.config.history.map(\.comment) == ["first"])
        #expect(details.record.created > 1_600_000_000_000_000_000)
        let plain = try imported(fixture, ImportTests.rootfs, ImportRequest(name: nil, source: "here.tar"))
        let history = try fixture.store.imageDetails(id: plain.id).config.history
        #expect(history.map(\.comment) == ["Imported from here.tar"])
        // The layer is there once.
        #expect(try fixture.names(in: "layers").count == 1)
    }

    static let wrong: [(String, [UInt8])] = [
        ("empty", []), ("a text", Array("hello\n".utf8)), ("zeros", [UInt8](repeating: 0, count: 100)),
        ("noise", (0..<4096).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 / 256) }),
        ("cut short", Array(rootfs.prefix(700))), ("only the magic of gzip", [0x1f, 0x8b, 8, 0]),
        ("only the magic of zstd", [0x28, 0xb5, 0x2f, 0xfd]),
        ("xz", [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00] + [UInt8](repeating: 0, count: 2000)),
    ]

    @Test(arguments: wrong.indices) func whatIsNoArchive(index: Int) throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        #expect(throws: StoreError.self, "\(ImportTests.wrong[index].0)") {
            _ = try imported(fixture, ImportTests.wrong[index].1, ImportRequest(name: nil))
        }
        #expect(try fixture.store.images() == [] && fixture.leftovers() == [])
        #expect(try fixture.names(in: "layers") == [] && fixture.names(in: "blobs/sha256") == [])
    }

    @Test func oneNameTwice() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        let name = try Reference.parse("made")
        let first = try imported(fixture, ImportTests.rootfs, ImportRequest(name: name.withDefaultTag, message: "1"))
        let second = try imported(fixture, ImportTests.rootfs, ImportRequest(name: name.withDefaultTag, message: "2"))
        #expect(second.replaced.map(\.id) == [first.id])
        #expect(try fixture.store.image(id: first.id)?.names == [])
    }
}
