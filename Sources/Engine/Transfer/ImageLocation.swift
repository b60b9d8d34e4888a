import Glibc
import Linux
import OCI

/// Where an image is, spelled `transport:details` as skopeo and podman spell it.
///
/// Spec: containers-transports(5).
public struct ImageLocation: Sendable, Hashable, CustomStringConvertible {
    /// A kind of place. `rawValue` is the word before the colon.
    public enum Transport: String, Sendable, Hashable, CaseIterable {
        case registry = "docker"
        case layout = "oci"
        case layoutArchive = "oci-archive"
        case dockerArchive = "docker-archive"
        case directory = "dir"
        /// The local store.
        case store = "berth"
    }

    public var transport: Transport
    /// Directory or file; empty for a registry and the store.
    public var path: String
    /// What is chosen inside: a reference, a tag, an id; empty when nothing is.
    public var name: String
    /// The parsed name of a registry's image, and of a docker archive's where one is given.
    public var reference: Reference?

    public init(transport: Transport, path: String = "", name: String = "", reference: Reference? = nil) {
        self.transport = transport
        self.path = path
        self.name = name
        self.reference = reference
    }

    /// An image of a registry.
    public init(registry reference: Reference) {
        self.init(transport: .registry, name: reference.description, reference: reference)
    }

    public var description: String {
        switch transport {
        case .registry: "docker://" + name
        case .store: "berth:" + name
        default: transport.rawValue + ":" + path + (name.isEmpty ? "" : ":" + name)
        }
    }

    /// Transports of other engines, and what to do instead.
    private static let refused: [(String, String)] = [
        ("containers-storage", "podman's store is not read: write it with podman save --format oci-archive, and use oci-archive:FILE"),
        ("docker-daemon", "dockerd's store is not read: write it with docker save, and use docker-archive:FILE"),
        ("ostree", "use oci:DIR or a registry"), ("sif", "use oci:DIR or a registry"),
        ("tarball", "bring it in with berth import FILE NAME, and use berth:NAME"),
        ("atomic", "use docker://"),
    ]

    /// Reads a location as a person types it.
    ///
    /// - Throws: `.invalid` with the spelling that would do.
    public static func parse(_ text: String) throws(EngineError) -> ImageLocation {
        guard let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")) else {
            throw .invalid("invalid image name \"\(text)\": expected transport:details, such as docker://\(text) or berth:\(text)")
        }
        let word = String(text[..<colon])
        let details = String(text[text.utf8.index(after: colon)...])
        if let (_, advice) = refused.first(where: { $0.0 == word }) {
            throw EngineError(.notSupported, sentence: "transport \"\(word)\" is not supported: \(advice)")
        }
        guard let transport = Transport(rawValue: word) else {
            throw .invalid(
                "invalid image name \"\(text)\": unknown transport \"\(word)\"; write docker://\(text) for a registry, berth:\(text) for "
                    + "the local store, or use one of \(Transport.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        guard !details.utf8.contains(0) else { throw .invalid("invalid image name: it has a NUL") }
        switch transport {
        case .registry: return try registry(details, text)
        case .store:
            guard !details.isEmpty else { throw .invalid("invalid image name \"\(text)\": a name or an id must follow") }
            return ImageLocation(transport: .store, name: details)
        case .directory:
            guard !details.isEmpty else { throw .invalid("invalid image name \"\(text)\": a directory must follow") }
            return ImageLocation(transport: .directory, path: details)
        case .layout, .layoutArchive, .dockerArchive: return try file(transport, details, text)
        }
    }

    private static func registry(_ details: String, _ text: String) throws(EngineError) -> ImageLocation {
        guard details.hasPrefix("//") else {
            throw .invalid("invalid image name \"\(text)\": docker: must be followed by //, as in docker://\(details)")
        }
        return ImageLocation(registry: try reference(String(details.dropFirst(2)), in: text))
    }

    private static func file(_ transport: Transport, _ details: String, _ text: String) throws(EngineError) -> ImageLocation {
        // The first colon: paths with one cannot be named, as in skopeo.
        let colon = details.utf8.firstIndex(of: UInt8(ascii: ":"))
        let path = colon.map { String(details[..<$0]) } ?? details
        let name = colon.map { String(details[details.utf8.index(after: $0)...]) } ?? ""
        guard !path.isEmpty else { throw .invalid("invalid image name \"\(text)\": a path must follow") }
        var location = ImageLocation(transport: transport, path: path, name: name)
        if transport == .dockerArchive, !name.isEmpty, !name.hasPrefix("@") {
            let reference = try reference(name, in: text)
            if reference.digest != nil {
                throw .invalid("invalid image name \"\(text)\": a docker archive names images by tag, not by digest")
            }
            location.reference = reference
        }
        return location
    }

    private static func reference(_ text: String, in whole: String) throws(EngineError) -> Reference {
        do throws(OCIError) { return try Reference.parse(text).withDefaultTag } catch {
            throw .invalid("invalid image name \"\(whole)\": \(error.description)")
        }
    }

    /// The path without links, for the scopes of a signature policy; as given when it does not exist.
    public var resolvedPath: String {
        guard !path.isEmpty else { return "" }
        guard let resolved = realpath(path, nil) else { return path }
        defer { free(resolved) }
        return String(cString: resolved)
    }
}
