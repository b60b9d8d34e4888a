/// Why a command ends: what to print, and the program's exit status.
struct CommandError: Error {
    var text: String
    var status: Int32

    init(_ text: String, status: Int32 = 1) {
        self.text = text
        self.status = status
    }

    static func invalid(_ text: String) -> CommandError { CommandError(text, status: 1) }
}
