import Flags

extension CommandTable {
    var login: Command {
        Command(
            "login", operands: "[SERVER]", summary: "Authenticate to a registry",
            details: """
                Authenticate to a registry; without a server, to Docker Hub

                The password is checked, and kept where docker keeps it: with the credential
                helper of ~/.docker/config.json, else in that file.
                """,
            examples: [
                Example("A registry on this machine; asks for name and password", "berth login localhost:5000"),
                Example("In a script", "echo \"$PASSWORD\" | berth login localhost:5000 -u alice --password-stdin"),
            ], arity: .atMost(1), flags: RegistryFlags.login, unsupported: { Flag.unsupported(values: "secret") },
            run: action(.login))
    }

    var search: Command {
        Command(
            "search", spellings: ["image search", "search"], operands: "[SERVER/]TERM", summary: "Search Docker Hub for images",
            details: """
                Search Docker Hub for images

                Other registries only where they still have the search of version 1 of the
                registry's interface.
                """,
            examples: [
                Example("The five best known official ones", "berth search --limit 5 --filter is-official=true redis")
            ], arity: .exactly(1), flags: RegistryFlags.search,
            unsupported: { Flag.unsupported(values: "cert-dir creds", switches: "compatible list-tags") }, run: action(.search))
    }

    var logout: Command {
        Command(
            "logout", operands: "[SERVER]", summary: "Forget the credentials for a registry",
            examples: [
                Example("From one", "berth logout localhost:5000"),
                Example("From all", "berth logout --all"),
            ], arity: .atMost(1),
            flags: RegistryFlags.logout, run: action(.logout))
    }
}
