import CLinux
import Control
import Glibc
import Linux

/// Writes a container's output in the CRI text format, `2026-01-02T03:04:05.123456789Z stdout F line`, and rotates.
///
/// Each record is written whole or not at all. When the disk is full records are dropped and counted, and the count is
/// told in the log when there is space again: the container is never blocked by its log. One thread.
/// Format: kubernetes/cri-api, "container log". Nothing in here makes a string while data flows.
package final class LogWriter {
    /// Longest text of one record; a longer line is cut into records with tag `P`.
    package static let longestText = 16 << 10
    /// Bytes before the text: time, space, stream, space, tag, space.
    private static let headLength = TimeText.length + 10
    private static let tagOffset = TimeText.length + 8

    private let directory: FD
    private let maximumSize: Int
    private let maximumFiles: UInt32
    private var file: SharedFD?
    private var size = 0
    /// Records that wait for one `write(2)`.
    private var buffer = MappedBuffer(capacity: 256 << 10)
    private var filled = 0
    private var records = 0
    private var dropped = LogLoss()
    /// Monotonic time before which the file is not opened again after it could not be.
    private var retryAt: Int64 = 0
    package var clock: () -> Int64 = wallClockNanoseconds

    /// - Parameter directory: the container's directory, borrowed for life. A file that is there is continued; a record
    ///   that a kill has torn is cut off.
    package init(directory: FD, _ configuration: LogConfiguration) {
        self.directory = directory
        maximumSize = configuration.maximumSize == 0 ? Int.max : Int(clamping: configuration.maximumSize)
        maximumFiles = max(1, configuration.maximumFiles)
        open()
    }

    /// Adds what the container has written, now.
    package func write(_ stream: LogRecord.Stream, _ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress, let out = buffer.map() else {
            dropped.add(records: 1, bytes: bytes.count, ENOMEM)
            return
        }
        withUnsafeTemporaryAllocation(byteCount: LogWriter.headLength, alignment: 8) { head in
            LogWriter.makeHead(head, stream, clock())
            guard let headBase = head.baseAddress else { return }
            append(base, bytes.count, headBase, out)
        }
        flush()
    }

    private func append(
        _ base: UnsafeRawPointer, _ count: Int, _ head: UnsafeMutableRawPointer, _ out: UnsafeMutableRawPointer
    ) {
        let headLength = LogWriter.headLength
        var position = 0
        while position < count {
            let limit = min(count - position, LogWriter.longestText)
            let text = base + position
            var length = limit
            var tag = UInt8(ascii: "P")
            var taken = limit
            if let newline = memchr(text, 10, limit) {
                length = UnsafeRawPointer(newline) - text
                taken = length + 1
                tag = UInt8(ascii: "F")
            }
            let record = headLength + length + 1
            if filled + record > buffer.capacity { flush() }
            if size + filled + record > maximumSize, size + filled > 0 {
                flush()
                rotate()
            }
            // SAFETY: a record has at most headLength + longestText + 1 bytes, and the buffer has room for it now.
            head.storeBytes(of: tag, toByteOffset: LogWriter.tagOffset, as: UInt8.self)
            let target = out + filled
            memcpy(target, head, headLength)
            memcpy(target + headLength, text, length)
            target.storeBytes(of: UInt8(ascii: "\n"), toByteOffset: headLength + length, as: UInt8.self)
            filled += record
            records += 1
            position += taken
        }
    }

    private static func makeHead(_ head: UnsafeMutableRawBufferPointer, _ stream: LogRecord.Stream, _ time: Int64) {
        TimeText.write(time, to: head)
        let name: StaticString = stream == .output ? " stdout F " : " stderr F "
        head[TimeText.length...].copyBytes(from: UnsafeRawBufferPointer(start: name.utf8Start, count: 10))
    }

    /// Gives back memory that is only needed while data flows.
    package func releaseMemory() {
        if filled == 0 { buffer.release() }
    }

    /// Opens the file again: somebody has moved it.
    package func reopen() {
        file = nil
        open()
    }

    // MARK: File

    private func flush() {
        guard filled > 0, let base = buffer.base else { return }
        let count = filled
        let waiting = records
        filled = 0
        records = 0
        if file == nil { openAgain() }
        guard let file else {
            dropped.add(records: waiting, bytes: count, ENOENT)
            return
        }
        if dropped.records > 0, !reportLoss(file.fd) {
            dropped.add(records: waiting, bytes: count, dropped.errno)
            return
        }
        put(file.fd, UnsafeRawBufferPointer(start: base, count: count))
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
        let line =
            "\(TimeText.string(clock())) stderr F berth: \(dropped.records) log records (\(dropped.bytes) bytes) were dropped: "
            + "\(Errno(rawValue: dropped.errno).description)\n"
        let bytes = Array(line.utf8)
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
        let last = maximumFiles - 1
        if last > 0 {
            for index in stride(from: last, to: 1, by: -1) {
                try? directory.rename("\(ContainerFiles.log).\(index - 1)", to: "\(ContainerFiles.log).\(index)")
            }
        }
        let moved =
            last > 0
            ? cl_renameat2(directory.rawValue, ContainerFiles.log, directory.rawValue, ContainerFiles.log + ".1", 0)
            : cl_unlinkat(directory.rawValue, ContainerFiles.log, 0)
        let before = file
        if moved == 0 || moved == -ENOENT {
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
