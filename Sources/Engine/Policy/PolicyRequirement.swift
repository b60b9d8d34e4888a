import JSON
import Linux
import OCI

/// One thing a policy asks of an image.
enum PolicyRequirement: Sendable, Equatable {
    case acceptAnything
    case reject
    /// A cosign signature by one of the keys (PEM).
    case sigstoreSigned(keys: [[UInt8]], identity: SignedIdentity)
    /// A requirement that is known and cannot be checked: it is never met.
    case unsupported(String)

    static func list(_ value: JSONValue, _ scope: String, _ path: String) throws(EngineError) -> [PolicyRequirement] {
        guard let entries = value.array else { throw Policy.failure(path, "the requirements of \(scope) are no list") }
        // An empty list would read as "nothing is required".
        guard !entries.isEmpty else { throw Policy.failure(path, "the list of requirements of \(scope) is empty") }
        var result: [PolicyRequirement] = []
        for entry in entries { result.append(try PolicyRequirement(entry, scope, path)) }
        return result
    }

    private init(_ value: JSONValue, _ scope: String, _ path: String) throws(EngineError) {
        guard let members = value.object, let type = value["type"]?.string else {
            throw Policy.failure(path, "a requirement of \(scope) has no type")
        }
        func only(_ allowed: Set<String>) throws(EngineError) {
            for member in members where member.key != "type" && !allowed.contains(member.key) {
                throw Policy.failure(path, "unknown key \"\(member.key)\" in \(type) of \(scope)")
            }
        }
        switch type {
        case "insecureAcceptAnything":
            try only([])
            self = .acceptAnything
        case "reject":
            try only([])
            self = .reject
        case "signedBy":
            self = .unsupported(
                "it needs a GPG signature (signedBy), and GPG is not supported: sign with cosign and use sigstoreSigned with its public key"
            )
        case "signedBaseLayer":
            self = .unsupported("it needs signedBaseLayer, which no engine supports")
        case "sigstoreSigned":
            for other in ["fulcio", "pki", "rekorPublicKeyPath", "rekorPublicKeyData", "rekorPublicKeyPaths", "rekorPublicKeyDatas"]
            where members.contains(where: { $0.key == other }) {
                self = .unsupported("its sigstoreSigned has \(other), which is not supported: only keys are")
                return
            }
            try only(["keyPath", "keyPaths", "keyData", "keyDatas", "signedIdentity"])
            self = .sigstoreSigned(
                keys: try PolicyRequirement.keys(value, scope, path),
                identity: try value["signedIdentity"].map { (value) throws(EngineError) in
                    try SignedIdentity(value, scope, path)
                } ?? .matchRepoDigestOrExact)
        default: throw Policy.failure(path, "unknown type of requirement \"\(type)\" in \(scope)")
        }
    }

    private static func keys(_ value: JSONValue, _ scope: String, _ path: String) throws(EngineError) -> [[UInt8]] {
        var paths: [String] = []
        var data: [String] = []
        var sources = 0
        for key in ["keyPath", "keyPaths", "keyData", "keyDatas"] {
            guard let member = value[key] else { continue }
            sources += 1
            let texts = member.string.map { [$0] } ?? member.array?.compactMap(\.string) ?? []
            guard !texts.isEmpty, member.array.map({ $0.count == texts.count }) ?? true else {
                throw Policy.failure(path, "\(key) of \(scope) is no text")
            }
            if key.hasPrefix("keyPath") { paths += texts } else { data += texts }
        }
        guard sources == 1 else {
            throw Policy.failure(path, "exactly one of keyPath, keyPaths, keyData and keyDatas must be given in \(scope)")
        }
        var keys: [[UInt8]] = []
        for text in data {
            guard let bytes = Base64.decode(text) else { throw Policy.failure(path, "keyData of \(scope) is no base64") }
            keys.append(bytes)
        }
        for file in paths {
            keys.append(
                try during("read key of signature policy", file) { () throws(SystemError) in
                    try FD.cwd.readFile(file, limit: 1 << 20)
                })
        }
        return keys
    }
}

/// Which name a signature must be for.
enum SignedIdentity: Sendable, Equatable {
    case matchExact
    case matchRepoDigestOrExact
    case matchRepository
    case exactReference(Reference)
    case exactRepository(Reference)
    case remapIdentity(prefix: String, signedPrefix: String)

    init(_ value: JSONValue, _ scope: String, _ path: String) throws(EngineError) {
        guard let members = value.object, let type = value["type"]?.string else {
            throw Policy.failure(path, "signedIdentity of \(scope) has no type")
        }
        func text(_ key: String) throws(EngineError) -> String {
            guard let text = value[key]?.string, !text.isEmpty else {
                throw Policy.failure(path, "signedIdentity \(type) of \(scope) has no \(key)")
            }
            return text
        }
        func only(_ allowed: Set<String>) throws(EngineError) {
            for member in members where member.key != "type" && !allowed.contains(member.key) {
                throw Policy.failure(path, "unknown key \"\(member.key)\" in signedIdentity of \(scope)")
            }
        }
        func reference(_ key: String) throws(EngineError) -> Reference {
            let name = try text(key)
            do throws(OCIError) { return try Reference.parse(name) } catch {
                throw Policy.failure(path, "\(key) of \(scope): \(error.description)")
            }
        }
        switch type {
        case "matchExact":
            try only([])
            self = .matchExact
        case "matchRepoDigestOrExact":
            try only([])
            self = .matchRepoDigestOrExact
        case "matchRepository":
            try only([])
            self = .matchRepository
        case "exactReference":
            try only(["dockerReference"])
            let exact = try reference("dockerReference")
            guard exact.tag != nil || exact.digest != nil else {
                throw Policy.failure(path, "dockerReference of \(scope) needs a tag or a digest")
            }
            self = .exactReference(exact)
        case "exactRepository":
            try only(["dockerRepository"])
            self = .exactRepository(try reference("dockerRepository"))
        case "remapIdentity":
            try only(["prefix", "signedPrefix"])
            self = .remapIdentity(prefix: try text("prefix"), signedPrefix: try text("signedPrefix"))
        default: throw Policy.failure(path, "unknown signedIdentity \"\(type)\" in \(scope)")
        }
    }

    /// Whether a signature for `signed` counts for the image called `image`.
    func accepts(_ signed: Reference, for image: Reference) -> Bool {
        switch self {
        case .matchExact: return SignedIdentity.isWhole(signed) && SignedIdentity.isWhole(image) && signed == image
        case .matchRepoDigestOrExact:
            guard SignedIdentity.isWhole(signed) else { return false }
            // By digest the signature's own digest decides; the name must be of the same repository.
            if image.tag == nil, image.digest != nil { return signed.name == image.name }
            return image.tag != nil && signed == image
        case .matchRepository: return signed.name == image.name
        case .exactReference(let exact): return signed == exact
        case .exactRepository(let exact): return signed.name == exact.name
        case .remapIdentity(let prefix, let signedPrefix):
            guard let mapped = SignedIdentity.remap(image, prefix, signedPrefix) else { return false }
            return SignedIdentity.matchRepoDigestOrExact.accepts(signed, for: mapped)
        }
    }

    private static func isWhole(_ reference: Reference) -> Bool { reference.tag != nil || reference.digest != nil }

    /// The image's name with the prefix exchanged; as it is where it has another, nil when what comes out is no name.
    private static func remap(_ image: Reference, _ prefix: String, _ signedPrefix: String) -> Reference? {
        let text = image.description
        guard text.hasPrefix(prefix) else { return image }
        let rest = text.utf8.dropFirst(prefix.utf8.count)
        // Only whole components: `example.com/a` is no prefix of `example.com/abc`.
        if let next = rest.first, ![UInt8(ascii: "/"), UInt8(ascii: ":"), UInt8(ascii: "@")].contains(next) { return image }
        return try? Reference.parse(signedPrefix + String(Substring(rest)))
    }
}
