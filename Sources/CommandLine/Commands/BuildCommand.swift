import Build
import CLinux
import Dockerfile
import Engine
import Flags
import Glibc
import Linux
import OCI

/// `berth build`
struct BuildCommand {
    let session: Session
    private var arguments: ParsedArguments { session.arguments }
    init(_ session: Session) { self.session = session }

    func run() throws(CommandError) -> Int32 {
        let place = arguments.positionals[0]
        if place == "-" || place.contains("://") || place.hasPrefix("git@") {
            throw CommandError("not supported yet: a build context that is no directory: \(place)", status: 125)
        }
        if arguments.string("progress") == "json" { throw CommandError("not supported yet: --progress json", status: 125) }
        let names = try names()
        let root = try open(place)
        // Standard input is read by who builds.
        do throws(EngineError) {
            if let status = try session.engine.delegateBuild(["berth"] + session.commandLine) { return status }
        } catch { throw CommandError(error) }
        let source = try dockerfile(root, place)
        var request = BuildRequest(source.text, platform: Engine.hostPlatform())
        request.context = try context(root, place, dockerfile: source.path)
        request.names = names
        request.target = arguments.string("target")
        request.usesCache = !arguments.bool("no-cache")
        do throws(EngineError) {
            try readVariables(into: &request)
            try readContainer(into: &request.container)
        } catch { throw CommandError(error) }
        let isQuiet = arguments.bool("quiet") || arguments.string("progress") == "quiet"
        let progress = BuildProgress(session, isQuiet: isQuiet, pulls: arguments.bool("pull"))
        do throws(BuildFailure) {
            let image = try Builder(request, session.engine, progress).build()
            try? session.engine.collectBuildCache()
            session.tellWarnings()
            if let path = arguments.optionalString("iidfile") { try write(image.id, to: path) }
            if isQuiet { session.print(image.id) } else { progress.finish(image.id, names.map(\.familiar)) }
            return 0
        } catch {
            if !error.excerpt.isEmpty { session.complain(progress.output + error.excerpt) }
            throw CommandError("failed to solve: " + error.message)
        }
    }

    private func write(_ text: String, to path: String) throws(BuildFailure) {
        do throws(SystemError) { try FD.cwd.writeFile(path, Array(text.utf8), mode: 0o644) } catch {
            throw BuildFailure("write \(path): \(error.cause)")
        }
    }

    private func names() throws(CommandError) -> [Reference] {
        var names: [Reference] = []
        for text in arguments.strings("tag") {
            do throws(OCIError) { names.append(try Reference.parse(text).withDefaultTag) } catch {
                throw CommandError("invalid tag \"\(text)\": invalid reference format", status: 125)
            }
        }
        return names
    }

    // MARK: Files

    private func open(_ place: String) throws(CommandError) -> SharedFD {
        do throws(SystemError) { return SharedFD(try FD.cwd.open(place, [.path, .directory])) } catch {
            throw CommandError("unable to prepare context: path \"\(place)\": \(error.cause)")
        }
    }

    /// The Dockerfile, and its path: in the context where it was not named.
    private func dockerfile(_ root: SharedFD, _ place: String) throws(CommandError) -> (text: SourceText, path: String) {
        let named = arguments.string("file")
        if named == "-" {
            do throws(SystemError) {
                return (SourceText(bytes: try standardInput()), "Dockerfile")
            } catch { throw CommandError("read Dockerfile: \(error.cause)") }
        }
        do throws(SystemError) {
            if !named.isEmpty {
                let name = named.split(separator: "/").last.map(String.init) ?? named
                return (SourceText(name: name, bytes: try FD.cwd.readFile(named, limit: 16 << 20)), named)
            }
            for name in ["Dockerfile", "Containerfile"] {
                if let bytes = try read(name, in: root) { return (SourceText(name: name, bytes: bytes), place + "/" + name) }
            }
        } catch { throw CommandError("failed to read dockerfile: open \(named.isEmpty ? "Dockerfile" : named): \(error.cause)") }
        throw CommandError("failed to read dockerfile: open Dockerfile: no such file or directory")
    }

    /// A file of the context, which a link leads nowhere out of (CVE-2019-13139 class); nil when it is not there.
    private func read(_ name: String, in root: SharedFD) throws(SystemError) -> [UInt8]? {
        do throws(SystemError) {
            let node = SharedFD(try root.fd.open(inRoot: name, .path))
            return try FD.cwd.readFile(node.fd.procPath, limit: 16 << 20)
        } catch {
            if error.errno == .noEntry || error.errno == .notDirectory { return nil }
            throw error
        }
    }

    private func standardInput() throws(SystemError) -> [UInt8] {
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 64 << 10)
        while bytes.count <= 16 << 20 {
            let count = try check(piece.withUnsafeMutableBytes { cl_read(0, $0.baseAddress, $0.count) }, "read", "standard input")
            if count == 0 { return bytes }
            bytes += piece[..<count]
        }
        throw SystemError(.tooBig, "read", "standard input")
    }

    private func context(_ root: SharedFD, _ place: String, dockerfile: String) throws(CommandError) -> BuildContext {
        var patterns: [String] = []
        var chosen: IgnoreFile.Candidate?
        for candidate in IgnoreFile.candidates(dockerfile: dockerfile) where chosen == nil {
            do throws(SystemError) {
                let isOutside = candidate.isBesideDockerfile && !arguments.string("file").isEmpty
                let name = candidate.isBesideDockerfile ? candidate.path.split(separator: "/").last.map(String.init) ?? "" : candidate.path
                let bytes =
                    isOutside
                    ? FD.cwd.exists(candidate.path) ? try FD.cwd.readFile(candidate.path, limit: 16 << 20) : nil : try read(name, in: root)
                guard let bytes else { continue }
                (patterns, chosen) = (IgnoreFile.patterns(bytes), candidate)
            } catch { throw CommandError("failed to read \(candidate.path): \(error.cause)") }
        }
        guard let path = realpath(place, nil) else { throw CommandError("unable to prepare context: path \"\(place)\" is gone") }
        defer { free(path) }
        do throws(PatternError) {
            return BuildContext(root: root, path: String(cString: path), ignored: try PathMatcher(patterns))
        } catch { throw CommandError("\(chosen?.path ?? ".dockerignore"): \(error.message)") }
    }

    // MARK: Values

    private func readVariables(into request: inout BuildRequest) throws(EngineError) {
        for text in arguments.strings("build-arg") {
            guard let entry = try EnvironmentOption.parse(text) else { continue }
            let parts = entry.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            request.arguments.set(String(parts[0]), parts.count > 1 ? String(parts[1]) : "")
        }
        for name in PredefinedArguments.proxies where request.arguments.value(of: name) == nil {
            if let value = environmentVariable(name) { request.arguments.set(name, value) }
        }
        if let text = request.arguments.value(of: "SOURCE_DATE_EPOCH") ?? environmentVariable("SOURCE_DATE_EPOCH"), !text.isEmpty {
            guard let seconds = Int64(text), seconds >= 0, seconds < Int64.max / 1_000_000_000 else {
                throw EngineError(.invalid, sentence: "invalid SOURCE_DATE_EPOCH: \(text): not a number of seconds since 1970")
            }
            request.epoch = seconds * 1_000_000_000
        }
        for text in arguments.strings("label") {
            let label = try EnvironmentOption.label(text)
            request.labels[label.key] = label.value
        }
        for text in arguments.strings("secret") {
            let secret = try BuildSecret(text)
            request.secrets[secret.id] = secret.content
        }
    }

    private func readContainer(into request: inout ContainerRequest) throws(EngineError) {
        try RunOptions.readNetworks([arguments.string("network")], into: &request)
        for text in arguments.strings("add-host") { request.definition.extraHosts.append(try ExtraHostOption.parse(text)) }
        func given(_ name: String) -> Int64? { arguments.isSet(name) ? arguments.int64(name) : nil }
        request.definition.resources.memory = given("memory")
        request.definition.resources.memorySwap = given("memory-swap")
        request.definition.resources.cpuShares = given("cpu-shares")
        request.definition.resources.cpuPeriod = given("cpu-period")
        request.definition.resources.cpuQuota = given("cpu-quota")
        request.definition.resources.cpusetCPUs = arguments.string("cpuset-cpus")
        request.definition.resources.cpusetMems = arguments.string("cpuset-mems")
        request.definition.cgroupParent = arguments.string("cgroup-parent")
        if let size = given("shm-size") { request.definition.shmSize = size }
        for text in arguments.strings("ulimit") { request.definition.ulimits.append(try Ulimit(option: text)) }
    }
}

/// `--secret`: `id=ID[,src=FILE]`, `id=ID,env=NAME`, `type=file|env`.
struct BuildSecret {
    var id = ""
    var content: [UInt8] = []

    init(_ text: String) throws(EngineError) {
        var (type, source, variable) = ("", "", "")
        for field in text.split(separator: ",", omittingEmptySubsequences: false) {
            let parts = field.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else { throw EngineError(.invalid, sentence: "invalid field '\(field)' must be a key=value pair") }
            let (key, value) = (parts[0], parts[1])
            switch key.lowercased() {
            case "id": id = String(value)
            case "type": type = String(value)
            case "src", "source": source = String(value)
            case "env": variable = String(value)
            default: throw EngineError(.invalid, sentence: "unexpected key '\(key)' in '\(field)'")
            }
        }
        if id.isEmpty { throw EngineError(.invalid, sentence: "--secret \(text): an id is needed") }
        if !type.isEmpty, type != "file", type != "env" { throw EngineError(.invalid, sentence: "unsupported secret type \"\(type)\"") }
        if type == "env", variable.isEmpty { variable = source.isEmpty ? id : source }
        if variable.isEmpty, source.isEmpty, type.isEmpty, environmentVariable(id) != nil { variable = id }
        if !variable.isEmpty {
            guard let value = environmentVariable(variable) else {
                throw EngineError(.invalid, sentence: "secret \(id): environment variable \(variable) is not set")
            }
            content = Array(value.utf8)
            return
        }
        let path = source.isEmpty ? id : source
        do throws(SystemError) { content = try FD.cwd.readFile(path, limit: 500 << 10) } catch {
            throw EngineError(.invalid, sentence: "secret \(id): read \(path): \(error.cause)")
        }
    }
}
