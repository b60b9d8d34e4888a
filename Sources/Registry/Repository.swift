import Archive
import Linux
import OCI

/// One repository at a registry (and its mirrors, for reading).
///
/// Thread-safe; all calls block. Every call retries what can be retried, and asks the mirrors first where that is allowed.
/// All throw `RegistryError`: `.unauthorized`, `.denied`, `.network`, `.tls`, `.tooManyRequests`, `.protocol`, `.cancelled`,
/// and those named at the call.
public final class Repository: Sendable {
    public let reference: Reference

    init(_ reference: Reference) { self.reference = reference }

    private var later: RegistryError { RegistryError(.protocol, "not there yet") }

    // MARK: Manifests

    /// Asks what a tag or digest names, without fetching it; falls back to GET when HEAD gives no digest.
    ///
    /// - Returns: nil when neither the mirrors nor the registry have it.
    public func head(_ target: String) throws(RegistryError) -> Descriptor? { throw later }

    /// Fetches a manifest or index.
    ///
    /// The digest is verified when it was asked by digest, and when the registry announced one.
    /// - Throws: `.notFound`; `.digestMismatch`; `.tooLarge` above 4 MiB.
    public func manifest(_ target: String) throws(RegistryError) -> FetchedManifest { throw later }

    /// Uploads a manifest or index under a tag or its digest.
    ///
    /// - Throws: `.digestMismatch` when the registry says that it stored something else.
    @discardableResult
    public func put(_ manifest: [UInt8], _ mediaType: MediaType, as target: String) throws(RegistryError) -> Digest {
        throw later
    }

    /// Deletes a manifest by digest, or a tag where the registry can.
    ///
    /// - Throws: `.notFound`.
    public func delete(_ target: String) throws(RegistryError) { throw later }

    // MARK: Blobs

    /// Opens a blob for reading.
    ///
    /// - Parameter offset: where to begin, for what was kept of a broken download.
    /// - Throws: `.notFound`.
    public func blob(_ descriptor: Descriptor, from offset: Int64 = 0) throws(RegistryError) -> BlobStream { throw later }

    /// Fetches a whole blob into memory and verifies it.
    ///
    /// - Parameter limit: bytes; a descriptor that says more is refused before anything is sent.
    /// - Throws: `.notFound`; `.tooLarge`; `.digestMismatch`.
    public func smallBlob(_ descriptor: Descriptor, limit: Int) throws(RegistryError) -> [UInt8] { throw later }

    /// Whether the registry itself (no mirror) has a blob in this repository.
    public func hasBlob(_ digest: Digest) throws(RegistryError) -> Bool { throw later }

    /// Asks the registry to take a blob over from another of its repositories.
    ///
    /// - Parameter repositoryPath: `library/alpine`, at the same registry.
    /// - Returns: false when it wants the bytes instead; the session that it opened is used by the next ``upload(_:from:progress:)``.
    public func mount(_ digest: Digest, from repositoryPath: String) throws(RegistryError) -> Bool { throw later }

    /// Uploads a blob.
    ///
    /// - Parameters:
    ///   - file: a regular file of `descriptor.size` bytes; read by offset, its position is neither used nor moved.
    ///   - progress: gets the number of bytes sent so far; less than before when the registry lost some.
    /// - Throws: `.digestMismatch` when the registry says so.
    public func upload(
        _ descriptor: Descriptor, from file: FD, progress: (@Sendable (Int64) -> Void)? = nil
    ) throws(RegistryError) { throw later }

    // MARK: Lists

    /// All tags, in the registry's order.
    ///
    /// - Throws: `.notFound`.
    public func tags() throws(RegistryError) -> [String] { throw later }

    /// What refers to a manifest (signatures, attestations), by the API or else by the tag schema.
    public func referrers(_ digest: Digest, artifactType: String? = nil) throws(RegistryError) -> [Descriptor] { throw later }
}
