import Archive
import Linux
import OCI

/// A layer that was compressed here, in a file without a name.
///
/// Memory is the pipeline's buffers, whatever the layer's size. The same bytes, compression and level give the same result
/// with one version of the compressor, never across all of them: a digest that is remembered is a guess to ask about.
struct CompressedLayer {
    let content: FileRange
    let digest: Digest
    /// Of the tar inside, 64 hexadecimal digits.
    let diffHex: String

    /// Compresses what a reader gives, which may be compressed in another way.
    ///
    /// - Parameter level: nil takes the compression's own.
    /// - Throws: `.cancelled`; whatever is wrong with the stored bytes.
    static func make(
        _ reader: any ByteReader, _ compression: Compression, level: Int32? = nil, _ cancellation: Cancellation? = nil
    ) throws(EngineError) -> CompressedLayer {
        let output = try SpoolFile()
        let sink = FileSink(output.file.fd, name: "temporary file")
        let measuring = MeasuringSink(sink)
        let diffHex = try archived { () throws(ArchiveError) in
            let stream = try LayerStream(reader)
            let encoder = try compression.encoder(measuring, level: level)
            while true {
                try cancellation?.check("compress layer")
                let piece = try stream.lend()
                if piece.isEmpty { break }
                try encoder.write(piece)
            }
            try encoder.finish()
            // Encoders end the sink they write into or leave that to their owner; a second end writes nothing more.
            try sink.finish()
            return try stream.finish().diffHex
        }
        return CompressedLayer(
            content: FileRange(file: output.file, offset: 0, size: measuring.size), digest: try measuring.digest(),
            diffHex: diffHex)
    }

    /// What a manifest calls it in the place of the layer it was made from.
    func descriptor(insteadOf layer: Descriptor, _ compression: Compression) -> Descriptor {
        layer.compressed(compression, digest, content.size)
    }
}

extension Descriptor {
    /// A layer with other bytes around the same content.
    func compressed(_ compression: Compression, _ digest: Digest, _ size: Int64) -> Descriptor {
        var changed = self
        let isDocker = [.dockerLayer, .dockerLayerGzip, .dockerLayerZstd].contains(mediaType)
        changed.mediaType =
            switch compression {
            case .none: isDocker ? .dockerLayer : .ociLayer
            case .gzip: isDocker ? .dockerLayerGzip : .ociLayerGzip
            case .zstd: isDocker ? .dockerLayerZstd : .ociLayerZstd
            }
        changed.digest = digest
        changed.size = size
        changed.data = nil
        return changed
    }
}
