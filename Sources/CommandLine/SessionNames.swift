import Engine
import Flags
import Linux

/// Which containers a command is for: its operands, or what podman's flags say instead of them.
extension Session {
    /// Containers of a command that takes several.
    ///
    /// - Parameter isMeant: which of all, with `--all` and `--filter`.
    /// - Returns: operands as they were typed; ids of those that flags chose.
    /// - Throws: where flags contradict each other, and for a file of `--cidfile` that cannot be read.
    func containers(where isMeant: (ContainerView) -> Bool = { _ in true }) throws(CommandError) -> [String] {
        let all = isGiven("all")
        if all, isGiven("latest") { throw CommandError("--all and --latest cannot be used together") }
        if isGiven("latest") { return [try newestContainer()] }
        var names = arguments.positionals
        for path in isGiven("cidfile") ? arguments.strings("cidfile") : [] { names += try identifier(inFile: path) }
        let filters = isGiven("filter") ? arguments.pairs("filter") : []
        if all || !filters.isEmpty || isGiven("running") {
            let filter = try ContainerFilter(filters)
            do throws(EngineError) {
                let views = try engine.containers()
                let matches = try filter.matcher(views, engine)
                names += views.filter { isMeant($0) && matches($0) }.map(\.id)
            } catch { throw CommandError(error) }
        }
        return names
    }

    /// The container of a command that takes one, and the operands after it.
    func container() throws(CommandError) -> (name: String, rest: [String]) {
        if isGiven("latest") { return (try newestContainer(), arguments.positionals) }
        if isGiven("cidfile"), let path = arguments.strings("cidfile").last, let id = try identifier(inFile: path).first {
            return (id, arguments.positionals)
        }
        return (arguments.positionals.first ?? "", Array(arguments.positionals.dropFirst()))
    }

    /// Whether a switch is on, or a list has values; false for a flag that the command does not have.
    func isGiven(_ flag: String) -> Bool {
        arguments.occurrences.contains { $0.name == flag } && arguments.optionalBool(flag) != false
    }

    private func newestContainer() throws(CommandError) -> String {
        do throws(EngineError) {
            if let newest = try engine.containers().first { return newest.id }
        } catch { throw CommandError(error) }
        throw CommandError("there is no container")
    }

    /// - Returns: nothing where the file is not there and that shall be ignored.
    private func identifier(inFile path: String) throws(CommandError) -> [String] {
        do throws(SystemError) {
            let text = try FD.cwd.readText(path, limit: 4096)
            return [String(text.prefix { !$0.isNewline })]
        } catch {
            if error.errno == .noEntry, isGiven("ignore") { return [] }
            throw CommandError("reading CIDFile: \(error.description)")
        }
    }
}
