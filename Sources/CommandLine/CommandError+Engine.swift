import Engine

extension CommandError {
    /// - Parameter running: the command starts a container, where engine failures are 125, 126 or 127.
    init(_ error: EngineError, running: Bool = false) {
        self.init(error.description, status: running ? error.exitCode : 1, code: error.code)
    }
}

/// Calls the engine in a command.
func engine<R: ~Copyable>(_ body: () throws(EngineError) -> R) throws(CommandError) -> R {
    do throws(EngineError) { return try body() } catch { throw CommandError(error) }
}
