import Flags

/// What the text of a flag must look like before any engine is asked, with Docker's sentences where it has one.
///
/// Each rule answers nil or what is wrong.
enum ValueRules {
    @Sendable static func environment(_ text: String) -> String? {
        isUnnamed(text) ? "invalid environment variable: \(text)" : nil
    }

    @Sendable static func label(_ text: String) -> String? {
        isUnnamed(text) ? "invalid label '\(text)': empty name" : nil
    }

    @Sendable static func filter(_ text: String) -> String? {
        text.isEmpty || text.utf8.contains(UInt8(ascii: "=")) ? nil : "bad format of filter (expected name=value)"
    }

    @Sendable static func pullPolicy(_ text: String) -> String? {
        ValueWords.pullPolicies.contains(text) ? nil : #"must be one of "always", "missing" or "never""#
    }

    @Sendable static func restartPolicy(_ text: String) -> String? {
        let (name, count) = halves(text, at: UInt8(ascii: ":"))
        guard ValueWords.restartPolicies.contains(name) || text.isEmpty else {
            return "unknown policy '\(name)'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
        }
        guard let count else { return nil }
        if name != "on-failure" { return "maximum retry count can only be used with 'on-failure'" }
        guard let times = Int(count) else { return "maximum retry count must be an integer" }
        return times < 0 ? "maximum retry count cannot be negative" : nil
    }

    @Sendable static func sysctl(_ text: String) -> String? {
        let (name, value) = halves(text, at: UInt8(ascii: "="))
        let isOurs =
            ValueWords.sysctls.contains(name) || name.utf8.starts(with: "net.".utf8)
            || name.utf8.starts(with: "fs.mqueue.".utf8)
        return value != nil && isOurs ? nil : "sysctl '\(text)' is not allowed"
    }

    /// `name=soft[:hard]`; -1 is unlimited.
    @Sendable static func ulimit(_ text: String) -> String? {
        let (name, limits) = halves(text, at: UInt8(ascii: "="))
        guard let limits else { return "invalid ulimit argument: \(text)" }
        guard ValueWords.ulimits.contains(name) else { return "invalid ulimit type: \(name)" }
        let (softText, hardText) = halves(limits, at: UInt8(ascii: ":"))
        guard let soft = Int64(softText) else { return "invalid limit: \(softText)" }
        guard let hardText else { return nil }
        guard let hard = Int64(hardText) else { return "invalid limit: \(hardText)" }
        if hard != -1 && (soft == -1 || soft > hard) {
            return "ulimit soft limit must be less than or equal to hard limit: \(soft) > \(hard)"
        }
        return nil
    }

    /// Pairs only; what each key means is the engine's to say.
    @Sendable static func mount(_ text: String) -> String? {
        guard let fields = CommaSeparated.parse(text) else { return "quotes do not match in '\(text)'" }
        if fields.isEmpty { return "empty mount description" }
        let flags = [
            "readonly", "ro", "rro", "rw", "readwrite", "volume-nocopy", "nocopy", "bind-nonrecursive", "bind-create-src", "U", "chown",
            "z",
            "Z", "idmap",
        ]
        for field in fields where !field.utf8.contains(UInt8(ascii: "=")) && !flags.contains(field) {
            return "invalid field '\(field)' must be a key=value pair"
        }
        return nil
    }

    /// Podman has a word beside Go's durations.
    @Sendable static func durationOrDisable(_ text: String) -> String? {
        text == "disable" ? nil : DurationText.refusal(text)
    }

    @Sendable static func swappiness(_ text: String) -> String? {
        inRange(text, -1...100) ? nil : "valid memory swappiness range is 0-100"
    }

    @Sendable static func oomScore(_ text: String) -> String? {
        inRange(text, -1000...1000) ? nil : "range for oom score adj is [-1000, 1000]"
    }

    @Sendable static func blockWeight(_ text: String) -> String? {
        text == "0" || inRange(text, 10...1000) ? nil : "range of blkio weight is from 10 to 1000"
    }

    /// `ctrl-p,ctrl-q`, `a,b`; empty turns the keys off.
    @Sendable static func detachKeys(_ text: String) -> String? {
        if text.isEmpty { return nil }
        for key in text.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
            if key.count == 1 { continue }
            let control = "ctrl-".utf8
            guard key.count == control.count + 1, key.starts(with: control), let letter = key.last,
                letter >= UInt8(ascii: "a") && letter <= UInt8(ascii: "z") || "@[\\]^_".utf8.contains(letter)
            else { return "unknown character: '\(String(decoding: key, as: UTF8.self))'" }
        }
        return nil
    }

    @Sendable static func stream(_ text: String) -> String? {
        ValueWords.streams.contains(text.lowercased()) ? nil : "valid streams are STDIN, STDOUT and STDERR"
    }

    @Sendable static func objectType(_ text: String) -> String? {
        ["", "container", "image", "network", "volume"].contains(text) ? nil : "must be one of container, image, network, volume"
    }

    @Sendable static func logTail(_ text: String) -> String? {
        text == "all" || Int64(text) != nil ? nil : "must be a number or all"
    }

    // MARK: Parts

    private static func isUnnamed(_ text: String) -> Bool {
        text.isEmpty || text.utf8.first == UInt8(ascii: "=")
    }

    private static func inRange(_ text: String, _ range: ClosedRange<Int64>) -> Bool {
        Int64(text).map { range.contains($0) } ?? false
    }

    private static func halves(_ text: String, at mark: UInt8) -> (String, String?) {
        guard let index = text.utf8.firstIndex(of: mark) else { return (text, nil) }
        return (String(text[..<index]), String(text[text.utf8.index(after: index)...]))
    }
}
