import Archive
import OCI
import Registry
import Store

extension StoreError {
    init(_ error: RegistryError) {
        let code: Code =
            switch error.code {
            case .notFound: .notFound
            case .cancelled: .cancelled
            default: .remote
            }
        self.init(code, "", cause: error.cause)
    }
}

/// One image's blobs at a registry, for the store.
final class RegistryBlobs: BlobSource {
    private let repository: Repository

    init(_ repository: Repository) { self.repository = repository }

    func open(_ blob: Descriptor, from offset: Int64) throws(StoreError) -> any RemoteStream {
        do throws(RegistryError) {
            return RegistryStream(try repository.blob(blob, from: offset))
        } catch {
            throw StoreError(error)
        }
    }
}

/// A blob on its way from a registry, for the store.
final class RegistryStream: RemoteStream {
    private let stream: BlobStream

    init(_ stream: BlobStream) { self.stream = stream }

    var failure: StoreError? { stream.failure.map { StoreError($0) } }
    // SAFETY: the buffer is the caller's and is only handed on for the time of the call.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws(ArchiveError) -> Int { try stream.read(into: buffer) }
    func cancel() { stream.cancel() }
}
