import Engine
import Flags
import Glibc
import Linux
import OCI

/// `berth pull`
struct PullCommand {
    let session: Session
    private var arguments: ParsedArguments { session.arguments }
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let name = arguments.positionals[0]
        let isPodman = CalledAs.current == .podman
        // What podman tells of its progress goes to standard error: standard output is for the id alone.
        let mode = isPodman ? .quiet : try TransferProgress.Mode(arguments)
        if let status = try session.delegated() { return status }
        if isPodman, !arguments.bool("quiet") { session.complain("Trying to pull \(fullName(name))...") }
        if arguments.bool("all-tags") {
            if let reference = try? Reference.parse(name), reference.tag != nil || reference.digest != nil {
                throw CommandError("tag can't be used with --all-tags/-a")
            }
        } else {
            tellDefaultTag(name, mode)
        }
        let progress = TransferProgress(mode)
        var options = PullOptions(policy: try arguments.signaturePolicy())
        options.platform = arguments.string("platform")
        options.access = try arguments.registryAccess(retries: true)
        options.lock = try arguments.lockFile()
        let images = try progress.during { () throws(EngineError) in
            arguments.bool("all-tags")
                ? try session.engine.pullAllTags(name, options, progress) : [try session.engine.pull(name, options, progress)]
        }
        for image in images {
            if isPodman { session.print(ImageText.digits(image.id)) } else { tell(image, mode, progress) }
        }
        return 0
    }

    private func tellDefaultTag(_ name: String, _ mode: TransferProgress.Mode) {
        guard mode == .plain || mode == .terminal, let reference = try? Reference.parse(name) else { return }
        if reference.tag == nil, reference.digest == nil { session.print("Using default tag: latest") }
        session.flush()
    }

    private func tell(_ image: PulledImage, _ mode: TransferProgress.Mode, _ progress: TransferProgress) {
        let status =
            "Status: " + (image.isNew ? "Downloaded newer image for " : "Image is up to date for ") + image.reference.familiar
        switch mode {
        case .quiet: session.print(image.reference.description)
        case .json:
            progress.writeJSON(status: "Digest: \(image.digest)")
            progress.writeJSON(status: status)
        case .plain, .terminal:
            if !progress.announced(image.reference) {
                session.print("\(image.reference.target): Pulling from \(image.reference.path)")
            }
            session.print("Digest: \(image.digest)")
            session.print(status)
            session.print(image.reference.description)
        }
    }
}

/// `berth push`
struct PushCommand {
    let session: Session
    private var arguments: ParsedArguments { session.arguments }
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let name = arguments.positionals[0]
        let mode = try TransferProgress.Mode(arguments)
        let access = try arguments.registryAccess(retries: true)
        let options = try engine { () throws(EngineError) in
            try PushOptions(
                format: arguments.optionalString("compression-format"), level: arguments.int64("compression-level"))
        }
        if let status = try session.delegated() { return status }
        if !arguments.bool("all-tags"), mode == .plain || mode == .terminal, let reference = try? Reference.parse(name),
            reference.tag == nil, reference.digest == nil
        {
            session.print("Using default tag: latest")
            session.flush()
        }
        let progress = TransferProgress(mode)
        let images = try progress.during { () throws(EngineError) in
            arguments.bool("all-tags")
                ? try session.engine.pushAllTags(name, access, options, progress)
                : [try session.engine.push(name, access, options, progress)]
        }
        for image in images {
            switch mode {
            case .quiet: session.print(image.reference.description)
            case .json: progress.writeJSON(status: "\(image.reference.target): digest: \(image.digest) size: \(image.size)")
            case .plain, .terminal: session.print("\(image.reference.target): digest: \(image.digest) size: \(image.size)")
            }
        }
        if let file = arguments.optionalString("digestfile"), let image = images.last {
            do throws(SystemError) { try FD.cwd.writeFile(file, Array(image.digest.description.utf8)) } catch {
                throw CommandError("\(file): \(error.errno)")
            }
        }
        return 0
    }
}

/// What `run` and `create` do about an image that is not here.
struct ImagePuller {
    let session: Session

    /// Runs `body`; when it lacks its image, the image is pulled and it runs again.
    func supplying<R: ~Copyable>(
        _ request: ContainerRequest, _ body: (ContainerRequest) throws(EngineError) -> R
    ) throws(CommandError) -> R {
        // A pinned name is what the file says, whatever is here under it; what is here already costs no question then.
        let isPinned = session.arguments.optionalString("lock") != nil
        if isPinned, request.pull == .never {
            throw CommandError("--lock and --pull never contradict each other: a pinned image may have to be fetched", status: 125)
        }
        if session.arguments.bool("locked"), !isPinned { throw CommandError("--locked needs --lock FILE", status: 125) }
        if request.pull == .always || isPinned { try pull(request) }
        do throws(EngineError) {
            return try body(request)
        } catch {
            guard error.code == .imageMissing else { throw CommandError(error, running: true) }
            session.complain(error.description)
        }
        try pull(request)
        do throws(EngineError) {
            return try body(request)
        } catch {
            throw CommandError(error, running: true)
        }
    }

    /// The id of an image that a build begins with, pulled if need be.
    ///
    /// - Parameter always: also when it is here.
    func image(_ name: String, _ platform: Platform, always: Bool) throws(EngineError) -> String {
        if !always, let known = try? session.engine.image(name) { return known.id }
        var request = ContainerRequest(image: name)
        request.platform = platform == Engine.hostPlatform() ? "" : platform.description
        do throws(CommandError) { try pull(request) } catch {
            throw EngineError(.notFound, sentence: error.text.isEmpty ? "\(name): it could not be pulled" : error.text)
        }
        return try session.engine.image(name).id
    }

    /// A program of its own: threads and network stay out of the one that starts containers. It tells on standard error.
    private func pull(_ request: ContainerRequest) throws(CommandError) {
        var arguments = ["berth"]
        for name in ["root", "runroot"] {
            if let value = session.arguments.optionalString(name) { arguments += ["--" + name, value] }
        }
        arguments.append("pull")
        // What was not typed is left to pull, which may find it in a file.
        for flag in PullFlags.ofRun where session.arguments.isSet(flag.name) {
            if flag.kind == .bool {
                arguments.append("--\(flag.name)=\(session.arguments.bool(flag.name))")
            } else if flag.kind == .duration {
                arguments += ["--" + flag.name, "\(session.arguments.int64(flag.name) ?? 0)ns"]
            } else if flag.kind == .uint {
                arguments += ["--" + flag.name, "\(session.arguments.uint64(flag.name) ?? 0)"]
            } else {
                arguments += ["--" + flag.name, session.arguments.string(flag.name)]
            }
        }
        if session.arguments.bool("quiet") { arguments.append("--quiet") }
        if !request.platform.isEmpty { arguments += ["--platform", request.platform] }
        arguments += ["--", request.definition.image]
        let child = SpawnRequest("/proc/self/exe", arguments, descriptors: [(FD(0), 0), (FD(2), 1), (FD(2), 2)])
        let status: ExitStatus
        do throws(SystemError) {
            let process = try spawn(child)
            status = try process.wait()
        } catch {
            throw CommandError("pull \(request.definition.image): \(error.description)", status: 125)
        }
        if status != .exited(0) { throw CommandError("", status: status.code > 128 ? Int32(status.code) : 125) }
    }
}
