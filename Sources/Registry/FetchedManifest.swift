import OCI

/// A manifest or index as a registry sent it.
public struct FetchedManifest: Sendable {
    /// The exact bytes; `digest` is theirs.
    public let bytes: [UInt8]
    /// From the `Content-Type` header; from the document when the header is no type of manifest.
    public let mediaType: MediaType
    public let digest: Digest
    /// The host that answered: the registry or one of its mirrors.
    public let host: String

    public var descriptor: Descriptor { Descriptor(mediaType: mediaType, digest: digest, size: Int64(bytes.count)) }
}
