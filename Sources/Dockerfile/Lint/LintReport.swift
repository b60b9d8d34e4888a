import JSON

/// What `build --check` found.
public struct LintReport: Sendable {
    /// In the order of the file.
    public var warnings: [Diagnostic]
    /// What would fail the build; warnings are those that were found before it.
    public var error: Diagnostic?
    /// Whether warnings fail the build: `error=true`.
    public var failsOnWarnings = false

    /// Why the build fails although nothing but warnings was found; nil where it does not.
    public var violation: String? {
        guard failsOnWarnings, !warnings.isEmpty else { return nil }
        var names: [String] = []
        for warning in warnings { if let rule = warning.rule, !names.contains(rule.name) { names.append(rule.name) } }
        return "lint violation found for rules: " + names.joined(separator: ", ")
    }

    /// As `docker build --check` prints it: how many there are, then each with its lines.
    public func rendered(in source: SourceText) -> String {
        var text = "Check complete, "
        switch warnings.count {
        case 0: text += "no warnings found."
        case 1: text += "1 warning has been found!"
        case let count: text += "\(count) warnings have been found!"
        }
        text += "\n"
        for warning in warnings { text += "\n" + warning.rendered(in: source) }
        if let error { text += "\n" + error.rendered(in: source) }
        return text
    }

    /// As `--call=check,format=json` has it.
    public func write(to writer: inout JSONWriter) {
        writer.object { w in
            w.array("warnings", warnings) { w, warning in
                w.object { w in
                    w.field("ruleName", warning.rule?.name ?? "")
                    w.fieldIfNotEmpty("description", warning.rule?.description ?? "")
                    w.fieldIfNotEmpty("url", warning.rule?.url ?? "")
                    w.field("detail", warning.message)
                    w.location(warning.range)
                }
            }
            guard let error else { return }
            w.key("buildError")
            w.object { w in
                w.field("message", error.description)
                w.location(error.range)
            }
        }
    }
}

extension JSONWriter {
    /// `location`, with one range of lines; columns are given where BuildKit has none, from 1.
    mutating func location(_ range: SourceRange?) {
        guard let range else { return }
        key("location")
        object { w in
            w.key("ranges")
            w.array([range]) { w, range in
                w.object { w in
                    for (name, position) in [("start", range.start), ("end", range.end)] {
                        w.key(name)
                        w.object { w in
                            w.field("line", position.line)
                            w.field("character", position.column)
                        }
                    }
                }
            }
        }
    }
}
