import Archive
import CLinux
import Glibc
import Linux
import OCI
import Testing

@testable import Store

/// Layers that a build makes, what it remembers of them, and what is left when it is killed.
@Suite struct BuildSessionTests {
    private let fixture: Fixture
    private var store: Store { fixture.store }

    init() throws { fixture = try Fixture() }

    /// A step that writes files: path and content.
    private func step(_ session: BuildSession, _ files: [(String, String)], on parent: BuiltLayer? = nil) throws -> BuiltLayer? {
        let directory = try session.makeStepDirectory()
        let upper = try FD.cwd.open(directory.upper, [.directory])
        for (path, content) in files {
            if let slash = path.lastIndex(of: "/") { try upper.fd.makeDirectories(String(path[..<slash]), mode: 0o755) }
            try upper.fd.writeFile(path, Array(content.utf8))
            try check(cl_utimensat(upper.raw, path, 1, 0, 1, 0, 0), "set time")
        }
        return try session.makeLayer(of: directory, on: parent?.chainID)
    }

    private func config(_ layers: [BuiltLayer]) -> ImageConfig {
        ImageConfig(
            created: "2026-01-01T00:00:00Z", platform: Store.hostPlatform(), config: ContainerConfig(),
            rootfs: RootFS(diffIDs: layers.map(\.diffID)), history: layers.map { _ in History(createdBy: "step") })
    }

    private func names(in name: String) throws -> [String] {
        let directory = try store.directory(name)
        return try directoryEntries(directory.fd).map(\.name)
    }

    private func directoryCount(_ name: String) throws -> Int { try names(in: name).count }

    @Test func stepsBecomeAnImage() throws {
        defer { fixture.remove() }
        let session = try BuildSession(store)
        let first = try #require(try step(session, [("a/one", "1")]))
        let second = try #require(try step(session, [("a/two", "2")], on: first))
        let directories = try session.layerDirectories(top: second.chainID)
        #expect(directories.count == 2)
        #expect(FD.cwd.exists(directories[0] + "/a/two") && FD.cwd.exists(directories[1] + "/a/one"))
        let image = try session.publish(config([first, second]), [first, second], names: [try Reference.parse("built:latest")])
        #expect(image.names == ["docker.io/library/built:latest"])
        let details = try store.imageDetails(id: image.id)
        #expect(details.layers.map(\.chainID) == [first.chainID.description, second.chainID.description])
        #expect(try session.layers(ofImage: image.id).layers == [first, second])
        #expect(try store.check(CheckOptions()).map(\.cause) == [])
    }

    @Test func theSameFilesGiveTheSameLayer() throws {
        defer { fixture.remove() }
        let session = try BuildSession(store)
        let first = try #require(try step(session, [("x", "1"), ("y", "2")]))
        let again = try #require(try step(session, [("y", "2"), ("x", "1")]))
        #expect(first == again)
        #expect(try directoryCount("layers") == 1)
        let other = try #require(try step(session, [("x", "1"), ("y", "2")], on: first))
        #expect(other.diffID == first.diffID && other.chainID != first.chainID)
        #expect(try step(session, []) == nil)
    }

    @Test func aStepIsRememberedByItsKey() throws {
        defer { fixture.remove() }
        do {
            let session = try BuildSession(store)
            let layer = try #require(try step(session, [("x", "1")]))
            try session.keep(CachedStep(layer: layer, description: "RUN x"), as: "11")
            try session.keep(CachedStep(layer: nil, description: "RUN true"), as: "22")
            try session.finish()
        }
        store.removeGarbage()
        let session = try BuildSession(try fixture.again())
        let found = try #require(try session.find("11", on: nil))
        #expect(found.description == "RUN x" && found.layer != nil)
        #expect(try session.find("22", on: found.layer?.chainID)?.layer == nil)
        #expect(try session.find("33", on: nil) == nil)
        // The same result elsewhere would be another layer.
        #expect(try session.find("11", on: found.layer?.chainID) == nil)
        let uses = try store.cacheRecords().map(\.uses)
        #expect(uses == [1, 1] || uses == [0, 1], "the one without a layer is as good without a count")
    }

    @Test func whatIsGoneIsNotFound() throws {
        defer { fixture.remove() }
        let session = try BuildSession(store)
        let layer = try #require(try step(session, [("x", "1")]))
        try session.keep(CachedStep(layer: layer, description: "RUN x"), as: "11")
        try store.root.fd.removeFile("blobs/sha256/" + layer.diffID.hex)
        #expect(try session.find("11", on: nil) == nil)
    }

    @Test func aBuildThatWasKilledLeavesNothing() throws {
        defer { fixture.remove() }
        do {
            let session = try BuildSession(store)
            _ = try step(session, [("x", "1")])
            _ = try session.makeStepDirectory()
            // Nobody may collect while it works.
            let other = try fixture.again()
            other.removeGarbage()
            #expect(try directoryCount("layers") == 1)
        }
        try fixture.again().removeGarbage()
        #expect(try directoryCount("layers") == 0 && directoryCount("blobs/sha256") == 0)
        #expect(try names(in: "staging").allSatisfy { $0 == ".lock" })
    }

    @Test func theLeastRecentlyUsedGoesFirst() throws {
        defer { fixture.remove() }
        var keys: [String] = []
        do {
            let session = try BuildSession(store)
            for number in 1...4 {
                let layer = try #require(try step(session, [("x", String(repeating: "\(number)", count: 10_000))]))
                try session.keep(CachedStep(layer: layer, description: "step \(number)"), as: "k\(number)")
                keys.append("k\(number)")
                if number == 4 { _ = try session.publish(config([layer]), [layer], names: [try Reference.parse("kept:latest")]) }
            }
            _ = try session.find("k1", on: nil)
        }
        #expect(try store.cacheRecords().map(\.key) == ["k2", "k3", "k4", "k1"])
        #expect(try store.cacheRecords().map(\.isShared) == [false, false, true, false])
        let size = try #require(try store.cacheRecords().first).size
        #expect(size > 20_000, "the files and the stored bytes")
        #expect(try store.pruneCache(CacheSelection(keepBytes: 2 * size)).map(\.key) == ["k2"])
        #expect(try directoryCount("layers") == 3)
        #expect(try store.pruneCache(CacheSelection(unusedSince: 1)).isEmpty)
        #expect(try store.pruneCache(CacheSelection()).map(\.key) == ["k3", "k4", "k1"])
        #expect(store.reclaimTrash() > 0)
        // The image's own.
        #expect(try directoryCount("layers") == 1)
        #expect(try store.check(CheckOptions()).map(\.cause) == [])
    }
}
