import Archive
import Glibc
import Linux
import OCI
import Testing

@testable import Store

@Suite struct CheckTests {
    private let fixture: Fixture
    private let image = TestImage([LoadTests.base, LoadTests.upper])
    private var store: Store { fixture.store }

    init() throws {
        fixture = try Fixture()
        try fixture.load(image)
    }

    private func path(_ name: String) -> String { fixture.base + "/store/" + name }
    private func blob(_ digest: String) -> String { path("blobs/sha256/" + hexPart(digest)) }
    private var base: String { digest(LoadTests.base).description }

    private func layer(_ index: Int) throws -> String { try store.layerDirectories(image: image.id)[1 - index] }

    private func change(_ sql: StaticString, _ values: [Value] = []) throws(StoreError) {
        try store.database.transaction(.durable) { () throws(StoreError) -> Void in try store.database.run(sql, values) }
    }

    private func outcomes(_ problems: [StoreProblem]) -> [String] { problems.map { "\($0.kind.rawValue) \($0.outcome)" } }

    @Test func aGoodStoreHasNoProblems() throws {
        defer { fixture.remove() }
        #expect(try store.check().isEmpty)
        #expect(try store.check(repair: true).isEmpty)
        #expect(try fixture.load(image).id == image.id)
    }

    @Test(arguments: [true, false]) func documentsAreWrittenAgainFromTheDatabase(damaged: Bool) throws {
        defer { fixture.remove() }
        let manifest = try store.image(matching: "test").manifestDigest
        for digest in [image.id, manifest] {
            if damaged { try FD.cwd.writeFile(blob(digest), [1, 2, 3]) } else { unlink(blob(digest)) }
        }
        let found = try store.check()
        #expect(outcomes(found) == ["blob found", "blob found"] && found.allSatisfy { $0.fix == "berth system check --repair" })
        #expect(outcomes(try store.check(repair: true)) == ["blob repaired", "blob repaired"])
        #expect(try store.check().isEmpty)
        #expect(try FD.cwd.readFile(blob(image.id)) == image.config.raw)
    }

    @Test func aDamagedLayerBlobGoesAndALoadBringsItBack() throws {
        defer { fixture.remove() }
        var bytes = try FD.cwd.readFile(blob(base))
        bytes[600] ^= 1
        try FD.cwd.writeFile(blob(base), bytes)
        #expect(try store.check().map(\.object) == [base])
        let repaired = try store.check(repair: true)
        #expect(outcomes(repaired) == ["blob removed"] && repaired[0].fix.hasPrefix("berth load"))
        #expect(!FD.cwd.exists(blob(base)))
        // It runs still.
        #expect(try FD.cwd.readText(layer(0) + "/bin/sh") == "shell")
        #expect(try store.check().map(\.cause) == ["it is missing"])
        try fixture.load(image)
        #expect(try store.check().isEmpty)
    }

    @Test func aLayerIsUnpackedAgain() throws {
        defer { fixture.remove() }
        for name in try fixture.names(in: "layers") {
            try FD.cwd.rename(path("layers/" + name), to: fixture.base + "/away-" + name)
        }
        try FD.cwd.writeFile(path("layers/" + hexPart(base)), [1])
        #expect(outcomes(try store.check()) == ["layer found", "layer found"])
        #expect(outcomes(try store.check(repair: true)) == ["layer repaired", "layer repaired"])
        #expect(try FD.cwd.readText(layer(0) + "/bin/sh") == "shell")
        #expect(isWhiteoutNode(try FD.cwd.status(of: layer(1) + "/etc/a")))
        #expect(try store.database.firstInteger("SELECT count(*) FROM layers WHERE boot IS NULL") == 2)
        #expect(try store.check().isEmpty && fixture.leftovers().isEmpty)
    }

    /// Unpacked but never made durable, and then the power failed.
    @Test func aLayerOfAnotherBootIsNotTrusted() throws {
        defer { fixture.remove() }
        try FD.cwd.writeFile(try layer(0) + "/bin/sh", [])
        try change("UPDATE layers SET boot='other' WHERE chain_id=?", [.text(base)])
        #expect(outcomes(try store.check(repair: true)) == ["layer repaired"])
        #expect(try FD.cwd.readText(layer(0) + "/bin/sh") == "shell")
    }

    @Test(arguments: [false, true]) func whatNothingCanRebuildGoesUnlessItIsUsed(used: Bool) throws {
        defer { fixture.remove() }
        if used { try store.insertContainer(record(1, image: image.id)) }
        unlink(blob(base))
        try FD.cwd.rename(path("layers/" + hexPart(base)), to: fixture.base + "/away")
        #expect(try store.check().allSatisfy { $0.outcome == .found && $0.fix.hasPrefix("berth load") })
        let repaired = try store.check(repair: true)
        if used {
            #expect(outcomes(repaired) == ["blob found", "layer found"])
            #expect(try store.image(matching: "test").id == image.id)
            try fixture.load(image)
            #expect(try FD.cwd.readText(layer(0) + "/bin/sh") == "shell")
        } else {
            #expect(outcomes(repaired) == ["blob found", "image removed", "layer removed"])
            #expect(try store.images().isEmpty && fixture.names(in: "layers").isEmpty)
        }
        #expect(try store.check().isEmpty)
    }

    @Test func rowsAreRepairedFromBlobs() throws {
        defer { fixture.remove() }
        try change("UPDATE images SET config=x'00', manifest=x'7b7d'")
        #expect(outcomes(try store.check()) == ["image found", "index found"])
        #expect(outcomes(try store.check(repair: true)) == ["image repaired"])
        #expect(try store.imageDetails(id: image.id).config.raw == image.config.raw)
        try change("DELETE FROM image_blobs WHERE digest=?", [.text(base)])
        // A blob nobody names would be swept: the row comes first.
        #expect(outcomes(try store.check(repair: true)) == ["image repaired"])
        #expect(FD.cwd.exists(blob(base)))
        try change("INSERT INTO names VALUES('UPPER CASE',?)", [.text(image.id)])
        #expect(outcomes(try store.check(repair: true)).first == "name removed")
        #expect(try store.check().isEmpty)
    }

    @Test func rowsThatNobodyCanRepairGo() throws {
        defer { fixture.remove() }
        try change("UPDATE images SET layer=?", [.text(base)])
        let repaired = try store.check(repair: true)
        #expect(repaired.first?.kind == .image && repaired.first?.outcome == .removed)
        #expect(try store.images().isEmpty)
        _ = try store.check(repair: true)
        #expect(try fixture.names(in: "layers").isEmpty && store.check().isEmpty)
        try fixture.load(image)
        #expect(try store.check().isEmpty)
    }

    @Test func theIndexIsKeptInStep() throws {
        defer { fixture.remove() }
        try FD.cwd.writeFile(path("index.json"), Array("{}".utf8))
        #expect(outcomes(try store.check()) == ["index found"])
        #expect(outcomes(try store.check(repair: true)) == ["index repaired"])
        #expect(try store.check().isEmpty)
    }

    /// The database was moved away: images come back from the layout, containers and volumes are kept aside.
    @Test func aLostDatabase() throws {
        let lost = try Fixture()
        defer {
            lost.remove()
            fixture.remove()
        }
        try lost.load(image)
        try lost.store.insertContainer(record(1, image: image.id))
        try lost.store.makeContainerDirectory(identifier(1))
        _ = try lost.store.insertVolume(VolumeRecord(name: "v", created: 1))
        for suffix in ["", "-wal", "-shm"] { unlink(lost.base + "/store/berth.db" + suffix) }
        let fresh = try lost.again()
        // A writer that comes first leaves everything.
        fresh.removeGarbage()
        #expect(try lost.names(in: "blobs/sha256").count == 4 && lost.names(in: "layers").count == 2)
        #expect(try fresh.check().map(\.kind) == [.database, .volume])
        let repaired = try fresh.check(repair: true)
        #expect(outcomes(repaired) == ["database repaired", "volume found"], "\(repaired)")
        #expect(try fresh.image(matching: "test").id == image.id)
        #expect(try lost.names(in: "volumes") == ["v"] && lost.names(in: "containers").isEmpty)
        let kept = try lost.names(in: ".").filter { $0.hasPrefix("containers.lost-") }
        #expect(kept.count == 1)
        #expect(try lost.names(in: kept[0]) == [identifier(1)])
    }

    @Test func aDamagedDatabaseChangesNothing() throws {
        defer { fixture.remove() }
        let before = try fixture.names(in: "blobs/sha256")
        try change("PRAGMA writable_schema=ON")
        try change("UPDATE sqlite_schema SET rootpage=2 WHERE name='names_image'")
        let damaged = try fixture.again()
        if let problems = try? damaged.check(repair: true) {
            #expect(!problems.isEmpty && problems.allSatisfy { $0.kind == .database && $0.outcome == .found })
        }
        #expect(try fixture.names(in: "blobs/sha256") == before)
    }
}
