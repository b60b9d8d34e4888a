/// Makes nodes of pieces: Go's grammar by recursive descent.
struct TemplateParser {
    private let pieces: [TemplatePiece]
    private var position = 0
    private var depth = 0
    private var loops = 0
    /// Names that are declared where the parser is.
    private var variables: [String] = [""]

    private var words: [TemplateToken] = []
    private var word = 0
    private var source: [UInt8] = []
    private var offset = 0

    /// Deeper than any person nests, and far from the end of the stack.
    private static let deepest = 64

    init(_ pieces: [TemplatePiece]) { self.pieces = pieces }

    mutating func parse() throws(TemplateError) -> [TemplateNode] {
        let (nodes, end) = try block()
        if let end { throw TemplateError("unexpected {{\(end)}}") }
        return nodes
    }

    /// Nodes up to `{{end}}` or `{{else …}}`, which stays the current action, its first word read.
    private mutating func block() throws(TemplateError) -> ([TemplateNode], String?) {
        depth += 1
        defer { depth -= 1 }
        if depth > Self.deepest { throw TemplateError("nested too deeply") }
        var nodes: [TemplateNode] = []
        while position < pieces.count {
            guard case .action(let tokens, let source, let offset) = pieces[position] else {
                if case .text(let text) = pieces[position] { nodes.append(.text(text)) }
                position += 1
                continue
            }
            (words, word, self.source, self.offset) = (tokens, 0, source, offset)
            guard case .identifier(let name)? = words.first?.kind else {
                nodes.append(.action(try wholePipeline("command")))
                position += 1
                continue
            }
            switch name {
            case "end", "else":
                word = 1
                return (nodes, name)
            case "if", "with", "range":
                word = 1
                nodes.append(try control(name))
            case "break", "continue":
                if loops == 0 { throw TemplateError("{{\(name)}} outside {{range}}") }
                nodes.append(name == "break" ? .leave : .next)
            case "define", "template", "block":
                throw TemplateError("not supported yet: {{\(name)}}")
            default: nodes.append(.action(try wholePipeline("command")))
            }
            position += 1
        }
        return (nodes, nil)
    }

    private mutating func control(_ name: String) throws(TemplateError) -> TemplateNode {
        let known = variables.count
        defer { variables.removeLast(variables.count - known) }
        let pipeline = try wholePipeline(name)
        if name == "range" { loops += 1 }
        position += 1
        var (body, end) = try block()
        if name == "range" { loops -= 1 }
        var otherwise: [TemplateNode] = []
        if end == "else" {
            if word < words.count, case .identifier(let chained) = words[word].kind {
                guard chained == name, name != "range" else { throw TemplateError("unexpected <\(chained)> in else") }
                word += 1
                // `{{else if}}` is a nested one that ends at the same `{{end}}`.
                depth += 1
                defer { depth -= 1 }
                if depth > Self.deepest { throw TemplateError("nested too deeply") }
                otherwise = [try control(name)]
                return Self.node(name, pipeline, body, otherwise)
            }
            position += 1
            (otherwise, end) = try block()
        }
        // The position is that of the `{{end}}`; the caller's loop steps over it.
        guard end == "end" else { throw TemplateError(end == nil ? "unexpected EOF" : "unexpected {{else}}") }
        if word < words.count { throw TemplateError("unexpected words in end") }
        return Self.node(name, pipeline, body, otherwise)
    }

    private static func node(
        _ name: String, _ pipeline: TemplatePipeline, _ body: [TemplateNode], _ otherwise: [TemplateNode]
    ) -> TemplateNode {
        switch name {
        case "if": .condition(pipeline, body, otherwise: otherwise)
        case "with": .with(pipeline, body, otherwise: otherwise)
        default: .range(pipeline, body, otherwise: otherwise)
        }
    }

    // MARK: Pipelines

    private mutating func wholePipeline(_ context: String) throws(TemplateError) -> TemplatePipeline {
        let result = try pipeline(context)
        if word < words.count { throw TemplateError("unexpected \(text(word, words.count)) in \(context)") }
        return result
    }

    private func text(_ first: Int, _ last: Int) -> String {
        guard first < last, last <= words.count else { return "" }
        return String(decoding: source[words[first].start..<words[last - 1].end], as: UTF8.self)
    }

    private var kind: TemplateToken.Kind? { word < words.count ? words[word].kind : nil }

    private mutating func pipeline(_ context: String) throws(TemplateError) -> TemplatePipeline {
        depth += 1
        defer { depth -= 1 }
        if depth > Self.deepest { throw TemplateError("nested too deeply") }
        var result = TemplatePipeline()
        try declaration(&result, context)
        while true {
            let first = word
            var operands: [TemplateOperand] = []
            while let kind, kind != .pipe, kind != .close {
                if word > first, words[word].isAttached {
                    throw TemplateError("unexpected \(text(word, word + 1)) in operand")
                }
                operands.append(try operand())
            }
            if operands.isEmpty {
                throw TemplateError(result.commands.isEmpty ? "missing value for \(context)" : "non executable command in pipeline")
            }
            if !result.commands.isEmpty, !Self.isCallable(operands[0]) {
                throw TemplateError("non executable command in pipeline stage \(result.commands.count + 1)")
            }
            result.commands.append(
                TemplateCommand(operands: operands, source: text(first, word), column: offset + words[first].start))
            guard kind == .pipe else { return result }
            word += 1
        }
    }

    private static func isCallable(_ operand: TemplateOperand) -> Bool {
        switch operand {
        case .function, .field, .variable: true
        default: false
        }
    }

    private mutating func declaration(_ result: inout TemplatePipeline, _ context: String) throws(TemplateError) {
        guard case .variable(let name)? = kind else { return }
        let following = word + 1 < words.count ? words[word + 1].kind : nil
        switch following {
        case .declare, .assign:
            result.variables = [name]
            result.isAssignment = following == .assign
            word += 2
        case .comma where context == "range":
            guard word + 3 < words.count, case .variable(let second) = words[word + 2].kind,
                words[word + 3].kind == .declare || words[word + 3].kind == .assign
            else { throw TemplateError("range can only initialize variables") }
            result.variables = [name, second]
            result.isAssignment = words[word + 3].kind == .assign
            word += 4
        default: return
        }
        for variable in result.variables {
            if result.isAssignment, !variables.contains(variable) { throw TemplateError("undefined variable \"$\(variable)\"") }
            if !result.isAssignment { variables.append(variable) }
        }
    }

    private mutating func operand() throws(TemplateError) -> TemplateOperand {
        let token = words[word]
        word += 1
        switch token.kind {
        case .identifier(let name):
            switch name {
            case "true", "false": return .bool(name == "true")
            case "nil": return .null
            default:
                guard TemplateFunctions.names.contains(name) else {
                    throw TemplateError("function \"\(name)\" not defined")
                }
                return .function(name)
            }
        case .field(let name): return .field([name] + fields())
        case .variable(let name):
            if !variables.contains(name) { throw TemplateError("undefined variable \"$\(name)\"") }
            return .variable(name, fields())
        case .dot: return .dot
        case .string(let text): return .string(text)
        case .int(let value): return .int(value)
        case .double(let value): return .double(value)
        case .open:
            let inner = try pipeline("parenthesized pipeline")
            guard kind == .close else { throw TemplateError("unclosed left paren") }
            word += 1
            return .pipeline(inner, fields())
        case .close, .pipe, .declare, .assign, .comma:
            throw TemplateError("unexpected \"\(text(word - 1, word))\" in operand")
        }
    }

    /// `.A.B` right after an operand.
    private mutating func fields() -> [String] {
        var result: [String] = []
        while word < words.count, words[word].isAttached, case .field(let name) = words[word].kind {
            result.append(name)
            word += 1
        }
        return result
    }
}
