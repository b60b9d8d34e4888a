import Engine
import Flags
import JSON
import OCI

/// `berth manifest …`
struct ManifestCommand {
    let session: Session
    private var arguments: ParsedArguments { session.arguments }
    private var name: String { arguments.positionals.first ?? "" }
    init(_ session: Session) { self.session = session }

    func create() throws(CommandError) -> Int32 {
        let access = try arguments.registryAccess()
        let annotations = try arguments.annotations()
        let created = try engine { () throws(EngineError) in
            try session.engine.createManifestList(
                name, members: Array(arguments.positionals.dropFirst()), amends: arguments.bool("amend"),
                all: arguments.bool("all"), annotations: annotations, access)
        }
        session.print("Created manifest list " + created)
        return 0
    }

    func add() throws(CommandError) -> Int32 {
        let access = try arguments.registryAccess()
        let changes = try annotationChanges()
        for member in arguments.positionals.dropFirst() {
            let digests = try engine { () throws(EngineError) in
                try session.engine.addToManifestList(name, member, changes, all: arguments.bool("all"), access)
            }
            for digest in digests { session.print("\(name): \(digest)") }
        }
        return 0
    }

    func annotate() throws(CommandError) -> Int32 {
        let member = arguments.positionals.dropFirst().first
        let isIndex = arguments.bool("index")
        if isIndex == (member != nil) {
            throw CommandError(isIndex ? "--index changes the list itself: name no image" : "name the image of the list, or give --index")
        }
        let changes = try annotationChanges()
        try engine { () throws(EngineError) in
            try session.engine.annotateManifestList(name, member: member, changes)
        }
        return 0
    }

    private func annotationChanges() throws(CommandError) -> ManifestAnnotations {
        var changes = ManifestAnnotations()
        changes.os = arguments.optionalString("os")
        changes.architecture = arguments.optionalString("arch")
        changes.variant = arguments.optionalString("variant")
        changes.osVersion = arguments.optionalString("os-version")
        if arguments.isSet("os-features") { changes.osFeatures = arguments.strings("os-features") }
        changes.annotations = try arguments.annotations()
        return changes
    }

    func push() throws(CommandError) -> Int32 {
        let access = try arguments.registryAccess()
        var options = CopyOptions()
        options.multiArchitecture = arguments.bool("all") ? .all : .indexOnly
        options.progress = session.progress()
        let format = try arguments.manifestFormat()
        let destination = arguments.positionals.dropFirst().first
        let result = try session.interruptible { (cancellation) throws(EngineError) in
            options.cancellation = cancellation
            // A name alone is a registry's, as in docker.
            let location = try destination.map { (text) throws(EngineError) in
                try ImageLocation.parse(text.includesTransport ? text : "docker://" + text)
            }
            return try session.engine.pushManifestList(name, to: location, format: format, access, options)
        }
        try session.writeDigest(result.digest)
        if arguments.bool("purge") || arguments.bool("rm") {
            try engine { () throws(EngineError) in try session.engine.removeManifestList(name) }
        }
        session.print(result.digest.description)
        return 0
    }

    func remove() throws(CommandError) -> Int32 {
        let digest = try engine { () throws(EngineError) in
            try session.engine.removeFromManifestList(name, arguments.positionals.last ?? "")
        }
        session.print("\(name): \(digest)")
        return 0
    }

    func removeLists() throws(CommandError) -> Int32 {
        let ignores = arguments.bool("ignore")
        return session.forEach(arguments.positionals) { (name) throws(EngineError) in
            do throws(EngineError) { try session.engine.removeManifestList(name) } catch {
                if !ignores || error.code != .notFound { throw error }
            }
            return nil
        }
    }

    func exists() throws(CommandError) -> Int32 {
        let found = try engine { () throws(EngineError) in try session.engine.manifestListExists(name) }
        return found ? 0 : 1
    }

    // MARK: Inspect

    func inspect() throws(CommandError) -> Int32 {
        let access = try arguments.registryAccess()
        let manifests = try engine { () throws(EngineError) in
            try session.engine.inspectManifest(name, access, verbose: arguments.bool("verbose"))
        }
        let value: JSONValue
        do throws(JSONError) { value = try JSONValue.parse(manifests) } catch { throw CommandError(error.description) }
        session.print(String(decoding: JSONWriter.document(indent: "\t") { $0.value(value) }, as: UTF8.self))
        return 0
    }
}

extension String {
    /// Whether it begins with the word of a transport; `localhost:5000/x` does not.
    fileprivate var includesTransport: Bool {
        guard let colon = utf8.firstIndex(of: UInt8(ascii: ":")) else { return false }
        return ImageLocation.Transport(rawValue: String(self[..<colon])) != nil
    }
}
