import Engine
import Flags
import JSON
import Linux

/// `berth version`
struct VersionCommand {
    let session: Session
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let facts = SystemFacts.read()
        if CalledAs.current != .berth {
            try ForeignVersion(name: .current, facts: facts).print(session.arguments.string("format"), session)
            return 0
        }
        // One program is both of what Docker has as two; scripts ask for either.
        let versions: [String: JSONValue] = [
            "Version": .string(BerthProgram.version), "ApiVersion": "1.51", "Os": "linux",
            "Arch": .string(facts.architecture), "KernelVersion": .string(facts.kernel),
        ]
        func part(_ more: [JSONValue.Member]) -> JSONValue {
            .object(versions.sorted { $0.key < $1.key }.map { .init(key: $0.key, value: $0.value) } + more)
        }
        let object: JSONValue = .object([
            .init(key: "Client", value: part([.init(key: "Context", value: "default")])),
            .init(
                key: "Server",
                value: part([
                    .init(key: "Platform", value: .object([.init(key: "Name", value: "Berth")])),
                    .init(key: "MinAPIVersion", value: "1.24"),
                ])),
        ])
        let format = session.arguments.string("format")
        if !format.isEmpty {
            session.print(try Template(format).render(format == "json" ? object : Self.forTemplates(object), of: "versionInfo"))
            return 0
        }
        session.print("Client: Berth")
        session.print(" Version:           \(BerthProgram.version)")
        session.print(" OS/Arch:           linux/\(facts.architecture)")
        session.print(" Kernel:            \(facts.kernel)")
        session.print("")
        session.print("Runtime:")
        session.print(" Name:              berth-runtime")
        session.print(" Path:              \(session.engine.runtimeProgram)")
        return 0
    }
}

extension VersionCommand {
    /// With the fields that templates call otherwise than documents do: `{{.Server.APIVersion}}` is `ApiVersion` there.
    static func forTemplates(_ object: JSONValue) -> JSONValue {
        guard case .object(let members) = object else { return object }
        return .object(
            members.map { part in
                .init(key: part.key, value: part.value.with([("APIVersion", part.value["ApiVersion"] ?? "")]))
            })
    }
}

/// `berth info`
struct InfoCommand {
    let session: Session
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        var info = try engine { () throws(EngineError) in try session.engine.information() }
        info.version = CalledAs.current.version
        if CalledAs.current == .podman {
            try likePodman(info)
            return 0
        }
        let format = session.arguments.string("format")
        if !format.isEmpty {
            let object: JSONValue
            do throws(JSONError) { object = try JSONValue.parse(info.encode()) } catch {
                throw CommandError(error.description)
            }
            session.print(try Template(format).render(object, of: "info"))
            return 0
        }
        session.print("Client: Berth")
        session.print(" Version:    \(BerthProgram.version)")
        session.print("")
        session.print("Engine:")
        for (name, value) in info.lines { session.print(" \(name): \(value)") }
        return 0
    }
}

extension InfoCommand {
    private func likePodman(_ info: EngineInformation) throws(CommandError) {
        let podman = PodmanInformation(info: info, runtime: session.engine.runtimeProgram)
        switch session.arguments.string("format") {
        case "": for line in YAMLText.lines(podman.document) { session.print(line) }
        case "json": session.print(PodmanFields.text(podman.document, indent: "  "))
        case let format: session.print(try Template(format).render(podman.template, of: "*define.Info"))
        }
    }
}

/// `berth system check`
struct SystemCheckCommand {
    let session: Session
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        if let status = try session.delegated(telling: session.engine.outsideFacts()) { return status }
        let repair = session.arguments.bool("repair")
        let quick = session.arguments.bool("quick")
        let checked = session.engine
        // The engine lives until exit in any case.
        checked.repull = { (reference, digest) throws(EngineError) in try checked.refetch(reference, digest) }
        let force = session.arguments.bool("force")
        if force, !repair { throw CommandError("--force says what --repair may remove: give both") }
        var age: Int64?
        if session.arguments.isSet("max") {
            age = (session.arguments.int64("max") ?? 0) / 1_000_000_000
            if let age, age < 0 { throw CommandError("--max cannot be negative") }
        }
        let findings = try engine { () throws(EngineError) in
            try checked.findings(repair: repair, quick: quick, force: force, leftoverAge: age)
        }
        let format = session.arguments.string("format")
        if !format.isEmpty {
            let object = JSONValue.array(
                findings.map { finding in
                    .object([
                        .init(key: "Name", value: .string(finding.name)),
                        .init(key: "OK", value: .bool(finding.isGood)),
                        .init(key: "Text", value: .string(finding.text)),
                        .init(key: "Fix", value: .string(finding.fix)),
                    ])
                })
            session.print(try Template(format).render(object, of: "check"))
        } else {
            for finding in findings {
                session.print(
                    "\(finding.isGood ? "ok  " : finding.isFatal ? "FAIL" : "warn") \(finding.name): \(finding.text)")
                if !finding.isGood, !finding.fix.isEmpty { session.print("     type: \(finding.fix)") }
            }
        }
        return findings.contains { $0.isFatal && !$0.isGood } ? 1 : 0
    }
}
