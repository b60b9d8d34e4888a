import CLinux
import Engine
import Flags
import Glibc
import Linux

/// What every command works with: its arguments, the engine, and where it prints.
final class Session {
    let arguments: ParsedArguments
    /// As typed, without the program's name: for running the same command again inside the user namespace.
    let commandLine: [String]
    let engine: Engine
    /// The command, where it is one of the table's.
    let verb: Verb?
    private var output = ""
    private var toldWarnings = 0

    init(_ arguments: ParsedArguments, _ commandLine: [String], _ verb: Verb? = nil) throws(CommandError) {
        self.arguments = arguments
        self.verb = verb
        self.commandLine = commandLine
        do throws(EngineError) {
            engine = Engine(
                roots: try Roots.locate(
                    store: arguments.optionalString("root"), run: arguments.optionalString("runroot")))
        } catch {
            throw CommandError(error)
        }
        engine.callerStreams = [.standardInput, .standardOutput, .standardError]
        engine.deviceDirectories = arguments.strings("cdi-spec-dir").map { Session.absolute($0) }
        // Lives until exit, on purpose: closing the last connection to the database would checkpoint and remove its log
        // (2 to 5 ms); the kernel drops our locks.
        // SAFETY: nobody takes this reference back; the process ends with it.
        _ = Unmanaged.passRetained(engine)
    }

    // MARK: Printing

    func print(_ text: String) {
        output += text
        output += "\n"
        if output.utf8.count > 64 << 10 { flush() }
    }

    func printRaw(_ text: String) { output += text }

    func flush() {
        if output.isEmpty { return }
        try? FD.standardOutput.writeAll(output)
        output = ""
    }

    /// A line on standard error, after what was printed before it.
    func complain(_ text: String) {
        flush()
        Session.writeError(text + "\n")
    }

    /// The engine's notes so far.
    func tellWarnings() {
        for warning in engine.warnings.dropFirst(toldWarnings) { Session.writeError(warning + "\n") }
        toldWarnings = engine.warnings.count
    }

    func finish() {
        tellWarnings()
        flush()
    }

    static func writeError(_ text: String) { try? FD.standardError.writeAll(TerminalText.safeLines(text)) }

    /// Prints why a command ends and gives its exit status.
    static func report(_ error: CommandError, _ verb: Verb? = nil) -> Int32 {
        if !error.text.isEmpty { writeError(CalledAs.current.line(error, verb: verb) + "\n") }
        return CalledAs.current.status(error, verb: verb)
    }

    /// Prints what went wrong with one of several objects.
    /// - Returns: the exit status for it.
    @discardableResult
    func complain(of error: EngineError) -> Int32 {
        let error = CommandError(error)
        complain(CalledAs.current.line(error))
        return CalledAs.current.status(error, verb: verb)
    }

    // MARK: Patterns of commands

    /// Does the same with every name; failures are told and do not stop the others.
    ///
    /// - Returns: 1 when any failed.
    func forEach(_ names: [String], _ body: (String) throws(EngineError) -> String?) -> Int32 {
        var status: Int32 = 0
        for name in names {
            do throws(EngineError) {
                if let line = try body(name) { print(line) }
            } catch {
                status = complain(of: error)
            }
        }
        return status
    }

    /// For commands that touch layers: does the work in the user namespace when it must be done there.
    ///
    /// - Returns: the exit status when it was done so.
    func delegated(telling facts: [String] = []) throws(CommandError) -> Int32? {
        do throws(EngineError) {
            return try engine.reexecuteInUserNamespace([CalledAs.current.rawValue] + commandLine, telling: facts)
        } catch {
            throw CommandError(error)
        }
    }

    private static func absolute(_ path: String) -> String {
        path.hasPrefix("/") ? cleanHostPath(path) : cleanHostPath(workingDirectory() + "/" + path)
    }

    static func workingDirectory() -> String {
        guard let path = getcwd(nil, 0) else { return "/" }
        defer { free(path) }
        return String(cString: path)
    }
}

/// The terminal this program may be on.
enum Terminal {
    static func isTerminal(_ fd: FD) -> Bool { isatty(fd.rawValue) == 1 }

    /// Rows and columns of standard output's terminal; 24 by 80 when it is none.
    static func size() -> (rows: Int, columns: Int) {
        var rows: UInt16 = 0
        var columns: UInt16 = 0
        guard cl_winsize_get(1, &rows, &columns) == 0, rows > 0, columns > 0 else { return (24, 80) }
        return (Int(rows), Int(columns))
    }

    /// Columns for help; 80 when there is no terminal.
    static func columns() -> Int {
        var rows: UInt16 = 0
        var columns: UInt16 = 0
        return cl_winsize_get(1, &rows, &columns) == 0 && columns > 0 ? Int(columns) : 80
    }
}
