import YAML

/// What holds of every document that is read: limits, places, keys.
enum YAMLProperties {
    static func check(_ bytes: [UInt8]) throws(FuzzFailure) {
        let limits = YAMLLimits(depth: 16, size: 1 << 20, nodes: 2000)
        let documents: [YAMLNode]
        do throws(YAMLError) { documents = try YAMLNode.parseAll(bytes, limits: limits) } catch {
            if error.cause.isEmpty { throw FuzzFailure(description: "a refusal without a word") }
            return
        }
        var count = 0
        for document in documents { try check(document, depth: 0, limits, &count) }
        if documents.count == 1, (try? YAMLNode.parse(bytes, limits: limits)) == nil {
            throw FuzzFailure(description: "one document is not read as one")
        }
    }

    private static func check(_ node: YAMLNode, depth: Int, _ limits: YAMLLimits, _ count: inout Int) throws(FuzzFailure) {
        count += 1
        if count > limits.nodes || depth > limits.depth { throw FuzzFailure(description: "more than the limits allow") }
        if node.line < 1 || node.column < 1 { throw FuzzFailure(description: "a node stands nowhere") }
        if node.text.utf8.contains(0) { throw FuzzFailure(description: "a text with a NUL") }
        for element in node.sequence ?? [] { try check(element, depth: depth + 1, limits, &count) }
        var keys: Set<String> = []
        for member in node.mapping ?? [] {
            if !keys.insert(member.key).inserted { throw FuzzFailure(description: "a key is there twice") }
            try check(member.value, depth: depth + 1, limits, &count)
        }
    }
}
