import Control
import Engine
import Flags

/// `berth healthcheck run`
struct HealthcheckCommand {
    let session: Session
    init(_ session: Session) { self.session = session }

    /// Podman's exit codes: 0 where the check succeeds, 1 where it fails, 125 where it cannot be run.
    func run() throws(CommandError) -> Int32 {
        let name = session.arguments.positionals.first ?? ""
        let found: (exitCode: Int32, status: HealthStatus)
        do throws(EngineError) { found = try session.engine.runHealthcheck(name) } catch {
            throw CommandError(error.description, status: 125, code: error.code)
        }
        if found.exitCode == 0 { return 0 }
        session.print(found.status == .starting ? HealthStatus.starting.text : HealthStatus.unhealthy.text)
        return session.arguments.bool("ignore-result") ? 0 : 1
    }
}
