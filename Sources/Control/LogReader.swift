import CLinux
import Glibc
import Linux

/// Reads a container's log in order, over all its files, and follows it across rotations.
///
/// Lines that are torn (a supervisor was killed while it wrote) or not of the format are passed over. One thread.
public struct LogReader {
    public struct Options: Sendable {
        /// Only the last lines; nil is all.
        public var tail: Int?
        /// Nanoseconds since 1970: only records at or after it.
        public var since: Int64?
        /// Nanoseconds since 1970: ends at the first record after it.
        public var until: Int64?

        public init(tail: Int? = nil, since: Int64? = nil, until: Int64? = nil) {
            self.tail = tail
            self.since = since
            self.until = until
        }
    }

    private let files: LogFiles
    private let options: Options
    private var current: LogFile?
    private let lines = LineBuffer()
    private var isPastEnd = false

    /// - Parameter directory: the container's directory.
    public init(directory: String, options: Options = Options()) throws(ControlError) {
        do throws(SystemError) {
            files = try LogFiles(directory: directory)
            self.options = options
            current = try LogReader.begin(files, options)
        } catch {
            throw ControlError(error, "read log in", directory)
        }
    }

    func watch() -> LogWatch { LogWatch(files.directory.fd) }

    /// Passes on every record there is now.
    ///
    /// - Parameter emit: called in order; returns whether to go on. A record is valid only during the call.
    /// - Returns: whether more may come: false after `until`, or when `emit` said so.
    public mutating func readAvailable(_ emit: (LogRecord) -> Bool) throws(ControlError) -> Bool {
        do throws(SystemError) {
            if current == nil { current = try LogReader.begin(files, options) }
            while let file = current {
                // Ask who is next before the last read: a file that has a successor is never written again.
                let next = try files.next(after: file.identity)
                if !(try drain(file, emit)) { return false }
                guard let next else { return true }
                lines.discard()
                current = next
            }
            return true
        } catch {
            throw ControlError(error, "read", ContainerFiles.log)
        }
    }

    /// Passes on what there is and what comes, until the container has ended for good.
    ///
    /// - Parameters:
    ///   - supervisor: whose going means the end; nil ends at the end of the file.
    ///   - idle: called before each wait, to flush.
    public mutating func follow(
        _ supervisor: SupervisorConnection?, _ emit: (LogRecord) -> Bool, idle: () -> Void
    ) throws(ControlError) {
        let watch = LogWatch(files.directory.fd)
        var hasEnded = supervisor == nil
        while try readAvailable(emit) {
            if hasEnded { return }
            idle()
            var timeout: Int32 = -1
            if let until = options.until {
                let left = until &- wallClockNanoseconds()
                if left < 0 { return }
                timeout = Int32(clamping: left / 1_000_000 + 1)
            }
            // After the end one more round: what was written before it is in the file.
            hasEnded = watch.wait(supervisor, timeout: timeout)
        }
    }

    private mutating func drain(_ file: LogFile, _ emit: (LogRecord) -> Bool) throws(SystemError) -> Bool {
        while true {
            let size = file.size
            if size < file.offset {
                // Shortened: a torn end was cut off, or the file was emptied because it could not be renamed.
                file.offset = size < file.offset - Int64(lines.count) ? 0 : size
                lines.discard()
            }
            let count = try lines.fill { (buffer) throws(SystemError) -> Int in try file.read(into: buffer) }
            if count == 0 { return true }
            while let line = lines.next() {
                guard let record = LogRecord(line: line) else { continue }
                if let since = options.since, record.time < since { continue }
                if let until = options.until, record.time > until { return false }
                if !emit(record) { return false }
            }
        }
    }

    /// The file and offset to begin at.
    private static func begin(_ files: LogFiles, _ options: Options) throws(SystemError) -> LogFile? {
        for _ in 0..<100 {
            guard let tail = options.tail, tail >= 0 else {
                guard let oldest = files.oldest() else { return nil }
                if let file = try files.open(oldest) { return file }
                continue  // rotated away just now
            }
            var scanner = TailScanner(wanted: max(tail, 1))
            var index = 0
            var missing = 0
            var earliest: LogFile?
            while index < LogFiles.maximum, missing < 2 {
                defer { index += 1 }
                guard let file = try files.open(index) else {
                    missing += 1
                    continue
                }
                missing = 0
                if tail == 0 {
                    file.offset = file.size
                    return file
                }
                // It has moved up since it was looked at under the name before.
                if file.identity == earliest?.identity { continue }
                earliest = file
                if let offset = try file.offsetOfTail(&scanner) {
                    file.offset = offset
                    break
                }
            }
            return earliest
        }
        return nil
    }
}
