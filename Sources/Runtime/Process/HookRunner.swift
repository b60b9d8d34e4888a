import CLinux
import Glibc
import JSON
import Linux
import OCI

/// One JSON document as bytes.
func encodedDocument(_ body: (inout JSONWriter) -> Void) -> [UInt8] {
    var writer = JSONWriter()
    body(&writer)
    return writer.bytes
}

/// Runs the hooks of one point, in order, each with the container's state on its standard input.
///
/// Spec: runtime-spec config.md "POSIX-platform Hooks", runtime.md "Lifecycle".
struct HookRunner {
    let state: State

    /// Runs all hooks; the first that fails stops the rest.
    /// - Throws: `.hook` with the exit status and what the hook wrote to standard error (its last 4 KiB).
    func run(_ hooks: [Hook], _ point: String) throws(RuntimeError) {
        let document = encodedDocument(state.write(to:))
        for hook in hooks { try run(hook, point, document) }
    }

    /// For poststop, where a failing hook must not keep the others from running
    /// (runtime.md: log a warning, continue).
    func runAll(_ hooks: [Hook], _ point: String, warn: (String) -> Void) {
        let document = encodedDocument(state.write(to:))
        for hook in hooks {
            do throws(RuntimeError) { try run(hook, point, document) } catch { warn(error.description) }
        }
    }

    private func run(_ hook: Hook, _ point: String, _ document: [UInt8]) throws(RuntimeError) {
        let ended: (status: ExitStatus?, output: [UInt8]) = try kernel("run \(point) hook \"\(hook.path)\"") {
            () throws(SystemError) in
            let input = try makePipe()
            let output = try makePipe()
            let null = try FD.cwd.open("/dev/null", .readWrite)
            var request = SpawnRequest(
                hook.path, hook.args.isEmpty ? [hook.path] : hook.args, environment: hook.env,
                descriptors: [(input.first.fd, 0), (null.fd, 1), (output.second.fd, 2)])
            request.newSession = true
            let process = try spawn(request)
            let inputEnds = input.take()
            let outputEnds = output.take()
            _ = cl_close(inputEnds.first)
            _ = cl_close(outputEnds.second)
            let reader = OwnedFD(owning: outputEnds.first)
            // A state document is smaller than a pipe's buffer; a hook that reads nothing must not stop us.
            try FD(inputEnds.second).setNonBlocking(true)
            _ = document.withUnsafeBytes { cl_write(inputEnds.second, $0.baseAddress, $0.count) }
            _ = cl_close(inputEnds.second)
            return try Self.collect(process, reader.fd, timeout: hook.timeout)
        }
        guard let status = ended.status else {
            throw RuntimeError(.hook, "run \(point) hook", hook.path, cause: "timed out after \(hook.timeout ?? 0) s")
        }
        guard status == .exited(0) else {
            let text = String(decoding: ended.output, as: UTF8.self)
            let words = text.split(whereSeparator: \.isNewline).joined(separator: "; ")
            let cause: String
            switch status {
            case .exited(let code): cause = "exit status \(code)"
            case .signaled(let signal): cause = "killed by signal \(signal)"
            }
            throw RuntimeError(.hook, "run \(point) hook", hook.path, cause: words.isEmpty ? cause : "\(cause): \(words)")
        }
    }

    /// Waits for the end or the deadline, whichever is first; at the deadline the whole session is killed.
    private static func collect(
        _ process: borrowing SpawnedProcess, _ output: FD, timeout: Int?
    ) throws(SystemError) -> (status: ExitStatus?, output: [UInt8]) {
        let deadline = timeout.map { monotonicNanoseconds() + Int64($0) * 1_000_000_000 }
        var kept: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        var outputOpen = true
        while true {
            let left = deadline.map { Int32(clamping: max(0, ($0 - monotonicNanoseconds() + 999_999) / 1_000_000)) } ?? -1
            var fds = [process.pidfd.raw, outputOpen ? output.rawValue : -1]
            var events: [Int16] = [1, 1]
            var ready: [Int16] = [0, 0]
            let count = cl_poll(&fds, &events, &ready, 2, left)
            if count == -EINTR { continue }
            try check(count, "wait for hook")
            if ready[1] != 0 {
                let n = buffer.withUnsafeMutableBytes { cl_read(output.rawValue, $0.baseAddress, $0.count) }
                if n > 0 { kept = Array((kept + buffer[..<n]).suffix(4096)) } else { outputOpen = false }
                if n > 0 { continue }
            }
            if ready[0] != 0 { return (try process.wait(), kept) }
            if count == 0 {
                _ = cl_kill(-process.pid, 9)
                _ = try process.wait()
                return (nil, kept)
            }
        }
    }
}
