import Archive
import Engine
import Flags
import JSON
import Linux
import OCI

/// Tells how a pull or push goes: lines as docker prints them, bars on a terminal, or JSON for programs.
///
/// Events come from several threads; the caller's thread only begins and ends it.
final class TransferProgress: PullObserver, PushObserver, @unchecked Sendable {
    // SAFETY: everything that changes is only touched under the monitor's lock.
    enum Mode {
        case plain, terminal, json, quiet

        /// What `--progress` and `--quiet` say, and whether standard output is a terminal.
        init(_ arguments: ParsedArguments) throws(CommandError) {
            if arguments.bool("quiet") {
                self = .quiet
                return
            }
            switch arguments.string("progress") {
            case "plain": self = .plain
            case "json": self = .json
            case "quiet": self = .quiet
            case "tty": self = .terminal
            default: self = Terminal.isTerminal(.standardOutput) ? .terminal : .plain
            }
        }
    }

    private struct Line {
        var id: String
        var total: Int64
        var status: String
        var bytes: Int64 = 0
        var isMoving = false
        var isDone = false
        var meter = RateMeter()
        /// For JSON: when its last event was written.
        var told: Int64 = 0
    }

    private let mode: Mode
    private let monitor = Monitor()
    private var lines: [Line] = []
    private var drawn = 0
    private var ticker: Worker?
    private var isEnding = false
    private var names: Set<Reference> = []

    init(_ mode: Mode) { self.mode = mode }

    /// Whether a line said that it is pulled.
    func announced(_ reference: Reference) -> Bool { monitor.locked { names.contains(reference) } }

    // MARK: Pull

    func pulling(_ reference: Reference) {
        monitor.locked { _ = names.insert(reference) }
        say("\(reference.target): Pulling from \(reference.path)")
    }

    func planned(_ layers: [Descriptor]) { begin(layers, "Pulling fs layer") }

    func layer(_ index: Int, _ event: ImageFetchEvent) {
        switch event {
        case .exists: change(index, "Already exists", isDone: true)
        case .waiting: change(index, "Waiting")
        case .received(let bytes): move(index, "Downloading", bytes)
        case .downloaded: change(index, "Download complete")
        case .complete: change(index, "Pull complete", isDone: true)
        case .restarted: change(index, "Retrying")
        }
    }

    // MARK: Push

    func pushing(_ reference: Reference, _ layers: [Descriptor]) {
        say("The push refers to repository [\(reference.name)]")
        begin(layers, "Waiting")
    }

    func blob(_ index: Int, _ event: PushEvent) {
        switch event {
        case .preparing: change(index, "Preparing")
        case .sent(let bytes): move(index, "Pushing", bytes)
        case .exists: change(index, "Layer already exists", isDone: true)
        case .mounted(let path): change(index, "Mounted from \(path)", isDone: true)
        case .pushed: change(index, "Pushed", isDone: true)
        }
    }

    // MARK: State

    private func begin(_ layers: [Descriptor], _ status: String) {
        finish()
        monitor.locked {
            isEnding = false
            drawn = 0
            lines = layers.map { Line(id: String($0.digest.hex.prefix(12)), total: $0.size, status: status) }
            if mode == .plain, status != "Waiting" { for line in lines { write("\(line.id): \(status)\n") } }
            if mode == .json { for index in lines.indices { writeLine(index) } }
        }
        guard mode == .terminal else { return }
        ticker = try? Worker {
            self.monitor.lock()
            while !self.isEnding {
                self.draw()
                self.monitor.wait(milliseconds: 100)
            }
            self.monitor.unlock()
        }
    }

    /// Runs a transfer; however it ends, what stands then is drawn.
    func during<R>(_ body: () throws(EngineError) -> R) throws(CommandError) -> R {
        defer { finish() }
        return try engine(body)
    }

    /// Draws what stands at the end. Idempotent.
    func finish() {
        monitor.locked {
            isEnding = true
            monitor.wakeAll()
        }
        ticker?.join()
        ticker = nil
        monitor.locked {
            if mode == .terminal, !lines.isEmpty { draw() }
            lines = []
        }
    }

    private func change(_ index: Int, _ status: String, isDone: Bool = false) {
        monitor.locked {
            guard lines.indices.contains(index), lines[index].status != status else { return }
            lines[index].status = status
            lines[index].isMoving = false
            lines[index].isDone = isDone
            switch mode {
            case .plain: write("\(lines[index].id): \(status)\n")
            case .json: writeLine(index)
            case .terminal, .quiet: break
            }
        }
    }

    private func move(_ index: Int, _ status: String, _ bytes: Int64) {
        monitor.locked {
            guard lines.indices.contains(index) else { return }
            lines[index].status = status
            lines[index].isMoving = true
            lines[index].bytes = bytes
            guard mode == .terminal || mode == .json else { return }
            let now = monotonicNanoseconds()
            lines[index].meter.add(bytes, at: now)
            if mode == .json, now - lines[index].told > 200_000_000 {
                lines[index].told = now
                writeLine(index)
            }
        }
    }

    // MARK: Output

    private func say(_ text: String) {
        switch mode {
        case .plain, .terminal: write(text + "\n")
        case .json: writeJSON(status: text)
        case .quiet: break
        }
    }

    private func write(_ text: String) { try? FD.standardOutput.writeAll(text) }

    /// A line as the Docker Engine API streams it.
    func writeJSON(status: String) {
        writeObject(["status": .string(status)])
    }

    private func writeLine(_ index: Int) {
        let line = lines[index]
        if line.isMoving {
            writeObject([
                "status": .string(line.status), "progressDetail": ["current": .int(line.bytes), "total": .int(line.total)],
                "id": .string(line.id),
            ])
        } else {
            writeObject(["status": .string(line.status), "id": .string(line.id)])
        }
    }

    private func writeObject(_ value: JSONValue) {
        try? FD.standardOutput.writeAll(JSONWriter.document { (writer: inout JSONWriter) in writer.value(value) } + [0x0a])
    }

    /// All lines over the ones drawn before. On a low terminal only those that move, and how many are done.
    private func draw() {
        let (rows, columns) = Terminal.size()
        var shown = lines.map { text($0, columns) }
        if shown.count > max(1, rows - 2) {
            let open = lines.filter { !$0.isDone }
            shown = open.prefix(max(1, rows - 3)).map { text($0, columns) }
            shown.append("\(lines.count - open.count) of \(lines.count) layers are done")
        }
        var output = drawn > 0 ? "\u{1b}[\(drawn)A" : ""
        for line in shown { output += "\r\u{1b}[2K" + line + "\n" }
        // Fewer than before: what stands below is wiped.
        if shown.count < drawn { output += "\u{1b}[J" }
        drawn = shown.count
        write(output)
    }

    private func text(_ line: Line, _ columns: Int) -> String {
        guard line.isMoving, line.total > 0 else { return String("\(line.id): \(line.status)".prefix(columns - 1)) }
        let rate = line.meter.bytesPerSecond
        var figures = "\(ByteSize.decimal(line.bytes))/\(ByteSize.decimal(line.total))"
        if rate > 0 {
            figures += "  \(ByteSize.decimal(Int64(rate)))/s  \(Self.seconds(Int64(Double(line.total - line.bytes) / rate)))"
        }
        let head = "\(line.id): \(line.status) "
        let room = min(50, columns - head.utf8.count - figures.utf8.count - 5)
        guard room >= 10 else { return String((head + figures).prefix(columns - 1)) }
        let filled = Int(Int64(room) * min(line.bytes, line.total) / line.total)
        let bar = String(repeating: "=", count: max(0, filled - 1)) + (filled > 0 ? ">" : "")
        return head + "[" + bar + String(repeating: " ", count: room - filled) + "]  " + figures
    }

    /// Time left, in as few letters as it needs.
    private static func seconds(_ count: Int64) -> String {
        count < 60 ? "\(count)s" : count < 3600 ? "\(count / 60)m\(count % 60)s" : "\(count / 3600)h\(count / 60 % 60)m"
    }
}

/// The rate of the last few seconds.
struct RateMeter {
    private var last: (time: Int64, bytes: Int64)?
    private(set) var bytesPerSecond = 0.0

    mutating func add(_ bytes: Int64, at now: Int64) {
        guard let last, bytes >= last.bytes else {
            last = (now, bytes)
            return
        }
        let passed = Double(now - last.time) / 1e9
        // Shorter spans say more about the size of buffers than about the line.
        guard passed >= 0.25 else { return }
        let rate = Double(bytes - last.bytes) / passed
        bytesPerSecond = bytesPerSecond == 0 ? rate : bytesPerSecond * 0.7 + rate * 0.3
        self.last = (now, bytes)
    }
}
