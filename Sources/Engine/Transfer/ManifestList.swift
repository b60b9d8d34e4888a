import JSON
import OCI

/// A manifest list under construction: several images that will have one name.
public struct ManifestList: Sendable, Equatable {
    /// One image of the list.
    public struct Entry: Sendable, Equatable {
        public var descriptor: Descriptor
        /// Where its content can be had: a location with the digest.
        public var source: String
        /// The name it was added by, in full; empty for what was added by another way.
        public var name: String
    }

    /// The full reference.
    public var name: String
    public var entries: [Entry] = []
    public var annotations: [String: String] = [:]
    public var subject: Descriptor?

    public init(name: String) { self.name = name }

    /// Docker's kind when all images are Docker's, else OCI's: an index of OCI can list both.
    public var format: ManifestFormat {
        let areDocker = !entries.isEmpty && entries.allSatisfy { ManifestFormat($0.descriptor.mediaType) == .docker }
        return areDocker && annotations.isEmpty && subject == nil ? .docker : .oci
    }

    /// The document that is pushed.
    ///
    /// - Parameter format: nil takes ``format``.
    public func document(_ wanted: ManifestFormat? = nil) -> Index {
        let format = wanted ?? self.format
        let descriptors = entries.map { entry in
            var descriptor = entry.descriptor
            // Docker's list has nothing but the platform.
            if format == .docker { descriptor.annotations = [:] }
            return descriptor
        }
        return Index(
            mediaType: format.indexType, manifests: descriptors, subject: format == .oci ? subject : nil,
            annotations: format == .oci ? annotations : [:])
    }

    /// Adds an image, in the place of the same one.
    mutating func add(_ entry: Entry) {
        if let known = entries.firstIndex(where: { $0.descriptor.digest == entry.descriptor.digest }) {
            entries[known] = entry
        } else {
            entries.append(entry)
        }
    }

    /// The index of the entry a person means: by digest or by the name it was added by.
    func find(_ text: String) throws(EngineError) -> Int {
        let name = (try? Reference.parse(text)).map { $0.withDefaultTag }
        let digest = Digest(text) ?? name?.digest
        let found = entries.indices.filter { number in
            if let digest { return entries[number].descriptor.digest == digest }
            return entries[number].name == name?.description
        }
        guard let first = found.first else {
            throw EngineError(.notFound, sentence: "manifest for image \(text) does not exist in \(self.name)")
        }
        guard found.count == 1 else {
            throw EngineError(
                .invalid,
                sentence: "several images of \(self.name) were added as \(text): name one by its digest, as berth manifest inspect shows it"
            )
        }
        return first
    }

    // MARK: The file it is kept in

    func encode() -> [UInt8] {
        JSONWriter.document { w in
            w.object { w in
                w.field("name", name)
                w.array("entries", entries) { w, entry in
                    w.object { w in
                        w.key("descriptor")
                        entry.descriptor.write(to: &w)
                        w.field("source", entry.source)
                        w.field("name", entry.name)
                    }
                }
                w.fieldIfNotEmpty("annotations", annotations)
                w.ifPresent("subject", subject) { w, subject in subject.write(to: &w) }
            }
        }
    }

    init(_ bytes: [UInt8], path: String) throws(EngineError) {
        do throws(JSONError) {
            self = try JSONParser.parse(bytes) { (parser: inout JSONParser) throws(JSONError) in
                try ManifestList(json: &parser)
            }
        } catch {
            throw EngineError(.invalid, "read manifest list", path, cause: error.description)
        }
    }

    private init(json parser: inout JSONParser) throws(JSONError) {
        self.init(name: "")
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "name": name = try parser.string()
            case "entries": entries = try parser.array(ManifestList.entry)
            case "annotations": annotations = try parser.stringDictionary()
            case "subject": subject = try Descriptor(json: &parser)
            default: try parser.skip()
            }
        }
    }

    private static func entry(_ parser: inout JSONParser) throws(JSONError) -> Entry {
        var descriptor: Descriptor?
        var (source, name) = ("", "")
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "descriptor": descriptor = try Descriptor(json: &parser)
            case "source": source = try parser.string()
            case "name": name = try parser.string()
            default: try parser.skip()
            }
        }
        guard let descriptor else { throw parser.failure(.invalidValue, "an entry without descriptor") }
        return Entry(descriptor: descriptor, source: source, name: name)
    }
}
