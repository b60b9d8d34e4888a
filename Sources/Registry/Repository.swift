import Archive
import Linux
import NIOHTTP1
import OCI

/// One repository at a registry (and its mirrors, for reading).
///
/// Thread-safe; all calls block. Every call retries what can be retried, and asks the mirrors first where that is allowed.
/// All throw `RegistryError`: `.unauthorized`, `.denied`, `.network`, `.tls`, `.tooManyRequests`, `.unavailable`, `.protocol`,
/// `.cancelled`, and those named at the call.
public final class Repository: Sendable {
    /// One place with this repository.
    struct Source: Sendable {
        let host: RegistryHost
        let name: SourceName

        /// A request below `/v2/PATH/`.
        func call(_ method: HTTPMethod, _ rest: String, _ actions: [String], _ subject: String) -> Call {
            var call = Call(host: host, method: method, name: name.name)
            call.target = "/v2/" + name.path + "/" + rest
            call.scopes = [.repository(name.path, actions)]
            call.subject = subject
            return call
        }
    }

    public let reference: Reference
    let session: HTTPSession
    /// The mirrors, then the registry.
    let sources: [Source]
    /// Upload sessions that a mount left open, by digest.
    let openSessions = Monitor<[Digest: UploadSession]>([:])

    /// A mirror that fails is not worth much waiting: the next source has it too.
    static let attemptsAtMirrors = 2

    init(_ reference: Reference, _ session: HTTPSession) throws(RegistryError) {
        self.reference = reference
        self.session = session
        var sources: [Source] = []
        for name in try session.configuration.registries.sources(for: reference) {
            sources.append(Source(host: try session.host(name), name: name))
        }
        self.sources = sources
    }

    /// The registry itself: what is written goes there.
    func registry() throws(RegistryError) -> Source {
        guard let last = sources.last else { throw RegistryError(.configuration, "\(reference.name) has no registry") }
        return last
    }

    /// Runs a request at the sources in order, until one has it.
    ///
    /// - Parameter isDigest: whether a digest is asked for; nil for what has no say in it.
    /// - Throws: what the registry itself says: a mirror's failure is only told.
    func reading<T>(
        isDigest: Bool?, _ body: (Source, _ attempts: Int?) throws(RegistryError) -> T
    ) throws(RegistryError) -> T {
        let usable = sources.filter { source in
            switch source.name.pull {
            case .all: true
            case .digestOnly: isDigest ?? true
            case .tagOnly: !(isDigest ?? false)
            }
        }
        for source in usable.dropLast() {
            do throws(RegistryError) {
                return try body(source, Repository.attemptsAtMirrors)
            } catch {
                if error.code == .cancelled { throw error }
                session.notice("mirror \(source.name.name): \(error.cause)")
            }
        }
        return try body(try registry(), nil)
    }

    /// A tag or digest as a part of a path.
    ///
    /// - Throws: `.configuration` for anything else.
    func checked(_ target: String) throws(RegistryError) -> (text: String, digest: Digest?) {
        if let digest = Digest(target) { return (target, digest) }
        guard Reference.isTag(target.utf8) else {
            throw RegistryError(.configuration, "\"\(Failures.printable(target))\" is neither a tag nor a digest")
        }
        return (target, nil)
    }

    /// The name of something here, for errors: `alpine:3.20`.
    func shown(_ target: String) -> String {
        reference.familiarName + (target.utf8.contains(UInt8(ascii: ":")) ? "@" : ":") + target
    }
}
