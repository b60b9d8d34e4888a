import Linux

/// `-e`, `--env-file`, `--label` and `--label-file`.
public enum EnvironmentOption {
    /// `NAME=value`, or `NAME` alone for the value this process has (nothing when unset).
    public static func parse(_ text: String) throws(EngineError) -> String? {
        if text.isEmpty || text.hasPrefix("=") { throw .invalid("invalid environment variable: \(text)") }
        if text.utf8.contains(0) { throw .invalid("invalid environment variable: it holds a NUL byte") }
        if text.utf8.contains(UInt8(ascii: "=")) { return text }
        return environmentVariable(text).map { text + "=" + $0 }
    }

    /// Lines of a file: `#` comments and blank lines are skipped, names must hold no blanks.
    public static func parse(file text: String, name: String, inherit: Bool) throws(EngineError) -> [String] {
        var result: [String] = []
        for line in text.split(whereSeparator: { $0 == "\n" || $0 == "\r\n" }) {
            let trimmed = line.drop { $0 == " " || $0 == "\t" }
            if trimmed.isEmpty || trimmed.hasPrefix("#") { continue }
            let key = trimmed.splitOnce("=")?.head ?? trimmed
            if key.isEmpty {
                throw .invalid("invalid environment file: \(name): no variable name on line '\(trimmed.prefix(80))'")
            }
            if key.contains(where: { $0 == " " || $0 == "\t" }) {
                throw .invalid("invalid environment file: \(name): variable '\(key.prefix(80))' contains whitespaces")
            }
            if trimmed.utf8.contains(0) { throw .invalid("invalid environment file: \(name): it holds a NUL byte") }
            if trimmed.contains("=") {
                result.append(String(trimmed))
            } else if !inherit {
                result.append(String(trimmed))
            } else if let value = environmentVariable(String(trimmed)) {
                result.append(trimmed + "=" + value)
            }
        }
        return result
    }

    /// `KEY=value` or `KEY`.
    public static func label(_ text: String) throws(EngineError) -> (key: String, value: String) {
        if text.isEmpty || text.hasPrefix("=") || text.utf8.contains(0) {
            throw .invalid("invalid label format: \"\(text)\"")
        }
        guard let (key, value) = text.splitOnce("=") else { return (text, "") }
        return (String(key), String(value))
    }

    /// Joins two lists: a later value of a name replaces the earlier one in its place.
    static func merge(_ base: [String], _ overrides: [String]) -> [String] {
        if base.isEmpty, overrides.count < 2 { return overrides }
        var result = base
        for entry in overrides {
            let name = entry.splitOnce("=")?.head ?? entry[...]
            if let index = result.firstIndex(where: { ($0.splitOnce("=")?.head ?? $0[...]) == name }) {
                result[index] = entry
            } else {
                result.append(entry)
            }
        }
        return result
    }
}
