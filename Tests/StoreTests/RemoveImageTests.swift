import Archive
import Glibc
import Linux
import OCI
import Testing

@testable import Store

/// Images of one base and one layer of their own.
private func image(_ name: String, _ layers: [[UInt8]] = [LoadTests.base, LoadTests.upper]) -> TestImage {
    var image = TestImage(layers)
    image.names = ["docker.io/library/\(name):latest"]
    image.command = [name]
    return image
}

extension Fixture {
    /// Names that other tools see.
    func indexNames() throws -> [String] {
        try Index.decode(FD.cwd.readFile(base + "/store/index.json")).manifests.compactMap { $0.annotations[Annotation.refName] }
    }

    fileprivate func remove(_ text: String, force: Bool = false, running: Set<String> = []) throws(StoreError) -> RemovedImage {
        try store.removeImage(text, force: force) { running.contains($0) }
    }

    /// That nothing of any image is left.
    fileprivate func isEmpty() throws -> Bool {
        try names(in: "blobs/sha256").isEmpty && names(in: "layers").isEmpty && leftovers().isEmpty
            && store.database.firstInteger("SELECT count(*) FROM layers") == 0
            && store.database.firstInteger("SELECT count(*) FROM image_blobs") == 0
    }
}

@Suite struct RemoveImageTests {
    @Test func tagging() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        let (one, two) = (image("one"), image("two"))
        try fixture.load(one)
        try fixture.load(two)
        #expect(try fixture.store.tag("one", as: Reference.parse("example.com/a/b")) == one.id)
        #expect(try fixture.store.tag(String(one.id.dropFirst(7).prefix(12)), as: Reference.parse("c:1")) == one.id)
        #expect(try fixture.store.image(matching: "example.com/a/b:latest").id == one.id)
        #expect(try fixture.store.image(matching: "c:1").id == one.id)
        // A name moves; the other image stays.
        try fixture.store.tag("one", as: Reference.parse("two"))
        #expect(try fixture.store.image(matching: "two").id == one.id)
        #expect(try fixture.store.image(id: two.id)?.names == [])
        #expect(
            try fixture.indexNames() == [
                "docker.io/library/c:1", "docker.io/library/one:latest", "docker.io/library/two:latest",
                "example.com/a/b:latest",
            ])
        let pinned = try Reference.parse("x@" + one.id)
        #expect(failure { () throws(StoreError) in try fixture.store.tag("one", as: pinned) }?.code == .invalid)
        let digestLike = try Reference.parse("sha256:abc")
        #expect(failure { () throws(StoreError) in try fixture.store.tag("one", as: digestLike) }?.code == .invalid)
        let name = try Reference.parse("x")
        #expect(failure { () throws(StoreError) in try fixture.store.tag("nothing", as: name) }?.code == .notFound)
    }

    @Test func namesGoBeforeTheImage() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        let one = image("one")
        try fixture.load(one)
        try fixture.store.tag("one", as: Reference.parse("one:2"))
        #expect(try fixture.remove("one") == RemovedImage(untagged: ["one:latest"], deleted: []))
        #expect(try fixture.indexNames() == ["docker.io/library/one:2"])
        #expect(failure { () throws(StoreError) in _ = try fixture.remove("one") }?.code == .notFound)
        let last = try fixture.remove("one:2")
        #expect(last.untagged == ["one:2"] && last.deleted.count == 3 && last.deleted[0] == one.id)
        #expect(last.deleted[2] == digest(LoadTests.base).description)
        #expect(last.lines[0] == "Untagged: one:2" && last.lines[1] == "Deleted: " + one.id)
        #expect(try fixture.isEmpty() && fixture.indexNames().isEmpty)
    }

    @Test func sharedContentStays() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        let (one, two) = (image("one"), image("two", [LoadTests.base]))
        try fixture.load(one)
        try fixture.load(two)
        #expect(try fixture.remove(one.id).deleted.count == 2)
        #expect(try fixture.names(in: "layers") == [digest(LoadTests.base).hex])
        #expect(try fixture.names(in: "blobs/sha256").count == 3)
        #expect(try FD.cwd.exists(fixture.store.layerDirectories(image: two.id)[0] + "/bin/sh"))
        #expect(try fixture.store.check().isEmpty)
        _ = try fixture.remove("two")
        #expect(try fixture.isEmpty())
    }

    @Test func anIdOfSeveralNamesNeedsForce() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        let one = image("one")
        try fixture.load(one)
        try fixture.store.tag("one", as: Reference.parse("other"))
        let short = String(one.id.dropFirst(7).prefix(12))
        let error = failure { () throws(StoreError) in _ = try fixture.remove(short) }
        #expect(error?.code == .inUse)
        #expect(error?.cause == "conflict: unable to delete \(short) (must be forced) - image is referenced in multiple repositories")
        let removed = try fixture.remove(short, force: true)
        #expect(removed.untagged == ["one:latest", "other:latest"] && removed.deleted[0] == one.id)
        #expect(try fixture.isEmpty())
    }

    @Test func containersKeepTheirImage() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        let one = image("one")
        try fixture.load(one)
        try fixture.store.insertContainer(record(1, image: one.id))
        let (short, user) = (String(one.id.dropFirst(7).prefix(12)), String(identifier(1).prefix(12)))
        var error = failure { () throws(StoreError) in _ = try fixture.remove("one") }
        #expect(error?.holders == [identifier(1)])
        #expect(
            error?.cause == "conflict: unable to remove repository reference \"one\" (must force) - container \(user) is using "
                + "its referenced image \(short)")
        error = failure { () throws(StoreError) in _ = try fixture.remove(one.id) }
        #expect(error?.cause.contains("(must be forced) - image is being used by stopped container \(user)") == true)
        error = failure { () throws(StoreError) in _ = try fixture.remove(one.id, force: true, running: [identifier(1)]) }
        #expect(error?.cause.contains("(cannot be forced) - image is being used by running container \(user)") == true)
        #expect(try fixture.store.image(matching: "one").id == one.id)
        // One name of two is not the image.
        try fixture.store.tag("one", as: Reference.parse("two"))
        #expect(try fixture.remove("two", running: [identifier(1)]).deleted.isEmpty)
        // Running: the name goes with force, the image stays; then stopped: the image goes, the layers stay.
        #expect(try fixture.remove("one", force: true, running: [identifier(1)]) == RemovedImage(untagged: ["one:latest"], deleted: []))
        #expect(try fixture.store.image(id: one.id)?.names == [])
        #expect(try fixture.remove(one.id, force: true).deleted == [one.id])
        #expect(try fixture.names(in: "layers").count == 2 && fixture.names(in: "blobs/sha256").isEmpty)
        #expect(try FD.cwd.exists(fixture.store.layerDirectories(container: identifier(1))[1] + "/bin/sh"))
        #expect(try fixture.store.check().isEmpty)
        try fixture.store.removeContainer(id: identifier(1))
        #expect(try fixture.isEmpty())
    }

    /// What commands leave that are killed: before the renames, between them and the removal, and in staging.
    @Test func theNextWriterSweeps() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        let (one, two) = (image("one"), image("two", [LoadTests.base]))
        try fixture.load(two)
        try fixture.load(one)
        // rmi killed right after its commit: rows are gone, files are all there.
        var doomed = Doomed()
        _ = try fixture.store.database.transaction(.durable) { () throws(StoreError) in
            try fixture.store.dropImage(one.id, into: &doomed)
        }
        #expect(doomed.paths.count == 4)
        // A load killed: staging without its lock, and a layer placed with its row, of another boot, without an image.
        let store = fixture.base + "/store/"
        try FD.cwd.makeDirectories(store + "staging/dead/layer1/fs/deep")
        try FD.cwd.makeDirectories(store + "layers/" + identifier(7) + "/fs")
        try FD.cwd.makeDirectories(store + "trash/half/x")
        try FD.cwd.writeFile(store + "blobs/sha256/" + identifier(8), [1])
        _ = try fixture.store.database.transaction(.volatile) { () throws(StoreError) in
            try fixture.store.database.run(
                "INSERT INTO layers VALUES(?,?,?,?,?)",
                [
                    .text("sha256:" + identifier(7)), .text(digest(LoadTests.base).description), .text("sha256:" + identifier(7)),
                    .integer(1), .text("old"),
                ])
        }
        // A container's directory without a row, and one that a supervisor still holds.
        try FD.cwd.makeDirectories(store + "containers/" + identifier(1) + "/upper")
        try FD.cwd.makeDirectories(store + "containers/" + identifier(2) + "/upper")
        let held = try FD.cwd.open(store + "containers/" + identifier(2) + "/lock", [.readWrite, .create], mode: 0o600)
        try held.fd.lock(.exclusive)
        try FD.cwd.makeDirectories(store + "volumes/precious/_data")
        var left = try fixture.store.check()
        // A child that another test has just forked holds a copy of our content lock until its execve.
        let deadline = monotonicNanoseconds() + 10_000_000_000
        while left.filter({ $0.kind == .garbage }).count != 8, monotonicNanoseconds() < deadline { left = try fixture.store.check() }
        #expect(left.filter { $0.kind == .garbage }.count == 8, "\(left)")
        let other = try fixture.again()
        try other.tag("two", as: Reference.parse("again"))
        #expect(try fixture.leftovers().isEmpty)
        #expect(try fixture.names(in: "layers") == [digest(LoadTests.base).hex])
        #expect(try fixture.names(in: "blobs/sha256").count == 3)
        #expect(try fixture.names(in: "containers") == [identifier(2)])
        #expect(try fixture.names(in: "volumes") == ["precious"])
        #expect(try fixture.store.check(repair: true).map(\.kind) == [.volume])
        #expect(try fixture.names(in: "volumes") == ["precious"])
    }

    @Test func nothingIsSweptWhileAnotherLoads() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        try fixture.load(image("one"))
        let loading = try fixture.again()
        let content = try loading.contentLock(.shared)
        let staging = try loading.makeStaging()
        try FD.cwd.writeFile(fixture.base + "/store/blobs/sha256/" + identifier(8), [1])
        try fixture.store.tag("one", as: Reference.parse("two"))
        #expect(try fixture.store.check(repair: true).isEmpty)
        #expect(try fixture.names(in: "blobs/sha256").contains(identifier(8)))
        #expect(try fixture.names(in: "staging").contains(staging.name))
        withExtendedLifetime(content) {}
        staging.remove()
    }

    /// What a save reads stays until it is done; the image is gone at once.
    @Test func aSaveKeepsItsBlobs() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        try fixture.load(image("one"))
        let saving = try fixture.again()
        var content = try saving.contentLock(.shared)
        let blobs = try fixture.names(in: "blobs/sha256")
        #expect(try fixture.remove("one").deleted.count == 3)
        #expect(try fixture.names(in: "blobs/sha256") == blobs && fixture.store.images().isEmpty)
        withExtendedLifetime(content) {}
        content = nil
        try fixture.load(image("two", [LoadTests.upper]))
        #expect(try fixture.names(in: "blobs/sha256").count == 3 && fixture.store.check().isEmpty)
    }

    /// One loads and the other removes what it shares, again and again.
    @Test func loadingAgainstRemoving() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        let counts = Counts()
        let workers = try (0..<4).map { number in
            let own = image("p\(number)")
            let path = try fixture.write(try tar(number % 2 == 0 ? own.layout() : own.docker()), "archive\(number)")
            return try Worker {
                do {
                    let store = try fixture.again()
                    for _ in 0..<6 {
                        _ = try store.load(path: path)
                        let directories = try store.layerDirectories(image: own.id)
                        if directories.count != 2 || !FD.cwd.exists(directories[1] + "/bin/sh") {
                            counts.add { $0.failures.append("a layer of a loaded image is gone") }
                        }
                        try store.removeImage("p\(number)") { _ in false }
                    }
                } catch { counts.add { $0.failures.append("\(error)") } }
            }
        }
        for worker in workers { worker.join() }
        #expect(counts.failures.isEmpty, "\(counts.failures)")
        #expect(try fixture.store.check(repair: true).allSatisfy { $0.kind == .garbage })
        #expect(try fixture.isEmpty())
    }

    /// Two remove the same image: one has it, the other hears that it is not there.
    @Test func removingTwice() throws {
        let fixture = try Fixture()
        defer { fixture.remove() }
        try fixture.load(image("one"))
        let counts = Counts()
        let workers = try (0..<4).map { _ in
            try Worker {
                do throws(StoreError) {
                    try fixture.store(again: ()).removeImage("one") { _ in false }
                    counts.add { $0.failures.append("removed") }
                } catch { counts.add { $0.failures.append(error.code.rawValue) } }
            }
        }
        for worker in workers { worker.join() }
        #expect(counts.failures.sorted() == ["not found", "not found", "not found", "removed"])
        #expect(try fixture.isEmpty())
    }
}

extension Fixture {
    func store(again: Void) throws(StoreError) -> Store { try Store(path: base + "/store", isInUserNamespace: geteuid() != 0) }
}
