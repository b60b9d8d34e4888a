/// What is known of stages, for as long as stages that stand on them are still to come.
///
/// Thousands of stages with thousands of variables each would fill the memory if all were kept.
struct StageShelf<Value> {
    private var values: [Int: (value: Value, size: Int)] = [:]
    /// How many stages have yet to take a value.
    private var uses: [Int: Int] = [:]
    private var size = 0

    /// The most variables that may be kept at once, of all stages together.
    static var sizeLimit: Int { 4_000_000 }

    init(_ graph: StageGraph) {
        for node in graph.nodes { if case .stage(let index) = node.base { uses[index, default: 0] += 1 } }
    }

    /// The value of a stage for one that stands on it; the last one takes it away.
    mutating func take(_ index: Int) -> Value? {
        guard let found = values[index] else { return nil }
        let left = (uses[index] ?? 1) - 1
        uses[index] = left
        if left <= 0 {
            values[index] = nil
            size -= found.size
        }
        return found.value
    }

    /// - Parameter variables: how many there are in the value.
    /// - Throws: where too many are kept.
    mutating func put(_ value: Value, _ variables: Int, of stage: Stage) throws(Diagnostic) {
        guard (uses[stage.index] ?? 0) > 0 else { return }
        size += variables
        guard size <= Self.sizeLimit else {
            throw Diagnostic(.error, .evaluation, "the stages have too many variables for each other", stage.range)
        }
        values[stage.index] = (value, variables)
    }
}

extension StageScope {
    /// How much keeping it costs.
    var weight: Int { environment.entries.count + imageEnvironment.entries.count + arguments.count }
}
