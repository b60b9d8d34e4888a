import JSON
import OCI

/// What a registry has to know of a manifest. The bytes themselves are never changed.
struct ManifestContent: Sendable {
    /// A blob or manifest that must be there before this one.
    struct Need: Sendable {
        var digest: Digest
        var size: Int64
        /// Entries of an index are manifests; some tools (buildkit's cache) list blobs there too.
        var mayBeManifest: Bool
    }

    var mediaType: String
    var artifactType: String
    var subject: Digest?
    /// A JSON object.
    var annotations: [UInt8]
    var needs: [Need]

    private static func invalid(_ cause: String) -> APIFailure {
        APIFailure(400, .manifestInvalid, "manifest invalid: " + cause)
    }

    /// Reads a manifest of any type.
    ///
    /// What has one of the four types of images is held to its specification (CVE-2021-41190: a document that could also be
    /// another kind is refused). Of all others only a JSON object is asked; members that have the known names and shapes are
    /// taken for what they are called.
    /// - Parameter contentType: the header; empty when there was none.
    /// - Throws: 400 MANIFEST_INVALID.
    static func parse(_ bytes: [UInt8], contentType: String) throws(APIFailure) -> ManifestContent {
        let announced = MediaType(contentType: contentType)
        let loose: LooseFields
        do throws(JSONError) {
            loose = try JSONParser.parse(bytes, limits: JSONLimits(size: 4 << 20, allowsNUL: false)) {
                (parser: inout JSONParser) throws(JSONError) in try LooseFields(json: &parser)
            }
        } catch {
            throw invalid(error.description)
        }
        let type = announced.rawValue.isEmpty ? MediaType(loose.mediaType) : announced
        if type.isSchema1 || loose.schemaVersion == 1 {
            throw invalid("docker schema 1 is not supported, push the image again with a current tool")
        }
        guard !type.rawValue.isEmpty else { throw invalid("no Content-Type, and no mediaType in it") }
        guard type.rawValue.utf8.count <= 255, type.rawValue.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw invalid("the Content-Type is not a media type")
        }
        if type.isManifest || type.isIndex { return try known(bytes, type) }
        return ManifestContent(
            mediaType: type.rawValue,
            artifactType: loose.artifactType.isEmpty ? loose.config?.mediaType.rawValue ?? "" : loose.artifactType,
            subject: loose.subject?.digest, annotations: object(loose.annotations),
            // Sizes of unknown kinds may mean something else; that the parts are there is asked of all.
            needs: ([loose.config].compactMap { $0 } + loose.layers + loose.blobs).map {
                Need(digest: $0.digest, size: -1, mayBeManifest: false)
            } + loose.manifests.map { Need(digest: $0.digest, size: -1, mayBeManifest: true) })
    }

    private static func known(_ bytes: [UInt8], _ type: MediaType) throws(APIFailure) -> ManifestContent {
        let document: ManifestDocument
        do throws(OCIError) { document = try ManifestDocument.decode(bytes, expected: type) } catch { throw invalid(error.cause) }
        switch document {
        case .manifest(let manifest):
            // Layers that may not be pushed are fetched from their publisher.
            let layers = manifest.layers.filter { !($0.mediaType.isForeignLayer && !$0.urls.isEmpty) }
            return ManifestContent(
                mediaType: type.rawValue,
                artifactType: manifest.artifactType.isEmpty ? manifest.config.mediaType.rawValue : manifest.artifactType,
                subject: manifest.subject?.digest, annotations: object(manifest.annotations),
                needs: ([manifest.config] + layers).map { Need(digest: $0.digest, size: $0.size, mayBeManifest: false) })
        case .index(let index):
            return ManifestContent(
                mediaType: type.rawValue, artifactType: index.artifactType, subject: index.subject?.digest,
                annotations: object(index.annotations),
                needs: index.manifests.map { Need(digest: $0.digest, size: $0.size, mayBeManifest: true) })
        }
    }

    private static func object(_ annotations: [String: String]) -> [UInt8] {
        JSONWriter.document { $0.value(annotations) }
    }
}

/// Members of a document of an unknown type, as far as they look like those of a manifest.
private struct LooseFields {
    var schemaVersion: Int?
    var mediaType = ""
    var artifactType = ""
    var config: Descriptor?
    var layers: [Descriptor] = []
    var blobs: [Descriptor] = []
    var manifests: [Descriptor] = []
    var subject: Descriptor?
    var annotations: [String: String] = [:]

    init(json parser: inout JSONParser) throws(JSONError) {
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "schemaVersion" where try parser.kind() == .number: schemaVersion = try? parser.int()
            case "mediaType" where try parser.kind() == .string: mediaType = try parser.string()
            case "artifactType" where try parser.kind() == .string: artifactType = try parser.string()
            case "config" where try parser.kind() == .object: config = try Descriptor(json: &parser)
            case "layers" where try parser.kind() == .array: layers = try parser.array(Descriptor.init(json:))
            case "blobs" where try parser.kind() == .array: blobs = try parser.array(Descriptor.init(json:))
            case "manifests" where try parser.kind() == .array: manifests = try parser.array(Descriptor.init(json:))
            case "subject" where try parser.kind() == .object: subject = try Descriptor(json: &parser)
            case "annotations" where try parser.kind() == .object: annotations = try parser.stringDictionary()
            default: try parser.skip()
            }
        }
    }
}
