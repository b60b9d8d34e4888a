import JSON
import Linux
import OCI

/// A cosign signature as a registry keeps it: the bytes that were signed and the signature on them.
public struct SigstoreSignature: Sendable {
    public static let mediaType = MediaType("application/vnd.dev.cosign.simplesigning.v1+json")
    /// The annotation that holds the signature, in base64.
    public static let annotation = "dev.cosignproject.cosign/signature"
    /// Bytes; a payload is some hundred.
    public static let payloadLimit = 1 << 20
    /// Signatures of one image that are looked at.
    public static let countLimit = 64

    public var payload: [UInt8]
    /// Base64.
    public var signature: String

    public init(payload: [UInt8], signature: String) {
        self.payload = payload
        self.signature = signature
    }

    /// The tag beside an image that its signatures have: `sha256-HEX.sig`.
    public static func tag(of digest: Digest) -> String { "\(digest.algorithm.rawValue)-\(digest.hex).sig" }
}

/// Checks cosign signatures against one requirement.
struct SigstoreCheck {
    let keys: [[UInt8]]
    let identity: SignedIdentity
    let subject: PolicySubject
    let digest: Digest

    /// Nil when one of the signatures is accepted; else why each is not.
    ///
    /// - Throws: `.invalid` when a key of the policy cannot be read.
    func rejections(of signatures: [SigstoreSignature]) throws(EngineError) -> [String]? {
        var verifiers: [PublicKey] = []
        for key in keys { verifiers.append(try PublicKey(pem: key)) }
        var reasons: [String] = []
        for signature in signatures {
            guard let reason = rejection(of: signature, verifiers) else { return nil }
            reasons.append(reason)
        }
        return reasons
    }

    private func rejection(of signature: SigstoreSignature, _ keys: [PublicKey]) -> String? {
        guard let bytes = Base64.decode(signature.signature) else { return "it is no base64" }
        // The key first: nothing of the payload is read that nobody vouches for.
        guard keys.contains(where: { $0.verifies(bytes, of: signature.payload) }) else { return "it is not by the key" }
        guard let payload = SignedPayload(signature.payload) else { return "its payload is not what cosign writes" }
        guard payload.digest == digest.description else { return "it is for the digest \(payload.digest)" }
        guard let image = subject.reference else { return "images of \(subject.transport) have no name that could be signed" }
        guard let signed = try? Reference.parse(payload.reference), identity.accepts(signed, for: image) else {
            return "it is for \(payload.reference)"
        }
        return nil
    }
}

/// What was signed: the image's digest and its name.
///
/// Spec: containers-signature(5), the JSON that cosign took over.
struct SignedPayload {
    var reference = ""
    var digest = ""

    static let type = "cosign container image signature"

    /// Nil for what is no such document, or has more in its critical part than is understood.
    init?(_ bytes: [UInt8]) {
        guard let value = try? JSONValue.parse(bytes, limits: JSONLimits(depth: 16, size: SigstoreSignature.payloadLimit)),
            SignedPayload.has(value, ["critical"], optional: ["optional"]), let critical = value["critical"],
            SignedPayload.has(critical, ["identity", "image", "type"]), critical["type"]?.string == SignedPayload.type,
            let identity = critical["identity"], SignedPayload.has(identity, ["docker-reference"]),
            let image = critical["image"], SignedPayload.has(image, ["docker-manifest-digest"]),
            let reference = identity["docker-reference"]?.string,
            let digest = image["docker-manifest-digest"]?.string
        else { return nil }
        self.reference = reference
        self.digest = digest
    }

    private static func has(_ value: JSONValue, _ keys: Set<String>, optional: Set<String> = []) -> Bool {
        guard let members = value.object else { return false }
        let present = Set(members.map(\.key))
        return keys.isSubset(of: present) && present.isSubset(of: keys.union(optional))
    }
}
