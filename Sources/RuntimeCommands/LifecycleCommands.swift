import CLinux
import Flags
import Glibc
import JSON
import Linux
import OCI
import Runtime

/// `berth-runtime start`.
enum StartCommand {
    static var command: Command {
        Command(
            "start", operands: "CONTAINER", summary: "Run the program of a created container", arity: .exactly(1),
            run: { arguments in
                CommandContext.run(arguments) { (context) throws(RuntimeError) in
                    try ContainerStart(try context.directory()).run()
                    return 0
                }
            })
    }
}

/// `berth-runtime state`.
enum StateCommand {
    static var command: Command {
        Command(
            "state", operands: "CONTAINER", summary: "Print the state of a container as JSON", arity: .exactly(1),
            run: { arguments in
                CommandContext.run(arguments) { (context) throws(RuntimeError) in
                    let directory = try context.directory()
                    let record = try directory.read()
                    var writer = JSONWriter(indent: "  ")
                    record.writeDescription(to: &writer, in: directory)
                    output(writer.bytes + [10])
                    return 0
                }
            })
    }
}

/// `berth-runtime kill`.
enum KillCommand {
    static var command: Command {
        Command(
            "kill", operands: "CONTAINER [SIGNAL]", summary: "Send a signal to a container's program (default: SIGTERM)",
            arity: .range(1, 2),
            flags: { [.bool("all", "a", "Send it to every process of the container")] },
            run: { arguments in
                CommandContext.run(arguments) { (context) throws(RuntimeError) in
                    let name = arguments.positionals.count > 1 ? arguments.positionals[1] : "SIGTERM"
                    guard let signal = SignalName.number(name) else {
                        throw RuntimeError(.invalid, "kill container", context.id, cause: "unknown signal \"\(name)\"")
                    }
                    try ContainerSignal(try context.directory()).send(signal, toAll: arguments.bool("all"))
                    return 0
                }
            })
    }
}

/// `berth-runtime delete`.
enum DeleteCommand {
    static var command: Command {
        Command(
            "delete", operands: "CONTAINER", summary: "Remove what a container left: cgroups, state", arity: .exactly(1),
            flags: { [.bool("force", "f", "Kill it first if it still runs; succeed if it does not exist")] },
            run: { arguments in
                CommandContext.run(arguments) { (context) throws(RuntimeError) in
                    try ContainerDeletion(try context.directory()).run(force: arguments.bool("force"))
                    return 0
                }
            })
    }
}

/// `berth-runtime pause` and `resume`.
enum PauseCommand {
    static var pause: Command {
        Command(
            "pause", operands: "CONTAINER", summary: "Freeze all processes of a container", arity: .exactly(1),
            run: { arguments in
                CommandContext.run(arguments) { (context) throws(RuntimeError) in
                    try ContainerFreezer(try context.directory()).pause()
                    return 0
                }
            })
    }

    static var resume: Command {
        Command(
            "resume", operands: "CONTAINER", summary: "Thaw a paused container", arity: .exactly(1),
            run: { arguments in
                CommandContext.run(arguments) { (context) throws(RuntimeError) in
                    try ContainerFreezer(try context.directory()).resume()
                    return 0
                }
            })
    }
}
