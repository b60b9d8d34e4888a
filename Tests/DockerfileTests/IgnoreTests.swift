import Testing

@testable import Dockerfile

@Suite struct IgnoreTests {
    private func ignored(_ patterns: [String], _ paths: [String]) throws -> [String] {
        let matcher = try PathMatcher(patterns)
        return paths.filter { matcher.matches($0) }
    }

    /// Patterns, what they leave out, and what they do not.
    @Test(arguments: [
        (["a"], ["a", "a/b", "a/b/c"], ["b", "ab", "b/a", "A"]), (["*.o"], ["x.o", ".o"], ["x.c", "d/x.o", "x.ob"]),
        (["**/*.o"], ["x.o", "d/x.o", "d/e/x.o", "x.o/y"], ["x.c"]), (["*/x"], ["d/x", "d/x/y"], ["x", "d/e/x"]),
        (["*/*/x"], ["d/e/x"], ["d/x"]),
        (["a?"], ["ab", "ab/c"], ["a", "abc", "a/"]), (["a/**"], ["a/b", "a/b/c"], ["a", "ab"]), (["**"], ["a", "a/b"], []),
        (["**/a"], ["a", "b/a", "b/a/c"], ["ab", "b/ab"]),
        (["a/**/b"], ["a/b", "a/x/b", "a/x/y/b"], ["ab", "a/xb", "a/b2"]), (["**.log"], ["x.log", "d/x.log"], ["x.logs"]),
        (["[a-c]x"], ["ax", "cx"], ["dx", "a"]),
        (["[^a]x"], ["bx"], ["ax"]), (["a\\*b"], ["a*b"], ["axb"]), (["a/"], ["a", "a/b"], ["b"]), (["./a"], ["a"], ["b"]),
        (["a/../b"], ["b"], ["a"]),
        (["a.b+c"], ["a.b+c"], ["axb+c", "a.bbc"]), (["é*"], ["éa"], ["ea"]), ([".*"], [".git", ".git/x"], ["a"]),
        (["a//b"], ["a/b"], ["a"]), (["\\!a"], ["!a"], ["a"]),
        (["foo**"], ["foo", "foobar", "foo/x"], ["fo"]), (["a**/b"], ["ab", "ax/b"], ["a", "b"]),
    ])
    func patternsLeaveOut(patterns: [String], out: [String], kept: [String]) throws {
        #expect(try ignored(patterns, out + kept) == out, "\(patterns)")
    }

    @Test func theLastPatternThatMatchesDecides() throws {
        #expect(try ignored(["*.md", "!README.md"], ["a.md", "README.md"]) == ["a.md"])
        #expect(
            try ignored(["*.md", "!README*.md", "README-secret.md"], ["a.md", "README.md", "README-secret.md"]) == [
                "a.md", "README-secret.md",
            ])
        #expect(try ignored(["*.md", "README-secret.md", "!README*.md"], ["a.md", "README-secret.md"]) == ["a.md"])
        #expect(try ignored(["!a", "a"], ["a"]) == ["a"])
        #expect(try ignored(["*", "!a/b"], ["a", "a/b", "a/b/c", "a/c", "x"]) == ["a", "a/c", "x"])
        #expect(try ignored(["a", "!a/b", "a/b/c"], ["a/b", "a/b/c", "a/b/d"]) == ["a/b/c"])
    }

    @Test func aWalkSkipsDirectoriesWithoutExceptions() throws {
        func skips(_ patterns: [String], _ directory: String) throws -> Bool {
            let matcher = try PathMatcher(patterns)
            var verdict: PathMatcher.Verdict?
            var path = ""
            for part in directory.split(separator: "/") {
                path += path.isEmpty ? String(part) : "/" + part
                verdict = matcher.verdict(path, in: verdict)
            }
            return matcher.canSkip(directory: directory, try #require(verdict))
        }
        #expect(try skips(["a"], "a"))
        #expect(try !skips(["a"], "b"))
        #expect(try !skips(["a", "!a/b"], "a"))
        #expect(try skips(["a", "!a/b"], "a/c"))
        #expect(try skips(["a", "!b/c"], "a"))
        #expect(try !skips(["*", "!**/keep"], "a/b"))
        #expect(try skips(["*", "!a/b", "a"], "a"), "what comes behind the exception leaves all of it out")
        #expect(try !skips(["*", "!a/*/c"], "a/x"))
        #expect(try skips(["*", "!a/*/c"], "b"))
    }

    /// A walk that uses what is known of directories finds what looking at each path alone finds.
    @Test func walkingAndLookingAgree() throws {
        let parts = ["a", "b", "ab", "a.o"]
        var paths: [String] = []
        for one in parts { for two in parts { for three in parts { paths += [one, one + "/" + two, one + "/" + two + "/" + three] } } }
        let pieces = ["a", "b", "*", "**", "*.o", "a*", "!a", "!**/b", "a/**", "!a/b", "**/a.o", "!*/*", "b/a"]
        var random = Mutator(state: 7)
        for _ in 0..<200 {
            let patterns = (0..<4).map { _ in pieces[random.next(pieces.count)] }
            let matcher = try PathMatcher(patterns)
            for path in Set(paths) {
                var verdict: PathMatcher.Verdict?
                var current = ""
                var isSkipped = false
                for part in path.split(separator: "/") {
                    if let verdict, matcher.canSkip(directory: current, verdict) { isSkipped = true }
                    current += current.isEmpty ? String(part) : "/" + part
                    verdict = matcher.verdict(current, in: verdict)
                }
                #expect(verdict?.isMatched == matcher.matches(path), "\(patterns) \(path)")
                if isSkipped { #expect(matcher.matches(path), "\(patterns) skips \(path), which is not left out") }
            }
        }
    }

    @Test(arguments: ["!", "[", "a[", "[a-", "[]", "a\\", "[^]", "[a-]"])
    func brokenPatternsAreRefused(pattern: String) { #expect(throws: PatternError.self) { try PathMatcher([pattern]) } }

    @Test func ignoreFilesAreReadLineByLine() {
        let text = "\u{FEFF}# comment\r\n\n  a/b/ \n/c\n! /d\n!e/./f\n #x\n/\n"
        #expect(IgnoreFile.patterns(Array(text.utf8)) == ["a/b", "c", "!d", "!e/f", "#x", "/"])
        #expect(IgnoreFile.patterns([]).isEmpty)
    }

    @Test func theFileBesideTheDockerfileComesFirst() {
        func chosen(_ existing: Set<String>) -> String? {
            IgnoreFile.choose(dockerfile: "build/Dockerfile.dev") { existing.contains($0.path) }?.path
        }
        #expect(chosen([".dockerignore", ".containerignore", "build/Dockerfile.dev.dockerignore"]) == "build/Dockerfile.dev.dockerignore")
        #expect(chosen([".dockerignore", ".containerignore"]) == ".containerignore")
        #expect(chosen([".dockerignore"]) == ".dockerignore")
        #expect(chosen([]) == nil)
    }

    @Test func nothingAndTheRootAreNotLeftOut() throws {
        #expect(try ignored([], ["a"]).isEmpty)
        #expect(try ignored(["", "  "], ["a"]).isEmpty)
        #expect(try ignored(["**"], ["."]).isEmpty)
    }

    @Test func manyStarsTakeNoTime() throws {
        let matcher = try PathMatcher([String(repeating: "**/*a", count: 50) + "b"])
        #expect(!matcher.matches(String(repeating: "aaaa/", count: 200) + "a"))
    }
}

@Suite struct CopySourceTests {
    @Test func wildcardsAreFileNames() throws {
        let source = try CopySource("src/*.[ch]", parents: false)
        #expect(source.root == "/src" && source.hasWildcard && !source.keepsParents)
        #expect(source.matches("a.c") && source.matches("b.h") && !source.matches("a.o") && !source.matches("d/a.c"))
        let deep = try CopySource("a/b*/c/d?", parents: false)
        #expect(deep.root == "/a")
        #expect(deep.matches("bx/c/dy") && !deep.matches("bx/e/dy"))
        #expect(deep.mayMatch(below: "bx") && !deep.mayMatch(below: "x"))
        // `**` is `*` here.
        #expect(try !CopySource("**/x", parents: false).matches("a/b/x"))
    }

    @Test func plainPathsStayInTheContext() throws {
        let source = try CopySource("../../a/./b", parents: false)
        #expect(source.root == "/a" && source.pattern.text == "b" && !source.hasWildcard)
        #expect(try CopySource(".", parents: false).pattern.text == "")
        #expect(try CopySource("/", parents: false).root == "/")
    }

    @Test func escapesMakeBracketsPlain() throws {
        let source = try CopySource("a\\[0]/b", parents: false)
        #expect(!source.hasWildcard)
        #expect(source.root == "/" && source.matches("a[0]/b"))
        #expect(throws: PatternError.self) { try CopySource("a[", parents: false) }
    }

    @Test func parentsKeepsWhatIsBehindThePivot() throws {
        let whole = try CopySource("x/a/*.txt", parents: true)
        #expect(whole.root == "/" && whole.keepsParents && whole.matches("x/a/b.txt") && !whole.matches("a/b.txt"))
        let pivot = try CopySource("x/./a/**/b.txt", parents: true)
        #expect(pivot.root == "/x")
        #expect(pivot.matches("a/b.txt") && pivot.matches("a/c/d/b.txt") && !pivot.matches("x/a/b.txt"))
        let wild = try CopySource("./x*/./y", parents: true)
        #expect(wild.hasWildcard && wild.root == "/x*")
    }
}
