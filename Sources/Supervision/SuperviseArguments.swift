import Control

/// The command line of `berth-runtime supervise`.
package struct SuperviseArguments {
    /// The container's directory.
    package var store = ""
    package var run = ""
    package var id = ""

    package init(store: String, run: String, id: String) {
        self.store = store
        self.run = run
        self.id = id
    }

    /// - Parameter arguments: what follows `supervise`.
    package static func parse(_ arguments: [String]) throws(ControlError) -> SuperviseArguments {
        var result = SuperviseArguments(store: "", run: "", id: "")
        var index = 0
        while index < arguments.count {
            let name = arguments[index]
            guard index + 1 < arguments.count else {
                throw ControlError(.invalid, "parse arguments", name, cause: "a value is missing")
            }
            let value = arguments[index + 1]
            switch name {
            case "--store": result.store = value
            case "--run": result.run = value
            case "--id": result.id = value
            default: throw ControlError(.invalid, "parse arguments", name, cause: "unknown argument")
            }
            index += 2
        }
        guard !result.store.isEmpty, !result.run.isEmpty, !result.id.isEmpty, !result.id.utf8.contains(UInt8(ascii: "/")),
            result.id != "..", result.id != "."
        else {
            throw ControlError(.invalid, "parse arguments", "supervise", cause: "--store, --run and --id are needed")
        }
        return result
    }
}
