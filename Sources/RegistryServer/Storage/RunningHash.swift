import Archive
import Linux
import NIOCore
import OCI

/// A digest of bytes that are still coming. A copy is a checkpoint.
struct RunningHash {
    let algorithm: Digest.Algorithm
    private var short: SHA256?
    private var long: SHA512?

    init(_ algorithm: Digest.Algorithm) {
        self.algorithm = algorithm
        switch algorithm {
        case .sha256: short = SHA256()
        case .sha512: long = SHA512()
        }
    }

    mutating func update(_ buffer: ByteBuffer) {
        buffer.withUnsafeReadableBytes { bytes in
            short?.update(bytes)
            long?.update(bytes)
        }
    }

    mutating func update(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { bytes in
            short?.update(bytes)
            long?.update(bytes)
        }
    }

    /// The digest of everything so far. More may follow.
    func digest() throws(APIFailure) -> Digest {
        var (short, long) = (short, long)
        let hex = short?.finishHex() ?? long?.finishHex() ?? ""
        guard let digest = Digest(algorithm.rawValue + ":" + hex) else {
            throw APIFailure(500, .unknown, "the digest cannot be computed")
        }
        return digest
    }

    static func digest(_ bytes: [UInt8], _ algorithm: Digest.Algorithm) throws(APIFailure) -> Digest {
        var hash = RunningHash(algorithm)
        hash.update(bytes)
        return try hash.digest()
    }

    /// The hash of a whole file.
    static func ofFile(_ file: FD, _ algorithm: Digest.Algorithm) throws(APIFailure) -> RunningHash {
        var hash = RunningHash(algorithm)
        // A descriptor of its own: the position of the given one is left alone.
        let reader = try kernel { () throws(SystemError) in try file.reopen(.readOnly) }
        var block = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let result: Result<Int, SystemError> = block.withUnsafeMutableBytes { buffer in
                Result { () throws(SystemError) in try reader.fd.read(into: buffer) }
            }
            let count = try kernel { () throws(SystemError) in try result.get() }
            if count == 0 { return hash }
            if count == block.count {
                hash.update(block)
            } else {
                hash.update(Array(block[..<count]))
            }
        }
    }
}
