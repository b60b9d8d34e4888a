/// The path and the parameters of a request line.
struct RequestTarget: Sendable, Hashable {
    /// Decoded; begins with a slash.
    var path: String
    var parameters: [Parameter]

    struct Parameter: Sendable, Hashable {
        var name: String
        var value: String
    }

    /// Reads origin-form (`/v2/?n=1`) and absolute-form (`http://host/v2/`); nil for anything else and for broken escapes.
    init?(_ text: String) {
        var rest = Substring(text).utf8
        for scheme in ["http://", "https://"] where rest.starts(with: scheme.utf8) {
            rest = rest.dropFirst(scheme.utf8.count)
            rest = rest.firstIndex(of: UInt8(ascii: "/")).map { rest[$0...] } ?? Substring("/").utf8
        }
        guard rest.first == UInt8(ascii: "/") else { return nil }
        // A fragment is never sent by a client that follows RFC 9112.
        guard !rest.contains(UInt8(ascii: "#")) else { return nil }
        let question = rest.firstIndex(of: UInt8(ascii: "?"))
        guard let path = RequestTarget.decoded(question.map { rest[..<$0] } ?? rest) else { return nil }
        self.path = path
        parameters = []
        guard let question else { return }
        for piece in rest[rest.index(after: question)...].split(separator: UInt8(ascii: "&")) {
            // A hundred parameters are not a request that somebody means.
            guard parameters.count < 100 else { return nil }
            let equals = piece.firstIndex(of: UInt8(ascii: "="))
            guard let name = RequestTarget.decoded(equals.map { piece[..<$0] } ?? piece) else { return nil }
            let value = equals.map { RequestTarget.decoded(piece[piece.index(after: $0)...]) } ?? ""
            guard let value else { return nil }
            parameters.append(Parameter(name: name, value: value))
        }
    }

    /// The first value of a parameter; nil when it is not given.
    func first(_ name: String) -> String? { parameters.first { $0.name == name }?.value }

    func all(_ name: String) -> [String] { parameters.filter { $0.name == name }.map(\.value) }

    /// Percent-decodes. A plus stays a plus: media types have them, and no parameter here has blanks.
    private static func decoded(_ text: Substring.UTF8View) -> String? {
        guard text.contains(UInt8(ascii: "%")) else { return String(Substring(text)) }
        var bytes: [UInt8] = []
        var index = text.startIndex
        while index < text.endIndex {
            let byte = text[index]
            index = text.index(after: index)
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = text[index...].first.flatMap(digit), let low = text[index...].dropFirst().first.flatMap(digit)
            else { return nil }
            bytes.append(high << 4 | low)
            index = text.index(index, offsetBy: 2)
        }
        // Bytes that are no text would compare equal to others once repaired.
        return String(validating: bytes, as: UTF8.self)
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    /// Percent-encodes a value for a `Link` header.
    static func encoded(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var output: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"):
                output.append(byte)
            default: output += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: output, as: UTF8.self)
    }
}
