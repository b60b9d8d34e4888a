import Glibc
import Linux
import NIOCore
import OCI
import Store
import Testing

@testable import RegistryServer

/// The directory without a server in front of it.
struct RegistryStorageTests {
    /// A directory that is gone with the test.
    final class Place {
        let path = "/tmp/berth-registry-\(hexadecimal(randomBytes(8)))"

        func open(readOnly: Bool = false, keepUnlinked: Int64 = 3_600_000_000_000) throws -> RegistryStorage {
            try RegistryStorage(path: path, isReadOnly: readOnly, keepUnlinked: keepUnlinked) { Issue.record("\($0)") }
        }

        var files: [String] {
            get throws {
                let directory = try FD.cwd.open(path + "/blobs/sha256", [.directory])
                return try directoryEntries(directory.fd).map(\.name).sorted()
            }
        }

        deinit {
            for directory in ["blobs/sha256", "blobs/sha512", "blobs", "uploads", ""] {
                guard let opened = try? FD.cwd.open(path + "/" + directory, [.directory]) else { continue }
                for entry in (try? directoryEntries(opened.fd)) ?? [] { try? opened.fd.removeFile(entry.name) }
                try? FD.cwd.removeDirectory(path + "/" + directory)
            }
        }
    }

    private func digest(_ text: String) throws -> Digest { try RunningHash.digest(Array(text.utf8), .sha256) }

    @discardableResult
    private func push(_ text: String, _ storage: RegistryStorage, _ name: String = "a") throws -> Digest {
        let writer = try storage.startUpload(name, .sha256).begin(nil)
        try writer.session.append([ByteBuffer(string: text)], writer)
        let digest = try digest(text)
        try storage.finish(writer, digest)
        return digest
    }

    private func image(_ config: Digest, _ size: Int) -> [UInt8] {
        Array(
            "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"a/b\",\"digest\":\"\(config)\",\"size\":\(size)},\"layers\":[]}".utf8)
    }

    @Test func aSecondServerIsRefused() throws {
        let place = Place()
        let storage = try place.open()
        #expect(throws: RegistryServerError.self) { try place.open() }
        #expect(throws: RegistryServerError.self) { try place.open(readOnly: true) }
        withExtendedLifetime(storage) {}
    }

    @Test func filesWithoutARowAreSweptAtStart() throws {
        let place = Place()
        var digest: Digest?
        do { digest = try push("kept", try place.open()) }
        let root = try FD.cwd.open(place.path, [.directory])
        try root.fd.writeFile("blobs/sha256/" + String(repeating: "1", count: 64), [1])
        try root.fd.writeFile("blobs/sha512/x", [1])
        try root.fd.writeFile("uploads/left", [1])
        let storage = try place.open()
        #expect(try place.files == [try #require(digest).hex])
        #expect(!root.fd.exists("uploads/left"))
        #expect(!root.fd.exists("blobs/sha512/x"))
        withExtendedLifetime(storage) {}
    }

    @Test func aSessionGoesOnWithAnotherServer() throws {
        let place = Place()
        var id = ""
        do {
            let writer = try place.open().startUpload("a", .sha256).begin(nil)
            try writer.session.append([ByteBuffer(string: "one ")], writer)
            id = writer.session.id
        }
        let storage = try place.open()
        let session = try storage.upload("a", id)
        #expect(session.offset == 4)
        #expect(throws: APIFailure.self) { try session.begin(0...1) }
        let writer = try session.begin(4...6)
        try session.append([ByteBuffer(string: "two")], writer)
        try storage.finish(writer, try digest("one two"))
        #expect(try storage.blob("a", try digest("one two"), opens: false).size == 7)
        #expect(throws: APIFailure.self) { try storage.upload("a", id) }
        #expect(throws: APIFailure.self) { try storage.upload("b", id) }
    }

    @Test func anotherRequestTakesASessionOver() throws {
        let place = Place()
        let storage = try place.open()
        let session = try storage.startUpload("a", .sha256)
        let first = try session.begin(nil)
        try session.append([ByteBuffer(string: "a")], first)
        let second = try session.begin(1...1)
        #expect(throws: APIFailure.self) { try session.append([ByteBuffer(string: "x")], first) }
        session.release(first)
        #expect(session.isWriting)
        try session.append([ByteBuffer(string: "b")], second)
        try session.rollBack(second)
        #expect(session.offset == 1)
        try session.append([ByteBuffer(string: "c")], second)
        try storage.finish(second, try digest("ac"))
    }

    @Test func theLastLinkTakesTheFile() throws {
        let place = Place()
        let storage = try place.open()
        let digest = try push("x", storage)
        #expect(try storage.mount("b", digest, from: "a"))
        #expect(try !storage.mount("b", digest, from: "c"))
        try storage.deleteBlob("a", digest)
        #expect(try place.files == [digest.hex])
        try storage.deleteBlob("b", digest)
        #expect(try place.files.isEmpty)
        try push("x", storage)
        #expect(try place.files == [digest.hex])
    }

    @Test func manifestsKeepTheirBlobs() throws {
        let place = Place()
        let storage = try place.open(keepUnlinked: 0)
        let config = try push("config", storage)
        let bytes = image(config, 6)
        let pushed = try storage.putManifest(
            "a", .tag("x"), contentType: MediaType.ociManifest.rawValue, bytes, tags: [])
        try push("loose", storage)
        storage.collect()
        #expect(try place.files == [config.hex, pushed.digest.hex].sorted())
        #expect(throws: APIFailure.self) { try storage.deleteBlob("a", config) }
        try storage.deleteManifest("a", pushed.digest)
        #expect(try place.files.isEmpty)
        storage.collect()
        #expect(try storage.repositories(limit: 10, after: "").names.isEmpty)
    }

    @Test func aRefusedManifestLeavesNothing() throws {
        let place = Place()
        let storage = try place.open()
        let type = MediaType.ociManifest.rawValue
        let config = try push("config", storage)
        #expect(throws: APIFailure.self) {
            try storage.putManifest("a", .tag("x"), contentType: type, image(try digest("missing"), 7), tags: [])
        }
        #expect(throws: APIFailure.self) {
            try storage.putManifest("a", .tag("x"), contentType: type, image(config, 7), tags: [])
        }
        #expect(try place.files == [config.hex])
        #expect(throws: APIFailure.self) { try storage.manifest("a", .tag("x"), opens: false) }
    }

    /// A client that was told that a blob is there names it without pushing it.
    @Test(arguments: [true, false]) func whatAClientHasAskedForStays(asks: Bool) throws {
        let place = Place()
        let (config, pushed) = try {
            let storage = try place.open()
            let config = try push("config", storage)
            let type = MediaType.ociManifest.rawValue
            return (config, try storage.putManifest("a", .tag("x"), contentType: type, image(config, 6), tags: []))
        }()
        // The push itself keeps it for an hour: a server that was started since and the file say that it is over.
        let storage = try place.open()
        _ = try storage.connections.with { (database) throws(StoreError) in try database.run("UPDATE links SET touched_ns=0") }
        if asks { _ = try storage.blob("a", config, opens: false) }
        try storage.deleteManifest("a", pushed.digest)
        #expect(try place.files == (asks ? [config.hex] : []))
    }
}
