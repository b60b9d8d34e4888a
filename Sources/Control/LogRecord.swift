/// One record of a container's log.
public struct LogRecord {
    public enum Stream: UInt8, Sendable, Hashable { case output = 1, error = 2 }

    /// Nanoseconds since 1970.
    public var time: Int64
    public var stream: Stream
    /// More of the same line follows (tag `P`): there is no newline after the text.
    public var isPartial: Bool
    /// Without the newline. Valid only during the call that passes the record.
    // SAFETY: views into the reader's buffer, which outlives the call that passes the record.
    public var text: UnsafeRawBufferPointer
    /// The time as it stands in the file, `2026-01-02T03:04:05.123456789Z`.
    public var timeText: UnsafeRawBufferPointer

    /// Reads one line of the CRI text format, without its newline; nil when it is none (torn by a kill, or not ours).
    ///
    /// A line of docker's `json-file` is decoded where it is: the memory has to be the reader's own.
    init?(line: UnsafeRawBufferPointer) {
        if line.first == UInt8(ascii: "{") {
            // SAFETY: only readers' buffers hold such lines (see above), which are memory that may be written.
            guard let record = JSONLogLine.decode(UnsafeMutableRawBufferPointer(mutating: line)) else { return nil }
            self = record
            return
        }
        // `2026-01-02T03:04:05.123456789Z stdout F text`; other writers may have fewer digits or a zone offset.
        guard let space = line.prefix(40).firstIndex(of: UInt8(ascii: " ")), line.count >= space + 10,
            let time = TimeText.parse(UnsafeRawBufferPointer(rebasing: line[..<space])),
            line[space + 7] == UInt8(ascii: " "), line[space + 9] == UInt8(ascii: " ")
        else { return nil }
        let name = line[(space + 1)..<(space + 7)]
        if name.elementsEqual("stdout".utf8) {
            stream = .output
        } else if name.elementsEqual("stderr".utf8) {
            stream = .error
        } else {
            return nil
        }
        switch line[space + 8] {
        case UInt8(ascii: "F"): isPartial = false
        case UInt8(ascii: "P"): isPartial = true
        default: return nil
        }
        self.time = time
        text = UnsafeRawBufferPointer(rebasing: line[(space + 10)...])
        timeText = UnsafeRawBufferPointer(rebasing: line[..<space])
    }

    init(time: Int64, _ stream: Stream, isPartial: Bool, text: UnsafeRawBufferPointer, timeText: UnsafeRawBufferPointer) {
        self.time = time
        self.stream = stream
        self.isPartial = isPartial
        self.text = text
        self.timeText = timeText
    }
}
