import Engine
import Flags
import Linux

/// The entry point of `berth`.
public enum BerthProgram {
    public static let version = "0.1.0"
    /// The day of that version, for the manual.
    static let released = "2026-11-01"

    /// Reads the command line, does what it says and returns the program's exit status.
    ///
    /// - Parameter arguments: without the program's own name.
    public static func main(_ arguments: [String]) -> Int32 {
        openStandardStreams()
        // The second self of a rootless command; no person types this.
        if arguments.first == "internal", Engine.isHelper { return InternalCommand.run(Array(arguments.dropFirst())) }
        if arguments.first == "__registry" { return RegistryProbe.run(Array(arguments.dropFirst())) }
        let table = CommandTable { verb, parsed in perform(verb, parsed, arguments) }
        let program = table.program(as: .current) { source, prefix in
            CompletionNames.candidates(source, prefix)
        }
        return program.run(arguments, width: { Terminal.columns() })
    }

    /// A caller may have closed them (`berth … <&- >&-`). What is opened next would get their numbers, and be written to as
    /// standard output.
    private static func openStandardStreams() {
        for number: Int32 in 0...2 where (try? FD(number).status()) == nil {
            guard let null = try? FD.cwd.open("/dev/null", .readWrite) else { return }
            if null.raw == number { _ = null.take() }
            try? FD(number).setCloseOnExec(false)
        }
    }

    private static func perform(_ verb: Verb, _ parsed: ParsedArguments, _ arguments: [String]) -> Int32 {
        let session: Session
        do throws(CommandError) {
            session = try Session(parsed, arguments, verb)
        } catch {
            return Session.report(error, verb)
        }
        do throws(CommandError) {
            let status = try dispatch(verb, session)
            session.finish()
            return status
        } catch {
            session.finish()
            return Session.report(error, verb)
        }
    }

    private static func dispatch(_ verb: Verb, _ session: Session) throws(CommandError) -> Int32 {
        switch verb {
        case .run: return try RunCommand(session).run()
        case .create: return try CreateCommand(session).run()
        case .start: return try StartCommand(session).run()
        case .stop: return try StopCommand(session).run()
        case .kill: return try KillCommand(session).run()
        case .restart: return try RestartCommand(session).run()
        case .rm: return try RemoveCommand(session).run()
        case .ps: return try ListCommand(session).run()
        case .logs: return try LogsCommand(session).run()
        case .exec: return try ExecCommand(session).run()
        case .attach: return try AttachCommand(session).run()
        case .wait: return try WaitCommand(session).run()
        case .healthcheckRun: return try HealthcheckCommand(session).run()
        case .checkpointCreate: return try CheckpointCommand(session).create()
        case .checkpointList: return try CheckpointCommand(session).list()
        case .checkpointRemove: return try CheckpointCommand(session).remove()
        case .containerCheckpoint: return try ContainerCheckpointCommand(session).checkpoint()
        case .containerRestore: return try ContainerCheckpointCommand(session).restore()
        case .top: return try TopCommand(session).run()
        case .pause: return try PauseCommand(session).pause()
        case .unpause: return try PauseCommand(session).unpause()
        case .rename: return try RenameCommand(session).run()
        case .containerExists: return try ContainerExistsCommand(session).run()
        case .containerCleanUp: return try CleanUpCommand(session).run()
        case .debug: return try DebugCommand(session).run()
        case .initialize: return try InitializeCommand(session).run()
        case .containerClone: return try CloneCommand(session).run()
        case .mount: return try MountCommand(session).containers()
        case .unmount: return try UnmountCommand(session).containers()
        case .imageMount: return try MountCommand(session).images()
        case .imageUnmount: return try UnmountCommand(session).images()
        case .unshare: return try UnshareCommand(session).run()
        case .stats: return try StatsCommand(session).run()
        case .update: return try UpdateCommand(session).run()
        case .port: return try PortCommand(session).run()
        case .copy: return try CopyCommand(session).run()
        case .diff: return try DiffCommand(session).run()
        case .export: return try ExportCommand(session).run()
        case .builderPrune: return try BuilderPruneCommand(session).run()
        case .build: return try BuildCommand(session).run()
        case .commit: return try CommitCommand(session).run()
        case .inspect: return try InspectCommand(session).run(kinds: nil)
        case .inspectContainer: return try InspectCommand(session).run(kinds: [.container])
        case .inspectImage:
            let remote = InspectRemoteCommand(session)
            if session.arguments.positionals.contains(where: remote.isRemote) { return try remote.run() }
            return try InspectCommand(session).run(kinds: [.image])
        case .images: return try ImagesCommand(session).run()
        case .load: return try LoadCommand(session).run()
        case .import: return try ImportCommand(session).run()
        case .save: return try SaveCommand(session).run()
        case .pull: return try PullCommand(session).run()
        case .push: return try PushCommand(session).run()
        case .tag: return try TagCommand(session).run()
        case .rmi: return try RemoveImagesCommand(session).run()
        case .networkCreate: return try NetworkCreateCommand(session).run()
        case .networkConnect: return try NetworkConnectCommand(session).connect()
        case .networkDisconnect: return try NetworkConnectCommand(session).disconnect()
        case .networkUpdate: return try NetworkConnectCommand(session).update()
        case .networkReload: return try NetworkConnectCommand(session).reload()
        case .networkExists: return try NetworkRemoveCommand(session).exists()
        case .inspectNetwork: return try InspectCommand(session).run(kinds: [.network])
        case .networkList: return try NetworkListCommand(session).run()
        case .networkPrune: return try PruneCommand(session).networks()
        case .networkRemove: return try NetworkRemoveCommand(session).run()
        case .login: return try LoginCommand(session).run()
        case .logout: return try LogoutCommand(session).run()
        case .history: return try HistoryCommand(session).run()
        case .untag: return try UntagCommand(session).run()
        case .imageExists: return try ImageExistsCommand(session).run()
        case .imagePrune: return try PruneCommand(session).images()
        case .containerPrune: return try PruneCommand(session).containers()
        case .volumeCreate: return try VolumeCreateCommand(session).run()
        case .volumeList: return try VolumeListCommand(session).run()
        case .inspectVolume: return try InspectCommand(session).run(kinds: [.volume])
        case .volumeRemove: return try VolumeRemoveCommand(session).run()
        case .volumeExists: return try VolumeRemoveCommand(session).exists()
        case .volumeExport: return try VolumeArchiveCommand(session).export()
        case .volumeImport: return try VolumeArchiveCommand(session).`import`()
        case .volumeSnapshot: return try VolumeSnapshotCommand(session).snapshot()
        case .volumeSnapshots: return try VolumeSnapshotCommand(session).list()
        case .volumeClone: return try VolumeSnapshotCommand(session).clone()
        case .volumeRestore: return try VolumeSnapshotCommand(session).restore()
        case .volumePrune: return try PruneCommand(session).volumes()
        case .systemPrune: return try PruneCommand(session).system()
        case .systemUsage: return try DiskUsageCommand(session).run()
        case .search: return try SearchCommand(session).run()
        case .version: return try VersionCommand(session).run()
        case .info: return try InfoCommand(session).run()
        case .events: return try EventsCommand(session).run()
        case .systemCheck: return try SystemCheckCommand(session).run()
        case .systemBoot: return try BootCommands(session).boot()
        case .systemShutDown: return try BootCommands(session).shutDown()
        case .installService: return try InstallServiceCommand(session).run()
        case .registryServe: return try RegistryServeCommand(session).run()
        case .imageCopy: return try ImageCopyCommand(session).run()
        case .imageSync: return try ImageSyncCommand(session).run()
        case .imageDelete: return try DeleteRemoteCommand(session).run()
        case .imageListTags: return try ListTagsCommand(session).run()
        case .manifestCreate: return try ManifestCommand(session).create()
        case .manifestAdd: return try ManifestCommand(session).add()
        case .manifestAnnotate: return try ManifestCommand(session).annotate()
        case .manifestInspect: return try ManifestCommand(session).inspect()
        case .manifestPush: return try ManifestCommand(session).push()
        case .manifestRm: return try ManifestCommand(session).removeLists()
        case .manifestRemove: return try ManifestCommand(session).remove()
        case .manifestExists: return try ManifestCommand(session).exists()
        }
    }
}
