import JSON

/// What an image runs on: `linux/amd64`, `linux/arm/v7`.
///
/// Spec: OCI image-spec 1.1 image-index.md "platform"; normal forms as in containerd's platforms package.
public struct Platform: Sendable, Hashable, CustomStringConvertible {
    /// As Go names it: `amd64`, `arm64`.
    public var architecture: String
    public var os: String
    public var variant: String
    public var osVersion: String
    public var osFeatures: [String]

    public init(
        os: String = "linux", architecture: String, variant: String = "", osVersion: String = "", osFeatures: [String] = []
    ) {
        self.os = os
        self.architecture = architecture
        self.variant = variant
        self.osVersion = osVersion
        self.osFeatures = osFeatures
    }

    public init(json parser: inout JSONParser) throws(JSONError) {
        self.init(os: "", architecture: "")
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "architecture": architecture = try parser.string()
            case "os": os = try parser.string()
            case "os.version": osVersion = try parser.string()
            case "os.features": osFeatures = try parser.strings()
            case "variant": variant = try parser.string()
            default: try parser.skip()
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { w in writeMembers(to: &w) }
    }

    /// Writes the members without the object around them, as an image config has them.
    func writeMembers(to w: inout JSONWriter) {
        w.field("architecture", architecture)
        w.field("os", os)
        w.fieldIfNotEmpty("os.version", osVersion)
        w.fieldIfNotEmpty("os.features", osFeatures)
        w.fieldIfNotEmpty("variant", variant)
    }

    /// `os/architecture[/variant]`; `unknown` without an os.
    public var description: String {
        if os.isEmpty { return "unknown" }
        var text = os + "/" + architecture
        if !variant.isEmpty { text += "/" + variant }
        return text
    }
}
