import Glibc
import Linux
import OCI
import Testing

@testable import Store

private let index = "sha256:" + String(repeating: "12", count: 32)
private let other = "sha256:" + String(repeating: "34", count: 32)

private func image(_ name: String, _ layers: [[UInt8]] = [LoadTests.base, LoadTests.upper]) -> TestImage {
    var image = TestImage(layers)
    image.names = ["docker.io/library/\(name):latest"]
    image.command = [name]
    return image
}

/// What leaves the store, and what it took there.
@Suite struct PruneTests {
    private let fixture: Fixture
    private var store: Store { fixture.store }

    init() throws { fixture = try Fixture() }

    private func record(_ reference: String, _ image: TestImage) throws(StoreError) {
        try store.recordDigest(reference: reference, image: image.id, mediaType: "a/b", size: 1)
    }

    private func remove(_ text: String, force: Bool = false) throws(StoreError) -> RemovedImage {
        try store.removeImage(text, force: force) { _ in false }
    }

    // MARK: Digests in rmi

    @Test func theLastTagTakesItsRepositorysDigestsAlong() throws {
        defer { fixture.remove() }
        let one = image("one")
        try fixture.load(one)
        try record("docker.io/library/one@\(index)", one)
        let removed = try remove("one")
        #expect(removed.untagged == ["one:latest", "one@\(index)"])
        #expect(removed.deleted.first == one.id)
        #expect(try store.images().isEmpty)
    }

    @Test func anotherRepositorysDigestKeepsTheImage() throws {
        defer { fixture.remove() }
        let one = image("one")
        try fixture.load(one)
        try record("docker.io/library/one@\(index)", one)
        try record("example.com/two@\(index)", one)
        #expect(failure { () throws(StoreError) in _ = try remove(one.id) }?.cause.contains("multiple repositories") == true)
        #expect(try remove("one").lines == ["Untagged: one:latest", "Untagged: one@\(index)"])
        #expect(try store.image(matching: one.id).names.isEmpty)
        #expect(try remove("example.com/two@\(index)").deleted.first == one.id)
    }

    @Test func aDigestGoesAloneWhileATagIsThere() throws {
        defer { fixture.remove() }
        let one = image("one")
        try fixture.load(one)
        try record("docker.io/library/one@\(index)", one)
        try record("docker.io/library/one@\(other)", one)
        #expect(try remove("one@\(index)").lines == ["Untagged: one@\(index)"])
        #expect(try store.digests(of: one.id).map(\.reference) == ["docker.io/library/one@\(other)"])
        // One tag and the digests of its repository count as one name.
        #expect(try remove(one.id).untagged == ["one:latest", "one@\(other)"])
    }

    @Test func aContainerKeepsTheOneName() throws {
        defer { fixture.remove() }
        let one = image("one")
        try fixture.load(one)
        try record("docker.io/library/one@\(index)", one)
        try store.insertContainer(StoreTests.record(1, image: one.id))
        for text in ["one", "one@\(index)"] {
            #expect(failure { () throws(StoreError) in _ = try remove(text) }?.cause.contains("must force") == true)
        }
        #expect(try remove("one", force: true).untagged.count == 2)
    }

    @Test func untaggingKeepsTheImage() throws {
        defer { fixture.remove() }
        let one = image("one")
        try fixture.load(one)
        try store.tag("one", as: Reference.parse("two:1"))
        let wrong = try Reference.parse("three")
        #expect(failure { () throws(StoreError) in try store.untag("one", [wrong]) }?.code == .notFound)
        #expect(try store.untag("one", [Reference.parse("two:1")]) == ["two:1"])
        #expect(try store.untag(one.id) == ["one:latest"])
        #expect(try store.image(matching: one.id).names.isEmpty)
        #expect(try store.nameHistory()[one.id] == ["docker.io/library/two:1", "docker.io/library/one:latest"])
    }

    // MARK: Prune

    @Test func imagesThatNobodyUsesGoInTheOrderOfTheirUse() throws {
        defer { fixture.remove() }
        let images = ["one", "two", "three"].map { image($0) }
        for image in images { try fixture.load(image) }
        #expect(try store.unusedImages().map(\.id) == images.map(\.id))
        try store.insertContainer(StoreTests.record(1, image: images[0].id))
        try store.insertContainer(StoreTests.record(2, image: images[1].id))
        try store.removeContainer(id: identifier(1))
        #expect(try store.unusedImages().map(\.id) == [images[2].id, images[0].id])
        #expect(try store.pruneImage(id: images[1].id, onlyUntagged: false) == nil)
        #expect(try store.pruneImage(id: images[2].id, onlyUntagged: true) == nil)
        let removed = try #require(try store.pruneImage(id: images[2].id, onlyUntagged: false))
        #expect(removed.untagged == ["three:latest"] && removed.deleted == [images[2].id])
        #expect(store.reclaimTrash() >= 4096)
        #expect(store.reclaimTrash() == 0)
        #expect(try store.pruneImage(id: images[2].id, onlyUntagged: false) == nil)
        #expect(try store.check().isEmpty)
    }

    // MARK: Partial downloads

    @Test func downloadsAreSweptWhenNobodyWorksOnThem() throws {
        defer { fixture.remove() }
        let base = fixture.base + "/store/partial"
        try FD.cwd.makeDirectory(base, mode: 0o700)
        let names = [String(repeating: "a", count: 64), String(repeating: "b", count: 64), String(repeating: "c", count: 64)]
        for name in names { try FD.cwd.writeFile(base + "/" + name, [UInt8](repeating: 1, count: 100_000)) }
        let held = try FD.cwd.open(base + "/" + names[0], [.readWrite])
        try held.fd.lock(.exclusive)
        // A week and a bit ago.
        for name in names[..<2] {
            var times = [timespec(), timespec()]
            times[0].tv_sec = Int(wallClockNanoseconds() / 1_000_000_000 - Store.partialAge - 10)
            times[1] = times[0]
            #expect(utimensat(AT_FDCWD, base + "/" + name, times, 0) == 0)
        }
        store.removeGarbage()
        #expect(try fixture.names(in: "partial").sorted() == [names[0], names[2]])
        #expect(store.usage().partials.values.allSatisfy { $0 >= 100_000 })
        store.discardLeftovers(partials: true)
        #expect(try fixture.names(in: "partial") == [names[0]])
        #expect(store.reclaimTrash() >= 100_000)
        withExtendedLifetime(held.raw) {}
    }

    // MARK: Usage

    @Test func usageIsWhatDuCounts() throws {
        defer { fixture.remove() }
        try fixture.load(image("one"))
        try fixture.load(image("two"))
        try FD.cwd.makeDirectories(fixture.base + "/store/volumes/v/_data")
        try FD.cwd.writeFile(fixture.base + "/store/volumes/v/_data/file", [UInt8](repeating: 1, count: 300_000))
        #expect(link(fixture.base + "/store/volumes/v/_data/file", fixture.base + "/store/volumes/v/_data/again") == 0)
        let usage = store.usage()
        var counter = SpaceCounter()
        let base = try FD.cwd.open(fixture.base, [.directory])
        #expect(usage.total == counter.bytes(of: "store", in: base.fd))
        #expect(usage.volumes.count == 1 && usage.blobs.count == 6 && usage.layers.count == 2)
        #expect((300_000..<400_000).contains(usage.volumes["v"] ?? 0))
        let needs = try store.needs()
        #expect(needs.images.allSatisfy { $0.layers.count == 2 && $0.blobs.count == 4 && $0.containers.isEmpty })
    }
}
