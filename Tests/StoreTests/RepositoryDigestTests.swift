import Glibc
import Linux
import OCI
import Testing

@testable import Store

/// What registries call images, and stores of the version before that knew of it.
@Suite struct RepositoryDigestTests {
    private static let index = "sha256:" + String(repeating: "12", count: 32)
    private let fixture: Fixture
    private let image = TestImage([LoadTests.base, LoadTests.upper])
    private var store: Store { fixture.store }

    init() throws {
        fixture = try Fixture()
        try fixture.load(image)
    }

    private func record(_ reference: String, image id: String? = nil) throws(StoreError) {
        try store.recordDigest(
            reference: reference, image: id ?? image.id, mediaType: MediaType.ociIndex.rawValue, size: 100)
    }

    @Test func anImageIsFoundByWhatItsRegistryCallsIt() throws {
        defer { fixture.remove() }
        try record("docker.io/library/x:1@\(Self.index)")
        try record("example.com/x@\(Self.index)")
        for text in ["x@\(Self.index)", "x:2@\(Self.index)", "docker.io/library/x@\(Self.index)", "example.com/x@\(Self.index)"] {
            #expect(try store.image(matching: text).id == image.id, "\(text)")
        }
        for text in ["y@\(Self.index)", "x@sha256:\(String(repeating: "3", count: 64))"] {
            #expect(failure { () throws(StoreError) in _ = try store.image(matching: text) }?.code == .notFound, "\(text)")
        }
        let digests = try store.digests(of: image.id)
        #expect(digests.map(\.reference) == ["docker.io/library/x@\(Self.index)", "example.com/x@\(Self.index)"])
        #expect(digests.allSatisfy { $0.size == 100 && $0.mediaType == MediaType.ociIndex.rawValue })
        #expect(try store.images()[0].digests == digests)
        try store.removeImage(image.id, force: true) { _ in false }
        #expect(try store.digests(of: image.id).isEmpty)
    }

    @Test func aDigestMovesToTheImageThatCameLast() throws {
        defer { fixture.remove() }
        var other = TestImage([LoadTests.base])
        other.names = ["docker.io/library/other:latest"]
        try fixture.load(other)
        try record("docker.io/library/x@\(Self.index)")
        try record("docker.io/library/x@\(Self.index)", image: other.id)
        #expect(try store.image(matching: "x@\(Self.index)").id == other.id)
        #expect(try store.digests(of: image.id).isEmpty)
    }

    @Test func whatIsNoDigestIsRefused() throws {
        defer { fixture.remove() }
        for text in ["docker.io/library/x:1", "", "x@sha256:12", "X@\(Self.index)"] {
            #expect(failure { () throws(StoreError) in try record(text) }?.code == .invalid, "\(text)")
        }
        #expect(failure { () throws(StoreError) in try record("x@\(Self.index)", image: "sha256:1") }?.code == .notFound)
    }

    @Test func furtherBlobsLiveAsLongAsTheImage() throws {
        defer { fixture.remove() }
        let bytes = Array("{}".utf8)
        let digest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
        let path = fixture.base + "/store/blobs/sha256/" + hexPart(digest)
        try FD.cwd.writeFile(path, bytes)
        try store.database.transaction(.durable) { () throws(StoreError) in
            try store.insertBlobs([(digest, 2)], imageID: image.id)
        }
        store.removeGarbage()
        #expect(FD.cwd.exists(path))
        #expect(try store.check().isEmpty)
        try store.removeImage(image.id, force: true) { _ in false }
        #expect(!FD.cwd.exists(path))
    }

    // MARK: Use

    private func lastUse() throws -> Int64? { try store.database.firstInteger("SELECT used_ns FROM image_uses") }

    @Test func aContainerUsesItsImage() throws {
        defer { fixture.remove() }
        #expect(try lastUse() == nil)
        let before = wallClockNanoseconds()
        try store.insertContainer(StoreTests.record(1, image: image.id))
        let first = try #require(try lastUse())
        #expect(first >= before && first <= wallClockNanoseconds())
        // Not again within an hour.
        try store.insertContainer(StoreTests.record(2, image: image.id))
        #expect(try lastUse() == first)
        for wrong in [first - 3_700_000_000_000, first + 3_700_000_000_000] {
            try store.database.run("UPDATE image_uses SET used_ns=?", [.integer(wrong)])
            try store.insertContainer(StoreTests.record(Int(wrong & 0xffff) + 3, image: image.id))
            #expect(try #require(try lastUse()) >= first && lastUse() != wrong)
        }
    }

    // MARK: Versions

    /// As the first version made stores.
    private func makeFirstVersion() throws {
        try store.database.run("DROP TABLE build_steps")
        try store.database.run("DROP TABLE container_images")
        try store.database.run("ALTER TABLE container_volumes DROP COLUMN owned")
        try store.database.run("DROP TABLE ports")
        try store.database.run("DROP TABLE endpoints")
        try store.database.run("DROP TABLE subnets")
        try store.database.run("DROP TABLE networks")
        try store.database.run("DROP TABLE address_prefixes")
        try store.database.run("DROP TRIGGER compressed_layers_end")
        try store.database.run("DROP TABLE compressed_layers")
        try store.database.run("DROP TABLE repo_digests")
        try store.database.run("DROP TABLE image_uses")
        try store.database.run("DROP TABLE name_history")
        try store.database.run("PRAGMA user_version=1")
    }

    @Test func aStoreOfTheFirstVersionIsUpgradedInPlace() throws {
        defer { fixture.remove() }
        try store.insertContainer(StoreTests.record(1, image: image.id))
        try makeFirstVersion()
        let upgraded = try fixture.again()
        #expect(try upgraded.database.firstInteger("PRAGMA user_version") == Schema.version)
        #expect(try upgraded.image(matching: image.id).names == store.image(matching: image.id).names)
        #expect(try upgraded.check().isEmpty)
        #expect(try upgraded.nameHistory() == [image.id: store.image(matching: image.id).names])
        try upgraded.recordDigest(
            reference: "docker.io/library/x@\(Self.index)", image: image.id, mediaType: "a", size: 1)
        try upgraded.insertContainer(StoreTests.record(2, image: image.id))
        #expect(try upgraded.containers().count == 2)
    }

    @Test func anUpgradeThatFailsLeavesTheOldVersion() throws {
        defer { fixture.remove() }
        try makeFirstVersion()
        // The last of its statements cannot work.
        try store.database.run("CREATE TABLE image_uses(x)")
        #expect(failure { () throws(StoreError) in _ = try Store(path: fixture.base + "/store") } != nil)
        #expect(try store.database.firstInteger("PRAGMA user_version") == 1)
        #expect(try store.database.firstInteger("SELECT count(*) FROM sqlite_schema WHERE name='repo_digests'") == 0)
        try store.database.run("DROP TABLE image_uses")
        #expect(try fixture.again().images().count == 1)
    }
}
