import CLinux
import Glibc
import JSON
import Linux

/// The command line of another OCI runtime.
struct ExternalCommand {
    let runtime: String
    let bundle: String
    /// Its state root: ours, so that it goes with the container and needs no directory of the system.
    let root: String
    /// A file for the runtime's messages: standard error belongs to the container.
    let log: String

    /// Runs one command to its end.
    ///
    /// - Parameter stdio: what the container gets; nil is /dev/null.
    /// - Throws: with the runtime's own last message.
    func call(_ arguments: [String], _ stdio: ContainerStdio? = nil) throws(LaunchFailure) {
        guard let program = findProgram(runtime) else {
            throw LaunchFailure("find runtime \"\(runtime)\": no such program in PATH")
        }
        _ = cl_unlinkat(AT_FDCWD, log, 0)
        let status: ExitStatus
        do throws(SystemError) {
            let null = try FD.cwd.open("/dev/null", .readWrite)
            var request = SpawnRequest(program, [runtime, "--root", root, "--log", log, "--log-format", "json"] + arguments)
            request.descriptors = [
                (stdio?.input.fd ?? null.fd, 0), (stdio?.output.fd ?? null.fd, 1), (stdio?.error.fd ?? null.fd, 2),
            ]
            request.workingDirectory = bundle
            status = try spawn(request).wait()
        } catch {
            throw LaunchFailure(error.description)
        }
        if status != .exited(0) { throw failure(arguments.first ?? "", status) }
    }

    /// Begins a command and does not wait for it.
    func begin(_ arguments: [String], input: FD, output: FD) throws(LaunchFailure) -> SpawnedProcess {
        guard let program = findProgram(runtime) else {
            throw LaunchFailure("find runtime \"\(runtime)\": no such program in PATH")
        }
        do throws(SystemError) {
            var request = SpawnRequest(program, [runtime, "--root", root] + arguments)
            request.descriptors = [(input, 0), (output, 1), (output, 2)]
            request.workingDirectory = bundle
            return try spawn(request)
        } catch {
            throw LaunchFailure(error.description)
        }
    }

    private func failure(_ verb: String, _ status: ExitStatus) -> LaunchFailure {
        let cause = lastMessage() ?? "exit status \(status.code)"
        let name = runtime.split(separator: "/").last.map(String.init) ?? runtime
        return LaunchFailure(exitCode: exitCode(cause), "\(name) \(verb): \(cause)")
    }

    /// The runtimes have no code for it, so docker and podman read the text as well.
    private func exitCode(_ cause: String) -> Int32 {
        // crun begins the kernel's words with a capital.
        let cause = cause.lowercased()
        if contains(cause, "no such file or directory") || contains(cause, "executable file not found") { return 127 }
        if contains(cause, "permission denied") || contains(cause, "exec format error") { return 126 }
        return 125
    }

    private func contains(_ text: String, _ word: String) -> Bool { strstr(text, word) != nil }

    /// `msg` of the last record of the log.
    private func lastMessage() -> String? {
        guard let text = try? FD.cwd.readText(log, limit: 1 << 20),
            let line = text.split(separator: "\n").last,
            let record = try? JSONValue.parse(Array(line.utf8))
        else { return nil }
        return record["msg"]?.string
    }
}
