import Flags

/// Commands about what is in the store and what it takes.
extension CommandTable {
    var history: Command {
        Command(
            "history", spellings: ["image history", "history"], operands: "IMAGE", summary: "Show how an image was made",
            examples: [
                Example("For a person", "berth history busybox"),
                Example("Every command in full", "berth history --no-trunc --format '{{.CreatedBy}}' busybox"),
            ], arity: .exactly(1), completion: [.names(.images)], flags: ImageFlags.history, run: action(.history))
    }

    var untag: Command {
        Command(
            "untag", spellings: ["image untag", "untag"], operands: "IMAGE [NAME...]",
            summary: "Take names from an image and keep the image",
            details: "Takes all names when none is given. An image without names stays until rmi or prune removes it.",
            examples: [
                Example("One name", "berth untag localhost:5000/team/app:1")
            ], arity: .atLeast(1),
            completion: [.names(.images)], run: action(.untag))
    }

    var imageExists: Command {
        Command(
            "exists", operands: "IMAGE", summary: "Say by the exit status whether an image is here",
            details: "Ends with 0 when it is here, with 1 when it is not. Prints nothing.",
            examples: [
                Example("In a script", "berth image exists busybox || berth pull busybox")
            ], exitStatuses: Self.existence, arity: .exactly(1),
            completion: [.names(.images)], run: action(.imageExists))
    }

    var imagePrune: Command {
        Command(
            "prune", summary: "Remove images that nobody uses",
            examples: [Example("All images that no container was made from, without a question", "berth image prune -af")],
            flags: ImageFlags.imagePrune, unsupported: { Flag.unsupported(switches: "build-cache external") },
            run: action(.imagePrune))
    }

    var containerPrune: Command {
        Command(
            "prune", summary: "Remove containers that do not run",
            examples: [
                Example("Those older than a day, without a question", "berth container prune -f --filter until=24h")
            ], flags: ImageFlags.containerPrune,
            run: action(.containerPrune))
    }

    var systemPrune: Command {
        Command(
            "prune", summary: "Remove containers, networks and images that nobody uses",
            examples: [
                Example("With a question", "berth system prune"),
                Example("All that nobody uses, without one", "berth system prune -af --volumes"),
            ], flags: ImageFlags.systemPrune, unsupported: { Flag.unsupported(switches: "build external") },
            run: action(.systemPrune))
    }

    var events: Command {
        Command(
            "events", spellings: ["system events", "events"], summary: "Show what happens to containers, images, networks and volumes",
            examples: [
                Example("What has ended in the last hour, and why", "berth events --since 1h --until 0s --filter event=die"),
                Example("One JSON document a line, for scripts", "berth events --format json"),
            ],
            flags: ContainerFlags.events, run: action(.events))
    }

    var systemUsage: Command {
        Command(
            "df", summary: "Show what takes room on disk",
            examples: [
                Example("In one table", "berth system df"),
                Example("Of every image, container and volume", "berth system df -v"),
            ], flags: ImageFlags.usage, run: action(.systemUsage))
    }
}
