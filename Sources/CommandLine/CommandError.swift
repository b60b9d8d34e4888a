import Control
import Engine

/// Why a command ends: what to print, and the program's exit status.
struct CommandError: Error {
    var text: String
    var status: Int32

    init(_ text: String, status: Int32 = 1) {
        self.text = text
        self.status = status
    }

    static func invalid(_ text: String) -> CommandError { CommandError(text, status: 1) }

    /// - Parameter running: the command starts a container, where engine failures are 125, 126 or 127.
    init(_ error: EngineError, running: Bool = false) {
        text = error.description
        status = running ? error.exitCode : 1
    }
}

/// Calls the engine in a command.
func engine<R: ~Copyable>(_ body: () throws(EngineError) -> R) throws(CommandError) -> R {
    do throws(EngineError) { return try body() } catch { throw CommandError(error) }
}
