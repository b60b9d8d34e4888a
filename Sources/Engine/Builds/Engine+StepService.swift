import CLinux
import Control
import Glibc
import JSON
import Linux
import OCI
import Store

/// An ordinary user's build works in two processes: layers and files belong to subordinate ids, so that who makes them is root of the
/// user namespace; but only the one outside can start containers, as a supervisor makes the container's namespaces itself. The one
/// inside asks, over a socket it was given, for one step after the other.
///
/// A question is a document, an answer a row of frames: output as it comes, then how the step ended.
extension Engine {
    static let stepsVariable = "BERTH_BUILD_STEPS"

    /// Runs this program again inside the user namespace, and runs the steps of the build that it makes.
    ///
    /// - Returns: its exit code, or nil when this process may do the work itself.
    public func delegateBuild(_ arguments: [String]) throws(EngineError) -> Int32? {
        if !host.isRootless || Engine.isHelper { return nil }
        let pair = try during("make socket") { () throws(SystemError) in try makeSocketPair(.stream).take() }
        let ours = SharedFD(owning: pair.first)
        let number = pair.second
        try during("pass descriptor") { () throws(SystemError) in try FD(number).setCloseOnExec(false) }
        return try reexecuteInUserNamespace(arguments, telling: [Engine.stepsVariable + "=\(number)"]) {
            // Its end is the end of the questions.
            _ = cl_close(number)
            while let question = try? Frame.receive(ours.fd) { self.answer(question, ours.fd) }
        }
    }

    private func answer(_ question: Frame, _ socket: FD) {
        do throws(EngineError) {
            let step = try RemoteStep(question.bytes)
            let outcome = try runStep(step.request, on: step.base, in: step.directory) { bytes, isError in
                try? Frame(isError ? .error : .output, Array(bytes)).send(socket)
            }
            try? Frame(.ended, Array("\(outcome.exitCode) \(outcome.isOutOfMemory ? 1 : 0)".utf8)).send(socket)
        } catch {
            try? Frame(.failed, Array("\(error.exitCode) \(error.description)".utf8)).send(socket)
        }
    }

    /// Has a step run by the one outside.
    func askForStep(
        _ request: ContainerRequest, on base: StepBase, in directory: StepDirectory, output: (ArraySlice<UInt8>, _ isError: Bool) -> Void
    ) throws(EngineError) -> StepOutcome {
        guard let number = Int32(environmentVariable(Engine.stepsVariable) ?? ""), number > 2 else {
            throw EngineError(.system, "run", "step", cause: "nobody outside of the user namespace runs it")
        }
        let socket = FD(number)
        let question = RemoteStep(request: request, base: base, directory: directory).encoded()
        try during("ask for step") { () throws(SystemError) in try Frame(.question, question).send(socket) }
        while true {
            let frame = try during("run step") { () throws(SystemError) in try Frame.receive(socket) }
            switch frame.kind {
            case .output, .error: output(frame.bytes[...], frame.kind == .error)
            case .ended:
                let words = frame.text.split(separator: " ").compactMap { Int32($0) }
                if words.count == 2 { return StepOutcome(exitCode: words[0], isOutOfMemory: words[1] != 0) }
            case .failed:
                let code = frame.text.prefix { $0 != " " }
                throw EngineError(.system, sentence: String(frame.text.dropFirst(code.count + 1)), exitCode: Int32(code) ?? 125)
            case .question: break
            }
        }
    }
}

/// A message of the two processes of a build: its kind, its length, its bytes.
private struct Frame {
    enum Kind: UInt8 { case question, output, error, ended, failed }

    var kind: Kind
    var bytes: [UInt8]

    init(_ kind: Kind, _ bytes: [UInt8]) { (self.kind, self.bytes) = (kind, bytes) }

    var text: String { String(decoding: bytes, as: UTF8.self) }

    func send(_ socket: FD) throws(SystemError) {
        let length = UInt32(bytes.count)
        let head = [kind.rawValue] + (0..<4).map { UInt8(truncatingIfNeeded: length >> (8 * UInt32($0))) }
        try socket.writeAll(head + bytes)
    }

    /// - Throws: `.brokenPipe` when the other side has gone.
    static func receive(_ socket: FD) throws(SystemError) -> Frame {
        let head = try read(socket, 5)
        let length = head[1...].reversed().reduce(0) { $0 << 8 | Int($1) }
        guard let kind = Kind(rawValue: head[0]), length <= 64 << 20 else { throw SystemError(.invalid, "read message") }
        return Frame(kind, try read(socket, length))
    }

    private static func read(_ socket: FD, _ count: Int) throws(SystemError) -> [UInt8] {
        var result = [UInt8](repeating: 0, count: count)
        var filled = 0
        while filled < count {
            let got = result.withUnsafeMutableBytes { cl_read(socket.rawValue, $0.baseAddress.map { $0 + filled }, count - filled) }
            if got == -Int(EINTR) { continue }
            if got <= 0 { throw SystemError(got == 0 ? .brokenPipe : Errno(rawValue: Int32(-got)), "read message") }
            filled += Int(got)
        }
        return result
    }
}

/// A step as the process inside asks for it.
private struct RemoteStep {
    var request: ContainerRequest
    var base: StepBase
    var directory: StepDirectory

    init(request: ContainerRequest, base: StepBase, directory: StepDirectory) {
        (self.request, self.base, self.directory) = (request, base, directory)
    }

    func encoded() -> [UInt8] {
        JSONWriter.document { writer in
            writer.object { w in
                w.key("definition")
                request.definition.write(to: &w)
                w.field("words", request.entrypoint ?? [])
                w.field("networks", request.networks.map(\.network))
                w.fieldIfPresent("top", base.top?.description)
                w.field("layers", base.layers)
                w.field("platform", base.platform.description)
                w.field("upper", directory.upper)
                w.field("work", directory.work)
            }
        }
    }

    init(_ bytes: [UInt8]) throws(EngineError) {
        do throws(JSONError) { self = try JSONParser.parse(bytes, RemoteStep.init(json:)) } catch {
            throw EngineError(.system, "read step", "", cause: error.description)
        }
    }

    private init(json parser: inout JSONParser) throws(JSONError) {
        request = ContainerRequest(image: "build")
        var (top, layers, platform, upper, work): (Digest?, [String], Platform, String, String) = (nil, [], Engine.hostPlatform(), "", "")
        var networks: [String] = []
        var object = try parser.beginObject()
        while let key = try parser.nextKey(&object) {
            switch key {
            case "definition": request.definition = try ContainerDefinition(json: &parser)
            case "words": request.entrypoint = try parser.strings()
            case "networks": networks = try parser.strings()
            case "top": top = try? Digest.parse(try parser.string())
            case "layers": layers = try parser.strings()
            case "platform": platform = (try? Platform.parse(try parser.string(), host: platform)) ?? platform
            case "upper": upper = try parser.string()
            case "work": work = try parser.string()
            default: try parser.skip()
            }
        }
        request.networks = networks.compactMap { try? NetworkAttachment(option: $0) }
        base = StepBase(top: top, layers: layers, config: ContainerConfig(), platform: platform)
        directory = StepDirectory(upper: upper, work: work)
    }
}
