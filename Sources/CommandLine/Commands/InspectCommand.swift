import Engine
import Flags
import JSON
import Linux

/// `berth inspect`, `berth container inspect`, `berth image inspect`
struct InspectCommand {
    enum Kind: String { case container, image, volume, network }

    let session: Session
    init(_ session: Session) { self.session = session }

    /// - Parameter kinds: where to look, in order; nil as `--type` says.
    func run(kinds: [Kind]?) throws(CommandError) -> Int32 {
        let arguments = session.arguments
        var kinds = kinds ?? []
        if kinds.isEmpty {
            let type = arguments.string("type")
            kinds = type.isEmpty ? [.container, .image, .network, .volume] : [Kind(rawValue: type) ?? .container]
        }
        let format = arguments.string("format")
        let isPodman = CalledAs.current == .podman
        if kinds == [.network], format == "podman" || isPodman && (format.isEmpty || format == "json") { return try likePodman() }
        let template = format.isEmpty || format == "json" ? nil : try Template(format, escapes: false)
        var documents: [JSONValue] = []
        var status: Int32 = 0
        for name in try names(kinds) {
            do throws(EngineError) {
                documents.append(try find(name, kinds))
            } catch {
                status = session.complain(of: error)
            }
        }
        if let template {
            for document in documents {
                do throws(CommandError) {
                    session.print(try render(template, document, kinds))
                } catch {
                    session.complain(CalledAs.current.line(error))
                    status = CalledAs.current.status(error, verb: session.verb)
                }
            }
        } else {
            print(documents, indent: isPodman ? "     " : format == "json" ? nil : "    ")
        }
        return status
    }

    private func names(_ kinds: [Kind]) throws(CommandError) -> [String] {
        guard kinds == [.volume] else { return try session.containers() }
        // Without names it was --all.
        if !session.arguments.positionals.isEmpty { return session.arguments.positionals }
        return try engine { () throws(EngineError) in try session.engine.volumes().map(\.name) }
    }

    /// Prints documents of objects that are there: podman's lists in JSON.
    func print(_ names: [String], as kind: Kind) throws(CommandError) -> Int32 {
        let documents = try engine { () throws(EngineError) in
            try names.map { (name) throws(EngineError) in try find(name, [kind]) }
        }
        print(documents, indent: "     ")
        return 0
    }

    private func print(_ documents: [JSONValue], indent: StaticString?) {
        let bytes = JSONWriter.document(indent: indent) { w in
            w.array(documents) { w, document in w.value(document) }
        }
        session.print(String(decoding: bytes, as: UTF8.self))
    }

    /// The document of one object with podman's fields.
    private func likePodman(_ document: JSONValue, _ kind: Kind) throws(EngineError) -> JSONValue {
        switch kind {
        case .container: PodmanInspection.container(document, image: image(document["Image"]?.string ?? ""))
        case .image:
            PodmanInspection.image(
                document, try session.engine.history(document["Id"]?.string ?? "", platform: ""),
                names: try session.engine.nameHistory()[document["Id"]?.string ?? ""] ?? [])
        case .volume: PodmanInspection.volume(document)
        case .network: document
        }
    }

    /// A container may have outlived its image.
    private func image(_ id: String) -> JSONValue? {
        guard let bytes = try? session.engine.inspectImage(id) else { return nil }
        return try? JSONValue.parse(bytes)
    }

    /// `network inspect --format podman`
    private func likePodman() throws(CommandError) -> Int32 {
        var documents: [JSONValue] = []
        let status = session.forEach(session.arguments.positionals) { (name) throws(EngineError) in
            documents.append(try session.engine.inspectNetworkAsPodman(name, forTemplate: false))
            return nil
        }
        print(documents, indent: "    ")
        return status
    }

    /// A template that names fields which only podman's networks have gets podman's.
    private func render(_ template: Template, _ document: JSONValue, _ kinds: [Kind]) throws(CommandError) -> String {
        do throws(CommandError) {
            return try template.render(document, of: "map")
        } catch {
            guard kinds == [.network], let id = document["Id"]?.string,
                let other = try? session.engine.inspectNetworkAsPodman(id, forTemplate: true),
                let text = try? template.render(other, of: "types.Network")
            else { throw error }
            return text
        }
    }

    private func find(_ name: String, _ kinds: [Kind]) throws(EngineError) -> JSONValue {
        for kind in kinds {
            do throws(EngineError) {
                let bytes =
                    switch kind {
                    case .container: try session.engine.inspectContainer(name, size: session.arguments.bool("size"))
                    case .image: try session.engine.inspectImage(name)
                    case .network: try session.engine.inspectNetwork(name)
                    case .volume: try session.engine.inspectVolume(name)
                    }
                let document: JSONValue
                do throws(JSONError) { document = try JSONValue.parse(bytes) } catch {
                    throw EngineError(.system, "inspect", name, cause: error.description)
                }
                return CalledAs.current == .podman ? try likePodman(document, kind) : document
            } catch {
                if error.code != .notFound { throw error }
            }
        }
        if kinds.count > 1 { throw EngineError(.notFound, sentence: "no such object: \(name)") }
        if kinds == [.network] { throw .noSuchNetwork(name) }
        if kinds == [.volume] { throw EngineError(.notFound, sentence: "get \(name): no such volume") }
        throw EngineError(.notFound, sentence: "no such \(kinds.first?.rawValue ?? "object"): \(name)")
    }
}
