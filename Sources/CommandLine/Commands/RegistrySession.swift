import Flags
import Linux
import Registry

extension Session {
    /// What this machine's files say about registries.
    ///
    /// - Parameter authFile: `--authfile`.
    func registryConfiguration(authFile: String?) throws(CommandError) -> RegistryConfiguration {
        var environment: [String: String] = [:]
        for entry in currentEnvironment() {
            guard let equals = entry.firstIndex(of: "=") else { continue }
            environment[String(entry[..<equals])] = String(entry[entry.index(after: equals)...])
        }
        let home = environment["HOME"].flatMap { $0.isEmpty ? nil : $0 } ?? "/root"
        return try registry { () throws(RegistryError) in
            try RegistryConfiguration.load(environment: environment, home: home, authFile: authFile)
        }
    }
}

/// Calls the registry client in a command.
func registry<R>(_ body: () throws(RegistryError) -> R) throws(CommandError) -> R {
    do throws(RegistryError) { return try body() } catch { throw CommandError(error.cause) }
}
