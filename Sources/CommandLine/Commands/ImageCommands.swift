import Engine
import Flags
import JSON
import Linux
import OCI

/// `berth load`
struct LoadCommand {
    let session: Session
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let arguments = session.arguments
        let input = arguments.optionalString("input")
        if input == nil, Terminal.isTerminal(.standardInput) {
            throw CommandError("requested load from stdin, but stdin is empty: name a file with -i, or redirect one")
        }
        if let status = try session.delegated() { return status }
        let loaded = try engine { () throws(EngineError) in
            try session.engine.load(path: input, platform: arguments.string("platform"))
        }
        for image in loaded {
            for replaced in image.replaced {
                session.print(
                    "The image \(familiar(replaced.name)) already exists, renaming the old one with ID \(replaced.id) to empty string"
                )
            }
            if image.names.isEmpty { session.print("Loaded image ID: " + image.id) }
            for name in image.names { session.print("Loaded image: " + familiar(name)) }
        }
        return 0
    }
}

/// The short form of a full reference; podman shows the full one.
func familiar(_ name: String) -> String {
    if CalledAs.current == .podman { return fullName(name) }
    do throws(OCIError) { return try Reference.parse(name).familiar } catch { return name }
}

/// `berth import`
struct ImportCommand {
    let session: Session
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let arguments = session.arguments
        let source = arguments.positionals.first ?? "-"
        if source.hasPrefix("http://") || source.hasPrefix("https://") {
            throw CommandError("not supported yet: import from a URL")
        }
        if source == "-", Terminal.isTerminal(.standardInput) {
            throw CommandError("import from standard input needs a redirection")
        }
        if arguments.positionals.count > 2 { throw CommandError("import takes a file and at most one name") }
        if let status = try session.delegated() { return status }
        let id = try engine { () throws(EngineError) in
            try session.engine.importRootFileSystem(
                path: source == "-" ? nil : source, name: arguments.positionals.dropFirst().first,
                changes: arguments.strings("change"), message: arguments.string("message"),
                platform: arguments.string("platform"))
        }
        session.print(id)
        return 0
    }
}

/// `berth save`
struct SaveCommand {
    let session: Session
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let arguments = session.arguments
        let output = arguments.optionalString("output")
        if output == nil, Terminal.isTerminal(.standardOutput) {
            throw CommandError("cowardly refusing to save to a terminal. Use the -o flag or redirect")
        }
        if let status = try session.delegated() { return status }
        try engine { () throws(EngineError) in
            try session.engine.save(
                arguments.positionals, path: output, format: arguments.string("format"),
                platform: arguments.string("platform"))
        }
        return 0
    }
}

/// `berth tag`
struct TagCommand {
    let session: Session
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let names = session.arguments.positionals
        guard names.count == 2 else { throw CommandError("an image and its further name are needed") }
        try engine { () throws(EngineError) in try session.engine.tag(names[0], names[1]) }
        return 0
    }
}

/// `berth rmi`
struct RemoveImagesCommand {
    let session: Session
    init(_ session: Session) { self.session = session }

    /// `Untagged: NAME`, with the full name; `Deleted: ID`, without the name of its hash.
    private static func likePodman(_ line: String) -> String {
        guard let blank = line.firstIndex(of: " ") else { return line }
        let object = String(line[line.index(after: blank)...])
        return line[...blank]
            + (line.hasPrefix("Untagged: ") && !object.utf8.contains(UInt8(ascii: "@")) ? fullName(object) : ImageText.digits(object))
    }

    func run() throws(CommandError) -> Int32 {
        let arguments = session.arguments
        let all = arguments.bool("all")
        var names = arguments.positionals
        if let status = try session.delegated() { return status }
        let force = arguments.bool("force")
        let platforms = arguments.strings("platform")
        if all { names = try engine { () throws(EngineError) in try session.engine.images() }.map(\.id) }
        return session.forEach(names) { (name) throws(EngineError) in
            do throws(EngineError) {
                // By its id an image of several names goes only by force; whoever says all means those too.
                let lines =
                    all && !force
                    ? try session.engine.removeWithAllNames(name)
                    : try session.engine.removeImage(name, force: force, platforms: platforms)
                return (CalledAs.current == .podman ? lines.map(Self.likePodman) : lines).joined(separator: "\n")
            } catch {
                if error.code == .notFound, arguments.bool("ignore") || all { return nil }
                throw error
            }
        }
    }
}

/// `berth untag`
struct UntagCommand {
    let session: Session
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let names = session.arguments.positionals
        try engine { () throws(EngineError) in try session.engine.untag(names.first ?? "", Array(names.dropFirst())) }
        return 0
    }
}

/// `berth image exists`: the answer is the exit status.
struct ImageExistsCommand {
    let session: Session
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        do throws(EngineError) {
            _ = try session.engine.image(session.arguments.positionals.first ?? "")
            return 0
        } catch {
            if error.code == .notFound { return 1 }
            throw CommandError(error.description, status: 125, code: error.code)
        }
    }
}
