import Testing

@testable import Dockerfile

@Suite struct InstructionTests {
    @Test func fromNamesABaseAndAStage() throws {
        let file = try Reading.file("FROM --platform=$BUILDPLATFORM alpine:3 AS Build\nFROM build\nFROM a@sha256:b as x.y_z-1")
        #expect(file.stages.map(\.base.text) == ["alpine:3", "build", "a@sha256:b"])
        #expect(file.stages.map(\.name) == ["build", "", "x.y_z-1"])
        #expect(file.stages[0].platform?.text == "$BUILDPLATFORM")
        #expect(file.stages[0].writtenName?.text == "Build")
        #expect(file.stages.map(\.displayName) == ["build", "stage-1", "x.y_z-1"])
        #expect(file.stage(named: "BUILD")?.index == 0)
    }

    @Test func runHasItsForms() throws {
        func line(_ text: String) throws -> ShellOrExec? {
            switch try Reading.instruction(text) {
            case .run(let run): run.command
            case .cmd(let line), .entrypoint(let line): line
            default: nil
            }
        }
        #expect(try line("RUN echo  hi # x")?.configured() == ["/bin/sh", "-c", "echo  hi # x"])
        #expect(try line("RUN [ \"echo\" , \"a b\" ]")?.configured() == ["echo", "a b"])
        #expect(try line("CMD echo $HOME")?.configured(shell: ["/bin/bash", "-lc"]) == ["/bin/bash", "-lc", "echo $HOME"])
        #expect(try line("CMD [\"param\"]")?.usesShell == false)
        #expect(try line("CMD []")?.configured() == [])
        #expect(try line("ENTRYPOINT [\"/a\"]")?.configured() == ["/a"])
        #expect(try line("ENTRYPOINT")?.form == ShellOrExec.Form.none)
        #expect(try line("RUN [\"echo\", 'x']")?.usesShell == true)
    }

    @Test func runHasFlags() throws {
        guard
            case .run(let run) = try Reading.instruction(
                "RUN --network=none --security=insecure --device=vendor.com/gpu=a,required --device=name=x/y --mount=type=tmpfs,target=/t true"
            )
        else {
            Issue.record("no RUN")
            return
        }
        #expect(run.network == .none)
        #expect(run.security == .insecure)
        #expect(run.devices == [DeviceRequest(name: "vendor.com/gpu=a", isRequired: true), DeviceRequest(name: "x/y", isRequired: false)])
        #expect(run.mounts.count == 1)
        #expect(run.flagNames == ["network", "security", "device", "mount"])
        #expect(run.command.configured().last == "true")
    }

    @Test func envAndLabelHaveTwoForms() throws {
        func pairs(_ text: String) throws -> [String] {
            switch try Reading.instruction(text) {
            case .env(let pairs), .label(let pairs): pairs.map { "\($0.name)|\($0.value)|\($0.hasEquals)" }
            default: []
            }
        }
        #expect(try pairs("ENV a=1 b=\"x y\" c=x\\ y d=") == ["a|1|true", "b|\"x y\"|true", "c|x\\ y|true", "d||true"])
        #expect(try pairs("ENV a  some value = here") == ["a|some value = here|false"])
        #expect(try pairs("LABEL com.example=\"a=b\" 'x y'=z") == ["com.example|\"a=b\"|true", "'x y'|z|true"])
        #expect(try pairs("LABEL a b") == ["a|b|false"])
    }

    @Test func argTakesSeveralNames() throws {
        guard case .arg(let arg) = try Reading.instruction("# b is a thing\nARG a b=1 c='x y' d=") else {
            Issue.record("no ARG")
            return
        }
        #expect(arg.arguments.map(\.name.text) == ["a", "b", "c", "d"])
        #expect(arg.arguments.map(\.value?.text) == [nil, "1", "'x y'", ""])
        #expect(arg.arguments.map(\.description) == ["", "is a thing", "", ""])
    }

    @Test func copyHasAllItsFlags() throws {
        guard
            case .copy(let copy) = try Reading.instruction(
                "COPY --from=base --chown=a:b --chmod=u+x --link --parents --exclude=*.o --exclude=b/** x y /z/")
        else {
            Issue.record("no COPY")
            return
        }
        #expect(copy.from?.text == "base")
        #expect(copy.parents && copy.transfer.link)
        #expect(copy.transfer.chown?.text == "a:b")
        #expect(copy.transfer.chmod?.text == "u+x")
        #expect(copy.transfer.excludes.map(\.text) == ["*.o", "b/**"])
        #expect(copy.transfer.sources.map(\.text) == ["x", "y"])
        #expect(copy.transfer.destination.text == "/z/")
    }

    @Test func addHasAllItsFlags() throws {
        guard
            case .add(let add) = try Reading.instruction(
                "ADD --checksum=sha256:a --keep-git-dir=false --unpack --link=FALSE --chown=1 --chmod=644 --exclude=a https://x/y /")
        else {
            Issue.record("no ADD")
            return
        }
        #expect(add.checksum?.text == "sha256:a")
        #expect(add.keepGitDirectory == false)
        #expect(add.unpack == true)
        #expect(!add.transfer.link)
        guard case .add(let plain) = try Reading.instruction("ADD a b") else { return }
        #expect(plain.keepGitDirectory == nil && plain.unpack == nil && plain.checksum == nil)
    }

    @Test func filesInAnArrayMayHaveBlanks() throws {
        guard case .copy(let copy) = try Reading.instruction("COPY [\"a b\", \"c\", \"/d e/\"]") else {
            Issue.record("no COPY")
            return
        }
        #expect(copy.transfer.sources.map(\.text) == ["a b", "c"])
        #expect(copy.transfer.destination.text == "/d e/")
    }

    @Test func volumesAreWordsOrAnArray() throws {
        func volumes(_ text: String) throws -> [String] {
            if case .volume(let words) = try Reading.instruction(text) { words.map(\.text) } else { [] }
        }
        #expect(try volumes("VOLUME /a /b") == ["/a", "/b"])
        #expect(try volumes("VOLUME [\"/a b\", \" /c \"]") == ["/a b", "/c"])
    }

    @Test func singleWordsKeepTheirBlanks() throws {
        func word(_ text: String) throws -> String? {
            switch try Reading.instruction(text) {
            case .user(let word), .workdir(let word), .stopsignal(let word), .maintainer(let word): word.text
            default: nil
            }
        }
        #expect(try word("USER 1000:1000") == "1000:1000")
        #expect(try word("WORKDIR /a b  ") == "/a b")
        #expect(try word("STOPSIGNAL SIGQUIT") == "SIGQUIT")
        #expect(try word("MAINTAINER A B <a@b>") == "A B <a@b>")
    }

    @Test func shellIsAnArray() throws {
        guard case .shell(let words) = try Reading.instruction("SHELL [\"/bin/bash\", \"-c\"]") else {
            Issue.record("no SHELL")
            return
        }
        #expect(words.map(\.text) == ["/bin/bash", "-c"])
    }

    @Test func healthcheckHasItsForms() throws {
        func check(_ text: String) throws -> HealthcheckInstruction? {
            if case .healthcheck(let check) = try Reading.instruction(text) { check } else { nil }
        }
        #expect(try check("HEALTHCHECK none")?.words == ["NONE"])
        #expect(try check("HEALTHCHECK CMD curl -f x || exit 1")?.words == ["CMD-SHELL", "curl -f x || exit 1"])
        let full = try check(
            "HEALTHCHECK --interval=1m30s --timeout=5s --start-period=0s --start-interval=1.5s --retries=7 cmd [\"a\", \"b\"]")
        #expect(full?.words == ["CMD", "a", "b"])
        #expect(full?.interval == 90_000_000_000)
        #expect(full?.timeout == 5_000_000_000)
        #expect(full?.startPeriod == 0)
        #expect(full?.startInterval == 1_500_000_000)
        #expect(full?.retries == 7)
    }

    @Test func onbuildKeepsItsInstruction() throws {
        guard case .onbuild(let onbuild) = try Reading.instruction("ONBUILD  COPY --from=x \\\n a b") else {
            Issue.record("no ONBUILD")
            return
        }
        #expect(onbuild.expression == "COPY --from=x  a b")
        let trigger = try ParsedDockerfile.trigger(onbuild.expression, from: SourceText("FROM a").range(ofLines: 1...1))
        guard case .copy(let copy) = trigger.instruction else {
            Issue.record("no COPY")
            return
        }
        #expect(copy.from?.text == "x")
        #expect(trigger.range.start.line == 1)
    }

    @Test(arguments: [
        ("RUN a\nRUN b", "onbuild trigger should be a single expression"), ("FROM a", "FROM isn't allowed as an ONBUILD trigger"),
        ("RUM a", "unknown instruction: RUM (did you mean RUN?)"), ("", "the Dockerfile cannot be empty"),
    ])
    func triggersOfImagesAreChecked(text: String, message: String) {
        let range = SourceText("FROM a").range(ofLines: 1...1)
        do throws(Diagnostic) {
            _ = try ParsedDockerfile.trigger(text, from: range)
            Issue.record("\(text) is accepted")
        } catch { #expect(error.message == message) }
    }

    /// What stands behind `dockerfile parse error on line 2: `.
    @Test(arguments: [
        ("RUM true", "unknown instruction: RUM (did you mean RUN?)"), ("runn true", "unknown instruction: runn (did you mean run?)"),
        ("Blah a", "unknown instruction: Blah"), ("ENTRYPONT a", "unknown instruction: ENTRYPONT (did you mean ENTRYPOINT?)"),
        ("FROM", "FROM requires either one or three arguments"), ("FROM a b c", "FROM requires either one or three arguments"),
        ("FROM a AS 1x", "invalid name for build stage: \"1x\", name can't start with a number or contain symbols"),
        ("FROM a AS x/y", "invalid name for build stage: \"x/y\", name can't start with a number or contain symbols"),
        ("FROM --platfrom=x a", "unknown flag: --platfrom (did you mean platform?)"), ("FROM --x a", "unknown flag: --x"),
        ("FROM --platform a", "missing a value on flag: --platform"), ("ENV", "ENV requires at least one argument"),
        ("ENV =a", "ENV names can not be blank"), ("LABEL", "LABEL requires at least one argument"),
        ("ARG", "ARG requires at least one argument"), ("ARG =x", "ARG names can not be blank"),
        ("EXPOSE", "EXPOSE requires at least one argument"), ("VOLUME", "VOLUME requires at least one argument"),
        ("VOLUME [\"\"]", "VOLUME specified can not be an empty string"), ("ONBUILD", "ONBUILD requires at least one argument"),
        ("ONBUILD ONBUILD RUN a", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"),
        ("ONBUILD FROM a", "FROM isn't allowed as an ONBUILD trigger"),
        ("ONBUILD maintainer a", "MAINTAINER isn't allowed as an ONBUILD trigger"), ("USER", "USER requires exactly one argument"),
        ("WORKDIR", "WORKDIR requires exactly one argument"), ("STOPSIGNAL", "STOPSIGNAL requires exactly one argument"),
        ("MAINTAINER", "MAINTAINER requires exactly one argument"), ("SHELL", "SHELL requires at least one argument"),
        ("SHELL []", "SHELL requires at least one argument"), ("SHELL bash -c", "SHELL requires the arguments to be in JSON form"),
        ("COPY a", "COPY requires at least two arguments, but only one was provided. Destination could not be determined"),
        ("ADD a", "ADD requires at least two arguments, but only one was provided. Destination could not be determined"),
        ("COPY --link=maybe a b", "expecting boolean value for flag --link, not: maybe"),
        ("COPY --link= a b", "missing a value on flag: --link"),
        ("COPY --from=a --from=b c d", "duplicate flag specified: --from"),
        ("COPY --form=a b c", "unknown flag: --form (did you mean from?)"),
        ("COPY --checksum=a b c", "unknown flag: --checksum"), ("ADD --from=a b c", "unknown flag: --from"),
        (
            "COPY --from=$x a b",
            "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround"
        ),
        ("RUN --network=bridge a", "invalid network mode \"bridge\""), ("RUN --security=x a", "security \"x\" is not valid"),
        ("RUN --mount=from=$x,target=/a b", "'from' doesn't support variable expansion, define alias stage instead"),
        ("RUN --device=a,b c", "invalid field 'b' must be a key=value pair"),
        ("RUN --device=a,nmae=b c", "unexpected key 'nmae' in 'nmae=b' (did you mean name?)"),
        ("RUN --device=a,name=b c", "device name already set to a"), ("RUN --device=a,required=x c", "invalid value for required: x"),
        ("CMD --x a", "unknown flag: --x"), ("HEALTHCHECK", "HEALTHCHECK requires at least one argument"),
        ("HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments"), ("HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD"),
        ("HEALTHCHECK CMD []", "Missing command after HEALTHCHECK CMD"),
        ("HEALTHCHECK curl x", "Unknown type \"CURL\" in HEALTHCHECK (try CMD)"),
        ("HEALTHCHECK --interval=5 CMD x", "time: missing unit in duration \"5\""),
        ("HEALTHCHECK --timeout=x CMD x", "time: invalid duration \"x\""),
        ("HEALTHCHECK --interval=5x CMD x", "time: unknown unit \"x\" in duration \"5x\""),
        ("HEALTHCHECK --interval=1us CMD x", "Interval \"interval\" cannot be less than 1ms"),
        ("HEALTHCHECK --start-period=-1s CMD x", "Interval \"start-period\" cannot be less than 1ms"),
        ("HEALTHCHECK --retries=-1 CMD x", "--retries cannot be negative (-1)"),
        ("HEALTHCHECK --retries=x CMD x", "strconv.ParseInt: parsing \"x\": invalid syntax"),
        ("HEALTHCHECK --retries=99999999999 CMD x", "strconv.ParseInt: parsing \"99999999999\": value out of range"),
    ])
    func instructionsAreRefusedWithDockersWords(text: String, message: String) {
        #expect(Reading.refusal("FROM scratch\n" + text) == "dockerfile parse error on line 2: " + message)
    }

    /// These are found before any instruction is looked at.
    @Test(arguments: [
        ("ENV a", "ENV must have two arguments"), ("LABEL a", "LABEL must have two arguments"),
        ("ENV a=b c", "Syntax error - can't find = in \"c\". Must be of the form: name=value"),
    ])
    func linesAreRefusedWithDockersWords(text: String, message: String) { #expect(Reading.refusal("FROM a\n" + text) == message) }
}

/// What only buildah has: Containerfiles use it.
@Suite struct ExtensionTests {
    @Test func stagesCanBeOrdered() throws {
        let file = try Reading.file("FROM a AS x\nFROM b AS y\nFROM --after=x --after=1 c")
        let graph = try StageGraph(file, try GlobalScope(file, Reading.options()))
        #expect(graph.nodes[2].dependencies == [.stage(0), .stage(1)])
        #expect(graph.needed == [0, 1, 2])
        let wrong = try Reading.file("FROM --after=x a")
        #expect(throws: Diagnostic.self) { try StageGraph(wrong, try GlobalScope(wrong, Reading.options())) }
    }

    @Test func mountsCanBeRelabelledAndOwned() throws {
        func mount(_ text: String) throws -> RunMount {
            try #require(try Reading.evaluated("FROM a\nRUN --mount=target=/x,\(text) true").command.mounts.only)
        }
        #expect(try mount("z").relabel == .shared)
        #expect(try mount("Z").relabel == .private)
        #expect(try mount("relabel=private").relabel == .private)
        #expect(try mount("U").changesOwner && mount("chown=true").changesOwner)
        #expect(try !mount("U=false").changesOwner && mount("ro").relabel == nil)
    }

    @Test(arguments: [
        ("u", "invalid field 'u' must be a key=value pair"), ("relabel=x", "unexpected key 'relabel' in 'relabel=x'"),
        ("chown=me", "unexpected key 'chown' in 'chown=me'"),
    ])
    func otherOptionsAreRefused(text: String, message: String) throws {
        #expect(try Reading.evaluationRefusal("FROM a\nRUN --mount=target=/x,\(text) true") == message)
    }
}
