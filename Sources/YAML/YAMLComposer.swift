/// Makes nodes of events: resolves aliases, merges, gives scalars their types.
struct YAMLComposer: ~Copyable {
    /// A node with what it costs wherever an alias stands for it.
    private struct Composed {
        var node: YAMLNode
        /// Of nodes, itself included.
        var count: Int
        /// Collections inside each other; 0 for a scalar.
        var height: Int
        /// A plain `<<`.
        var isMergeKey = false
    }

    private var events: YAMLEvents
    private let limits: YAMLLimits
    private var anchors: [String: Composed] = [:]
    /// Anchors of collections that are not whole yet.
    private var open: Set<String> = []
    private var count = 0

    private init(_ events: consuming YAMLEvents, _ limits: YAMLLimits) {
        self.events = events
        self.limits = limits
    }

    static func documents(of bytes: [UInt8], limits: YAMLLimits) throws(YAMLError) -> [YAMLNode] {
        guard bytes.count <= limits.size else {
            throw YAMLError(.tooLarge, cause: "a document of \(bytes.count) bytes is larger than the limit of \(limits.size)")
        }
        // libyaml wants a place in memory, which an empty array has not.
        if bytes.isEmpty { return [] }
        try refuseDirectives(bytes)
        return try bytes.withUnsafeBufferPointer { (buffer: UnsafeBufferPointer<UInt8>) throws(YAMLError) -> [YAMLNode] in
            // SAFETY: the composer and its events do not leave this closure, where the buffer is valid.
            var composer = YAMLComposer(try YAMLEvents(buffer), limits)
            return try composer.documents()
        }
    }

    /// libyaml compares each directive with all before it: some hundred thousand would take minutes.
    private static func refuseDirectives(_ bytes: [UInt8]) throws(YAMLError) {
        var isLineStart = true
        var directives = 0
        for byte in bytes {
            if isLineStart, byte == UInt8(ascii: "%") { directives += 1 }
            isLineStart = byte == 10 || byte == 13
        }
        if directives > 256 { throw YAMLError(.tooLarge, cause: "\(directives) lines begin with %: too many directives") }
    }

    private mutating func documents() throws(YAMLError) -> [YAMLNode] {
        var result: [YAMLNode] = []
        while true {
            let event = try events.next()
            switch event.kind {
            case .streamEnd: return result
            case .documentStart:
                // Anchors are a document's own.
                anchors = [:]
                open = []
                result.append(try compose(try events.next(), depth: 0).node)
            default: break
            }
        }
    }

    // MARK: Nodes

    private mutating func compose(_ event: YAMLEvent, depth: Int) throws(YAMLError) -> Composed {
        var result: Composed
        switch event.kind {
        case .alias(let name): return try resolve(name, event, depth: depth)
        case .scalar(let text, let isPlain): result = try scalar(text, isPlain: isPlain, event)
        case .sequenceStart: result = try sequence(event, depth: depth + 1)
        case .mappingStart: result = try mapping(event, depth: depth + 1)
        default: throw failure(.syntax, "a value is missing", event)
        }
        if !event.anchor.isEmpty { anchors[event.anchor] = result }
        result.isMergeKey = result.isMergeKey && event.anchor.isEmpty
        return result
    }

    private mutating func spend(_ nodes: Int, _ event: YAMLEvent) throws(YAMLError) {
        let (sum, overflows) = count.addingReportingOverflow(nodes)
        if overflows || sum > limits.nodes {
            throw failure(.tooLarge, "more than \(limits.nodes) values, with all that aliases stand for", event)
        }
        count = sum
    }

    private mutating func resolve(_ name: String, _ event: YAMLEvent, depth: Int) throws(YAMLError) -> Composed {
        if open.contains(name) { throw failure(.unknownAnchor, "the anchor \"\(name)\" contains itself", event) }
        guard var target = anchors[name] else { throw failure(.unknownAnchor, "there is no anchor \"\(name)\" before this", event) }
        if depth + target.height > limits.depth { throw tooDeep(event) }
        try spend(target.count, event)
        // Where a person has to look is where it is used.
        target.node.line = event.line
        target.node.column = event.column
        target.isMergeKey = false
        return target
    }

    private mutating func scalar(_ text: String, isPlain: Bool, _ event: YAMLEvent) throws(YAMLError) -> Composed {
        try spend(1, event)
        if !limits.allowsNUL, text.utf8.contains(0) { throw failure(.invalidValue, "a text holds a NUL", event) }
        var node = YAMLNode(.null, line: event.line, column: event.column, text: text)
        let tag = Self.core(event.tag)
        switch tag {
        case nil: node.value = isPlain ? YAMLSchema.value(of: text) : .string(text)
        case "str", "merge", "!": node.value = .string(text)
        case "null", "bool", "int", "float":
            node.value = YAMLSchema.value(of: text)
            guard Self.has(node, tag) else { throw failure(.invalidValue, "\"\(text)\" is no !!\(tag ?? "")", event) }
            if tag == "float", let number = node.double { node.value = .double(number) }
        case .some(let other) where other.utf8.first == UInt8(ascii: "!"):
            node.tag = other
            // A tag takes the scalar's implicit type from it in YAML; applications mean it beside the type (`!reset null`).
            node.value = event.isQuoted ? .string(text) : YAMLSchema.value(of: text)
        case .some(let other): throw failure(.invalidValue, "a value with the tag !!\(other) is not supported", event)
        }
        let isMerge = text == "<<" && (tag == nil && isPlain || tag == "merge")
        return Composed(node: node, count: 1, height: 0, isMergeKey: isMerge)
    }

    private static func has(_ node: YAMLNode, _ tag: String?) -> Bool {
        switch tag {
        case "null": node.isNull
        case "bool": node.bool != nil
        case "int": node.int != nil || node.uint != nil
        default: node.double != nil
        }
    }

    /// - Returns: nil without a tag; for YAML's own the name (`str`), for others the tag (`!reset`, `!` for "a text, whatever it
    ///   looks like").
    private static func core(_ tag: String) -> String? {
        if tag.isEmpty { return nil }
        let prefix = "tag:yaml.org,2002:"
        if tag.hasPrefix(prefix) { return String(tag.dropFirst(prefix.utf8.count)) }
        return tag.hasPrefix("!") ? tag : "!<\(tag)>"
    }

    /// The tag of a collection as ``YAMLNode/tag`` has it.
    private func collectionTag(_ event: YAMLEvent, _ own: String) throws(YAMLError) -> String {
        guard let tag = Self.core(event.tag), tag != own, tag != "!" else { return "" }
        if tag.utf8.first == UInt8(ascii: "!") { return tag }
        throw failure(.invalidValue, "a value with the tag !!\(tag) is not supported here", event)
    }

    private mutating func sequence(_ event: YAMLEvent, depth: Int) throws(YAMLError) -> Composed {
        let tag = try begin(event, "seq", depth)
        var elements: [YAMLNode] = []
        var total = 1
        var height = 0
        while true {
            let next = try events.next()
            if case .sequenceEnd = next.kind { break }
            let element = try compose(next, depth: depth)
            elements.append(element.node)
            total += element.count
            height = max(height, element.height)
        }
        open.remove(event.anchor)
        let node = YAMLNode(.sequence(elements), line: event.line, column: event.column, tag: tag)
        return Composed(node: node, count: total, height: height + 1)
    }

    private mutating func begin(_ event: YAMLEvent, _ own: String, _ depth: Int) throws(YAMLError) -> String {
        if depth > limits.depth { throw tooDeep(event) }
        try spend(1, event)
        if !event.anchor.isEmpty { open.insert(event.anchor) }
        return try collectionTag(event, own)
    }

    private mutating func mapping(_ event: YAMLEvent, depth: Int) throws(YAMLError) -> Composed {
        let tag = try begin(event, "map", depth)
        var members: [YAMLNode.Member] = []
        var keys: Set<String> = []
        var merged: [YAMLNode.Member] = []
        var total = 1
        var height = 0
        while true {
            let next = try events.next()
            if case .mappingEnd = next.kind { break }
            let key = try compose(next, depth: depth)
            let value = try compose(try events.next(), depth: depth)
            total += key.count + value.count
            height = max(height, value.height)
            if key.isMergeKey {
                merged += try merging(value.node)
                continue
            }
            guard let name = key.node.scalarText, key.height == 0 else {
                throw key.node.failure("a key has to be a text, and this is \(key.node.kind)")
            }
            guard keys.insert(name).inserted else { throw key.node.failure("duplicate key \"\(name)\"", .duplicateKey) }
            members.append(YAMLNode.Member(key: name, value: value.node, line: key.node.line, column: key.node.column))
        }
        // What the mapping says itself goes before what is merged, and of that the first that says it.
        for member in merged where keys.insert(member.key).inserted { members.append(member) }
        open.remove(event.anchor)
        let node = YAMLNode(.mapping(members), line: event.line, column: event.column, tag: tag)
        return Composed(node: node, count: total, height: height + 1)
    }

    /// The members that `<<` brings: of a mapping, or of several in a list. Spec: yaml.org/type/merge.html.
    private func merging(_ node: YAMLNode) throws(YAMLError) -> [YAMLNode.Member] {
        if let members = node.mapping { return members }
        var result: [YAMLNode.Member] = []
        for element in node.sequence ?? [] {
            guard let members = element.mapping else { throw element.failure("<< takes mappings, and this is \(element.kind)") }
            result += members
        }
        if node.sequence == nil { throw node.failure("<< takes a mapping or a list of them, and this is \(node.kind)") }
        return result
    }

    // MARK: Errors

    private func failure(_ code: YAMLError.Code, _ cause: String, _ event: YAMLEvent) -> YAMLError {
        YAMLError(code, cause: cause, line: event.line, column: event.column)
    }

    private func tooDeep(_ event: YAMLEvent) -> YAMLError {
        failure(.tooDeep, "nested deeper than \(limits.depth) levels", event)
    }
}
