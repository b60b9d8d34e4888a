import CLinux
import Control
import Glibc
import Linux

/// Writes a container's output in the CRI text format, `2026-01-02T03:04:05.123456789Z stdout F line`, or as docker's `json-file`,
/// and rotates.
///
/// Each record is written whole or not at all. When the disk is full records are dropped and counted, and the count is
/// told in the log when there is space again: the container is never blocked by its log. One thread.
/// Format: kubernetes/cri-api, "container log". Nothing in here makes a string while data flows.
package final class LogWriter {
    /// Longest text of one record; a longer line is cut into records with tag `P`.
    package static let longestText = 16 << 10
    /// Bytes before the text: time, space, stream, space, tag, space.
    private static let headLength = TimeText.length + 10

    private let directory: FD
    private let maximumSize: Int
    private let maximumFiles: UInt32
    private var file: SharedFD?
    private var size = 0
    /// Records that wait for one `write(2)`: room for what one read of the container's pipe becomes with lines of a
    /// hundred bytes.
    private var buffer = MappedBuffer(capacity: 512 << 10)
    private var filled = 0
    private var records = 0
    private var dropped = LogLoss()
    /// Monotonic time before which the file is not opened again after it could not be.
    private var retryAt: Int64 = 0
    package var clock: () -> Int64 = wallClockNanoseconds
    private let hasFile: Bool
    /// Set: the file is docker's `json-file`.
    private let json: JSONLogRecord?
    /// Nil: nobody wants whole lines.
    private var lines: LineAssembler?
    private var forwarder: LogForwarder?
    /// Records of ``json`` that wait for one `write(2)`, and the time of what is being taken apart.
    private var batch: [UInt8] = []
    private var batched = 0
    private var lineTime: Int64 = 0

    /// - Parameter directory: the container's directory, borrowed for life. A file that is there is continued; a record
    ///   that a kill has torn is cut off.
    package init(directory: FD, _ configuration: LogConfiguration) {
        self.directory = directory
        maximumSize = configuration.maximumSize == 0 ? Int.max : Int(clamping: configuration.maximumSize)
        maximumFiles = max(1, configuration.maximumFiles)
        hasFile = configuration.hasFile
        json = configuration.driver == .json ? JSONLogRecord(attributes: configuration.attributes) : nil
        if json != nil { assembleLines() }
        if hasFile { open() }
    }

    /// Hands each line on, besides what is written. Before the first output.
    func forward(to forwarder: LogForwarder) {
        self.forwarder = forwarder
        assembleLines()
    }

    /// The run is over: lines without an end are whole, and who gets them has a moment to take them.
    package func finish() {
        guard let lines else { return }
        lineTime = clock()
        lines.finish()
        writeBatch()
        forwarder?.finish()
    }

    /// Adds what the container has written, now.
    package func write(_ stream: LogRecord.Stream, _ bytes: UnsafeRawBufferPointer) {
        if let lines {
            lineTime = clock()
            lines.add(stream, bytes)
            writeBatch()
            if json != nil || !hasFile { return }
        }
        guard let base = bytes.baseAddress, let out = buffer.map() else {
            dropped.add(records: 1, bytes: bytes.count, ENOMEM)
            return
        }
        let head = LogHead(stream, clock())
        let end = base + bytes.count
        var text = base
        var isNewFile = size == 0
        while text < end {
            let next = fill(out, text, end, head, alwaysFirst: isNewFile)
            flush()
            if next == text { rotate() }
            // Once after each rotation a record goes in whatever its size: also where the file could not be emptied.
            isNewFile = next == text || size == 0
            text = next
        }
    }

    /// Makes records until the text is used up, or until the next one has no room in the buffer or in the file.
    ///
    /// The loop works on locals: this is where a container that talks much spends our time.
    /// - Parameter alwaysFirst: the first record goes in even when it alone is larger than a file may be.
    /// - Returns: where the text goes on.
    private func fill(
        _ out: UnsafeMutableRawPointer, _ start: UnsafeRawPointer, _ end: UnsafeRawPointer, _ head: LogHead,
        alwaysFirst: Bool
    ) -> UnsafeRawPointer {
        let headLength = LogWriter.headLength
        let room = min(buffer.capacity, max(0, maximumSize - size))
        var text = start
        var used = 0
        var count = 0
        while text < end {
            let limit = min(end - text, LogWriter.longestText)
            let newline = memchr(text, 10, limit).map { UnsafeRawPointer($0) }
            let length = newline.map { $0 - text } ?? limit
            let record = headLength + length + 1
            if used + record > room, used > 0 || !alwaysFirst { break }
            // SAFETY: a record has at most headLength + longestText + 1 bytes; the buffer has room for it, by the line above
            // or because it is empty.
            let target = out + used
            head.store(to: target, isPartial: newline == nil)
            memcpy(target + headLength, text, length)
            target.storeBytes(of: UInt8(ascii: "\n"), toByteOffset: headLength + length, as: UInt8.self)
            used += record
            count += 1
            text = newline.map { $0 + 1 } ?? text + length
        }
        filled = used
        records = count
        return text
    }

    /// Gives back memory that is only needed while data flows.
    package func releaseMemory() {
        if filled == 0 { buffer.release() }
    }

    /// Opens the file again: somebody has moved it.
    package func reopen() {
        guard hasFile else { return }
        file = nil
        open()
    }

    // MARK: Lines

    private func assembleLines() {
        if lines != nil { return }
        lines = LineAssembler { [unowned self] stream, text, isPartial in add(stream, text, isPartial: isPartial) }
    }

    private func add(_ stream: LogRecord.Stream, _ text: ArraySlice<UInt8>, isPartial: Bool) {
        forwarder?.send(stream, text, isPartial: isPartial, time: lineTime)
        guard let json else { return }
        var record: [UInt8] = []
        json.append(to: &record, stream, text, isPartial: isPartial, time: lineTime)
        if size + batch.count > 0, size + batch.count + record.count > maximumSize {
            writeBatch()
            rotate()
        }
        batch += record
        batched += 1
        if batch.count > 256 << 10 { writeBatch() }
    }

    private func writeBatch() {
        if batch.isEmpty { return }
        let (bytes, count) = (batch, batched)
        batch = []
        batched = 0
        bytes.withUnsafeBytes { store($0, records: count) }
    }

    // MARK: File

    private func flush() {
        guard filled > 0, let base = buffer.base else { return }
        let count = filled
        let waiting = records
        filled = 0
        records = 0
        store(UnsafeRawBufferPointer(start: base, count: count), records: waiting)
    }

    private func store(_ bytes: UnsafeRawBufferPointer, records waiting: Int) {
        if file == nil { openAgain() }
        guard let file else {
            dropped.add(records: waiting, bytes: bytes.count, ENOENT)
            return
        }
        if dropped.records > 0, !reportLoss(file.fd) {
            dropped.add(records: waiting, bytes: bytes.count, dropped.errno)
            return
        }
        put(file.fd, bytes)
    }

    /// Writes records; those that do not fit on the disk are taken back whole and counted.
    private func put(_ file: FD, _ bytes: UnsafeRawBufferPointer) {
        var done = 0
        var errno: Int32 = 0
        while done < bytes.count {
            let written = cl_write(file.rawValue, bytes.baseAddress.map { $0 + done }, bytes.count - done)
            if written <= 0 {
                errno = Int32(truncatingIfNeeded: -written)
                break
            }
            done += written
        }
        guard done < bytes.count else {
            size += done
            return
        }
        let whole = bytes[..<done].lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
        if whole < done { _ = cl_ftruncate(file.rawValue, Int64(size + whole)) }
        size += whole
        let lost = bytes[whole...]
        dropped.add(records: lost.reduce(0) { $1 == UInt8(ascii: "\n") ? $0 + 1 : $0 }, bytes: lost.count, errno)
    }

    /// Tells how much was dropped. - Returns: false when there is no space for that either.
    private func reportLoss(_ file: FD) -> Bool {
        let text =
            "berth: \(dropped.records) log records (\(dropped.bytes) bytes) were dropped: \(Errno(rawValue: dropped.errno).description)"
        var bytes: [UInt8] = []
        if let json {
            json.append(to: &bytes, .error, Array(text.utf8)[...], isPartial: false, time: clock())
        } else {
            bytes = Array("\(TimeText.string(clock())) stderr F \(text)\n".utf8)
        }
        let written = bytes.withUnsafeBytes { cl_write(file.rawValue, $0.baseAddress, $0.count) }
        if written == bytes.count {
            size += written
            dropped = LogLoss()
            return true
        }
        if written > 0 { _ = cl_ftruncate(file.rawValue, Int64(size)) }
        return false
    }

    private func open() {
        do throws(SystemError) {
            let opened = try directory.open(
                ContainerFiles.log, [.readWrite, .append, .create, .noFollow], mode: 0o600)
            let length = Int(try opened.fd.status().st_size)
            size = LogWriter.cutTornEnd(opened.fd, length)
            file = SharedFD(opened)
        } catch {
            file = nil
            retryAt = monotonicNanoseconds() &+ 1_000_000_000
        }
    }

    /// At most once a second: a directory that was removed must not cost a system call for each chunk of output.
    private func openAgain() {
        if monotonicNanoseconds() >= retryAt { open() }
    }

    /// Cuts off what follows the last newline: a record that a kill or a power cut has torn.
    /// - Returns: the length of the file then.
    private static func cutTornEnd(_ file: FD, _ length: Int) -> Int {
        var end = length
        return withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 8) { chunk in
            while end > 0 {
                let start = max(0, end - chunk.count)
                let count = cl_pread(file.rawValue, chunk.baseAddress, end - start, Int64(start))
                guard count > 0 else { return length }
                if let newline = chunk[..<count].lastIndex(of: UInt8(ascii: "\n")) {
                    end = start + newline + 1
                    break
                }
                end = start
            }
            if end < length { _ = cl_ftruncate(file.rawValue, Int64(end)) }
            return end
        }
    }

    /// Makes room: `container.log` becomes `.1`, and so on; the oldest goes.
    ///
    /// A file that cannot be renamed away is emptied instead: the bound holds in every case.
    private func rotate() {
        let before = file
        if RotatedFiles.shift(directory, ContainerFiles.log, keeping: maximumFiles) {
            open()
            if file != nil { return }
        }
        file = before
        if let before, cl_ftruncate(before.raw, 0) == 0 { size = 0 }
    }
}

/// What did not get into a log.
private struct LogLoss {
    var records = 0
    var bytes = 0
    var errno: Int32 = 0

    mutating func add(records: Int, bytes: Int, _ errno: Int32) {
        self.records = self.records &+ records
        self.bytes = self.bytes &+ bytes
        self.errno = errno
    }
}

/// What stands before the text of each record of one piece of output, as five words: one store each.
private struct LogHead {
    private let words: (UInt64, UInt64, UInt64, UInt64)
    private let full: UInt64
    private let partial: UInt64

    init(_ stream: LogRecord.Stream, _ time: Int64) {
        let name: StaticString = stream == .output ? " stdout F " : " stderr F "
        // SAFETY: 40 bytes are written before they are read as words: the time's 30 and the name's 10.
        let made = withUnsafeTemporaryAllocation(byteCount: 40, alignment: 8) { head in
            TimeText.write(time, to: head)
            head[TimeText.length...].copyBytes(from: UnsafeRawBufferPointer(start: name.utf8Start, count: 10))
            let words = (
                head.load(as: UInt64.self), head.load(fromByteOffset: 8, as: UInt64.self),
                head.load(fromByteOffset: 16, as: UInt64.self), head.load(fromByteOffset: 24, as: UInt64.self)
            )
            let full = head.load(fromByteOffset: 32, as: UInt64.self)
            head[38] = UInt8(ascii: "P")
            return (words, full, head.load(fromByteOffset: 32, as: UInt64.self))
        }
        (words, full, partial) = made
    }

    /// - Parameter target: 40 bytes, of any alignment.
    @inline(__always)
    func store(to target: UnsafeMutableRawPointer, isPartial: Bool) {
        target.storeBytes(of: words.0, as: UInt64.self)
        target.storeBytes(of: words.1, toByteOffset: 8, as: UInt64.self)
        target.storeBytes(of: words.2, toByteOffset: 16, as: UInt64.self)
        target.storeBytes(of: words.3, toByteOffset: 24, as: UInt64.self)
        target.storeBytes(of: isPartial ? partial : full, toByteOffset: 32, as: UInt64.self)
    }
}
