import JSON

/// The members of manifests and indexes together, to see which of the two a document is.
struct ManifestFields {
    /// Members that only one of the kinds has.
    struct Present: OptionSet {
        let rawValue: Int
        static let manifests = Present(rawValue: 1)
        static let layers = Present(rawValue: 2)
        static let config = Present(rawValue: 4)
        static let schema1 = Present(rawValue: 8)
    }

    /// Documents are kept in memory whole; the limit of the distribution-spec is 4 MiB.
    static let limits = JSONLimits(size: 4 << 20, allowsNUL: false)

    var present: Present = []
    var schemaVersion: Int?
    var mediaType: MediaType?
    var artifactType = ""
    var config: Descriptor?
    var layers: [Descriptor] = []
    var manifests: [Descriptor] = []
    var subject: Descriptor?
    var annotations: [String: String] = [:]

    static func decode(_ bytes: [UInt8], _ operation: String) throws(OCIError) -> ManifestFields {
        try Document.decode(bytes, operation, limits) { (parser: inout JSONParser) throws(JSONError) in
            try ManifestFields(json: &parser)
        }
    }

    init(json parser: inout JSONParser) throws(JSONError) {
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "schemaVersion": schemaVersion = try parser.int()
            case "mediaType":
                let text = try parser.string()
                if !text.isEmpty { mediaType = MediaType(text) }
            case "artifactType": artifactType = try parser.string()
            case "config":
                present.insert(.config)
                config = try Descriptor(json: &parser)
            case "layers":
                present.insert(.layers)
                layers = try parser.array(Descriptor.init(json:))
                try ManifestFields.checkTotal(layers, parser)
            case "manifests":
                present.insert(.manifests)
                manifests = try parser.array(Descriptor.init(json:))
            case "fsLayers", "signatures":
                present.insert(.schema1)
                try parser.skip()
            case "subject": subject = try Descriptor(json: &parser)
            case "annotations": annotations = try parser.stringDictionary()
            default: try parser.skip()
            }
        }
    }

    /// Sizes that are fine one by one must not overflow where they are added up.
    private static func checkTotal(_ layers: [Descriptor], _ parser: JSONParser) throws(JSONError) {
        var total: Int64 = 0
        for layer in layers {
            let (sum, overflowed) = total.addingReportingOverflow(layer.size)
            if overflowed { throw parser.failure(.outOfRange, "layers larger than 8 EiB together") }
            total = sum
        }
    }

    /// Refuses a document that is, or could be read as, another kind than it is taken for.
    func checkKind(
        _ operation: String, _ expected: MediaType?, isRight: (MediaType) -> Bool, refused: Present
    ) throws(OCIError) {
        func failure(_ code: OCIError.Code, _ cause: String) -> OCIError {
            OCIError(code: code, operation: operation, cause: cause)
        }
        // First, because its own complaint is the helpful one.
        if schemaVersion == 1 || expected?.isSchema1 == true || mediaType?.isSchema1 == true {
            throw failure(
                .unsupported,
                "docker image manifest version 2, schema 1 is not supported, push the image again with a current tool")
        }
        if let schemaVersion, schemaVersion != 2 {
            throw failure(.unsupported, "unknown schema version \(schemaVersion)")
        }
        if present.contains(.schema1) {
            throw failure(.ambiguous, "members of docker schema 1 in another document")
        }
        if !present.isDisjoint(with: refused) {
            throw failure(.ambiguous, "members of a manifest and of an index in one document")
        }
        guard let mediaType else { return }
        guard isRight(mediaType) else {
            throw failure(.ambiguous, "unexpected media type \"" + Printable.short(mediaType.rawValue) + "\"")
        }
        // Only a type that names a kind can contradict; registries also send application/json.
        if let expected, expected.isManifest || expected.isIndex, expected != mediaType {
            throw failure(
                .ambiguous,
                "media type \"" + Printable.short(mediaType.rawValue) + "\" was announced as \""
                    + Printable.short(expected.rawValue) + "\"")
        }
    }
}
