import Engine
import JSON

/// Prints objects by a `--format`: a line for each, or a table.
struct ObjectList {
    /// One object with its functions.
    typealias Item = (object: JSONValue, methods: [String: TemplateMethod])

    /// What errors call the objects.
    var type: String
    /// A column's heading by its field.
    var title: (String) -> String
    var hasHeading = true

    func print(_ items: [Item], _ template: Template, _ session: Session) throws(CommandError) {
        let heading = template.isTable && hasHeading ? try template.heading(title).columns : nil
        var table = TextTable(heading: heading)
        for item in items {
            let line = try template.render(item.object, of: type, methods: item.methods)
            if template.isTable {
                table.add(line.columns)
            } else {
                session.print(template.isJSON ? line : TerminalText.safeLines(line))
            }
        }
        if template.isTable { session.printRaw(table.render()) }
    }

    /// An object of text fields.
    static func object(_ fields: [(String, String)]) -> JSONValue {
        .object(fields.map { JSONValue.Member(key: $0.0, value: .string($0.1)) })
    }
}
