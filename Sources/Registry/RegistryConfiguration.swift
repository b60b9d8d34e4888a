/// What the files on this machine say about registries: credentials, mirrors, certificates, proxies.
///
/// Read once per command; nothing of it changes afterwards.
public struct RegistryConfiguration: Sendable {
    /// Reads everything.
    ///
    /// - Credentials: `authFile` alone when given, else `$REGISTRY_AUTH_FILE` alone when set, else Docker's `config.json`
    ///   (`$DOCKER_CONFIG`, `~/.docker`) before `containers/auth.json` in `$XDG_RUNTIME_DIR` and `$XDG_CONFIG_HOME`.
    /// - Registries: `$CONTAINERS_REGISTRIES_CONF`, else the user's, else `/etc/containers/registries.conf`; then the
    ///   `registries.conf.d` of both.
    /// - Proxies: `HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY` in both cases.
    /// - Parameters:
    ///   - environment: of the command.
    ///   - home: the user's home directory, without the environment's say.
    ///   - authFile: the value of `--authfile`; nil when not given.
    /// - Throws: `.configuration` for a file that is there and cannot be understood.
    public static func load(
        environment: [String: String], home: String, authFile: String? = nil
    ) throws(RegistryError) -> RegistryConfiguration {
        RegistryConfiguration()
    }
}
