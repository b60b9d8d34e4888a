import Archive
import OCI

/// The bytes of one blob, as they come.
///
/// One thread reads; any thread may ``cancel()``. A connection that breaks is resumed where it broke, out of the reader's sight.
/// The bytes are not verified here: whoever reads them hashes them anyway.
public final class BlobStream: ByteReader {
    public let descriptor: Descriptor
    /// Why `read` threw.
    public private(set) var failure: RegistryError?
    /// The offset of the next byte in the blob.
    public private(set) var position: Int64

    init(_ descriptor: Descriptor, from offset: Int64) {
        self.descriptor = descriptor
        position = offset
    }

    /// Gives the next bytes, 0 at the end of the blob: never more in sum than the descriptor says, and an error when it
    /// were less.
    public func read(into buffer: UnsafeMutableRawBufferPointer) throws(ArchiveError) -> Int {
        throw ArchiveError(.system, "read blob", descriptor.digest.description, cause: "not there yet")
    }

    /// Ends the request. A `read` that waits throws `.cancelled` at once; idempotent.
    public func cancel() {}
}
