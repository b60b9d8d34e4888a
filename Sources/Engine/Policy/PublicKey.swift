import CCrypto
import Glibc

/// A public key that verifies signatures: ECDSA, RSA (PKCS #1 version 1.5), both over SHA-256, or Ed25519.
///
/// C functions: `PEM_read_bio_PUBKEY`, `EVP_DigestVerify`.
final class PublicKey {
    // SAFETY: owned from init to deinit and only used through libcrypto's functions.
    private let key: OpaquePointer

    /// Without configuration files: what they name could be loaded into this program.
    private static let isReady: Bool = OPENSSL_init_crypto(UInt64(OPENSSL_INIT_NO_LOAD_CONFIG), nil) == 1

    /// - Throws: `.invalid` for what is no public key in PEM, or a kind of key that is not used for signatures of images.
    init(pem: [UInt8]) throws(EngineError) {
        guard PublicKey.isReady, let bio = BIO_new_mem_buf(pem, Int32(clamping: pem.count)) else {
            throw EngineError(.system, "read public key", cause: "out of memory")
        }
        defer { BIO_free(bio) }
        guard let key = PEM_read_bio_PUBKEY(bio, nil, nil, nil) else {
            throw .invalid("a key of the signature policy is no public key in PEM format")
        }
        let kind = EVP_PKEY_get_base_id(key)
        guard [EVP_PKEY_EC, EVP_PKEY_RSA, EVP_PKEY_ED25519].contains(kind) else {
            EVP_PKEY_free(key)
            throw .invalid("a key of the signature policy is neither ECDSA, RSA nor Ed25519")
        }
        self.key = key
    }

    deinit { EVP_PKEY_free(key) }

    func verifies(_ signature: [UInt8], of message: [UInt8]) -> Bool {
        guard let context = EVP_MD_CTX_new() else { return false }
        defer { EVP_MD_CTX_free(context) }
        // Ed25519 hashes by itself.
        let hash = EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 ? nil : EVP_sha256()
        guard EVP_DigestVerifyInit(context, nil, hash, nil, key) == 1 else { return false }
        // 1 is the only yes: 0 is no, and less is a signature of the wrong shape.
        let result = EVP_DigestVerify(context, signature, signature.count, message, message.count)
        ERR_clear_error()
        return result == 1
    }
}
