/// `$x` and `${x…}`.
extension ExpansionRun {
    typealias Text = String.UnicodeScalarView

    mutating func dollar() throws(ExpansionError) -> Text {
        _ = next()
        guard peek == "{" else {
            let name = variableName()
            if name.isEmpty { return Text("$".unicodeScalars) }
            if let value = try lookUp(name) { return Text(value.unicodeScalars) }
            return options.keepsUnset ? Text(("$" + name).unicodeScalars) : Text()
        }
        _ = next()
        switch peek {
        case nil: throw ExpansionError("syntax error: missing '}'")
        case "{", "}", ":": throw ExpansionError("syntax error: bad substitution")
        default: break
        }
        let name = variableName()
        guard let modifier = next() else { throw ExpansionError("syntax error: missing '}'") }
        let text: String
        switch modifier {
        case "}":
            let value = try lookUp(name)
            text = value ?? (options.keepsUnset ? "${" + name + "}" : "")
        case "/": text = try replacement(name)
        case ":", "+", "-", "?", "#", "%": text = try modified(name, modifier)
        default: throw Self.unsupported(String(modifier))
        }
        return Text(text.unicodeScalars)
    }

    private static func unsupported(_ modifier: String) -> ExpansionError {
        ExpansionError("unsupported modifier (\(modifier)) in substitution")
    }

    /// Letters, digits and `_`; only digits behind a first digit; or one of the shell's special parameters.
    private mutating func variableName() -> String {
        var name = Text()
        while let scalar = peek {
            if name.isEmpty, scalar.isDigit {
                while let digit = peek, digit.isDigit {
                    name.append(digit)
                    _ = next()
                }
                break
            }
            if name.isEmpty, ["@", "*", "#", "?", "-", "$", "!"].contains(scalar) {
                _ = next()
                return String(scalar)
            }
            guard scalar == "_" || scalar.isLetter || scalar.isDigit else { break }
            name.append(scalar)
            _ = next()
        }
        return String(name)
    }

    /// The word up to a character; what is wrong at the end of the text is that the character is missing.
    private mutating func word(until stop: Unicode.Scalar, keepsEscapes: Bool, missing: String) throws(ExpansionError) -> String {
        do throws(ExpansionError) {
            return String(try until(stop, keepsEscapes: keepsEscapes).text)
        } catch { throw peek == nil ? ExpansionError(missing) : error }
    }

    private mutating func modified(_ name: String, _ first: Unicode.Scalar) throws(ExpansionError) -> String {
        var kind = first
        var written = String(first)
        let emptyIsUnset = first == ":"
        if emptyIsUnset {
            guard let second = next() else { throw ExpansionError("syntax error: missing '}'") }
            kind = second
            written.unicodeScalars.append(second)
        }
        let isPattern = kind == "#" || kind == "%"
        if emptyIsUnset, isPattern { throw Self.unsupported(written) }
        // The word is expanded whether it is used or not, as BuildKit does.
        let word = try word(until: "}", keepsEscapes: isPattern, missing: "syntax error: missing '}'")
        let value = try lookUp(name)
        if options.keepsUnset, value == nil { return "${" + name + written + word + "}" }
        let isMissing = value == nil || (emptyIsUnset && value?.isEmpty == true)
        switch kind {
        case "-": return isMissing ? word : value ?? ""
        case "+": return isMissing ? "" : word
        case "?":
            guard isMissing else { return value ?? "" }
            let reason = value == nil ? "is not allowed to be unset" : "is not allowed to be empty"
            throw ExpansionError("\(name): \(word.isEmpty ? reason : word)")
        case "#", "%": return try trimmed(value ?? "", word, kind)
        default: throw Self.unsupported(written)
        }
    }

    private func trimmed(_ value: String, _ word: String, _ kind: Unicode.Scalar) throws(ExpansionError) -> String {
        var word = word
        let isGreedy = word.unicodeScalars.first == kind
        if isGreedy { word.unicodeScalars.removeFirst() }
        var pattern = try ShellPattern(word)
        var scalars = Array(value.unicodeScalars)
        if kind == "%" {
            pattern.reverse()
            scalars.reverse()
        }
        guard let end = try pattern.end(in: scalars, from: 0, longest: isGreedy) else { return value }
        let rest = scalars[end...]
        return kind == "%" ? String(Text(rest.reversed())) : String(Text(rest))
    }

    /// `${x/p/r}` and `${x//p/r}`.
    private mutating func replacement(_ name: String) throws(ExpansionError) -> String {
        let replacesAll = peek == "/"
        if replacesAll { _ = next() }
        let pattern = try word(until: "/", keepsEscapes: true, missing: "syntax error: missing '/' in ${}")
        let new = try word(until: "}", keepsEscapes: true, missing: "syntax error: missing '}'")
        guard let value = try lookUp(name) else {
            if options.keepsUnset { return "${" + name + (replacesAll ? "//" : "/") + pattern + "/" + new + "}" }
            _ = try ShellPattern(pattern)
            return ""
        }
        return try ShellPattern(pattern).replace(in: value, with: new, all: replacesAll)
    }
}

extension Unicode.Scalar {
    var isLetter: Bool {
        if isASCII { return Byte.isLetter(UInt8(truncatingIfNeeded: value)) }
        switch properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: return true
        default: return false
        }
    }

    var isDigit: Bool {
        isASCII ? Byte.isDigit(UInt8(truncatingIfNeeded: value)) : properties.generalCategory == .decimalNumber
    }
}
