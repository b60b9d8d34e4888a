import Linux
import OCI
import Testing

@testable import Engine

struct TransferTests {
    @Test func locations() throws {
        let registry = try ImageLocation.parse("docker://localhost:5000/a/b")
        #expect(registry.transport == .registry && registry.reference?.description == "localhost:5000/a/b:latest")
        #expect(try ImageLocation.parse("docker://alpine").description == "docker://docker.io/library/alpine:latest")
        let layout = try ImageLocation.parse("oci:/a/b:c:d")
        #expect(layout.path == "/a/b" && layout.name == "c:d")
        #expect(try ImageLocation.parse("dir:/a:b").path == "/a:b")
        #expect(try ImageLocation.parse("docker-archive:x.tar:@1").name == "@1")
        #expect(try ImageLocation.parse("docker-archive:x.tar:app").reference?.description == "docker.io/library/app:latest")
    }

    @Test(arguments: [
        "", "alpine", ":", "docker:", "docker:alpine", "docker://", "docker:///", "oci:", "oci::x", "dir:", "berth:", "oci-archive:",
        "docker-daemon:x", "containers-storage:x", "http://x", "DOCKER://x", "dir:a\0b",
    ])
    func locationsThatAreNone(text: String) {
        #expect(throws: EngineError.self) { try ImageLocation.parse(text) }
    }

    @Test func formatsKeepWhatTheyCan() throws {
        let digest = try #require(Digest("sha256:" + String(repeating: "b", count: 64)))
        let layer = Descriptor(mediaType: .ociLayerGzip, digest: digest, size: 1, annotations: ["a": "b"])
        let manifest = Manifest(
            config: Descriptor(mediaType: .ociConfig, digest: digest, size: 2), layers: [layer], annotations: ["c": "d"])
        let docker = try ManifestFormat.docker.convert(manifest, layers: manifest.layers)
        #expect(docker.mediaType == .dockerManifest && docker.config.mediaType == .dockerConfig)
        #expect(docker.layers[0].mediaType == .dockerLayerGzip && docker.layers[0].annotations.isEmpty && docker.annotations.isEmpty)
        #expect(docker.config.digest == manifest.config.digest)
        let back = try ManifestFormat.oci.convert(docker, layers: docker.layers)
        #expect(back.layers[0].mediaType == .ociLayerGzip)
        let artifact = Manifest(config: Descriptor(mediaType: .ociEmpty, digest: digest, size: 2), layers: [])
        #expect(throws: EngineError.self) { try ManifestFormat.docker.convert(artifact, layers: []) }
        #expect(throws: EngineError.self) { try ManifestFormat.docker.layerType(.ociLayerZstd) }
        #expect(throws: EngineError.self) { try ManifestFormat.parse("v2s1") }
    }

    @Test func manifestListsSurviveTheirFile() throws {
        let digest = try #require(Digest("sha256:" + String(repeating: "c", count: 64)))
        var list = ManifestList(name: "docker.io/library/x:1")
        let descriptor = Descriptor(
            mediaType: .dockerManifest, digest: digest, size: 3, platform: Platform(os: "linux", architecture: "arm", variant: "v7"))
        list.add(ManifestList.Entry(descriptor: descriptor, source: "docker://x@\(digest)", name: "docker.io/library/x:arm"))
        list.add(ManifestList.Entry(descriptor: descriptor, source: "docker://x@\(digest)", name: "docker.io/library/x:arm"))
        #expect(list.entries.count == 1)
        #expect(try ManifestList(list.encode(), path: "") == list)
        #expect(list.format == .docker && list.document().mediaType == .dockerManifestList)
        list.annotations["a"] = "b"
        #expect(list.format == .oci && list.document().annotations == ["a": "b"])
        #expect(try list.find("x:arm") == 0)
        #expect(try list.find(digest.description) == 0)
        #expect(throws: EngineError.self) { try list.find("x:amd64") }
        #expect(throws: EngineError.self) { try ManifestList(Array("{".utf8), path: "") }
    }
}

struct LockFileTests {
    private func withDirectory(_ body: (String) throws -> Void) throws {
        let path = "/tmp/berth-lock-\(hexadecimal(randomBytes(8)))"
        try FD.cwd.makeDirectory(path)
        defer {
            for name in ["lock", "lock.json"] { try? FD.cwd.removeFile(path + "/" + name) }
            try? FD.cwd.removeDirectory(path)
        }
        try body(path)
    }

    private func digest(_ letter: Character) throws -> Digest {
        try #require(Digest("sha256:" + String(repeating: letter, count: 64)))
    }

    @Test(arguments: ["lock", "lock.json"])
    func pinsStay(name: String) throws {
        try withDirectory { directory in
            let path = directory + "/" + name
            let (one, two) = (try digest("1"), try digest("2"))
            let alpine = try Reference.parse("alpine")
            let first = try LockFile(path: path)
            #expect(try first.digest(of: alpine) == nil)
            try first.commit()
            #expect(!FD.cwd.exists(path), "nothing was pinned")
            try first.pin(alpine, one)
            #expect(throws: EngineError.self) { try first.pin(alpine, two) }
            // Another command in between.
            let second = try LockFile(path: path)
            try second.pin(try Reference.parse("busybox:1"), two)
            try second.commit()
            try first.commit()
            let frozen = try LockFile(path: path, isFrozen: true)
            #expect(try frozen.digest(of: try Reference.parse("docker.io/library/alpine:latest")) == one)
            #expect(try frozen.digest(of: try Reference.parse("busybox:1")) == two)
            #expect(try frozen.digest(of: alpine.with(digest: two)) == two)
            #expect(throws: EngineError.self) { try frozen.digest(of: try Reference.parse("alpine:latest@\(two)")) }
            #expect(throws: EngineError.self) { try frozen.digest(of: try Reference.parse("other")) }
            #expect(throws: EngineError.self) { try frozen.pin(try Reference.parse("other"), one) }
        }
    }

    @Test func whatAPersonWroteStays() throws {
        try withDirectory { directory in
            let path = directory + "/lock"
            let text = "# pinned by hand\nalpine:3 \(try digest("1"))   # for a reason"
            try FD.cwd.writeFile(path, Array(text.utf8))
            let lock = try LockFile(path: path)
            #expect(try lock.digest(of: try Reference.parse("alpine:3")) == digest("1"))
            try lock.pin(try Reference.parse("b"), try digest("2"))
            try lock.commit()
            #expect(try FD.cwd.readText(path) == text + "\ndocker.io/library/b:latest \(try digest("2"))\n")
        }
    }

    @Test(arguments: [
        "alpine", "alpine sha256:1", "alpine md5:abc x", "a b c", "{", "{}", #"{"images":[]}"#, #"{"images":{"a":"x"}}"#,
        #"{"images":{"a":1}}"#,
        "a/B sha256:1111111111111111111111111111111111111111111111111111111111111111",
        "a sha256:1111111111111111111111111111111111111111111111111111111111111111\na:latest sha256:2222222222222222222222222222222222222222222222222222222222222222",
    ])
    func whatIsNotUnderstoodIsRefused(text: String) throws {
        try withDirectory { directory in
            try FD.cwd.writeFile(directory + "/lock", Array(text.utf8))
            #expect(throws: EngineError.self) { try LockFile(path: directory + "/lock") }
        }
    }
}
