import Engine
import Flags
import OCI

/// `berth image copy`
struct ImageCopyCommand {
    let session: Session
    private var arguments: ParsedArguments { session.arguments }
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let names = arguments.positionals
        guard names.count == 2 else { throw CommandError("exactly two arguments expected") }
        let source = try parse(names[0], "source")
        let destination = try parse(names[1], "destination")
        // Layers of the local store belong to subordinate ids.
        if destination.transport == .store, let status = try session.delegated() { return status }
        var request = CopyRequest(source: source, destination: destination)
        request.sourceAccess = try arguments.registryAccess("src-")
        request.destinationAccess = try arguments.registryAccess("dest-")
        request.lock = try arguments.lockFile()
        request.options = try options()
        let result = try session.interruptible { (cancellation) throws(EngineError) in
            request.options.cancellation = cancellation
            return try session.engine.copyImage(request)
        }
        try session.writeDigest(result.digest)
        return 0
    }

    private func parse(_ text: String, _ what: String) throws(CommandError) -> ImageLocation {
        do throws(EngineError) { return try ImageLocation.parse(text) } catch {
            throw CommandError("invalid \(what) name \(text): \(error.description)")
        }
    }

    private func options() throws(CommandError) -> CopyOptions {
        var options = CopyOptions()
        options.policy = try arguments.signaturePolicy()
        options.format = try arguments.manifestFormat()
        options.preserveDigests = arguments.bool("preserve-digests")
        options.retries = Int(clamping: arguments.uint64("retry-times") ?? 0)
        options.progress = session.progress()
        if arguments.bool("all") { options.multiArchitecture = .all }
        if let text = arguments.optionalString("multi-arch") {
            if arguments.bool("all") { throw CommandError("cannot use --all and --multi-arch flags together") }
            options.multiArchitecture = MultiArchitecture(rawValue: text) ?? .system
        }
        switch arguments.string("dest-compress-format") {
        case "gzip": options.compression = .gzip
        case "zstd": options.compression = .zstd
        default: break
        }
        if arguments.bool("dest-decompress") {
            if options.compression != nil { throw CommandError("--dest-decompress and --dest-compress-format contradict each other") }
            options.compression = .some(.none)
        }
        options.platform = try platform()
        if options.platform != nil, options.multiArchitecture != .system {
            throw CommandError("a platform cannot be chosen where all are copied: leave --all or the platform away")
        }
        for tag in arguments.strings("additional-tag") {
            do throws(OCIError) { options.additionalTags.append(try Reference.parse(tag).withDefaultTag) } catch {
                throw CommandError("error parsing additional-tag '\(tag)': \(error.description)")
            }
        }
        return options
    }

    private func platform() throws(CommandError) -> Platform? {
        let parts = [
            arguments.string("override-os"), arguments.string("override-arch"), arguments.string("override-variant"),
        ]
        if let text = arguments.optionalString("platform") {
            if parts.contains(where: { !$0.isEmpty }) { throw CommandError("--platform and --override-… contradict each other") }
            return try engine { () throws(EngineError) in try session.engine.platform(text) }
        }
        if parts.allSatisfy(\.isEmpty) { return nil }
        var platform = Engine.hostPlatform()
        if !parts[0].isEmpty { platform.os = parts[0] }
        if !parts[1].isEmpty {
            platform.architecture = parts[1]
            platform.variant = ""
        }
        if !parts[2].isEmpty { platform.variant = parts[2] }
        return platform.normalized
    }
}

/// `berth image sync`
struct ImageSyncCommand {
    let session: Session
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let arguments = session.arguments
        let names = arguments.positionals
        guard names.count == 2 else { throw CommandError("exactly two arguments expected") }
        guard let from = SyncTransport(rawValue: arguments.string("src")) else {
            throw CommandError("a source transport must be specified: --src docker or --src dir")
        }
        guard let to = SyncTransport(rawValue: arguments.string("dest")) else {
            throw CommandError("a destination transport must be specified: --dest docker, --dest dir or --dest berth")
        }
        if to == .store, let status = try session.delegated() { return status }
        var request = SyncRequest(source: names[0], from: from, destination: names[1], to: to)
        request.sourceAccess = try arguments.registryAccess("src-")
        request.destinationAccess = try arguments.registryAccess("dest-")
        request.isScoped = arguments.bool("scoped")
        request.keepsGoing = arguments.bool("keep-going")
        request.isDryRun = arguments.bool("dry-run")
        request.options.policy = try arguments.signaturePolicy()
        request.options.format = try arguments.manifestFormat()
        request.options.preserveDigests = arguments.bool("preserve-digests")
        request.options.retries = Int(clamping: arguments.uint64("retry-times") ?? 0)
        if arguments.bool("all") { request.options.multiArchitecture = .all }
        let tell = session.progress()
        request.options.progress = tell
        let result = try session.interruptible { (cancellation) throws(EngineError) in
            request.options.cancellation = cancellation
            return try session.engine.syncImages(request)
        }
        for failure in result.failures { session.complain(of: failure) }
        tell((request.isDryRun ? "Would have synced " : "Synced ") + "\(result.count) images")
        return result.failures.isEmpty ? 0 : 1
    }
}
