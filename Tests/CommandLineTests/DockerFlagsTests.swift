import Flags
import Linux
import Testing

@testable import CommandLine

/// Every command and flag of docker's own client: here, or in the table of docs/docker-flags.md with a reason.
struct DockerFlagsTests {
    private struct Row {
        /// `container ls`.
        var command: String
        /// Empty for the command itself.
        var flag: String
        var letter: Unicode.Scalar?
        var takesValue: Bool

        var words: String { flag.isEmpty ? command : "\(command) --\(flag)" }
    }

    private static let root = String(#filePath.dropLast("/Tests/CommandLineTests/DockerFlagsTests.swift".utf8.count))

    /// Columns: command, flag or -, letter or -, bool or value. From docker 28.
    private func rows() throws -> [Row] {
        try FD.cwd.readText(Self.root + "/Tests/Integration/cli/docker_cli.tsv").split(separator: "\n").filter { !$0.hasPrefix("#") }.map {
            line in
            let fields = line.split(separator: "\t").map(String.init)
            try #require(fields.count == 4, "\(line)")
            return Row(
                command: fields[0], flag: fields[1] == "-" ? "" : fields[1],
                letter: fields[2] == "-" ? nil : fields[2].unicodeScalars.first,
                takesValue: fields[3] == "value")
        }
    }

    /// The first column's words in backquotes, of rows that have a reason in the second.
    private func reasons() throws -> Set<String> {
        var result: Set<String> = []
        for line in try FD.cwd.readText(Self.root + "/docs/docker-flags.md").split(separator: "\n") where line.hasPrefix("| `") {
            let cells = line.split(separator: "|").map { String($0.drop { $0 == " " }) }
            #expect(cells.count == 2 && cells.last?.isEmpty == false, "\(line)")
            for (place, word) in (cells.first ?? "").split(separator: "`").enumerated() where place % 2 == 0 { result.insert(String(word)) }
        }
        return result
    }

    @Test func everyOneIsHereOrHasAReason() throws {
        let rows = try rows()
        let reasons = try reasons()
        var accepted: Set<String> = []
        for row in rows {
            if isAccepted(row) {
                accepted.insert(row.words)
                continue
            }
            // A command's reason is that of its flags, a group's that of its commands.
            let words = row.command.split(separator: " ")
            let places = (1...words.count).map { words.prefix($0).joined(separator: " ") } + [row.words]
            #expect(places.contains { reasons.contains($0) }, "\(row.words) is not here, and docs/docker-flags.md does not say why")
        }
        let stale = reasons.intersection(accepted)
        #expect(stale.isEmpty, "docs/docker-flags.md says that these are not here: \(stale.sorted())")
        let known = Set(rows.map(\.words))
        for reason in reasons {
            #expect(
                known.contains { $0 == reason || $0.hasPrefix(reason + " ") }, "docs/docker-flags.md has \(reason), which docker has not")
        }
        print("docker's commands and flags: \(accepted.count) of \(rows.count)")
        #expect(accepted.count > 350)
    }

    private func isAccepted(_ row: Row) -> Bool {
        guard let topic = Table.program.topic(Table.words(row.command)) else { return false }
        if row.flag.isEmpty { return true }
        guard let flag = topic.command.flags().first(where: { $0.name == row.flag || $0.aliases.contains(row.flag) }) else { return false }
        // What is accepted is read as docker reads it.
        #expect(row.letter == nil || flag.short == row.letter, "\(row.words) has not the letter \(row.letter.map { "\($0)" } ?? "")")
        let arguments = Table.words(row.command) + ["--" + row.flag] + (row.takesValue ? [] : ["--help"])
        if !row.takesValue {
            if case .help = Table.program.parse(arguments) {} else { Issue.record("\(row.words) takes a value") }
        } else if case .failure(let error) = Table.program.parse(arguments) {
            #expect(error.cause.contains("needs an argument"), "\(row.words): \(error.cause)")
        } else {
            Issue.record("\(row.words) takes no value")
        }
        return true
    }
}
