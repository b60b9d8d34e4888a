import JSON

/// The marker file of an image layout: `oci-layout`.
///
/// Spec: OCI image-spec 1.1 image-layout.md.
public struct OCILayout: Sendable, Hashable {
    public static let fileName = "oci-layout"
    public static let indexName = "index.json"
    public static let blobsName = "blobs"

    public var imageLayoutVersion: String

    public init(imageLayoutVersion: String = "1.0.0") {
        self.imageLayoutVersion = imageLayoutVersion
    }

    /// Reads the file.
    ///
    /// - Throws: `.unsupported` for another major version than 1; `.invalidJSON`.
    public static func decode(_ bytes: [UInt8]) throws(OCIError) -> OCILayout {
        let limits = JSONLimits(depth: 8, size: 64 << 10)
        let layout = try Document.decode(bytes, "parse image layout", limits) {
            (parser: inout JSONParser) throws(JSONError) in
            var layout = OCILayout(imageLayoutVersion: "")
            var object = try parser.beginObject()
            while let key = try parser.nextKey(&object) {
                switch key {
                case "imageLayoutVersion": layout.imageLayoutVersion = try parser.string()
                default: try parser.skip()
                }
            }
            return layout
        }
        guard layout.imageLayoutVersion.hasPrefix("1.") else {
            throw OCIError(
                code: .unsupported, operation: "parse image layout",
                cause: "unknown version \"" + Printable.short(layout.imageLayoutVersion) + "\"")
        }
        return layout
    }

    public func encode() -> [UInt8] {
        JSONWriter.document { w in w.object { w in w.field("imageLayoutVersion", imageLayoutVersion) } }
    }
}
