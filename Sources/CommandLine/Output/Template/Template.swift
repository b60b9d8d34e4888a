import JSON

/// Go's text/template with the functions of Docker's client, over JSON objects: what `--format` takes.
///
/// Read once, rendered for every object. `define`, `template` and `block` are refused by name.
struct Template {
    private let nodes: [TemplateNode]
    /// `table …` was given: a heading and aligned columns.
    let isTable: Bool
    /// The whole format is `json`: one document for each object.
    let isJSON: Bool

    /// - Parameter escapes: `\t` and `\n` outside of actions mean tab and line end: Docker's lists read them, because
    ///   shells do not; its `inspect` does not.
    /// - Throws: `.invalid` with Go's words; exit status 64 as Docker's client has it for a template that cannot be read.
    init(_ format: String, escapes: Bool = true) throws(CommandError) {
        var text = format
        isJSON = text == "json"
        isTable = text == "table" || text.hasPrefix("table ")
        if isTable { text = String(text.dropFirst(5).drop { $0 == " " }) }
        if isJSON { text = "{{json .}}" }
        do throws(TemplateError) {
            var parser = TemplateParser(try TemplateLexer.split(text, escapes: escapes))
            nodes = try parser.parse()
        } catch {
            throw CommandError("template parsing error: template: :1: \(error.text)", status: 64)
        }
    }

    /// A `table` without anything after it uses the command's own columns.
    var isBareTable: Bool { isTable && nodes.isEmpty }

    /// - Parameters:
    ///   - type: what errors call the object; `map` for documents that Docker reads as maps.
    ///   - methods: functions of the object that take arguments, as `{{.Label "a"}}`.
    /// - Throws: `.invalid` for a field the object does not have, and for what functions refuse.
    func render(
        _ object: JSONValue, of type: String, methods: [String: TemplateMethod] = [:]
    ) throws(CommandError) -> String {
        do throws(TemplateError) {
            var evaluator = TemplateEvaluator(root: TemplateValue(object), type: type, methods: methods)
            return try evaluator.run(nodes)
        } catch {
            throw .invalid("template parsing error: template: :1:\(error.column): executing \"\"\(error.place): \(error.text)")
        }
    }

    /// The line above a table: the same template over the columns' headings, where functions change nothing.
    func heading(_ title: @escaping (String) -> String) throws(CommandError) -> String {
        do throws(TemplateError) {
            var evaluator = TemplateEvaluator(root: TemplateValue(.object([])), type: "", methods: [:])
            evaluator.headings = title
            return try evaluator.run(nodes)
        } catch {
            throw .invalid("template parsing error: \(error.text)")
        }
    }
}

/// A function of an object in a template.
typealias TemplateMethod = ([TemplateValue]) -> TemplateValue

/// Why a template cannot be read or rendered; `source` and `column` say where.
struct TemplateError: Error {
    var text: String
    var source = ""
    var column = 0

    init(_ text: String) { self.text = text }

    var place: String { source.isEmpty ? "" : " at <\(source)>" }

    /// The same with a place, when it has none yet.
    func at(_ source: String, _ column: Int) -> TemplateError {
        if !self.source.isEmpty { return self }
        var copy = self
        copy.source = source
        copy.column = column
        return copy
    }
}
