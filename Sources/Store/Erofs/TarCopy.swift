import Archive
import Linux

/// Lends what its source lends, and on the way writes it to a file, takes its digest, or both.
///
/// Nothing is skipped: every byte counts.
final class TarCopy: ByteLender {
    private let source: any ByteLender
    private let file: SharedFD?
    private let cancellation: Cancellation?
    private var hash: SHA256?
    private var sinceCheck = 0
    private(set) var size: Int64 = 0

    init(_ source: any ByteLender, to file: SharedFD? = nil, hashing: Bool = false, cancellation: Cancellation? = nil) {
        self.source = source
        self.file = file
        self.cancellation = cancellation
        hash = hashing ? SHA256() : nil
    }

    // SAFETY: the source's bytes are handed on, valid until the next call by the same contract.
    func lend() throws(ArchiveError) -> UnsafeRawBufferPointer {
        let bytes = try source.lend()
        size += Int64(bytes.count)
        hash?.update(bytes)
        guard let file else { return bytes }
        try writeAll(file.fd, bytes, name: "layer")
        sinceCheck += bytes.count
        if sinceCheck >= 32 << 20 {
            sinceCheck = 0
            try cancellation?.check("unpack layer")
            if let shortage = spaceShortage(file.fd) { throw shortage }
        }
        return bytes
    }

    /// Up to the end: what follows the end of the archive belongs to the layer's digest too.
    func drain() throws(ArchiveError) {
        while !(try lend()).isEmpty { try cancellation?.check("unpack layer") }
    }

    /// 64 hexadecimal digits. To be asked for once, at the end.
    func digest() -> String { hash?.finishHex() ?? "" }
}
