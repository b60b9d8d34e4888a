import CLinux
import Control
import Glibc
import Linux

/// Output as lines, for logs that cannot take part of one: what has no end yet waits for it, or for so much that it goes as a part.
///
/// Docker's rule, with its size of parts. One thread.
final class LineAssembler {
    /// Bytes of the longest part.
    static let longestPart = 16 << 10
    private var rest: (output: [UInt8], error: [UInt8]) = ([], [])
    private let emit: (LogRecord.Stream, ArraySlice<UInt8>, _ isPartial: Bool) -> Void

    /// - Parameter emit: is given each line without its end.
    init(_ emit: @escaping (LogRecord.Stream, ArraySlice<UInt8>, _ isPartial: Bool) -> Void) { self.emit = emit }

    // SAFETY: the bytes are copied during the call.
    func add(_ stream: LogRecord.Stream, _ bytes: UnsafeRawBufferPointer) {
        var waiting = take(stream)
        waiting.append(contentsOf: bytes)
        var text = waiting[...]
        while !text.isEmpty {
            let end = text.prefix(LineAssembler.longestPart + 1).firstIndex(of: UInt8(ascii: "\n"))
            if let end {
                emit(stream, text[..<end], false)
                text = text[(end + 1)...]
            } else if text.count > LineAssembler.longestPart {
                let part = text.prefix(LineAssembler.wholeCharacters(text))
                emit(stream, part, true)
                text = text.dropFirst(part.count)
            } else {
                break
            }
        }
        keep(Array(text), stream)
    }

    /// What has no end will have none.
    func finish() {
        for stream in [LogRecord.Stream.output, .error] {
            let text = take(stream)
            if !text.isEmpty { emit(stream, text[...], true) }
        }
    }

    private func take(_ stream: LogRecord.Stream) -> [UInt8] {
        defer { keep([], stream) }
        return stream == .output ? rest.output : rest.error
    }

    private func keep(_ bytes: [UInt8], _ stream: LogRecord.Stream) {
        if stream == .output { rest.output = bytes } else { rest.error = bytes }
    }

    /// A part's length that cuts no character of UTF-8 in two.
    private static func wholeCharacters(_ text: ArraySlice<UInt8>) -> Int {
        var length = longestPart
        for _ in 0..<3 where text[text.startIndex + length] & 0xC0 == 0x80 { length -= 1 }
        return text[text.startIndex + length] & 0xC0 == 0x80 ? longestPart : length
    }
}
