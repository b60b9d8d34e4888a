import Flags

/// The whole command tree of `berth`.
///
/// The table knows names, flags and words; what is done is one function given by the caller, so that the table can
/// be read, tested and turned into documentation without an engine.
struct CommandTable: Sendable {
    /// Does the work of a command; returns the exit status.
    typealias Perform = @Sendable (Verb, ParsedArguments) -> Int32

    let perform: Perform

    init(perform: @escaping Perform) {
        self.perform = perform
    }

    /// The program with everything around the tree.
    /// - Parameters:
    ///   - name: what it is to answer as.
    ///   - candidates: names of containers, images and volumes for completion.
    func program(as name: CalledAs = .berth, candidates: @escaping Program.Candidates = { _, _ in [] }) -> Program {
        var root = root
        root.name = name.rawValue
        return Program(
            root: root, version: name.versionLine, released: BerthProgram.released,
            manualSections: { ManualSections.berth }, commandFailure: name.commandFailure,
            refusal: { name.refusal($0) },
            candidates: { source, prefix in
                switch source {
                case .signals: ValueWords.signals.map { Candidate($0) }
                case .capabilities: ValueWords.capabilities.map { Candidate($0) }
                default: candidates(source, prefix)
                }
            }, unsupportedCommands: { LaterCommands.spellings })
    }

    var root: Command {
        Command(
            "berth", summary: "Run containers without a daemon", flags: GlobalFlags.supported,
            unsupported: GlobalFlags.unsupported, subcommands: { topLevel })
    }

    private var topLevel: [Command] {
        [
            run.grouped(.common), exec.grouped(.common), ps("ps").grouped(.common), build.grouped(.common),
            images("images").grouped(.common), pull.grouped(.common), push.grouped(.common), version.grouped(.common),
            info("info").grouped(.common),
            builder, checkpoint, container, healthcheck, image, manifest, network, registry, system, volume,
            attach, commit, copy, create, debug, diff, events, export, history, `import`, initialize, inspect, kill, load, login, logout,
            logs, mount, pause, port,
            rename, restart, rm("rm"),
            rmi("rmi"), save, search,
            start, stats, stop, tag, top, unmount("unmount", aliases: ["umount"]), unpause, unshare, untag, update, wait,
        ]
    }

    private var container: Command {
        .group("container", summary: "Manage containers") {
            [
                attach, containerCheckpoint, cleanUp, containerClone, commit, copy, create, debug, diff, exec, containerExists, export,
                initialize, inspectContainer, kill, logs, mount,
                ps("ls", aliases: ["list", "ps"]), pause, containerPrune, port, rename, restart, containerRestore,
                rm("rm", aliases: ["remove"]), run, start,
                stats, stop, top, unmount("unmount", aliases: ["umount"]), unpause, update, wait,
            ]
        }
    }

    private var image: Command {
        .group("image", summary: "Manage images") {
            [
                build, imageCopy, imageDelete, imageExists, history, `import`, inspectImage, imageListTags, load, imageMount,
                images("ls", aliases: ["list"]), imagePrune, pull, push, rmi("rm", aliases: ["remove"]), save, search,
                imageSync, tag, imageUnmount, untag,
            ]
        }
    }

    private var system: Command {
        .group("system", summary: "Look at the engine and its host") {
            [systemBoot, events, info("info"), installService, systemCheck, systemUsage, systemPrune, systemShutDown]
        }
    }

    /// Of the commands that say whether something is here.
    static let existence = [
        StatusMeaning("0", "It is here"), StatusMeaning("1", "It is not here"),
        StatusMeaning("125", "Nobody can tell, or the command line was refused"),
    ]

    func action(_ verb: Verb) -> Command.Action {
        let perform = perform
        return { arguments in perform(verb, arguments) }
    }
}

extension Command {
    /// The same command under another heading of help.
    func grouped(_ group: CommandGroup) -> Command {
        var copy = self
        copy.group = group
        return copy
    }
}
