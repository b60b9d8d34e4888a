import JSON

/// An object whose fields have one name in podman's documents and another in its templates.
struct PodmanFields {
    struct Field {
        var document: String
        var template: String
        var value: JSONValue
        /// What a template shows, where that is not the value.
        var shown: JSONValue?
    }

    private(set) var fields: [Field] = []

    /// - Parameters:
    ///   - document: the name in documents; empty for what only templates have.
    ///   - template: the name in templates; the same when not given.
    mutating func add(_ document: String, _ template: String? = nil, _ value: JSONValue, shown: JSONValue? = nil) {
        fields.append(Field(document: document, template: template ?? document, value: value, shown: shown))
    }

    /// A field of templates only.
    mutating func addShown(_ template: String, _ text: String) { add("", template, .string(text)) }

    var document: JSONValue {
        .object(fields.filter { !$0.document.isEmpty }.map { JSONValue.Member(key: $0.document, value: $0.value) })
    }

    var template: JSONValue {
        .object(fields.filter { !$0.template.isEmpty }.map { JSONValue.Member(key: $0.template, value: $0.shown ?? $0.value) })
    }

    /// Prints several: a document of all, or each by a template.
    static func print(
        _ objects: [PodmanFields], _ format: String, of type: String, heading: @escaping (String) -> String, hasHeading: Bool = true,
        _ session: Session
    ) throws(CommandError) {
        if format == "json" {
            session.print(text(.array(objects.map(\.document)), indent: "  "))
            return
        }
        let list = ObjectList(type: type, title: heading, hasHeading: hasHeading)
        try list.print(objects.map { ($0.template, [:]) }, try Template(format), session)
    }

    static func text(_ value: JSONValue, indent: StaticString) -> String {
        String(decoding: JSONWriter.document(indent: indent) { $0.value(value) }, as: UTF8.self)
    }
}

extension JSONValue {
    static func strings(_ texts: [String]) -> JSONValue { .array(texts.map { .string($0) }) }

    /// Null where there is none, as Go writes a map that was never made.
    static func labels(_ labels: [String: String]) -> JSONValue {
        labels.isEmpty ? .null : .object(labels.sorted { $0.key < $1.key }.map { Member(key: $0.key, value: .string($0.value)) })
    }

    /// Members put in place of those of the same names, or added.
    func with(_ changes: [(String, JSONValue)]) -> JSONValue {
        guard case .object(var members) = self else { return self }
        for (key, value) in changes {
            if let index = members.firstIndex(where: { $0.key == key }) {
                members[index].value = value
            } else {
                members.append(Member(key: key, value: value))
            }
        }
        return .object(members)
    }
}
