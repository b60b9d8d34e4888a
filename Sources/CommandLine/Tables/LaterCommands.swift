/// Commands of docker and podman that are not here yet, so that nobody takes them for a typing mistake.
enum LaterCommands {
    /// Spellings without the program's name; a group stands for all below it.
    static let spellings: Set<String> = Set(
        (top.split(whereSeparator: { $0 == " " || $0 == "\n" }).map(String.init)
            + below(
                "container", "checkpoint cleanup clone commit cp diff exists export mount port prune restore runlabel stats unmount update")
            + below("image", "build diff exists history mount prune scp search sign tree trust unmount untag")
            + below(
                "system", "connection df dial-stdio events hyperv-prep migrate prune renumber reset service")))

    private static let top = """
        artifact auto-update build builder buildx checkpoint commit compose config context cp dial-stdio diff events
        export farm generate healthcheck history init kube machine manifest mount network node plugin pod
        port quadlet search secret service stack stats swarm trust unmount unshare untag update volume
        """

    private static func below(_ group: String, _ names: String) -> [String] {
        names.split(separator: " ").map { group + " " + $0 }
    }
}
