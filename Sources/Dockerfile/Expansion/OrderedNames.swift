/// Names, each once, in the order in which they came. A hostile word has a hundred thousand of them.
struct OrderedNames {
    private(set) var list: [String] = []
    private var known: Set<String> = []

    /// - Returns: whether the name is new.
    @discardableResult
    mutating func add(_ name: String) -> Bool {
        guard known.insert(name).inserted else { return false }
        list.append(name)
        return true
    }

    mutating func add(_ names: [String]) { for name in names { add(name) } }

    func contains(_ name: String) -> Bool { known.contains(name) }
}
