import Testing

@testable import Dockerfile

@Suite struct SyntaxTests {
    private func tree(_ text: String) throws -> SyntaxTree { try SyntaxReader.read(SourceText(text), limits: .standard) }

    // MARK: Directives

    @Test func directivesAtTheTopAreRead() throws {
        let file = try Reading.file("# Syntax = docker/dockerfile:1 \n#escape=`\n#   check=skip=all\nFROM scratch\n")
        #expect(file.directives.map(\.name) == [.syntax, .escape, .check])
        #expect(file.directive(.syntax)?.value == "docker/dockerfile:1")
        #expect(file.directive(.check)?.value == "skip=all")
        #expect(file.escape == "`")
        #expect(file.directive(.escape)?.range.text == "2:1-2:10")
    }

    @Test func whatComesBehindACommentIsNoDirective() throws {
        #expect(try Reading.file("# hello\n# escape=`\nFROM scratch").escape == "\\")
        #expect(try Reading.file("\n# escape=`\nFROM scratch").escape == "\\")
        #expect(try Reading.file("# nothing=`\n# escape=`\nFROM scratch").escape == "\\")
        #expect(try Reading.file("FROM scratch\n# escape=`\n").escape == "\\")
    }

    @Test func directivesMayNotBeDoubledOrWrong() {
        #expect(Reading.refusal("# escape=`\n# escape=\\\nFROM a") == "only one escape parser directive can be used")
        #expect(Reading.refusal("# syntax=a\n# SYNTAX=b\nFROM a") == "only one syntax parser directive can be used")
        #expect(Reading.refusal("# escape=x\nFROM a") == "invalid escape token 'x' does not match ` or \\")
    }

    @Test(arguments: [
        ("# syntax=a/b:1 --flag\nFROM x", "a/b:1"), ("#!/usr/bin/x\n# syntax=a\n", "a"), ("// syntax=c\n{}", "c"),
        ("{\"syntax\": \"d\"}", "d"), ("#!/bin/x\n{\"syntax\":\"e\"}", "e"),
    ])
    func theFrontendIsFoundInEveryFormat(text: String, image: String) {
        #expect(SyntaxDetection.syntax(of: SourceText(text))?.image == image)
    }

    @Test(arguments: ["FROM x\n# syntax=a", "# hello\n# syntax=a", "", "{\"a\": 1}", "// hello"])
    func noFrontendIsFoundElsewhere(text: String) { #expect(SyntaxDetection.syntax(of: SourceText(text)) == nil) }

    // MARK: Lines

    @Test func commentsAndContinuationsAreJoined() throws {
        let command = try Reading.command("RUN a \\\n  # a comment\n  b\\  \n# another\n c\n")
        #expect(command.text == "RUN a   b c")
        #expect(command.range.text == "2:1-6:3")
    }

    @Test func theBacktickContinuesWhereItIsTheEscape() throws {
        let file = try Reading.file("# escape=`\nFROM a\nRUN x `\n y\\\nRUN z")
        #expect(file.stages[0].commands.map(\.text) == ["RUN x  y\\", "RUN z"])
    }

    @Test func twoEscapesAreNoContinuation() throws {
        let file = try Reading.file("FROM a\nRUN x\\\\\nRUN y")
        #expect(file.stages[0].commands.map(\.text) == ["RUN x\\\\", "RUN y"])
    }

    @Test func emptyLinesAmongContinuationsAreWarnedOf() throws {
        let file = try Reading.file("FROM a\nRUN x \\\n\n   \n y\nRUN z \\\n# fine\n w")
        #expect(file.stages[0].commands.map(\.text) == ["RUN x  y", "RUN z  w"])
        #expect(file.emptyContinuations.map(\.start.line) == [5])
    }

    @Test func aContinuationAtTheEndOfTheFileIsNothing() throws {
        #expect(try Reading.command("RUN x \\\n").text == "RUN x")
        #expect(try Reading.command("RUN x \\").text == "RUN x")
    }

    @Test func byteOrderMarkAndCarriageReturnsAreNoText() throws {
        let file = try Reading.file("\u{FEFF}# escape=`\r\nFROM a\r\nRUN x `\r\n  y\r\nUSER u\r\n")
        #expect(file.escape == "`")
        #expect(file.stages[0].base.text == "a")
        #expect(file.stages[0].commands.map(\.text) == ["RUN x   y", "USER u"])
    }

    @Test func namesOfInstructionsHaveAnyCase() throws {
        let file = try Reading.file("from a As b\nrUn x\nEnV a=b")
        #expect(file.stages[0].name == "b")
        #expect(file.stages[0].commands.map(\.keyword) == ["rUn", "EnV"])
    }

    @Test func commentsAboveAnInstructionBelongToIt() throws {
        let file = try Reading.file("# one\n#two \nFROM a\n# three\n\nRUN x\n# four\n#\n# five\nRUN y")
        #expect(file.stages[0].comments == ["one", "two"])
        #expect(file.stages[0].commands.map(\.comments) == [[], ["five"]])
    }

    // MARK: Positions

    @Test func wordsAndFlagsKnowWhereTheyStand() throws {
        let statement = try #require(try tree("FROM x\n  COPY --from=a \\\n   --chown=\"b c\" d \\\n e /f/\n").statements.last)
        #expect(statement.keyword.range.text == "2:3-2:7")
        #expect(statement.flags.map(\.text) == ["--from=a", "--chown=b c"])
        #expect(statement.flags.map(\.range.text) == ["2:8-2:16", "3:4-3:17"])
        #expect(statement.arguments.map(\.text) == ["d", "e", "/f/"])
        #expect(statement.arguments.map(\.range.text) == ["3:18-3:19", "4:2-4:3", "4:4-4:7"])
        #expect(statement.range.text == "2:3-4:7")
    }

    @Test func elementsOfArraysKnowWhereTheyStand() throws {
        let statement = try #require(try tree("RUN [\"a\", \"b\\\"c\",\\\n \"\\u00e9\"]").statements.only)
        #expect(statement.isJSON)
        #expect(statement.arguments.map(\.text) == ["a", "b\"c", "é"])
        #expect(statement.arguments.map(\.range.text) == ["1:6-1:9", "1:11-1:17", "2:2-2:10"])
    }

    @Test func namesAndValuesKnowWhereTheyStand() throws {
        let pair = try #require(try tree("ENV a=b \\\n  long='x y'").statements.only?.pairs.last)
        #expect(pair.name.text == "long")
        #expect(pair.value.text == "'x y'")
        #expect(pair.name.range.text == "2:3-2:7")
        #expect(pair.value.range.text == "2:8-2:13")
    }

    // MARK: Flags and forms

    @Test func aDoubleDashEndsTheFlags() throws {
        let statement = try #require(try tree("RUN --network=none -- --mount=x y").statements.only)
        #expect(statement.flags.map(\.text) == ["--network=none"])
        #expect(statement.arguments.map(\.text) == ["--mount=x y"])
    }

    @Test func quotesInFlagsAreTakenAway() throws {
        let statement = try #require(try tree("COPY --from='a b' --exclude=x\\ y --link c d").statements.only)
        #expect(statement.flags.map(\.text) == ["--from=a b", "--exclude=x y", "--link"])
    }

    @Test func whatIsNoArrayIsForTheShell() throws {
        for text in ["RUN [\"a\", 'b']", "RUN [ -f x ]", "RUN [\"a\"", "RUN [\"a\"] && b"] {
            let statement = try #require(try tree(text).statements.only)
            #expect(!statement.isJSON && statement.isBrokenJSON)
            #expect(statement.arguments.map(\.text) == [String(text.dropFirst(4))])
        }
        #expect(try tree("RUN []").statements.only?.isJSON == true)
    }

    @Test(arguments: ["[1]", "[\"a\", null]", "[[\"a\"]]", "[{\"a\": \"b\"}]"])
    func arraysHaveOnlyStrings(array: String) {
        #expect(
            Reading.refusal("FROM a\nRUN \(array)") == "when using JSON array syntax, arrays must be comprised of strings only")
    }

    // MARK: Limits

    @Test func emptyFilesAreRefused() {
        #expect(Reading.refusal("") == "the Dockerfile cannot be empty")
        #expect(Reading.refusal("\n\n") == "file with no instructions")
        #expect(Reading.refusal("# a\n#b") == "file with no instructions")
        #expect(Reading.refusal("ARG a") == "dockerfile contains no stages to build")
        #expect(Reading.refusal("RUN a\nFROM b") == "no build stage in current context")
    }

    @Test func hostileSizesAreRefused() throws {
        let long = String(repeating: "x", count: 65_536)
        #expect(Reading.refusal("FROM a\nRUN \(long)") == "dockerfile line greater than max allowed size of 65535")
        #expect(Reading.refusal("FROM a\nCOPY <<E /\n\(long)\nE") == "dockerfile line greater than max allowed size of 65535")
        let piece = String(repeating: "y", count: 60_000) + "\\\n"
        #expect(Reading.refusal("FROM a\nRUN " + String(repeating: piece, count: 20)) == "the instruction is longer than 1048576 bytes")
        #expect(
            Reading.refusal(String(repeating: "FROM a\n", count: 50_001)) == "the Dockerfile has more than 50000 instructions")
        let marks = String(repeating: " <<a", count: 1001)
        #expect(Reading.refusal("FROM a\nRUN" + marks) == "the instruction has more than 1000 here-documents")
    }

    @Test func onlyUTF8IsAnInstruction() throws {
        let latin: [UInt8] = [0xE9]
        let comment = Array("# caf".utf8) + latin + Array("\nFROM a\n".utf8)
        #expect(try ParsedDockerfile.parse(SourceText(bytes: comment)).stages.count == 1)
        for text in [Array("FROM a\nRUN caf".utf8) + latin, Array("FROM a\nCOPY <<E /\n".utf8) + latin + Array("\nE".utf8)] {
            #expect(throws: Diagnostic.self) { try ParsedDockerfile.parse(SourceText(bytes: text)) }
        }
    }
}
