import CCrypto
import Linux

/// Incremental SHA-256.
///
/// libcrypto's low-level functions: see `CCrypto/shim.h` for why not EVP. C functions: `SHA256_Init`, `SHA256_Update`,
/// `SHA256_Final`.
public struct SHA256 {
    private var context = SHA256_CTX()
    /// Bytes hashed so far.
    public private(set) var count: Int64 = 0

    public init() { SHA256_Init(&context) }

    // SAFETY: libcrypto reads `count` bytes during the call and keeps none.
    public mutating func update(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress else { return }
        SHA256_Update(&context, base, bytes.count)
        count += Int64(bytes.count)
    }

    public mutating func update(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { update($0) }
    }

    /// The digest of everything so far, as 32 bytes. The hash may not be used afterwards.
    public mutating func finish() -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: 32)
        SHA256_Final(&digest, &context)
        return digest
    }

    /// The digest as 64 lower-case hexadecimal digits.
    public mutating func finishHex() -> String { hexadecimal(finish()) }

    /// Digest of bytes in memory as 64 lower-case hexadecimal digits.
    public static func hex(_ bytes: [UInt8]) -> String {
        var hash = SHA256()
        hash.update(bytes)
        return hash.finishHex()
    }
}
