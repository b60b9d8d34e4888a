import Glibc
import Linux
import Testing

/// What the documents say exists, exists.
struct DocumentTests {
    /// Tests that docs/*.md names in backquotes: `test_…` of the integration suite, camelCase of the unit tests.
    @Test(arguments: ["security.md", "reliability.md"])
    func namedTestsExist(document: String) throws {
        let sources = try testSources()
        let words = quoted(try SourceTree.text("docs/\(document)"))
        let tests = words.filter { $0.hasPrefix("test_") }
        #expect(tests.count > 2)
        for name in tests { #expect(contains(sources, "def \(name)("), "docs/\(document) names \(name)") }
        // A bare lower-camel-case word with two capitals or more is the name of a unit test.
        for name in words where isUnitTest(name) { #expect(contains(sources, "func \(name)("), "docs/\(document) names \(name)") }
    }

    /// Relative links between the documents, and to files of the tree.
    @Test(arguments: [
        "README.md", "docs/getting-started.md", "docs/called-as.md", "docs/architecture.md", "docs/security.md", "docs/reliability.md",
        "docs/decisions/README.md",
        "docs/decisions/cgroup-join.md", "docs/decisions/dependencies.md", "bench/README.md",
    ])
    func linksLeadSomewhere(document: String) throws {
        let folder = document.lastIndex(of: "/").map { "\(document[..<$0])/" } ?? ""
        for piece in try SourceTree.text(document).split(separator: "](").dropFirst() {
            let target = piece.prefix { $0 != ")" && $0 != "#" }
            if target.isEmpty || target.hasPrefix("http") { continue }
            #expect(FD.cwd.exists("\(SourceTree.root)/\(folder)\(target)"), "\(document) links to \(target)")
        }
    }

    private func isUnitTest(_ word: String) -> Bool {
        guard let first = word.first, first.isLowercase else { return false }
        return word.allSatisfy { $0.isLetter } && word.count { $0.isUppercase } >= 2
    }

    /// The words in backquotes.
    private func quoted(_ text: String) -> [String] {
        text.split(separator: "`", omittingEmptySubsequences: false).enumerated()
            .filter { $0.offset % 2 == 1 }.map { String($0.element) }
    }

    /// All tests as one text.
    private func testSources() throws -> String {
        var text = ""
        var pending = ["Tests"]
        while let path = pending.popLast() {
            let directory = try FD.cwd.open("\(SourceTree.root)/\(path)", [.readOnly, .directory])
            for (name, type) in try directoryEntries(directory.fd) {
                if type == 4 { pending.append("\(path)/\(name)") }
                if name.hasSuffix(".swift") || name.hasSuffix(".py") { text += try SourceTree.text("\(path)/\(name)") }
            }
        }
        return text
    }
}
