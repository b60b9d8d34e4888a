import Engine

/// Why a command ends: what to print, and the program's exit status.
struct CommandError: Error {
    var text: String
    var status: Int32
    /// What the engine calls it; nil for what the command line alone refuses.
    var code: EngineError.Code?

    init(_ text: String, status: Int32 = 1, code: EngineError.Code? = nil) {
        self.text = text
        self.status = status
        self.code = code
    }

    static func invalid(_ text: String) -> CommandError { CommandError(text, status: 1) }
}
