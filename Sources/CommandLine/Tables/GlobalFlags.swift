import Flags

/// Flags that stand before the command, and after it where the command has none of that name.
enum GlobalFlags {
    @Sendable static func supported() -> [Flag] {
        [
            .string(
                "root", nil, "Keep images and containers below this directory", persistent: true,
                completion: .directory),
            .string(
                "runroot", nil, "Keep what a reboot may lose below this directory", persistent: true,
                completion: .directory),
            .list(
                "cdi-spec-dir", nil, "Find CDI devices in this directory, and not in the usual ones; later ones go before earlier ones",
                value: "directory", persistent: true, completion: .directory),
        ]
    }

    @Sendable static func unsupported() -> [Flag] {
        Flag.unsupported(
            values: """
                cgroup-manager config conmon connection context/c events-backend hooks-dir host/H
                identity imagestore log-level/l module namespace network-cmd-path network-config-dir out runtime runtime-flag ssh
                storage-driver storage-opt tls-ca tls-cert tls-details tls-key tlscacert tlscert tlskey tmpdir url
                volumepath
                """,
            switches: "debug/D noout remote/r syslog tls tlsverify transient-store")
    }
}
