import Flags

/// Commands about networks.
extension CommandTable {
    var network: Command {
        .group("network", summary: "Manage networks") {
            [
                networkConnect, networkCreate, networkDisconnect, networkExists, inspectNetwork, networkList, networkPrune, networkReload,
                networkRemove, networkUpdate,
            ]
        }
    }

    private var networkCreate: Command {
        Command(
            "create", operands: "NETWORK", summary: "Create a network",
            examples: [
                Example("Containers in it find each other by name", "berth network create team"),
                Example("With addresses of your choice", "berth network create --subnet 10.5.0.0/24 --gateway 10.5.0.254 office"),
            ],
            arity: .exactly(1), flags: NetworkFlags.create,
            unsupported: {
                Flag.unsupported(values: "config-from scope", switches: "config-only ingress")
            }, run: action(.networkCreate))
    }

    private var networkConnect: Command {
        Command(
            "connect", operands: "NETWORK CONTAINER", summary: "Connect a container to a network",
            examples: [Example("Under a further name", "berth network connect --alias database team db")],
            arity: .exactly(2), completion: [.names(.networks), .names(.containers)], flags: NetworkFlags.connect,
            run: action(.networkConnect))
    }

    private var networkDisconnect: Command {
        Command(
            "disconnect", operands: "NETWORK CONTAINER", summary: "Disconnect a container from a network",
            examples: [
                Example("While it runs", "berth network disconnect team db")
            ], arity: .exactly(2), completion: [.names(.networks), .names(.containers)], flags: NetworkFlags.disconnect,
            run: action(.networkDisconnect))
    }

    private var networkUpdate: Command {
        Command(
            "update", operands: "NETWORK", summary: "Change where a network asks for names of the outside",
            examples: [Example("Ask one server instead of another", "berth network update --dns-add 9.9.9.9 --dns-drop 1.1.1.1 team")],
            arity: .exactly(1), completion: [.names(.networks)], flags: NetworkFlags.update, run: action(.networkUpdate))
    }

    private var networkExists: Command {
        Command(
            "exists", operands: "NETWORK", summary: "Say by the exit status whether a network is here",
            details: "Ends with 0 when it is here, with 1 when it is not. Prints nothing.",
            examples: [
                Example("In a script", "berth network exists team || berth network create team")
            ], exitStatuses: Self.existence, arity: .exactly(1),
            completion: [.names(.networks)], run: action(.networkExists))
    }

    private var inspectNetwork: Command {
        Command(
            "inspect", operands: "NETWORK [NETWORK...]", summary: "Show all that is known of networks",
            examples: [
                Example("Its addresses", "berth network inspect -f '{{range .IPAM.Config}}{{.Subnet}}{{end}}' team")
            ], arity: .atLeast(1),
            completion: [.names(.networks)], flags: NetworkFlags.inspect, run: action(.inspectNetwork))
    }

    private var networkList: Command {
        Command(
            "ls", aliases: ["list"], summary: "List networks",
            examples: [
                Example("All", "berth network ls"),
                Example("Names of those of one driver", "berth network ls --filter driver=bridge --format '{{.Name}}'"),
            ], flags: NetworkFlags.list, run: action(.networkList))
    }

    private var networkPrune: Command {
        Command(
            "prune", summary: "Remove networks that no container uses",
            examples: [
                Example("Without a question", "berth network prune -f")
            ], flags: NetworkFlags.prune, run: action(.networkPrune))
    }

    private var networkReload: Command {
        Command(
            "reload", operands: "[CONTAINER...]", summary: "Make anew what running containers' networks have lost",
            examples: [
                Example("After somebody has flushed the firewall", "berth network reload db"),
                Example("All", "berth network reload -a"),
            ], arity: .any, completion: [.names(.containers)], flags: NetworkFlags.reload, run: action(.networkReload))
    }

    private var networkRemove: Command {
        Command(
            "rm", aliases: ["remove"], operands: "NETWORK [NETWORK...]", summary: "Remove networks",
            examples: [
                Example("One that nobody uses", "berth network rm team"),
                Example("With no failure where there is none", "berth network rm -f other"),
            ], arity: .atLeast(1),
            completion: [.names(.networks)], flags: NetworkFlags.rm, unsupported: { Flag.unsupported(values: "time/t") },
            run: action(.networkRemove))
    }
}
