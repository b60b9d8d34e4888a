import OCI
import Testing

@testable import Dockerfile

@Suite struct ScopeTests {
    /// What the last instruction, `LABEL x=…`, says.
    private func value(_ text: String, _ arguments: [String] = [], base: [String] = []) throws -> String? {
        guard case .label(let pairs) = try Reading.evaluated(text, arguments, base: base).command.command.instruction else { return nil }
        return pairs.only?.value.text
    }

    // MARK: ARG and ENV

    @Test func theLaterOneOfArgAndEnvWins() throws {
        #expect(try value("FROM a\nARG v=arg\nENV v=env\nLABEL x=$v", ["v=given"]) == "env")
        #expect(try value("FROM a\nENV v=env\nARG v=arg\nLABEL x=$v") == "arg")
        #expect(try value("FROM a\nENV v=env\nARG v\nLABEL x=$v") == "env")
        #expect(try value("FROM a\nARG v=arg\nLABEL x=$v", base: ["v=base"]) == "arg")
        #expect(try value("FROM a\nARG v\nENV v=${v:-default}\nLABEL x=$v", ["v=given"]) == "given")
        #expect(try value("FROM a\nARG v\nENV v=${v:-default}\nLABEL x=$v") == "default")
    }

    @Test func onlyWhatEnvSetsGoesIntoTheImage() throws {
        let scope = try Reading.evaluated("FROM a\nARG v=arg\nENV e=1 f=$v\nARG e=2", base: ["PATH=/bin"]).scope
        #expect(scope.imageEnvironment.list == ["PATH=/bin", "e=1", "f=arg"])
        #expect(scope.environment.list == ["PATH=/bin", "v=arg", "e=2", "f=arg"])
        #expect(scope.arguments.map(\.name) == ["v", "e"])
    }

    @Test func theWordsOfOneEnvSeeWhatWasBefore() throws {
        #expect(try value("FROM a\nENV a=hello\nENV a=bye b=$a\nLABEL x=$b") == "hello")
    }

    @Test func argumentsOfOneInstructionSeeEachOther() throws {
        #expect(try value("FROM a\nARG a=1 b=$a-2 c=$b-3\nLABEL x=$c") == "1-2-3")
    }

    @Test func emptyIsSetAndAbsentIsNot() throws {
        #expect(try value("FROM a\nARG v=\nLABEL x=${v-unset}${v:-empty}") == "empty")
        #expect(try value("FROM a\nARG v\nLABEL x=${v-unset}") == "unset")
        #expect(try value("FROM a\nARG v=1\nLABEL x=${v-unset}", ["v="]) == "")
    }

    // MARK: The global scope

    @Test func stagesSeeGlobalArgumentsOnlyWhenTheyAsk() throws {
        #expect(try value("ARG v=1\nFROM a\nLABEL x=$v") == "")
        #expect(try value("ARG v=1\nFROM a\nARG v\nLABEL x=$v") == "1")
        #expect(try value("ARG v=1\nFROM a\nARG v=2\nLABEL x=$v") == "2")
        #expect(try value("ARG v=1\nFROM a\nARG v\nLABEL x=$v", ["v=3"]) == "3")
    }

    @Test func fromUsesGlobalArguments() throws {
        let file = try Reading.file("ARG tag=3 image=alpine:$tag\nARG none\nFROM $image\nFROM ${none:-x}\nFROM $gone\n")
        let global = try GlobalScope(file, Reading.options(["tag=4"]))
        #expect(try global.base(of: file.stages[0]).text == "alpine:4")
        #expect(try global.base(of: file.stages[1]) == .init(text: "x", used: [], unset: ["none"]))
        #expect(throws: Diagnostic.self) { try global.base(of: file.stages[2]) }
    }

    @Test func platformsArePredefined() throws {
        let file = try Reading.file(
            "FROM --platform=$BUILDPLATFORM a AS x\nARG TARGETOS TARGETARCH TARGETVARIANT TARGETPLATFORM TARGETSTAGE\n"
                + "LABEL x=$TARGETPLATFORM,$TARGETOS,$TARGETARCH,$TARGETVARIANT,$TARGETSTAGE,$BUILDARCH")
        let options = ScopeOptions(
            targetPlatform: Platform(os: "linux", architecture: "arm", variant: "v7"), buildPlatform: Reading.host)
        let global = try GlobalScope(file, options)
        for (name, wanted) in [
            ("TARGETPLATFORM", "linux/arm/v7"), ("TARGETOS", "linux"), ("TARGETARCH", "arm"), ("TARGETVARIANT", "v7"),
            ("BUILDPLATFORM", "linux/amd64"), ("BUILDOS", "linux"), ("BUILDARCH", "amd64"), ("BUILDVARIANT", ""), ("TARGETSTAGE", "x"),
        ] {
            #expect(global.environment.value(of: name) == wanted, "\(name)")
        }
        #expect(try global.platform(of: file.stages[0])?.platform == Reading.host)
        var scope = StageScope(global)
        var last: EvaluatedCommand?
        for command in file.stages[0].commands { last = try scope.evaluate(command) }
        guard case .label(let pairs)? = last?.command.instruction else { return }
        #expect(pairs[0].value.text == "linux/arm/v7,linux,arm,v7,x,")
        #expect(last?.undefined.map(\.text) == ["BUILDARCH"])
    }

    @Test func theTargetsNameHasADefault() throws {
        let file = try Reading.file("FROM a AS x\nFROM b")
        #expect(try GlobalScope(file, Reading.options()).environment.value(of: "TARGETSTAGE") == "default")
        #expect(try GlobalScope(file, Reading.options(target: "x")).environment.value(of: "TARGETSTAGE") == "x")
        #expect(try GlobalScope(file, Reading.options(["TARGETSTAGE=y"])).environment.value(of: "TARGETSTAGE") == "y")
    }

    @Test func badPlatformsAreRefused() throws {
        for (text, message) in [
            ("FROM --platform=$x a", "empty platform value from expression $x"),
            ("FROM --platform=$TARGETPLATFROM a", "empty platform value from expression $TARGETPLATFROM (did you mean TARGETPLATFORM?)"),
            ("FROM --platform=a/b/c/d a", "failed to parse platform a/b/c/d: expected os[/architecture[/variant]] such as linux/arm64"),
        ] {
            let file = try Reading.file(text)
            let global = try GlobalScope(file, Reading.options())
            do throws(Diagnostic) {
                _ = try global.platform(of: file.stages[0])
                Issue.record("\(text) is accepted")
            } catch { #expect(error.description == message) }
        }
    }

    @Test func proxiesAreGivenToRunInBothCases() {
        let given = BuildEnvironment(list: ["https_proxy=b", "HTTP_PROXY=a", "other=c", "ALL_PROXY=d", "FTP_PROXY=e", "no_proxy=f"])
        #expect(
            PredefinedArguments.proxyVariables(given).map { $0.name + "=" + $0.value } == [
                "ALL_PROXY=d", "all_proxy=d", "FTP_PROXY=e", "ftp_proxy=e", "HTTP_PROXY=a", "http_proxy=a", "HTTPS_PROXY=b",
                "https_proxy=b", "NO_PROXY=f", "no_proxy=f",
            ])
        #expect(PredefinedArguments.proxies.count == 10)
    }

    @Test func proxiesAreNoVariablesOfWords() throws {
        #expect(try value("FROM a\nLABEL x=$HTTP_PROXY", ["HTTP_PROXY=p"]) == "")
        #expect(try value("FROM a\nARG HTTP_PROXY\nLABEL x=$HTTP_PROXY", ["HTTP_PROXY=p"]) == "p")
    }

    @Test func theBuildersArgumentsAreKnown() throws {
        #expect(PredefinedArguments.builder.contains("SOURCE_DATE_EPOCH"))
        // Those that speak to the builder about a stage are seen by no word.
        let scope = try Reading.evaluated("FROM a\nARG BUILDKIT_SBOM_SCAN_STAGE=true SOURCE_DATE_EPOCH=1").scope
        #expect(scope.environment.list == ["SOURCE_DATE_EPOCH=1"])
        #expect(scope.arguments.map(\.value) == ["true", "1"])
        #expect(PredefinedArguments.isEnabled("a,b", for: "b") && !PredefinedArguments.isEnabled("a,b", for: "c"))
        #expect(PredefinedArguments.isEnabled("1", for: "c") && !PredefinedArguments.isEnabled("false", for: "c"))
    }

    // MARK: Stages on stages

    @Test func aStageOnAStageHasItsVariables() throws {
        let file = try Reading.file("FROM a AS one\nARG v=1\nENV e=2\nFROM one\nLABEL x=$v$e")
        var first = StageScope(try GlobalScope(file, Reading.options()))
        for command in file.stages[0].commands { _ = try first.evaluate(command) }
        var second = StageScope(on: first)
        let evaluated = try second.evaluate(file.stages[1].commands[0])
        guard case .label(let pairs) = evaluated.command.instruction else { return }
        #expect(pairs[0].value.text == "12")
        #expect(evaluated.used == ["v", "e"])
    }

    // MARK: Which words are expanded

    @Test(arguments: [
        ("ADD $v ${v}.d /$v", ["v", "v.d", "/v"]), ("COPY --chown=$v --chmod=6${m}4 $v /$v/", ["v", "/v/", "v", "644"]),
        ("ENV $v=$v", ["v", "v"]), ("LABEL $v=$v", ["v", "v"]), ("EXPOSE $p $p/udp", ["80", "80/udp"]), ("STOPSIGNAL SIG$v", ["SIGv"]),
        ("USER $v:$v", ["v:v"]), ("VOLUME $v /$v", ["v", "/v"]), ("WORKDIR /$v", ["/v"]), ("VOLUME [\"$v\"]", ["v"]),
        // These are for a shell, or for later.
        ("RUN echo $v", ["echo $v"]), ("CMD echo $v", ["echo $v"]), ("ENTRYPOINT [\"$v\"]", ["$v"]), ("SHELL [\"$v\"]", ["$v"]),
        ("HEALTHCHECK CMD $v", ["$v"]), ("MAINTAINER $v", ["$v"]), ("ONBUILD RUN $v", ["RUN $v"]),
        ("COPY --exclude=$v a b", ["a", "b", "$v"]),
    ])
    func wordsAreExpandedWhereDockerDoes(text: String, words: [String]) throws {
        let evaluated = try Reading.evaluated("FROM a\nENV v=v m=4 p=80\n" + text).command
        #expect(Self.words(evaluated.command.instruction) == words)
    }

    private static func words(_ instruction: Instruction) -> [String] {
        switch instruction {
        case .add(let add): words(add.transfer)
        case .copy(let copy): words(copy.transfer)
        case .env(let pairs), .label(let pairs): pairs.flatMap { [$0.name.text, $0.value.text] }
        case .expose(let expose): expose.ports.map(\.text)
        case .stopsignal(let word), .user(let word), .workdir(let word), .maintainer(let word): [word.text]
        case .volume(let words), .shell(let words): words.map(\.text)
        case .run(let run): run.command.configured(shell: [])
        case .cmd(let line), .entrypoint(let line): line.configured(shell: [])
        case .healthcheck(let check): Array(check.words.dropFirst())
        case .onbuild(let onbuild): [onbuild.expression]
        case .arg: []
        }
    }

    private static func words(_ transfer: Transfer) -> [String] {
        (transfer.sources + [transfer.destination] + [transfer.chown, transfer.chmod].compactMap { $0 } + transfer.excludes).map(\.text)
    }

    @Test func whatIsUsedAndWhatIsUndefinedIsTold() throws {
        let evaluated = try Reading.evaluated("FROM a\nARG known\nENV v=1\nWORKDIR /$v/$known/$gone/${PATH}", base: ["PATH=/x"]).command
        #expect(evaluated.used == ["v", "PATH"])
        #expect(evaluated.undefined.map(\.text) == ["gone"])
        #expect(evaluated.undefined.map(\.range.text) == ["4:9-4:33"])
    }

    // MARK: What comes out is checked

    @Test(arguments: [
        ("COPY https://x/y /", "source can't be a URL for COPY"), ("COPY git@github.com:a/b.git /", "source can't be a git ref for COPY"),
        ("COPY --chmod=9 a b", "invalid chmod parameter: '9'. it should be octal string and between 0 and 07777"),
        ("COPY --chmod=77777 a b", "invalid chmod parameter: '77777'. it should be octal string and between 0 and 07777"),
        ("COPY --chmod=u~x a b", "invalid chmod parameter: 'u~x'. it should be octal string and between 0 and 07777"),
        ("ADD --checksum=sha256:a b c d", "checksum can't be specified for multiple sources"),
        ("ADD --checksum=sha256:a b c", "checksum requires HTTP(S) or Git sources"),
        ("ADD https://x/y.git?foo=1 /", "unexpected query \"foo\""), ("VOLUME ${none}", "VOLUME specified can not be an empty string"),
        ("EXPOSE 70000", "invalid containerPort: 70000"), ("EXPOSE 80/http", "invalid port: \"80/http\": invalid proto: http"),
        ("WORKDIR ${x", "failed to process \"${x\": syntax error: missing '}'"),
        ("ENV a=${b:?needed}", "failed to process \"${b:?needed}\": b: needed"),
    ])
    func evaluatedInstructionsAreRefusedWithDockersWords(text: String, message: String) throws {
        #expect(try Reading.evaluationRefusal("FROM a\n" + text) == message)
    }

    @Test func defaultsThatAreNotUsedNeedNotExpand() throws {
        #expect(try value("FROM a\nARG v=${x:?no}\nLABEL x=$v", ["v=given"]) == "given")
        #expect(try Reading.evaluationRefusal("FROM a\nARG v=${x:?no}") == "failed to process \"${x:?no}\": x: no")
        #expect(try Reading.evaluationRefusal("ARG v=${x:?no}\nFROM a") == "failed to process \"${x:?no}\": x: no")
    }

    @Test func modesAndPortsAreReady() throws {
        #expect(try Reading.evaluated("FROM a\nCOPY --chmod=u=rwX,go=rX a b").command.mode != nil)
        #expect(try Reading.evaluated("FROM a\nADD --chmod=4755 a b").command.mode == .absolute(0o4755))
        #expect(try Reading.evaluated("FROM a\nCOPY a b").command.mode == nil)
        let ports = try Reading.evaluated("FROM a\nENV more='9000 9001/UDP'\nEXPOSE $more 80-82/sctp").command.ports
        #expect(ports.map(\.description) == ["9000/tcp", "9001/udp", "80/sctp", "81/sctp", "82/sctp"])
    }
}
