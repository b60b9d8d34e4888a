import Linux

/// A layer blob on its way to be unpacked, as a pipeline of threads with fixed buffers:
///
///     read, digest and copy of the stored bytes ─► decompress ─► diff id hash
///                                                            └─► whoever calls `lend` (untar)
///
/// Memory is a few buffers of 256 KiB whatever the size of the layer. Must be used from one thread. When the caller stops
/// early (an error in the archive), dropping the object or `cancel` ends all threads.
public final class LayerStream: ByteLender {
    /// What a whole layer turned out to be.
    public struct Summary: Sendable {
        public var compression: Compression
        /// 64 hexadecimal digits of the stored bytes, and of the tar stream inside.
        public var blobHex: String
        public var diffHex: String
        public var blobSize: Int64
        public var diffSize: Int64
    }

    /// Results the threads leave behind; read after they were joined.
    private final class Results: @unchecked Sendable {
        // SAFETY: each field is written by one thread and read only after that thread was joined.
        var blob = SHA256()
        var diff = SHA256()
        var decompressedSize: Int64 = 0
    }

    public let compression: Compression
    private let results = Results()
    private let lender: RingLender
    private let rings: [Ring]
    private var workers: [Worker] = []

    /// Starts the threads.
    ///
    /// - Parameters:
    ///   - reader: the stored bytes; used by another thread until the stream ends.
    ///   - copy: where the stored bytes are also written, as they are; nil for nowhere.
    ///   - limit: most bytes the tar stream may have, against decompression bombs.
    /// - Throws: `.unsupported` for a compression that cannot be read.
    public init(
        _ reader: any ByteReader, copy: FD? = nil, limit: Int64 = .max
    ) throws(ArchiveError) {
        let (prefix, source) = try PrefixedReader.peek(reader, Compression.magicLength)
        compression = try Compression.detect(prefix)
        let results = self.results
        let plain = compression == .none
        let stored = Ring(slots: plain ? 8 : 4, consumers: plain ? 2 : 1)
        let tar = plain ? stored : Ring(slots: 8, consumers: 2)
        rings = plain ? [tar] : [tar, stored]
        lender = RingLender(tar, consumer: 0)
        let hashed = RingLender(tar, consumer: 1)

        workers.append(
            try Worker {
                stored.produce { (buffer) throws(ArchiveError) in
                    let count = try fill(buffer, from: source)
                    let bytes = UnsafeRawBufferPointer(rebasing: buffer[0..<count])
                    if let copy { try writeAll(copy, bytes, name: "blob") }
                    // A plain layer has one digest: blob and diff id are the same bytes, hashed below.
                    if !plain { results.blob.update(bytes) }
                    return count
                }
            })
        if !plain {
            let compressed = RingLender(stored, consumer: 0)
            guard let decoder = try compression.decoder(compressed) else { return }
            workers.append(
                try Worker {
                    tar.produce { (buffer) throws(ArchiveError) in
                        let count = try decoder.read(into: buffer)
                        results.decompressedSize += Int64(count)
                        if results.decompressedSize > limit {
                            throw ArchiveError(.tooLarge, "decompress layer", cause: "larger than \(limit) bytes")
                        }
                        return count
                    }
                    compressed.leave()
                })
        }
        workers.append(
            try Worker {
                while let bytes = try? hashed.lend(), !bytes.isEmpty { results.diff.update(bytes) }
                hashed.leave()
            })
    }

    deinit { cancel() }

    public func lend() throws(ArchiveError) -> UnsafeRawBufferPointer { try lender.lend() }

    /// Reads to the end (data after the archive's end belongs to the digests too) and gives digests and sizes.
    public func finish() throws(ArchiveError) -> Summary {
        while !(try lender.lend()).isEmpty {}
        lender.leave()
        // The hash thread may still be some buffers behind: it ends by itself at the end of the ring.
        join()
        let diffSize = results.diff.count
        let diffHex = results.diff.finishHex()
        if compression == .none {
            return Summary(
                compression: .none, blobHex: diffHex, diffHex: diffHex, blobSize: diffSize, diffSize: diffSize)
        }
        let blobSize = results.blob.count
        return Summary(
            compression: compression, blobHex: results.blob.finishHex(), diffHex: diffHex, blobSize: blobSize,
            diffSize: diffSize)
    }

    /// Ends the threads without waiting for the end of the data. Idempotent.
    ///
    /// A thread that waits in `read(2)` for a slow pipe ends with that read.
    public func cancel() {
        if workers.isEmpty { return }
        for ring in rings { ring.leaveAll() }
        join()
    }

    private func join() {
        for worker in workers { worker.join() }
        workers.removeAll()
    }
}

/// Fills a buffer as far as the reader can: short reads of a pipe would waste ring slots.
private func fill(_ buffer: UnsafeMutableRawBufferPointer, from reader: any ByteReader) throws(ArchiveError) -> Int {
    var filled = 0
    while filled < buffer.count {
        let got = try reader.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[filled...]))
        if got == 0 { break }
        filled += got
    }
    return filled
}
