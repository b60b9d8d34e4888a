import Control
import Engine
import Flags
import JSON
import Linux

/// `berth checkpoint create`, `ls`, `rm`: docker's.
struct CheckpointCommand {
    let session: Session
    private var arguments: ParsedArguments { session.arguments }
    private var container: String { arguments.positionals.first ?? "" }
    private var name: String { arguments.positionals.dropFirst().first ?? "" }
    init(_ session: Session) { self.session = session }

    func create() throws(CommandError) -> Int32 {
        let directory = try Self.directory(arguments)
        var options = CheckpointOptions()
        options.leavesRunning = arguments.bool("leave-running")
        let wanted = options
        try engine { () throws(EngineError) in
            try session.engine.createCheckpoint(container, name: name, directory: directory, wanted)
        }
        session.print(name)
        return 0
    }

    func list() throws(CommandError) -> Int32 {
        let directory = try Self.directory(arguments)
        let names = try engine { () throws(EngineError) in try session.engine.checkpoints(of: container, directory: directory) }
        var table = TextTable(heading: ["CHECKPOINT NAME"])
        for name in names { table.add([name]) }
        session.printRaw(table.render())
        return 0
    }

    func remove() throws(CommandError) -> Int32 {
        let directory = try Self.directory(arguments)
        try engine { () throws(EngineError) in try session.engine.removeCheckpoint(container, name: name, directory: directory) }
        return 0
    }

    /// `--checkpoint-dir` as an absolute path: the supervisor has another working directory.
    static func directory(_ arguments: ParsedArguments) throws(CommandError) -> String? {
        let path = arguments.string("checkpoint-dir")
        if path.isEmpty { return nil }
        let whole = path.hasPrefix("/") ? path : Session.workingDirectory() + "/" + path
        // A request to a supervisor holds four paths.
        guard whole.utf8.count < 700 else { throw CommandError("the path of --checkpoint-dir is longer than 700 bytes") }
        return whole
    }
}

/// `berth container checkpoint`, `restore`: podman's.
struct ContainerCheckpointCommand {
    let session: Session
    private var arguments: ParsedArguments { session.arguments }
    init(_ session: Session) { self.session = session }

    func checkpoint() throws(CommandError) -> Int32 {
        var options = CheckpointOptions()
        options.leavesRunning = arguments.bool("leave-running")
        options.establishedConnections = arguments.bool("tcp-established")
        options.fileLocks = arguments.bool("file-locks")
        options.isPreDump = arguments.bool("pre-checkpoint")
        options.withPrevious = arguments.bool("with-previous")
        options.keepsLogs = arguments.bool("keep")
        if options.isPreDump, options.withPrevious { throw CommandError("--with-previous can not be used with --pre-checkpoint") }
        let export = try archive()
        let names = try session.containers(where: \.isAlive)
        if export != nil, names.count != 1 { throw CommandError("--export writes one container: name one") }
        let wanted = options
        return try each(names, of: "podman_checkpoint_duration", "runtime_checkpoint_duration") { (name) throws(EngineError) in
            if let export { return try session.engine.exportCheckpoint(name, wanted, export) }
            return try session.engine.checkpoint(name, wanted)
        }
    }

    private func archive() throws(CommandError) -> CheckpointExport? {
        let compression = try engine { () throws(EngineError) in try CheckpointExport.compression(arguments.string("compress")) }
        let path = arguments.string("export")
        if path.isEmpty {
            for flag in ["compress", "ignore-rootfs", "ignore-volumes"] where arguments.isSet(flag) {
                throw CommandError("--\(flag) can only be used with --export")
            }
            return nil
        }
        return CheckpointExport(
            path: path, compression: compression, includesRootfs: !arguments.bool("ignore-rootfs"),
            includesVolumes: !arguments.bool("ignore-volumes"))
    }

    func restore() throws(CommandError) -> Int32 {
        var options = RestoreOptions()
        options.establishedConnections = arguments.bool("tcp-established")
        options.closesConnections = arguments.bool("tcp-close")
        options.fileLocks = arguments.bool("file-locks")
        options.keeps = arguments.bool("keep")
        if options.establishedConnections, options.closesConnections {
            throw CommandError("--tcp-established and --tcp-close contradict each other")
        }
        let wanted = options
        if let source = try source() {
            return try each([source.path], of: "podman_restore_duration", "runtime_restore_duration") { (_) throws(EngineError) in
                try session.engine.importCheckpoint(source, wanted)
            }
        }
        let names = try session.containers { session.engine.isCheckpointed($0) }
        return try each(names, of: "podman_restore_duration", "runtime_restore_duration") { (name) throws(EngineError) in
            try session.engine.restore(name, wanted)
        }
    }

    private func source() throws(CommandError) -> CheckpointImport? {
        let path = arguments.string("import")
        if path.isEmpty {
            let flags = ["ignore-rootfs", "ignore-static-ip", "ignore-static-mac", "ignore-volumes", "import-previous", "name", "publish"]
            for flag in flags where arguments.isSet(flag) { throw CommandError("--\(flag) can only be used with --import") }
            return nil
        }
        if arguments.bool("all") || arguments.bool("latest") {
            throw CommandError("--import makes a container of its own: no --all or --latest")
        }
        var source = CheckpointImport(path: path)
        source.previous = arguments.string("import-previous")
        source.name = arguments.string("name")
        source.includesRootfs = !arguments.bool("ignore-rootfs")
        source.includesVolumes = !arguments.bool("ignore-volumes")
        source.keepsAddress = !arguments.bool("ignore-static-ip")
        source.keepsHardwareAddress = !arguments.bool("ignore-static-mac")
        if arguments.isSet("publish") {
            var ports: [PortBinding] = []
            for text in arguments.strings("publish") {
                ports.append(try engine { () throws(EngineError) in try PortBinding(option: text) })
            }
            source.ports = ports
        }
        return source
    }

    /// Prints names, or podman's document of how long it took.
    private func each(
        _ names: [String], of total: String, _ single: String, _ body: (String) throws(EngineError) -> CheckpointStatistics
    ) throws(CommandError) -> Int32 {
        let prints = arguments.bool("print-stats")
        let begun = monotonicNanoseconds()
        var all: [CheckpointStatistics] = []
        let status = session.forEach(names) { (name) throws(EngineError) in
            let statistics = try body(name)
            all.append(statistics)
            if prints { return nil }
            return session.isGiven("import") ? statistics.id : name
        }
        if prints {
            let document = JSONWriter.document(indent: "    ") { writer in
                writer.object { w in
                    w.key(total)
                    w.value((monotonicNanoseconds() - begun) / 1000)
                    w.array("container_statistics", all) { w, entry in
                        w.object { w in
                            w.field("Id", entry.id)
                            w.key(single)
                            w.value(entry.duration)
                            w.rawField("criu_statistics", entry.criu)
                        }
                    }
                }
            }
            session.print(String(decoding: document, as: UTF8.self))
        }
        return status
    }
}
