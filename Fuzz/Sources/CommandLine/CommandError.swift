/// What a template throws; Berth's own knows the Engine, which is not here.
struct CommandError: Error {
    var text: String
    var status: Int32

    init(_ text: String, status: Int32 = 1) {
        self.text = text
        self.status = status
    }

    static func invalid(_ text: String) -> CommandError { CommandError(text) }
}
