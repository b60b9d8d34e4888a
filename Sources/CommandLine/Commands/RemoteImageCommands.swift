import Engine
import Flags
import JSON
import OCI

/// `berth image inspect` of an image that is elsewhere: skopeo's document.
struct InspectRemoteCommand {
    let session: Session
    private var arguments: ParsedArguments { session.arguments }
    init(_ session: Session) { self.session = session }

    /// Whether an operand names a place and not an image of the local store.
    func isRemote(_ text: String) -> Bool {
        if text.hasPrefix("docker://") { return true }
        guard let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")),
            ImageLocation.Transport(rawValue: String(text[..<colon])) != nil
        else { return false }
        // `oci:latest` may well be an image called oci.
        return (try? session.engine.image(text) as Any) == nil
    }

    func run() throws(CommandError) -> Int32 {
        let access = try arguments.registryAccess()
        let policy = try arguments.signaturePolicy()
        let format = arguments.string("format")
        let (raw, config) = (arguments.bool("raw"), arguments.bool("config"))
        if raw || config, !format.isEmpty { throw CommandError("--format does not go with --raw and --config") }
        let show: Engine.RemoteInspection =
            config ? .config : raw ? .manifest : .summary(tags: !arguments.bool("no-tags"))
        for name in arguments.positionals {
            let bytes = try engine { () throws(EngineError) in
                try session.engine.inspectImage(
                    at: try ImageLocation.parse(name), access, platform: arguments.string("platform"), policy: policy, show: show)
            }
            if raw {
                // Not a byte more: its digest is what it is asked for.
                session.printRaw(String(decoding: bytes, as: UTF8.self))
            } else if format.isEmpty || format == "json" {
                session.print(config ? try Self.indented(bytes) : String(decoding: bytes, as: UTF8.self))
            } else {
                session.print(try Template(format).render(try Self.parsed(bytes), of: "inspect.Output"))
            }
        }
        return 0
    }

    private static func parsed(_ bytes: [UInt8]) throws(CommandError) -> JSONValue {
        do throws(JSONError) { return try JSONValue.parse(bytes) } catch { throw CommandError(error.description) }
    }

    static func indented(_ bytes: [UInt8]) throws(CommandError) -> String {
        let value = try parsed(bytes)
        return String(decoding: JSONWriter.document(indent: "    ") { $0.value(value) }, as: UTF8.self)
    }
}

/// `berth image list-tags`
struct ListTagsCommand {
    let session: Session
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let access = try session.arguments.registryAccess()
        let name = session.arguments.positionals.first ?? ""
        let found = try engine { () throws(EngineError) in
            if name.hasPrefix("docker://"), let reference = try? Reference.parse(String(name.dropFirst(9))),
                reference.tag != nil || reference.digest != nil
            {
                throw EngineError(
                    .invalid,
                    sentence: "no tag or digest allowed in reference \(name): name the repository, docker://\(reference.familiarName)")
            }
            return try session.engine.listTags(try ImageLocation.parse(name), access)
        }
        let bytes = JSONWriter.document(indent: "    ") { w in
            w.object { w in
                w.fieldIfNotEmpty("Repository", found.repository ?? "")
                w.field("Tags", found.tags)
            }
        }
        session.print(String(decoding: bytes, as: UTF8.self))
        return 0
    }
}

/// `berth image delete`
struct DeleteRemoteCommand {
    let session: Session
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let access = try session.arguments.registryAccess()
        let name = session.arguments.positionals.first ?? ""
        _ = try engine { () throws(EngineError) in
            try session.engine.deleteImage(at: try ImageLocation.parse(name), access)
        }
        return 0
    }
}
