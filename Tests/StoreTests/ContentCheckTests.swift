import CLinux
import Glibc
import Linux
import OCI
import Testing

@testable import Store

/// The check of what layers hold, and repair by pulling again.
@Suite struct ContentCheckTests {
    private static let layer = try! LayerBuilder().directory("d").file("d/file", "content").link("link", "d/file").bytes()

    private let fixture: Fixture
    private let image = TestImage([layer])
    private var store: Store { fixture.store }

    init() throws {
        fixture = try Fixture()
        try fixture.load(image)
    }

    private func path(_ name: String) throws -> String { try store.layerDirectories(image: image.id)[0] + "/" + name }

    /// The name of a change and how it is made.
    static let changes: [(String, @Sendable (String) throws -> Void, String)] = [
        ("content", { try FD.cwd.writeFile($0 + "/d/file", Array("CONTENT".utf8)) }, "\"d/file\" has other content"),
        ("size", { try FD.cwd.writeFile($0 + "/d/file", Array("more content".utf8)) }, "\"d/file\" has another size"),
        ("empty", { truncate($0 + "/d/file", 0) }, "\"d/file\" has another size"),
        ("added", { try FD.cwd.writeFile($0 + "/d/new", []) }, "\"d/new\" was added"),
        ("missing", { unlink($0 + "/link") }, "\"link\" is missing"),
        (
            "target",
            {
                unlink($0 + "/link"); symlink("elsewhere", $0 + "/link")
            }, "\"link\" has another target"
        ),
        (
            "type",
            {
                unlink($0 + "/link"); mkdir($0 + "/link", 0o755)
            }, "\"link\" has another type"
        ),
        ("permissions", { chmod($0 + "/d", 0o777) }, "\"d\" has other permissions"),
        ("attribute", { _ = cl_lsetxattr($0 + "/d/file", "user.x", "y", 1, 0) }, "\"d/file\" has other attributes"),
    ]

    @Test(arguments: 0..<9) func aChangedLayerIsFoundAndMadeAgain(number: Int) throws {
        defer { fixture.remove() }
        let (_, change, cause) = Self.changes[number]
        try change(String(path("").dropLast()))
        #expect(try store.check().map(\.cause) == [cause])
        var quick = CheckOptions()
        quick.isQuick = true
        #expect(try store.check(quick).isEmpty)
        let repaired = try store.check(repair: true)
        #expect(repaired.map(\.outcome) == [.repaired] && repaired[0].kind == .layer)
        #expect(try store.check().isEmpty)
        #expect(try FD.cwd.readText(path("d/file")) == "content")
        #expect(try fixture.leftovers().isEmpty)
    }

    @Test func filesBelowARunningContainerAreNotReplaced() throws {
        defer { fixture.remove() }
        try store.insertContainer(record(1, image: image.id))
        truncate(try path("d/file"), 0)
        var options = CheckOptions(repair: true)
        options.isRunning = { $0 == identifier(1) }
        let problems = try store.check(options)
        #expect(problems.map(\.outcome) == [.found] && problems[0].fix.hasPrefix("berth stop"))
        options.isRunning = { _ in false }
        #expect(try store.check(options).map(\.outcome) == [.repaired])
    }

    // MARK: Pulling again

    private static let known = "docker.io/library/test@sha256:" + String(repeating: "12", count: 32)

    private func damageBlob() throws -> String {
        let blob = try #require(try store.needs().images[0].blobs.first { $0 == digest(Self.layer).description })
        try FD.cwd.writeFile(fixture.base + "/store/blobs/sha256/" + hexPart(blob), [1, 2, 3])
        return blob
    }

    @Test func lostBlobsArePulledAgain() throws {
        defer { fixture.remove() }
        try store.recordDigest(reference: Self.known, image: image.id, mediaType: "a/b", size: 1)
        let blob = try damageBlob()
        var asked: [String] = []
        var options = CheckOptions(repair: true)
        options.refetch = { (reference) throws(StoreError) in
            asked.append(reference)
            do { _ = try fixture.load(image) } catch { throw StoreError(.corrupt, "load", cause: "\(error)") }
        }
        let problems = try store.check(options)
        #expect(asked == [Self.known] && problems.map(\.object) == [blob] && problems.map(\.outcome) == [.repaired])
        #expect(problems[0].cause.contains("pulled again as \(Self.known)") && problems[0].fix.isEmpty)
        #expect(try store.check().isEmpty)
    }

    @Test func whatCannotBePulledIsToldWithTheReason() throws {
        defer { fixture.remove() }
        try store.recordDigest(reference: Self.known, image: image.id, mediaType: "a/b", size: 1)
        _ = try damageBlob()
        var options = CheckOptions()
        options.refetch = { (_) throws(StoreError) in throw StoreError(.system, "pull", cause: "nobody is there") }
        #expect(try store.check(options).map(\.fix) == [StoreProblem.repairCommand])
        options.repair = true
        let problems = try store.check(options)
        #expect(problems.count == 1 && problems[0].outcome != .repaired && problems[0].cause.contains("nobody is there"))
        #expect(problems[0].fix == StoreProblem.loadAgain)
    }
}
