import CCrypto
import Linux

/// Incremental SHA-512: the other algorithm that digests may have.
///
/// C functions: `SHA512_Init`, `SHA512_Update`, `SHA512_Final`.
public struct SHA512 {
    private var context = SHA512_CTX()

    public init() { SHA512_Init(&context) }

    // SAFETY: libcrypto reads `count` bytes during the call and keeps none.
    public mutating func update(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress else { return }
        SHA512_Update(&context, base, bytes.count)
    }

    /// The digest of everything so far, as 128 lower-case hexadecimal digits. The hash may not be used afterwards.
    public mutating func finishHex() -> String {
        var digest = [UInt8](repeating: 0, count: 64)
        SHA512_Final(&digest, &context)
        return hexadecimal(digest)
    }
}
