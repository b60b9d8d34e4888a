import JSON

/// Renders the nodes of a template over one object.
struct TemplateEvaluator {
    let root: TemplateValue
    let type: String
    let methods: [String: TemplateMethod]
    /// Set for the line of headings: fields are their titles, and functions change nothing.
    var headings: ((String) -> String)?

    private var dot: TemplateValue
    private var variables: [(name: String, value: TemplateValue)]
    private var output = ""
    private enum Flow { case on, leave, next }

    init(root: TemplateValue, type: String, methods: [String: TemplateMethod]) {
        self.root = root
        self.type = type
        self.methods = methods
        dot = root
        variables = [("", root)]
    }

    mutating func run(_ nodes: [TemplateNode]) throws(TemplateError) -> String {
        _ = try walk(nodes)
        return output
    }

    private mutating func walk(_ nodes: [TemplateNode]) throws(TemplateError) -> Flow {
        for node in nodes {
            switch node {
            case .text(let text): output += text
            case .action(let pipeline):
                let value = try evaluate(pipeline)
                // A declaration prints nothing.
                if pipeline.variables.isEmpty { output += value.text }
            case .leave: return .leave
            case .next: return .next
            case .condition(let pipeline, let body, let otherwise):
                let flow = try scoped(pipeline) { (self, value) throws(TemplateError) in
                    try self.walk(value.isTrue ? body : otherwise)
                }
                if flow != .on { return flow }
            case .with(let pipeline, let body, let otherwise):
                let flow = try scoped(pipeline) { (self, value) throws(TemplateError) in
                    if value.isTrue {
                        self.dot = value
                        return try self.walk(body)
                    }
                    return try self.walk(otherwise)
                }
                if flow != .on { return flow }
            case .range(let pipeline, let body, let otherwise):
                let flow = try scoped(pipeline) { (self, value) throws(TemplateError) in
                    try self.loop(pipeline, value, body, otherwise)
                }
                if flow != .on { return flow }
            }
        }
        return .on
    }

    /// Evaluates and runs, and forgets the dot and the variables of it.
    private mutating func scoped(
        _ pipeline: TemplatePipeline, _ body: (inout Self, TemplateValue) throws(TemplateError) -> Flow
    ) throws(TemplateError) -> Flow {
        let known = variables.count
        let before = dot
        let value = try evaluate(pipeline)
        let flow = try body(&self, value)
        dot = before
        variables.removeLast(variables.count - known)
        return flow
    }

    private mutating func loop(
        _ pipeline: TemplatePipeline, _ value: TemplateValue, _ body: [TemplateNode], _ otherwise: [TemplateNode]
    ) throws(TemplateError) -> Flow {
        let items = try self.items(of: value)
        if items.isEmpty { return try walk(otherwise) }
        for (key, element) in items {
            dot = element
            let known = variables.count
            let names = pipeline.variables
            if let last = names.last { assign(last, element, pipeline.isAssignment) }
            if names.count == 2 { assign(names[0], key, pipeline.isAssignment) }
            let flow = try walk(body)
            variables.removeLast(max(0, variables.count - known))
            if flow == .leave { break }
        }
        return .on
    }

    private func items(of value: TemplateValue) throws(TemplateError) -> [(TemplateValue, TemplateValue)] {
        switch value.json {
        case .null: return []
        case .array(let elements):
            return elements.enumerated().map { (TemplateValue(.int(Int64($0))), TemplateValue($1)) }
        case .object(let members):
            // Docker falls back to plain maps where its structures cannot do what is asked.
            return members.sorted { $0.key < $1.key }.map { (TemplateValue(.string($0.key)), TemplateValue($0.value)) }
        case .int(let count) where count <= 1_000_000:
            return (0..<max(0, count)).map { (TemplateValue(.int($0)), TemplateValue(.int($0))) }
        default: throw TemplateError("range can't iterate over \(value.text)")
        }
    }

    private mutating func assign(_ name: String, _ value: TemplateValue, _ isAssignment: Bool) {
        if isAssignment, let index = variables.lastIndex(where: { $0.name == name }) {
            variables[index].value = value
        } else {
            variables.append((name, value))
        }
    }

    // MARK: Pipelines

    private mutating func evaluate(_ pipeline: TemplatePipeline) throws(TemplateError) -> TemplateValue {
        var value: TemplateValue?
        for command in pipeline.commands {
            do throws(TemplateError) {
                value = try evaluate(command, piped: value)
            } catch {
                throw error.at(command.source, command.column)
            }
        }
        let result = value ?? .missing
        // `range` gives its variables their values for every element.
        if pipeline.variables.count == 1 { assign(pipeline.variables[0], result, pipeline.isAssignment) }
        return result
    }

    private mutating func evaluate(_ command: TemplateCommand, piped: TemplateValue?) throws(TemplateError) -> TemplateValue {
        guard let first = command.operands.first else { return .missing }
        let rest = command.operands.dropFirst()
        switch first {
        case .function(let name): return try call(name, Array(rest), piped)
        case .field(let path) where path.count == 1 && methods[path[0]] != nil && (!rest.isEmpty || piped != nil):
            var arguments: [TemplateValue] = []
            for operand in rest { arguments.append(try value(operand)) }
            if let piped { arguments.append(piped) }
            return methods[path[0]]?(arguments) ?? .missing
        case .field(let path) where headings != nil:
            return try value(.field(path))
        default:
            if !rest.isEmpty || piped != nil { throw TemplateError("can't give argument to non-function \(command.source)") }
            return try value(first)
        }
    }

    private mutating func call(
        _ name: String, _ operands: [TemplateOperand], _ piped: TemplateValue?
    ) throws(TemplateError) -> TemplateValue {
        if name == "and" || name == "or" {
            var last = TemplateValue(.null)
            for operand in operands {
                last = try value(operand)
                if last.isTrue == (name == "or") { return last }
            }
            if let piped { last = piped }
            return last
        }
        var arguments: [TemplateValue] = []
        for operand in operands { arguments.append(try value(operand)) }
        if let piped { arguments.append(piped) }
        if headings != nil { return try TemplateFunctions.heading(name, arguments) }
        do throws(TemplateError) {
            return try TemplateFunctions.call(name, arguments)
        } catch {
            throw TemplateError("error calling \(name): \(error.text)")
        }
    }

    private mutating func value(_ operand: TemplateOperand) throws(TemplateError) -> TemplateValue {
        switch operand {
        case .dot: return dot
        case .null: return TemplateValue(.null)
        case .bool(let on): return TemplateValue(.bool(on))
        case .int(let number): return TemplateValue(.int(number))
        case .double(let number): return TemplateValue(.double(number))
        case .string(let text): return TemplateValue(.string(text))
        case .function(let name): return try call(name, [], nil)
        case .field(let path): return try lookup(dot, path)
        case .variable(let name, let path):
            guard let found = variables.last(where: { $0.name == name }) else {
                throw TemplateError("undefined variable: $\(name)")
            }
            return try lookup(found.value, path)
        case .pipeline(let pipeline, let path): return try lookup(try evaluate(pipeline), path)
        }
    }

    private func lookup(_ start: TemplateValue, _ path: [String]) throws(TemplateError) -> TemplateValue {
        if let headings, let last = path.last { return TemplateValue(.string(headings(last))) }
        var value = start
        for name in path {
            switch value.json {
            case .object(let members):
                if let found = members.first(where: { $0.key == name })?.value {
                    value = TemplateValue(found, name: name)
                } else if value.isMap {
                    value = .missing
                } else if TemplateValue.optional.contains(name), type == "map" {
                    value = TemplateValue(.null, name: name)
                } else {
                    throw TemplateError(
                        type == "map"
                            ? "map has no entry for key \"\(name)\"" : "can't evaluate field \(name) in type \(type)")
                }
            case .null: throw TemplateError("nil pointer evaluating interface {}.\(name)")
            default: throw TemplateError("can't evaluate field \(name) in type \(value.typeName)")
            }
        }
        return value
    }
}
