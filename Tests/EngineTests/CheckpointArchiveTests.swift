import Archive
import Testing

@testable import Engine

/// What stands in an archive of a checkpoint, and what names there may be. The archives themselves: Tests/Integration.
struct CheckpointArchiveTests {
    @Test func aContainerComesBackAsItWas() throws {
        var definition = ContainerDefinition(id: String(repeating: "a", count: 64), name: "web")
        (definition.image, definition.imageID) = ("test", "sha256:" + String(repeating: "b", count: 64))
        definition.command = ["sh", "-c", "true"]
        definition.labels = ["a": "b"]
        definition.network = .private
        var description = CheckpointDescription(definition: definition)
        var endpoint = EndpointDefinition()
        (endpoint.network, endpoint.aliases, endpoint.ipv4) = ("team", ["db"], "10.0.0.5")
        description.networks = [
            CheckpointDescription.Attachment(definition: endpoint.encode(), ipv4: "10.0.0.5", ipv6: "", mac: "02:42:0a:00:00:05")
        ]
        let read = try CheckpointDescription(decoding: description.encoded)
        #expect(read.definition == definition && read.networks.count == 1)
        #expect(try EndpointDefinition(decoding: read.networks[0].definition) == endpoint)
        #expect(read.networks[0].ipv4 == "10.0.0.5" && read.networks[0].mac == "02:42:0a:00:00:05")
    }

    @Test(arguments: ["", "{", "[]", "{}", #"{"version": 2, "container": {}}"#, #"{"version": 1, "container": []}"#, #"{"version": "1"}"#])
    func whatIsNoDescription(_ text: String) {
        #expect(throws: EngineError.self) { try CheckpointDescription(decoding: Array(text.utf8)) }
    }

    @Test(arguments: ["one", "a.b-c_d", "1"]) func namesThatMayBe(_ name: String) throws { try CheckpointPlaces.check(name) }

    @Test(arguments: ["", ".", "..", ".a", "-a", "a/b", "../a", "a b", "a\u{0}", "é", String(repeating: "a", count: 201)])
    func namesThatMayNot(_ name: String) {
        #expect(throws: EngineError.self) { try CheckpointPlaces.check(name) }
    }

    @Test func words() throws {
        #expect(try CheckpointExport.compression("zstd") == .zstd)
        #expect(try CheckpointExport.compression("gzip") == .gzip)
        #expect(try CheckpointExport.compression("none") == .none)
        #expect(throws: EngineError.self) { try CheckpointExport.compression("xz") }
    }
}
