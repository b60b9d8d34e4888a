import Cgroups
import Flags
import JSON
import Linux
import OCI
import Runtime

/// `berth-runtime list`.
enum ListCommand {
    static var command: Command {
        Command(
            "list", summary: "List the containers of the state directory", arity: .none,
            flags: {
                [
                    .string("format", "f", "Form: table or json", value: "format", default: "table"),
                    .bool("quiet", "q", "Print ids only"),
                ]
            },
            run: { arguments in
                CommandContext.run(arguments) { (context) throws(RuntimeError) in
                    try list(context)
                    return 0
                }
            })
    }

    private static func list(_ context: CommandContext) throws(RuntimeError) {
        var rows: [(directory: StateDirectory, record: ContainerRecord)] = []
        for id in try StateDirectory.list(root: context.root).sorted() {
            // One that disappears while we look is not an error, nor is one that is being made.
            guard let directory = try? StateDirectory(root: context.root, id: id), let record = try? directory.read() else { continue }
            rows.append((directory, record))
        }
        if context.arguments.bool("quiet") {
            output(rows.map { $0.record.id + "\n" }.joined())
            return
        }
        switch context.arguments.string("format") {
        case "json":
            var writer = JSONWriter()
            writer.array { w in
                for row in rows { row.record.writeDescription(to: &w, in: row.directory) }
            }
            output(writer.bytes + [10])
        case "table":
            var lines = [["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]]
            for (directory, record) in rows {
                let state = record.state(in: directory)
                lines.append([
                    record.id, "\(state.pid)", state.status, record.bundle, record.created,
                    userName(of: record.owner) ?? "\(record.owner)",
                ])
            }
            output(table(lines))
        case let other:
            throw RuntimeError(.invalid, "--format", cause: "\"\(other)\" is neither table nor json")
        }
    }
}

/// Columns padded to their widest cell, three spaces between.
func table(_ rows: [[String]]) -> String {
    var widths: [Int] = []
    for row in rows {
        for (i, cell) in row.enumerated() {
            if i == widths.count { widths.append(0) }
            widths[i] = max(widths[i], cell.count)
        }
    }
    var text = ""
    for row in rows {
        for (i, cell) in row.enumerated() {
            text += cell
            if i < row.count - 1 { text += String(repeating: " ", count: widths[i] - cell.count + 3) }
        }
        text += "\n"
    }
    return text
}

/// `berth-runtime ps`.
enum PsCommand {
    static var command: Command {
        Command(
            "ps", operands: "CONTAINER [PS OPTIONS]", summary: "Show the processes of a container", arity: .atLeast(1),
            interspersed: false,
            flags: { [.string("format", "f", "Form: table or json", value: "format", default: "table")] },
            run: { arguments in
                CommandContext.run(arguments) { (context) throws(RuntimeError) in
                    try list(context)
                }
            })
    }

    private static func list(_ context: CommandContext) throws(RuntimeError) -> Int32 {
        let record = try context.directory().read()
        let pids: [Int32]
        do throws(CgroupError) { pids = try Cgroup(record: record.cgroup).processes() } catch {
            throw RuntimeError(.system, "list processes", record.id, cause: error.description)
        }
        if context.arguments.string("format") == "json" {
            var writer = JSONWriter()
            writer.array { w in for pid in pids { w.value(pid) } }
            output(writer.bytes + [10])
            return 0
        }
        // As runc: the host's ps(1) does the formatting, restricted to our pids.
        let options = context.arguments.positionals.dropFirst()
        guard let ps = findProgram("ps") else {
            throw RuntimeError(
                .unsupported, "run ps", cause: "it is not installed (apt-get install procps); --format json works without it")
        }
        let arguments = ["ps"] + (options.isEmpty ? ["-ef"] : Array(options))
        return try filter(ps, arguments, pids)
    }

    private static func filter(_ path: String, _ arguments: [String], _ pids: [Int32]) throws(RuntimeError) -> Int32 {
        let text: [UInt8]
        let status: ExitStatus
        do throws(SystemError) {
            let pipe = try makePipe()
            let process = try spawn(SpawnRequest(path, arguments, descriptors: [(FD(0), 0), (pipe.second.fd, 1), (FD(2), 2)]))
            let ends = pipe.take()
            close(OwnedFD(owning: ends.second))
            let reader = OwnedFD(owning: ends.first)
            text = try reader.fd.readAll(limit: 64 << 20)
            status = try process.wait()
        } catch {
            throw RuntimeError(.system, "run ps", cause: error.description)
        }
        let lines = String(decoding: text, as: UTF8.self).split(separator: "\n")
        guard let header = lines.first else { return status.code }
        let columns = header.split(separator: " ")
        guard let column = columns.firstIndex(of: "PID") else {
            throw RuntimeError(.invalid, "run ps", cause: "its output has no PID column")
        }
        output(header + "\n")
        for line in lines.dropFirst() {
            let fields = line.split(separator: " ")
            if fields.count > column, let pid = Int32(fields[column]), pids.contains(pid) { output(line + "\n") }
        }
        return status.code
    }
}

private func output(_ line: Substring) { output(String(line)) }
