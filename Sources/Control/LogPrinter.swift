import Linux

/// Prints log records the way `docker logs` does: each stream to its own descriptor, byte for byte.
public struct LogPrinter: ~Copyable {
    private let output: FD
    private let error: FD
    private let timestamps: Bool
    private let details: [UInt8]
    private let prefix: [UInt8]
    private var buffer: [UInt8] = []
    private var bufferStream = LogRecord.Stream.output
    /// Whether the stream is inside a line, whose head was printed already; by stream.
    private var isInside = (output: false, error: false)
    /// The error that ended it: `.brokenPipe` when nobody reads.
    public private(set) var failure: SystemError?

    /// - Parameters:
    ///   - details: what `--details` puts before each line (`key=value,…`); nil for none.
    ///   - prefix: whose line it is; nil where that is clear.
    public init(output: FD = .standardOutput, error: FD = .standardError, timestamps: Bool, details: String? = nil, prefix: String? = nil) {
        self.output = output
        self.error = error
        self.timestamps = timestamps
        self.details = details.map { Array($0.utf8) + [UInt8(ascii: " ")] } ?? []
        self.prefix = prefix.map { Array($0.utf8) + [UInt8(ascii: " ")] } ?? []
        buffer.reserveCapacity(72 << 10)
    }

    /// - Returns: false once writing has failed.
    public mutating func print(_ record: LogRecord) -> Bool {
        // Both streams may be one terminal: keep their order.
        if record.stream != bufferStream { flush() }
        bufferStream = record.stream
        let inside = record.stream == .output ? isInside.output : isInside.error
        if !inside {
            buffer.append(contentsOf: prefix)
            if timestamps {
                buffer.append(contentsOf: record.timeText)
                buffer.append(UInt8(ascii: " "))
            }
            buffer.append(contentsOf: details)
        }
        buffer.append(contentsOf: record.text)
        if !record.isPartial { buffer.append(UInt8(ascii: "\n")) }
        if record.stream == .output { isInside.output = record.isPartial } else { isInside.error = record.isPartial }
        if buffer.count >= 64 << 10 { flush() }
        return failure == nil
    }

    public mutating func flush() {
        if buffer.isEmpty { return }
        do throws(SystemError) {
            try (bufferStream == .output ? output : error).writeAll(buffer)
        } catch {
            failure = error
        }
        buffer.removeAll(keepingCapacity: true)
    }
}
