import Linux
import Testing

/// Each row of the reference table of the language is shown by a test here, or belongs to the solver, which runs what is read here.
@Suite struct RowTests {
    /// Kind, instruction, name, and the tests that show it; `solver` for rows that are about running a build.
    private struct Row {
        let name: String
        let tests: [String]
        var isSolvers: Bool { tests == ["solver"] }
    }

    private static let rows: [Row] = DockerfileRows.text.split(separator: "\n").map { line in
        let cells = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
        return Row(name: cells.prefix(3).joined(separator: " "), tests: (cells.last ?? "").split(separator: " ").map(String.init))
    }

    /// The names of all tests of this target.
    private static func tests() throws -> Set<String> {
        let here = #filePath
        let directory = try FD.cwd.open(String(here[..<(here.lastIndex(of: "/") ?? here.startIndex)]), [.directory])
        var names: Set<String> = []
        for entry in try directoryEntries(directory.fd) where entry.name.hasSuffix(".swift") {
            let text = String(decoding: try directory.fd.readFile(entry.name, limit: 1 << 20), as: UTF8.self)
            for line in text.split(separator: "\n") {
                guard let start = line.firstRange(of: "func "), let end = line[start.upperBound...].firstIndex(of: "(") else { continue }
                names.insert(String(line[start.upperBound..<end]))
            }
        }
        return names
    }

    @Test func everyRowIsShownOrTheSolvers() throws {
        let known = try Self.tests()
        #expect(known.count > 150)
        for row in Self.rows {
            #expect(!row.tests.isEmpty, "\(row.name) has no test")
            for test in row.tests where !row.isSolvers { #expect(known.contains(test), "\(row.name): there is no \(test)") }
        }
        let solvers = Self.rows.count(where: \.isSolvers)
        // The numbers of the table: a row that is dropped or handed to the solver must be so on purpose.
        #expect(Self.rows.count == 132)
        #expect(solvers == 14, "\(Self.rows.count - solvers) of \(Self.rows.count) rows are the language's")
    }
}
