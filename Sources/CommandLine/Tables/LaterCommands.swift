/// Commands of docker and podman that are not here yet, so that nobody takes them for a typing mistake.
enum LaterCommands {
    /// Spellings without the program's name; a group stands for all below it.
    static let spellings: Set<String> = Set(
        (top.split(whereSeparator: { $0 == " " || $0 == "\n" }).map(String.init)
            + below(
                "container", "runlabel")
            + below("image", "diff scp sign tree trust")
            + below(
                "system", "connection dial-stdio hyperv-prep migrate renumber reset service")
            + below("volume", "mount reload unmount update")))

    private static let top = """
        artifact auto-update buildx compose config context dial-stdio
        farm generate kube machine node plugin pod
        quadlet secret service stack swarm trust
        """

    private static func below(_ group: String, _ names: String) -> [String] {
        names.split(separator: " ").map { group + " " + $0 }
    }
}
