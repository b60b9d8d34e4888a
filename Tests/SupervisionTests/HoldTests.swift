import Control
import Glibc
import Linux
import Testing

@testable import Supervision

/// Who keeps a container frozen, with plain children for containers.
extension SupervisorTests {
    private func state(_ it: Supervised) throws -> Character? {
        let pid = try it.observe().pid
        return processState(pid)
    }

    private func started() throws -> Supervised {
        let it = try launch("exec sleep 100")
        try it.connection.start()
        try it.connection.waitForStarted()
        return it
    }

    private func another(_ it: Supervised) throws -> SupervisorConnection {
        try SupervisorConnection.connect(run: it.run, id: "c1")
    }

    @Test func severalHoldAContainer() throws {
        let it = try started()
        var first: SupervisorConnection? = try another(it)
        var second: SupervisorConnection? = try another(it)
        try first?.freeze()
        try second?.freeze()
        #expect(try waitUntil { try state(it) == "T" })
        let refused = #expect(throws: ControlError.self) { try it.connection.resume() }
        #expect(refused?.code == .refused)
        // By its end, as of a command that is killed.
        first = nil
        try it.connection.reload()
        #expect(try state(it) == "T")
        try second?.resume()
        #expect(try waitUntil { try state(it) != "T" })
        second = nil
        _ = try it.connection.stop(signal: SIGKILL)
        _ = it.reap()
        withExtendedLifetime((first, second)) {}
    }

    @Test func aPauseStaysWhenHoldersGo() throws {
        for isFirst in [true, false] {
            let it = try started()
            var holder: SupervisorConnection? = try another(it)
            if isFirst { try it.connection.pause() }
            try holder?.freeze()
            if !isFirst { try it.connection.pause() }
            #expect(try waitUntil { try state(it) == "T" })
            try holder?.resume()
            #expect(try state(it) == "T")
            try holder?.freeze()
            holder = nil
            try it.connection.reload()
            #expect(try state(it) == "T")
            try it.connection.resume()
            #expect(try waitUntil { try state(it) != "T" })
            _ = try it.connection.stop(signal: SIGKILL)
            _ = it.reap()
            withExtendedLifetime(holder) {}
        }
    }
}
