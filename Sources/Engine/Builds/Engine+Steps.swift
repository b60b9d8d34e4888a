import CLinux
import Control
import Glibc
import Linux
import OCI
import Store

/// What a step of a build stands on.
public struct StepBase: Sendable {
    /// Chain id of the topmost layer; nil for nothing at all (`FROM scratch`).
    public var top: Digest?
    /// Absolute paths of the layers, topmost first.
    public var layers: [String]
    public var config: ContainerConfig
    public var platform: Platform

    public init(top: Digest?, layers: [String], config: ContainerConfig, platform: Platform) {
        (self.top, self.layers, self.config, self.platform) = (top, layers, config, platform)
    }
}

/// How a step of a build ended.
public struct StepOutcome: Sendable, Hashable {
    /// As a shell has it: 128 and the signal.
    public var exitCode: Int32
    public var isOutOfMemory: Bool
}

extension Engine {
    /// Runs a command of a build to its end, on layers that no image has yet.
    ///
    /// It is a container with everything that containers have here (networks, limits, seccomp, an ordinary user's ids), but for a log, events
    /// and a place in lists; it ends with this process, however that ends. What it writes stays in `directory`.
    /// - Parameters:
    ///   - request: command, environment, mounts, limits. Its name and image are for messages.
    ///   - output: called with what it writes, and whether to standard error, by this thread.
    /// - Throws: exit codes 125, 126, 127 for a command that could not be started.
    public func runStep(
        _ request: ContainerRequest, on base: StepBase, in directory: StepDirectory, output: (ArraySlice<UInt8>, _ isError: Bool) -> Void
    ) throws(EngineError) -> StepOutcome {
        if Engine.isHelper { return try askForStep(request, on: base, in: directory, output: output) }
        var request = request
        request.base = base
        request.definition.stepUpper = directory.upper
        request.definition.stepWork = directory.work
        request.definition.autoRemove = true
        request.definition.log.driver = "none"
        request.imageVolumes = .ignore
        let starting = try createAndLaunch(request)
        defer { finishAutoRemove(starting.definition) }
        do throws(ControlError) {
            // Attached before the start: no byte is missed.
            let streams = try starting.connection.attach([.output, .error])
            try starting.connection.start()
            readToEnd(streams, output)
            guard let record = try starting.connection.waitForExit(final: true) else {
                throw ControlError(.disconnected, "wait for", "step", cause: "its supervisor was killed")
            }
            if !record.error.isEmpty { throw starting.connection.startFailure(Int32(clamping: record.exitCode), record.error) }
            return StepOutcome(exitCode: Int32(clamping: record.exitCode), isOutOfMemory: record.oomKilled)
        } catch {
            throw EngineError(control: error)
        }
    }

    /// Both at once, so that neither waits for the other.
    private func readToEnd(_ streams: AttachedStreams, _ output: (ArraySlice<UInt8>, Bool) -> Void) {
        var open = [streams.output, streams.error]
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while open.contains(where: { $0 != nil }) {
            var numbers = open.map { $0?.raw ?? -1 }
            var wanted = [Int16](repeating: Int16(POLLIN), count: 2)
            var ready = [Int16](repeating: 0, count: 2)
            let result = cl_poll(&numbers, &wanted, &ready, 2, -1)
            if result == -EINTR { continue }
            if result < 0 { return }
            for index in 0..<2 where ready[index] != 0 {
                guard let stream = open[index] else { continue }
                let count = buffer.withUnsafeMutableBytes { cl_read(stream.raw, $0.baseAddress, $0.count) }
                if count == -Int(EINTR) || count == -Int(EAGAIN) { continue }
                if count <= 0 { open[index] = nil } else { output(buffer[..<Int(count)], index == 1) }
            }
        }
    }
}
