import Archive
import Linux
import OCI
import Registry
import Store

/// What the flags of `pull`, `push` and their like say about the way to a registry.
public struct RegistryAccess {
    /// `--tls-verify`; nil asks registries.conf.
    public var tlsVerify: Bool?
    /// `--authfile`
    public var authFile: String?
    /// `--creds`, `user:password`
    public var credentials: String?
    /// `--cert-dir`
    public var certificateDirectory: String?
    /// Lines that explain what happens, for `--debug`.
    public var notice: (@Sendable (String) -> Void)?
    /// Berth's own version, for the `User-Agent` header.
    public var version = ""
    /// Blobs that are moved at once.
    public var parallel = 4
    public init() {}
}

extension Engine {
    /// A client with the user's configuration files and the flags of one command.
    func registryClient(_ access: RegistryAccess, _ cancellation: Cancellation? = nil) throws(EngineError) -> RegistryClient {
        let environment = Self.environment()
        var options = RegistryOptions()
        options.userAgent = "berth/" + access.version
        options.tlsVerify = access.tlsVerify
        options.credentials = access.credentials.map { Credentials($0) }
        options.certificateDirectory = access.certificateDirectory
        options.maxParallel = access.parallel
        options.notice = access.notice
        options.cancellation = cancellation
        return RegistryClient(
            try asked { () throws(RegistryError) in
                try RegistryConfiguration.load(
                    environment: environment, home: environment["HOME"] ?? "/root", authFile: access.authFile)
            }, options)
    }

    private static func environment() -> [String: String] {
        var result: [String: String] = [:]
        for entry in currentEnvironment() {
            guard let equals = entry.firstIndex(of: "=") else { continue }
            result[String(entry[..<equals])] = String(entry[entry.index(after: equals)...])
        }
        return result
    }
}

/// Asks a registry and tells its failures as the engine's.
@inline(__always)
func asked<R: ~Copyable>(_ body: () throws(RegistryError) -> R) throws(EngineError) -> R {
    do throws(RegistryError) { return try body() } catch { throw EngineError(error) }
}

extension EngineError {
    init(_ error: RegistryError) {
        let code: Code =
            switch error.code {
            case .notFound: .notFound
            case .unauthorized, .denied, .blocked: .permission
            case .configuration: .invalid
            default: .system
            }
        self.init(code, sentence: error.cause, exitCode: 1)
    }
}

extension StoreError {
    init(_ error: RegistryError) {
        let code: Code =
            switch error.code {
            case .notFound: .notFound
            case .cancelled: .cancelled
            default: .remote
            }
        self.init(code, "", cause: error.cause)
    }
}

/// One image's blobs at a registry, for the store.
final class RegistryBlobs: BlobSource {
    private let repository: Repository

    init(_ repository: Repository) { self.repository = repository }

    func open(_ blob: Descriptor, from offset: Int64) throws(StoreError) -> any RemoteStream {
        do throws(RegistryError) {
            return RegistryStream(try repository.blob(blob, from: offset))
        } catch {
            throw StoreError(error)
        }
    }
}

private final class RegistryStream: RemoteStream {
    private let stream: BlobStream

    init(_ stream: BlobStream) { self.stream = stream }

    var failure: StoreError? { stream.failure.map { StoreError($0) } }
    func read(into buffer: UnsafeMutableRawBufferPointer) throws(ArchiveError) -> Int { try stream.read(into: buffer) }
    func cancel() { stream.cancel() }
}
