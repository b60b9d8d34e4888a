import Glibc
import JSON
import Linux
import OCI

/// What may be used: the signature policy, `policy.json`.
///
/// Asked before anything of an image is used. Whatever of the file cannot be understood refuses the image, never accepts it.
/// Spec: containers-policy.json(5).
public struct Policy: Sendable {
    var fallback: [PolicyRequirement]
    /// By transport, then by scope.
    var transports: [String: [String: [PolicyRequirement]]]
    /// The file, for messages; empty when there is none.
    public let path: String

    /// What holds where there is no file: everything is accepted, as in Docker.
    public static let acceptAnything = Policy(fallback: [.acceptAnything], transports: [:], path: "")

    init(fallback: [PolicyRequirement], transports: [String: [String: [PolicyRequirement]]], path: String) {
        self.fallback = fallback
        self.transports = transports
        self.path = path
    }

    /// Whether it accepts everything without looking: nothing needs to be fetched for it.
    public var acceptsEverything: Bool {
        fallback == [.acceptAnything]
            && transports.values.allSatisfy { $0.values.allSatisfy { $0 == [.acceptAnything] } }
    }

    /// Reads the policy.
    ///
    /// - Parameter path: what `--signature-policy` says; nil takes the user's file (`~/.config/containers/policy.json`), else the
    ///   machine's (`/etc/containers/policy.json`), else ``acceptAnything``.
    /// - Throws: `.invalid` for a file that cannot be understood, `.notFound` for a named one that is not there.
    public static func load(_ path: String? = nil) throws(EngineError) -> Policy {
        if let path { return try read(path) }
        var candidates: [String] = []
        if let home = environmentVariable("HOME"), home.hasPrefix("/") {
            candidates.append(home + "/.config/containers/policy.json")
        }
        candidates.append("/etc/containers/policy.json")
        for candidate in candidates {
            do throws(SystemError) {
                _ = try FD.cwd.status(of: candidate)
            } catch {
                // Only what is certainly not there is passed over; a link to nowhere is there, and is refused below.
                if error.errno == .noEntry || error.errno == .notDirectory { continue }
                throw EngineError("read signature policy", candidate, error)
            }
            return try read(candidate)
        }
        return .acceptAnything
    }

    private static func read(_ path: String) throws(EngineError) -> Policy {
        let bytes = try during("read signature policy", path) { () throws(SystemError) in
            try FD.cwd.readFile(path, limit: 4 << 20)
        }
        return try Policy(parsing: bytes, path: path)
    }

    /// - Throws: `.invalid` for anything that the format does not have: a misspelt word must not open a door.
    init(parsing bytes: [UInt8], path: String) throws(EngineError) {
        let value: JSONValue
        do throws(JSONError) { value = try JSONValue.parse(bytes) } catch {
            throw Policy.failure(path, error.description)
        }
        guard let members = value.object else { throw Policy.failure(path, "it is no JSON object") }
        var fallback: [PolicyRequirement]?
        var transports: [String: [String: [PolicyRequirement]]] = [:]
        for member in members {
            switch member.key {
            case "default": fallback = try PolicyRequirement.list(member.value, "default", path)
            case "transports":
                guard let all = member.value.object else { throw Policy.failure(path, "\"transports\" is no object") }
                for transport in all {
                    guard let scopes = transport.value.object else {
                        throw Policy.failure(path, "transport \"\(transport.key)\" is no object")
                    }
                    for scope in scopes {
                        transports[transport.key, default: [:]][scope.key] = try PolicyRequirement.list(
                            scope.value, "\(transport.key) \(scope.key)", path)
                    }
                }
            default: throw Policy.failure(path, "unknown key \"\(member.key)\"")
            }
        }
        guard let fallback else { throw Policy.failure(path, "it has no \"default\"") }
        self.init(fallback: fallback, transports: transports, path: path)
    }

    static func failure(_ path: String, _ cause: String) -> EngineError {
        EngineError(.invalid, "read signature policy", path, cause: cause)
    }

    // MARK: Asking

    /// Refuses an image that the policy does not accept.
    ///
    /// All requirements of the most specific scope must hold.
    /// - Parameters:
    ///   - subject: where the image is and what it is called.
    ///   - manifestDigest: of the exact bytes of the manifest or index that was found.
    ///   - signatures: called with the digest when a requirement needs them; nil where there cannot be any.
    /// - Throws: `.blocked` with what is missing; what `signatures` throws.
    public func check(
        _ subject: PolicySubject, manifestDigest: Digest, _ signatures: SignatureSource?
    ) throws(EngineError) {
        let (requirements, scope) = requirements(for: subject)
        var fetched: [SigstoreSignature]?
        for requirement in requirements {
            switch requirement {
            case .acceptAnything: continue
            case .reject:
                throw blocked(subject, "running it is rejected by policy", scope)
            case .unsupported(let what):
                throw blocked(subject, what, scope)
            case .sigstoreSigned(let keys, let identity):
                if fetched == nil { fetched = try signatures?(manifestDigest) ?? [] }
                let rejections = try SigstoreCheck(keys: keys, identity: identity, subject: subject, digest: manifestDigest)
                    .rejections(of: fetched ?? [])
                guard let rejections else { continue }
                throw blocked(
                    subject,
                    rejections.isEmpty
                        ? "a signature was required, but no signature exists"
                        : "no signature is accepted: " + rejections.joined(separator: "; "), scope)
            }
        }
    }

    private func blocked(_ subject: PolicySubject, _ cause: String, _ scope: String) -> EngineError {
        EngineError(
            .blocked,
            sentence: "source image rejected: \(subject.description): \(cause) (\(scope) of \(path.isEmpty ? "the policy" : path))")
    }

    /// The requirements of the most specific scope there is.
    func requirements(for subject: PolicySubject) -> (requirements: [PolicyRequirement], scope: String) {
        if let scopes = transports[subject.transport] {
            for scope in subject.scopes + [""] {
                if let found = scopes[scope] { return (found, "scope \"\(subject.transport):\(scope)\"") }
            }
        }
        return (fallback, "the default")
    }
}

/// Fetches the signatures of a manifest.
public typealias SignatureSource = (Digest) throws(EngineError) -> [SigstoreSignature]

/// An image as a policy sees it.
public struct PolicySubject: Sendable, CustomStringConvertible {
    /// The policy's word for the transport.
    public let transport: String
    /// The name that a signature must be for; nil where images have none.
    public let reference: Reference?
    /// Scopes from the most specific on, without the transport's own.
    let scopes: [String]
    public let description: String

    public init(_ location: ImageLocation) {
        transport = location.transport.rawValue
        description = location.description
        reference = location.transport == .registry ? location.reference : nil
        switch location.transport {
        case .registry: scopes = location.reference.map(PolicySubject.scopes) ?? []
        case .layout, .layoutArchive, .directory: scopes = PolicySubject.scopes(path: location.resolvedPath)
        // containers-policy.json(5): the only scope of a docker archive is "".
        case .dockerArchive: scopes = []
        case .store:
            scopes = (try? Reference.parse(location.name).withDefaultTag).map(PolicySubject.scopes) ?? []
        }
    }

    /// An image of a registry.
    public init(registry reference: Reference) {
        self.init(ImageLocation(registry: reference))
    }

    /// The image itself, its repository, each namespace above, the host, and hosts with wildcards.
    static func scopes(_ reference: Reference) -> [String] {
        // A digest decides what is used, so it is the more specific of the two.
        var scopes = [reference.digest.map { reference.name + "@" + $0.description } ?? reference.withDefaultTag.description]
        var name = reference.name
        scopes.append(name)
        while let slash = name.utf8.lastIndex(of: UInt8(ascii: "/")) {
            name = String(name[..<slash])
            scopes.append(name)
        }
        // `*.example.com`, then `*.com`; a port stays behind them.
        var rest = Substring(reference.domain)
        while let dot = rest.utf8.firstIndex(of: UInt8(ascii: ".")) {
            rest = rest[rest.utf8.index(after: dot)...]
            scopes.append("*." + rest)
        }
        return scopes
    }

    /// A path and each directory above it but the root.
    static func scopes(path: String) -> [String] {
        var scopes: [String] = []
        var rest = path
        while !rest.isEmpty, rest != "/" {
            scopes.append(rest)
            guard let slash = rest.utf8.lastIndex(of: UInt8(ascii: "/")) else { break }
            rest = String(rest[..<slash])
        }
        return scopes
    }
}
