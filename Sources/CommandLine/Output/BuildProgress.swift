import Build
import Engine
import Linux
import OCI

/// Tells on standard error how a build goes on, in BuildKit's plain form: `#5 [builder 2/4] RUN make`.
final class BuildProgress: BuildObserver {
    private let session: Session
    private let isQuiet: Bool
    private let pulls: Bool
    private var begins: [Int: Int64] = [:]
    /// An unfinished line, by step.
    private var partial: [Int: [UInt8]] = [:]
    /// What the last step wrote, for a message about its failure when nothing was shown.
    private(set) var output = ""

    init(_ session: Session, isQuiet: Bool, pulls: Bool) {
        (self.session, self.isQuiet, self.pulls) = (session, isQuiet, pulls)
    }

    private func tell(_ text: String) {
        if !isQuiet { session.complain(text) }
    }

    func stepBegins(_ number: Int, _ title: String) {
        begins[number] = monotonicNanoseconds()
        output = ""
        tell("#\(number) \(title)")
    }

    func stepWrites(_ number: Int, _ bytes: ArraySlice<UInt8>, isError: Bool) {
        var line = partial[number] ?? []
        for byte in bytes {
            if byte != UInt8(ascii: "\n"), line.count < 16 << 10 {
                line.append(byte)
                continue
            }
            write(line, number)
            line = byte == UInt8(ascii: "\n") ? [] : [byte]
        }
        partial[number] = line
    }

    private func write(_ line: [UInt8], _ number: Int) {
        let seconds = Double(monotonicNanoseconds() - (begins[number] ?? 0)) / 1e9
        let text = "#\(number) \(Self.fixed(seconds, 3)) " + String(decoding: line, as: UTF8.self)
        if isQuiet { output += text + "\n" }
        tell(text)
    }

    func stepEnds(_ number: Int, isCached: Bool, nanoseconds: Int64) {
        if let line = partial.removeValue(forKey: number), !line.isEmpty { write(line, number) }
        tell(isCached ? "#\(number) CACHED\n" : "#\(number) DONE \(Self.fixed(Double(nanoseconds) / 1e9, 1))s\n")
    }

    func finish(_ id: String, _ names: [String]) {
        for name in names { tell("naming to \(name)") }
        tell("image \(id)")
    }

    func image(_ name: String, _ platform: Platform) throws(EngineError) -> String {
        try ImagePuller(session: session).image(name, platform, always: pulls)
    }

    private static func fixed(_ value: Double, _ digits: Int) -> String {
        var scale = 1
        for _ in 0..<digits { scale *= 10 }
        let whole = Int((value * Double(scale)).rounded())
        let rest = String(whole % scale)
        return "\(whole / scale)." + String(repeating: "0", count: max(0, digits - rest.utf8.count)) + rest
    }
}
