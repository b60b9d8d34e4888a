import JSON
import OCI
import Testing

@testable import Dockerfile

@Suite struct LintTests {
    private func report(
        _ text: String, _ arguments: [String] = [], ignored: [String]? = nil, environment: [String]? = [], target: String = ""
    ) throws -> LintReport {
        var options = Linter.Options()
        options.ignored = try ignored.map { try PathMatcher($0) }
        options.environment = { _ in environment }
        options.target = target
        return Linter.check(SourceText(text), Reading.options(arguments), options)
    }

    /// `Rule line: message`.
    private func found(
        _ text: String, _ arguments: [String] = [], ignored: [String]? = nil, environment: [String]? = [], target: String = ""
    ) throws -> [String] {
        let report = try report(text, arguments, ignored: ignored, environment: environment, target: target)
        #expect(report.error == nil, "\(text)")
        return report.warnings.map { "\($0.rule?.name ?? "") \($0.range?.start.line ?? 0): \($0.message)" }
    }

    @Test func cleanFilesHaveNoWarnings() throws {
        #expect(
            try found(
                """
                # syntax=docker/dockerfile:1
                ARG VERSION=3
                FROM --platform=$BUILDPLATFORM alpine:$VERSION AS build
                ARG TARGETARCH NAME=x
                WORKDIR /src
                COPY . .
                RUN make $TARGETARCH
                FROM scratch
                ENV PUBLIC_KEY=a A=b
                COPY --from=build /src/x /x
                EXPOSE 80/tcp
                HEALTHCHECK CMD ["/x", "check"]
                ENTRYPOINT ["/x"]
                CMD []
                """
            ).isEmpty)
    }

    @Test func stageNameCasing() throws {
        #expect(try found("FROM a AS Build") == ["StageNameCasing 1: Stage name 'Build' should be lowercase"])
    }

    @Test func fromAsCasing() throws {
        #expect(try found("FROM a as b") == ["FromAsCasing 1: 'as' and 'FROM' keywords' casing do not match"])
        #expect(try found("from a AS b") == ["FromAsCasing 1: 'AS' and 'from' keywords' casing do not match"])
        #expect(try found("from a as b").isEmpty)
    }

    @Test func noEmptyContinuation() throws {
        #expect(try found("FROM a\nRUN b \\\n\n c") == ["NoEmptyContinuation 4: Empty continuation line"])
    }

    @Test func consistentInstructionCasing() throws {
        #expect(
            try found("FROM a\nRUN b\nrun c\nRun d") == [
                "ConsistentInstructionCasing 3: Command 'run' should match the case of the command majority (uppercase)",
                "ConsistentInstructionCasing 4: Command 'Run' should match the case of the command majority (uppercase)",
            ])
        #expect(
            try found("from a\nrun b\nRUN c") == [
                "ConsistentInstructionCasing 3: Command 'RUN' should match the case of the command majority (lowercase)"
            ])
    }

    @Test func duplicateAndReservedStageNames() throws {
        #expect(
            try found("FROM a AS x\nFROM b AS x\nFROM c AS context\nFROM d AS scratch") == [
                "DuplicateStageName 2: Duplicate stage name \"x\", stage names should be unique",
                "ReservedStageName 3: Stage name should not use the same name as reserved stage \"context\"",
                "ReservedStageName 4: Stage name should not use the same name as reserved stage \"scratch\"",
            ])
    }

    @Test func jsonArgsRecommended() throws {
        #expect(
            try found("FROM a\nENTRYPOINT x\nCMD [\"a\", 'b']") == [
                "JSONArgsRecommended 2: JSON arguments recommended for ENTRYPOINT to prevent unintended behavior related to OS signals",
                "JSONArgsRecommended 3: JSON arguments recommended for CMD to prevent unintended behavior related to OS signals",
            ])
        #expect(try found("FROM a\nSHELL [\"/bin/bash\", \"-c\"]\nCMD x").isEmpty, "who chooses a shell wants one")
        #expect(try found("FROM a AS b\nSHELL [\"/bin/bash\", \"-c\"]\nFROM b\nCMD x").isEmpty)
    }

    @Test func brokenJSONArgs() throws {
        #expect(try found("FROM a\nRUN [\"b\", 'c']").isEmpty)
        #expect(
            try found("# check=experimental=BrokenJSONArgs\nFROM a\nRUN [\"b\", 'c']") == [
                "BrokenJSONArgs 3: Arguments of RUN look like a JSON array, but are none: a shell will get them"
            ])
    }

    @Test func maintainerDeprecated() throws {
        #expect(
            try found("FROM a\nMAINTAINER b") == ["MaintainerDeprecated 2: Maintainer instruction is deprecated in favor of using label"])
    }

    @Test func undefinedArgInFrom() throws {
        #expect(
            try found("ARG VERSION=1\nFROM alpine:${VERSOIN:-3}") == [
                "UndefinedArgInFrom 2: FROM argument 'VERSOIN' is not declared (did you mean VERSION?)"
            ])
        #expect(try found("FROM --platform=$BUILDPLATFORM a").isEmpty)
        #expect(try found("ARG none\nFROM a:${none:-3}").isEmpty, "declared without a value")
    }

    @Test func workdirRelativePath() throws {
        #expect(
            try found("FROM a\nWORKDIR b\nWORKDIR c") == [
                "WorkdirRelativePath 2: Relative workdir \"b\" can have unexpected results if the base image changes"
            ])
        #expect(try found("FROM a\nWORKDIR /b\nWORKDIR c").isEmpty)
        #expect(try found("FROM a AS x\nWORKDIR /b\nFROM x\nWORKDIR c").isEmpty)
        #expect(try found("FROM a\nENV d=/d\nWORKDIR $d/e").isEmpty)
    }

    @Test func undefinedVar() throws {
        #expect(
            try found("FROM a\nENV greeting=x\nCOPY $greting /a\nENV v=$v\nRUN $any") == [
                "UndefinedVar 3: Usage of undefined variable '$greting' (did you mean $greeting?)",
                "UndefinedVar 4: Usage of undefined variable '$v'",
            ])
        #expect(try found("FROM a\nARG b\nCOPY $b$PATH /a").isEmpty)
        #expect(try found("FROM a\nCOPY $GOPATH /a", environment: ["GOPATH=/go"]).isEmpty)
        #expect(try found("FROM a\nCOPY $GOPATH /a", environment: nil).isEmpty, "the base's environment is not known")
        #expect(try found("FROM scratch\nCOPY $GOPATH /a", environment: nil).count == 1)
    }

    @Test func multipleInstructionsDisallowed() throws {
        let file =
            "FROM a AS x\nCMD [\"a\"]\nCMD [\"b\"]\nENTRYPOINT [\"c\"]\nENTRYPOINT [\"d\"]\nHEALTHCHECK NONE\nHEALTHCHECK CMD e\nFROM x\nCMD [\"f\"]"
        let text = "instructions should not be used in the same stage because only the last one will be used"
        #expect(
            try found(file) == [
                "MultipleInstructionsDisallowed 2: Multiple CMD \(text)", "MultipleInstructionsDisallowed 4: Multiple ENTRYPOINT \(text)",
                "MultipleInstructionsDisallowed 6: Multiple HEALTHCHECK \(text)",
            ])
    }

    @Test func legacyKeyValueFormat() throws {
        #expect(
            try found("FROM a\nENV b c\nLABEL d e") == [
                "LegacyKeyValueFormat 2: \"ENV key=value\" should be used instead of legacy \"ENV key value\" format",
                "LegacyKeyValueFormat 3: \"LABEL key=value\" should be used instead of legacy \"LABEL key value\" format",
            ])
    }

    @Test func invalidBaseImagePlatform() throws {
        let stage = try Reading.file("FROM a").stages[0]
        let arm = Platform(os: "linux", architecture: "arm64")
        #expect(
            Linter.basePlatform("a", of: stage, expected: Reading.host, actual: arm)?.message
                == "Base image a was pulled with platform \"linux/arm64\", expected \"linux/amd64\" for current build")
        #expect(Linter.basePlatform("a", of: stage, expected: arm, actual: arm) == nil)
        #expect(Linter.basePlatform("a", of: stage, expected: Reading.host, actual: arm, try LintOptions("skip=all")) == nil)
    }

    @Test func redundantTargetPlatform() throws {
        #expect(
            try found("FROM --platform=$TARGETPLATFORM a") == [
                "RedundantTargetPlatform 1: Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior"
            ])
        #expect(try found("FROM --platform=${TARGETPLATFORM:-linux/arm64} a").count == 1)
    }

    @Test func secretsUsedInArgOrEnv() throws {
        for name in ["PASSWORD", "aws_secret_id", "GITHUB_TOKEN", "apiKey", "AUTH", "db_PASSWD"] {
            #expect(
                try found("FROM a\nARG \(name)") == [
                    "SecretsUsedInArgOrEnv 2: Do not use ARG or ENV instructions for sensitive data (ARG \"\(name)\")"
                ])
            #expect(try found("FROM a\nENV \(name)=x").count == 1)
        }
        for name in ["PUBLIC_KEY", "SECRET_FILE", "TOKEN_VERSION", "KEYBOARD", "AUTHOR", "MONKEY"] {
            #expect(try found("FROM a\nARG \(name)").isEmpty, "\(name)")
        }
    }

    @Test func invalidDefaultArgInFrom() throws {
        #expect(
            try found("ARG TAG\nFROM alpine:$TAG", ["TAG=3"]) == [
                "InvalidDefaultArgInFrom 2: Default value for ARG alpine:$TAG results in empty or invalid base image name"
            ])
        #expect(try found("ARG TAG\nFROM alpine:${TAG:-3}", ["TAG=3"]).isEmpty)
    }

    @Test func fromPlatformFlagConstDisallowed() throws {
        #expect(
            try found("FROM --platform=linux/arm64 a AS x") == [
                "FromPlatformFlagConstDisallowed 1: FROM --platform flag should not use constant value \"linux/arm64\""
            ])
        #expect(try found("FROM --platform=linux/arm64 a AS build-arm64").isEmpty)
        #expect(try found("ARG p=linux/arm64\nFROM --platform=$p a").isEmpty)
    }

    @Test func copyIgnoredFile() throws {
        #expect(
            try found("FROM a\nCOPY x/../tmp/file .\nADD tmp .\nCOPY --from=b tmp .\nADD https://x/tmp .\nCOPY . .", ignored: ["tmp"]) == [
                "CopyIgnoredFile 2: Attempting to Copy file \"tmp/file\" that is excluded by .dockerignore",
                "CopyIgnoredFile 3: Attempting to Add file \"tmp\" that is excluded by .dockerignore",
            ])
        #expect(try found("FROM a\nCOPY . .\nCOPY / .", ignored: ["**"]).count == 2)
        #expect(try found("FROM a\nCOPY tmp .", ignored: ["tmp", "!tmp/x"]).isEmpty, "with exceptions it cannot be told")
    }

    @Test func invalidDefinitionDescription() throws {
        let file =
            "# check=experimental=all\n# something\nFROM a AS b\n# b is right\nFROM c AS b2\n# arg text\nARG arg\n# other text\nARG x y\n# far\n\nARG z"
        #expect(
            try found(file).filter { $0.hasPrefix("InvalidD") && $0.contains("Desc") } == [
                "InvalidDefinitionDescription 3: Comment for FROM should follow the format: `# b <description>`",
                "InvalidDefinitionDescription 5: Comment for FROM should follow the format: `# b2 <description>`",
                "InvalidDefinitionDescription 9: Comment for ARG should follow the format: `# <arg_key> <description>`",
            ])
        #expect(try found("# something\nFROM a AS b").isEmpty, "experimental")
    }

    @Test func exposeProtoCasingAndInvalidFormat() throws {
        #expect(
            try found("FROM a\nEXPOSE 80/TCP 81\nEXPOSE 8080:80 127.0.0.1:1:2") == [
                "ExposeProtoCasing 2: Defined protocol '80/TCP' in EXPOSE instruction should be lowercase",
                "ExposeInvalidFormat 3: EXPOSE instruction should not define an IP address or host-port mapping, found '127.0.0.1:1:2'",
                "ExposeInvalidFormat 3: EXPOSE instruction should not define an IP address or host-port mapping, found '8080:80'",
            ])
    }

    // MARK: Which rules hold

    @Test func rulesCanBeSkipped() throws {
        let body = "FROM a as B\nMAINTAINER c"
        #expect(try found("# check=skip=StageNameCasing,FromAsCasing\n" + body).count == 1)
        #expect(try found("# check=skip=all\n" + body).isEmpty)
        #expect(try found("# check=skip=Unknown\n" + body).count == 3)
        #expect(try found("# check=skip=all\n" + body, ["BUILDKIT_DOCKERFILE_CHECK=skip=FromAsCasing"]).count == 2)
        #expect(try found("FROM a\n# check=skip=MaintainerDeprecated\nMAINTAINER c\nMAINTAINER d").count == 1)
    }

    @Test func warningsCanFailTheBuild() throws {
        let report = try report("# check=error=true\nFROM a as B\nFROM c as d")
        #expect(report.violation == "lint violation found for rules: StageNameCasing, FromAsCasing")
        #expect(try self.report("FROM a as B").violation == nil)
        #expect(try self.report("# check=error=true\nFROM a").violation == nil)
    }

    @Test(arguments: [
        ("skip", "invalid check option \"skip\""), ("foo=bar", "invalid check option \"foo\""),
        ("error=maybe", "failed to parse check option \"error=maybe\": invalid boolean"),
    ])
    func wrongOptionsAreRefused(text: String, message: String) throws {
        #expect(try report("# check=\(text)\nFROM a").error?.message == "failed to parse check options: \(message)")
    }

    @Test func onlyTheTargetsStagesAreLookedAt() throws {
        let file = "FROM scratch AS a\nCOPY $x b\nFROM scratch AS c\nCOPY $y d"
        #expect(try found(file).count == 2)
        #expect(try found(file, target: "a") == ["UndefinedVar 2: Usage of undefined variable '$x'"])
    }

    @Test func errorsAreReportedBesideWarnings() throws {
        let report = try report("FROM a as b\nCOPY --from=b c d")
        #expect(report.error?.message == "circular dependency detected on stage: b")
        #expect(report.warnings.count == 1)
        #expect(
            try self.report("FROM a\nRUM b").error?.description
                == "dockerfile parse error on line 2: unknown instruction: RUM (did you mean RUN?)")
    }

    @Test func allRulesOfDockerAreThere() {
        #expect(LintRule.all.count == 23)
        #expect(Set(LintRule.all.map(\.name)).count == 23)
        #expect(LintRule.all.filter(\.isExperimental).map(\.name) == ["InvalidDefinitionDescription", "BrokenJSONArgs"])
    }

    // MARK: Output

    @Test func theReportIsPrintedAsDockersIs() throws {
        let source = SourceText("FROM scratch\nMAINTAINER x\n")
        let report = Linter.check(source, Reading.options())
        #expect(
            report.rendered(in: source) == """
                Check complete, 1 warning has been found!

                WARNING: MaintainerDeprecated - https://docs.docker.com/go/dockerfile/rule/maintainer-deprecated/
                Maintainer instruction is deprecated in favor of using label
                Dockerfile:2
                --------------------
                   1 |     FROM scratch
                   2 | >>> MAINTAINER x
                   3 |     \n--------------------

                """)
        #expect(
            report.warnings[0].description == "MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label (line 2)")
        #expect(Linter.check(SourceText("FROM a"), Reading.options()).rendered(in: source) == "Check complete, no warnings found.\n")
    }

    @Test func theReportIsJSONToo() throws {
        let report = Linter.check(SourceText("FROM scratch\nMAINTAINER x\nCOPY --from=0 a b"), Reading.options())
        let value = try JSONValue.parse(JSONWriter.document { w in report.write(to: &w) })
        #expect(value["warnings"]?[0]?["ruleName"]?.string == "MaintainerDeprecated")
        #expect(value["warnings"]?[0]?["location"]?["ranges"]?[0]?["start"]?["line"]?.int == 2)
        #expect(value["buildError"]?["message"]?.string == "circular dependency detected on stage: stage-0")
    }
}
