import Archive
import Linux
import OCI

/// Lets bytes through that are as many as a descriptor says and have its digest.
///
/// A byte too many is refused when it comes, so that no more is written than was announced.
final class VerifyingSink: ByteSink {
    private let sink: any ByteSink
    private let blob: Descriptor
    private let stops: [Cancellation]
    private var hash = SHA256()

    init(_ sink: any ByteSink, _ blob: Descriptor, stops: [Cancellation] = []) {
        self.sink = sink
        self.blob = blob
        self.stops = stops
    }

    // SAFETY: the bytes are borrowed for the call and used before it returns.
    func write(_ bytes: UnsafeRawBufferPointer) throws(ArchiveError) {
        for stop in stops { try stop.check("copy blob") }
        guard hash.count + Int64(bytes.count) <= blob.size else {
            throw ArchiveError(.corrupt, "copy blob", blob.digest.description, cause: "it is longer than its \(blob.size) bytes")
        }
        hash.update(bytes)
        try sink.write(bytes)
    }

    /// Not the sink's end: whoever made the sink ends it, after ``verify()``.
    func finish() throws(ArchiveError) {}

    func verify() throws(EngineError) {
        guard hash.count == blob.size else {
            throw .damaged(blob.digest.description, "it has \(hash.count) bytes instead of \(blob.size)")
        }
        let found = hash.finishHex()
        guard blob.digest.algorithm == .sha256, found == blob.digest.hex else {
            throw .damaged(blob.digest.description, "its content has the digest sha256:\(found)")
        }
    }
}

/// Counts and hashes what goes through: what a layer is after it was compressed.
final class MeasuringSink: ByteSink {
    private let sink: any ByteSink
    private var hash = SHA256()

    init(_ sink: any ByteSink) { self.sink = sink }

    // SAFETY: the bytes are borrowed for the call and used before it returns.
    func write(_ bytes: UnsafeRawBufferPointer) throws(ArchiveError) {
        hash.update(bytes)
        try sink.write(bytes)
    }

    func finish() throws(ArchiveError) { try sink.finish() }

    var size: Int64 { hash.count }

    func digest() throws(EngineError) -> Digest {
        guard let digest = Digest("sha256:" + hash.finishHex()) else {
            throw EngineError(.system, "compute digest", cause: "no digest came out")
        }
        return digest
    }
}
