import Engine
import Flags
import RegistryServer

/// `berth registry serve`
struct RegistryServeCommand {
    let session: Session
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let arguments = session.arguments
        var options = RegistryServerOptions(
            data: absolute(arguments.optionalString("data")) ?? session.engine.roots.store + "/registry")
        options.certificate = absolute(arguments.optionalString("tls-cert"))
        options.key = absolute(arguments.optionalString("tls-key"))
        options.passwords = absolute(arguments.optionalString("htpasswd"))
        options.isReadOnly = arguments.bool("read-only")
        options.isQuiet = arguments.bool("quiet")
        if let nanoseconds = arguments.int64("keep-unlinked") {
            if nanoseconds < 0 { throw .invalid("--keep-unlinked cannot be negative") }
            options.keepUnlinked = nanoseconds
        }
        do throws(RegistryServerError) {
            try options.listen(on: arguments.string("listen"))
            try RegistryServer.run(options)
        } catch {
            throw CommandError(error.description)
        }
        return 0
    }

    private func absolute(_ path: String?) -> String? {
        guard let path, !path.isEmpty else { return nil }
        return path.hasPrefix("/") ? path : Session.workingDirectory() + "/" + path
    }
}
