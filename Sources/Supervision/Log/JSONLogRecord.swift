import Control
import JSON
import Linux

/// Writes records of docker's `json-file`: `{"log":"text\n","stream":"stdout","attrs":{…},"time":"…"}`.
struct JSONLogRecord {
    private let attributes: [UInt8]

    /// - Parameter attributes: told with each record.
    init(attributes: [String: String]) {
        let document = JSONWriter.document { $0.value(attributes) }
        self.attributes = attributes.isEmpty ? [] : Array(",\"attrs\":".utf8) + document
    }

    /// Adds a record to others.
    ///
    /// - Parameter isPartial: more of the line follows. Said at the beginning too, where a reader that comes from behind looks.
    func append(
        to bytes: inout [UInt8], _ stream: LogRecord.Stream, _ text: ArraySlice<UInt8>, isPartial: Bool, time: Int64
    ) {
        bytes += isPartial ? Array("{\"partial\":true,\"log\":\"".utf8) : Array("{\"log\":\"".utf8)
        JSONLogRecord.escape(text, to: &bytes)
        if !isPartial { bytes += Array("\\n".utf8) }
        bytes += Array("\",\"stream\":\"\(stream == .output ? "stdout" : "stderr")\"".utf8)
        bytes += attributes
        bytes += Array(",\"time\":\"\(TimeText.string(time))\"}\n".utf8)
    }

    /// As Go writes strings, with what HTML gives a meaning escaped too.
    static func escape(_ text: ArraySlice<UInt8>, to bytes: inout [UInt8]) {
        let digits = Array("0123456789abcdef".utf8)
        var index = text.startIndex
        while index < text.endIndex {
            let byte = text[index]
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes += [UInt8(ascii: "\\"), byte]
            case UInt8(ascii: "\n"): bytes += Array("\\n".utf8)
            case UInt8(ascii: "\r"): bytes += Array("\\r".utf8)
            case 0..<0x20, UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "&"):
                bytes += Array("\\u00".utf8) + [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            case 0x20..<0x80: bytes.append(byte)
            default:
                let length = characterLength(text[index...])
                if length == 0 { bytes += Array("\\ufffd".utf8) } else { bytes += text[index..<(index + length)] }
                index += max(1, length)
                continue
            }
            index += 1
        }
    }

    /// Bytes of the character of UTF-8 that begins here; 0 where none does.
    private static func characterLength(_ text: ArraySlice<UInt8>) -> Int {
        guard let first = text.first else { return 0 }
        let length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2
        guard first >= 0xC2, first <= 0xF4, text.count >= length else { return 0 }
        let rest = text.dropFirst().prefix(length - 1)
        guard rest.allSatisfy({ $0 & 0xC0 == 0x80 }), let second = rest.first else { return 0 }
        // Too long for what they say, surrogates, and beyond Unicode.
        switch first {
        case 0xE0: return second >= 0xA0 ? 3 : 0
        case 0xED: return second < 0xA0 ? 3 : 0
        case 0xF0: return second >= 0x90 ? 4 : 0
        case 0xF4: return second < 0x90 ? 4 : 0
        default: return length
        }
    }
}
