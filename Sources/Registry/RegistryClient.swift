import Archive
import OCI

/// The distribution client: one for a command.
///
/// Thread-safe. All calls block; several ordinary threads may call at once and share connections and tokens.
/// Spec: OCI distribution-spec 1.1; distribution's token authentication.
public final class RegistryClient: Sendable {
    public let configuration: RegistryConfiguration
    public let options: RegistryOptions

    public init(_ configuration: RegistryConfiguration, _ options: RegistryOptions = RegistryOptions()) {
        self.configuration = configuration
        self.options = options
    }

    /// One repository at its registry, with the registry's mirrors in front of it. Nothing is sent yet.
    ///
    /// - Throws: `.blocked` when registries.conf forbids it; `.configuration` when it rewrites the name to nonsense.
    public func repository(_ reference: Reference) throws(RegistryError) -> Repository {
        Repository(reference)
    }

    /// What a name typed by a user may stand for, in the order to try.
    ///
    /// One reference when the name has a registry or an alias; one for each registry of `unqualified-search-registries`
    /// otherwise; docker.io when there is no such list. Each has a tag or a digest as typed, and `latest` when neither.
    /// - Throws: `.configuration` when the text is no reference.
    public func candidates(_ text: String) throws(RegistryError) -> [Reference] {
        do throws(OCIError) {
            return [try Reference.parse(text).withDefaultTag]
        } catch {
            throw RegistryError(.configuration, error.description)
        }
    }

    /// Checks a name and password (or an identity token) at a registry, as `login` does.
    ///
    /// - Parameter registry: `docker.io`, `localhost:5000`.
    /// - Returns: the identity token that the registry gave in exchange, which is to be kept instead of the password.
    /// - Throws: `.unauthorized` when they are wrong.
    public func login(_ registry: String, _ credentials: Credentials) throws(RegistryError) -> String? {
        throw RegistryError(.protocol, "not there yet")
    }

    /// Closes idle connections and ends running requests. Does not hang; a process may also exit without it.
    public func shutdown() {}
}
