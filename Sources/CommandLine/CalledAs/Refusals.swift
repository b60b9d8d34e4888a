import Engine
import Flags

/// How failures are told, and the exit statuses that go with them, by the name the program was called by.
extension CalledAs {
    /// The line for a failure, without its end.
    /// - Parameter verb: the command that failed, where it is known.
    func line(_ error: CommandError, verb: Verb? = nil) -> String {
        switch self {
        case .berth: return "Error: " + error.text
        case .podman: return "Error: " + (error.code == nil ? error.text : CalledAs.podmanSentence(error.text))
        case .docker:
            // Docker's client looks for objects of several kinds by itself.
            let isClients = error.text.hasPrefix("no such object: ")
            let place = error.code == nil ? "" : isClients ? "Error: " : "Error response from daemon: "
            let text = place + (error.code == nil ? error.text : CalledAs.dockerSentence(error.text))
            return verb == .run ? "docker: \(text)\n\nRun 'docker run --help' for more information" : text
        }
    }

    /// The exit status of a failure.
    func status(_ error: CommandError, verb: Verb? = nil) -> Int32 {
        guard self == .podman, error.status == 1 else { return error.status }
        switch (verb, error.code) {
        case (.exec, .conflict?): return 255
        case (.rm, .notFound?), (.rmi, .notFound?), (.rmi, .imageMissing?), (.volumeRemove, .notFound?), (.networkRemove, .notFound?):
            return 1
        case (.rm, .conflict?), (.rmi, .conflict?), (.volumeRemove, .conflict?), (.networkRemove, .conflict?): return 2
        default: return 125
        }
    }

    /// Docker's daemon begins these with a capital.
    private static func dockerSentence(_ text: String) -> String {
        text.hasPrefix("no such ") ? "No such " + text.dropFirst(8) : text
    }

    private static func podmanSentence(_ text: String) -> String {
        func rest(_ start: String) -> Substring? { text.hasPrefix(start) ? text.dropFirst(start.count) : nil }
        if let name = rest("no such container: ") { return "no container with name or ID \"\(name)\" found: no such container" }
        if let name = rest("no such image: ") { return "\(name): image not known" }
        if let name = rest("no such object: ") { return "no such object: \"\(name)\"" }
        if let name = rest("get "), name.hasSuffix(": no such volume") {
            return "no volume with name \"\(name.dropLast(16))\" found: no such volume"
        }
        if let name = rest("network "), name.hasSuffix(" not found") {
            return "unable to find network with name or ID \(name.dropLast(10)): network not found"
        }
        return text
    }

    /// What is printed for a command line that was refused.
    func refusal(_ error: FlagError) -> String {
        guard self == .podman else { return error.text }
        switch error.code {
        case .unknownCommand, .unknownTopic:
            return
                "Error: unrecognized command `\(error.operation) \(error.object)`\nTry '\(error.operation) --help' for more information\n"
        case .unknownFlag, .badSyntax, .missingValue, .invalidValue: return "Error: \(error.cause)\nSee '\(error.operation) --help'\n"
        default: return "Error: " + CalledAs.withoutProgram(error.cause) + "\n"
        }
    }

    /// `podman: 'podman run' requires …` without its first word.
    private static func withoutProgram(_ text: String) -> String {
        text.hasPrefix("podman: ") ? String(text.dropFirst(8)) : text
    }
}
