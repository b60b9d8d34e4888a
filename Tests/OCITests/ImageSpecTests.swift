import JSON
import OCI
import Testing

@Suite struct ImageSpecTests {
    static let digest = "sha256:" + String(repeating: "a", count: 64)
    static let descriptor = #"{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"\#(digest)","size":10}"#
    static let manifest =
        #"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":\#(descriptor),"layers":[\#(descriptor)]}"#
    static let index =
        #"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[\#(descriptor)]}"#

    func manifestCode(_ text: String, _ expected: MediaType? = nil) -> OCIError.Code? {
        do {
            _ = try Manifest.decode(Array(text.utf8), expected: expected)
            return nil
        } catch { return error.code }
    }

    func indexCode(_ text: String, _ expected: MediaType? = nil) -> OCIError.Code? {
        do {
            _ = try Index.decode(Array(text.utf8), expected: expected)
            return nil
        } catch { return error.code }
    }

    func anyCode(_ text: String, _ expected: MediaType? = nil) -> OCIError.Code? {
        do {
            _ = try ManifestDocument.decode(Array(text.utf8), expected: expected)
            return nil
        } catch { return error.code }
    }

    @Test func keepsTheExactBytes() throws {
        let text =
            " {\n\"layers\" : [" + ImageSpecTests.descriptor + "],\t\"config\":" + ImageSpecTests.descriptor
            + ",\"future\":1.50,\"schemaVersion\":2}\n"
        let manifest = try Manifest.decode(Array(text.utf8))
        #expect(manifest.raw == Array(text.utf8))
        #expect(manifest.layers.count == 1)
        #expect(manifest.config.size == 10)
        #expect(manifest.mediaType == .ociManifest)
        #expect(manifest.layersSize == 10)
        #expect(try Index.decode(Array(ImageSpecTests.index.utf8)).raw == Array(ImageSpecTests.index.utf8))
    }

    @Test func writtenDocumentsReadBack() throws {
        let digest = try Digest.parse(ImageSpecTests.digest)
        let layer = Descriptor(
            mediaType: .dockerLayerGzip, digest: digest, size: 3, urls: ["https://x/y"], annotations: ["b": "1", "a": "<&>"],
            data: [1, 2, 3], platform: Platform(architecture: "arm", variant: "v7", osVersion: "1", osFeatures: ["f"]),
            artifactType: "t/x")
        let manifest = Manifest(
            mediaType: .dockerManifest, artifactType: "a/b", config: layer, layers: [layer, layer], subject: layer, annotations: ["k": "v"])
        #expect(try Manifest.decode(manifest.raw) == manifest)
        let index = Index(manifests: [layer], subject: layer, annotations: ["k": "v"])
        #expect(try Index.decode(index.raw) == index)
        #expect(
            text(Index(manifests: []).raw)
                == #"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#)
    }

    /// CVE-2021-41190: one document, two meanings.
    @Test func refusesAmbiguousDocuments() {
        let d = ImageSpecTests.descriptor
        for both in [
            #"{"schemaVersion":2,"config":\#(d),"layers":[\#(d)],"manifests":[\#(d)]}"#,
            #"{"schemaVersion":2,"config":\#(d),"layers":[],"manifests":[]}"#,
            #"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","config":\#(d),"manifests":[\#(d)]}"#,
            #"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":\#(d),"layers":[\#(d)],"manifests":[\#(d)]}"#,
        ] {
            #expect(manifestCode(both) == .ambiguous)
            #expect(indexCode(both) == .ambiguous)
            for type in [nil, .ociManifest, .ociIndex, MediaType("application/json")] { #expect(anyCode(both, type) == .ambiguous) }
        }
        #expect(indexCode(ImageSpecTests.manifest) == .ambiguous)
        #expect(manifestCode(ImageSpecTests.index) == .ambiguous)
        #expect(manifestCode(ImageSpecTests.manifest, .dockerManifest) == .ambiguous)
        #expect(anyCode(ImageSpecTests.manifest, .ociIndex) == .ambiguous)
        #expect(anyCode(ImageSpecTests.index, .ociManifest) == .ambiguous)
        #expect(manifestCode(#"{"schemaVersion":2,"config":\#(d),"layers":[],"fsLayers":[]}"#) == .ambiguous)
        #expect(indexCode(#"{"schemaVersion":2,"manifests":[],"signatures":[]}"#) == .ambiguous)
        #expect(manifestCode(#"{"schemaVersion":2,"config":\#(d),"config":\#(d),"layers":[]}"#) == .invalidJSON)
    }

    @Test func readsWhicheverItIs() throws {
        for type in [nil, .ociManifest, MediaType("application/json")] {
            guard case .manifest = try ManifestDocument.decode(Array(ImageSpecTests.manifest.utf8), expected: type) else {
                Issue.record("no manifest")
                continue
            }
        }
        for type in [nil, .ociIndex, MediaType("text/plain")] {
            guard case .index = try ManifestDocument.decode(Array(ImageSpecTests.index.utf8), expected: type) else {
                Issue.record("no index")
                continue
            }
        }
        // Without a type of its own, the announced one is kept.
        let bare = #"{"schemaVersion":2,"manifests":[]}"#
        guard case .index(let index) = try ManifestDocument.decode(Array(bare.utf8), expected: .dockerManifestList) else {
            Issue.record("no index")
            return
        }
        #expect(index.mediaType == .dockerManifestList)
    }

    @Test func refusesSchema1() {
        let v1 = #"{"schemaVersion":1,"name":"x","tag":"y","fsLayers":[],"history":[],"signatures":[]}"#
        #expect(manifestCode(v1) == .unsupported)
        #expect(anyCode(v1) == .unsupported)
        #expect(anyCode(ImageSpecTests.manifest, .dockerManifestV1Signed) == .unsupported)
        #expect(manifestCode(#"{"schemaVersion":3,"config":\#(ImageSpecTests.descriptor),"layers":[]}"#) == .unsupported)
    }

    @Test(arguments: [
        #"{"mediaType":"x","digest":"\#(digest)","size":-1}"#, #"{"mediaType":"x","digest":"\#(digest)","size":9223372036854775808}"#,
        #"{"mediaType":"x","digest":"\#(digest)","size":1e400}"#, #"{"mediaType":"x","digest":"\#(digest)","size":1.5}"#,
        #"{"mediaType":"x","digest":"\#(digest)","size":"10"}"#, #"{"mediaType":"x","digest":"\#(digest)"}"#,
        #"{"mediaType":"x","size":1}"#, #"{"mediaType":"x","digest":"sha256:abc","size":1}"#, #"{"mediaType":"x","digest":"","size":1}"#,
        #"{"mediaType":"x","digest":"sha256:../../x","size":1}"#, #"{"mediaType":"x","digest":"\#(digest)","size":3,"data":"AA=="}"#,
        #"{"mediaType":"x","digest":"\#(digest)","size":1,"data":"!!!!"}"#, "null", "{}", "[]", "1", "\"\"",
    ])
    func refusesBrokenDescriptors(_ descriptor: String) {
        #expect(manifestCode(#"{"schemaVersion":2,"config":\#(ImageSpecTests.descriptor),"layers":[\#(descriptor)]}"#) == .invalidJSON)
        #expect(indexCode(#"{"schemaVersion":2,"manifests":[\#(descriptor)]}"#) == .invalidJSON)
        let code = manifestCode(#"{"schemaVersion":2,"config":\#(descriptor),"layers":[]}"#)
        #expect(code == .invalidJSON || descriptor == "null" && code == .invalidDocument)
    }

    @Test func sizesDoNotOverflowTogether() {
        let huge = #"{"mediaType":"x","digest":"\#(ImageSpecTests.digest)","size":9223372036854775807}"#
        #expect(manifestCode(#"{"schemaVersion":2,"config":\#(huge),"layers":[\#(huge)]}"#) == nil)
        #expect(manifestCode(#"{"schemaVersion":2,"config":\#(huge),"layers":[\#(huge),\#(huge)]}"#) == .invalidJSON)
    }

    @Test func hugeDocumentsAreNotRead() {
        let padding = [UInt8](repeating: 0x20, count: 4 << 20)
        #expect(throws: OCIError.self) { try Manifest.decode(Array(ImageSpecTests.manifest.utf8) + padding) }
        do {
            _ = try ImageConfig.decode(padding + [0x7B, 0x7D])
            Issue.record("accepted")
        } catch { #expect(error.code == .tooLarge) }
    }

    @Test func choosesTheManifestOfAPlatform() throws {
        func entry(_ fill: Character, _ platform: Platform?, _ annotations: [String: String] = [:]) throws -> Descriptor {
            Descriptor(
                mediaType: .ociManifest, digest: try Digest.parse("sha256:" + String(repeating: fill, count: 64)), size: 1,
                annotations: annotations, platform: platform)
        }
        let index = Index(manifests: [
            try entry("a", nil, [Annotation.dockerReferenceType: "attestation-manifest"]),
            try entry("b", Platform(os: "unknown", architecture: "unknown")),
            try entry("c", Platform(architecture: "arm64", variant: "v8")), try entry("d", Platform(architecture: "amd64")),
        ])
        #expect(index.manifest(for: Platform(architecture: "amd64"))?.digest.hex.first == "d")
        #expect(index.manifest(for: Platform(architecture: "arm64"))?.digest.hex.first == "c")
        #expect(index.manifest(for: Platform(architecture: "s390x")) == nil)
    }

    @Test func mediaTypes() {
        #expect(MediaType(contentType: "Application/vnd.OCI.image.index.v1+json ; charset=utf-8") == .ociIndex)
        #expect(MediaType(contentType: "").rawValue == "")
        #expect(MediaType.ociLayerZstd.layerCompression == .zstd)
        #expect(MediaType.dockerLayer.layerCompression == MediaType.Compression.none)
        #expect(MediaType.ociConfig.layerCompression == nil)
        #expect(MediaType.dockerForeignLayerGzip.isForeignLayer && MediaType.dockerForeignLayerGzip.isLayer)
    }

    @Test func layout() throws {
        #expect(text(OCILayout().encode()) == #"{"imageLayoutVersion":"1.0.0"}"#)
        #expect(try OCILayout.decode(OCILayout().encode()) == OCILayout())
        for text in ["{}", #"{"imageLayoutVersion":"2.0.0"}"#, #"{"imageLayoutVersion":""}"#, "", "[]"] {
            #expect(throws: OCIError.self) { try OCILayout.decode(Array(text.utf8)) }
        }
    }

    @Test func registryDocuments() throws {
        #expect(try TagList.decode(Array(#"{"name":"a/b","tags":null}"#.utf8)) == TagList(name: "a/b"))
        let errors = try RegistryErrors.decode(
            Array(#"{"errors":[{"code":"DENIED","message":"no","detail":[{"x":1}]},{"code":"UNKNOWN"}]}"#.utf8))
        #expect(errors.errors == [.init(code: "DENIED", message: "no"), .init(code: "UNKNOWN")])
        let token = try RegistryToken.decode(Array(#"{"access_token":"b","token":"a","expires_in":300}"#.utf8))
        #expect(token.token == "a" && token.expiresIn == 300)
        #expect(!token.description.contains("a,"))
        for text in ["{}", #"{"token":""}"#, #"{"token":"a\r\nX: y"}"#, #"{"token":"a","expires_in":1e300}"#, "<html>"] {
            #expect(throws: OCIError.self) { try RegistryToken.decode(Array(text.utf8)) }
        }
    }
}
