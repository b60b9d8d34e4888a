import Control
import JSON

/// The values of `--health-*`.
public enum HealthOption {
    /// A command line for the shell, as in Docker; podman's JSON array of words; `none` for no probe.
    ///
    /// - Returns: the `Test` of Docker's `Healthcheck`.
    public static func test(_ text: String) throws(EngineError) -> [String] {
        if text.lowercased() == "none" { return ["NONE"] }
        guard text.hasPrefix("["),
            let words = try? JSONParser.parse(Array(text.utf8), { (parser) throws(JSONError) in try parser.strings() })
        else { return ["CMD-SHELL", text] }
        guard let first = words.first, !first.isEmpty else { throw .invalid("invalid health check \(text): it names no command") }
        switch first {
        case "NONE": return ["NONE"]
        case "CMD", "CMD-SHELL":
            if words.count < 2 { throw .invalid("invalid health check \(text): it names no command") }
            return words
        default: return words.count == 1 ? ["CMD-SHELL", first] : ["CMD"] + words
        }
    }

    public static func action(_ text: String) throws(EngineError) -> HealthPlan.Action {
        if let action = HealthPlan.Action(rawValue: text) { return action }
        throw .invalid("invalid on-failure action for health check: \(text): supported actions are kill,none,restart,stop")
    }
}
